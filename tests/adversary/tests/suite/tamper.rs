//! A store that lies about erasures, and people who hold one key too many: each refused in words of its own.

use std::path::PathBuf;

use lacre_adversary::{Loot, Siege};
use lacre_format::{
    codec,
    erasure::IntentEnd,
    ids::{Digest, Millis, SnapshotId, Token},
    keyring::KeyEnvelope,
    log::{Event, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
    policy::Policy,
    signed::Signed,
};
use lacre_repo::{
    Error, Finding, Repository, Severity,
    home::{Home, Signer},
    op::{erase::ErasureState, keys::ReadKeys, prune::PruneOptions, rotate::RotateOptions, snapshots::SnapshotState},
    store::Store,
};
use lacre_seal::{identity::Identity, outer::SealPublic};

use crate::{recorder::files_below, scene::Scene, support::read};

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

/// The repository as a machine sees it that remembers nothing but has read everything.
fn anew(scene: &Scene) -> Repository {
    scene.repository().rebuild().unwrap();
    scene.bench.reopen()
}

fn path_of(scene: &Scene, name: &str) -> PathBuf {
    scene.bench.directory.path().join("repository").join(name)
}

fn put(scene: &Scene, name: &str, bytes: &[u8]) {
    let path = path_of(scene, name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn admin(scene: &Scene) -> Signer {
    scene.repository().home().admin_key().unwrap()
}

/// The admin's log: names and entries, oldest first.
fn log(scene: &Scene) -> Vec<(String, LogEntry)> {
    let entry = |name: String| {
        let signed = Signed::decode(Kind::LogEntry, &std::fs::read(path_of(scene, &name)).unwrap()).unwrap();
        (name, codec::from_cbor::<LogEntry>("log entry", &signed.payload).unwrap())
    };
    let mut entries: Vec<_> = names(scene, "log").into_iter().map(entry).collect();
    entries.sort_by_key(|(_, entry)| entry.seq);
    entries
}

fn names(scene: &Scene, folder: &str) -> Vec<String> {
    scene.bench.store.list(folder).unwrap().objects.into_iter().map(|object| object.name).collect()
}

fn intent_of(scene: &Scene) -> String {
    let is_intent = |entry: &LogEntry| matches!(entry.event(), Ok(Event::EraseIntent(_)));
    log(scene).into_iter().find(|(_, entry)| is_intent(entry)).unwrap().0
}

#[track_caller]
fn assert_told(findings: &[Finding], severity: Severity, words: &str) {
    let told = findings.iter().any(|finding| finding.severity == severity && finding.what.contains(words));
    assert!(told, "{words:?} is not among {findings:?}");
}

/// Whatever was done to the store, what was erased stays shut and what lives comes back.
#[track_caller]
fn assert_shut(scene: &Scene, dead: SnapshotId) {
    let refused = read(&scene.bench.reopen(), dead, &scene.bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::Erased { .. } | Error::EntryMissing { .. }), "{refused}");
    for (snapshot, data) in scene.nights.iter().filter(|(snapshot, _)| **snapshot != dead) {
        assert_eq!(read(&scene.bench.reopen(), *snapshot, &scene.bench.keys(), "t").unwrap(), *data);
    }
}

#[test]
fn an_intent_taken_out_of_the_log_is_a_gap_and_brings_nothing_back() {
    let (scene, made) = Scene::after(3);
    scene.erase(&made[1..2]);
    std::fs::remove_file(path_of(&scene, &intent_of(&scene))).unwrap();
    let view = anew(&scene).view().unwrap();
    assert_told(&view.findings, Severity::Damage, "the log has a gap before this entry");
    assert!(!view.is_live(made[1]), "the record of the rotation says that it is gone");
    assert_shut(&scene, made[1]);
}

#[test]
fn log_entries_in_each_others_place_are_damage() {
    let (scene, made) = Scene::after(3);
    scene.erase(&made[1..2]);
    let entries = log(&scene);
    let (one, other) = (path_of(&scene, &entries[0].0), path_of(&scene, &entries[1].0));
    let (first, second) = (std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
    std::fs::write(one, second).unwrap();
    std::fs::write(other, first).unwrap();
    let view = anew(&scene).view().unwrap();
    assert_told(&view.findings, Severity::Damage, "its bytes do not hash to its name");
    assert_shut(&scene, made[1]);
}

#[test]
fn a_log_entry_under_another_number_is_damage() {
    let (scene, made) = Scene::after(3);
    scene.erase(&made[1..2]);
    let (name, entry) = log(&scene).pop().unwrap();
    let bytes = std::fs::read(path_of(&scene, &name)).unwrap();
    let later = ObjectName::of(&Named::Log(entry.home, entry.seq + 1, digest(&bytes)));
    put(&scene, later.as_str(), &bytes);
    let view = anew(&scene).view().unwrap();
    assert_told(&view.findings, Severity::Damage, "it is another entry's object");
    assert_shut(&scene, made[1]);
}

/// An entry of the admin's chain with any content, signed by whomever.
fn forged(scene: &Scene, signer: &Signer, seq: u32, previous: Option<Digest>, event: &Event) -> (String, Vec<u8>) {
    let (kind, body) = event.encode();
    let home = admin(scene).home;
    let at = Millis(0);
    let entry = LogEntry { repository: scene.repository().id(), home, seq, previous, at, kind, body: body.into() };
    let signed = signer.key.sign(Kind::LogEntry, entry.repository, home, codec::to_cbor(&entry));
    let bytes = signed.encode(Kind::LogEntry);
    (ObjectName::of(&Named::Log(home, seq, digest(&bytes))).as_str().to_owned(), bytes)
}

#[test]
fn a_forked_log_is_told_and_both_branches_count() {
    let (scene, made) = Scene::after(3);
    let erasure = scene.intend(&made[1..2]);
    // A copy of the admin's machine writes an entry of the same number: a hold on another snapshot.
    let named = lacre_format::log::Named { snapshots: vec![made[2]], reason: "audit".to_owned() };
    let (_, last) = log(&scene).pop().unwrap();
    let (name, bytes) = forged(&scene, &admin(&scene), last.seq, last.previous, &Event::Hold(named));
    put(&scene, &name, &bytes);
    let view = anew(&scene).view().unwrap();
    assert_told(&view.findings, Severity::Warning, "two entries have number");
    assert!(view.held.contains_key(&made[2]), "the hold counts");
    assert!(!view.is_live(made[1]), "the intent counts");
    scene.rotate();
    assert_ne!(scene.status(erasure).state, ErasureState::Pending);
    assert_shut(&scene, made[1]);
}

#[test]
fn an_entry_that_the_writers_key_signed_into_the_admins_log_gives_no_erasure_up() {
    let (scene, made) = Scene::after(3);
    let erasure = scene.intend(&made[1..2]);
    let writer = scene.repository().home().writer_keys().unwrap().signer;
    let (name, last) = log(&scene).pop().unwrap();
    let tip = digest(&std::fs::read(path_of(&scene, &name)).unwrap());
    let end = Event::IntentEnd(IntentEnd { id: erasure });
    let (name, bytes) = forged(&scene, &writer, last.seq + 1, Some(tip), &end);
    put(&scene, &name, &bytes);
    let view = anew(&scene).view().unwrap();
    assert_told(&view.findings, Severity::Damage, "signature");
    assert!(view.ledger.intents.iter().all(|intent| !intent.cancelled));
    // The forged entry lies where the admin's next would: it is passed by, and the erasure goes on.
    scene.rotate();
    assert_shut(&scene, made[1]);
}

#[test]
fn a_policy_with_an_injected_recipient_is_ignored_and_nothing_is_wrapped_to_him() {
    let (mut scene, _) = Scene::after(1);
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let view = scene.repository().view().unwrap();
    let mut policy: Policy = view.policy.clone();
    policy.number += 1;
    policy.previous = Some(view.policy_digest);
    let (kind, bytes) = recipient.to_record();
    policy.recipients.push(lacre_format::policy::RecipientEntry {
        kind,
        bytes,
        label: "friend".to_owned(),
        locked_identity: None,
    });
    let writer = scene.repository().home().writer_keys().unwrap().signer;
    let admin_home = admin(&scene).home;
    // By the writer in his own name, and in the admin's.
    for home in [writer.home, admin_home] {
        let signed = writer.key.sign(Kind::Policy, view.repository, home, codec::to_cbor(&policy));
        let object = signed.encode(Kind::Policy);
        put(&scene, ObjectName::of(&Named::Policy(policy.number, digest(&object))).as_str(), &object);
    }
    let view = anew(&scene).view().unwrap();
    assert_eq!(view.policy.number + 1, policy.number, "the tip is the admin's");
    assert_told(&view.findings, Severity::Warning, "a policy that no admin of the policy before it signed");
    let night = scene.night();
    // The friend has everything else: all objects, and the seal.
    let mut loot = scene.loot();
    loot.files.retain(|(name, _)| name.ends_with(".cell"));
    loot.files.push(("friend.txt".to_owned(), secret.expose().as_bytes().to_vec()));
    let spoils = Siege::of(&loot);
    assert!(!spoils.entries.is_empty(), "the seal opens the outer layer");
    assert!(spoils.snapshot_keys.is_empty(), "and nothing is wrapped to him");
    loot.files.extend(scene.loot().files.into_iter().filter(|(name, _)| name.ends_with("identity.txt")));
    assert!(Siege::of(&loot).roots.contains_key(&night), "the recipient of the policy opens it");
}

#[test]
fn a_key_entry_exchanged_for_anothers_stops_a_rotation_and_costs_no_other() {
    let (scene, made) = Scene::after(3);
    let of = |snapshot: SnapshotId| {
        let mut all = names(&scene, "keyring/in").into_iter();
        all.find(|name| name.contains(&snapshot.to_string())).unwrap()
    };
    let other = std::fs::read(path_of(&scene, &of(made[2]))).unwrap();
    std::fs::write(path_of(&scene, &of(made[1])), other).unwrap();
    let repository = anew(&scene);
    let refused = read(&repository, made[1], &scene.bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::EntryMissing { snapshot } if snapshot == made[1]), "{refused}");
    assert_eq!(read(&repository, made[2], &scene.bench.keys(), "t").unwrap(), scene.nights[&made[2]]);
    let refused = repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap_err();
    assert!(matches!(refused, Error::EntryMissing { snapshot } if snapshot == made[1]), "{refused}");
}

#[test]
fn a_stale_policy_is_refused_by_whoever_has_seen_a_newer_one() {
    let (scene, made) = Scene::after(2);
    scene.erase(&made[..1]);
    let newest = names(&scene, "policy").pop().unwrap();
    std::fs::remove_file(path_of(&scene, &newest)).unwrap();
    let refused = scene.bench.reopen().view().map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("this host has seen number 1"), "{refused}");
    let refused = scene.bench.reopen().rotate(&RotateOptions::default(), &ReadKeys::default()).map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("this host has seen number 1"), "{refused}");
}

/// Puts back whatever of a recording is not in the store.
fn put_back(scene: &Scene, recorded: &Loot, wanted: &dyn Fn(&str) -> bool) -> usize {
    let there: Vec<String> = names(scene, "");
    let gone = recorded.objects.iter().filter(|(name, _)| !there.contains(name) && wanted(name));
    gone.map(|(name, bytes)| put(scene, name, bytes)).count()
}

#[test]
fn an_erased_snapshot_put_back_from_an_old_copy_stays_erased() {
    let (mut scene, made) = Scene::after(3);
    let old = scene.loot();
    let erasure = scene.erase(&made[1..2]);
    scene.night();
    assert_eq!(scene.status(erasure).state, ErasureState::Complete);
    let options = PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() };
    let pruned = scene.repository().prune(&options, &lacre_repo::Silent).unwrap();
    assert_eq!(pruned.snapshots, 1, "{pruned:?}");
    assert!(put_back(&scene, &old, &|_| true) > 2);
    let repository = anew(&scene);
    let refused = read(&repository, made[1], &scene.bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::Erased { .. } | Error::Reclaimed { .. }), "{refused}");
    let rows = repository.snapshots().unwrap().rows;
    assert!(rows.iter().all(|row| row.snapshot != made[1] || row.state == SnapshotState::Erased));
    // Nor does the next rotation carry it.
    assert!(!scene.rotate().dropped.contains(&made[1]));
    let before = Siege::of(&old);
    scene.assert_dead(&before, &made[1..2], "put back");
}

#[test]
fn an_erased_snapshot_whose_key_entry_somebody_kept_and_sealed_anew_is_refused_and_dies_again() {
    let (scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    scene.erase(&made[1..2]);
    let view = scene.repository().view().unwrap();
    // Somebody who could open the old seal kept the entries, and holds the writer's key: he seals the dead one's to the new seal.
    let kept = before.entries.iter().find(|entry| {
        let signed = Signed::decode(Kind::KeyEntry, entry).unwrap();
        let known: lacre_format::keyring::KeyEntry = codec::from_cbor("key entry", &signed.payload).unwrap();
        known.snapshot == made[1]
    });
    let kept = kept.unwrap();
    let public = SealPublic::from_bytes(&view.policy.seal_public).unwrap();
    let generation = view.policy.generation;
    let envelope =
        KeyEnvelope { snapshot: made[1], generation, entry: digest(kept), sealed: public.seal(kept).unwrap() };
    let writer = scene.repository().home().writer_keys().unwrap().signer;
    let signed = writer.key.sign(Kind::KeyEnvelope, view.repository, writer.home, codec::to_cbor(&envelope));
    let name = ObjectName::of(&Named::KeyEntry(generation, made[1], Token::new([7; 16])));
    put(&scene, name.as_str(), &signed.encode(Kind::KeyEnvelope));
    let refused = read(&anew(&scene), made[1], &scene.bench.keys(), "t").unwrap_err();
    assert!(matches!(refused, Error::Erased { snapshot } if snapshot == made[1]), "{refused}");
    // The next rotation leaves it behind once more.
    scene.rotate();
    let mut loot = scene.loot();
    loot.objects.push((name.as_str().to_owned(), signed.encode(Kind::KeyEnvelope)));
    assert!(Siege::of(&loot).streams(made[1]).is_none());
}

#[test]
fn another_machines_copy_of_the_repository_cannot_undo_an_erasure() {
    // The old copy as a whole, opened with today's keys by somebody who has never seen the erasure.
    let (scene, made) = Scene::after(3);
    let old = scene.loot();
    scene.erase(&made[1..2]);
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, bytes) in &old.objects {
        let path = elsewhere.path().join("repository").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let store = Store::open_local(&elsewhere.path().join("repository")).unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let copy = Repository::open(store, &home, scene.bench.clock.clone()).unwrap();
    let cell = lacre_repo::cell::CellPlace::parse(&scene.bench.report.cells[0]).unwrap();
    let keys = ReadKeys { identities: scene.bench.identities(), kits: Vec::new(), cells: vec![cell] };
    let refused = read(&copy, made[1], &keys, "t").unwrap_err();
    assert!(matches!(refused, Error::NoSeal { .. }), "{refused}");
    // The host that has seen the erasure does not even take the copy for the repository.
    let here = Home::open(&scene.bench.directory.path().join("home")).unwrap();
    let store = Store::open_local(&elsewhere.path().join("repository")).unwrap();
    let stale = Repository::open(store, &here, scene.bench.clock.clone()).unwrap().view().map(|_| ()).unwrap_err();
    assert!(stale.to_string().contains("this host has seen number 1"), "{stale}");
    assert!(!files_below(elsewhere.path()).is_empty());
}
