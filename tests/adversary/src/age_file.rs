//! age files, classic and post-quantum, opened with the secrets at hand.
//!
//! In: a file of age, a secret. Out: its plaintext, if the secret fits. The hybrid recipient is that of c2sp.org/age, written here once
//! more; the rest is the age crate.

use std::io::Read as _;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bech32::{Bech32, primitives::decode::CheckedHrpstring};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, Serializable as _, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing,
};

use crate::keys::Key;

const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";

/// The seed of an X-Wing key: a seal, or a post-quantum identity.
pub struct Hybrid(pub Key);

impl Hybrid {
    fn private(&self) -> Option<<XWing as hpke::Kem>::PrivateKey> {
        <XWing as hpke::Kem>::PrivateKey::from_bytes(&self.0).ok()
    }

    /// The public key that the seed makes.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.private().map(|key| XWing::sk_to_pk(&key).to_bytes().to_vec()).unwrap_or_default()
    }
}

impl age::Identity for Hybrid {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != "mlkem768x25519" {
            return None;
        }
        let [encapsulated] = stanza.args.as_slice() else { return None };
        let encapsulated = BASE64_STANDARD_NO_PAD.decode(encapsulated).ok()?;
        let encapsulated = <XWing as hpke::Kem>::EncappedKey::from_bytes(&encapsulated).ok()?;
        let opened = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.private()?,
            &encapsulated,
            INFO,
            &stanza.body,
            b"",
        )
        .ok()?;
        let key: [u8; 16] = opened.try_into().ok()?;
        Some(Ok(FileKey::init_with_mut(|room| room.copy_from_slice(&key))))
    }
}

/// A private key of a recipient.
pub enum Identity {
    /// `AGE-SECRET-KEY-PQ-1...`
    Hybrid(Hybrid),
    /// `AGE-SECRET-KEY-1...`
    Classic(Box<age::x25519::Identity>),
}

impl Identity {
    /// Reads one secret key as age spells it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("AGE-SECRET-KEY-PQ-1") {
            let decoded = CheckedHrpstring::new::<Bech32>(text).ok()?;
            let seed: Vec<u8> = decoded.byte_iter().collect();
            return Some(Self::Hybrid(Hybrid(seed.try_into().ok()?)));
        }
        text.parse::<age::x25519::Identity>().ok().map(|key| Self::Classic(Box::new(key)))
    }

    /// The plaintext of a file, if this key opens it.
    #[must_use]
    pub fn open(&self, file: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hybrid(key) => open(file, key),
            Self::Classic(key) => open(file, key.as_ref()),
        }
    }
}

/// The plaintext of a file of age, if the key opens it.
#[must_use]
pub fn open(file: &[u8], key: &dyn age::Identity) -> Option<Vec<u8>> {
    let decryptor = age::Decryptor::new_buffered(file).ok()?;
    let mut plaintext = Vec::new();
    decryptor.decrypt(std::iter::once(key)).ok()?.read_to_end(&mut plaintext).ok()?;
    Some(plaintext)
}
