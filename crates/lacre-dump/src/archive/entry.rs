//! One entry of a table of contents, as a view into the archive's own bytes.
//!
//! Names are bytes, not text: a `SQL_ASCII` database may hold any.

use super::toc::{RawEntry, Span};

/// The part of a restore an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Section {
    /// Comments, ACLs and the like, which follow the object they speak of.
    None,
    /// Definitions needed before data.
    PreData,
    /// Rows, large objects, sequence values.
    Data,
    /// Indexes, constraints, triggers, refreshes.
    PostData,
}

impl Section {
    pub(super) const fn from_int(value: i32) -> Option<Section> {
        match value {
            1 => Some(Section::None),
            2 => Some(Section::PreData),
            3 => Some(Section::Data),
            4 => Some(Section::PostData),
            _ => None,
        }
    }
}

/// Whether an entry says where in the file its data lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OffsetState {
    /// There is data, its place is not recorded: always so in piped output.
    NotSet,
    /// There is data at this offset from the start of the file, in bytes.
    Set(u64),
    /// There is no data.
    NoData,
}

/// One entry of a table of contents.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) raw: &'a RawEntry,
    pub(super) dependencies: &'a [i32],
}

impl<'a> Entry<'a> {
    fn text(&self, span: Option<Span>) -> Option<&'a [u8]> {
        span.and_then(|span| self.bytes.get(span.range()))
    }

    /// The archive's own number of the entry, which data sets and dependencies refer to.
    #[must_use]
    pub fn dump_id(&self) -> i32 {
        self.raw.dump_id
    }

    /// Whether a data set belongs to the entry.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.raw.has_data
    }

    /// The catalogue the object lives in, as an OID in decimal.
    #[must_use]
    pub fn table_oid(&self) -> &'a [u8] {
        self.text(self.raw.table_oid).unwrap_or_default()
    }

    /// The object's OID in decimal.
    #[must_use]
    pub fn oid(&self) -> &'a [u8] {
        self.text(self.raw.oid).unwrap_or_default()
    }

    /// The object's name, as in a listing of the archive.
    #[must_use]
    pub fn tag(&self) -> &'a [u8] {
        self.text(self.raw.tag).unwrap_or_default()
    }

    /// The kind of the object: `TABLE`, `TABLE DATA`, `EXTENSION`, and so on.
    #[must_use]
    pub fn desc(&self) -> &'a [u8] {
        self.text(self.raw.desc).unwrap_or_default()
    }

    /// The part of a restore the entry belongs to.
    #[must_use]
    pub fn section(&self) -> Section {
        self.raw.section
    }

    /// The schema the object lives in, if it lives in one.
    #[must_use]
    pub fn namespace(&self) -> Option<&'a [u8]> {
        self.text(self.raw.namespace).filter(|name| !name.is_empty())
    }

    /// The tablespace of the object; nothing if it has none of its own.
    #[must_use]
    pub fn tablespace(&self) -> Option<&'a [u8]> {
        self.text(self.raw.tablespace).filter(|name| !name.is_empty())
    }

    /// The table access method, in archives that record it (1.14 and later).
    #[must_use]
    pub fn table_am(&self) -> Option<&'a [u8]> {
        self.text(self.raw.table_am).filter(|name| !name.is_empty())
    }

    /// The relation's kind as in `pg_class`, in archives that record it (1.16 and later).
    #[must_use]
    pub fn relkind(&self) -> Option<u8> {
        u8::try_from(self.raw.relkind).ok().filter(|kind| *kind != 0)
    }

    /// The role that owns the object.
    #[must_use]
    pub fn owner(&self) -> &'a [u8] {
        self.text(self.raw.owner).unwrap_or_default()
    }

    /// The statement that creates the object, or does what the entry does.
    #[must_use]
    pub fn definition(&self) -> &'a [u8] {
        self.text(self.raw.definition).unwrap_or_default()
    }

    /// The statement that drops the object.
    #[must_use]
    pub fn drop_statement(&self) -> &'a [u8] {
        self.text(self.raw.drop_statement).unwrap_or_default()
    }

    /// The `COPY ... FROM stdin;` statement that loads the entry's data; nothing for INSERTs and for other objects.
    #[must_use]
    pub fn copy_statement(&self) -> Option<&'a [u8]> {
        self.text(self.raw.copy_statement).filter(|text| !text.is_empty())
    }

    /// The dump ids this entry depends on, in the archive's order.
    #[must_use]
    pub fn dependencies(&self) -> &'a [i32] {
        self.dependencies
    }

    /// What the entry says of the place of its data.
    #[must_use]
    pub fn offset_state(&self) -> OffsetState {
        self.raw.offset
    }
}
