//! The exercise: the primary is destroyed at every request of a rotation, a sync and a prune. What the copy holds becomes the repository,
//! nothing live is hurt, nothing erased comes back, and the work that was under way is brought to its end.

use lacre_repo::{
    Error, Repository, Silent,
    home::Home,
    op::{
        copy::CopyPlace,
        keys::ReadKeys,
        prune::PruneState,
        rotate::{RotateOptions, RotationState},
    },
    store::{Store, fault::FaultPlan},
};

use crate::{
    adopt::adopt,
    common::{assert_whole, bench, eager, names, nights, place, sync, try_sync},
    seal::intend,
    support::{Bench, read},
};

/// Requests of one rotation, sync or prune; more than any makes, so that the loops end by success.
const REQUESTS_MAX: u64 = 400;

fn faulty(bench: &Bench, plan: FaultPlan) -> Result<Repository, Error> {
    let home = Home::open(&bench.directory.path().join("home"))?;
    Repository::open(bench.store.with_faults(plan), &home, bench.clock.clone())
}

/// Runs `round` with 1, 2, 3 ... until the work it interrupts comes through.
fn at_every_request(round: impl Fn(u64) -> bool) {
    let ended = (1..REQUESTS_MAX).any(round);
    assert!(ended, "more than {REQUESTS_MAX} requests");
}

fn rotation(copies: fn(&Store) -> Vec<CopyPlace>, plan: fn(u64) -> FaultPlan) {
    at_every_request(|nth| {
        let (bench, copy) = (bench(), Store::memory());
        let made = nights(&bench, 2);
        sync(&bench.repository, &copy);
        let dead = *made.keys().next().unwrap();
        intend(&bench, dead);
        let options = RotateOptions { copies: copies(&copy), ..RotateOptions::default() };
        let died = faulty(&bench, plan(nth)).and_then(|repository| repository.rotate(&options, &ReadKeys::default()));
        // The primary is gone for ever.
        let repository = adopt(&bench, &copy);
        assert!(repository.view().unwrap().erased.contains(&dead), "{nth}: an erasure is not forgotten");
        let report = repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
        assert_eq!(report.state, RotationState::Closed, "{nth}");
        assert!(matches!(read(&repository, dead, &bench.keys(), "t"), Err(Error::Erased { .. })), "{nth}");
        assert_eq!(assert_whole(&bench, &repository, &made, &format!("{nth}")), 1);
        let held = bench.cell().generations(repository.id()).unwrap();
        assert_eq!(held.len(), 1, "{nth}: one generation is left");
        assert_eq!(held[0].generation, repository.view().unwrap().policy.generation, "{nth}");
        died.is_ok()
    });
}

#[test]
fn at_every_request_of_a_rotation_that_reaches_the_copy() {
    rotation(|copy| vec![place(copy)], FaultPlan::crash_at);
}

#[test]
fn after_every_request_of_a_rotation_that_reaches_the_copy() {
    rotation(|copy| vec![place(copy)], FaultPlan::crash_after);
}

#[test]
fn at_every_request_of_a_rotation_the_copy_never_hears_of() {
    rotation(|_| Vec::new(), FaultPlan::crash_at);
}

#[test]
fn at_every_request_of_a_sync() {
    at_every_request(|nth| {
        let (bench, copy) = (bench(), Store::memory());
        let made = nights(&bench, 2);
        let died = faulty(&bench, FaultPlan::crash_at(nth)).and_then(|repository| try_sync(&repository, &copy));
        if names(&copy, "").iter().any(|name| name == "lacre.json") {
            let repository = adopt(&bench, &copy);
            let whole = assert_whole(&bench, &repository, &made, &format!("{nth}"));
            assert_eq!(whole, names(&copy, "snap").len(), "{nth}");
        }
        died.is_ok()
    });
}

#[test]
fn at_every_request_of_a_prune_and_the_copy_follows_what_was_done() {
    at_every_request(|nth| {
        let (bench, copy) = (bench(), Store::memory());
        let made = nights(&bench, 3);
        sync(&bench.repository, &copy);
        let rows = bench.repository.snapshots().unwrap().rows;
        for row in &rows[..2] {
            bench.repository.forget_one(row.snapshot).unwrap();
        }
        let newest = rows[2].snapshot;
        let died = faulty(&bench, FaultPlan::crash_at(nth)).and_then(|repository| repository.prune(&eager(), &Silent));
        // What was done until then reached the copy; then the primary is gone.
        if nth % 2 == 0 {
            sync(&bench.reopen(), &copy);
        }
        let repository = adopt(&bench, &copy);
        assert_eq!(read(&repository, newest, &bench.keys(), "t").unwrap(), made[&newest], "{nth}");
        let report = repository.prune(&eager(), &Silent).unwrap();
        assert_ne!(report.state, PruneState::Pending, "{nth}: {report:?}");
        assert_eq!(assert_whole(&bench, &repository, &made, &format!("{nth}")), 1);
        assert_eq!(names(&copy, "snap").len(), 1, "{nth}");
        died.is_ok()
    });
}
