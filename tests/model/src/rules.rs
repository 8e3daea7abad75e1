//! The rules of the protocol, each a switch.
//!
//! What comes in is a rule's name; what goes out is whether it is kept. A rule knows nothing of the steps that obey it.

/// One rule that a step obeys; the number is the protocol rule it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Rule {
    /// 1: two entries of one home with one number both count.
    DuplicatesCount,
    /// 1: a marker nobody entitled has signed is not believed.
    SignedOnly,
    /// 1: a key entry is added beside others, never put in the place of one.
    EntriesAdded,
    /// 1: revoking a writer writes its flag first, then reads the heads it pins.
    RevocationInTwoSteps,
    /// 2: the session is stored before the base is chosen.
    SessionBeforeBase,
    /// 2: a base of which anything is condemned is not reused.
    CondemnedRefused,
    /// 2: what the run has `seen` is read before its source is opened.
    SeenBeforeSource,
    /// 2: rows of an aborted run serve nobody else.
    OverlayDies,
    /// 2: an unfinished session of one's own home is voided, not ended: a clone has the same home.
    OthersAreVoided,
    /// 4: only an anchored writer stores its snapshot.
    Anchor,
    /// 5: voids are read after the snapshot is stored.
    VoidCheck,
    /// 5: intents are read after the snapshot is stored.
    IntentCheck,
    /// 5: its own revocation is read after the snapshot is stored.
    RevocationCheck,
    /// 5: the old index and every overlay die when the new snapshot stands.
    Ratchet,
    /// 6: of two open claims the one that sees the other withdraws.
    Claims,
    /// 6: an erasure refuses what is held.
    HeldRefuse,
    /// 6: only the claim of a dead process is adopted.
    AdoptOnlyDead,
    /// 6: an adoption writes its flag first, then looks for the policy.
    AdoptInTwoSteps,
    /// 6: a process that wakes after a crash reads its own claim first.
    ResumeReadsClaim,
    /// 6: a crash before publishing gives its claim up; a late policy is then under a voided claim.
    ResumeUnderNewClaim,
    /// 6: a policy under a voided claim is nobody's tip.
    VoidedPolicyIgnored,
    /// 6: a dead machine's claim can be adopted.
    Adoption,
    /// 7: an erasure by predicate covers what appears late.
    Predicate,
    /// 7: the replacements stand before anything covered is refused.
    ReplacementFirst,
    /// 8: every valid entry is carried, with or without a snapshot.
    AbsenceNeverDrops,
    /// 8: after publishing the entries are listed again.
    Relist,
    /// 8: a new generation is added to a cell, not put over the old.
    SlotsAdded,
    /// 8: after publishing the holds are read again.
    HoldsReread,
    /// 8: a hold is acknowledged only when an entry of its snapshot lies under the tip.
    HoldSeesEntry,
    /// 8: bundle and carried entries lie in a second place before the old generation dies.
    SecondPlace,
    /// 9: the old generation is destroyed after the new one is published.
    DestroyLast,
    /// 9: nothing is destroyed before two holders have the new generation.
    TwoHolders,
    /// 9: where one of the holders is a kit, somebody has typed its checksum.
    KitTyped,
    /// 9: nothing is destroyed while a committed snapshot has no entry.
    ChainsChecked,
    /// 9: with the old generation every stray one is destroyed.
    StraysDestroyed,
    /// 10: the kits of the old generation are given up first.
    KitsGivenUp,
    /// 10: restores announce themselves, and a receipt waits for them.
    RestoreAnnounced,
    /// 10: a restore reads drops and intents again before its last visible step.
    RestoreRechecks,
    /// 10: a receipt waits for the sessions that had not seen the intent.
    SessionsAwaited,
    /// 10: a session that was voided, not ended, is settled by an attestation only.
    VoidedIsDeclared,
    /// 10: what was anchored late and is covered dies in another rotation before the receipt is complete.
    LateRotatedOut,
    /// 10: only a commit that has seen the intent proves that its writer's index is clean.
    RatchetSeen,
    /// 10: only a session that has ended proves that the old index is gone.
    RatchetEnded,
    /// 10: what is lost can be attested.
    Attestation,
    /// 11: a plan is carried out when every session open after it has ended or was voided.
    SessionsWaited,
    /// 11: everything is marked again before anything is deleted.
    Remark,
    /// 11: the second marking reads the snapshot of every session by name.
    RemarkByName,
    /// 11: a missing reach map stops the run.
    MissingReachStops,
    /// 11: a void is an intent, a look for the snapshot, and then the void.
    VoidInTwoSteps,
    /// 11: a dead session can be voided.
    Voids,
    /// 11: a frame that was moved is found by its birth name.
    BirthsKept,
    /// 12: a snapshot enters a copy after everything it reaches.
    SnapshotLast,
    /// 12: a copy deletes only what an executed plan names.
    NoMirror,
    /// 12: and only what it does not need itself.
    CopyMarks,
    /// Lag: whoever has written a flag waits one settle time before reading the other side's.
    SettleOnce,
    /// Lag: and where the other side does not wait, a second one.
    SettleTwice,
}

/// All rules but those left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules(u64);

impl Rules {
    /// Every rule is kept.
    pub const ALL: Self = Self(0);

    /// The same without one rule.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Self {
        Self(self.0 | 1 << rule as u8)
    }

    /// Whether a rule is kept.
    #[must_use]
    pub const fn keep(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) == 0
    }
}
