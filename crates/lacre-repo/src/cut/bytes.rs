//! The byte cutter: FastCDC (version of 2020) with a fully keyed gear table.

use std::sync::Arc;

use fastcdc::v2020::{Normalization, cut_gear, select_masks};

use super::{CutKeys, EndOfStream};

/// Sizes of a FastCDC cutter, in bytes, all even.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) min: usize,
    pub(super) target: usize,
    pub(super) max: usize,
}

/// Sizes for streams without rows.
pub(super) const STREAM_SIZES: Sizes = Sizes { min: 16 * 1024, target: 64 * 1024, max: 256 * 1024 };

/// Sizes for the inside of very long rows.
pub(super) const LONG_ROW_SIZES: Sizes = Sizes { min: 64 * 1024, target: 256 * 1024, max: super::CHUNK_BYTES_MAX };

/// Cuts a stream wherever its content says so; chunks have 16 to 256 KiB, the last one may be shorter.
pub struct ByteCutter {
    keys: Arc<CutKeys>,
}

impl ByteCutter {
    /// A cutter at the start of a stream.
    #[must_use]
    pub fn new(keys: Arc<CutKeys>) -> Self {
        Self { keys }
    }

    /// The length of the next chunk; see [`super::Cutter::next_cut`].
    pub fn next_cut(&mut self, buffer: &[u8], end: EndOfStream) -> Option<usize> {
        if buffer.is_empty() || (end == EndOfStream::No && buffer.len() < STREAM_SIZES.max) {
            return None;
        }
        Some(gear_cut(&self.keys, STREAM_SIZES, buffer))
    }
}

/// The length of the first piece of `source`, which is whole or at least `sizes.max` bytes long.
pub(super) fn gear_cut(keys: &CutKeys, sizes: Sizes, source: &[u8]) -> usize {
    let (mask_small, mask_large) = select_masks(sizes.target, Normalization::Level1);
    let (gear, gear_ls): (&[u64], &[u64]) = (keys.gear.as_slice(), keys.gear_ls.as_slice());
    let (small_ls, large_ls) = (mask_small << 1, mask_large << 1);
    let (_, length) =
        cut_gear(source, sizes.min, sizes.target, sizes.max, mask_small, mask_large, small_ls, large_ls, gear, gear_ls);
    length
}
