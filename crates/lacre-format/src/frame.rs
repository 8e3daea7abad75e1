//! What is inside a frame before it is encrypted: codec, raw length, payload, zero padding to a Padmé length.
//!
//! In: a compressed (or raw) payload. Out: the body that the sealing crate encrypts. It knows no key and does not compress.
//! Padmé: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs 2019, 4.

use crate::error::FormatError;

/// Bytes before the payload: codec (1), raw length (4), payload length (4).
pub const BODY_HEAD_BYTES: usize = 9;
/// Most plaintext bytes of one frame: 16 MiB.
pub const RAW_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Bytes that authenticated encryption adds to a body.
pub const TAG_BYTES: usize = 16;
/// Deepest level of a manifest node. 32^8 entries exceed every bound elsewhere.
pub const LEVEL_MAX: u8 = 8;

/// How a frame's payload is coded. The registry leaves room for finer sharing (more kinds) later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// The plaintext itself.
    Raw,
    /// One zstd frame (RFC 8878).
    Zstd,
    /// One zstd frame made with a private dictionary.
    ZstdDictionary,
}

impl Codec {
    /// The codec's byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::ZstdDictionary => 2,
        }
    }

    /// Reads the codec's byte.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for a codec this program does not know.
    pub fn from_code(code: u8) -> Result<Self, FormatError> {
        match code {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            2 => Ok(Self::ZstdDictionary),
            other => Err(FormatError::malformed("frame", format!("codec {other} is not known"))),
        }
    }
}

/// Rounds a length up to its Padmé length: at most 12 % more, and only O(log log L) bits of the length remain.
#[must_use]
pub fn padme(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let significant = exponent.max(1).ilog2().saturating_add(1);
    let zero_bits = exponent.saturating_sub(significant);
    let mask = 1u64.checked_shl(zero_bits).unwrap_or(1).saturating_sub(1);
    // Only within a part in 64 of 2^64 does the sum not fit; no object is that long.
    length.checked_add(mask).map_or(length, |sum| sum & !mask)
}

/// Builds a frame body into `out` (cleared first).
///
/// # Errors
/// [`FormatError::TooLarge`] when the payload or the raw length is over 16 MiB.
pub fn encode_body(codec: Codec, raw_bytes: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
    let raw = bounded(raw_bytes)?;
    let length = bounded(payload.len())?;
    out.clear();
    out.push(codec.code());
    out.extend_from_slice(&raw.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(payload);
    let unpadded = u64::try_from(out.len()).unwrap_or(u64::MAX);
    let padded = usize::try_from(padme(unpadded)).unwrap_or(out.len());
    out.resize(padded, 0);
    Ok(())
}

fn bounded(bytes: usize) -> Result<u32, FormatError> {
    let bounded = u32::try_from(bytes).ok().filter(|bytes| *bytes <= RAW_BYTES_MAX);
    bounded.ok_or_else(|| too_large(u64::try_from(bytes).unwrap_or(u64::MAX)))
}

fn too_large(found: u64) -> FormatError {
    FormatError::TooLarge { what: "frame", found, allowed: u64::from(RAW_BYTES_MAX) }
}

/// A decoded frame body.
pub struct Body<'a> {
    /// How the payload is coded.
    pub codec: Codec,
    /// Length of the plaintext in bytes.
    pub raw_bytes: u32,
    /// The coded plaintext.
    pub payload: &'a [u8],
}

/// Reads a frame body and checks its bounds; a content has one body, so the padding must be the zeros of its Padmé length.
///
/// # Errors
/// [`FormatError::Truncated`], [`FormatError::TooLarge`] or [`FormatError::Malformed`].
pub fn decode_body(body: &[u8]) -> Result<Body<'_>, FormatError> {
    let (head, rest) = body.split_first_chunk::<BODY_HEAD_BYTES>().ok_or(FormatError::Truncated { what: "frame" })?;
    let [code, a, b, c, d, e, f, g, h] = *head;
    let codec = Codec::from_code(code)?;
    let raw_bytes = u32::from_le_bytes([a, b, c, d]);
    let length = u32::from_le_bytes([e, f, g, h]);
    if raw_bytes > RAW_BYTES_MAX {
        return Err(too_large(u64::from(raw_bytes)));
    }
    if length > RAW_BYTES_MAX {
        return Err(too_large(u64::from(length)));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (payload, padding) = rest.split_at_checked(length).ok_or(FormatError::Truncated { what: "frame" })?;
    let padded = padme(u64::try_from(BODY_HEAD_BYTES.saturating_add(length)).unwrap_or(u64::MAX));
    if u64::try_from(body.len()).ok() != Some(padded) || padding.iter().any(|byte| *byte != 0) {
        return Err(FormatError::malformed("frame", "its padding is not the zeros of its Padmé length"));
    }
    if codec == Codec::Raw && usize::try_from(raw_bytes).ok() != Some(payload.len()) {
        return Err(FormatError::malformed("frame", "a raw payload of another length"));
    }
    Ok(Body { codec, raw_bytes, payload })
}
