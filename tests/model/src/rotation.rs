//! Rotating admins: rules 6 and 8 to 10, claims, crashes and adoption.
//!
//! In comes a state; out go the states one request of an admin further. An admin knows what it read from the store and the cells; a
//! crash takes that from it.

use crate::collector::settles;
use crate::explore::Step;
use crate::person;
use crate::rules::Rule;
use crate::scenario::{Scenario, Task};
use crate::world::{Admin, AdminAt, Claim, Kit, NONE, OLD, RestoreAt, Set, World, bit, fresh, has};
use crate::writer::seen_entries;

pub(crate) type Go<'a> = dyn FnMut(&'static str, u8, World) + 'a;

/// Every step of the two admins.
pub(crate) fn steps(scenario: &Scenario, world: &World, out: &mut Vec<(Step, World)>) {
    for admin in 0..2 {
        if scenario.has.admins[admin] == Task::None && !scenario.has.adoption {
            continue;
        }
        let who = if admin == 0 { 2 } else { 3 };
        perform(scenario, world, admin, &mut |what, of, next| {
            go_on(scenario, next, admin, &mut |next| out.push((Step { who, what, of }, next)));
        });
        crash(scenario, world, admin, &mut |what, of, next| out.push((Step { who, what, of }, next)));
        adopt(scenario, world, admin, &mut |what, of, next| out.push((Step { who, what, of }, next)));
    }
}

/// Takes the steps nobody in this scenario could notice together with the one before.
fn go_on(scenario: &Scenario, world: World, admin: usize, out: &mut dyn FnMut(World)) {
    let lone = scenario.has.admins[1] == Task::None && !scenario.has.adoption;
    let quiet = match world.admin[admin].at {
        // Where a person is erased the scenarios are wide; what these steps can meet is met in others.
        AdminAt::Claimed => lone && !scenario.has.lag,
        AdminAt::Verify | AdminAt::Close => scenario.erases_person(),
        AdminAt::Holds => scenario.has.hold.is_none(),
        AdminAt::SecondPlace => !scenario.has.copy,
        AdminAt::SecondCell | AdminAt::DestroySecond => scenario.has.kits || scenario.erases_person(),
        _ => false,
    };
    if quiet {
        let mut blocked = true;
        perform(scenario, &world, admin, &mut |_, _, next| {
            blocked = false;
            go_on(scenario, next, admin, out);
        });
        if blocked {
            out(world);
        }
    } else {
        out(world);
    }
}

fn perform(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let mine = world.admin[admin];
    match mine.at {
        AdminAt::Idle => claim(scenario, world, admin, go),
        AdminAt::Claimed => list_claims(scenario, world, admin, go),
        AdminAt::Withdrawn => {
            if !others_open(world, mine.makes, 0) && scenario.has.admins[admin] != Task::None {
                go("tries again", OLD, at(world, admin, AdminAt::Idle));
            }
        }
        AdminAt::Intent => intent(scenario, world, admin, go),
        AdminAt::Holds => refuse_held(scenario, world, admin, go),
        AdminAt::Listing => person::list(scenario, world, admin, go),
        AdminAt::Rewriting => person::rewrite(scenario, world, admin, go),
        AdminAt::Reading => read(scenario, world, admin, go),
        AdminAt::FirstCell
        | AdminAt::SecondCell
        | AdminAt::Publish
        | AdminAt::DestroyFirst
        | AdminAt::DestroySecond
            if !stands(scenario, world, admin) =>
        {
            go("reads its claim again and gives up", OLD, at(world, admin, AdminAt::Gone));
        }
        AdminAt::FirstCell | AdminAt::SecondCell => put_cell(scenario, world, admin, go),
        AdminAt::Publish => publish(scenario, world, admin, go),
        AdminAt::Relist => relist(scenario, world, admin, go),
        AdminAt::SecondPlace => second_place(scenario, world, admin, go),
        AdminAt::Verify => verify(scenario, world, admin, go),
        AdminAt::DestroyFirst | AdminAt::DestroySecond => destroy(scenario, world, admin, go),
        AdminAt::Close => {
            let mut next = at(world, admin, AdminAt::Receipt);
            next.admin[admin].from = NONE;
            next.claim[usize::from(mine.makes)] = Claim::Closed;
            go("forgets the seals it held and closes the claim of {generation}", mine.makes, next);
        }
        AdminAt::Receipt => receipt(scenario, world, admin, go),
        AdminAt::Crashed => resume(scenario, world, admin, go),
        AdminAt::Adopting => decide(scenario, world, admin, go),
        AdminAt::Voiding => void(scenario, world, admin, go),
        AdminAt::Done | AdminAt::Gone | AdminAt::Lost => {}
    }
}

/// The same world with an admin elsewhere.
pub(crate) fn at(world: &World, admin: usize, at: AdminAt) -> World {
    let mut next = *world;
    next.admin[admin].at = at;
    next.admin[admin].waited = 0;
    next.admin[admin].settling = 0;
    if matches!(at, AdminAt::Done | AdminAt::Gone | AdminAt::Withdrawn | AdminAt::Idle) {
        next.admin[admin].from = NONE;
    }
    next
}

/// Waits until `times` settle times have passed; gives whether they have.
pub(crate) fn settled(world: &World, admin: usize, times: u8, flag: u32, go: &mut Go<'_>) -> bool {
    let mine = world.admin[admin];
    if mine.waited >= times {
        return true;
    }
    let mut next = *world;
    let state = &mut next.admin[admin];
    if mine.settling == 0 {
        state.settling = world.fresh | flag;
        go("begins to wait a settle time", OLD, next);
    } else {
        state.settling = 0;
        state.waited += 1;
        next.fresh &= !mine.settling;
        go("has waited a settle time", OLD, next);
    }
    false
}

/// Whether the claim an admin works under is still its own.
fn stands(scenario: &Scenario, world: &World, admin: usize) -> bool {
    let makes = world.admin[admin].makes;
    match world.claim[usize::from(makes)] {
        Claim::Open => scenario.maker(makes) == admin,
        Claim::Adopted => scenario.maker(makes) != admin,
        _ => false,
    }
}

fn others_open(world: &World, mine: u8, hidden: u32) -> bool {
    (1..4u8).any(|other| {
        other != mine
            && hidden & fresh::claim(other) == 0
            && matches!(world.claim[usize::from(other)], Claim::Open | Claim::Doubted | Claim::Adopted)
    })
}

fn claim(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    if scenario.has.admins[admin] == Task::None {
        return;
    }
    let makes = world.admin[admin].makes;
    let mut next = at(world, admin, AdminAt::Claimed);
    next.claim[usize::from(makes)] = Claim::Open;
    if scenario.has.lag {
        next.fresh |= fresh::claim(makes);
    }
    go("stores its claim to make {generation}", makes, next);
}

/// Rule 6: the claim is written; now the claims of others are read.
fn list_claims(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let makes = world.admin[admin].makes;
    // Both sides wait, so one settle time is enough.
    if !settled(world, admin, settles(scenario).min(1), fresh::claim(makes), go) {
        return;
    }
    let other: Set = (1..4u8)
        .filter(|other| *other != makes && world.fresh & fresh::claim(*other) != 0)
        .fold(0, |set, other| set | bit(other));
    for hidden in crate::world::parts(other) {
        let hidden = (1..4u8).filter(|of| crate::world::has(hidden, *of)).fold(0, |set, of| set | fresh::claim(of));
        if scenario.rules.keep(Rule::Claims) && others_open(world, makes, hidden) {
            let mut next = at(world, admin, AdminAt::Withdrawn);
            next.claim[usize::from(makes)] = Claim::Closed;
            go("sees another open claim and withdraws its own of {generation}", makes, next);
        } else {
            go("sees no other open claim", OLD, at(world, admin, AdminAt::Intent));
        }
    }
}

fn intent(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    if scenario.has.admins[admin] == Task::Person {
        person::intent(scenario, world, admin, go);
        return;
    }
    let mut next = at(world, admin, AdminAt::Holds);
    next.erased |= scenario.victim(admin);
    go("stores the intent to erase {}", if admin == 0 { 1 } else { 2 }, next);
}

fn refuse_held(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let victim = scenario.victim(admin);
    if world.held & victim != 0 && scenario.rules.keep(Rule::HeldRefuse) {
        let mut next = at(world, admin, AdminAt::Gone);
        next.erased &= !victim;
        next.claim[usize::from(world.admin[admin].makes)] = Claim::Closed;
        go("finds its victim held and takes the erasure back", OLD, next);
    } else {
        go("finds its victim not held", OLD, at(world, admin, AdminAt::Reading));
    }
}

/// What signed records leave out.
fn dropped(scenario: &Scenario, world: &World) -> Set {
    let covered = world.covered() & if scenario.rules.keep(Rule::Predicate) { Set::MAX } else { world.listed };
    world.erased | (world.forgotten & !world.held) | world.void_final | covered
}

/// Rule 8: opens the seal of the tip and writes the bundle of the next generation.
fn read(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let makes = world.admin[admin].makes;
    let tip = world.tip(scenario, 0);
    if tip.undecided {
        return;
    }
    let from = tip.generation;
    if (world.cell[0] | world.cell[1]) & (1 << from) == 0 {
        let mut next = at(world, admin, AdminAt::Gone);
        next.claim[usize::from(makes)] = Claim::Closed;
        go("finds no cell with the seal of the tip and gives up", OLD, next);
        return;
    }
    for seen in seen_entries(scenario, world, from) {
        // What was forged before is carried like the rest.
        let mut forged = if has(world.forged, from) { bit(makes) } else { 0 };
        let mut carried = (world.bundle[usize::from(from)] | seen) & !dropped(scenario, world);
        if !scenario.rules.keep(Rule::AbsenceNeverDrops) {
            carried &= world.snapshots;
        }
        if world.forged_entry && !scenario.rules.keep(Rule::EntriesAdded) {
            forged |= bit(makes);
        }
        let mut next = at(world, admin, AdminAt::FirstCell);
        next.admin[admin].from = from;
        next.bundle[usize::from(makes)] = carried;
        next.forged |= forged;
        go("opens the seal and stores the bundle of {generation}", makes, next);
    }
}

fn put_cell(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { at: now, makes, .. } = world.admin[admin];
    let published = world.parent[usize::from(makes)] != NONE;
    let (cell, after) = match now {
        AdminAt::FirstCell if scenario.rules.keep(Rule::TwoHolders) => (0, AdminAt::SecondCell),
        AdminAt::FirstCell => (0, AdminAt::Publish),
        _ => (1, AdminAt::Publish),
    };
    let after = match after {
        AdminAt::Publish if published => AdminAt::Relist,
        AdminAt::Publish if !scenario.rules.keep(Rule::DestroyLast) => AdminAt::DestroyFirst,
        after => after,
    };
    let mut next = at(world, admin, after);
    if cell == 1 && scenario.has.kits {
        go("has no second cell", OLD, next);
        return;
    }
    let before = if scenario.rules.keep(Rule::SlotsAdded) { world.cell[cell] } else { 0 };
    next.cell[cell] = before | 1 << makes;
    let what =
        if cell == 0 { "puts {generation} into the first cell" } else { "puts {generation} into the second cell" };
    go(what, makes, next);
}

fn publish(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { makes, from, .. } = world.admin[admin];
    let late = scenario.erases_person() && !scenario.rules.keep(Rule::ReplacementFirst);
    let mut next = at(world, admin, if late { AdminAt::Rewriting } else { AdminAt::Relist });
    next.parent[usize::from(makes)] = from;
    if scenario.has.kits {
        next.kit[usize::from(makes)] = Kit::Out;
    }
    if scenario.has.lag {
        next.fresh |= fresh::policy(makes);
    }
    go("publishes the policy of {generation}", makes, next);
}

/// Rule 8: lists the old generation's entries and the holds again, and carries what is new.
fn relist(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { makes, from, .. } = world.admin[admin];
    let after = if scenario.rules.keep(Rule::SecondPlace) { AdminAt::SecondPlace } else { AdminAt::Verify };
    if !scenario.rules.keep(Rule::Relist) {
        go("does not list again", OLD, at(world, admin, after));
        return;
    }
    if !settled(world, admin, settles(scenario), fresh::policy(makes), go) {
        return;
    }
    let open = world.opened & !world.resolved() & !fresh::sessions(world.fresh, world.opened);
    for seen in seen_entries(scenario, world, from) {
        let by_name = world.inbox[usize::from(from)] & open;
        let mut late = (seen | by_name) & !dropped(scenario, world);
        if !scenario.rules.keep(Rule::AbsenceNeverDrops) {
            late &= world.snapshots;
        }
        if scenario.rules.keep(Rule::HoldsReread) {
            late |= world.held & world.forgotten & !world.erased & world.entries(from);
        }
        let mut next = at(world, admin, after);
        next.inbox[usize::from(makes)] |= late & !world.bundle[usize::from(makes)];
        go("lists entries and holds again and carries what is new into {generation}", makes, next);
    }
}

fn second_place(_: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let makes = world.admin[admin].makes;
    let mut next = at(world, admin, AdminAt::Verify);
    next.copy.bundles |= 1 << makes;
    next.copy.inbox[usize::from(makes)] |= world.inbox[usize::from(makes)];
    go("puts bundle and entries of {generation} into the copy", makes, next);
}

/// Rule 9: two holders, and no committed snapshot without an entry; otherwise nothing is destroyed.
fn verify(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { makes, .. } = world.admin[admin];
    let bit_of = 1 << makes;
    let typed = world.kit[usize::from(makes)] == Kit::Typed || !scenario.rules.keep(Rule::KitTyped);
    let second = if scenario.has.kits { typed } else { world.cell[1] & bit_of != 0 };
    if scenario.rules.keep(Rule::TwoHolders) && !(world.cell[0] & bit_of != 0 && second) {
        return;
    }
    let visible = world.live(scenario) & !fresh::snapshots(world.fresh, world.snapshots);
    if scenario.rules.keep(Rule::ChainsChecked) && visible & !world.entries(makes) != 0 {
        go(
            "finds a committed snapshot without an entry in {generation} and lists again",
            makes,
            at(world, admin, AdminAt::Relist),
        );
        return;
    }
    let last = scenario.rules.keep(Rule::DestroyLast);
    go(
        "finds {generation} held twice and complete",
        makes,
        at(world, admin, if last { AdminAt::DestroyFirst } else { AdminAt::Close }),
    );
}

fn destroy(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { at: now, makes, from, .. } = world.admin[admin];
    let last = if scenario.rules.keep(Rule::DestroyLast) { AdminAt::Close } else { AdminAt::Publish };
    let (cell, after) = if now == AdminAt::DestroyFirst { (0, AdminAt::DestroySecond) } else { (1, last) };
    let mut next = at(world, admin, after);
    next.cell[cell] &= if scenario.rules.keep(Rule::StraysDestroyed) { 1 << makes } else { !(1 << from) };
    let what = if cell == 0 {
        "leaves only {generation} in the first cell"
    } else {
        "leaves only {generation} in the second cell"
    };
    go(what, makes, next);
}

/// Rule 10: complete, or wait for what is pending.
fn receipt(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let makes = world.admin[admin].makes;
    let victim = scenario.victim(scenario.maker(makes));
    let carries = |generations: u8| (0..4u8).any(|of| generations & (1 << of) != 0 && world.entries(of) & victim != 0);
    if scenario.rules.keep(Rule::StraysDestroyed) && carries(world.cell[0] | world.cell[1]) {
        return;
    }
    if scenario.rules.keep(Rule::KitsGivenUp) && carries(world.held_generations(&[])) {
        return;
    }
    let restoring =
        matches!(world.restore, RestoreAt::Announced | RestoreAt::Open | RestoreAt::Checked | RestoreAt::Dead);
    if scenario.has.restore.is_some() && restoring && scenario.rules.keep(Rule::RestoreAnnounced) {
        return;
    }
    if scenario.erases_person() && !person::may_complete(scenario, world, admin, go) {
        return;
    }
    let mut next = at(world, admin, AdminAt::Done);
    next.complete |= 1 << scenario.maker(makes);
    if scenario.maker(makes) != admin {
        next = back_to_own(scenario, &next, admin);
    }
    go("finds nothing pending: the receipt of {generation} is complete", makes, next);
}

/// After another's claim an admin has its own task before it, if it has not done it yet.
fn back_to_own(scenario: &Scenario, world: &World, admin: usize) -> World {
    let own: u8 = if admin == 0 { 1 } else { 2 };
    let undone = scenario.has.admins[admin] != Task::None
        && world.parent[usize::from(own)] == NONE
        && matches!(world.claim[usize::from(own)], Claim::None | Claim::Closed);
    let mut next = at(world, admin, if undone { AdminAt::Idle } else { AdminAt::Done });
    next.admin[admin].makes = own;
    next
}

fn works(at: AdminAt) -> bool {
    !matches!(
        at,
        AdminAt::Idle
            | AdminAt::Receipt
            | AdminAt::Done
            | AdminAt::Withdrawn
            | AdminAt::Gone
            | AdminAt::Crashed
            | AdminAt::Lost
            | AdminAt::Adopting
            | AdminAt::Voiding
    )
}

fn crash(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let mine = world.admin[admin];
    if world.crashes >= scenario.has.crashes || !works(mine.at) {
        return;
    }
    let mut next = at(world, admin, AdminAt::Crashed);
    next.crashes += 1;
    go("crashes and loses its memory", OLD, next);
    if mine.at == AdminAt::Publish && world.late[admin] == NONE {
        let mut next = next;
        next.late[admin] = mine.makes + 4 * mine.from;
        go("crashes; its request to publish {generation} is still on its way", mine.makes, next);
    }
}

/// A crashed admin wakes: published, it goes on; not published, it gives its claim up and makes a fresh seal under a new one.
fn resume(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let Admin { makes, .. } = world.admin[admin];
    let index = usize::from(makes);
    if scenario.has.adoption {
        go("never wakes: its machine is lost", OLD, at(world, admin, AdminAt::Lost));
    }
    if scenario.rules.keep(Rule::ResumeReadsClaim) && !stands(scenario, world, admin) {
        go("wakes, reads its claim and gives up", OLD, at(world, admin, AdminAt::Gone));
        return;
    }
    if world.parent[index] != NONE {
        let mut next = at(world, admin, AdminAt::FirstCell);
        next.admin[admin].from = world.parent[index];
        go("wakes, finds {generation} published and goes on", makes, next);
        return;
    }
    if scenario.rules.keep(Rule::ResumeUnderNewClaim) && scenario.rules.keep(Rule::ResumeReadsClaim) {
        let mut next = at(world, admin, AdminAt::Adopting);
        next.admin[admin].from = makes;
        next.claim[index] = Claim::Doubted;
        go("wakes, finds {generation} not published and stores the intent to void its claim", makes, next);
        return;
    }
    let mut next = at(world, admin, AdminAt::Reading);
    for cell in &mut next.cell {
        *cell &= !(1 << makes);
    }
    if !scenario.rules.keep(Rule::ResumeUnderNewClaim) && makes == 1 {
        // A fresh seal under the same claim.
        next.admin[admin].makes = 3;
        next.claim[3] = Claim::Open;
        next.claim[1] = Claim::Closed;
    }
    go("wakes, removes {generation} from the cells and starts over", makes, next);
}

/// A person attests that the other process is dead and adopts its claim: first the flag, then the look.
fn adopt(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let other = world.admin[1 - admin];
    let idle = matches!(world.admin[admin].at, AdminAt::Idle | AdminAt::Withdrawn | AdminAt::Done | AdminAt::Gone);
    let dead = matches!(other.at, AdminAt::Crashed | AdminAt::Lost)
        || (works(other.at) && !scenario.rules.keep(Rule::AdoptOnlyDead));
    let theirs = scenario.maker(other.makes) == 1 - admin && world.claim[usize::from(other.makes)] == Claim::Open;
    if !(scenario.has.adoption && scenario.rules.keep(Rule::Adoption) && idle && dead && theirs) {
        return;
    }
    let mut next = at(world, admin, AdminAt::Adopting);
    next.admin[admin].from = other.makes;
    if scenario.rules.keep(Rule::AdoptInTwoSteps) {
        next.claim[usize::from(other.makes)] = Claim::Doubted;
        go("is told that the maker of {generation} is dead and stores the intent to void its claim", other.makes, next);
    } else {
        go("is told that the maker of {generation} is dead", other.makes, next);
    }
}

/// Looks for the policy of a doubted claim: published, it is finished; not published, the claim is void.
fn decide(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let of = world.admin[admin].from;
    let own = scenario.maker(of) == admin;
    if world.parent[usize::from(of)] != NONE {
        let mut next = at(world, admin, AdminAt::FirstCell);
        next.claim[usize::from(of)] = if own { Claim::Open } else { Claim::Adopted };
        next.admin[admin].makes = of;
        next.admin[admin].from = world.parent[usize::from(of)];
        go("finds {generation} published and finishes it", of, next);
    } else if own || scenario.rules.keep(Rule::AdoptInTwoSteps) {
        void(scenario, world, admin, go);
    } else {
        let mut next = at(world, admin, AdminAt::Voiding);
        next.admin[admin].from = of;
        go("finds {generation} not published", of, next);
    }
}

fn void(scenario: &Scenario, world: &World, admin: usize, go: &mut Go<'_>) {
    let of = world.admin[admin].from;
    let own = scenario.maker(of) == admin;
    let mut next = *world;
    next.claim[usize::from(of)] = Claim::Voided;
    next.erased &= !scenario.victim(scenario.maker(of));
    if !own {
        next = back_to_own(scenario, &next, admin);
    } else if let Some(another) = scenario.another(of) {
        next = at(&next, admin, AdminAt::Idle);
        next.admin[admin].makes = another;
    } else {
        next = at(&next, admin, AdminAt::Gone);
    }
    go("finds no policy of {generation} and voids its claim", of, next);
}
