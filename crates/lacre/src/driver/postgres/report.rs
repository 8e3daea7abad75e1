//! What the driver tells its caller while it works and when it is done.
//!
//! The shapes mirror those of `lacre-repo`; the caller translates between both in one place.

use std::sync::{Mutex, PoisonError};

use super::limits;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; changes no exit code.
    Note,
    /// Something is not as it should be.
    Warning,
    /// Data differ from what was saved.
    Damage,
}

/// One thing that was skipped, failed, or differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What happened, in one sentence.
    pub what: String,
    /// The table, role or file it happened to.
    pub object: String,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    /// Builds a note.
    pub fn note(what: impl Into<String>, object: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Note, what: what.into(), object: object.into(), advice: advice.into() }
    }

    /// Builds a warning.
    pub fn warning(what: impl Into<String>, object: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what: what.into(), object: object.into(), advice: advice.into() }
    }

    /// Builds a report of damage.
    pub fn damage(what: impl Into<String>, object: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Damage, what: what.into(), object: object.into(), advice: advice.into() }
    }
}

/// Where the work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step began; a short phrase such as `building indexes`.
    Step(String),
    /// Bytes and rows expected in all; an estimate.
    Total {
        /// Bytes expected.
        bytes: u64,
        /// Rows expected, when known.
        rows: Option<u64>,
    },
    /// Work on one stream began.
    Stream(String),
    /// Bytes went through since the last event.
    Bytes(u64),
}

/// The caller's ear: hears progress, says when to stop. Called from several threads.
pub trait Watch: Send + Sync {
    /// Hears where the work stands.
    fn event(&self, event: Event);
    /// Says whether a person wants it to stop.
    fn cancelled(&self) -> bool;
}

/// A watch that listens to nothing and never stops anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn event(&self, _event: Event) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Findings gathered from several threads, bounded.
#[derive(Debug, Default)]
pub struct Findings {
    inner: Mutex<(Vec<Finding>, u64)>,
}

impl Findings {
    /// Adds one; beyond [`limits::FINDINGS_MAX`] only counts.
    pub fn add(&self, finding: Finding) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.0.len() < limits::FINDINGS_MAX {
            inner.0.push(finding);
        } else {
            inner.1 += 1;
        }
    }

    /// Adds many.
    pub fn extend(&self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.add(finding);
        }
    }

    /// Says whether one of at least this severity was added.
    pub fn any(&self, severity: Severity) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1 > 0 || inner.0.iter().any(|finding| finding.severity >= severity)
    }

    /// Hands over all of them; a last one counts those that did not fit.
    pub fn take(&self) -> Vec<Finding> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings = std::mem::take(&mut inner.0);
        let more = std::mem::take(&mut inner.1);
        if more > 0 {
            findings.push(Finding::warning(
                crate::human::things(more, ["more finding is not listed", "more findings are not listed"]),
                "findings",
                "solve the listed ones and run it again",
            ));
        }
        findings
    }
}
