//! The two seams of the vault: who watches, and what time it is; and what an audit or a run has to say.

use std::sync::Arc;

use jiff::Timestamp;

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing; changes no exit code.
    Note,
    /// Something was skipped or is not as it should be: exit code 3.
    Warning,
    /// Stored data are damaged or missing: exit code 4.
    Damage,
}

/// One thing that was found, on what, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// What was found, in one sentence.
    pub what: String,
    /// The object, stream or file.
    pub object: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    /// Makes a finding.
    #[must_use]
    pub fn new(severity: Severity, what: impl Into<String>, object: impl ToString, advice: impl Into<String>) -> Self {
        Self { severity, what: what.into(), object: object.to_string(), advice: advice.into() }
    }
}

/// How many things there are, in the words of a finding: `1 snapshot`, `2 snapshots`.
pub(crate) fn things(number: impl TryInto<u64>, [one, many]: [&str; 2]) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What an operation tells while it runs. All counts are increments.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// The operation's phase, for people.
    Phase(String),
    /// Bytes the operation expects to handle in all.
    Expected(u64),
    /// Plaintext bytes read from the source or written to a sink.
    Bytes(u64),
    /// Rows among them.
    Rows(u64),
    /// Bytes stored.
    Stored(u64),
    /// Objects handled.
    Objects(u64),
}

/// Watches an operation.
pub trait Monitor: Send + Sync {
    /// Is told how far the operation is.
    fn progress(&self, progress: Progress);
    /// Whether the operator wants it to stop at the next safe point.
    fn cancelled(&self) -> bool;
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn progress(&self, _: Progress) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock several parts share.
pub type SharedClock = Arc<dyn Clock>;
