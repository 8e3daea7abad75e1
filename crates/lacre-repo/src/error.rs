//! What can go wrong in the vault, and what kind of answer it needs.

use std::path::PathBuf;

use lacre_format::{
    FormatError,
    ids::{GenerationId, JobName, PackName, SnapshotId},
};
use lacre_seal::{
    bundle::BundleError, entropy::EntropyError, frame::SealFrameError, key_entry::OpenEntryError,
    recipient::RecipientError, root::OpenRootError, wrap::WrapError,
};

use crate::{
    cell::CellError,
    files::FileError,
    squeeze::SqueezeError,
    store::{Remedy, StoreError},
};

/// What to do about an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// The request itself is wrong: correct it.
    Usage,
    /// What was named is not there.
    NotFound,
    /// There is no repository at that place.
    NoRepository,
    /// Somebody else is doing something that excludes this: try again.
    Conflict,
    /// The store cannot be reached: try again, it is safe.
    Unavailable,
    /// No key at hand opens it, or a key that is needed is missing.
    NoKey,
    /// Stored bytes are not what they should be.
    Damaged,
    /// The source failed; nothing was committed.
    SourceFailed,
    /// A safety rule forbids it.
    Refused,
    /// The machine failed: disk full, permission denied.
    Io,
    /// It was interrupted.
    Interrupted,
    /// A mistake in this program.
    Bug,
}

/// Why an operation of the vault failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed.
    #[error("the repository's store failed: {0}")]
    Store(#[from] StoreError),
    /// There is no repository.
    #[error("there is no Lacre repository in {place}")]
    NoRepository {
        /// The store's place.
        place: String,
    },
    /// There is one already.
    #[error("there is already a repository in {place}")]
    AlreadyThere {
        /// The store's place.
        place: String,
    },
    /// An object is damaged or of another version.
    #[error("{object}: {source}")]
    Format {
        /// The object's name.
        object: String,
        /// What is wrong.
        #[source]
        source: FormatError,
    },
    /// An object is not what its name, signature or hash says.
    #[error("{object}: {why}")]
    Damaged {
        /// The object's name.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// An object is whole, and its signer has no standing to sign it.
    #[error("{object}: {why}")]
    Unbelieved {
        /// The object's name.
        object: String,
        /// Why it is not believed.
        why: String,
    },
    /// A pack's bytes do not hash to its name.
    #[error("pack {pack} is damaged: its bytes do not hash to its name")]
    PackDamaged {
        /// The pack.
        pack: PackName,
    },
    /// A frame is in no pack that is known.
    #[error("{frames} frames of the snapshot are in pack {pack}, which is not in the repository")]
    PackMissing {
        /// The pack's birth name.
        pack: String,
        /// How many frames.
        frames: u64,
    },
    /// A file of this host failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A seal cell failed.
    #[error("the seal cell {cell} cannot be used: {source}")]
    Cell {
        /// The cell, as the policy names it.
        cell: String,
        /// Why.
        #[source]
        source: CellError,
    },
    /// A local database failed.
    #[error("the local cache {path} failed: {reason}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A recipient cannot be used.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// Nobody to wrap to, or a certificate has expired.
    #[error("the snapshot key cannot be wrapped: {0}")]
    Wrap(#[from] WrapError),
    /// A snapshot's key entry did not open.
    #[error("snapshot {snapshot}: {source}")]
    Entry {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        #[source]
        source: OpenEntryError,
    },
    /// A bundle did not open.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A root did not open.
    #[error("snapshot {snapshot}: {source}")]
    Root {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Why.
        #[source]
        source: OpenRootError,
    },
    /// A key of this host is missing.
    #[error("this needs {what}, which is not on this host")]
    KeyMissing {
        /// Which key, in users' words.
        what: &'static str,
    },
    /// No cell or kit at hand holds the seal.
    #[error("no cell or kit at hand holds seal generation {generation}")]
    NoSeal {
        /// The generation needed.
        generation: GenerationId,
    },
    /// No identity at hand opens the snapshot.
    #[error("none of the {identities} identities at hand opens snapshot {snapshot}")]
    NoIdentity {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many were tried.
        identities: usize,
    },
    /// No key entry for a committed snapshot.
    #[error("snapshot {snapshot} has no key entry in the repository: nothing can open it")]
    EntryMissing {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The name of a snapshot matches none.
    #[error("no snapshot is named {name}")]
    NoSnapshot {
        /// What was asked for.
        name: String,
    },
    /// The name of a snapshot matches several.
    #[error("{name} is the start of {count} snapshots")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many match.
        count: usize,
    },
    /// The snapshot has no such stream.
    #[error("snapshot {snapshot} has no stream {stream:?}")]
    NoStream {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The stream asked for.
        stream: String,
    },
    /// The snapshot was forgotten.
    #[error("snapshot {snapshot} was forgotten and waits to be reclaimed")]
    Forgotten {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The snapshot was erased.
    #[error("snapshot {snapshot} was erased: no key that opens it exists any more")]
    Erased {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// The snapshot was forgotten and its data are gone.
    #[error("snapshot {snapshot} was forgotten and its data were reclaimed")]
    Reclaimed {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Another backup of the same job is running on this host.
    #[error("another backup of job {job} is running on this host")]
    Busy {
        /// The job.
        job: JobName,
    },
    /// The session was voided or superseded.
    #[error("the run was overtaken: {why}")]
    Overtaken {
        /// By what.
        why: String,
    },
    /// A frame could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealFrameError),
    /// Compression failed.
    #[error(transparent)]
    Squeeze(#[from] SqueezeError),
    /// What was sealed did not open again to the same bytes, before anything was uploaded.
    #[error("a frame did not open again to the bytes it was made from: this machine's memory or processor is at fault")]
    SelfCheck,
    /// The stream or snapshot is refused.
    #[error("{why}")]
    Refused {
        /// Which rule forbids it.
        why: String,
    },
    /// The request is wrong.
    #[error("{why}")]
    Usage {
        /// What is wrong.
        why: String,
    },
    /// The sink the plaintext goes to failed.
    #[error("the output could not be written: {0}")]
    Sink(#[source] std::io::Error),
    /// Whoever looks at rows failed.
    #[error("rows could not be searched or rewritten: {source}")]
    Rows {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Interrupted by the operator.
    #[error("interrupted")]
    Interrupted,
    /// A thread of the pipeline ended early.
    #[error("the backup pipeline stopped unexpectedly: {why}")]
    Bug {
        /// Where.
        why: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => store_kind(error),
            Self::Cell { source, .. } => match source {
                CellError::Store(error) => store_kind(error),
                CellError::Command(_) => Kind::Unavailable,
                CellError::Untrue(_) => Kind::Refused,
                CellError::NoWay(_) => Kind::Usage,
            },
            Self::NoRepository { .. } => Kind::NoRepository,
            Self::AlreadyThere { .. } | Self::Usage { .. } | Self::Ambiguous { .. } => Kind::Usage,
            Self::Format { .. }
            | Self::Damaged { .. }
            | Self::Unbelieved { .. }
            | Self::PackDamaged { .. }
            | Self::PackMissing { .. }
            | Self::EntryMissing { .. }
            | Self::Root { .. }
            | Self::Bundle(_) => Kind::Damaged,
            Self::File(_) | Self::Cache { .. } | Self::Entropy(_) | Self::Sink(_) => Kind::Io,
            Self::Entry { source, .. } => match source {
                OpenEntryError::Unwrap(_) => Kind::NoKey,
                _ => Kind::Damaged,
            },
            Self::Recipient(_) | Self::Wrap(_) => Kind::Refused,
            Self::KeyMissing { .. } | Self::NoSeal { .. } | Self::NoIdentity { .. } => Kind::NoKey,
            Self::NoSnapshot { .. } | Self::NoStream { .. } | Self::Reclaimed { .. } => Kind::NotFound,
            Self::Forgotten { .. } | Self::Erased { .. } | Self::Refused { .. } | Self::Rows { .. } => Kind::Refused,
            Self::Busy { .. } | Self::Overtaken { .. } => Kind::Conflict,
            Self::Interrupted => Kind::Interrupted,
            Self::Seal(_) | Self::Squeeze(_) | Self::SelfCheck | Self::Bug { .. } => Kind::Bug,
        }
    }

    pub(crate) fn format(object: impl ToString, source: FormatError) -> Self {
        Self::Format { object: object.to_string(), source }
    }

    pub(crate) fn cell(cell: impl ToString, source: CellError) -> Self {
        Self::Cell { cell: cell.to_string(), source }
    }

    pub(crate) fn unbelieved(object: impl ToString, why: impl Into<String>) -> Self {
        Self::Unbelieved { object: object.to_string(), why: why.into() }
    }

    pub(crate) fn damaged(object: impl ToString, why: impl Into<String>) -> Self {
        Self::Damaged { object: object.to_string(), why: why.into() }
    }
}

fn store_kind(error: &StoreError) -> Kind {
    match error {
        StoreError::Unavailable { .. } => Kind::Unavailable,
        StoreError::Remote { cause, .. } => match cause.remedy() {
            Remedy::Wait => Kind::Unavailable,
            Remedy::Correct => Kind::Usage,
        },
        StoreError::OutOfRange { .. } | StoreError::TooLarge { .. } | StoreError::Foreign { .. } => Kind::Damaged,
        StoreError::NotFound { .. } => Kind::Damaged,
        StoreError::NotEmpty { .. } | StoreError::BadName { .. } => Kind::Usage,
        _ => Kind::Io,
    }
}
