//! A repository whose every byte is recorded, nights of a table with people in it, and what must hold of the adversary's spoils.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::Arc,
};

use lacre_adversary::{Loot, Siege, Spoils, keys::Key, residue};
use lacre_format::{
    erasure::Receipt,
    ids::{SnapshotId, Token},
    node::Node,
    root::Shape,
};
use lacre_repo::{
    Repository,
    home::Home,
    op::{
        erase::{EraseReason, ErasureState, ErasureStatus, LastVerified},
        init::{CellSetup, CreateOptions, KitChoice},
        keys::ReadKeys,
        rotate::{RotateOptions, RotationReport, RotationState},
    },
    store::Store,
};

use crate::{
    recorder::{Recorder, Taken},
    support::{Bench, write_row},
};

/// People who are in the table every night.
const ROWS: u64 = 600;
/// People who are in it for one night only.
const GUESTS: u64 = 8;

/// A night's table: most rows stay, some change, and a few people are there this night only.
pub(crate) fn table(night: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..ROWS {
        let changed = (1..=night).rev().find(|night| (row / 8 * 31 + night * 17) % 23 == 0).unwrap_or(0);
        write_row(&mut out, row, changed);
        if row % (ROWS / GUESTS) == 17 {
            out.extend_from_slice(&guest(night, row));
        }
    }
    out
}

/// The row of somebody who is in the table on one night only.
fn guest(night: u64, row: u64) -> Vec<u8> {
    let number = night * 1_000 + row;
    let mut out = Vec::new();
    let cpf = cpf(number.wrapping_mul(7_919) % 1_000_000_000);
    writeln!(out, "{}\tguest of night {night}\t{cpf}\tguest{number}@example.test", 1_000_000 + number).unwrap();
    out
}

/// A CPF with its two check digits.
pub(crate) fn cpf(number: u64) -> String {
    let mut digits: Vec<u64> = (0..9).rev().map(|place| number / 10u64.pow(place) % 10).collect();
    for length in [10, 11] {
        let weights = (2..=length).rev();
        let sum: u64 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        let rest = sum * 10 % 11;
        digits.push(if rest == 10 { 0 } else { rest });
    }
    digits.iter().map(u64::to_string).collect()
}

/// A repository on disk with one host that is everything, and a memory of all that happened.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) record: Arc<Recorder>,
    pub(crate) nights: BTreeMap<SnapshotId, Vec<u8>>,
    count: u64,
}

impl Scene {
    pub(crate) fn new(kit: KitChoice) -> Self {
        Self::over(CreateOptions { kit, ..Bench::options() }, CellSetup::default())
    }

    /// A repository whose seal lies where one wants it.
    pub(crate) fn over(options: CreateOptions, setup: CellSetup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let record = Arc::new(Recorder::new(&directory.path().join("home")));
        let store = Store::create_local(&directory.path().join("repository")).unwrap();
        let store = store.with_witness(record.clone());
        let clock = Bench::clock();
        let home = Home::open(&directory.path().join("home")).unwrap();
        let (repository, report) =
            Repository::create_reaching(store.clone(), &home, options, clock.clone(), &setup).unwrap();
        let bench = Bench { directory, clock, store, report, repository };
        Self { bench, record, nights: BTreeMap::new(), count: 0 }
    }

    /// A scene with some nights already.
    pub(crate) fn after(nights: u64) -> (Self, Vec<SnapshotId>) {
        let mut scene = Self::new(KitChoice::None);
        let made = (0..nights).map(|_| scene.night()).collect();
        (scene, made)
    }

    /// Backs up the next night.
    pub(crate) fn night(&mut self) -> SnapshotId {
        let data = table(self.count);
        self.count += 1;
        self.back_up("app", data)
    }

    /// Backs up a table a day later.
    pub(crate) fn back_up(&mut self, job: &str, data: Vec<u8>) -> SnapshotId {
        self.bench.clock.advance_hours(24);
        let snapshot = self.bench.backup(job, &[("t", Shape::Rows, &data)]).snapshot;
        self.nights.insert(snapshot, data);
        snapshot
    }

    /// The receipt of an erasure as it stands now.
    pub(crate) fn receipt(&self, erasure: Token) -> Receipt {
        let account = self.repository().account_of(erasure).unwrap();
        self.repository().sign_receipt(erasure, &account).unwrap().receipt
    }

    /// Interim, and the receipt says for what.
    #[track_caller]
    pub(crate) fn assert_interim(&self, erasure: Token, item: &str) {
        let status = self.status(erasure);
        assert_eq!(status.state, ErasureState::Interim);
        assert!(status.pending.iter().any(|pending| pending.item.starts_with(item)), "{item}: {:?}", status.pending);
        let receipt = self.receipt(erasure);
        let named = receipt.pending.iter().any(|pending| pending.starts_with(item));
        assert!(!receipt.complete && named, "{item}: {:?}", receipt.pending);
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.bench.repository
    }

    pub(crate) fn rotate(&self) -> RotationReport {
        self.repository().rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap()
    }

    pub(crate) fn intend(&self, snapshots: &[SnapshotId]) -> Token {
        let plan = self.repository().plan_erase(snapshots, LastVerified::Allow).unwrap();
        self.repository()
            .intend_erase(&plan, &EraseReason { code: "art17".to_owned(), ..EraseReason::default() })
            .unwrap()
    }

    /// Erases snapshots to the end of the rotation.
    pub(crate) fn erase(&self, snapshots: &[SnapshotId]) -> Token {
        let erasure = self.intend(snapshots);
        assert_eq!(self.rotate().state, RotationState::Closed);
        erasure
    }

    pub(crate) fn status(&self, erasure: Token) -> ErasureStatus {
        self.repository().erasures().unwrap().into_iter().find(|status| status.erasure == erasure).unwrap()
    }

    pub(crate) fn loot(&self) -> Loot {
        self.record.loot(Taken::All)
    }

    /// The rows that are in none of the snapshots that live.
    pub(crate) fn rows_of_the_dead(&self, dead: &[SnapshotId]) -> BTreeSet<&[u8]> {
        let rows =
            |data: &'_ [u8]| -> BTreeSet<Vec<u8>> { data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect() };
        let live: BTreeSet<Vec<u8>> = self
            .nights
            .iter()
            .filter(|(snapshot, _)| !dead.contains(snapshot))
            .flat_map(|(_, data)| rows(data))
            .collect();
        let of = |snapshot: &SnapshotId| self.nights[snapshot].split(|byte| *byte == b'\n');
        dead.iter().flat_map(of).filter(|row| !live.contains(*row)).collect()
    }

    /// Nothing of the dead opens, everything of the living does, to the frame; and no secret lies anywhere it should not.
    #[track_caller]
    pub(crate) fn assert_dead(&self, before: &Spoils, dead: &[SnapshotId], context: &str) {
        let loot = self.loot();
        let after = Siege::of(&loot);
        let rows = self.rows_of_the_dead(dead);
        assert!(!rows.is_empty(), "{context}: nothing dies with them");
        let found = rows_in(&rows, after.chunks());
        assert!(found.is_empty(), "{context}: {} of {} rows were recovered", found.len(), rows.len());
        for snapshot in dead {
            assert!(!after.snapshot_keys.contains_key(snapshot), "{context}: the key of {snapshot}");
            assert!(!after.roots.contains_key(snapshot), "{context}: the root of {snapshot}");
        }
        let live: Vec<SnapshotId> = self.nights.keys().filter(|snapshot| !dead.contains(snapshot)).copied().collect();
        for snapshot in &live {
            let streams = after.streams(*snapshot);
            assert!(
                streams.as_ref().is_some_and(|streams| streams["t"] == self.nights[snapshot]),
                "{context}: {snapshot} lives and stayed shut: {}",
                self.why_shut(&after, *snapshot)
            );
        }
        let reachable: BTreeSet<(u8, Key)> = live.iter().flat_map(|snapshot| frames_of(&after, *snapshot)).collect();
        assert!(
            reachable.iter().all(|frame| after.frames.contains_key(frame)),
            "{context}: a frame of the living stayed shut"
        );
        // A run that died may have stored a chunk once more; who knows the chunk opens that one as well, and learns nothing.
        let known: BTreeSet<&Vec<u8>> = reachable.iter().map(|frame| &after.frames[frame]).collect();
        let beyond =
            after.frames.iter().filter(|(frame, plaintext)| !reachable.contains(*frame) && !known.contains(plaintext));
        assert_eq!(beyond.count(), 0, "{context}: a frame opened that no living snapshot reaches");
        self.assert_no_residue(before, &after, context);
    }

    /// What is missing of a snapshot that should open.
    fn why_shut(&self, after: &Spoils, snapshot: SnapshotId) -> String {
        let key = after.snapshot_keys.contains_key(&snapshot);
        let frames = frames_of(after, snapshot);
        let missing = frames.iter().filter(|frame| !after.frames.contains_key(*frame)).count();
        let rows = self.repository().snapshots().unwrap().rows;
        let state = rows.iter().find(|row| row.snapshot == snapshot).map(|row| row.state);
        let read = crate::support::read(self.repository(), snapshot, &self.bench.keys(), "t").map(|bytes| bytes.len());
        format!("key {key}, {missing} of {} frames missing, listed as {state:?}, the vault says {read:?}", frames.len())
    }

    /// No snapshot key, capability, destroyed seed, destroyed index key or row lies in any object or in any version of any file.
    #[track_caller]
    pub(crate) fn assert_no_residue(&self, before: &Spoils, after: &Spoils, context: &str) {
        let mut needles: Vec<(String, Vec<u8>)> = Vec::new();
        for spoils in [before, after] {
            needles.extend(
                spoils.snapshot_keys.iter().map(|(snapshot, key)| (format!("key of {snapshot}"), key.to_vec())),
            );
            needles
                .extend(spoils.frames.keys().map(|(level, key)| (format!("capability, level {level}"), key.to_vec())));
        }
        let of_today = &after.seeds;
        needles.extend(before.seeds.difference(of_today).map(|seed| ("a destroyed seal".to_owned(), seed.to_vec())));
        needles.extend(self.record.destroyed().into_iter().map(|(path, key)| (format!("destroyed key {path}"), key)));
        for data in self.nights.values() {
            let rows = data.split(|byte| *byte == b'\n').filter(|row| row.len() > 40).step_by(16);
            needles.extend(rows.map(|row| ("a row".to_owned(), row[row.len() - 40..].to_vec())));
        }
        needles.sort();
        needles.dedup();
        assert!(needles.len() > 50, "{context}: {} needles", needles.len());
        let loot = self.loot();
        let found = residue::find(&needles, loot.bytes());
        assert!(found.is_empty(), "{context}: {found:?}");
    }
}

/// The frames under a snapshot's root, by level and capability.
pub(crate) fn frames_of(spoils: &Spoils, snapshot: SnapshotId) -> BTreeSet<(u8, Key)> {
    let mut reached = BTreeSet::new();
    let tops =
        spoils.roots.get(&snapshot).into_iter().flat_map(|root| &root.streams).filter_map(|stream| stream.top.as_ref());
    let mut open: Vec<(u8, Key)> = tops.map(|top| (top.level, *top.capability.expose())).collect();
    while let Some((level, capability)) = open.pop() {
        if !reached.insert((level, capability)) || level == 0 {
            continue;
        }
        let Some(node) = spoils.frames.get(&(level, capability)).and_then(|node| Node::decode(node).ok()) else {
            continue;
        };
        open.extend(node.entries.iter().map(|entry| (level - 1, *entry.capability.expose())));
    }
    reached
}

/// Those of the rows that occur in some chunk.
pub(crate) fn rows_in<'r, 'c>(rows: &BTreeSet<&'r [u8]>, chunks: impl Iterator<Item = &'c [u8]>) -> BTreeSet<&'r [u8]> {
    let mut present: BTreeSet<&[u8]> = BTreeSet::new();
    for chunk in chunks {
        present.extend(chunk.split(|byte| *byte == b'\n'));
    }
    rows.iter().filter(|row| present.contains(**row)).copied().collect()
}
