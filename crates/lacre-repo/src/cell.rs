//! Cells: where the seal lives. This version keeps them in files of fixed slots, outside the repository.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use lacre_format::ids::{GenerationId, RepositoryId};
use lacre_seal::{
    cell::{SLOT_BYTES, SLOTS, SealedSlot, Slot, decode_slot, encode_slot},
    outer::SealSeed,
};
use zeroize::Zeroize;

use crate::{
    error::Error,
    files::{FileError, LockFile, SlotFile},
    limits::LOCK_PATIENCE,
};

/// Where a cell is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum CellPlace {
    /// A file of slots: `file:/path`.
    File(PathBuf),
}

impl CellPlace {
    /// Reads `file:/absolute/path` or an absolute path.
    ///
    /// # Errors
    /// [`Error::Usage`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = text.strip_prefix("file:").unwrap_or(text);
        let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        if Path::new(path).is_absolute() {
            Ok(Self::File(PathBuf::from(path)))
        } else {
            Err(Error::Usage { why: format!("{text:?} is no cell; write file:/absolute/path") })
        }
    }
}

impl fmt::Display for CellPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "file:{}", path.display()),
        }
    }
}

/// An open cell.
pub struct Cell {
    file: SlotFile,
}

impl Cell {
    /// Opens a cell, making the file if there is none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(place: &CellPlace) -> Result<Self, Error> {
        let CellPlace::File(path) = place;
        if let Some(parent) = path.parent() {
            crate::files::create_private_directory(parent)?;
        }
        Ok(Self { file: SlotFile::open_or_create(path, SLOTS)? })
    }

    /// Opens a cell if it is on this host.
    ///
    /// # Errors
    /// [`Error::File`] when it is there and cannot be read.
    pub fn open(place: &CellPlace) -> Result<Option<Self>, Error> {
        let CellPlace::File(path) = place;
        match SlotFile::open(path, SLOTS) {
            Ok(file) => Ok(Some(Self { file })),
            Err(FileError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every slot in order.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn slots(&self) -> Result<Vec<Slot>, Error> {
        let read = |slot| {
            let mut bytes = self.file.read_slot(slot)?;
            let decoded = decode_slot(bytes.as_slice());
            bytes.zeroize();
            Ok(decoded)
        };
        (0..self.file.slots()).map(read).collect()
    }

    /// The generations of a repository in this cell.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn generations(&self, repository: RepositoryId) -> Result<Vec<SealedSlot>, Error> {
        let of_repository = |slot| match slot {
            Slot::Full(full) if full.repository == repository => Some(full),
            _ => None,
        };
        Ok(self.slots()?.into_iter().filter_map(of_repository).collect())
    }

    /// Adds a generation in a free slot and reads it back; no other slot is touched.
    ///
    /// # Errors
    /// [`Error::Refused`] when no slot is free; [`Error::File`].
    pub fn add(&self, repository: RepositoryId, generation: GenerationId, seed: &SealSeed) -> Result<(), Error> {
        // Two machines or runs that add at once must not choose the same free slot.
        let _lock = LockFile::acquire_within(self.file.path(), LOCK_PATIENCE)?;
        let slots = self.slots()?;
        let Some(free) = slots.iter().position(|slot| matches!(slot, Slot::Empty)) else {
            return Err(Error::Refused { why: format!("the cell {} has no free slot", self.file.path().display()) });
        };
        let bytes = encode_slot(repository, generation, seed);
        let slot =
            bytes.as_slice().try_into().map_err(|_| Error::Bug { why: "a slot of another length".to_owned() })?;
        Ok(self.file.write_slot(free, slot)?)
    }

    /// Forgets a generation: every slot that holds it is overwritten with zeros, synced and read back. Says what was seen.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Damaged`] when a slot still holds it afterwards.
    pub fn destroy(&self, repository: RepositoryId, generation: GenerationId) -> Result<String, Error> {
        let _lock = LockFile::acquire_within(self.file.path(), LOCK_PATIENCE)?;
        let holds = |slot: &Slot| match slot {
            Slot::Full(full) => full.repository == repository && full.generation == generation,
            _ => false,
        };
        let mut overwritten = 0usize;
        for (number, slot) in self.slots()?.iter().enumerate() {
            if holds(slot) {
                self.file.write_slot(number, &[0; SLOT_BYTES])?;
                overwritten += 1;
            }
        }
        if self.slots()?.iter().any(holds) {
            return Err(Error::damaged(
                self.file.path().display(),
                format!("it still holds {generation} after it was overwritten"),
            ));
        }
        let filesystem = crate::files::filesystem_of(self.file.path()).unwrap_or_else(|_| "unknown".to_owned());
        Ok(format!(
            "{overwritten} slot(s) overwritten with zeros, synced, read back as empty; file system {filesystem}; what the device keeps of old blocks is beyond any program"
        ))
    }
}
