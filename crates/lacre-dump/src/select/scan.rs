//! Searching rows for references to the person.
//!
//! Comes in: rows in pieces. Goes out: [`Findings`]. Must not know: any snapshot; a key counts if any of them knows it.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::{SelectError, json};
use crate::closure::{KeyBook, Marks, Matcher, Part, SetId, Shape};
use crate::copy::{Identifier, fields, splits_a_row};
use crate::limits::{JSON_BYTES_MAX, KEY_BYTES_MAX, WHOLE_ROW_BYTES_MAX};
use crate::personal::{Personal, tuple};
use crate::schema::Canon;

/// A row that may refer to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// Its number in the run, from 0.
    pub row: u64,
    /// Which matcher of the shape found which key.
    pub hits: Vec<(usize, u32)>,
    /// The keys others refer to it by, one for each harvest of the shape; nothing where a part is NULL.
    pub keys: Vec<Option<Personal>>,
    /// What identifies the person, if it is a row of the root.
    pub identifiers: Vec<(Identifier, Personal)>,
}

/// What was found in a run of rows: the same for all snapshots that hold the run under the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    rows: u64,
    found: Vec<FoundRow>,
    /// How many keys of each set were known when the rows were searched.
    horizon: Arc<[(SetId, u32)]>,
}

impl Findings {
    /// Rows in the run.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows that may refer to the person; mostly none.
    #[must_use]
    pub fn found(&self) -> &[FoundRow] {
        &self.found
    }

    /// Whether the search knew every key that this snapshot marks; if not, the run must be searched again for it.
    #[must_use]
    pub fn cover(&self, marks: &Marks) -> bool {
        self.horizon.iter().all(|(set, keys)| marks.are_within(*set, *keys))
    }
}

/// What one kind of row is searched for, made ready once for many runs.
#[derive(Debug)]
pub struct Search<'a> {
    shape: &'a Shape,
    book: &'a KeyBook,
    /// Fields the matchers look at, rising.
    wanted: Vec<usize>,
    /// Those, and the ones keys and identifiers are taken from, rising.
    all: Vec<usize>,
    /// For each matcher, what a row must contain for its JSON to be read.
    hints: Vec<Option<AhoCorasick>>,
    horizon: Arc<[(SetId, u32)]>,
    is_idle: bool,
}

/// More keys than this are not searched for as text before JSON is read.
const HINT_KEYS_MAX: usize = 1_000;

impl<'a> Search<'a> {
    /// Makes ready what is known now.
    #[must_use]
    pub fn new(shape: &'a Shape, book: &'a KeyBook) -> Search<'a> {
        let mut wanted: Vec<usize> = shape
            .matchers
            .iter()
            .flat_map(|matcher| {
                let parts = matcher.parts.iter().map(|(part, _)| part.field());
                parts.chain(matcher.when.iter().map(|(field, _, _)| *field))
            })
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let harvested = shape.harvests.iter().flat_map(|harvest| harvest.parts.iter().map(|(field, _)| *field));
        let mut all: Vec<usize> =
            wanted.iter().copied().chain(harvested).chain(shape.identifiers.iter().map(|(_, field)| *field)).collect();
        all.sort_unstable();
        all.dedup();
        let horizon: Arc<[(SetId, u32)]> =
            shape.matchers.iter().map(|matcher| (matcher.set, book.len(matcher.set))).collect();
        let is_idle = horizon.iter().all(|(_, keys)| *keys == 0);
        let hints = shape.matchers.iter().map(|matcher| hint(matcher, book)).collect();
        Search { shape, book, wanted, all, hints, horizon, is_idle }
    }

    /// Begins a run of rows.
    #[must_use]
    pub fn scan(&self) -> Scanner<'_> {
        Scanner {
            search: self,
            rows: 0,
            found: Vec::new(),
            carry: Vec::new(),
            long: None,
            has_ended: false,
            has_blank: false,
        }
    }

    /// Searches a run that is all here.
    ///
    /// # Errors
    /// Rows that are not rows of the table.
    pub fn run(&self, rows: &[u8]) -> Result<Findings, SelectError> {
        let mut scanner = self.scan();
        scanner.push(rows)?;
        scanner.finish()
    }

    /// Looks whether a row refers to a known key; `values` are those of the fields wanted.
    fn hits(&self, row: u64, values: &[&[u8]]) -> Result<Vec<(usize, u32)>, SelectError> {
        let mut hits = Vec::new();
        for (at, matcher) in self.shape.matchers.iter().enumerate() {
            if let Some(key) = self.key_of(row, at, matcher, values)?
                && self.conditions_hold(matcher, values)
            {
                hits.push((at, key));
            }
        }
        Ok(hits)
    }

    fn raw<'v>(&self, fields: &[usize], values: &[&'v [u8]], field: usize) -> &'v [u8] {
        fields.binary_search(&field).ok().and_then(|slot| values.get(slot)).copied().unwrap_or(b"\\N")
    }

    fn conditions_hold(&self, matcher: &Matcher, values: &[&[u8]]) -> bool {
        matcher.when.iter().all(|(field, canon, wanted)| {
            let value = value_of(self.raw(&self.wanted, values, *field));
            value.is_some_and(|value| *canon.apply(&value) == wanted[..])
        })
    }

    fn key_of(&self, row: u64, at: usize, matcher: &Matcher, values: &[&[u8]]) -> Result<Option<u32>, SelectError> {
        if let [(part, canon)] = matcher.parts.as_slice() {
            let raw = self.raw(&self.wanted, values, part.field());
            let Some(value) = self.part_of(row, at, part, raw)? else { return Ok(None) };
            return Ok(self.book.find(matcher.set, &canon.apply(&value)));
        }
        let mut parts = Vec::with_capacity(matcher.parts.len());
        for (part, canon) in &matcher.parts {
            let raw = self.raw(&self.wanted, values, part.field());
            let Some(value) = self.part_of(row, at, part, raw)? else { return Ok(None) };
            parts.push(canon.apply(&value).into_owned());
        }
        let mut key = Vec::new();
        tuple(parts.iter().map(Vec::as_slice), &mut key);
        Ok(self.book.find(matcher.set, &key))
    }

    fn part_of<'v>(
        &self,
        row: u64,
        at: usize,
        part: &Part,
        raw: &'v [u8],
    ) -> Result<Option<Cow<'v, [u8]>>, SelectError> {
        let (field, path) = match part {
            Part::Field(_) => return Ok(value_of(raw)),
            Part::Json { field, path, .. } => (*field, path),
        };
        if self.hints[at].as_ref().is_some_and(|hint| !hint.is_match(raw)) {
            return Ok(None);
        }
        if raw.len() > JSON_BYTES_MAX {
            return Err(SelectError::LargeJson { row, field, max: JSON_BYTES_MAX });
        }
        let Some(text) = whole_value(raw) else { return Ok(None) };
        let found = json::text_at(&text, path).map_err(|_| SelectError::NotJson { row, field })?;
        Ok(found.map(|found| Cow::Owned(found.into_owned())))
    }

    /// Takes down a row that was hit; `values` are those of all fields.
    fn found(&self, row: u64, hits: Vec<(usize, u32)>, values: &[&[u8]]) -> FoundRow {
        let key_of = |parts: &[(usize, Canon)]| {
            let mut plain = Vec::with_capacity(parts.len());
            for (field, canon) in parts {
                let value = value_of(self.raw(&self.all, values, *field))?;
                plain.push(canon.apply(&value).into_owned());
            }
            let mut key = Vec::new();
            tuple(plain.iter().map(Vec::as_slice), &mut key);
            Some(Personal::new(key))
        };
        let identifier = |(column, field): &(Identifier, usize)| {
            let value = value_of(self.raw(&self.all, values, *field))?;
            Some((column.clone(), Personal::new(value.into_owned())))
        };
        FoundRow {
            row,
            hits,
            keys: self.shape.harvests.iter().map(|harvest| key_of(&harvest.parts)).collect(),
            identifiers: self.shape.identifiers.iter().filter_map(identifier).collect(),
        }
    }
}

/// The value of a field that may be a key; nothing for NULL and for what is too long to be one.
fn value_of(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if raw.len() > KEY_BYTES_MAX { None } else { whole_value(raw) }
}

fn whole_value(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'\\', raw).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    fields(raw).next().and_then(|field| field.value())
}

/// What JSON in PostgreSQL's own form must contain to name one of the keys; nothing where that cannot be said.
fn hint(matcher: &Matcher, book: &KeyBook) -> Option<AhoCorasick> {
    let [(Part::Json { is_normal: true, .. }, canon)] = matcher.parts.as_slice() else { return None };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@' | b'.');
    let keys: Option<Vec<&[u8]>> =
        book.keys(matcher.set).map(|key| (!key.is_empty() && key.iter().all(is_plain)).then_some(key)).collect();
    let keys = keys.filter(|keys| keys.len() <= HINT_KEYS_MAX)?;
    // A UUID may be written without hyphens, and a letter's small form may be another letter's: neither contains its canonical form.
    if matches!(canon, Canon::Uuid | Canon::FoldCase) {
        return None;
    }
    AhoCorasick::builder().ascii_case_insensitive(true).build(keys).ok()
}

/// Searches one run of rows that comes in pieces.
#[derive(Debug)]
pub struct Scanner<'s> {
    search: &'s Search<'s>,
    rows: u64,
    found: Vec<FoundRow>,
    /// The beginning of a row whose end has not come yet.
    carry: Vec<u8>,
    /// Takes over from `carry` when a row grows long.
    long: Option<Box<LongRow>>,
    has_ended: bool,
    /// An empty line came where rows have several fields.
    has_blank: bool,
}

impl<'s> Scanner<'s> {
    /// Takes the next piece.
    ///
    /// # Errors
    /// Rows that are not rows of the table.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), SelectError> {
        let mut rest = piece;
        if self.has_ended {
            return Ok(());
        }
        if !self.carry.is_empty() || self.long.is_some() {
            let Some(end) = memchr::memchr(b'\n', rest) else { return self.hold(rest) };
            self.hold(&rest[..end])?;
            rest = &rest[end + 1..];
            self.end_held_row()?;
        }
        let mut values: Vec<&[u8]> = Vec::with_capacity(self.search.all.len());
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', rest) {
            if self.has_ended {
                return Ok(());
            }
            self.row(&rest[start..end], &mut values)?;
            start = end + 1;
        }
        if self.has_ended { Ok(()) } else { self.hold(&rest[start..]) }
    }

    /// Ends the run; a last row without a newline counts.
    ///
    /// # Errors
    /// As [`Scanner::push`].
    pub fn finish(mut self) -> Result<Findings, SelectError> {
        if !self.carry.is_empty() || self.long.is_some() {
            self.end_held_row()?;
        }
        Ok(Findings { rows: self.rows, found: self.found, horizon: Arc::clone(&self.search.horizon) })
    }

    fn row<'r>(&mut self, row: &'r [u8], values: &mut Vec<&'r [u8]>) -> Result<(), SelectError> {
        if row == b"\\." {
            self.has_ended = true;
            return Ok(());
        }
        let number = self.rows;
        // A run may hold nothing but what an archive adds behind the end marker: empty lines, which are no rows of several fields.
        if row.is_empty() && self.search.shape.fields > 1 {
            self.has_blank = true;
            return Ok(());
        }
        if self.has_blank {
            return Err(SelectError::FieldCount { row: number, found: 1, wanted: self.search.shape.fields });
        }
        self.rows += 1;
        if row.last() == Some(&b'\\') && splits_a_row(row) {
            return Err(SelectError::SplitRow { row: number });
        }
        let search = self.search;
        if search.is_idle || search.wanted.is_empty() {
            return Ok(());
        }
        self.locate(number, row, &search.wanted, values)?;
        let hits = search.hits(number, values)?;
        if hits.is_empty() {
            return Ok(());
        }
        let found = fields(row).count();
        if found != search.shape.fields {
            return Err(SelectError::FieldCount { row: number, found, wanted: search.shape.fields });
        }
        self.locate(number, row, &search.all, values)?;
        self.found.push(search.found(number, hits, values));
        Ok(())
    }

    /// Finds fields by their numbers, which rise.
    fn locate<'r>(
        &self,
        number: u64,
        row: &'r [u8],
        wanted: &[usize],
        values: &mut Vec<&'r [u8]>,
    ) -> Result<(), SelectError> {
        values.clear();
        let mut rest = Some(row);
        let mut field = 0;
        for &next in wanted {
            loop {
                let Some(from) = rest else {
                    let wanted = self.search.shape.fields;
                    return Err(SelectError::FieldCount { row: number, found: field, wanted });
                };
                let end = field_end(from);
                let value = &from[..end];
                rest = from.get(end + 1..);
                field += 1;
                if field > next {
                    values.push(value);
                    break;
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), SelectError> {
        if let Some(long) = &mut self.long {
            return long.push(self.search, self.rows, part);
        }
        if self.carry.len() + part.len() <= WHOLE_ROW_BYTES_MAX {
            self.carry.extend_from_slice(part);
            return Ok(());
        }
        let mut long = Box::new(LongRow::new(self.search));
        long.push(self.search, self.rows, &self.carry)?;
        long.push(self.search, self.rows, part)?;
        self.carry.clear();
        self.long = Some(long);
        Ok(())
    }

    fn end_held_row(&mut self) -> Result<(), SelectError> {
        let Some(long) = self.long.take() else {
            let row = std::mem::take(&mut self.carry);
            return self.row(&row, &mut Vec::new());
        };
        let (search, number) = (self.search, self.rows);
        self.rows += 1;
        if long.is_escaped {
            return Err(SelectError::SplitRow { row: number });
        }
        if search.is_idle || search.wanted.is_empty() {
            return Ok(());
        }
        let (found, wanted) = (long.field + 1, search.shape.fields);
        if found != wanted {
            return Err(SelectError::FieldCount { row: number, found, wanted });
        }
        let all: Vec<&[u8]> = long.values.iter().map(Vec::as_slice).collect();
        let values: Vec<&[u8]> = search.wanted.iter().map(|field| search.raw(&search.all, &all, *field)).collect();
        let hits = search.hits(number, &values)?;
        if !hits.is_empty() {
            self.found.push(search.found(number, hits, &all));
        }
        Ok(())
    }
}

/// Where the field at the front of `row` ends: at a tab that no backslash stands before.
fn field_end(row: &[u8]) -> usize {
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'\t', &row[from..]) {
        let at = from + found;
        if at == 0 || row[at - 1] != b'\\' || !splits_a_row(&row[..at]) {
            return at;
        }
        from = at + 1;
    }
    row.len()
}

/// A row too long to be held: only the fields that matter are.
#[derive(Debug)]
struct LongRow {
    field: usize,
    /// Raw values, one for each field of [`Search::all`]; a value beyond its bound is one byte longer than the bound.
    values: Vec<Vec<u8>>,
    is_escaped: bool,
}

impl LongRow {
    fn new(search: &Search<'_>) -> LongRow {
        LongRow { field: 0, values: vec![Vec::new(); search.all.len()], is_escaped: false }
    }

    fn push(&mut self, search: &Search<'_>, row: u64, mut part: &[u8]) -> Result<(), SelectError> {
        while let Some(first) = part.first() {
            if self.is_escaped {
                self.is_escaped = false;
                self.keep(search, row, &part[..1])?;
                part = &part[1..];
                continue;
            }
            match first {
                b'\t' => {
                    self.field += 1;
                    part = &part[1..];
                }
                b'\\' => {
                    self.is_escaped = true;
                    self.keep(search, row, &part[..1])?;
                    part = &part[1..];
                }
                _ => {
                    let end = memchr::memchr2(b'\t', b'\\', part).unwrap_or(part.len());
                    self.keep(search, row, &part[..end])?;
                    part = &part[end..];
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, search: &Search<'_>, row: u64, bytes: &[u8]) -> Result<(), SelectError> {
        let Ok(slot) = search.all.binary_search(&self.field) else { return Ok(()) };
        let is_json = search.shape.matchers.iter().any(|matcher| {
            let mut parts = matcher.parts.iter();
            parts.any(|(part, _)| matches!(part, Part::Json { field, .. } if *field == self.field))
        });
        let max = if is_json { JSON_BYTES_MAX } else { KEY_BYTES_MAX };
        let value = &mut self.values[slot];
        let room = (max + 1).saturating_sub(value.len());
        value.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if is_json && value.len() > max {
            return Err(SelectError::LargeJson { row, field: self.field, max });
        }
        Ok(())
    }
}
