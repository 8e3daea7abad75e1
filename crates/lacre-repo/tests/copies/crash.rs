//! A sync that dies at any request, of either side: what is in the copy is whole, and the next run brings the rest.

use lacre_repo::{
    Error, Repository,
    home::Home,
    op::{
        copy::CopyState,
        keys::ReadKeys,
        rotate::{RotateOptions, RotationState},
    },
    store::{Store, fault::FaultPlan},
};

use crate::{
    common::{
        Notes as _, assert_logs_reach_the_policy, assert_whole, bench, names, nights, opened, sync, try_sync, twin,
    },
    support::Bench,
};

/// Requests of one sync; more than it makes, so that the loop ends by success.
const REQUESTS_MAX: u64 = 300;

/// Which store dies.
#[derive(Clone, Copy)]
enum Side {
    Repository,
    Copy,
}

fn dies(side: Side, plan: fn(u64) -> FaultPlan) {
    let bench = bench();
    let made = nights(&bench, 2);
    let mut ended = false;
    for nth in 1..REQUESTS_MAX {
        let copy = Store::memory();
        let died = match side {
            Side::Copy => try_sync(&bench.reopen(), &copy.with_faults(plan(nth))),
            Side::Repository => open_faulty(&bench, plan(nth)).and_then(|faulty| try_sync(&faulty, &copy)),
        };
        bench.forget_note();
        let context = format!("{nth}");
        if copy.list("").unwrap().objects.iter().any(|object| object.name == "lacre.json") {
            let seen = opened(&bench, &copy);
            let whole = assert_whole(&bench, &seen, &made, &context);
            assert_eq!(whole, names(&copy, "snap").len(), "{context}");
        } else {
            assert!(names(&copy, "packs").is_empty(), "{context}: the tip comes first");
        }
        let report = sync(&bench.reopen(), &copy);
        assert_eq!(report.status.state, CopyState::Current, "{context}: {report:?}");
        assert_eq!(names(&copy, ""), names(&bench.store, ""), "{context}");
        bench.forget_note();
        if died.is_ok_and(|report| report.status.state == CopyState::Current) {
            ended = true;
            break;
        }
    }
    assert!(ended, "a sync makes more than {REQUESTS_MAX} requests");
}

fn open_faulty(bench: &Bench, plan: FaultPlan) -> Result<Repository, Error> {
    let home = Home::open(&bench.directory.path().join("home"))?;
    Repository::open(bench.store.with_faults(plan), &home, bench.clock.clone())
}

#[test]
fn the_copy_dies_before_any_request() {
    dies(Side::Copy, FaultPlan::crash_at);
}

#[test]
fn the_copy_dies_after_any_request() {
    dies(Side::Copy, FaultPlan::crash_after);
}

#[test]
fn the_repository_dies_at_any_request() {
    dies(Side::Repository, FaultPlan::crash_at);
}

#[test]
fn no_policy_enters_before_the_logs_that_it_pins() {
    let (bench, first) = (bench(), Store::memory());
    let made = nights(&bench, 1);
    sync(&bench.repository, &first);
    let snapshot = *made.keys().next().unwrap();
    bench.repository.hold(snapshot, "a dispute").unwrap();
    bench.repository.release(snapshot).unwrap();
    let rotated = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!(rotated.state, RotationState::Closed);
    let pinned = bench.repository.view().unwrap().policy.heads;
    assert!(pinned.iter().any(|head| head.seq > 1), "the policy speaks of entries that the copy lacks: {pinned:?}");
    for plan in [FaultPlan::crash_at, FaultPlan::crash_after] {
        let ended = (1..REQUESTS_MAX).find(|nth| {
            let copy = twin(&first);
            let died = try_sync(&bench.reopen(), &copy.with_faults(plan(*nth)));
            let number = assert_logs_reach_the_policy(&bench, &copy, &format!("{nth}"));
            let is_done = died.is_ok_and(|report| report.status.state == CopyState::Current);
            assert!(!is_done || number == 1, "{nth}: policy {number}");
            is_done
        });
        assert!(ended.is_some_and(|nth| nth > 5), "{ended:?}");
    }
}
