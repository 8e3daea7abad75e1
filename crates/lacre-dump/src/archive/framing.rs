//! How an archive's content was cut into blocks, run-length coded.
//!
//! Comes in: [`Op`]s in the order of the archive. Goes out: a few bytes per table, from which the very block headers can be written again.
//! Must not know: the content.
//!
//! ```text
//! framing = version op*                       version = 01
//! op      = 00                                the archive ends here
//!         | 01 dump_id                        a table's data set begins
//!         | 02                                the data set ends
//!         | 03 dump_id                        a set of large objects begins
//!         | 04 oid                            the next large object begins (and the one before it ends)
//!         | 05 count                          blocks that end with the line they hold: one newline each, the last byte
//!         | 06 len                            one block of that length
//!         | 07 len count                      blocks of that length
//! ```
//!
//! Numbers are little-endian base-128 varints in their shortest form. PostgreSQL up to 15 writes one block per row, so that a table is
//! `01 id, 05 rows, 06 05, 02`; newer ones fill blocks of a fixed size.

use std::io::{self, Read};

use super::Kind;
use super::error::Error;

/// The first byte of every framing stream.
pub const FRAMING_VERSION: u8 = 1;

const OP_FINISH: u8 = 0;
const OP_TABLE: u8 = 1;
const OP_END: u8 = 2;
const OP_LARGE_OBJECTS: u8 = 3;
const OP_OBJECT: u8 = 4;
const OP_LINES: u8 = 5;
const OP_BLOCK: u8 = 6;
const OP_BLOCKS: u8 = 7;

/// Longest varint of 64 bits, in bytes.
const VARINT_BYTES_MAX: u32 = 10;

/// One step of the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A data set begins.
    Begin {
        /// What it holds.
        kind: Kind,
        /// The entry it belongs to.
        dump_id: i32,
    },
    /// A large object begins within a set; the one before it, if any, ends.
    Object {
        /// The object's OID, never 0.
        oid: u32,
    },
    /// Blocks of at most [`crate::limits::WHOLE_BLOCK_BYTES_MAX`] bytes, each holding one newline, its last byte.
    Lines {
        /// How many blocks.
        count: u64,
    },
    /// Blocks of one length.
    Blocks {
        /// Their length in bytes, at least 1 and at most `i32::MAX`.
        len: u32,
        /// How many blocks.
        count: u64,
    },
    /// The data set ends.
    End,
    /// The archive ends.
    Finish,
}

impl Op {
    /// Joins `next` to this op if both are runs of the same blocks.
    pub(super) fn join(&mut self, next: Op) -> bool {
        let (count, more) = match (self, next) {
            (Op::Lines { count }, Op::Lines { count: more }) => (count, more),
            (Op::Blocks { len, count }, Op::Blocks { len: other, count: more }) if *len == other => (count, more),
            _ => return false,
        };
        match count.checked_add(more) {
            Some(sum) => {
                *count = sum;
                true
            }
            None => false,
        }
    }
}

/// Encodes ops as they come; the encoded bytes can be taken away at any time.
#[derive(Debug)]
pub struct FramingEncoder {
    bytes: Vec<u8>,
    open: Option<Op>,
}

impl Default for FramingEncoder {
    fn default() -> Self {
        FramingEncoder::new()
    }
}

impl FramingEncoder {
    /// Starts a framing stream.
    #[must_use]
    pub fn new() -> FramingEncoder {
        FramingEncoder { bytes: vec![FRAMING_VERSION], open: None }
    }

    /// Adds one op, joining it to the run before it where they are alike.
    pub fn push(&mut self, op: Op) {
        if let Some(open) = &mut self.open {
            if open.join(op) {
                return;
            }
            let done = *open;
            self.encode(done);
        }
        self.open = Some(op);
        if op == Op::Finish {
            self.encode(op);
            self.open = None;
        }
    }

    /// Bytes ready to be taken; the run still open is not among them.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes encoded so far; they follow the ones taken before and end at the border of an op.
    #[must_use]
    pub fn drain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn encode(&mut self, op: Op) {
        match op {
            Op::Finish => self.bytes.push(OP_FINISH),
            Op::End => self.bytes.push(OP_END),
            Op::Begin { kind, dump_id } => {
                let code = if kind == Kind::TableData { OP_TABLE } else { OP_LARGE_OBJECTS };
                self.numbers(code, &[u64::from(dump_id.cast_unsigned())]);
            }
            Op::Object { oid } => self.numbers(OP_OBJECT, &[u64::from(oid)]),
            Op::Lines { count } => self.numbers(OP_LINES, &[count]),
            Op::Blocks { len, count: 1 } => self.numbers(OP_BLOCK, &[u64::from(len)]),
            Op::Blocks { len, count } => self.numbers(OP_BLOCKS, &[u64::from(len), count]),
        }
    }

    fn numbers(&mut self, code: u8, numbers: &[u64]) {
        self.bytes.push(code);
        for number in numbers {
            let mut rest = *number;
            loop {
                let low = rest.to_le_bytes()[0] & 0x7f;
                rest >>= 7;
                if rest == 0 {
                    self.bytes.push(low);
                    break;
                }
                self.bytes.push(low | 0x80);
            }
        }
    }
}

/// Decodes a framing stream op by op.
///
/// Reads single bytes: give it a buffered reader.
#[derive(Debug)]
pub struct FramingDecoder<R> {
    input: R,
    begun: Begun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    Yes,
    Finished,
}

impl<R: Read> FramingDecoder<R> {
    /// Decodes from `input`, which begins with the version byte.
    pub fn new(input: R) -> FramingDecoder<R> {
        FramingDecoder { input, begun: Begun::No }
    }

    /// The next op; nothing after [`Op::Finish`] if the stream ends there.
    ///
    /// # Errors
    /// [`Error::BadFraming`] for malformed bytes, a stream that ends before [`Op::Finish`], or bytes after it; [`Error::Read`].
    pub fn next_op(&mut self) -> Result<Option<Op>, Error> {
        if self.begun == Begun::No {
            match self.byte()? {
                Some(FRAMING_VERSION) => self.begun = Begun::Yes,
                Some(_) => return Err(Error::BadFraming("unknown version")),
                None => return Err(Error::BadFraming("empty")),
            }
        }
        let op = read_op(&mut || self.byte())?;
        match (self.begun, op) {
            (Begun::Finished, None) => Ok(None),
            (Begun::Finished, Some(_)) => Err(Error::BadFraming("bytes after its end")),
            (_, None) => Err(Error::BadFraming("it ends early")),
            (_, Some(op)) => {
                if op == Op::Finish {
                    self.begun = Begun::Finished;
                }
                Ok(Some(op))
            }
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Error> {
        let mut byte = [0u8];
        loop {
            match self.input.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
    }
}

/// Reads one op from a source of bytes, or nothing at its end.
pub(super) fn read_op(byte: &mut impl FnMut() -> Result<Option<u8>, Error>) -> Result<Option<Op>, Error> {
    let Some(code) = byte()? else { return Ok(None) };
    let op = match code {
        OP_FINISH => Op::Finish,
        OP_END => Op::End,
        OP_TABLE | OP_LARGE_OBJECTS => {
            let kind = if code == OP_TABLE { Kind::TableData } else { Kind::LargeObjects };
            let dump_id = i32::try_from(number(byte)?).map_err(|_| Error::BadFraming("a dump id out of range"))?;
            Op::Begin { kind, dump_id }
        }
        OP_OBJECT => match u32::try_from(number(byte)?) {
            Ok(oid @ 1..) => Op::Object { oid },
            _ => return Err(Error::BadFraming("an OID out of range")),
        },
        OP_LINES => Op::Lines { count: count(byte)? },
        OP_BLOCK => Op::Blocks { len: block_len(byte)?, count: 1 },
        OP_BLOCKS => Op::Blocks { len: block_len(byte)?, count: count(byte)? },
        _ => return Err(Error::BadFraming("an unknown op")),
    };
    Ok(Some(op))
}

fn count(byte: &mut impl FnMut() -> Result<Option<u8>, Error>) -> Result<u64, Error> {
    match number(byte)? {
        0 => Err(Error::BadFraming("a run of nothing")),
        count => Ok(count),
    }
}

fn block_len(byte: &mut impl FnMut() -> Result<Option<u8>, Error>) -> Result<u32, Error> {
    match i32::try_from(number(byte)?) {
        Ok(len @ 1..) => Ok(len.cast_unsigned()),
        _ => Err(Error::BadFraming("a block length out of range")),
    }
}

fn number(byte: &mut impl FnMut() -> Result<Option<u8>, Error>) -> Result<u64, Error> {
    let mut value = 0u64;
    for place in 0..VARINT_BYTES_MAX {
        let Some(next) = byte()? else { return Err(Error::BadFraming("it ends within a number")) };
        let low = u64::from(next & 0x7f);
        let shift = place * 7;
        if low > (u64::MAX >> shift) {
            return Err(Error::BadFraming("a number beyond 64 bits"));
        }
        value |= low << shift;
        if next & 0x80 == 0 {
            if next == 0 && place > 0 {
                return Err(Error::BadFraming("a number not in its shortest form"));
            }
            return Ok(value);
        }
    }
    Err(Error::BadFraming("a number beyond 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_rows_is_ten_bytes() {
        let mut encoder = FramingEncoder::new();
        encoder.push(Op::Begin { kind: Kind::TableData, dump_id: 200 });
        for _ in 0..50_000 {
            encoder.push(Op::Lines { count: 1 });
        }
        encoder.push(Op::Blocks { len: 5, count: 1 });
        encoder.push(Op::End);
        encoder.push(Op::Finish);
        let bytes = encoder.drain();
        assert_eq!(bytes, [1, 1, 0xc8, 1, 5, 0xd0, 0x86, 3, 6, 5, 2, 0]);
    }

    #[test]
    fn numbers_have_one_form() {
        let decode = |bytes: &[u8]| {
            let mut decoder = FramingDecoder::new(bytes);
            decoder.next_op()
        };
        assert!(decode(&[1, 5, 0x80, 0]).is_err());
        assert!(decode(&[1, 5, 0]).is_err());
        assert!(decode(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).is_err());
        assert!(matches!(
            decode(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Ok(Some(Op::Lines { count: u64::MAX }))
        ));
        assert!(decode(&[1, 6, 0x80, 0x80, 0x80, 0x80, 8]).is_err());
        assert!(decode(&[2, 0]).is_err());
        assert!(decode(&[]).is_err());
    }
}
