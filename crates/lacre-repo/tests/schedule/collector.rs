//! Garbage collection beside writers: each suspended before each of its requests while the other runs to its end.

use std::{cell::Cell, collections::BTreeMap};

use lacre_format::ids::SnapshotId;
use lacre_repo::op::prune::PruneState;

use crate::{
    site::{History, Patience, Site, back_up, collect, night, unless_overtaken},
    writer::before_each_request,
};

fn kept(history: &History) -> BTreeMap<SnapshotId, Vec<u8>> {
    [(history.nights[1], night(1)), (history.nights[2], night(2))].into()
}

#[test]
fn a_writer_that_sleeps_while_a_collection_waits_for_it_loses_nothing() {
    let history = History::new();
    let waited = Cell::new(0);
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        let report = collect(&site.open("admin"), Patience::Waits).unwrap();
        waited.set(waited.get() + u64::from(report.state == PruneState::Pending));
        // Whatever it waited for, a second one goes on where the first stopped.
        drop(collect(&site.open("admin"), Patience::Waits).unwrap());
        kept(&history)
    });
    assert!(requests > 15, "{requests}");
    assert_eq!(acknowledged, requests, "nobody voided it");
    assert!(waited.get() > 5, "the collection saw the session open {} times", waited.get());
}

#[test]
fn a_writer_that_sleeps_while_a_collection_voids_it_is_intact_or_says_so() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        let admin = site.open("admin");
        // Once for the plan, and once for what the first left.
        drop(collect(&admin, Patience::Voids).unwrap());
        drop(collect(&admin, Patience::Voids).unwrap());
        kept(&history)
    });
    assert!(requests > 15, "{requests}");
    assert!(
        acknowledged > 2 && acknowledged < requests,
        "{acknowledged} of {requests}: some were voided, some were not"
    );
}

#[test]
fn a_base_that_is_forgotten_and_collected_while_its_writer_sleeps_takes_nothing_from_it() {
    let history = History::new();
    for patience in [Patience::Waits, Patience::Voids] {
        let (requests, acknowledged) = before_each_request(&history, &|site| {
            let admin = site.open("admin");
            admin.forget_one(history.nights[2]).unwrap();
            drop(collect(&admin, patience).unwrap());
            drop(collect(&admin, patience).unwrap());
            [(history.nights[1], night(1))].into()
        });
        assert!(requests > 15, "{requests}");
        assert_eq!(acknowledged == requests, patience == Patience::Waits, "{patience:?}: {acknowledged} of {requests}");
    }
}

/// Suspends a collection before each of its requests in turn while a whole backup runs.
fn collection_suspended(history: &History, patience: Patience, meanwhile: &dyn Fn(&Site) -> Option<SnapshotId>) -> u64 {
    for requests in 0.. {
        let site = history.site();
        let context = format!("{patience:?}, suspended after {requests} requests");
        let mut acknowledged = None;
        let run = || acknowledged = meanwhile(&site);
        let outcome = site.suspended("admin", requests, |admin| collect(admin, patience), run);
        let Some(outcome) = outcome else { return requests };
        unless_overtaken(outcome, &context);
        let mut kept = kept(history);
        kept.extend(acknowledged.map(|snapshot| (snapshot, night(3))));
        site.whole(&kept, &context);
        // The next collection ends what this one left, and the next night goes well.
        unless_overtaken(collect(&site.open("admin"), patience), &context);
        let next = back_up(&site.open("writer"), 4).unwrap();
        kept.insert(next, night(4));
        site.whole(&kept, &format!("{context}, a night later"));
    }
    0
}

#[test]
fn a_collection_that_sleeps_while_a_writer_runs_takes_nothing_from_it() {
    let history = History::new();
    let requests =
        collection_suspended(&history, Patience::Waits, &|site| Some(back_up(&site.open("writer"), 3).unwrap()));
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_collection_that_voids_and_sleeps_while_a_writer_runs_takes_nothing_from_it() {
    let history = History::new();
    let requests = collection_suspended(&history, Patience::Voids, &|site| {
        unless_overtaken(back_up(&site.open("writer"), 3), "the writer")
    });
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_clone_and_a_collection_beside_a_sleeping_writer_take_nothing_from_it() {
    let history = History::new();
    for patience in [Patience::Waits, Patience::Voids] {
        let (requests, acknowledged) = before_each_request(&history, &|site| {
            // The clone finds the session of the machine it was made from, and ends it: it cannot know that the other is alive.
            site.clone_host("writer", "clone");
            let snapshot = back_up(&site.open("clone"), 5).unwrap();
            let admin = site.open("admin");
            drop(collect(&admin, patience).unwrap());
            drop(collect(&admin, patience).unwrap());
            let mut kept = kept(&history);
            kept.insert(snapshot, night(5));
            kept
        });
        assert!(requests > 15 && acknowledged > 2, "{acknowledged} of {requests}");
    }
}
