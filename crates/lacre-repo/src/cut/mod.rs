//! Cutting streams into chunks whose borders depend on content and a key.
//!
//! In comes a caller-owned buffer that begins at the first byte not yet cut; out comes the length of the next chunk, or the answer
//! that more bytes are needed. Cutters hold no data, only keys and how far they have looked, so one buffer of 1 to 4 MiB is filled
//! by the source, cut in place, and handed on; only the uncut rest (at most [`LOOKAHEAD_BYTES_MAX`]) moves to the front of the next
//! buffer. Where the borders fall depends on key, parameters and content alone, never on how the bytes arrived.
//!
//! ```text
//! loop {
//!     read into buffer[filled..];
//!     let used = cutter.cut_all(&buffer[..filled], end, &mut lengths)?;
//!     hand out buffer[..used] with lengths; move buffer[used..filled] to the next buffer;
//! }
//! ```
//!
//! Why rows, which hash, and what an attacker can learn: `docs/decisions/cutting.md`.

mod bytes;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop};

pub use bytes::ByteCutter;
pub use rows::RowCutter;

/// No chunk of any cutter is longer than this.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// A buffer with this many uncut bytes always yields a chunk: one byte more than the longest, to see that a row goes on.
pub const LOOKAHEAD_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1;

/// Version number of the row cutter in headers and roots.
pub const ROWS_VERSION: u8 = 1;

/// Version number of the byte cutter in headers and roots.
pub const BYTES_VERSION: u8 = 2;

/// Smallest and default target of the row cutter in bytes.
pub const ROW_TARGET_BYTES_MIN: u32 = 4 * 1024;

/// Largest target of the row cutter in bytes; its longest chunk is four times that, [`CHUNK_BYTES_MAX`].
pub const ROW_TARGET_BYTES_MAX: u32 = 256 * 1024;

/// The one target of the byte cutter in bytes.
pub const BYTE_TARGET_BYTES: u32 = 64 * 1024;

/// About how many chunks one stream has at most, as long as its target can still grow.
pub const STREAM_CHUNKS_MAX: u64 = 1 << 20;

/// Whether bytes may still follow those in the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndOfStream {
    /// More may come: a chunk is cut only where no later byte can change that.
    No,
    /// The buffer holds all that is left: the last chunk ends with it.
    Yes,
}

/// Numbers that name no cutter of this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no cutter has version {version} and a target of {target_bytes} bytes")]
pub struct UnknownCutter {
    /// The version found.
    pub version: u8,
    /// The target found, in bytes.
    pub target_bytes: u32,
}

/// Which cutter a stream uses and how large its chunks become. Two streams dedup against each other only with equal parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CutParameters {
    version: u8,
    target_bytes: u32,
}

impl CutParameters {
    /// Rows, chunks of 4 KiB on average.
    #[must_use]
    pub const fn rows() -> Self {
        Self { version: ROWS_VERSION, target_bytes: ROW_TARGET_BYTES_MIN }
    }

    /// Bytes without rows, chunks of 64 KiB on average.
    #[must_use]
    pub const fn bytes() -> Self {
        Self { version: BYTES_VERSION, target_bytes: BYTE_TARGET_BYTES }
    }

    /// Rows of a stream expected to have `bytes` bytes: the smallest target that gives at most [`STREAM_CHUNKS_MAX`] chunks.
    #[must_use]
    pub fn for_previous_bytes(bytes: u64) -> Self {
        let mut target_bytes = ROW_TARGET_BYTES_MIN;
        while target_bytes < ROW_TARGET_BYTES_MAX && bytes / u64::from(target_bytes) > STREAM_CHUNKS_MAX {
            target_bytes *= 2;
        }
        Self { version: ROWS_VERSION, target_bytes }
    }

    /// Rows of a stream whose previous snapshot used `self` and had `bytes` bytes.
    ///
    /// Another target stores the whole stream again, so a stream that grows or shrinks about a limit must not change it every night:
    /// the target grows only at twice the limit and shrinks only at an eighth of it.
    #[must_use]
    pub fn after(self, bytes: u64) -> Self {
        let fitting = Self::for_previous_bytes(bytes);
        if self.version != ROWS_VERSION {
            return self;
        }
        let chunks = bytes / u64::from(self.target_bytes.max(1));
        if chunks > 2 * STREAM_CHUNKS_MAX
            || (chunks < STREAM_CHUNKS_MAX / 8 && fitting.target_bytes < self.target_bytes)
        {
            fitting
        } else {
            self
        }
    }

    /// Reads the two numbers stored in headers and roots.
    ///
    /// # Errors
    /// [`UnknownCutter`] for numbers this program never writes.
    pub fn from_numbers(version: u8, target_bytes: u32) -> Result<Self, UnknownCutter> {
        let known = match version {
            ROWS_VERSION => {
                target_bytes.is_power_of_two() && (ROW_TARGET_BYTES_MIN..=ROW_TARGET_BYTES_MAX).contains(&target_bytes)
            }
            BYTES_VERSION => target_bytes == BYTE_TARGET_BYTES,
            _ => false,
        };
        if known { Ok(Self { version, target_bytes }) } else { Err(UnknownCutter { version, target_bytes }) }
    }

    /// The version to store.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.version
    }

    /// The target to store, in bytes.
    #[must_use]
    pub const fn target_bytes(self) -> u32 {
        self.target_bytes
    }
}

/// The secret tables of a stream's cutters.
///
/// They are secret because borders are visible as padded sizes. The caller derives them from the job's stream secret and shares them
/// between the job's streams.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CutKeys {
    gear: Box<[u64; 256]>,
    gear_ls: Box<[u64; 256]>,
    row: [u64; 4],
}

impl CutKeys {
    /// Takes a uniformly random table for bytes and a uniformly random key for rows.
    #[must_use]
    pub fn new(gear: &[u64; 256], row: &[u8; 32]) -> Self {
        let gear = Box::new(*gear);
        let mut gear_ls = gear.clone();
        for word in gear_ls.iter_mut() {
            *word <<= 1;
        }
        Self { gear, gear_ls, row: rows::words(row) }
    }
}

/// The cutter of one stream.
pub enum Cutter {
    /// Cuts at row ends.
    Rows(RowCutter),
    /// Cuts anywhere.
    Bytes(ByteCutter),
}

impl Cutter {
    /// A cutter at the start of a stream.
    #[must_use]
    pub fn new(parameters: CutParameters, keys: Arc<CutKeys>) -> Self {
        if parameters.version == ROWS_VERSION {
            Self::Rows(RowCutter::new(parameters, keys))
        } else {
            Self::Bytes(ByteCutter::new(keys))
        }
    }

    /// The length of the next chunk, which begins at the start of `buffer`; `None` when more bytes are needed, or at the very end.
    ///
    /// Until a chunk is cut, the next call must pass the same bytes again, with more behind them. A buffer of
    /// [`LOOKAHEAD_BYTES_MAX`] bytes always yields a chunk; with [`EndOfStream::Yes`] every buffer that is not empty does.
    #[inline]
    pub fn next_cut(&mut self, buffer: &[u8], end: EndOfStream) -> Option<usize> {
        match self {
            Self::Rows(rows) => rows.next_cut(buffer, end),
            Self::Bytes(bytes) => bytes.next_cut(buffer, end),
        }
    }

    /// Cuts as many chunks as the buffer yields, appends their lengths, and returns the bytes they cover together.
    pub fn cut_all(&mut self, buffer: &[u8], end: EndOfStream, lengths: &mut Vec<usize>) -> usize {
        let mut used = 0;
        while let Some(length) = self.next_cut(&buffer[used..], end) {
            lengths.push(length);
            used += length;
        }
        used
    }
}
