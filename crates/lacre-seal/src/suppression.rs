//! Suppression lists: sealed with the key of the snapshot they are for, and the tokens inside.
//!
//! A token says that a value is the person's to whoever holds the list's key and the value; the list's key lies in the list alone.

use lacre_format::{
    codec,
    ids::{Digest, RepositoryId, Salt, SnapshotId, Token},
    root::Secret32,
    segment::Salted,
    suppression::Suppression,
};
use zeroize::Zeroizing;

use crate::{
    aead::{self, NotAuthentic, Suite},
    entropy::{self, EntropyError},
    labels::{self, Label, magic, tag},
    secret::SnapshotKey,
};

/// Why a suppression list could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenSuppressionError {
    /// Damaged, or another snapshot's or erasure's.
    #[error("suppression list: {0}")]
    NotAuthentic(#[from] NotAuthentic),
    /// Authentic, but no list this program reads.
    #[error(transparent)]
    Format(#[from] lacre_format::FormatError),
}

/// Draws the key of a new list.
///
/// # Errors
/// [`EntropyError`] when the operating system gives no random bytes.
pub fn list_key() -> Result<Secret32, EntropyError> {
    entropy::secret().map(|bytes| Secret32::from_bytes(*bytes))
}

/// The token of a value in its normal form.
#[must_use]
pub fn token(key: &Secret32, form: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(key.expose());
    hasher.update(&[tag::SUPPRESSION]);
    hasher.update(form);
    let token = Digest::new(*hasher.finalize().as_bytes());
    zeroize::Zeroize::zeroize(&mut hasher);
    token
}

/// Seals a list beside a snapshot.
///
/// # Errors
/// [`EntropyError`] when the operating system gives no random bytes.
pub fn seal_suppression(
    key: &SnapshotKey,
    repository: RepositoryId,
    snapshot: SnapshotId,
    list: &Suppression,
) -> Result<Salted, EntropyError> {
    let salt = entropy::salt()?;
    let mut ciphertext = codec::to_cbor(list);
    let sealing = derive(key, snapshot, salt);
    aead::seal_once(Suite::Aes256Gcm, &sealing, &aad(repository, snapshot, list.erasure), &mut ciphertext);
    Ok(Salted { salt, ciphertext })
}

/// Opens the list of an erasure beside a snapshot.
///
/// # Errors
/// [`OpenSuppressionError`] when it is damaged or another's.
pub fn open_suppression(
    key: &SnapshotKey,
    repository: RepositoryId,
    snapshot: SnapshotId,
    erasure: Token,
    sealed: &Salted,
) -> Result<Suppression, OpenSuppressionError> {
    let opening = derive(key, snapshot, sealed.salt);
    let mut message = Zeroizing::new(sealed.ciphertext.clone());
    let plaintext = aead::open_once(Suite::Aes256Gcm, &opening, &aad(repository, snapshot, erasure), &mut message)?;
    Ok(codec::from_cbor("suppression list", plaintext)?)
}

fn derive(key: &SnapshotKey, snapshot: SnapshotId, salt: Salt) -> Zeroizing<[u8; 32]> {
    labels::derive(Label::Suppression, &[key.expose(), snapshot.as_bytes(), salt.as_bytes()])
}

fn aad(repository: RepositoryId, snapshot: SnapshotId, erasure: Token) -> Vec<u8> {
    let mut aad = magic::SUPPRESSION.to_vec();
    aad.extend_from_slice(repository.as_bytes());
    aad.extend_from_slice(snapshot.as_bytes());
    aad.extend_from_slice(erasure.as_bytes());
    aad
}
