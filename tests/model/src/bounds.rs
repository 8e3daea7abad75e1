//! The scenarios that are explored, and the rule each breaks when it is left out.
//!
//! Nothing comes in; out come scenarios and expectations. How they are explored is the tests' business.

use crate::invariant::Invariant::{self, *};
use crate::rules::Rule::{self, *};
use crate::scenario::{Has, Scenario, Task};
use crate::world::{OLD, VICTIM_A};

const NOBODY: Has = Has {
    writers: 0,
    runs: 1,
    clone: false,
    deaths: false,
    admins: [Task::None; 2],
    crashes: 0,
    adoption: false,
    kits: false,
    collections: 0,
    repack: false,
    voids: false,
    forget: false,
    undo: false,
    hold: None,
    restore: None,
    copy: false,
    revocation: false,
    forgery: false,
    vandal: false,
    lag: false,
    hiding: false,
};
const ONE: Has = Has { writers: 1, deaths: true, ..NOBODY };
const ALIVE: Has = Has { writers: 1, ..NOBODY };
const BOTH: [Task; 2] = [Task::Erase, Task::Erase];
const FIRST: [Task; 2] = [Task::Erase, Task::None];
const PERSON: [Task; 2] = [Task::Person, Task::None];

/// Every scenario with every rule.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("keys", Has { admins: BOTH, ..ONE }).settling(),
    Scenario::new("crashes", Has { admins: BOTH, crashes: 1, adoption: true, ..ONE }).settling(),
    Scenario::new("kits", Has { admins: FIRST, kits: true, crashes: 1, ..ONE }).settling(),
    Scenario::new("forged entry", Has { admins: FIRST, forgery: true, ..ONE }),
    Scenario::new("holds", Has { admins: FIRST, hold: Some(OLD), forget: true, ..NOBODY }).settling(),
    Scenario::new("held victim", Has { admins: FIRST, hold: Some(VICTIM_A), crashes: 1, ..NOBODY }),
    Scenario::new("restore", Has { admins: FIRST, restore: Some(VICTIM_A), deaths: true, ..NOBODY }).settling(),
    Scenario::new("packs", Has { collections: 2, forget: true, undo: true, voids: true, crashes: 1, ..ONE }).settling(),
    Scenario::new("repack", Has { collections: 2, repack: true, forget: true, voids: true, ..ONE }).settling(),
    Scenario::new("two runs", Has { collections: 2, runs: 2, forget: true, voids: true, ..ONE }).settling(),
    Scenario::new("clone", Has { collections: 1, writers: 2, clone: true, forget: true, voids: true, ..ALIVE }),
    Scenario::new("person", Has { admins: PERSON, runs: 2, voids: true, ..ONE }).settling(),
    Scenario::new("person, crash", Has { admins: PERSON, voids: true, crashes: 1, ..ONE }).settling(),
    Scenario::new("person, two writers", Has { admins: PERSON, writers: 2, ..ALIVE }),
    Scenario::new("person, clone", Has { admins: PERSON, writers: 2, clone: true, voids: true, ..ALIVE }),
    Scenario::new("copied packs", Has { collections: 2, repack: true, forget: true, copy: true, ..ONE }),
    Scenario::new("robbed", Has { collections: 1, copy: true, vandal: true, ..ONE }),
    Scenario::new("copied keys", Has { admins: FIRST, copy: true, ..ONE }),
    Scenario::new("revocation", Has { revocation: true, ..ONE }),
    Scenario::new("forged void", Has { forgery: true, collections: 1, ..ONE }),
    Scenario::new("lagging keys", Has { admins: FIRST, lag: true, ..ONE }),
    Scenario::new("lagging claims", Has { admins: BOTH, lag: true, ..NOBODY }),
    Scenario::new("lagging packs", Has { collections: 1, forget: true, lag: true, ..ONE }),
    Scenario::new("lagging person", Has { admins: PERSON, lag: true, ..ONE }),
    Scenario::new("hidden entry", Has { admins: FIRST, hiding: true, ..ONE }),
    Scenario::new("hidden reach", Has { collections: 2, hiding: true, ..ONE }),
    Scenario::new("together", Has { admins: FIRST, collections: 1, forget: true, voids: true, ..ONE }),
];

/// A rule left out of a scenario, and a promise that must break.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// The rule left out.
    pub rule: Rule,
    /// A rule that would hide the loss and is left out too.
    pub with: Option<Rule>,
    /// The scenario, by name.
    pub scenario: &'static str,
    /// What must break.
    pub breaks: Invariant,
}

const fn broken(rule: Rule, scenario: &'static str, breaks: Invariant) -> Broken {
    Broken { rule, with: None, scenario, breaks }
}

/// Every rule left out, one at a time.
pub const BROKEN: &[Broken] = &[
    broken(DuplicatesCount, "clone", StaysValid),
    broken(SignedOnly, "forged void", StaysValid),
    broken(EntriesAdded, "forged entry", Openable),
    broken(RevocationInTwoSteps, "revocation", StaysValid),
    broken(SessionBeforeBase, "packs", FramesPresent),
    broken(CondemnedRefused, "packs", FramesPresent),
    broken(SeenBeforeSource, "person", ErasedIsDead),
    broken(OverlayDies, "two runs", FramesPresent),
    broken(OthersAreVoided, "clone", FramesPresent),
    broken(Anchor, "keys", NoDeadKey),
    broken(VoidCheck, "packs", StaysValid),
    broken(IntentCheck, "person", StaysValid),
    broken(RevocationCheck, "revocation", StaysValid),
    broken(Ratchet, "person", ErasedIsDead),
    broken(Claims, "keys", OneLine),
    broken(HeldRefuse, "held victim", HoldKept),
    broken(AdoptOnlyDead, "crashes", ErasedIsDead),
    broken(AdoptInTwoSteps, "crashes", Openable),
    broken(ResumeReadsClaim, "crashes", ErasedIsDead),
    broken(ResumeUnderNewClaim, "crashes", Openable),
    broken(VoidedPolicyIgnored, "crashes", Openable),
    broken(Adoption, "crashes", Settles),
    broken(Predicate, "person", ErasedIsDead),
    broken(ReplacementFirst, "person", Openable),
    broken(AbsenceNeverDrops, "keys", Openable),
    broken(Relist, "keys", Openable),
    broken(SlotsAdded, "keys", Openable),
    broken(HoldsReread, "holds", Settles),
    broken(HoldSeesEntry, "holds", HoldKept),
    broken(SecondPlace, "copied keys", AnyHostLost),
    broken(DestroyLast, "keys", Openable),
    broken(TwoHolders, "keys", AnyHostLost),
    broken(KitTyped, "kits", AnyHostLost),
    broken(ChainsChecked, "hidden entry", Openable),
    broken(StraysDestroyed, "crashes", ErasedIsDead),
    broken(KitsGivenUp, "kits", ErasedIsDead),
    broken(RestoreAnnounced, "restore", ErasedIsDead),
    broken(RestoreRechecks, "restore", ErasedIsDead),
    broken(SessionsAwaited, "person, clone", ErasedIsDead),
    broken(VoidedIsDeclared, "person, clone", ErasedIsDead),
    broken(LateRotatedOut, "person", ErasedIsDead),
    broken(RatchetSeen, "person", ErasedIsDead),
    broken(RatchetEnded, "person", ErasedIsDead),
    broken(Attestation, "restore", Settles),
    broken(SessionsWaited, "packs", FramesPresent),
    broken(Remark, "packs", FramesPresent),
    broken(RemarkByName, "lagging packs", FramesPresent),
    broken(MissingReachStops, "hidden reach", FramesPresent),
    broken(VoidInTwoSteps, "packs", StaysValid),
    broken(Voids, "packs", Settles),
    broken(BirthsKept, "repack", FramesPresent),
    broken(SnapshotLast, "copied packs", CopyComplete),
    Broken { with: Some(CopyMarks), ..broken(NoMirror, "robbed", CopyComplete) },
    broken(CopyMarks, "copied packs", CopyComplete),
    broken(SettleOnce, "lagging claims", OneLine),
    broken(SettleTwice, "lagging keys", Openable),
];

/// The scenario of this name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn scenario(name: &str) -> Scenario {
    *SCENARIOS.iter().find(|scenario| scenario.name == name).expect("scenarios are named by constants of this file")
}

/// Wider bounds, explored where `LACRE_MODEL_DEEP` is set.
pub const DEEP: &[Scenario] = &[
    Scenario::new("crashes, deep", Has { admins: BOTH, crashes: 2, adoption: true, ..ONE }),
    Scenario::new(
        "packs, deep",
        Has { collections: 2, runs: 2, repack: true, forget: true, undo: true, voids: true, crashes: 1, ..ONE },
    ),
    Scenario::new("clone, deep", Has { collections: 2, writers: 2, clone: true, forget: true, voids: true, ..ONE }),
    Scenario::new("person, deep", Has { admins: PERSON, runs: 2, voids: true, crashes: 1, ..ONE }),
    Scenario::new(
        "together, deep",
        Has { admins: FIRST, collections: 2, forget: true, voids: true, crashes: 1, ..ONE },
    ),
    Scenario::new(
        "copies, deep",
        Has { admins: FIRST, collections: 1, repack: true, forget: true, copy: true, ..ALIVE },
    ),
];
