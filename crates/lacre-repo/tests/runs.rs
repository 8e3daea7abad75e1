//! Records of runs, and what a look at the status asks of the store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/mod.rs"]
mod support;

use lacre_format::{
    ids::{JobName, Millis, Token},
    root::Shape,
    run::{RUN_JOBS_MAX, RunDetails, RunJob},
};
use lacre_repo::{Error, Repository, home::Home, op::run::RunFrame};
use support::Bench;

fn job(name: &str) -> RunJob {
    RunJob {
        job: JobName::parse(name).unwrap(),
        snapshot: None,
        exit: 14,
        started: Millis(1),
        ended: Millis(2),
        stored: 3,
        findings: 4,
        held_back: true,
    }
}

const FRAME: RunFrame = RunFrame { id: Token::new([7; 16]), started: Millis(1), ended: Millis(9), exit: 14 };

#[test]
fn a_run_is_read_back_by_who_holds_the_structure_key_and_seen_by_everybody() {
    let bench = Bench::new();
    let details = RunDetails { jobs: vec![job("astronomy")], forgotten: 5, ..RunDetails::default() };
    bench.repository.record_run(FRAME, &details).unwrap();
    let runs = bench.repository.runs(&bench.repository.view().unwrap());
    assert_eq!((runs.len(), runs[0].frame, runs[0].details.as_ref()), (1, FRAME, Some(&details)));
    // A host without keys sees that there was a run and how it ended, and no name.
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(elsewhere.path()).unwrap();
    let stranger = Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    let runs = stranger.runs(&stranger.view().unwrap());
    assert_eq!((runs[0].frame, runs[0].details.as_ref()), (FRAME, None));
    assert!(matches!(stranger.record_run(FRAME, &details), Err(Error::KeyMissing { .. })));
    for object in bench.store.list("log").unwrap().objects {
        let name = lacre_format::name::ObjectName::parse(&object.name).unwrap().0;
        let bytes = bench.store.get(&name, 1 << 20).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"astronomy"), "{}", object.name);
    }
}

#[test]
fn a_drill_on_record_says_no_exact_size() {
    let bench = Bench::new();
    let data = support::rows(900, 5);
    let snapshot = bench.backup("astronomy", &[("t", Shape::Rows, &data)]).snapshot;
    let bytes = data.len() as u64;
    assert_ne!(bytes, lacre_format::frame::padme(bytes), "this size tells something");
    let record = lacre_format::log::DrillRecord {
        snapshot,
        passed: true,
        rto_ms: 1,
        duration_ms: 2,
        tables: 1,
        bytes,
        checks: 1,
        failed: 0,
        place: 0,
    };
    assert!(bench.repository.record_drill(record).unwrap());
    let past = bench.repository.drills().unwrap();
    assert_eq!(past[0].record.bytes, lacre_format::frame::padme(bytes));
    assert_eq!(past[0].job.as_ref().map(JobName::as_str), Some("astronomy"));
}

#[test]
fn a_record_has_a_bound() {
    let bench = Bench::new();
    let many = |count: usize| RunDetails { jobs: vec![job("astro"); count], ..RunDetails::default() };
    bench.repository.record_run(FRAME, &many(RUN_JOBS_MAX)).unwrap();
    assert!(matches!(bench.repository.record_run(FRAME, &many(RUN_JOBS_MAX + 1)), Err(Error::Usage { .. })));
}

#[test]
fn a_look_reads_nothing_that_was_read_before() {
    let bench = Bench::new();
    for night in 0..3 {
        let data = format!("{night}\n").repeat(1000);
        bench.backup("astro", &[("data", Shape::Rows, data.as_bytes())]);
    }
    bench.repository.status().unwrap();
    let before = bench.store.counts();
    let status = bench.repository.status().unwrap();
    let after = bench.store.counts();
    assert_eq!((after.get, after.get_range, after.put_new), (before.get, before.get_range, before.put_new));
    assert_eq!((status.rows.len(), status.findings.len()), (3, 0));
}
