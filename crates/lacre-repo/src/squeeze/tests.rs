use lacre_format::frame::Codec;
use proptest::prelude::*;

use super::{LEVELS, SqueezeError, Squeezer, Unsqueezer, raw_bytes_max};

/// Bytes that do not compress, from a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Rows that do.
fn rows(seed: u64, length: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut row = seed;
    while text.len() < length {
        text.push_str(&format!(
            "{row}\tuser{}@example.org\t2026-11-{:02}\t\\N\tt\n",
            row * 7919 % 100_003,
            row % 28 + 1
        ));
        row += 1;
    }
    text.into_bytes()[..length].to_vec()
}

fn round_trip(squeezer: &mut Squeezer, unsqueezer: &mut Unsqueezer, raw: &[u8]) -> Codec {
    let (mut payload, mut back) = (Vec::new(), Vec::new());
    let codec = squeezer.squeeze(raw, &mut payload).unwrap();
    unsqueezer.unsqueeze(codec, &payload, raw.len(), &mut back).unwrap();
    assert!(back == raw);
    match codec {
        Codec::Raw => assert_eq!(payload.len(), raw.len()),
        _ => assert!(payload.len() + raw.len().div_ceil(64) <= raw.len()),
    }
    codec
}

#[test]
fn every_level_round_trips() {
    let mut unsqueezer = Unsqueezer::new().unwrap();
    for level in LEVELS {
        let mut squeezer = Squeezer::new(level).unwrap();
        for length in [0, 1, 63, 4096, 70_000] {
            assert_eq!(round_trip(&mut squeezer, &mut unsqueezer, &noise(1, length)), Codec::Raw);
        }
        for length in [4096, 70_000] {
            assert_eq!(round_trip(&mut squeezer, &mut unsqueezer, &rows(5, length)), Codec::Zstd, "level {level}");
            assert_eq!(round_trip(&mut squeezer, &mut unsqueezer, &vec![0; length]), Codec::Zstd);
        }
    }
}

#[test]
fn levels_change_and_are_checked() {
    let mut squeezer = Squeezer::new(1).unwrap();
    let mut unsqueezer = Unsqueezer::new().unwrap();
    let raw = rows(9, 200_000);
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    squeezer.squeeze(&raw, &mut fast).unwrap();
    squeezer.set_level(15).unwrap();
    squeezer.squeeze(&raw, &mut slow).unwrap();
    assert!(slow.len() < fast.len());
    assert_eq!(round_trip(&mut squeezer, &mut unsqueezer, &raw), Codec::Zstd);
    for level in [-6, 20, i32::MIN, i32::MAX] {
        assert_eq!(squeezer.set_level(level), Err(SqueezeError::BadLevel { level }));
        assert!(matches!(Squeezer::new(level), Err(SqueezeError::BadLevel { .. })));
    }
}

#[test]
fn dictionaries_help_and_are_needed() {
    let dictionary = rows(100, 20_000);
    let mut with = Squeezer::with_dictionary(3, &dictionary).unwrap();
    let mut without = Squeezer::new(3).unwrap();
    let raw = rows(250, 2000);
    let (mut small, mut large, mut back) = (Vec::new(), Vec::new(), Vec::new());
    assert_eq!(with.squeeze(&raw, &mut small).unwrap(), Codec::ZstdDictionary);
    assert_eq!(without.squeeze(&raw, &mut large).unwrap(), Codec::Zstd);
    assert!(small.len() < large.len(), "{} {}", small.len(), large.len());
    let mut reader = Unsqueezer::with_dictionary(&dictionary).unwrap();
    reader.unsqueeze(Codec::ZstdDictionary, &small, raw.len(), &mut back).unwrap();
    assert!(back == raw);
    reader.unsqueeze(Codec::Zstd, &large, raw.len(), &mut back).unwrap();
    assert!(back == raw);
    with.set_level(19).unwrap();
    assert_eq!(round_trip(&mut with, &mut reader, &raw), Codec::ZstdDictionary);
    let missing = Unsqueezer::new().unwrap().unsqueeze(Codec::ZstdDictionary, &small, raw.len(), &mut back);
    assert_eq!(missing, Err(SqueezeError::DictionaryMissing));
    assert!(back.is_empty());
    let other = Unsqueezer::with_dictionary(&noise(3, 20_000)).unwrap().unsqueeze(
        Codec::ZstdDictionary,
        &small,
        raw.len(),
        &mut back,
    );
    assert!(other.is_err() || back != raw);
    assert!(matches!(Squeezer::with_dictionary(3, &[]), Err(SqueezeError::BadDictionary { bytes: 0 })));
    assert!(Unsqueezer::with_dictionary(&vec![0; super::DICTIONARY_BYTES_MAX + 1]).is_err());
}

#[test]
fn promised_lengths_are_kept() {
    let mut squeezer = Squeezer::new(3).unwrap();
    let mut unsqueezer = Unsqueezer::new().unwrap();
    let raw = rows(1, 5000);
    let (mut payload, mut back) = (Vec::new(), Vec::new());
    assert_eq!(squeezer.squeeze(&raw, &mut payload).unwrap(), Codec::Zstd);
    for wrong in [0, 1, 4999, 5001, 1 << 20] {
        let error = unsqueezer.unsqueeze(Codec::Zstd, &payload, wrong, &mut back).unwrap_err();
        assert!(matches!(error, SqueezeError::Damaged { .. }), "{wrong}: {error}");
        assert!(back.is_empty());
    }
    for wrong in [4999, 5001] {
        assert!(unsqueezer.unsqueeze(Codec::Raw, &raw, wrong, &mut back).is_err());
    }
    let too_long = raw_bytes_max() + 1;
    let error = unsqueezer.unsqueeze(Codec::Zstd, &payload, too_long, &mut back);
    assert_eq!(error, Err(SqueezeError::TooLong { bytes: too_long }));
    assert_eq!(squeezer.squeeze(&vec![0; too_long], &mut back), Err(SqueezeError::TooLong { bytes: too_long }));
}

#[test]
fn one_frame_and_nothing_else() {
    let mut squeezer = Squeezer::new(3).unwrap();
    let mut unsqueezer = Unsqueezer::new().unwrap();
    let (mut payload, mut back) = (Vec::new(), Vec::new());
    squeezer.squeeze(&rows(1, 5000), &mut payload).unwrap();
    let mut twice = payload.clone();
    twice.extend_from_slice(&payload);
    let mut skippable = vec![0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    skippable.extend_from_slice(&payload);
    let mut trailing = payload.clone();
    trailing.push(0);
    for bad in [&twice[..], &skippable, &trailing, &payload[..payload.len() - 1], &[], b"(\xb5/\xfd"] {
        for promised in [5000, 10_000] {
            assert!(unsqueezer.unsqueeze(Codec::Zstd, bad, promised, &mut back).is_err());
            assert!(back.is_empty());
        }
    }
}

#[test]
fn a_bomb_is_refused_by_its_promise() {
    let mut squeezer = Squeezer::new(19).unwrap();
    let mut unsqueezer = Unsqueezer::new().unwrap();
    let (mut payload, mut back) = (Vec::new(), Vec::new());
    squeezer.squeeze(&vec![0; raw_bytes_max()], &mut payload).unwrap();
    assert!(payload.len() < 4096);
    assert!(unsqueezer.unsqueeze(Codec::Zstd, &payload, 4096, &mut back).is_err());
    assert!(back.capacity() <= 4096);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn anything_round_trips(raw in prop::collection::vec(any::<u8>(), 0..5000), repeat in 1_usize..20, level in LEVELS) {
        let raw = raw.repeat(repeat);
        round_trip(&mut Squeezer::new(level).unwrap(), &mut Unsqueezer::new().unwrap(), &raw);
    }

    #[test]
    fn hostile_payloads_stay_within_their_promise(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        real in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
        promised in 0_usize..100_000,
    ) {
        let mut bad = payload;
        if real {
            Squeezer::new(3).unwrap().squeeze(&rows(3, 3000), &mut bad).unwrap();
            for (at, bit) in flips {
                let at = at.index(bad.len());
                bad[at] ^= 1 << bit;
            }
        }
        let mut back = Vec::new();
        let result = Unsqueezer::new().unwrap().unsqueeze(Codec::Zstd, &bad, promised, &mut back);
        prop_assert!(back.capacity() <= promised);
        prop_assert_eq!(back.len(), if result.is_ok() { promised } else { 0 });
    }
}
