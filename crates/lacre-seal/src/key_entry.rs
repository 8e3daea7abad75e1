//! Key entries: a snapshot key wrapped to the recipients, and checked against the snapshot's signed commitment when opened.
//!
//! The payload every recipient decrypts is 68 bytes: `"LKS1" | repository | snapshot | K_s`. Whoever opens a wrap accepts the
//! key only if the ids match and the key has the commitment that the writer signed in the header: that one check stands
//! against swapped entries, equivocating wraps, and the lack of sender authentication in age and of strong integrity in old
//! OpenPGP messages.

use std::time::SystemTime;

use lacre_format::{
    ids::{Digest, RepositoryId, SnapshotId},
    keyring::KeyEntry,
};
use zeroize::Zeroizing;

use crate::{
    identity::Identity,
    recipient::Recipient,
    secret::SnapshotKey,
    wrap::{self, UnwrapError, WrapError},
};

const MAGIC: &[u8; 4] = b"LKS1";
const PAYLOAD_BYTES: usize = 4 + RepositoryId::LEN + SnapshotId::LEN + 32;

/// Why a key entry did not give its snapshot's key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenEntryError {
    /// A wrap for one of the identities is damaged or could not be opened.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// What was decrypted is not a snapshot key.
    #[error("key entry: what it holds is not a snapshot key")]
    NotAKey,
    /// It is another repository's or snapshot's key.
    #[error("key entry: it holds the key of another snapshot")]
    Foreign,
    /// The key is not the one the writer committed to.
    #[error("key entry: the key is not the one its writer signed for")]
    Commitment,
}

/// Wraps a snapshot's key to every recipient.
///
/// # Errors
/// [`WrapError`] when there is no recipient or a certificate has expired.
pub fn make_key_entry(
    key: &SnapshotKey,
    repository: RepositoryId,
    snapshot: SnapshotId,
    policy: u32,
    recipients: &[Recipient],
    now: SystemTime,
) -> Result<KeyEntry, WrapError> {
    let mut payload = Zeroizing::new(Vec::with_capacity(PAYLOAD_BYTES));
    payload.extend_from_slice(MAGIC);
    payload.extend_from_slice(repository.as_bytes());
    payload.extend_from_slice(snapshot.as_bytes());
    payload.extend_from_slice(key.expose());
    let wraps = wrap::wrap(recipients, &payload, now)?;
    Ok(KeyEntry { repository, snapshot, policy, key_commitment: key.commitment(repository, snapshot), wraps })
}

/// Opens a key entry: `None` when it is wrapped to none of the identities.
///
/// `commitment` comes from the snapshot's signed header, never from the entry itself.
#[must_use]
pub fn open_key_entry(
    entry: &KeyEntry,
    repository: RepositoryId,
    snapshot: SnapshotId,
    commitment: &Digest,
    identities: &[Identity],
) -> Option<Result<SnapshotKey, OpenEntryError>> {
    let opened = wrap::unwrap(&entry.wraps, identities)?;
    Some(opened.map_err(OpenEntryError::from).and_then(|payload| accept(&payload, repository, snapshot, commitment)))
}

fn accept(
    payload: &[u8],
    repository: RepositoryId,
    snapshot: SnapshotId,
    commitment: &Digest,
) -> Result<SnapshotKey, OpenEntryError> {
    let (magic, rest) = payload.split_first_chunk::<4>().ok_or(OpenEntryError::NotAKey)?;
    let (found_repository, rest) = rest.split_first_chunk::<{ RepositoryId::LEN }>().ok_or(OpenEntryError::NotAKey)?;
    let (found_snapshot, rest) = rest.split_first_chunk::<{ SnapshotId::LEN }>().ok_or(OpenEntryError::NotAKey)?;
    let bytes = <&[u8; 32]>::try_from(rest).map_err(|_| OpenEntryError::NotAKey)?;
    if magic != MAGIC {
        return Err(OpenEntryError::NotAKey);
    }
    if found_repository != repository.as_bytes() || found_snapshot != snapshot.as_bytes() {
        return Err(OpenEntryError::Foreign);
    }
    let key = SnapshotKey::from_bytes(bytes);
    if key.commits_to(commitment, repository, snapshot) { Ok(key) } else { Err(OpenEntryError::Commitment) }
}
