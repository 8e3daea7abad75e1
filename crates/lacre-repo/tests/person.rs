//! Erasing a person from snapshots, as the vault sees it: runs of rows that somebody decides about, successors, and every crash in between.
//!
//! The person of these tests is whoever has 7 in the second field; what a row is, is decided here and not in the vault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "person/beside.rs"]
mod beside;
#[path = "person/lost.rs"]
mod lost;
mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lacre_format::{ids::SnapshotId, root::Shape};
use lacre_repo::{
    Error, Repository, Severity, Silent,
    home::Home,
    op::{
        backup::BackupOptions,
        erase::ErasureState,
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::{Economy, PruneOptions},
        rotate::{RotateOptions, RotationState},
        snapshots::SnapshotState,
    },
    store::{
        Store,
        fault::FaultPlan,
        schedule::{Schedule, Stand},
    },
};
use support::{
    Bench, backup,
    person::{Done, Person},
    read,
};

fn alone() -> Bench {
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    Bench::with_options(tempfile::tempdir().unwrap(), Store::memory(), options)
}

/// A table of one night: rows of thirteen users, a little more every night, and one row that is longer than any chunk.
fn table(night: u32) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..6_000 + night * 20 {
        // Every night changes the rows of a stretch of its own.
        let changed = if number / 40 == night { night } else { 0 };
        let mixed = number.wrapping_mul(2_654_435_761) ^ changed;
        let user = if number % 400 == 7 { 7 } else { 10 + number % 13 };
        text.push_str(&format!("{number}\t{user}\tsome words {mixed:x} of row {number}\n"));
        if number == 700 {
            text.push_str(&format!("700a\t7\t{}\n", "long ".repeat(20_000)));
        }
    }
    text.push_str("\\.\n\n\n");
    text.into_bytes()
}

fn is_theirs(row: &[u8]) -> bool {
    row.split(|byte| *byte == b'\t').nth(1) == Some(b"7")
}

fn without(rows: &[u8]) -> Vec<u8> {
    PERSON.without(rows)
}

fn nights(bench: &Bench, numbers: std::ops::Range<u32>) -> Vec<(SnapshotId, Vec<u8>)> {
    let night = |number| {
        bench.clock.advance_hours(24);
        let data = table(number);
        let other = support::rows(300, 3);
        (bench.backup("app", &[("t", Shape::Rows, &data), ("other", Shape::Rows, &other)]).snapshot, data)
    };
    numbers.map(night).collect()
}

/// The person of these tests.
const PERSON: Person = Person { is_theirs, key: b"7", jobs: &[] };

/// Erases the person up to the record; the seal is not changed yet.
fn rewrite(repository: &Repository, keys: &ReadKeys) -> Result<Done, Error> {
    support::person::rewrite(repository, keys, &PERSON)
}

fn rotate(repository: &Repository) -> RotationState {
    repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap().state
}

fn in_state(repository: &Repository, state: SnapshotState) -> Vec<SnapshotId> {
    let rows = repository.snapshots().unwrap().rows;
    rows.iter().filter(|row| row.state == state).map(|row| row.snapshot).collect()
}

fn assert_sound(bench: &Bench) {
    let findings = bench.check_all().findings;
    assert!(findings.iter().all(|finding| finding.severity != Severity::Damage), "{findings:?}");
}

/// Every live snapshot, in order, is one of these nights without the person.
fn assert_without(bench: &Bench, made: &[(SnapshotId, Vec<u8>)]) {
    let repository = bench.reopen();
    let live = in_state(&repository, SnapshotState::Live);
    assert_eq!(live.len(), made.len());
    for (snapshot, (old, data)) in live.iter().zip(made) {
        assert!(read(&repository, *snapshot, &bench.keys(), "t").unwrap() == without(data), "{snapshot} for {old}");
        let other = read(&repository, *snapshot, &bench.keys(), "other").unwrap();
        assert!(other == support::rows(300, 3), "a stream that nobody decided about stays as it is");
    }
}

#[test]
fn every_night_is_left_without_the_person_and_each_run_is_looked_at_once() {
    let bench = alone();
    let made = nights(&bench, 0..5);
    let done = rewrite(&bench.repository, &bench.keys()).unwrap();
    let single = {
        let first = alone();
        nights(&first, 0..1);
        rewrite(&first.repository, &first.keys()).unwrap()
    };
    assert_eq!(done.looked.iter().collect::<BTreeSet<_>>().len(), done.looked.len(), "a run was looked at twice");
    let (five, one) = (done.looked.len(), single.looked.len());
    assert!(five < one * 2, "{five} runs for five nights, {one} for one");
    assert!(done.rewritten < single.rewritten * 4, "a run that changes alike is written once");
    assert!(done.bytes_written > 0);
    assert_without(&bench, &made);
    assert_eq!(
        in_state(&bench.repository, SnapshotState::Pending),
        made.iter().map(|night| night.0).collect::<Vec<_>>()
    );
    assert_eq!(rotate(&bench.repository), RotationState::Closed);
    assert_without(&bench, &made);
    assert_sound(&bench);
    for (old, _) in &made {
        assert!(matches!(read(&bench.reopen(), *old, &bench.keys(), "t"), Err(Error::Erased { .. })));
    }
    let rows = bench.repository.snapshots().unwrap().rows;
    for row in rows.iter().filter(|row| row.state == SnapshotState::Live) {
        let old = row.known.header.derived_from.unwrap();
        let before = rows.iter().find(|row| row.snapshot == old).unwrap();
        assert_eq!((row.taken, &row.label.as_ref().unwrap().job), (before.taken, &before.label.as_ref().unwrap().job));
        assert_eq!(row.known.header.erasure, Some(done.erasure));
    }
    // The next night builds upon the successor of the snapshot whose index this host has.
    let last = without(&table(4));
    let next = bench.backup("app", &[("t", Shape::Rows, &last), ("other", Shape::Rows, &support::rows(300, 3))]);
    // What was rewritten is not in the index of any run, and is stored once more.
    assert!(next.chunks_new * 2 < next.chunks, "{} of {} chunks are new", next.chunks_new, next.chunks);
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!((status.erasure, status.state), (done.erasure, ErasureState::Complete), "{:?}", status.pending);
    assert_eq!(bench.repository.drop_suppressions().unwrap(), 5);
    assert!(bench.store.list("suppress").unwrap().objects.is_empty());
}

#[test]
fn what_was_erased_is_collected_and_what_replaces_it_stays() {
    let bench = alone();
    let made = nights(&bench, 0..3);
    rewrite(&bench.repository, &bench.keys()).unwrap();
    // Before the seal is changed, both the covered and their successors stay.
    let options = PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: Duration::MAX,
        ..PruneOptions::default()
    };
    bench.clock.advance_hours(100);
    bench.repository.prune(&options, &Silent).unwrap();
    assert_without(&bench, &made);
    for (old, data) in &made {
        assert!(read(&bench.reopen(), *old, &bench.keys(), "t").unwrap() == *data);
    }
    rotate(&bench.repository);
    nights(&bench, 3..4);
    bench.clock.advance_hours(100);
    bench.repository.prune(&options, &Silent).unwrap();
    let live = in_state(&bench.repository, SnapshotState::Live);
    for (snapshot, (_, data)) in live.iter().zip(&made) {
        assert!(read(&bench.reopen(), *snapshot, &bench.keys(), "t").unwrap() == without(data));
    }
    assert_sound(&bench);
}

#[test]
fn a_run_that_began_before_the_intent_is_void() {
    let bench = alone();
    nights(&bench, 0..2);
    let late = table(2);
    let job = lacre_format::ids::JobName::parse("app").unwrap();
    let other = bench.reopen();
    let mut open = other.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let spec = lacre_repo::op::backup::StreamSpec {
        name: "t".to_owned(),
        kind: lacre_format::root::StreamKind::Table,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = open.stream(spec).unwrap();
    stream.push(&late).unwrap();
    stream.finish(lacre_repo::op::backup::Rows::default()).unwrap();
    rewrite(&bench.repository, &bench.keys()).unwrap();
    let session = open.snapshot();
    let facts = lacre_repo::op::backup::SourceFacts { kind: "postgres".to_owned(), ..Default::default() };
    let refused = open.commit(facts).unwrap_err();
    assert!(matches!(refused, Error::Overtaken { .. }), "{refused}");
    assert!(in_state(&bench.repository, SnapshotState::Void).contains(&session));
    assert_eq!(rotate(&bench.repository), RotationState::Closed);
    assert!(read(&bench.reopen(), session, &bench.keys(), "t").is_err());
    assert_eq!(in_state(&bench.repository, SnapshotState::Live).len(), 2);
    // The run is made again, and counts.
    bench.clock.advance_hours(24);
    let again = without(&late);
    let made = backup(&bench.repository, "app", &[("t", Shape::Rows, &again)], BackupOptions::default()).unwrap();
    assert!(bench.read(made.snapshot, "t") == again);
}

#[test]
fn an_erasure_that_is_given_up_leaves_everything_as_it_was() {
    let bench = alone();
    let made = nights(&bench, 0..3);
    let done = rewrite(&bench.repository, &bench.keys()).unwrap();
    bench.repository.cancel_erase(done.erasure).unwrap();
    let live = in_state(&bench.repository, SnapshotState::Live);
    assert_eq!(live, made.iter().map(|night| night.0).collect::<Vec<_>>());
    for (old, data) in &made {
        assert!(bench.read(*old, "t") == *data);
    }
    assert_eq!(in_state(&bench.repository, SnapshotState::Void).len(), 3, "the successors count no more");
    assert_eq!(bench.repository.drop_suppressions().unwrap(), 3);
    rotate(&bench.repository);
    for (old, data) in &made {
        assert!(bench.read(*old, "t") == *data);
    }
    // The same person again, from the beginning.
    rewrite(&bench.repository, &bench.keys()).unwrap();
    rotate(&bench.repository);
    assert_without(&bench, &made);
}

#[test]
fn a_held_snapshot_keeps_the_person_until_it_is_released() {
    let bench = alone();
    let made = nights(&bench, 0..3);
    bench.repository.hold(made[1].0, "court").unwrap();
    let done = rewrite(&bench.repository, &bench.keys()).unwrap();
    rotate(&bench.repository);
    nights(&bench, 3..4);
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().any(|item| item.item == format!("hold:{}", made[1].0)), "{:?}", status.pending);
    // It can be read, by whoever is told without whom; the list lies beside it and beside nothing else.
    assert!(bench.read(made[1].0, "t") == made[1].1);
    assert_eq!(bench.repository.drop_suppressions().unwrap(), 2);
    let lists = bench.repository.suppressions(made[1].0, &bench.keys()).unwrap();
    assert_eq!((lists.len(), lists[0].erasure, lists[0].list.keys.len()), (1, done.erasure, 1));
    bench.repository.release(made[1].0).unwrap();
    let again = rewrite(&bench.repository, &bench.keys()).unwrap();
    assert_eq!(again.erasure, done.erasure, "the same erasure goes on");
    rotate(&bench.repository);
    assert!(matches!(read(&bench.reopen(), made[1].0, &bench.keys(), "t"), Err(Error::Erased { .. })));
    nights(&bench, 4..5);
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status.state, ErasureState::Complete, "{:?}", status.pending);
    let live = in_state(&bench.repository, SnapshotState::Live);
    assert!(bench.read(live[1], "t") == without(&made[1].1));
}

/// How far an erasure had come when it died.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// Nothing of it was signed.
    Nothing,
    /// The intent stands, and no snapshot is replaced.
    Intended,
    /// Successors count; what they replace can still be had back.
    Recorded,
    /// What was covered is left behind, and the old seal may still live.
    Published,
    /// The old seal is destroyed.
    Destroyed,
}

fn stage(repository: &Repository) -> Stage {
    let Some(status) = repository.erasures().unwrap().pop() else { return Stage::Nothing };
    let seal_lives = status.pending.iter().any(|item| item.item == "rotation" || item.item.starts_with("stray:"));
    match status.state {
        ErasureState::Pending if status.snapshots.is_empty() => Stage::Intended,
        ErasureState::Pending => Stage::Recorded,
        _ if seal_lives => Stage::Published,
        _ => Stage::Destroyed,
    }
}

/// What must hold wherever an erasure died, and after it was run again.
fn dies_at_every_request(plan: fn(u64) -> FaultPlan) {
    let (mut ended, mut deaths) = (false, BTreeSet::new());
    for nth in 1..2_000 {
        let bench = alone();
        let made = nights(&bench, 0..2);
        let faulty = bench.store.with_faults(plan(nth));
        let died = Home::open(&bench.directory.path().join("home"))
            .and_then(|home| Repository::open(faulty, &home, bench.clock.clone()))
            .and_then(|repository| {
                rewrite(&repository, &bench.keys())?;
                repository.rotate(&RotateOptions::default(), &ReadKeys::default())
            });
        let stage = stage(&bench.reopen());
        if died.is_err() {
            deaths.insert(stage);
        }
        if stage <= Stage::Intended {
            // Plainly not erased: every night is there as it was.
            for (old, data) in &made {
                assert!(read(&bench.reopen(), *old, &bench.keys(), "t").unwrap() == *data, "{nth}");
            }
            assert_eq!(in_state(&bench.reopen(), SnapshotState::Live).len(), 2, "{nth}");
            // A change of the seal for another reason keeps them, too.
            rotate(&bench.reopen());
            assert_eq!(in_state(&bench.reopen(), SnapshotState::Live).len(), 2, "{nth}");
            rewrite(&bench.reopen(), &bench.keys()).unwrap();
        }
        assert_without(&bench, &made);
        if stage < Stage::Destroyed {
            assert_eq!(rotate(&bench.reopen()), RotationState::Closed, "{nth}");
        }
        assert_eq!(self::stage(&bench.reopen()), Stage::Destroyed, "{nth}: {stage:?}");
        for (old, _) in &made {
            assert!(matches!(read(&bench.reopen(), *old, &bench.keys(), "t"), Err(Error::Erased { .. })), "{nth}");
        }
        assert_without(&bench, &made);
        assert_sound(&bench);
        if died.is_ok() {
            ended = true;
            break;
        }
    }
    let all = BTreeSet::from([Stage::Nothing, Stage::Intended, Stage::Recorded, Stage::Published]);
    assert!(ended && deaths.is_superset(&all), "every request of an erasure was a place to die: {deaths:?}");
}

#[test]
fn an_erasure_that_dies_before_any_request_goes_on_or_is_plainly_not_done() {
    dies_at_every_request(FaultPlan::crash_at);
}

#[test]
fn an_erasure_that_dies_after_any_request_goes_on_or_is_plainly_not_done() {
    dies_at_every_request(FaultPlan::crash_after);
}
