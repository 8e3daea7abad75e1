//! Repositories in folders of this machine: opened and made, with errors that name the folder and what to do about it.

use std::path::Path;

use lacre_repo::store::{Store, StoreError};

use super::explain;
use crate::error::{CliError, Kind};

/// Opens the folder of an existing repository.
///
/// # Errors
/// [`Kind::NotFound`] when it is not there; [`Kind::Usage`] for a file and for a folder that this user may not enter.
pub(super) fn open(path: &Path) -> Result<Store, CliError> {
    Store::open_local(path).map_err(|error| {
        if error.is_not_found() {
            return explain(lacre_repo::Error::NoRepository { place: path.display().to_string() }, None);
        }
        unusable(path, "cannot open a repository in", error, "--repo names the folder that `lacre init` made")
    })
}

/// Makes the folder of a new repository.
///
/// # Errors
/// [`Kind::Usage`] for a file, for a folder that holds something, and for one that this user may not enter.
pub(super) fn create(path: &Path) -> Result<Store, CliError> {
    Store::create_local(path).map_err(|error| {
        unusable(path, "cannot make a repository in", error, "choose a folder that is empty or not there yet")
    })
}

fn unusable(path: &Path, doing: &str, error: StoreError, hint: &str) -> CliError {
    let shown = path.display();
    let wrong = |what: String| CliError::new(Kind::Usage, what);
    // The file may be the path itself or anything above it.
    if let Some(file) = path.ancestors().find(|ancestor| ancestor.is_file()) {
        return wrong(format!("{doing} {shown}: {} is a file, not a folder", file.display())).hint(hint);
    }
    if matches!(error, StoreError::PermissionDenied { .. }) {
        let what = format!("{doing} {shown}: this user may not enter it (permission denied)");
        return wrong(what).hint(format!("ls -ld {shown}    (shows whose it is; run lacre as that user)"));
    }
    let error = explain(error.into(), None);
    CliError::new(error.kind(), format!("{doing} {shown}")).because(&error).hint(hint)
}
