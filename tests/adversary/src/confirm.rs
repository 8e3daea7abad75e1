//! Confirming guesses: is anything that was stored a function of what was erased?
//!
//! In: the loot, the keys that are left, guessed plaintexts. Out: the guesses for which any derivation of the document (every label, every
//! tag, every key at hand, one and two steps deep) gives bytes that lie somewhere in the loot. It knows no place in which to look: every
//! eight bytes of every object, name and file are compared.

use std::collections::HashSet;

use crate::{
    keys::{Key, LABELS, TAGS, dk, fingerprint, kh},
    loot::Loot,
};

/// Bytes that are compared: two different values agree in so many by chance once in 2^64.
const PREFIX_BYTES: usize = 8;

/// All bytes of the loot, ready to be asked for.
pub struct Oracle {
    windows: HashSet<u64>,
    keys: Vec<Key>,
}

impl Oracle {
    /// Reads everything; `keys` are all the keys that are left.
    #[must_use]
    pub fn over(loot: &Loot, keys: impl IntoIterator<Item = Key>) -> Self {
        let mut windows = HashSet::new();
        let mut take = |bytes: &[u8]| windows.extend(bytes.windows(PREFIX_BYTES).map(number));
        for (name, bytes) in loot.bytes() {
            take(bytes);
            take(name.as_bytes());
            // Names spell hashes in hexadecimal.
            name.split(|letter: char| !letter.is_ascii_hexdigit()).filter_map(unhex).for_each(|bytes| take(&bytes));
        }
        let mut keys: Vec<Key> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        Self { windows, keys }
    }

    /// How many different places there are to hit.
    #[must_use]
    pub fn places(&self) -> usize {
        self.windows.len()
    }

    /// How many derived values one guess is tried with.
    #[must_use]
    pub fn derivations(&self) -> usize {
        self.derived(b"").len()
    }

    /// The guesses of which something derived lies in the loot.
    #[must_use]
    pub fn hits<'g>(&self, guesses: &'g [Vec<u8>]) -> Vec<&'g [u8]> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let of = |some: &'g [Vec<u8>]| -> Vec<&'g [u8]> {
            let hit =
                |guess: &&'g Vec<u8>| self.derived(guess).iter().any(|value| self.windows.contains(&number(value)));
            some.iter().filter(hit).map(Vec::as_slice).collect()
        };
        std::thread::scope(|scope| {
            let parts = guesses.chunks(guesses.len().div_ceil(threads).max(1));
            let running: Vec<_> = parts.map(|part| scope.spawn(move || of(part))).collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        })
    }

    /// Everything the document's derivations make of a plaintext and the keys at hand: hashes of it, and hashes of those hashes.
    fn derived(&self, plaintext: &[u8]) -> Vec<Key> {
        let mut first: Vec<Key> = vec![*blake3::hash(plaintext).as_bytes()];
        first.extend(LABELS.iter().map(|label| dk(label, &[plaintext])));
        for key in &self.keys {
            first.push(kh(key, &[plaintext]));
            first.push(fingerprint(key, 0, plaintext));
            first.extend(TAGS.iter().map(|tag| kh(key, &[&[*tag], plaintext])));
            // A hash stands for a plaintext in the second step, so long inputs are hashed once for each key and label only.
            first.push(kh(&kh(key, &[b"L", &[0]]), &[plaintext]));
        }
        let prints: Vec<Key> = std::iter::once(first[0])
            .chain(self.keys.iter().map(|key| fingerprint(key, 0, plaintext)))
            .chain(self.keys.iter().map(|key| kh(key, &[plaintext])))
            .collect();
        let mut second = Vec::new();
        for print in &prints {
            second.extend(LABELS.iter().map(|label| dk(label, &[print])));
            for key in &self.keys {
                second.push(kh(key, &[print]));
                second.extend(TAGS.iter().map(|tag| kh(key, &[&[*tag], print])));
                second.push(dk("frame secret", &[key, print]));
            }
        }
        first.extend(second);
        first
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<PREFIX_BYTES>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() < 2 * PREFIX_BYTES || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}
