//! One thing left of an erasure of a person that should be gone: she is read again, and the receipt says that the thing is left.

use std::sync::Arc;

use lacre_adversary::{Loot, Siege};
use lacre_format::{
    ids::SnapshotId,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Silent,
    cell::{CellAnswer, CellError, CellPlace, CellReach, CellVerb},
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        erase::ErasureState,
        init::{CellSetup, CreateOptions, KitChoice},
        rotate::RotationState,
        seal::Sheet,
    },
    store::{BucketOptions, Credentials, Store},
};
use lacre_test_bucket::{BUCKET_VERSIONED, Key, Weed};

use crate::{
    persons::{ANA, Gone, crowd, nights, replaced},
    recorder::Taken,
    scene::Scene,
    support::{Bench, person::rewrite},
};

/// Her rows come out of every night.
#[track_caller]
fn assert_opens(gone: &Gone, loot: &Loot) {
    let spoils = Siege::of(loot);
    for old in &gone.old {
        assert_eq!(spoils.streams(*old).expect("it opens")["t"], gone.scene.nights[old]);
    }
}

#[test]
fn an_old_slot_left_in_a_cell_opens_an_erased_person_and_the_receipt_says_interim() {
    let mut scene = Scene::new(KitChoice::None);
    let path = scene.bench.report.cells[0].strip_prefix("file:").unwrap().to_owned();
    let slot = 4_096;
    let old = std::fs::read(&path).unwrap();
    let at = (0..old.len() / slot).find(|at| old[at * slot..].starts_with(b"lacreC")).unwrap();
    let kept = old[at * slot..(at + 1) * slot].to_vec();
    scene.back_up("else", crowd(1, 100));
    let mut gone = Gone::from(scene);
    gone.night();
    assert_eq!(gone.scene.status(gone.erasure).state, ErasureState::Complete);
    gone.assert_dead("before the slot comes back");
    // A medium that did not forget, or somebody who copied it back: one free slot holds the old generation again.
    let mut cell = std::fs::read(&path).unwrap();
    let free =
        (0..cell.len() / slot).find(|at| cell[at * slot..(at + 1) * slot].iter().all(|byte| *byte == 0)).unwrap();
    cell[free * slot..(free + 1) * slot].copy_from_slice(&kept);
    std::fs::write(&path, cell).unwrap();
    assert_opens(&gone, &gone.scene.loot());
    gone.scene.assert_interim(gone.erasure, "stray:");
    // The command that the receipt names destroys it.
    assert_eq!(gone.scene.rotate().state, RotationState::Closed);
    assert!(gone.scene.receipt(gone.erasure).complete);
    gone.assert_dead("destroyed again");
}

#[test]
fn every_version_of_a_cell_together_opens_an_erased_person() {
    let gone = Gone::from(Scene::new(KitChoice::None));
    gone.assert_dead("without old cells");
    assert_opens(&gone, &gone.scene.record.loot(Taken::AllAndCells));
}

#[test]
fn an_old_kit_opens_an_erased_person_and_the_receipt_names_it() {
    let scene = Scene::new(KitChoice::Print);
    let old = scene.bench.report.kit.as_ref().unwrap().encode_qr().to_string();
    let mut gone = Gone::from(scene);
    let kit = gone.scene.repository().issue_kit(None).unwrap();
    gone.scene.repository().acknowledge_kit(2, Sheet::Seal, kit.checksum()).unwrap();
    assert_eq!(gone.scene.rotate().state, RotationState::Closed);
    gone.night();
    let mut loot = gone.scene.loot();
    loot.kits = vec![kit.encode_qr().to_string()];
    assert!(gone.old.iter().all(|old| Siege::of(&loot).streams(*old).is_none()), "the new sheet opens nothing old");
    loot.kits = vec![old];
    assert_opens(&gone, &loot);
    gone.scene.assert_interim(gone.erasure, "kit:1");
    gone.scene.repository().attest_kit_destroyed(1, Sheet::Seal).unwrap();
    assert!(gone.scene.receipt(gone.erasure).complete);
}

/// The way to one bucket.
struct OneBucket(Store);

impl CellReach for OneBucket {
    fn bucket(&self, _: &str) -> Result<Store, CellError> {
        Ok(self.0.clone())
    }

    fn command(&self, _: &[String], _: CellVerb, _: Option<&str>, _: &[u8]) -> Result<CellAnswer, CellError> {
        Err(CellError::Command("there is none".to_owned()))
    }
}

fn bucket(weed: &Weed) -> Store {
    let keys = Credentials::new(Key::Root.id().to_owned(), Key::Root.secret());
    let mut options = BucketOptions::new(BUCKET_VERSIONED, "cell", "us-east-1", keys);
    options.endpoint = Some(weed.endpoint());
    Store::open_bucket(&options).unwrap()
}

/// Every version of every object below the cell, as whoever owns the bucket reads them.
fn versions(weed: &Weed) -> Vec<(String, Vec<u8>)> {
    let root = weed.client(Key::Root);
    let read = |version: &lacre_test_bucket::Version| {
        let path = format!("/{BUCKET_VERSIONED}/{}", version.key);
        let answer = root.call("GET", &path, &[("versionId", &version.id)], &[], b"");
        assert_eq!(answer.status, 200, "{version:?}");
        (version.key.clone(), answer.body)
    };
    root.versions(BUCKET_VERSIONED, "cell/").iter().filter(|version| !version.marker).map(read).collect()
}

#[test]
fn a_hidden_version_of_a_seal_in_a_bucket_opens_an_erased_person_and_the_receipt_says_interim() {
    let Some(weed) = Weed::start() else { return };
    let place = CellPlace::parse("s3://cell-one/seal?region=r").unwrap();
    let options = CreateOptions { cells: vec![place.clone()], kit: KitChoice::None, ..Bench::options() };
    let setup = CellSetup { reach: Arc::new(OneBucket(bucket(&weed))), holders: [(place, "one".to_owned())].into() };
    let scene = Scene::over(options, setup);
    let old = versions(&weed);
    assert_eq!(old.len(), 1, "one seal lies there: {}", old.len());
    let mut gone = Gone::from(scene);
    gone.night();
    let with_bucket = |gone: &Gone| {
        let mut loot = gone.scene.loot();
        loot.files.extend(versions(&weed));
        loot
    };
    assert_eq!(gone.scene.status(gone.erasure).state, ErasureState::Complete, "{:?}", gone.scene.status(gone.erasure));
    let spoils = Siege::of(&with_bucket(&gone));
    assert!(gone.old.iter().all(|old| spoils.streams(*old).is_none()), "no version of the old seal is left");
    assert!(spoils.roots.len() >= 5, "the living open with the seal of the bucket: {}", spoils.roots.len());
    // A version comes back, and is hidden as a plain DELETE hides it: nobody sees it who does not ask for versions.
    let root = weed.client(Key::Root);
    let (key, body) = &old[0];
    assert_eq!(root.put(BUCKET_VERSIONED, key, body).status, 200);
    root.delete(BUCKET_VERSIONED, key).expect(204);
    assert!(!root.keys(BUCKET_VERSIONED, "cell/").contains(key), "it is hidden");
    assert_opens(&gone, &with_bucket(&gone));
    gone.scene.assert_interim(gone.erasure, "stray:");
    assert_eq!(gone.scene.rotate().state, RotationState::Closed);
    assert!(gone.scene.receipt(gone.erasure).complete);
    let spoils = Siege::of(&with_bucket(&gone));
    assert!(gone.old.iter().all(|old| spoils.streams(*old).is_none()), "every version is destroyed");
}

#[test]
fn an_erasure_by_list_would_leave_a_run_that_ended_late_and_is_caught() {
    let mut scene = Scene::new(KitChoice::None);
    let (old, _) = nights(&mut scene, 2);
    // It reads its database, with her in it, before anybody asks that she be erased.
    let data = crowd(3, 600);
    let other = scene.bench.reopen();
    let job = lacre_format::ids::JobName::parse("app").unwrap();
    let mut run = other.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let (name, shape) = ("t".to_owned(), Shape::Rows);
    let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
    let mut stream = run.stream(spec).unwrap();
    stream.push(&data).unwrap();
    stream.finish(Rows::default()).unwrap();
    let late: SnapshotId = run.snapshot();
    let done = rewrite(scene.repository(), &scene.bench.keys(), &ANA).unwrap();
    replaced(&mut scene, &done, &ANA);
    let refused = run.commit(SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() }).unwrap_err();
    assert!(matches!(refused, Error::Overtaken { .. }), "{refused}");
    let before = Siege::of(&scene.loot());
    assert_eq!(before.streams(late).unwrap()["t"], data, "until the seal is changed it opens");
    assert_eq!(scene.rotate().state, RotationState::Closed);
    scene.back_up("app", ANA.without(&crowd(9, 600)));
    assert!(scene.receipt(done.erasure).complete);
    // The predicate took it although nobody knew of it when the erasure was listed.
    let mut loot = scene.loot();
    let shut = Siege::of(&loot);
    assert!(shut.streams(late).is_none() && !shut.snapshot_keys.contains_key(&late));
    assert!(old.iter().all(|old| shut.streams(*old).is_none()));
    // An erasure by a list of snapshots carries what is not on the list: this entry would lie under the new seal.
    loot.objects.extend(
        before
            .entries
            .iter()
            .filter(|entry| is_of(entry, late))
            .map(|entry| ("keyring/carried".to_owned(), entry.clone())),
    );
    let caught = Siege::of(&loot).streams(late).expect("it opens")["t"].clone();
    assert!(caught == data && caught.split(|byte| *byte == b'\n').any(ANA.is_theirs), "she is in it");
}

fn is_of(entry: &[u8], snapshot: SnapshotId) -> bool {
    let signed = lacre_format::signed::Signed::decode(lacre_format::object::Kind::KeyEntry, entry).unwrap();
    let entry: lacre_format::keyring::KeyEntry = lacre_format::codec::from_cbor("key entry", &signed.payload).unwrap();
    entry.snapshot == snapshot
}
