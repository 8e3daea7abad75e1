//! A pack: sealed frames back to back, then a sealed footer that says where each frame lies.
//!
//! ```text
//! start 8 | frames ... | footer ciphertext | salt 16 | footer length u32 LE | "lacreend"
//! ```
//! A frame's slot is the order in which it was added; its bytes lie shuffled. The footer is sealed with the structure key, so
//! the store sees no sizes; from the length of the footer it can guess about how many frames there are.

use crate::{
    codec::{Cursor, put_varint},
    error::FormatError,
    frame::LEVEL_MAX,
    ids::{PackId, Salt},
    object::{Kind, START_BYTES},
};

/// A pack is closed when it holds this much: 16 MiB.
pub const PACK_BYTES_TARGET: usize = 16 * 1024 * 1024;
/// Largest pack object: the target, one largest frame and the footer.
pub const PACK_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Most frames of one pack.
pub const SLOTS_MAX: u32 = 1 << 20;
/// The last slot there can be.
pub(crate) const SLOT_LAST: u32 = SLOTS_MAX.saturating_sub(1);
/// Largest footer, sealed.
pub const FOOTER_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Bytes after the footer.
pub const TRAILER_BYTES: usize = 28;

const TRAILER_MAGIC: &[u8; 8] = b"lacreend";
const WHAT: &str = "pack footer";

/// A frame's name for ever: the pack it was born in and its slot there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Birth {
    /// The pack's birth name.
    pub pack: PackId,
    /// The order of adding, from 0.
    pub slot: u32,
}

/// One frame of a pack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameEntry {
    /// First byte in the pack object.
    pub offset: u32,
    /// Sealed length in bytes.
    pub bytes: u32,
    /// 0 for a chunk, the level of a node otherwise.
    pub level: u8,
    /// Where the frame was born, when that was another pack.
    pub born: Option<Birth>,
}

/// The content of a footer: the frames in slot order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Footer {
    /// The pack's birth name.
    pub pack: PackId,
    /// Indexed by slot.
    pub frames: Vec<FrameEntry>,
}

impl Footer {
    /// The footer's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frames.len().saturating_mul(8).saturating_add(32));
        out.push(1);
        out.extend_from_slice(self.pack.as_bytes());
        put_varint(&mut out, u64::try_from(self.frames.len()).unwrap_or(u64::MAX));
        for frame in &self.frames {
            out.push(frame.level | if frame.born.is_some() { 0x80 } else { 0 });
            put_varint(&mut out, u64::from(frame.offset));
            put_varint(&mut out, u64::from(frame.bytes));
            if let Some(birth) = &frame.born {
                out.extend_from_slice(birth.pack.as_bytes());
                put_varint(&mut out, u64::from(birth.slot));
            }
        }
        out
    }

    /// Reads a footer's plaintext.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged footer; frames that would overflow a pack are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let version = cursor.byte()?;
        if version != 1 {
            return Err(FormatError::BadVersion { what: WHAT, found: u64::from(version), known: 1 });
        }
        let pack = PackId::new(cursor.array()?);
        let count = cursor.bounded(SLOTS_MAX)?;
        let mut frames = Vec::with_capacity(usize::try_from(count).unwrap_or_default().min(cursor.left() / 3));
        for _ in 0..count {
            frames.push(frame_entry(&mut cursor)?);
        }
        cursor.finish()?;
        Ok(Self { pack, frames })
    }
}

fn frame_entry(cursor: &mut Cursor<'_>) -> Result<FrameEntry, FormatError> {
    let flags = cursor.byte()?;
    let level = flags & 0x7f;
    if level > LEVEL_MAX {
        return Err(FormatError::malformed(WHAT, format!("level {level} is not known")));
    }
    let allowed = u32::try_from(PACK_BYTES_MAX).unwrap_or(u32::MAX);
    let offset = cursor.bounded(allowed)?;
    let bytes = cursor.bounded(allowed)?;
    if offset.checked_add(bytes).is_none_or(|end| end > allowed) {
        return Err(FormatError::malformed(WHAT, "a frame beyond the end of the pack"));
    }
    let born = if flags & 0x80 == 0 {
        None
    } else {
        Some(Birth { pack: PackId::new(cursor.array()?), slot: cursor.bounded(SLOT_LAST)? })
    };
    Ok(FrameEntry { offset, bytes, level, born })
}

/// Where the sealed footer lies in a pack object, read from its last bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// The salt of the footer's key.
    pub salt: Salt,
    /// First byte of the sealed footer.
    pub footer_start: u64,
    /// Length of the sealed footer in bytes.
    pub footer_bytes: u32,
}

impl Trailer {
    /// The last 28 bytes of a pack.
    #[must_use]
    pub fn encode(salt: Salt, footer_bytes: u32) -> [u8; TRAILER_BYTES] {
        let mut out = [0u8; TRAILER_BYTES];
        let parts = salt
            .as_bytes()
            .iter()
            .chain(footer_bytes.to_le_bytes().iter())
            .chain(TRAILER_MAGIC)
            .copied()
            .collect::<Vec<u8>>();
        for (to, from) in out.iter_mut().zip(parts) {
            *to = from;
        }
        out
    }

    /// Reads the last 28 bytes of a pack object of `object_bytes` bytes.
    ///
    /// # Errors
    /// [`FormatError::BadMagic`], [`FormatError::TooLarge`] or [`FormatError::Truncated`].
    pub fn decode(tail: &[u8], object_bytes: u64) -> Result<Self, FormatError> {
        let what = Kind::Pack.name();
        let mut cursor = Cursor::new(what, tail);
        let salt = Salt::new(cursor.array()?);
        let footer_bytes = u32::from_le_bytes(cursor.array()?);
        if cursor.array::<8>()? != *TRAILER_MAGIC {
            return Err(FormatError::BadMagic { what });
        }
        cursor.finish()?;
        if footer_bytes > FOOTER_BYTES_MAX {
            let (found, allowed) = (u64::from(footer_bytes), u64::from(FOOTER_BYTES_MAX));
            return Err(FormatError::TooLarge { what: WHAT, found, allowed });
        }
        let around = u64::from(footer_bytes).saturating_add(u64::try_from(TRAILER_BYTES).unwrap_or_default());
        let footer_start = object_bytes.checked_sub(around).ok_or(FormatError::Truncated { what })?;
        if footer_start < u64::try_from(START_BYTES).unwrap_or_default() {
            return Err(FormatError::Truncated { what });
        }
        Ok(Self { salt, footer_start, footer_bytes })
    }
}
