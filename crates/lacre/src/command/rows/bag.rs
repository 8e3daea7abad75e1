//! Rows that one side of a comparison has and the other has not, gathered in any order.
//!
//! A row is its hash and that of its key; its text is kept only when rows are to be shown. A row that stands in both cancels once for once,
//! and what is left is paired by key.

use std::cmp::Ordering;

use lacre_repo::op::compare::Side;

use super::table::Place;

/// Rows of a side between two rounds of cancelling, of which most may have moved only.
const ROUND_ROWS: usize = 1 << 20;
/// Most bytes that the rows of one table take while both sides are compared.
pub(super) const BAG_BYTES_MAX: usize = 256 * 1024 * 1024;

type Hash = [u8; 16];

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    key: Hash,
    row: Hash,
    /// Where its text is, if texts are kept.
    start: usize,
    bytes: u32,
}

impl Row {
    fn order(&self, other: &Self) -> Ordering {
        (self.key, self.row).cmp(&(other.key, other.row))
    }
}

/// Whether rows are only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    Kept,
    Dropped,
}

/// What is left of two sides.
pub(super) struct Bag {
    kept: Texts,
    texts: Vec<u8>,
    left: Vec<Row>,
    right: Vec<Row>,
    round: usize,
    /// Rows were left out, because there were too many.
    pub(super) is_full: bool,
}

/// Rows under one key, before and after; one of them is there.
pub(super) struct Pair<'b> {
    pub(super) before: Option<&'b [u8]>,
    pub(super) after: Option<&'b [u8]>,
}

/// How two sides differ.
pub(super) struct Differences<'b> {
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) changed: u64,
    /// The rows, if texts were kept, by their keys.
    pub(super) pairs: Vec<Pair<'b>>,
}

impl Bag {
    /// An empty one that keeps the texts of its rows or does not.
    pub(super) const fn new(kept: Texts) -> Self {
        Self { kept, texts: Vec::new(), left: Vec::new(), right: Vec::new(), round: ROUND_ROWS, is_full: false }
    }

    fn bytes(&self) -> usize {
        self.texts.len() + (self.left.len() + self.right.len()) * size_of::<Row>()
    }

    /// Takes a row of a side.
    pub(super) fn take(&mut self, side: Side, place: &Place<'_>, row: &[u8]) {
        if self.left.len().max(self.right.len()) >= self.round {
            self.cancel();
        }
        let text = if self.kept == Texts::Kept { row.len() } else { 0 };
        if self.bytes() + size_of::<Row>() + text > BAG_BYTES_MAX {
            self.is_full = true;
            return;
        }
        let start = self.texts.len();
        self.texts.extend_from_slice(&row[..text]);
        let hash = short(&blake3::hash(row));
        let key = place.key().map_or(hash, |key| {
            let mut hasher = blake3::Hasher::new();
            for part in place.key_of(key, row) {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
            short(&hasher.finalize())
        });
        let rows = if side == Side::Left { &mut self.left } else { &mut self.right };
        rows.push(Row { key, row: hash, start, bytes: u32::try_from(text).unwrap_or(u32::MAX) });
    }

    /// Takes rows out that both have, once for once.
    fn cancel(&mut self) {
        self.left.sort_unstable_by(Row::order);
        self.right.sort_unstable_by(Row::order);
        let (mut ours, mut theirs) = (vec![true; self.left.len()], vec![true; self.right.len()]);
        let mut at = 0;
        for (row, is_kept) in self.left.iter().zip(&mut ours) {
            while self.right.get(at).is_some_and(|other| other.order(row) == Ordering::Less) {
                at += 1;
            }
            if self.right.get(at).is_some_and(|other| other.order(row) == Ordering::Equal) {
                (*is_kept, theirs[at]) = (false, false);
                at += 1;
            }
        }
        for (rows, kept) in [(&mut self.left, ours), (&mut self.right, theirs)] {
            let mut kept = kept.into_iter();
            rows.retain(|_| kept.next().unwrap_or(true));
        }
        self.round = self.left.len().max(self.right.len()) + ROUND_ROWS;
    }

    fn text(&self, row: &Row) -> &[u8] {
        self.texts.get(row.start..row.start + row.bytes as usize).unwrap_or_default()
    }

    /// Pairs what is left. `one` and `other` tell what the keys of rows before and after are, which is the order of the pairs.
    pub(super) fn settle(&mut self, one: &Place<'_>, other: &Place<'_>) -> Differences<'_> {
        self.cancel();
        let mut out = Differences { added: 0, removed: 0, changed: 0, pairs: Vec::new() };
        let (mut ours, mut theirs) = (self.left.iter().peekable(), self.right.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key.cmp(&other.key),
            };
            let before = if order.is_le() { ours.next() } else { None };
            let after = if order.is_ge() { theirs.next() } else { None };
            match order {
                Ordering::Less => out.removed += 1,
                Ordering::Equal => out.changed += 1,
                Ordering::Greater => out.added += 1,
            }
            if self.kept == Texts::Kept {
                let text = |row: &Row| self.text(row);
                out.pairs.push(Pair { before: before.map(text), after: after.map(text) });
            }
        }
        let key = |place: &Place<'_>, row: &[u8]| -> Vec<Vec<u8>> {
            let parts = place.key().map_or_else(|| vec![row], |key| place.key_of(key, row));
            parts.into_iter().map(<[u8]>::to_vec).collect()
        };
        out.pairs.sort_by_cached_key(|pair| match (pair.after, pair.before) {
            (Some(row), _) => (false, key(other, row)),
            (None, row) => (true, key(one, row.unwrap_or_default())),
        });
        out
    }
}

fn short(hash: &blake3::Hash) -> Hash {
    let mut short = Hash::default();
    short.copy_from_slice(&hash.as_bytes()[..16]);
    short
}
