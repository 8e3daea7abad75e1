//! The search for traces of a person in what is left.
//!
//! Comes in: identifiers, and any stream in pieces cut anywhere. Goes out: how often which identifier was found in which form and column; never
//! a value. Must not know: what the stream is, except whether it has rows and fields.
//!
//! An occurrence that lies across two pieces is found; at most [`IDENTIFIER_BYTES_MAX`] times six bytes are kept between them. Not found are
//! identifiers inside compressed or encrypted values, inside base64 that is broken into lines, and words of an identifier on their own.
//!
//! [`IDENTIFIER_BYTES_MAX`]: crate::limits::IDENTIFIER_BYTES_MAX

mod finder;
mod forms;

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

use crate::copy::Identifier;
use crate::limits::{IDENTIFIER_BYTES_MAX, IDENTIFIER_BYTES_MIN, IDENTIFIERS_MAX};
use crate::personal::Personal;
use crate::rules::Form;

use finder::Finder;

/// Why an identifier is not searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsearched {
    /// It is so short that it would be found everywhere.
    TooShort,
    /// It is longer than is searched for.
    TooLong,
    /// There are more identifiers than are searched for.
    TooMany,
}

impl fmt::Display for Unsearched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "too short to be searched for",
            Self::TooLong => "too long to be searched for",
            Self::TooMany => "one of too many to be searched for",
        })
    }
}

/// Identifiers in all forms, ready to be searched for; overwritten when dropped.
pub struct Needles {
    finder: Finder,
    /// For each needle, the identifier's place in `names` and the form.
    kinds: Vec<(usize, Form)>,
    names: Vec<Identifier>,
    unsearched: Vec<(Identifier, Unsearched)>,
    /// The longest needle, in bytes.
    longest: usize,
}

impl fmt::Debug for Needles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Needles({:?}, {} patterns)", self.names, self.patterns())
    }
}

impl Needles {
    /// Makes identifiers ready, each with the column it belongs to. Empty ones, and those twice, are left out.
    #[must_use]
    pub fn new(identifiers: &[(Identifier, Personal)], wanted: &[Form]) -> Needles {
        let mut names: Vec<Identifier> = Vec::new();
        let mut unsearched = Vec::new();
        let mut needles: Vec<forms::Needle> = Vec::new();
        let mut kinds = Vec::new();
        for (at, (name, value)) in identifiers.iter().enumerate().filter(|(_, (_, value))| !value.is_empty()) {
            let why = match value.len() {
                0..IDENTIFIER_BYTES_MIN => Some(Unsearched::TooShort),
                IDENTIFIER_BYTES_MAX.. => Some(Unsearched::TooLong),
                _ => (at >= IDENTIFIERS_MAX).then_some(Unsearched::TooMany),
            };
            if let Some(why) = why {
                unsearched.push((name.clone(), why));
                continue;
            }
            let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            for needle in forms::of(value.expose(), wanted) {
                if !needles.iter().any(|known| known.is_same(&needle)) {
                    kinds.push((place, needle.form));
                    needles.push(needle);
                }
            }
        }
        let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(0);
        Needles { finder: Finder::new(needles), kinds, names, unsearched, longest }
    }

    /// How many patterns are searched for.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.kinds.len()
    }

    /// The identifiers that are not searched for, by their columns.
    #[must_use]
    pub fn unsearched(&self) -> &[(Identifier, Unsearched)] {
        &self.unsearched
    }

    /// Begins a stream of rows, whose fields are told apart.
    #[must_use]
    pub fn rows(&self) -> Sweeper<'_> {
        Sweeper {
            needles: self,
            layout: Layout::Rows,
            field: 0,
            tail: Vec::new(),
            tail_field: 0,
            traces: Traces::default(),
        }
    }

    /// Begins a stream of any bytes.
    #[must_use]
    pub fn bytes(&self) -> Sweeper<'_> {
        Sweeper { layout: Layout::Bytes, ..self.rows() }
    }
}

/// What was found: how often, by identifier, form and field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traces {
    /// The column the identifier belongs to, the form, and the number of the field it was found in (nothing in a stream without rows).
    pub counts: BTreeMap<(Identifier, Form, Option<usize>), u64>,
}

impl Traces {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often anything was found.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Traces) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Rows,
    Bytes,
}

/// Searches one stream.
#[derive(Debug)]
pub struct Sweeper<'n> {
    needles: &'n Needles,
    layout: Layout,
    /// The field the next byte belongs to.
    field: usize,
    /// The last bytes seen, in which an occurrence may begin.
    tail: Vec<u8>,
    /// The field the first of them belongs to.
    tail_field: usize,
    traces: Traces,
}

impl Sweeper<'_> {
    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let reach = self.needles.longest.saturating_sub(1);
        if reach == 0 || piece.is_empty() {
            return;
        }
        if !self.tail.is_empty() {
            let seen = self.tail.len();
            let head = &piece[..piece.len().min(reach)];
            let mut window = std::mem::take(&mut self.tail);
            window.extend_from_slice(head);
            self.search(&window, self.tail_field, |start, end| start < seen && end > seen);
            window[seen..].zeroize();
            window.truncate(seen);
            self.tail = window;
        }
        self.search(piece, self.field, |_, _| true);
        if self.layout == Layout::Rows && piece.ends_with(b"\n") {
            // Nothing lies across the end of a row.
            self.tail.zeroize();
            self.field = 0;
        } else {
            self.remember(piece, reach);
        }
    }

    /// Keeps the last bytes for the next piece.
    fn remember(&mut self, piece: &[u8], reach: usize) {
        if piece.len() >= reach {
            let cut = piece.len() - reach;
            self.tail_field = self.field_at(piece, cut, self.field);
            self.tail.zeroize();
            self.tail.extend_from_slice(&piece[cut..]);
        } else {
            self.tail.extend_from_slice(piece);
            let cut = self.tail.len().saturating_sub(reach);
            self.tail_field = self.field_at(&self.tail, cut, self.tail_field);
            self.tail.drain(..cut);
        }
        self.field = self.field_at(piece, piece.len(), self.field);
    }

    fn search(&mut self, text: &[u8], first_field: usize, counts: impl Fn(usize, usize) -> bool) {
        let needles = self.needles;
        needles.finder.find(text, |start, end, number| {
            let Some((place, form)) = needles.kinds.get(number).filter(|_| counts(start, end)) else { return };
            let field = match self.layout {
                Layout::Rows => Some(self.field_at(text, start, first_field)),
                Layout::Bytes => None,
            };
            *self.traces.counts.entry((needles.names[*place].clone(), *form, field)).or_default() += 1;
        });
    }

    /// The field that the byte at `at` belongs to, if the first byte belongs to `first`.
    fn field_at(&self, text: &[u8], at: usize, first: usize) -> usize {
        if self.layout == Layout::Bytes {
            return 0;
        }
        let (start, base) = match memchr::memrchr(b'\n', &text[..at]) {
            Some(newline) => (newline + 1, 0),
            None => (0, first),
        };
        base + memchr::memchr_iter(b'\t', &text[start..at]).count()
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self) -> Traces {
        self.tail.zeroize();
        self.traces
    }
}

#[cfg(test)]
mod tests;
