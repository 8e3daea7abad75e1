//! Erasures of persons that stand: which can be gone on with, which only wait for the seal, which nobody can tell any more.
//!
//! In: the view. Out: erasures by how far they have come. Nothing is changed here.

use std::collections::BTreeSet;

use lacre_format::ids::{JobName, Millis, Token};

use crate::{
    error::Error,
    ledger::{Intent, Person},
    repository::Repository,
};

/// How far the erasure of a person from a job has come, for somebody who brings in what may hold that person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PersonStage {
    /// Nothing is rewritten: what comes in now is covered.
    Intended,
    /// Everything is rewritten and the seal is not changed: what comes in now is late, and void.
    Rewritten,
    /// Some snapshot that is held still has the person, and a list says without whom it is handed out.
    Suppressed,
    /// Nothing says any more whom it was about.
    Gone,
}

/// An erasure of a person that stands.
#[derive(Clone, Copy, Debug)]
pub struct StandingPerson {
    /// The erasure.
    pub erasure: Token,
    /// When it was signed.
    pub intended: Millis,
    /// How far it has come.
    pub stage: PersonStage,
}

impl Repository {
    /// Erasures of persons that are not finished: something they cover has no successor yet.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read labels.
    pub fn unfinished_persons(&self) -> Result<Vec<Token>, Error> {
        drop(self.structure()?);
        let view = self.view()?;
        let is_open = |intent: &Intent, person: &Person| {
            let rest = view.persons.covered.iter().filter(|(snapshot, _)| !intent.record.snapshots.contains(snapshot));
            let mut rest = rest.filter(|(_, erasures)| erasures.contains(&intent.record.id));
            person.rewritten.is_empty() || rest.next().is_some()
        };
        let standing = view.ledger.standing_persons().filter(|(intent, person)| is_open(intent, person));
        Ok(standing.map(|(intent, _)| intent.record.id).collect())
    }

    /// Erasures of persons whose snapshots all have their successors, and of which only the change of the seal is missing.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn rewritten_persons(&self) -> Result<Vec<Token>, Error> {
        let view = self.view()?;
        let waits = |intent: &Intent| {
            intent.record.snapshots.iter().any(|snapshot| view.ledger.rotation_of(*snapshot).is_none())
        };
        let standing = view.ledger.standing_persons().filter(|(intent, _)| waits(intent));
        Ok(standing.map(|(intent, _)| intent.record.id).collect())
    }

    /// Erasures of persons from just these jobs that this host signed and that died before anything said whom they are about: nobody can
    /// go on with them, and whoever asks for the same again signs another.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read the jobs, or without the admin key; errors of the store.
    pub fn nameless_persons(&self, jobs: &[JobName]) -> Result<Vec<Token>, Error> {
        let structure = self.structure()?;
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let wanted: BTreeSet<&JobName> = jobs.iter().collect();
        let listed = self.listed_persons()?;
        let of_jobs = |intent: &Intent| {
            self.jobs_of_person(&structure, intent).is_some_and(|jobs| jobs.iter().collect::<BTreeSet<_>>() == wanted)
        };
        let nameless = |(intent, person): &(&Intent, &Person)| {
            let unnamed = person.rewritten.is_empty() && !listed.contains(&intent.record.id);
            unnamed && intent.place.home == admin.home && of_jobs(intent)
        };
        Ok(view.ledger.standing_persons().filter(nameless).map(|(intent, _)| intent.record.id).collect())
    }

    /// Erasures of persons from a job that stand, and what an import into that job means to them.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read the jobs; errors of the store.
    pub fn persons_of(&self, job: &JobName) -> Result<Vec<StandingPerson>, Error> {
        let structure = self.structure()?;
        let view = self.view()?;
        let of_job = |intent: &Intent| self.jobs_of_person(&structure, intent).is_some_and(|jobs| jobs.contains(job));
        let stage = |intent: &Intent, person: &Person| {
            let covers = view.persons.covered.values().any(|erasures| erasures.contains(&intent.record.id));
            let rotated = intent.record.snapshots.iter().all(|snapshot| view.ledger.rotation_of(*snapshot).is_some());
            match (person.rewritten.is_empty(), rotated, covers) {
                (true, ..) => PersonStage::Intended,
                (false, false, _) => PersonStage::Rewritten,
                (false, true, true) => PersonStage::Suppressed,
                (false, true, false) => PersonStage::Gone,
            }
        };
        let standing = view.ledger.standing_persons().filter(|(intent, _)| of_job(intent));
        let one = |(intent, person): (&Intent, &Person)| StandingPerson {
            erasure: intent.record.id,
            intended: intent.at,
            stage: stage(intent, person),
        };
        Ok(standing.map(one).collect())
    }
}
