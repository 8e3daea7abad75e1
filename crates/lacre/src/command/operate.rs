//! What the night, `status` and the daemon share: a repository judged, and its metrics written.

use lacre_repo::op::status::Status;

use super::backup;
use crate::{
    cli::value::StoreUrl,
    config::Settings,
    invocation::Invocation,
    metrics,
    notify::announce,
    status::{Evidence, Report, disk},
    vault::Vault,
};

/// Judges what the repository says by the thresholds of the configuration.
pub(crate) fn judge(vault: &Vault, status: &Status) -> Report {
    let disk = match &vault.place {
        StoreUrl::Folder(path) => disk::space(path).ok(),
        StoreUrl::Remote(_) | StoreUrl::Memory => None,
    };
    Report::of(&Evidence { status, settings: &vault.settings, disk })
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
