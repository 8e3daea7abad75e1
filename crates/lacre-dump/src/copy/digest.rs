//! Counting and digesting rows while they stream by.
//!
//! Comes in: COPY text, or any lines, in pieces cut anywhere. Goes out: how many rows, and a digest that does not depend on their order.

use std::fmt;

use super::row_hash::RowHasher;
use crate::limits::SHORT_ROW_BYTES_MAX;

/// A digest of a multiset of rows: four sums modulo 2^64 of the little-endian quarters of each row's BLAKE3.
///
/// Digests of parts add up to the digest of the whole, in any order. It tells accidents and changes, not a forger who may choose rows freely.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowDigest {
    lanes: [u64; 4],
}

impl RowDigest {
    /// The digest of no rows.
    #[must_use]
    pub const fn new() -> RowDigest {
        RowDigest { lanes: [0; 4] }
    }

    /// The digest with these lanes.
    #[must_use]
    pub const fn from_lanes(lanes: [u64; 4]) -> RowDigest {
        RowDigest { lanes }
    }

    /// The four sums.
    #[must_use]
    pub const fn lanes(&self) -> [u64; 4] {
        self.lanes
    }

    /// Adds one row, given without its newline.
    pub fn add_row(&mut self, row: &[u8]) {
        self.add_hash(&blake3::hash(row));
    }

    /// Adds all rows of another digest.
    pub fn merge(&mut self, other: &RowDigest) {
        for (lane, more) in self.lanes.iter_mut().zip(other.lanes) {
            *lane = lane.wrapping_add(more);
        }
    }

    /// Takes away all rows of another digest, so that what remains is the difference of the two multisets.
    pub fn subtract(&mut self, other: &RowDigest) {
        for (lane, less) in self.lanes.iter_mut().zip(other.lanes) {
            *lane = lane.wrapping_sub(less);
        }
    }

    /// Adds one row by the words of its BLAKE3.
    pub(super) fn add_words(&mut self, words: &[u32; 8]) {
        let (pairs, _) = words.as_chunks::<2>();
        for (lane, [low, high]) in self.lanes.iter_mut().zip(pairs) {
            *lane = lane.wrapping_add(u64::from(*low) | u64::from(*high) << 32);
        }
    }

    fn add_hash(&mut self, hash: &blake3::Hash) {
        let (quarters, _) = hash.as_bytes().as_chunks::<8>();
        for (lane, quarter) in self.lanes.iter_mut().zip(quarters) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*quarter));
        }
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lanes.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

/// How the rows of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With the end of the input, after a newline or before the first row.
    Open,
    /// With the end of the input within a line, which was counted as a row.
    OpenWithinRow,
    /// With COPY's end marker and nothing but empty lines after it.
    Marked,
    /// With COPY's end marker, and then something else.
    MarkedThenMore,
}

/// What a [`RowCounter`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSummary {
    /// Rows; the end marker and what follows it are none.
    pub rows: u64,
    /// The digest of the rows.
    pub digest: RowDigest,
    /// Bytes of the rows with their newlines.
    pub row_bytes: u64,
    /// All bytes.
    pub bytes: u64,
    /// How the rows ended.
    pub ending: Ending,
}

/// Counts and digests the rows of a stream that comes in pieces.
#[derive(Debug, Clone)]
pub struct RowCounter {
    digest: RowDigest,
    rows: u64,
    row_bytes: u64,
    bytes: u64,
    /// The beginning of a row whose end has not come yet.
    carry: Vec<u8>,
    /// Takes over from `carry` when a row grows long.
    long: Option<Box<blake3::Hasher>>,
    place: Place,
    format: LineFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Rows,
    AfterMarker,
    Beyond,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineFormat {
    Copy,
    Lines,
}

impl RowCounter {
    /// Counts the rows of COPY text, which end at the line `\.`.
    #[must_use]
    pub fn copy() -> RowCounter {
        RowCounter::of(LineFormat::Copy)
    }

    /// Counts the lines of any text.
    #[must_use]
    pub fn lines() -> RowCounter {
        RowCounter::of(LineFormat::Lines)
    }

    fn of(format: LineFormat) -> RowCounter {
        RowCounter {
            digest: RowDigest::new(),
            rows: 0,
            row_bytes: 0,
            bytes: 0,
            carry: Vec::new(),
            long: None,
            place: Place::Rows,
            format,
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(length(piece));
        let mut rest = piece;
        if (!self.carry.is_empty() || self.long.is_some()) && self.place == Place::Rows {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.hold(rest);
                return;
            };
            self.hold(&rest[..end]);
            self.end_held_row();
            rest = &rest[end + 1..];
        }
        if self.place == Place::Rows {
            rest = self.whole_rows(rest);
        }
        match self.place {
            Place::Rows => self.hold(rest),
            Place::AfterMarker if rest.iter().any(|byte| *byte != b'\n') => self.place = Place::Beyond,
            Place::AfterMarker | Place::Beyond => {}
        }
    }

    /// Takes all rows that end within `piece`; returns what is left.
    fn whole_rows<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let mut start = 0;
        let mut hasher = RowHasher::new();
        for end in memchr::memchr_iter(b'\n', piece) {
            let row = &piece[start..end];
            start = end + 1;
            if self.is_marker(row) {
                self.place = Place::AfterMarker;
                break;
            }
            hasher.add(row);
            self.rows += 1;
            self.row_bytes = self.row_bytes.saturating_add(length(row).saturating_add(1));
        }
        self.digest.merge(&hasher.finish());
        &piece[start..]
    }

    fn is_marker(&self, row: &[u8]) -> bool {
        self.format == LineFormat::Copy && row == b"\\."
    }

    /// Keeps a part of a row.
    fn hold(&mut self, part: &[u8]) {
        if let Some(long) = &mut self.long {
            long.update(part);
            self.row_bytes = self.row_bytes.saturating_add(length(part));
            return;
        }
        if self.carry.len() + part.len() > SHORT_ROW_BYTES_MAX {
            let mut long = Box::new(blake3::Hasher::new());
            long.update(&self.carry);
            long.update(part);
            self.row_bytes = self.row_bytes.saturating_add(length(&self.carry)).saturating_add(length(part));
            self.carry.clear();
            self.long = Some(long);
            return;
        }
        self.carry.extend_from_slice(part);
    }

    /// Ends the row whose parts were held.
    fn end_held_row(&mut self) {
        if let Some(long) = self.long.take() {
            self.digest.add_hash(&long.finalize());
        } else if self.is_marker(&self.carry) {
            self.carry.clear();
            self.place = Place::AfterMarker;
            return;
        } else {
            self.digest.add_row(&self.carry);
            self.row_bytes = self.row_bytes.saturating_add(length(&self.carry));
            self.carry.clear();
        }
        self.rows += 1;
        self.row_bytes = self.row_bytes.saturating_add(1);
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self) -> RowSummary {
        let ending = match self.place {
            Place::AfterMarker => Ending::Marked,
            Place::Beyond => Ending::MarkedThenMore,
            Place::Rows if self.carry.is_empty() && self.long.is_none() => Ending::Open,
            Place::Rows => {
                self.end_held_row();
                self.row_bytes = self.row_bytes.saturating_sub(1); // it has no newline
                if self.place == Place::AfterMarker { Ending::Marked } else { Ending::OpenWithinRow }
            }
        };
        RowSummary { rows: self.rows, digest: self.digest, row_bytes: self.row_bytes, bytes: self.bytes, ending }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pieces: &[&[u8]]) -> RowSummary {
        let mut counter = RowCounter::copy();
        for piece in pieces {
            counter.push(piece);
        }
        counter.finish()
    }

    #[test]
    fn the_end_marker_is_no_row() {
        let summary = count(&[b"a\nb\n\n\\.\n\n\n"]);
        assert_eq!((summary.rows, summary.row_bytes, summary.bytes, summary.ending), (3, 5, 10, Ending::Marked));
        assert_eq!(count(&[b"\\.\n\n\n"]).rows, 0);
        assert_eq!(count(&[b"a\n\\.\n\n\nx"]).ending, Ending::MarkedThenMore);
        assert_eq!(count(&[b"a\n\\."]).ending, Ending::Marked);
        assert_eq!(count(&[b"a\nb"]), RowSummary { ending: Ending::OpenWithinRow, ..count(&[b"a\n", b"b"]) });
        assert_eq!(count(&[b"a\nb"]).row_bytes, 3);
        assert_eq!(count(&[]).ending, Ending::Open);
    }

    #[test]
    fn the_order_of_rows_and_the_cuts_do_not_matter() {
        let long = vec![b'x'; 200_000];
        let mut text = b"one\n\ntwo\n".to_vec();
        text.extend_from_slice(&long);
        text.extend_from_slice(b"\nthree\n\\.\n\n\n");
        let whole = count(&[&text]);
        assert_eq!(whole.rows, 5);
        for size in [1, 2, 3, 7, 1000, 65_536, 70_000] {
            assert_eq!(count(&text.chunks(size).collect::<Vec<_>>()), whole, "pieces of {size}");
        }
        let mut digest = RowDigest::new();
        for row in [&b"three"[..], &long, b"two", b"", b"one"] {
            digest.add_row(row);
        }
        assert_eq!(digest, whole.digest);
        digest.subtract(&whole.digest);
        assert_eq!(digest, RowDigest::new());
    }

    #[test]
    fn other_lines_have_no_marker() {
        let mut counter = RowCounter::lines();
        counter.push(b"a\n\\.\nb\n");
        assert_eq!(counter.finish().rows, 3);
    }

    #[test]
    fn the_digest_of_one_row_is_its_hash() {
        let mut digest = RowDigest::new();
        digest.add_row(b"");
        // BLAKE3 of nothing: af1349b9f5f9a1a6 a0404dea36dcc949 9bcb25c9adc112b7 cc9a93cae41f3262 (published test vector), read little-endian.
        assert_eq!(digest.to_string(), "a6a1f9f5b94913af49c9dc36ea4d40a0b712c1adc925cb9b62321fe4ca939acc");
    }
}
