//! The backup pipeline: batches of chunks in, streams with their manifests, packs and a reach map out.
//!
//! ```text
//! StreamWriter (cut) -> workers (fingerprint, look up, squeeze, seal, open again) -> packer (order, dedup, nodes, packs) -> uploader
//! ```
//! Every arrow is a bounded channel, so memory is bounded whatever the size of the source. The first error stops all.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use lacre_format::{
    frame::Codec,
    ids::{JobName, RepositoryId, SnapshotId},
    name::{Named, ObjectName},
    node::Capability,
    reach::Reach,
    root::Stream,
};
use lacre_seal::{
    aead::Suite,
    frame::{self, Fingerprint, Fingerprinter, SealedFrame},
    index_row::{IndexKey, IndexRow},
    secret::StreamSecret,
    structure::StructureKey,
};

use zeroize::Zeroize;

use crate::{
    catalog::{IndexReader, IndexTable, IndexWriter, KnownPack},
    error::Error,
    limits::{BATCHES_WAITING, PACK_BUFFERS, SPARE_BUFFERS, WORKERS_MAX},
    monitor::{Monitor, Progress},
    op::backup::{packer::Packer, stream::StreamEnd},
    pack::ClosedPack,
    parity::{self, ParityChoice},
    squeeze::{Squeezer, Unsqueezer},
    store::Store,
};

/// What may be reused: the index of the base's run, and the frames the base reaches.
pub(crate) struct Base {
    pub(crate) key: IndexKey,
    pub(crate) database: std::path::PathBuf,
    pub(crate) table: Arc<IndexTable>,
    pub(crate) reach: Reach,
}

impl Base {
    /// Opens the index for one thread.
    pub(crate) fn reader(&self) -> Result<IndexReader, Error> {
        IndexReader::open(&self.database, Arc::clone(&self.table))
    }

    /// The frame of a plaintext that the base holds.
    pub(crate) fn find(&self, index: &mut IndexReader, fingerprint: &Fingerprint) -> Option<IndexRow> {
        let name = self.key.name(fingerprint);
        let row = index.row(&name).ok().flatten()?;
        self.key.open(fingerprint, &name, &row).filter(|row| self.reach.contains(row.birth))
    }
}

/// What all threads of one run share.
pub(crate) struct Shared {
    pub(crate) repository: RepositoryId,
    pub(crate) structure: StructureKey,
    pub(crate) fingerprinter: Fingerprinter,
    pub(crate) base: Option<Base>,
    pub(crate) suite: Suite,
    pub(crate) level: i32,
    pub(crate) store: Store,
    pub(crate) monitor: Arc<dyn Monitor>,
    parity: ParityChoice,
    /// Buffers of batches and of sealed frames that wait to be used again.
    pub(crate) spare_batches: Spare,
    pub(crate) spare_frames: Spare,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Shared {
    pub(crate) fn fail(&self, error: Error) {
        if let Ok(mut first) = self.error.lock() {
            first.get_or_insert(error);
        }
        self.failed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_failed(&self) -> bool {
        if !self.failed.load(Ordering::Relaxed) && self.monitor.cancelled() {
            self.fail(Error::Interrupted);
        }
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn take_error(&self) -> Option<Error> {
        self.error.lock().ok().and_then(|mut error| error.take())
    }

    /// As [`seal_proved`], with this run's suite.
    pub(crate) fn seal(
        &self,
        tools: &mut Tools,
        fingerprint: &Fingerprint,
        level: u8,
        plaintext: &[u8],
    ) -> Result<SealedFrame, Error> {
        seal_proved(self.suite, tools, fingerprint, level, plaintext)
    }
}

/// Compresses and seals a plaintext, and opens the result again before anybody believes it (verify before upload).
///
/// A node's plaintext is capabilities, so nothing of it stays in the thread's buffers.
pub(crate) fn seal_proved(
    suite: Suite,
    tools: &mut Tools,
    fingerprint: &Fingerprint,
    level: u8,
    plaintext: &[u8],
) -> Result<SealedFrame, Error> {
    let sealed = seal_and_open(suite, tools, fingerprint, level, plaintext);
    if level > 0 {
        tools.payload.zeroize();
        tools.check.zeroize();
        tools.raw.zeroize();
    }
    sealed
}

fn seal_and_open(
    suite: Suite,
    tools: &mut Tools,
    fingerprint: &Fingerprint,
    level: u8,
    plaintext: &[u8],
) -> Result<SealedFrame, Error> {
    let codec = tools.squeezer.squeeze(plaintext, &mut tools.payload)?;
    let sealed = frame::seal_frame(suite, fingerprint, level, codec, plaintext.len(), &tools.payload)?;
    tools.check.clear();
    tools.check.extend_from_slice(&sealed.bytes);
    let body = frame::open_frame(&sealed.capability, level, &mut tools.check).map_err(|_| Error::SelfCheck)?;
    let same = match body.codec {
        Codec::Raw => body.payload == plaintext,
        codec => {
            tools.raw.clear();
            let raw_bytes = usize::try_from(body.raw_bytes).unwrap_or_default();
            tools.unsqueezer.unsqueeze(codec, body.payload, raw_bytes, &mut tools.raw).map_err(|_| Error::SelfCheck)?;
            tools.raw == plaintext
        }
    };
    if same { Ok(sealed) } else { Err(Error::SelfCheck) }
}

/// Buffers that are used again: fresh memory costs a page fault every 4 KiB, and a run passes through gigabytes of it.
pub(crate) struct Spare {
    give: Sender<Vec<u8>>,
    take: Receiver<Vec<u8>>,
}

impl Spare {
    fn new() -> Self {
        let (give, take) = bounded(SPARE_BUFFERS);
        Self { give, take }
    }

    /// An empty buffer of at least this capacity.
    pub(crate) fn take(&self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.take.try_recv().unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    /// Gives a buffer back; one that finds no room is wiped and freed.
    pub(crate) fn give(&self, buffer: Vec<u8>) {
        if let Err(full) = self.give.try_send(buffer) {
            full.into_inner().zeroize();
        }
    }
}

impl Drop for Spare {
    /// What passed through is plaintext: it is wiped once, when the run ends, which costs nothing that could be measured.
    fn drop(&mut self) {
        self.take.try_iter().for_each(|mut buffer| buffer.zeroize());
    }
}

/// One thread's compressor and buffers.
pub(crate) struct Tools {
    squeezer: Squeezer,
    unsqueezer: Unsqueezer,
    payload: Vec<u8>,
    check: Vec<u8>,
    raw: Vec<u8>,
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.payload.zeroize();
        self.check.zeroize();
        self.raw.zeroize();
    }
}

impl Tools {
    pub(crate) fn new(level: i32) -> Result<Self, Error> {
        Ok(Self {
            squeezer: Squeezer::new(level)?,
            unsqueezer: Unsqueezer::new()?,
            payload: Vec::new(),
            check: Vec::new(),
            raw: Vec::new(),
        })
    }
}

/// Consecutive chunks of one stream.
pub(crate) struct Batch {
    pub(crate) stream: u32,
    pub(crate) seq: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<usize>,
}

/// A chunk after a worker has seen it.
pub(crate) struct Seen {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) raw_bytes: u32,
    pub(crate) found: Found,
}

/// Whether a chunk was stored before.
pub(crate) enum Found {
    Known(IndexRow),
    /// Its capability, and where its sealed bytes lie in the batch's buffer.
    New(Capability, Range<usize>),
}

/// What the packer is told.
pub(crate) enum Message {
    Chunks { stream: u32, seq: u64, chunks: Vec<Seen>, frames: Vec<u8> },
    End { stream: u32, seq: u64, end: Box<StreamEnd> },
}

/// What a run has produced when all streams have ended.
pub(crate) struct Produced {
    pub(crate) streams: Vec<Stream>,
    pub(crate) reach: Reach,
    pub(crate) packs: Vec<KnownPack>,
    pub(crate) chunks: u64,
    pub(crate) chunks_new: u64,
    pub(crate) bytes_new: u64,
    pub(crate) index: IndexWriter,
}

/// A running pipeline.
pub(crate) struct Pipeline {
    pub(crate) shared: Arc<Shared>,
    work: Option<Sender<Batch>>,
    results: Option<Sender<Message>>,
    workers: Vec<JoinHandle<()>>,
    packer: Option<JoinHandle<Result<Produced, Error>>>,
    uploaders: Vec<JoinHandle<Vec<KnownPack>>>,
}

/// What a pipeline needs to start.
pub(crate) struct Setup {
    pub(crate) repository: RepositoryId,
    pub(crate) structure: StructureKey,
    pub(crate) secret: StreamSecret,
    pub(crate) base: Option<Base>,
    pub(crate) level: i32,
    pub(crate) store: Store,
    pub(crate) parity: ParityChoice,
    pub(crate) monitor: Arc<dyn Monitor>,
    pub(crate) index: IndexWriter,
    pub(crate) index_key: IndexKey,
    pub(crate) job: JobName,
    pub(crate) snapshot: SnapshotId,
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(setup: Setup) -> Result<Self, Error> {
        tracing::debug!(job = %setup.job, snapshot = %setup.snapshot, reuse = setup.base.is_some(), "pipeline starts");
        let shared = Arc::new(Shared {
            repository: setup.repository,
            structure: setup.structure,
            fingerprinter: Fingerprinter::new(&setup.secret),
            base: setup.base,
            suite: Suite::preferred(),
            level: setup.level,
            store: setup.store,
            monitor: setup.monitor,
            parity: setup.parity,
            spare_batches: Spare::new(),
            spare_frames: Spare::new(),
            failed: AtomicBool::new(false),
            error: Mutex::new(None),
        });
        let (work, work_queue) = bounded::<Batch>(BATCHES_WAITING);
        let (results, result_queue) = bounded::<Message>(BATCHES_WAITING);
        let (full, full_queue) = bounded::<ClosedPack>(0);
        let parallel = shared.store.parallel().clamp(1, PACK_BUFFERS);
        let (used, spare) = bounded::<Vec<u8>>(parallel);
        let count = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS_MAX);
        let spawn_worker = |_| {
            let (shared, queue, out) = (Arc::clone(&shared), work_queue.clone(), results.clone());
            spawn("worker", move || work_loop(&shared, &queue, &out))
        };
        let workers = (0..count).map(spawn_worker).collect::<Result<Vec<_>, Error>>()?;
        // The buffers are the permits: a pack is closed into one of them and gives it back when it is stored.
        (0..parallel).for_each(|_| drop(used.try_send(Vec::new())));
        let spawn_uploader = |_| {
            let (shared, queue, used) = (Arc::clone(&shared), full_queue.clone(), used.clone());
            spawn("uploader", move || upload_loop(&shared, &queue, &used))
        };
        let uploaders = (0..parallel).map(spawn_uploader).collect::<Result<Vec<_>, Error>>()?;
        let packs = Packer::new(Arc::clone(&shared), setup.index, setup.index_key, full, spare)?;
        let packer = spawn("packer", move || packs.run(&result_queue))?;
        Ok(Self { shared, work: Some(work), results: Some(results), workers, packer: Some(packer), uploaders })
    }

    /// The ends a stream writer feeds.
    pub(crate) fn inlets(&self) -> Option<(Sender<Batch>, Sender<Message>)> {
        Some((self.work.clone()?, self.results.clone()?))
    }

    /// Waits until everything that was fed is stored.
    pub(crate) fn finish(mut self) -> Result<Produced, Error> {
        self.work = None;
        self.results = None;
        let ended = |what: &str| Error::Bug { why: format!("the {what} thread panicked") };
        for worker in std::mem::take(&mut self.workers) {
            worker.join().map_err(|_| ended("worker"))?;
        }
        let packer = self.packer.take().ok_or_else(|| ended("packer"))?;
        let produced = packer.join().map_err(|_| ended("packer"))?;
        let mut packs = Vec::new();
        for uploader in std::mem::take(&mut self.uploaders) {
            packs.append(&mut uploader.join().map_err(|_| ended("uploader"))?);
        }
        if let Some(error) = self.shared.take_error() {
            return Err(error);
        }
        let mut produced = produced?;
        produced.packs = packs;
        Ok(produced)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.work = None;
        self.results = None;
        let threads = std::mem::take(&mut self.workers).into_iter();
        threads.for_each(|worker| drop(worker.join()));
        drop(self.packer.take().map(JoinHandle::join));
        std::mem::take(&mut self.uploaders).into_iter().for_each(|uploader| drop(uploader.join()));
    }
}

fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    let spawned = std::thread::Builder::new().name(format!("lacre-{name}")).spawn(run);
    spawned.map_err(|error| Error::Bug { why: format!("no thread for the {name}: {error}") })
}

fn work_loop(shared: &Shared, queue: &Receiver<Batch>, out: &Sender<Message>) {
    let mut worker = match Worker::new(shared) {
        Ok(worker) => worker,
        Err(error) => {
            shared.fail(error);
            queue.iter().for_each(drop);
            return;
        }
    };
    for batch in queue {
        if shared.has_failed() {
            continue;
        }
        let (stream, seq) = (batch.stream, batch.seq);
        let seen = worker.see(shared, &batch);
        shared.spare_batches.give(batch.bytes);
        match seen {
            // The packer ends early only after a failure that it has reported.
            Ok((chunks, frames)) => drop(out.send(Message::Chunks { stream, seq, chunks, frames })),
            Err(error) => shared.fail(error),
        }
    }
}

struct Worker {
    tools: Tools,
    index: Option<IndexReader>,
}

impl Worker {
    fn new(shared: &Shared) -> Result<Self, Error> {
        let index = shared.base.as_ref().map(Base::reader).transpose()?;
        Ok(Self { tools: Tools::new(shared.level)?, index })
    }

    /// Looks every chunk up and seals the new ones; all sealed bytes go into one buffer.
    fn see(&mut self, shared: &Shared, batch: &Batch) -> Result<(Vec<Seen>, Vec<u8>), Error> {
        let mut chunks = Vec::with_capacity(batch.lengths.len());
        let mut frames = shared.spare_frames.take(0);
        let fingerprints = shared.fingerprinter.fingerprints(0, &batch.bytes, &batch.lengths);
        let mut rest = batch.bytes.as_slice();
        for (length, fingerprint) in batch.lengths.iter().zip(fingerprints) {
            let (chunk, after) = rest.split_at(*length);
            rest = after;
            let known = match (&shared.base, &mut self.index) {
                (Some(base), Some(index)) => base.find(index, &fingerprint),
                _ => None,
            };
            let found = match known {
                Some(row) => Found::Known(row),
                None => {
                    let sealed = shared.seal(&mut self.tools, &fingerprint, 0, chunk)?;
                    let start = frames.len();
                    frames.extend_from_slice(&sealed.bytes);
                    Found::New(sealed.capability, start..frames.len())
                }
            };
            let raw_bytes =
                u32::try_from(chunk.len()).map_err(|_| Error::Bug { why: "a chunk over 4 GiB".to_owned() })?;
            chunks.push(Seen { fingerprint, raw_bytes, found });
        }
        Ok((chunks, frames))
    }
}

fn upload_loop(shared: &Shared, queue: &Receiver<ClosedPack>, used: &Sender<Vec<u8>>) -> Vec<KnownPack> {
    let mut stored = Vec::new();
    for ClosedPack { known, object } in queue {
        let name = ObjectName::of(&Named::Pack(known.name));
        let put = || -> Result<u64, Error> {
            let _outcome = shared.store.put_new(&name, object.clone())?;
            if shared.parity.is_kept(&shared.store) { parity::put(&shared.store, known.name, &object) } else { Ok(0) }
        };
        let outcome = (!shared.has_failed()).then(put);
        // There is always room for a buffer that came from here; the packer may have ended meanwhile.
        drop(used.try_send(Vec::from(object)));
        let Some(outcome) = outcome else { continue };
        match outcome {
            Ok(parity) => {
                shared.monitor.progress(Progress::Stored(known.bytes + parity));
                stored.push(known);
            }
            Err(error) => shared.fail(error),
        }
    }
    stored
}
