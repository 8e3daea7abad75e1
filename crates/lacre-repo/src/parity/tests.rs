//! Every burst of three percent is corrected, also beside damage of the parity itself; more is refused and never guessed.

use lacre_format::{ids::PackName, parity::division};
use proptest::prelude::*;

use reed_solomon_simd::{
    engine::DefaultEngine,
    rate::{HighRateEncoder, RateEncoder as _},
};

use super::{
    Corrected, Uncorrected,
    code::{Shape, recovery_of},
    correct, encode, is_whole,
};

fn pack(length: usize) -> (PackName, Vec<u8>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = vec![0; length];
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = state.to_le_bytes()[7];
    }
    (PackName::new(*blake3::hash(&bytes).as_bytes()), bytes)
}

fn attempt(name: PackName, parity: &[u8], stored: &[u8]) -> Result<Corrected, Uncorrected> {
    let read = |range: std::ops::Range<u64>| {
        let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        stored.get(start..end).map(<[u8]>::to_vec)
    };
    correct(name, parity, &read)
}

fn spoil(bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte ^= 0xa5);
}

/// What version 1 wrote on its first day: another code, division or order would give other bytes.
#[test]
fn parity_is_computed_as_on_the_first_day() {
    let (name, bytes) = pack(300_000);
    let parity = encode(name, &bytes);
    assert_eq!(parity.len(), 19_010);
    let digest = blake3::hash(&parity).to_hex();
    let document = include_str!("../../../../docs/FORMAT.md");
    assert!(document.contains(digest.as_str()), "docs/FORMAT.md does not name {digest}");
}

/// The recovery shards as the library's own encoder computes them.
fn by_the_library(shape: Shape, shards: &[Vec<u8>]) -> Vec<u8> {
    let Shape { data, recovery, shard_bytes } = shape;
    let mut encoder = HighRateEncoder::new(data, recovery, shard_bytes, DefaultEngine::new(), None).unwrap();
    shards.iter().for_each(|shard| encoder.add_original_shard(shard).unwrap());
    encoder.encode().unwrap().recovery_iter().flatten().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn group_by_group_gives_what_the_library_gives(
        data in 1..600usize,
        recovery in 1..40usize,
        blocks in 1..80usize,
        seed in any::<u64>(),
    ) {
        let shape = Shape { data, recovery, shard_bytes: blocks * 64 };
        let (_, bytes) = pack(data * shape.shard_bytes + usize::from(seed.to_le_bytes()[0]));
        let shards: Vec<Vec<u8>> = bytes.chunks_exact(shape.shard_bytes).take(data).map(<[u8]>::to_vec).collect();
        let found = recovery_of(shape, &|index| shards[index].as_slice());
        prop_assert!(found == by_the_library(shape, &shards));
    }

    #[test]
    fn any_burst_of_three_percent_is_corrected(
        length in prop_oneof![1..9_000usize, 9_000..400_000usize, 2_000_000..2_300_000usize],
        at in any::<prop::sample::Index>(),
    ) {
        let (name, bytes) = pack(length);
        let parity = encode(name, &bytes);
        prop_assert!(is_whole(name, &parity));
        let burst = (length * 3 / 100).max(1);
        let start = at.index(length - burst + 1);
        let mut stored = bytes.clone();
        spoil(&mut stored[start..start + burst]);
        let corrected = attempt(name, &parity, &stored).unwrap();
        prop_assert!(corrected.bytes == bytes && corrected.shards > 0);
        // A pack that was cut there, or grew, is no other case.
        prop_assert!(attempt(name, &parity, &bytes[..length - burst]).unwrap().bytes == bytes);
        let grown = [&bytes[..], b"more"].concat();
        prop_assert!(attempt(name, &parity, &grown).unwrap().bytes == bytes);
    }

    #[test]
    fn any_byte_of_a_parity_counts(length in 1..60_000usize, at in any::<prop::sample::Index>()) {
        let (name, bytes) = pack(length);
        let mut parity = encode(name, &bytes);
        let at = at.index(parity.len());
        parity[at] ^= 1;
        prop_assert!(!is_whole(name, &parity), "byte {at}");
        parity.truncate(at);
        prop_assert!(!is_whole(name, &parity), "cut at {at}");
    }
}

#[test]
fn a_damaged_parity_still_corrects_as_far_as_its_sound_shards_reach() {
    let (name, bytes) = pack(1_000_000);
    let whole = encode(name, &bytes);
    let (shard, recovery) = division(1_000_000);
    let (shard, recovery) = (shard as usize, recovery as usize);
    let mut stored = bytes.clone();
    (0..recovery - 1).for_each(|index| stored[index * 7 * shard] ^= 1);
    // One recovery shard is spoilt, and the header before it with it.
    let mut parity = whole.clone();
    spoil(&mut parity[..200]);
    let shards = whole.len() - recovery * shard;
    let first = (shards - 12 - 8) / 2 + 8;
    parity[first] ^= 1;
    assert!(attempt(name, &parity, &stored).unwrap().bytes == bytes);
    // Cut off behind its first header and all but one shard.
    let mut cut = whole.clone();
    cut.truncate(first + (recovery - 1) * shard + 5);
    assert!(attempt(name, &cut, &stored).unwrap().bytes == bytes);
    stored[(recovery - 1) * 7 * shard] ^= 1;
    let refused = attempt(name, &cut, &stored).unwrap_err();
    assert_eq!(refused, Uncorrected::TooMuch { damaged: recovery, recovery: recovery - 1 });
    assert!(attempt(name, &whole, &stored).unwrap().bytes == bytes, "the whole parity can");
}

#[test]
fn more_than_can_be_corrected_is_refused_and_another_packs_parity_too() {
    let (name, bytes) = pack(200_000);
    let parity = encode(name, &bytes);
    let mut stored = bytes.clone();
    spoil(&mut stored[50_000..90_000]);
    assert!(matches!(attempt(name, &parity, &stored), Err(Uncorrected::TooMuch { .. })));
    assert!(matches!(attempt(name, &parity, &[]), Err(Uncorrected::TooMuch { .. })));
    let (other, _) = pack(200_001);
    assert_eq!(attempt(other, &parity, &bytes).unwrap_err(), Uncorrected::NoParity);
    assert_eq!(attempt(name, &parity[..40], &bytes).unwrap_err(), Uncorrected::NoParity);
}

/// A parity that somebody else wrote, consistent in itself, gives nothing that is not the pack.
#[test]
fn a_forged_parity_changes_nothing() {
    let (name, bytes) = pack(100_000);
    let forged = encode(name, &vec![7; 100_000]);
    let mut stored = bytes;
    stored[5] ^= 1;
    assert!(matches!(attempt(name, &forged, &stored), Err(Uncorrected::TooMuch { .. })));
    assert!(matches!(attempt(name, &forged, &vec![7; 100_000]), Err(Uncorrected::Wrong)));
}
