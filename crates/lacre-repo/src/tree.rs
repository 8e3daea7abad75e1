//! The manifest of one stream: entries in, nodes out, one top at the end.
//!
//! Nodes are cut where a secret of an entry says so, so an unchanged run of entries gives the nodes it gave last night.

use lacre_format::{
    node::{Entry, NODE_ENTRIES_MAX, NODE_ENTRIES_MIN, Node},
    root::Top,
};

use crate::error::Error;

/// Stores a node's plaintext as a frame and gives the entry that names it.
pub(crate) type StoreNode<'s> = dyn FnMut(u8, &[u8]) -> Result<Entry, Error> + 's;

/// The nodes of one stream that are not yet full, lowest level first.
#[derive(Default)]
pub(crate) struct Tree {
    levels: Vec<Vec<Entry>>,
}

impl Tree {
    /// Adds the next chunk.
    pub(crate) fn push(&mut self, entry: Entry, store: &mut StoreNode<'_>) -> Result<(), Error> {
        self.insert(0, entry, store)
    }

    /// Whether the next entry begins a new lowest node.
    pub(crate) fn is_between_nodes(&self) -> bool {
        self.levels.first().is_none_or(Vec::is_empty)
    }

    /// Adds a lowest node of another tree whole; only between nodes.
    pub(crate) fn push_node(&mut self, node: Entry, store: &mut StoreNode<'_>) -> Result<(), Error> {
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        self.insert(1, node, store)
    }

    fn insert(&mut self, level: usize, entry: Entry, store: &mut StoreNode<'_>) -> Result<(), Error> {
        let (mut level, mut entry) = (level, entry);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let entries = &mut self.levels[level];
            let ends = entry.ends_node();
            entries.push(entry);
            let full = entries.len() >= NODE_ENTRIES_MAX || (ends && entries.len() >= NODE_ENTRIES_MIN);
            if !full {
                return Ok(());
            }
            entry = close(level, std::mem::take(entries), store)?;
            level += 1;
        }
    }

    /// Closes what is open and gives the top; `None` for a stream without chunks.
    pub(crate) fn finish(mut self, store: &mut StoreNode<'_>) -> Result<Option<Top>, Error> {
        let mut level = 0;
        while level < self.levels.len() {
            let entries = std::mem::take(&mut self.levels[level]);
            let is_last = level + 1 == self.levels.len();
            match (<[Entry; 1]>::try_from(entries), level) {
                (Ok([only]), 1..) if is_last => return Ok(Some(top(&only, level))),
                (Ok(single), _) => self.carry(level, single.into(), store)?,
                (Err(entries), _) if entries.is_empty() => {}
                (Err(entries), _) => self.carry(level, entries, store)?,
            }
            level += 1;
        }
        Ok(None)
    }

    fn carry(&mut self, level: usize, entries: Vec<Entry>, store: &mut StoreNode<'_>) -> Result<(), Error> {
        let entry = close(level, entries, store)?;
        if self.levels.len() == level + 1 {
            self.levels.push(Vec::new());
        }
        self.levels[level + 1].push(entry);
        Ok(())
    }
}

fn close(level: usize, entries: Vec<Entry>, store: &mut StoreNode<'_>) -> Result<Entry, Error> {
    let level = u8::try_from(level + 1).map_err(|_| Error::Bug { why: "a manifest of 256 levels".to_owned() })?;
    let plaintext = zeroize::Zeroizing::new(Node { level, entries }.encode());
    store(level, &plaintext)
}

fn top(entry: &Entry, level: usize) -> Top {
    Top {
        capability: entry.capability.clone(),
        pack: entry.birth.pack,
        slot: entry.birth.slot,
        level: u8::try_from(level).unwrap_or(u8::MAX),
        raw_bytes: entry.raw_bytes,
    }
}
