//! Prunes beside sessions that are open, asleep, dead or forged.

use std::{collections::BTreeMap, time::Duration};

use lacre_format::root::Shape;
use lacre_repo::{
    Error, Kind, Silent,
    op::{
        backup::BackupOptions,
        prune::{Adopt, Losses, PruneOptions, PruneState},
    },
    store::Verb,
    store::fault::{Effect, Fault, FaultPlan, Recurrence},
};

use crate::{
    common::{commit, eager, feed, job, names, night, open, prune, whole},
    support::{Bench, backup},
};

const ROWS: u64 = 3_000;

/// A bench whose clock is so far ahead that any session is old enough.
fn impatient() -> PruneOptions {
    PruneOptions { void_after: Duration::ZERO, ..eager() }
}

#[test]
fn a_base_that_was_forgotten_lives_until_the_session_that_builds_on_it_has_ended() {
    let bench = Bench::new();
    let first = bench.backup("app", &[("t", Shape::Rows, &night(0, ROWS))]);
    let writer = bench.reopen();
    let session = open(&writer, &night(1, ROWS));
    bench.repository.forget_one(first.snapshot).unwrap();
    let before = names(&bench, "packs");
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Nothing, "the base is needed, the new packs are young: {report:?}");
    assert_eq!(names(&bench, "packs"), before);
    let second = commit(session).unwrap();
    let report = prune(&bench.repository);
    assert_eq!((report.state, report.snapshots), (PruneState::Done, 1), "{report:?}");
    whole(&bench, &[(second, night(1, ROWS))].into(), "after the session");
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn a_plan_waits_for_the_sessions_that_were_open_and_goes_on_when_they_have_ended() {
    let bench = Bench::new();
    let gone = bench.backup("old", &[("t", Shape::Rows, &night(5, ROWS))]);
    let base = bench.backup("app", &[("t", Shape::Rows, &night(0, ROWS))]);
    bench.repository.forget_one(gone.snapshot).unwrap();
    let writer = bench.reopen();
    let session = open(&writer, &night(1, ROWS));
    let before = names(&bench, "packs");
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Pending, "{report:?}");
    assert_eq!(report.waiting.len(), 1);
    assert_eq!(report.waiting[0].session, session.snapshot());
    assert!(before.iter().all(|name| names(&bench, "packs").contains(name)), "nothing was deleted");
    // Whoever asks for the snapshot back now cannot be told that it stays.
    let undo = bench.repository.unforget(gone.snapshot);
    assert!(matches!(&undo, Err(error) if error.kind() == Kind::Conflict), "{undo:?}");
    let again = prune(&bench.repository);
    assert_eq!(again.state, PruneState::Pending, "{again:?}");
    let second = commit(session).unwrap();
    let report = prune(&bench.repository);
    // The undo was read after all: the decision was made after it.
    assert_eq!((report.state, report.snapshots), (PruneState::Done, 0), "{report:?}");
    let live: BTreeMap<_, _> =
        [(gone.snapshot, night(5, ROWS)), (base.snapshot, night(0, ROWS)), (second, night(1, ROWS))].into();
    whole(&bench, &live, "after the session");
}

#[test]
fn a_session_that_opens_after_the_plan_builds_on_nothing_that_is_condemned() {
    let bench = Bench::new();
    let made: Vec<_> = (0..2).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    let other = bench.reopen();
    let waits_for = other.begin_backup(
        &lacre_format::ids::JobName::parse("slow").unwrap(),
        BackupOptions::default(),
        std::sync::Arc::new(Silent),
    );
    let mut waits_for = waits_for.unwrap();
    feed(&mut waits_for, &night(7, 200));
    bench.repository.forget_one(made[0]).unwrap();
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Pending, "{report:?}");
    assert!(report.packs_written > 0, "{report:?}");
    // The plan stands. A new night builds on the last one, whose frames lie in the outputs too.
    let writer = bench.reopen();
    let table = night(2, ROWS);
    let next = backup(&writer, "app", &[("t", Shape::Rows, &table)], BackupOptions::default()).unwrap();
    assert!(next.chunks_new < next.chunks, "{next:?}");
    commit(waits_for).unwrap();
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    whole(&bench, &[(made[1], night(1, ROWS)), (next.snapshot, table)].into(), "after both");
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn a_dead_session_is_voided_and_its_late_snapshot_never_counts() {
    let bench = Bench::new();
    let first = bench.backup("app", &[("t", Shape::Rows, &night(0, ROWS))]);
    let writer = bench.reopen();
    let session = open(&writer, &night(1, ROWS));
    let sid = session.snapshot();
    bench.clock.set_ahead_hours(100);
    bench.repository.forget_one(first.snapshot).unwrap();
    // Only after its time: a day later nobody may be declared dead by default.
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing, "nothing but the session's own is garbage");
    let other = bench.backup("gone", &[("t", Shape::Rows, &night(9, 500))]);
    bench.repository.forget_one(other.snapshot).unwrap();
    let report = bench.repository.prune(&impatient(), &Silent).unwrap();
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    assert_eq!(names(&bench, "void").len(), 2, "an intent and a void");
    let late = commit(session);
    assert!(matches!(&late, Err(error) if error.kind() == Kind::Conflict), "{late:?}");
    let rows = bench.repository.snapshots().unwrap().rows;
    assert!(rows.iter().all(|row| row.snapshot != sid || row.state != lacre_repo::op::snapshots::SnapshotState::Live));
    // The next runs clean up what it left.
    let next = bench.backup("app", &[("t", Shape::Rows, &night(2, ROWS))]);
    prune(&bench.repository);
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing);
    whole(&bench, &[(next.snapshot, night(2, ROWS))].into(), "after the void");
}

#[test]
fn a_session_that_commits_while_it_is_about_to_be_voided_counts() {
    let bench = Bench::in_memory();
    bench.clock.advance_hours(24 * 400);
    let gone = bench.backup("gone", &[("t", Shape::Rows, &night(9, 500))]);
    let writer = bench.reopen();
    let session = open(&writer, &night(1, ROWS));
    let sid = session.snapshot();
    bench.repository.forget_one(gone.snapshot).unwrap();
    // The prune dies right after its intent; the session commits and sees it: undecided. The snapshot is there.
    let fault = Fault {
        verb: Some(Verb::PutNew),
        prefix: "void/".to_owned(),
        nth: 1,
        recurrence: Recurrence::Once,
        effect: Effect::CrashAfter,
    };
    let dying = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
    assert!(dying.prune(&impatient(), &Silent).is_err());
    let undecided = commit(session);
    assert!(matches!(&undecided, Err(Error::Overtaken { .. })), "{undecided:?}");
    let report = bench.repository.prune(&impatient(), &Silent).unwrap();
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    assert_eq!(names(&bench, "void").len(), 1, "the intent was not carried out");
    whole(&bench, &[(sid, night(1, ROWS))].into(), "it counts");
}

#[test]
fn what_a_dead_run_left_is_ended_by_the_next_run_of_its_host() {
    let bench = Bench::in_memory();
    let first = bench.backup("app", &[("t", Shape::Rows, &night(0, ROWS))]);
    // It dies right after its packs.
    let fault = Fault {
        verb: Some(Verb::PutNew),
        prefix: "index/".to_owned(),
        nth: 1,
        recurrence: Recurrence::Once,
        effect: Effect::Crash,
    };
    let dying = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
    let died = backup(&dying, "app", &[("t", Shape::Rows, &night(1, ROWS))], BackupOptions::default());
    assert!(died.is_err());
    assert_eq!(names(&bench, "session").len(), 3, "one is open");
    let open_one = bench.repository.plan_prune(&eager()).unwrap();
    assert_eq!(open_one.waiting.len(), 1, "{open_one:?}");
    let next = bench.backup("app", &[("t", Shape::Rows, &night(2, ROWS))]);
    assert_eq!(names(&bench, "session").len(), 5, "nobody ends it: a clone of this home may still run it");
    assert!(!names(&bench, "void").is_empty(), "but it is given up");
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    assert_eq!(names(&bench, "session").len(), 4, "and removed");
    assert_eq!(bench.repository.stored().unwrap().dead_bytes, Some(0));
    whole(&bench, &[(first.snapshot, night(0, ROWS)), (next.snapshot, night(2, ROWS))].into(), "after");
}

#[test]
fn two_prunes_at_once_hurt_nothing_and_one_of_them_says_so() {
    let bench = Bench::in_memory();
    let made: Vec<_> = (0..4).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    for snapshot in &made[..2] {
        bench.repository.forget_one(*snapshot).unwrap();
    }
    // Two hosts with one key, so that no lock of a host keeps them apart.
    let elsewhere = bench.directory.path().join("elsewhere");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(bench.directory.path().join("home")).arg(&elsewhere).status();
    assert!(copied.unwrap().success());
    let home = lacre_repo::home::Home::open(&elsewhere).unwrap();
    let other = lacre_repo::Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    std::thread::scope(|scope| {
        let runs = [&bench.repository, &other].map(|repository| {
            scope.spawn(|| match repository.prune(&eager(), &Silent) {
                Ok(_) => true,
                Err(error) if error.kind() == Kind::Conflict => false,
                Err(error) => unreachable!("{error}"),
            })
        });
        runs.map(|run| run.join().unwrap())
    });
    let live: BTreeMap<_, _> = (2..4).map(|n| (made[n], night(n as u64, ROWS))).collect();
    whole(&bench, &live, "after both");
    prune(&bench.repository);
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing);
    whole(&bench, &live, "after a third");
}

#[test]
fn a_snapshot_that_was_taken_away_stops_it_until_a_person_gives_it_up() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    bench.repository.forget_one(made[0]).unwrap();
    let name = format!("snap/{}", made[1]);
    std::fs::remove_file(bench.directory.path().join("repository").join(&name)).unwrap();
    bench.repository.rebuild().unwrap();
    let stopped = bench.repository.prune(&eager(), &Silent);
    assert!(
        matches!(&stopped, Err(error) if error.kind() == Kind::Damaged && error.to_string().contains(&made[1].to_string())),
        "{stopped:?}"
    );
    let lost = PruneOptions { losses: Losses::Accept, adopt: Adopt::Any, ..eager() };
    let report = bench.repository.prune(&lost, &Silent).unwrap();
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    let found = bench.reopen().open_snapshot(made[2], &bench.keys()).map(drop);
    assert!(found.is_ok(), "{:?}", found.err());
    assert_eq!(job().as_str(), "app");
}
