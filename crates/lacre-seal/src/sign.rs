//! Signatures: Ed25519 (RFC 8032) over the kind of object, the repository, the home and the payload.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use lacre_format::{
    ids::{HomeId, PublicKey, RepositoryId, Signature},
    object::Kind,
    signed::Signed,
};
use zeroize::Zeroizing;

use crate::entropy::{self, EntropyError};

/// A home's or the admin's signing key.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

/// The signature is not the key's over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify: changed, or signed by another key")]
pub struct BadSignature;

impl SigningKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, EntropyError> {
        entropy::secret::<32>().map(|seed| Self::from_seed(&seed))
    }

    /// Takes the 32-byte seed from a key file.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32-byte string is an Ed25519 seed");
        Self { seed: Zeroizing::new(*seed), pair }
    }

    /// The seed for a key file.
    #[must_use]
    pub fn to_key_file(&self) -> Zeroizing<[u8; 32]> {
        self.seed.clone()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let bytes = <[u8; PublicKey::LEN]>::try_from(self.pair.public_key().as_ref());
        PublicKey::new(bytes.expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs a payload as a home.
    #[must_use]
    pub fn sign(&self, kind: Kind, repository: RepositoryId, home: HomeId, payload: Vec<u8>) -> Signed {
        let signature = self.pair.sign(&Signed::message(kind, repository, home, &payload));
        let bytes = <[u8; Signature::LEN]>::try_from(signature.as_ref());
        Signed { home, payload, signature: Signature::new(bytes.expect("an Ed25519 signature has 64 bytes")) }
    }
}

/// Verifies a signed object against its home's public key.
///
/// # Errors
/// [`BadSignature`] when anything it covers was changed.
pub fn verify(key: &PublicKey, kind: Kind, repository: RepositoryId, signed: &Signed) -> Result<(), BadSignature> {
    let message = Signed::message(kind, repository, signed.home, &signed.payload);
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(&message, signed.signature.as_bytes())
        .map_err(|_| BadSignature)
}
