//! The way into the vault: store, home, keys and progress, put together from flags, environment and configuration.
//!
//! In: an [`Invocation`]. Out: an open repository, the keys at hand, a monitor; and every error of the vault in the words and exit
//! codes of the command line. It must not know what a command does with them.

mod bucket;
mod cells;
mod copies;
mod failure;
mod folder;
mod keys;
mod profile;
mod watch;

use std::{path::PathBuf, sync::Arc};

use jiff::Zoned;
use lacre_format::ids::SnapshotId;
use lacre_repo::{
    Look, Repository, SystemClock,
    home::Home,
    op::{keys::ReadKeys, read::Snapshot},
    store::Store,
    view::View,
};

use self::copies::{copy_named, open_copy};
pub use self::{
    cells::CellWay,
    copies::{Making, OpenedCopies, configured_repository, copy_at},
    failure::{Role, explain, explain_driver, short},
    keys::{identity_at_hand, new_passphrase, parse_cells, read_sheets},
    watch::{Watching, watching},
};
use crate::{
    cli::value::{SnapshotName, StoreUrl},
    config::Settings,
    error::{CliError, Kind},
    invocation::Invocation,
};

/// An open repository with the settings of this run.
pub struct Vault {
    /// The repository.
    pub repository: Repository,
    /// The settings.
    pub settings: Settings,
    /// Where the store lies, for messages.
    pub place: StoreUrl,
    /// The way to seal cells that are not files of this host.
    pub cells: Arc<CellWay>,
}

impl Vault {
    /// Opens the repository this run names, and warns about key files that others may read. A configured copy is opened for reading:
    /// what is written to a copy by itself makes it another repository.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] when there is none; otherwise what the store or the home say.
    pub fn open(invocation: &Invocation) -> Result<Vault, CliError> {
        Vault::with(invocation, invocation.settings()?)
    }

    /// As [`Vault::open`], with settings that are at hand.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn with(invocation: &Invocation, settings: Settings) -> Result<Vault, CliError> {
        let place = invocation.repository(&settings)?;
        let store = open_store(&place, &settings)?;
        let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
        let cells = CellWay::new(&settings, &invocation.interrupt);
        let clock = Arc::new(SystemClock);
        let store = if settings.read_only { store.read_only() } else { store };
        let opened = match copy_at(&place, &settings) {
            Some(copy) => Repository::open_copy(store, &home, clock, copy.name.as_str()),
            None => Repository::open(store, &home, clock),
        };
        let repository = opened
            .map_err(|error| explain(error, None))?
            .with_cells(Arc::clone(&cells) as Arc<dyn lacre_repo::cell::CellReach>)
            .with_parity(settings.parity);
        for finding in repository.home().exposed() {
            invocation.terminal.warn(&format!("{}: {}; {}", finding.object, finding.what, finding.advice));
        }
        Ok(Vault { repository, settings, place, cells })
    }

    /// Turns an error of the vault into one for people, naming the files of this host it is about.
    pub fn explain(&self, error: lacre_repo::Error) -> CliError {
        explain(error, Some(self.repository.home().directory()))
    }

    /// What the store holds now.
    ///
    /// # Errors
    /// Those of the store, and damage of the policy.
    pub fn look(&self) -> Result<Look, CliError> {
        self.repository.look().map_err(|error| self.explain(error))
    }

    /// Finds the snapshot a person named.
    ///
    /// # Errors
    /// [`crate::error::Kind::NotFound`] for none, [`crate::error::Kind::Usage`] for several.
    pub fn resolve(&self, name: &SnapshotName) -> Result<SnapshotId, CliError> {
        self.repository.resolve(&name.to_string(), &Zoned::now()).map_err(|error| self.explain(error))
    }

    /// Finds the snapshot a person named, and gathers the keys at hand. On a machine that has only a kit and an identity, names of jobs can be
    /// read only once a root was opened with them.
    ///
    /// # Errors
    /// As [`Vault::resolve`] and [`Vault::read_keys`].
    pub fn resolve_with_keys(
        &self,
        invocation: &Invocation,
        name: &SnapshotName,
        sheets: &[PathBuf],
    ) -> Result<(SnapshotId, ReadKeys), CliError> {
        self.named(invocation, &self.look()?, name, sheets)
    }

    fn named(
        &self,
        invocation: &Invocation,
        look: &Look,
        name: &SnapshotName,
        sheets: &[PathBuf],
    ) -> Result<(SnapshotId, ReadKeys), CliError> {
        let gather = || keys::gather(self, invocation, sheets, &look.view.policy);
        let name = name.to_string();
        let mut keys = None;
        if self.repository.needs_keys_for(&name) {
            let gathered = gather()?;
            self.repository.learn_from_roots(&look.view, &gathered).map_err(|error| self.explain(error))?;
            keys = Some(gathered);
        }
        let found = self.repository.resolve_at(&look.view, &name, &Zoned::now());
        let snapshot = found.map_err(|error| self.explain(error))?;
        Ok((snapshot, keys.map_or_else(gather, Ok)?))
    }

    /// Whether a person is being erased from a snapshot, and which snapshot replaces it, if that is made already.
    ///
    /// # Errors
    /// Those of the store.
    pub fn covered(&self, snapshot: SnapshotId) -> Result<Option<Option<SnapshotId>>, CliError> {
        let view = self.repository.view().map_err(|error| self.explain(error))?;
        let covered = view.persons.covered.contains_key(&snapshot);
        Ok(covered.then(|| view.persons.successors.get(&snapshot).copied()))
    }

    /// Opens the snapshot a person named with the keys at hand, in whatever state it is, from one look at the store.
    ///
    /// # Errors
    /// As [`Vault::resolve`], [`Vault::read_keys`] and the vault's own.
    pub fn open_any(
        &self,
        invocation: &Invocation,
        name: &SnapshotName,
        sheets: &[PathBuf],
    ) -> Result<Snapshot<'_>, CliError> {
        self.open_named(invocation, name, sheets, |_, _| Ok(()))
    }

    /// As [`Vault::open_any`], but refuses a snapshot that is no longer kept: it may be brought back first, and is not handed out meanwhile.
    ///
    /// # Errors
    /// As [`Vault::open_any`]; [`crate::error::Kind::Refused`] with the command that brings it back.
    pub fn open_kept(
        &self,
        invocation: &Invocation,
        name: &SnapshotName,
        sheets: &[PathBuf],
    ) -> Result<Snapshot<'_>, CliError> {
        self.open_named(invocation, name, sheets, |view, snapshot| self.refuse_forgotten(view, snapshot))
    }

    fn open_named(
        &self,
        invocation: &Invocation,
        name: &SnapshotName,
        sheets: &[PathBuf],
        allowed: impl Fn(&View, SnapshotId) -> Result<(), CliError>,
    ) -> Result<Snapshot<'_>, CliError> {
        let look = self.look()?;
        let (snapshot, keys) = self.named(invocation, &look, name, sheets)?;
        allowed(&look.view, snapshot)?;
        let opened = self.repository.open_at(&look, snapshot, &keys).map_err(|error| self.explain(error))?;
        if look.view.ledger.standing_persons().next().is_some() {
            // What such an erasure covers, a host without keys of its own can tell only now.
            allowed(&self.repository.view().map_err(|error| self.explain(error))?, snapshot)?;
        }
        Ok(opened)
    }

    /// Opens a snapshot that is kept.
    ///
    /// # Errors
    /// As [`Vault::open_kept`].
    pub fn open_id(&self, snapshot: SnapshotId, keys: &ReadKeys) -> Result<Snapshot<'_>, CliError> {
        let look = self.look()?;
        self.refuse_forgotten(&look.view, snapshot)?;
        self.repository.open_at(&look, snapshot, keys).map_err(|error| self.explain(error))
    }

    fn refuse_forgotten(&self, view: &View, snapshot: SnapshotId) -> Result<(), CliError> {
        if view.forgotten.contains(&snapshot) {
            return Err(self.explain(lacre_repo::Error::Forgotten { snapshot }));
        }
        if view.ledger.dropped().contains(&snapshot) && view.erased.contains(&snapshot) {
            return Err(self.explain(lacre_repo::Error::Erased { snapshot }));
        }
        if view.persons.covered.contains_key(&snapshot) {
            let what = format!("a person is being erased from snapshot {}", short(&snapshot.to_string()));
            return Err(CliError::new(Kind::Refused, what).hint(
                "lacre erase status names the erasure; lacre restore --accept-erasing hands it out without that person",
            ));
        }
        if view.erased.contains(&snapshot) {
            let what = format!("snapshot {} is about to be erased", short(&snapshot.to_string()));
            return Err(CliError::new(Kind::Refused, what)
                .hint("lacre erase status names the erasure; lacre erase cancel gives it up"));
        }
        Ok(())
    }

    /// Gathers the identities, kits and cells at hand.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoKey`] for a named identity that cannot be read or unlocked; [`crate::error::Kind::Usage`] for a kit that cannot be read.
    pub fn read_keys(&self, invocation: &Invocation, sheets: &[PathBuf]) -> Result<ReadKeys, CliError> {
        let view = self.repository.view().map_err(|error| self.explain(error))?;
        keys::gather(self, invocation, sheets, &view.policy)
    }
}

/// Opens the copy of the repository that a person named, by the name it has in lacre.toml or by its URL.
///
/// # Errors
/// [`crate::error::Kind::Usage`] for what is neither; otherwise as [`open_store`].
pub fn open_copy_named(named: &str, settings: &Settings) -> Result<Store, CliError> {
    if let Ok(copy) = copy_named(named, settings) {
        return open_copy(copy, settings);
    }
    let place: StoreUrl = named.parse().map_err(|error| {
        CliError::new(Kind::Usage, format!("{named:?} names no copy: {error}"))
            .hint("write the name of a [[copy]] in lacre.toml, or a URL: /path, s3://bucket/prefix or b2://bucket/prefix?region=R")
    })?;
    open_store(&place, settings)
}

/// Opens the store of an existing repository.
///
/// # Errors
/// [`crate::error::Kind::NotFound`] when the folder is not there; [`crate::error::Kind::Usage`] for a bucket that cannot be reached with what is given.
pub fn open_store(place: &StoreUrl, settings: &Settings) -> Result<Store, CliError> {
    match place {
        StoreUrl::Folder(path) => folder::open(path),
        // A copy that is read directly is opened with its own keys, not with those of the repository.
        StoreUrl::Remote(url) => match copy_at(place, settings) {
            Some(copy) => bucket::open(url, copy.credentials.as_deref(), settings),
            None => bucket::open(url, settings.credentials.as_deref(), settings),
        },
        StoreUrl::Memory => Ok(Store::memory()),
    }
}

/// Opens or makes the store of a repository that is about to be created.
///
/// # Errors
/// [`crate::error::Kind::Usage`] for a folder that holds something else, and for a bucket that cannot be reached with what is given.
pub fn create_store(place: &StoreUrl, settings: &Settings) -> Result<Store, CliError> {
    match place {
        // A folder that holds a repository is opened, so that the vault itself says so.
        StoreUrl::Folder(path) if path.join("lacre.json").exists() => open_store(place, settings),
        StoreUrl::Folder(path) => folder::create(path),
        StoreUrl::Remote(_) | StoreUrl::Memory => open_store(place, settings),
    }
}
