//! Large objects: their definitions came with the rest of the schema, here come their bytes.
//!
//! In: the sets' streams and the framing, which says where each object ends. Out: objects filled. Many small ones share a transaction.

use std::io::{self, Write};

use lacre_dump::archive::{
    Toc,
    framing::{FramingDecoder, Op},
};

use super::{StreamRef, Work, read_small, stream_of};
use crate::driver::postgres::{
    dump::StreamKind,
    error::{Error, Result},
    limits,
    report::Event,
    session::Session,
};

/// What is done with the bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// They are written into it.
    Fill,
    /// They are compared with what it holds.
    Compare,
}

/// How many large objects were compared, and how many of them are not as they were saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) objects: u64,
    pub(super) different: u64,
}

/// Fills all large objects.
pub(super) fn load(work: &Work<'_>, toc: &Toc) -> Result<()> {
    each(work, toc, Duty::Fill).map(drop)
}

/// Compares all large objects with what was saved.
pub(super) fn compare(work: &Work<'_>, toc: &Toc) -> Result<Compared> {
    each(work, toc, Duty::Compare)
}

fn each(work: &Work<'_>, toc: &Toc, duty: Duty) -> Result<Compared> {
    let sets: Vec<StreamRef> =
        work.source.streams().iter().filter(|stream| stream.kind == StreamKind::LargeObjects).cloned().collect();
    let mut all = Compared::default();
    if sets.is_empty() {
        return Ok(all);
    }
    let framing = stream_of(work.source, &StreamKind::Framing)
        .ok_or_else(|| Error::NotRestorable("its framing is missing".to_owned()))?;
    let framing = read_small(work.source, &framing, limits::TOC_BYTES_MAX)?;
    let session = work.session()?;
    for set in sets {
        let known = set.dump_id.is_some_and(|id| toc.entry(id).is_some());
        let id = set
            .dump_id
            .filter(|_| known)
            .ok_or_else(|| Error::NotRestorable(format!("{} is not in its table of contents", set.name)))?;
        let ops = ops_of(&framing, id)?.into_iter();
        let mut writer = Objects {
            work,
            session: &session,
            duty,
            ops,
            run: Run::Bytes(0),
            current: None,
            buffer: Vec::new(),
            in_transaction: 0,
            is_different: false,
            compared: Compared::default(),
            failure: None,
        };
        let pushed = work.source.read(&set, &mut writer);
        if let Err(source) = pushed {
            return Err(writer.failure.take().unwrap_or_else(|| Error::Source { stream: set.name.clone(), source }));
        }
        let compared = writer.finish()?;
        all.objects += compared.objects;
        all.different += compared.different;
    }
    Ok(all)
}

/// The part of the framing that speaks of one set: objects and how their blocks were cut.
fn ops_of(framing: &[u8], dump_id: i32) -> Result<Vec<Op>> {
    let broken =
        |error: lacre_dump::archive::Error| Error::NotRestorable(format!("its framing cannot be read: {error}"));
    let mut decoder = FramingDecoder::new(framing);
    let mut ops = Vec::new();
    let mut inside = false;
    while let Some(op) = decoder.next_op().map_err(broken)? {
        match op {
            Op::Begin { dump_id: id, .. } => inside = id == dump_id,
            Op::End => inside = false,
            Op::Object { .. } | Op::Blocks { .. } | Op::Lines { .. } if inside => ops.push(op),
            _ => {}
        }
    }
    Ok(ops)
}

/// How much of the content belongs to the object at hand before the framing must be asked again.
enum Run {
    /// So many bytes.
    Bytes(u64),
    /// Everything up to and with so many line ends.
    Lines(u64),
}

impl Run {
    /// Bytes of `bytes` that belong to this run; afterwards the run is shorter by them.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Bytes(left) => {
                let now = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= u64::try_from(now).unwrap_or(0);
                now
            }
            Self::Lines(left) => {
                let mut now = 0;
                while *left > 0 {
                    match memchr::memchr(b'\n', bytes.get(now..).unwrap_or_default()) {
                        Some(at) => {
                            now += at + 1;
                            *left -= 1;
                        }
                        None => return bytes.len(),
                    }
                }
                now
            }
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Lines(0))
    }
}

/// Takes a set's bytes and fills its objects one after the other.
struct Objects<'a> {
    work: &'a Work<'a>,
    session: &'a Session,
    duty: Duty,
    ops: std::vec::IntoIter<Op>,
    run: Run,
    /// The object being filled, and where its next bytes go.
    current: Option<(u32, i64)>,
    buffer: Vec<u8>,
    in_transaction: u64,
    /// The object at hand was found to hold something else.
    is_different: bool,
    compared: Compared,
    failure: Option<Error>,
}

impl Objects<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.work.check_cancelled("loading large objects")?;
        while !bytes.is_empty() {
            if self.run.is_over() {
                self.next_op()?;
                continue;
            }
            let room = limits::LARGE_OBJECT_CHUNK_BYTES - self.buffer.len();
            let now = self.run.take(bytes.get(..room).unwrap_or(bytes));
            let (taken, rest) = bytes.split_at(now);
            self.buffer.extend_from_slice(taken);
            bytes = rest;
            if self.buffer.len() == limits::LARGE_OBJECT_CHUNK_BYTES {
                self.write_out()?;
            }
        }
        Ok(())
    }

    fn next_op(&mut self) -> Result<()> {
        match self.ops.next() {
            Some(Op::Object { oid }) => {
                self.end_object()?;
                self.current = Some((oid, 0));
            }
            Some(Op::Blocks { len, count }) => self.run = Run::Bytes(u64::from(len).saturating_mul(count)),
            Some(Op::Lines { count }) => self.run = Run::Lines(count),
            _ => return Err(Error::NotRestorable("its large objects are longer than its framing".to_owned())),
        }
        Ok(())
    }

    /// Writes what was gathered of the current object.
    fn write_out(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Some((oid, offset)) = self.current else {
            return Err(Error::NotRestorable("its large objects begin without a number".to_owned()));
        };
        match self.duty {
            Duty::Fill => {
                if self.in_transaction == 0 {
                    self.session.run("loading large objects", "BEGIN")?;
                }
                self.session.put_large_object(oid, offset, &self.buffer)?;
            }
            Duty::Compare => {
                let length = i32::try_from(self.buffer.len()).unwrap_or(i32::MAX);
                self.is_different |=
                    self.session.large_object(oid, offset, length)?.as_deref() != Some(self.buffer.as_slice());
            }
        }
        self.current = Some((oid, offset.saturating_add(i64::try_from(self.buffer.len()).unwrap_or(0))));
        self.work.watch.event(Event::Bytes(u64::try_from(self.buffer.len()).unwrap_or(0)));
        self.buffer.clear();
        self.in_transaction += u64::from(self.duty == Duty::Fill);
        if self.in_transaction == limits::LARGE_OBJECTS_PER_TRANSACTION {
            self.commit()?;
        }
        Ok(())
    }

    /// Writes the rest of an object; one that is compared must end where the saved one ended.
    fn end_object(&mut self) -> Result<()> {
        self.write_out()?;
        let Some((oid, length)) = self.current.take() else { return Ok(()) };
        if self.duty == Duty::Compare {
            self.is_different |= self.session.large_object(oid, length, 1)?.is_none_or(|more| !more.is_empty());
            self.compared.objects += 1;
            self.compared.different += u64::from(std::mem::take(&mut self.is_different));
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.in_transaction = 0;
        self.session.run("loading large objects", "COMMIT")
    }

    /// Ends the set; every object must have got all its bytes.
    fn finish(mut self) -> Result<Compared> {
        self.write_out()?;
        // Objects without bytes come last too; what follows the last byte is only their numbers.
        let mut is_short = !self.run.is_over();
        while let Some(op) = self.ops.next() {
            let Op::Object { oid } = op else {
                is_short = true;
                break;
            };
            self.end_object()?;
            self.current = Some((oid, 0));
        }
        self.end_object()?;
        if self.in_transaction > 0 {
            self.commit()?;
        }
        if is_short {
            Err(Error::NotRestorable("its large objects are shorter than its framing".to_owned()))
        } else {
            Ok(self.compared)
        }
    }
}

impl Write for Objects<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.take(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let text = error.to_string();
                self.failure = Some(error);
                Err(io::Error::other(text))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
