//! Any history: nights, runs that die, forgetting, erasing, changes of the seal and collections in an order drawn from a seed, and the
//! adversary after every change of the seal.

use std::collections::BTreeSet;

use lacre_adversary::Siege;
use lacre_format::{ids::SnapshotId, root::Shape};
use lacre_repo::{
    Repository, Silent,
    home::Home,
    op::{backup::BackupOptions, prune::PruneOptions, snapshots::SnapshotState},
    store::fault::FaultPlan,
};

use crate::{
    scene::{Scene, table},
    support::backup,
};

const STEPS: u64 = 12;

/// A history and what it has killed.
struct History {
    scene: Scene,
    state: u64,
    dead: BTreeSet<SnapshotId>,
    checked: u32,
}

impl History {
    fn draw(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    fn live(&self) -> Vec<SnapshotId> {
        let rows = self.scene.repository().snapshots().unwrap().rows;
        rows.into_iter().filter(|row| row.state == SnapshotState::Live).map(|row| row.snapshot).collect()
    }

    fn pick(&mut self) -> Option<SnapshotId> {
        let live = self.live();
        // One stays, so that something can be said of the living.
        if live.len() < 2 {
            return None;
        }
        let at = usize::try_from(self.draw(live.len() as u64)).unwrap();
        Some(live[at])
    }

    /// A run whose store goes away after some request: it has committed or it has not.
    fn dying_night(&mut self, number: u64) {
        let nth = 1 + self.draw(28);
        let store = self.scene.bench.store.with_faults(FaultPlan::crash_after(nth));
        let data = table(500 + number);
        self.scene.bench.clock.advance_hours(24);
        let home = Home::open(&self.scene.bench.directory.path().join("home")).unwrap();
        let died = Repository::open(store, &home, self.scene.bench.clock.clone())
            .and_then(|repository| backup(&repository, "app", &[("t", Shape::Rows, &data)], BackupOptions::default()));
        drop(died);
        for snapshot in self.live() {
            self.scene.nights.entry(snapshot).or_insert_with(|| data.clone());
        }
    }

    fn rotated(&mut self, context: &str) {
        let before = Siege::of(&self.scene.loot());
        let report = self.scene.rotate();
        self.dead.extend(report.dropped.iter().filter(|snapshot| self.scene.nights.contains_key(snapshot)));
        let dead: Vec<SnapshotId> = self.dead.iter().copied().collect();
        if dead.is_empty() {
            return;
        }
        self.scene.assert_dead(&before, &dead, context);
        self.checked += 1;
    }

    fn step(&mut self, number: u64, context: &str) {
        match self.draw(8) {
            0..=2 => drop(self.scene.night()),
            3 => self.dying_night(number),
            4 => {
                if let Some(snapshot) = self.pick() {
                    self.scene.repository().forget_one(snapshot).unwrap();
                }
            }
            5 => {
                if let Some(snapshot) = self.pick() {
                    self.scene.intend(&[snapshot]);
                    self.rotated(context);
                }
            }
            6 => self.rotated(context),
            _ => {
                let options = PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() };
                self.scene.repository().prune(&options, &Silent).unwrap();
            }
        }
    }
}

fn history(seed: u64) {
    let (scene, _) = Scene::after(3);
    let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut history = History { scene, state, dead: BTreeSet::new(), checked: 0 };
    for number in 0..STEPS {
        history.step(number, &format!("seed {seed}, step {number}"));
    }
    let victim = history.pick().or_else(|| history.live().first().copied());
    history.scene.night();
    if let Some(victim) = victim {
        history.scene.intend(&[victim]);
    }
    history.rotated(&format!("seed {seed}, the end"));
    assert!(history.checked > 0, "seed {seed} killed nothing");
}

#[test]
fn after_any_history_the_dead_stay_shut_and_the_living_open() {
    (0..3).for_each(history);
}

#[test]
fn after_any_other_history_the_dead_stay_shut_and_the_living_open() {
    (3..6).for_each(history);
}
