//! Status: everything a monitor asks of a repository, from one listing of its store.
//!
//! Nothing is judged here: thresholds are the operator's, and so are the words for what is beyond them.

use jiff::Timestamp;
use lacre_format::{ids::Millis, log::CheckRecord, policy::RecipientEntry};

use crate::{
    error::Error,
    monitor::Finding,
    op::{erase::ErasureStatus, run::Run, seal::SealStatus, snapshots::SnapshotRow},
    repository::Repository,
    view::{VIEWED, View},
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
        let wanted: Vec<&str> = VIEWED.iter().copied().chain(["session"]).collect();
        let pin = self.home().pin()?;
        let listing = self.store().list_many(&wanted)?;
        let view = self.view_of(&listing, pin)?;
        let erasures: Result<Vec<ErasureStatus>, Error> =
            view.ledger.intents.iter().map(|intent| self.erasure(&view, intent, Some(&listing))).collect();
        Ok(Status {
            now: self.clock().now(),
            rows: self.rows(&view),
            seal: self.seal_status_of(&view)?,
            erasures: erasures?,
            checks: view.checks.clone(),
            runs: self.runs(&view),
            pruned_at: view.ledger.pruned_at,
            recipients: view.policy.recipients.clone(),
            findings: view.findings.clone(),
            view,
        })
    }
}
