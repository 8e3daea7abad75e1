//! A stream's manifest while it is compared: nodes that both sides have stay closed, others are entered when their turn comes.
//!
//! In: the top of a stream. Out: its items in order, each a chunk or a node that the other side has too. At most one node of chunks of a
//! stream is in memory, whatever its length.

use std::collections::HashMap;

use lacre_format::{
    ids::PackId,
    node::{Entry, Node},
    root::Top,
};
use memchr::{memchr, memrchr};

use super::align::Key;
use crate::{error::Error, frames::Opener, limits::ROW_BYTES_MAX, op::read::Snapshot};

/// A part of a stream: a chunk (level 0) or a node.
struct Piece {
    entry: Entry,
    level: u8,
    shared: bool,
}

impl Piece {
    /// Its children are the items, not itself.
    const fn is_entered(&self) -> bool {
        self.level == 1 && !self.shared
    }
}

/// A stream of a snapshot.
pub(super) struct Tree<'s> {
    snapshot: &'s Snapshot<'s>,
    pieces: Vec<Piece>,
}

/// Where an item stands: its piece, in a node that is entered its place there, and its number.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    piece: usize,
    leaf: usize,
    pub(super) at: u32,
}

/// A chunk, or a node that both have.
pub(super) struct Item {
    pub(super) place: Place,
    pub(super) entry: Entry,
}

/// How a row goes on in front of a chunk.
#[derive(PartialEq, Eq)]
pub(super) enum Beginning {
    /// It was put in front.
    Here,
    /// It begins in, or reaches through, a chunk that only this side has, and is told there.
    Told,
}

/// Both streams down to their chunks, with every node marked that both have.
pub(super) fn trees<'s>(
    left: (&'s Snapshot<'s>, Option<&Top>),
    right: (&'s Snapshot<'s>, Option<&Top>),
) -> Result<(Tree<'s>, Tree<'s>), Error> {
    let mut opener = Opener::new()?;
    let (mut ours, mut theirs) = (Tree::new(left), Tree::new(right));
    let highest = ours.pieces.iter().chain(&theirs.pieces).map(|piece| piece.level).max().unwrap_or(0);
    for level in (1..=highest).rev() {
        pair(&mut ours.pieces, &mut theirs.pieces, level);
        if level > 1 {
            ours.enter(&mut opener, level)?;
            theirs.enter(&mut opener, level)?;
        }
    }
    Ok((ours, theirs))
}

/// Marks what both have at a level, as often as both have it.
fn pair(ours: &mut [Piece], theirs: &mut [Piece], level: u8) {
    let mut known: HashMap<(PackId, u32), Vec<usize>> = HashMap::new();
    for (at, piece) in theirs.iter().enumerate().filter(|(_, piece)| piece.level == level) {
        known.entry((piece.entry.birth.pack, piece.entry.birth.slot)).or_default().push(at);
    }
    for piece in ours.iter_mut().filter(|piece| piece.level == level) {
        let Some(same) = known.get_mut(&(piece.entry.birth.pack, piece.entry.birth.slot)) else { continue };
        let Some(at) = same.pop() else { continue };
        // One birth is one frame; two capabilities for it would be a forgery, which opening it will tell.
        if theirs[at].entry.capability == piece.entry.capability {
            theirs[at].shared = true;
            piece.shared = true;
        }
    }
}

impl<'s> Tree<'s> {
    fn new((snapshot, top): (&'s Snapshot<'s>, Option<&Top>)) -> Self {
        let entry = |top: &Top| Entry {
            capability: top.capability.clone(),
            birth: top.birth(),
            raw_bytes: top.raw_bytes,
            dictionary: 0,
        };
        let pieces = top.map(|top| Piece { entry: entry(top), level: top.level, shared: false }).into_iter().collect();
        Self { snapshot, pieces }
    }

    pub(super) const fn snapshot(&self) -> &'s Snapshot<'s> {
        self.snapshot
    }

    /// Replaces the nodes of a level that are not shared by their children.
    fn enter(&mut self, opener: &mut Opener, level: u8) -> Result<(), Error> {
        let mut out = Vec::with_capacity(self.pieces.len());
        for piece in std::mem::take(&mut self.pieces) {
            if piece.level != level || piece.shared {
                out.push(piece);
                continue;
            }
            let node = self.snapshot.node(opener, &piece.entry, level)?;
            out.extend(node.entries.into_iter().map(|entry| Piece { entry, level: level - 1, shared: false }));
        }
        self.pieces = out;
        Ok(())
    }

    /// The items from the first on.
    pub(super) fn walk(&self) -> Result<Walk<'_>, Error> {
        Ok(Walk { tree: self, opener: Opener::new()?, node: None, next: Place::default() })
    }

    /// What names every item. `packs` numbers packs for both sides.
    pub(super) fn keys(&self, packs: &mut HashMap<PackId, u32>) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        let mut walk = self.walk()?;
        while let Some(item) = walk.next()? {
            let known = u32::try_from(packs.len()).unwrap_or(u32::MAX);
            let pack = *packs.entry(item.entry.birth.pack).or_insert(known);
            let [a, b, c, d, ..] = *item.entry.capability.expose();
            keys.push(Key {
                birth: u64::from(pack) << 32 | u64::from(item.entry.birth.slot),
                capability: u32::from_le_bytes([a, b, c, d]),
                at: item.place.at,
            });
        }
        Ok(keys)
    }

    /// Puts the beginning of the row that goes on at a place in front of `row`. `is_shared` knows every item of this side.
    pub(super) fn before(&self, place: Place, is_shared: &[bool], row: &mut Vec<u8>) -> Result<Beginning, Error> {
        let mut opener = Opener::new()?;
        let (mut at, mut leaf) = (place.at, place.leaf);
        for (number, piece) in self.pieces.iter().enumerate().take(place.piece + 1).rev() {
            let entered;
            let entries = if piece.is_entered() {
                entered = self.snapshot.node(&mut opener, &piece.entry, 1)?.entries;
                if number == place.piece { entered.get(..leaf).unwrap_or_default() } else { &entered[..] }
            } else if number == place.piece {
                &[]
            } else {
                std::slice::from_ref(&piece.entry)
            };
            let level = if piece.is_entered() { 0 } else { piece.level };
            for entry in entries.iter().rev() {
                at = at.saturating_sub(1);
                if !is_shared.get(at as usize).copied().unwrap_or(true) {
                    return Ok(Beginning::Told);
                }
                if prepend(self.snapshot, &mut opener, entry, level, row)? == Found::RowBorder {
                    return Ok(Beginning::Here);
                }
            }
            leaf = 0;
        }
        Ok(Beginning::Here)
    }

    /// Puts the rest of the row that began before a place behind `row`.
    pub(super) fn after(&self, place: Place, row: &mut Vec<u8>) -> Result<(), Error> {
        let mut opener = Opener::new()?;
        let mut leaf = place.leaf;
        for piece in self.pieces.get(place.piece..).unwrap_or_default() {
            let entered;
            let entries = if piece.is_entered() {
                entered = self.snapshot.node(&mut opener, &piece.entry, 1)?.entries;
                entered.get(leaf..).unwrap_or_default()
            } else {
                std::slice::from_ref(&piece.entry)
            };
            let level = if piece.is_entered() { 0 } else { piece.level };
            for entry in entries {
                if append(self.snapshot, &mut opener, entry, level, row)? == Found::RowBorder {
                    return Ok(());
                }
            }
            leaf = 0;
        }
        Ok(())
    }
}

/// Gives the items of a tree one after the other.
pub(super) struct Walk<'t> {
    tree: &'t Tree<'t>,
    opener: Opener,
    node: Option<Node>,
    next: Place,
}

impl Walk<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Item>, Error> {
        while let Some(piece) = self.tree.pieces.get(self.next.piece) {
            let place = self.next;
            if !piece.is_entered() {
                self.next = Place { piece: place.piece + 1, leaf: 0, at: place.at + 1 };
                return Ok(Some(Item { place, entry: piece.entry.clone() }));
            }
            if self.node.is_none() {
                self.node = Some(self.tree.snapshot.node(&mut self.opener, &piece.entry, 1)?);
            }
            let entry = self.node.as_ref().and_then(|node| node.entries.get(place.leaf)).cloned();
            if let Some(entry) = entry {
                self.next = Place { leaf: place.leaf + 1, at: place.at + 1, ..place };
                return Ok(Some(Item { place, entry }));
            }
            self.node = None;
            self.next = Place { piece: place.piece + 1, leaf: 0, at: place.at };
        }
        Ok(None)
    }

    /// The place of the item that comes next.
    pub(super) const fn place(&self) -> Place {
        self.next
    }
}

/// A row's length within what a row may have.
pub(super) fn bounded(row: &[u8]) -> Result<(), Error> {
    if row.len() > ROW_BYTES_MAX {
        return Err(Error::damaged("a stream of rows", format!("it has a row of more than {ROW_BYTES_MAX} bytes")));
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Found {
    RowBorder,
    NothingYet,
}

/// The depth is that of the manifest, which is bounded.
fn prepend(
    snapshot: &Snapshot<'_>,
    opener: &mut Opener,
    entry: &Entry,
    level: u8,
    row: &mut Vec<u8>,
) -> Result<Found, Error> {
    if level > 0 {
        for child in snapshot.node(opener, entry, level)?.entries.iter().rev() {
            if prepend(snapshot, opener, child, level - 1, row)? == Found::RowBorder {
                return Ok(Found::RowBorder);
            }
        }
        return Ok(Found::NothingYet);
    }
    let chunk = snapshot.chunks(opener, std::slice::from_ref(entry))?.pop().unwrap_or_default();
    let start = memrchr(b'\n', &chunk).map(|last| last + 1);
    row.splice(..0, chunk.get(start.unwrap_or(0)..).unwrap_or_default().iter().copied());
    bounded(row)?;
    Ok(if start.is_some() { Found::RowBorder } else { Found::NothingYet })
}

fn append(
    snapshot: &Snapshot<'_>,
    opener: &mut Opener,
    entry: &Entry,
    level: u8,
    row: &mut Vec<u8>,
) -> Result<Found, Error> {
    if level > 0 {
        for child in &snapshot.node(opener, entry, level)?.entries {
            if append(snapshot, opener, child, level - 1, row)? == Found::RowBorder {
                return Ok(Found::RowBorder);
            }
        }
        return Ok(Found::NothingYet);
    }
    let chunk = snapshot.chunks(opener, std::slice::from_ref(entry))?.pop().unwrap_or_default();
    let end = memchr(b'\n', &chunk).map(|first| first + 1);
    row.extend_from_slice(chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default());
    bounded(row)?;
    Ok(if end.is_some() { Found::RowBorder } else { Found::NothingYet })
}
