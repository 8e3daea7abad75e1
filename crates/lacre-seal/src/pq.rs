//! age's hybrid post-quantum recipient `mlkem768x25519`: keys, stanzas and their text form.
//!
//! In: 32-byte seeds, 1216-byte public keys, age stanzas. Out: the same. This module must not know what the file key
//! that it wraps protects.
//!
//! Source: c2sp.org/age, "The MLKEM768-X25519 hybrid post-quantum recipient type": HPKE base mode (RFC 9180) with the
//! X-Wing KEM, HKDF-SHA256 and ChaCha20-Poly1305. The age crate does not have this type, so it is written here upon the
//! crate's public traits. A stanza whose X25519 share is of low order is refused, as the reference implementation does:
//! such a share makes the classical half of the key exchange a constant.

use std::collections::HashSet;
use std::fmt;

use age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use aws_lc_rs::agreement;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::bech::{self, BechError};

/// Bytes of an identity: the seed of the X-Wing key.
pub const SEED_BYTES: usize = 32;

/// Bytes of a recipient: an ML-KEM-768 encapsulation key and an X25519 public key.
pub const PUBLIC_BYTES: usize = 1216;

/// Bytes of the encapsulated key in a stanza.
const ENC_BYTES: usize = 1120;

/// Bytes of an X25519 public key, which ends both the recipient and the encapsulated key.
const POINT_BYTES: usize = 32;

/// Bytes of a wrapped file key: the key and an authentication tag.
const BODY_BYTES: usize = FILE_KEY_BYTES + 16;

const STANZA_TAG: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const RECIPIENT_PREFIX: &str = "age1pq";
const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-";

/// The label that keeps post-quantum and classic recipients out of the same file.
const LABEL: &str = "postquantum";

type PublicKey = <XWing as Kem>::PublicKey;
type PrivateKey = <XWing as Kem>::PrivateKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// Why a hybrid key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PqKeyError {
    /// The text form is malformed.
    #[error(transparent)]
    Text(#[from] BechError),
    /// The bytes are not a public key of this kind.
    #[error("it is not a valid mlkem768x25519 public key")]
    Invalid,
}

/// The public half of a hybrid key.
#[derive(Clone)]
pub struct PqRecipient {
    key: Box<PublicKey>,
    bytes: Box<[u8; PUBLIC_BYTES]>,
}

impl PqRecipient {
    /// Takes the 1216 bytes of a public key, after checking both halves.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PqKeyError> {
        let fixed: [u8; PUBLIC_BYTES] = bytes.try_into().map_err(|_| PqKeyError::Invalid)?;
        let key = PublicKey::from_bytes(&fixed).map_err(|_| PqKeyError::Invalid)?;
        if !contributes(&fixed[PUBLIC_BYTES - POINT_BYTES..]) {
            return Err(PqKeyError::Invalid);
        }
        Ok(PqRecipient { key: Box::new(key), bytes: Box::new(fixed) })
    }

    /// Parses `age1pq1...`.
    pub fn parse(text: &str) -> Result<Self, PqKeyError> {
        Self::from_bytes(&bech::decode(text, RECIPIENT_PREFIX, PUBLIC_BYTES)?)
    }

    /// The public key as bytes.
    pub fn as_bytes(&self) -> &[u8; PUBLIC_BYTES] {
        &self.bytes
    }
}

impl PartialEq for PqRecipient {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PqRecipient {}

/// The full `age1pq1...` string of 1 959 characters.
impl fmt::Display for PqRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech::encode(RECIPIENT_PREFIX, &self.bytes[..]))
    }
}

impl fmt::Debug for PqRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PqRecipient({self})")
    }
}

impl age::Recipient for PqRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let (enc, body) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeS::Base,
            &self.key,
            INFO,
            file_key.expose_secret(),
            b"",
        )
        .map_err(|error| EncryptError::Io(std::io::Error::other(error.to_string())))?;
        let stanza =
            Stanza { tag: STANZA_TAG.to_owned(), args: vec![BASE64_STANDARD_NO_PAD.encode(enc.to_bytes())], body };
        Ok((vec![stanza], HashSet::from([LABEL.to_owned()])))
    }
}

/// The secret half of a hybrid key: a 32-byte seed.
pub struct PqIdentity {
    seed: Box<Zeroizing<[u8; SEED_BYTES]>>,
}

impl PqIdentity {
    /// Makes a new key from the system's random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Box::new(Zeroizing::new([0u8; SEED_BYTES]));
        getrandom::fill(&mut seed[..])?;
        Ok(PqIdentity { seed })
    }

    /// Takes a seed.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Self {
        let mut kept = Box::new(Zeroizing::new([0u8; SEED_BYTES]));
        kept.copy_from_slice(seed);
        PqIdentity { seed: kept }
    }

    /// Parses `AGE-SECRET-KEY-PQ-1...`.
    pub fn parse(text: &str) -> Result<Self, BechError> {
        let bytes = bech::decode(text, IDENTITY_PREFIX, SEED_BYTES)?;
        let mut seed = Box::new(Zeroizing::new([0u8; SEED_BYTES]));
        seed.copy_from_slice(&bytes);
        Ok(PqIdentity { seed })
    }

    /// The seed, for the places that print or store it.
    pub(crate) fn seed(&self) -> &[u8; SEED_BYTES] {
        &self.seed
    }

    /// The `AGE-SECRET-KEY-PQ-1...` string.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        bech::encode(IDENTITY_PREFIX, &self.seed[..])
    }

    /// The recipient of this identity.
    pub fn to_public(&self) -> PqRecipient {
        let key = XWing::sk_to_pk(&self.private());
        let bytes = key.to_bytes();
        let mut kept = Box::new([0u8; PUBLIC_BYTES]);
        kept.copy_from_slice(&bytes);
        PqRecipient { key: Box::new(key), bytes: kept }
    }

    fn private(&self) -> PrivateKey {
        PrivateKey::from_bytes(&self.seed[..]).expect("a seed has exactly the length of a private key")
    }

    /// Unwraps a stanza of the right kind: malformed is an error, another recipient's is `None`.
    fn unwrap_own_kind(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let Some(enc) = encapsulated_key(stanza) else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.private(),
            &enc,
            INFO,
            &stanza.body,
            b"",
        );
        let file_key = Zeroizing::new(opened.ok()?);
        Some(FileKey::try_init_with_mut(|key| {
            if file_key.len() != FILE_KEY_BYTES {
                return Err(DecryptError::InvalidHeader);
            }
            key.copy_from_slice(&file_key);
            Ok(())
        }))
    }
}

impl age::Identity for PqIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag == STANZA_TAG { self.unwrap_own_kind(stanza) } else { None }
    }
}

/// An identity that accepts a file only if it is sealed to exactly one hybrid recipient and to nobody else.
pub(crate) struct SoleIdentity<'a>(pub(crate) &'a PqIdentity);

impl age::Identity for SoleIdentity<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.0.unwrap_stanza(stanza)
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let mut own = stanzas.iter().filter(|stanza| !stanza.tag.ends_with("-grease"));
        match (own.next(), own.next()) {
            (Some(stanza), None) if stanza.tag == STANZA_TAG => self.0.unwrap_own_kind(stanza),
            _ => Some(Err(DecryptError::InvalidHeader)),
        }
    }
}

/// Reads the encapsulated key of a stanza under the strict rules of the specification.
fn encapsulated_key(stanza: &Stanza) -> Option<EncappedKey> {
    let [arg] = stanza.args.as_slice() else {
        return None;
    };
    if stanza.body.len() != BODY_BYTES || arg.len() > 2 * ENC_BYTES {
        return None;
    }
    // The engine refuses padding and leftover bits, so what it accepts is canonical.
    let bytes = BASE64_STANDARD_NO_PAD.decode(arg).ok()?;
    if bytes.len() != ENC_BYTES || !contributes(&bytes[ENC_BYTES - POINT_BYTES..]) {
        return None;
    }
    EncappedKey::from_bytes(&bytes).ok()
}

/// Whether an X25519 point gives a shared secret that depends on the other side.
///
/// Every clamped scalar sends a point of low order to zero, so one agreement with any scalar tells; the result is thrown
/// away (RFC 7748, section 6.1).
pub(crate) fn contributes(point: &[u8]) -> bool {
    let Ok(scalar) = agreement::PrivateKey::from_private_key(&agreement::X25519, &[0x5a; POINT_BYTES]) else {
        return false;
    };
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, point);
    agreement::agree(&scalar, peer, (), |secret| if secret.iter().any(|byte| *byte != 0) { Ok(()) } else { Err(()) })
        .is_ok()
}
