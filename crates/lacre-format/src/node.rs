//! A manifest node: the ordered list of what a stream is made of.
//!
//! An entry is a capability (32 secret bytes that open one frame), the frame's birth name and its raw length. Births repeat the
//! same few packs, so a node starts with a table of packs. This module carries capabilities and never uses one.

use std::collections::BTreeSet;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    codec::{Cursor, put_varint},
    error::FormatError,
    frame::{LEVEL_MAX, RAW_BYTES_MAX},
    ids::PackId,
    pack::{Birth, SLOT_LAST},
};

/// A node is never cut before this many entries.
pub const NODE_ENTRIES_MIN: usize = 32;
/// A node is always cut at this many entries.
pub const NODE_ENTRIES_MAX: usize = 1024;
/// Most dictionaries of one stream.
pub const DICTIONARIES_MAX: u32 = 16;

const WHAT: &str = "node";
/// Longest entry: capability, and pack, slot, raw length and dictionary as variable length integers. Room for all of them is
/// reserved at once, so that no copy of a capability stays behind in memory that was given back.
const ENTRY_BYTES_MAX: usize = 32 + 2 + 3 + 4 + 1;

/// The right to open one frame. It has no spelling for people, is never printed, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Capability([u8; 32]);

impl Capability {
    /// Takes the 32 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 secret bytes, for the sealing crate and for encoders.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One child of a node.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Opens the child.
    pub capability: Capability,
    /// Names the child.
    pub birth: Birth,
    /// Length of the child's plaintext in bytes.
    pub raw_bytes: u32,
    /// 0 for none, otherwise the stream's dictionary with this number, from 1.
    pub dictionary: u32,
}

impl Entry {
    /// Whether a node is cut after this entry: one entry in 128, decided by secret random bytes of its own, so that unchanged
    /// runs of entries give identical nodes and a stranger cannot tell where nodes end.
    #[must_use]
    pub fn ends_node(&self) -> bool {
        let [first, ..] = self.capability.0;
        first & 0x7f == 0
    }
}

/// A node's content.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// 1 above chunks, 2 above nodes of level 1, and so on.
    pub level: u8,
    /// The children in stream order.
    pub entries: Vec<Entry>,
}

impl Node {
    /// The node's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut packs: Vec<PackId> = Vec::new();
        let mut body = Vec::with_capacity(self.entries.len().saturating_mul(ENTRY_BYTES_MAX));
        let mut known: Option<(PackId, usize)> = None;
        for entry in &self.entries {
            let index = match known {
                Some((pack, index)) if pack == entry.birth.pack => index,
                _ => packs.iter().position(|pack| *pack == entry.birth.pack).unwrap_or_else(|| {
                    packs.push(entry.birth.pack);
                    packs.len().saturating_sub(1)
                }),
            };
            known = Some((entry.birth.pack, index));
            body.extend_from_slice(entry.capability.expose());
            put_varint(&mut body, u64::try_from(index).unwrap_or(u64::MAX));
            put_varint(&mut body, u64::from(entry.birth.slot));
            put_varint(&mut body, u64::from(entry.raw_bytes));
            put_varint(&mut body, u64::from(entry.dictionary));
        }
        let mut out = Vec::with_capacity(body.len().saturating_add(packs.len().saturating_mul(12)).saturating_add(16));
        out.extend_from_slice(&[1, self.level]);
        put_varint(&mut out, u64::try_from(packs.len()).unwrap_or(u64::MAX));
        for pack in &packs {
            out.extend_from_slice(pack.as_bytes());
        }
        put_varint(&mut out, u64::try_from(self.entries.len()).unwrap_or(u64::MAX));
        out.extend_from_slice(&body);
        body.zeroize();
        out
    }

    /// Reads a node's plaintext. A node has one encoding: packs stand in the table once each, in the order of their first use.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged node.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let version = cursor.byte()?;
        if version != 1 {
            return Err(FormatError::BadVersion { what: WHAT, found: u64::from(version), known: 1 });
        }
        let level = cursor.byte()?;
        if level == 0 || level > LEVEL_MAX {
            return Err(FormatError::malformed(WHAT, format!("level {level} is not known")));
        }
        let most = u32::try_from(NODE_ENTRIES_MAX).unwrap_or(u32::MAX);
        let pack_count = cursor.bounded(most)?;
        let mut packs = Vec::new();
        let mut distinct = BTreeSet::new();
        for _ in 0..pack_count {
            let pack = PackId::new(cursor.array()?);
            packs.push(pack);
            if !distinct.insert(pack) {
                return Err(FormatError::malformed(WHAT, "a pack stands in the table twice"));
            }
        }
        let entry_count = cursor.bounded(most)?;
        if entry_count == 0 {
            return Err(FormatError::malformed(WHAT, "it has no entries"));
        }
        let mut entries = Vec::with_capacity(usize::try_from(entry_count).unwrap_or_default().min(cursor.left() / 36));
        let mut used = 0usize;
        for _ in 0..entry_count {
            entries.push(entry(&mut cursor, &packs, &mut used)?);
        }
        cursor.finish()?;
        if used != packs.len() {
            return Err(FormatError::malformed(WHAT, "a pack in the table that no entry uses"));
        }
        Ok(Self { level, entries })
    }
}

/// Reads one entry; `used` counts the packs of the table that the entries before it use.
fn entry(cursor: &mut Cursor<'_>, packs: &[PackId], used: &mut usize) -> Result<Entry, FormatError> {
    let capability = Capability(cursor.array()?);
    let index = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
    let pack =
        *packs.get(index).ok_or_else(|| FormatError::malformed(WHAT, "an entry names a pack beyond the table"))?;
    if index > *used {
        return Err(FormatError::malformed(WHAT, "the table is not in the order of first use"));
    }
    *used = (*used).max(index.saturating_add(1));
    let slot = cursor.bounded(SLOT_LAST)?;
    let raw_bytes = cursor.bounded(RAW_BYTES_MAX)?;
    let dictionary = cursor.bounded(DICTIONARIES_MAX)?;
    Ok(Entry { capability, birth: Birth { pack, slot }, raw_bytes, dictionary })
}
