//! Searching rows in one stream or in many nights of it: each distinct chunk is opened once.
//!
//! In: a snapshot's stream and a test for whole rows. Out: the rows it lets through, in order. What was searched is remembered by birth, so
//! that thirty nights of a table cost one table and thirty nights' changes. What a row says is somebody else's.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    sync::Arc,
};

use lacre_format::{
    node::Entry,
    pack::Birth,
    root::{Stream, Top},
};
use memchr::memrchr;
use rayon::prelude::*;

use crate::{
    error::Error,
    frames::Opener,
    limits::{CHUNKS_SEARCHED_MAX, GROUP_RAW_BYTES, GROUPS_AT_ONCE, ROW_BYTES_MAX},
    monitor::{Monitor, Progress},
    op::read::Snapshot,
};

/// Lets rows through: takes whole rows, gives those that match, each with its line end.
pub type Test<'a> = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Sync + 'a;

/// Rows that were found.
pub type Rows = Vec<Vec<u8>>;

/// What is known of chunks and nodes that were searched before, for one table and one test.
#[derive(Default)]
pub struct Searcher {
    /// Chunks without a match.
    empty: HashSet<Birth>,
    /// Chunks and nodes with matches.
    found: HashMap<Birth, Arc<Rows>>,
    /// Nodes below which no chunk matches.
    barren: HashSet<Birth>,
    /// Pieces of long rows: a row reaches beyond its chunk.
    torn: HashSet<Birth>,
}

impl Searcher {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows of a stream that a test lets through, in the order of the stream. The test must be the same each time.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a frame that is not what was stored; [`Error::Interrupted`].
    pub fn search(
        &mut self,
        snapshot: &Snapshot<'_>,
        stream: &Stream,
        test: &Test<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Rows, Error> {
        let Some(top) = &stream.top else { return Ok(Vec::new()) };
        if self.empty.len() > CHUNKS_SEARCHED_MAX {
            *self = Self::default();
        }
        self.learn(snapshot, top, test, monitor)?;
        let mut out = Out { rows: Vec::new(), torn: false };
        self.gather(snapshot, &mut Opener::new()?, &entry_of(top), top.level, &mut out)?;
        if out.torn {
            // A row longer than its chunk: only the whole stream shows it whole.
            let mut scan = Scan { carry: Vec::new(), test, rows: Vec::new() };
            snapshot.read(stream, &mut scan, monitor)?;
            return scan.finish();
        }
        Ok(out.rows)
    }

    /// Searches the chunks that are not known yet.
    fn learn(
        &mut self,
        snapshot: &Snapshot<'_>,
        top: &Top,
        test: &Test<'_>,
        monitor: &dyn Monitor,
    ) -> Result<(), Error> {
        let mut waiting: Vec<Vec<Entry>> = Vec::new();
        let mut group = Vec::new();
        let mut queued = HashSet::new();
        let mut bytes = 0u64;
        let mut opener = Opener::new()?;
        let mut nodes = vec![(top.level, entry_of(top))];
        while let Some((level, entry)) = nodes.pop() {
            if self.barren.contains(&entry.birth) {
                continue;
            }
            for child in snapshot.node(&mut opener, &entry, level)?.entries {
                if level > 1 {
                    nodes.push((level - 1, child));
                } else if !self.knows(child.birth) && queued.insert(child.birth) {
                    bytes += u64::from(child.raw_bytes);
                    group.push(child);
                }
            }
            if bytes >= GROUP_RAW_BYTES {
                bytes = 0;
                waiting.push(std::mem::take(&mut group));
            }
            if waiting.len() >= GROUPS_AT_ONCE {
                self.open(snapshot, &std::mem::take(&mut waiting), test, monitor)?;
                queued.clear();
            }
        }
        waiting.push(group);
        self.open(snapshot, &waiting, test, monitor)
    }

    fn knows(&self, chunk: Birth) -> bool {
        self.empty.contains(&chunk) || self.found.contains_key(&chunk) || self.torn.contains(&chunk)
    }

    fn open(
        &mut self,
        snapshot: &Snapshot<'_>,
        groups: &[Vec<Entry>],
        test: &Test<'_>,
        monitor: &dyn Monitor,
    ) -> Result<(), Error> {
        if monitor.cancelled() {
            return Err(Error::Interrupted);
        }
        type Searched = Vec<(Birth, Option<Rows>)>;
        let searched: Vec<Result<Searched, Error>> = groups
            .par_iter()
            .map(|group| {
                let chunks = snapshot.chunks(&mut Opener::new()?, group)?;
                let one = |(entry, chunk): (&Entry, Vec<u8>)| {
                    monitor.progress(Progress::Bytes(chunk.len() as u64));
                    (entry.birth, chunk.ends_with(b"\n").then(|| test(&chunk)))
                };
                Ok(group.iter().zip(chunks).map(one).collect())
            })
            .collect();
        for group in searched {
            for (birth, rows) in group? {
                match rows {
                    None => drop(self.torn.insert(birth)),
                    Some(rows) if rows.is_empty() => drop(self.empty.insert(birth)),
                    Some(rows) => drop(self.found.insert(birth, Arc::new(rows))),
                }
            }
        }
        Ok(())
    }

    /// Puts the matches below an entry together; the depth is that of the manifest, which is bounded.
    fn gather(
        &mut self,
        snapshot: &Snapshot<'_>,
        opener: &mut Opener,
        entry: &Entry,
        level: u8,
        out: &mut Out,
    ) -> Result<(), Error> {
        if level == 0 {
            out.torn |= self.torn.contains(&entry.birth);
            out.rows.extend(self.found.get(&entry.birth).into_iter().flat_map(|rows| rows.iter().cloned()));
            return Ok(());
        }
        if self.barren.contains(&entry.birth) {
            return Ok(());
        }
        let before = out.rows.len();
        for child in &snapshot.node(opener, entry, level)?.entries {
            self.gather(snapshot, opener, child, level - 1, out)?;
        }
        if out.rows.len() == before && !out.torn {
            self.barren.insert(entry.birth);
        }
        Ok(())
    }
}

struct Out {
    rows: Rows,
    torn: bool,
}

fn entry_of(top: &Top) -> Entry {
    Entry { capability: top.capability.clone(), birth: top.birth(), raw_bytes: top.raw_bytes, dictionary: 0 }
}

/// Tests the rows of a whole stream as it passes.
struct Scan<'t> {
    carry: Vec<u8>,
    test: &'t Test<'t>,
    rows: Rows,
}

impl Scan<'_> {
    fn finish(mut self) -> Result<Rows, Error> {
        self.rows.extend((self.test)(&self.carry));
        Ok(self.rows)
    }
}

impl Write for Scan<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.carry.extend_from_slice(bytes);
        let whole = memrchr(b'\n', &self.carry).map_or(0, |last| last + 1);
        if whole > 0 {
            self.rows.extend((self.test)(&self.carry[..whole]));
            self.carry.drain(..whole);
        }
        if self.carry.len() > ROW_BYTES_MAX {
            return Err(std::io::Error::other(format!("a row of more than {ROW_BYTES_MAX} bytes")));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Snapshot<'_> {
    /// Whole rows of some chunks of a stream, chosen by `pick`, which is given how many chunks there are so far and says whether this one
    /// replaces one of those kept; at most `chunks_max` are kept. Chunks that hold pieces of long rows are left out.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a frame that is not what was stored.
    pub fn sample(
        &self,
        stream: &Stream,
        chunks_max: usize,
        pick: &mut dyn FnMut(u64) -> u64,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let Some(top) = &stream.top else { return Ok(Vec::new()) };
        let mut kept: Vec<Entry> = Vec::new();
        let mut seen = 0u64;
        self.leaves(top, &mut |group| {
            for entry in group {
                seen += 1;
                if kept.len() < chunks_max {
                    kept.push(entry);
                } else if let Some(place) = usize::try_from(pick(seen)).ok().and_then(|at| kept.get_mut(at)) {
                    *place = entry;
                }
            }
            Ok(())
        })?;
        let chunks = self.chunks(&mut Opener::new()?, &kept)?;
        // A chunk of one line may be the end of a longer row; where every chunk is one line, it is a row of its own or found to be none.
        let is_whole = |chunk: &Vec<u8>| chunk.ends_with(b"\n") && memchr::memchr_iter(b'\n', chunk).count() > 1;
        Ok(if seen == 1 { chunks } else { chunks.into_iter().filter(is_whole).collect() })
    }
}
