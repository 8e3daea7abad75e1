//! Guessing: ten thousand CPF numbers for one erased row whose neighbours are all known.

use std::collections::BTreeSet;

use lacre_adversary::{Loot, Oracle, Siege, Spoils, keys};
use lacre_format::ids::SnapshotId;
use lacre_repo::op::erase::ErasureState;

use crate::{
    recorder::Taken,
    scene::{Scene, cpf, rows_in},
};

/// How many numbers are guessed.
pub(crate) const GUESSES: u64 = 10_000;

/// A chunk that dies with a snapshot, and copies of it with every guessed number in place of the one in it.
pub(crate) struct Riddle {
    pub(crate) truth: Vec<u8>,
    pub(crate) guesses: Vec<Vec<u8>>,
}

impl Riddle {
    /// A riddle over a chunk of an erased snapshot that no living one has.
    pub(crate) fn of(scene: &Scene, before: &Spoils, dead: &[SnapshotId]) -> Self {
        let rows = scene.rows_of_the_dead(dead);
        let guest = |row: &&&[u8]| row.windows(8).any(|window| window == b"guest of");
        let row = *rows.iter().find(guest).expect("somebody was there on that night only");
        let wanted = BTreeSet::from([row]);
        let truth = before.chunks().find(|chunk| !rows_in(&wanted, std::iter::once(*chunk)).is_empty());
        let truth = truth.expect("before the erasure the row could be read").to_vec();
        let number = row.split(|byte| *byte == b'\t').nth(2).unwrap();
        let at = truth.windows(number.len()).position(|window| window == number).unwrap();
        let known: u64 = std::str::from_utf8(&number[..9]).unwrap().parse().unwrap();
        let first = known / GUESSES * GUESSES;
        let guess = |number: u64| {
            let mut chunk = truth.clone();
            chunk[at..at + 11].copy_from_slice(cpf(number).as_bytes());
            chunk
        };
        let guesses: Vec<Vec<u8>> = (first..first + GUESSES).map(guess).collect();
        assert_eq!(guesses.iter().filter(|guess| **guess == truth).count(), 1, "the truth is among the guesses");
        Self { truth, guesses }
    }

    /// A riddle with fewer wrong guesses, for variants that are caught by the first right one.
    pub(crate) fn shorter(&self) -> Self {
        let at = self.guesses.iter().position(|guess| *guess == self.truth).unwrap();
        let guesses = self.guesses[at.saturating_sub(100)..(at + 100).min(self.guesses.len())].to_vec();
        Self { truth: self.truth.clone(), guesses }
    }

    /// The guesses that anything in the loot confirms, with every key that is left.
    pub(crate) fn confirmed(&self, loot: &Loot) -> BTreeSet<Vec<u8>> {
        let spoils = Siege::with_guesses(loot, &self.guesses);
        let oracle = Oracle::over(loot, spoils.keys());
        let (places, derivations) = (oracle.places(), oracle.derivations());
        assert!(places > 50_000 && derivations > 500, "{derivations} derivations, {places} places");
        let by_value: BTreeSet<Vec<u8>> = oracle.hits(&self.guesses).into_iter().map(<[u8]>::to_vec).collect();
        let by_row = spoils.confirmed.into_iter().filter(|plaintext| self.guesses.contains(plaintext));
        by_row.chain(by_value).collect()
    }
}

#[test]
fn ten_thousand_numbers_confirm_nothing_once_an_erasure_is_complete() {
    let (mut scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    let erasure = scene.erase(&made[1..2]);
    scene.night();
    assert_eq!(scene.status(erasure).state, ErasureState::Complete);
    let riddle = Riddle::of(&scene, &before, &made[1..2]);
    assert_eq!(riddle.confirmed(&scene.loot()), BTreeSet::new());
}

#[test]
fn a_writer_that_has_not_run_since_confirms_the_truth_and_the_receipt_says_interim() {
    let (mut scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    // The last snapshot: its index is still on the host.
    let erasure = scene.erase(&made[2..3]);
    let riddle = Riddle::of(&scene, &before, &made[2..3]).shorter();
    assert_eq!(riddle.confirmed(&scene.loot()), BTreeSet::from([riddle.truth.clone()]));
    let status = scene.status(erasure);
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().any(|item| item.item.starts_with("writer:")), "{:?}", status.pending);
    let account = scene.repository().account_of(erasure).unwrap();
    assert!(!scene.repository().sign_receipt(erasure, &account).unwrap().receipt.complete);
    // After its next run nothing confirms anything, with all its files taken.
    scene.night();
    assert_eq!(scene.status(erasure).state, ErasureState::Complete);
    assert_eq!(riddle.confirmed(&scene.loot()), BTreeSet::new());
}

#[test]
fn an_index_key_that_was_kept_is_caught() {
    let (mut scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    scene.erase(&made[1..2]);
    scene.night();
    let riddle = Riddle::of(&scene, &before, &made[1..2]).shorter();
    let loot = scene.record.loot(Taken::AllAndIndexKeys);
    assert_eq!(riddle.confirmed(&loot), BTreeSet::from([riddle.truth.clone()]));
}

#[test]
fn an_object_named_by_a_hash_of_its_content_is_caught() {
    let (mut scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    scene.erase(&made[1..2]);
    scene.night();
    let riddle = Riddle::of(&scene, &before, &made[1..2]).shorter();
    let secret = *before.roots.values().next().unwrap().stream_secret.expose();
    let hex = |key: keys::Key| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let named = [
        hex(*blake3::hash(&riddle.truth).as_bytes()),
        hex(keys::kh(&secret, &[&riddle.truth])),
        hex(keys::dk("frame secret", &[&secret, &keys::fingerprint(&secret, 0, &riddle.truth)])),
    ];
    for name in named {
        let mut loot = scene.loot();
        loot.objects.push((format!("chunks/{name}"), Vec::new()));
        assert_eq!(riddle.confirmed(&loot), BTreeSet::from([riddle.truth.clone()]), "{name}");
    }
}
