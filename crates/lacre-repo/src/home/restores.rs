//! Restores that the repository's log does not know of yet: they read a copy, in which nothing is recorded, or the log took nothing from
//! this host.
//!
//! In: beginnings and ends. Out: for each restore how much of it the log is still to be told. A file below `restores/` for each, whose
//! ending says how far it is; it is gone once the log knows the end. It must not know where the snapshot was read.

use std::{fs, path::PathBuf};

use lacre_format::ids::{Digest, SnapshotId, Token};

use super::{RepositoryHome, io};
use crate::{
    error::Error,
    files::{self, LockFile, Replace},
    limits::{LOCK_PATIENCE, RESTORES_NOTED_MAX},
};

/// What the log is still to be told of a restore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Untold {
    /// That it began; it has not ended.
    Begin,
    /// Nothing before it ends.
    Nothing,
    /// That it ended.
    End,
    /// That it began, and that it ended.
    Both,
}

impl Untold {
    const ALL: [Self; 4] = [Self::Begin, Self::Nothing, Self::End, Self::Both];

    const fn ending(self) -> &'static str {
        match self {
            Self::Begin => "begun",
            Self::Nothing => "open",
            Self::End => "closing",
            Self::Both => "ended",
        }
    }

    /// Whether the restore has not ended, as far as this home knows.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Begin | Self::Nothing)
    }

    /// What is untold once the log knows that it began.
    pub(crate) const fn told_of_begin(self) -> Option<Self> {
        match self {
            Self::Begin | Self::Nothing => Some(Self::Nothing),
            Self::Both | Self::End => Some(Self::End),
        }
    }

    /// What is untold once the restore has ended.
    pub(crate) const fn ended(self) -> Self {
        match self {
            Self::Begin | Self::Both => Self::Both,
            Self::Nothing | Self::End => Self::End,
        }
    }
}

/// A restore that is noted in this home.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct NotedRestore {
    pub(crate) snapshot: SnapshotId,
    pub(crate) token: Token,
    pub(crate) untold: Untold,
}

impl RepositoryHome {
    fn restores(&self) -> PathBuf {
        self.directory().join("restores")
    }

    fn restore_path(&self, noted: &NotedRestore) -> PathBuf {
        self.restores().join(format!("{}-{}.{}", noted.snapshot, noted.token, noted.untold.ending()))
    }

    /// Notes what the log is still to be told of a restore, durably.
    pub(crate) fn note_restore(&self, snapshot: SnapshotId, token: Token, untold: Untold) -> Result<(), Error> {
        files::create_private_directory(&self.restores())?;
        let noted = NotedRestore { snapshot, token, untold };
        Ok(files::write_secret_file(&self.restore_path(&noted), b"", Replace::Never)?)
    }

    /// What is noted, restores whose end is known first. Other files are nobody's and stay.
    pub(crate) fn noted_restores(&self) -> Result<Vec<NotedRestore>, Error> {
        let entries = match fs::read_dir(self.restores()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io(&self.restores(), source)),
        };
        let mut noted = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| io(&self.restores(), source))?.file_name();
            noted.extend(name.to_str().and_then(parse));
        }
        noted.sort_by_key(|noted| (noted.untold.is_open(), noted.snapshot, noted.token));
        Ok(noted)
    }

    /// Takes a step of a restore into its note, whatever others have made of it meanwhile: `step` is given what is untold and says what is
    /// left of that. A note of which nothing is left is gone.
    pub(crate) fn renote_restore(&self, token: Token, step: impl Fn(Untold) -> Option<Untold>) -> Result<(), Error> {
        let _turn = LockFile::acquire_within(&self.directory().join("restores.lock"), LOCK_PATIENCE)?;
        let Some(noted) = self.noted_restores()?.into_iter().find(|noted| noted.token == token) else { return Ok(()) };
        self.move_note(&noted, step(noted.untold))
    }

    fn move_note(&self, noted: &NotedRestore, untold: Option<Untold>) -> Result<(), Error> {
        let path = self.restore_path(noted);
        let done = match untold {
            Some(untold) => fs::rename(&path, self.restore_path(&NotedRestore { untold, ..noted.clone() })),
            None => fs::remove_file(&path),
        };
        done.map_err(|source| io(&path, source))?;
        Ok(files::sync_directory(&self.restores())?)
    }

    /// Lets go of notes that nobody was ever told, so that a host whose keys only read does not fill its disk with them.
    pub(crate) fn forget_old_restores(&self) -> Result<(), Error> {
        let told = |noted: &NotedRestore| noted.untold == Untold::Both;
        let mut over: Vec<_> = self.noted_restores()?.into_iter().filter(told).collect();
        let written =
            |noted: &NotedRestore| fs::metadata(self.restore_path(noted)).and_then(|file| file.modified()).ok();
        over.sort_by_cached_key(written);
        let excess = over.len().saturating_sub(RESTORES_NOTED_MAX);
        over.iter().take(excess).try_for_each(|noted| self.renote_restore(noted.token, |_| None))
    }
}

impl RepositoryHome {
    fn refusal(&self) -> PathBuf {
        self.directory().join("log-refused")
    }

    /// Remembers that the log takes nothing written with these keys of the store, so that not every restore tries it again.
    pub(crate) fn keep_refusal(&self, keys: Digest) -> Result<(), Error> {
        Ok(files::write_secret_file(&self.refusal(), keys.as_bytes(), Replace::Whole)?)
    }

    /// Whether the log took nothing written with these keys when that was last tried.
    pub(crate) fn was_refused(&self, keys: Digest) -> bool {
        files::read_file(&self.refusal(), Digest::new([0; 32]).as_bytes().len() as u64)
            .is_ok_and(|file| file.bytes == keys.as_bytes())
    }

    /// The log took something.
    pub(crate) fn forget_refusal(&self) -> Result<(), Error> {
        match fs::remove_file(self.refusal()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io(&self.refusal(), source)),
        }
    }
}

fn parse(name: &str) -> Option<NotedRestore> {
    let (stem, ending) = name.split_once('.')?;
    let untold = Untold::ALL.into_iter().find(|untold| untold.ending() == ending)?;
    let (snapshot, token) = stem.split_once('-')?;
    Some(NotedRestore { snapshot: SnapshotId::parse(snapshot).ok()?, token: Token::parse(token).ok()?, untold })
}
