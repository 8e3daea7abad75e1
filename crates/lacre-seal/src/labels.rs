//! The one registry of key-derivation labels. Nothing else in the workspace derives a key.
//!
//! `DK(label, x)` is BLAKE3 in key-derivation mode with the context `lacre.v1 2026-11 <label>` (BLAKE3 specification 2.3,
//! "derive_key"); `KH(key, tag | x)` is keyed BLAKE3 with a first-byte tag. Fields of fixed length are concatenated; where a
//! field has variable length its length goes before it as a u64.

use std::sync::LazyLock;

use blake3::Hasher;
use zeroize::Zeroizing;

/// What a derived key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Label {
    ContentHash,
    GearTable,
    RowCut,
    StreamTag,
    FrameSecret,
    FrameKey,
    PackFooter,
    Segment,
    Reach,
    SnapshotLabel,
    SessionJob,
    SnapshotKey,
    KeyCommitment,
    RootKey,
    Bundle,
    RepositoryId,
}

impl Label {
    pub(crate) const ALL: [Self; 16] = [
        Self::ContentHash,
        Self::GearTable,
        Self::RowCut,
        Self::StreamTag,
        Self::FrameSecret,
        Self::FrameKey,
        Self::PackFooter,
        Self::Segment,
        Self::Reach,
        Self::SnapshotLabel,
        Self::SessionJob,
        Self::SnapshotKey,
        Self::KeyCommitment,
        Self::RootKey,
        Self::Bundle,
        Self::RepositoryId,
    ];

    pub(crate) const fn context(self) -> &'static str {
        match self {
            Self::ContentHash => "lacre.v1 2026-11 content hash",
            Self::GearTable => "lacre.v1 2026-11 gear table",
            Self::RowCut => "lacre.v1 2026-11 row cut",
            Self::StreamTag => "lacre.v1 2026-11 stream tag",
            Self::FrameSecret => "lacre.v1 2026-11 frame secret",
            Self::FrameKey => "lacre.v1 2026-11 frame key",
            Self::PackFooter => "lacre.v1 2026-11 pack footer",
            Self::Segment => "lacre.v1 2026-11 index segment",
            Self::Reach => "lacre.v1 2026-11 reach",
            Self::SnapshotLabel => "lacre.v1 2026-11 label",
            Self::SessionJob => "lacre.v1 2026-11 session job",
            Self::SnapshotKey => "lacre.v1 2026-11 snapshot key",
            Self::KeyCommitment => "lacre.v1 2026-11 key commitment",
            Self::RootKey => "lacre.v1 2026-11 root key",
            Self::Bundle => "lacre.v1 2026-11 bundle",
            Self::RepositoryId => "lacre.v1 2026-11 repository id",
        }
    }
}

/// First-byte tags of keyed hashes: one per use of a key.
pub(crate) mod tag {
    /// Under the content key: a frame's plaintext.
    pub(crate) const LEVEL: u8 = b'L';
    /// Under a run's index key: the row's name.
    pub(crate) const INDEX_NAME: u8 = b'f';
    /// Under a run's index key: the row's key.
    pub(crate) const INDEX_ROW: u8 = b'r';
    /// Under a row's key: the row's nonce.
    pub(crate) const INDEX_NONCE: u8 = b'n';
}

/// First bytes of the associated data of every authenticated encryption.
pub(crate) mod magic {
    pub(crate) const FRAME: &[u8; 3] = b"LF1";
    pub(crate) const FOOTER: &[u8; 4] = b"LPF1";
    pub(crate) const SEGMENT: &[u8; 4] = b"LIS1";
    pub(crate) const REACH: &[u8; 4] = b"LRM1";
    pub(crate) const LABEL: &[u8; 4] = b"LSL1";
    pub(crate) const SESSION_JOB: &[u8; 4] = b"LSJ1";
    pub(crate) const ROOT: &[u8; 3] = b"LR1";
    pub(crate) const BUNDLE: &[u8; 3] = b"LB1";
    pub(crate) const INDEX_ROW: &[u8; 4] = b"LIR1";
}

/// Hashers with their context already absorbed: a frame derives two keys, and absorbing the context would double the work.
static HASHERS: LazyLock<Vec<Hasher>> =
    LazyLock::new(|| Label::ALL.iter().map(|label| Hasher::new_derive_key(label.context())).collect());

/// `DK(label, parts...)`: 32 bytes.
pub(crate) fn derive(label: Label, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hasher = hasher(label, parts);
    let key = Zeroizing::new(*hasher.finalize().as_bytes());
    zeroize::Zeroize::zeroize(&mut hasher);
    key
}

/// `DK(label, parts...)` extended to the length of `out`.
pub(crate) fn derive_into(label: Label, parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = hasher(label, parts);
    hasher.finalize_xof().fill(out);
    zeroize::Zeroize::zeroize(&mut hasher);
}

fn hasher(label: Label, parts: &[&[u8]]) -> Hasher {
    let mut hasher = HASHERS[label as usize].clone();
    for part in parts {
        hasher.update(part);
    }
    hasher
}

/// `KH(key, tag | parts...)`: 32 bytes.
pub(crate) fn keyed(key: &[u8; 32], tag: u8, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hasher = Hasher::new_keyed(key);
    hasher.update(&[tag]);
    for part in parts {
        hasher.update(part);
    }
    let hash = Zeroizing::new(*hasher.finalize().as_bytes());
    zeroize::Zeroize::zeroize(&mut hasher);
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_label_has_a_context_and_a_place_of_its_own() {
        let contexts: BTreeSet<&str> = Label::ALL.iter().map(|label| label.context()).collect();
        assert_eq!(contexts.len(), Label::ALL.len());
        for (place, label) in Label::ALL.iter().enumerate() {
            assert_eq!(place, *label as usize, "{label:?} stands elsewhere in ALL than in the enum");
            assert!(label.context().starts_with("lacre.v1 2026-11 "));
        }
    }

    #[test]
    fn the_cached_hasher_derives_what_blake3_does() {
        for label in Label::ALL {
            let expected = blake3::derive_key(label.context(), b"some key material");
            assert_eq!(*derive(label, &[b"some key ", b"material"]), expected);
        }
    }

    #[test]
    fn tags_separate_uses_of_one_key() {
        let tags = [tag::LEVEL, tag::INDEX_NAME, tag::INDEX_ROW, tag::INDEX_NONCE];
        let hashes: BTreeSet<[u8; 32]> = tags.iter().map(|tag| *keyed(&[7; 32], *tag, &[b"x"])).collect();
        assert_eq!(hashes.len(), tags.len());
    }
}
