//! Frames: the plaintext of a chunk or node goes in, a capability and sealed bytes come out.
//!
//! ```text
//! K_l   = KH(K_h, "L" | level)                    one key for each level
//! h     = BLAKE3 keyed with K_l (plaintext)       never stored
//! r     = DK("frame secret", 32 random bytes | h) the capability
//! key   = DK("frame key", r)
//! frame = suite | AEAD(key, nonce 0, "LF1" | suite | level, body)
//! ```
//! The random bytes make `r` unguessable for whoever guesses the plaintext; `h` makes it distinct even if the generator
//! repeats itself (a cloned machine). A key therefore seals one body (law L4), and no function here takes `r` for sealing.

use lacre_format::{
    FormatError,
    frame::{self, Body, Codec, LEVEL_MAX},
    node::Capability,
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    aead::{self, NotAuthentic, Suite},
    entropy::{self, EntropyError},
    labels::{self, Label, magic, tag},
    secret::StreamSecret,
    side_by_side,
};

/// A keyed hash of a plaintext. It names an index row and enters a capability; it is never stored and never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Makes the fingerprints of one job.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Fingerprinter {
    keys: [[u8; 32]; LEVELS],
}

/// Chunks and every level of nodes.
const LEVELS: usize = LEVEL_MAX as usize + 1;

impl Fingerprinter {
    /// Derives the content keys of a job.
    #[must_use]
    pub fn new(secret: &StreamSecret) -> Self {
        let content = labels::derive(Label::ContentHash, &[secret.expose()]);
        let mut keys = [[0u8; 32]; LEVELS];
        for (level, key) in (0u8..).zip(&mut keys) {
            *key = *labels::keyed(&content, tag::LEVEL, &[&[level]]);
        }
        Self { keys }
    }

    /// Hashes a plaintext; level 0 is a chunk, higher levels are nodes.
    ///
    /// The level enters through the key, so that the plaintext is hashed in one piece and aligned, at full speed.
    #[must_use]
    pub fn fingerprint(&self, level: u8, plaintext: &[u8]) -> Fingerprint {
        let key = &self.keys[usize::from(level.min(LEVEL_MAX))];
        Fingerprint(*blake3::keyed_hash(key, plaintext).as_bytes())
    }

    /// The fingerprints of plaintexts that follow each other in `run`, hashed side by side: the same as one by one, in less time.
    #[must_use]
    pub fn fingerprints(&self, level: u8, run: &[u8], lengths: &[usize]) -> Vec<Fingerprint> {
        let key = &self.keys[usize::from(level.min(LEVEL_MAX))];
        side_by_side::keyed_hashes(key, run, lengths).iter().map(|hash| Fingerprint(*hash)).collect()
    }
}

/// A sealed frame and the right to open it.
pub struct SealedFrame {
    /// Opens the frame; belongs into the parent node.
    pub capability: Capability,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// Why a frame could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealFrameError {
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Beyond the bounds of a frame.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Why a frame could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFrameError {
    /// The suite byte is unknown or missing.
    #[error("frame sealed with an unknown suite")]
    UnknownSuite,
    /// Damaged or another frame's.
    #[error("frame: {0}")]
    NotAuthentic(#[from] NotAuthentic),
    /// Authentic, but not a frame body.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Seals one coded plaintext under a key that exists only for it.
///
/// `payload` is the plaintext coded by `codec`, `raw_bytes` its length before.
///
/// # Errors
/// [`SealFrameError`] when there are no random bytes or the payload is over 16 MiB.
pub fn seal_frame(
    suite: Suite,
    fingerprint: &Fingerprint,
    level: u8,
    codec: Codec,
    raw_bytes: usize,
    payload: &[u8],
) -> Result<SealedFrame, SealFrameError> {
    let capability = capability_of(&*entropy::secret::<32>()?, fingerprint);
    let mut body = Vec::with_capacity(payload.len() + payload.len() / 8 + 64);
    frame::encode_body(codec, raw_bytes, payload, &mut body)?;
    let key = labels::derive(Label::FrameKey, &[capability.expose()]);
    aead::seal_once(suite, &key, &aad(suite, level), &mut body);
    body.insert(0, suite.code());
    Ok(SealedFrame { capability, bytes: body })
}

/// A frame's capability: fresh random bytes, hedged with the plaintext's fingerprint in case they were not fresh.
fn capability_of(fresh: &[u8; 32], fingerprint: &Fingerprint) -> Capability {
    Capability::from_bytes(*labels::derive(Label::FrameSecret, &[fresh.as_slice(), fingerprint.expose()]))
}

/// Opens a frame in place and reads its body; the caller decompresses.
///
/// # Errors
/// [`OpenFrameError`] when the frame is damaged or is not the one the capability opens.
pub fn open_frame<'f>(capability: &Capability, level: u8, frame: &'f mut [u8]) -> Result<Body<'f>, OpenFrameError> {
    let (code, sealed) = frame.split_first_mut().ok_or(OpenFrameError::UnknownSuite)?;
    let suite = Suite::from_code(*code).ok_or(OpenFrameError::UnknownSuite)?;
    let key = labels::derive(Label::FrameKey, &[capability.expose()]);
    let body = aead::open_once(suite, &key, &aad(suite, level), sealed)?;
    Ok(frame::decode_body(body)?)
}

fn aad(suite: Suite, level: u8) -> [u8; 5] {
    let [a, b, c] = *magic::FRAME;
    [a, b, c, suite.code(), level]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn randomness_that_repeats_gives_no_two_plaintexts_one_key() {
        let stuck = [0x42u8; 32];
        let secret = crate::secret::StreamSecret::from_bytes(&[7; 32]);
        let fingerprinter = Fingerprinter::new(&secret);
        let mut keys = BTreeSet::new();
        for level in 0..=LEVEL_MAX {
            for number in 0..2_000u32 {
                let print = fingerprinter.fingerprint(level, &number.to_le_bytes());
                keys.insert(*capability_of(&stuck, &print).expose());
            }
        }
        assert_eq!(keys.len(), 2_000 * (usize::from(LEVEL_MAX) + 1), "one key for each plaintext of each level");
    }
}
