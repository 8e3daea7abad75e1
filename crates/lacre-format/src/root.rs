//! The root of a snapshot: its streams with the capabilities of their top nodes, and the facts of the source.
//!
//! The root is sealed with the snapshot key; whoever opens it can open everything below it.

use std::collections::BTreeMap;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    codec,
    header::STREAMS_MAX,
    ids::{Digest, JobName, Millis, PackId, RepositoryId, SnapshotId},
    node::Capability,
    pack::Birth,
};

/// Most private dictionaries of one stream.
pub const DICTIONARIES_MAX: usize = 1_000;

/// 32 secret bytes carried inside a sealed root; wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl Secret32 {
    /// Takes the secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for the sealing crate and encoders.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

macro_rules! secret_bytes_codec {
    ($name:ident, $make:expr) => {
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
                encoder.bytes(self.expose())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                let bytes = <[u8; 32]>::try_from(decoder.bytes()?);
                bytes.map($make).map_err(|_| DecodeError::message("a secret of another length"))
            }
        }
    };
}

secret_bytes_codec!(Secret32, Secret32);
secret_bytes_codec!(Capability, Capability::from_bytes);

/// What a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum StreamKind {
    /// Rows of one table in COPY text format.
    #[n(0)]
    Table,
    /// The large objects of one archive entry.
    #[n(1)]
    LargeObjects,
    /// Header and table of contents of an archive, verbatim.
    #[n(2)]
    ArchiveToc,
    /// How the data blocks of an archive were framed.
    #[n(3)]
    Framing,
    /// Roles and tablespaces as SQL.
    #[n(4)]
    Globals,
    /// A file, a command's output, or an archive of unknown version.
    #[n(5)]
    Opaque,
    /// SQL text outside COPY blocks of a plain dump.
    #[n(6)]
    Sql,
}

/// How a stream is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Shape {
    /// At row ends, by a keyed hash of the row.
    #[n(0)]
    Rows,
    /// At line ends, like rows.
    #[n(1)]
    Lines,
    /// By keyed FastCDC.
    #[n(2)]
    Bytes,
}

/// Where a stream's manifest begins.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Top {
    /// Opens the top node.
    #[n(0)]
    pub capability: Capability,
    /// The pack the top node was born in.
    #[n(1)]
    pub pack: PackId,
    /// The top node's slot there.
    #[n(2)]
    pub slot: u32,
    /// The top node's level.
    #[n(3)]
    pub level: u8,
    /// The top node's raw length in bytes.
    #[n(4)]
    pub raw_bytes: u32,
}

impl Top {
    /// The top node's birth name.
    #[must_use]
    pub const fn birth(&self) -> Birth {
        Birth { pack: self.pack, slot: self.slot }
    }
}

/// One stream of a snapshot.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stream {
    /// The stream's name, unique in its snapshot (for a table `schema.table`).
    #[n(0)]
    pub name: String,
    /// What it holds.
    #[n(1)]
    pub kind: StreamKind,
    /// How it was cut.
    #[n(2)]
    pub shape: Shape,
    /// Length in bytes.
    #[n(3)]
    pub bytes: u64,
    /// Row or line ends.
    #[n(4)]
    pub rows: u64,
    /// BLAKE3-256 of the whole stream.
    #[n(5)]
    pub blake3: Digest,
    /// Order-independent digest of the rows: four lanes of sums mod 2^64 of BLAKE3(row).
    #[n(6)]
    pub row_digest: Option<Vec<u64>>,
    /// The manifest; none for an empty stream.
    #[n(7)]
    pub top: Option<Top>,
    /// Private dictionaries, by number from 1.
    #[cbor(n(8), decode_with = "codec::list::<_, _, DICTIONARIES_MAX>")]
    pub dictionaries: Vec<Top>,
    /// Version of the cutter and its target in bytes.
    #[n(9)]
    pub cut: (u8, u32),
    /// The dump id of the archive entry this stream came from.
    #[n(10)]
    pub dump_id: Option<u32>,
    /// Number of chunks.
    #[n(11)]
    pub chunks: u64,
    /// Of a stream that the erasure of a person rewrote: a hash of the lengths and capabilities of its lowest nodes in order. `blake3` is then
    /// zero: that of the stream it was made of would let guesses of what was erased be tried.
    #[n(20)]
    pub rewritten: Option<Digest>,
}

/// The root of a snapshot.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Root {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The snapshot.
    #[n(1)]
    pub snapshot: SnapshotId,
    /// The job.
    #[n(2)]
    pub job: JobName,
    /// When the source was read.
    #[n(3)]
    pub taken: Millis,
    /// The driver that read the source: `postgres`, `command`, `file`, `stdin`.
    #[n(4)]
    pub source: String,
    /// Facts of the source by name; documented in FORMAT.md.
    #[n(5)]
    pub facts: BTreeMap<String, String>,
    /// The streams in the order they were written.
    #[cbor(n(6), decode_with = "codec::list::<_, _, STREAMS_MAX>")]
    pub streams: Vec<Stream>,
    /// Opens footers, reach maps, segments and labels.
    #[n(7)]
    pub structure_key: Secret32,
    /// The job's stream secret, so that a reader who rewrites a snapshot cuts and fingerprints alike.
    #[n(8)]
    pub stream_secret: Secret32,
}
