//! The copy: rule 12.
//!
//! In comes a state; out go the states one request further. Whoever fills the copy reads the first store and writes the second; it has
//! no key.

use crate::explore::Step;
use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::world::{BASE_PACK, CopyAt, MOVED_PACK, NONE, Set, World, bit, each, has};

const WHO: u8 = 5;

/// Every step of the copy.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    if !scenario.has.copy {
        return;
    }
    let mut go = |what, of, next| out.push((Step { who: WHO, what, of }, next));
    fill(scenario, world, &mut go);
    delete(scenario, world, &mut go);
}

fn fill(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    let mine = world.copy;
    let mut next = *world;
    match mine.at {
        CopyAt::Idle => {
            let last = scenario.rules.keep(Rule::SnapshotLast);
            for snapshot in each(world.live(scenario) & !mine.snapshots) {
                next.copy.at = if last { CopyAt::Packs } else { CopyAt::Snapshot };
                next.copy.takes = snapshot;
                go("finds {} to be copied", snapshot, next);
            }
        }
        CopyAt::Packs => {
            let births = World::missing(world.reach(mine.takes), mine.packs, scenario);
            let Some(birth) = each(births).next() else {
                next.copy.at = CopyAt::Entry;
                go("finds all that {} reaches in the copy", mine.takes, next);
                return;
            };
            match location(birth, world.packs) {
                Some(pack) => {
                    next.copy.packs |= bit(pack);
                    let what = if pack == MOVED_PACK {
                        "copies the pack the base was moved to"
                    } else {
                        "copies the pack of {}"
                    };
                    go(what, if pack == MOVED_PACK { 0 } else { pack }, next);
                }
                None => go("finds a pack of {} gone and leaves it out", mine.takes, idle(&next)),
            }
        }
        CopyAt::Entry => {
            for generation in 0..4 {
                next.copy.inbox[generation] |= world.inbox[generation] & bit(mine.takes);
            }
            next.copy.at = CopyAt::Snapshot;
            go("copies the key entries of {}", mine.takes, next);
        }
        CopyAt::Snapshot => {
            next.copy.snapshots |= bit(mine.takes);
            if scenario.rules.keep(Rule::SnapshotLast) {
                go("copies the snapshot {}", mine.takes, idle(&next));
            } else {
                next.copy.at = CopyAt::Packs;
                go("copies the snapshot {}", mine.takes, next);
            }
        }
    }
}

fn idle(world: &World) -> World {
    let mut next = *world;
    next.copy.at = CopyAt::Idle;
    next.copy.takes = NONE;
    next
}

/// The pack a birth is found in.
fn location(birth: u8, packs: Set) -> Option<u8> {
    if has(packs, birth) { Some(birth) } else { (birth == BASE_PACK && has(packs, MOVED_PACK)).then_some(MOVED_PACK) }
}

fn delete(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    let mine = world.copy;
    let gone = mine.snapshots & !world.live(scenario);
    for snapshot in each(gone) {
        let mut next = *world;
        next.copy.snapshots &= !bit(snapshot);
        go("drops {}, which was dropped", snapshot, next);
    }
    let mut births = each(mine.snapshots).fold(0, |births, snapshot| births | world.reach(snapshot));
    if mine.takes != NONE {
        births |= world.reach(mine.takes);
    }
    let named = if scenario.rules.keep(Rule::NoMirror) { world.executed } else { !world.packs };
    for pack in each(mine.packs & named) {
        let needed = World::missing(births, mine.packs & !bit(pack), scenario) != 0;
        if needed && scenario.rules.keep(Rule::CopyMarks) {
            continue;
        }
        let mut next = *world;
        next.copy.packs &= !bit(pack);
        go("deletes the pack of {}", if pack == MOVED_PACK { 0 } else { pack }, next);
    }
}
