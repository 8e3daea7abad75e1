//! A promise that cannot be broken proves nothing: with one thing left that should be gone, the adversary wins, and the receipt says that
//! the thing is left.

use lacre_adversary::{Loot, Siege};
use lacre_format::ids::SnapshotId;
use lacre_repo::op::{erase::ErasureState, init::KitChoice, rotate::RotationState, seal::Sheet};

use crate::{recorder::Taken, scene::Scene};

#[track_caller]
fn assert_opens(scene: &Scene, loot: &Loot, snapshot: SnapshotId) {
    let spoils = Siege::of(loot);
    assert_eq!(spoils.streams(snapshot).expect("it opens")["t"], scene.nights[&snapshot]);
}

fn assert_shut(loot: &Loot, snapshot: SnapshotId) {
    assert!(Siege::of(loot).streams(snapshot).is_none());
}

#[test]
fn an_old_seal_that_was_kept_opens_what_was_erased() {
    let (scene, made) = Scene::after(3);
    scene.erase(&made[1..2]);
    assert_shut(&scene.loot(), made[1]);
    assert_opens(&scene, &scene.record.loot(Taken::AllAndCells), made[1]);
}

#[test]
fn a_key_entry_that_lay_about_unsealed_opens_what_was_erased() {
    let (scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    scene.erase(&made[1..2]);
    let mut loot = scene.loot();
    assert_shut(&loot, made[1]);
    // What a repository without the outer seal would have stored.
    loot.objects.extend(before.entries.iter().map(|entry| ("keyring/plain".to_owned(), entry.clone())));
    assert_opens(&scene, &loot, made[1]);
}

#[test]
fn an_old_kit_opens_what_was_erased_and_the_receipt_names_it() {
    let mut scene = Scene::new(KitChoice::Print);
    let made = [scene.night(), scene.night(), scene.night()];
    let old = scene.bench.report.kit.as_ref().unwrap().encode_qr().to_string();
    let erasure = scene.intend(&made[..1]);
    scene.rotate();
    let kit = scene.repository().issue_kit(None).unwrap();
    scene.repository().acknowledge_kit(2, Sheet::Seal, kit.checksum()).unwrap();
    assert_eq!(scene.rotate().state, RotationState::Closed);
    scene.night();
    let mut loot = scene.loot();
    loot.kits = vec![kit.encode_qr().to_string()];
    assert_shut(&loot, made[0]);
    loot.kits = vec![old];
    assert_opens(&scene, &loot, made[0]);
    let status = scene.status(erasure);
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().any(|item| item.item == "kit:1"), "{:?}", status.pending);
    let account = scene.repository().account_of(erasure).unwrap();
    let receipt = scene.repository().sign_receipt(erasure, &account).unwrap().receipt;
    assert!(!receipt.complete && receipt.pending.iter().any(|item| item.starts_with("kit:1")), "{:?}", receipt.pending);
}

#[test]
fn before_the_rotation_an_intent_alone_keeps_nothing_shut_and_is_pending() {
    let (scene, made) = Scene::after(2);
    let erasure = scene.intend(&made[..1]);
    assert_opens(&scene, &scene.loot(), made[0]);
    assert_eq!(scene.status(erasure).state, ErasureState::Pending);
}

#[test]
fn an_identity_alone_or_a_seal_alone_opens_nothing() {
    let (scene, made) = Scene::after(2);
    for missing in ["identity.txt", ".cell"] {
        let mut loot = scene.loot();
        let all = loot.files.len();
        loot.files.retain(|(name, _)| !name.ends_with(missing));
        assert!(loot.files.len() < all);
        assert_shut(&loot, made[0]);
        assert!(Siege::of(&loot).frames.is_empty(), "without {missing}");
    }
}
