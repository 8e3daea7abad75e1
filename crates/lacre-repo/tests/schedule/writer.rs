//! A writer suspended before each of its requests, rules 2 to 5, while others run to their ends.

use std::collections::BTreeMap;

use lacre_format::ids::SnapshotId;

use crate::site::{History, Site, back_up, night, unless_overtaken};

/// Suspends a backup before each of its requests in turn. `meanwhile` gives what must be kept; gives how often the backup was
/// suspended and how often it was acknowledged.
pub(crate) fn before_each_request(
    history: &History,
    meanwhile: &dyn Fn(&Site) -> BTreeMap<SnapshotId, Vec<u8>>,
) -> (u64, u64) {
    let mut acknowledged = 0;
    for requests in 0.. {
        let site = history.site();
        let context = format!("suspended after {requests} requests");
        let mut kept = BTreeMap::new();
        let outcome = site.suspended("writer", requests, |writer| back_up(writer, 3), || kept = meanwhile(&site));
        let Some(outcome) = outcome else { return (requests, acknowledged) };
        if let Some(snapshot) = unless_overtaken(outcome, &context) {
            acknowledged += 1;
            kept.insert(snapshot, night(3));
        }
        site.whole(&kept, &context);
        // And life goes on with the next night of the same host.
        let next = back_up(&site.open("writer"), 4).unwrap();
        kept.insert(next, night(4));
        site.whole(&kept, &format!("{context}, a night later"));
    }
    (0, 0)
}

#[test]
fn a_writer_that_sleeps_while_its_base_is_forgotten_loses_nothing() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        site.open("admin").forget_one(history.nights[2]).unwrap();
        [(history.nights[1], night(1))].into()
    });
    assert!(requests > 15, "{requests}");
    assert_eq!(acknowledged, requests, "nobody voided it, so it succeeds however long it slept");
}

#[test]
fn a_clone_that_runs_beside_a_sleeping_writer_takes_nothing_from_it() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        site.clone_host("admin", "clone");
        let snapshot = back_up(&site.open("clone"), 5).unwrap();
        [(history.nights[1], night(1)), (history.nights[2], night(2)), (snapshot, night(5))].into()
    });
    assert!(requests > 15, "{requests}");
    assert_eq!(acknowledged, requests);
}

#[test]
fn a_clone_made_in_the_middle_of_a_run_harms_nothing() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        site.clone_host("writer", "clone");
        let snapshot = back_up(&site.open("clone"), 5).unwrap();
        [(history.nights[1], night(1)), (history.nights[2], night(2)), (snapshot, night(5))].into()
    });
    assert!(requests > 15, "{requests}");
    // Once its session is stored the clone gives that session up, not knowing that it is alive: the writer is intact, or says so.
    assert!(acknowledged > 2 && acknowledged < requests, "{acknowledged} of {requests}");
}
