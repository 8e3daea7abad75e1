//! Reading a snapshot: its root, and its streams by parallel range reads, verified before anybody is told it is well.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use lacre_format::{
    ids::{Digest, JobName, Millis, SnapshotId},
    node::{Entry, Node},
    reach::Reach,
    root::{Root, Stream, Top},
};
use lacre_seal::node_list::NodeListHasher;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Kind},
    frames::{Frames, Opener, Reading},
    limits::{BATCHES_WAITING, GROUP_RAW_BYTES, STRETCH_BYTES_MAX, WHOLE_PACK_DIVISOR, WORKERS_MAX},
    monitor::{Finding, Monitor, Progress},
    op::keys::ReadKeys,
    repository::{Look, Repository},
    store::Listing,
    view::{Known, View},
};

/// What reading a whole snapshot asks of its store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Estimate {
    /// Bytes of the packs and stretches that are read.
    pub bytes: u64,
    /// Requests for them.
    pub requests: u64,
}

/// An opened snapshot.
pub struct Snapshot<'r> {
    repository: &'r Repository,
    known: Known,
    is_forgotten: bool,
    is_to_be_erased: bool,
    root: Root,
    frames: Frames<'r>,
    findings: Vec<Finding>,
}

/// What was proved by reading a stream to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamProof {
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3-256 of all of them.
    pub blake3: Digest,
}

impl Repository {
    /// Opens a snapshot that is live or forgotten but not yet reclaimed.
    ///
    /// # Errors
    /// [`Error::NoSeal`] or [`Error::NoIdentity`] when a key is missing; [`Error::Damaged`] for a damaged key entry or root.
    pub fn open_snapshot(&self, snapshot: SnapshotId, keys: &ReadKeys) -> Result<Snapshot<'_>, Error> {
        self.open_at(&self.look()?, snapshot, keys)
    }

    /// As [`Repository::open_snapshot`], from what the store held when it was looked at.
    ///
    /// # Errors
    /// As [`Repository::open_snapshot`].
    pub fn open_at(&self, look: &Look, snapshot: SnapshotId, keys: &ReadKeys) -> Result<Snapshot<'_>, Error> {
        self.open_listed(&look.view, snapshot, keys, &look.listing)
    }

    pub(crate) fn open_in(&self, view: &View, snapshot: SnapshotId, keys: &ReadKeys) -> Result<Snapshot<'_>, Error> {
        self.open_listed(view, snapshot, keys, &self.store().list_many(&["index", "packs"])?)
    }

    fn open_listed(
        &self,
        view: &View,
        snapshot: SnapshotId,
        keys: &ReadKeys,
        listing: &Listing,
    ) -> Result<Snapshot<'_>, Error> {
        let name = || snapshot.to_string();
        if view.plans.reclaimed.contains_key(&snapshot) {
            return Err(Error::Reclaimed { snapshot });
        }
        let known = view.snapshots.get(&snapshot).ok_or_else(|| view.damaged_or_none(&name()))?;
        if view.voided.contains(&snapshot) {
            return Err(Error::NoSnapshot { name: name() });
        }
        if view.is_dead(snapshot) {
            return Err(Error::Erased { snapshot });
        }
        let seals = self.seals(view, keys)?;
        let key = self.snapshot_key(view, &seals, keys, &known.header)?;
        let root = self.root(known, &key)?;
        // A host without caches learns here where frames lie.
        let findings = self.refresh_from(view, listing)?;
        Ok(Snapshot {
            repository: self,
            known: known.clone(),
            is_forgotten: view.forgotten.contains(&snapshot),
            is_to_be_erased: view.erased.contains(&snapshot),
            root,
            frames: Frames::new(self),
            findings,
        })
    }
}

impl Snapshot<'_> {
    /// The snapshot's id.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        self.root.snapshot
    }

    /// Whether it is no longer kept and only waits to be reclaimed.
    #[must_use]
    pub const fn is_forgotten(&self) -> bool {
        self.is_forgotten
    }

    /// Whether an erasure names it that has not changed the seal yet.
    #[must_use]
    pub const fn is_to_be_erased(&self) -> bool {
        self.is_to_be_erased
    }

    /// What reading all of it will ask of the store, from its reach map and the footers this host knows.
    ///
    /// # Errors
    /// As [`Repository::reach`].
    pub fn estimate(&self) -> Result<Estimate, Error> {
        let reach = self.repository.reach(&self.known)?;
        let mut estimate = Estimate::default();
        for id in reach.packs() {
            let (pack, frames) = self.frames.needed(id, reach.slots(id))?;
            let is_whole = frames >= pack / WHOLE_PACK_DIVISOR;
            estimate.bytes += if is_whole { pack } else { frames };
            estimate.requests += if is_whole { 1 } else { frames.div_ceil(STRETCH_BYTES_MAX).max(1) };
        }
        Ok(estimate)
    }

    /// What was found wrong with the index while the snapshot was opened.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Damage that was met while streams were read and that parity put right for this reading.
    #[must_use]
    pub fn corrections(&self) -> Vec<Finding> {
        self.frames.corrections()
    }

    /// The job.
    #[must_use]
    pub const fn job(&self) -> &JobName {
        &self.root.job
    }

    /// When its source was read.
    #[must_use]
    pub const fn taken(&self) -> Millis {
        self.root.taken
    }

    /// The driver that read the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.root.source
    }

    /// Facts of the source by name.
    #[must_use]
    pub const fn facts(&self) -> &BTreeMap<String, String> {
        &self.root.facts
    }

    /// The streams in the order they were written.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.root.streams
    }

    /// The stream with a name.
    ///
    /// # Errors
    /// [`Error::NoStream`].
    pub fn stream(&self, name: &str) -> Result<&Stream, Error> {
        let found = self.root.streams.iter().find(|stream| stream.name == name);
        found.ok_or_else(|| Error::NoStream { snapshot: self.id(), stream: name.to_owned() })
    }

    /// Writes a stream's bytes to a sink, in order, and compares length and BLAKE3 with the root; of a stream that the erasure of a
    /// person rewrote, the list of its nodes.
    ///
    /// The sink sees bytes that are authentic frame by frame, but only `Ok` says that the stream is whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a frame or stream that is not what was stored; [`Error::Sink`] from the sink.
    pub fn read(&self, stream: &Stream, sink: &mut dyn Write, monitor: &dyn Monitor) -> Result<StreamProof, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0u64;
        let nodes = match &stream.top {
            Some(top) => self.walk(top, monitor, &mut |piece| {
                hasher.update(piece);
                bytes += piece.len() as u64;
                monitor.progress(Progress::Bytes(piece.len() as u64));
                sink.write_all(piece).map_err(Error::Sink)
            })?,
            None => NodeListHasher::default().finish(),
        };
        let proof = StreamProof { bytes, blake3: Digest::new(*hasher.finalize().as_bytes()) };
        let same = stream.rewritten.map_or(proof.blake3 == stream.blake3, |list| list == nodes);
        if proof.bytes == stream.bytes && same {
            Ok(proof)
        } else {
            let what = format!("stream {:?} of snapshot {}", stream.name, self.id());
            let why =
                format!("it has {} bytes and another BLAKE3 where {} bytes were backed up", proof.bytes, stream.bytes);
            Err(Error::damaged(what, why))
        }
    }

    /// Visits every node below a top and gives the leaves to `each`, in order, in groups of about 2 MiB.
    pub(crate) fn leaves(&self, top: &Top, each: &mut dyn FnMut(Vec<Entry>) -> Result<(), Error>) -> Result<(), Error> {
        self.leaves_listed(top, &mut NodeListHasher::default(), each)
    }

    /// The same, and lists the nodes right above the leaves.
    fn leaves_listed(
        &self,
        top: &Top,
        list: &mut NodeListHasher,
        each: &mut dyn FnMut(Vec<Entry>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut opener = Opener::new()?;
        let mut open: Vec<(u8, std::vec::IntoIter<Entry>)> = vec![(top.level, vec![entry_of(top)].into_iter())];
        let mut group = Vec::new();
        let mut group_bytes = 0u64;
        while let Some((level, entries)) = open.last_mut() {
            let level = *level;
            let Some(entry) = entries.next() else {
                open.pop();
                continue;
            };
            let node = self.node(&mut opener, &entry, level)?;
            if level > 1 {
                open.push((level - 1, node.entries.into_iter()));
                continue;
            }
            list.add(entry.raw_bytes, &entry.capability);
            for leaf in node.entries {
                group_bytes += u64::from(leaf.raw_bytes);
                group.push(leaf);
                if group_bytes >= GROUP_RAW_BYTES {
                    group_bytes = 0;
                    each(std::mem::take(&mut group))?;
                }
            }
        }
        if group.is_empty() { Ok(()) } else { each(group) }
    }

    /// Visits a tree as far as its nodes can be read, in order: what is lost of it is named and stepped over.
    pub(crate) fn pieces(
        &self,
        top: &Top,
        is_lost: &dyn Fn(&Entry) -> bool,
        each: &mut dyn FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut opener = Opener::new()?;
        let mut open: Vec<(u8, std::vec::IntoIter<Entry>)> = vec![(top.level, vec![entry_of(top)].into_iter())];
        while let Some((level, entries)) = open.last_mut() {
            let level = *level;
            let Some(entry) = entries.next() else {
                open.pop();
                continue;
            };
            if level == 0 {
                each(if is_lost(&entry) { Piece::LostLeaf(&entry) } else { Piece::Leaf(&entry) })?;
                continue;
            }
            let node = if is_lost(&entry) { None } else { Some(self.node(&mut opener, &entry, level)) };
            match node {
                Some(Ok(node)) => open.push((level - 1, node.entries.into_iter())),
                Some(Err(error)) if error.kind() != Kind::Damaged => return Err(error),
                Some(Err(_)) | None => each(Piece::LostNode)?,
            }
        }
        Ok(())
    }

    /// The plaintext of one chunk.
    pub(crate) fn chunk(&self, entry: &Entry) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut opener = Opener::new()?;
        open_group(&self.frames, &mut opener, std::slice::from_ref(entry)).map(Zeroizing::new)
    }

    /// Every frame the snapshot uses, by its root and nodes.
    pub(crate) fn births(&self) -> Result<Reach, Error> {
        let mut births = Reach::default();
        let mut opener = Opener::new()?;
        for stream in self.streams() {
            stream.dictionaries.iter().for_each(|dictionary| births.insert(dictionary.birth()));
            let mut open: Vec<(u8, Entry)> = stream.top.iter().map(|top| (top.level, entry_of(top))).collect();
            while let Some((level, entry)) = open.pop() {
                births.insert(entry.birth);
                if level > 0 {
                    let node = self.node(&mut opener, &entry, level)?;
                    open.extend(node.entries.into_iter().map(|entry| (level - 1, entry)));
                }
            }
        }
        Ok(births)
    }

    pub(crate) fn node(&self, opener: &mut Opener, entry: &Entry, level: u8) -> Result<Node, Error> {
        let sealed = self.frames.read(std::slice::from_ref(entry), Reading::Node)?;
        let mut plaintext = Zeroizing::new(Vec::new());
        let sealed = sealed.first().map(|bytes| &bytes[..]).unwrap_or_default();
        self.frames.open(opener, entry, level, sealed, &mut plaintext)?;
        let place = format!("frame {} of pack {}", entry.birth.slot, entry.birth.pack);
        let node = Node::decode(&plaintext).map_err(|error| Error::format(&place, error))?;
        if node.level == level { Ok(node) } else { Err(Error::damaged(place, "it is a node of another level")) }
    }

    /// Opens chunks, each by itself.
    pub(crate) fn chunks(&self, opener: &mut Opener, entries: &[Entry]) -> Result<Vec<Vec<u8>>, Error> {
        let sealed = self.frames.read(entries, Reading::Chunks)?;
        let open = |(entry, sealed): (&Entry, &bytes::Bytes)| {
            let mut chunk = Vec::new();
            self.frames.open(opener, entry, 0, sealed, &mut chunk).map(|()| chunk)
        };
        entries.iter().zip(&sealed).map(open).collect()
    }

    /// Checks that every chunk below a top is in a pack that is there, without reading chunks.
    pub(crate) fn locate_leaves(&self, top: &Top) -> Result<u64, Error> {
        let mut chunks = 0u64;
        self.leaves(top, &mut |group| {
            chunks += group.len() as u64;
            group.iter().try_for_each(|entry| self.frames.locate(entry.birth))
        })?;
        Ok(chunks)
    }

    fn walk(
        &self,
        top: &Top,
        monitor: &dyn Monitor,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Digest, Error> {
        let stop = AtomicBool::new(false);
        let (groups, group_queue) = bounded::<(u64, Vec<Entry>)>(BATCHES_WAITING);
        let (pieces, piece_queue) = bounded::<(u64, Result<Vec<u8>, Error>)>(BATCHES_WAITING);
        let count = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS_MAX);
        std::thread::scope(|scope| {
            let (stop, frames) = (&stop, &self.frames);
            for _ in 0..count {
                let (queue, out) = (group_queue.clone(), pieces.clone());
                scope.spawn(move || open_loop(frames, &queue, &out, stop));
            }
            let failures = pieces.clone();
            drop((group_queue, pieces));
            let feeder = scope.spawn(move || self.feed(top, &groups, &failures, stop));
            let result = in_order(&piece_queue, monitor, each);
            stop.store(true, Ordering::SeqCst);
            // Whoever waits for room in the queue must find it to see that the work has stopped.
            piece_queue.iter().for_each(drop);
            let list =
                feeder.join().map_err(|_| Error::Bug { why: "a thread panicked while it read nodes".to_owned() });
            result.and(list)
        })
    }

    fn feed(
        &self,
        top: &Top,
        groups: &Sender<(u64, Vec<Entry>)>,
        failures: &Sender<(u64, Result<Vec<u8>, Error>)>,
        stop: &AtomicBool,
    ) -> Digest {
        let mut seq = 0u64;
        let mut list = NodeListHasher::default();
        let fed = self.leaves_listed(top, &mut list, &mut |group| {
            if stop.load(Ordering::SeqCst) || groups.send((seq, group)).is_err() {
                return Err(Error::Interrupted);
            }
            seq += 1;
            Ok(())
        });
        if let Err(error) = fed {
            // A failed send means that nobody reads any more, because another error came first.
            drop(failures.send((seq, Err(error))));
        }
        list.finish()
    }
}

/// One piece of a stream that may be damaged.
pub(crate) enum Piece<'e> {
    /// A chunk that should be there.
    Leaf(&'e Entry),
    /// A chunk that is lost.
    LostLeaf(&'e Entry),
    /// A node that is lost, and with it the lengths of everything below it.
    LostNode,
}

fn entry_of(top: &Top) -> Entry {
    Entry { capability: top.capability.clone(), birth: top.birth(), raw_bytes: top.raw_bytes, dictionary: 0 }
}

fn open_loop(
    frames: &Frames<'_>,
    queue: &Receiver<(u64, Vec<Entry>)>,
    out: &Sender<(u64, Result<Vec<u8>, Error>)>,
    stop: &AtomicBool,
) {
    let mut opener = Opener::new();
    for (seq, group) in queue {
        if stop.load(Ordering::SeqCst) {
            continue;
        }
        let piece = match &mut opener {
            Ok(opener) => open_group(frames, opener, &group),
            Err(error) => Err(Error::Bug { why: error.to_string() }),
        };
        if out.send((seq, piece)).is_err() {
            return;
        }
    }
}

fn open_group(frames: &Frames<'_>, opener: &mut Opener, group: &[Entry]) -> Result<Vec<u8>, Error> {
    let raw_bytes: usize = group.iter().map(|entry| usize::try_from(entry.raw_bytes).unwrap_or_default()).sum();
    let mut piece = Vec::with_capacity(raw_bytes);
    let sealed = frames.read(group, Reading::Chunks)?;
    for (entry, sealed) in group.iter().zip(&sealed) {
        frames.open(opener, entry, 0, sealed, &mut piece)?;
    }
    Ok(piece)
}

fn in_order(
    queue: &Receiver<(u64, Result<Vec<u8>, Error>)>,
    monitor: &dyn Monitor,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut next = 0u64;
    let mut waiting = BTreeMap::new();
    for (seq, piece) in queue {
        waiting.insert(seq, piece);
        while let Some(piece) = waiting.remove(&next) {
            if monitor.cancelled() {
                return Err(Error::Interrupted);
            }
            each(&piece?)?;
            next += 1;
        }
    }
    match waiting.into_values().find_map(Result::err) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl Snapshot<'_> {
    /// The repository the snapshot was opened from.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        self.repository
    }
}
