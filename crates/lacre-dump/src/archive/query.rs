//! Questions a restore or a report has about a table of contents.

use super::entry::{Entry, Section};
use super::toc::Toc;
use crate::copy::CopyStatement;

/// A session setting the archive was made under, as its entry records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The encoding of all data in the archive.
    Encoding,
    /// Whether backslashes are literal in ordinary string constants.
    StandardStrings,
    /// The search path, empty in every recent archive.
    SearchPath,
}

impl Setting {
    const fn desc(self) -> &'static [u8] {
        match self {
            Setting::Encoding => b"ENCODING",
            Setting::StandardStrings => b"STDSTRINGS",
            Setting::SearchPath => b"SEARCHPATH",
        }
    }
}

/// A table whose rows are in the archive.
#[derive(Debug, Clone)]
pub struct TableData<'a> {
    /// The entry.
    pub entry: Entry<'a>,
    /// The schema the table lives in.
    pub schema: &'a [u8],
    /// The table's name.
    pub name: &'a [u8],
    /// How the rows are loaded; nothing if they are INSERT statements or the statement is not understood.
    pub copy: Option<CopyStatement>,
    /// Whether the rows of this partition are loaded through its root table.
    pub via_root: bool,
}

impl Toc {
    /// The tables with rows in the archive, in the archive's order.
    pub fn tables(&self) -> impl Iterator<Item = TableData<'_>> {
        self.of_kind(b"TABLE DATA").filter(Entry::has_data).map(|entry| {
            let copy = entry.copy_statement().and_then(CopyStatement::parse);
            let schema = entry.namespace().unwrap_or_default();
            let name = entry.tag();
            let elsewhere = copy.as_ref().is_some_and(|copy| {
                copy.table.as_bytes() != name
                    || copy.schema.as_ref().is_some_and(|other| !schema.is_empty() && other.as_bytes() != schema)
            });
            let via_root = elsewhere || entry.definition().starts_with(b"-- load via partition root ");
            TableData { entry, schema, name, copy, via_root }
        })
    }

    /// The sets of large objects, in the archive's order.
    pub fn large_object_sets(&self) -> impl Iterator<Item = Entry<'_>> {
        self.of_kind(b"BLOBS").filter(Entry::has_data)
    }

    /// The extensions the database uses; [`Entry::tag`] is the name.
    pub fn extensions(&self) -> impl Iterator<Item = Entry<'_>> {
        self.of_kind(b"EXTENSION")
    }

    /// The entries that set sequences to their values; [`Entry::definition`] is the statement.
    pub fn sequence_values(&self) -> impl Iterator<Item = Entry<'_>> {
        self.of_kind(b"SEQUENCE SET")
    }

    /// The materialized views, as defined.
    pub fn materialized_views(&self) -> impl Iterator<Item = Entry<'_>> {
        self.of_kind(b"MATERIALIZED VIEW")
    }

    /// The refreshes of those materialized views that were populated.
    pub fn materialized_view_refreshes(&self) -> impl Iterator<Item = Entry<'_>> {
        self.of_kind(b"MATERIALIZED VIEW DATA")
    }

    /// The entry that creates the database itself, if the archive has one.
    #[must_use]
    pub fn database(&self) -> Option<Entry<'_>> {
        self.of_kind(b"DATABASE").next()
    }

    /// The entries of one kind, by [`Entry::desc`].
    pub fn of_kind<'a>(&'a self, desc: &'static [u8]) -> impl Iterator<Item = Entry<'a>> {
        self.entries().filter(move |entry| entry.desc() == desc)
    }

    /// The entries of one section.
    pub fn in_section(&self, section: Section) -> impl Iterator<Item = Entry<'_>> {
        self.entries().filter(move |entry| entry.section() == section)
    }

    /// The value of a session setting: `UTF8`, `on`, and the like; empty for an empty search path.
    ///
    /// Nothing if the archive has no such entry or its statement is not the one `pg_dump` writes.
    #[must_use]
    pub fn setting(&self, setting: Setting) -> Option<Vec<u8>> {
        let entry = self.of_kind(setting.desc()).next()?;
        let statement = entry.definition();
        let value = match setting {
            Setting::SearchPath => statement.strip_prefix(b"SELECT pg_catalog.set_config('search_path', ")?,
            Setting::Encoding => statement.strip_prefix(b"SET client_encoding = ")?,
            Setting::StandardStrings => statement.strip_prefix(b"SET standard_conforming_strings = ")?,
        };
        literal(value)
    }
}

/// The text of the string constant that `text` begins with.
fn literal(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix(b"'")?;
    let mut value = Vec::new();
    loop {
        let end = memchr::memchr(b'\'', rest)?;
        value.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(b"'") {
            Some(after) => {
                value.push(b'\'');
                rest = after;
            }
            None => return Some(value),
        }
    }
}
