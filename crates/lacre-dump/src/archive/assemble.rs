//! The one place that writes the framing of an archive's data around its content.
//!
//! Comes in: [`Op`]s and content, pushed. Goes out: the archive's bytes after the table of contents.
//! Both the writer and the proof during reading use it, so that what was proved is what is written.

use std::io::Write;

use super::Kind;
use super::error::Error;
use super::framing::Op;
use super::int;
use crate::limits::WHOLE_BLOCK_BYTES_MAX;

/// Turns ops and content into block headers and content.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    set: Option<(Kind, i32)>,
    object: Object,
    run: Run,
    /// Bytes of the current fixed-length block still to come.
    block_left: usize,
    /// A line of a [`Op::Lines`] block whose end has not come yet.
    carry: Vec<u8>,
    finished: Finished,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Object {
    #[default]
    Closed,
    Open,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Finished {
    #[default]
    No,
    Yes,
}

#[derive(Debug, Default, Clone, Copy)]
enum Run {
    #[default]
    Done,
    Lines(u64),
    Blocks {
        len: u32,
        left: u64,
    },
}

impl Assembler {
    /// The set being written.
    pub(super) fn set(&self) -> Option<(Kind, i32)> {
        self.set
    }

    /// Whether the last op still needs content.
    pub(super) fn wants_content(&self) -> bool {
        self.block_left > 0 || matches!(self.run, Run::Lines(_))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished == Finished::Yes
    }

    fn bad_content(&self, what: &'static str) -> Error {
        Error::BadContent { dump_id: self.set.map_or(0, |(_, dump_id)| dump_id), what }
    }

    /// Takes the next op; whatever it needs no content for is written at once.
    pub(super) fn op(&mut self, op: Op, out: &mut impl Write) -> Result<(), Error> {
        if self.wants_content() {
            return Err(self.bad_content("it ends before its framing does"));
        }
        if self.is_finished() {
            return Err(Error::BadFraming("an op after its end"));
        }
        match (op, self.set) {
            (Op::Begin { kind, dump_id }, None) => {
                self.set = Some((kind, dump_id));
                put(out, &[kind.tag()])?;
                put(out, &int::encode(dump_id))
            }
            (Op::Object { oid }, Some((Kind::LargeObjects, _))) => {
                self.close_object(out)?;
                self.object = Object::Open;
                put(out, &int::encode(oid.cast_signed()))
            }
            (Op::Lines { .. } | Op::Blocks { .. }, Some((Kind::LargeObjects, _))) if self.object == Object::Closed => {
                Err(Error::BadFraming("content outside of a large object"))
            }
            (Op::Lines { count }, Some(_)) => {
                self.run = if count == 0 { Run::Done } else { Run::Lines(count) };
                Ok(())
            }
            (Op::Blocks { len, count }, Some(_)) => {
                self.run = Run::Blocks { len, left: count };
                self.next_block(out)
            }
            (Op::End, Some(_)) => {
                self.close_object(out)?;
                self.set = None;
                put(out, &int::encode(0))
            }
            (Op::Finish, None) => {
                self.finished = Finished::Yes;
                Ok(())
            }
            _ => Err(Error::BadFraming("an op out of place")),
        }
    }

    fn close_object(&mut self, out: &mut impl Write) -> Result<(), Error> {
        if self.object == Object::Open {
            self.object = Object::Closed;
            put(out, &int::encode(0))?;
        }
        Ok(())
    }

    /// Writes the header of the next block of a run of fixed length, if there is one.
    fn next_block(&mut self, out: &mut impl Write) -> Result<(), Error> {
        let Run::Blocks { len, left } = &mut self.run else { return Ok(()) };
        let Some(rest) = left.checked_sub(1) else {
            self.run = Run::Done;
            return Ok(());
        };
        *left = rest;
        let header = i32::try_from(*len).ok().filter(|len| *len > 0).ok_or(Error::BadFraming("a block length"))?;
        self.block_left = usize::try_from(*len).map_err(|_| Error::BadFraming("a block length"))?;
        put(out, &int::encode(header))
    }

    /// Writes as much of `content` as the last op has room for, and moves `content` past it.
    pub(super) fn content(&mut self, content: &mut &[u8], out: &mut impl Write) -> Result<(), Error> {
        match self.run {
            Run::Lines(count) => self.lines(count, content, out),
            _ => self.blocks(content, out),
        }
    }

    fn blocks(&mut self, content: &mut &[u8], out: &mut impl Write) -> Result<(), Error> {
        while self.block_left > 0 && !content.is_empty() {
            let (now, later) = content.split_at(self.block_left.min(content.len()));
            put(out, now)?;
            *content = later;
            self.block_left -= now.len();
            if self.block_left == 0 {
                self.next_block(out)?;
            }
        }
        Ok(())
    }

    fn lines(&mut self, mut count: u64, content: &mut &[u8], out: &mut impl Write) -> Result<(), Error> {
        while count > 0 && !content.is_empty() {
            let room = WHOLE_BLOCK_BYTES_MAX - self.carry.len();
            let window = &content[..room.min(content.len())];
            let Some(end) = memchr::memchr(b'\n', window) else {
                if window.len() == room {
                    return Err(self.bad_content("a line longer than its framing allows"));
                }
                self.carry.extend_from_slice(window);
                *content = &[];
                break;
            };
            let (line, later) = content.split_at(end + 1);
            let len = i32::try_from(self.carry.len() + line.len()).map_err(|_| self.bad_content("a long line"))?;
            put(out, &int::encode(len))?;
            if !self.carry.is_empty() {
                put(out, &self.carry)?;
                self.carry.clear();
            }
            put(out, line)?;
            *content = later;
            count -= 1;
        }
        self.run = if count == 0 { Run::Done } else { Run::Lines(count) };
        Ok(())
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    out.write_all(bytes).map_err(Error::Write)
}
