//! The eight bytes every object starts with: `lacre`, a kind, a version (u16, little-endian).

use crate::error::FormatError;

/// The format version this crate writes and reads.
pub const VERSION: u16 = 1;

const MAGIC: &[u8; 5] = b"lacre";

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Sealed frames with a sealed footer.
    Pack,
    /// Sealed pack footers of one session.
    Segment,
    /// A snapshot: signed header and sealed root.
    Snapshot,
    /// Which frames a snapshot uses.
    Reach,
    /// A snapshot's key, wrapped to the recipients and signed by its writer; it lies only inside envelopes and bundles.
    KeyEntry,
    /// The sealed envelope a new key entry travels in.
    KeyEnvelope,
    /// All carried key entries of a generation.
    Bundle,
    /// Which key entries a bundle holds.
    BundleList,
    /// Recipients, seal, homes and roles.
    Policy,
    /// One entry of a home's log.
    LogEntry,
    /// A session was opened.
    Session,
    /// A session has ended.
    SessionEnd,
    /// A session is void, or is about to be.
    Void,
    /// What a garbage collection is about to delete.
    GcPlan,
    /// How far a garbage collection has come.
    GcStep,
    /// Shards that correct a damaged pack.
    Parity,
    /// A reach map that was made again from a snapshot's root.
    RebuiltReach,
    /// Which person a snapshot must be restored without.
    Suppression,
    /// Small objects, many in one.
    Rollup,
    /// A machine asks to be enrolled, or an admin answers; never in a store.
    Join,
}

impl Kind {
    /// The kind's byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pack => b'P',
            Self::Segment => b'I',
            Self::Snapshot => b'S',
            Self::Reach => b'R',
            Self::KeyEntry => b'K',
            Self::KeyEnvelope => b'N',
            Self::Bundle => b'B',
            Self::BundleList => b'L',
            Self::Policy => b'O',
            Self::LogEntry => b'G',
            Self::Session => b'W',
            Self::SessionEnd => b'E',
            Self::Void => b'V',
            Self::GcPlan => b'X',
            Self::GcStep => b'Y',
            Self::Parity => b'Z',
            Self::RebuiltReach => b'H',
            Self::Suppression => b'Q',
            Self::Rollup => b'U',
            Self::Join => b'J',
        }
    }

    /// The kind's name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pack => "pack",
            Self::Segment => "index segment",
            Self::Snapshot => "snapshot",
            Self::Reach => "reach map",
            Self::KeyEntry => "key entry",
            Self::KeyEnvelope => "key envelope",
            Self::Bundle => "keyring bundle",
            Self::BundleList => "keyring list",
            Self::Policy => "policy",
            Self::LogEntry => "log entry",
            Self::Session => "session",
            Self::SessionEnd => "session end",
            Self::Void => "void",
            Self::GcPlan => "collection plan",
            Self::GcStep => "collection step",
            Self::Parity => "parity",
            Self::RebuiltReach => "rebuilt reach map",
            Self::Suppression => "suppression list",
            Self::Rollup => "rollup",
            Self::Join => "join",
        }
    }
}

/// Bytes of the object start.
pub const START_BYTES: usize = 8;

/// The first eight bytes of an object of this kind.
#[must_use]
pub fn start(kind: Kind) -> [u8; START_BYTES] {
    let [low, high] = VERSION.to_le_bytes();
    let [a, b, c, d, e] = *MAGIC;
    [a, b, c, d, e, kind.code(), low, high]
}

/// Checks the first eight bytes and gives what follows them.
///
/// # Errors
/// [`FormatError::Truncated`], [`FormatError::BadMagic`] or [`FormatError::BadVersion`].
pub fn strip_start(kind: Kind, bytes: &[u8]) -> Result<&[u8], FormatError> {
    let what = kind.name();
    let (head, body) = bytes.split_first_chunk::<START_BYTES>().ok_or(FormatError::Truncated { what })?;
    let [a, b, c, d, e, code, low, high] = *head;
    if [a, b, c, d, e] != *MAGIC || code != kind.code() {
        return Err(FormatError::BadMagic { what });
    }
    let found = u16::from_le_bytes([low, high]);
    if found == VERSION {
        Ok(body)
    } else {
        Err(FormatError::BadVersion { what, found: u64::from(found), known: u64::from(VERSION) })
    }
}

/// An object of this kind: its start and its body.
#[must_use]
pub fn with_start(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut object = Vec::with_capacity(START_BYTES.saturating_add(body.len()));
    object.extend_from_slice(&start(kind));
    object.extend_from_slice(body);
    object
}
