//! Putting an archive together again.
//!
//! Comes in: a table of contents, a framing stream, and the content of each data set, pushed in the archive's order.
//! Goes out: the archive's bytes; without a selection, the very bytes that were taken apart.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use super::Kind;
use super::assemble::Assembler;
use super::error::Error;
use super::framing::{FramingDecoder, Op};
use super::toc::Toc;

/// Output is gathered into pieces of about this size, in bytes.
const OUT_BYTES: usize = 256 << 10;

/// A data set whose content is to be written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSet {
    /// The entry it belongs to.
    pub dump_id: i32,
    /// What it holds.
    pub kind: Kind,
}

/// Writes an archive from its parts.
///
/// Call [`next_set`](Self::next_set), push that set's content through [`std::io::Write`], call [`end_set`](Self::end_set), and so on until
/// there is no set; then [`finish`](Self::finish). At most one line of [`crate::limits::WHOLE_BLOCK_BYTES_MAX`] bytes is held back.
#[derive(Debug)]
pub struct ArchiveWriter<W: Write, F> {
    out: io::BufWriter<W>,
    framing: FramingDecoder<F>,
    assembler: Assembler,
    keep: Keep,
}

#[derive(Debug)]
enum Keep {
    All,
    Only(BTreeSet<i32>),
}

impl<W: Write, F: Read> ArchiveWriter<W, F> {
    /// Begins the very archive that `toc` and `framing` were taken from.
    ///
    /// # Errors
    /// [`Error::Write`] if the table of contents cannot be written.
    pub fn new(out: W, toc: &Toc, framing: F) -> Result<Self, Error> {
        Self::begin(out, toc.raw(), framing, Keep::All)
    }

    /// Begins an archive with all definitions but only the data of the entries in `keep`; other data entries are left out of the table of contents.
    ///
    /// # Errors
    /// [`Error::Write`] if the table of contents cannot be written.
    pub fn with_selection(out: W, toc: &Toc, framing: F, keep: BTreeSet<i32>) -> Result<Self, Error> {
        let raw = toc.subset(|entry| !entry.has_data() || keep.contains(&entry.dump_id()));
        Self::begin(out, &raw, framing, Keep::Only(keep))
    }

    fn begin(out: W, toc: &[u8], framing: F, keep: Keep) -> Result<Self, Error> {
        let mut out = io::BufWriter::with_capacity(OUT_BYTES, out);
        out.write_all(toc).map_err(Error::Write)?;
        Ok(ArchiveWriter { out, framing: FramingDecoder::new(framing), assembler: Assembler::default(), keep })
    }

    /// Opens the next data set that is wanted; nothing after the last one.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] within a set, [`Error::BadFraming`], [`Error::Read`], [`Error::Write`].
    pub fn next_set(&mut self) -> Result<Option<DataSet>, Error> {
        if self.assembler.set().is_some() {
            return Err(Error::OutOfOrder("the set before is not ended"));
        }
        let mut skipping = None;
        while let Some(op) = self.framing.next_op()? {
            match (op, skipping) {
                (Op::Begin { kind, dump_id }, None) => {
                    if matches!(&self.keep, Keep::Only(keep) if !keep.contains(&dump_id)) {
                        skipping = Some(dump_id);
                        continue;
                    }
                    self.assembler.op(op, &mut self.out)?;
                    return Ok(Some(DataSet { dump_id, kind }));
                }
                (Op::End, Some(_)) => skipping = None,
                (Op::Object { .. } | Op::Lines { .. } | Op::Blocks { .. }, Some(_)) => {}
                (Op::Finish, None) => self.assembler.op(op, &mut self.out)?,
                _ => return Err(Error::BadFraming("an op out of place")),
            }
        }
        Ok(None)
    }

    /// Writes the next piece of the open set's content.
    ///
    /// # Errors
    /// [`Error::BadContent`] if the content is longer than its framing, [`Error::OutOfOrder`] outside of a set, and as [`next_set`](Self::next_set).
    pub fn content(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let Some((_, dump_id)) = self.assembler.set() else {
            return Err(Error::OutOfOrder("content without an open set"));
        };
        self.assembler.content(&mut bytes, &mut self.out)?;
        while !bytes.is_empty() {
            match self.inner_op()? {
                Op::End => return Err(Error::BadContent { dump_id, what: "it goes on after its framing ended" }),
                op => self.assembler.op(op, &mut self.out)?,
            }
            self.assembler.content(&mut bytes, &mut self.out)?;
        }
        Ok(())
    }

    /// Ends the open set.
    ///
    /// # Errors
    /// [`Error::BadContent`] if content is missing, and as [`next_set`](Self::next_set).
    pub fn end_set(&mut self) -> Result<(), Error> {
        if self.assembler.set().is_none() {
            return Err(Error::OutOfOrder("no set is open"));
        }
        while self.assembler.set().is_some() {
            let op = self.inner_op()?;
            self.assembler.op(op, &mut self.out)?;
        }
        Ok(())
    }

    fn inner_op(&mut self) -> Result<Op, Error> {
        self.framing.next_op()?.ok_or(Error::BadFraming("it ends within a set"))
    }

    /// Ends the archive and gives the output back, flushed.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] if sets are left, [`Error::Write`] if the last bytes cannot be written.
    pub fn finish(self) -> Result<W, Error> {
        if !self.assembler.is_finished() {
            return Err(Error::OutOfOrder("there are sets left"));
        }
        let mut out = self.out.into_inner().map_err(|error| Error::Write(error.into_error()))?;
        out.flush().map_err(Error::Write)?;
        Ok(out)
    }
}

impl<W: Write, F: Read> Write for ArchiveWriter<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content(bytes).map_err(|error| match error {
            Error::Read(inner) | Error::Write(inner) => inner,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes a whole archive, pulling each set's content from the reader `open` gives for it.
///
/// # Errors
/// As [`ArchiveWriter`]; [`Error::Read`] if `open` or a reader of it fails.
pub fn write_archive<W: Write, C: Read>(
    out: W,
    toc: &Toc,
    framing: impl Read,
    mut open: impl FnMut(DataSet) -> io::Result<C>,
) -> Result<W, Error> {
    let mut writer = ArchiveWriter::new(out, toc, framing)?;
    let mut buffer = vec![0u8; OUT_BYTES];
    while let Some(set) = writer.next_set()? {
        let mut content = open(set).map_err(Error::Read)?;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Read(error)),
            };
            writer.content(&buffer[..read])?;
        }
        writer.end_set()?;
    }
    writer.finish()
}

/// Writes an archive of definitions only: entries with data are left out, everything else stays with its dump id.
///
/// # Errors
/// [`Error::Write`].
pub fn write_schema_only(mut out: impl Write, toc: &Toc) -> Result<(), Error> {
    out.write_all(&toc.subset(|entry| !entry.has_data())).map_err(Error::Write)?;
    out.flush().map_err(Error::Write)
}
