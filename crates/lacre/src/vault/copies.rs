//! Configured copies: from `[[copy]]` to an opened store.
//!
//! In: a name or a place, and the settings. Out: the copy's settings and its store, opened with the copy's own keys. It must not know
//! what is copied.

use lacre_repo::store::{Store, StoreError};

use super::{bucket, explain, folder};
use crate::{
    cli::value::StoreUrl,
    config::{CopySettings, Settings},
    error::{CliError, Kind},
};

/// The configured copy with this name.
///
/// # Errors
/// [`Kind::Usage`] with the names there are.
pub fn copy_named<'s>(name: &str, settings: &'s Settings) -> Result<&'s CopySettings, CliError> {
    settings.copies.iter().find(|copy| copy.name.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = settings.copies.iter().map(|copy| copy.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CliError::new(Kind::Usage, format!("no copy is named {name:?}; lacre.toml has {known}"))
            .hint("a copy is a [[copy]] table in lacre.toml with name, url and credentials")
    })
}

/// The configured copy at this place, unless the configuration calls the place the repository.
pub fn copy_at<'s>(place: &StoreUrl, settings: &'s Settings) -> Option<&'s CopySettings> {
    settings.copies.iter().find(|copy| copy.url == *place)
}

/// Opens the store of a copy that is there, with the copy's own keys.
///
/// # Errors
/// [`Kind::NotFound`] when its folder is not there; [`Kind::Configuration`] and [`Kind::Usage`] for a bucket that cannot be reached with
/// what is given.
pub fn open_copy(copy: &CopySettings, settings: &Settings) -> Result<Store, CliError> {
    match &copy.url {
        StoreUrl::Folder(path) => folder::open(path),
        StoreUrl::Remote(url) => bucket::open(url, copy.credentials.as_deref(), settings),
        StoreUrl::Memory => Ok(Store::memory()),
    }
}

/// As [`open_copy`]; a folder that is not there is made, but not the folder it lies in: a disk that is not mounted is not written around.
///
/// # Errors
/// As [`open_copy`].
pub fn open_copy_folder(copy: &CopySettings, settings: &Settings) -> Result<Store, CliError> {
    let StoreUrl::Folder(path) = &copy.url else { return open_copy(copy, settings) };
    let parent_is_there = path.parent().is_some_and(std::path::Path::is_dir);
    match Store::open_local(path) {
        Ok(store) => Ok(store),
        Err(StoreError::NotFound { .. }) if parent_is_there => folder::create(path),
        Err(error @ StoreError::NotFound { .. }) => {
            let what = format!("the folder in which {} should lie is not there", path.display());
            Err(CliError::new(Kind::Unavailable, what).because(&error).hint("mount the disk of the copy"))
        }
        Err(error) => Err(explain(error.into(), None)),
    }
}
