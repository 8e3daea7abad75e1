//! Reach maps as sets: what goes in is in, and a set has one encoding.

use std::collections::BTreeSet;

use lacre_format::{
    FormatError,
    codec::put_varint,
    ids::PackId,
    pack::{Birth, SLOTS_MAX},
    reach::{REACH_WORDS_MAX, Reach},
};
use proptest::prelude::*;

fn birth(pack: u8, slot: u32) -> Birth {
    Birth { pack: PackId::new([pack; 12]), slot }
}

fn build<'b>(births: impl IntoIterator<Item = &'b Birth>) -> Reach {
    let mut reach = Reach::default();
    births.into_iter().for_each(|birth| reach.insert(*birth));
    reach
}

/// A map written run by run, right or wrong.
fn written(packs: &[(u8, &[(u64, u64)])]) -> Vec<u8> {
    let mut out = vec![1];
    put_varint(&mut out, packs.len() as u64);
    for (pack, runs) in packs {
        out.extend_from_slice(&[*pack; 12]);
        put_varint(&mut out, runs.len() as u64);
        for (gap, length) in *runs {
            put_varint(&mut out, *gap);
            put_varint(&mut out, *length);
        }
    }
    out
}

#[test]
fn a_full_pack_comes_back() {
    let all: Vec<Birth> = (0..SLOTS_MAX).map(|slot| birth(1, slot)).collect();
    let reach = build(&all);
    assert_eq!(reach.frames(), u64::from(SLOTS_MAX));
    assert_eq!(reach.encode(), written(&[(1, &[(0, u64::from(SLOTS_MAX))])]));
    assert_eq!(Reach::decode(&reach.encode()).unwrap(), reach);
}

#[test]
fn slots_beyond_a_pack_are_left_out() {
    let reach = build(&[birth(1, SLOTS_MAX), birth(1, u32::MAX)]);
    assert_eq!(reach, Reach::default());
    assert!(!reach.contains(birth(1, SLOTS_MAX)));
    let last = build(&[birth(1, SLOTS_MAX - 1)]);
    assert_eq!(Reach::decode(&last.encode()).unwrap(), last);
}

#[test]
fn other_encodings_of_a_set_are_refused() {
    let refused = |bytes: &[u8], why: &str| match Reach::decode(bytes) {
        Err(FormatError::Malformed { why: found, .. }) => assert!(found.contains(why), "{found}"),
        other => panic!("{other:?}"),
    };
    refused(&written(&[(2, &[(0, 1)]), (1, &[(0, 1)])]), "out of order");
    refused(&written(&[(1, &[(0, 1)]), (1, &[(5, 1)])]), "out of order");
    refused(&written(&[(1, &[])]), "without slots");
    refused(&written(&[(1, &[(0, 0)])]), "empty");
    refused(&written(&[(1, &[(0, 3), (0, 2)])]), "touching");
    refused(&written(&[(1, &[(1, u64::from(SLOTS_MAX))])]), "endless");
    let beyond = u64::from(SLOTS_MAX) + 1;
    assert!(matches!(Reach::decode(&written(&[(1, &[(0, beyond)])])), Err(FormatError::TooLarge { .. })));
    assert!(matches!(Reach::decode(&written(&[(1, &[(beyond, 1)])])), Err(FormatError::TooLarge { .. })));
}

#[test]
fn a_small_map_cannot_unfold_into_all_memory() {
    let words_each = SLOTS_MAX as usize / 64;
    let packs = REACH_WORDS_MAX / words_each + 1;
    let mut bytes = vec![1];
    put_varint(&mut bytes, packs as u64);
    for pack in 0..packs {
        bytes.extend_from_slice(&(pack as u128).to_be_bytes()[4..]);
        put_varint(&mut bytes, 1);
        put_varint(&mut bytes, u64::from(SLOTS_MAX) - 1);
        put_varint(&mut bytes, 1);
    }
    assert!(bytes.len() < 1 << 20, "the attack itself is small");
    match Reach::decode(&bytes) {
        Err(FormatError::TooLarge { allowed, .. }) => assert_eq!(allowed, REACH_WORDS_MAX as u64),
        other => panic!("{:?}", other.map(|reach| reach.frames())),
    }
}

fn births() -> impl Strategy<Value = BTreeSet<Birth>> {
    let slot = prop_oneof![0..200u32, 0..SLOTS_MAX, Just(SLOTS_MAX - 1)];
    let run = (0..4u8, slot, 1..150u32);
    prop::collection::vec(run, 0..12).prop_map(|runs| {
        let slots = |(pack, start, length): (u8, u32, u32)| {
            (start..start.saturating_add(length).min(SLOTS_MAX)).map(move |slot| birth(pack, slot))
        };
        runs.into_iter().flat_map(slots).collect()
    })
}

proptest! {
    #[test]
    fn a_set_is_what_was_put_in(births in births()) {
        let reach = build(&births);
        let listed: BTreeSet<Birth> =
            reach.packs().flat_map(|pack| reach.slots(pack).map(move |slot| Birth { pack, slot })).collect();
        prop_assert_eq!(&listed, &births);
        prop_assert_eq!(reach.frames(), births.len() as u64);
        prop_assert!(births.iter().all(|birth| reach.contains(*birth)));
        prop_assert!(!reach.contains(birth(9, 0)));
    }

    #[test]
    fn the_order_of_putting_in_is_forgotten(births in births()) {
        let backwards = build(births.iter().rev());
        prop_assert_eq!(backwards.encode(), build(&births).encode());
        let again = Reach::decode(&backwards.encode()).unwrap();
        prop_assert_eq!(again.encode(), backwards.encode());
        prop_assert!(again == backwards);
    }
}
