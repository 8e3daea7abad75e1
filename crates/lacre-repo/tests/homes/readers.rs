//! Readers: one more, one less. Who was removed reads nothing that is carried on, with whatever they kept.

use lacre_format::{
    ids::SnapshotId,
    name::{Named, ObjectName},
    policy::RecipientEntry,
    root::Shape,
};
use lacre_repo::{
    Kind as ErrorKind, Repository, Severity,
    home::Home,
    op::{
        erase::ErasureState,
        init::{KitChoice, NewRecipient},
        keys::ReadKeys,
        rotate::{RotateOptions, RotationState},
        seal::Sheet,
    },
};
use lacre_seal::{
    identity::Identity,
    kit::{Kit, SealKit},
    outer::SealSeed,
};

use crate::{
    common::view,
    support::{Bench, read, rows},
};

/// A new reader, as init takes one and as they read.
pub(crate) fn person() -> (NewRecipient, Box<dyn Fn() -> ReadKeys>) {
    let (secret, recipient) = Identity::generate_pq().unwrap();
    let keys = move || ReadKeys { identities: vec![secret.identity()], ..ReadKeys::default() };
    (NewRecipient { recipient, locked_identity: None }, Box::new(keys))
}

/// A repository with a single holder, so that a change of the seal needs no paper.
fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = lacre_repo::store::Store::create_local(&directory.path().join("repository")).unwrap();
    let options = lacre_repo::op::init::CreateOptions { kit: KitChoice::None, ..Bench::options() };
    Bench::with_options(directory, store, options)
}

fn night(bench: &Bench, number: u64) -> SnapshotId {
    bench.backup("app", &[("t", Shape::Rows, &rows(100, number))]).snapshot
}

fn opens(bench: &Bench, snapshot: SnapshotId, keys: &ReadKeys) -> bool {
    match read(&bench.repository, snapshot, keys, "t") {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoKey, "{error}");
            false
        }
    }
}

#[test]
fn a_new_reader_reads_what_is_made_from_then_on_and_the_rest_once_it_is_wrapped_again() {
    let bench = bench();
    let old = [night(&bench, 1), night(&bench, 2)];
    let (new, keys) = person();
    let added = bench.repository.add_recipient(&new).unwrap();
    assert_eq!((added.policy, added.older), (1, 2));
    let after = night(&bench, 3);
    assert!(opens(&bench, after, &keys()));
    assert!(!opens(&bench, old[0], &keys()) && !opens(&bench, old[1], &keys()));
    // The newcomer's own key opens nothing to wrap again; that of one who reads does.
    let left = bench.repository.rewrap(&keys()).unwrap();
    assert_eq!((left.wrapped.len(), left.left.len()), (0, 2));
    let rewrap = bench.repository.rewrap(&bench.keys()).unwrap();
    assert_eq!((rewrap.wrapped.len(), rewrap.left.len()), (2, 0));
    assert_eq!(bench.repository.rewrap(&bench.keys()).unwrap().wrapped, [], "once is enough");
    for (snapshot, number) in old.into_iter().zip(1..) {
        assert_eq!(read(&bench.repository, snapshot, &keys(), "t").unwrap(), rows(100, number));
        assert_eq!(bench.read(snapshot, "t"), rows(100, number), "who read before reads on");
    }
    assert_eq!(bench.check_all().findings, []);
    // A change of the seal carries both wraps.
    bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert!(opens(&bench, old[0], &keys()) && opens(&bench, old[0], &bench.keys()));
    let twice = bench.repository.add_recipient(&new).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Refused, "{twice}");
}

#[test]
fn who_was_removed_reads_nothing_with_all_they_kept_and_everybody_else_reads_on() {
    let bench = bench();
    let (new, leaver) = person();
    bench.repository.add_recipient(&new).unwrap();
    let made = [night(&bench, 1), night(&bench, 2)];
    assert!(opens(&bench, made[0], &leaver()));
    // What the leaver took along: a copy of everything but the seal.
    let removed = bench.repository.remove_recipient(&new.recipient.to_text(), &bench.keys(), &RotateOptions::default());
    let removed = removed.unwrap();
    assert_eq!(removed.rotation.state, RotationState::Closed);
    let after = night(&bench, 3);
    for (snapshot, number) in [(made[0], 1), (made[1], 2), (after, 3)] {
        assert!(!opens(&bench, snapshot, &leaver()), "{number}");
        assert_eq!(bench.read(snapshot, "t"), rows(100, number));
    }
    // Even with the seal of today, as long as only what is carried is there to open.
    assert_eq!(bench.check_all().findings, []);
    let status = bench.repository.removals().unwrap();
    assert_eq!((status.len(), status[0].state), (1, ErasureState::Complete), "{status:?}");
    let receipt = bench.repository.sign_removal_receipt(removed.id).unwrap();
    assert!(receipt.receipt.complete && receipt.receipt.pending.is_empty(), "{:?}", receipt.receipt);
    assert_eq!(view(&bench.repository).policy.recipients.len(), 1);
    let last = view(&bench.repository).policy.recipients[0].clone();
    let refused = bench.repository.remove_recipient(&label(&last), &bench.keys(), &RotateOptions::default());
    assert!(refused.unwrap_err().to_string().contains("the last recipient stays"));
}

fn label(entry: &RecipientEntry) -> String {
    entry.label.clone()
}

#[test]
fn nobody_is_removed_by_halves() {
    let bench = bench();
    let (new, leaver) = person();
    bench.repository.add_recipient(&new).unwrap();
    night(&bench, 1);
    let which = new.recipient.to_text();
    let blind = bench.repository.remove_recipient(&which, &ReadKeys::default(), &RotateOptions::default()).unwrap_err();
    assert_eq!(blind.kind(), ErrorKind::NoKey, "{blind}");
    let nobody = bench.repository.remove_recipient("age1nobody", &bench.keys(), &RotateOptions::default()).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Usage, "{nobody}");
    assert_eq!(view(&bench.repository).policy.recipients.len(), 2);
    assert!(bench.repository.removals().unwrap().is_empty());
    drop(leaver);
}

#[test]
fn what_no_identity_at_hand_opens_is_listed_as_pending_until_one_does() {
    let bench = bench();
    let only_mine = night(&bench, 1);
    let (new, leaver) = person();
    bench.repository.add_recipient(&new).unwrap();
    let both = night(&bench, 2);
    // The leaver's own key opens the second snapshot and not the first: they wrap again what they can.
    let which = new.recipient.to_text();
    let removed = bench.repository.remove_recipient(&which, &leaver(), &RotateOptions::default()).unwrap();
    assert!(!opens(&bench, both, &leaver()));
    let status = bench.repository.removals().unwrap().remove(0);
    assert_eq!(status.state, ErasureState::Interim);
    assert!(
        status.pending.iter().any(|item| item.item == "rewrap" && item.what.contains("of 1 snapshot ")),
        "{status:?}"
    );
    let receipt = bench.repository.sign_removal_receipt(removed.id).unwrap().receipt;
    assert!(!receipt.complete && receipt.pending.iter().any(|item| item.starts_with("rewrap")), "{receipt:?}");
    let flagged = bench.check_all().findings;
    assert!(
        matches!(flagged.as_slice(), [one] if one.severity == Severity::Warning && one.what.contains("removed")),
        "{flagged:?}"
    );
    // With an identity that opens it the next change of the seal settles it.
    bench.repository.rotate(&RotateOptions::default(), &bench.keys()).unwrap();
    assert_eq!(bench.repository.removals().unwrap()[0].state, ErasureState::Complete);
    assert_eq!(bench.check_all().findings, []);
    assert_eq!(bench.read(only_mine, "t"), rows(100, 1));
    assert_eq!(bench.read(both, "t"), rows(100, 2));
}

#[test]
fn a_run_in_flight_at_the_removal_commits_without_them() {
    let bench = bench();
    let (new, leaver) = person();
    bench.repository.add_recipient(&new).unwrap();
    night(&bench, 1);
    let running = crate::common::open(&bench.repository, &rows(100, 2));
    bench.repository.remove_recipient(&new.recipient.to_text(), &bench.keys(), &RotateOptions::default()).unwrap();
    let late = crate::common::commit(running).unwrap();
    assert!(!opens(&bench, late, &leaver()));
    assert_eq!(bench.read(late, "t"), rows(100, 2));
    assert_eq!(bench.check_all().findings, []);
}

#[test]
fn an_old_kit_keeps_a_removal_interim_and_opens_what_it_says() {
    let bench = Bench::new();
    let (new, leaver) = person();
    bench.repository.add_recipient(&new).unwrap();
    let made = night(&bench, 1);
    let copy = bench.directory.path().join("copy");
    copy_all(&bench.directory.path().join("repository"), &copy);
    let Some(Kit::Seal(kit)) = &bench.report.kit else { panic!("init printed a kit") };
    let old_kit = || SealKit {
        repository: kit.repository,
        generation_number: kit.generation_number,
        number: kit.number,
        seed: SealSeed::from_bytes(kit.seed.to_cell_bytes()),
    };
    let which = new.recipient.to_text();
    let removed = bench.repository.remove_recipient(&which, &bench.keys(), &RotateOptions::default()).unwrap();
    // Two holders are promised and the new kit is not printed yet: the old seal lives, and the receipt says so.
    assert!(matches!(removed.rotation.state, RotationState::Pending(_)));
    let second = bench.repository.issue_kit(None).unwrap();
    bench.repository.acknowledge_kit(2, Sheet::Seal, second.checksum()).unwrap();
    bench.repository.rotate(&RotateOptions::default(), &bench.keys()).unwrap();
    let status = bench.repository.removals().unwrap().remove(0);
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().any(|item| item.item == "kit:1"), "{status:?}");
    // What they kept: their key, an old copy, and the kit that was not burnt.
    let store = lacre_repo::store::Store::open_local(&copy).unwrap();
    let elsewhere = Home::open(&bench.directory.path().join("elsewhere")).unwrap();
    let thief = Repository::open(store, &elsewhere, bench.clock.clone()).unwrap();
    let keys = ReadKeys { kits: vec![old_kit()], ..leaver() };
    assert_eq!(read(&thief, made, &keys, "t").unwrap(), rows(100, 1), "as the receipt says");
    assert_eq!(read(&thief, made, &leaver(), "t").unwrap_err().kind(), ErrorKind::NoKey);
    bench.repository.attest_kit_destroyed(1, Sheet::Seal).unwrap();
    assert_eq!(bench.repository.removals().unwrap()[0].state, ErasureState::Complete);
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn an_entry_that_a_writer_makes_for_another_reader_is_nobodys() {
    let bench = bench();
    let made = night(&bench, 1);
    let (stranger, keys) = person();
    // A thief with the writer's key and the structure key, who does not know the snapshot's key, cannot make one that counts.
    let writer = crate::common::writer(&bench);
    let header = view(&bench.repository).snapshots[&made].header.clone();
    let key = lacre_seal::secret::SnapshotKey::generate(made).unwrap();
    let entry = lacre_seal::key_entry::make_key_entry(
        &key,
        bench.repository.id(),
        made,
        0,
        &[stranger.recipient],
        lacre_repo::Clock::now(&*bench.clock).into(),
    );
    let mut entry = entry.unwrap();
    entry.key_commitment = header.key_commitment;
    let signed = writer.sign(&bench, lacre_format::object::Kind::KeyEntry, lacre_format::codec::to_cbor(&entry));
    let public = lacre_seal::outer::SealPublic::from_bytes(&view(&bench.repository).policy.seal_public).unwrap();
    let envelope = lacre_format::keyring::KeyEnvelope {
        snapshot: made,
        generation: header.generation,
        entry: crate::common::digest(&signed),
        sealed: public.seal(&signed).unwrap(),
    };
    let object = writer.sign(&bench, lacre_format::object::Kind::KeyEnvelope, lacre_format::codec::to_cbor(&envelope));
    let named = Named::KeyEntry(header.generation, made, lacre_format::ids::Token::new([0; 16]));
    let name = ObjectName::of(&named);
    crate::common::put(&bench, &named, object);
    assert!(!opens(&bench, made, &keys()));
    assert_eq!(bench.read(made, "t"), rows(100, 1));
    let report = bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    assert!(report.findings.iter().any(|finding| finding.object == name.as_str()), "{:?}", report.findings);
    assert_eq!(bench.read(made, "t"), rows(100, 1));
}
