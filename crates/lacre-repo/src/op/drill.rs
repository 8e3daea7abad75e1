//! Drills on record: what a rehearsed restore proved, and what earlier ones took.
//!
//! The restore itself is somebody else's; here its result is signed and found again. Nothing of what was restored is recorded but counts,
//! bytes and times.

use lacre_format::{
    frame::padme,
    ids::{HomeId, JobName, Millis, SnapshotId},
    log::{DrillRecord, Event},
};

use crate::{error::Error, op::snapshots::SnapshotRow, repository::Repository, view::View};

/// One drill of the log.
#[derive(Clone, Debug)]
pub struct PastDrill {
    /// When it was signed.
    pub at: Millis,
    /// What it proved.
    pub record: DrillRecord,
    /// The job of its snapshot; none when that cannot be read here.
    pub job: Option<JobName>,
}

impl Repository {
    /// Who this host is in the repository's log; none on a host that can sign nothing.
    #[must_use]
    pub fn speaks_as(&self) -> Option<HomeId> {
        self.speaker().map(|signer| signer.home)
    }

    /// Puts a drill on record; `false` on a host that can sign nothing. The log is in the clear and outlives what it speaks of, so that the
    /// size of a snapshot is rounded up as every size outside of what is sealed (law L5).
    ///
    /// # Errors
    /// Errors of the store.
    pub fn record_drill(&self, mut record: DrillRecord) -> Result<bool, Error> {
        record.bytes = padme(record.bytes);
        match self.speaker() {
            Some(signer) => self.append(&signer, &Event::Drill(record)).map(|()| true),
            None => Ok(false),
        }
    }

    /// The drills on record, oldest first.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn drills(&self) -> Result<Vec<PastDrill>, Error> {
        let view = self.view()?;
        Ok(self.past_drills(&view, &self.rows(&view)))
    }

    pub(crate) fn past_drills(&self, view: &View, rows: &[SnapshotRow]) -> Vec<PastDrill> {
        let job = |snapshot: SnapshotId| {
            let row = rows.iter().find(|row| row.snapshot == snapshot)?;
            row.label.as_ref().map(|label| label.job.clone())
        };
        let past = |(at, record): &(Millis, DrillRecord)| PastDrill {
            at: *at,
            record: record.clone(),
            job: job(record.snapshot),
        };
        view.ledger.drills.iter().map(past).collect()
    }
}
