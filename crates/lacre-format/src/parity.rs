//! Parity of a pack: Reed-Solomon shards over its stored bytes, in an object of their own beside it.
//!
//! ```text
//! start 8 | header | check 16 | recovery shards ... | header | check 16 | header length u32 LE | "lacrepar"
//! ```
//! The header stands at both ends, so that damage to either end, and a cut, leave one of them. Every shard has a check of its own:
//! which shards are damaged is known before anything is corrected. All of it is computed from sealed bytes and says nothing more than
//! the pack does; the pack's name, which is the hash of its bytes, decides in the end. Laid out here; hashed and computed in the vault.

use crate::{
    codec::{Cursor, put_varint},
    error::FormatError,
    ids::PackName,
    object::{self, Kind, START_BYTES},
    pack::PACK_BYTES_MAX,
};

/// Largest parity object: 17 shards of 96 KiB for the largest pack, and two headers.
pub const PARITY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most shards of a pack.
pub const DATA_SHARDS_MAX: u32 = 1024;
/// Most recovery shards.
pub const RECOVERY_SHARDS_MAX: u32 = 256;
/// Largest shard: 1 MiB.
pub const SHARD_BYTES_MAX: u32 = 1024 * 1024;
/// A shard's length is a multiple of this.
pub const SHARD_STEP: u32 = 64;
/// Bytes of the check of a shard: the first half of its BLAKE3.
pub const CHECK_BYTES: usize = 16;
/// Bytes behind the second header: its length and a magic.
pub const PARITY_TRAILER_BYTES: usize = 12;

/// A writer divides a pack into at most this many shards.
const SHARDS_WRITTEN: u64 = 512;
/// No written shard is shorter than a sector of a disk, unless the pack is.
const SECTOR_BYTES: u64 = 4096;
const TRAILER_MAGIC: &[u8; 8] = b"lacrepar";
const WHAT: &str = "parity";

/// The check of one shard: the first 16 bytes of the BLAKE3 of its bytes, a last one filled up with zeros.
pub type ShardCheck = [u8; CHECK_BYTES];
/// Computes the check of a shard or header; this crate hashes nothing itself.
pub type CheckOf = fn(&[u8]) -> ShardCheck;

/// What a parity object says of itself and of its pack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParityHeader {
    /// The pack.
    pub pack: PackName,
    /// The pack object's length in bytes.
    pub pack_bytes: u64,
    /// The length of every shard; the pack's last one is filled up with zeros.
    pub shard_bytes: u32,
    /// How many recovery shards follow.
    pub recovery: u32,
    /// The checks of the pack's shards, in order, then those of the recovery shards.
    pub checks: Vec<ShardCheck>,
}

/// How a writer divides a pack of this length: the length of a shard and the number of recovery shards, so that any burst of up to
/// three percent of the pack can be corrected wherever it begins.
#[must_use]
pub fn division(pack_bytes: u64) -> (u32, u32) {
    let step = u64::from(SHARD_STEP);
    let least = pack_bytes.clamp(1, SECTOR_BYTES);
    let shard = pack_bytes.div_ceil(SHARDS_WRITTEN).max(least).div_ceil(step).saturating_mul(step);
    let data = pack_bytes.div_ceil(shard).max(1);
    let burst = data.saturating_mul(3).div_ceil(100);
    // A burst touches one shard more than it fills, unless there is only one.
    let recovery = burst.saturating_add(u64::from(data > 1));
    (u32::try_from(shard).unwrap_or(u32::MAX), u32::try_from(recovery).unwrap_or(u32::MAX))
}

impl ParityHeader {
    /// How many shards the pack has.
    #[must_use]
    pub fn data(&self) -> u32 {
        let shards = self.pack_bytes.div_ceil(u64::from(self.shard_bytes.max(1)));
        u32::try_from(shards).unwrap_or(u32::MAX)
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend_from_slice(self.pack.as_bytes());
        put_varint(&mut out, self.pack_bytes);
        put_varint(&mut out, u64::from(self.shard_bytes));
        put_varint(&mut out, u64::from(self.recovery));
        self.checks.iter().for_each(|check| out.extend_from_slice(check));
        out
    }

    /// Reads a header off the beginning of `bytes`; gives what follows it too.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged header; more or larger shards than a parity has are refused.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let version = cursor.byte()?;
        if version != 1 {
            return Err(FormatError::BadVersion { what: WHAT, found: u64::from(version), known: 1 });
        }
        let pack = PackName::new(cursor.array()?);
        let pack_bytes = u64::from(cursor.bounded(u32::try_from(PACK_BYTES_MAX).unwrap_or(u32::MAX))?);
        let shard_bytes = cursor.bounded(SHARD_BYTES_MAX)?;
        let recovery = cursor.bounded(RECOVERY_SHARDS_MAX)?;
        if pack_bytes == 0 || shard_bytes == 0 || !shard_bytes.is_multiple_of(SHARD_STEP) || recovery == 0 {
            return Err(FormatError::malformed(WHAT, "nothing to correct, or shards of an odd length"));
        }
        let mut header = Self { pack, pack_bytes, shard_bytes, recovery, checks: Vec::new() };
        let data = header.data();
        if data > DATA_SHARDS_MAX {
            let (found, allowed) = (u64::from(data), u64::from(DATA_SHARDS_MAX));
            return Err(FormatError::TooLarge { what: WHAT, found, allowed });
        }
        for _ in 0..data.saturating_add(recovery) {
            header.checks.push(cursor.array()?);
        }
        let rest = cursor.left();
        let used = bytes.len().saturating_sub(rest);
        Ok((header, bytes.get(used..).unwrap_or_default()))
    }

    /// The whole object; `check` is that of the encoded header, `shards` are the recovery shards, one after the other.
    #[must_use]
    pub fn object(&self, check: ShardCheck, shards: &[u8]) -> Vec<u8> {
        let header = self.encode();
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        let around = header.len().saturating_add(CHECK_BYTES).saturating_mul(2);
        let mut out = Vec::with_capacity(
            around.saturating_add(shards.len()).saturating_add(START_BYTES).saturating_add(PARITY_TRAILER_BYTES),
        );
        out.extend_from_slice(&object::start(Kind::Parity));
        out.extend_from_slice(&header);
        out.extend_from_slice(&check);
        out.extend_from_slice(shards);
        out.extend_from_slice(&header);
        out.extend_from_slice(&check);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(TRAILER_MAGIC);
        out
    }

    /// Finds an undamaged header at either end of an object, whatever became of the rest; gives the bytes behind the first one as
    /// far as they are there, which begin with the recovery shards.
    ///
    /// # Errors
    /// What is wrong with the header at the beginning, when the one at the end is no better.
    pub fn find(bytes: &[u8], check_of: CheckOf) -> Result<(Self, &[u8]), FormatError> {
        let body = bytes.get(START_BYTES..).ok_or(FormatError::Truncated { what: WHAT });
        body.and_then(|body| checked(body, check_of)).or_else(|error| {
            let header = second(bytes, check_of).ok_or(error)?;
            let before = START_BYTES.saturating_add(header.encode().len()).saturating_add(CHECK_BYTES);
            Ok((header, bytes.get(before..).unwrap_or_default()))
        })
    }

    /// The length of the whole object.
    #[must_use]
    pub fn object_bytes(&self) -> u64 {
        let header = u64::try_from(self.encode().len().saturating_add(CHECK_BYTES)).unwrap_or(u64::MAX);
        let around = u64::try_from(START_BYTES.saturating_add(PARITY_TRAILER_BYTES)).unwrap_or(u64::MAX);
        let shards = u64::from(self.recovery).saturating_mul(u64::from(self.shard_bytes));
        header.saturating_mul(2).saturating_add(around).saturating_add(shards)
    }
}

/// A header and its check at the beginning of `bytes`.
fn checked(bytes: &[u8], check_of: CheckOf) -> Result<(ParityHeader, &[u8]), FormatError> {
    let (header, rest) = ParityHeader::decode(bytes)?;
    let (check, shards) = rest.split_first_chunk::<CHECK_BYTES>().ok_or(FormatError::Truncated { what: WHAT })?;
    if check_of(&header.encode()) == *check {
        Ok((header, shards))
    } else {
        Err(FormatError::malformed(WHAT, "a header that does not match its check"))
    }
}

/// The header at the end, by the trailer's word.
fn second(bytes: &[u8], check_of: CheckOf) -> Option<ParityHeader> {
    let (before, trailer) = bytes.split_last_chunk::<PARITY_TRAILER_BYTES>()?;
    let (length, magic) = trailer.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let start = before.len().checked_sub(length.checked_add(CHECK_BYTES)?)?;
    let (header, rest) = checked(before.get(start..)?, check_of).ok()?;
    (magic == TRAILER_MAGIC && rest.is_empty()).then_some(header)
}
