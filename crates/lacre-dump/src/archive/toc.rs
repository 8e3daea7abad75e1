//! The header and table of contents of an archive.
//!
//! Comes in: bytes, from a stream or a slice. Goes out: [`Toc`], which keeps those bytes verbatim and indexes into them.
//! Must not know: data sets.

use std::fmt;
use std::ops::Range;

use super::entry::{Entry, OffsetState, Section};
use super::error::{Error, Unsupported};
use super::int::{self, INT_BYTES};
use super::sniff::{FIXED_BYTES, check_fixed};
use crate::limits::{TOC_BYTES_MAX, TOC_DEPENDENCIES_MAX, TOC_ENTRIES_MAX};

/// Strings are taken from the input in steps, so that a length that lies costs no memory.
const PULL_STEP_BYTES: usize = 64 << 10;

/// The version of an archive's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Always 1 so far.
    pub major: u8,
    /// 14 since PostgreSQL 12, 15 since 16, 16 since 17.
    pub minor: u8,
    /// Always 0 so far.
    pub revision: u8,
}

impl Version {
    pub(super) const fn has_table_am(self) -> bool {
        self.minor >= 14
    }

    pub(super) const fn has_compression_byte(self) -> bool {
        self.minor >= 15
    }

    pub(super) const fn has_relkind(self) -> bool {
        self.minor >= 16
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{}", self.major, self.minor, self.revision)
    }
}

/// When the archive was begun, in the local time of the machine that wrote it, as C's `struct tm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Seconds, 0 to 60.
    pub second: i32,
    /// Minutes, 0 to 59.
    pub minute: i32,
    /// Hours, 0 to 23.
    pub hour: i32,
    /// Day of the month, 1 to 31.
    pub day: i32,
    /// Month, 1 to 12.
    pub month: i32,
    /// Year, four digits.
    pub year: i32,
    /// Positive during daylight saving time, negative if unknown.
    pub daylight_saving: i32,
}

/// The facts in an archive's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The archive's version.
    pub version: Version,
    /// Width of an integer's magnitude, in bytes.
    pub int_bytes: u8,
    /// Width of a file offset, in bytes.
    pub offset_bytes: u8,
    /// The compression setting; 0 in every archive that is read.
    pub compression: i32,
    /// When the archive was begun.
    pub created: Created,
    /// The database dumped.
    pub database: &'a [u8],
    /// The server's version, as it calls itself.
    pub server_version: &'a [u8],
    /// The version of the `pg_dump` that wrote the archive.
    pub dump_version: &'a [u8],
}

/// What the first bytes of an archive tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// The compression setting; 0 for none.
    pub compression: i32,
    /// When the archive was begun.
    pub created: Created,
    /// The database dumped.
    pub database: Vec<u8>,
}

/// The header and table of contents of an archive, with their verbatim bytes.
#[derive(Debug, Clone)]
pub struct Toc {
    raw: Vec<u8>,
    version: Version,
    offset_bytes: u8,
    compression: i32,
    created: Created,
    database: Option<Span>,
    server_version: Option<Span>,
    dump_version: Option<Span>,
    /// Where the count of entries lies, and the entries begin.
    count_at: usize,
    entries: Vec<RawEntry>,
    dependencies: Vec<i32>,
}

/// A run of bytes within [`Toc::raw`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        start..start.saturating_add(len)
    }
}

/// An entry as indexes; a quarter of the size of owned strings, because archives hold up to millions.
#[derive(Debug, Clone)]
pub(super) struct RawEntry {
    pub(super) whole: Span,
    pub(super) offset_at: u32,
    pub(super) dump_id: i32,
    pub(super) has_data: bool,
    pub(super) section: Section,
    pub(super) relkind: i32,
    pub(super) offset: OffsetState,
    pub(super) table_oid: Option<Span>,
    pub(super) oid: Option<Span>,
    pub(super) tag: Option<Span>,
    pub(super) desc: Option<Span>,
    pub(super) definition: Option<Span>,
    pub(super) drop_statement: Option<Span>,
    pub(super) copy_statement: Option<Span>,
    pub(super) namespace: Option<Span>,
    pub(super) tablespace: Option<Span>,
    pub(super) table_am: Option<Span>,
    pub(super) owner: Option<Span>,
    pub(super) dependencies: (u32, u32),
}

/// Where the bytes of a table of contents come from.
pub(super) trait Pull {
    /// Appends exactly `bytes` bytes, or fails with [`Error::Truncated`].
    fn pull(&mut self, into: &mut Vec<u8>, bytes: usize) -> Result<(), Error>;
}

/// Pulls from a slice.
struct Slice<'a> {
    rest: &'a [u8],
    total: u64,
}

impl Pull for Slice<'_> {
    fn pull(&mut self, into: &mut Vec<u8>, bytes: usize) -> Result<(), Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(bytes) else {
            return Err(Error::Truncated { at: self.total, inside: "the table of contents" });
        };
        into.extend_from_slice(taken);
        self.rest = rest;
        Ok(())
    }
}

impl Toc {
    /// Parses a header and table of contents kept earlier with [`Toc::raw`].
    ///
    /// # Errors
    /// Any malformation, and [`Error::Garbage`] if bytes follow the last entry.
    pub fn parse(bytes: &[u8]) -> Result<Toc, Error> {
        let mut slice = Slice { rest: bytes, total: u64::try_from(bytes.len()).unwrap_or(u64::MAX) };
        let toc = Toc::read(&mut slice)?;
        if slice.rest.is_empty() {
            Ok(toc)
        } else {
            Err(Error::Garbage { at: offset(toc.raw.len()), what: "bytes after the last entry" })
        }
    }

    /// Parses a second table of contents of the same archive, which begins with its count of entries.
    pub(super) fn parse_again(&self, entries: &[u8]) -> Result<Toc, Error> {
        let header = self.raw.get(..self.count_at).unwrap_or_default();
        Toc::parse(&[header, entries].concat())
    }

    /// Reads a header and table of contents from where they lie.
    pub(super) fn read(pull: &mut impl Pull) -> Result<Toc, Error> {
        let toc = Toc::read_compressed(pull)?;
        if toc.compression != 0 {
            return Err(Unsupported::Compressed(toc.compression).into());
        }
        Ok(toc)
    }

    /// The same whatever the compression of what follows.
    pub(super) fn read_compressed(pull: &mut impl Pull) -> Result<Toc, Error> {
        let mut parser = Parser { raw: Vec::new(), pull };
        let fixed_span = parser.bytes(FIXED_BYTES)?;
        let fixed = parser.array::<FIXED_BYTES>(fixed_span)?;
        let version = check_fixed(&fixed)?.ok_or(Error::NotAnArchive)?;
        let offset_bytes = fixed[9];
        let compression = if version.has_compression_byte() { i32::from(parser.byte()?) } else { parser.int()? };
        let created = parser.created()?;
        let database = parser.string()?;
        let server_version = parser.string()?;
        let dump_version = parser.string()?;
        let count_at = parser.raw.len();
        let count = parser.int()?;
        let count = usize::try_from(count).map_err(|_| parser.garbage("a negative count of entries"))?;
        if count > TOC_ENTRIES_MAX {
            return Err(Error::TooLarge { at: parser.at(), what: "entries in the table of contents" });
        }
        let mut entries = Vec::new();
        let mut dependencies = Vec::new();
        for _ in 0..count {
            entries.push(parser.entry(version, offset_bytes, &mut dependencies)?);
        }
        let raw = parser.raw;
        Ok(Toc {
            raw,
            version,
            offset_bytes,
            compression,
            created,
            database,
            server_version,
            dump_version,
            count_at,
            entries,
            dependencies,
        })
    }

    /// The bytes of header and table of contents of the same archive without compression, places of data marked as not recorded.
    pub(super) fn uncompressed(&self) -> Vec<u8> {
        let mut bytes = self.subset(|_| true);
        let width = if self.version.has_compression_byte() { 1 } else { INT_BYTES };
        if let Some(field) = bytes.get_mut(FIXED_BYTES..FIXED_BYTES + width) {
            field.fill(0);
        }
        bytes
    }

    /// Looks at the header in the first bytes of an archive, compressed or not; 64 KiB are more than enough.
    #[must_use]
    pub fn peek(head: &[u8]) -> Option<Peeked> {
        let mut slice = Slice { rest: head, total: offset(head.len()) };
        let mut parser = Parser { raw: Vec::new(), pull: &mut slice };
        let fixed_span = parser.bytes(FIXED_BYTES).ok()?;
        let fixed = parser.array::<FIXED_BYTES>(fixed_span).ok()?;
        let version = check_fixed(&fixed).ok()??;
        let compression =
            if version.has_compression_byte() { i32::from(parser.byte().ok()?) } else { parser.int().ok()? };
        let created = parser.created().ok()?;
        let database = parser.string().ok()?.and_then(|span| parser.raw.get(span.range())).unwrap_or_default().to_vec();
        Some(Peeked { compression, created, database })
    }

    /// The bytes of header and table of contents as the archive has them.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The facts in the header.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        let text = |span: Option<Span>| span.and_then(|span| self.raw.get(span.range())).unwrap_or_default();
        Header {
            version: self.version,
            int_bytes: 4,
            offset_bytes: self.offset_bytes,
            compression: self.compression,
            created: self.created,
            database: text(self.database),
            server_version: text(self.server_version),
            dump_version: text(self.dump_version),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in the archive's order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries.iter().map(|raw| self.view(raw))
    }

    /// The entry with this dump id; a linear search.
    #[must_use]
    pub fn entry(&self, dump_id: i32) -> Option<Entry<'_>> {
        self.entries.iter().find(|raw| raw.dump_id == dump_id).map(|raw| self.view(raw))
    }

    fn view<'a>(&'a self, raw: &'a RawEntry) -> Entry<'a> {
        let range = Span { start: raw.dependencies.0, len: raw.dependencies.1 }.range();
        Entry { bytes: &self.raw, raw, dependencies: self.dependencies.get(range).unwrap_or_default() }
    }

    /// The bytes of the header and table of contents with other places of data; entries that recorded none go on recording none.
    #[must_use]
    pub fn with_offsets(&self, offset_of: impl Fn(i32) -> Option<u64>) -> Vec<u8> {
        let mut bytes = self.raw.clone();
        for entry in &self.entries {
            let OffsetState::Set(_) = entry.offset else { continue };
            let at = usize::try_from(entry.offset_at).unwrap_or(usize::MAX);
            let width = usize::from(self.offset_bytes);
            let wide = offset_of(entry.dump_id).unwrap_or_default().to_le_bytes();
            let place = bytes.get_mut(at.saturating_add(1)..at.saturating_add(1).saturating_add(width));
            if let (Some(place), Some(low)) = (place, wide.get(..width)) {
                place.copy_from_slice(low);
            }
        }
        bytes
    }

    /// The same for a second table of contents of the same archive, which begins with its count of entries.
    ///
    /// # Errors
    /// As [`Toc::parse`].
    pub fn second_with_offsets(
        &self,
        entries: &[u8],
        offset_of: impl Fn(i32) -> Option<u64>,
    ) -> Result<Vec<u8>, Error> {
        let header = self.count_at;
        Ok(self.parse_again(entries)?.with_offsets(offset_of).split_off(header))
    }

    /// The bytes of a header and table of contents with only the entries `keep` chooses, places of data marked as not recorded.
    ///
    /// Dump ids stay as they are; links to entries left out remain, which `pg_restore` ignores.
    #[must_use]
    pub fn subset(&self, mut keep: impl FnMut(&Entry<'_>) -> bool) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut count = 0i32;
        for raw in &self.entries {
            if !keep(&self.view(raw)) {
                continue;
            }
            count += 1; // at most TOC_ENTRIES_MAX
            let range = raw.whole.range();
            let offset_at = usize::try_from(raw.offset_at).unwrap_or(range.end);
            entries.extend_from_slice(&self.raw[range.start..offset_at]);
            let state = if matches!(raw.offset, OffsetState::NoData) { 3 } else { 1 };
            entries.push(state);
            entries.extend(std::iter::repeat_n(0, usize::from(self.offset_bytes)));
        }
        let mut bytes = Vec::with_capacity(self.count_at + INT_BYTES + entries.len());
        bytes.extend_from_slice(&self.raw[..self.count_at]);
        bytes.extend_from_slice(&int::encode(count));
        bytes.extend_from_slice(&entries);
        bytes
    }
}

/// Reads the grammar while gathering the bytes it has read.
struct Parser<'p, P> {
    raw: Vec<u8>,
    pull: &'p mut P,
}

fn offset(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl<P: Pull> Parser<'_, P> {
    fn at(&self) -> u64 {
        offset(self.raw.len())
    }

    fn garbage(&self, what: &'static str) -> Error {
        Error::Garbage { at: self.at(), what }
    }

    fn bytes(&mut self, count: usize) -> Result<Span, Error> {
        let start = self.raw.len();
        if count > TOC_BYTES_MAX - start.min(TOC_BYTES_MAX) {
            return Err(Error::TooLarge { at: self.at(), what: "bytes of the table of contents" });
        }
        let mut left = count;
        while left > 0 {
            let step = left.min(PULL_STEP_BYTES);
            self.pull.pull(&mut self.raw, step)?;
            left -= step;
        }
        match (u32::try_from(start), u32::try_from(count)) {
            (Ok(start), Ok(len)) => Ok(Span { start, len }),
            _ => Err(Error::TooLarge { at: self.at(), what: "bytes of the table of contents" }),
        }
    }

    fn array<const N: usize>(&self, span: Span) -> Result<[u8; N], Error> {
        self.raw.get(span.range()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| self.garbage("a short field"))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let span = self.bytes(1)?;
        Ok(self.array::<1>(span)?[0])
    }

    fn int(&mut self) -> Result<i32, Error> {
        let span = self.bytes(INT_BYTES)?;
        let bytes = self.array::<INT_BYTES>(span)?;
        int::decode(bytes).ok_or_else(|| self.garbage("an integer"))
    }

    fn string(&mut self) -> Result<Option<Span>, Error> {
        match self.int()? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| self.garbage("a negative length"))?;
                self.bytes(len).map(Some)
            }
        }
    }

    fn created(&mut self) -> Result<Created, Error> {
        let [second, minute, hour, day] = [self.int()?, self.int()?, self.int()?, self.int()?];
        let [month, year, daylight_saving] = [self.int()?, self.int()?, self.int()?];
        Ok(Created {
            second,
            minute,
            hour,
            day,
            month: month.saturating_add(1),
            year: year.saturating_add(1900),
            daylight_saving,
        })
    }

    fn entry(&mut self, version: Version, offset_bytes: u8, links: &mut Vec<i32>) -> Result<RawEntry, Error> {
        let start = self.raw.len();
        let dump_id = self.int()?;
        if dump_id <= 0 {
            return Err(self.garbage("a dump id that is not positive"));
        }
        let has_data = match self.int()? {
            0 => false,
            1 => true,
            _ => return Err(self.garbage("a flag for data that is neither 0 nor 1")),
        };
        let [table_oid, oid, tag, desc] = [self.string()?, self.string()?, self.string()?, self.string()?];
        let section = Section::from_int(self.int()?).ok_or_else(|| self.garbage("an unknown section"))?;
        let [definition, drop_statement, copy_statement] = [self.string()?, self.string()?, self.string()?];
        let [namespace, tablespace] = [self.string()?, self.string()?];
        let table_am = if version.has_table_am() { self.string()? } else { None };
        let relkind = if version.has_relkind() { self.int()? } else { 0 };
        let owner = self.string()?;
        let _with_oids = self.string()?;
        let dependencies = self.dependencies(links)?;
        let offset_at = self.raw.len();
        let offset = self.offset(offset_bytes)?;
        let whole = Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(self.raw.len() - start).unwrap_or(u32::MAX),
        };
        Ok(RawEntry {
            whole,
            offset_at: u32::try_from(offset_at).unwrap_or(u32::MAX),
            dump_id,
            has_data,
            section,
            relkind,
            offset,
            table_oid,
            oid,
            tag,
            desc,
            definition,
            drop_statement,
            copy_statement,
            namespace,
            tablespace,
            table_am,
            owner,
            dependencies,
        })
    }

    fn dependencies(&mut self, links: &mut Vec<i32>) -> Result<(u32, u32), Error> {
        let first = links.len();
        while let Some(span) = self.string()? {
            if links.len() >= TOC_DEPENDENCIES_MAX {
                return Err(Error::TooLarge { at: self.at(), what: "dependencies in the table of contents" });
            }
            let link = self.raw.get(span.range()).and_then(|bytes| str::from_utf8(bytes).ok());
            let link = link.and_then(|text| text.parse::<i32>().ok());
            links.push(link.ok_or_else(|| self.garbage("a dependency that is no number"))?);
        }
        let count = links.len() - first;
        Ok((u32::try_from(first).unwrap_or(u32::MAX), u32::try_from(count).unwrap_or(0)))
    }

    fn offset(&mut self, offset_bytes: u8) -> Result<OffsetState, Error> {
        let state = self.byte()?;
        let span = self.bytes(usize::from(offset_bytes))?;
        let mut wide = [0u8; 8];
        if let (Some(bytes), Some(wide)) = (self.raw.get(span.range()), wide.get_mut(..usize::from(offset_bytes))) {
            wide.copy_from_slice(bytes);
        }
        match state {
            1 => Ok(OffsetState::NotSet),
            2 => Ok(OffsetState::Set(u64::from_le_bytes(wide))),
            3 => Ok(OffsetState::NoData),
            _ => Err(self.garbage("an unknown state of an offset")),
        }
    }
}
