//! The code itself: recovery shards, computed from the shards of a pack group by group.
//!
//! In: shards. Out: their recovery shards, the same bytes that the library's own encoder gives. That one takes a stripe of every shard before
//! it begins, 2 MiB for a full pack, and goes through it several times. But the code is a sum: of every group of as many shards as there are
//! recovery shards (rounded up to a power of two) its transform is added up, and the sum is transformed back. So two groups of a stripe are
//! enough to work in, and they stay in the cache of a processor.

use reed_solomon_simd::engine::{DefaultEngine, Engine as _, ShardsRefMut, utils};

/// Bytes of every shard that are worked on at a time: 128 KiB in all for a full pack.
const STRIPE_BYTES: usize = 2048;
/// What the library counts the length of a shard in.
const BLOCK_BYTES: usize = 64;

/// How many shards there are, and how long each is: a multiple of [`BLOCK_BYTES`].
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) data: usize,
    pub(super) recovery: usize,
    pub(super) shard_bytes: usize,
}

/// Computes the recovery shards, one behind the other.
pub(super) fn recovery_of<'s>(shape: Shape, shard_at: &dyn Fn(usize) -> &'s [u8]) -> Vec<u8> {
    let Shape { data, recovery, shard_bytes } = shape;
    let mut shards = vec![0; recovery * shard_bytes];
    let group = recovery.next_power_of_two();
    let engine = DefaultEngine::new();
    let blocks_max = STRIPE_BYTES.min(shard_bytes) / BLOCK_BYTES;
    let mut work = vec![[0; BLOCK_BYTES]; 2 * group * blocks_max];
    let (sum, part) = work.split_at_mut(group * blocks_max);
    for start in (0..shard_bytes).step_by(STRIPE_BYTES) {
        let end = shard_bytes.min(start + STRIPE_BYTES);
        let blocks = (end - start) / BLOCK_BYTES;
        let (sum, part) = (&mut sum[..group * blocks], &mut part[..group * blocks]);
        for first in (0..data).step_by(group) {
            let count = group.min(data - first);
            let target = if first == 0 { &mut *sum } else { &mut *part };
            for (place, index) in target.chunks_exact_mut(blocks).zip(first..first + count) {
                place.as_flattened_mut().copy_from_slice(&shard_at(index)[start..end]);
            }
            target[count * blocks..].fill([0; BLOCK_BYTES]);
            engine.ifft(&mut ShardsRefMut::new(group, blocks, target), 0, group, count, first + group);
            if first > 0 {
                utils::xor(sum, part);
            }
        }
        engine.fft(&mut ShardsRefMut::new(group, blocks, sum), 0, group, recovery, 0);
        for (index, piece) in sum.chunks_exact(blocks).take(recovery).enumerate() {
            let at = index * shard_bytes + start;
            shards[at..at + (end - start)].copy_from_slice(piece.as_flattened());
        }
    }
    shards
}
