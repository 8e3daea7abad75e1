//! The keyring: key entries (one snapshot key, wrapped to the recipients and signed by its writer), the sealed envelope a new
//! entry travels in, the bundle of all carried entries of a generation and the list of what is in it.

use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{
    codec,
    error::FormatError,
    ids::{Digest, GenerationId, RepositoryId, SnapshotId},
    object::{self, Kind},
};

/// Most inner wraps of one entry.
pub const WRAPS_MAX: usize = 64;
/// Largest key entry object.
pub const KEY_ENTRY_BYTES_MAX: u64 = 1024 * 1024;
/// Most entries of one bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 100_000;
/// Largest bundle object.
pub const BUNDLE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How an inner wrap is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum WrapKind {
    /// One age file to all classic X25519 recipients.
    #[n(0)]
    AgeX25519,
    /// One age file to all post-quantum recipients.
    #[n(1)]
    AgePq,
    /// One OpenPGP message to all certificates.
    #[n(2)]
    OpenPgp,
}

/// A snapshot key wrapped to a group of recipients.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct InnerWrap {
    /// How it is made.
    #[n(0)]
    pub kind: WrapKind,
    /// The age file or OpenPGP message.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// What a writer signs as the key entry of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct KeyEntry {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// The policy whose recipients the wraps are for.
    #[n(2)]
    pub policy: u32,
    /// Commits to the snapshot key.
    #[n(3)]
    pub key_commitment: Digest,
    /// The wraps.
    #[cbor(n(4), decode_with = "codec::list::<_, _, WRAPS_MAX>")]
    pub wraps: Vec<InnerWrap>,
}

/// What a writer signs and PUTs as `keyring/in/<gen>/<sid>-<token>`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct KeyEnvelope {
    /// The snapshot.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// The generation it is sealed to.
    #[n(1)]
    pub generation: GenerationId,
    /// BLAKE3 of the signed entry inside.
    #[n(2)]
    pub entry: Digest,
    /// An age file to the generation's public key; inside is the signed [`KeyEntry`] object.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

/// The content of a bundle.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Bundle {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The generation this bundle is sealed to.
    #[n(1)]
    pub generation: GenerationId,
    /// Signed [`KeyEntry`] objects, byte for byte as their writers made them.
    #[cbor(n(2), decode_with = "codec::list::<_, _, BUNDLE_ENTRIES_MAX>")]
    pub entries: Vec<ByteVec>,
}

/// What the admin signs beside a bundle: which entries are in it, for those who hold no key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct BundleList {
    /// The generation.
    #[n(0)]
    pub generation: GenerationId,
    /// BLAKE3 of the bundle object.
    #[n(1)]
    pub bundle: Digest,
    /// Snapshot and BLAKE3 of its signed entry, in order.
    #[cbor(n(2), decode_with = "codec::list::<_, _, BUNDLE_ENTRIES_MAX>")]
    pub entries: Vec<(SnapshotId, Digest)>,
}

/// The bundle object: the sealed content.
///
/// The object is its start, the generation and the ciphertext.
#[must_use]
pub fn encode_bundle_object(generation: GenerationId, ciphertext: &[u8]) -> Vec<u8> {
    let mut body = codec::to_cbor(&generation);
    body.extend_from_slice(ciphertext);
    object::with_start(Kind::Bundle, &body)
}

/// Reads a bundle object: its generation and the ciphertext.
///
/// # Errors
/// Any [`FormatError`] of a damaged object.
pub fn decode_bundle_object(bytes: &[u8]) -> Result<(GenerationId, &[u8]), FormatError> {
    let what = Kind::Bundle.name();
    let body = object::strip_start(Kind::Bundle, bytes)?;
    let mut decoder = minicbor::Decoder::new(body);
    let generation = decoder.decode().map_err(|error| codec::refused(what, &error))?;
    let ciphertext = body.get(decoder.position()..).ok_or(FormatError::Truncated { what })?;
    Ok((generation, ciphertext))
}
