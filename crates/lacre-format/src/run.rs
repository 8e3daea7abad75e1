//! Runs: what a host did of its jobs in one go, kept in its log for those who look later.
//!
//! The outside says when a run was and with which exit code it ended. What names jobs is sealed with the structure key, as labels of
//! snapshots are. Nothing here depends on a source's plaintext (L5): counts of snapshots, stored bytes and times only.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    ids::{JobName, Millis, Salt, SnapshotId, Token},
};

/// Most jobs of one recorded run.
pub const RUN_JOBS_MAX: usize = 1_000;
/// Longest sealed part of a record: the jobs above with everything said of them.
pub const RUN_DETAILS_BYTES_MAX: usize = 256 * 1024;

/// A run that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RunRecord {
    /// The run.
    #[n(0)]
    pub id: Token,
    /// When it began, by its host's clock.
    #[n(1)]
    pub started: Millis,
    /// When it ended.
    #[n(2)]
    pub ended: Millis,
    /// The exit code of the program.
    #[n(3)]
    pub exit: u8,
    /// Salt of the key of what is sealed.
    #[n(4)]
    pub salt: Salt,
    /// The sealed [`RunDetails`].
    #[cbor(n(5), with = "minicbor::bytes")]
    pub details: Vec<u8>,
}

/// What a run did, for those who hold the structure key.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct RunDetails {
    /// Its jobs in their order.
    #[cbor(n(0), decode_with = "codec::list::<_, _, RUN_JOBS_MAX>")]
    pub jobs: Vec<RunJob>,
    /// Snapshots its retention forgot.
    #[n(1)]
    pub forgotten: u64,
    /// Copies that were brought up to date.
    #[n(2)]
    pub copies: u32,
    /// Copies that could not be.
    #[n(3)]
    pub copies_failed: u32,
    /// Findings of everything that is no job.
    #[n(4)]
    pub findings: u32,
}

/// One job of a run.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RunJob {
    /// The job.
    #[n(0)]
    pub job: JobName,
    /// The snapshot it made.
    #[n(1)]
    pub snapshot: Option<SnapshotId>,
    /// The exit code it would have ended with alone.
    #[n(2)]
    pub exit: u8,
    /// When it began.
    #[n(3)]
    pub started: Millis,
    /// When it ended.
    #[n(4)]
    pub ended: Millis,
    /// Bytes it added to the store.
    #[n(5)]
    pub stored: u64,
    /// Its findings.
    #[n(6)]
    pub findings: u32,
    /// Whether its retention was held back.
    #[n(7)]
    pub held_back: bool,
}
