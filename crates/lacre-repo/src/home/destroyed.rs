//! Secret files of a home that are no longer wanted.
//!
//! In: a path. Out: that the file is overwritten and gone. It must not know what was in it.

use std::{io::Write, path::Path};

use super::{KEY_FILE_BYTES_MAX, io};
use crate::error::Error;

/// Overwrites a small secret file in place, syncs it and unlinks it. What a device keeps of old blocks is beyond any program.
pub(crate) fn destroy_file(path: &Path) -> Result<(), Error> {
    let file = std::fs::OpenOptions::new().write(true).open(path);
    match file {
        Ok(mut file) => {
            let length = file.metadata().map_err(|source| io(path, source))?.len().min(KEY_FILE_BYTES_MAX);
            let zeros = vec![0u8; usize::try_from(length).unwrap_or_default()];
            file.write_all(&zeros).and_then(|()| file.sync_all()).map_err(|source| io(path, source))?;
            std::fs::remove_file(path).map_err(|source| io(path, source))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io(path, source)),
    }
}
