//! The packer: puts chunks back in order, stores each new one once, builds every stream's manifest.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crossbeam_channel::{Receiver, Sender};
use lacre_format::{
    node::Entry,
    pack::{Birth, PACK_BYTES_TARGET},
    reach::Reach,
    root::Stream,
};
use lacre_seal::{
    frame::Fingerprint,
    index_row::{IndexKey, IndexRow},
};

use crate::{
    catalog::{IndexReader, IndexWriter},
    error::Error,
    limits::NODE_PACK_BYTES,
    op::backup::{
        pipeline::{Base, Found, Message, Produced, Seen, Shared, Tools},
        stream::StreamEnd,
    },
    pack::{ClosedPack, OpenPack},
    tree::Tree,
};

#[derive(Default)]
struct Open {
    next: u64,
    waiting: BTreeMap<u64, Message>,
    tree: Tree,
    chunks: u64,
}

pub(crate) struct Packer {
    open: HashMap<u32, Open>,
    done: BTreeMap<u32, Stream>,
    storage: Storage,
}

/// Where frames go: the packs, the run's index and the reach map.
struct Storage {
    shared: Arc<Shared>,
    index: IndexWriter,
    index_key: IndexKey,
    base_index: Option<IndexReader>,
    tools: Tools,
    chunk_pack: OpenPack,
    node_pack: OpenPack,
    full: Sender<ClosedPack>,
    spare: Receiver<Vec<u8>>,
    reach: Reach,
    chunks: u64,
    chunks_new: u64,
    bytes_new: u64,
}

impl Packer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        index: IndexWriter,
        index_key: IndexKey,
        full: Sender<ClosedPack>,
        spare: Receiver<Vec<u8>>,
    ) -> Result<Self, Error> {
        let base_index = shared.base.as_ref().map(Base::reader).transpose()?;
        let storage = Storage {
            index,
            index_key,
            base_index,
            tools: Tools::new(shared.level)?,
            chunk_pack: OpenPack::new(Vec::new())?,
            node_pack: OpenPack::new(Vec::new())?,
            full,
            spare,
            reach: Reach::default(),
            chunks: 0,
            chunks_new: 0,
            bytes_new: 0,
            shared,
        };
        Ok(Self { open: HashMap::new(), done: BTreeMap::new(), storage })
    }

    pub(crate) fn run(mut self, queue: &Receiver<Message>) -> Result<Produced, Error> {
        for message in queue {
            if self.storage.shared.has_failed() {
                continue;
            }
            if let Err(error) = self.take(message) {
                self.storage.shared.fail(error);
            }
        }
        if self.storage.shared.has_failed() {
            return Err(Error::Interrupted);
        }
        if !self.open.is_empty() {
            return Err(Error::Bug { why: format!("{} streams were never ended", self.open.len()) });
        }
        self.storage.finish(self.done.into_values().collect())
    }

    fn take(&mut self, message: Message) -> Result<(), Error> {
        let (stream, seq) = match &message {
            Message::Chunks { stream, seq, .. } | Message::End { stream, seq, .. } => (*stream, *seq),
        };
        let open = self.open.entry(stream).or_default();
        open.waiting.insert(seq, message);
        while let Some(message) = open.waiting.remove(&open.next) {
            open.next += 1;
            match message {
                Message::Chunks { chunks, frames, .. } => {
                    for seen in chunks {
                        open.chunks += 1;
                        let entry = self.storage.chunk(seen, &frames)?;
                        open.tree.push(entry, &mut |level, node| self.storage.node(level, node))?;
                    }
                    self.storage.shared.spare_frames.give(frames);
                }
                Message::End { end, .. } => {
                    let Some(open) = self.open.remove(&stream) else { return Ok(()) };
                    let stored = self.storage.end(open, *end)?;
                    self.done.insert(stream, stored);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Storage {
    fn end(&mut self, open: Open, end: StreamEnd) -> Result<Stream, Error> {
        let chunks = open.chunks;
        let top = open.tree.finish(&mut |level, node| self.node(level, node))?;
        Ok(Stream {
            name: end.name,
            kind: end.kind,
            shape: end.shape,
            bytes: end.bytes,
            rows: end.rows,
            blake3: end.blake3,
            row_digest: end.row_digest.map(Vec::from),
            top,
            dictionaries: Vec::new(),
            cut: end.cut,
            dump_id: end.dump_id,
            chunks,
            rewritten: None,
        })
    }

    fn chunk(&mut self, seen: Seen, frames: &[u8]) -> Result<Entry, Error> {
        let Seen { fingerprint, raw_bytes, found } = seen;
        self.chunks += 1;
        self.place(&fingerprint, 0, raw_bytes, found, frames)
    }

    fn node(&mut self, level: u8, plaintext: &[u8]) -> Result<Entry, Error> {
        let shared = Arc::clone(&self.shared);
        let fingerprint = shared.fingerprinter.fingerprint(level, plaintext);
        let known = match (&shared.base, &mut self.base_index) {
            (Some(base), Some(index)) => base.find(index, &fingerprint),
            _ => None,
        };
        let mut frames = Vec::new();
        let found = match known {
            Some(row) => Found::Known(row),
            None => {
                let sealed = shared.seal(&mut self.tools, &fingerprint, level, plaintext)?;
                frames = sealed.bytes;
                Found::New(sealed.capability, 0..frames.len())
            }
        };
        let raw_bytes =
            u32::try_from(plaintext.len()).map_err(|_| Error::Bug { why: "a node over 4 GiB".to_owned() })?;
        self.place(&fingerprint, level, raw_bytes, found, &frames)
    }

    /// Gives a frame its place: the base's, an earlier one of this run, or a new one.
    fn place(
        &mut self,
        fingerprint: &Fingerprint,
        level: u8,
        raw_bytes: u32,
        found: Found,
        frames: &[u8],
    ) -> Result<Entry, Error> {
        let name = self.index_key.name(fingerprint);
        let row = match found {
            Found::Known(row) => {
                self.index.add(&name, &self.index_key.seal(fingerprint, &name, &row))?;
                row
            }
            Found::New(capability, range) => match self.twin(fingerprint, &name)? {
                Some(row) => row,
                None => {
                    let frame =
                        frames.get(range).ok_or_else(|| Error::Bug { why: "a frame out of its batch".to_owned() })?;
                    let birth = self.add(level, raw_bytes, frame)?;
                    let row = IndexRow { capability, birth, dictionary: 0 };
                    self.index.add_new(&name, &self.index_key.seal(fingerprint, &name, &row))?;
                    row
                }
            },
        };
        self.reach.insert(row.birth);
        Ok(Entry { capability: row.capability, birth: row.birth, raw_bytes, dictionary: 0 })
    }

    /// The frame this very run has already stored for the same plaintext.
    fn twin(&self, fingerprint: &Fingerprint, name: &[u8; 16]) -> Result<Option<IndexRow>, Error> {
        Ok(self.index.twin(name)?.and_then(|row| self.index_key.open(fingerprint, name, &row)))
    }

    fn add(&mut self, level: u8, raw_bytes: u32, frame: &[u8]) -> Result<Birth, Error> {
        if level == 0 {
            self.chunks_new += 1;
            self.bytes_new += u64::from(raw_bytes);
        }
        let (pack, bytes_max) =
            if level == 0 { (&mut self.chunk_pack, PACK_BYTES_TARGET) } else { (&mut self.node_pack, NODE_PACK_BYTES) };
        let birth = pack.add(level, frame);
        if pack.holds(bytes_max) {
            let closed = std::mem::replace(pack, OpenPack::new(Vec::new())?);
            let buffer = self.close(closed)?;
            let next = OpenPack::new(buffer)?;
            if level == 0 {
                self.chunk_pack = next;
            } else {
                self.node_pack = next;
            }
        }
        Ok(birth)
    }

    /// Hands a pack to an uploader, once one of them has given a buffer back, and returns the pack's own buffer.
    fn close(&self, pack: OpenPack) -> Result<Vec<u8>, Error> {
        let object = self.spare.recv().map_err(|_| Error::Bug { why: "the uploaders are gone".to_owned() })?;
        let (closed, buffer) = pack.close(&self.shared.structure, self.shared.repository, object)?;
        self.full.send(closed).map_err(|_| Error::Bug { why: "the uploader is gone".to_owned() })?;
        Ok(buffer)
    }

    fn finish(self, streams: Vec<Stream>) -> Result<Produced, Error> {
        let mut storage = self;
        let last = [OpenPack::new(Vec::new())?, OpenPack::new(Vec::new())?];
        let [chunks, nodes] = last;
        for pack in
            [std::mem::replace(&mut storage.chunk_pack, chunks), std::mem::replace(&mut storage.node_pack, nodes)]
        {
            if !pack.is_empty() {
                drop(storage.close(pack)?);
            }
        }
        Ok(Produced {
            streams,
            reach: storage.reach,
            packs: Vec::new(),
            chunks: storage.chunks,
            chunks_new: storage.chunks_new,
            bytes_new: storage.bytes_new,
            index: storage.index,
        })
    }
}
