//! What leaves a copy: only what an executed plan deleted and the copy's own mark does not need.

use lacre_format::{name::ObjectName, root::Shape};
use lacre_repo::{Repository, Severity, Silent, home::Home, op::copy::CopyState, op::prune::PruneState, store::Store};

use crate::{
    common::{Nights, assert_whole, bench, eager, names, nights, opened, sync},
    support::{Bench, write_row},
};

/// Nights of one table of which some rows change, so that a prune has to repack.
fn changing(bench: &Bench, count: u64) -> Nights {
    let table = |number: u64| {
        let mut out = Vec::new();
        for row in 0..1_500u64 {
            let changed = (1..=number).rev().find(|night| (row / 8 * 31 + night * 17) % 13 == 0).unwrap_or(0);
            write_row(&mut out, row, changed);
        }
        out
    };
    let take = |number| {
        bench.clock.advance_hours(24);
        let data = table(number);
        (bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
    };
    (0..count).map(take).collect()
}

fn forget_all_but_the_newest(bench: &Bench) {
    let rows = bench.repository.snapshots().unwrap().rows;
    for row in &rows[..rows.len() - 1] {
        bench.repository.forget_one(row.snapshot).unwrap();
    }
}

#[test]
fn a_copy_follows_a_prune() {
    let (bench, copy) = (bench(), Store::memory());
    let made = changing(&bench, 4);
    sync(&bench.repository, &copy);
    forget_all_but_the_newest(&bench);
    let before = names(&copy, "packs");
    assert_eq!(bench.repository.prune(&eager(), &Silent).unwrap().state, PruneState::Done);
    let report = sync(&bench.repository, &copy);
    assert_eq!(report.status.state, CopyState::Current, "{report:?}");
    assert!(report.objects_deleted > 0 && report.packs_sent > 0, "repacked ones came, old ones went: {report:?}");
    assert_ne!(names(&copy, "packs"), before);
    for folder in ["packs", "snap", "reach", "session", "index", "gc"] {
        assert_eq!(names(&copy, folder), names(&bench.store, folder), "{folder}");
    }
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "followed"), 1);
    assert_eq!(sync(&bench.repository, &copy).objects_deleted, 0);
}

#[test]
fn whoever_empties_the_repository_empties_no_copy() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    for folder in ["packs", "reach", "index"] {
        for name in names(&bench.store, folder) {
            bench.store.delete(&ObjectName::from_path(&name).unwrap()).unwrap();
        }
    }
    let report = sync(&bench.repository, &copy);
    assert_eq!(report.objects_deleted, 0);
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "emptied"), 2);
}

#[test]
fn the_copys_own_mark_outranks_the_plan() {
    let (bench, copy) = (bench(), Store::memory());
    let made = changing(&bench, 4);
    sync(&bench.repository, &copy);
    forget_all_but_the_newest(&bench);
    let before = names(&bench.store, "packs");
    bench.repository.prune(&eager(), &Silent).unwrap();
    // What the prune wrote is lost before the copy has it: the plan's word alone would leave the copy without either.
    let written: Vec<String> = names(&bench.store, "packs").into_iter().filter(|name| !before.contains(name)).collect();
    assert!(!written.is_empty(), "the prune repacked");
    for name in written {
        bench.store.delete(&ObjectName::from_path(&name).unwrap()).unwrap();
    }
    let report = sync(&bench.repository, &copy);
    assert!(report.status.findings.iter().all(|found| found.severity < Severity::Damage), "{report:?}");
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "own mark"), 1);
}

#[test]
fn without_keys_nothing_is_deleted_and_that_is_said() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 3);
    sync(&bench.repository, &copy);
    forget_all_but_the_newest(&bench);
    bench.repository.prune(&eager(), &Silent).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let keyless = Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    let report = sync(&keyless, &copy);
    assert_eq!((report.objects_deleted, report.status.state), (0, CopyState::Current));
    assert!(report.status.findings.iter().any(|found| found.what.contains("cannot read which of them")), "{report:?}");
    assert!(sync(&bench.repository, &copy).objects_deleted > 0, "a host with keys deletes them");
}
