//! Machines that join, leave or lose a reader, and die in the middle of it: run again, it ends, and nothing says more than is so.

use lacre_format::{ids::SnapshotId, policy::Role, root::Shape};
use lacre_repo::{
    Error, Repository, Severity,
    home::Home,
    op::{
        backup::BackupOptions,
        erase::ErasureState,
        init::{CreateOptions, KitChoice},
        join,
        rotate::{RotateOptions, RotationState},
    },
    store::{Store, fault::FaultPlan},
};

use crate::{
    common::{enrol, host, id_of, view},
    readers::person,
    support::{Bench, backup, read, rows},
};

const REQUESTS_MAX: u64 = 1_000;

fn alone() -> Bench {
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    Bench::with_options(tempfile::tempdir().unwrap(), Store::memory(), options)
}

/// The admin's machine over a store that dies.
fn admin_over(bench: &Bench, store: Store) -> Result<Repository, Error> {
    let home = Home::open(&bench.directory.path().join("home"))?;
    Repository::open(store, &home, bench.clock.clone())
}

fn night(repository: &Repository, number: u64) -> SnapshotId {
    let table = rows(60, number);
    backup(repository, "app", &[("t", Shape::Rows, &table)], BackupOptions::default()).unwrap().snapshot
}

/// Nobody's claim is open, and no record is missing.
fn assert_settled(bench: &Bench, context: &str) {
    let view = view(&bench.reopen());
    assert_eq!(view.ledger.open_claims().count(), 0, "{context}");
    let grave: Vec<_> = view.findings.iter().filter(|finding| finding.severity == Severity::Damage).collect();
    assert!(grave.is_empty(), "{context}: {grave:?}");
}

/// What makes a store die at the request that is tried.
type Faulty<'f> = dyn Fn(&Store) -> Store + 'f;

/// Runs an operation over a store that dies at each request in turn, until it does not die any more.
fn at_every_request(plan: fn(u64) -> FaultPlan, once: &dyn Fn(u64, &Faulty<'_>) -> bool) {
    let survived = (1..REQUESTS_MAX).find(|nth| once(*nth, &|store: &Store| store.with_faults(plan(*nth))));
    let deaths = survived.map(|nth| nth - 1);
    assert!(deaths.is_some_and(|deaths| deaths > 10), "it died {deaths:?} times, of at most {REQUESTS_MAX}");
}

/// What is removed by an identity that opens one of two snapshots, wherever it dies, is never said to be complete before the other is
/// wrapped again.
fn a_removal(plan: fn(u64) -> FaultPlan) {
    at_every_request(plan, &|nth, faulty| {
        let bench = alone();
        let only_mine = night(&bench.repository, 1);
        let (new, leaver) = person();
        bench.repository.add_recipient(&new).unwrap();
        let both = night(&bench.repository, 2);
        let which = new.recipient.to_text();
        let options = RotateOptions::default();
        let died = admin_over(&bench, faulty(&bench.store))
            .and_then(|repository| repository.remove_recipient(&which, &leaver(), &options));
        let is_named = view(&bench.reopen()).policy.recipients.len() == 2;
        let is_recorded = !bench.reopen().removals().unwrap().is_empty();
        assert!(!(is_named && is_recorded), "{nth}: on record, and not done");
        if died.is_err() {
            // The same command again, or, once it is on record, whatever changes the seal.
            if is_recorded {
                assert_eq!(bench.reopen().rotate(&options, &leaver()).unwrap().state, RotationState::Closed, "{nth}");
            } else {
                bench.reopen().remove_recipient(&which, &leaver(), &options).unwrap();
            }
        }
        let removals = bench.reopen().removals().unwrap();
        assert_eq!(removals.len(), 1, "{nth}");
        let items: Vec<_> = removals[0].pending.iter().map(|item| item.item.as_str()).collect();
        assert_eq!((removals[0].state, items), (ErasureState::Interim, vec!["rewrap"]), "{nth}");
        let receipt = bench.reopen().sign_removal_receipt(removals[0].id).unwrap().receipt;
        assert!(!receipt.complete, "{nth}: an entry is still wrapped to who was removed");
        assert!(read(&bench.reopen(), both, &leaver(), "t").is_err(), "{nth}");
        assert_eq!(bench.reopen().rotate(&options, &bench.keys()).unwrap().state, RotationState::Closed, "{nth}");
        assert_eq!(bench.reopen().removals().unwrap()[0].state, ErasureState::Complete, "{nth}");
        for (snapshot, number) in [(only_mine, 1), (both, 2)] {
            assert_eq!(read(&bench.reopen(), snapshot, &bench.keys(), "t").unwrap(), rows(60, number), "{nth}");
        }
        assert_settled(&bench, &format!("{nth}"));
        died.is_ok()
    });
}

#[test]
fn a_removal_that_dies_before_any_request_is_never_said_to_be_complete() {
    a_removal(FaultPlan::crash_at);
}

#[test]
fn a_removal_that_dies_after_any_request_is_never_said_to_be_complete() {
    a_removal(FaultPlan::crash_after);
}

fn a_revocation(plan: fn(u64) -> FaultPlan) {
    at_every_request(plan, &|nth, faulty| {
        let bench = alone();
        let second = enrol(&bench, "db2", Role::Writer);
        let made = [night(&second, 1), night(&second, 2)];
        let home = id_of(&second);
        let died = admin_over(&bench, faulty(&bench.store)).and_then(|repository| repository.revoke(home));
        // What it acknowledged before counts, whatever became of the revocation.
        assert!(made.iter().all(|snapshot| view(&bench.reopen()).is_live(*snapshot)), "{nth}");
        let revoked = bench.reopen().revoke(home).unwrap();
        assert_eq!(revoked.snapshots, 2, "{nth}");
        assert!(view(&bench.reopen()).home(home).unwrap().is_revoked(), "{nth}");
        let refused = backup(&second, "app", &[("t", Shape::Rows, b"x\n")], BackupOptions::default());
        assert!(refused.is_err(), "{nth}");
        for (snapshot, number) in made.into_iter().zip(1..) {
            assert_eq!(read(&bench.reopen(), snapshot, &bench.keys(), "t").unwrap(), rows(60, number), "{nth}");
        }
        assert_settled(&bench, &format!("{nth}"));
        died.is_ok()
    });
}

#[test]
fn a_revocation_that_dies_before_any_request_ends_when_it_is_run_again() {
    a_revocation(FaultPlan::crash_at);
}

#[test]
fn a_revocation_that_dies_after_any_request_ends_when_it_is_run_again() {
    a_revocation(FaultPlan::crash_after);
}

fn a_joining(plan: fn(u64) -> FaultPlan) {
    at_every_request(plan, &|nth, faulty| {
        let bench = alone();
        let home = host(&bench, "db2");
        let asked = join::ask(&home, "db2").unwrap();
        let died = admin_over(&bench, faulty(&bench.store))
            .and_then(|repository| repository.enrol(&asked.text, Role::Writer, None, "/anywhere"));
        let enrolled = bench.reopen().enrol(&asked.text, Role::Writer, None, "/anywhere").unwrap();
        assert_settled(&bench, &format!("{nth}"));
        assert_eq!(view(&bench.reopen()).policy.homes.len(), 3, "{nth}: it is enrolled once");
        let token = join::read_token(&enrolled.token).unwrap();
        let joined = join::join(faulty(&bench.store), &home, &token, bench.clock.clone());
        if joined.is_err() {
            join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
        }
        let second = Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
        let made = night(&second, 1);
        assert_eq!(read(&bench.reopen(), made, &bench.keys(), "t").unwrap(), rows(60, 1), "{nth}");
        died.is_ok() && joined.is_ok()
    });
}

#[test]
fn a_machine_that_dies_while_it_joins_joins_when_it_tries_again() {
    a_joining(FaultPlan::crash_at);
    a_joining(FaultPlan::crash_after);
}
