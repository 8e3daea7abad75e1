//! Losses on record: what a repair found nowhere, so that audits go on naming it without calling it news, and garbage collection and
//! backups work around it.
//!
//! In: the newest record of an admin or maintenance home. Out: which snapshots and packs it names, and findings made milder. It hides
//! nothing: what is on record stays a warning until the snapshot is forgotten or what it misses comes back.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lacre_format::{
    ids::{Millis, PackName, SnapshotId},
    log::{FindingMark, LossRecord},
};

use crate::monitor::{Finding, Severity};

/// What is on record as lost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lost {
    /// When it was recorded; the epoch if never.
    pub at: Timestamp,
    /// Snapshots that are incomplete or gone, with the number of their frames that are.
    pub snapshots: BTreeMap<SnapshotId, u64>,
    /// Packs that are damaged or missing.
    pub packs: BTreeSet<PackName>,
    /// Findings that nothing can put right.
    pub findings: BTreeSet<FindingMark>,
}

/// The mark of a finding: it says which one is meant and nothing else.
pub(crate) fn mark_of(finding: &Finding) -> FindingMark {
    let mut hasher = blake3::Hasher::new();
    hasher.update(finding.object.as_bytes()).update(&[0]).update(finding.what.as_bytes());
    let mut mark = [0; 16];
    mark.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    mark.into()
}

/// Whether a loss is on record already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OnRecord {
    Yes,
    No,
}

impl From<bool> for OnRecord {
    fn from(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

impl Lost {
    /// Takes a newer record in the place of what was there.
    pub(crate) fn take(&mut self, at: Millis, record: LossRecord) {
        self.at = Timestamp::from_millisecond(at.0).unwrap_or_default();
        self.snapshots = record.snapshots.into_iter().map(|lost| (lost.snapshot, lost.frames)).collect();
        self.packs = record.packs.into_iter().collect();
        self.findings = record.findings.into_iter().collect();
    }

    /// Whether nothing is on record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.packs.is_empty() && self.findings.is_empty()
    }

    /// Whether a record says what is on record already.
    pub(crate) fn is(&self, record: &LossRecord) -> bool {
        let mut said = Self { at: self.at, ..Self::default() };
        said.take(Millis(self.at.as_millisecond()), record.clone());
        said.snapshots == self.snapshots && said.packs == self.packs && said.findings == self.findings
    }

    /// Whether a finding is on record.
    pub(crate) fn names(&self, finding: &Finding) -> bool {
        !self.findings.is_empty() && self.findings.contains(&mark_of(finding))
    }

    /// The same finding, a warning if it is known.
    pub(crate) fn settle(&self, finding: Finding, record: OnRecord) -> Finding {
        if finding.severity < Severity::Damage || record == OnRecord::No {
            return finding;
        }
        let advice = format!(
            "on record as lost since {}; a copy that has it still heals it: lacre repo repair --from COPY",
            self.at
        );
        Finding { severity: Severity::Warning, advice, ..finding }
    }

    /// All findings, milder where they are on record.
    pub(crate) fn settle_all(&self, findings: &mut Vec<Finding>) {
        for finding in std::mem::take(findings) {
            let known = self.names(&finding);
            findings.push(self.settle(finding, known.into()));
        }
    }
}
