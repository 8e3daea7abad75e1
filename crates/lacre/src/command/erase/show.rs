//! What erasures look like: documents, and the same for people.

use std::io;

use lacre_format::ids::{HomeId, Token};
use lacre_repo::op::{
    erase::{ErasePlan, ErasureStatus},
    rotate::Pending,
};

use super::super::streams;
use crate::{
    error::CliError,
    human,
    output::{EraseResult, ErasedEntry, ErasureEntry, ErasuresResult, PendingEntry, ProveResult, RotateResult},
    term::{page::Page, table::printable},
    vault::{Vault, short},
};

/// Runs a writer over memory: a text that is said, not printed as a result.
pub(super) fn text(write: impl FnOnce(&mut dyn Page) -> io::Result<()>) -> String {
    let mut bytes = Vec::new();
    // Memory takes every write.
    if write(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

pub(in crate::command) fn pending(pending: &Pending) -> PendingEntry {
    PendingEntry { item: pending.item.clone(), what: pending.what.clone(), command: pending.command.clone() }
}

/// The plan as a document that is not yet an erasure.
pub(super) fn plan(vault: &Vault, plan: &ErasePlan) -> Result<EraseResult, CliError> {
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let host = |home: &HomeId| view.home(*home).map_or_else(|| home.short(), |entry| entry.label.clone());
    let erased = |snapshot: String| ErasedEntry { old: snapshot, new: None, rows_removed: None };
    Ok(EraseResult {
        snapshots: plan.snapshots.iter().map(|row| erased(row.snapshot.to_string())).collect(),
        state: "planned".to_owned(),
        bytes_dead: plan.account.bytes_dead,
        bytes_shared: plan.account.bytes_shared,
        in_flight: plan.in_flight.iter().map(ToString::to_string).collect(),
        writers: plan.writers.iter().map(host).collect(),
        forgotten: u64::try_from(plan.forgotten.len()).unwrap_or(u64::MAX),
        pending: plan.foreseen.iter().map(pending).collect(),
        ..EraseResult::default()
    })
}

pub(super) fn write_plan(document: &EraseResult, out: &mut dyn Page) -> io::Result<()> {
    writeln!(out, "erase {}:", human::things(document.snapshots.len(), ["snapshot", "snapshots"]))?;
    for snapshot in &document.snapshots {
        writeln!(out, "  {}", short(&snapshot.old))?;
    }
    writeln!(out, "dies in every copy:     {}", human::bytes(document.bytes_dead))?;
    writeln!(out, "stays, survivors share: {}", human::bytes(document.bytes_shared))?;
    if document.forgotten > 0 {
        writeln!(out, "forgotten snapshots that die as well: {}", document.forgotten)?;
    }
    for session in &document.in_flight {
        writeln!(out, "not included: the backup {} that is running now", short(session))?;
    }
    write_foreseen(document, out)
}

/// What the erasure will wait for, before it is begun.
pub(super) fn write_foreseen(document: &EraseResult, out: &mut dyn Page) -> io::Result<()> {
    writeln!(out, "not complete before the next backup of: {}", document.writers.join(", "))?;
    write_pending(&document.pending, out)
}

pub(super) fn write_erased(document: &EraseResult, out: &mut dyn Page) -> io::Result<()> {
    let id = document.erasure.as_deref().unwrap_or_default();
    writeln!(out, "erasure {}: {}", short(id), document.state)?;
    for snapshot in document.snapshots.iter().filter(|snapshot| snapshot.new.is_some()) {
        let new = snapshot.new.as_deref().unwrap_or_default();
        let rows = snapshot.rows_removed.unwrap_or_default();
        writeln!(
            out,
            "  {} is now {}: {} removed",
            short(&snapshot.old),
            short(new),
            human::things(rows, ["row", "rows"])
        )?;
    }
    write_pending(&document.pending, out)?;
    if let Some(salt) = &document.request_salt {
        writeln!(out, "salt of the request's reference, for your file: {salt}")?;
    }
    if let Some(receipt) = &document.receipt {
        writeln!(out, "receipt: {receipt}")?;
    }
    Ok(())
}

fn write_pending(pending: &[PendingEntry], out: &mut dyn Page) -> io::Result<()> {
    for item in pending {
        writeln!(out, "  waits for {}: {}", printable(&item.item), printable(&item.what))?;
        writeln!(out, "    {}", printable(&item.command))?;
    }
    Ok(())
}

pub(super) fn write_rotated(document: &RotateResult, out: &mut dyn Page) -> io::Result<()> {
    writeln!(
        out,
        "seal generation {} follows {}: {} carried, {} left behind, {}",
        document.to,
        document.from,
        human::things(document.carried, ["key entry", "key entries"]),
        human::things(document.dropped.len(), ["snapshot", "snapshots"]),
        document.state
    )?;
    write_pending(&document.pending, out)
}

pub(super) fn status(status: &ErasureStatus, written: &[(Token, String)]) -> ErasureEntry {
    ErasureEntry {
        erasure: status.erasure.to_string(),
        time: streams::rfc3339(status.intended),
        snapshots: status.snapshots.iter().map(ToString::to_string).collect(),
        state: status.state.name().to_owned(),
        pending: status.pending.iter().map(pending).collect(),
        declared: status
            .declared
            .iter()
            .map(|item| format!("{}: {:?}", item.item, item.state).to_lowercase())
            .collect(),
        receipt: written.iter().find(|(erasure, _)| *erasure == status.erasure).map(|(_, file)| file.clone()),
    }
}

pub(super) fn write_all(document: &ErasuresResult, out: &mut dyn Page) -> io::Result<()> {
    if document.erasures.is_empty() {
        return writeln!(out, "no erasures");
    }
    for entry in &document.erasures {
        writeln!(
            out,
            "erasure {} of {}: {}, {}",
            short(&entry.erasure),
            entry.time,
            human::things(entry.snapshots.len(), ["snapshot", "snapshots"]),
            entry.state
        )?;
        for item in &entry.declared {
            writeln!(out, "  declared, not proven: {}", printable(item))?;
        }
        write_pending(&entry.pending, out)?;
        if let Some(receipt) = &entry.receipt {
            writeln!(out, "  receipt: {receipt}")?;
        }
    }
    Ok(())
}

pub(super) fn write_proof(document: &ProveResult, out: &mut dyn Page) -> io::Result<()> {
    let openings = human::things(document.tried, ["opening", "openings"]);
    writeln!(out, "{} of {openings} succeeded", document.succeeded)?;
    writeln!(
        out,
        "tried {} and {} on {}, for {}",
        human::things(document.identities, ["identity", "identities"]),
        human::things(document.seals, ["seal", "seals"]),
        human::things(document.objects, ["bundle or key entry", "bundles and key entries"]),
        human::things(document.snapshots, ["erased snapshot", "erased snapshots"])
    )?;
    for snapshot in &document.opened {
        writeln!(out, "  OPENED: {snapshot}")?;
    }
    Ok(())
}
