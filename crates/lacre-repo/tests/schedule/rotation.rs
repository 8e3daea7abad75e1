//! Changes of the seal beside writers: each suspended before each of its requests while the other runs to its end.

use std::{cell::Cell, collections::BTreeMap};

use lacre_format::ids::SnapshotId;
use lacre_repo::{
    Error, Repository,
    op::{
        erase::{EraseReason, LastVerified},
        rotate::RotationState,
    },
};

use crate::{
    site::{History, Patience, Site, back_up, collect, night, rotate, unless_overtaken},
    writer::before_each_request,
};

fn kept(history: &History) -> BTreeMap<SnapshotId, Vec<u8>> {
    [(history.nights[1], night(1)), (history.nights[2], night(2))].into()
}

#[test]
fn a_writer_that_sleeps_while_the_seal_changes_keeps_its_key() {
    let history = History::new();
    for rotations in [1, 3] {
        let (requests, acknowledged) = before_each_request(&history, &|site| {
            for _ in 0..rotations {
                assert_eq!(rotate(&site.open("admin")).unwrap().state, RotationState::Closed);
            }
            kept(&history)
        });
        assert!(requests > 15, "{requests}");
        assert_eq!(acknowledged, requests, "its key travels with every rotation, however long it slept");
    }
}

#[test]
fn a_writer_that_sleeps_while_its_base_is_erased_and_collected_loses_nothing() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        let admin = site.open("admin");
        let plan = admin.plan_erase(&[history.nights[2]], LastVerified::Allow).unwrap();
        admin.intend_erase(&plan, &EraseReason::default()).unwrap();
        assert_eq!(rotate(&admin).unwrap().state, RotationState::Closed);
        drop(collect(&admin, Patience::Waits).unwrap());
        [(history.nights[1], night(1))].into()
    });
    assert!(requests > 15, "{requests}");
    assert_eq!(acknowledged, requests);
}

/// Suspends a rotation before each of its requests in turn while something else runs.
fn rotation_suspended(history: &History, meanwhile: &dyn Fn(&Site) -> BTreeMap<SnapshotId, Vec<u8>>) -> u64 {
    for requests in 0.. {
        let site = history.site();
        let context = format!("suspended after {requests} requests");
        let mut acknowledged = BTreeMap::new();
        let outcome = site.suspended("admin", requests, rotate, || acknowledged = meanwhile(&site));
        let Some(outcome) = outcome else { return requests };
        unless_overtaken(outcome, &context);
        let mut kept = kept(history);
        kept.extend(acknowledged);
        site.whole(&kept, &context);
        let again = rotate(&site.open("admin")).unwrap();
        assert_eq!(again.state, RotationState::Closed, "{context}");
        let next = back_up(&site.open("writer"), 4).unwrap();
        kept.insert(next, night(4));
        site.whole(&kept, &format!("{context}, a night later"));
    }
    0
}

#[test]
fn a_rotation_that_sleeps_while_a_writer_runs_carries_its_key() {
    let history = History::new();
    let requests = rotation_suspended(&history, &|site| {
        let snapshot = back_up(&site.open("writer"), 3).unwrap();
        [(snapshot, night(3))].into()
    });
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_rotation_that_sleeps_while_a_collection_runs_carries_every_key() {
    let history = History::new();
    let requests = rotation_suspended(&history, &|site| {
        site.clone_host("admin", "maintainer");
        drop(unless_overtaken(collect(&site.open("maintainer"), Patience::Voids), "the collection"));
        BTreeMap::new()
    });
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_session_that_a_clone_ended_keeps_its_key_or_its_writer_says_so() {
    let history = History::new();
    let (requests, acknowledged) = before_each_request(&history, &|site| {
        // The clone ends the session of the machine it was made from. A rotation may drop the key of a session that ended.
        site.clone_host("writer", "clone");
        let snapshot = back_up(&site.open("clone"), 5).unwrap();
        assert_eq!(rotate(&site.open("admin")).unwrap().state, RotationState::Closed);
        let mut kept = kept(&history);
        kept.insert(snapshot, night(5));
        kept
    });
    assert!(requests > 15 && acknowledged > 2, "{acknowledged} of {requests}");
}

#[test]
fn a_hold_beside_a_rotation_that_sleeps_is_kept_or_refused() {
    let history = History::new();
    let (held, refused) = (Cell::new(0), Cell::new(0));
    let requests = rotation_suspended(&history, &|site| {
        site.clone_host("admin", "legal");
        // It is forgotten, so this rotation drops it unless the hold comes in time.
        match site.open("legal").hold(history.nights[0], "audit") {
            Ok(()) => {
                held.set(held.get() + 1);
                [(history.nights[0], night(0))].into()
            }
            Err(error) => {
                assert!(matches!(error, Error::Erased { .. } | Error::Overtaken { .. }), "{error}");
                refused.set(refused.get() + 1);
                BTreeMap::new()
            }
        }
    });
    assert!(requests > 20, "{requests}");
    assert!(held.get() > 3 && refused.get() > 3, "{} held, {} refused", held.get(), refused.get());
}

#[test]
fn a_forget_taken_back_beside_a_rotation_that_sleeps_is_kept_or_refused() {
    let history = History::new();
    let (kept, refused) = (Cell::new(0), Cell::new(0));
    let requests = rotation_suspended(&history, &|site| {
        site.clone_host("admin", "other");
        match site.open("other").unforget(history.nights[0]) {
            Ok(()) => {
                kept.set(kept.get() + 1);
                [(history.nights[0], night(0))].into()
            }
            Err(error) => {
                assert!(matches!(error, Error::Erased { .. } | Error::Overtaken { .. }), "{error}");
                refused.set(refused.get() + 1);
                BTreeMap::new()
            }
        }
    });
    assert!(requests > 20, "{requests}");
    assert!(kept.get() > 3 && refused.get() > 3, "{} kept, {} refused", kept.get(), refused.get());
}

#[test]
fn a_hold_that_sleeps_while_the_seal_changes_is_kept_or_refused() {
    let history = History::new();
    for requests in 0.. {
        let site = history.site();
        let context = format!("suspended after {requests} requests");
        site.clone_host("admin", "legal");
        let hold = |legal: &Repository| legal.hold(history.nights[0], "audit");
        let outcome = site.suspended("legal", requests, hold, || {
            assert_eq!(rotate(&site.open("admin")).unwrap().state, RotationState::Closed);
        });
        let Some(outcome) = outcome else {
            assert!(requests > 8, "{requests}");
            return;
        };
        let mut kept = kept(&history);
        match outcome {
            Ok(()) => drop(kept.insert(history.nights[0], night(0))),
            Err(error) => {
                assert!(matches!(error, Error::Erased { .. } | Error::Overtaken { .. }), "{context}: {error}");
            }
        }
        site.whole(&kept, &context);
        // Whatever became of it, it stops no later rotation.
        assert_eq!(rotate(&site.open("admin")).unwrap().state, RotationState::Closed, "{context}");
        site.whole(&kept, &context);
    }
}
