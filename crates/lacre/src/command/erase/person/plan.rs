//! What an erasure of a person will do or did, as documents and text.

use std::io;

use lacre_format::ids::{JobName, SnapshotId, Token};
use lacre_repo::op::erase::person::PersonScope;

use super::show;
use crate::{
    error::CliError,
    human,
    output::{EraseResult, ErasedEntry, ErasedTableEntry, TraceEntry},
    person::{self, Account, Search},
    term::{page::Page, table::printable},
    vault::{Vault, short},
};

/// The plan as a document that is not yet an erasure.
pub(super) fn document(
    vault: &Vault,
    scope: &PersonScope,
    search: &Search<'_>,
    account: &Account,
) -> Result<EraseResult, CliError> {
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let estimate = vault.repository.person_estimate(scope, &search.changing());
    let estimate = estimate.map_err(|error| vault.explain(error))?;
    let count = |forgotten: &[SnapshotId]| u64::try_from(forgotten.len()).unwrap_or(u64::MAX);
    let erased = scope.covered.iter().zip(&account.snapshots).map(|(row, (removed, _))| ErasedEntry {
        old: row.snapshot.to_string(),
        new: None,
        rows_removed: Some(*removed),
    });
    Ok(EraseResult {
        snapshots: erased.collect(),
        state: "planned".to_owned(),
        bytes_dead: estimate.bytes_dead,
        bytes_shared: estimate.bytes_shared,
        in_flight: scope.in_flight.iter().map(ToString::to_string).collect(),
        writers: scope
            .writers
            .iter()
            .map(|home| view.home(*home).map_or_else(|| home.short(), |entry| entry.label.clone()))
            .collect(),
        forgotten: count(&scope.forgotten),
        tables: tables_of(account),
        traces: traces_of(account),
        unsearched: account.unsearched.clone(),
        held: scope.held.iter().map(|row| row.snapshot.to_string()).collect(),
        cautions: account.cautions.iter().cloned().chain(scope.beside.iter().map(not_covered)).collect(),
        pending: scope.foreseen.iter().map(show::pending).collect(),
        bytes_read: account.bytes_read,
        ..EraseResult::default()
    })
}

/// An erasure of which only the change of the seal is missing, as a document.
pub(super) fn going_on(vault: &Vault, erasure: Token) -> Result<EraseResult, CliError> {
    let accounts = vault.repository.person_accounts(erasure).map_err(|error| vault.explain(error))?;
    let rows = accounts.iter().flat_map(|(account, _)| &account.snapshots);
    let entry = |rows: &lacre_format::erasure::ErasedRows| ErasedEntry {
        old: rows.old.to_string(),
        new: Some(rows.new.to_string()),
        rows_removed: Some(rows.removed),
    };
    Ok(EraseResult {
        erasure: Some(erasure.to_string()),
        snapshots: rows.map(entry).collect(),
        ..EraseResult::default()
    })
}

pub(super) fn tables_of(account: &Account) -> Vec<ErasedTableEntry> {
    let is_touched = |(name, tally): &(&String, &lacre_dump::closure::Tally)| {
        tally.deleted + tally.changed + tally.kept > 0 || account.bases.contains_key(*name)
    };
    let entry = |(name, tally): (&String, &lacre_dump::closure::Tally)| ErasedTableEntry {
        table: name.clone(),
        removed: tally.deleted,
        changed: tally.changed,
        kept: tally.kept,
        bases: account.bases.get(name).cloned().unwrap_or_default(),
    };
    account.tables.iter().filter(is_touched).map(entry).collect()
}

pub(super) fn traces_of(account: &Account) -> Vec<TraceEntry> {
    let entry = |(key, count): &(person::TraceKey, u64)| TraceEntry {
        place: key.place.clone(),
        column: key.column.clone(),
        identifier: key.identifier.clone(),
        form: key.form.to_owned(),
        count: *count,
    };
    account.traces.iter().map(entry).collect()
}

pub(super) fn write_nothing(document: &EraseResult, out: &mut dyn Page) -> io::Result<()> {
    let searched = human::things(document.snapshots.len(), ["snapshot", "snapshots"]);
    writeln!(out, "nothing to erase: the person is in none of {searched}; nothing was signed")?;
    writeln!(out, "what earlier erasures wait for: lacre erase status")
}

fn not_covered(job: &JobName) -> String {
    format!("snapshots of job {job} are not covered; if the same people are in it: --job {job}, too")
}

pub(super) fn write(document: &EraseResult, out: &mut dyn Page) -> io::Result<()> {
    writeln!(out, "erase one person from {}:", human::things(document.snapshots.len(), ["snapshot", "snapshots"]))?;
    for snapshot in &document.snapshots {
        let rows = snapshot.rows_removed.unwrap_or_default();
        writeln!(out, "  {}: {}", short(&snapshot.old), human::things(rows, ["row goes", "rows go"]))?;
    }
    for table in &document.tables {
        let why = if table.bases.is_empty() { String::new() } else { format!(": {}", table.bases.join("; ")) };
        writeln!(
            out,
            "  {}: {}, {}, {}{}",
            printable(&table.table),
            human::things(table.removed, ["row goes", "rows go"]),
            human::things(table.changed, ["changes", "change"]),
            human::things(table.kept, ["stays", "stay"]),
            printable(&why)
        )?;
    }
    writeln!(out, "dies in every copy:     {}", human::bytes(document.bytes_dead))?;
    writeln!(out, "stays, survivors share: {}", human::bytes(document.bytes_shared))?;
    if document.forgotten > 0 {
        writeln!(out, "forgotten snapshots that die as well: {}", document.forgotten)?;
    }
    for session in &document.in_flight {
        writeln!(out, "will be void: the backup {} that is running now", short(session))?;
    }
    for trace in &document.traces {
        let column = trace.column.as_deref().unwrap_or("-");
        writeln!(
            out,
            "trace left: {} {}: {} times, of {} ({})",
            printable(&trace.place),
            printable(column),
            trace.count,
            printable(&trace.identifier),
            trace.form
        )?;
    }
    for column in &document.unsearched {
        writeln!(out, "not searched for: {}", printable(column))?;
    }
    for caution in &document.cautions {
        writeln!(out, "look at: {}", printable(caution))?;
    }
    show::write_foreseen(document, out)
}
