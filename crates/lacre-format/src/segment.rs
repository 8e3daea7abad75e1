//! An index segment: the footers of the packs one session wrote, so that a new machine reads no pack to know where frames lie.

use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{
    codec,
    ids::{PackName, Salt},
};

/// Largest segment object.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most packs of one segment.
pub const SEGMENT_PACKS_MAX: usize = 256;

/// One pack in a segment.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SegmentPack {
    /// The pack's object name.
    #[n(0)]
    pub name: PackName,
    /// The pack object's length in bytes.
    #[n(1)]
    pub bytes: u64,
    /// The footer's plaintext.
    #[n(2)]
    pub footer: ByteVec,
}

/// The plaintext of a segment.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Segment {
    /// The packs, sorted by name.
    #[cbor(n(0), decode_with = "codec::list::<_, _, SEGMENT_PACKS_MAX>")]
    pub packs: Vec<SegmentPack>,
}

/// Something sealed with the structure key: the salt of its key and the ciphertext.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Salted {
    /// Salt of the key.
    #[n(0)]
    pub salt: Salt,
    /// The ciphertext.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub ciphertext: Vec<u8>,
}
