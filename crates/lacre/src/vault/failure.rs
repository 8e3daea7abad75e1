//! Errors of the vault and the PostgreSQL driver in the words and exit codes of the command line.
//!
//! In: a typed error and what this host's files are called. Out: a [`CliError`] with the next command to type.

use std::path::Path;

use lacre_format::FormatError;
use lacre_repo::{Error, Kind as VaultKind, cell::CellError, store::StoreError};

use crate::{
    driver::postgres::{
        error::{Error as DriverError, Kind as DriverKind},
        vault::vault_error,
    },
    error::{CliError, Kind},
};

/// Turns an error of the vault into one for people; `home` is this host's folder for the repository, once it is known.
pub fn explain(error: Error, home: Option<&Path>) -> CliError {
    if let Error::Sink(source) = &error {
        return CliError::io("the output could not be written", source);
    }
    let kind = match error.kind() {
        VaultKind::Damaged if is_of_another_version(&error) => Kind::Usage,
        // Nothing in the repository is damaged, and exit 4 would say so.
        VaultKind::Damaged if is_damaged_own_file(&error) => Kind::NoKey,
        VaultKind::Usage => Kind::Usage,
        VaultKind::NotFound | VaultKind::NoRepository => Kind::NotFound,
        VaultKind::Conflict => Kind::Conflict,
        VaultKind::Unavailable => Kind::Unavailable,
        VaultKind::NoKey => Kind::NoKey,
        VaultKind::Damaged => Kind::Damaged,
        VaultKind::SourceFailed => Kind::SourceFailed,
        VaultKind::Refused => Kind::Refused,
        VaultKind::Io => Kind::Io,
        VaultKind::Interrupted => Kind::Interrupted,
        _ => Kind::Bug,
    };
    let what = match &error {
        Error::Interrupted => "interrupted; unfinished work never became visible".to_owned(),
        Error::NoIdentity { snapshot, identities: 0 } => format!("no identity is at hand to open snapshot {snapshot}"),
        other => other.to_string(),
    };
    let rephrased = matches!(error, Error::Interrupted | Error::NoIdentity { .. });
    let shown = CliError::new(kind, what);
    let shown = if rephrased { shown } else { shown.because(&error) };
    hints(&error, home).into_iter().fold(shown, CliError::hint)
}

/// A repository of another format version is whole; this program is the wrong one for it.
fn is_of_another_version(error: &Error) -> bool {
    matches!(error, Error::Format { source: FormatError::BadVersion { .. }, .. })
}

fn is_damaged_own_file(error: &Error) -> bool {
    matches!(error, Error::Format { object, .. } if is_own_file(object))
}

/// Files of this host, which errors name without a folder; objects of the store have other names.
fn is_own_file(object: &str) -> bool {
    matches!(object, "writer.key" | "admin.key" | "maintenance.key" | "joining key" | "pin")
}

fn hints(error: &Error, home: Option<&Path>) -> Vec<String> {
    let file = |name: &str| home.map_or_else(|| name.to_owned(), |home| home.join(name).display().to_string());
    let one = |text: String| vec![text];
    match error {
        Error::Refused { why } => refusal_hints(why),
        Error::Store(StoreError::Remote { cause, .. }) => one(cause.advice()),
        Error::Store(StoreError::ReadOnly { .. }) => one(
            "nothing was written: the disk is mounted read-only, or read_only = true in lacre.toml (lacre config show)"
                .to_owned(),
        ),
        Error::NoRepository { place } => vec![
            "is its disk mounted? check --repo, LACRE_REPO or repository = \"...\" in lacre.toml".to_owned(),
            format!("lacre --repo {place} init    (creates one)"),
        ],
        Error::AlreadyThere { place } => one(format!("lacre --repo {place} snapshots    (shows what is in it)")),
        Error::KeyMissing { what } if what.contains("writer.key") => {
            vec![
                format!("the file belongs at {} (mode 0600)", file("writer.key")),
                "a machine that never had one asks for it: lacre key request".to_owned(),
            ]
        }
        Error::KeyMissing { what } if what.contains("admin.key") => {
            one(format!("run this on the admin's machine, or bring the file back to {} (mode 0600)", file("admin.key")))
        }
        Error::KeyMissing { .. } => {
            one(format!("bring back {}, or open a snapshot with --identity FILE and the seal", file("writer.key")))
        }
        Error::NoSeal { .. } => vec![
            format!(
                "bring back the seal cell (by default {}) or name it in [seal] cells of lacre.toml",
                file("seal.cell")
            ),
            "or use the printed recovery kit: --kit FILE (--kit - reads it from standard input)".to_owned(),
        ],
        Error::Cell { source, .. } => cell_hints(source),
        Error::NoIdentity { .. } => one(format!(
            "give the recipient's private key with --identity FILE; if no recipient was named, the machine where `lacre init` ran had one at {}",
            file("identity.txt")
        )),
        Error::NoSnapshot { .. } => one("lacre snapshots    (lists them)".to_owned()),
        Error::Ambiguous { .. } => one("type more of the id; lacre snapshots lists them".to_owned()),
        Error::NoStream { snapshot, .. } => one(format!("lacre ls {}", short(&snapshot.to_string()))),
        Error::Forgotten { snapshot } => one(format!("lacre forget --undo {}", short(&snapshot.to_string()))),
        Error::Reclaimed { .. } => one("lacre snapshots    (lists what there is)".to_owned()),
        Error::Busy { .. } => one("wait until it has ended, then run this again".to_owned()),
        Error::Overtaken { why } if why.contains("revoked") => {
            one("nothing was committed; ask the admin (lacre key list shows who is enrolled)".to_owned())
        }
        Error::Overtaken { .. } => one("run it again; nothing was committed".to_owned()),
        Error::Format { object, .. } if is_own_file(object) => vec![
            format!(
                "the repository is not affected: {} is a file of this host that was changed or cut off",
                file(object)
            ),
            "bring it back from a copy of this host's LACRE_HOME, or work from a host that has its own".to_owned(),
        ],
        other if is_of_another_version(other) => {
            one("use the version of Lacre that made it, or a newer one".to_owned())
        }
        Error::Cache { path, .. } => {
            one(format!("it is only a cache: make room on its disk, or remove {} and run this again", path.display()))
        }
        Error::PackDamaged { .. } | Error::PackMissing { .. } | Error::Damaged { .. } | Error::Format { .. } => {
            one("lacre repo check --read-data    (tells the extent; delete nothing before)".to_owned())
        }
        _ => Vec::new(),
    }
}

fn refusal_hints(why: &str) -> Vec<String> {
    let hints = [
        ("revoked", "lacre key request    (asks the admin to enrol this machine with a new key)"),
        ("not enrolled", "lacre key request    (asks the admin to enrol this machine with a new key)"),
        ("--allow-empty", "add --allow-empty if that is right"),
        ("--allow-shrink", "look at the source; add --allow-shrink if that is right"),
        ("seal cell", "name a place elsewhere, such as file:/other/disk/seal"),
    ];
    let found = hints.iter().find(|(words, _)| why.contains(words));
    found.map(|(_, hint)| (*hint).to_owned()).into_iter().collect()
}

fn cell_hints(source: &CellError) -> Vec<String> {
    let way = match source {
        CellError::Untrue(_) => {
            let forgets = "use a place that can forget: a bucket without default retention and keys that may delete versions, or a command that destroys every version";
            return vec![forgets.to_owned()];
        }
        CellError::Store(StoreError::Remote { cause, .. }) => cause.advice(),
        CellError::NoWay(_) => {
            "the keys of a cell belong into [credential.NAME] of lacre.toml, on an admin's machine only".to_owned()
        }
        _ => "run the command by hand with the verb `list`, and see docs/CELLS.md".to_owned(),
    };
    vec![way, "or use a printed recovery kit: --kit FILE; or replace the cell: lacre seal move-cell".to_owned()]
}

/// The first characters of an id, as people type them.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// Turns an error of the PostgreSQL driver into one for people.
pub fn explain_driver(error: DriverError, role: Role, home: Option<&Path>) -> CliError {
    let error = match vault_error(error) {
        Ok(vault) => return explain(*vault, home),
        Err(error) => error,
    };
    let kind = match (error.kind(), role) {
        (DriverKind::Usage, _) => Kind::Usage,
        (DriverKind::Interrupted, _) => Kind::Interrupted,
        (_, Role::Source) | (DriverKind::SourceFailed, _) => Kind::SourceFailed,
        (DriverKind::NotFound, Role::Target) => Kind::Usage,
        // Trying again does not help before somebody has changed something.
        (DriverKind::Denied, Role::Target) => Kind::Configuration,
        (DriverKind::Unavailable, Role::Target) => Kind::Unavailable,
        (DriverKind::Refused, Role::Target) => Kind::Refused,
        (DriverKind::Damaged, Role::Target) => Kind::Damaged,
        (DriverKind::Failed, Role::Target) => Kind::Io,
    };
    let shown = CliError::new(kind, error.to_string()).because(&error);
    match error.hint() {
        Some(hint) => shown.hint(hint),
        None => shown,
    }
}

/// What the database is to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is backed up.
    Source,
    /// It is restored into.
    Target,
}
