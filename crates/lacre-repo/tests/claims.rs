//! What the model of the protocol asks beyond the rules as they stood: claims that are taken over in two steps, policies that nobody
//! follows, sessions of one's own home, and when an erasure is complete. `docs/decisions/protocol-model.md` names a test here for each.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use lacre_format::{
    codec,
    erasure::{ClaimOutcome, Declared},
    ids::{Digest, GenerationId, JobName, SnapshotId, Token},
    keyring::KeyEnvelope,
    name::{Named, ObjectName},
    object::Kind,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Repository, Silent,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        erase::{EraseReason, ErasureState, LastVerified},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::PruneOptions,
        rotate::{RotateOptions, RotationReport, RotationState},
    },
    store::{
        Store, Verb,
        fault::{Effect, Failure, Fault, FaultPlan, Recurrence},
    },
};
use lacre_seal::{key_entry::make_key_entry, outer::SealPublic, recipient::Recipient, secret::SnapshotKey};
use support::{Bench, backup, read, rows};

const OBJECT_BYTES_MAX: u64 = 1 << 24;

fn alone() -> Bench {
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    Bench::with_options(tempfile::tempdir().unwrap(), Store::memory(), options)
}

fn nights(bench: &Bench, count: u64) -> Vec<(SnapshotId, Vec<u8>)> {
    let night = |number| {
        bench.clock.advance_hours(24);
        let data = rows(1_200 + number * 20, 7);
        (bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
    };
    (0..count).map(night).collect()
}

fn rotate(repository: &Repository) -> Result<RotationReport, Error> {
    repository.rotate(&RotateOptions::default(), &ReadKeys::default())
}

fn erase(repository: &Repository, snapshot: SnapshotId) -> Token {
    let plan = repository.plan_erase(&[snapshot], LastVerified::Keep).unwrap();
    repository.intend_erase(&plan, &EraseReason::default()).unwrap()
}

/// A process that dies at, or right after, its nth call of a verb on names that begin so.
fn dying(bench: &Bench, verb: Verb, prefix: &str, nth: u64, effect: Effect) -> Repository {
    let fault = Fault { verb: Some(verb), prefix: prefix.to_owned(), nth, recurrence: Recurrence::Once, effect };
    bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }))
}

/// Takes an object out of the store, as if its request were still on its way; gives it to be put back.
fn delayed(store: &Store, prefix: &str) -> (ObjectName, Bytes) {
    let newest = store.list(prefix).unwrap().objects.pop().unwrap().name;
    let name = ObjectName::from_path(&newest).unwrap();
    let bytes = store.get(&name, OBJECT_BYTES_MAX).unwrap();
    store.delete(&name).unwrap();
    (name, bytes)
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

fn outcomes(repository: &Repository) -> Vec<Option<ClaimOutcome>> {
    repository.view().unwrap().ledger.claims.iter().map(|state| state.outcome).collect()
}

/// The test's clock stands; the store's goes.
fn no_skew() -> PruneOptions {
    PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() }
}

fn assert_reads(bench: &Bench, nights: &[(SnapshotId, Vec<u8>)]) {
    for (snapshot, data) in nights {
        assert_eq!(read(&bench.reopen(), *snapshot, &bench.keys(), "t").unwrap(), *data, "{snapshot}");
    }
}

#[test]
fn a_rotation_that_died_before_it_published_begins_under_a_new_claim() {
    let bench = alone();
    let made = nights(&bench, 2);
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::Crash)).is_err());
    assert_eq!(outcomes(&bench.reopen()), [None]);
    assert_eq!(rotate(&bench.reopen()).unwrap().state, RotationState::Closed);
    assert_eq!(outcomes(&bench.reopen()), [Some(ClaimOutcome::Voided), Some(ClaimOutcome::Closed)]);
    let claims = bench.reopen().view().unwrap().ledger.claims;
    assert_eq!(claims[1].claim.adopts, Some(claims[0].claim.id));
    assert_reads(&bench, &made);
}

#[test]
fn a_policy_that_lands_after_its_claim_was_voided_is_passed_over_by_every_reader() {
    let bench = alone();
    let made = nights(&bench, 2);
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::CrashAfter)).is_err());
    let dead_generation = bench.reopen().view().unwrap().policy.generation;
    std::fs::remove_file(bench.home_files().join("pin")).unwrap();
    let (name, bytes) = delayed(&bench.store, "policy");
    // A host that has seen nothing of it, and one that has pinned it.
    let report = rotate(&bench.reopen()).unwrap();
    assert_eq!((report.state, report.to.number), (RotationState::Closed, 1));
    assert_ne!(report.to, dead_generation);
    let _created = bench.store.put_new(&name, bytes).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger =
        Repository::open(bench.store.clone(), &Home::open(elsewhere.path()).unwrap(), bench.clock.clone()).unwrap();
    for repository in [bench.reopen(), stranger] {
        let view = repository.view().unwrap();
        assert_eq!((view.policy.generation, view.policy.number), (report.to, 1));
    }
    assert_reads(&bench, &made);
    let night = nights(&bench, 1);
    assert_eq!(rotate(&bench.reopen()).unwrap().to.number, 2);
    assert_reads(&bench, &[made, night].concat());
}

#[test]
fn a_host_that_pinned_a_policy_before_its_claim_was_voided_goes_on() {
    let bench = alone();
    let made = nights(&bench, 2);
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::CrashAfter)).is_err());
    let pinned = tempfile::tempdir().unwrap();
    copy_tree(&bench.directory.path().join("home"), pinned.path());
    let other =
        || Repository::open(bench.store.clone(), &Home::open(pinned.path()).unwrap(), bench.clock.clone()).unwrap();
    assert_eq!(other().view().unwrap().policy.number, 1, "it has seen and pinned the policy");
    let (name, bytes) = delayed(&bench.store, "policy");
    assert!(bench.reopen().withdraw_claim().unwrap());
    let _created = bench.store.put_new(&name, bytes).unwrap();
    assert_eq!(other().view().unwrap().policy.number, 0, "what it had pinned is void");
    assert_reads(&bench, &made);
}

#[test]
fn nobody_builds_on_a_policy_whose_claim_is_in_doubt() {
    let bench = alone();
    let made = nights(&bench, 2);
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::CrashAfter)).is_err());
    std::fs::remove_file(bench.home_files().join("pin")).unwrap();
    let (name, bytes) = delayed(&bench.store, "policy");
    // The next run says that it takes the claim's place, and dies before it has looked what that had published.
    assert!(rotate(&dying(&bench, Verb::PutNew, "log", 1, Effect::CrashAfter)).is_err());
    let _created = bench.store.put_new(&name, bytes).unwrap();
    let view = bench.reopen().view().unwrap();
    assert!(view.ledger.is_in_doubt(view.policy.claim.unwrap()));
    let refused =
        backup(&bench.reopen(), "app", &[("t", Shape::Rows, &rows(900, 7))], BackupOptions::default()).unwrap_err();
    assert!(matches!(&refused, Error::Overtaken { why } if why.contains("newest policy counts")), "{refused}");
    // It landed before anybody looked, so it counts, and the next run finishes it.
    let report = rotate(&bench.reopen()).unwrap();
    assert_eq!(report.state, RotationState::Closed);
    assert!(outcomes(&bench.reopen()).contains(&Some(ClaimOutcome::Adopted)), "{:?}", outcomes(&bench.reopen()));
    assert_reads(&bench, &made);
    let night = nights(&bench, 1);
    assert_reads(&bench, &night);
}

#[test]
fn a_policy_change_that_failed_counts_for_nobody_whenever_its_request_lands() {
    // Of two policies with one number the digest decides: once would prove nothing.
    for round in 0..8 {
        let bench = alone();
        let made = nights(&bench, 1);
        let lost = |verb, effect| Fault {
            verb: Some(verb),
            prefix: "policy/00000001".to_owned(),
            nth: 1,
            recurrence: Recurrence::Once,
            effect,
        };
        let faults = vec![
            lost(Verb::PutNew, Effect::FailAfter(Failure::Unavailable)),
            lost(Verb::Get, Effect::FailBefore(Failure::Unavailable)),
        ];
        let failed = bench.reopen_over(bench.store.with_faults(FaultPlan { faults })).delegate(None);
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(outcomes(&bench.reopen()), [Some(ClaimOutcome::Withdrawn)], "{round}");
        // Its request was not in the store yet when anybody looked.
        let (name, bytes) = delayed(&bench.store, "policy");
        let _gone = std::fs::remove_file(bench.home_files().join("pin"));
        let report = rotate(&bench.reopen()).unwrap();
        assert_eq!((report.state, report.to.number), (RotationState::Closed, 1));
        let _created = bench.store.put_new(&name, bytes).unwrap();
        let view = bench.reopen().view().unwrap();
        assert_eq!((view.policy.number, view.policy.generation), (1, report.to), "{round}");
        let night = nights(&bench, 1);
        assert_reads(&bench, &[made, night].concat());
    }
}

/// What anybody with the right to PUT, and a thief of a writer's key, can put into an inbox under a snapshot's name.
fn poison(bench: &Bench, inbox: GenerationId, snapshot: SnapshotId) {
    let view = bench.reopen().view().unwrap();
    let header = &view.snapshots[&snapshot].header;
    let own = ObjectName::of(&Named::KeyEntry(header.generation, snapshot, header.token));
    let envelope = bench.store.get(&own, OBJECT_BYTES_MAX).unwrap();
    for (number, bytes) in [(1, Bytes::from_static(b"garbage")), (2, envelope)] {
        let name = ObjectName::of(&Named::KeyEntry(inbox, snapshot, Token::new([number; 16])));
        let _created = bench.store.put_new(&name, bytes).unwrap();
    }
}

#[test]
fn a_name_in_the_new_inbox_keeps_no_entry_from_being_carried() {
    let bench = alone();
    let made = nights(&bench, 2);
    bench.repository.forget_one(made[0].0).unwrap();
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::CrashAfter)).is_err());
    let generation = bench.reopen().view().unwrap().policy.generation;
    poison(&bench, generation, made[0].0);
    poison(&bench, generation, made[1].0);
    // Published and not on record yet: whoever takes the forget back is in time.
    bench.reopen().unforget(made[0].0).unwrap();
    assert_eq!(rotate(&bench.reopen()).unwrap().state, RotationState::Closed);
    assert_reads(&bench, &made);
    assert_eq!(rotate(&bench.reopen()).unwrap().state, RotationState::Closed);
    assert_reads(&bench, &made);
}

#[test]
fn a_name_in_the_inbox_brings_nobody_back_and_keeps_no_erasure_open() {
    let bench = alone();
    let made = nights(&bench, 3);
    erase(&bench.reopen(), made[0].0);
    let report = rotate(&bench.reopen()).unwrap();
    nights(&bench, 1);
    assert_eq!(pending(&bench), (ErasureState::Complete, Vec::new()));
    let header_generation = bench.reopen().view().unwrap().snapshots[&made[0].0].header.generation;
    assert_ne!(header_generation, report.to);
    poison(&bench, report.to, made[0].0);
    let cell = bench.report.cells[0].strip_prefix("file:").unwrap().to_owned();
    let aside = format!("{cell}.aside");
    for has_seal in [true, false] {
        if !has_seal {
            std::fs::rename(&cell, &aside).unwrap();
        }
        let items = pending(&bench).1;
        assert!(!items.iter().any(|item| item.starts_with("entry:")), "{has_seal}: {items:?}");
        let held = bench.reopen().hold(made[0].0, "too late");
        assert!(matches!(held, Err(Error::Erased { .. })), "{has_seal}: {held:?}");
        let undone = bench.reopen().unforget(made[0].0);
        assert!(matches!(undone, Err(Error::Erased { .. })), "{has_seal}: {undone:?}");
    }
    std::fs::rename(&aside, &cell).unwrap();
    assert_eq!(pending(&bench), (ErasureState::Complete, Vec::new()));
    assert!(bench.reopen().view().unwrap().held.is_empty());
}

/// A run that is stopped in the middle; its host is copied while it is.
fn opened<'r>(repository: &'r Repository, data: &[u8]) -> lacre_repo::op::backup::Backup<'r> {
    use std::io::Write as _;
    let job = JobName::parse("app").unwrap();
    let mut run = repository.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let spec = StreamSpec {
        name: "t".to_owned(),
        kind: StreamKind::Opaque,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = run.stream(spec).unwrap();
    stream.write_all(data).unwrap();
    stream.finish(Rows::default()).unwrap();
    run
}

fn facts() -> SourceFacts {
    SourceFacts {
        kind: "file".to_owned(),
        facts: std::collections::BTreeMap::new(),
        findings: Vec::new(),
        source_ms: 1,
    }
}

#[test]
fn an_unfinished_session_of_ones_own_home_is_voided_and_a_clone_cannot_commit_it() {
    for is_admin in [true, false] {
        let bench = alone();
        nights(&bench, 1);
        let run = opened(&bench.repository, &rows(1_000, 8));
        let session = run.snapshot();
        let clone = tempfile::tempdir().unwrap();
        copy_tree(&bench.directory.path().join("home"), clone.path());
        let admin_key = clone.path().join("repos").join(bench.repository.id().to_string()).join("admin.key");
        if !is_admin {
            std::fs::remove_file(&admin_key).unwrap();
        }
        let other =
            Repository::open(bench.store.clone(), &Home::open(clone.path()).unwrap(), bench.clock.clone()).unwrap();
        backup(&other, "app", &[("t", Shape::Rows, &rows(1_100, 8))], BackupOptions::default()).unwrap();
        let names = |folder: &str| -> Vec<String> {
            bench.store.list(folder).unwrap().objects.into_iter().map(|object| object.name).collect()
        };
        assert!(!names("session").contains(&format!("session/{session}/end")), "it was not ended: {is_admin}");
        assert!(names("void").contains(&format!("void/{session}/intent")), "{is_admin}");
        assert_eq!(names("void").contains(&format!("void/{session}/final")), is_admin);
        // The one that was taken for dead is not: it may not acknowledge its snapshot any more.
        let refused = run.commit(facts()).unwrap_err();
        assert!(matches!(refused, Error::Overtaken { .. }), "{refused}");
        if is_admin {
            assert!(!bench.reopen().view().unwrap().is_live(session));
        }
    }
}

#[test]
fn a_session_that_its_writer_gave_up_is_collected_without_waiting() {
    let bench = alone();
    nights(&bench, 1);
    let run = opened(&bench.repository, &rows(1_000, 8));
    let session = run.snapshot();
    let writer = tempfile::tempdir().unwrap();
    copy_tree(&bench.directory.path().join("home"), writer.path());
    let keys = writer.path().join("repos").join(bench.repository.id().to_string());
    std::fs::remove_file(keys.join("admin.key")).unwrap();
    let host = Repository::open(bench.store.clone(), &Home::open(writer.path()).unwrap(), bench.clock.clone()).unwrap();
    backup(&host, "app", &[("t", Shape::Rows, &rows(1_100, 8))], BackupOptions::default()).unwrap();
    let view = bench.reopen().view().unwrap();
    assert!(view.given_up.contains(&session) && !view.voided.contains(&session));
    bench.reopen().prune(&no_skew(), &Silent).unwrap();
    assert!(bench.reopen().view().unwrap().voided.contains(&session), "no 48 hours had passed");
}

#[test]
fn a_writers_key_alone_voids_nothing_that_was_committed() {
    let bench = alone();
    let made = nights(&bench, 2);
    let (victim, _) = &made[0];
    // With the writer's own key: an intent for a committed snapshot, as a thief of that key could write it.
    let keys = bench.repository.home().writer_keys().unwrap();
    for (stage, named) in [
        (lacre_format::session::VoidStage::Intent, Named::VoidIntent(*victim)),
        (lacre_format::session::VoidStage::Final, Named::Void(*victim)),
    ] {
        let void = lacre_format::session::Void {
            repository: bench.repository.id(),
            snapshot: *victim,
            at: lacre_format::ids::Millis(0),
            stage,
        };
        let payload = lacre_format::codec::to_cbor(&void);
        let kind = lacre_format::object::Kind::Void;
        let signed = keys.signer.key.sign(kind, bench.repository.id(), keys.signer.home, payload);
        let _created = bench.store.put_new(&ObjectName::of(&named), signed.encode(kind).into()).unwrap();
    }
    let view = bench.reopen().view().unwrap();
    assert!(view.is_live(*victim) && !view.voided.contains(victim));
    assert!(view.findings.iter().any(|finding| finding.object.contains("final")), "{:?}", view.findings);
    bench.reopen().prune(&no_skew(), &Silent).unwrap();
    assert_reads(&bench, &made);
}

fn pending(bench: &Bench) -> (ErasureState, Vec<String>) {
    let status = bench.reopen().erasures().unwrap().pop().unwrap();
    (status.state, status.pending.into_iter().map(|item| item.item).collect())
}

/// An entry of a snapshot under the seal of today, as an admin carries one.
fn carried_late(bench: &Bench, snapshot: SnapshotId) {
    let view = bench.reopen().view().unwrap();
    let admin = bench.repository.home().admin_key().unwrap();
    let (id, generation) = (bench.repository.id(), view.policy.generation);
    let key = SnapshotKey::generate(snapshot).unwrap();
    let recipient = Recipient::from_record(view.policy.recipients[0].kind, &view.policy.recipients[0].bytes).unwrap();
    let number = view.policy.number;
    let mut entry =
        make_key_entry(&key, id, snapshot, number, &[recipient], lacre_repo::Clock::now(&*bench.clock).into()).unwrap();
    entry.key_commitment = view.snapshots[&snapshot].header.key_commitment;
    let signed = admin.key.sign(Kind::KeyEntry, id, admin.home, codec::to_cbor(&entry)).encode(Kind::KeyEntry);
    let public = SealPublic::from_bytes(&view.policy.seal_public).unwrap();
    let digest = Digest::new(*blake3::hash(&signed).as_bytes());
    let envelope = KeyEnvelope { snapshot, generation, entry: digest, sealed: public.seal(&signed).unwrap() };
    let object = admin.key.sign(Kind::KeyEnvelope, id, admin.home, codec::to_cbor(&envelope));
    let name = ObjectName::of(&Named::KeyEntry(generation, snapshot, Token::new([7; 16])));
    let _created = bench.store.put_new(&name, object.encode(Kind::KeyEnvelope).into()).unwrap();
}

#[test]
fn an_entry_under_the_new_seal_keeps_an_erasure_open_until_another_rotation() {
    let bench = alone();
    let made = nights(&bench, 3);
    erase(&bench.reopen(), made[0].0);
    rotate(&bench.reopen()).unwrap();
    nights(&bench, 1);
    assert_eq!(pending(&bench), (ErasureState::Complete, Vec::new()));
    carried_late(&bench, made[0].0);
    assert_eq!(pending(&bench), (ErasureState::Interim, vec![format!("entry:{}", made[0].0)]));
    assert_eq!(rotate(&bench.reopen()).unwrap().state, RotationState::Closed);
    assert_eq!(pending(&bench).0, ErasureState::Complete);
    assert_reads(&bench, &made[1..]);
}

#[test]
fn that_an_index_is_clean_is_proved_by_the_end_of_a_session_not_by_its_snapshot() {
    let bench = alone();
    let made = nights(&bench, 3);
    erase(&bench.reopen(), made[0].0);
    rotate(&bench.reopen()).unwrap();
    // The snapshot is committed, and the host dies before its old index is destroyed and the session ended.
    let died = dying(&bench, Verb::PutNew, "session", 2, Effect::Crash);
    let after = backup(&died, "app", &[("t", Shape::Rows, &rows(1_300, 7))], BackupOptions::default());
    assert!(after.is_ok_and(|report| !report.findings.is_empty()), "it stands, and says that something is left");
    let (state, items) = pending(&bench);
    assert_eq!(state, ErasureState::Interim);
    assert!(items.iter().any(|item| item.starts_with("writer:")), "{items:?}");
    nights(&bench, 1);
    assert_eq!(pending(&bench), (ErasureState::Complete, Vec::new()));
}

#[test]
fn a_voided_session_that_began_before_an_erasure_has_to_be_declared_dead() {
    let bench = alone();
    let made = nights(&bench, 3);
    let run = opened(&bench.repository, &rows(1_000, 8));
    let session = run.snapshot();
    let clone = tempfile::tempdir().unwrap();
    copy_tree(&bench.directory.path().join("home"), clone.path());
    erase(&bench.reopen(), made[0].0);
    rotate(&bench.reopen()).unwrap();
    assert!(pending(&bench).1.contains(&format!("session:{session}")), "it is open");
    let other = Repository::open(bench.store.clone(), &Home::open(clone.path()).unwrap(), bench.clock.clone()).unwrap();
    backup(&other, "app", &[("t", Shape::Rows, &rows(1_100, 8))], BackupOptions::default()).unwrap();
    assert!(bench.reopen().view().unwrap().voided.contains(&session));
    assert_eq!(
        pending(&bench),
        (ErasureState::Interim, vec![format!("session:{session}")]),
        "its process may only sleep"
    );
    bench.reopen().attest(&format!("session:{session}"), Declared::Destroyed).unwrap();
    assert_eq!(pending(&bench).0, ErasureState::Complete);
    drop(run);
}

#[test]
fn what_is_carried_late_lies_in_the_second_place_too() {
    let bench = alone();
    let made = nights(&bench, 2);
    // A hold that comes between the publication and the second look: the entry is carried late.
    bench.repository.forget_one(made[0].0).unwrap();
    assert!(rotate(&dying(&bench, Verb::PutNew, "policy", 1, Effect::CrashAfter)).is_err());
    let refused = bench.reopen().hold(made[0].0, "court");
    let report = rotate(&bench.reopen()).unwrap();
    assert_eq!(report.state, RotationState::Closed);
    let late: Vec<String> = bench
        .store
        .list(&format!("keyring/in/{}", report.to))
        .unwrap()
        .objects
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(late.len(), 1, "{refused:?} {late:?}");
    let kept = bench.home_files().join("keyring").join(late[0].replacen("keyring/in/", "", 1).replacen('/', ".", 1));
    let stored = bench.store.get(&ObjectName::from_path(&late[0]).unwrap(), OBJECT_BYTES_MAX).unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), stored, "{}", kept.display());
    assert_reads(&bench, &made);
}
