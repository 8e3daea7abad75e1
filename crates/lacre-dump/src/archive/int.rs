//! Integers as archives write them: a sign byte, then four little-endian bytes of magnitude.
//!
//! Only the form `pg_dump` writes is read, so that writing the value back gives the same bytes.

/// Width of an encoded integer, in bytes.
pub(super) const INT_BYTES: usize = 5;

/// Encodes `value`.
pub(super) const fn encode(value: i32) -> [u8; INT_BYTES] {
    let magnitude = value.unsigned_abs().to_le_bytes();
    let sign = if value < 0 { 1 } else { 0 };
    [sign, magnitude[0], magnitude[1], magnitude[2], magnitude[3]]
}

/// Decodes an integer, or nothing if `encode` would not have written it so.
pub(super) fn decode(bytes: [u8; INT_BYTES]) -> Option<i32> {
    let [sign, magnitude @ ..] = bytes;
    let magnitude = u32::from_le_bytes(magnitude);
    match (sign, magnitude) {
        (0, _) => i32::try_from(magnitude).ok(),
        (1, 1..) => i32::try_from(-i64::from(magnitude)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_read_back() {
        for value in [0, 1, -1, 255, 256, 65536, i32::MAX, i32::MIN, -2, 16390] {
            assert_eq!(decode(encode(value)), Some(value));
        }
        assert_eq!(encode(5), [0, 5, 0, 0, 0]);
        assert_eq!(encode(-1), [1, 1, 0, 0, 0]);
    }

    #[test]
    fn forms_never_written_are_refused() {
        for bytes in
            [[1, 0, 0, 0, 0], [2, 1, 0, 0, 0], [0, 0, 0, 0, 0x80], [1, 1, 0, 0, 0x80], [255, 255, 255, 255, 255]]
        {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
