//! What enters a copy: everything, once, in an order in which nothing speaks of what is not there.

use lacre_format::{name::ObjectName, root::Shape};
use lacre_repo::{
    Repository, Severity,
    cell::CellPlace,
    home::Home,
    op::{
        copy::{CopyState, SyncOptions},
        erase::{EraseReason, LastVerified},
        keys::ReadKeys,
        log::RestoreOnRecord,
        repair::{AddParity, RepairOptions},
    },
    store::{
        Store, Verb,
        fault::{Effect, Fault, FaultPlan, Recurrence},
    },
};

use crate::{
    common::{
        NAME, Notes as _, assert_whole, bench, bench_over, check_all, copied, names, night, nights, opened, place, sync,
    },
    support::{Bench, read, rows},
};

#[test]
fn a_copy_holds_every_snapshot_and_is_restored_from_directly() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 3);
    let report = sync(&bench.repository, &copy);
    assert_eq!((report.status.state, report.status.lag_snapshots), (CopyState::Current, 0), "{report:?}");
    assert_eq!(report.packs_sent as usize, names(&bench.store, "packs").len());
    assert!(report.status.findings.is_empty(), "{report:?}");
    assert_eq!(copied(&copy), names(&bench.store, ""), "byte for byte, name for name");
    let seen = opened(&bench, &copy);
    assert_eq!(assert_whole(&bench, &seen, &made, "copy"), 3);
    assert!(check_all(&bench, &seen).findings.is_empty());
    let again = sync(&bench.repository, &copy);
    assert_eq!((again.objects_sent, again.bytes_sent, again.objects_deleted), (0, 0, 0));
    assert_eq!(bench.repository.home().copy_note(NAME).unwrap().unwrap().snapshots, 3);
}

#[test]
fn a_machine_with_identity_and_cell_alone_restores_from_a_copy() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let bare = Repository::open(copy, &home, bench.clock.clone()).unwrap();
    let mut keys = bench.keys();
    keys.cells = bench.report.cells.iter().map(|cell| CellPlace::parse(cell).unwrap()).collect();
    for (snapshot, data) in &made {
        assert_eq!(read(&bare, *snapshot, &keys, "t").unwrap(), *data);
    }
}

#[test]
fn a_host_without_any_key_copies_and_what_it_copied_is_whole() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let keyless = Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    assert_eq!(sync(&keyless, &copy).status.state, CopyState::Current);
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "keyless"), 2);
}

#[test]
fn nothing_is_recorded_in_a_copy_and_nothing_is_written_to_it() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 1);
    sync(&bench.repository, &copy);
    let (snapshot, before) = (*made.keys().next().unwrap(), names(&copy, ""));
    let seen = opened(&bench, &copy);
    assert!(check_all(&bench, &seen).findings.is_empty(), "an audit of all data, which a repository records");
    let begun = seen.record_restore_begun(snapshot).unwrap();
    assert!(matches!(begun, RestoreOnRecord::InHome(_)), "{begun:?}");
    seen.record_restore_ended(snapshot, begun).unwrap();
    assert!(seen.forget_one(snapshot).unwrap_err().to_string().contains("this is the copy \"offsite\""));
    assert!(seen.prune(&crate::common::eager(), &lacre_repo::Silent).is_ok_and(|report| report.objects_deleted == 0));
    let data = rows(10, 1);
    let refused = crate::support::backup(&seen, "app", &[("t", Shape::Rows, &data)], Default::default());
    assert!(refused.unwrap_err().to_string().contains("lacre copy sync"));
    assert_eq!(names(&copy, ""), before);
}

#[test]
fn several_copies_are_brought_up_to_date_at_once_and_one_that_fails_stops_no_other() {
    let bench = bench();
    let made = nights(&bench, 2);
    let (good, folder) = (Store::memory(), tempfile::tempdir().unwrap());
    let local = Store::create_local(&folder.path().join("copy")).unwrap();
    let bad = Store::memory().with_faults(lacre_repo::store::fault::FaultPlan::crash_at(4));
    let mut places = vec![place(&good), place(&bad), place(&local)];
    places.iter_mut().zip(["one", "two", "three"]).for_each(|(place, name)| place.name = name.to_owned());
    let reports = bench.repository.sync_copies(&places, SyncOptions::default(), &lacre_repo::Silent).unwrap();
    let states: Vec<CopyState> = reports.iter().map(|report| report.status.state).collect();
    assert_eq!(states, [CopyState::Current, CopyState::Unreachable, CopyState::Current], "{reports:?}");
    assert!(reports[1].status.findings.iter().any(|finding| finding.severity == Severity::Warning));
    assert_eq!(assert_whole(&bench, &opened(&bench, &local), &made, "folder"), 2);
}

#[test]
fn only_what_is_new_is_sent_every_night() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 2);
    sync(&bench.repository, &copy);
    let (snapshot, _) = night(&bench, 5);
    let before = copied(&copy);
    let status = bench.repository.copy_status(&[place(&copy)]).unwrap().remove(0);
    assert_eq!((status.state, status.lag_snapshots), (CopyState::Behind, 1));
    assert_eq!(copied(&copy), before, "looking changes nothing");
    let report = sync(&bench.repository, &copy);
    assert_eq!(report.objects_sent as usize, copied(&copy).len() - before.len());
    assert_eq!((report.objects_sent, report.bytes_sent), (status.lag_objects, status.lag_bytes));
    assert!(names(&copy, "snap").contains(&format!("snap/{snapshot}")));
}

#[test]
fn a_damaged_pack_does_not_spread_and_what_needs_it_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_over(Store::create_local(&folder.path().join("repository")).unwrap());
    let copy = Store::memory();
    let made = nights(&bench, 1);
    let file = std::fs::read_dir(folder.path().join("repository/packs")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(file).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let report = sync(&bench.repository, &copy);
    assert_eq!((report.status.state, report.status.lag_snapshots), (CopyState::Behind, 1));
    let damage = |what: &str| {
        report.status.findings.iter().any(|found| found.severity == Severity::Damage && found.what.contains(what))
    };
    assert!(damage("not what is signed for") && damage("is not copied"), "{report:?}");
    assert!(names(&copy, "snap").is_empty() && names(&copy, "reach").is_empty());
    assert!(names(&copy, "session").iter().all(|name| !name.ends_with("/end")), "nothing says that it was committed");
    // The right bytes come back: the next sync completes.
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "healed"), 1);
}

#[test]
fn a_pack_lost_in_the_copy_is_sent_again_and_a_shortened_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::over(directory, Store::memory());
    let made = nights(&bench, 2);
    let folder = tempfile::tempdir().unwrap();
    let copy = Store::create_local(&folder.path().join("copy")).unwrap();
    sync(&bench.repository, &copy);
    let pack = names(&copy, "packs").remove(0);
    copy.delete(&ObjectName::from_path(&pack).unwrap()).unwrap();
    let report = sync(&bench.repository, &copy);
    assert_eq!((report.packs_sent, report.status.state), (1, CopyState::Current));
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "sent again"), 2);
    let path = folder.path().join("copy").join(&pack);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let status = bench.repository.copy_status(&[place(&copy)]).unwrap().remove(0);
    let named = |found: &lacre_repo::Finding| found.severity == Severity::Damage && found.object == pack;
    assert!(status.findings.iter().any(named), "{status:?}");
    let verified =
        bench.repository.verify_copy(&place(&copy), lacre_repo::op::check::ReadData::All, &lacre_repo::Silent);
    assert!(verified.unwrap().findings.iter().any(|found| found.severity == Severity::Damage));
    assert_eq!(std::fs::read(&path).unwrap().len(), bytes.len() - 1, "and it is left as it is");
}

#[test]
fn parity_that_is_not_its_packs_does_not_spread() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_over(Store::create_local(&folder.path().join("repository")).unwrap());
    let made = nights(&bench, 2);
    let parity = names(&bench.store, "parity");
    assert!(parity.len() > 2, "{parity:?}");
    let path = |name: &String| folder.path().join("repository").join(name);
    let good = std::fs::read(path(&parity[0])).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    // A bit flipped, half of it gone, and the parity of another pack, which is whole in itself.
    let others = std::fs::read(path(&parity[1])).unwrap();
    for bad in [flipped, good[..good.len() / 2].to_vec(), others] {
        std::fs::write(path(&parity[0]), bad).unwrap();
        let copy = Store::memory();
        bench.forget_note();
        let report = sync(&bench.repository, &copy);
        assert_eq!((report.status.state, report.status.lag_objects), (CopyState::Behind, 1), "{report:?}");
        let found = &report.status.findings[0];
        assert_eq!((found.severity, found.object.as_str()), (Severity::Warning, parity[0].as_str()));
        assert!(found.advice.contains("lacre repo repair"), "{found:?}");
        assert!(!names(&copy, "parity").contains(&parity[0]));
        assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "without it"), 2);
        let options = RepairOptions { from: None, add_parity: AddParity::No };
        bench.repository.repair(&options, &ReadKeys::default(), &lacre_repo::Silent).unwrap();
        assert!(std::fs::read(path(&parity[0])).unwrap() == good, "computed again from its pack");
        assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
        assert_eq!(copy.get(&ObjectName::from_path(&parity[0]).unwrap(), good.len() as u64).unwrap(), good);
    }
}

#[test]
fn what_lies_under_the_name_of_another_does_not_spread() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_over(Store::create_local(&folder.path().join("repository")).unwrap());
    nights(&bench, 2);
    for (kind, end) in [("session", "/open"), ("session", "/end"), ("keyring/in", "")] {
        let of_kind: Vec<String> =
            names(&bench.store, kind).into_iter().filter(|name| name.ends_with(end)).take(2).collect();
        let path = |at: usize| folder.path().join("repository").join(&of_kind[at]);
        let good = std::fs::read(path(0)).unwrap();
        std::fs::copy(path(1), path(0)).unwrap();
        let copy = Store::memory();
        bench.forget_note();
        let report = sync(&bench.repository, &copy);
        assert_eq!(report.status.state, CopyState::Behind, "{kind}{end}: {report:?}");
        let named = |found: &lacre_repo::Finding| found.severity == Severity::Damage && found.object == of_kind[0];
        assert!(report.status.findings.iter().any(named), "{kind}{end}: {report:?}");
        assert!(!names(&copy, kind).contains(&of_kind[0]), "{kind}{end}");
        std::fs::write(path(0), good).unwrap();
        assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current, "{kind}{end}");
    }
}

#[test]
fn a_session_that_its_writer_gave_up_is_given_up_in_the_copy() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    let fault = Fault {
        verb: Some(Verb::PutNew),
        prefix: "index/".to_owned(),
        nth: 1,
        recurrence: Recurrence::Once,
        effect: Effect::Crash,
    };
    let dying = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
    let data = rows(640, 9);
    assert!(crate::support::backup(&dying, "app", &[("t", Shape::Rows, &data)], Default::default()).is_err());
    drop(dying);
    // Where no admin's key is, the run after it can only say that it gave up.
    let key = bench.directory.path().join("home/repos").join(bench.repository.id().to_string()).join("admin.key");
    std::fs::rename(&key, key.with_extension("away")).unwrap();
    let made = nights(&bench, 1);
    std::fs::rename(key.with_extension("away"), &key).unwrap();
    assert_eq!(names(&bench.store, "void").len(), 1);
    let report = sync(&bench.repository, &copy);
    assert_eq!((report.status.state, report.status.findings.len()), (CopyState::Current, 0), "{report:?}");
    assert_eq!(names(&copy, "void"), names(&bench.store, "void"));
    assert_eq!(opened(&bench, &copy).view().unwrap().given_up.len(), 1);
    assert_eq!(made.len(), 1);
}

#[test]
fn a_restore_from_a_copy_is_on_record_in_this_home_until_the_log_is_told() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let snapshot = *made.keys().next().unwrap();
    let is_open = |repository: &Repository| repository.view().unwrap().ledger.restoring.contains_key(&snapshot);
    let waits = |token| {
        let erasures = bench.repository.erasures().unwrap();
        let erasure = erasures.iter().find(|erasure| erasure.erasure == token).unwrap();
        erasure.pending.iter().any(|pending| pending.item.starts_with("restore:"))
    };
    let plan = bench.repository.plan_erase(&[snapshot], LastVerified::Allow).unwrap();
    let seen = opened(&bench, &copy);
    let begun = seen.record_restore_begun(snapshot).unwrap();
    assert!(!is_open(&bench.repository), "a copy takes no record");
    // What this host appends next tells the log; another admin's erasure waits for it from then on.
    let erasure = bench.repository.intend_erase(&plan, &EraseReason::default()).unwrap();
    assert!(is_open(&bench.repository));
    let report = bench.repository.rotate(&Default::default(), &ReadKeys::default()).unwrap();
    assert_eq!(report.state, lacre_repo::op::rotate::RotationState::Closed);
    assert!(waits(erasure));
    seen.record_restore_ended(snapshot, begun).unwrap();
    assert!(is_open(&bench.repository), "the log is not told yet");
    bench.repository.tell_restores().unwrap();
    assert!(!is_open(&bench.repository) && !waits(erasure));
    let left = std::fs::read_dir(bench.home_files().join("restores")).unwrap().count();
    assert_eq!(left, 0, "nothing is left to tell");
    // One that dies before it ends stays open until somebody vouches for it, and this host knows even before the log does.
    seen.record_restore_begun(snapshot).unwrap();
    assert!(waits(erasure) && !is_open(&bench.repository));
    bench.repository.tell_restores().unwrap();
    bench.repository.tell_restores().unwrap();
    assert!(waits(erasure) && is_open(&bench.repository));
    bench.repository.end_left_restores(snapshot).unwrap();
    assert!(!waits(erasure) && !is_open(&bench.repository));
}

#[test]
fn a_restore_that_began_and_ended_untold_is_told_in_full() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 1);
    sync(&bench.repository, &copy);
    let (snapshot, seen) = (*made.keys().next().unwrap(), opened(&bench, &copy));
    let before = names(&bench.store, "log").len();
    let begun = seen.record_restore_begun(snapshot).unwrap();
    seen.record_restore_ended(snapshot, begun).unwrap();
    bench.repository.hold(snapshot, "a dispute").unwrap();
    assert_eq!(names(&bench.store, "log").len(), before + 3, "began, ended, held");
    assert!(!bench.repository.view().unwrap().ledger.restoring.contains_key(&snapshot));
    // A store that this host only reads is asked nothing.
    let puts = bench.store.counts().put_new;
    let reader = bench.reopen_over(bench.store.read_only());
    let begun = reader.record_restore_begun(snapshot).unwrap();
    assert!(matches!(begun, RestoreOnRecord::InHome(_)), "{begun:?}");
    reader.record_restore_ended(snapshot, begun).unwrap();
    let refused = reader.hold(snapshot, "another").unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    assert_eq!((bench.store.counts().put_new, names(&bench.store, "log").len()), (puts, before + 3));
}
