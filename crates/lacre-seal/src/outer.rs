//! The seal: the outer encryption that can be destroyed.
//!
//! In: payloads and the public half of a seal generation, or a file and its seed. Out: an age file to exactly one hybrid
//! recipient, or the payload. This module must not know where seeds are kept nor what is sealed.
//!
//! A seal generation is one X-Wing key pair. Writers hold only the public half; whoever destroys every copy of the
//! 32-byte seed has destroyed everything that was sealed to it. The files are ordinary age files, so with the seed as an
//! identity (`AGE-SECRET-KEY-PQ-1...`) any age tool of version 1.3 or later opens them.

use std::fmt;

use zeroize::Zeroizing;

use crate::age_file::{self, AgeFileError, AgeSealError};
use crate::pq::{PUBLIC_BYTES, PqIdentity, PqKeyError, PqRecipient, SEED_BYTES, SoleIdentity};

/// The largest payload that one outer file holds, in bytes.
pub const SEALED_PAYLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The payload is too large.
    #[error("the payload has {length} bytes, more than {SEALED_PAYLOAD_BYTES_MAX}")]
    PayloadTooLong {
        /// Its size in bytes.
        length: usize,
    },
    /// age failed.
    #[error(transparent)]
    Seal(#[from] AgeSealError),
    /// The file is sealed to another generation, or its stanza is damaged.
    #[error("the object is not sealed to seal generation {}", hex(hash8))]
    OtherGeneration {
        /// The first 8 bytes of the BLAKE3 hash of the public half that was tried.
        hash8: [u8; 8],
    },
    /// The file is malformed, changed, cut off, or sealed to more than one recipient.
    #[error("the sealed object is damaged: {0}")]
    Damaged(#[source] AgeFileError),
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The public half of a seal generation.
#[derive(Clone, PartialEq, Eq)]
pub struct SealPublic {
    recipient: PqRecipient,
}

impl fmt::Debug for SealPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealPublic({})", hex(&self.hash8()))
    }
}

impl SealPublic {
    /// Takes the 1216 bytes of a public half after checking them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PqKeyError> {
        Ok(SealPublic { recipient: PqRecipient::from_bytes(bytes)? })
    }

    /// Parses the `age1pq1...` form.
    pub fn parse(text: &str) -> Result<Self, PqKeyError> {
        Ok(SealPublic { recipient: PqRecipient::parse(text)? })
    }

    /// The 1216 bytes.
    pub fn as_bytes(&self) -> &[u8; PUBLIC_BYTES] {
        self.recipient.as_bytes()
    }

    /// The `age1pq1...` form.
    pub fn to_text(&self) -> String {
        self.recipient.to_string()
    }

    /// The short name of the generation: the first 8 bytes of the BLAKE3 hash of the public half.
    pub fn hash8(&self) -> [u8; 8] {
        let digest = blake3::hash(self.as_bytes());
        let mut short = [0u8; 8];
        short.copy_from_slice(&digest.as_bytes()[..8]);
        short
    }

    /// Seals a payload: a binary age file to this recipient and nobody else.
    pub fn seal(&self, payload: &[u8]) -> Result<Vec<u8>, SealError> {
        if payload.len() > SEALED_PAYLOAD_BYTES_MAX {
            return Err(SealError::PayloadTooLong { length: payload.len() });
        }
        Ok(age_file::seal(&[&self.recipient], payload)?)
    }
}

/// The secret half of a seal generation: a 32-byte seed, wiped when dropped.
pub struct SealSeed {
    identity: PqIdentity,
}

impl SealSeed {
    /// Makes a new seal generation from the system's random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        Ok(SealSeed { identity: PqIdentity::generate()? })
    }

    /// Takes a seed from a cell or a kit.
    pub fn from_bytes(seed: Zeroizing<[u8; SEED_BYTES]>) -> Self {
        SealSeed { identity: PqIdentity::from_seed(&seed) }
    }

    /// The seed as a cell keeps it.
    pub fn to_cell_bytes(&self) -> Zeroizing<[u8; SEED_BYTES]> {
        Zeroizing::new(*self.expose())
    }

    /// The seed, for this crate only.
    pub(crate) fn expose(&self) -> &[u8; SEED_BYTES] {
        self.identity.seed()
    }

    /// The public half.
    pub fn public(&self) -> SealPublic {
        SealPublic { recipient: self.identity.to_public() }
    }

    /// Opens a sealed file whose payload has at most `payload_bytes_max` bytes.
    ///
    /// The payload is complete and authentic. A file that is also sealed to somebody else is refused as damaged.
    pub fn open(&self, sealed: &[u8], payload_bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let limit_bytes = payload_bytes_max.min(SEALED_PAYLOAD_BYTES_MAX);
        match age_file::open(sealed, &[&SoleIdentity(&self.identity)], limit_bytes) {
            Some(opened) => opened.map_err(SealError::Damaged),
            None => Err(SealError::OtherGeneration { hash8: self.public().hash8() }),
        }
    }
}
