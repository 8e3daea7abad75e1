//! The Bech32 strings of age: recipients and secret keys as text.
//!
//! In: a prefix and bytes, or a string. Out: a string, or bytes. This module must not know what the bytes mean; it treats
//! every payload as a secret, because some are.
//!
//! Source: BIP173 as used by c2sp.org/age, that is with the original Bech32 checksum and without its length limit.

use bech32::primitives::checksum::Checksum;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

/// The longest string that is looked at; a hybrid recipient has 1 959 characters.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// The longest payload that is ever encoded: a hybrid recipient.
const PAYLOAD_BYTES_MAX: usize = 1216;

/// The Bech32 checksum without a limit on the length of the string.
enum LongBech32 {}

impl Checksum for LongBech32 {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    type CorrectionField = <Bech32 as Checksum>::CorrectionField;
    const ROOT_GENERATOR: Self::CorrectionField = Bech32::ROOT_GENERATOR;
    const ROOT_EXPONENTS: core::ops::RangeInclusive<usize> = Bech32::ROOT_EXPONENTS;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = Bech32::TARGET_RESIDUE;
}

/// What is wrong with a Bech32 string.
///
/// The reasons name no character of the string: it may be a secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BechError {
    /// Longer than any string of a known kind.
    #[error("it has {length} characters, more than any known key")]
    TooLong {
        /// Characters of the string.
        length: usize,
    },
    /// Not Bech32: foreign characters, mixed case, or a wrong checksum.
    #[error("its checksum is wrong: a character is missing, extra or mistyped")]
    Checksum,
    /// Another kind of string.
    #[error("it starts with another prefix than the expected `{expected}1`")]
    Prefix {
        /// The prefix that was looked for.
        expected: &'static str,
    },
    /// The payload has the wrong number of bytes or bits left over.
    #[error("it carries {actual} bytes, {expected} were expected")]
    Length {
        /// Bytes that the kind has.
        expected: usize,
        /// Bytes that were found.
        actual: usize,
    },
}

/// Decodes a string of exactly `expected` bytes with the given prefix, in upper or lower case but not mixed.
pub(crate) fn decode(text: &str, prefix: &'static str, expected: usize) -> Result<Zeroizing<Vec<u8>>, BechError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(BechError::TooLong { length: text.len() });
    }
    let checked = CheckedHrpstring::new::<LongBech32>(text).map_err(|_| BechError::Checksum)?;
    if !checked.hrp().as_bytes().eq_ignore_ascii_case(prefix.as_bytes()) {
        return Err(BechError::Prefix { expected: prefix });
    }
    checked.validate_segwit_padding().map_err(|_| BechError::Checksum)?;
    let actual = checked.byte_iter().len();
    if actual != expected {
        return Err(BechError::Length { expected, actual });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    bytes.extend(checked.byte_iter());
    Ok(bytes)
}

/// Encodes bytes under a prefix; an upper-case prefix gives an upper-case string.
///
/// The buffer never grows while it is written, so no copy of a secret stays behind.
pub(crate) fn encode(prefix: &'static str, bytes: &[u8]) -> Zeroizing<String> {
    debug_assert!(bytes.len() <= PAYLOAD_BYTES_MAX, "only keys are encoded");
    let hrp = Hrp::parse(prefix).expect("the prefixes of age are valid");
    let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES_MAX));
    let written = if prefix.bytes().any(|byte| byte.is_ascii_uppercase()) {
        bech32::encode_upper_to_fmt::<LongBech32, _>(&mut *text, hrp, bytes)
    } else {
        bech32::encode_lower_to_fmt::<LongBech32, _>(&mut *text, hrp, bytes)
    };
    written.expect("writing to a string does not fail and the code has no length limit");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_constants_are_consistent() {
        LongBech32::sanity_check();
    }

    #[test]
    fn long_payloads_round_trip() {
        let bytes: Vec<u8> = (0..1216u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let text = encode("age1pq", &bytes);
        assert!(text.starts_with("age1pq1"));
        assert_eq!(*decode(&text, "age1pq", 1216).unwrap(), bytes);
        assert_eq!(*decode(&text.to_uppercase(), "age1pq", 1216).unwrap(), bytes);
    }

    #[test]
    fn malformed_strings_have_their_own_reason() {
        let text = encode("age", &[7; 32]);
        assert_eq!(decode("", "age", 32).unwrap_err(), BechError::Checksum);
        assert_eq!(decode(&text[..text.len() - 1], "age", 32).unwrap_err(), BechError::Checksum);
        assert_eq!(decode(&text.replacen("age1", "AGE1", 1), "age", 32).unwrap_err(), BechError::Checksum);
        assert_eq!(decode(&text, "age1pq", 32).unwrap_err(), BechError::Prefix { expected: "age1pq" });
        assert_eq!(decode(&text, "age", 33).unwrap_err(), BechError::Length { expected: 33, actual: 32 });
        let long = "a".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(decode(&long, "age", 32).unwrap_err(), BechError::TooLong { length: TEXT_BYTES_MAX + 1 });
    }

    #[test]
    fn every_single_wrong_character_is_noticed() {
        let text = encode("age", &[7; 32]);
        for at in 4..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(decode(&changed, "age", 32).unwrap_err(), BechError::Checksum, "position {at}");
        }
    }
}
