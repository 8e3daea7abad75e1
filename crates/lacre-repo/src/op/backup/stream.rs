//! A stream being written: bytes in, batches of chunks out.

use std::{
    io::{self, Write},
    sync::Arc,
};

use crossbeam_channel::Sender;
use lacre_format::{
    ids::Digest,
    root::{Shape, StreamKind},
};
use zeroize::Zeroizing;

use crate::{
    cut::{CutKeys, CutParameters, Cutter, EndOfStream},
    error::Error,
    limits::BATCH_BYTES,
    monitor::Progress,
    op::backup::pipeline::{Batch, Message, Shared},
};

/// What a stream is.
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// Its name, unique in the snapshot.
    pub name: String,
    /// What it holds.
    pub kind: StreamKind,
    /// How it is cut.
    pub shape: Shape,
    /// The dump id of the archive entry it comes from.
    pub dump_id: Option<u32>,
    /// About how many bytes it will have, if the source can tell.
    pub expected_bytes: Option<u64>,
}

/// What the driver knows of a stream when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows {
    /// Rows, when the driver counts them by its own rules (the end marker of COPY data is no row).
    pub count: Option<u64>,
    /// Order-independent digest of the rows.
    pub digest: Option<[u64; 4]>,
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamSummary {
    /// The stream's name.
    pub name: String,
    /// What it holds.
    pub kind: StreamKind,
    /// How it was cut.
    pub shape: Shape,
    /// Bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

/// The record of a stream that the packer completes with its manifest.
pub(crate) struct StreamEnd {
    pub(crate) name: String,
    pub(crate) kind: StreamKind,
    pub(crate) shape: Shape,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) blake3: Digest,
    pub(crate) row_digest: Option<[u64; 4]>,
    pub(crate) cut: (u8, u32),
    pub(crate) dump_id: Option<u32>,
}

/// Fewer new rows than this are not worth telling before the stream ends.
const ROWS_TOLD_MIN: u64 = 1024;

/// Takes the bytes of one stream.
pub struct StreamWriter {
    spec: StreamSpec,
    number: u32,
    seq: u64,
    cutter: Cutter,
    parameters: CutParameters,
    buffer: Zeroizing<Vec<u8>>,
    lengths: Vec<usize>,
    hasher: blake3::Hasher,
    bytes: u64,
    lines: u64,
    /// Rows the monitor has heard of.
    told: u64,
    try_at: usize,
    work: Sender<Batch>,
    results: Sender<Message>,
    shared: Arc<Shared>,
    finished: Arc<std::sync::Mutex<Vec<StreamSummary>>>,
}

/// How a stream writer is connected.
pub(crate) struct Connections {
    pub(crate) number: u32,
    pub(crate) work: Sender<Batch>,
    pub(crate) results: Sender<Message>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) finished: Arc<std::sync::Mutex<Vec<StreamSummary>>>,
}

impl StreamWriter {
    pub(crate) fn new(
        spec: StreamSpec,
        parameters: CutParameters,
        keys: Arc<CutKeys>,
        connections: Connections,
    ) -> Self {
        let Connections { number, work, results, shared, finished } = connections;
        Self {
            spec,
            number,
            seq: 0,
            cutter: Cutter::new(parameters, keys),
            parameters,
            buffer: Zeroizing::new(Vec::new()),
            lengths: Vec::new(),
            hasher: blake3::Hasher::new(),
            bytes: 0,
            lines: 0,
            told: 0,
            try_at: BATCH_BYTES,
            work,
            results,
            shared,
            finished,
        }
    }

    fn cut(&mut self, end: EndOfStream) -> Result<(), Error> {
        let used = self.cutter.cut_all(&self.buffer, end, &mut self.lengths);
        if used == 0 {
            self.try_at = self.buffer.len() + BATCH_BYTES;
            return Ok(());
        }
        let mut rest = self.shared.spare_batches.take(BATCH_BYTES + self.buffer.len() - used);
        rest.extend_from_slice(&self.buffer[used..]);
        let mut bytes = std::mem::replace(&mut *self.buffer, rest);
        bytes.truncate(used);
        self.try_at = BATCH_BYTES.max(self.buffer.len() + BATCH_BYTES / 2);
        let batch = Batch { stream: self.number, seq: self.seq, bytes, lengths: std::mem::take(&mut self.lengths) };
        self.seq += 1;
        self.work.send(batch).map_err(|_| Error::Bug { why: "the workers are gone".to_owned() })
    }

    fn check(&self) -> Result<(), Error> {
        // The first error stays with the run, which reports it; this one only stops the source.
        if self.shared.has_failed() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Takes the next bytes; like [`Write::write_all`], with the vault's own error.
    ///
    /// # Errors
    /// The first error of the pipeline.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if self.spec.shape != Shape::Bytes {
            self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        self.shared.monitor.progress(Progress::Bytes(bytes.len() as u64));
        // A large table is watched for an hour: its rows are told as they pass, and set right at its end.
        if self.lines - self.told >= ROWS_TOLD_MIN {
            self.shared.monitor.progress(Progress::Rows(self.lines - self.told));
            self.told = self.lines;
        }
        while !bytes.is_empty() {
            let room = self.try_at.saturating_sub(self.buffer.len()).max(1);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= self.try_at {
                self.check()?;
                self.cut(EndOfStream::No)?;
            }
        }
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The first error of the pipeline.
    pub fn finish(mut self, rows: Rows) -> Result<StreamSummary, Error> {
        self.cut(EndOfStream::Yes)?;
        self.check()?;
        let rows_count = rows.count.unwrap_or(self.lines);
        let end = StreamEnd {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            shape: self.spec.shape,
            bytes: self.bytes,
            rows: rows_count,
            blake3: Digest::new(*self.hasher.finalize().as_bytes()),
            row_digest: rows.digest,
            cut: (self.parameters.version(), self.parameters.target_bytes()),
            dump_id: self.spec.dump_id,
        };
        let message = Message::End { stream: self.number, seq: self.seq, end: Box::new(end) };
        self.results.send(message).map_err(|_| Error::Bug { why: "the packer is gone".to_owned() })?;
        self.shared.monitor.progress(Progress::Rows(rows_count.saturating_sub(self.told)));
        let summary = StreamSummary {
            name: self.spec.name,
            kind: self.spec.kind,
            shape: self.spec.shape,
            bytes: self.bytes,
            rows: rows_count,
        };
        if let Ok(mut finished) = self.finished.lock() {
            finished.push(summary.clone());
        }
        Ok(summary)
    }
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(|error| {
            let text = error.to_string();
            self.shared.fail(error);
            io::Error::other(text)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
