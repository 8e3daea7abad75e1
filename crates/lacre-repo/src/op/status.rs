//! Status: everything a monitor asks of a repository and its copies, from one listing of each store.
//!
//! Nothing is judged here: thresholds are the operator's, and so are the words for what is beyond them.

use jiff::Timestamp;
use lacre_format::{ids::Millis, log::CheckRecord, policy::RecipientEntry};

use crate::{
    error::Error,
    home::Pin,
    monitor::Finding,
    op::{
        copy::{
            CopyPlace, CopyStatus,
            glance::{GLANCED, Glance, glance_at},
        },
        drill::PastDrill,
        erase::ErasureStatus,
        run::Run,
        seal::SealStatus,
        snapshots::SnapshotRow,
        stats::Stored,
    },
    repository::Repository,
    rollup,
    store::Listing,
    view::View,
};

/// A repository at one moment.
pub struct Status {
    /// When, by this host's clock.
    pub now: Timestamp,
    /// All snapshots, oldest first.
    pub rows: Vec<SnapshotRow>,
    /// The seal and its holders.
    pub seal: SealStatus,
    /// All erasures, oldest first.
    pub erasures: Vec<ErasureStatus>,
    /// The newest recorded audits, oldest first.
    pub checks: Vec<(Millis, CheckRecord)>,
    /// Recorded runs, oldest first.
    pub runs: Vec<Run>,
    /// Recorded drills, oldest first.
    pub drills: Vec<PastDrill>,
    /// How the copies stand that were asked about.
    pub copies: Vec<CopyStatus>,
    /// When the newest garbage collection ended.
    pub pruned_at: Option<Millis>,
    /// Who may read.
    pub recipients: Vec<RecipientEntry>,
    /// What was there and is not believed.
    pub findings: Vec<Finding>,
    /// The believed state all of this was taken from.
    pub view: View,
}

impl Repository {
    /// Looks at everything a monitor asks about: one listing, and reads only of what this host has not seen yet.
    ///
    /// # Errors
    /// Errors of the store or of a cell's file.
    pub fn status(&self) -> Result<Status, Error> {
        self.status_beside(&[])
    }

    /// As [`Repository::status`], and how copies stand: one listing of each, all at the same time, before that of the repository.
    ///
    /// # Errors
    /// As [`Repository::status`]; a copy that cannot be reached is a finding of its own status.
    pub fn status_beside(&self, copies: &[CopyPlace]) -> Result<Status, Error> {
        let glances = glance_at(copies);
        let pin = self.home().pin()?;
        // Keyrings are compared with those of copies, and say nothing else here.
        let glanced = if copies.is_empty() { &GLANCED[..GLANCED.len() - 1] } else { &GLANCED[..] };
        let wanted: Vec<&str> = glanced.iter().copied().chain([rollup::FOLDER]).collect();
        let listing = self.store().list_many(&wanted)?;
        self.seen_in(copies, glances, listing, pin)
    }

    /// The same, and how much lies in the store, counted in the same listing; of what is dead there nothing is known.
    ///
    /// # Errors
    /// As [`Repository::status_beside`].
    pub fn status_and_stored(&self, copies: &[CopyPlace]) -> Result<(Status, Stored), Error> {
        let glances = glance_at(copies);
        let pin = self.home().pin()?;
        let listing = self.store().list("")?;
        let stored = Stored::of(&listing);
        Ok((self.seen_in(copies, glances, listing, pin)?, stored))
    }

    fn seen_in(
        &self,
        copies: &[CopyPlace],
        glances: Vec<Glance>,
        listing: Listing,
        pin: Option<Pin>,
    ) -> Result<Status, Error> {
        let view = self.view_of(&listing, pin)?;
        let erasures: Result<Vec<ErasureStatus>, Error> =
            view.ledger.intents.iter().map(|intent| self.erasure(&view, intent, Some(&listing))).collect();
        let rows = self.rows(&view);
        let seal = self.seal_status_of(&view)?;
        let (view, copies) = self.judge_glances(copies, glances, view, listing)?;
        Ok(Status {
            now: self.clock().now(),
            seal,
            erasures: erasures?,
            checks: view.checks.clone(),
            runs: self.runs(&view),
            drills: self.past_drills(&view, &rows),
            copies,
            rows,
            pruned_at: view.ledger.pruned_at,
            recipients: view.policy.recipients.clone(),
            findings: view.findings.clone(),
            view,
        })
    }
}
