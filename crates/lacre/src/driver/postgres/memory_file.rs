//! Files that exist only in memory and only for the children they are handed to.
//!
//! In: bytes. Out: a path a child can open. A pipe would do for most tools, but a pipe that breaks looks like an end, and `pg_restore -j`
//! and libpq's password file need something with a size and a mode. On Linux it is a sealed-off memory file; elsewhere an unlinked
//! temporary file of mode 0600. Nothing with a name ever holds the bytes.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    os::fd::AsRawFd,
    process::{Child, Command},
    sync::{Mutex, PoisonError},
};

use rustix::io::{FdFlags, fcntl_setfd};

use super::error::{Error, Result};

/// Bytes in memory under a path that one child can open.
#[derive(Debug)]
pub struct MemoryFile {
    file: File,
}

/// Held while a file is open to inheritance, so that no other child started by this driver gets it.
static SPAWNING: Mutex<()> = Mutex::new(());

impl MemoryFile {
    /// Makes an empty one that children do not inherit.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create() -> Result<Self> {
        let failed = |source: std::io::Error| Error::Io { doing: "making a memory file".to_owned(), source };
        #[cfg(target_os = "linux")]
        let file = File::from(
            rustix::fs::memfd_create("lacre", rustix::fs::MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?,
        );
        #[cfg(not(target_os = "linux"))]
        let file = tempfile::tempfile().map_err(failed)?;
        rustix::fs::fchmod(&file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
            .map_err(|error| failed(error.into()))?;
        Ok(Self { file })
    }

    /// Makes one that holds `bytes`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn with(bytes: &[u8]) -> Result<Self> {
        let mut file = Self::create()?;
        file.file.write_all(bytes).map_err(|source| Error::Io { doing: "filling a memory file".to_owned(), source })?;
        Ok(file)
    }

    /// Lends the file for writing.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The path under which a child that inherits it can open it.
    pub fn path(&self) -> String {
        let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        format!("{folder}/{}", self.file.as_raw_fd())
    }

    /// Puts the position back to the beginning, for systems where a child shares it.
    fn rewind(&self) -> std::io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map(drop)
    }
}

/// Starts a child that inherits these files and no others.
///
/// # Errors
/// The operating system's.
pub fn spawn_with(command: &mut Command, files: &[&MemoryFile]) -> std::io::Result<Child> {
    let _one_at_a_time = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut outcome = Ok(());
    for memory in files {
        outcome =
            outcome.and_then(|()| memory.rewind()).and_then(|()| Ok(fcntl_setfd(&memory.file, FdFlags::empty())?));
    }
    let child = outcome.and_then(|()| command.spawn());
    for memory in files {
        fcntl_setfd(&memory.file, FdFlags::CLOEXEC)?;
    }
    child
}
