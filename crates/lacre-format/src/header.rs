//! A snapshot object: the signed header (who, when, under which policy, committing to what) and the sealed root beside it.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    error::FormatError,
    ids::{Digest, GenerationId, HomeId, JobName, Millis, RepositoryId, Salt, SnapshotId, StreamTag, Token},
    object::{self, Kind},
    signed::Signed,
};

/// Largest snapshot object: header, label and sealed root.
pub const SNAPSHOT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most streams of one snapshot.
pub const STREAMS_MAX: usize = 1 << 20;
/// Most index segments one snapshot wrote: of [`crate::segment::SEGMENT_PACKS_MAX`] packs each.
pub const SEGMENTS_MAX: usize = 1 << 16;
/// Most chain heads of one list, which is one for each home there ever was.
pub const CHAIN_HEADS_MAX: usize = 10_000;
/// Most tags of one snapshot.
pub const TAGS_MAX: usize = 32;

/// The newest entry of one home's log that a writer had read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct ChainHead {
    /// Whose log.
    #[n(0)]
    pub home: HomeId,
    /// The entry's sequence number.
    #[n(1)]
    pub seq: u32,
    /// The hash in the entry's name.
    #[n(2)]
    pub digest: Digest,
}

/// What a writer signs when it commits a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// The writer.
    #[n(2)]
    pub home: HomeId,
    /// The writer's count of its own snapshots, from 0.
    #[n(3)]
    pub seq: u32,
    /// BLAKE3 of the writer's previous snapshot object.
    #[n(4)]
    pub previous: Option<Digest>,
    /// When the source was read, by the writer's clock.
    #[n(5)]
    pub taken: Millis,
    /// When the snapshot was committed, by the writer's clock.
    #[n(6)]
    pub committed: Millis,
    /// BLAKE3 of the session object this snapshot ends.
    #[n(7)]
    pub session: Digest,
    /// The snapshot whose frames may have been reused.
    #[n(8)]
    pub base: Option<SnapshotId>,
    /// The admin chains as read before the source was opened.
    #[cbor(n(9), decode_with = "codec::list::<_, _, CHAIN_HEADS_MAX>")]
    pub seen: Vec<ChainHead>,
    /// The policy under which the key entry was made.
    #[n(10)]
    pub policy: u32,
    /// The seal generation of the anchored key entry.
    #[n(11)]
    pub generation: GenerationId,
    /// The token in the key entry's name.
    #[n(12)]
    pub token: Token,
    /// BLAKE3 of the signed key entry (before its outer seal).
    #[n(13)]
    pub key_entry: Digest,
    /// Commits to the snapshot key: `DK("key commitment", K_s | sid | repository)`.
    #[n(14)]
    pub key_commitment: Digest,
    /// BLAKE3 of the sealed root.
    #[n(15)]
    pub root: Digest,
    /// BLAKE3 of the reach object.
    #[n(16)]
    pub reach: Digest,
    /// BLAKE3 of the index segments this session wrote.
    #[cbor(n(17), decode_with = "codec::list::<_, _, SEGMENTS_MAX>")]
    pub segments: Vec<Digest>,
    /// Salt of the label's key.
    #[n(18)]
    pub label_salt: Salt,
    /// The sealed [`Label`].
    #[cbor(n(19), with = "minicbor::bytes")]
    pub label: Vec<u8>,
    /// The erased snapshot this one replaces.
    #[n(20)]
    pub derived_from: Option<SnapshotId>,
    /// The admin chains as read when the run opened, whatever its source: what the writer's index has outlived.
    #[cbor(n(21), decode_with = "codec::list::<_, _, CHAIN_HEADS_MAX>")]
    pub opened: Vec<ChainHead>,
    /// The erasure of a person under which an admin made this snapshot out of the one it is derived from.
    #[n(22)]
    pub erasure: Option<Token>,
}

/// What may be known of a snapshot without its key, by those who hold the structure key. Counts and padded sizes only (L5).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Label {
    /// The job.
    #[n(0)]
    pub job: JobName,
    /// Plaintext bytes of all streams, rounded up to a Padmé length.
    #[n(1)]
    pub bytes: u64,
    /// Rows of all row streams.
    #[n(2)]
    pub rows: u64,
    /// Number of streams.
    #[n(3)]
    pub streams: u32,
    /// How each stream was cut, by pseudonym, so that the next run cuts alike even when all caches are lost.
    #[cbor(n(4), decode_with = "codec::list::<_, _, STREAMS_MAX>")]
    pub cuts: Vec<StreamCut>,
    /// Operator's tags.
    #[cbor(n(5), decode_with = "codec::list::<_, _, TAGS_MAX>")]
    pub tags: Vec<String>,
    /// Bytes this run added to the store.
    #[n(6)]
    pub stored: u64,
}

/// The cutter of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct StreamCut {
    /// Pseudonym of the stream's name.
    #[n(0)]
    pub stream: StreamTag,
    /// Version of the cutter.
    #[n(1)]
    pub version: u8,
    /// Target chunk length in bytes.
    #[n(2)]
    pub target_bytes: u32,
    /// Plaintext bytes, rounded up to a Padmé length.
    #[n(3)]
    pub bytes: u64,
}

/// The whole object `snap/<sid>`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SnapshotObject {
    /// The signed [`Header`].
    #[n(0)]
    pub signed: Signed,
    /// The sealed root.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub root: Vec<u8>,
}

impl SnapshotObject {
    /// The object's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        object::with_start(Kind::Snapshot, &codec::to_cbor(self))
    }

    /// Reads the object; the signature is verified by the caller.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged object.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        codec::from_cbor(Kind::Snapshot.name(), object::strip_start(Kind::Snapshot, bytes)?)
    }

    /// Reads the header.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged header.
    pub fn header(&self) -> Result<Header, FormatError> {
        codec::from_cbor("snapshot header", &self.signed.payload)
    }
}
