//! `lacre copy list`: how the copies stand.

use lacre_repo::op::copy::{CopyState, CopyStatus};

use super::{findings, lag};
use crate::{
    command::streams,
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{CopyEntry, CopyListResult},
    term::table::{Align, Table},
    vault::Vault,
};

/// Shows every copy: exit 3 when one is not current.
pub(super) fn run(invocation: &Invocation, vault: &Vault) -> Result<Exit, CliError> {
    let statuses = vault.copy_status(None)?;
    let document = CopyListResult { copies: statuses.iter().map(entry).collect() };
    invocation.print(&document, |out| {
        let mut table = Table::new(&[
            ("copy", Align::Left),
            ("state", Align::Left),
            ("behind by", Align::Right),
            ("to send", Align::Right),
            ("seal", Align::Right),
            ("last sync", Align::Left),
        ])
        .lowers("seal")
        .lowers("to send");
        for (copy, status) in document.copies.iter().zip(&statuses) {
            table.row([
                copy.name.clone(),
                copy.state.clone(),
                lag(status),
                human::bytes(copy.lag_bytes),
                copy.generation.map_or_else(|| "-".to_owned(), |number| number.to_string()),
                status.synced.map_or_else(|| "never".to_owned(), |at| human::time(streams::moment(at))),
            ]);
        }
        table.write(out)?;
        statuses.iter().try_for_each(|status| findings::write(&status.findings, out))
    })?;
    let all_current = statuses.iter().all(|status| status.state == CopyState::Current);
    let found: Vec<_> = statuses.into_iter().flat_map(|status| status.findings).collect();
    Ok(if all_current { findings::exit(&found) } else { Exit::Findings })
}

fn entry(status: &CopyStatus) -> CopyEntry {
    CopyEntry {
        name: status.name.clone(),
        state: status.state.name().to_owned(),
        lag_snapshots: status.lag_snapshots,
        lag_objects: status.lag_objects,
        lag_records: status.lag_records,
        lag_bytes: status.lag_bytes,
        generation: status.generation.map(|generation| generation.number),
        last_sync: status.synced.map(streams::rfc3339),
        findings: findings::entries(&status.findings),
    }
}
