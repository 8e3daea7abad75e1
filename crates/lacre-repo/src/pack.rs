//! Packs being filled: sealed frames in, one object with its name and footer out.

use bytes::Bytes;
use lacre_format::{
    FormatError, codec,
    ids::{PackId, PackName, RepositoryId},
    object::{self, Kind},
    pack::{Birth, Footer, FrameEntry, PACK_BYTES_TARGET, SLOTS_MAX, TRAILER_BYTES, Trailer},
};
use lacre_seal::{
    entropy,
    structure::{Structure, StructureKey},
};

use crate::{catalog::KnownPack, error::Error, store::Store};

/// A pack that still takes frames.
pub(crate) struct OpenPack {
    id: PackId,
    frames: Vec<u8>,
    spans: Vec<(usize, usize, u8)>,
    /// Where each frame was born, when this pack takes frames of others; empty otherwise.
    births: Vec<Birth>,
}

/// A pack ready to be stored.
pub(crate) struct ClosedPack {
    pub(crate) known: KnownPack,
    pub(crate) object: Bytes,
}

impl OpenPack {
    /// Opens a pack over a buffer, which an earlier pack may have used: a run needs two or three buffers of 16 MiB in all, and memory that
    /// is given back and asked for again piles up in the allocator.
    pub(crate) fn new(mut buffer: Vec<u8>) -> Result<Self, Error> {
        buffer.clear();
        Ok(Self { id: entropy::pack_id()?, frames: buffer, spans: Vec::new(), births: Vec::new() })
    }

    /// Adds a frame and names it for ever.
    pub(crate) fn add(&mut self, level: u8, frame: &[u8]) -> Birth {
        let slot = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        self.spans.push((self.frames.len(), frame.len(), level));
        if self.frames.capacity() - self.frames.len() < frame.len() {
            // Doubling would reserve 32 MiB for a pack of 16: grow by steps near the end.
            let more = self.frames.len().clamp(256 * 1024, 4 * 1024 * 1024).max(frame.len());
            self.frames.reserve_exact(more);
        }
        self.frames.extend_from_slice(frame);
        Birth { pack: self.id, slot }
    }

    /// Adds a frame that was born elsewhere, and keeps its name. A pack takes either new frames or moved ones.
    pub(crate) fn add_moved(&mut self, level: u8, frame: &[u8], birth: Birth) {
        self.add(level, frame);
        self.births.push(birth);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.holds(PACK_BYTES_TARGET)
    }

    /// Whether it holds so many bytes, or as many frames as a pack may.
    pub(crate) fn holds(&self, bytes: usize) -> bool {
        self.frames.len() >= bytes || self.spans.len() >= SLOTS_MAX as usize - 1
    }

    /// Shuffles the frames into another buffer, seals the footer and names the pack by its bytes; gives its own buffer back.
    pub(crate) fn close(
        self,
        key: &StructureKey,
        repository: RepositoryId,
        mut object: Vec<u8>,
    ) -> Result<(ClosedPack, Vec<u8>), Error> {
        let Self { id, frames, spans, births } = self;
        let order = shuffled(spans.len(), entropy::shuffle_seed()?);
        object.clear();
        object.reserve(frames.len() + spans.len() * 8 + 4096);
        object.extend_from_slice(&object::start(Kind::Pack));
        let mut entries = vec![FrameEntry { offset: 0, bytes: 0, level: 0, born: None }; spans.len()];
        for slot in order {
            let (start, length, level) = spans[slot];
            let offset = length_u32(object.len())?;
            entries[slot] = FrameEntry { offset, bytes: length_u32(length)?, level, born: births.get(slot).copied() };
            object.extend_from_slice(&frames[start..start + length]);
        }
        let mut footer = Footer { pack: id, frames: entries }.encode();
        // It waits for the end of the run beside the footers of all other packs.
        footer.shrink_to_fit();
        let sealed = key.seal(Structure::Footer, repository, &footer)?;
        object.extend_from_slice(&sealed.ciphertext);
        object.extend_from_slice(&Trailer::encode(sealed.salt, length_u32(sealed.ciphertext.len())?));
        let name = PackName::new(*blake3::hash(&object).as_bytes());
        let bytes = u64::try_from(object.len()).unwrap_or(u64::MAX);
        Ok((ClosedPack { known: KnownPack { id, name, bytes, footer }, object: Bytes::from(object) }, frames))
    }
}

fn length_u32(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::Bug { why: format!("a pack of {length} bytes") })
}

/// A random order of `0..count`: Fisher and Yates, driven by splitmix64 from a random seed.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed;
    for last in (1..count).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let span = u128::try_from(last).unwrap_or_default() + 1;
        let pick = usize::try_from((u128::from(mixed) * span) >> 64).unwrap_or_default();
        order.swap(last, pick);
    }
    order
}

/// Reads a pack's footer from the pack itself.
pub(crate) fn read_footer(
    store: &Store,
    key: &StructureKey,
    repository: RepositoryId,
    name: PackName,
    bytes: u64,
) -> Result<KnownPack, Error> {
    let object_name = lacre_format::name::ObjectName::of(&lacre_format::name::Named::Pack(name));
    let tail_bytes = TRAILER_BYTES as u64;
    let start = bytes.checked_sub(tail_bytes).ok_or_else(|| short(&object_name))?;
    let tail = store.get_range(&object_name, start..bytes)?;
    let trailer = Trailer::decode(&tail, bytes).map_err(|error| Error::format(&object_name, error))?;
    let end = trailer.footer_start + u64::from(trailer.footer_bytes);
    let sealed = store.get_range(&object_name, trailer.footer_start..end)?;
    let footer = key
        .open(Structure::Footer, repository, trailer.salt, &sealed)
        .map_err(|error| Error::damaged(&object_name, error.to_string()))?;
    let decoded = Footer::decode(&footer).map_err(|error| Error::format(&object_name, error))?;
    Ok(KnownPack { id: decoded.pack, name, bytes, footer })
}

/// The footer of a pack that was read whole.
pub(crate) fn footer_of(
    key: &StructureKey,
    repository: RepositoryId,
    name: &lacre_format::name::ObjectName,
    object: &[u8],
) -> Result<Footer, Error> {
    let tail_start = object.len().checked_sub(TRAILER_BYTES).ok_or_else(|| short(name))?;
    let (before, tail) = object.split_at(tail_start);
    let trailer = Trailer::decode(tail, object.len() as u64).map_err(|error| Error::format(name, error))?;
    let start = usize::try_from(trailer.footer_start).unwrap_or(usize::MAX);
    let sealed = before.get(start..).ok_or_else(|| short(name))?;
    let footer = key
        .open(Structure::Footer, repository, trailer.salt, sealed)
        .map_err(|error| Error::damaged(name, error.to_string()))?;
    Footer::decode(&footer).map_err(|error| Error::format(name, error))
}

fn short(name: &lacre_format::name::ObjectName) -> Error {
    Error::format(name, FormatError::Truncated { what: "pack" })
}

/// The object that holds something sealed with the structure key: its start and the salted ciphertext.
pub(crate) fn salted_object(kind: Kind, salted: &lacre_format::segment::Salted) -> Vec<u8> {
    object::with_start(kind, &codec::to_cbor(salted))
}
