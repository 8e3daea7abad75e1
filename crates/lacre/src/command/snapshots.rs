//! `lacre snapshots`: the list, newest last.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lacre_repo::op::snapshots::SnapshotRow;

use super::{findings, streams};
use crate::{
    cli::SnapshotsArgs,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{SnapshotEntry, SnapshotsResult},
    term::table::{Align, Table},
    vault::{Vault, short},
};

/// Lists the snapshots; findings on the way are warnings on stderr and exit 3.
///
/// # Errors
/// Those of the vault and of stdout.
pub(super) fn run(invocation: &Invocation, args: &SnapshotsArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let list = vault.repository.snapshots().map_err(|error| vault.explain(error))?;
    let of_job = |row: &&SnapshotRow| {
        let job = row.label.as_ref().map(|label| label.job.as_str());
        args.job.as_ref().is_none_or(|wanted| job == Some(wanted.as_str()))
    };
    if let Some(job) = &args.job {
        refuse_unknown(&vault, &list.rows, job.as_str())?;
    }
    let rows: Vec<SnapshotEntry> = list.rows.iter().filter(of_job).map(entry).collect();
    let document = SnapshotsResult { snapshots: rows };
    let now = Timestamp::now();
    invocation.print(&document, |out| {
        let mut table = Table::new(&[
            ("snapshot", Align::Left),
            ("job", Align::Left),
            ("time", Align::Left),
            ("age", Align::Left),
            ("size", Align::Right),
            ("rows", Align::Right),
            ("state", Align::Left),
        ])
        .drops("age")
        .lowers("rows")
        .lowers("size");
        for snapshot in &document.snapshots {
            let time: Option<Timestamp> = snapshot.time.parse().ok();
            let held = if snapshot.held { ", held" } else { "" };
            table.row([
                short(&snapshot.snapshot).to_owned(),
                snapshot.job.clone(),
                time.map_or_else(String::new, human::time),
                time.map_or_else(String::new, |time| human::ago(time, now)),
                snapshot.bytes.map_or_else(|| "?".to_owned(), human::bytes),
                snapshot.rows.map_or_else(|| "?".to_owned(), human::count),
                format!("{}{held}", snapshot.state.name()),
            ]);
        }
        table.write(out)
    })?;
    if document.snapshots.is_empty() {
        invocation.terminal.say("no snapshots yet; `lacre backup` takes the first");
    }
    for finding in &list.findings {
        invocation.terminal.warn(&format!("{}: {}; {}", finding.object, finding.what, finding.advice));
    }
    Ok(findings::exit(&list.findings))
}

/// Refuses a job that neither the configuration nor a snapshot knows, and names those they do.
///
/// # Errors
/// [`Kind::Usage`]. Where labels cannot be opened, a job that is not seen may be there: then nothing is refused.
pub(super) fn refuse_unknown<'r>(
    vault: &Vault,
    rows: impl IntoIterator<Item = &'r SnapshotRow>,
    job: &str,
) -> Result<(), CliError> {
    let mut known: BTreeSet<&str> = vault.settings.jobs.iter().map(|job| job.name.as_str()).collect();
    for row in rows {
        let Some(label) = &row.label else { return Ok(()) };
        known.insert(label.job.as_str());
    }
    if known.is_empty() || known.contains(job) {
        return Ok(());
    }
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(CliError::new(Kind::Usage, format!("no snapshot is of a job named {job}")).hint(format!("jobs here: {known}")))
}

fn entry(row: &SnapshotRow) -> SnapshotEntry {
    let label = row.label.as_ref();
    SnapshotEntry {
        snapshot: row.snapshot.to_string(),
        job: label.map_or_else(|| "?".to_owned(), |label| label.job.to_string()),
        time: streams::rfc3339(row.taken),
        bytes: label.map(|label| label.bytes),
        rows: label.map(|label| label.rows),
        state: streams::state(row.state),
        held: row.held.is_some(),
    }
}
