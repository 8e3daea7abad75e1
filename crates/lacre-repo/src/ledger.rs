//! The ledger: what the admins' logs say of seal changes and erasures.
//!
//! In: believed events of admins, in order. Out: open claims, what is to be erased, what is erased, what was destroyed and what
//! was vouched for. It reads no store and judges no signature; the view does that.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    erasure::{
        Approval, Attestation, Claim, ClaimOutcome, Declared, Destroyed, EraseIntent, PersonIntent, Receipt, Rewritten,
        Rotated, Successor,
    },
    header::ChainHead,
    ids::{Digest, GenerationId, HomeId, Millis, PlanId, SnapshotId, Token},
    log::{DrillRecord, Event, PointerRecord, PruneRecord, RecipientRemoved, RestoreRecord, Rewrapped},
    run::RunRecord,
};

/// A claim and what became of it.
#[derive(Clone, Debug)]
pub struct ClaimState {
    /// The claim.
    pub claim: Claim,
    /// Who made it.
    pub home: HomeId,
    /// When.
    pub at: Millis,
    /// How it ended; none while it is open.
    pub outcome: Option<ClaimOutcome>,
}

/// An erasure and what became of it.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The intent.
    pub record: EraseIntent,
    /// Its place in the chain of the admin who signed it.
    pub place: ChainHead,
    /// When it was signed.
    pub at: Millis,
    /// Whether it was given up.
    pub cancelled: bool,
    /// Of an erasure of a person: what it is about, and what became of it.
    pub person: Option<Person>,
}

/// An erasure of a person. The snapshots of its [`Intent`] are those that have a verified successor.
#[derive(Clone, Debug)]
pub struct Person {
    /// The predicate.
    pub record: PersonIntent,
    /// Successors, as they were verified.
    pub rewritten: Vec<Rewritten>,
}

impl Person {
    /// Which snapshot replaces which.
    pub fn successors(&self) -> impl Iterator<Item = &Successor> {
        self.rewritten.iter().flat_map(|record| &record.snapshots)
    }
}

/// What admins vouched for of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Attested {
    /// Where the newest word on it stands.
    pub place: ChainHead,
    /// What it says.
    pub state: Declared,
    /// Of a cell: the newest generation that it was ever declared to hold no more.
    pub generation: Option<GenerationId>,
}

impl Attested {
    /// The record that says so.
    #[must_use]
    pub fn record(&self, item: &str) -> Attestation {
        Attestation { item: item.to_owned(), state: self.state, generation: self.generation }
    }
}

/// A restore that began and has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenRestore {
    /// Whose it is.
    pub home: HomeId,
    /// Which; records of before restores had names have none.
    pub restore: Option<Token>,
}

/// What the logs of admins say.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Claims, oldest first.
    pub claims: Vec<ClaimState>,
    /// Erasures, oldest first.
    pub intents: Vec<Intent>,
    /// Published generations, oldest first.
    pub rotations: Vec<(Millis, Rotated)>,
    /// Cells that forgot a generation, oldest first.
    pub destroyed: Vec<(Millis, Destroyed)>,
    /// What was vouched for, by item.
    pub attested: BTreeMap<String, Attested>,
    /// Receipts, oldest first, and where they stand.
    pub receipts: Vec<(ChainHead, Receipt)>,
    /// Drills of any home, oldest first.
    pub drills: Vec<(Millis, DrillRecord)>,
    /// What became of every pointer kit.
    pub pointers: BTreeMap<u32, (Millis, PointerRecord)>,
    /// Who approved which signed intent, by the digest of its log entry.
    pub approvals: BTreeMap<Digest, BTreeSet<HomeId>>,
    /// Runs that hosts recorded, oldest first, and whose they are.
    pub runs: Vec<(HomeId, RunRecord)>,
    /// Garbage collections that ended, and what they did.
    pub pruned: BTreeMap<PlanId, PruneRecord>,
    /// When the newest garbage collection ended.
    pub pruned_at: Option<Millis>,
    /// Readers who were removed, oldest first.
    pub removals: Vec<(Millis, RecipientRemoved)>,
    /// What of the key entries of a generation was wrapped again after a removal, oldest first.
    pub rewrapped: Vec<Rewrapped>,
    /// Restores that began and have not ended, by snapshot, the oldest of each home first.
    pub restoring: BTreeMap<SnapshotId, Vec<OpenRestore>>,
}

impl Ledger {
    /// Takes an event that its signer's role allows; `false` for one that is not the ledger's.
    pub(crate) fn apply(&mut self, place: ChainHead, at: Millis, event: &Event) -> bool {
        match event {
            Event::Claim(claim) => {
                self.claims.push(ClaimState { claim: claim.clone(), home: place.home, at, outcome: None });
            }
            Event::ClaimEnd(end) => {
                for state in self.claims.iter_mut().filter(|state| state.claim.id == end.id) {
                    // What is voided or adopted stays so: the sleeper who ends its claim later does not bring it back. An adopted one may
                    // be closed by who goes on with it.
                    let last = |known: &ClaimOutcome| matches!(known, ClaimOutcome::Voided | ClaimOutcome::Adopted);
                    state.outcome = state.outcome.filter(last).or(Some(end.outcome));
                }
            }
            Event::EraseIntent(record) => {
                self.intents.push(Intent { record: record.clone(), place, at, cancelled: false, person: None });
            }
            Event::PersonIntent(record) => self.intents.push(person_intent(record, place, at)),
            Event::Rewritten(record) => {
                for intent in self.intents.iter_mut().filter(|intent| intent.record.id == record.id) {
                    let Some(person) = &mut intent.person else { continue };
                    intent.record.snapshots.extend(record.snapshots.iter().map(|pair| pair.old));
                    person.rewritten.push(record.clone());
                }
            }
            Event::IntentEnd(end) => {
                for intent in self.intents.iter_mut().filter(|intent| intent.record.id == end.id) {
                    intent.cancelled = true;
                }
            }
            Event::Rotated(rotated) => {
                // Said again when something that was left behind was carried after all.
                self.rotations.retain(|(_, known)| (known.claim, known.to) != (rotated.claim, rotated.to));
                self.rotations.push((at, rotated.clone()));
            }
            Event::Destroyed(destroyed) => self.destroyed.push((at, destroyed.clone())),
            Event::Attestation(Attestation { item, state, generation }) => {
                let known = self.attested.get(item).and_then(|known| known.generation);
                let newest = known.into_iter().chain(*generation).max_by_key(|generation| generation.number);
                self.attested.insert(item.clone(), Attested { place, state: *state, generation: newest });
            }
            Event::Pointer(record) => {
                self.pointers.insert(record.number, (at, record.clone()));
            }
            Event::Approval(Approval { intent, .. }) => {
                self.approvals.entry(*intent).or_default().insert(place.home);
            }
            Event::Receipt(receipt) => self.receipts.push((place, (**receipt).clone())),
            Event::RecipientRemoved(removed) => self.removals.push((at, removed.clone())),
            Event::Rewrapped(rewrapped) => self.rewrapped.push(rewrapped.clone()),
            _ => return false,
        }
        true
    }

    /// Takes the begin or end of a restore, which any home may record of its own: nobody ends another's.
    pub(crate) fn restore(&mut self, home: HomeId, record: &RestoreRecord) {
        let running = self.restoring.entry(record.snapshot).or_default();
        let this = OpenRestore { home, restore: record.restore };
        let known = running.iter().position(|open| *open == this);
        match known {
            Some(at) if record.ended => drop(running.remove(at)),
            // Told twice, because the first time did not look as if it had arrived.
            Some(_) if record.restore.is_some() => {}
            None if record.ended => {}
            _ => running.push(this),
        }
        self.restoring.retain(|_, running| !running.is_empty());
    }

    /// Takes a drill, which any home may record; gives its snapshot if it passed, which is then a check of level 6.
    pub(crate) fn drill(&mut self, at: Millis, record: DrillRecord) -> Option<SnapshotId> {
        let passed = record.passed.then_some(record.snapshot);
        self.drills.push((at, record));
        passed
    }

    /// The claims that are open.
    pub fn open_claims(&self) -> impl Iterator<Item = &ClaimState> {
        self.claims.iter().filter(|state| state.outcome.is_none())
    }

    /// Whether a claim was voided or given up, so that nothing published under it counts, whenever that appears.
    #[must_use]
    pub fn is_void(&self, claim: Token) -> bool {
        let void = |state: &ClaimState| matches!(state.outcome, Some(ClaimOutcome::Voided | ClaimOutcome::Withdrawn));
        self.claims.iter().any(|state| state.claim.id == claim && void(state))
    }

    /// Whether another claim is about to take the place of this one and has not yet said whether what it published counts: nobody builds
    /// on that meanwhile.
    #[must_use]
    pub fn is_in_doubt(&self, claim: Token) -> bool {
        let is_open = self.open_claims().any(|state| state.claim.id == claim);
        is_open && self.claims.iter().any(|state| state.claim.adopts == Some(claim))
    }

    /// The open claims that lie in front of a claim, each taken over by the next: they are decided together.
    #[must_use]
    pub fn in_front_of(&self, claim: &Claim) -> Vec<Token> {
        let mut chain = Vec::new();
        let mut next = claim.adopts;
        while let Some(id) = next.filter(|id| !chain.contains(id) && *id != claim.id) {
            chain.push(id);
            next = self.claims.iter().find(|state| state.claim.id == id).and_then(|state| state.claim.adopts);
        }
        chain
    }

    /// How many admins other than the one who signed an intent have approved it.
    #[must_use]
    pub fn approved(&self, intent: &Intent) -> u32 {
        let others = self.approvals.get(&intent.place.digest).into_iter().flatten();
        u32::try_from(others.filter(|home| **home != intent.place.home).count()).unwrap_or(u32::MAX)
    }

    /// Rotations that count.
    pub fn valid_rotations(&self) -> impl Iterator<Item = &(Millis, Rotated)> {
        self.rotations.iter().filter(|(_, rotated)| !self.is_void(rotated.claim))
    }

    /// Snapshots whose key entries were left behind by a published rotation.
    #[must_use]
    pub fn dropped(&self) -> BTreeSet<SnapshotId> {
        self.valid_rotations().flat_map(|(_, rotated)| rotated.dropped.iter().copied()).collect()
    }

    /// Erasures that were not given up.
    pub fn standing_intents(&self) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(|intent| !intent.cancelled)
    }

    /// Snapshots named by an erasure that stands, whether or not a rotation has left them behind yet.
    #[must_use]
    pub fn to_erase(&self) -> BTreeSet<SnapshotId> {
        self.standing_intents().flat_map(|intent| intent.record.snapshots.iter().copied()).collect()
    }

    /// Erasures of persons that were not given up.
    pub fn standing_persons(&self) -> impl Iterator<Item = (&Intent, &Person)> {
        self.standing_intents().filter_map(|intent| Some((intent, intent.person.as_ref()?)))
    }

    /// Snapshots whose entries in a generation are still wrapped to somebody who was removed.
    #[must_use]
    pub fn not_rewrapped(&self, generation: GenerationId) -> BTreeSet<SnapshotId> {
        let of_generation = self.rewrapped.iter().filter(|rewrapped| rewrapped.to == generation);
        of_generation.flat_map(|rewrapped| rewrapped.left.iter().copied()).collect()
    }

    /// What was vouched for of an item of a change of the seal that leaves this generation behind. Who vouches for a cell speaks of what it
    /// held until then: not of generations that it learns later.
    #[must_use]
    pub fn vouched(&self, item: &str, from: GenerationId) -> Option<&Attested> {
        let attested = self.attested.get(item)?;
        let speaks_of = |generation: GenerationId| generation.number >= from.number;
        (!item.starts_with("cell:") || attested.generation.is_some_and(speaks_of)).then_some(attested)
    }

    /// The rotation that left a snapshot behind.
    #[must_use]
    pub fn rotation_of(&self, snapshot: SnapshotId) -> Option<&(Millis, Rotated)> {
        self.valid_rotations().find(|(_, rotated)| rotated.dropped.contains(&snapshot))
    }
}

fn person_intent(record: &PersonIntent, place: ChainHead, at: Millis) -> Intent {
    let snapshots = EraseIntent {
        id: record.id,
        snapshots: Vec::new(),
        reason: record.reason.clone(),
        request: record.request,
        not_before: record.not_before,
        approvals: record.approvals,
    };
    let person = Person { record: record.clone(), rewritten: Vec::new() };
    Intent { record: snapshots, place, at, cancelled: false, person: Some(person) }
}
