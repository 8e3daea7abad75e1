//! What this host remembers of what it signed and of the copies it left: for the day the store is gone.
//!
//! In: heads of its own logs, and when a copy was complete. Out: the same, from files beside the pin. It must not know what a copy holds.

use std::path::PathBuf;

use lacre_format::{
    codec,
    header::ChainHead,
    ids::{GenerationId, JobName, Millis, SnapshotId, Token},
};
use minicbor::{Decode, Encode};

use super::{KEY_FILE_BYTES_MAX, RepositoryHome, io, make};
use crate::{
    error::Error,
    files::{self, FileError, Replace},
};

/// Most entries of logs in doubt that are remembered; older ones have landed or never will.
const SENT_MAX: usize = 32;

/// How this host left a copy: so that `copy list` can say when, and an empty folder where one was is not taken for a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct CopyNote {
    /// When the last sync that brought everything ended, by this host's clock.
    #[n(0)]
    pub synced: Millis,
    /// Live snapshots it held then.
    #[n(1)]
    pub snapshots: u64,
}

impl RepositoryHome {
    /// Key entries of a generation that were carried after its bundle was made and are kept beside it.
    pub(crate) fn kept_entries(&self, generation: GenerationId) -> Result<Vec<(SnapshotId, Token, Vec<u8>)>, Error> {
        let folder = self.directory.join("keyring");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(&folder, source)),
        };
        let mut kept = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| io(&folder, source))?.file_name();
            let what = name.to_str().and_then(|name| name.strip_prefix(&format!("{generation}.")));
            let Some((snapshot, token)) = what.and_then(|what| what.split_once('-')) else { continue };
            let (Ok(snapshot), Ok(token)) = (SnapshotId::parse(snapshot), Token::parse(token)) else { continue };
            let bytes = self.keyring_object(generation, &format!("{snapshot}-{token}"));
            kept.extend(bytes.map(|bytes| (snapshot, token, bytes)));
        }
        Ok(kept)
    }

    /// Where the catalog of a copy lies: what a copy holds says nothing about the repository.
    #[must_use]
    pub fn copy_catalog(&self, name: &str) -> PathBuf {
        self.directory.join("copies").join(format!("{name}.db"))
    }

    fn copy_note_path(&self, name: &str) -> PathBuf {
        self.directory.join("copies").join(format!("{name}.synced"))
    }

    /// Makes the folder of what is known about copies.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be made.
    pub fn make_copies(&self) -> Result<(), Error> {
        make(&self.directory.join("copies"))
    }

    /// Remembers how a copy was left.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_copy_note(&self, name: &str, note: &CopyNote) -> Result<(), Error> {
        self.make_copies()?;
        Ok(files::write_secret_file(&self.copy_note_path(name), &codec::to_cbor(note), Replace::Whole)?)
    }

    /// How this host left a copy, if it ever brought it up to date.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Format`].
    pub fn copy_note(&self, name: &str) -> Result<Option<CopyNote>, Error> {
        match files::read_file(&self.copy_note_path(name), KEY_FILE_BYTES_MAX) {
            Ok(file) => {
                codec::from_cbor("copy note", &file.bytes).map(Some).map_err(|error| Error::format("copy note", error))
            }
            Err(FileError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn heads(&self) -> PathBuf {
        self.directory.join("heads")
    }

    /// Remembers the newest log entry that a key of this host signed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_log_head(&self, head: &ChainHead) -> Result<(), Error> {
        let mut heads = self.log_heads()?;
        heads.retain(|known| known.home != head.home);
        heads.push(*head);
        Ok(files::write_secret_file(&self.heads(), &codec::to_cbor(&heads), Replace::Whole)?)
    }

    /// The newest log entries that keys of this host signed.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Format`].
    pub fn log_heads(&self) -> Result<Vec<ChainHead>, Error> {
        match files::read_file(&self.heads(), KEY_FILE_BYTES_MAX) {
            Ok(file) => codec::from_cbor("heads", &file.bytes).map_err(|error| Error::format("heads", error)),
            Err(FileError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes an entry of the log before it is sent to a store that may take it late.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn note_sent(&self, head: &ChainHead) -> Result<(), Error> {
        let mut sent = self.sent()?;
        sent.push(*head);
        let old = sent.len().saturating_sub(SENT_MAX);
        self.keep_sent(&sent[old..])
    }

    /// It was answered: it is there, or it never will be.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn forget_sent(&self, head: &ChainHead) -> Result<(), Error> {
        let mut sent = self.sent()?;
        let before = sent.len();
        sent.retain(|known| known != head);
        if sent.len() == before { Ok(()) } else { self.keep_sent(&sent) }
    }

    /// Entries that this host sent and whose answers it never saw: they may land late.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Format`].
    pub(crate) fn sent(&self) -> Result<Vec<ChainHead>, Error> {
        match files::read_file(&self.directory.join("log-sent"), KEY_FILE_BYTES_MAX) {
            Ok(file) => codec::from_cbor("log-sent", &file.bytes).map_err(|error| Error::format("log-sent", error)),
            Err(FileError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn keep_sent(&self, sent: &[ChainHead]) -> Result<(), Error> {
        Ok(files::write_secret_file(&self.directory.join("log-sent"), &codec::to_cbor(&sent.to_vec()), Replace::Whole)?)
    }

    /// The snapshots of all jobs whose index is on this host: those it committed last.
    ///
    /// # Errors
    /// [`Error::File`] when a folder cannot be read.
    pub fn indexed(&self) -> Result<std::collections::BTreeSet<SnapshotId>, Error> {
        let directory = self.directory.join("index");
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(std::collections::BTreeSet::new()),
            Err(source) => return Err(io(&directory, source)),
        };
        let mut all = std::collections::BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|source| io(&directory, source))?.file_name();
            let Some(job) = name.to_str().and_then(|name| JobName::parse(name).ok()) else { continue };
            // A run that died before it committed left its mark beside its index.
            let open = self.noted_sessions(&job)?;
            all.extend(self.indexes(&job)?.into_iter().filter(|snapshot| !open.contains(snapshot)));
        }
        Ok(all)
    }
}
