//! Without disturbance: what goes, what stays, what is said about it.

use std::collections::BTreeMap;

use lacre_format::root::Shape;
use lacre_repo::{
    Error, Kind, Severity,
    op::{
        backup::BackupOptions,
        prune::{Economy, HeldBack, Keeper, PruneOptions, PruneState},
    },
};

use crate::{
    common::{bytes, eager, names, night, prune, whole},
    support::{Bench, backup, read, rows},
};

const ROWS: u64 = 20_000;

#[test]
fn what_was_forgotten_is_reclaimed_and_what_is_live_stays_whole() {
    let bench = Bench::new();
    let mut live = BTreeMap::new();
    let mut made = Vec::new();
    for number in 0..6 {
        let table = night(number, ROWS);
        made.push(bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot);
        live.insert(made[number as usize], table);
    }
    let segments = names(&bench, "index").len();
    let packs = names(&bench, "packs");
    prune(&bench.repository);
    assert_eq!(names(&bench, "packs"), packs, "all is needed");
    for snapshot in &made[..4] {
        bench.repository.forget_one(*snapshot).unwrap();
        live.remove(snapshot);
    }
    let before = bytes(&bench, "");
    let stats = bench.repository.stored().unwrap();
    assert!(stats.dead_bytes > Some(0), "{stats:?}");
    let report = prune(&bench.repository);
    assert_eq!((report.state, report.snapshots), (PruneState::Done, 4), "{report:?}");
    assert!(report.packs_deleted > 0 && report.packs_written > 0, "{report:?}");
    assert!(bytes(&bench, "") < before, "{} of {before} bytes", bytes(&bench, ""));
    assert!(names(&bench, "index").len() < segments, "{:?}", names(&bench, "index"));
    assert_eq!((names(&bench, "snap").len(), names(&bench, "reach").len()), (2, 2));
    assert_eq!(bench.repository.stored().unwrap().dead_bytes, Some(0));
    whole(&bench, &live, "after the prune");
    assert_eq!(bench.check_all().findings, []);
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing, "nothing is left to do");
    // What is gone is gone, and says so.
    let gone = read(&bench.repository, made[0], &bench.keys(), "t");
    assert!(matches!(gone, Err(Error::Reclaimed { .. })), "{:?}", gone.err());
    assert!(matches!(bench.repository.unforget(made[0]), Err(Error::Reclaimed { .. })));
    let named = bench.repository.resolve(&made[0].to_string()[..12], &jiff::Zoned::now());
    assert!(matches!(named, Err(Error::Reclaimed { .. })), "{named:?}");
    // The writer goes on counting, and builds on what is there.
    let table = night(6, ROWS);
    let next = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert!(next.chunks_new < next.chunks, "{next:?}");
    live.insert(next.snapshot, table);
    whole(&bench, &live, "the night after");
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn all_of_a_writers_snapshots_may_go_and_its_numbers_are_not_used_again() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, 2_000))]).snapshot).collect();
    made.iter().for_each(|snapshot| bench.repository.forget_one(*snapshot).unwrap());
    assert_eq!(prune(&bench.repository).state, PruneState::Done);
    assert_eq!(names(&bench, "packs"), Vec::<String>::new());
    let next = bench.backup("app", &[("t", Shape::Rows, &night(3, 2_000))]);
    let rows = bench.repository.snapshots().unwrap().rows;
    assert_eq!(rows.iter().map(|row| (row.snapshot, row.known.header.seq)).collect::<Vec<_>>(), [(next.snapshot, 3)]);
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn a_dry_run_is_the_plan_and_writes_nothing() {
    let bench = Bench::new();
    let made: Vec<_> = (0..4).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    bench.repository.hold(made[3], "litigation").unwrap();
    for snapshot in &made[..2] {
        bench.repository.forget_one(*snapshot).unwrap();
    }
    let before = names(&bench, "");
    let planned = bench.repository.plan_prune(&eager()).unwrap();
    assert_eq!(names(&bench, ""), before);
    let thinned = planned.repack.iter().find(|pack| pack.usage.live > 0).unwrap();
    assert!(thinned.keepers.named.contains(&Keeper::Held(made[3])), "{thinned:?}");
    assert!(thinned.keepers.named.contains(&Keeper::Snapshot(made[2])), "{thinned:?}");
    let report = prune(&bench.repository);
    assert_eq!(report.plan.as_ref(), Some(&planned), "the same plan");
    let gone: Vec<String> = planned.delete.iter().chain(&planned.repack).map(|pack| pack.name.to_string()).collect();
    let after = names(&bench, "");
    for name in before.iter().filter(|name| name.starts_with("packs/")) {
        let planned = gone.iter().any(|gone| name.ends_with(gone));
        assert_eq!(after.contains(name), !planned, "{name}");
    }
}

#[test]
fn little_gain_is_not_worth_it_but_dead_packs_always_go() {
    let bench = Bench::new();
    let table = rows(ROWS, 5);
    let small = rows(200, 6);
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    let other = bench.backup("small", &[("t", Shape::Rows, &small)]);
    bench.repository.forget_one(other.snapshot).unwrap();
    let options = PruneOptions { economy: Economy::default(), ..eager() };
    let packs = names(&bench, "packs").len();
    let report = bench.repository.prune(&options, &lacre_repo::Silent).unwrap();
    assert_eq!((report.state, report.packs_written), (PruneState::Done, 0));
    assert_eq!(names(&bench, "packs").len(), packs - 2, "its chunks and its nodes");
    // One night's change is under two percent of a repository that holds much else.
    let bulk = rows(ROWS * 4, 9);
    bench.backup("bulk", &[("t", Shape::Rows, &bulk)]);
    let mut changed = table.clone();
    let row = changed.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    changed.splice(..row, b"0\tgone\n".iter().copied());
    bench.backup("app", &[("t", Shape::Rows, &changed)]);
    let first = bench.repository.resolve("latest:app", &jiff::Zoned::now());
    drop(first);
    let oldest = bench.repository.snapshots().unwrap().rows[0].snapshot;
    bench.repository.forget_one(oldest).unwrap();
    let planned = bench.repository.plan_prune(&options).unwrap();
    assert!(planned.repack.is_empty() && planned.dead_bytes > 0, "{planned:?}");
    assert!(planned.held_back.is_none_or(|why| why == HeldBack::Gain), "{planned:?}");
}

#[test]
fn it_needs_the_key_of_a_maintainer_and_the_stores_time() {
    let bench = Bench::new();
    let made = bench.backup("app", &[("t", Shape::Rows, &rows(2_000, 7))]);
    bench.repository.forget_one(made.snapshot).unwrap();
    let before = names(&bench, "packs");
    // The bench's clock stands at another time than the files of this machine.
    let skewed = PruneOptions { skew_max: std::time::Duration::from_secs(300), ..eager() };
    let refused = bench.repository.prune(&skewed, &lacre_repo::Silent);
    assert!(matches!(&refused, Err(error) if error.kind() == Kind::Refused), "{refused:?}");
    assert_eq!(names(&bench, "packs"), before);
    std::fs::rename(bench.home_files().join("admin.key"), bench.directory.path().join("away")).unwrap();
    let missing = bench.repository.prune(&eager(), &lacre_repo::Silent);
    assert!(matches!(&missing, Err(error) if error.kind() == Kind::NoKey), "{missing:?}");
    bench.repository.plan_prune(&eager()).unwrap();
    std::fs::rename(bench.directory.path().join("away"), bench.home_files().join("admin.key")).unwrap();
    assert_eq!(prune(&bench.repository).state, PruneState::Done, "the withdrawn claim is in nobody's way");
    assert_eq!(names(&bench, "packs"), Vec::<String>::new());
}

#[test]
fn a_missing_or_bad_reach_map_or_snapshot_stops_it() {
    for (folder, damage) in [("reach", "delete"), ("reach", "flip"), ("snap", "delete"), ("snap", "flip")] {
        let bench = Bench::new();
        let made: Vec<_> =
            (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, 2_000))]).snapshot).collect();
        bench.repository.forget_one(made[0]).unwrap();
        let name = format!("{folder}/{}", made[1]);
        let path = bench.files(folder).into_iter().find(|path| path.ends_with(&name)).unwrap();
        let good = std::fs::read(&path).unwrap();
        if damage == "delete" {
            std::fs::remove_file(&path).unwrap();
        } else {
            let mut bad = good.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            std::fs::write(&path, bad).unwrap();
        }
        bench.repository.rebuild().unwrap();
        let before = names(&bench, "");
        let stopped = bench.repository.prune(&eager(), &lacre_repo::Silent);
        assert!(matches!(&stopped, Err(error) if error.kind() == Kind::Damaged), "{name} {damage}: {stopped:?}");
        assert_eq!(names(&bench, ""), before, "{name} {damage}");
        std::fs::write(&path, good).unwrap();
        bench.repository.rebuild().unwrap();
        assert_eq!(prune(&bench.repository).state, PruneState::Done, "{name} {damage}");
    }
}

#[test]
fn a_host_that_knew_the_packs_that_went_finds_the_new_ones() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, ROWS))]).snapshot).collect();
    // Another host with the same keys and a catalog of its own, filled before the packs move.
    let elsewhere = bench.directory.path().join("elsewhere");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(bench.directory.path().join("home")).arg(&elsewhere).status();
    assert!(copied.unwrap().success());
    let home = lacre_repo::home::Home::open(&elsewhere).unwrap();
    let other = lacre_repo::Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    let keys = bench.keys();
    let opened = other.open_snapshot(made[2], &keys).unwrap();
    for snapshot in &made[..2] {
        bench.repository.forget_one(*snapshot).unwrap();
    }
    let report = prune(&bench.repository);
    assert!(report.packs_written > 0, "{report:?}");
    // The snapshot that was opened before still reads to its end, and so do a fresh look and the next backup.
    let mut bytes = Vec::new();
    opened.read(opened.stream("t").unwrap(), &mut bytes, &lacre_repo::Silent).unwrap();
    assert_eq!(bytes, night(2, ROWS));
    assert_eq!(opened.findings(), []);
    assert_eq!(read(&other, made[2], &keys, "t").unwrap(), night(2, ROWS));
    let table = night(3, ROWS);
    let next = backup(&other, "app", &[("t", Shape::Rows, &table)], BackupOptions::default()).unwrap();
    assert!(next.findings.iter().all(|finding| finding.severity == Severity::Note), "{:?}", next.findings);
    assert!(next.chunks_new < next.chunks, "{next:?}");
    assert_eq!(read(&other, next.snapshot, &keys, "t").unwrap(), table);
}

#[test]
fn only_what_the_plan_names_is_touched() {
    let bench = Bench::new();
    let made: Vec<_> = (0..2).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, 2_000))]).snapshot).collect();
    let root = bench.directory.path().join("repository");
    let strange =
        ["packs/README", "packs/00/notes.txt", "index/old", "snap/x", "reach/y", "session/z", "gc/w", "void/v"];
    for name in strange {
        std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        std::fs::write(root.join(name), b"somebody's own").unwrap();
    }
    // Something under a pack's name whose bytes are none.
    let fake = format!("packs/ab/{}", "ab".repeat(32));
    std::fs::create_dir_all(root.join("packs/ab")).unwrap();
    std::fs::write(root.join(&fake), b"no pack").unwrap();
    made.iter().for_each(|snapshot| bench.repository.forget_one(*snapshot).unwrap());
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    for name in strange.iter().copied().chain([fake.as_str()]) {
        assert!(root.join(name).exists(), "{name} was somebody's own");
        let named = report.findings.iter().any(|finding| finding.object == name);
        assert!(named || name.starts_with("reach"), "{name}: {:?}", report.findings);
    }
    assert_eq!(names(&bench, "packs").len(), 3);
}

#[test]
fn a_forgotten_snapshot_comes_back_until_it_is_reclaimed() {
    let bench = Bench::new();
    let made: Vec<_> = (0..2).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, 2_000))]).snapshot).collect();
    bench.repository.forget_one(made[0]).unwrap();
    bench.repository.unforget(made[0]).unwrap();
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing);
    bench.repository.forget_one(made[0]).unwrap();
    bench.repository.hold(made[0], "litigation").unwrap();
    assert_eq!(prune(&bench.repository).state, PruneState::Nothing, "a hold outranks a forget");
    let live = [(made[0], night(0, 2_000)), (made[1], night(1, 2_000))].into();
    whole(&bench, &live, "held");
}

#[test]
fn time_given_ends_between_two_objects_and_the_next_run_goes_on() {
    let bench = Bench::new();
    let made: Vec<_> = (0..3).map(|n| bench.backup("app", &[("t", Shape::Rows, &night(n, 2_000))]).snapshot).collect();
    for snapshot in &made[..2] {
        bench.repository.forget_one(*snapshot).unwrap();
    }
    let hurried = PruneOptions { duration_max: Some(std::time::Duration::ZERO), ..eager() };
    let report = bench.repository.prune(&hurried, &lacre_repo::Silent).unwrap();
    assert_eq!(report.state, PruneState::Pending, "{report:?}");
    assert_eq!(report.packs_written, 0);
    let report = prune(&bench.repository);
    assert_eq!(report.state, PruneState::Done, "{report:?}");
    whole(&bench, &[(made[2], night(2, 2_000))].into(), "after both");
    assert_eq!(bench.check_all().findings, []);
}
