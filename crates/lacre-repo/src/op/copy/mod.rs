//! Copies: other stores that hold every snapshot, brought up to date byte for byte and without decryption keys (protocol rule 12).
//!
//! ```text
//! look      list the copy, then the repository's snapshots, then everything: what a snapshot needs is listed after it     source.rs
//! judge     whose copy is it; does it hold signed records that the repository lacks?                                      standing.rs
//! tip       bundle and list, the logs that the policy pins, the policy; then lacre.json, which makes it a repository       tip.rs
//! records   older policies, logs, voids, plans, sessions, key entries
//! packs     and index segments; each verified by its name
//! snapshots each after its reach map, and only when everything in it lies in the copy                                     sync.rs
//! follow    what executed plans deleted goes, as far as the copy's own mark agrees                                        follow.rs
//! ```
//! Whatever dies in between is continued by the next run: what lies in the copy under its name is not sent again. Nothing is ever
//! overwritten, and a copy that is ahead, forked, somebody else's or suddenly empty is named and left alone.

mod carry;
mod compare;
mod follow;
pub(in crate::op) mod glance;
mod source;
mod standing;
mod sync;
mod tip;

use lacre_format::ids::{GenerationId, Millis};

pub use self::tip::Pushed;
use crate::{
    error::Error,
    monitor::{Finding, Monitor},
    repository::Repository,
    store::Store,
};

/// A copy: its name in the configuration and its opened store.
#[derive(Clone, Debug)]
pub struct CopyPlace {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub store: Store,
}

/// How a copy stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CopyState {
    /// It holds everything.
    Current,
    /// It lacks something.
    Behind,
    /// It lacks the current seal generation: what it holds cannot be opened until it is brought up to date.
    OldGeneration,
    /// Nothing was ever copied there.
    Empty,
    /// There was a copy, and nothing is there now: a disk that is not mounted, or a loss.
    Missing,
    /// It cannot be reached.
    Unreachable,
    /// It holds signed records that the repository lacks.
    Ahead,
    /// Its policies are others than the repository's.
    Forked,
    /// Another repository, or something else, lies there.
    Foreign,
}

impl CopyState {
    /// The state as JSON spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind => "behind",
            Self::OldGeneration => "old-generation",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
            Self::Ahead => "ahead",
            Self::Forked => "forked",
            Self::Foreign => "foreign",
        }
    }

    /// Whether nothing may be written there.
    #[must_use]
    pub const fn is_left_alone(self) -> bool {
        matches!(self, Self::Missing | Self::Unreachable | Self::Ahead | Self::Forked | Self::Foreign)
    }
}

/// A copy beside its repository.
#[derive(Clone, Debug)]
pub struct CopyStatus {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: CopyState,
    /// Live snapshots it lacks.
    pub lag_snapshots: u64,
    /// Objects it lacks.
    pub lag_objects: u64,
    /// How many of them are log entries: what was recorded, the night's own run for instance.
    pub lag_records: u64,
    /// Their bytes.
    pub lag_bytes: u64,
    /// The newest seal generation whose bundle it holds.
    pub generation: Option<GenerationId>,
    /// When this host last left it complete.
    pub synced: Option<Millis>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What bringing a copy up to date did.
#[derive(Clone, Debug)]
pub struct CopyReport {
    /// How it stands now.
    pub status: CopyStatus,
    /// Packs that were sent.
    pub packs_sent: u64,
    /// Objects of all kinds that were sent; the copy's own rollup is none of them.
    pub objects_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Objects that were deleted because an executed plan deleted them in the repository.
    pub objects_deleted: u64,
}

impl CopyReport {
    /// The report of a copy to which nothing was sent.
    #[must_use]
    pub const fn of_status(status: CopyStatus) -> Self {
        Self { status, packs_sent: 0, objects_sent: 0, bytes_sent: 0, objects_deleted: 0 }
    }
}

/// Whether an empty place where a copy was is filled again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// It is named and left alone: its disk may not be mounted.
    Name,
    /// A person says that it begins anew.
    BeginAnew,
}

/// Whether a copy that holds records the repository lacks is added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AheadOf {
    /// It is named and left alone: the repository may have lost them.
    Name,
    /// A person says that they stay where they are.
    Accept,
}

/// How copies are brought up to date.
#[derive(Clone, Copy, Debug)]
pub struct SyncOptions {
    /// What becomes of an empty place where a copy was.
    pub lost: Lost,
    /// What becomes of a copy that is ahead.
    pub ahead: AheadOf,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self { lost: Lost::Name, ahead: AheadOf::Name }
    }
}

impl Repository {
    /// Brings copies up to date, all at the same time. A copy that cannot be reached or must be left alone is a finding of its own report.
    ///
    /// # Errors
    /// Errors of the repository's own store, [`Error::Interrupted`].
    pub fn sync_copies(
        &self,
        copies: &[CopyPlace],
        options: SyncOptions,
        monitor: &dyn Monitor,
    ) -> Result<Vec<CopyReport>, Error> {
        // A copy is listed before the repository: whatever it held then, the repository held before.
        let looked = self.look_at_copies(copies);
        let source = self.copy_source()?;
        std::thread::scope(|scope| {
            let runs: Vec<_> = copies
                .iter()
                .zip(looked)
                .map(|(copy, looked)| {
                    let source = &source;
                    scope.spawn(move || self.sync_copy(copy, looked, source, options, monitor))
                })
                .collect();
            let panicked = |_| Error::Bug { why: "a thread panicked while it brought a copy up to date".to_owned() };
            runs.into_iter().map(|run| run.join().map_err(panicked)?).collect()
        })
    }

    /// How copies stand; nothing is written.
    ///
    /// # Errors
    /// Errors of the repository's own store.
    pub fn copy_status(&self, copies: &[CopyPlace]) -> Result<Vec<CopyStatus>, Error> {
        let looked = self.look_at_copies(copies);
        let source = self.copy_source()?;
        copies.iter().zip(looked).map(|(copy, looked)| self.compare_copy(copy, looked, &source)).collect()
    }
}
