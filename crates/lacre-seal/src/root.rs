//! Sealing of a snapshot's root under its snapshot key.

use lacre_format::{
    FormatError, codec,
    frame::padme,
    ids::{RepositoryId, SnapshotId},
    root::Root,
};
use zeroize::Zeroizing;

use crate::{
    aead::{self, NotAuthentic, Suite},
    labels::{self, Label, magic},
    secret::SnapshotKey,
};

/// Why a root could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRootError {
    /// Damaged, or sealed with another snapshot's key.
    #[error("snapshot root: {0}")]
    NotAuthentic(#[from] NotAuthentic),
    /// Authentic, but not a root this program reads.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Authentic, but another snapshot's.
    #[error("snapshot root: it names another snapshot")]
    Foreign,
}

/// Seals a root: its length, its CBOR and zeros up to a Padmé length.
///
/// The snapshot key seals one root only: whoever calls this has just drawn it (law L4 holds by its single call in a commit).
#[must_use]
pub fn seal_root(key: &SnapshotKey, root: &Root) -> Vec<u8> {
    let encoded = Zeroizing::new(codec::to_cbor(root));
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    let padded = usize::try_from(padme(u64::from(length).saturating_add(4))).unwrap_or(encoded.len());
    let mut body = Vec::with_capacity(padded + 32);
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&encoded);
    body.resize(padded.max(body.len()), 0);
    let root_key = labels::derive(Label::RootKey, &[key.expose(), root.snapshot.as_bytes()]);
    aead::seal_once(Suite::Aes256Gcm, &root_key, &aad(root.repository, root.snapshot), &mut body);
    body
}

/// Opens a root.
///
/// # Errors
/// [`OpenRootError`] when it is damaged or another snapshot's.
pub fn open_root(
    key: &SnapshotKey,
    repository: RepositoryId,
    snapshot: SnapshotId,
    sealed: &[u8],
) -> Result<Root, OpenRootError> {
    let root_key = labels::derive(Label::RootKey, &[key.expose(), snapshot.as_bytes()]);
    let mut message = Zeroizing::new(sealed.to_vec());
    let body = aead::open_once(Suite::Aes256Gcm, &root_key, &aad(repository, snapshot), &mut message)?;
    let truncated = FormatError::Truncated { what: "snapshot root" };
    let (length, rest) = body.split_first_chunk::<4>().ok_or_else(|| truncated.clone())?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let root: Root = codec::from_cbor("snapshot root", rest.get(..length).ok_or(truncated)?)?;
    if root.repository == repository && root.snapshot == snapshot { Ok(root) } else { Err(OpenRootError::Foreign) }
}

fn aad(repository: RepositoryId, snapshot: SnapshotId) -> Vec<u8> {
    let mut aad = magic::ROOT.to_vec();
    aad.extend_from_slice(repository.as_bytes());
    aad.extend_from_slice(snapshot.as_bytes());
    aad
}
