//! A cell's slots: one generation of the seal each, with a checksum, in a fixed place.
//!
//! A cell is a set of generations and never one value that is overwritten (protocol rule 9). This module lays out one slot of
//! 4 KiB; the vault writes slots and reads them back.
//!
//! ```text
//! "lacrC" version u16 | repository 16 | number u32 | hash 8 | seed 32 | BLAKE3-256 of all before | zeros up to 4096
//! ```

use lacre_format::ids::{GenerationId, RepositoryId};
use zeroize::Zeroizing;

use crate::outer::SealSeed;

/// Bytes of one slot.
pub const SLOT_BYTES: usize = 4096;
/// Slots of a cell file.
pub const SLOTS: usize = 16;

const MAGIC: &[u8; 8] = b"lacreC\x01\x00";
const CONTENT_BYTES: usize = 8 + RepositoryId::LEN + 4 + 8 + 32;

/// What a slot holds.
pub enum Slot {
    /// Nothing: never used, or destroyed.
    Empty,
    /// A generation of a repository's seal.
    Full(SealedSlot),
    /// Bytes that are neither: a torn write, or damage.
    Damaged,
}

/// One generation in a slot.
pub struct SealedSlot {
    /// The repository.
    pub repository: RepositoryId,
    /// The generation.
    pub generation: GenerationId,
    /// Its secret.
    pub seed: SealSeed,
}

/// Lays out a slot.
#[must_use]
pub fn encode_slot(repository: RepositoryId, generation: GenerationId, seed: &SealSeed) -> Zeroizing<Vec<u8>> {
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(repository.as_bytes());
    slot.extend_from_slice(&generation.number.to_le_bytes());
    slot.extend_from_slice(&generation.hash);
    slot.extend_from_slice(seed.to_cell_bytes().as_slice());
    let checksum = blake3::hash(&slot);
    slot.extend_from_slice(checksum.as_bytes());
    slot.resize(SLOT_BYTES, 0);
    slot
}

/// Reads a slot.
#[must_use]
pub fn decode_slot(slot: &[u8]) -> Slot {
    if slot.iter().all(|byte| *byte == 0) {
        return Slot::Empty;
    }
    read_slot(slot).map_or(Slot::Damaged, Slot::Full)
}

/// Whose a slot says it is, legible or not: a damaged slot is still that repository's, as far as this field survived.
#[must_use]
pub fn claimed_repository(slot: &[u8]) -> Option<RepositoryId> {
    let id = slot.get(MAGIC.len()..)?.first_chunk::<{ RepositoryId::LEN }>()?;
    Some(RepositoryId::new(*id))
}

fn read_slot(slot: &[u8]) -> Option<SealedSlot> {
    let (content, rest) = slot.split_at_checked(CONTENT_BYTES)?;
    let (checksum, zeros) = rest.split_first_chunk::<32>()?;
    if slot.len() != SLOT_BYTES || blake3::hash(content) != *checksum || zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?;
    let (repository, rest) = rest.split_first_chunk::<{ RepositoryId::LEN }>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (hash, seed) = rest.split_first_chunk::<8>()?;
    let seed = SealSeed::from_bytes(Zeroizing::new(<[u8; 32]>::try_from(seed).ok()?));
    let generation = GenerationId { number: u32::from_le_bytes(*number), hash: *hash };
    let fits = seed.public().hash8() == *hash;
    fits.then_some(SealedSlot { repository: RepositoryId::new(*repository), generation, seed })
}
