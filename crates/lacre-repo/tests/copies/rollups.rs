//! Rollups in copies: a machine that comes from afar to a copy reads one object instead of hundreds.

use std::sync::Arc;

use lacre_format::{
    name::{Named, ObjectName},
    rollup::{ROLLUP_BYTES_MAX, decode},
};
use lacre_repo::{
    Repository,
    home::Home,
    op::copy::CopyState,
    store::{
        Store, Verb,
        fault::{Effect, Failure, Fault, FaultPlan, Recurrence},
    },
};

use crate::{
    common::{bench, bench_over, eager, names, night, nights, sync},
    support::Bench,
};

/// Most requests of a machine that lists the snapshots of a copy for the first time: `lacre.json`, one rollup, and what one listing is in memory.
const COLD_READS_MAX: u64 = 2;

fn cold_reads(bench: &Bench, copy: &Store) -> (usize, u64) {
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let before = copy.counts().get;
    let repository = Repository::open_copy(copy.clone(), &home, Arc::clone(&bench.clock) as _, "offsite").unwrap();
    let list = repository.snapshots().unwrap();
    assert!(list.findings.is_empty(), "{:?}", list.findings);
    (list.rows.len(), copy.counts().get - before)
}

#[test]
fn a_sync_rolls_up_in_the_copy_and_one_with_nothing_to_do_asks_nothing_more() {
    // The common case: the repository on this machine, the copy far away.
    let directory = tempfile::tempdir().unwrap();
    let bench = bench_over(Store::create_local(&directory.path().join("repository")).unwrap());
    let copy = Store::memory();
    nights(&bench, 20);
    let report = sync(&bench.repository, &copy);
    assert_eq!(report.status.state, CopyState::Current);
    assert!(report.status.findings.is_empty(), "{:?}", report.status.findings);
    assert_eq!(names(&copy, "rollup").len(), 1);
    assert_eq!(names(&bench.store, "rollup").len(), 0);
    let (rows, reads) = cold_reads(&bench, &copy);
    assert!(rows == 20 && reads <= COLD_READS_MAX, "{reads} reads");
    let before = copy.counts();
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
    let after = copy.counts();
    assert_eq!((after.get - before.get, after.list - before.list, after.put_new - before.put_new), (1, 1, 0));
    // What came since is rolled up with the rest, and the old one goes.
    let old = names(&copy, "rollup");
    (20..24).for_each(|number| drop(night(&bench, number)));
    sync(&bench.repository, &copy);
    let new = names(&copy, "rollup");
    assert!(new.len() == 1 && new != old, "{new:?}");
    let (rows, reads) = cold_reads(&bench, &copy);
    assert!(rows == 24 && reads <= COLD_READS_MAX, "{reads} reads");
}

#[test]
fn a_copy_that_only_takes_keeps_few_rollups() {
    let bench = bench();
    let copy = Store::memory();
    let fault = Fault {
        verb: Some(Verb::Delete),
        prefix: String::new(),
        nth: 1,
        recurrence: Recurrence::Forever,
        effect: Effect::FailBefore(Failure::PermissionDenied),
    };
    let append_only = copy.with_faults(FaultPlan { faults: vec![fault] });
    for number in 0..60 {
        night(&bench, number);
        let report = sync(&bench.repository, &append_only);
        assert_eq!(report.status.state, CopyState::Current);
        assert!(report.status.findings.is_empty(), "{:?}", report.status.findings);
    }
    let small: usize = ["policy", "log", "snap"].iter().map(|folder| names(&copy, folder).len()).sum();
    let kept = names(&copy, "rollup");
    // 4 objects at a time up to 32, an eighth of all from then on.
    assert!(small > 60 && kept.len() <= 20, "{} rollups of {small} objects", kept.len());
    let (rows, reads) = cold_reads(&bench, &copy);
    // What is in none of them yet, and two of the old ones that are read in vain.
    assert!(rows == 60 && reads <= COLD_READS_MAX + small as u64 / 8 + 1 + 2, "{reads} reads of {small} objects");
}

#[test]
fn what_a_copy_deletes_does_not_stay_in_its_rollup() {
    let bench = bench();
    let copy = Store::memory();
    let made: Vec<_> = nights(&bench, 6).into_keys().collect();
    sync(&bench.repository, &copy);
    made[..3].iter().for_each(|gone| bench.repository.forget_one(*gone).unwrap());
    bench.repository.prune(&eager(), &lacre_repo::Silent).unwrap();
    let report = sync(&bench.repository, &copy);
    assert!(report.objects_deleted > 0 && report.status.findings.is_empty(), "{:?}", report.status.findings);
    let rollup = ObjectName::parse(&names(&copy, "rollup")[0]).unwrap().0;
    let bytes = copy.get(&rollup, ROLLUP_BYTES_MAX).unwrap();
    let held: Vec<ObjectName> = decode(&bytes).unwrap().into_iter().map(|(name, _)| name).collect();
    for (at, snapshot) in made.iter().enumerate() {
        assert_eq!(held.contains(&ObjectName::of(&Named::Snapshot(*snapshot))), at >= 3, "{at}");
    }
    // The rollup of the repository is its own, and a copy of it is no copy's business.
    assert_eq!(names(&bench.store, "rollup").len(), 1);
    assert_eq!(names(&copy, "rollup").len(), 1);
}

#[test]
fn a_copy_that_takes_no_rollup_is_current_all_the_same() {
    let bench = bench();
    let copy = Store::memory();
    nights(&bench, 4);
    let fault = Fault {
        verb: Some(Verb::PutNew),
        prefix: "rollup".to_owned(),
        nth: 1,
        recurrence: Recurrence::Forever,
        effect: Effect::FailBefore(Failure::PermissionDenied),
    };
    let report = sync(&bench.repository, &copy.with_faults(FaultPlan { faults: vec![fault] }));
    assert_eq!(report.status.state, CopyState::Current);
    assert!(names(&copy, "rollup").is_empty());
    let (rows, _) = cold_reads(&bench, &copy);
    assert_eq!(rows, 4);
}
