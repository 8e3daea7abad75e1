//! The row cutter: chunks end where rows end, and a keyed hash of the row decides which rows end one.

use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::bytes::{LONG_ROW_SIZES, gear_cut};
use super::{CutKeys, CutParameters, EndOfStream};

/// How many times less likely than on average a row ends a chunk that has not reached its target.
const EARLY_DIVISOR: u64 = 2;

/// How many times more likely than on average a row ends a chunk that has passed its target.
const LATE_FACTOR: u64 = 2;

/// Cuts rows, which are bytes up to and with a line feed.
///
/// A chunk has between a quarter of the target and four times the target, with three exceptions: the last chunk, a chunk before a row
/// that would not fit any more, and pieces of long rows. A row longer than four times the target is a region of its own, cut by its
/// bytes into pieces of at most [`super::CHUNK_BYTES_MAX`].
pub struct RowCutter {
    keys: Arc<CutKeys>,
    min: usize,
    target: usize,
    max: usize,
    /// A row of `n` bytes ends a chunk when its hash is under `n` times this, before and behind the target.
    early: u64,
    late: u64,
    /// Bytes of the buffer known to hold no border of the current chunk. They end where a row does.
    rows_seen: usize,
    /// Bytes of the buffer known to hold no line feed behind `rows_seen`.
    searched: usize,
    /// The bytes to come are the rest of a long row.
    within_long_row: bool,
}

/// What the rest of a buffer says about the row that begins there.
enum Row {
    /// It has this many bytes, with its line feed if it has one.
    Whole(usize),
    /// It is longer than the limit asked for.
    Longer,
    /// Not yet known.
    Unknown,
}

impl RowCutter {
    /// A cutter at the start of a stream.
    #[must_use]
    pub fn new(parameters: CutParameters, keys: Arc<CutKeys>) -> Self {
        let target_bytes = u64::from(parameters.target_bytes());
        let target = usize::try_from(target_bytes).unwrap_or(usize::MAX);
        // Behind the minimum, one byte in `target - min` ends a chunk on average.
        let per_byte = u64::MAX / (target_bytes - target_bytes / 4).max(1);
        Self {
            keys,
            min: target / 4,
            target,
            max: target.saturating_mul(4),
            early: per_byte / EARLY_DIVISOR,
            late: per_byte.saturating_mul(LATE_FACTOR),
            rows_seen: 0,
            searched: 0,
            within_long_row: false,
        }
    }

    /// The length of the next chunk; see [`super::Cutter::next_cut`].
    pub fn next_cut(&mut self, buffer: &[u8], end: EndOfStream) -> Option<usize> {
        if buffer.is_empty() {
            return None;
        }
        let cut = if self.within_long_row { self.cut_long_row(buffer, end) } else { self.cut_rows(buffer, end) };
        if cut.is_some() {
            self.rows_seen = 0;
            self.searched = 0;
        }
        cut
    }

    fn cut_rows(&mut self, buffer: &[u8], end: EndOfStream) -> Option<usize> {
        if self.rows_seen == 0 {
            self.skip_to_minimum(buffer);
        }
        loop {
            let room = self.max - self.rows_seen;
            match self.next_row(buffer, room, end) {
                Row::Unknown => return None,
                Row::Whole(0) => return Some(self.rows_seen),
                Row::Longer if self.rows_seen > 0 => return Some(self.rows_seen),
                Row::Longer => {
                    self.within_long_row = true;
                    return self.cut_long_row(buffer, end);
                }
                Row::Whole(bytes) => {
                    let start = self.rows_seen;
                    self.rows_seen += bytes;
                    self.searched = self.rows_seen;
                    if self.rows_seen >= self.min && self.ends_chunk(&buffer[start..self.rows_seen]) {
                        return Some(self.rows_seen);
                    }
                }
            }
        }
    }

    /// Steps over the rows that end before the minimum without looking at each: none of them can end the chunk.
    fn skip_to_minimum(&mut self, buffer: &[u8]) {
        if let Some(head) = buffer.get(..self.min - 1)
            && let Some(last) = memrchr(b'\n', head)
        {
            self.rows_seen = last + 1;
            self.searched = self.searched.max(self.rows_seen);
        }
    }

    /// Measures the row that begins behind `rows_seen`, as far as `room` bytes.
    fn next_row(&mut self, buffer: &[u8], room: usize, end: EndOfStream) -> Row {
        let limit = buffer.len().min(self.rows_seen + room);
        let from = self.searched.clamp(self.rows_seen, limit);
        if let Some(found) = memchr(b'\n', &buffer[from..limit]) {
            return Row::Whole(from + found + 1 - self.rows_seen);
        }
        self.searched = limit;
        if limit < buffer.len() {
            Row::Longer
        } else if end == EndOfStream::Yes {
            Row::Whole(limit - self.rows_seen)
        } else {
            Row::Unknown
        }
    }

    fn ends_chunk(&self, row: &[u8]) -> bool {
        let length = u64::try_from(row.len()).unwrap_or(u64::MAX);
        let rate = if self.rows_seen < self.target { self.early } else { self.late };
        row_hash(&self.keys.row, row) < rate.saturating_mul(length)
    }

    /// Cuts within a long row: the content decides, the row's end is always a border.
    fn cut_long_row(&mut self, buffer: &[u8], end: EndOfStream) -> Option<usize> {
        let limit = buffer.len().min(LONG_ROW_SIZES.max);
        let from = self.searched.min(limit);
        let row_end = memchr(b'\n', &buffer[from..limit]).map(|found| from + found + 1);
        self.searched = limit;
        if row_end.is_none() && limit < LONG_ROW_SIZES.max && end == EndOfStream::No {
            return None;
        }
        let cut = gear_cut(&self.keys, LONG_ROW_SIZES, &buffer[..row_end.unwrap_or(limit)]);
        if row_end == Some(cut) {
            self.within_long_row = false;
        }
        Some(cut)
    }
}

/// A keyed hash of a whole row: sixteen bytes a step are folded by a 64 x 64 -> 128 bit product of two keyed words, in two lanes.
///
/// Whole rows are hashed because many tables have rows that agree in any fixed part. Products carry, so the hash is linear over no
/// field; see `docs/decisions/cutting.md` for what this does and does not promise.
fn row_hash(key: &[u64; 4], row: &[u8]) -> u64 {
    let length = u64::try_from(row.len()).unwrap_or(u64::MAX);
    let (blocks, rest) = row.as_chunks::<32>();
    let mut lanes = (key[0] ^ length, key[1]);
    for block in blocks {
        lanes = absorb(key, lanes, block);
    }
    if !rest.is_empty() {
        // The length is part of the hash, so reading some bytes twice or filling up with zeros is unambiguous.
        if let Some(block) = row.last_chunk::<32>() {
            lanes = absorb(key, lanes, block);
        } else {
            let mut block = [0; 32];
            block[..rest.len()].copy_from_slice(rest);
            lanes = absorb(key, lanes, &block);
        }
    }
    let (one, two) = lanes;
    let mixed = fold(one ^ key[1], two ^ key[0]);
    fold(mixed ^ key[2], two ^ key[3])
}

/// Folds one block into both lanes. Adding a word of the block keeps a lane from forgetting when a product is zero.
#[inline(always)]
fn absorb(key: &[u64; 4], (one, two): (u64, u64), block: &[u8; 32]) -> (u64, u64) {
    let [a, b, c, d] = words(block);
    (fold(one ^ a, key[2] ^ b).wrapping_add(a), fold(two ^ c, key[3] ^ d).wrapping_add(c))
}

/// The product of two words, its upper half laid over its lower.
#[inline(always)]
fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

/// Four little-endian words.
#[inline(always)]
pub(super) fn words(block: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}
