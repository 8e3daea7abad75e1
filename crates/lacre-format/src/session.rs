//! Sessions: a writer's flag, written before it reads anything else, and the flag that it has ended.

use minicbor::{Decode, Encode};

use crate::ids::{HomeId, Millis, RepositoryId, Salt, SnapshotId, Token};

/// Largest session object.
pub const SESSION_BYTES_MAX: u64 = 64 * 1024;

/// What a writer signs when it opens a session.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Session {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The snapshot the session will commit.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// The writer.
    #[n(2)]
    pub home: HomeId,
    /// When it was opened, by the writer's clock.
    #[n(3)]
    pub opened: Millis,
    /// The snapshot whose frames the writer would like to reuse.
    #[n(4)]
    pub base: Option<SnapshotId>,
    /// Makes this writer's object recognisable.
    #[n(5)]
    pub token: Token,
    /// Salt of the job's key.
    #[n(6)]
    pub job_salt: Salt,
    /// The job's name, sealed with the structure key.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub job: Vec<u8>,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// Its snapshot is committed.
    #[n(0)]
    Committed,
    /// Its writer gave up; nothing was committed.
    #[n(1)]
    Abandoned,
}

/// What a writer signs when its session has ended.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct SessionEnd {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The session's snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// The writer.
    #[n(2)]
    pub home: HomeId,
    /// When it ended, by the writer's clock.
    #[n(3)]
    pub ended: Millis,
    /// How it ended.
    #[n(4)]
    pub outcome: Outcome,
}

/// The two steps of voiding a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum VoidStage {
    /// Somebody is about to void it and looks for its snapshot next.
    #[n(0)]
    Intent,
    /// It is void.
    #[n(1)]
    Final,
}

/// What a maintenance or admin home signs when it voids a session.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Void {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The session's snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// When, by the signer's clock.
    #[n(2)]
    pub at: Millis,
    /// Which step.
    #[n(3)]
    pub stage: VoidStage,
}
