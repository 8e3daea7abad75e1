//! Erasing a person: rules 7 and 10 for an erasure by predicate.
//!
//! In comes a state; out go the states one request further. The intent covers every snapshot whose header has not seen it, whenever it
//! appears; those that are there already are rewritten before the rotation refuses them.

use crate::collector::settles;
use crate::explore::Step;
use crate::rotation::{Go, at, settled};
use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::world::{AdminAt, Set, World, WriterAt, bit, each, fresh, has, parts, run, successor};

/// What happens around the erasure: the person leaves the database, and what is lost for ever is attested.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    if !scenario.erases_person() {
        return;
    }
    if world.database_has_x {
        let next = World { database_has_x: false, ..*world };
        out.push((Step { who: 7, what: "deletes the person from the database", of: 0 }, next));
    }
    if !scenario.rules.keep(Rule::Attestation) || !world.listing_done {
        return;
    }
    for writer in 0..scenario.has.writers {
        let mine = world.writer[usize::from(writer)];
        let bit_of = 1 << writer;
        let over = mine.at == WriterAt::Ended
            && mine.run + 1 == scenario.has.runs
            && !has(world.seen & world.acknowledged, run(writer, mine.run));
        if (over || mine.at == WriterAt::Dead) && world.attested & bit_of == 0 {
            let next = World { attested: world.attested | bit_of, ..*world };
            let what = "attests that the host of {} is destroyed";
            out.push((Step { who: 7, what, of: run(writer, mine.run) }, next));
        }
        for number in 0..scenario.has.runs {
            let session = run(writer, number);
            let past = number < mine.run || (number == mine.run && mine.at == WriterAt::Dead);
            if past && has(world.awaited & world.resolved() & !world.ended & !world.declared, session) {
                let mut next = *world;
                next.declared |= bit(session);
                next.overlay_has_x &= !bit_of;
                out.push((Step { who: 7, what: "attests that what {} left behind is destroyed", of: session }, next));
            }
        }
    }
}

/// The intent: a predicate over the headers of the job.
pub(crate) fn intent(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    if world.listing_done {
        let first = scenario.rules.keep(Rule::ReplacementFirst);
        let after = if first { AdminAt::Rewriting } else { AdminAt::Reading };
        go("finds its intent stored and goes on", 0, at(world, admin, after));
        return;
    }
    if world.database_has_x {
        return;
    }
    let mut next = at(world, admin, AdminAt::Listing);
    next.intent = true;
    if scenario.has.lag && !world.intent {
        next.fresh |= fresh::INTENT;
    }
    go("stores the intent to erase the person", 0, next);
}

/// Lists what is covered and which sessions are open; both may still be missed by a listing that lags.
pub(crate) fn list(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    if !settled(world, admin, settles(scenario), fresh::INTENT, go) {
        return;
    }
    let first = scenario.rules.keep(Rule::ReplacementFirst);
    let covered = world.covered() & world.valid(scenario);
    // A session voided before the listing is no more over than one voided after it: its process may still sleep.
    let open = world.opened & !world.ended;
    for missed in parts(fresh::snapshots(world.fresh, covered)) {
        for missed_open in parts(fresh::sessions(world.fresh, open)) {
            let mut next = at(world, admin, if first { AdminAt::Rewriting } else { AdminAt::Reading });
            next.listed = covered & !missed;
            next.listing_done = true;
            next.awaited = open & !missed_open;
            go("lists what is covered and which sessions are open", 0, next);
        }
    }
}

/// Rewrites one covered snapshot: its successor is verified, anchored and committed.
pub(crate) fn rewrite(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Some(of) = each(world.listed).find(|of| !has(world.snapshots, successor(*of))) else {
        let first = scenario.rules.keep(Rule::ReplacementFirst);
        go(
            "has rewritten all that is covered",
            0,
            at(world, admin, if first { AdminAt::Reading } else { AdminAt::Relist }),
        );
        return;
    };
    let tip = world.tip(scenario, 0).generation;
    let new = bit(successor(of));
    let mut next = *world;
    next.packs |= new;
    next.inbox[usize::from(tip)] |= new;
    next.snapshots |= new;
    next.seen |= new;
    next.acknowledged |= new;
    if has(world.reuses, of) {
        next.reuses |= new;
    }
    go("rewrites {} and commits its successor", of, next);
}

/// Rule 10 for a person: sessions, indexes, and what was anchored late.
pub(crate) fn may_complete(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) -> bool {
    if scenario.rules.keep(Rule::SessionsAwaited) && world.awaited & !world.resolved() != 0 {
        return false;
    }
    let voided = world.awaited & world.resolved() & !world.ended;
    if scenario.rules.keep(Rule::VoidedIsDeclared) && voided & !world.declared != 0 {
        return false;
    }
    if !(0..scenario.has.writers).all(|writer| index_is_clean(scenario, world, scenario.home(writer))) {
        return false;
    }
    if scenario.rules.keep(Rule::LateRotatedOut) && late(scenario, world) != 0 {
        let makes = world.admin[admin].makes;
        if let Some(another) = scenario.another(makes) {
            let mut next = at(world, admin, AdminAt::Idle);
            next.admin[admin].makes = another;
            go("finds late entries under {generation} and must rotate again", makes, next);
        }
        return false;
    }
    true
}

/// The covered snapshots that can still be opened, and the entries of runs that failed without one.
fn late(scenario: &Scenario, world: &World) -> Set {
    let covered = if scenario.rules.keep(Rule::Predicate) { world.covered() } else { world.covered() & world.listed };
    world.openable(world.held_generations(&world.cell)) & covered
}

/// Whether a home has proved that its index holds nothing of the person, or all its hosts are attested lost.
fn index_is_clean(scenario: &Scenario, world: &World, home: u8) -> bool {
    let hosts = || (0..scenario.has.writers).filter(move |writer| scenario.home(*writer) == home);
    let proof = |session: u8| {
        let committed = has(world.snapshots, session);
        let seen = has(world.seen, session) || !scenario.rules.keep(Rule::RatchetSeen);
        // The end of a session says whether it committed; a failed run leaves the old index where it was.
        let ended = has(world.ended & world.acknowledged, session) || !scenario.rules.keep(Rule::RatchetEnded);
        committed && seen && ended
    };
    hosts().any(|host| (0..scenario.has.runs).any(|number| proof(run(host, number))))
        || hosts().all(|host| world.attested & (1 << host) != 0)
}
