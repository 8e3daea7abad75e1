use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::{
    BYTE_TARGET_BYTES, BYTES_VERSION, CHUNK_BYTES_MAX, CutKeys, CutParameters, Cutter, EndOfStream,
    LOOKAHEAD_BYTES_MAX, ROW_TARGET_BYTES_MAX, ROW_TARGET_BYTES_MIN, ROWS_VERSION, STREAM_CHUNKS_MAX,
};

/// Bytes from a seed: the extended output of BLAKE3 over the seed's eight little-endian bytes.
fn stretch(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Keys from a seed: `stretch(seed, 2080)` is 256 little-endian words of the gear table, then the row key.
fn keys(seed: u64) -> Arc<CutKeys> {
    let bytes = stretch(seed, 2080);
    let mut gear = [0_u64; 256];
    let (words, _) = bytes[..2048].as_chunks::<8>();
    for (entry, word) in gear.iter_mut().zip(words) {
        *entry = u64::from_le_bytes(*word);
    }
    Arc::new(CutKeys::new(&gear, bytes[2048..].try_into().unwrap()))
}

/// One row: number, then `stretch(seed + number)` in hexadecimal with a length of `length_min` to twice that.
fn row(seed: u64, number: u64, length_min: usize) -> Vec<u8> {
    let noise = stretch(seed.wrapping_add(number), 8 + length_min);
    let length = length_min + usize::from(noise[0]) * length_min / 256;
    let mut row = format!("{number}\t").into_bytes();
    let digits = noise[8..].iter().flat_map(|byte| format!("{byte:02x}").into_bytes());
    row.extend(digits.take(length));
    row.push(b'\n');
    row
}

fn table(seed: u64, rows: u64, length_min: usize) -> Vec<Vec<u8>> {
    (0..rows).map(|number| row(seed, number, length_min)).collect()
}

/// Lengths of all chunks when everything lies in one buffer.
fn cut(parameters: CutParameters, key_seed: u64, bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let used = Cutter::new(parameters, keys(key_seed)).cut_all(bytes, EndOfStream::Yes, &mut lengths);
    assert_eq!(used, bytes.len());
    assert!(lengths.iter().all(|length| *length > 0));
    lengths
}

/// Lengths of all chunks when the bytes arrive in pieces of the given sizes, over and over.
fn cut_pieces(parameters: CutParameters, key_seed: u64, bytes: &[u8], pieces: &[usize]) -> Vec<usize> {
    let mut cutter = Cutter::new(parameters, keys(key_seed));
    let (mut lengths, mut buffer, mut rest) = (Vec::new(), Vec::new(), bytes);
    for piece in pieces.iter().cycle() {
        let (head, tail) = rest.split_at((*piece).min(rest.len()));
        buffer.extend_from_slice(head);
        rest = tail;
        let end = if rest.is_empty() { EndOfStream::Yes } else { EndOfStream::No };
        let used = cutter.cut_all(&buffer, end, &mut lengths);
        buffer.drain(..used);
        assert!(buffer.len() < LOOKAHEAD_BYTES_MAX);
        if rest.is_empty() {
            break;
        }
    }
    assert!(buffer.is_empty());
    lengths
}

fn chunks<'a>(lengths: &[usize], bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for length in lengths {
        let (chunk, after) = rest.split_at(*length);
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Chunks of `after` that `before` does not have.
fn new_chunks(before: &[u8], after: &[u8], parameters: CutParameters) -> usize {
    let old_lengths = cut(parameters, 1, before);
    let old: HashSet<&[u8]> = chunks(&old_lengths, before).into_iter().collect();
    let new_lengths = cut(parameters, 1, after);
    chunks(&new_lengths, after).into_iter().filter(|chunk| !old.contains(chunk)).count()
}

fn average(lengths: &[usize]) -> usize {
    lengths.iter().sum::<usize>() / lengths.len()
}

/// The first 16 hexadecimal digits of the hash over all lengths as little-endian 32-bit numbers.
fn fingerprint(lengths: &[usize]) -> String {
    let mut hasher = blake3::Hasher::new();
    for length in lengths {
        hasher.update(&u32::try_from(*length).unwrap().to_le_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[test]
fn golden_rows() {
    let bytes = table(7, 20_000, 100).concat();
    let lengths = cut(CutParameters::rows(), 42, &bytes);
    assert_eq!(
        (bytes.len(), lengths.len(), fingerprint(&lengths).as_str()),
        (GOLDEN_ROWS.0, GOLDEN_ROWS.1, GOLDEN_ROWS.2)
    );
    let lengths = cut(CutParameters::from_numbers(ROWS_VERSION, 16_384).unwrap(), 42, &bytes);
    assert_eq!((lengths.len(), fingerprint(&lengths).as_str()), GOLDEN_ROWS_16K);
}

#[test]
fn golden_long_rows() {
    let mut rows = table(8, 3000, 100);
    for (at, length) in [(100, 20_000), (101, 70_000), (500, 400_000), (2999, 3_000_000)] {
        rows[at] = stretch(9, length).into_iter().map(|byte| if byte == b'\n' { b'.' } else { byte }).collect();
        rows[at].push(b'\n');
    }
    let bytes = rows.concat();
    let lengths = cut(CutParameters::rows(), 42, &bytes);
    assert_eq!((lengths.len(), fingerprint(&lengths).as_str()), GOLDEN_LONG_ROWS);
}

#[test]
fn golden_bytes() {
    let bytes = stretch(10, 8_000_000);
    let lengths = cut(CutParameters::bytes(), 42, &bytes);
    assert_eq!((lengths.len(), fingerprint(&lengths).as_str()), GOLDEN_BYTES);
}

/// Length of the input, number of chunks, and fingerprint of their lengths.
const GOLDEN_ROWS: (usize, usize, &str) = (3_114_134, 719, "8e04aa772e87f405");
const GOLDEN_ROWS_16K: (usize, &str) = (185, "d7e1c524c6f4fc1b");
const GOLDEN_LONG_ROWS: (usize, &str) = (130, "6e953062544d6dd6");
const GOLDEN_BYTES: (usize, &str) = (95, "b2a0a1a81fc8509a");

#[test]
fn row_chunks_have_the_promised_sizes() {
    for length_min in [10, 50, 100, 500, 1500] {
        let rows = table(3, 3_000_000 / u64::try_from(length_min).unwrap(), length_min);
        let bytes = rows.concat();
        let lengths = cut(CutParameters::rows(), 1, &bytes);
        let (last, inner) = lengths.split_last().unwrap();
        assert!(inner.iter().all(|length| (1024..=16_384).contains(length)), "{length_min}");
        assert!(*last <= 16_384);
        assert!((3600..=4800).contains(&average(&lengths)), "{length_min}: {}", average(&lengths));
        for chunk in chunks(&lengths, &bytes) {
            assert_eq!(chunk.last(), Some(&b'\n'));
        }
    }
}

#[test]
fn targets_scale() {
    let bytes = table(3, 120_000, 100).concat();
    for target_bytes in [8192_u32, 32_768, 65_536] {
        let lengths = cut(CutParameters::from_numbers(ROWS_VERSION, target_bytes).unwrap(), 1, &bytes);
        let target = usize::try_from(target_bytes).unwrap();
        assert!((target * 8 / 10..target * 13 / 10).contains(&average(&lengths)), "{target}: {}", average(&lengths));
    }
}

#[test]
fn rows_that_agree_in_most_bytes_are_still_cut_by_content() {
    let constant = "x".repeat(90);
    for pattern in ["{constant}\t{n}\n", "{n}\t{constant}\n", "{constant}\t{n}\t{constant}\n"] {
        let rows: Vec<String> = (100_000..160_000)
            .map(|number: u32| pattern.replace("{constant}", &constant).replace("{n}", &number.to_string()))
            .collect();
        let lengths = cut(CutParameters::rows(), 1, rows.concat().as_bytes());
        assert!((3600..=4800).contains(&average(&lengths)), "{pattern}: {}", average(&lengths));
        let forced = lengths.iter().filter(|length| **length > 16_000).count();
        assert!(forced * 100 < lengths.len(), "{pattern}: {forced} of {}", lengths.len());
    }
}

#[test]
fn a_row_that_does_not_fit_starts_a_chunk() {
    let mut bytes = b"short\n".to_vec();
    bytes.extend(vec![b'a'; 16_383]);
    bytes.push(b'\n');
    bytes.extend_from_slice(b"short\n");
    let lengths = cut(CutParameters::rows(), 1, &bytes);
    assert_eq!(lengths, [6, 16_384, 6]);
}

#[test]
fn long_rows_are_regions_of_their_own() {
    let mut long = stretch(5, 3_000_000);
    long.retain(|byte| *byte != b'\n');
    let bytes = [b"before\n".as_slice(), &long, b"\nafter\n"].concat();
    let lengths = cut(CutParameters::rows(), 1, &bytes);
    assert_eq!((lengths[0], *lengths.last().unwrap()), (7, 6));
    let inner = &lengths[1..lengths.len() - 1];
    assert_eq!(inner.iter().sum::<usize>(), long.len() + 1);
    assert!(inner.len() > 5 && inner.iter().all(|length| *length <= CHUNK_BYTES_MAX));
    // One byte changed in the middle of it stays local.
    let mut changed = bytes.clone();
    changed[1_500_000] ^= 0x80;
    assert!(new_chunks(&bytes, &changed, CutParameters::rows()) <= 3);
}

#[test]
fn one_endless_row_is_cut_into_bounded_pieces() {
    for bytes in [vec![0; 5_000_000], vec![b'x'; LOOKAHEAD_BYTES_MAX]] {
        let lengths = cut(CutParameters::rows(), 1, &bytes);
        assert!(lengths.iter().all(|length| *length <= CHUNK_BYTES_MAX));
        assert_eq!(cut_pieces(CutParameters::rows(), 1, &bytes, &[1 << 20]), lengths);
    }
}

#[test]
fn empty_rows_are_rows() {
    let bytes = vec![b'\n'; 100_000];
    let lengths = cut(CutParameters::rows(), 1, &bytes);
    assert!(lengths.iter().all(|length| *length <= 16_384));
    assert_eq!(cut_pieces(CutParameters::rows(), 1, &bytes, &[1, 7, 5000]), lengths);
}

#[test]
fn a_full_buffer_always_yields() {
    let largest = CutParameters::from_numbers(ROWS_VERSION, ROW_TARGET_BYTES_MAX).unwrap();
    for parameters in [CutParameters::rows(), largest, CutParameters::bytes()] {
        let mut exact = vec![b'x'; LOOKAHEAD_BYTES_MAX];
        exact[CHUNK_BYTES_MAX - 1] = b'\n';
        for buffer in [vec![b'x'; LOOKAHEAD_BYTES_MAX], vec![b'\n'; LOOKAHEAD_BYTES_MAX], exact] {
            let first = Cutter::new(parameters, keys(1)).next_cut(&buffer, EndOfStream::No).unwrap();
            assert!((1..=CHUNK_BYTES_MAX).contains(&first));
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    for parameters in [CutParameters::rows(), CutParameters::bytes()] {
        let mut cutter = Cutter::new(parameters, keys(1));
        assert_eq!(cutter.next_cut(b"", EndOfStream::No), None);
        assert_eq!(cutter.next_cut(b"", EndOfStream::Yes), None);
        assert_eq!(cutter.next_cut(b"x", EndOfStream::No), None);
        assert_eq!(cutter.next_cut(b"x", EndOfStream::Yes), Some(1));
        assert_eq!(cutter.next_cut(b"", EndOfStream::Yes), None);
    }
}

#[test]
fn byte_chunks_have_the_promised_sizes() {
    let bytes = stretch(6, 20_000_000);
    let lengths = cut(CutParameters::bytes(), 1, &bytes);
    let (last, inner) = lengths.split_last().unwrap();
    assert!(inner.iter().all(|length| (16_384..=262_144).contains(length)));
    assert!(*last <= 262_144);
    assert!((50_000..100_000).contains(&average(&lengths)), "{}", average(&lengths));
}

#[test]
fn changes_of_bytes_stay_local() {
    let bytes = stretch(6, 4_000_000);
    let mut longer = bytes.clone();
    longer.splice(2_000_000..2_000_000, *b"inserted");
    let mut shorter = bytes.clone();
    shorter.drain(1_000_000..1_000_100);
    for after in [&longer, &shorter] {
        assert!(new_chunks(&bytes, after, CutParameters::bytes()) <= 4);
    }
}

#[test]
fn keys_decide_where() {
    let rows = table(7, 20_000, 100).concat();
    let bytes = stretch(10, 4_000_000);
    for (parameters, input) in [(CutParameters::rows(), &rows), (CutParameters::bytes(), &bytes)] {
        let borders = |key_seed| -> HashSet<usize> {
            let mut at = 0;
            cut(parameters, key_seed, input)
                .into_iter()
                .map(|length| {
                    at += length;
                    at
                })
                .collect()
        };
        let (one, other) = (borders(1), borders(2));
        assert!(one.intersection(&other).count() * 5 < one.len());
    }
}

#[test]
fn parameters_round_trip_and_refuse_others() {
    let mut target_bytes = ROW_TARGET_BYTES_MIN;
    while target_bytes <= ROW_TARGET_BYTES_MAX {
        let parameters = CutParameters::from_numbers(ROWS_VERSION, target_bytes).unwrap();
        assert_eq!((parameters.version(), parameters.target_bytes()), (ROWS_VERSION, target_bytes));
        target_bytes *= 2;
    }
    assert_eq!(CutParameters::from_numbers(BYTES_VERSION, BYTE_TARGET_BYTES), Ok(CutParameters::bytes()));
    assert_eq!(CutParameters::from_numbers(ROWS_VERSION, 4096), Ok(CutParameters::rows()));
    let bad = [(0, 4096), (ROWS_VERSION, 0), (ROWS_VERSION, 2048), (ROWS_VERSION, 4097), (ROWS_VERSION, 1 << 19)];
    for (version, target) in bad.into_iter().chain([(BYTES_VERSION, 4096), (3, 4096), (255, u32::MAX)]) {
        assert!(CutParameters::from_numbers(version, target).is_err(), "{version} {target}");
    }
}

#[test]
fn targets_follow_sizes_without_flapping() {
    let limit = STREAM_CHUNKS_MAX * 4096;
    assert_eq!(CutParameters::for_previous_bytes(0), CutParameters::rows());
    assert_eq!(CutParameters::for_previous_bytes(limit).target_bytes(), 4096);
    assert_eq!(CutParameters::for_previous_bytes(limit + 4096).target_bytes(), 8192);
    assert_eq!(CutParameters::for_previous_bytes(u64::MAX).target_bytes(), ROW_TARGET_BYTES_MAX);
    let small = CutParameters::rows();
    assert_eq!(small.after(2 * limit), small);
    let grown = small.after(3 * limit);
    assert_eq!(grown.target_bytes(), 16_384);
    for bytes in [limit, 2 * limit, 4 * limit, 8 * limit] {
        assert_eq!(grown.after(bytes), grown, "{bytes}");
    }
    assert_eq!(grown.after(limit / 4), small);
    assert_eq!(small.after(0), small);
    assert_eq!(CutParameters::bytes().after(u64::MAX), CutParameters::bytes());
}

/// Rows with all kinds of lengths, some of them around the bounds.
fn any_rows() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        8 => 0_usize..200,
        3 => 200_usize..5000,
        2 => 16_370_usize..16_400,
        1 => 16_384_usize..150_000,
    ];
    (prop::collection::vec((length, any::<u64>()), 1..150), any::<bool>()).prop_map(|(rows, ended)| {
        let mut bytes = Vec::new();
        for (length, seed) in rows {
            bytes.extend(stretch(seed, length).into_iter().map(|byte| if byte == b'\n' { b' ' } else { byte }));
            bytes.push(b'\n');
        }
        if !ended {
            bytes.pop();
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn borders_do_not_depend_on_pieces(
        bytes in any_rows(),
        pieces in prop::collection::vec(prop_oneof![1_usize..100, 100_usize..40_000, 40_000_usize..2_000_000], 1..8),
        in_rows in any::<bool>(),
    ) {
        let parameters = if in_rows { CutParameters::rows() } else { CutParameters::bytes() };
        // Pieces of few bytes over a long input would take for ever.
        let pieces: Vec<usize> = pieces.into_iter().map(|piece| piece.max(bytes.len() / 500)).collect();
        prop_assert_eq!(cut_pieces(parameters, 1, &bytes, &pieces), cut(parameters, 1, &bytes));
    }

    #[test]
    fn chunks_end_with_rows(bytes in any_rows()) {
        let lengths = cut(CutParameters::rows(), 1, &bytes);
        let all = chunks(&lengths, &bytes);
        let mut at = 0;
        for (number, chunk) in all.iter().enumerate() {
            prop_assert!(chunk.len() <= CHUNK_BYTES_MAX);
            at += chunk.len();
            let before = bytes[..at - chunk.len()].iter().rposition(|byte| *byte == b'\n').map_or(0, |found| found + 1);
            let row_end = bytes[at - 1..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |found| at + found);
            if chunk.len() > 16_384 || chunk.last() != Some(&b'\n') && at < bytes.len() {
                // A piece of a long row: nothing else is in it.
                prop_assert!(row_end - before > 16_384);
                prop_assert!(!chunk[..chunk.len() - 1].contains(&b'\n'));
            } else if chunk.len() < 1024 && at < bytes.len() && before == at - chunk.len() {
                let next = all[number + 1];
                let first_row = next.iter().position(|byte| *byte == b'\n').map_or(usize::MAX, |found| found + 1);
                prop_assert!(first_row > 16_384 - chunk.len(), "only a row that does not fit ends a chunk early");
            }
        }
    }

    #[test]
    fn changing_one_row_changes_few_chunks(
        number in 0_usize..4000,
        change in 0_u8..3,
        length in 1_usize..300,
        seed in any::<u64>(),
    ) {
        let rows = table(11, 4000, 80);
        let mut changed = rows.clone();
        let fresh = row(seed, 77, length);
        match change {
            0 => changed[number] = fresh,
            1 => changed.insert(number, fresh),
            _ => drop(changed.remove(number)),
        }
        // About 120 chunks; the change itself and the way back to the old borders.
        prop_assert!(new_chunks(&rows.concat(), &changed.concat(), CutParameters::rows()) <= 12);
    }
}
