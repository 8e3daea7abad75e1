//! What two streams do not share, found in their manifests; only chunks that differ are read.
//!
//! In: two streams of rows. Out: the whole rows of either that lie in chunks the other does not have. A frame's birth and capability name
//! its content, so equal nodes are never entered. A row may come out on both sides, because its neighbours changed: who compares rows
//! pairs those. What a row is beyond a line is somebody else's.

use std::collections::HashMap;

use lacre_format::{
    node::Entry,
    pack::Birth,
    root::{Stream, Top},
};
use memchr::{memchr, memrchr};
use rayon::prelude::*;

use crate::{
    error::Error,
    frames::Opener,
    limits::{GROUP_RAW_BYTES, GROUPS_AT_ONCE, ROW_BYTES_MAX},
    monitor::{Monitor, Progress},
    op::read::Snapshot,
};

/// One of two streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// What a comparison read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Chunks of the first stream that the second does not have.
    pub left: u64,
    /// Chunks of the second stream that the first does not have.
    pub right: u64,
}

/// A part of a stream: a chunk (level 0) or a node.
struct Piece {
    entry: Entry,
    level: u8,
    shared: bool,
}

/// Hears whole rows of a side, in order.
pub type Rows<'a> = dyn FnMut(Side, &[u8]) -> Result<(), Error> + 'a;

/// Gives every row that may differ between two streams to `each`: the left side's first.
///
/// # Errors
/// [`Error::Damaged`] for a frame that is not what was stored; [`Error::Interrupted`]; those of `each`.
pub fn compare(
    left: (&Snapshot<'_>, &Stream),
    right: (&Snapshot<'_>, &Stream),
    monitor: &dyn Monitor,
    each: &mut Rows<'_>,
) -> Result<Compared, Error> {
    let (mut ours, mut theirs) = (pieces(left.1.top.as_ref()), pieces(right.1.top.as_ref()));
    let highest = ours.iter().chain(&theirs).map(|piece| piece.level).max().unwrap_or(0);
    let mut opener = Opener::new()?;
    for level in (0..=highest).rev() {
        if monitor.cancelled() {
            return Err(Error::Interrupted);
        }
        pair(&mut ours, &mut theirs, level);
        if level > 0 {
            ours = enter(left.0, &mut opener, ours, level)?;
            theirs = enter(right.0, &mut opener, theirs, level)?;
        }
    }
    let left = Side::Left.rows(left.0, &ours, monitor, each)?;
    let right = Side::Right.rows(right.0, &theirs, monitor, each)?;
    Ok(Compared { left, right })
}

fn pieces(top: Option<&Top>) -> Vec<Piece> {
    let entry = |top: &Top| Entry {
        capability: top.capability.clone(),
        birth: top.birth(),
        raw_bytes: top.raw_bytes,
        dictionary: 0,
    };
    top.map(|top| Piece { entry: entry(top), level: top.level, shared: false }).into_iter().collect()
}

/// Marks what both have at a level, as often as both have it.
fn pair(ours: &mut [Piece], theirs: &mut [Piece], level: u8) {
    let mut known: HashMap<Birth, Vec<usize>> = HashMap::new();
    for (at, piece) in theirs.iter().enumerate().filter(|(_, piece)| piece.level == level && !piece.shared) {
        known.entry(piece.entry.birth).or_default().push(at);
    }
    for piece in ours.iter_mut().filter(|piece| piece.level == level && !piece.shared) {
        let Some(same) = known.get_mut(&piece.entry.birth) else { continue };
        let Some(at) = same.pop() else { continue };
        // One birth is one frame; two capabilities for it would be a forgery, which opening it will tell.
        if theirs[at].entry.capability == piece.entry.capability {
            theirs[at].shared = true;
            piece.shared = true;
        }
    }
}

/// Replaces the nodes of a level that are not shared by their children.
fn enter(snapshot: &Snapshot<'_>, opener: &mut Opener, pieces: Vec<Piece>, level: u8) -> Result<Vec<Piece>, Error> {
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if piece.level != level || piece.shared {
            out.push(piece);
            continue;
        }
        let node = snapshot.node(opener, &piece.entry, level)?;
        out.extend(node.entries.into_iter().map(|entry| Piece { entry, level: level - 1, shared: false }));
    }
    Ok(out)
}

impl Side {
    /// Reads the chunks that are not shared and gives their rows, made whole from shared neighbours where a long row reaches into them.
    fn rows(
        self,
        snapshot: &Snapshot<'_>,
        pieces: &[Piece],
        monitor: &dyn Monitor,
        each: &mut Rows<'_>,
    ) -> Result<u64, Error> {
        let wanted: Vec<usize> = (0..pieces.len()).filter(|at| !pieces[*at].shared).collect();
        let groups = groups(pieces, &wanted);
        let mut carry = Vec::new();
        for several in groups.chunks(GROUPS_AT_ONCE) {
            if monitor.cancelled() {
                return Err(Error::Interrupted);
            }
            let opened: Vec<Result<Vec<Vec<u8>>, Error>> = several
                .par_iter()
                .map(|group| {
                    let entries: Vec<Entry> = group.iter().map(|at| pieces[*at].entry.clone()).collect();
                    snapshot.chunks(&mut Opener::new()?, &entries)
                })
                .collect();
            for (group, chunks) in several.iter().zip(opened) {
                for (at, chunk) in group.iter().zip(chunks?) {
                    monitor.progress(Progress::Bytes(chunk.len() as u64));
                    self.chunk(snapshot, pieces, *at, chunk, &mut carry, each)?;
                }
            }
        }
        Ok(wanted.len() as u64)
    }

    /// Takes one chunk that is not shared; `carry` holds the beginning of a row that goes on in it.
    fn chunk(
        self,
        snapshot: &Snapshot<'_>,
        pieces: &[Piece],
        at: usize,
        chunk: Vec<u8>,
        carry: &mut Vec<u8>,
        each: &mut Rows<'_>,
    ) -> Result<(), Error> {
        let follows_shared = at > 0 && pieces[at - 1].shared;
        // Only pieces of a long row begin within one, and those hold no other row.
        let is_one_line = memchr(b'\n', &chunk).is_none_or(|first| first + 1 == chunk.len());
        if follows_shared && is_one_line {
            before(snapshot, &pieces[..at], carry)?;
        }
        carry.extend_from_slice(&chunk);
        bounded(carry)?;
        let whole = memrchr(b'\n', carry).map_or(0, |last| last + 1);
        if whole > 0 {
            each(self, &carry[..whole])?;
            carry.drain(..whole);
        }
        let ends = pieces.get(at + 1).is_none_or(|next| next.shared);
        if ends && !carry.is_empty() {
            after(snapshot, &pieces[at + 1..], carry)?;
            each(self, carry)?;
            carry.clear();
        }
        Ok(())
    }
}

fn bounded(row: &[u8]) -> Result<(), Error> {
    if row.len() > ROW_BYTES_MAX {
        return Err(Error::damaged("a stream of rows", format!("it has a row of more than {ROW_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Chunks that are read together, about a mebibyte of them.
fn groups(pieces: &[Piece], wanted: &[usize]) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    let mut group = Vec::new();
    let mut bytes = 0u64;
    for at in wanted {
        bytes += u64::from(pieces[*at].entry.raw_bytes);
        group.push(*at);
        if bytes >= GROUP_RAW_BYTES {
            bytes = 0;
            groups.push(std::mem::take(&mut group));
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// Puts the beginning of the row that goes on behind these pieces in front of `row`.
fn before(snapshot: &Snapshot<'_>, pieces: &[Piece], row: &mut Vec<u8>) -> Result<(), Error> {
    let mut opener = Opener::new()?;
    for piece in pieces.iter().rev() {
        if prepend(snapshot, &mut opener, &piece.entry, piece.level, row)? == Found::RowBorder {
            return Ok(());
        }
    }
    Ok(())
}

/// Puts the rest of the row that began before these pieces behind `row`.
fn after(snapshot: &Snapshot<'_>, pieces: &[Piece], row: &mut Vec<u8>) -> Result<(), Error> {
    let mut opener = Opener::new()?;
    for piece in pieces {
        if append(snapshot, &mut opener, &piece.entry, piece.level, row)? == Found::RowBorder {
            return Ok(());
        }
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
