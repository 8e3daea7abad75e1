//! What can go wrong in a store, told apart by what a caller does about it.

use std::io;

use rustix::io::Errno;

use super::{
    ForeignKind,
    cause::{Cause, Remedy},
};

/// The step of a verb that failed, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or creating a directory.
    OpenDirectory,
    /// Opening a file.
    Open,
    /// Reading a file.
    Read,
    /// Writing a staging file.
    Write,
    /// Making a file durable.
    SyncFile,
    /// Making a directory entry durable.
    SyncDirectory,
    /// Giving a staged file its name.
    Link,
    /// Removing a name.
    Unlink,
    /// Reading a directory.
    List,
    /// Asking for a file's facts.
    Stat,
    /// A request to a remote store.
    Request,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::OpenDirectory => "open the directory of",
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::SyncFile => "make durable",
            Self::SyncDirectory => "make the directory entry durable of",
            Self::Link => "name",
            Self::Unlink => "remove",
            Self::List => "list",
            Self::Stat => "look at",
            Self::Request => "ask the store for",
        })
    }
}

/// Why a verb failed. Names are relative to the store; the empty name is the store itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No object has this name.
    #[error("{name:?} is not in the store")]
    NotFound {
        /// The object.
        name: String,
    },
    /// The disk, its inodes or a quota are used up.
    #[error("cannot {operation} {name:?}: no space left in the store")]
    NoSpace {
        /// The object.
        name: String,
        /// What was being done.
        operation: Operation,
    },
    /// The operating system refuses this user.
    #[error("cannot {operation} {name:?}: permission denied")]
    PermissionDenied {
        /// The object.
        name: String,
        /// What was being done.
        operation: Operation,
    },
    /// The file system is mounted read-only.
    #[error("cannot {operation} {name:?}: the store is read-only")]
    ReadOnly {
        /// The object.
        name: String,
        /// What was being done.
        operation: Operation,
    },
    /// An object is larger than the caller's bound, or a listing longer than its own.
    #[error("{name:?} has {size} (bytes or entries), more than the {limit} allowed here")]
    TooLarge {
        /// The object or prefix.
        name: String,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A range ends behind the object's end, or before its own start.
    #[error("{name:?} does not hold the bytes {start}..{end}")]
    OutOfRange {
        /// The object.
        name: String,
        /// First byte wanted.
        start: u64,
        /// Byte behind the last one wanted.
        end: u64,
    },
    /// A name no object can have.
    #[error("{name:?} cannot be a name in the store")]
    BadName {
        /// The name, escaped.
        name: String,
    },
    /// Something else lies where the object should be; it was not followed.
    #[error("{name:?} is no object but foreign to the store: {kind:?}")]
    Foreign {
        /// Where it lies.
        name: String,
        /// What it is.
        kind: ForeignKind,
    },
    /// The directory of a new store already holds something.
    #[error("the directory is not empty: {name:?} is in it")]
    NotEmpty {
        /// The first entry found.
        name: String,
    },
    /// The store does not answer; trying again later may help.
    #[error("cannot {operation} {name:?}: the store is unavailable: {reason}")]
    Unavailable {
        /// The object.
        name: String,
        /// What was being done.
        operation: Operation,
        /// What is known about it.
        reason: String,
    },
    /// A remote store did not do what it was asked.
    #[error("{cause}{}{}", about(name), because(detail))]
    Remote {
        /// The object, or empty where the store itself is meant.
        name: String,
        /// Why.
        cause: Cause,
        /// What is known about it, in the store's words where it said something.
        detail: String,
    },
    /// Any other failure of the device or the operating system.
    #[error("cannot {operation} {name:?}")]
    Io {
        /// The object.
        name: String,
        /// What was being done.
        operation: Operation,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Sorts an error number into its kind.
    pub(super) fn of_errno(errno: Errno, operation: Operation, name: &str) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::NOENT => Self::NotFound { name },
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace { name, operation },
            Errno::ACCESS | Errno::PERM => Self::PermissionDenied { name, operation },
            Errno::ROFS => Self::ReadOnly { name, operation },
            Errno::NAMETOOLONG => Self::BadName { name },
            Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::HOSTUNREACH | Errno::STALE => {
                Self::Unavailable { name, operation, reason: io::Error::from(errno).to_string() }
            }
            other => Self::Io { name, operation, source: other.into() },
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Remote { cause, .. } => cause.remedy() == Remedy::Wait,
            _ => false,
        }
    }

    /// Whether the object is simply not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the object itself is to blame that it cannot be read, and not the way to the store: too long, of another kind, on a bad sector,
    /// or not for us.
    #[must_use]
    pub fn is_of_the_object(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::OutOfRange { .. }
                | Self::Foreign { .. }
                | Self::Io { .. }
                | Self::PermissionDenied { .. }
        )
    }
}

fn about(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(", asked for {name:?}") }
}

fn because(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}
