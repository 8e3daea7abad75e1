//! PostgreSQL's custom archive format (`pg_dump -Fc`), uncompressed, as it comes out of a pipe.
//!
//! Comes in: the archive's bytes, once, in order. Goes out: its table of contents ([`Toc`]), the content of each data set without the block
//! headers, and a [`framing`] stream that says how the blocks were cut; [`ArchiveWriter`] makes the very same bytes of the three again.
//! Must not know: where the bytes come from or go to.
//!
//! The grammar, with `int` = one sign byte and four little-endian bytes of magnitude:
//!
//! ```text
//! file    = "PGDMP" major minor revision int_bytes offset_bytes format  header toc data*
//! header  = compression  int sec, min, hour, mday, mon, year, isdst  str database  str server_version  str dump_version
//! toc     = int count, count x entry
//! entry   = int dump_id, int has_data, str table_oid, str oid, str tag, str desc, int section, str definition, str drop, str copy,
//!           str namespace, str tablespace, [str table_am: 1.14], [int relkind: 1.16], str owner, str with_oids,
//!           str dependency ... str NULL, offset_state, offset[offset_bytes]
//! data    = 01 int dump_id  { int len, bytes }*  int 0                                  table data
//!         | 03 int dump_id  { int oid  { int len, bytes }*  int 0 }*  int 0             large objects
//! str     = int len, bytes | int -1 (NULL)
//! ```
//!
//! There is no end marker: an archive is whole if its input ended at the border of a data set and every entry that has data was seen once.

mod assemble;
mod entry;
mod error;
pub mod framing;
mod inflate;
mod int;
mod mirror;
mod query;
mod reader;
mod sniff;
mod toc;
mod writer;

pub use entry::{Entry, OffsetState, Section};
pub use error::{Error, Unsupported};
pub use inflate::Inflated;
pub use query::{Setting, TableData};
pub use reader::{ArchiveReader, Event, SetSummary, Summary};
pub use sniff::{Sniff, sniff};
pub use toc::{Created, Header, Peeked, Toc, Version};
pub use writer::{ArchiveWriter, DataSet, write_archive, write_schema_only};

/// The oldest archive version that is read.
pub const VERSION_OLDEST: (u8, u8) = (1, 12);
/// The newest archive version that is read.
pub const VERSION_NEWEST: (u8, u8) = (1, 16);

/// What a data set of an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The rows of one table, as COPY text (or as INSERT statements if `pg_dump` was told so).
    TableData,
    /// A set of large objects, each with its own border in the framing.
    LargeObjects,
}

impl Kind {
    /// The byte that opens a data set of this kind in an archive.
    const fn tag(self) -> u8 {
        match self {
            Kind::TableData => 1,
            Kind::LargeObjects => 3,
        }
    }

    const fn from_tag(tag: u8) -> Option<Kind> {
        match tag {
            1 => Some(Kind::TableData),
            3 => Some(Kind::LargeObjects),
            _ => None,
        }
    }
}
