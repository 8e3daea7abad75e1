//! What can be wrong with an archive or with the parts one is put together from.

use std::io;

use thiserror::Error as ThisError;

use super::toc::Version;

/// Why an archive that is one cannot be taken apart; it can still be kept as an opaque stream.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Unsupported {
    /// The archive's version is older or newer than those known.
    #[error("archive version {0} is not known")]
    Version(Version),
    /// The archive is a tar or directory archive's header, not a custom one.
    #[error("archive format {0} is not the custom format")]
    Format(u8),
    /// Integers or offsets of the archive have a width no supported platform writes.
    #[error("integers of {int_bytes} bytes and offsets of {offset_bytes} bytes are not known")]
    Widths {
        /// Width of an integer's magnitude, in bytes.
        int_bytes: u8,
        /// Width of a file offset, in bytes.
        offset_bytes: u8,
    },
    /// The archive's data is compressed; `pg_dump -Z0` writes it uncompressed.
    #[error("the archive is compressed (setting {0})")]
    Compressed(i32),
}

/// Why an archive could not be read, or not be written.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The input does not begin like an archive.
    #[error("this is not a PostgreSQL archive")]
    NotAnArchive,
    /// The input is an archive of a kind that is not taken apart; store it as it is.
    #[error("unsupported archive: {0}")]
    Unsupported(#[from] Unsupported),
    /// The input ended where it must not.
    #[error("the archive is cut off at byte {at}, inside {inside}")]
    Truncated {
        /// Offset of the end of the input, in bytes.
        at: u64,
        /// The part of the grammar that was begun.
        inside: &'static str,
    },
    /// Bytes that no version of `pg_dump` writes.
    #[error("the archive is malformed near byte {at}: {what}")]
    Garbage {
        /// Offset near which the bytes lie.
        at: u64,
        /// What is wrong with them.
        what: &'static str,
    },
    /// A bound of [`crate::limits`] is exceeded.
    #[error("the archive is beyond a bound near byte {at}: {what}")]
    TooLarge {
        /// Offset near which the bound was hit.
        at: u64,
        /// The bound.
        what: &'static str,
    },
    /// A data set opens with a byte that names no kind.
    #[error("unknown kind of data block {tag:#04x} at byte {at}")]
    UnknownBlockType {
        /// The byte found.
        tag: u8,
        /// Its offset.
        at: u64,
    },
    /// A data set belongs to no entry that announced data.
    #[error("data of entry {dump_id} at byte {at}, which the table of contents does not announce")]
    UnannouncedData {
        /// The entry named by the data set.
        dump_id: i32,
        /// The offset of the data set.
        at: u64,
    },
    /// An entry's data came twice.
    #[error("data of entry {dump_id} comes a second time at byte {at}")]
    DuplicateData {
        /// The entry.
        dump_id: i32,
        /// The offset of the second data set.
        at: u64,
    },
    /// The input ended at a border, but not every entry's data was in it.
    #[error("the archive ended without the data of {count} of its entries: {names}")]
    MissingData {
        /// How many entries lack their data.
        count: usize,
        /// Their dump ids, the first [`crate::limits::NAMES_IN_ERROR_MAX`] of them.
        dump_ids: Vec<i32>,
        /// The tags of the same entries, for a message.
        names: String,
    },
    /// The parts taken out do not make the same bytes again; the archive must be kept opaque.
    #[error("the archive cannot be reproduced from its parts near byte {at}: {what}")]
    NotReproducible {
        /// Offset near which the rebuilt bytes differ.
        at: u64,
        /// What differs.
        what: &'static str,
    },
    /// The framing stream is malformed or does not fit the content.
    #[error("the framing of the archive does not fit: {0}")]
    BadFraming(&'static str),
    /// The content given for a data set is not the one its framing was recorded for.
    #[error("the content of entry {dump_id} does not fit its framing: {what}")]
    BadContent {
        /// The entry.
        dump_id: i32,
        /// What does not fit.
        what: &'static str,
    },
    /// A call came after an error or in the wrong order.
    #[error("out of order: {0}")]
    OutOfOrder(&'static str),
    /// The caller's input failed.
    #[error("reading the archive failed")]
    Read(#[source] io::Error),
    /// The caller's output failed.
    #[error("writing the archive failed")]
    Write(#[source] io::Error),
}
