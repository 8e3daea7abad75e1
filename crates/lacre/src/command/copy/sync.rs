//! `lacre copy sync`, and what `backup` does when its snapshots stand.

use std::io;

use lacre_repo::{
    Finding, Severity,
    op::copy::{AheadOf, CopyReport, CopyState, Lost, SyncOptions},
};

use super::{findings, lag};
use crate::{
    cli::CopySyncArgs,
    command::streams,
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{CopySyncEntry, CopySyncResult},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::{Making, Vault, watching},
};

/// Brings copies up to date: exit 3 when one of them is not current afterwards.
pub(super) fn run(invocation: &Invocation, vault: &Vault, args: &CopySyncArgs) -> Result<Exit, CliError> {
    let options = SyncOptions {
        lost: if args.begin_anew { Lost::BeginAnew } else { Lost::Name },
        ahead: if args.accept_ahead { AheadOf::Accept } else { AheadOf::Name },
    };
    let reports = sync(invocation, vault, args.name.as_ref().map(crate::cli::value::JobName::as_str), options)?;
    let document = CopySyncResult { copies: reports.iter().map(entry).collect() };
    invocation.print(&document, |out| {
        write(&document.copies, &reports, out)?;
        reports.iter().try_for_each(|report| findings::write(&report.status.findings, out))
    })?;
    Ok(exit(&reports))
}

/// Brings all configured copies up to date after a backup. The snapshots stand whatever becomes of it, so that every failure is a finding.
pub(in crate::command) fn after_backup(invocation: &Invocation, vault: &Vault) -> (Vec<CopySyncEntry>, Vec<Finding>) {
    if vault.settings.copies.is_empty() {
        return (Vec::new(), Vec::new());
    }
    match sync(invocation, vault, None, SyncOptions::default()) {
        Ok(reports) => {
            let entries = reports.iter().map(entry).collect();
            (entries, reports.into_iter().flat_map(named_findings).collect())
        }
        Err(error) => {
            let what = format!("the copies were not brought up to date: {}", error.message());
            (Vec::new(), vec![Finding::new(Severity::Warning, what, "copies", "lacre copy sync    (goes on)")])
        }
    }
}

/// The findings of one copy; a copy that is not current is one, whatever else is known of it.
fn named_findings(report: CopyReport) -> Vec<Finding> {
    let status = report.status;
    let behind = lag(&status);
    let mut found = status.findings;
    let is_said = found.iter().any(|finding| finding.severity > Severity::Note);
    if status.state != CopyState::Current && !is_said {
        let what = match status.state {
            CopyState::Behind | CopyState::OldGeneration => format!("the copy is {}, by {behind}", status.state.name()),
            state => format!("the copy is {}", state.name()),
        };
        found.push(Finding::new(Severity::Warning, what, &status.name, "lacre copy sync    (goes on)"));
    }
    found
}

fn sync(
    invocation: &Invocation,
    vault: &Vault,
    only: Option<&str>,
    options: SyncOptions,
) -> Result<Vec<CopyReport>, CliError> {
    let making = if options.lost == Lost::BeginAnew { Making::Always } else { Making::FirstTime };
    let opened = vault.open_copies(only, making)?;
    let (line, watching) = watching(invocation);
    let _shown = watching.shown(vault, "copy sync", only);
    let synced = vault.repository.sync_copies(&opened.places, options, &watching);
    line.finish();
    let mut reports = synced.map_err(|error| vault.explain(error))?;
    reports.extend(opened.closed.into_iter().map(CopyReport::of_status));
    Ok(reports)
}

fn exit(reports: &[CopyReport]) -> Exit {
    let all_current = reports.iter().all(|report| report.status.state == CopyState::Current);
    let found: Vec<Finding> = reports.iter().flat_map(|report| report.status.findings.clone()).collect();
    if all_current { findings::exit(&found) } else { Exit::Findings }
}

fn entry(report: &CopyReport) -> CopySyncEntry {
    let status = &report.status;
    CopySyncEntry {
        name: status.name.clone(),
        state: status.state.name().to_owned(),
        packs_sent: report.packs_sent,
        bytes_sent: report.bytes_sent,
        objects_sent: report.objects_sent,
        objects_deleted: report.objects_deleted,
        lag_snapshots: status.lag_snapshots,
        last_sync: status.synced.map(streams::rfc3339),
        findings: findings::entries(&status.findings),
    }
}

/// Copies for people.
fn write(copies: &[CopySyncEntry], reports: &[CopyReport], out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[
        ("copy", Align::Left),
        ("state", Align::Left),
        ("sent", Align::Right),
        ("packs", Align::Right),
        ("deleted", Align::Right),
        ("behind by", Align::Right),
    ])
    .lowers("deleted")
    .lowers("packs");
    for (copy, report) in copies.iter().zip(reports) {
        table.row([
            copy.name.clone(),
            copy.state.clone(),
            human::bytes(copy.bytes_sent),
            human::count(copy.packs_sent),
            human::count(copy.objects_deleted),
            lag(&report.status),
        ]);
    }
    table.write(out)
}
