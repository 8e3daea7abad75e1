//! The archive again, byte for byte as `pg_dump` wrote it.
//!
//! In: a snapshot. Out: the bytes of `pg_dump -Fc`, for stock tools. What comes out is compared with the size that was recorded; each
//! stream was verified by its source.

use std::io::Write;

use lacre_dump::archive::ArchiveWriter;

use super::{SnapshotSource, StreamRef, plan::read_toc, read_small, stream_of};
use crate::driver::postgres::{
    demux::APPENDED,
    dump::StreamKind,
    error::{Error, Result},
    limits,
};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// Their BLAKE3.
    pub blake3: [u8; 32],
}

/// Writes the archive of a snapshot.
///
/// # Errors
/// [`Error::Source`] for a stream that cannot be read, [`Error::NotRestorable`] when the parts do not fit, [`Error::Io`] when `out` fails.
pub fn write(source: &dyn SnapshotSource, out: &mut dyn Write) -> Result<Written> {
    let mut out = Hashed { out, hasher: blake3::Hasher::new(), bytes: 0 };
    if let Some(stream) = stream_of(source, &StreamKind::Opaque) {
        source.read(&stream, &mut out).map_err(|error| Error::Source { stream: stream.name.clone(), source: error })?;
    } else {
        assemble(source, &mut out)?;
    }
    out.flush().map_err(|error| Error::Io { doing: "writing the archive".to_owned(), source: error })?;
    let written = Written { bytes: out.bytes, blake3: *out.hasher.finalize().as_bytes() };
    let recorded = source.facts().get("archive.bytes").and_then(|text| text.parse::<u64>().ok());
    if let Some(recorded) = recorded.filter(|recorded| *recorded != written.bytes) {
        return Err(Error::NotRestorable(format!(
            "the archive has {} bytes and was recorded with {recorded}",
            written.bytes
        )));
    }
    Ok(written)
}

fn assemble(source: &dyn SnapshotSource, out: &mut Hashed<'_>) -> Result<()> {
    let toc = read_toc(source)?;
    let framing = stream_of(source, &StreamKind::Framing)
        .ok_or_else(|| Error::NotRestorable("its framing is missing".to_owned()))?;
    let framing = read_small(source, &framing, limits::TOC_BYTES_MAX)?;
    let broken =
        |error: lacre_dump::archive::Error| Error::NotRestorable(format!("its parts do not make an archive: {error}"));
    let mut writer = ArchiveWriter::new(out, &toc, framing.as_slice()).map_err(broken)?;
    while let Some(set) = writer.next_set().map_err(broken)? {
        let holds = |stream: &&StreamRef| {
            stream.dump_id == Some(set.dump_id) && matches!(stream.kind, StreamKind::Table | StreamKind::LargeObjects)
        };
        let stream = source
            .streams()
            .iter()
            .find(holds)
            .ok_or_else(|| Error::NotRestorable(format!("its entry {} has no stream", set.dump_id)))?;
        source
            .read(stream, &mut writer)
            .map_err(|error| Error::Source { stream: stream.name.clone(), source: error })?;
        writer.end_set().map_err(broken)?;
    }
    let out = writer.finish().map_err(broken)?;
    match source.streams().iter().find(|stream| stream.name == APPENDED && stream.kind == StreamKind::Toc) {
        Some(stream) => {
            source.read(stream, out).map_err(|error| Error::Source { stream: stream.name.clone(), source: error })
        }
        None => Ok(()),
    }
}

/// Counts and hashes what passes.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
