//! Identifiers: fixed-length byte strings with one hex spelling.
//!
//! In: random bytes or hashes made elsewhere. Out: values that print, parse, sort and travel in CBOR. They know nothing of
//! what they name.

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use crate::error::FormatError;

/// Writes `bytes` as lower-case hexadecimal.
pub(crate) fn write_hex(bytes: &[u8], out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    Ok(())
}

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub(crate) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    let mut digits = text.bytes();
    for byte in &mut bytes {
        let high = hex_digit(digits.next()?)?;
        let low = hex_digit(digits.next()?)?;
        *byte = (high << 4) | low;
    }
    if digits.next().is_some() { None } else { Some(bytes) }
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a').and_then(|value| value.checked_add(10)),
        _ => None,
    }
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Takes the raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads the full lower-case hexadecimal spelling.
            ///
            /// # Errors
            /// [`FormatError::BadId`] for any other length or alphabet.
            pub fn parse(text: &str) -> Result<Self, FormatError> {
                read_hex::<$len>(text).map(Self).ok_or(FormatError::BadId { what: stringify!($name) })
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write_hex(&self.0, out)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
                encoder.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                let bytes = decoder.bytes()?;
                <[u8; $len]>::try_from(bytes)
                    .map(Self)
                    .map_err(|_| DecodeError::message(concat!(stringify!($name), " has another length")))
            }
        }
    };
}

byte_id!(
    /// A repository: the first 16 bytes of a hash over its admin key and a random nonce, so that whoever knows the id
    /// (a printed kit, an enrolled host) has pinned the admin key too.
    RepositoryId, 16
);
byte_id!(
    /// A snapshot: 16 random bytes.
    SnapshotId, 16
);
byte_id!(
    /// A home: one machine's signing identity in one repository, 16 random bytes.
    HomeId, 16
);
byte_id!(
    /// A pack's birth name: 12 random bytes drawn when the pack is opened.
    PackId, 12
);
byte_id!(
    /// A pack's object name: BLAKE3-256 of the stored bytes.
    PackName, 32
);
byte_id!(
    /// A plan of a garbage collection: 16 random bytes.
    PlanId, 16
);
byte_id!(
    /// A random token that makes one writer's commit object recognisable.
    Token, 16
);
byte_id!(
    /// BLAKE3-256 of some stored or signed bytes.
    Digest, 32
);
byte_id!(
    /// An Ed25519 public key (RFC 8032).
    PublicKey, 32
);
byte_id!(
    /// An Ed25519 signature (RFC 8032).
    Signature, 64
);
byte_id!(
    /// A salt that makes a structure key single-use: 16 random bytes stored in clear beside what it seals.
    Salt, 16
);
byte_id!(
    /// A pseudonym of a stream name under the job's stream secret: 8 bytes.
    StreamTag, 8
);

/// A seal generation: a counter and the first eight bytes of BLAKE3 of the generation's public key.
///
/// Two machines that both count to the same number still have different generations (protocol rule 6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
pub struct GenerationId {
    /// Counts rotations from 0.
    #[n(0)]
    pub number: u32,
    /// First eight bytes of BLAKE3-256 of the public key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: [u8; 8],
}

impl GenerationId {
    /// Reads the spelling that [`core::fmt::Display`] writes: the number in at least eight digits, a dash, sixteen
    /// hexadecimal digits.
    ///
    /// # Errors
    /// [`FormatError::BadId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let bad = FormatError::BadId { what: "GenerationId" };
        let Some((number, hash)) = text.split_once('-') else { return Err(bad) };
        let (Some(number), Some(hash)) = (read_decimal(number), read_hex::<8>(hash)) else { return Err(bad) };
        Ok(Self { number, hash })
    }
}

impl core::fmt::Display for GenerationId {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "{:08}-", self.number)?;
        write_hex(&self.hash, out)
    }
}

/// Reads what `{:08}` writes: eight decimal digits, or more of them that do not begin with a zero.
pub(crate) fn read_decimal(text: &str) -> Option<u32> {
    let canonical = text.len() == 8 || (text.len() > 8 && !text.starts_with('0'));
    if canonical && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The name of a job: what the operator calls one backed-up database, command or file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobName(String);

impl JobName {
    /// Longest name in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks and takes a name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, and not only dots.
    ///
    /// # Errors
    /// [`FormatError::BadId`] for any other text.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let fits = !text.is_empty() && text.len() <= Self::BYTES_MAX && text.bytes().all(alphabet);
        if fits && text.bytes().any(|byte| byte != b'.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(FormatError::BadId { what: "JobName" })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The job of what restores into this job's database replaced, so that `latest` of this one stays what it is.
    #[must_use]
    pub fn safety(&self) -> Self {
        if self.is_safety() {
            return self.clone();
        }
        let room = Self::BYTES_MAX.saturating_sub(SAFETY.len());
        Self(format!("{}{SAFETY}", self.0.get(..room).unwrap_or(&self.0)))
    }

    /// Whether this is the job of what restores replaced.
    #[must_use]
    pub fn is_safety(&self) -> bool {
        self.0.ends_with(SAFETY)
    }
}

/// What ends the name of a job that holds what restores replaced.
const SAFETY: &str = ".before-restore";

impl core::fmt::Display for JobName {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.0)
    }
}

impl<C> Encode<C> for JobName {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        encoder.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for JobName {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::parse(decoder.str()?).map_err(|_| DecodeError::message("not a job name"))
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct Millis(#[n(0)] pub i64);
