//! Folders in which a dump is taken apart on its way into a job that a person is being erased from.
//!
//! In: nothing. Out: an empty folder that goes with whoever took it, and what those left that were killed. A lock beside each says that its
//! owner lives. It must not know what lies in them, only that it holds whoever is being erased.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::RepositoryHome;
use crate::{
    error::Error,
    files::{self, FileError, LockFile},
    limits::IMPORT_FOLDERS_MAX,
};

/// A folder of one import, which goes when it is dropped.
#[derive(Debug)]
pub struct ImportFolder {
    path: PathBuf,
    _alone: LockFile,
}

impl ImportFolder {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ImportFolder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            // It is swept with the next import or erasure, and until then every erasure of a person waits for it.
            tracing::warn!(%error, "the folder of an import stays");
        }
    }
}

impl RepositoryHome {
    /// Takes an empty folder that no other import uses.
    ///
    /// # Errors
    /// [`Error::File`], also when more are in use than any host has.
    pub fn take_import_folder(&self) -> Result<ImportFolder, Error> {
        let mut number = 0;
        let alone = loop {
            match LockFile::acquire(&self.import_lock(number)) {
                Err(FileError::Locked { .. }) if number < IMPORT_FOLDERS_MAX => number += 1,
                acquired => break acquired?,
            }
        };
        let folder = ImportFolder { path: self.import_folder(number), _alone: alone };
        remove(&folder.path)?;
        files::create_private_directory(&folder.path)?;
        Ok(folder)
    }

    /// Removes what imports left that were killed; gives what could not be removed.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be told what there is.
    pub fn sweep_import_folders(&self) -> Result<Vec<FileError>, Error> {
        let mut failed = Vec::new();
        for number in self.import_folders()? {
            match LockFile::acquire(&self.import_lock(number)) {
                Ok(_nobody_else) => failed.extend(remove(&self.import_folder(number)).err()),
                Err(FileError::Locked { .. }) => {}
                Err(error) => failed.push(error),
            }
        }
        Ok(failed)
    }

    /// The numbers of all such folders, whether their owners live or not.
    pub(crate) fn import_folders(&self) -> Result<Vec<u32>, Error> {
        let failed = |source| FileError::Io { path: self.directory().to_owned(), action: "list", source };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(self.directory()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // A lock stays, and its name is no number.
            numbers.extend(name.to_str().and_then(|name| name.strip_prefix("import-")?.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(crate) fn import_folder(&self, number: u32) -> PathBuf {
        self.directory().join(format!("import-{number}"))
    }

    fn import_lock(&self, number: u32) -> PathBuf {
        self.directory().join(format!("import-{number}.lock"))
    }
}

fn remove(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Io { path: folder.to_owned(), action: "remove", source })
        }
        _ => Ok(()),
    }
}
