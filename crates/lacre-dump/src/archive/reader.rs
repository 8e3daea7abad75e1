//! Taking an archive apart while it streams by.
//!
//! Comes in: the archive, from any [`std::io::Read`]. Goes out: [`Event`]s, pulled. Memory: one input and one output buffer of
//! [`crate::limits::READ_BYTES`] each, whatever the length of a row. Must not know: what the caller does with the pieces.

use std::collections::HashMap;
use std::io::{self, Read};

use super::Kind;
use super::error::Error;
use super::framing::{FramingEncoder, Op};
use super::int::{self, INT_BYTES};
use super::mirror::Mirror;
use super::toc::{Pull, Toc};
use crate::limits::{FRAMING_BYTES_READY, NAMES_IN_ERROR_MAX, READ_BYTES, TOC_BYTES_MAX, WHOLE_BLOCK_BYTES_MAX};

/// What ends every table's COPY data in an archive.
const COPY_END: &[u8; 5] = b"\\.\n\n\n";

/// A piece of an archive, in the archive's order: `Toc`, then per data set `Begin`, `Bytes`..., `End`, with `Framing` in between, then
/// perhaps `Tail`, then `Finished`.
#[derive(Debug)]
pub enum Event<'a> {
    /// The header and table of contents; [`Toc::raw`] has their verbatim bytes.
    Toc(&'a Toc),
    /// A data set begins.
    Begin {
        /// The entry it belongs to.
        dump_id: i32,
        /// What it holds.
        kind: Kind,
    },
    /// Content of the set, without block headers; pieces are cut anywhere and never empty.
    Bytes(&'a [u8]),
    /// The data set ends.
    End(SetSummary),
    /// The next bytes of the framing stream, to be kept in order.
    Framing(&'a [u8]),
    /// The table of contents a second time, verbatim, with the places of data filled in.
    ///
    /// `pg_dump` 16 and later end with it when the shell opened their output file (`> file`): they set the file to be appended to, and
    /// what was to replace the first table goes to the end.
    Tail(&'a [u8]),
    /// The input ended as it should, everything announced was in it, and the parts given out make the same bytes again.
    Finished(Summary),
}

/// What was in one data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetSummary {
    /// The entry it belongs to.
    pub dump_id: i32,
    /// What it holds.
    pub kind: Kind,
    /// Bytes of content.
    pub bytes: u64,
    /// Large objects in the set; 0 for a table.
    pub objects: u64,
    /// Whether the content ends with COPY's end marker and two empty lines, as all table data that is not INSERTs does.
    pub copy_ended: bool,
}

/// What was in a whole archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the archive.
    pub bytes: u64,
    /// BLAKE3 of the archive.
    pub blake3: [u8; 32],
    /// Data sets.
    pub sets: u64,
    /// Bytes of content over all data sets.
    pub content_bytes: u64,
}

/// Reads an archive as a sequence of [`Event`]s.
#[derive(Debug)]
pub struct ArchiveReader<R> {
    input: Input<R>,
    toc: Option<Toc>,
    pending: HashMap<i32, Announced>,
    state: State,
    batch: Batch,
    set: SetSummary,
    last: [u8; 5],
    sets: u64,
    content_bytes: u64,
    encoder: FramingEncoder,
    framing: Vec<u8>,
    tail: Vec<u8>,
    mirror: Mirror,
}

/// An entry that announced data.
#[derive(Debug, Clone, Copy)]
struct Announced {
    kind: Kind,
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Border,
    /// Between two blocks of a table or of an open large object.
    Blocks,
    /// Within a block too long to wait for; so many bytes are to come.
    LongBlock(usize),
    /// Before the first large object of a set.
    Objects,
    /// The set's end was read and is to be told.
    SetEnded,
    /// The appended table of contents was read and is to be told.
    Tail,
    /// The archive's end was read; the last framing is to be told.
    InputEnded,
    /// The archive's end is to be told.
    Proved,
    Done,
    Failed,
}

/// Content and framing gathered from one stretch of the input.
#[derive(Debug, Default)]
struct Batch {
    content: Vec<u8>,
    ops: Vec<Op>,
}

impl Batch {
    fn op(&mut self, op: Op) {
        let joined = self.ops.last_mut().is_some_and(|last| last.join(op));
        if !joined {
            self.ops.push(op);
        }
    }

    fn clear(&mut self) {
        self.content.clear();
        self.ops.clear();
    }
}

/// Why gathering stopped.
enum Stop {
    /// More input is needed, for what the text names.
    Starved(&'static str),
    /// The set has ended.
    SetEnd,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads an archive from `input`, which need not be buffered.
    pub fn new(input: R) -> ArchiveReader<R> {
        ArchiveReader {
            input: Input::new(input),
            toc: None,
            pending: HashMap::new(),
            state: State::Header,
            batch: Batch::default(),
            set: SetSummary { dump_id: 0, kind: Kind::TableData, bytes: 0, objects: 0, copy_ended: false },
            last: [0; 5],
            sets: 0,
            content_bytes: 0,
            encoder: FramingEncoder::new(),
            framing: Vec::new(),
            tail: Vec::new(),
            mirror: Mirror::default(),
        }
    }

    /// The table of contents, once it was read.
    #[must_use]
    pub fn toc(&self) -> Option<&Toc> {
        self.toc.as_ref()
    }

    /// The next event; nothing after [`Event::Finished`].
    ///
    /// # Errors
    /// Any of [`Error`]; the reader gives nothing more after one.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let step = self.step();
        if step.is_err() {
            self.state = State::Failed;
        }
        Ok(match step? {
            Step::Toc => self.toc.as_ref().map(Event::Toc),
            Step::Begin => Some(Event::Begin { dump_id: self.set.dump_id, kind: self.set.kind }),
            Step::Bytes => Some(Event::Bytes(&self.batch.content)),
            Step::End => Some(Event::End(self.set)),
            Step::Framing => Some(Event::Framing(&self.framing)),
            Step::Tail => Some(Event::Tail(&self.tail)),
            Step::Finished(summary) => Some(Event::Finished(summary)),
            Step::Nothing => None,
        })
    }

    fn step(&mut self) -> Result<Step, Error> {
        if self.encoder.ready() >= FRAMING_BYTES_READY {
            return self.take_framing();
        }
        match self.state {
            State::Header => self.read_toc(),
            State::Border => self.border(),
            State::Blocks | State::LongBlock(_) | State::Objects => self.gather_bytes(),
            State::SetEnded => {
                self.state = State::Border;
                self.set.copy_ended = self.set.kind == Kind::TableData && self.last == *COPY_END;
                Ok(Step::End)
            }
            State::Tail => {
                self.state = State::InputEnded;
                Ok(Step::Tail)
            }
            State::InputEnded => {
                self.state = State::Proved;
                if self.encoder.ready() == 0 { self.step() } else { self.take_framing() }
            }
            State::Proved => {
                self.state = State::Done;
                self.mirror.finish(self.input.read_bytes)?;
                Ok(Step::Finished(Summary {
                    bytes: self.input.read_bytes,
                    blake3: *self.input.hasher.finalize().as_bytes(),
                    sets: self.sets,
                    content_bytes: self.content_bytes,
                }))
            }
            State::Done => Ok(Step::Nothing),
            State::Failed => Err(Error::OutOfOrder("the reader failed before")),
        }
    }

    fn take_framing(&mut self) -> Result<Step, Error> {
        self.framing = self.encoder.drain();
        self.mirror.framing(&self.framing)?;
        Ok(Step::Framing)
    }

    fn read_toc(&mut self) -> Result<Step, Error> {
        let toc = Toc::read(&mut self.input)?;
        for entry in toc.entries().filter(|entry| entry.has_data()) {
            let kind = if entry.desc() == b"BLOBS" { Kind::LargeObjects } else { Kind::TableData };
            if self.pending.insert(entry.dump_id(), Announced { kind, seen: Seen::No }).is_some() {
                let at = self.input.at();
                return Err(Error::Garbage { at, what: "two entries with data share a dump id" });
            }
        }
        self.mirror.verbatim(toc.raw().len());
        self.toc = Some(toc);
        self.state = State::Border;
        Ok(Step::Toc)
    }

    /// Between two data sets: the next one begins, or the input ends.
    fn border(&mut self) -> Result<Step, Error> {
        if self.input.available().len() <= INT_BYTES {
            self.input.fill()?;
        }
        let at = self.input.at();
        let available = self.input.available();
        let Some((tag, rest)) = available.split_first() else { return self.input_ended() };
        let Some(kind) = Kind::from_tag(*tag) else {
            let count = available.first_chunk::<INT_BYTES>().and_then(|bytes| int::decode(*bytes));
            let entries = self.toc.as_ref().and_then(|toc| i32::try_from(toc.len()).ok());
            let appended = count == entries && self.pending.values().all(|announced| announced.seen == Seen::Yes);
            return if appended { self.read_tail() } else { Err(Error::UnknownBlockType { tag: *tag, at }) };
        };
        let Some(dump_id) = rest.first_chunk::<INT_BYTES>() else {
            return Err(self.input.truncated("the header of a data set"));
        };
        let dump_id = int::decode(*dump_id).ok_or(Error::Garbage { at, what: "the dump id of a data set" })?;
        let announced = self.pending.get_mut(&dump_id).ok_or(Error::UnannouncedData { dump_id, at })?;
        if announced.seen == Seen::Yes {
            return Err(Error::DuplicateData { dump_id, at });
        }
        if announced.kind != kind {
            return Err(Error::Garbage { at, what: "a data set of another kind than its entry announced" });
        }
        announced.seen = Seen::Yes;
        self.batch.clear();
        self.batch.op(Op::Begin { kind, dump_id });
        self.prove(1 + INT_BYTES)?;
        self.sets += 1;
        self.set = SetSummary { dump_id, kind, bytes: 0, objects: 0, copy_ended: false };
        self.last = [0; 5];
        self.state = if kind == Kind::TableData { State::Blocks } else { State::Objects };
        Ok(Step::Begin)
    }

    fn input_ended(&mut self) -> Result<Step, Error> {
        let missing = |announced: &Announced| announced.seen == Seen::No;
        let count = self.pending.values().filter(|announced| missing(announced)).count();
        if count > 0 {
            let entries = self.toc.iter().flat_map(Toc::entries);
            let lost = entries.filter(|entry| self.pending.get(&entry.dump_id()).is_some_and(missing));
            let (dump_ids, names): (Vec<i32>, Vec<String>) = lost
                .filter(super::Entry::has_data)
                .take(NAMES_IN_ERROR_MAX)
                .map(|entry| (entry.dump_id(), String::from_utf8_lossy(entry.tag()).into_owned()))
                .unzip();
            return Err(Error::MissingData { count, dump_ids, names: names.join(", ") });
        }
        self.end_framing()?;
        self.state = State::InputEnded;
        self.step()
    }

    fn end_framing(&mut self) -> Result<(), Error> {
        self.batch.clear();
        self.batch.op(Op::Finish);
        self.prove(0)
    }

    /// Reads what follows all data: the table of contents once more, to the input's end and not cut off.
    fn read_tail(&mut self) -> Result<Step, Error> {
        self.end_framing()?;
        loop {
            let available = self.input.available();
            self.tail.extend_from_slice(available);
            let bytes = available.len();
            self.input.consume(bytes);
            if self.tail.len() > TOC_BYTES_MAX {
                return Err(Error::TooLarge { at: self.input.at(), what: "the table of contents at its end" });
            }
            if self.input.fill()? == 0 {
                break;
            }
        }
        let toc = self.toc.as_ref().ok_or(Error::OutOfOrder("a tail before the table of contents"))?;
        toc.parse_again(&self.tail).map_err(|error| match error {
            Error::Truncated { .. } => self.input.truncated("the table of contents at its end"),
            other => other,
        })?;
        self.mirror.verbatim(self.tail.len());
        self.state = State::Tail;
        self.step()
    }

    /// Gathers content until there is some, the buffer is full, or the set ends.
    fn gather_bytes(&mut self) -> Result<Step, Error> {
        loop {
            self.batch.clear();
            let (consumed, state, stop) = self.gather()?;
            self.state = state;
            self.prove(consumed)?;
            let len = self.batch.content.len();
            if len > 0 {
                let bytes = u64::try_from(len).unwrap_or(u64::MAX);
                self.set.bytes = self.set.bytes.saturating_add(bytes);
                self.content_bytes = self.content_bytes.saturating_add(bytes);
                remember_last(&mut self.last, &self.batch.content);
                return Ok(Step::Bytes);
            }
            if let Stop::Starved(inside) = stop
                && self.input.fill()? == 0
            {
                return Err(self.input.truncated(inside));
            }
            if self.state == State::SetEnded || self.encoder.ready() >= FRAMING_BYTES_READY {
                return self.step();
            }
        }
    }

    /// Moves whole blocks from the input buffer into the batch; returns how much input that was, and the state after it.
    fn gather(&mut self) -> Result<(usize, State, Stop), Error> {
        let base = self.input.at();
        let all = self.input.available();
        let mut state = self.state;
        let mut rest = all;
        let stop = loop {
            let at = || base.saturating_add(u64::try_from(all.len() - rest.len()).unwrap_or(0));
            if let State::LongBlock(left) = state {
                let (now, later) = rest.split_at(left.min(rest.len()));
                self.batch.content.extend_from_slice(now);
                rest = later;
                state = if left == now.len() { State::Blocks } else { State::LongBlock(left - now.len()) };
                if rest.is_empty() {
                    break Stop::Starved("a block");
                }
            }
            let Some((header, after)) = rest.split_first_chunk::<INT_BYTES>() else {
                break Stop::Starved("a block's length");
            };
            let value = int::decode(*header).ok_or_else(|| Error::Garbage { at: at(), what: "a block's length" })?;
            if state == State::Objects {
                rest = after;
                state = open_object(&mut self.batch, &mut self.set, value);
                if state == State::SetEnded {
                    break Stop::SetEnd;
                }
                continue;
            }
            if value == 0 {
                if self.set.kind == Kind::TableData {
                    rest = after;
                    state = State::SetEnded;
                    self.batch.op(Op::End);
                    break Stop::SetEnd;
                }
                // An object's end is taken together with what follows it, so that both are framed by one op.
                if after.len() < INT_BYTES {
                    break Stop::Starved("the end of a large object");
                }
                rest = after;
                state = State::Objects;
                continue;
            }
            let len = usize::try_from(value)
                .map_err(|_| Error::Garbage { at: at(), what: "a block of a negative length" })?;
            if len > WHOLE_BLOCK_BYTES_MAX {
                rest = after;
                state = State::LongBlock(len);
                self.batch.op(Op::Blocks { len: value.cast_unsigned(), count: 1 });
                continue;
            }
            let Some((block, after)) = after.split_at_checked(len) else { break Stop::Starved("a block") };
            rest = after;
            self.batch.content.extend_from_slice(block);
            self.batch.op(classify(block, value));
        };
        Ok((all.len() - rest.len(), state, stop))
    }

    /// Has the mirror rebuild the batch, then lets go of the input it came from.
    fn prove(&mut self, consumed: usize) -> Result<(), Error> {
        let raw = self.input.available().get(..consumed).unwrap_or_default();
        self.mirror.batch(raw, &self.batch.ops, &self.batch.content)?;
        for op in &self.batch.ops {
            self.encoder.push(*op);
        }
        self.input.consume(consumed);
        Ok(())
    }
}

/// What [`ArchiveReader::next_event`] is to hand out, without borrowing.
enum Step {
    Toc,
    Begin,
    Bytes,
    End,
    Framing,
    Tail,
    Finished(Summary),
    Nothing,
}

/// Begins the large object `oid`, or ends the set if it is 0.
fn open_object(batch: &mut Batch, set: &mut SetSummary, oid: i32) -> State {
    if oid == 0 {
        batch.op(Op::End);
        return State::SetEnded;
    }
    batch.op(Op::Object { oid: oid.cast_unsigned() });
    set.objects += 1;
    State::Blocks
}

/// How a block of `value` bytes is recorded.
#[inline]
fn classify(block: &[u8], value: i32) -> Op {
    if memchr::memchr(b'\n', block) == Some(block.len().wrapping_sub(1)) {
        Op::Lines { count: 1 }
    } else {
        Op::Blocks { len: value.cast_unsigned(), count: 1 }
    }
}

/// Keeps the last bytes of a stream that comes in pieces.
fn remember_last<const N: usize>(last: &mut [u8; N], piece: &[u8]) {
    if let Some(tail) = piece.last_chunk::<N>() {
        *last = *tail;
        return;
    }
    last.rotate_left(piece.len());
    let start = N - piece.len();
    last[start..].copy_from_slice(piece);
}

/// The input with its buffer; every byte read is counted and hashed.
#[derive(Debug)]
struct Input<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    read_bytes: u64,
    hasher: blake3::Hasher,
}

impl<R: Read> Input<R> {
    fn new(input: R) -> Input<R> {
        let buffer = vec![0u8; READ_BYTES];
        Input { input, buffer, start: 0, end: 0, read_bytes: 0, hasher: blake3::Hasher::new() }
    }

    fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Offset of the first available byte.
    fn at(&self) -> u64 {
        self.read_bytes.saturating_sub(u64::try_from(self.end - self.start).unwrap_or(0))
    }

    fn truncated(&self, inside: &'static str) -> Error {
        Error::Truncated { at: self.read_bytes, inside }
    }

    /// Fills the buffer as far as the input gives; returns how many bytes came, 0 only at the input's end (the buffer is never full here).
    fn fill(&mut self) -> Result<usize, Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let before = self.end;
        while self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read.min(self.buffer.len() - self.end),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
        let fresh = &self.buffer[before..self.end];
        self.hasher.update(fresh);
        self.read_bytes = self.read_bytes.saturating_add(u64::try_from(fresh.len()).unwrap_or(u64::MAX));
        Ok(fresh.len())
    }
}

impl<R: Read> Pull for Input<R> {
    fn pull(&mut self, into: &mut Vec<u8>, bytes: usize) -> Result<(), Error> {
        let mut left = bytes;
        while left > 0 {
            if self.start == self.end && self.fill()? == 0 {
                return Err(self.truncated("the table of contents"));
            }
            let available = self.available();
            let now = left.min(available.len());
            into.extend_from_slice(&available[..now]);
            self.consume(now);
            left -= now;
        }
        Ok(())
    }
}
