//! Keyed BLAKE3 of many plaintexts at once.
//!
//! In: a key, and plaintexts that follow each other. Out: `blake3::keyed_hash` of each, bit for bit.
//!
//! BLAKE3 splits an input into chunks of 1024 bytes and hashes as many side by side as the processor is wide, sixteen at the most. A piece of
//! a table has four, so alone it leaves three quarters of a wide processor idle. Here the chunks of many pieces go together, and so do the
//! parents of their trees (BLAKE3 specification, sections 2.1, 2.4 and 2.5). The compression itself is the crate's. What is used of it is public but
//! outside of its promise of stability, so its version is pinned (`docs/decisions/row-digest.md`).

use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter, OUT_LEN, platform::Platform};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Inputs that are compressed side by side: what the widest processors take.
const TOGETHER: usize = 16;
/// Longer plaintexts fill a processor by themselves.
const CHUNKS_MAX: usize = 16;

/// Flags of a compression (BLAKE3 specification, table 3).
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// What a chunk or a parent hands to its own parent.
type Value = [u8; OUT_LEN];

/// A key as the compression wants it.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Key([u32; 8]);

/// One plaintext of several chunks on its way to its hash.
struct Tree {
    /// Whose hash it is.
    index: usize,
    /// Where its values begin.
    start: usize,
    /// How many are left; one is the hash.
    count: usize,
}

/// The keyed hashes of the plaintexts that `run` holds one after the other.
pub(crate) fn keyed_hashes(key: &[u8; 32], run: &[u8], lengths: &[usize]) -> Zeroizing<Vec<Value>> {
    let platform = Platform::detect();
    let words = Key(words(key));
    let mut hashes = Zeroizing::new(vec![[0u8; OUT_LEN]; lengths.len()]);
    let mut trees = Vec::with_capacity(lengths.len());
    let mut values: Zeroizing<Vec<Value>> = Zeroizing::new(Vec::with_capacity(run.len() / CHUNK_LEN + lengths.len()));
    let mut groups: [Group<'_>; CHUNKS_MAX] = std::array::from_fn(|_| Group::default());
    let mut rest = run;
    for (index, length) in lengths.iter().enumerate() {
        let (plaintext, after) = rest.split_at((*length).min(rest.len()));
        rest = after;
        let count = plaintext.len().div_ceil(CHUNK_LEN);
        if !(2..=CHUNKS_MAX).contains(&count) {
            hashes[index] = *blake3::keyed_hash(key, plaintext).as_bytes();
            continue;
        }
        trees.push(Tree { index, start: values.len(), count });
        let (chunks, tail) = plaintext.as_chunks::<CHUNK_LEN>();
        for ((chunk, group), counter) in chunks.iter().zip(&mut groups).zip(0u64..) {
            group.add(chunk, values.len());
            values.push([0u8; OUT_LEN]);
            if group.count == TOGETHER {
                group.flush(platform, &words, counter, &mut values);
            }
        }
        if !tail.is_empty() {
            values.push(last_chunk(platform, &words, tail, chunks.len() as u64));
        }
    }
    for (group, counter) in groups.iter_mut().zip(0u64..) {
        group.flush(platform, &words, counter, &mut values);
    }
    while !trees.is_empty() {
        values = parents(platform, &words, &mut trees, &values);
        trees.retain(|tree| {
            if tree.count == 1 {
                hashes[tree.index] = values[tree.start];
            }
            tree.count > 1
        });
    }
    hashes
}

/// Whole chunks with the same place in their plaintexts.
#[derive(Default)]
struct Group<'p> {
    chunks: [Option<&'p [u8; CHUNK_LEN]>; TOGETHER],
    /// Where the values of the chunks belong.
    places: [usize; TOGETHER],
    count: usize,
}

impl<'p> Group<'p> {
    fn add(&mut self, chunk: &'p [u8; CHUNK_LEN], place: usize) {
        self.chunks[self.count] = Some(chunk);
        self.places[self.count] = place;
        self.count += 1;
    }

    fn flush(&mut self, platform: Platform, key: &Key, counter: u64, values: &mut [Value]) {
        let mut inputs = [&[0u8; CHUNK_LEN]; TOGETHER];
        let waiting = self.chunks.iter().take(self.count).flatten();
        inputs.iter_mut().zip(waiting).for_each(|(input, chunk)| *input = chunk);
        let found = hash_many(platform, key, &inputs[..self.count], counter, KEYED_HASH, (CHUNK_START, CHUNK_END));
        for (value, place) in found.iter().zip(self.places).take(self.count) {
            values[place] = *value;
        }
        self.count = 0;
    }
}

/// One step up all trees: pairs become their parents, and an odd value at the end of its tree stays what it is.
fn parents(platform: Platform, key: &Key, trees: &mut [Tree], values: &[Value]) -> Zeroizing<Vec<Value>> {
    let mut above: Zeroizing<Vec<Value>> = Zeroizing::new(Vec::with_capacity(values.len() / 2 + trees.len()));
    let mut inner: Vec<(&[u8; BLOCK_LEN], usize)> = Vec::with_capacity(values.len() / 2);
    let mut roots: Vec<(&[u8; BLOCK_LEN], usize)> = Vec::with_capacity(trees.len());
    for tree in trees {
        let own = &values[tree.start..tree.start + tree.count];
        tree.start = above.len();
        let pairs = if tree.count == 2 { &mut roots } else { &mut inner };
        let (blocks, odd) = own.as_flattened().as_chunks::<BLOCK_LEN>();
        for block in blocks {
            pairs.push((block, above.len()));
            above.push([0u8; OUT_LEN]);
        }
        above.extend(<Value>::try_from(odd).ok());
        tree.count = above.len() - tree.start;
    }
    for (pairs, flags) in [(inner, KEYED_HASH | PARENT), (roots, KEYED_HASH | PARENT | ROOT)] {
        for group in pairs.chunks(TOGETHER) {
            let mut inputs = [&[0u8; BLOCK_LEN]; TOGETHER];
            inputs.iter_mut().zip(group).for_each(|(input, (block, _))| *input = block);
            let found = hash_many(platform, key, &inputs[..group.len()], 0, flags, (0, 0));
            for (value, (_, place)) in found.iter().zip(group) {
                above[*place] = *value;
            }
        }
    }
    above
}

fn hash_many<const N: usize>(
    platform: Platform,
    key: &Key,
    inputs: &[&[u8; N]],
    counter: u64,
    flags: u8,
    (start, end): (u8, u8),
) -> Zeroizing<[Value; TOGETHER]> {
    let mut out = Zeroizing::new([[0u8; OUT_LEN]; TOGETHER]);
    platform.hash_many(inputs, &key.0, counter, IncrementCounter::No, flags, start, end, out.as_flattened_mut());
    out
}

/// The value of the last chunk of a plaintext, which is not whole: block after block.
fn last_chunk(platform: Platform, key: &Key, tail: &[u8], counter: u64) -> Value {
    let mut chaining = Zeroizing::new(key.0);
    let count = tail.len().div_ceil(BLOCK_LEN);
    for (number, bytes) in tail.chunks(BLOCK_LEN).enumerate() {
        let mut block = Zeroizing::new([0u8; BLOCK_LEN]);
        block[..bytes.len()].copy_from_slice(bytes);
        let mut flags = KEYED_HASH;
        flags |= if number == 0 { CHUNK_START } else { 0 };
        flags |= if number + 1 == count { CHUNK_END } else { 0 };
        let length = u8::try_from(bytes.len()).unwrap_or(0);
        platform.compress_in_place(&mut chaining, &block, length, counter, flags);
    }
    let mut value = [0u8; OUT_LEN];
    let (bytes, _) = value.as_chunks_mut::<4>();
    bytes.iter_mut().zip(chaining.iter()).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
    value
}

fn words(key: &[u8; 32]) -> [u32; 8] {
    let (bytes, _) = key.as_chunks::<4>();
    std::array::from_fn(|at| bytes.get(at).map_or(0, |word| u32::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 32] = b"whats the Elvish word for friend";

    /// Bytes that differ from place to place.
    fn text(bytes: usize) -> Vec<u8> {
        (0u32..).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).take(bytes).collect()
    }

    fn one_by_one(run: &[u8], lengths: &[usize]) -> Vec<Value> {
        let mut rest = run;
        let hash = |length: &usize| {
            let (plaintext, after) = rest.split_at(*length);
            rest = after;
            *blake3::keyed_hash(KEY, plaintext).as_bytes()
        };
        lengths.iter().map(hash).collect()
    }

    #[test]
    fn every_length_has_its_keyed_hash() {
        let text = text((CHUNKS_MAX + 2) * CHUNK_LEN);
        for length in 0..=text.len() {
            let run = &text[..length];
            assert_eq!(*keyed_hashes(KEY, run, &[length]), one_by_one(run, &[length]), "{length} bytes");
        }
    }

    #[test]
    fn plaintexts_of_all_lengths_together_have_theirs() {
        let lengths: Vec<usize> = (0..600).map(|number| number * 7919 % (18 * CHUNK_LEN)).collect();
        let run = text(lengths.iter().sum());
        assert_eq!(*keyed_hashes(KEY, &run, &lengths), one_by_one(&run, &lengths));
        for count in 1..40 {
            for length in [1024, 1025, 2048, 3000, 4096, 5121, 8192, 16_384, 16_385] {
                let lengths = vec![length; count];
                let run = text(length * count);
                assert_eq!(*keyed_hashes(KEY, &run, &lengths), one_by_one(&run, &lengths), "{count} of {length} bytes");
            }
        }
    }

    /// The key and the first hashes of BLAKE3's own test vectors (`test_vectors.json` of the reference implementation): the input repeats 0 to 250.
    #[test]
    fn published_vectors() {
        let input: Vec<u8> = (0..=250u8).cycle().take(8193).collect();
        let hex = |bytes: &Value| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (length, expected) in [
            (2048, "879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1"),
            (3072, "044a0e7b172a312dc02a4c9a818c036ffa2776368d7f528268d2e6b5df191770"),
            (8192, "dc9637c8845a770b4cbf76b8daec0eebf7dc2eac11498517f08d44c8fc00d58a"),
        ] {
            assert_eq!(hex(&keyed_hashes(KEY, &input[..length], &[length])[0]), expected, "{length} bytes");
        }
    }
}
