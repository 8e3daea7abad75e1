//! The one registry of key-derivation labels. Nothing else in the workspace derives a key.
//!
//! `DK(label, x)` is BLAKE3 in key-derivation mode with the context `lacre.v1 2026-11 <label>` (BLAKE3 specification 2.3,
//! "derive_key"); `KH(key, tag | x)` is keyed BLAKE3 with a first-byte tag. Fields of fixed length are concatenated; where a
//! field has variable length its length goes before it as a u64.

use blake3::Hasher;
use zeroize::Zeroizing;

/// What a derived key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    Annotation,
    SessionJob,
    Run,
    Retention,
    SnapshotKey,
    KeyCommitment,
    RootKey,
    Bundle,
    RepositoryId,
    PersonJobs,
    PersonAccount,
    Suppression,
    NodeList,
    StreamClaim,
}

impl Label {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 23] = [
        Self::ContentHash,
        Self::GearTable,
        Self::RowCut,
        Self::StreamTag,
        Self::FrameSecret,
        Self::FrameKey,
        Self::PackFooter,
        Self::Segment,
        Self::Reach,
        Self::Annotation,
        Self::SessionJob,
        Self::Run,
        Self::Retention,
        Self::SnapshotKey,
        Self::KeyCommitment,
        Self::RootKey,
        Self::Bundle,
        Self::RepositoryId,
        Self::PersonJobs,
        Self::PersonAccount,
        Self::Suppression,
        Self::NodeList,
        Self::StreamClaim,
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
            Self::Annotation => "lacre.v1 2026-11 label",
            Self::SessionJob => "lacre.v1 2026-11 session job",
            Self::Run => "lacre.v1 2026-11 run",
            Self::Retention => "lacre.v1 2026-11 retention",
            Self::SnapshotKey => "lacre.v1 2026-11 snapshot key",
            Self::KeyCommitment => "lacre.v1 2026-11 key commitment",
            Self::RootKey => "lacre.v1 2026-11 root key",
            Self::Bundle => "lacre.v1 2026-11 bundle",
            Self::RepositoryId => "lacre.v1 2026-11 repository id",
            Self::PersonJobs => "lacre.v1 2026-11 person jobs",
            Self::PersonAccount => "lacre.v1 2026-11 person account",
            Self::Suppression => "lacre.v1 2026-11 suppression list",
            Self::NodeList => "lacre.v1 2026-11 node list",
            Self::StreamClaim => "lacre.v1 2026-11 stream claim",
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
    /// Under a suppression list's key: a value's token.
    pub(crate) const SUPPRESSION: u8 = b's';
}

/// First bytes of the associated data of every authenticated encryption.
pub(crate) mod magic {
    pub(crate) const FRAME: &[u8; 3] = b"LF1";
    pub(crate) const FOOTER: &[u8; 4] = b"LPF1";
    pub(crate) const SEGMENT: &[u8; 4] = b"LIS1";
    pub(crate) const REACH: &[u8; 4] = b"LRM1";
    pub(crate) const LABEL: &[u8; 4] = b"LSL1";
    pub(crate) const SESSION_JOB: &[u8; 4] = b"LSJ1";
    pub(crate) const RUN: &[u8; 4] = b"LRN1";
    pub(crate) const RETENTION: &[u8; 4] = b"LRT1";
    pub(crate) const ROOT: &[u8; 3] = b"LR1";
    pub(crate) const BUNDLE: &[u8; 3] = b"LB1";
    pub(crate) const INDEX_ROW: &[u8; 4] = b"LIR1";
    pub(crate) const PERSON_JOBS: &[u8; 4] = b"LPJ1";
    pub(crate) const PERSON_ACCOUNT: &[u8; 4] = b"LPA1";
    pub(crate) const SUPPRESSION: &[u8; 4] = b"LSU1";
}

/// Longest input of [`derive`]: keys, ids and salts of fixed length, or a name.
const DERIVE_BYTES_MAX: usize = 256;

/// `DK(label, parts...)`: 32 bytes.
pub(crate) fn derive(label: Label, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut short = Zeroizing::new([0u8; DERIVE_BYTES_MAX]);
    let mut length = 0usize;
    for part in parts {
        match short.get_mut(length..length + part.len()) {
            Some(room) => room.copy_from_slice(part),
            None => {
                let mut key = Zeroizing::new([0u8; 32]);
                derive_into(label, parts, key.as_mut_slice());
                return key;
            }
        }
        length += part.len();
    }
    Zeroizing::new(blake3::derive_key(label.context(), &short[..length]))
}

/// `DK(label, parts...)` extended to the length of `out`.
pub(crate) fn derive_into(label: Label, parts: &[&[u8]], out: &mut [u8]) {
    let mut hasher = hasher(label, parts);
    hasher.finalize_xof().fill(out);
    zeroize::Zeroize::zeroize(&mut hasher);
}

pub(crate) fn hasher(label: Label, parts: &[&[u8]]) -> Hasher {
    let mut hasher = Hasher::new_derive_key(label.context());
    for part in parts {
        hasher.update(part);
    }
    hasher
}

/// Longest input of [`keyed`]: a tag and a few fields of fixed length.
const KEYED_BYTES_MAX: usize = 128;

/// `KH(key, tag | parts...)`: 32 bytes, for short inputs of fixed length.
pub(crate) fn keyed(key: &[u8; 32], tag: u8, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut input = Zeroizing::new([0u8; KEYED_BYTES_MAX]);
    input[0] = tag;
    let mut length = 1;
    for part in parts {
        input[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    Zeroizing::new(*blake3::keyed_hash(key, &input[..length]).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_label_has_a_context_and_a_place_of_its_own() {
        let contexts: BTreeSet<&str> = Label::ALL.iter().map(|label| label.context()).collect();
        assert_eq!(contexts.len(), Label::ALL.len());
        for label in Label::ALL {
            assert!(label.context().starts_with("lacre.v1 2026-11 "));
        }
    }

    #[test]
    fn short_and_long_inputs_derive_what_blake3_does() {
        for label in Label::ALL {
            let expected = blake3::derive_key(label.context(), b"some key material");
            assert_eq!(*derive(label, &[b"some key ", b"material"]), expected);
            let long = [7u8; 300];
            assert_eq!(*derive(label, &[&long[..100], &long[100..]]), blake3::derive_key(label.context(), &long));
        }
    }

    #[test]
    fn tags_separate_uses_of_one_key() {
        let tags = [tag::LEVEL, tag::INDEX_NAME, tag::INDEX_ROW, tag::INDEX_NONCE, tag::SUPPRESSION];
        let hashes: BTreeSet<[u8; 32]> = tags.iter().map(|tag| *keyed(&[7; 32], *tag, &[b"x"])).collect();
        assert_eq!(hashes.len(), tags.len());
    }
}
