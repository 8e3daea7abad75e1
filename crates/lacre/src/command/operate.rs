//! What the night, `status` and the daemon share: a repository judged, and its metrics written.

use lacre_repo::op::{stats::Stored, status::Status};

use super::backup;
use crate::{
    cli::value::StoreUrl,
    config::Settings,
    error::CliError,
    invocation::Invocation,
    metrics,
    notify::announce,
    run::turn,
    status::{Evidence, Report, Running, disk},
    vault::{Making, OpenedCopies, Vault, copy_at},
};

/// Judges what the repository says by the thresholds of the configuration.
pub(crate) fn judge(vault: &Vault, status: &Status) -> Report {
    let disk = match &vault.place {
        StoreUrl::Folder(path) => disk::space(path).ok(),
        StoreUrl::Remote(_) | StoreUrl::Memory => None,
    };
    let running = match turn::is_taken(vault.repository.home().directory()) {
        true => Running::UnderWay,
        false => Running::Over,
    };
    Report::of(&Evidence { status, settings: &vault.settings, disk, running })
}

/// What the repository says, and how its configured copies stand: one listing of each. A copy that is looked at itself has none.
///
/// # Errors
/// Those of the vault; a copy that cannot be reached is a finding of its own status.
pub(crate) fn look(vault: &Vault) -> Result<Status, CliError> {
    let copies = copies_beside(vault)?;
    let mut status = vault.repository.status_beside(&copies.places).map_err(|error| vault.explain(error))?;
    status.copies.extend(copies.closed);
    Ok(status)
}

/// The same, and how much lies in the store; copies are looked at if they are asked about.
///
/// # Errors
/// As [`look`].
pub(crate) fn look_and_count(vault: &Vault, copies: Copies) -> Result<(Status, Stored), CliError> {
    let copies = match copies {
        Copies::Looked => copies_beside(vault)?,
        Copies::Left => OpenedCopies::default(),
    };
    let seen = vault.repository.status_and_stored(&copies.places);
    let (mut status, stored) = seen.map_err(|error| vault.explain(error))?;
    status.copies.extend(copies.closed);
    Ok((status, stored))
}

fn copies_beside(vault: &Vault) -> Result<OpenedCopies, CliError> {
    match copy_at(&vault.place, &vault.settings) {
        Some(_) => Ok(OpenedCopies::default()),
        None => vault.open_copies(None, Making::Never),
    }
}

/// Whether the configured copies are looked at, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// They are: a listing of each.
    Looked,
    /// They are not.
    Left,
}

/// Replaces the metrics file, where one is configured.
///
/// # Errors
/// What the system says, with the file's name.
pub(crate) fn write_metrics(settings: &Settings, report: &Report) -> Result<(), String> {
    let Some(path) = &settings.operate.textfile else { return Ok(()) };
    metrics::write_file(path, &metrics::text(&report.metrics)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Tells at once of an erasure that was just signed here; a night or a look at the status on another machine tells of it as well.
pub(crate) fn tell_erasures(invocation: &Invocation, vault: &Vault) {
    let notify = &vault.settings.operate.notify;
    if notify.is_empty() {
        return;
    }
    match vault.repository.status() {
        Ok(status) => {
            let mut memory = announce::memory(&vault.settings);
            let deliveries = backup::tell_erasures(notify, &mut memory, &status);
            announce::keep(invocation, &memory);
            announce::warn(invocation, &deliveries);
        }
        Err(error) => {
            let error = vault.explain(error);
            invocation.terminal.warn(&format!("nobody could be told of the erasure: {}", error.message()));
        }
    }
}
