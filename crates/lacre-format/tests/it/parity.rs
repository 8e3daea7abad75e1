//! Parity objects: how a pack is divided, and that a header is found whatever became of the rest.

use lacre_format::{
    pack::{PACK_BYTES_MAX, PACK_BYTES_TARGET},
    parity::{DATA_SHARDS_MAX, PARITY_BYTES_MAX, ParityHeader, SHARD_BYTES_MAX, SHARD_STEP, ShardCheck, division},
};
use proptest::prelude::*;

use crate::values;

/// A check that differs for different bytes; what hashes in earnest is the vault.
fn check_of(bytes: &[u8]) -> ShardCheck {
    let sum = |seed: u64| bytes.iter().fold(seed, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
    let mut check = ShardCheck::default();
    check[..8].copy_from_slice(&sum(0xcbf2_9ce4_8422_2325).to_le_bytes());
    check[8..].copy_from_slice(&sum(0x1234_5678_9abc_def1).to_le_bytes());
    check
}

fn object() -> (ParityHeader, Vec<u8>) {
    let header = values::parity_header();
    let check = check_of(&header.encode());
    let object = header.object(check, &[0x1e; 64]);
    (header, object)
}

proptest! {
    #[test]
    fn any_burst_of_three_percent_touches_no_more_shards_than_can_be_made_again(
        pack_bytes in 1..=PACK_BYTES_MAX, at in any::<prop::sample::Index>(),
    ) {
        let (shard, recovery) = division(pack_bytes);
        prop_assert!(shard % SHARD_STEP == 0 && shard <= SHARD_BYTES_MAX);
        let (shard, recovery) = (u64::from(shard), u64::from(recovery));
        prop_assert!(pack_bytes.div_ceil(shard) <= u64::from(DATA_SHARDS_MAX));
        let burst = pack_bytes * 3 / 100;
        let start = at.index(usize::try_from(pack_bytes - burst).unwrap() + 1) as u64;
        let touched = if burst == 0 { 0 } else { (start + burst - 1) / shard - start / shard + 1 };
        prop_assert!(touched <= recovery, "{touched} of {recovery} at {start} of {pack_bytes}");
    }

    #[test]
    fn a_header_is_found_at_the_end_that_is_left(from in 0..284usize, length in 0..65usize) {
        let (header, mut object) = object();
        let end = (from + length).min(object.len());
        object[from..end].iter_mut().for_each(|byte| *byte ^= 0x55);
        let found = ParityHeader::find(&object, check_of);
        // A burst shorter than the shards between the two headers leaves one of them.
        prop_assert_eq!(found.map(|(found, _)| found), Ok(header));
    }
}

#[test]
fn a_cut_object_still_has_its_first_header_and_the_shards_before_the_cut() {
    let (header, object) = object();
    for length in 0..object.len() {
        match ParityHeader::find(&object[..length], check_of) {
            Ok((found, shards)) => {
                assert_eq!(found, header);
                assert!(length >= 108 && shards.len() == length - 108, "{length}");
            }
            Err(_) => assert!(length < 108, "{length}"),
        }
    }
}

#[test]
fn a_full_pack_costs_about_three_percent() {
    let bytes = u64::try_from(PACK_BYTES_TARGET).unwrap();
    let (shard, recovery) = division(bytes);
    let count = bytes.div_ceil(u64::from(shard)) + u64::from(recovery);
    let checks = vec![[0; 16]; usize::try_from(count).unwrap()];
    let header = ParityHeader { pack_bytes: bytes, shard_bytes: shard, recovery, checks, ..values::parity_header() };
    let share = header.object_bytes() as f64 / bytes as f64;
    assert!((0.03..0.036).contains(&share), "{share}");
    assert!(header.object_bytes() < PARITY_BYTES_MAX);
}
