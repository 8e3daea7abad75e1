//! A compressed archive as the uncompressed one it might have been.
//!
//! Comes in: an archive whose data sets are compressed (`pg_dump -Fc` as it is, or with `-Z zstd`). Goes out: the same archive as `-Z0`
//! would have written it, but for the lengths of blocks and the places of data, which are marked as not recorded. So unchanged rows are
//! unchanged bytes again. Memory: one block and one buffer. Must not know: where the bytes come from or go to.

use std::io::{self, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::{
    Kind,
    error::{Error, Unsupported},
    int::{self, INT_BYTES},
    toc::{Pull, Toc},
};
use crate::limits::{INFLATED_BLOCK_BYTES, READ_BYTES};

/// Reads a compressed archive as an uncompressed one.
///
/// An archive that is cut off ends with [`io::ErrorKind::UnexpectedEof`], one that is malformed with [`io::ErrorKind::InvalidData`].
pub struct Inflated<R> {
    input: Input<R>,
    out: Vec<u8>,
    taken: usize,
    state: State,
    method: i32,
    sets_left: usize,
}

enum State {
    Toc,
    Border,
    /// Within a table, or within one large object of a set.
    Blocks {
        kind: Kind,
        inflater: Inflater,
        plain: Vec<u8>,
    },
    Objects,
    Ended,
}

impl<R: Read> Inflated<R> {
    /// Reads an archive from `input`, which need not be buffered.
    pub fn new(input: R) -> Inflated<R> {
        let input = Input { inner: BufReader::with_capacity(READ_BYTES, input) };
        Inflated { input, out: Vec::new(), taken: 0, state: State::Toc, method: 0, sets_left: 0 }
    }

    /// Makes the next bytes; none are made at the end.
    fn step(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Toc => self.toc(),
            State::Border => self.border(),
            State::Objects => self.object(),
            State::Blocks { kind, inflater, plain } => self.block(kind, inflater, plain),
            State::Ended => Ok(()),
        }
    }

    fn toc(&mut self) -> io::Result<()> {
        let toc = Toc::read_compressed(&mut self.input).map_err(told)?;
        self.method = toc.header().compression;
        // From version 1.15 the setting is an algorithm (1 gzip, 2 lz4, 3 zstd), before it was a level.
        let version = toc.header().version;
        if version.minor < 15 {
            self.method = i32::from(self.method != 0);
        }
        if !matches!(self.method, 0 | 1 | 3) {
            return Err(told(Unsupported::Compressed(self.method).into()));
        }
        self.sets_left = toc.entries().filter(|entry| entry.has_data()).count();
        self.out = toc.uncompressed();
        self.state = State::Border;
        Ok(())
    }

    fn border(&mut self) -> io::Result<()> {
        let Some(tag) = self.input.tag()? else {
            self.state = State::Ended;
            return Ok(());
        };
        let Some(kind) = Kind::from_tag(tag) else {
            // A table of contents once more, whose places of data are of no use here.
            return if self.sets_left == 0 {
                io::copy(&mut self.input.inner, &mut io::sink()).map(drop)
            } else {
                Err(garbage("a data set of an unknown kind"))
            };
        };
        self.sets_left = self.sets_left.saturating_sub(1);
        self.out.push(tag);
        let dump_id = self.input.int()?;
        self.put(dump_id);
        self.state = match kind {
            Kind::TableData => self.blocks(kind)?,
            Kind::LargeObjects => State::Objects,
        };
        Ok(())
    }

    fn blocks(&self, kind: Kind) -> io::Result<State> {
        Ok(State::Blocks { kind, inflater: Inflater::new(self.method)?, plain: Vec::new() })
    }

    fn object(&mut self) -> io::Result<()> {
        let oid = self.input.int()?;
        self.put(oid);
        self.state = if oid == 0 { State::Border } else { self.blocks(Kind::LargeObjects)? };
        Ok(())
    }

    /// Takes one compressed block; gives whole blocks of what comes out.
    fn block(&mut self, kind: Kind, mut inflater: Inflater, mut plain: Vec<u8>) -> io::Result<()> {
        let length = usize::try_from(self.input.int()?).map_err(|_| garbage("a block of negative length"))?;
        if length == 0 {
            if !inflater.has_ended() {
                return Err(garbage("compressed data that do not end"));
            }
            self.put_blocks(&mut plain, 1);
            self.put(0);
            self.state = if kind == Kind::TableData { State::Border } else { State::Objects };
            return Ok(());
        }
        let mut left = length;
        let mut piece = Vec::new();
        while left > 0 {
            let now = left.min(READ_BYTES);
            piece.resize(now, 0);
            self.input.exact(&mut piece)?;
            inflater.push(&piece, &mut plain)?;
            self.put_blocks(&mut plain, INFLATED_BLOCK_BYTES);
            left -= now;
        }
        self.state = State::Blocks { kind, inflater, plain };
        Ok(())
    }

    fn put(&mut self, value: i32) {
        self.out.extend_from_slice(&int::encode(value));
    }

    /// Moves blocks out as long as there are at least so many bytes.
    fn put_blocks(&mut self, plain: &mut Vec<u8>, least: usize) {
        let mut taken = 0;
        while plain.len() - taken >= least {
            let now = (plain.len() - taken).min(INFLATED_BLOCK_BYTES);
            self.put(i32::try_from(now).unwrap_or(i32::MAX));
            self.out.extend_from_slice(&plain[taken..taken + now]);
            taken += now;
        }
        plain.drain(..taken);
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.out.len() {
            if matches!(self.state, State::Ended) {
                return Ok(0);
            }
            self.out.clear();
            self.taken = 0;
            self.step()?;
        }
        let left = self.out.get(self.taken..).unwrap_or_default();
        let now = left.len().min(buffer.len());
        buffer[..now].copy_from_slice(&left[..now]);
        self.taken += now;
        Ok(now)
    }
}

fn garbage(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn told(error: Error) -> io::Error {
    let kind = if matches!(error, Error::Truncated { .. }) {
        io::ErrorKind::UnexpectedEof
    } else {
        io::ErrorKind::InvalidData
    };
    io::Error::new(kind, error)
}

struct Input<R> {
    inner: BufReader<R>,
}

impl<R: Read> Input<R> {
    fn exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the archive is cut off within its data"),
            _ => error,
        })
    }

    fn int(&mut self) -> io::Result<i32> {
        let mut bytes = [0; INT_BYTES];
        self.exact(&mut bytes)?;
        int::decode(bytes).ok_or_else(|| garbage("an integer that no pg_dump writes"))
    }

    /// The byte that opens a data set; nothing at the end of the input.
    fn tag(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.inner.read(&mut byte)? == 1).then_some(byte[0]))
    }
}

impl<R: Read> Pull for Input<R> {
    fn pull(&mut self, into: &mut Vec<u8>, bytes: usize) -> Result<(), Error> {
        let start = into.len();
        let got = self
            .inner
            .by_ref()
            .take(u64::try_from(bytes).unwrap_or(u64::MAX))
            .read_to_end(into)
            .map_err(Error::Read)?;
        if got == bytes {
            return Ok(());
        }
        Err(Error::Truncated { at: u64::try_from(start + got).unwrap_or(u64::MAX), inside: "the table of contents" })
    }
}

/// Takes compressed pieces, gives what they hold.
enum Inflater {
    Stored,
    Gzip { state: Box<Decompress>, has_ended: bool },
    Zstd { state: Box<Decoder<'static>>, has_ended: bool },
}

impl Inflater {
    fn new(method: i32) -> io::Result<Inflater> {
        Ok(match method {
            1 => Inflater::Gzip { state: Box::new(Decompress::new(true)), has_ended: false },
            3 => Inflater::Zstd { state: Box::new(Decoder::new()?), has_ended: false },
            _ => Inflater::Stored,
        })
    }

    fn has_ended(&self) -> bool {
        match self {
            Inflater::Stored => true,
            Inflater::Gzip { has_ended, .. } | Inflater::Zstd { has_ended, .. } => *has_ended,
        }
    }

    fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Inflater::Stored => out.extend_from_slice(piece),
            Inflater::Gzip { state, has_ended } => {
                while !*has_ended {
                    let before = (state.total_in(), state.total_out());
                    out.reserve(READ_BYTES);
                    let status = state
                        .decompress_vec(piece, out, FlushDecompress::None)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    let used = usize::try_from(state.total_in() - before.0).unwrap_or(piece.len());
                    piece = piece.get(used..).unwrap_or_default();
                    *has_ended = status == Status::StreamEnd;
                    if piece.is_empty() && state.total_out() == before.1 {
                        return Ok(());
                    }
                    if used == 0 && state.total_out() == before.1 {
                        return Err(garbage("compressed data that lead nowhere"));
                    }
                }
                if !piece.is_empty() {
                    return Err(garbage("bytes after the end of compressed data"));
                }
            }
            Inflater::Zstd { state, has_ended } => {
                let mut buffer = vec![0; READ_BYTES];
                let mut input = InBuffer::around(piece);
                loop {
                    let mut output = OutBuffer::around(buffer.as_mut_slice());
                    let hint = state
                        .run(&mut input, &mut output)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    let made = output.pos();
                    out.extend_from_slice(buffer.get(..made).unwrap_or_default());
                    *has_ended = hint == 0;
                    if input.pos() == piece.len() && made < READ_BYTES {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::{Inflated, Inflater};

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn pieces_may_be_cut_anywhere_and_the_end_is_known() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for (method, packed) in [(1, zlib(&text)), (3, zstd::encode_all(text.as_slice(), 3).unwrap())] {
            for size in [1_usize, 7, 4096, packed.len()] {
                let mut inflater = Inflater::new(method).unwrap();
                let mut out = Vec::new();
                for piece in packed.chunks(size.max(packed.len() / 5000)) {
                    assert!(!inflater.has_ended());
                    inflater.push(piece, &mut out).unwrap();
                }
                assert!(inflater.has_ended() && out == text, "method {method}, pieces of {size}");
            }
            let mut cut = Inflater::new(method).unwrap();
            cut.push(&packed[..packed.len() / 2], &mut Vec::new()).unwrap();
            assert!(!cut.has_ended());
        }
    }

    #[test]
    fn what_is_no_archive_is_an_error_and_no_panic() {
        for bytes in [&b""[..], b"PGDMP", b"PGDMP\x01\x0e\x00\x04\x08\x01\x00\xff", b"hello world, no archive"] {
            assert!(Inflated::new(bytes).read_to_end(&mut Vec::new()).is_err());
        }
    }
}
