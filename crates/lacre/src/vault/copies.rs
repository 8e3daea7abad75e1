//! Configured copies: from `[[copy]]` to an opened store.
//!
//! In: a name or a place, and the settings. Out: the copy's settings and its store, opened with the copy's own keys. It must not know
//! what is copied.

use lacre_repo::{
    Finding, Severity,
    op::copy::{CopyPlace, CopyState, CopyStatus},
    store::{Store, StoreError},
};

use super::{Vault, bucket, explain, folder};
use crate::{
    cli::value::StoreUrl,
    config::{self, CopySettings, Settings},
    error::{CliError, Kind},
    invocation::Invocation,
};

/// The configured copy with this name.
///
/// # Errors
/// [`Kind::Usage`] with the names there are.
pub(super) fn copy_named<'s>(name: &str, settings: &'s Settings) -> Result<&'s CopySettings, CliError> {
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
pub(super) fn open_copy(copy: &CopySettings, settings: &Settings) -> Result<Store, CliError> {
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
pub(super) fn open_copy_folder(copy: &CopySettings, settings: &Settings) -> Result<Store, CliError> {
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

/// Whether the folder of a copy is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Making {
    /// Never: the copy is only looked at.
    Never,
    /// If this host never brought a copy there: an empty place where one was is not filled again.
    FirstTime,
    /// Always: a person says that the copy begins anew.
    Always,
}

/// Configured copies: those that could be opened, and how the others stand.
#[derive(Default)]
pub struct OpenedCopies {
    /// Opened.
    pub places: Vec<CopyPlace>,
    /// Not opened, and why.
    pub closed: Vec<CopyStatus>,
}

impl Vault {
    /// Opens the configured copies, or the one with this name. One that cannot be opened keeps no other from being opened.
    ///
    /// # Errors
    /// [`Kind::Usage`] when no copy has this name.
    pub fn open_copies(&self, only: Option<&str>, making: Making) -> Result<OpenedCopies, CliError> {
        let chosen = match only {
            Some(name) => vec![copy_named(name, &self.settings)?],
            None => self.settings.copies.iter().collect(),
        };
        let mut opened = OpenedCopies { places: Vec::new(), closed: Vec::new() };
        for copy in chosen {
            let note = self.repository.home().copy_note(copy.name.as_str()).map_err(|error| self.explain(error))?;
            let store = match (making, note) {
                (Making::Always, _) | (Making::FirstTime, None) => open_copy_folder(copy, &self.settings),
                (Making::Never, _) | (Making::FirstTime, Some(_)) => open_copy(copy, &self.settings),
            };
            match store {
                Ok(store) => opened.places.push(CopyPlace { name: copy.name.to_string(), store }),
                Err(error) => opened.closed.push(closed(copy, &error, note.map(|note| note.synced))),
            }
        }
        Ok(opened)
    }

    /// How the configured copies stand beside the repository, or the one with this name; nothing is written.
    ///
    /// # Errors
    /// [`Kind::Usage`] when no copy has this name; errors of the repository's own store.
    pub fn copy_status(&self, only: Option<&str>) -> Result<Vec<CopyStatus>, CliError> {
        let opened = self.open_copies(only, Making::Never)?;
        let mut all = self.repository.copy_status(&opened.places).map_err(|error| self.explain(error))?;
        all.extend(opened.closed);
        Ok(all)
    }
}

/// The status of a copy whose store could not be opened.
fn closed(copy: &CopySettings, error: &CliError, synced: Option<lacre_format::ids::Millis>) -> CopyStatus {
    let is_absent = error.kind() == Kind::NotFound;
    let (state, what) = match (is_absent, synced) {
        (true, None) => (CopyState::Empty, format!("nothing was ever copied to {}", copy.url)),
        (true, Some(_)) => (CopyState::Missing, format!("a copy was in {} and nothing is there now", copy.url)),
        (false, _) => (CopyState::Unreachable, error.message()),
    };
    let advice = match (state, error.hints().first()) {
        (CopyState::Empty, _) => format!("lacre copy sync {}", copy.name),
        (CopyState::Missing, _) => {
            format!("mount its disk; or, if it is lost: lacre copy sync {} --begin-anew", copy.name)
        }
        (_, Some(hint)) => hint.clone(),
        (_, None) => format!("lacre copy sync {}    (tries again)", copy.name),
    };
    CopyStatus {
        name: copy.name.to_string(),
        state,
        lag_snapshots: 0,
        lag_objects: 0,
        lag_records: 0,
        lag_bytes: 0,
        generation: None,
        synced,
        findings: vec![Finding::new(Severity::Warning, what, &copy.name, advice)],
    }
}

/// The repository that the configuration file names, whatever flags and environment say.
///
/// # Errors
/// [`Kind::Configuration`] for any mistake in the file.
pub fn configured_repository(invocation: &Invocation) -> Result<Option<StoreUrl>, CliError> {
    let mut global = invocation.global.clone();
    global.repo = None;
    let file = invocation.config_file()?;
    Ok(config::settle(&file, &global, &invocation.origins)?.repository)
}
