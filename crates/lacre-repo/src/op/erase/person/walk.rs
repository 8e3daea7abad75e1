//! Walking the row streams of many snapshots, each stored run of rows once.
//!
//! In: streams of snapshots that share most of their frames, and somebody who looks at rows. Out: which runs need a decision. A run is a
//! chunk of whole rows, or all chunks of one long row. What was looked at and found to be nobody's is remembered by birth, and so is every
//! node that holds nothing else, so that thirty nights cost little more than one.

use std::collections::{BTreeMap, HashSet};

use lacre_format::{
    node::{Entry, Node},
    pack::Birth,
    reach::Reach,
    root::Top,
};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    error::Error,
    frames::{Frames, Opener, Reading},
    limits::RUN_BYTES_MAX,
    monitor::{Monitor, Progress},
    repository::Repository,
};

/// A run of rows: where it lies. Equal runs hold equal rows.
#[derive(Clone, PartialEq, Eq)]
pub struct Run {
    pub(super) entries: Vec<Entry>,
}

impl Run {
    /// The run's name: the births of its chunks in order.
    #[must_use]
    pub fn name(&self) -> RunName {
        RunName(self.entries.iter().map(|entry| entry.birth).collect())
    }
}

/// What a run is known by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RunName(pub(super) Vec<Birth>);

/// What somebody who looked at a run says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It needs no decision in any snapshot.
    Clean,
    /// Each snapshot decides about it.
    Marked,
}

/// What is known of runs after one way of looking at them.
#[derive(Default)]
pub struct Memo {
    /// Chunks that are clean runs by themselves, and nodes that begin and end with whole rows and hold clean runs only.
    pub(super) clean: Reach,
    /// Runs that need decisions.
    pub(super) marked: HashSet<RunName>,
}

impl Memo {
    pub(super) fn is_known(&self, birth: Birth) -> bool {
        self.clean.contains(birth) || self.marked.contains(&RunName(vec![birth]))
    }
}

/// Somebody's failure while looking at rows; it says nothing of what is in them.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Looks at a run that was not seen before.
pub type Look<'l> = dyn FnMut(&RunName, &[u8]) -> Result<Seen, Cause> + 'l;

/// Reads nodes and chunks for one erasure.
pub(super) struct Reader<'r> {
    frames: Frames<'r>,
    opener: Opener,
    /// Plaintext bytes of chunks that were opened.
    pub(super) bytes_read: u64,
}

impl<'r> Reader<'r> {
    pub(super) fn new(repository: &'r Repository) -> Result<Self, Error> {
        Ok(Self { frames: Frames::new(repository), opener: Opener::new()?, bytes_read: 0 })
    }

    /// A node below which chunks lie.
    pub(super) fn node(&mut self, entry: &Entry, level: u8) -> Result<Node, Error> {
        self.node_bytes(entry, level).map(|(node, _)| node)
    }

    /// A node and its plaintext.
    pub(super) fn node_bytes(&mut self, entry: &Entry, level: u8) -> Result<(Node, Zeroizing<Vec<u8>>), Error> {
        let sealed = self.frames.read(std::slice::from_ref(entry), Reading::Node)?;
        let mut plaintext = Zeroizing::new(Vec::new());
        let sealed = sealed.first().map(|bytes| &bytes[..]).unwrap_or_default();
        self.frames.open(&mut self.opener, entry, level, sealed, &mut plaintext)?;
        let place = format!("frame {} of pack {}", entry.birth.slot, entry.birth.pack);
        let node = Node::decode(&plaintext).map_err(|error| Error::format(&place, error))?;
        if node.level == level {
            Ok((node, plaintext))
        } else {
            Err(Error::damaged(place, "it is a node of another level"))
        }
    }

    /// Appends the plaintexts of chunks, in order.
    pub(super) fn chunks(&mut self, entries: &[Entry], out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(entry) = entries.iter().find(|entry| entry.dictionary != 0) {
            let place = format!("frame {} of pack {}", entry.birth.slot, entry.birth.pack);
            return Err(Error::damaged(place, "it was compressed with a dictionary, which is not read here"));
        }
        let sealed = self.frames.read(entries, Reading::Chunks)?;
        for (entry, sealed) in entries.iter().zip(&sealed) {
            self.frames.open(&mut self.opener, entry, 0, sealed, out)?;
            self.bytes_read += u64::from(entry.raw_bytes);
        }
        Ok(())
    }

    /// The rows of a run.
    pub(super) fn run(&mut self, run: &Run) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut rows = Zeroizing::new(Vec::with_capacity(run.entries.iter().map(raw).sum()));
        self.chunks(&run.entries, &mut rows)?;
        Ok(rows)
    }
}

pub(super) fn raw(entry: &Entry) -> usize {
    usize::try_from(entry.raw_bytes).unwrap_or_default()
}

/// The entry that names a stream's top node.
pub(super) fn top_entry(top: &Top) -> Entry {
    Entry { capability: top.capability.clone(), birth: top.birth(), raw_bytes: top.raw_bytes, dictionary: 0 }
}

/// The chunks of a run whose end has not come yet.
#[derive(Default)]
pub(super) struct Carry {
    pub(super) entries: Vec<Entry>,
    rows: Vec<u8>,
}

impl Carry {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn rows(&self) -> &[u8] {
        &self.rows
    }

    pub(super) fn push(&mut self, entry: &Entry, plaintext: &[u8]) -> Result<(), Error> {
        if self.rows.len().saturating_add(plaintext.len()) > RUN_BYTES_MAX {
            let why = format!(
                "a row of more than {RUN_BYTES_MAX} bytes is not searched; `lacre erase snapshot` erases the whole snapshot"
            );
            return Err(Error::Refused { why });
        }
        self.entries.push(entry.clone());
        self.rows.extend_from_slice(plaintext);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.rows.zeroize();
    }
}

impl Drop for Carry {
    fn drop(&mut self) {
        self.rows.zeroize();
    }
}

/// One walk over one stream.
pub(super) struct Walk<'w, 'r> {
    reader: &'w mut Reader<'r>,
    monitor: &'w dyn Monitor,
    memo: &'w mut Memo,
    look: &'w mut Look<'w>,
    carry: Carry,
    marked: Vec<Run>,
}

impl<'w, 'r> Walk<'w, 'r> {
    /// Looks at every run below a top that the memo does not know; gives the marked ones in order.
    pub(super) fn over(
        reader: &'w mut Reader<'r>,
        monitor: &'w dyn Monitor,
        top: &Top,
        memo: &'w mut Memo,
        look: &'w mut Look<'w>,
    ) -> Result<Vec<Run>, Error> {
        let mut walk = Walk { reader, monitor, memo, look, carry: Carry::default(), marked: Vec::new() };
        walk.visit(&top_entry(top), top.level)?;
        if !walk.carry.is_empty() {
            walk.end_run()?;
        }
        Ok(walk.marked)
    }

    /// Whether the node begins and ends with whole rows and holds clean runs only.
    fn visit(&mut self, entry: &Entry, level: u8) -> Result<bool, Error> {
        let begins = self.carry.is_empty();
        if begins && self.memo.clean.contains(entry.birth) {
            return Ok(true);
        }
        if self.monitor.cancelled() {
            return Err(Error::Interrupted);
        }
        let node = self.reader.node(entry, level)?;
        let mut clean = begins;
        if level > 1 {
            for child in &node.entries {
                clean &= self.visit(child, level - 1)?;
            }
        } else {
            clean &= self.leaves(&node.entries)?;
        }
        clean &= self.carry.is_empty();
        if clean {
            self.memo.clean.insert(entry.birth);
        }
        Ok(clean)
    }

    fn leaves(&mut self, entries: &[Entry]) -> Result<bool, Error> {
        let unknown: Vec<Entry> = entries.iter().filter(|entry| !self.memo.is_known(entry.birth)).cloned().collect();
        let mut plaintext = Zeroizing::new(Vec::with_capacity(unknown.iter().map(raw).sum()));
        self.reader.chunks(&unknown, &mut plaintext)?;
        self.monitor.progress(Progress::Bytes(plaintext.len() as u64));
        let mut places = BTreeMap::new();
        let mut start = 0;
        for entry in &unknown {
            places.insert(entry.birth, start..start + raw(entry));
            start += raw(entry);
        }
        let mut clean = true;
        for entry in entries {
            let read = places.get(&entry.birth).and_then(|place| plaintext.get(place.clone()));
            clean &= self.leaf(entry, read)?;
        }
        Ok(clean)
    }

    /// Takes the next chunk, whose plaintext was read unless it was known before.
    fn leaf(&mut self, entry: &Entry, read: Option<&[u8]>) -> Result<bool, Error> {
        if self.carry.is_empty() && self.memo.is_known(entry.birth) {
            // Known while it was read: it occurs twice in this node.
            let clean = self.memo.clean.contains(entry.birth);
            if !clean {
                self.marked.push(Run { entries: vec![entry.clone()] });
            }
            return Ok(clean);
        }
        let mut own = Zeroizing::new(Vec::new());
        let rows = match read {
            Some(rows) => rows,
            None => {
                self.reader.chunks(std::slice::from_ref(entry), &mut own)?;
                &own
            }
        };
        if self.carry.is_empty() && rows.ends_with(b"\n") {
            return self.see(Run { entries: vec![entry.clone()] }, rows);
        }
        self.carry.push(entry, rows)?;
        if rows.ends_with(b"\n") { self.end_run() } else { Ok(true) }
    }

    fn end_run(&mut self) -> Result<bool, Error> {
        let mut carry = std::mem::take(&mut self.carry);
        let run = Run { entries: std::mem::take(&mut carry.entries) };
        let clean = self.see(run, &carry.rows);
        carry.clear();
        clean
    }

    fn see(&mut self, run: Run, rows: &[u8]) -> Result<bool, Error> {
        let name = run.name();
        let known = self.memo.marked.contains(&name);
        let seen =
            if known { Seen::Marked } else { (self.look)(&name, rows).map_err(|source| Error::Rows { source })? };
        match (seen, name.0.as_slice()) {
            // Of several chunks only together: each may be part of another row elsewhere.
            (Seen::Clean, [only]) => self.memo.clean.insert(*only),
            (Seen::Clean, _) => {}
            (Seen::Marked, _) => {
                self.memo.marked.insert(name);
                self.marked.push(run);
            }
        }
        Ok(seen == Seen::Clean)
    }
}
