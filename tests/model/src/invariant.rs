//! What must hold in every state, each promise a function of its own.
//!
//! In comes a state; out comes which promises it breaks. A promise looks at the whole world, more than any process can see.

use crate::rules::Rule;
use crate::scenario::{Scenario, Task};
use crate::world::{Claim, CollectorAt, Kit, NONE, RestoreAt, Set, World, bit, each, has, successor};

/// The promises, I1 to I10.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Invariant {
    /// I1: what was acknowledged and not dropped can be opened.
    Openable,
    /// I2: where nobody is at work, no snapshot stands whose key is dead.
    NoDeadKey,
    /// I3: a snapshot that counts finds every frame it reaches.
    FramesPresent,
    /// I4: what was acknowledged stays valid.
    StaysValid,
    /// I5: after a complete receipt nothing of what it names can be opened, confirmed or restored.
    ErasedIsDead,
    /// I6: the generations are a line.
    OneLine,
    /// I7: losing any one host loses nothing.
    AnyHostLost,
    /// I8: a copy has all that its snapshots reach.
    CopyComplete,
    /// I9: whatever was begun can end.
    Settles,
    /// I10: what was acknowledged as held can be opened.
    HoldKept,
}

/// Adds the promises a state breaks; I9 speaks of all states together and is not among them.
pub(crate) fn broken(scenario: &Scenario, world: &World, out: &mut Vec<Invariant>) {
    type Promise = fn(&Scenario, &World) -> bool;
    let promises: [(Invariant, Promise); 9] = [
        (Invariant::Openable, openable),
        (Invariant::NoDeadKey, no_dead_key),
        (Invariant::FramesPresent, frames_present),
        (Invariant::StaysValid, stays_valid),
        (Invariant::ErasedIsDead, erased_is_dead),
        (Invariant::OneLine, one_line),
        (Invariant::AnyHostLost, any_host_lost),
        (Invariant::CopyComplete, copy_complete),
        (Invariant::HoldKept, hold_kept),
    ];
    out.extend(promises.iter().filter(|(_, holds)| !holds(scenario, world)).map(|(invariant, _)| *invariant));
}

/// What was acknowledged, counts and was not dropped; a hold protects from when it was acknowledged.
fn promised(scenario: &Scenario, world: &World) -> Set {
    world.acknowledged & world.live(scenario) & !(world.forgotten & !world.hold_acknowledged)
}

/// I1: a snapshot that was acknowledged and not dropped lies, as bundle or entry, under a generation that some cell or kit holds; one
/// that a person's erasure replaced has a successor of which that is true.
fn openable(scenario: &Scenario, world: &World) -> bool {
    let openable = world.openable(world.held_generations(&world.cell));
    let replaced = if world.person_published() { world.acknowledged & world.covered() & world.listed } else { 0 };
    promised(scenario, world) & !openable == 0
        && each(replaced & world.valid(scenario)).all(|of| has(openable & world.snapshots, successor(of)))
}

/// I2: when every process has come to rest, every snapshot that counts can be opened, acknowledged or not.
fn no_dead_key(scenario: &Scenario, world: &World) -> bool {
    if !world.writers_rest() || !world.admins_rest() {
        return true;
    }
    let live = world.live(scenario) & !(world.forgotten & !world.hold_acknowledged);
    live & !world.openable(world.held_generations(&world.cell)) == 0
}

/// I3: every birth that a valid, undropped snapshot reaches is in a pack that is present.
fn frames_present(scenario: &Scenario, world: &World) -> bool {
    let undoing = if world.undoing { bit(crate::world::OLD) } else { 0 };
    scenario.has.vandal
        || each(world.live(scenario) & !undoing).all(|of| World::missing(world.reach(of), world.packs, scenario) == 0)
}

/// I4: an acknowledged snapshot is not voided, not covered late by an erasure, not beyond the pin of a revocation, not displaced.
fn stays_valid(scenario: &Scenario, world: &World) -> bool {
    world.acknowledged & !world.valid(scenario) == 0
}

/// I5: after a complete receipt no generation in any cell, kit or memory has an entry of what it names; for a person: no snapshot that
/// counts and no index or overlay holds her. No restore of it is open then, and none goes to its last step against the intent.
fn erased_is_dead(scenario: &Scenario, world: &World) -> bool {
    if world.restored_against_intent {
        return false;
    }
    let cells = world.cell[0] | world.cell[1] | world.in_memory(0) | world.in_memory(1);
    let openable = world.openable(world.held_generations(&[cells]));
    let restoring = matches!(world.restore, RestoreAt::Open | RestoreAt::Checked);
    (0..2).filter(|admin| world.complete & (1 << admin) != 0).all(|admin| match scenario.has.admins[admin] {
        Task::None => true,
        Task::Erase => {
            let victim = scenario.victim(admin);
            let restored = scenario.has.restore.is_some_and(|of| bit(of) == victim) && restoring;
            openable & victim == 0 && !restored
        }
        Task::Person => {
            // The index of a clone that nobody knows of is beyond every proof; its overlay is not, because its session was seen.
            let indexes = if scenario.has.clone { 0 } else { world.index_has_x };
            let hosts = (indexes | world.overlay_has_x) & !world.attested;
            openable & world.covered() == 0 && world.live(scenario) & world.has_x == 0 && hosts == 0
        }
    })
}

/// I6: no generation has two successors that anybody would follow.
fn one_line(scenario: &Scenario, world: &World) -> bool {
    let followed = |of: usize| {
        world.parent[of] != NONE
            && !(world.claim[of] == Claim::Voided && scenario.rules.keep(Rule::VoidedPolicyIgnored))
    };
    (1..4).all(|one| {
        (1..one).all(|other| !(followed(one) && followed(other) && world.parent[one] == world.parent[other]))
    })
}

/// I7: with any one cell lost, or the kit, or the first store, what was acknowledged can still be opened. While a rotation is pending
/// because its kit is not typed, what was stored under the new generation only is not counted.
fn any_host_lost(scenario: &Scenario, world: &World) -> bool {
    let promised = promised(scenario, world);
    if scenario.has.kits {
        let typed = (0..4u8)
            .filter(|of| world.kit[usize::from(*of)] == Kit::Typed)
            .fold(0, |set, generation| set | 1 << generation);
        // Until the old generation is destroyed the rotation is pending and says that what is new has one holder.
        let pending = world.cell[0].count_ones() > 1;
        let kept = if pending { promised & world.bundle[0] } else { promised };
        return kept & !world.openable(typed) == 0 && kept & !world.openable(world.cell[0]) == 0;
    }
    let cells = world.cell.iter().all(|cell| promised & !world.openable(*cell) == 0);
    let both = world.cell[0] | world.cell[1];
    let in_copy = (0..4usize)
        .filter(|generation| both & (1 << generation) != 0)
        .map(|generation| {
            let bundle = if world.copy.bundles & (1 << generation) != 0 { world.bundle[generation] } else { 0 };
            bundle | world.copy.inbox[generation]
        })
        .fold(0, |set, entries| set | entries);
    cells && (!scenario.has.copy || promised & world.copy.snapshots & !in_copy == 0)
}

/// I8: a snapshot in the copy finds there every frame it reaches.
fn copy_complete(scenario: &Scenario, world: &World) -> bool {
    each(world.copy.snapshots).all(|of| World::missing(world.reach(of), world.copy.packs, scenario) == 0)
}

/// I9: claims are closed, plans carried out, sessions ended or voided, restores over, receipts complete. Every state must be able to
/// reach one like this, by steps of processes that still live, adoption, voids and attestations.
pub(crate) fn settled(scenario: &Scenario, world: &World) -> bool {
    let claims = world.claim.iter().all(|claim| !matches!(claim, Claim::Open | Claim::Doubted | Claim::Adopted));
    let receipts = (1..4u8).all(|of| {
        world.parent[usize::from(of)] == NONE
            || world.claim[usize::from(of)] == Claim::Voided
            || world.complete & (1 << scenario.maker(of)) != 0
    });
    let collected = world.plan == 0 && matches!(world.collector.at, CollectorAt::List | CollectorAt::Done);
    let sessions = !scenario.has.voids || (world.opened & !world.resolved() == 0 && world.voiding == NONE);
    let restores =
        !matches!(world.restore, RestoreAt::Announced | RestoreAt::Open | RestoreAt::Checked | RestoreAt::Dead);
    claims && receipts && collected && sessions && restores && world.late == [NONE; 2]
}

/// I10: an acknowledged hold keeps its snapshot openable.
fn hold_kept(_: &Scenario, world: &World) -> bool {
    let openable = world.openable(world.held_generations(&world.cell));
    world.hold_acknowledged & !openable == 0
}
