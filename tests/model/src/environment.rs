//! The world around the protocol: people who forget, hold, restore, revoke and type checksums, a thief, and requests that land late.
//!
//! In comes a state; out go the states one event further.

use crate::explore::Step;
use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::world::{BASE_PACK, Claim, Kit, MOVED_PACK, NONE, OLD, RestoreAt, World, bit, each, has, run};

type Go<'a> = dyn FnMut(&'static str, u8, World) + 'a;

/// Every event.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    let mut go = |what, of, next| out.push((Step { who: 7, what, of }, next));
    if scenario.has.forget && !has(world.forgotten, OLD) && !world.undone {
        go("forgets {}", OLD, World { forgotten: world.forgotten | bit(OLD), ..*world });
    }
    undo(scenario, world, &mut go);
    if scenario.has.vandal && has(world.packs, OLD) {
        go("loses the pack of {} from the first store", OLD, World { packs: world.packs & !bit(OLD), ..*world });
    }
    land(scenario, world, &mut go);
    hold(scenario, world, &mut go);
    restore(scenario, world, &mut go);
    kits(scenario, world, &mut go);
    revoke(scenario, world, &mut go);
    forge(scenario, world, &mut go);
}

/// Taking a forget back: the flag, then a look at the plans; what is condemned cannot be taken back any more.
fn undo(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    if world.undoing {
        let mut next = World { undoing: false, ..*world };
        let holders = bit(BASE_PACK) | bit(MOVED_PACK);
        if world.plan & holders != 0 || World::missing(world.reach(OLD), world.packs, scenario) != 0 {
            next.forgotten |= bit(OLD);
            go("finds {} condemned: it stays forgotten", OLD, next);
        } else {
            go("finds {} not condemned: it is taken back", OLD, next);
        }
    } else if scenario.has.undo && has(world.forgotten, OLD) && !world.undone {
        let next = World { undoing: true, undone: true, forgotten: world.forgotten & !bit(OLD), ..*world };
        go("stores that {} is not forgotten", OLD, next);
    }
}

fn land(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    for admin in 0..2 {
        let late = world.late[admin];
        if late == NONE {
            continue;
        }
        let (generation, from) = (late % 4, late / 4);
        let mut next = *world;
        next.late[admin] = NONE;
        if next.parent[usize::from(generation)] == NONE {
            next.parent[usize::from(generation)] = from;
            if scenario.has.kits {
                next.kit[usize::from(generation)] = Kit::Out;
            }
        }
        go("sees the late request to publish {generation} arrive", generation, next);
    }
}

/// A hold is stored; it is acknowledged when an entry of its snapshot is seen under the tip and no erasure covers it.
fn hold(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    let Some(of) = scenario.has.hold else { return };
    let mut next = *world;
    if !has(world.held, of) {
        next.held |= bit(of);
        if !scenario.rules.keep(Rule::HoldSeesEntry) {
            next.hold_acknowledged |= bit(of);
        }
        go("stores a hold of {}", of, next);
    } else if !has(world.hold_acknowledged, of) {
        let tip = world.tip(scenario, 0);
        if !tip.undecided && has(world.entries(tip.generation), of) && !has(world.erased, of) {
            next.hold_acknowledged |= bit(of);
            go("sees the entry of {} under the tip: the hold is acknowledged", of, next);
        }
    }
}

/// Rule 10 and the last visible step of a restore.
fn restore(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    let Some(of) = scenario.has.restore else { return };
    let dropped = has(world.erased, of);
    let step = |restore| World { restore, ..*world };
    match world.restore {
        RestoreAt::Idle => go("announces a restore of {}", of, step(RestoreAt::Announced)),
        RestoreAt::Announced if dropped => go("refuses to restore {}", of, step(RestoreAt::Refused)),
        RestoreAt::Announced => {
            if has(world.openable(world.held_generations(&world.cell)), of) {
                go("opens the key of {}", of, step(RestoreAt::Open));
            } else {
                go("cannot restore {}", of, step(RestoreAt::Refused));
            }
        }
        RestoreAt::Open => {
            if dropped && scenario.rules.keep(Rule::RestoreRechecks) {
                go("reads the drops again and refuses to finish the restore of {}", of, step(RestoreAt::Refused));
            } else {
                let against = World { restored_against_intent: dropped, ..step(RestoreAt::Checked) };
                go("goes to the last visible step of the restore of {}", of, against);
            }
        }
        RestoreAt::Checked => go("finishes the restore of {}", of, step(RestoreAt::Finished)),
        RestoreAt::Dead if scenario.rules.keep(Rule::Attestation) => {
            go("attests that the restore of {} is dead and its target dropped", of, step(RestoreAt::Attested));
        }
        RestoreAt::Finished | RestoreAt::Refused | RestoreAt::Dead | RestoreAt::Attested => {}
    }
    if scenario.has.deaths && matches!(world.restore, RestoreAt::Announced | RestoreAt::Open | RestoreAt::Checked) {
        let next = World { restored_against_intent: false, ..step(RestoreAt::Dead) };
        go("sees the restore of {} die", of, next);
    }
}

fn kits(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    if !scenario.has.kits {
        return;
    }
    for generation in 0..4u8 {
        let at = usize::from(generation);
        let mut next = *world;
        if world.kit[at] == Kit::Out {
            next.kit[at] = Kit::Typed;
            go("types the checksum of the kit of {generation}", generation, next);
        }
        // Nobody gives a kit up before a newer one has been typed back and its rotation has come to its end.
        let newer = (0..4usize).any(|other| {
            world.parent[other] == generation && world.kit[other] == Kit::Typed && world.claim[other] == Claim::Closed
        });
        if world.kit[at] == Kit::Typed && newer {
            let mut next = *world;
            next.kit[at] = Kit::Gone;
            go("declares the kit of {generation} destroyed", generation, next);
        }
    }
}

/// The first writer is revoked: the flag, the heads it had, the policy that pins them.
fn revoke(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    if !scenario.has.revocation || world.revoked {
        return;
    }
    let mut next = *world;
    if scenario.rules.keep(Rule::RevocationInTwoSteps) && !world.revoking {
        next.revoking = true;
        go("stores the intent to revoke the first writer", OLD, next);
    } else if !world.pins_read {
        next.pins_read = true;
        next.pinned = world.snapshots & (bit(run(0, 0)) | bit(run(0, 1)));
        go("reads the head of the first writer's chain", OLD, next);
    } else {
        next.revoked = true;
        go("publishes the policy that revokes the first writer and pins its head", OLD, next);
    }
}

/// Somebody who can write to the store and has no key: what he forges has no effect where signatures are asked for.
fn forge(scenario: &Scenario, world: &World, go: &mut Go<'_>) {
    if !scenario.has.forgery {
        return;
    }
    if !scenario.rules.keep(Rule::SignedOnly) {
        for session in each(world.opened & !world.void_final) {
            go(
                "finds an unsigned void of {}",
                session,
                World { void_final: world.void_final | bit(session), ..*world },
            );
        }
    }
    if !world.forged_entry {
        go("finds a forged key entry of {}", OLD, World { forged_entry: true, ..*world });
    }
}
