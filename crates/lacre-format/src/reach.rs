//! A reach map: which frames a snapshot uses, as runs of slots per pack. Garbage collection needs nothing else.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::{
    codec::{Cursor, put_varint},
    error::FormatError,
    ids::{Millis, PackId, RepositoryId, Salt, SnapshotId},
    pack::{Birth, SLOT_LAST, SLOTS_MAX},
};

/// Most packs of one reach map: 16 TiB of packs.
pub const REACH_PACKS_MAX: u32 = 1 << 20;
/// Largest reach object.
pub const REACH_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Most memory of one decoded map, in words of 64 slots: 512 MiB. A run of a few bytes may stand for a million slots, so the
/// length of the input does not bound what it unfolds to.
pub const REACH_WORDS_MAX: usize = 1 << 26;

const WHAT: &str = "reach map";

/// A reach map made again from a snapshot's root, because the one its writer signed for is lost: an admin or maintenance home signs
/// for this one.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RebuiltReach {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// When it was made, by the clock of its signer.
    #[n(2)]
    pub made: Millis,
    /// Salt of the map's key.
    #[n(3)]
    pub salt: Salt,
    /// The map, sealed as the first one was.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub map: Vec<u8>,
}

/// A set of births.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    packs: BTreeMap<PackId, Bits>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn position(slot: u32) -> (usize, u64) {
        (usize::try_from(slot >> 6).unwrap_or(usize::MAX), 1u64.checked_shl(slot & 63).unwrap_or_default())
    }

    fn insert(&mut self, slot: u32) {
        let (index, bit) = Self::position(slot);
        if self.words.len() <= index {
            self.words.resize(index.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(index) {
            *word |= bit;
        }
    }

    /// Adds the slots from `start` up to and without `end`, a word at a time.
    fn insert_run(&mut self, start: u32, end: u32) {
        let (first, _) = Self::position(start);
        let (last, _) = Self::position(end.saturating_sub(1));
        if start >= end {
            return;
        }
        if self.words.len() <= last {
            self.words.resize(last.saturating_add(1), 0);
        }
        let from_start = u64::MAX.checked_shl(start & 63).unwrap_or_default();
        let to_end = u64::MAX.checked_shr(63u32.saturating_sub(end.saturating_sub(1) & 63)).unwrap_or_default();
        for (index, word) in self.words.iter_mut().enumerate().take(last.saturating_add(1)).skip(first) {
            let mut mask = u64::MAX;
            if index == first {
                mask &= from_start;
            }
            if index == last {
                mask &= to_end;
            }
            *word |= mask;
        }
    }

    fn contains(&self, slot: u32) -> bool {
        let (index, bit) = Self::position(slot);
        self.words.get(index).is_some_and(|word| word & bit != 0)
    }

    fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let base = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(64);
            (0..64u32)
                .filter(move |bit| word.checked_shr(*bit).is_some_and(|word| word & 1 == 1))
                .map(move |bit| base.saturating_add(bit))
        })
    }
}

impl Reach {
    /// Adds a birth; a slot beyond the last that a pack can have is no birth and is left out.
    pub fn insert(&mut self, birth: Birth) {
        if birth.slot <= SLOT_LAST {
            self.packs.entry(birth.pack).or_default().insert(birth.slot);
        }
    }

    /// Adds everything of another set.
    pub fn merge(&mut self, other: &Self) {
        for (pack, bits) in &other.packs {
            let mine = self.packs.entry(*pack).or_default();
            if mine.words.len() < bits.words.len() {
                mine.words.resize(bits.words.len(), 0);
            }
            for (word, more) in mine.words.iter_mut().zip(&bits.words) {
                *word |= more;
            }
        }
    }

    /// Takes every birth of a pack out of the set.
    pub fn remove(&mut self, pack: PackId) {
        self.packs.remove(&pack);
    }

    /// Whether a birth is in the set.
    #[must_use]
    pub fn contains(&self, birth: Birth) -> bool {
        self.packs.get(&birth.pack).is_some_and(|bits| bits.contains(birth.slot))
    }

    /// The packs in which the set has births, in order.
    pub fn packs(&self) -> impl Iterator<Item = PackId> + '_ {
        self.packs.keys().copied()
    }

    /// The slots used of one pack, in order.
    pub fn slots(&self, pack: PackId) -> impl Iterator<Item = u32> + '_ {
        self.packs.get(&pack).into_iter().flat_map(Bits::slots)
    }

    /// How many births the set has.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.packs.values().flat_map(|bits| &bits.words).map(|word| u64::from(word.count_ones())).sum()
    }

    /// The map's plaintext: packs in order, each with its runs of (gap, length).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![1];
        put_varint(&mut out, u64::try_from(self.packs.len()).unwrap_or(u64::MAX));
        for (pack, bits) in &self.packs {
            out.extend_from_slice(pack.as_bytes());
            let runs = runs(bits.slots());
            put_varint(&mut out, u64::try_from(runs.len()).unwrap_or(u64::MAX));
            let mut end = 0u32;
            for (start, length) in runs {
                put_varint(&mut out, u64::from(start.saturating_sub(end)));
                put_varint(&mut out, u64::from(length));
                end = start.saturating_add(length);
            }
        }
        out
    }

    /// Reads the map's plaintext.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged map; packs out of order, empty and touching runs are refused, so a set has one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let version = cursor.byte()?;
        if version != 1 {
            return Err(FormatError::BadVersion { what: WHAT, found: u64::from(version), known: 1 });
        }
        let mut packs = BTreeMap::new();
        let mut previous: Option<PackId> = None;
        let mut words = 0usize;
        for _ in 0..cursor.bounded(REACH_PACKS_MAX)? {
            let pack = PackId::new(cursor.array()?);
            if previous.is_some_and(|previous| previous >= pack) {
                return Err(FormatError::malformed(WHAT, "packs out of order"));
            }
            previous = Some(pack);
            let bits = bits(&mut cursor)?;
            words = words.saturating_add(bits.words.len());
            if words > REACH_WORDS_MAX {
                let (found, allowed) = (u64::try_from(words), u64::try_from(REACH_WORDS_MAX));
                let (found, allowed) = (found.unwrap_or(u64::MAX), allowed.unwrap_or(u64::MAX));
                return Err(FormatError::TooLarge { what: WHAT, found, allowed });
            }
            packs.insert(pack, bits);
        }
        cursor.finish()?;
        Ok(Self { packs })
    }
}

fn runs(slots: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for slot in slots {
        match runs.last_mut() {
            Some((start, length)) if start.saturating_add(*length) == slot => *length = length.saturating_add(1),
            _ => runs.push((slot, 1)),
        }
    }
    runs
}

fn bits(cursor: &mut Cursor<'_>) -> Result<Bits, FormatError> {
    let mut bits = Bits::default();
    let mut end = 0u32;
    let count = cursor.bounded(SLOTS_MAX)?;
    if count == 0 {
        return Err(FormatError::malformed(WHAT, "a pack without slots"));
    }
    for index in 0..count {
        let gap = cursor.bounded(SLOT_LAST)?;
        let length = cursor.bounded(SLOTS_MAX)?;
        let start = end.saturating_add(gap);
        end = start.saturating_add(length);
        if length == 0 || (gap == 0 && index > 0) || end > SLOTS_MAX {
            return Err(FormatError::malformed(WHAT, "an empty, touching or endless run"));
        }
        bits.insert_run(start, end);
    }
    Ok(bits)
}
