//! The reader of other people's dumps.
//!
//! Comes in: bytes of a dump as a database tool wrote them, through the caller's [`std::io::Read`] or as slices.
//! Goes out: the parts of the dump as separate streams, enough framing to put the very same bytes together again, and facts about them
//! (tables, rows, digests, whether the dump ended as its format says it must).
//! Must not know: files, processes, databases, keys, or the repository. Every decoder is total: any bytes give a value or a typed error,
//! in bounded memory, without a panic.

pub mod archive;
pub mod closure;
pub mod copy;
pub mod exercise;
pub mod find;
pub mod limits;
pub mod personal;
pub mod plain;
pub mod rules;
pub mod schema;
pub mod select;
pub mod sql;
pub mod sweep;
pub mod verify;
