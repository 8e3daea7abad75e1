//! Erasures of persons, as far as they decide which snapshots count.
//!
//! In: the ledger, headers, and what labels and intents say to those who hold the structure key. Out: which snapshots such an erasure
//! covers, which replace them, and which came too late. It reads no store.
//!
//! ```text
//! intended     covered snapshots count, and are handed out only filtered; successors are being made and do not count yet
//! rewritten    successors count; covered ones are to be erased; whatever else has not seen the intent is void
//! rotated      covered ones are erased
//! given up     covered ones count again; successors do not
//! ```

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    erasure::Successor,
    header::Header,
    ids::{HomeId, JobName, SnapshotId, Token},
    name::{Named, ObjectName},
    policy::Role,
};

use crate::{
    ledger::{Intent, Person},
    monitor::{Finding, Severity},
    view::{Known, View},
};

/// What erasures of persons make of snapshots.
#[derive(Clone, Debug, Default)]
pub struct Persons {
    /// Covered snapshots whose key entries have not been left behind yet, each with the erasures that cover them.
    pub covered: BTreeMap<SnapshotId, BTreeSet<Token>>,
    /// Snapshots that are made to replace covered ones and do not count yet.
    pub unborn: BTreeMap<SnapshotId, Token>,
    /// Which snapshot replaces which.
    pub successors: BTreeMap<SnapshotId, SnapshotId>,
    /// Snapshots made for an erasure that was given up, that no admin signed for, or that a change of the seal has left behind.
    pub stillborn: BTreeSet<SnapshotId>,
    /// Snapshots that had not seen the intent and came after the covered ones were rewritten.
    pub late: BTreeSet<SnapshotId>,
}

impl Persons {
    /// Whether a snapshot counts, as far as erasures of persons are concerned.
    #[must_use]
    pub fn count(&self, snapshot: SnapshotId) -> bool {
        !self.unborn.contains_key(&snapshot) && !self.stillborn.contains(&snapshot)
    }

    /// Whether a snapshot's frames are needed although it does not count: it may count yet, or again.
    #[must_use]
    pub fn keep(&self, snapshot: SnapshotId) -> bool {
        self.covered.contains_key(&snapshot) || self.unborn.contains_key(&snapshot)
    }
}

impl View {
    /// Whose night a snapshot is: an admin that took a person out of it did not make it. That of a snapshot which is gone is known from what
    /// was recorded of it.
    pub(crate) fn writer_of(&self, known: &Known) -> HomeId {
        let mut home = known.header.home;
        let mut next = known.header.erasure.and(known.header.derived_from);
        // Each step goes back to an earlier snapshot; a longer way than there are erasures leads in a circle.
        for _ in 0..=self.ledger.intents.len() {
            let Some(old) = next else { break };
            if let Some(known) = self.snapshots.get(&old) {
                home = known.header.home;
                next = known.header.erasure.and(known.header.derived_from);
            } else if let Some(gone) = self.plans.reclaimed.get(&old) {
                home = gone.home;
                let persons = self.ledger.intents.iter().filter_map(|intent| intent.person.as_ref());
                next = persons.flat_map(Person::successors).find(|pair| pair.new == old).map(|pair| pair.old);
            } else {
                break;
            }
        }
        home
    }
}

/// Whether the writer of a snapshot had read an intent before it read its source. A snapshot of a file says nothing about when the file
/// was made; only one that was committed under a later seal is an import of its own.
pub(crate) fn has_seen(view: &View, intent: &Intent, header: &Header) -> bool {
    let read = |heads: &[lacre_format::header::ChainHead]| {
        heads.iter().any(|head| head.home == intent.place.home && head.seq >= intent.place.seq)
    };
    if read(&header.seen) {
        return true;
    }
    let rotated = intent.record.snapshots.iter().find_map(|snapshot| view.ledger.rotation_of(*snapshot));
    read(&header.opened) && rotated.is_some_and(|(_, rotated)| header.generation.number > rotated.from.number)
}

impl View {
    /// Whether a home may prove a snapshot as another than its writer; one that an admin made out of another's snapshot it may, too.
    pub(crate) fn is_by_another(&self, snapshot: SnapshotId, home: HomeId) -> bool {
        let known = self.snapshots.get(&snapshot);
        known.is_some_and(|known| known.header.home != home || known.header.erasure.is_some())
    }

    /// Applies what can be known without any key: which snapshots replace others, and whether they count.
    pub(crate) fn settle_successors(&mut self) {
        let mut persons = Persons::default();
        let gone = self.ledger.dropped();
        let outlives = |pair: &Successor, snapshot: SnapshotId| {
            pair.new == snapshot && gone.contains(&pair.old) && !gone.contains(&snapshot)
        };
        let made: Vec<(SnapshotId, Option<SnapshotId>, Token, bool)> = self
            .snapshots
            .values()
            .filter_map(|known| {
                let header = &known.header;
                let by_admin = self.home(header.home).is_some_and(|home| home.role == Role::Admin);
                header.erasure.map(|erasure| (header.snapshot, header.derived_from, erasure, by_admin))
            })
            .collect();
        for (snapshot, old, erasure, by_admin) in made {
            if !by_admin {
                let what = "it claims to replace another snapshot, and its signer is no admin";
                let advice = "it is ignored; ask who holds that key";
                self.findings.push(Finding::new(Severity::Warning, what, format!("snap/{snapshot}"), advice));
                persons.stillborn.insert(snapshot);
                continue;
            }
            let intents = self.ledger.intents.iter().filter(|intent| intent.record.id == erasure);
            let known = intents.filter_map(|intent| Some((intent.cancelled, intent.person.as_ref()?))).next();
            match known {
                Some((false, person)) if person.successors().any(|pair| pair.new == snapshot) => {}
                // An attempt that died before its record; another one took its place.
                Some((false, person)) if person.successors().any(|pair| Some(pair.old) == old) => {
                    persons.stillborn.insert(snapshot);
                }
                Some((false, _)) => drop(persons.unborn.insert(snapshot, erasure)),
                // Given up too late: what it replaces is left behind, and this is all there is.
                Some((true, person)) if person.successors().any(|pair| outlives(pair, snapshot)) => {}
                Some((true, _)) => drop(persons.stillborn.insert(snapshot)),
                None if gone.contains(&snapshot) => drop(persons.stillborn.insert(snapshot)),
                None => {
                    // The record that made it count is lost. That it counted is likelier than not, and absence drops nothing.
                    let what = "it replaces another snapshot, and the log does not say any more for whose erasure";
                    let advice =
                        "it is kept and does not count: bring the entries of the admins' logs back from a copy";
                    let object = ObjectName::of(&Named::Snapshot(snapshot));
                    self.findings.push(Finding::new(Severity::Damage, what, object, advice));
                    persons.unborn.insert(snapshot, erasure);
                }
            }
        }
        for (intent, person) in self.ledger.standing_persons() {
            for pair in person.successors() {
                persons.successors.insert(pair.old, pair.new);
                if !gone.contains(&pair.old) {
                    persons.covered.entry(pair.old).or_default().insert(intent.record.id);
                }
            }
        }
        self.persons = persons;
    }

    /// Applies predicates, for those who can read jobs: of snapshots by `job_of`, of intents by `jobs_of`.
    pub(crate) fn settle_predicates(
        &mut self,
        job_of: &dyn Fn(&Header) -> Option<JobName>,
        jobs_of: &dyn Fn(&Intent) -> Option<Vec<JobName>>,
    ) {
        let gone = self.ledger.dropped();
        let mut covered: Vec<(SnapshotId, Token)> = Vec::new();
        let mut late = BTreeSet::new();
        for (intent, person) in self.ledger.standing_persons() {
            let Some(jobs) = jobs_of(intent) else { continue };
            for known in self.snapshots.values() {
                let snapshot = known.header.snapshot;
                let own = known.header.erasure == Some(intent.record.id);
                let named = intent.record.snapshots.contains(&snapshot);
                if own || named || has_seen(self, intent, &known.header) {
                    continue;
                }
                if !job_of(&known.header).is_some_and(|job| jobs.contains(&job)) {
                    continue;
                }
                // Before anything was rewritten, whatever has not seen the intent is covered; what was held then stays so.
                let was_held = person.rewritten.iter().any(|record| record.held.contains(&snapshot));
                if person.rewritten.is_empty() || was_held || self.held.contains_key(&snapshot) {
                    covered.extend((!gone.contains(&snapshot)).then_some((snapshot, intent.record.id)));
                } else {
                    // Void for ever, also after a change of the seal has left it behind.
                    late.insert(snapshot);
                }
            }
        }
        for (snapshot, erasure) in covered {
            self.persons.covered.entry(snapshot).or_default().insert(erasure);
        }
        self.voided.extend(&late);
        self.persons.late = late;
    }
}
