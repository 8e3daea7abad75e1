//! Generic sources: a command's output, a file, standard input. (PostgreSQL has its own driver.)
//!
//! In: what to read. Out: its bytes pushed into a sink in pieces of at most [`PIECE_BYTES_MAX`], and how it ended. A source only
//! ends well when its end was judged: a command by its exit status, a file by not having changed. It must not know the vault.

mod command;
mod dump_file;
mod file;
mod stdin;

use std::{
    io::{self, Read},
    os::fd::AsFd,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};

pub use self::{command::CommandSource, dump_file::DumpFile, file::FileSource, stdin::StdinSource};
use crate::process::Interrupt;

/// The largest piece handed to a sink, bytes.
pub const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// How much of the end of a command's stderr is kept for messages, bytes.
pub const STDERR_TAIL_BYTES_MAX: usize = 16 * 1024;

/// How often a waiting reader looks at the interrupt flag.
const WAKE_INTERVAL: Duration = Duration::from_millis(100);

/// Where the bytes go; an error stops the source and comes back as [`SourceError::Sink`].
pub type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// How a source ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEnd {
    /// Bytes handed to the sink.
    pub bytes: u64,
    /// The exit status of a command; nothing for files and standard input.
    pub exit_status: Option<i32>,
    /// Whether the end was judged: false for standard input, whose writer may have failed unseen.
    pub verified: bool,
    /// The last lines a successful command wrote to stderr, which may hold warnings worth keeping.
    pub stderr_tail: String,
}

/// Why a source did not end well; nothing of it may become a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The path as it was given.
        path: String,
        /// The operating system's reason.
        #[source]
        error: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {source_name}")]
    Start {
        /// What was to be read.
        source_name: String,
        /// The operating system's reason.
        #[source]
        error: io::Error,
    },
    /// The path is not a regular file.
    #[error("{path} is {kind}, not a regular file")]
    NotAFile {
        /// The path as it was given.
        path: String,
        /// What it is instead.
        kind: &'static str,
    },
    /// Reading failed in the middle.
    #[error("cannot read {source_name} after {bytes} bytes")]
    Read {
        /// What was being read.
        source_name: String,
        /// Bytes read before.
        bytes: u64,
        /// The operating system's reason.
        #[source]
        error: io::Error,
    },
    /// The command ended with a status that means failure, after `bytes` bytes of output.
    #[error("{program} ended with {status} after {bytes} bytes")]
    Status {
        /// The program's name.
        program: String,
        /// Its exit status or signal, in words.
        status: String,
        /// Bytes it had written.
        bytes: u64,
        /// The last lines it wrote to stderr.
        stderr_tail: String,
    },
    /// The file changed while it was read, so its bytes are of no single moment.
    #[error("{path} changed while it was read ({change})")]
    Changed {
        /// The path as it was given.
        path: String,
        /// What changed.
        change: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted after {bytes} bytes")]
    Interrupted {
        /// Bytes read before.
        bytes: u64,
    },
    /// The receiving side failed.
    #[error("the bytes of {source_name} could not be stored")]
    Sink {
        /// What was being read.
        source_name: String,
        /// The receiver's reason.
        #[source]
        error: io::Error,
    },
}

/// Copies everything from a reader to the sink, looking at the interrupt flag at least every 100 ms even when nothing arrives.
///
/// Stops after the piece that goes beyond `bytes_max`, so that a file that grows as fast as it is read cannot keep the reader for ever.
fn pump_reader(
    reader: &mut (impl Read + AsFd),
    name: &str,
    bytes_max: u64,
    interrupt: &Interrupt,
    sink: Sink<'_>,
) -> Result<u64, SourceError> {
    let mut buffer = vec![0_u8; PIECE_BYTES_MAX];
    let mut bytes = 0_u64;
    loop {
        let failed = |error| SourceError::Read { source_name: name.to_owned(), bytes, error };
        if interrupt.raised() {
            return Err(SourceError::Interrupted { bytes });
        }
        if !readable(reader).map_err(failed)? {
            continue;
        }
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        sink(&buffer[..count]).map_err(|error| SourceError::Sink { source_name: name.to_owned(), error })?;
        bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if bytes > bytes_max {
            return Ok(bytes);
        }
    }
}

/// Waits a moment for bytes or the end of the stream; false when neither came.
fn readable(reader: &impl AsFd) -> io::Result<bool> {
    let timeout = Timespec::try_from(WAKE_INTERVAL).expect("100 ms is a time span");
    let mut waiting = [PollFd::new(reader, PollFlags::IN)];
    match poll(&mut waiting, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
