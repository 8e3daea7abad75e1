//! The proof, while an archive is read, that its parts make the same bytes again.
//!
//! Comes in: what is handed to the caller (content, encoded framing) and the archive's own bytes. Goes out: nothing, or
//! [`Error::NotReproducible`]. The parts are put through the writer's own code and its output is compared byte by byte with the input,
//! so nothing has to be stored or hashed for it.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::assemble::Assembler;
use super::error::Error;
use super::framing::{FRAMING_VERSION, Op, read_op};

/// Compares the rebuilt archive with the original, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    assembler: Assembler,
    /// Runs proved against the input but not yet seen in the encoded framing; bounded by what the encoder holds.
    expected: VecDeque<Op>,
    proved_bytes: u64,
    version_seen: Option<u8>,
}

/// A sink that accepts only the bytes it expects.
struct Compare<'a> {
    rest: &'a [u8],
}

impl Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Mirror {
    /// Counts bytes kept verbatim.
    pub(super) fn verbatim(&mut self, bytes: usize) {
        self.proved_bytes = self.proved_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn differs(&self, what: &'static str) -> Error {
        Error::NotReproducible { at: self.proved_bytes, what }
    }

    /// Proves that `ops` and `content` rebuild exactly `raw`, the next bytes of the input.
    pub(super) fn batch(&mut self, raw: &[u8], ops: &[Op], mut content: &[u8]) -> Result<(), Error> {
        let mut out = Compare { rest: raw };
        let mut assemble = |assembler: &mut Assembler| {
            assembler.content(&mut content, &mut out)?;
            for op in ops {
                assembler.op(*op, &mut out)?;
                assembler.content(&mut content, &mut out)?;
            }
            Ok::<(), Error>(())
        };
        assemble(&mut self.assembler).map_err(|_| self.differs("the rebuilt bytes differ"))?;
        if !out.rest.is_empty() || !content.is_empty() {
            return Err(self.differs("the rebuilt bytes are of another length"));
        }
        for op in ops {
            let joined = self.expected.back_mut().is_some_and(|last| last.join(*op));
            if !joined {
                self.expected.push_back(*op);
            }
        }
        self.verbatim(raw.len());
        Ok(())
    }

    /// Proves that the next bytes of the encoded framing say what was proved by [`Mirror::batch`].
    pub(super) fn framing(&mut self, encoded: &[u8]) -> Result<(), Error> {
        let mut bytes = encoded.iter().copied();
        if self.version_seen.is_none() {
            self.version_seen = bytes.next();
            if self.version_seen != Some(FRAMING_VERSION) {
                return Err(self.differs("the framing's version"));
            }
        }
        while let Some(op) = read_op(&mut || Ok(bytes.next()))? {
            if self.expected.pop_front() != Some(op) {
                return Err(self.differs("the framing says something else"));
            }
        }
        Ok(())
    }

    /// Proves that nothing is left over and that every byte of the input took part.
    pub(super) fn finish(&self, input_bytes: u64) -> Result<(), Error> {
        if !self.assembler.is_finished() || !self.expected.is_empty() {
            return Err(self.differs("the framing is not complete"));
        }
        if self.proved_bytes != input_bytes {
            return Err(self.differs("not every byte was proved"));
        }
        Ok(())
    }
}
