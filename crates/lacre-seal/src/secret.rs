//! Long-lived secrets of a home and of a snapshot. None can be printed, cloned or serialised; all are wiped when dropped.

use lacre_format::{
    ids::{Digest, PublicKey, RepositoryId, Salt, SnapshotId, StreamTag},
    root::Secret32,
};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    entropy::{self, EntropyError},
    labels::{self, Label},
};

/// One job's secret: it keys fingerprints and cutters, and dies with nothing (erasure does not depend on it).
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StreamSecret([u8; 32]);

/// The keyed tables of a job's cutters.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CutSecret {
    gear: Box<[u64; 256]>,
    row: [u8; 32],
}

impl CutSecret {
    /// The gear table of the byte cutter.
    #[must_use]
    pub fn gear(&self) -> &[u64; 256] {
        &self.gear
    }

    /// The key of the row cutter.
    #[must_use]
    pub const fn row(&self) -> &[u8; 32] {
        &self.row
    }
}

impl StreamSecret {
    /// Draws a new secret.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, EntropyError> {
        entropy::secret().map(|bytes| Self(*bytes))
    }

    /// Takes the secret from a key file or an opened root.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The secret for a key file.
    #[must_use]
    pub fn to_key_file(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The secret for a root.
    #[must_use]
    pub fn to_root(&self) -> Secret32 {
        Secret32::from_bytes(self.0)
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Derives the keyed tables of the cutters.
    #[must_use]
    pub fn cut_secret(&self) -> CutSecret {
        let mut bytes = Zeroizing::new([0u8; 2048]);
        labels::derive_into(Label::GearTable, &[&self.0], bytes.as_mut_slice());
        let mut gear = Box::new([0u64; 256]);
        for (entry, chunk) in gear.iter_mut().zip(bytes.chunks_exact(8)) {
            *entry = chunk.iter().rev().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        }
        CutSecret { gear, row: *labels::derive(Label::RowCut, &[&self.0]) }
    }

    /// The pseudonym of a stream name.
    #[must_use]
    pub fn stream_tag(&self, name: &str) -> StreamTag {
        let hash = labels::derive(Label::StreamTag, &[&self.0, name.as_bytes()]);
        let mut tag = [0u8; StreamTag::LEN];
        tag.copy_from_slice(&hash[..StreamTag::LEN]);
        StreamTag::new(tag)
    }
}

/// The key of one snapshot: it opens the root, and it is what erasure makes unreachable.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SnapshotKey([u8; 32]);

impl SnapshotKey {
    /// Draws the key of a new snapshot.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system gives no random bytes.
    pub fn generate(snapshot: SnapshotId) -> Result<Self, EntropyError> {
        let fresh = entropy::secret::<32>()?;
        Ok(Self(*labels::derive(Label::SnapshotKey, &[fresh.as_slice(), snapshot.as_bytes()])))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Commits to the key without revealing it.
    #[must_use]
    pub fn commitment(&self, repository: RepositoryId, snapshot: SnapshotId) -> Digest {
        let parts: [&[u8]; 3] = [&self.0, snapshot.as_bytes(), repository.as_bytes()];
        Digest::new(*labels::derive(Label::KeyCommitment, &parts))
    }

    /// Whether a commitment is this key's, compared in constant time.
    #[must_use]
    pub fn commits_to(&self, commitment: &Digest, repository: RepositoryId, snapshot: SnapshotId) -> bool {
        self.commitment(repository, snapshot).as_bytes().ct_eq(commitment.as_bytes()).into()
    }
}

/// The id of the repository that an admin key and a nonce make: whoever knows the id can check the key.
#[must_use]
pub fn repository_id(admin: &PublicKey, nonce: &Salt) -> RepositoryId {
    let hash = labels::derive(Label::RepositoryId, &[admin.as_bytes(), nonce.as_bytes()]);
    let mut id = [0u8; RepositoryId::LEN];
    id.copy_from_slice(&hash[..RepositoryId::LEN]);
    RepositoryId::new(id)
}
