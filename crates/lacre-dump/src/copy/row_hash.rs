//! BLAKE3 of many short rows at once.
//!
//! Comes in: rows, borrowed from one piece of input. Goes out: their hashes, added to a digest that does not care for the order.
//! Must not know: where rows begin and end.
//!
//! BLAKE3 compresses 64 bytes after the other, each step waiting for the one before it, so that a short row leaves most of a wide
//! processor idle. Rows of as many blocks are therefore gathered and go through `blake3`'s own compression side by side, all blocks but
//! the last, which may be partial and takes its turn alone. The result is `blake3::hash` of every row, bit for bit (tests compare it for
//! every length). What is used of the crate is public but outside of its promise of stability, so its version is pinned
//! (`docs/decisions/row-digest.md`).

use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter, platform::Platform};

use super::digest::RowDigest;

/// Rows that are compressed side by side: what the widest processors take.
const ROWS_TOGETHER: usize = 16;
/// Blocks of a chunk of BLAKE3.
const CHUNK_BLOCKS: usize = CHUNK_LEN / BLOCK_LEN;
/// Groups of rows by their number of blocks: up to two chunks. Longer rows fill a processor by themselves.
const GROUPS: usize = 2 * CHUNK_BLOCKS;

/// The initial chaining value (BLAKE3 specification, section 2.2: the constants of SHA-256).
const IV: Chaining =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// Flags of a compression (BLAKE3 specification, table 3).
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const ROOT: u8 = 1 << 3;

/// What one compression hands to the next.
type Chaining = [u32; 8];

/// Rows of one length in blocks that wait for company.
#[derive(Clone, Copy)]
struct Group<'p> {
    rows: [&'p [u8]; ROWS_TOGETHER],
    count: usize,
}

/// Hashes rows of one piece of input.
pub(super) struct RowHasher<'p> {
    platform: Platform,
    digest: RowDigest,
    /// By the number of blocks before the last one; the first group stays empty.
    groups: [Group<'p>; GROUPS],
}

impl<'p> RowHasher<'p> {
    /// A hasher without rows.
    pub(super) fn new() -> Self {
        let empty = Group { rows: [&[]; ROWS_TOGETHER], count: 0 };
        Self { platform: Platform::detect(), digest: RowDigest::new(), groups: [empty; GROUPS] }
    }

    /// Adds one row, given without its newline.
    #[inline]
    pub(super) fn add(&mut self, row: &'p [u8]) {
        let whole_blocks = row.len().saturating_sub(1) / BLOCK_LEN;
        if whole_blocks == 0 {
            let words = self.last_block(IV, row, 0, CHUNK_START | CHUNK_END | ROOT);
            self.digest.add_words(&words);
            return;
        }
        let Some(group) = self.groups.get_mut(whole_blocks) else {
            self.digest.add_row(row);
            return;
        };
        if let Some(place) = group.rows.get_mut(group.count) {
            *place = row;
            group.count += 1;
        }
        if group.count == ROWS_TOGETHER {
            self.flush(whole_blocks);
        }
    }

    /// The digest of all rows added.
    pub(super) fn finish(mut self) -> RowDigest {
        for whole_blocks in 1..GROUPS {
            self.flush(whole_blocks);
        }
        self.digest
    }

    /// Hashes the rows that wait in one group.
    fn flush(&mut self, whole_blocks: usize) {
        let Some(group) = self.groups.get_mut(whole_blocks) else { return };
        let Group { rows, count } = *group;
        group.count = 0;
        let rows = rows.get(..count).unwrap_or_default();
        if rows.is_empty() {
            return;
        }
        if whole_blocks < CHUNK_BLOCKS {
            let heads = self.heads(whole_blocks, rows, 0);
            for (row, head) in rows.iter().zip(heads) {
                let last = row.get(whole_blocks * BLOCK_LEN..).unwrap_or_default();
                let words = self.last_block(head, last, 0, CHUNK_END | ROOT);
                self.digest.add_words(&words);
            }
        } else {
            self.two_chunks(whole_blocks - CHUNK_BLOCKS, rows);
        }
    }

    /// Hashes rows of two chunks, the second with so many blocks before its last one.
    fn two_chunks(&mut self, whole_blocks: usize, rows: &[&[u8]]) {
        let firsts = self.together::<CHUNK_LEN>(rows, 0, CHUNK_END);
        let mut seconds = [&[][..]; ROWS_TOGETHER];
        for (second, row) in seconds.iter_mut().zip(rows) {
            *second = row.get(CHUNK_LEN..).unwrap_or_default();
        }
        let seconds = seconds.get(..rows.len()).unwrap_or_default();
        let heads = self.heads(whole_blocks, seconds, 1);
        let start = if whole_blocks == 0 { CHUNK_START } else { 0 };
        for ((second, head), first) in seconds.iter().zip(heads).zip(firsts) {
            let last = second.get(whole_blocks * BLOCK_LEN..).unwrap_or_default();
            let second = self.last_block(head, last, 1, start | CHUNK_END);
            let mut children = [0u8; BLOCK_LEN];
            let (words, _) = children.as_chunks_mut::<4>();
            for (bytes, word) in words.iter_mut().zip(first.iter().chain(&second)) {
                *bytes = word.to_le_bytes();
            }
            let words = self.last_block(IV, &children, 0, PARENT | ROOT);
            self.digest.add_words(&words);
        }
    }

    /// The chaining values after the first blocks of chunks, all of the same number of blocks.
    fn heads(&self, whole_blocks: usize, chunks: &[&[u8]], counter: u64) -> [Chaining; ROWS_TOGETHER] {
        match whole_blocks {
            0 => [IV; ROWS_TOGETHER],
            1 => self.together::<64>(chunks, counter, 0),
            2 => self.together::<128>(chunks, counter, 0),
            3 => self.together::<192>(chunks, counter, 0),
            4 => self.together::<256>(chunks, counter, 0),
            5 => self.together::<320>(chunks, counter, 0),
            6 => self.together::<384>(chunks, counter, 0),
            7 => self.together::<448>(chunks, counter, 0),
            8 => self.together::<512>(chunks, counter, 0),
            9 => self.together::<576>(chunks, counter, 0),
            10 => self.together::<640>(chunks, counter, 0),
            11 => self.together::<704>(chunks, counter, 0),
            12 => self.together::<768>(chunks, counter, 0),
            13 => self.together::<832>(chunks, counter, 0),
            14 => self.together::<896>(chunks, counter, 0),
            _ => self.together::<960>(chunks, counter, 0),
        }
    }

    /// The chaining values after the first `HEAD` bytes of chunks.
    fn together<const HEAD: usize>(&self, chunks: &[&[u8]], counter: u64, end: u8) -> [Chaining; ROWS_TOGETHER] {
        let mut heads = [&[0u8; HEAD]; ROWS_TOGETHER];
        let mut count = 0;
        for (place, head) in heads.iter_mut().zip(chunks.iter().filter_map(|chunk| chunk.first_chunk())) {
            *place = head;
            count += 1;
        }
        debug_assert_eq!(count, chunks.len(), "a group holds only rows of its length");
        let heads = heads.get(..count).unwrap_or_default();
        let mut values = [0u8; 32 * ROWS_TOGETHER];
        self.platform.hash_many(heads, &IV, counter, IncrementCounter::No, 0, CHUNK_START, end, &mut values);
        let mut chaining = [[0u32; 8]; ROWS_TOGETHER];
        let (words, _) = values.as_chunks::<4>();
        for (word, bytes) in chaining.as_flattened_mut().iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        chaining
    }

    /// Compresses one block of 0 to 64 bytes alone.
    #[inline]
    fn last_block(&self, mut chaining: Chaining, bytes: &[u8], counter: u64, flags: u8) -> Chaining {
        let mut block = [0u8; BLOCK_LEN];
        block[..bytes.len()].copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).unwrap_or(0);
        self.platform.compress_in_place(&mut chaining, &block, length, counter, flags);
        chaining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that differ from place to place.
    fn text(bytes: usize) -> Vec<u8> {
        (0u32..).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(bytes).collect()
    }

    fn one_by_one(rows: &[&[u8]]) -> RowDigest {
        let mut digest = RowDigest::new();
        rows.iter().for_each(|row| digest.add_row(row));
        digest
    }

    fn at_once(rows: &[&[u8]]) -> RowDigest {
        let mut hasher = RowHasher::new();
        rows.iter().for_each(|row| hasher.add(row));
        hasher.finish()
    }

    #[test]
    fn rows_of_every_length_have_their_blake3() {
        let text = text(4 * CHUNK_LEN);
        for length in (0..2 * CHUNK_LEN + 70).chain([3 * CHUNK_LEN, 4 * CHUNK_LEN]) {
            let row = &text[..length];
            assert_eq!(at_once(&[row]), one_by_one(&[row]), "a row of {length} bytes");
        }
    }

    #[test]
    fn groups_of_every_size_give_the_same_sum() {
        let text = text(4 * CHUNK_LEN);
        for count in 1..=2 * ROWS_TOGETHER + 1 {
            for length in
                [0, 1, 63, 64, 65, 128, 129, 500, 960, 961, 1023, 1024, 1025, 1088, 1089, 1500, 2047, 2048, 2049]
            {
                let rows: Vec<&[u8]> = (0..count).map(|start| &text[start..start + length]).collect();
                assert_eq!(at_once(&rows), one_by_one(&rows), "{count} rows of {length} bytes");
            }
        }
    }

    #[test]
    fn rows_of_mixed_lengths_wait_in_their_own_groups() {
        let text = text(64 * CHUNK_LEN);
        let mut start = 0;
        let mut rows: Vec<&[u8]> = Vec::new();
        for number in 0usize..400 {
            let length = number.wrapping_mul(7919) % 2300;
            rows.push(&text[start..(start + length).min(text.len())]);
            start = (start + length) % (text.len() / 2);
        }
        assert_eq!(at_once(&rows), one_by_one(&rows));
    }
}
