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

/// Length of the blocks that a compressed archive is given when it is read as an uncompressed one, as newer writers cut them, in bytes.
pub const INFLATED_BLOCK_BYTES: usize = 128 << 10;

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

/// Most tokens of one SQL definition that are understood (a table of 1600 columns with constraints has some 50,000).
pub const SQL_TOKENS_MAX: usize = 1 << 20;

/// Most tables, and most foreign keys, of a schema.
pub const SCHEMA_TABLES_MAX: usize = 1_000_000;

/// Deepest nesting of partitions, heirs or domains that is followed.
pub const SCHEMA_DEPTH_MAX: usize = 64;

/// Largest rules file, in bytes.
pub const RULES_BYTES_MAX: usize = 4 << 20;

/// Most tables in the rules of one subject.
pub const RULES_TABLES_MAX: usize = 10_000;

/// Most problems that are reported of a rules file; more say nothing new.
pub const RULE_PROBLEMS_MAX: usize = 100;

/// Deepest nesting of JSON that is followed.
pub const JSON_DEPTH_MAX: usize = 512;

/// Most keys that are remembered, over all sets of columns and all snapshots of an erasure (about 100 bytes of memory each).
pub const KEYS_MAX: usize = 500_000;

/// Most bytes of keys that are remembered over all sets, in bytes.
pub const KEY_BYTES_TOTAL_MAX: usize = 16 << 20;

/// Longest value that can be a key, in bytes of COPY text; an index of PostgreSQL holds no longer ones. A longer value is no key.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// Longest JSON value that is searched or edited, in bytes of COPY text.
pub const JSON_BYTES_MAX: usize = 64 << 20;

/// Longest row that is looked at as a whole, in bytes; of longer ones only the columns that matter are gathered.
pub const WHOLE_ROW_BYTES_MAX: usize = 256 << 10;

/// Most passes over tables that refer to each other in a circle.
pub const PASSES_MAX: usize = 1_000;

/// Shortest identifier that is searched for, in bytes; a shorter one would be found everywhere.
pub const IDENTIFIER_BYTES_MIN: usize = 5;

/// Identifiers of this many bytes and more are not searched for.
pub const IDENTIFIER_BYTES_MAX: usize = 4 << 10;

/// Most identifiers that are searched for at once.
pub const IDENTIFIERS_MAX: usize = 1_000;
