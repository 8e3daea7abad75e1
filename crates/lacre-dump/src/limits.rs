//! Every bound of this crate, in one place.
//!
//! Comes in: nothing. Goes out: constants. They are part of the contract: a dump beyond one of them is refused with an error that names it.

/// Largest header plus table of contents of an archive, in bytes (256 MiB).
pub const TOC_BYTES_MAX: usize = 256 << 20;

/// Most entries in the table of contents of an archive.
pub const TOC_ENTRIES_MAX: usize = 2_000_000;

/// Most dependency links in the table of contents of an archive, over all entries.
pub const TOC_DEPENDENCIES_MAX: usize = 16_000_000;

/// Longest block that is framed as a row or waited for as a whole, in bytes; longer blocks are streamed through.
///
/// A writer of an archive must know the length of a block before its first byte, so this is also what it holds back at most.
pub const WHOLE_BLOCK_BYTES_MAX: usize = 64 << 10;

/// Size of the buffer an archive is read into, and so about the largest piece of content in one event, in bytes.
pub const READ_BYTES: usize = 1 << 20;

/// Encoded framing is handed out when this many bytes have gathered.
pub const FRAMING_BYTES_READY: usize = 32 << 10;

/// Most names listed inside an error.
pub const NAMES_IN_ERROR_MAX: usize = 16;

/// Longest row that is hashed in one call, in bytes; longer ones go through an incremental hasher.
pub const SHORT_ROW_BYTES_MAX: usize = 64 << 10;

/// Longest `COPY` statement that is understood, in bytes (1600 columns with 63-byte quoted names fit many times).
pub const COPY_STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Most columns of a `COPY` statement.
pub const COPY_COLUMNS_MAX: usize = 10_000;

/// Bytes of the beginning of a stream that decide what it is.
pub const SNIFF_HEAD_BYTES: usize = 64 << 10;

/// Bytes of the end of a stream that decide whether it ended as it should.
pub const SNIFF_TAIL_BYTES: usize = 4 << 10;
