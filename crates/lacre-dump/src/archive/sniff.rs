//! Deciding from the first bytes whether a stream is an archive that can be taken apart.

use super::error::Unsupported;
use super::toc::Version;
use super::{VERSION_NEWEST, VERSION_OLDEST, int};

/// The bytes every archive begins with.
pub(super) const MAGIC: &[u8; 5] = b"PGDMP";
/// Bytes of the fixed part of the header.
pub(super) const FIXED_BYTES: usize = 11;

/// What the first bytes of a stream say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniff {
    /// An archive that [`super::ArchiveReader`] can take apart.
    Supported {
        /// The archive's version.
        version: Version,
    },
    /// An archive that must be kept as it is.
    Unsupported(Unsupported),
    /// Not an archive, or one cut off within its first bytes.
    NotAnArchive,
}

/// Looks at the first bytes of a stream (16 are enough, more are ignored) before anything is consumed.
///
/// Call this on a peeked prefix: with [`Sniff::Unsupported`] the whole stream can still be stored opaquely.
#[must_use]
pub fn sniff(head: &[u8]) -> Sniff {
    let Some(fixed) = head.first_chunk::<FIXED_BYTES>() else { return Sniff::NotAnArchive };
    let version = match check_fixed(fixed) {
        Ok(Some(version)) => version,
        Ok(None) => return Sniff::NotAnArchive,
        Err(unsupported) => return Sniff::Unsupported(unsupported),
    };
    let rest = &head[FIXED_BYTES..];
    let compression = if version.has_compression_byte() {
        rest.first().map(|byte| i32::from(*byte))
    } else {
        rest.first_chunk::<{ int::INT_BYTES }>().and_then(|bytes| int::decode(*bytes))
    };
    match compression {
        Some(0) => Sniff::Supported { version },
        Some(setting) => Sniff::Unsupported(Unsupported::Compressed(setting)),
        None => Sniff::NotAnArchive,
    }
}

/// Checks the fixed part of the header: its version, nothing if the magic is absent, or why it is not supported.
pub(super) fn check_fixed(fixed: &[u8; FIXED_BYTES]) -> Result<Option<Version>, Unsupported> {
    let [magic @ .., major, minor, revision, int_bytes, offset_bytes, format] = *fixed;
    if magic != *MAGIC {
        return Ok(None);
    }
    let version = Version { major, minor, revision };
    if !(VERSION_OLDEST..=VERSION_NEWEST).contains(&(major, minor)) {
        return Err(Unsupported::Version(version));
    }
    if format != 1 {
        return Err(Unsupported::Format(format));
    }
    if int_bytes != 4 || !matches!(offset_bytes, 4 | 8) {
        return Err(Unsupported::Widths { int_bytes, offset_bytes });
    }
    Ok(Some(version))
}
