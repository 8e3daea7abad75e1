//! Writers: rules 2 to 5, a session from its opening to its end.
//!
//! In comes a state; out go the states one request of a writer further. A writer knows what it has read and never what others remember.

use crate::explore::Step;
use crate::rules::Rule;
use crate::scenario::Scenario;
use crate::world::{
    BASE_PACK, GENERATIONS, MOVED_PACK, NONE, OLD, Set, World, Writer, WriterAt, bit, fresh, has, parts, run,
};

/// One step of a writer, before those nobody can notice are taken along.
type Taken = (&'static str, u8, World);

/// Every step a writer can take.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    for writer in 0..scenario.has.writers {
        let mut taken = Vec::new();
        perform(scenario, world, writer, &mut taken);
        for (what, of, next) in taken {
            let step = Step { who: writer, what, of };
            go_on(scenario, next, writer, &mut |world| out.push((step, world)));
        }
        die_or_return(scenario, world, writer, out);
    }
}

/// Takes the steps nobody in this scenario could notice together with the one before.
fn go_on(scenario: &Scenario, world: World, writer: u8, out: &mut dyn FnMut(World)) {
    let at = world.writer[usize::from(writer)].at;
    // What a clone can do to a person's erasure is to run from beginning to end beside a sleeping original.
    let at_once = scenario.erases_person() && scenario.has.clone && writer == 1 && at != WriterAt::Ended;
    if !at_once && !is_quiet(scenario, at) {
        out(world);
        return;
    }
    let mut taken = Vec::new();
    perform(scenario, &world, writer, &mut taken);
    if taken.is_empty() {
        out(world);
    }
    for (_, _, next) in taken {
        go_on(scenario, next, writer, out);
    }
}

fn is_quiet(scenario: &Scenario, at: WriterAt) -> bool {
    let (packs, keys) = (scenario.has.collections > 0, scenario.rotates() || scenario.has.copy);
    match at {
        WriterAt::Chains => !scenario.erases_person() && !scenario.has.clone,
        WriterAt::Base | WriterAt::Resolve => !packs,
        WriterAt::Source => !scenario.erases_person(),
        // Where a person is erased the scenarios are wide; what these steps can meet is met in others.
        WriterAt::Upload => !packs,
        WriterAt::Tip => !keys || scenario.erases_person(),
        WriterAt::Entry | WriterAt::Anchor => !keys,
        WriterAt::Ratchet | WriterAt::Fail => !scenario.erases_person(),
        WriterAt::End => !packs && !scenario.erases_person() && !scenario.has.voids && !scenario.has.clone,
        _ => false,
    }
}

fn die_or_return(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<(Step, World)>) {
    let (at, mine) = (usize::from(writer), world.writer[usize::from(writer)]);
    let session = run(writer, mine.run);
    if scenario.has.deaths && !matches!(mine.at, WriterAt::Idle | WriterAt::Ended | WriterAt::Dead) {
        let mut next = *world;
        next.writer[at] = Writer { at: WriterAt::Dead, run: mine.run, cleaning: NONE, ..Writer::default() };
        out.push((Step { who: writer, what: "stops in the middle of {}, its memory lost", of: session }, next));
    }
    let attested = world.attested & (1 << writer) != 0;
    if matches!(mine.at, WriterAt::Dead | WriterAt::Ended) && mine.run + 1 < scenario.has.runs && !attested {
        let mut next = *world;
        next.writer[at] = Writer { run: mine.run + 1, cleaning: NONE, ..Writer::default() };
        out.push((Step { who: writer, what: "starts its next run after {}", of: session }, next));
    }
}

fn perform(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    match mine.at {
        WriterAt::Idle => begin(scenario, world, writer, out),
        WriterAt::Cleaning => clean(world, writer, out),
        WriterAt::EarlyBase | WriterAt::Base => base(scenario, world, writer, out),
        WriterAt::LateSession => {
            let mut next = open(scenario, world, session);
            go(&mut next, writer, WriterAt::Chains);
            out.push(("stores the session of {}", session, next));
        }
        WriterAt::Chains => chains(scenario, world, writer, out),
        WriterAt::Source => {
            let mut next = *world;
            next.writer[usize::from(writer)].has_x = world.database_has_x;
            let seen = scenario.rules.keep(Rule::SeenBeforeSource);
            let after = if seen { WriterAt::Upload } else { WriterAt::Chains };
            go(&mut next, writer, after);
            out.push(("opens the source of {}", session, next));
        }
        WriterAt::Upload => {
            let mut next = *world;
            next.packs |= bit(session);
            if mine.has_x {
                next.overlay_has_x |= 1 << writer;
            }
            go(&mut next, writer, WriterAt::Resolve);
            out.push(("stores the packs and the reach of {}", session, next));
        }
        WriterAt::Resolve => resolve(scenario, world, writer, out),
        WriterAt::Tip => read_tip(scenario, world, writer, out),
        WriterAt::Entry => {
            let mut next = *world;
            next.inbox[usize::from(mine.generation)] |= bit(session);
            if scenario.has.lag {
                next.fresh |= fresh::entry(mine.generation, session);
            }
            let anchors = scenario.rules.keep(Rule::Anchor);
            // Without the rule the snapshot follows at once, and the tip is read afterwards.
            let stored = has(world.snapshots, session);
            go(&mut next, writer, if anchors || stored { WriterAt::Anchor } else { WriterAt::Snapshot });
            out.push(("stores the key entry of {}", session, next));
        }
        WriterAt::Anchor => anchor(scenario, world, writer, out),
        WriterAt::Snapshot => store(scenario, world, writer, out),
        WriterAt::Check => check(scenario, world, writer, out),
        WriterAt::Ratchet | WriterAt::Fail => ratchet(scenario, world, writer, out),
        WriterAt::End => {
            let mut next = *world;
            next.ended |= bit(session);
            next.writer[usize::from(writer)] =
                Writer { at: WriterAt::Ended, run: mine.run, cleaning: NONE, ..Writer::default() };
            out.push(("ends the session of {}", session, next));
        }
        WriterAt::Ended | WriterAt::Dead => {}
    }
}

fn go(world: &mut World, writer: u8, at: WriterAt) {
    world.writer[usize::from(writer)].at = at;
}

/// The open session of the same home that a run finds before it begins: one its home left behind, or its twin's.
fn left_behind(scenario: &Scenario, world: &World, writer: u8) -> Option<u8> {
    if scenario.erases_person() && scenario.has.clone {
        // That a twin's session is voided rather than ended is explored where packs are collected.
        return None;
    }
    let mine = run(writer, world.writer[usize::from(writer)].run);
    (0..scenario.has.writers)
        .filter(|other| scenario.home(*other) == scenario.home(writer))
        .flat_map(|other| [run(other, 0), run(other, 1)])
        .find(|session| *session != mine && has(world.opened & !world.resolved() & !world.void_intent, *session))
}

/// Before anything else: overlays of aborted runs are destroyed, sessions they left are brought to an end. Then the session is stored.
fn begin(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let session = run(writer, world.writer[usize::from(writer)].run);
    let mut next = *world;
    if scenario.rules.keep(Rule::OverlayDies) {
        next.overlay_has_x &= !(1 << writer);
    }
    if let Some(left) = left_behind(scenario, world, writer) {
        if !scenario.rules.keep(Rule::OthersAreVoided) {
            next.ended |= bit(left);
            out.push(("ends {}, a session of its home that it takes for dead", left, next));
        } else if scenario.has.voids {
            next.void_intent |= bit(left);
            next.writer[usize::from(writer)].cleaning = left;
            go(&mut next, writer, WriterAt::Cleaning);
            out.push(("stores the intent to void {}, a session of its home", left, next));
        }
        if !scenario.has.clone {
            return;
        }
        next = *world;
    }
    if scenario.rules.keep(Rule::SessionBeforeBase) {
        let mut next = open(scenario, &next, session);
        let seen = scenario.rules.keep(Rule::SeenBeforeSource);
        go(&mut next, writer, if seen { WriterAt::Chains } else { WriterAt::Base });
        out.push(("stores the session of {}", session, next));
    } else {
        go(&mut next, writer, WriterAt::EarlyBase);
        base(scenario, &next, writer, out);
    }
}

fn clean(world: &World, writer: u8, out: &mut Vec<Taken>) {
    let left = world.writer[usize::from(writer)].cleaning;
    let mut next = *world;
    let stands = has(world.snapshots, left);
    if stands {
        next.void_cancel |= bit(left);
    } else {
        next.void_final |= bit(left);
    }
    next.writer[usize::from(writer)].cleaning = NONE;
    go(&mut next, writer, WriterAt::Idle);
    let what =
        if stands { "finds the snapshot of {} and takes the intent back" } else { "finds no snapshot and voids {}" };
    out.push((what, left, next));
}

fn open(scenario: &Scenario, world: &World, session: u8) -> World {
    let mut next = *world;
    next.opened |= bit(session);
    if scenario.has.lag {
        next.fresh |= fresh::session(session);
    }
    next
}

/// Reads the admins' chains and its home's own: what it has `seen`, and its snapshot's number.
fn chains(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    for missed in parts(if world.fresh & fresh::INTENT == 0 { 0 } else { 1 }) {
        let mut next = *world;
        let state = &mut next.writer[usize::from(writer)];
        state.seen = world.intent && missed == 0;
        let twins = (0..scenario.has.writers)
            .filter(|other| *other != writer && scenario.home(*other) == scenario.home(writer));
        state.second = twins.clone().any(|other| world.snapshots & (bit(run(other, 0)) | bit(run(other, 1))) != 0);
        state.at = match (scenario.rules.keep(Rule::SessionBeforeBase), scenario.rules.keep(Rule::SeenBeforeSource)) {
            (_, false) => WriterAt::Upload,
            (false, true) => WriterAt::Source,
            (true, true) => WriterAt::Base,
        };
        out.push(("reads the admins' chains for {}", session, next));
    }
}

/// Reads plans and drops and fixes the base.
fn base(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    for missed in parts(if world.fresh & fresh::PLAN == 0 { 0 } else { 1 }) {
        let mut next = *world;
        let plan = if missed == 0 { world.plan } else { 0 };
        let condemned = scenario.rules.keep(Rule::CondemnedRefused) && is_condemned(plan, world);
        let alive = has(world.live(scenario), OLD) && World::missing(bit(BASE_PACK), world.packs, scenario) == 0;
        let state = &mut next.writer[usize::from(writer)];
        state.reuses = scenario.has.collections > 0 && alive && !condemned;
        state.overlaid = !scenario.rules.keep(Rule::OverlayDies) && mine.run > 0 && has(world.packs, session - 1);
        state.at = match mine.at {
            WriterAt::EarlyBase => WriterAt::LateSession,
            _ => WriterAt::Source,
        };
        out.push(("reads the plans and fixes the base of {}", session, next));
    }
}

/// Whether a plan takes the frames of the base away for good: their pack is in it and nothing else has them.
fn is_condemned(plan: Set, world: &World) -> bool {
    has(plan, BASE_PACK) && !has(world.packs & !plan, MOVED_PACK)
}

/// Rule 3: what the snapshot reaches is there; what is not is stored again.
fn resolve(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let session = run(writer, world.writer[usize::from(writer)].run);
    let mut next = *world;
    let state = &mut next.writer[usize::from(writer)];
    if World::missing(bit(BASE_PACK), world.packs, scenario) != 0 {
        state.reuses = false;
    }
    state.at = WriterAt::Tip;
    out.push(("finds every birth that {} reaches, or stores it again", session, next));
}

/// The policies a listing may miss, each way it may.
fn unseen(world: &World) -> impl Iterator<Item = u32> {
    let fresh: Set = (1..4u8).filter(|of| world.fresh & fresh::policy(*of) != 0).fold(0, |set, of| set | bit(of));
    parts(fresh).map(u32::from)
}

fn read_tip(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let session = run(writer, world.writer[usize::from(writer)].run);
    for hidden in unseen(world) {
        let tip = world.tip(scenario, hidden);
        if !tip.undecided {
            let mut next = *world;
            next.writer[usize::from(writer)].generation = tip.generation;
            go(&mut next, writer, WriterAt::Entry);
            out.push(("reads the tip policy for {}", session, next));
        }
    }
}

/// Rule 4: reads the tip; goes on only if it is still the one its entry is sealed to.
fn anchor(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    for hidden in unseen(world) {
        let tip = world.tip(scenario, hidden);
        if tip.undecided {
            continue;
        }
        let mut next = *world;
        if tip.generation == mine.generation {
            go(&mut next, writer, if has(world.snapshots, session) { WriterAt::Check } else { WriterAt::Snapshot });
            out.push(("reads the tip policy: {} is anchored", session, next));
        } else {
            next.writer[usize::from(writer)].generation = tip.generation;
            go(&mut next, writer, WriterAt::Entry);
            out.push(("reads a new tip policy: {} must be anchored again", session, next));
        }
    }
}

/// Rule 5: the commit point.
fn store(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    let mut next = *world;
    let mark = |set: &mut Set, is: bool| *set |= if is { bit(session) } else { 0 };
    mark(&mut next.snapshots, true);
    mark(&mut next.seen, mine.seen);
    mark(&mut next.has_x, mine.has_x);
    mark(&mut next.reuses, mine.reuses);
    mark(&mut next.overlaid, mine.overlaid);
    mark(&mut next.second, mine.second);
    if scenario.has.lag {
        next.fresh |= fresh::snapshot(session);
    }
    let anchors = scenario.rules.keep(Rule::Anchor);
    go(&mut next, writer, if anchors { WriterAt::Check } else { WriterAt::Anchor });
    out.push(("stores the snapshot {}", session, next));
}

/// Rule 5: reads what could make the snapshot void; nothing: it is acknowledged.
fn check(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    for missed in parts(if world.fresh & fresh::INTENT == 0 { 0 } else { 1 }) {
        let voided = scenario.rules.keep(Rule::VoidCheck) && has(world.void_intent | world.void_final, session);
        let covered = scenario.rules.keep(Rule::IntentCheck) && world.intent && missed == 0 && !mine.seen;
        let two = scenario.rules.keep(Rule::RevocationInTwoSteps);
        let revoked =
            scenario.rules.keep(Rule::RevocationCheck) && writer == 0 && (world.revoked || (two && world.revoking));
        let mut next = *world;
        if voided || covered || revoked {
            go(&mut next, writer, WriterAt::Fail);
            out.push(("learns that {} was overtaken and fails", session, next));
        } else {
            next.acknowledged |= bit(session);
            go(&mut next, writer, WriterAt::Ratchet);
            out.push(("finds nothing against {} and acknowledges it", session, next));
        }
    }
}

/// The old index and the overlay die; after a failure only the overlay.
fn ratchet(scenario: &Scenario, world: &World, writer: u8, out: &mut Vec<Taken>) {
    let mine = world.writer[usize::from(writer)];
    let session = run(writer, mine.run);
    let mut next = *world;
    let own = 1 << writer;
    if mine.at == WriterAt::Ratchet && scenario.rules.keep(Rule::Ratchet) {
        next.index_has_x = if mine.has_x { world.index_has_x | own } else { world.index_has_x & !own };
    }
    next.overlay_has_x &= !own;
    go(&mut next, writer, WriterAt::End);
    out.push(("destroys the index before {}", session, next));
}

/// The runs whose entries a listing of this generation shows, each way it may be seen; what hides is never seen.
pub(crate) fn seen_entries(scenario: &Scenario, world: &World, generation: u8) -> impl Iterator<Item = Set> {
    debug_assert!(usize::from(generation) < GENERATIONS);
    let there = world.inbox[usize::from(generation)];
    let there = if scenario.has.hiding { there & !bit(run(0, 0)) } else { there };
    parts(fresh::entries(world.fresh, generation, there)).map(move |missed| there & !missed)
}
