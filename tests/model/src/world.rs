//! One state of the world: what lies in the store, in cells, on hosts, and how far each process has come.
//!
//! Sets are bits. What follows from the state and several processes ask is computed here; what a process does is in its own file.

use crate::rules::Rule;
use crate::scenario::Scenario;

/// A set of snapshots, packs or births, one bit each.
pub(crate) type Set = u16;

/// The snapshot everything begins with; later runs may reuse its frames.
pub(crate) const OLD: u8 = 0;
/// The snapshot admin A erases.
pub(crate) const VICTIM_A: u8 = 1;
/// The snapshot admin B erases.
pub(crate) const VICTIM_B: u8 = 2;
/// The first run of the first writer.
pub(crate) const RUN: u8 = 3;
/// The runs of the writers, two each.
pub(crate) const RUNS: [u8; 4] = [3, 4, 5, 6];
/// What makes a snapshot's number that of its rewritten successor: `OLD` becomes 7, the runs 8 to 11.
pub(crate) const NEXT_OF_OLD: u8 = 7;
/// The pack of `OLD`; a run's own pack has the run's number.
pub(crate) const BASE_PACK: u8 = 0;
/// The pack the frames of [`BASE_PACK`] are moved to.
pub(crate) const MOVED_PACK: u8 = 1;
/// How many generations there may be: the first, one of each admin, and a second attempt of admin A.
pub(crate) const GENERATIONS: usize = 4;
/// No generation, no snapshot, no process.
pub(crate) const NONE: u8 = u8::MAX;

/// What became of a claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Claim {
    #[default]
    None,
    Open,
    /// Somebody has written that he is about to void it.
    Doubted,
    Voided,
    /// Somebody else finishes it.
    Adopted,
    Closed,
}

/// Where a recovery kit is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Kit {
    #[default]
    None,
    /// Printed.
    Out,
    /// Printed, and its checksum typed back.
    Typed,
    /// Given up: declared destroyed.
    Gone,
}

/// How far a writer has come: the step it takes next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum WriterAt {
    #[default]
    Idle,
    Cleaning,
    EarlyBase,
    LateSession,
    Chains,
    Base,
    Source,
    Upload,
    Resolve,
    Tip,
    Entry,
    Anchor,
    Snapshot,
    Check,
    Ratchet,
    Fail,
    End,
    Ended,
    Dead,
}

/// One writer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Writer {
    pub(crate) at: WriterAt,
    /// Which of its runs, from 0.
    pub(crate) run: u8,
    pub(crate) generation: u8,
    pub(crate) seen: bool,
    pub(crate) reuses: bool,
    pub(crate) overlaid: bool,
    pub(crate) has_x: bool,
    /// Its snapshot's number in its home's chain.
    pub(crate) second: bool,
    /// The session of its home it is voiding.
    pub(crate) cleaning: u8,
}

/// How far an admin has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum AdminAt {
    #[default]
    Idle,
    Claimed,
    Intent,
    Holds,
    Listing,
    Rewriting,
    Reading,
    FirstCell,
    SecondCell,
    Publish,
    Relist,
    SecondPlace,
    Verify,
    DestroyFirst,
    DestroySecond,
    Close,
    Receipt,
    Done,
    Withdrawn,
    /// Its claim is somebody else's business.
    Gone,
    Crashed,
    /// It will never wake.
    Lost,
    /// About to decide about the other's claim.
    Adopting,
    /// Has looked and not found the policy; only without the second step.
    Voiding,
}

/// One rotating admin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Admin {
    pub(crate) at: AdminAt,
    /// The generation it makes.
    pub(crate) makes: u8,
    /// The generation it comes from.
    pub(crate) from: u8,
    /// Settle times it has waited at this step, and what it waits for to become visible.
    pub(crate) waited: u8,
    pub(crate) settling: u32,
}

/// How far garbage collection has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum CollectorAt {
    #[default]
    List,
    Copy,
    Plan,
    Sessions,
    Wait,
    Remark,
    Delete,
    Done,
}

/// Garbage collection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Collector {
    pub(crate) at: CollectorAt,
    pub(crate) stale: Set,
    pub(crate) waits: Set,
    pub(crate) waited: u8,
    pub(crate) settling: u32,
}

/// How far a restore has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum RestoreAt {
    #[default]
    Idle,
    Announced,
    Open,
    Checked,
    Finished,
    Refused,
    Dead,
    Attested,
}

/// How far putting one snapshot into the copy has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum CopyAt {
    #[default]
    Idle,
    Packs,
    Entry,
    Snapshot,
}

/// The second store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Copy {
    pub(crate) at: CopyAt,
    pub(crate) takes: u8,
    pub(crate) packs: Set,
    pub(crate) snapshots: Set,
    pub(crate) bundles: u8,
    pub(crate) inbox: [Set; GENERATIONS],
}

/// A state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct World {
    // Rotation.
    pub(crate) parent: [u8; GENERATIONS],
    pub(crate) claim: [Claim; GENERATIONS],
    pub(crate) bundle: [Set; GENERATIONS],
    pub(crate) inbox: [Set; GENERATIONS],
    pub(crate) cell: [u8; 2],
    pub(crate) kit: [Kit; GENERATIONS],
    pub(crate) admin: [Admin; 2],
    /// A publish request of a crashed admin that may land at any time: its generation plus four times the one it comes from.
    pub(crate) late: [u8; 2],
    pub(crate) erased: Set,
    pub(crate) forgotten: Set,
    pub(crate) held: Set,
    pub(crate) hold_acknowledged: Set,
    pub(crate) complete: u8,
    pub(crate) crashes: u8,
    // Snapshots: one bit each for what their headers say.
    pub(crate) snapshots: Set,
    pub(crate) acknowledged: Set,
    pub(crate) seen: Set,
    pub(crate) has_x: Set,
    pub(crate) reuses: Set,
    pub(crate) overlaid: Set,
    pub(crate) second: Set,
    // Sessions.
    pub(crate) opened: Set,
    pub(crate) ended: Set,
    pub(crate) void_intent: Set,
    pub(crate) void_final: Set,
    pub(crate) void_cancel: Set,
    pub(crate) voiding: u8,
    // Packs.
    pub(crate) packs: Set,
    pub(crate) plan: Set,
    pub(crate) executed: Set,
    pub(crate) collector: Collector,
    pub(crate) writer: [Writer; 2],
    // Person.
    pub(crate) database_has_x: bool,
    pub(crate) intent: bool,
    pub(crate) listed: Set,
    pub(crate) listing_done: bool,
    pub(crate) awaited: Set,
    pub(crate) index_has_x: u8,
    pub(crate) overlay_has_x: u8,
    pub(crate) attested: u8,
    /// Sessions whose process and leftovers somebody declared destroyed.
    pub(crate) declared: Set,
    // Others.
    pub(crate) revoking: bool,
    pub(crate) revoked: bool,
    pub(crate) pinned: Set,
    pub(crate) pins_read: bool,
    pub(crate) restore: RestoreAt,
    pub(crate) restored_against_intent: bool,
    pub(crate) copy: Copy,
    pub(crate) forged_entry: bool,
    /// The generations in which the entry of `OLD` is a forgery.
    pub(crate) forged: Set,
    pub(crate) undoing: bool,
    pub(crate) undone: bool,
    /// Objects a listing may still miss.
    pub(crate) fresh: u32,
}

/// The bit of one number.
pub(crate) const fn bit(number: u8) -> Set {
    1 << number
}

/// Whether a set holds a number.
pub(crate) const fn has(set: Set, number: u8) -> bool {
    set & bit(number) != 0
}

/// The numbers in a set.
pub(crate) fn each(set: Set) -> impl Iterator<Item = u8> {
    (0..16).filter(move |number| has(set, *number))
}

/// The session and snapshot of a writer's run.
pub(crate) const fn run(writer: u8, run: u8) -> u8 {
    RUN + 2 * writer + run
}

/// The rewritten successor of a snapshot.
pub(crate) const fn successor(snapshot: u8) -> u8 {
    if snapshot == OLD { NEXT_OF_OLD } else { snapshot + 5 }
}

/// What a listing may miss, one bit each.
pub(crate) mod fresh {
    use super::{Set, each};

    /// A policy.
    pub(crate) const fn policy(generation: u8) -> u32 {
        1 << generation
    }

    /// A claim.
    pub(crate) const fn claim(generation: u8) -> u32 {
        1 << (4 + generation)
    }

    /// A session, by its run.
    pub(crate) const fn session(run: u8) -> u32 {
        1 << (5 + run)
    }

    /// A key entry; of runs only.
    pub(crate) const fn entry(generation: u8, run: u8) -> u32 {
        1 << (9 + 4 * generation + run)
    }

    /// A snapshot, by its run.
    pub(crate) const fn snapshot(run: u8) -> u32 {
        1 << (25 + run)
    }

    /// A plan.
    pub(crate) const PLAN: u32 = 1;
    /// The intent of a person's erasure.
    pub(crate) const INTENT: u32 = 1 << 4;

    /// The fresh snapshots among these.
    pub(crate) fn snapshots(all: u32, among: Set) -> Set {
        each(among).filter(|of| super::RUNS.contains(of) && all & snapshot(*of) != 0).fold(0, |set, of| set | 1 << of)
    }

    /// The fresh sessions among these.
    pub(crate) fn sessions(all: u32, among: Set) -> Set {
        each(among).filter(|of| super::RUNS.contains(of) && all & session(*of) != 0).fold(0, |set, of| set | 1 << of)
    }

    /// The fresh entries of a generation.
    pub(crate) fn entries(all: u32, generation: u8, among: Set) -> Set {
        each(among)
            .filter(|of| super::RUNS.contains(of) && all & entry(generation, *of) != 0)
            .fold(0, |set, of| set | 1 << of)
    }
}

/// Every part of a set, itself and nothing included: what a listing may miss of what is fresh.
pub(crate) fn parts(set: Set) -> impl Iterator<Item = Set> {
    let mut next = Some(set);
    std::iter::from_fn(move || {
        let part = next?;
        next = if part == 0 { None } else { Some((part - 1) & set) };
        Some(part)
    })
}

/// The policy a reader takes for the newest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tip {
    /// Its generation.
    pub(crate) generation: u8,
    /// Whether somebody is deciding about the claim of its successor, so that nobody can say.
    pub(crate) undecided: bool,
}

impl World {
    /// The tip, for somebody who does not see the policies `hidden`.
    pub(crate) fn tip(&self, scenario: &Scenario, hidden: u32) -> Tip {
        let mut tip = Tip { generation: 0, undecided: false };
        for _ in 0..GENERATIONS {
            let next = (1..4u8).find(|generation| {
                let at = usize::from(*generation);
                self.parent[at] == tip.generation
                    && hidden & fresh::policy(*generation) == 0
                    && !(self.claim[at] == Claim::Voided && scenario.rules.keep(Rule::VoidedPolicyIgnored))
            });
            let Some(next) = next else { break };
            if self.claim[usize::from(next)] == Claim::Doubted {
                return Tip { undecided: true, ..tip };
            }
            tip.generation = next;
        }
        tip
    }

    /// The entries of a generation.
    pub(crate) const fn entries(&self, generation: u8) -> Set {
        self.bundle[generation as usize] | self.inbox[generation as usize]
    }

    /// The generations somebody can open: of these cells, and of kits that are out.
    pub(crate) fn held_generations(&self, cells: &[u8]) -> u8 {
        let kits = (0..4u8)
            .filter(|generation| matches!(self.kit[usize::from(*generation)], Kit::Out | Kit::Typed))
            .fold(0, |set, generation| set | 1 << generation);
        cells.iter().fold(kits, |set, cell| set | cell)
    }

    /// The generations an admin at work has in memory.
    pub(crate) fn in_memory(&self, admin: usize) -> u8 {
        let Admin { at, makes, from, .. } = self.admin[admin];
        match at {
            AdminAt::FirstCell
            | AdminAt::SecondCell
            | AdminAt::Publish
            | AdminAt::Relist
            | AdminAt::SecondPlace
            | AdminAt::Verify
            | AdminAt::DestroyFirst
            | AdminAt::DestroySecond
            | AdminAt::Close => 1 << makes | 1 << from,
            _ => 0,
        }
    }

    /// The snapshots that can be opened with these generations.
    pub(crate) fn openable(&self, generations: u8) -> Set {
        (0..4u8).filter(|generation| generations & (1 << generation) != 0).fold(0, |set, generation| {
            let forged = if has(self.forged, generation) { bit(OLD) } else { 0 };
            set | self.entries(generation) & !forged
        })
    }

    /// The snapshots an erasure by predicate covers: those whose headers have not seen the intent.
    pub(crate) const fn covered(&self) -> Set {
        if self.intent { self.snapshots & !self.seen } else { 0 }
    }

    /// Whether the erasure of the person is published: from now on what it covers is refused.
    pub(crate) fn person_published(&self) -> bool {
        self.intent && (1..GENERATIONS).any(|of| self.parent[of] != NONE && self.claim[of] != Claim::Voided)
    }

    /// The snapshots that count: present, not voided, not late under a predicate, not beyond a pin, not displaced.
    pub(crate) fn valid(&self, scenario: &Scenario) -> Set {
        let mut valid = self.snapshots & !self.void_final;
        if self.listing_done && scenario.rules.keep(Rule::Predicate) {
            valid &= !(self.covered() & !self.listed);
        }
        if self.revoked {
            valid &= !((bit(run(0, 0)) | bit(run(0, 1))) & !self.pinned);
        }
        if !scenario.rules.keep(Rule::DuplicatesCount) && scenario.has.clone {
            let both = bit(run(0, 0)) | bit(run(1, 0));
            if valid & both == both && (self.second & both == 0 || self.second & both == both) {
                valid &= !bit(run(1, 0));
            }
        }
        valid
    }

    /// The valid snapshots nobody has dropped.
    pub(crate) fn live(&self, scenario: &Scenario) -> Set {
        let mut live = self.valid(scenario) & !self.erased & !(self.forgotten & !self.held);
        if self.person_published() {
            live &= !(self.covered() & if scenario.rules.keep(Rule::Predicate) { Set::MAX } else { self.listed });
        }
        live
    }

    /// The sessions nobody has to wait for.
    pub(crate) const fn resolved(&self) -> Set {
        self.ended | self.void_final | self.void_cancel
    }

    /// The births a snapshot reaches, by the packs they were born in.
    pub(crate) fn reach(&self, snapshot: u8) -> Set {
        let mut reach = match snapshot {
            OLD | NEXT_OF_OLD => bit(BASE_PACK),
            VICTIM_A | VICTIM_B => 0,
            _ => bit(snapshot),
        };
        if has(self.reuses, snapshot) {
            reach |= bit(BASE_PACK);
        }
        if has(self.overlaid, snapshot) {
            reach |= bit(snapshot - 1);
        }
        reach
    }

    /// The births of these that no pack holds.
    pub(crate) fn missing(births: Set, packs: Set, scenario: &Scenario) -> Set {
        let mut present = packs;
        if has(packs, MOVED_PACK) && scenario.rules.keep(Rule::BirthsKept) {
            present |= bit(BASE_PACK);
        }
        births & !present
    }

    /// Whether every writer, as far as it is at work, has come to rest.
    pub(crate) fn writers_rest(&self) -> bool {
        self.writer.iter().all(|writer| matches!(writer.at, WriterAt::Idle | WriterAt::Ended | WriterAt::Dead))
    }

    /// Whether every admin has come to rest.
    pub(crate) fn admins_rest(&self) -> bool {
        self.admin.iter().all(|admin| {
            matches!(admin.at, AdminAt::Idle | AdminAt::Done | AdminAt::Withdrawn | AdminAt::Gone | AdminAt::Receipt)
        }) && self.late == [NONE; 2]
    }
}
