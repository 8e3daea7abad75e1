//! Garbage collection and voids: rule 11.
//!
//! In comes a state; out go the states one request further. The collector has no key: it knows reach maps, sessions, plans and packs.

use crate::explore::Step;
use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::world::{
    BASE_PACK, Collector, CollectorAt, MOVED_PACK, NONE, OLD, Set, World, bit, each, fresh, has, parts, run,
};

const WHO: u8 = 4;
const VOIDER: u8 = 6;

/// Every step of the collector and of whoever voids dead sessions.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    if world.collector.at != CollectorAt::Done && scenario.has.collections > 0 {
        collect(scenario, world, out);
    }
    if scenario.has.voids && scenario.rules.keep(Rule::Voids) {
        void(scenario, world, out);
    }
}

fn collect(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    let mine = world.collector;
    let mut go = |what, of, next| out.push((Step { who: WHO, what, of }, next));
    match mine.at {
        CollectorAt::List => list(scenario, world, &mut go),
        CollectorAt::Copy => {
            let mut next = *world;
            next.packs |= bit(MOVED_PACK);
            next.collector.at = CollectorAt::Plan;
            go("copies the frames of the base into a new pack", OLD, next);
        }
        CollectorAt::Plan => {
            let mut next = *world;
            next.plan = mine.stale;
            next.collector.at = CollectorAt::Sessions;
            if scenario.has.lag {
                next.fresh |= fresh::PLAN;
            }
            go("stores its plan", OLD, next);
        }
        CollectorAt::Sessions => sessions(scenario, world, &mut go),
        CollectorAt::Wait => {
            let waits = mine.waits & !world.resolved();
            if waits == 0 || !scenario.rules.keep(Rule::SessionsWaited) {
                let mut next = *world;
                next.collector.at = CollectorAt::Remark;
                go("sees every session of its list ended or voided", OLD, next);
            }
        }
        CollectorAt::Remark => remark(scenario, world, &mut go),
        CollectorAt::Delete => delete(scenario, world, &mut go),
        CollectorAt::Done => {}
    }
    // A crash loses the marks, not the plan: somebody lists the sessions again and goes on from there.
    if world.crashes < scenario.has.crashes
        && matches!(mine.at, CollectorAt::Wait | CollectorAt::Remark | CollectorAt::Delete)
    {
        let mut next = World { crashes: world.crashes + 1, ..*world };
        next.collector =
            Collector { at: CollectorAt::Sessions, stale: world.plan & world.packs, ..Collector::default() };
        out.push((Step { who: WHO, what: "crashes and goes on from its plan", of: OLD }, next));
    }
}

/// The births that must stay, for somebody who sees these snapshots; none when a reach map is missing.
fn marked(scenario: &Scenario, world: &World, seen: Set) -> Option<Set> {
    let live = world.live(scenario) & seen;
    let mut births = each(live).fold(0, |births, snapshot| births | world.reach(snapshot));
    if scenario.has.hiding && has(live, run(0, 0)) {
        if scenario.rules.keep(Rule::MissingReachStops) {
            return None;
        }
        births &= !bit(run(0, 0));
    }
    let open = world.opened & !world.resolved() & !fresh::sessions(world.fresh, world.opened);
    if open != 0 {
        births |= bit(BASE_PACK);
    }
    Some(births)
}

/// The packs that must stay so that these births are found.
const fn needed(births: Set, packs: Set) -> Set {
    let moved = has(packs, MOVED_PACK);
    if moved && has(births, BASE_PACK) { births & !bit(BASE_PACK) | bit(MOVED_PACK) } else { births }
}

fn list(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    for missed in parts(fresh::snapshots(world.fresh, world.snapshots)) {
        let Some(births) = marked(scenario, world, !missed) else {
            go("finds a reach map missing and stops", OLD, stop(world));
            continue;
        };
        let stale = world.packs & !needed(births, world.packs);
        let mut next = *world;
        next.collector = Collector { at: CollectorAt::Plan, stale, ..Collector::default() };
        if stale != 0 {
            go("lists and marks", OLD, next);
        }
        if scenario.has.repack && has(births, BASE_PACK) && !has(world.packs, MOVED_PACK) {
            next.collector = Collector { at: CollectorAt::Copy, stale: bit(BASE_PACK), ..Collector::default() };
            go("lists, marks, and finds the base pack worth repacking", OLD, next);
        }
    }
}

fn stop(world: &World) -> World {
    World { collector: Collector { at: CollectorAt::Done, ..Collector::default() }, ..*world }
}

/// Waits the settle times the rules ask for, then lists the sessions.
fn sessions(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    let mine = world.collector;
    if mine.waited < settles(scenario) {
        let mut next = *world;
        if mine.settling == 0 {
            // At least one bit, so that the end of an empty wait is told from its beginning.
            next.collector.settling = world.fresh | fresh::PLAN;
            go("begins to wait a settle time", OLD, next);
        } else {
            next.fresh &= !mine.settling;
            next.collector.settling = 0;
            next.collector.waited += 1;
            go("has waited a settle time", OLD, next);
        }
        return;
    }
    for missed in parts(fresh::sessions(world.fresh, world.opened & !world.resolved())) {
        let mut next = *world;
        let waits = world.opened & !world.resolved() & !missed;
        next.collector = Collector { at: CollectorAt::Wait, waits, settling: 0, ..mine };
        go("lists the sessions", OLD, next);
    }
}

/// How many settle times a writer of a flag waits before it reads what does not wait itself.
pub(crate) fn settles(scenario: &Scenario) -> u8 {
    match (scenario.has.lag, scenario.rules.keep(Rule::SettleOnce), scenario.rules.keep(Rule::SettleTwice)) {
        (false, _, _) | (true, false, _) => 0,
        (true, true, false) => 1,
        (true, true, true) => 2,
    }
}

fn remark(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    let mine = world.collector;
    for missed in parts(fresh::snapshots(world.fresh, world.snapshots)) {
        let sessions = world.opened & !fresh::sessions(world.fresh, world.opened);
        let by_name = if scenario.rules.keep(Rule::RemarkByName) { sessions } else { 0 };
        let Some(births) = marked(scenario, world, !missed | by_name) else {
            go("finds a reach map missing and stops", OLD, stop(world));
            continue;
        };
        let keep = if scenario.rules.keep(Rule::Remark) { needed(births, world.packs) } else { 0 };
        let mut next = *world;
        next.collector.at = CollectorAt::Delete;
        next.collector.stale = mine.stale & !keep;
        go("marks again", OLD, next);
    }
}

fn delete(scenario: &Scenario, world: &World, go: &mut dyn FnMut(&'static str, u8, World)) {
    let mut next = *world;
    let Some(pack) = each(world.collector.stale).next() else {
        next.plan = 0;
        let again = scenario.has.collections > 1;
        next.collector =
            Collector { at: if again { CollectorAt::List } else { CollectorAt::Done }, ..Collector::default() };
        go("ends its plan", OLD, next);
        return;
    };
    next.packs &= !bit(pack);
    next.executed |= bit(pack);
    next.collector.stale &= !bit(pack);
    let what = match pack {
        BASE_PACK => "deletes the base pack of {}",
        MOVED_PACK => "deletes the pack the base was moved to",
        _ => "deletes the pack of {}",
    };
    go(what, if pack == MOVED_PACK { OLD } else { pack }, next);
}

fn void(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    let mut go = |what, of, next| out.push((Step { who: VOIDER, what, of }, next));
    if world.voiding != NONE {
        let session = world.voiding;
        let mut next = World { voiding: NONE, ..*world };
        if has(world.snapshots, session) && scenario.rules.keep(Rule::VoidInTwoSteps) {
            next.void_cancel |= bit(session);
            go("finds the snapshot of {} and takes the intent back", session, next);
        } else {
            next.void_final |= bit(session);
            go("voids the session of {}", session, next);
        }
        return;
    }
    // An intent that its author left behind is decided by whoever finds it.
    if let Some(session) = each(world.void_intent & !world.resolved()).next() {
        go("finds the intent to void {} undecided", session, World { voiding: session, ..*world });
    }
    let open = world.opened & !world.resolved() & !world.void_intent;
    for session in each(open & !fresh::sessions(world.fresh, open)) {
        let mut next = *world;
        if scenario.rules.keep(Rule::VoidInTwoSteps) {
            next.void_intent |= bit(session);
            next.voiding = session;
            go("takes {} for dead and stores the intent to void it", session, next);
        } else if !has(world.snapshots, session) {
            // Looks first and voids later: the look is this step.
            next.voiding = session;
            go("takes {} for dead and finds no snapshot", session, next);
        }
    }
}
