//! A dump in a file, whatever is wrapped around it: gzip, zstd, and compression inside an archive.
//!
//! In: a path. Out: the dump's own bytes, an archive as `-Z0` would have written it; and what its first bytes say of it. What ends too early
//! is an error: each wrapping has an end of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use lacre_dump::archive::{Inflated, Peeked, Toc};

use super::{PIECE_BYTES_MAX, Sink, SourceEnd, SourceError};
use crate::process::Interrupt;

/// First bytes that are looked at.
const HEAD_BYTES: usize = 64 * 1024;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A file with a dump in it.
#[derive(Clone, Debug)]
pub struct DumpFile {
    path: PathBuf,
}

impl DumpFile {
    /// Names the file; nothing is opened yet.
    pub fn new(path: impl Into<PathBuf>) -> DumpFile {
        DumpFile { path: path.into() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<File, SourceError> {
        let path = || self.path.display().to_string();
        let file = File::open(&self.path).map_err(|error| SourceError::Open { path: path(), error })?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file { Ok(file) } else { Err(SourceError::NotAFile { path: path(), kind: "something else" }) }
    }

    fn failed(&self, bytes: u64, error: io::Error) -> SourceError {
        SourceError::Read { source_name: self.path.display().to_string(), bytes, error }
    }

    /// What an archive's header says, under whatever is wrapped around it; nothing for other dumps.
    ///
    /// # Errors
    /// [`SourceError::Open`], [`SourceError::Read`].
    pub fn peek(&self) -> Result<Option<Peeked>, SourceError> {
        let mut head = Vec::new();
        let unwrapped = unwrap(self.open()?).map_err(|error| self.failed(0, error))?;
        let most = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
        match unwrapped.take(most).read_to_end(&mut head) {
            Ok(_) => Ok(Toc::peek(&head)),
            Err(error) => Err(self.failed(0, error)),
        }
    }

    /// BLAKE3 of the file as it lies there, and its length.
    ///
    /// # Errors
    /// [`SourceError::Open`], [`SourceError::Read`], [`SourceError::Interrupted`].
    pub fn digest(&self, interrupt: &Interrupt) -> Result<(blake3::Hash, u64), SourceError> {
        let mut file = self.open()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        let mut bytes = 0;
        loop {
            if interrupt.raised() {
                return Err(SourceError::Interrupted { bytes });
            }
            match file.read(&mut buffer).map_err(|error| self.failed(bytes, error))? {
                0 => return Ok((hasher.finalize(), bytes)),
                count => {
                    hasher.update(&buffer[..count]);
                    bytes += count as u64;
                }
            }
        }
    }

    /// Pushes the dump's bytes.
    ///
    /// # Errors
    /// [`SourceError::Read`] for a file that is cut off or damaged; those of the sink.
    pub fn pump(&self, interrupt: &Interrupt, sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
        let mut dump = inflate(unwrap(self.open()?).map_err(|error| self.failed(0, error))?)
            .map_err(|error| self.failed(0, error))?;
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        let mut bytes = 0_u64;
        loop {
            if interrupt.raised() {
                return Err(SourceError::Interrupted { bytes });
            }
            let count = match dump.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(bytes, error)),
            };
            sink(&buffer[..count])
                .map_err(|error| SourceError::Sink { source_name: self.path.display().to_string(), error })?;
            bytes += count as u64;
        }
        Ok(SourceEnd { bytes, exit_status: None, verified: true, stderr_tail: String::new() })
    }
}

/// Takes off what is wrapped around a dump as a whole.
fn unwrap(file: File) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::with_capacity(HEAD_BYTES, file);
    let head = reader.fill_buf()?;
    Ok(if head.starts_with(GZIP) {
        Box::new(BufReader::with_capacity(HEAD_BYTES, flate2::bufread::MultiGzDecoder::new(reader)))
    } else if head.starts_with(ZSTD) {
        Box::new(BufReader::with_capacity(HEAD_BYTES, zstd::stream::read::Decoder::with_buffer(reader)?))
    } else {
        Box::new(reader)
    })
}

/// Takes off the compression inside an archive.
fn inflate(mut dump: Box<dyn BufRead>) -> io::Result<Box<dyn Read>> {
    let is_compressed = Toc::peek(dump.fill_buf()?).is_some_and(|peeked| peeked.compression != 0);
    Ok(if is_compressed { Box::new(Inflated::new(dump)) } else { Box::new(dump) })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::DumpFile;
    use crate::process::Interrupt;

    fn pump(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut out = Vec::new();
        let source = DumpFile::new(file.path());
        let end = source.pump(&Interrupt::default(), &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        });
        end.map(|_| out).map_err(|error| error.to_string())
    }

    #[test]
    fn wrappings_come_off_and_a_cut_one_is_refused() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        for packed in [text.clone(), gzip.finish().unwrap(), zstd::encode_all(text.as_slice(), 1).unwrap()] {
            assert!(pump(&packed).unwrap() == text);
            if packed != text {
                assert!(pump(&packed[..packed.len() - 20]).is_err());
            }
        }
    }
}
