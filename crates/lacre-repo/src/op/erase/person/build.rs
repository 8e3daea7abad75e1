//! The streams of a successor: what stays keeps its frames and nodes, what changes is cut and sealed anew.
//!
//! In: a stream's tree, the runs that change, and what becomes of them. Out: a new tree, and new packs in the store. A run that changes in
//! the same way in many snapshots is written once.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use lacre_format::{
    ids::Digest,
    name::{Named, ObjectName},
    node::Entry,
    pack::Birth,
    reach::Reach,
    root::{Shape, Stream, Top},
};
use lacre_seal::{
    aead::Suite,
    frame::{Fingerprinter, SealedFrame},
    node_list::NodeListHasher,
    secret::StreamSecret,
    structure::StructureKey,
};

use super::walk::{Carry, Cause, Memo, Reader, Run, RunName, raw, top_entry};
use crate::{
    catalog::KnownPack,
    cut::{CutKeys, CutParameters, Cutter, EndOfStream},
    error::Error,
    op::backup::pipeline::{Tools, seal_proved},
    pack::OpenPack,
    parity,
    repository::Repository,
    tree::Tree,
};

/// Decides about the marked runs of one stream of one snapshot.
pub trait Decide {
    /// What becomes of a run: nothing if it stays as it is, else a number. Equal numbers on equal runs give equal rows.
    fn verdict(&mut self, run: &RunName) -> Option<u64>;

    /// Writes what becomes of a run's rows.
    ///
    /// # Errors
    /// Whatever keeps the rows from being written.
    fn rewrite(&mut self, run: &RunName, verdict: u64, rows: &[u8], out: &mut Vec<u8>) -> Result<(), Cause>;
}

/// What stands in place of a run.
struct Replacement {
    entries: Vec<Entry>,
}

/// The new frames of one job.
pub(super) struct Output {
    fingerprinter: Fingerprinter,
    cut_keys: Arc<CutKeys>,
    /// New chunks by the BLAKE3 of their plaintext, and old and new nodes by theirs; all in memory only.
    chunks: HashMap<[u8; 32], Entry>,
    nodes: HashMap<[u8; 32], Entry>,
    replaced: HashMap<(RunName, u64), Arc<Replacement>>,
}

impl Output {
    pub(super) fn new(secret: &StreamSecret) -> Self {
        let tables = secret.cut_secret();
        Self {
            fingerprinter: Fingerprinter::new(secret),
            cut_keys: Arc::new(CutKeys::new(tables.gear(), tables.row())),
            chunks: HashMap::new(),
            nodes: HashMap::new(),
            replaced: HashMap::new(),
        }
    }

    /// New chunks with the hash of what they hold.
    pub(super) fn new_chunks(&self) -> impl Iterator<Item = (&[u8; 32], &Entry)> {
        self.chunks.iter()
    }
}

/// Packs being filled, whatever the job.
pub(super) struct Packs<'r> {
    repository: &'r Repository,
    structure: StructureKey,
    suite: Suite,
    tools: Tools,
    chunks: OpenPack,
    nodes: OpenPack,
    pub(super) stored: Vec<KnownPack>,
}

impl<'r> Packs<'r> {
    pub(super) fn new(repository: &'r Repository, level: i32) -> Result<Self, Error> {
        Ok(Self {
            repository,
            structure: repository.structure()?,
            suite: Suite::preferred(),
            tools: Tools::new(level)?,
            chunks: OpenPack::new(Vec::new())?,
            nodes: OpenPack::new(Vec::new())?,
            stored: Vec::new(),
        })
    }

    fn seal(&mut self, output: &Output, level: u8, plaintext: &[u8]) -> Result<Entry, Error> {
        let fingerprint = output.fingerprinter.fingerprint(level, plaintext);
        let SealedFrame { capability, bytes } =
            seal_proved(self.suite, &mut self.tools, &fingerprint, level, plaintext)?;
        let raw_bytes =
            u32::try_from(plaintext.len()).map_err(|_| Error::Bug { why: "a frame over 4 GiB".to_owned() })?;
        let pack = if level == 0 { &mut self.chunks } else { &mut self.nodes };
        let birth = pack.add(level, &bytes);
        if pack.is_full() {
            let full = std::mem::replace(pack, OpenPack::new(Vec::new())?);
            self.put(full)?;
        }
        Ok(Entry { capability, birth, raw_bytes, dictionary: 0 })
    }

    fn put(&mut self, pack: OpenPack) -> Result<(), Error> {
        let (closed, _) = pack.close(&self.structure, self.repository.id(), Vec::new())?;
        let name = ObjectName::of(&Named::Pack(closed.known.name));
        // One that is there already is the same: it is named by its hash.
        let _outcome = self.repository.store().put_new(&name, closed.object.clone())?;
        if self.repository.keeps_parity() {
            parity::put(self.repository.store(), closed.known.name, &closed.object)?;
        }
        self.stored.push(closed.known);
        Ok(())
    }

    /// Stores what is left.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        for level in 0..2u8 {
            let pack = if level == 0 { &mut self.chunks } else { &mut self.nodes };
            let last = std::mem::replace(pack, OpenPack::new(Vec::new())?);
            if !last.is_empty() {
                self.put(last)?;
            }
        }
        Ok(())
    }
}

/// What a rebuilt tree is.
pub(super) struct Rebuilt {
    pub(super) top: Option<Top>,
    pub(super) list: Digest,
}

/// One stream being rebuilt.
pub(super) struct Build<'b, 'r> {
    pub(super) reader: &'b mut Reader<'r>,
    pub(super) packs: &'b mut Packs<'r>,
    pub(super) output: &'b mut Output,
    pub(super) memo: &'b Memo,
    pub(super) decide: &'b mut dyn Decide,
    pub(super) parameters: CutParameters,
    /// Frames that the new tree may do without: replaced chunks, and nodes that were taken apart.
    pub(super) suspects: &'b mut BTreeSet<Birth>,
}

struct Growing {
    tree: Tree,
    list: NodeListHasher,
    carry: Carry,
}

impl Build<'_, '_> {
    pub(super) fn over(mut self, top: &Top) -> Result<Rebuilt, Error> {
        let mut growing = Growing { tree: Tree::default(), list: NodeListHasher::default(), carry: Carry::default() };
        self.visit(&mut growing, &top_entry(top), top.level)?;
        self.end_run(&mut growing)?;
        let Growing { tree, mut list, .. } = growing;
        let (packs, output) = (&mut *self.packs, &mut *self.output);
        let top = tree.finish(&mut |level, plaintext| store_node(packs, output, &mut list, level, plaintext))?;
        Ok(Rebuilt { top, list: list.finish() })
    }

    fn visit(&mut self, growing: &mut Growing, entry: &Entry, level: u8) -> Result<(), Error> {
        let clean = growing.carry.is_empty() && self.memo.clean.contains(entry.birth);
        if level == 1 && clean && growing.tree.is_between_nodes() {
            growing.list.add(entry.raw_bytes, &entry.capability);
            let (packs, output, list) = (&mut *self.packs, &mut *self.output, &mut growing.list);
            return growing
                .tree
                .push_node(entry.clone(), &mut |level, plaintext| store_node(packs, output, list, level, plaintext));
        }
        let (node, plaintext) = self.reader.node_bytes(entry, level)?;
        self.output.nodes.insert(*blake3::hash(&plaintext).as_bytes(), entry.clone());
        self.suspects.insert(entry.birth);
        for child in &node.entries {
            match level {
                1 if clean => self.push(growing, child)?,
                1 => self.leaf(growing, child)?,
                _ => self.visit(growing, child, level - 1)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, growing: &mut Growing, entry: &Entry) -> Result<(), Error> {
        let (packs, output, list) = (&mut *self.packs, &mut *self.output, &mut growing.list);
        growing.tree.push(entry.clone(), &mut |level, plaintext| store_node(packs, output, list, level, plaintext))
    }

    fn leaf(&mut self, growing: &mut Growing, entry: &Entry) -> Result<(), Error> {
        if growing.carry.is_empty() && self.memo.clean.contains(entry.birth) {
            return self.push(growing, entry);
        }
        growing.carry.entries.push(entry.clone());
        let name = RunName(growing.carry.entries.iter().map(|entry| entry.birth).collect());
        if self.memo.marked.contains(&name) || (growing.carry.entries.len() == 1 && self.memo.is_known(entry.birth)) {
            return self.end_run(growing);
        }
        // Only the rows say where a long row ends that nobody marked.
        let mut rows = zeroize::Zeroizing::new(Vec::with_capacity(raw(entry)));
        self.reader.chunks(std::slice::from_ref(entry), &mut rows)?;
        if rows.ends_with(b"\n") { self.end_run(growing) } else { Ok(()) }
    }

    /// Decides about the run that is held, if there is one.
    fn end_run(&mut self, growing: &mut Growing) -> Result<(), Error> {
        let run = Run { entries: std::mem::take(&mut growing.carry.entries) };
        if run.entries.is_empty() {
            return Ok(());
        }
        let name = run.name();
        let verdict = if self.memo.marked.contains(&name) { self.decide.verdict(&name) } else { None };
        let Some(verdict) = verdict else {
            return run.entries.iter().try_for_each(|entry| self.push(growing, entry));
        };
        self.suspects.extend(name.0.iter().copied());
        let replacement = self.replacement(&run, name, verdict)?;
        replacement.entries.iter().try_for_each(|entry| self.push(growing, entry))
    }

    fn replacement(&mut self, run: &Run, name: RunName, verdict: u64) -> Result<Arc<Replacement>, Error> {
        let key = (name, verdict);
        if let Some(known) = self.output.replaced.get(&key) {
            return Ok(Arc::clone(known));
        }
        let old = self.reader.run(run)?;
        let mut new = zeroize::Zeroizing::new(Vec::with_capacity(old.len()));
        self.decide.rewrite(&key.0, verdict, &old, &mut new).map_err(|source| Error::Rows { source })?;
        let entries = cut_and_seal(self.packs, self.output, self.parameters, &new)?;
        let replacement = Arc::new(Replacement { entries });
        self.output.replaced.insert(key, Arc::clone(&replacement));
        Ok(replacement)
    }
}

fn store_node(
    packs: &mut Packs<'_>,
    output: &mut Output,
    list: &mut NodeListHasher,
    level: u8,
    plaintext: &[u8],
) -> Result<Entry, Error> {
    let hash = *blake3::hash(plaintext).as_bytes();
    let entry = match output.nodes.get(&hash) {
        Some(known) => known.clone(),
        None => {
            let entry = packs.seal(output, level, plaintext)?;
            output.nodes.insert(hash, entry.clone());
            entry
        }
    };
    if level == 1 {
        list.add(entry.raw_bytes, &entry.capability);
    }
    Ok(entry)
}

fn cut_and_seal(
    packs: &mut Packs<'_>,
    output: &mut Output,
    parameters: CutParameters,
    plaintext: &[u8],
) -> Result<Vec<Entry>, Error> {
    let mut lengths = Vec::new();
    let mut cutter = Cutter::new(parameters, Arc::clone(&output.cut_keys));
    cutter.cut_all(plaintext, EndOfStream::Yes, &mut lengths);
    let mut entries = Vec::with_capacity(lengths.len());
    let mut rest = plaintext;
    for length in lengths {
        let (chunk, later) = rest.split_at(length);
        rest = later;
        let hash = *blake3::hash(chunk).as_bytes();
        let entry = match output.chunks.get(&hash) {
            Some(known) => known.clone(),
            None => {
                let entry = packs.seal(output, 0, chunk)?;
                output.chunks.insert(hash, entry.clone());
                entry
            }
        };
        entries.push(entry);
    }
    Ok(entries)
}

/// A stream of these bytes in place of another, for what is small.
pub(super) fn replace(
    packs: &mut Packs<'_>,
    output: &mut Output,
    stream: &Stream,
    parameters: CutParameters,
    bytes: &[u8],
) -> Result<Stream, Error> {
    let entries = cut_and_seal(packs, output, parameters, bytes)?;
    let mut list = NodeListHasher::default();
    let mut tree = Tree::default();
    let chunks = entries.len() as u64;
    for entry in entries {
        tree.push(entry, &mut |level, plaintext| store_node(packs, output, &mut list, level, plaintext))?;
    }
    let top = tree.finish(&mut |level, plaintext| store_node(packs, output, &mut list, level, plaintext))?;
    let lines = memchr::memchr_iter(b'\n', bytes).count() as u64;
    Ok(Stream {
        bytes: bytes.len() as u64,
        rows: if stream.shape == Shape::Bytes { stream.rows } else { lines },
        blake3: Digest::new(*blake3::hash(bytes).as_bytes()),
        top,
        chunks,
        rewritten: None,
        ..stream.clone()
    })
}

/// What lies below a node.
#[derive(Clone, Default)]
struct Below {
    bytes: u64,
    chunks: u64,
    suspects: Arc<[Birth]>,
}

/// Counts what trees hold, each node once whatever the number of snapshots.
#[derive(Default)]
pub(super) struct Census {
    known: BTreeMap<Birth, Below>,
}

/// What a tree holds.
#[derive(Clone, Default)]
pub(super) struct Counted {
    pub(super) bytes: u64,
    pub(super) chunks: u64,
    /// Those of the suspected frames that it uses.
    pub(super) used: BTreeSet<Birth>,
}

impl Census {
    pub(super) fn count(
        &mut self,
        reader: &mut Reader<'_>,
        top: &Top,
        suspects: &BTreeSet<Birth>,
    ) -> Result<Counted, Error> {
        let below = self.visit(reader, &top_entry(top), top.level, suspects)?;
        Ok(Counted { bytes: below.bytes, chunks: below.chunks, used: below.suspects.iter().copied().collect() })
    }

    fn visit(
        &mut self,
        reader: &mut Reader<'_>,
        entry: &Entry,
        level: u8,
        suspects: &BTreeSet<Birth>,
    ) -> Result<Below, Error> {
        if let Some(known) = self.known.get(&entry.birth) {
            return Ok(known.clone());
        }
        let node = reader.node(entry, level)?;
        let mut below = Below::default();
        let mut used: BTreeSet<Birth> = BTreeSet::new();
        used.extend(suspects.contains(&entry.birth).then_some(entry.birth));
        for child in &node.entries {
            if level > 1 {
                let child = self.visit(reader, child, level - 1, suspects)?;
                below.bytes += child.bytes;
                below.chunks += child.chunks;
                used.extend(child.suspects.iter().copied());
            } else {
                below.bytes += u64::from(child.raw_bytes);
                below.chunks += 1;
                used.extend(suspects.contains(&child.birth).then_some(child.birth));
            }
        }
        below.suspects = used.into_iter().collect();
        self.known.insert(entry.birth, below.clone());
        Ok(below)
    }
}

/// Adds the frames of a tree that an older snapshot does not reach.
pub(super) fn beyond(reader: &mut Reader<'_>, top: &Top, old: &Reach, reach: &mut Reach) -> Result<(), Error> {
    let mut open = vec![(top_entry(top), top.level)];
    while let Some((entry, level)) = open.pop() {
        // Whoever reaches a node reaches all below it.
        if old.contains(entry.birth) {
            continue;
        }
        reach.insert(entry.birth);
        if level > 0 {
            let node = reader.node(&entry, level)?;
            open.extend(node.entries.into_iter().map(|child| (child, level - 1)));
        }
    }
    Ok(())
}
