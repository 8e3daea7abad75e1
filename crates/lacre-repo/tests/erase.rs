//! Rotating the seal and erasing snapshots: what dies, what lives on, what is said meanwhile, and every crash in between.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

use std::{collections::BTreeSet, path::Path, time::Duration};

use lacre_format::{
    erasure::Declared,
    ids::{Millis, SnapshotId},
    policy::KitState,
    root::Shape,
};
use lacre_repo::{
    Error, Repository, Severity, Silent,
    cell::{Cell, CellPlace},
    home::Home,
    op::{
        backup::BackupOptions,
        erase::{EraseReason, ErasureState, LastVerified, verify_receipt},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::PruneOptions,
        rotate::{RotateOptions, RotationReport, RotationState},
        seal::Sheet,
        snapshots::SnapshotState,
    },
    store::{
        Store, Verb,
        fault::{Effect, Failure, Fault, FaultPlan, Recurrence},
    },
};
use lacre_seal::kit::Kit;
use support::{Bench, backup, read, rows};

/// A repository whose only holder is one cell, as `init --no-kit` declares it.
fn alone() -> Bench {
    bench(KitChoice::None, Store::memory())
}

fn bench(kit: KitChoice, store: Store) -> Bench {
    Bench::with_options(tempfile::tempdir().unwrap(), store, CreateOptions { kit, ..Bench::options() })
}

fn nights(bench: &Bench, count: u64) -> Vec<(SnapshotId, Vec<u8>)> {
    let night = |number| {
        bench.clock.advance_hours(24);
        let data = rows(1_500 + number * 20, 7);
        (bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
    };
    (0..count).map(night).collect()
}

fn rotate(repository: &Repository) -> RotationReport {
    repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap()
}

fn erase(repository: &Repository, snapshots: &[SnapshotId]) -> lacre_format::ids::Token {
    let plan = repository.plan_erase(snapshots, LastVerified::Keep).unwrap();
    repository.intend_erase(&plan, &EraseReason { code: "art17".to_owned(), ..EraseReason::default() }).unwrap()
}

fn assert_reads(bench: &Bench, nights: &[(SnapshotId, Vec<u8>)]) {
    for (snapshot, data) in nights {
        assert_eq!(bench.read(*snapshot, "t"), *data, "{snapshot}");
    }
    let findings = bench.check_all().findings;
    assert!(findings.iter().all(|finding| finding.severity != Severity::Damage), "{findings:?}");
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_rotation_keeps_every_snapshot_and_leaves_one_generation() {
    let bench = alone();
    let made = nights(&bench, 3);
    let report = rotate(&bench.repository);
    assert_eq!((report.from.number, report.to.number, report.carried), (0, 1, 3));
    assert_eq!((report.dropped.len(), report.state), (0, RotationState::Closed));
    assert_reads(&bench, &made);
    let held: Vec<_> =
        bench.cell().generations(bench.repository.id()).unwrap().iter().map(|slot| slot.generation).collect();
    assert_eq!(held, [report.to]);
    // A run after it, and another rotation.
    let later = nights(&bench, 1);
    assert_eq!(rotate(&bench.repository).carried, 4);
    assert_reads(&bench, &[made, later].concat());
}

#[test]
fn forgotten_snapshots_die_at_the_next_rotation_and_held_ones_do_not() {
    let bench = alone();
    let made = nights(&bench, 4);
    bench.repository.forget_one(made[0].0).unwrap();
    bench.repository.forget_one(made[1].0).unwrap();
    bench.repository.hold(made[1].0, "audit").unwrap();
    let report = rotate(&bench.repository);
    assert_eq!(report.dropped, [made[0].0]);
    assert_reads(&bench, &made[1..]);
    let refused = read(&bench.repository, made[0].0, &bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::Erased { .. }), "{refused}");
    assert!(matches!(bench.repository.unforget(made[0].0), Err(Error::Erased { .. })));
    assert!(matches!(bench.repository.hold(made[0].0, "too late"), Err(Error::Erased { .. })));
}

#[test]
fn the_old_seal_lives_until_a_second_holder_of_the_new_one_is_proved() {
    let bench = bench(KitChoice::Print, Store::memory());
    let made = nights(&bench, 2);
    let report = rotate(&bench.repository);
    let RotationState::Pending(pending) = &report.state else { panic!("closed with one holder") };
    assert_eq!(pending[0].item, "holders");
    assert_eq!(bench.cell().generations(bench.repository.id()).unwrap().len(), 2, "both generations are kept");
    assert_reads(&bench, &made);
    let Kit::Seal(kit) = bench.repository.issue_kit(None).unwrap() else { panic!("a seal kit") };
    let words = Kit::Seal(kit).checksum();
    bench.repository.acknowledge_kit(2, Sheet::Seal, words).unwrap();
    let report = rotate(&bench.repository);
    assert_eq!(report.state, RotationState::Closed);
    assert_eq!(bench.cell().generations(bench.repository.id()).unwrap().len(), 1);
    assert_reads(&bench, &made);
}

#[test]
fn an_erased_snapshot_is_dead_in_every_copy_ever_made() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::create_local(&directory.path().join("repository")).unwrap();
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    let bench = Bench::with_options(directory, store, options);
    let made = nights(&bench, 4);
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&bench.directory.path().join("repository"), &copy.path().join("repository"));
    copy_tree(&bench.directory.path().join("home"), &copy.path().join("home"));

    let plan = bench.repository.plan_erase(&[made[1].0], LastVerified::Keep).unwrap();
    assert!(plan.account.bytes_dead > 0 && plan.account.bytes_shared > 0, "{:?}", plan.account);
    assert_eq!(plan.writers.len(), 1);
    let reads_before = bench.store.counts();
    let erasure = erase(&bench.repository, &[made[1].0]);
    let state = |repository: &Repository| repository.erasures().unwrap().pop().unwrap();
    assert_eq!(state(&bench.repository).state, ErasureState::Pending);
    assert_eq!(rotate(&bench.repository).dropped, [made[1].0]);
    let refused = read(&bench.repository, made[1].0, &bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::Erased { .. }), "{refused}");
    let survivors = [made[0].clone(), made[2].clone(), made[3].clone()];
    assert_reads(&bench, &survivors);
    assert!(bench.store.counts().bytes_sent - reads_before.bytes_sent < 200_000, "no pack is written");

    // The copy with today's seal and every private key.
    let old = Store::open_local(&copy.path().join("repository")).unwrap();
    let keys = ReadKeys { identities: bench.identities(), kits: Vec::new(), cells: vec![place(&bench)] };
    let elsewhere = tempfile::tempdir().unwrap();
    let reopened = Repository::open(old.clone(), &Home::open(elsewhere.path()).unwrap(), bench.clock.clone()).unwrap();
    let proof = reopened.prove_erased(&[made[1].0], &keys).unwrap();
    assert_eq!((proof.succeeded, proof.seals), (0, 1));
    assert!(proof.tried >= 2, "{proof:?}");
    assert!(read(&reopened, made[1].0, &keys, "t").is_err());
    // With the old cell, which is what an erasure has to reach, it would open: the proof can fail.
    let old_cell = copy.path().join("home/repos").join(bench.repository.id().to_string()).join("seal.cell");
    let stolen = ReadKeys { identities: bench.identities(), kits: Vec::new(), cells: vec![CellPlace::File(old_cell)] };
    let proof = reopened.prove_erased(&[made[1].0], &stolen).unwrap();
    assert_eq!(proof.opened, [made[1].0]);

    // Interim until the writer has run again.
    let status = state(&bench.repository);
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().all(|item| item.item.starts_with("writer:")), "{:?}", status.pending);
    let interim = bench.repository.sign_receipt(erasure, &plan.account).unwrap();
    assert!(!interim.receipt.complete && !interim.receipt.pending.is_empty());
    let night = nights(&bench, 1);
    assert_eq!(state(&bench.repository).state, ErasureState::Complete);
    let complete = bench.repository.sign_receipt(erasure, &plan.account).unwrap();
    assert!(complete.receipt.complete);
    assert_reads(&bench, &[&survivors[..], &night].concat());

    // The receipt holds with the public key alone; changed by a byte it does not.
    let admin = bench.repository.view().unwrap().admin;
    let verified = verify_receipt(&complete.object, bench.repository.id(), &admin).unwrap();
    assert_eq!(verified.receipt, complete.receipt);
    assert_eq!(verified.receipt.snapshots[0].snapshot, made[1].0);
    for at in [10, complete.object.len() / 2, complete.object.len() - 1] {
        let mut forged = complete.object.clone();
        forged[at] ^= 1;
        assert!(verify_receipt(&forged, bench.repository.id(), &admin).is_err(), "byte {at}");
    }
}

fn place(bench: &Bench) -> CellPlace {
    CellPlace::parse(&bench.report.cells[0]).unwrap()
}

#[test]
fn guards_refuse_held_last_and_erased_snapshots_and_an_intent_can_be_given_up() {
    let bench = alone();
    let made = nights(&bench, 3);
    let all: Vec<SnapshotId> = made.iter().map(|(snapshot, _)| *snapshot).collect();
    bench.repository.hold(all[0], "court").unwrap();
    assert!(matches!(bench.repository.plan_erase(&all[..1], LastVerified::Keep), Err(Error::Refused { .. })));
    bench.repository.release(all[0]).unwrap();
    assert!(matches!(bench.repository.plan_erase(&all, LastVerified::Keep), Err(Error::Refused { .. })));
    assert!(bench.repository.plan_erase(&all, LastVerified::Allow).is_ok());
    let erasure = erase(&bench.repository, &all[..1]);
    let row = |repository: &Repository| {
        repository.snapshots().unwrap().rows.into_iter().find(|row| row.snapshot == all[0]).unwrap()
    };
    assert_eq!(row(&bench.repository).state, SnapshotState::Pending);
    bench.repository.cancel_erase(erasure).unwrap();
    assert_eq!(row(&bench.repository).state, SnapshotState::Live);
    let erasure = erase(&bench.repository, &all[..1]);
    rotate(&bench.repository);
    assert_eq!(row(&bench.repository).state, SnapshotState::Erased);
    assert!(matches!(bench.repository.cancel_erase(erasure), Err(Error::Refused { .. })));
    assert!(matches!(bench.repository.plan_erase(&all[..1], LastVerified::Keep), Err(Error::Erased { .. })));
}

#[test]
fn a_cool_down_is_kept() {
    let bench = alone();
    let made = nights(&bench, 2);
    let plan = bench.repository.plan_erase(&[made[0].0], LastVerified::Keep).unwrap();
    let due = Millis(bench.repository.snapshots().unwrap().rows[1].taken.0 + 48 * 3_600_000);
    bench.repository.intend_erase(&plan, &EraseReason { not_before: Some(due), ..EraseReason::default() }).unwrap();
    assert!(rotate(&bench.repository).dropped.is_empty());
    bench.clock.advance_hours(72);
    assert_eq!(rotate(&bench.repository).dropped, [made[0].0]);
}

#[test]
fn an_old_kit_keeps_an_erasure_interim_until_it_is_accounted_for() {
    let bench = bench(KitChoice::Print, Store::memory());
    let made = nights(&bench, 2);
    let erasure = erase(&bench.repository, &[made[0].0]);
    rotate(&bench.repository);
    let kit = bench.repository.issue_kit(None).unwrap();
    bench.repository.acknowledge_kit(2, Sheet::Seal, kit.checksum()).unwrap();
    assert_eq!(rotate(&bench.repository).state, RotationState::Closed);
    nights(&bench, 1);
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status.erasure, erasure);
    assert_eq!(status.pending.iter().map(|item| item.item.as_str()).collect::<Vec<_>>(), ["kit:1"]);
    assert!(matches!(bench.repository.attest("kit:9", Declared::Lost), Err(Error::Usage { .. })));
    bench.repository.attest("kit:1", Declared::Lost).unwrap();
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!((status.state, status.declared.len()), (ErasureState::Complete, 1));
    // What is destroyed outright needs no declaration.
    bench.repository.attest_kit_destroyed(1, Sheet::Seal).unwrap();
    assert!(bench.repository.erasures().unwrap().pop().unwrap().declared.is_empty());
    assert!(
        bench
            .repository
            .view()
            .unwrap()
            .kits
            .values()
            .any(|(_, kit)| kit.number == 1 && kit.state == KitState::Destroyed)
    );
}

#[test]
fn a_survivor_without_a_key_entry_stops_the_rotation() {
    let bench = alone();
    let made = nights(&bench, 2);
    let entry = bench
        .store
        .list("keyring/in")
        .unwrap()
        .objects
        .into_iter()
        .find(|object| object.name.contains(&made[0].0.to_string()))
        .unwrap();
    bench.store.delete(&lacre_format::name::ObjectName::from_path(&entry.name).unwrap()).unwrap();
    let refused = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default());
    assert!(matches!(refused, Err(Error::EntryMissing { snapshot }) if snapshot == made[0].0));
    assert_eq!(bench.read(made[1].0, "t"), made[1].1);
    let options = RotateOptions { accept_loss: vec![made[0].0], ..RotateOptions::default() };
    let report = bench.repository.rotate(&options, &ReadKeys::default()).unwrap();
    assert_eq!((report.carried, report.state), (1, RotationState::Closed));
    assert_eq!(bench.read(made[1].0, "t"), made[1].1);
}

#[test]
fn a_forged_key_entry_replaces_none() {
    let bench = alone();
    let made = nights(&bench, 2);
    // Garbage, and the other snapshot's entry, under the victim's name: anybody with the right to PUT can do that.
    let objects = bench.store.list("keyring/in").unwrap().objects;
    let of = |snapshot: SnapshotId| {
        objects.iter().find(|object| object.name.contains(&snapshot.to_string())).unwrap().name.clone()
    };
    let other = bench.store.get(&lacre_format::name::ObjectName::from_path(&of(made[1].0)).unwrap(), 1 << 20).unwrap();
    let victim = of(made[0].0);
    for (number, bytes) in [bytes::Bytes::from_static(b"garbage"), other].into_iter().enumerate() {
        let forged = format!("{}-{:032x}", victim.rsplit_once('-').unwrap().0, number);
        let _ = bench.store.put_new(&lacre_format::name::ObjectName::from_path(&forged).unwrap(), bytes).unwrap();
    }
    let report = rotate(&bench.repository);
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    for (snapshot, data) in &made {
        assert_eq!(bench.read(*snapshot, "t"), *data);
    }
}

/// What must hold wherever a rotation died, and after it was run again.
fn dies_at_every_request(plan: fn(u64) -> FaultPlan) {
    let mut ended = false;
    let mut published_before_death = false;
    for nth in 1..400 {
        let bench = alone();
        let made = nights(&bench, 3);
        let erasure = erase(&bench.repository, &[made[1].0]);
        let faulty = bench.store.with_faults(plan(nth));
        let died = Home::open(&bench.directory.path().join("home"))
            .and_then(|home| Repository::open(faulty, &home, bench.clock.clone()))
            .and_then(|repository| repository.rotate(&RotateOptions::default(), &ReadKeys::default()));
        for number in [0, 2] {
            assert_eq!(bench.read(made[number].0, "t"), made[number].1, "{nth}: a survivor right after the crash");
        }
        let view = bench.reopen().view().unwrap();
        published_before_death |= died.is_err() && view.policy.generation.number == 1;
        let status = bench.reopen().erasures().unwrap().pop().unwrap();
        if died.is_err() && status.state != ErasureState::Pending {
            assert!(
                status.pending.iter().any(|item| item.item == "rotation" || item.item.starts_with("writer:")),
                "{nth}: {status:?}"
            );
        }
        let again = bench.reopen().rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
        assert_eq!(again.state, RotationState::Closed, "{nth}");
        let held: BTreeSet<_> =
            bench.cell().generations(bench.repository.id()).unwrap().iter().map(|slot| slot.generation).collect();
        assert_eq!(held, BTreeSet::from([bench.reopen().view().unwrap().policy.generation]), "{nth}");
        assert_reads(&bench, &[made[0].clone(), made[2].clone()]);
        assert!(matches!(read(&bench.reopen(), made[1].0, &bench.keys(), "t"), Err(Error::Erased { .. })), "{nth}");
        nights(&bench, 1);
        let status = bench.reopen().erasures().unwrap().pop().unwrap();
        assert_eq!((status.erasure, status.state), (erasure, ErasureState::Complete), "{nth}: {:?}", status.pending);
        if died.is_ok() {
            ended = true;
            break;
        }
    }
    assert!(ended && published_before_death, "every step of a rotation was a place to die");
}

#[test]
fn a_rotation_that_dies_before_any_request_is_finished_or_plainly_not_done() {
    dies_at_every_request(FaultPlan::crash_at);
}

#[test]
fn a_rotation_that_dies_after_any_request_is_finished_or_plainly_not_done() {
    dies_at_every_request(FaultPlan::crash_after);
}

#[test]
fn a_lost_cell_stops_the_rotation_before_anything_is_published() {
    let bench = alone();
    let made = nights(&bench, 1);
    let path = bench.report.cells[0].strip_prefix("file:").unwrap().to_owned();
    let aside = format!("{path}.aside");
    std::fs::rename(&path, &aside).unwrap();
    let refused = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default());
    assert!(matches!(refused, Err(Error::NoSeal { .. } | Error::Refused { .. })), "{refused:?}");
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(bench.repository.view().unwrap().policy.generation.number, 0);
    assert!(bench.repository.withdraw_claim().unwrap());
    assert!(!bench.repository.withdraw_claim().unwrap());
    assert_reads(&bench, &made);
    assert!(Cell::open(&place(&bench)).unwrap().is_some());
}

#[test]
fn a_prune_after_an_erasure_does_not_make_it_complete() {
    let bench = alone();
    let made = nights(&bench, 3);
    let erasure = erase(&bench.repository, &[made[2].0]);
    rotate(&bench.repository);
    let options = PruneOptions { skew_max: Duration::MAX, ..PruneOptions::default() };
    let status = || bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status().state, ErasureState::Interim);
    let packs = bench.store.list("packs").unwrap().objects.len();
    bench.repository.prune(&options, &Silent).unwrap();
    assert!(bench.store.list("packs").unwrap().objects.len() < packs, "the frames of the dead go at once");
    let after = status();
    assert_eq!((after.erasure, after.state), (erasure, ErasureState::Interim), "its writer has not run since");
    assert!(after.pending.iter().any(|item| item.item.starts_with("writer:")), "{:?}", after.pending);
    nights(&bench, 1);
    assert_eq!(status().state, ErasureState::Complete);
    assert_eq!(bench.repository.prune(&options, &Silent).unwrap().snapshots, 1, "now the rest of it goes, too");
    assert_eq!(status().state, ErasureState::Complete);
    assert_reads(&bench, &made[..2]);
}

#[test]
fn a_run_that_died_between_its_snapshot_and_its_end_settles_no_erasure() {
    let bench = alone();
    let made = nights(&bench, 2);
    erase(&bench.repository, &[made[1].0]);
    rotate(&bench.repository);
    let effect = Effect::FailBefore(Failure::Unavailable);
    let fault =
        Fault { verb: Some(Verb::PutNew), prefix: "session/".to_owned(), nth: 2, recurrence: Recurrence::Once, effect };
    let faulty = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
    bench.clock.advance_hours(24);
    let data = rows(1_600, 7);
    let report = backup(&faulty, "app", &[("t", Shape::Rows, &data)], BackupOptions::default()).unwrap();
    assert!(!report.findings.is_empty(), "its end is missing");
    let status = || bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status().state, ErasureState::Interim, "only the end of a run proves that its old index is gone");
    // The next run of the host ends it.
    nights(&bench, 1);
    assert_eq!(status().state, ErasureState::Complete);
}

#[test]
fn a_writer_that_was_vouched_for_and_runs_again_is_waited_for_again() {
    let bench = alone();
    let made = nights(&bench, 3);
    erase(&bench.repository, &[made[0].0]);
    rotate(&bench.repository);
    let status = || bench.repository.erasures().unwrap().pop().unwrap();
    let writer = status().pending[0].item.clone();
    assert!(writer.starts_with("writer:"), "{writer}");
    bench.repository.attest(&writer, Declared::Destroyed).unwrap();
    assert_eq!(status().state, ErasureState::Complete);
    // It was not destroyed after all.
    nights(&bench, 1);
    erase(&bench.repository, &[made[1].0]);
    rotate(&bench.repository);
    let second = status();
    assert_eq!(second.state, ErasureState::Interim);
    assert!(second.pending.iter().any(|item| item.item == writer), "{:?}", second.pending);
}

#[test]
fn nobody_can_vouch_for_a_cell_that_is_seen_with_the_old_seal() {
    let bench = alone();
    let made = nights(&bench, 2);
    let path = bench.report.cells[0].strip_prefix("file:").unwrap().to_owned();
    let old = std::fs::read(&path).unwrap();
    erase(&bench.repository, &[made[0].0]);
    rotate(&bench.repository);
    nights(&bench, 1);
    let status = || bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status().state, ErasureState::Complete);
    // A backup of the cell's file comes back: the slot of the old seal beside the new one.
    let mut both = std::fs::read(&path).unwrap();
    let slot = lacre_seal::cell::SLOT_BYTES;
    both[15 * slot..].copy_from_slice(&old[..slot]);
    std::fs::write(&path, both).unwrap();
    let seen = status();
    assert_eq!(seen.state, ErasureState::Interim);
    assert!(matches!(bench.repository.attest(&seen.pending[0].item, Declared::Lost), Err(Error::Usage { .. })));
    rotate(&bench.repository);
    assert_eq!(status().state, ErasureState::Complete, "a rotation forgets strays");
}

#[test]
fn a_cool_down_keeps_what_it_may_give_back() {
    let bench = alone();
    let made = nights(&bench, 3);
    let plan = bench.repository.plan_erase(&[made[1].0], LastVerified::Keep).unwrap();
    let due = Millis(bench.repository.snapshots().unwrap().rows[2].taken.0 + 48 * 3_600_000);
    let reason = EraseReason { not_before: Some(due), ..EraseReason::default() };
    let erasure = bench.repository.intend_erase(&plan, &reason).unwrap();
    let options = PruneOptions { skew_max: Duration::MAX, ..PruneOptions::default() };
    bench.repository.prune(&options, &Silent).unwrap();
    rotate(&bench.repository);
    bench.repository.prune(&options, &Silent).unwrap();
    bench.repository.cancel_erase(erasure).unwrap();
    assert_reads(&bench, &made);
}

#[test]
fn a_word_on_one_restore_says_nothing_of_the_next() {
    let bench = alone();
    let victim = nights(&bench, 5)[0].0;
    // It died: nothing ever says that it ended.
    bench.repository.record_restore_begun(victim).unwrap();
    let erasure = erase(&bench.repository, &[victim]);
    rotate(&bench.repository);
    let waits = || -> Vec<String> {
        let all = bench.repository.erasures().unwrap();
        let status = all.into_iter().find(|status| status.erasure == erasure).unwrap();
        status.pending.into_iter().map(|pending| pending.item).filter(|item| item.starts_with("restore:")).collect()
    };
    let [first] = waits().try_into().unwrap();
    bench.repository.attest(&first, Declared::Destroyed).unwrap();
    assert!(waits().is_empty());
    let begun = bench.repository.record_restore_begun(victim).unwrap();
    let [second] = waits().try_into().unwrap();
    assert_ne!(first, second);
    bench.repository.record_restore_ended(victim, begun).unwrap();
    assert!(waits().is_empty());
    // Its end was its own: what nobody ever saw end is still only vouched for.
    assert_eq!(bench.repository.view().unwrap().ledger.restoring[&victim].len(), 1);
    let declared = bench.repository.erasures().unwrap().into_iter().flat_map(|status| status.declared);
    assert_eq!(declared.map(|word| word.item).collect::<Vec<_>>(), [first]);
}
