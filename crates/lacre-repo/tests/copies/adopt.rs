//! Fail-over to a copy: the losses are named, no erasure is undone, and the lost place is never the repository again.

use std::{fs, path::Path};

use lacre_format::{
    ids::{GenerationId, SnapshotId},
    root::Shape,
};
use lacre_repo::{
    Error, Repository,
    home::Home,
    op::{
        adopt::Vouched,
        copy::CopyState,
        keys::ReadKeys,
        rotate::{RotateOptions, RotationState},
        snapshots::SnapshotState,
    },
    store::{Store, fault::FaultPlan},
};

use crate::{
    common::{Notes as _, assert_whole, bench, names, night, nights, sync},
    seal::intend,
    support::{Bench, read, rows},
};

pub(crate) fn adopt(bench: &Bench, copy: &Store) -> Repository {
    let repository = bench.reopen_over(copy.clone());
    repository.adopt(&ReadKeys::default(), Vouched::No).unwrap();
    repository
}

fn forget_cache(bench: &Bench) {
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let path = bench.home_files().join(file);
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

fn why(error: Error) -> String {
    let Error::Refused { why } = error else { unreachable!("{error}") };
    why
}

#[test]
fn a_copy_becomes_the_repository_and_goes_on() {
    let (bench, copy) = (bench(), Store::memory());
    let mut made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let (lost, _) = night(&bench, 3);
    let repository = bench.reopen_over(copy.clone());
    let before = names(&copy, "");
    let plan = repository.plan_adopt(&ReadKeys::default()).unwrap();
    assert_eq!(names(&copy, ""), before, "planning writes nothing");
    assert_eq!((plan.lost.as_slice(), plan.snapshots, plan.policy), ([lost].as_slice(), 2, 1000));
    assert!(plan.unseen.is_empty() && plan.losses().iter().any(|loss| loss.object == format!("snap/{lost}")));
    repository.adopt(&ReadKeys::default(), Vouched::No).unwrap();
    let view = repository.view().unwrap();
    assert_eq!((view.policy.number, view.policy.adopted.unwrap().from), (1000, 0));
    assert!(view.findings.is_empty(), "{:?}", view.findings);
    let data = rows(900, 99);
    let report = crate::support::backup(&repository, "app", &[("t", Shape::Rows, &data)], Default::default()).unwrap();
    made.insert(report.snapshot, data);
    assert_eq!(assert_whole(&bench, &repository, &made, "adopted"), 3);
}

#[test]
fn the_lost_place_is_refused_as_the_repository_and_serves_as_a_copy() {
    let (bench, copy) = (bench(), Store::memory());
    let mut made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let (lost, lost_data) = night(&bench, 3);
    let repository = adopt(&bench, &copy);
    let old = bench.reopen();
    let refused = old.view().err().unwrap().to_string();
    assert!(refused.contains("this host has seen number 1000"), "{refused}");
    assert!(crate::support::backup(&old, "app", &[("t", Shape::Rows, &rows(9, 9))], Default::default()).is_err());
    let data = rows(700, 5);
    let report = crate::support::backup(&repository, "app", &[("t", Shape::Rows, &data)], Default::default()).unwrap();
    made.insert(report.snapshot, data);
    bench.forget_note();
    let report = sync(&repository, &bench.store);
    assert_eq!((report.status.state, report.objects_deleted), (CopyState::Current, 0), "{report:?}");
    assert!(report.status.findings.iter().any(|found| found.what.contains(&lost.short())), "{report:?}");
    // What was lost is still there and can be restored from the place that came back.
    let back = crate::common::opened(&bench, &bench.store);
    assert_eq!(read(&back, lost, &bench.keys(), "t").unwrap(), lost_data);
    for (snapshot, data) in &made {
        assert_eq!(read(&back, *snapshot, &bench.keys(), "t").unwrap(), *data);
    }
    assert_eq!(sync(&repository, &bench.store).objects_sent, 0);
}

#[test]
fn an_erasure_the_copy_never_heard_of_is_brought_along() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 3);
    sync(&bench.repository, &copy);
    let dead = *made.keys().next().unwrap();
    intend(&bench, dead);
    let report = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!(report.state, RotationState::Closed);
    let repository = bench.reopen_over(copy.clone());
    let plan = repository.plan_adopt(&ReadKeys::default()).unwrap();
    assert_eq!((plan.generation, plan.unseen.len()), (report.to, 0), "{plan:?}");
    assert!(plan.brought >= 5, "intent, claim, rotation, policy, list and bundle: {}", plan.brought);
    repository.adopt(&ReadKeys::default(), Vouched::No).unwrap();
    assert_eq!(assert_whole(&bench, &repository, &made, "brought"), 2);
    assert!(matches!(read(&repository, dead, &bench.keys(), "t"), Err(Error::Erased { .. })));
    let rows = repository.snapshots().unwrap().rows;
    assert!(rows.iter().any(|row| row.snapshot == dead && row.state == SnapshotState::Erased));
}

#[test]
fn what_may_hide_an_erasure_refuses() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    intend(&bench, *made.keys().next().unwrap());
    forget_cache(&bench);
    // The intent is not at hand any more, but that there was one is: this host remembers the number of what it signed.
    let repository = bench.reopen_over(copy.clone());
    let refused = why(repository.adopt(&ReadKeys::default(), Vouched::No).unwrap_err());
    assert!(refused.contains("an admin's log had an entry") && refused.contains("--accept-unseen"), "{refused}");
    let report = repository.adopt(&ReadKeys::default(), Vouched::NoErasureMissing).unwrap();
    assert_eq!(report.plan.unseen.len(), 1);
}

#[test]
fn a_seal_that_moved_on_without_a_record_refuses() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    intend(&bench, *made.keys().next().unwrap());
    bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    forget_cache(&bench);
    // Neither is the list of the newer seal, which the host that changed it keeps.
    fs::remove_dir_all(bench.home_files().join("keyring")).unwrap();
    let repository = bench.reopen_over(copy.clone());
    for vouched in [Vouched::No, Vouched::NoErasureMissing] {
        let refused = why(repository.adopt(&ReadKeys::default(), vouched).unwrap_err());
        assert!(refused.contains("nothing in this copy could be opened"), "{refused}");
    }
    assert_eq!(names(&copy, "policy").len(), 1, "nothing was written");
}

/// A repository whose seal was changed after the copy was last brought up to date, with nothing left of the change but this home's keyring
/// and the cell; the copy, the snapshots, and the one that was erased.
fn changed_seal() -> (Bench, Store, crate::common::Nights, SnapshotId, GenerationId) {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 3);
    sync(&bench.repository, &copy);
    let dead = *made.keys().next().unwrap();
    intend(&bench, dead);
    let report = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!(report.state, RotationState::Closed);
    forget_cache(&bench);
    (bench, copy, made, dead, report.to)
}

fn opens_with_the_newer_seal(
    bench: &Bench,
    repository: &Repository,
    made: &crate::common::Nights,
    dead: SnapshotId,
    to: GenerationId,
    context: &str,
) {
    assert_eq!(repository.view().unwrap().policy.generation, to, "{context}");
    assert!(matches!(read(repository, dead, &bench.keys(), "t"), Err(Error::Erased { .. })), "{context}");
    assert_eq!(assert_whole(bench, repository, made, context), 2);
}

#[test]
fn a_newer_seal_that_only_this_home_leads_to_is_adopted_and_its_losses_are_named() {
    let (bench, copy, mut made, dead, to) = changed_seal();
    let repository = bench.reopen_over(copy.clone());
    let before = names(&copy, "");
    let plan = repository.plan_adopt(&ReadKeys::default()).unwrap();
    assert_eq!((plan.generation, plan.snapshots, plan.closed.as_slice()), (to, 2, [dead].as_slice()));
    assert!(plan.losses().iter().any(|loss| loss.object == format!("snap/{dead}")), "{plan:?}");
    assert!(plan.unseen.iter().any(|why| why.contains("only this home's list and bundle")), "{plan:?}");
    let refused = why(repository.adopt(&ReadKeys::default(), Vouched::No).unwrap_err());
    assert!(refused.contains("--accept-unseen"), "{refused}");
    assert_eq!(names(&copy, ""), before, "nothing was written");
    repository.adopt(&ReadKeys::default(), Vouched::NoErasureMissing).unwrap();
    opens_with_the_newer_seal(&bench, &repository, &made, dead, to, "adopted");
    // It goes on: backups are sealed to it, and it is changed like any other.
    let data = rows(500, 77);
    let report = crate::support::backup(&repository, "app", &[("t", Shape::Rows, &data)], Default::default()).unwrap();
    made.insert(report.snapshot, data);
    assert_eq!(assert_whole(&bench, &repository, &made, "went on"), 3);
    let report = repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert_eq!((report.state, report.from), (RotationState::Closed, to));
    assert_eq!(assert_whole(&bench, &repository, &made, "changed again"), 3);
}

#[test]
fn an_adoption_of_a_newer_seal_that_dies_anywhere_is_done_by_running_it_again() {
    for plan in [FaultPlan::crash_at, FaultPlan::crash_after] {
        let ended = (1..100).find(|nth| {
            let (bench, copy, made, dead, to) = changed_seal();
            let home = Home::open(&bench.directory.path().join("home")).unwrap();
            let dying = Repository::open(copy.with_faults(plan(*nth)), &home, bench.clock.clone());
            let died = dying.and_then(|dying| dying.adopt(&ReadKeys::default(), Vouched::NoErasureMissing));
            let repository = bench.reopen_over(copy.clone());
            repository.adopt(&ReadKeys::default(), Vouched::NoErasureMissing).unwrap();
            opens_with_the_newer_seal(&bench, &repository, &made, dead, to, &format!("{nth}"));
            died.is_ok()
        });
        assert!(ended.is_some_and(|nth| nth > 8), "{ended:?}");
    }
}

#[test]
fn adopting_needs_the_admin_key() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    sync(&bench.repository, &copy);
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let bare = Repository::open(copy, &home, bench.clock.clone()).unwrap();
    assert!(matches!(bare.adopt(&ReadKeys::default(), Vouched::No), Err(Error::KeyMissing { .. })));
    assert!(matches!(bare.plan_adopt(&ReadKeys::default()), Err(Error::KeyMissing { .. })));
}

#[test]
fn two_copies_that_were_both_adopted_are_forked() {
    let bench = bench();
    nights(&bench, 1);
    let (one, two) = (Store::memory(), Store::memory());
    sync(&bench.repository, &one);
    bench.forget_note();
    sync(&bench.repository, &two);
    // The admin's machine was cloned, and both go on.
    let clone = bench.directory.path().join("clone");
    copy_tree(&bench.directory.path().join("home"), &clone);
    let first = adopt(&bench, &one);
    let second = Repository::open(two.clone(), &Home::open(&clone).unwrap(), bench.clock.clone()).unwrap();
    second.adopt(&ReadKeys::default(), Vouched::No).unwrap();
    let before = names(&two, "");
    let report = sync(&first, &two);
    assert_eq!((report.status.state, report.objects_sent), (CopyState::Forked, 0), "{report:?}");
    assert!(report.status.findings[0].what.contains("another policy 1000"), "{report:?}");
    assert_eq!(names(&two, ""), before);
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
