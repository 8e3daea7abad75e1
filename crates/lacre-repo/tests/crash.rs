//! A backup that dies at any request: whatever was committed before stays whole, and the next run succeeds.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

use lacre_format::root::Shape;
use lacre_repo::{
    Severity,
    op::{backup::BackupOptions, snapshots::SnapshotState},
    store::fault::FaultPlan,
};
use support::{Bench, backup, read, rows};

/// Requests of one run over a base; more than a run makes, so that the loop ends by success.
const REQUESTS_MAX: u64 = 200;

fn dies_at_every_request(plan: fn(u64) -> FaultPlan) {
    let old = rows(4_000, 21);
    let new = rows(4_200, 21);
    let mut ended = false;
    for nth in 1..REQUESTS_MAX {
        let bench = Bench::in_memory();
        let first = bench.backup("app", &[("t", Shape::Rows, &old)]);
        let faulty = bench.store.with_faults(plan(nth));
        let died = lacre_repo::home::Home::open(&bench.directory.path().join("home"))
            .and_then(|home| lacre_repo::Repository::open(faulty, &home, bench.clock.clone()))
            .and_then(|repository| backup(&repository, "app", &[("t", Shape::Rows, &new)], BackupOptions::default()));
        let repository = bench.reopen();
        let live = |repository: &lacre_repo::Repository| {
            let rows = repository.snapshots().unwrap().rows;
            rows.into_iter().filter(|row| row.state == SnapshotState::Live).collect::<Vec<_>>()
        };
        let after = live(&repository);
        match &died {
            Ok(report) => {
                assert!(after.iter().any(|row| row.snapshot == report.snapshot), "{nth}: acknowledged and gone");
            }
            Err(_) => assert!((1..=2).contains(&after.len()), "{nth}: {} snapshots", after.len()),
        }
        assert_eq!(read(&repository, first.snapshot, &bench.keys(), "t").unwrap(), old, "{nth}: the snapshot before");
        for row in after.iter().filter(|row| row.snapshot != first.snapshot) {
            // It is there, so it is whole: the commit point comes after everything it needs.
            assert_eq!(
                read(&repository, row.snapshot, &bench.keys(), "t").unwrap(),
                new,
                "{nth}: the snapshot of the run that died"
            );
        }
        let again = backup(&repository, "app", &[("t", Shape::Rows, &new)], BackupOptions::default()).unwrap();
        assert_eq!(read(&repository, again.snapshot, &bench.keys(), "t").unwrap(), new, "{nth}: the run after");
        let findings = bench.check_all().findings;
        assert!(findings.iter().all(|finding| finding.severity != Severity::Damage), "{nth}: {findings:?}");
        if died.is_ok() {
            ended = true;
            break;
        }
    }
    assert!(ended, "a run makes more than {REQUESTS_MAX} requests");
}

#[test]
fn a_run_that_dies_before_any_request_loses_nothing() {
    dies_at_every_request(FaultPlan::crash_at);
}

#[test]
fn a_run_that_dies_after_any_request_loses_nothing() {
    dies_at_every_request(FaultPlan::crash_after);
}
