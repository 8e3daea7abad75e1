//! Random histories: backups, forgets, holds, undos, prunes and prunes that die, in any order.

use std::collections::BTreeMap;

use lacre_format::{ids::SnapshotId, root::Shape};
use lacre_repo::{
    Repository, Silent,
    home::Home,
    op::{
        backup::BackupOptions,
        prune::{Economy, PruneOptions, PruneState},
    },
    store::fault::FaultPlan,
};

use crate::{
    common::{eager, night, whole},
    support::{Bench, backup},
};

const ROWS: u64 = 1_200;
const STEPS: usize = 14;

/// A small generator, so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

#[derive(Default)]
struct History {
    live: BTreeMap<SnapshotId, Vec<u8>>,
    forgotten: BTreeMap<SnapshotId, Vec<u8>>,
    held: Vec<SnapshotId>,
    nights: u64,
}

impl History {
    fn pick(&self, dice: &mut Dice) -> Option<SnapshotId> {
        let live: Vec<SnapshotId> = self.live.keys().copied().collect();
        (!live.is_empty()).then(|| live[dice.roll(live.len() as u64) as usize])
    }

    fn step(&mut self, bench: &Bench, dice: &mut Dice) {
        let repository = bench.reopen();
        match dice.roll(10) {
            0..=3 => self.backup(&repository, if dice.roll(3) == 0 { "other" } else { "app" }),
            4 | 5 => {
                let Some(snapshot) = self.pick(dice) else { return };
                if self.held.contains(&snapshot) {
                    assert!(repository.forget_one(snapshot).is_err());
                } else {
                    repository.forget_one(snapshot).unwrap();
                    self.forgotten.extend(self.live.remove_entry(&snapshot));
                }
            }
            6 => {
                let Some(snapshot) = self.pick(dice) else { return };
                repository.hold(snapshot, "litigation").unwrap();
                self.held.push(snapshot);
            }
            7 => {
                let Some((snapshot, table)) = self.forgotten.pop_first() else { return };
                // It may have been reclaimed by a prune that died after it had decided.
                if repository.unforget(snapshot).is_ok() {
                    self.live.insert(snapshot, table);
                }
            }
            8 => {
                let frugal = PruneOptions { economy: Economy::default(), ..eager() };
                let options = if dice.roll(2) == 0 { frugal } else { eager() };
                let report = repository.prune(&options, &Silent).unwrap();
                if report.state == PruneState::Pending {
                    // A run that died left a session open, which only the next run of its job ends.
                    assert!(!report.waiting.is_empty(), "{report:?}");
                } else {
                    self.forgotten.clear();
                }
            }
            _ => {
                let nth = dice.roll(120) + 1;
                let plan = if dice.roll(2) == 0 { FaultPlan::crash_at(nth) } else { FaultPlan::crash_after(nth) };
                let home = Home::open(&bench.directory.path().join("home")).unwrap();
                let faulty = Repository::open(bench.store.with_faults(plan), &home, bench.clock.clone());
                drop(faulty.and_then(|repository| {
                    if nth.is_multiple_of(3) {
                        let table = night(self.nights, ROWS);
                        backup(&repository, "app", &[("t", Shape::Rows, &table)], BackupOptions::default()).map(drop)
                    } else {
                        repository.prune(&eager(), &Silent).map(drop)
                    }
                }));
            }
        }
    }

    fn backup(&mut self, repository: &Repository, job: &str) {
        self.nights += 1;
        let table = night(self.nights, ROWS);
        let report = backup(repository, job, &[("t", Shape::Rows, &table)], BackupOptions::default()).unwrap();
        self.live.insert(report.snapshot, table);
    }
}

fn history(seed: u64) {
    let bench = Bench::in_memory();
    let mut dice = Dice(seed);
    let mut history = History::default();
    history.backup(&bench.repository, "app");
    for _ in 0..STEPS {
        history.step(&bench, &mut dice);
    }
    whole(&bench, &history.live, &format!("seed {seed}, before the last prune"));
    // A backup ends the dead sessions of its job; after two prunes nothing is left over.
    let repository = bench.reopen();
    history.backup(&repository, "app");
    repository.prune(&eager(), &Silent).unwrap();
    let again = repository.prune(&eager(), &Silent).unwrap();
    assert_eq!(again.state, PruneState::Nothing, "seed {seed}: {again:?}");
    whole(&bench, &history.live, &format!("seed {seed}"));
    assert_eq!(repository.stored().unwrap().dead_bytes, Some(0), "seed {seed}");
}

#[test]
fn any_history_keeps_what_is_live_and_nothing_else() {
    for seed in 0..12 {
        history(seed);
    }
}

#[test]
fn any_other_history_keeps_what_is_live_and_nothing_else() {
    for seed in 100..112 {
        history(seed);
    }
}
