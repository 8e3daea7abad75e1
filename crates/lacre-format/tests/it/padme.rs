//! Padmé against its definition: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
//! PoPETs 2019(4), algorithm 1, computed here in another way: of the binary digits of L, keep one after the first for
//! each binary digit of the exponent, and round up to them.

use lacre_format::frame::padme;
use proptest::prelude::*;

/// Digit by digit on the text of the number.
fn by_definition(length: u64) -> u64 {
    let digits = format!("{length:b}");
    let exponent = digits.len() - 1;
    if exponent == 0 {
        return length;
    }
    let kept = format!("{exponent:b}").len();
    let dropped = exponent.saturating_sub(kept);
    let unit = 1u128 << dropped;
    u64::try_from(u128::from(length).div_ceil(unit) * unit).unwrap_or(length)
}

fn keeps_the_bound(length: u64) {
    let padded = padme(length);
    assert!(padded >= length, "{length} shrinks to {padded}");
    assert!(
        u128::from(padded) * 100 <= u128::from(length) * 112,
        "{length} grows to {padded}, by more than 12 in a hundred"
    );
    assert_eq!(padme(padded), padded, "{padded} is not a fixed point");
}

#[test]
fn small_lengths_follow_the_definition() {
    for length in 0..200_000 {
        assert_eq!(padme(length), by_definition(length), "{length}");
        keeps_the_bound(length);
        assert!(padme(length) <= padme(length + 1), "{length} overtakes its successor");
    }
}

#[test]
fn known_lengths() {
    let known = [(0, 0), (1, 1), (8, 8), (9, 10), (10, 10), (37, 40), (100, 104), (4105, 4352), (1_000_000, 1_015_808)];
    for (length, padded) in known {
        assert_eq!(padme(length), padded, "{length}");
    }
}

#[test]
fn few_lengths_remain() {
    let mut padded = 1u64;
    let mut count = 0;
    while padded < 16 * 1024 * 1024 {
        padded = padme(padded + 1);
        count += 1;
    }
    assert!(count < 500, "{count} different lengths up to 16 MiB");
}

#[test]
fn the_largest_lengths_do_not_overflow() {
    for length in [u64::MAX, u64::MAX - 1, u64::MAX - (1 << 57), 1 << 63, (1 << 63) + 1] {
        assert!(padme(length) >= length, "{length}");
    }
}

proptest! {
    #[test]
    fn any_length_follows_the_definition(shift in 0u32..64, bits in any::<u64>()) {
        let length = bits >> shift;
        prop_assert_eq!(padme(length), by_definition(length));
        keeps_the_bound(length);
    }
}
