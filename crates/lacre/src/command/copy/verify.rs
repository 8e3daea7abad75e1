//! `lacre copy verify`: copies audited by themselves, without keys.

use lacre_repo::{
    Severity,
    op::{
        check::ReadData,
        copy::{CopyState, CopyStatus},
    },
};

use super::findings;
use crate::{
    cli::{CopyVerifyArgs, value::JobName},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{CopyVerifyEntry, CopyVerifyResult},
    vault::{Making, Vault, watching},
};

/// Audits copies: exit 4 for damage, 3 for anything else that is not as it should be.
pub(super) fn run(invocation: &Invocation, vault: &Vault, args: &CopyVerifyArgs) -> Result<Exit, CliError> {
    let read_data = match args.read_data {
        None => ReadData::None,
        Some(share) if share.fraction() >= 1.0 => ReadData::All,
        Some(share) => ReadData::Percent(share.fraction() * 100.0),
    };
    let only = args.name.as_ref().map(JobName::as_str);
    let opened = vault.open_copies(only, Making::Never)?;
    let mut statuses = vault.repository.copy_status(&opened.places).map_err(|error| vault.explain(error))?;
    let mut copies = Vec::new();
    for (status, place) in statuses.iter_mut().zip(&opened.places) {
        let holds_it = !matches!(
            status.state,
            CopyState::Empty | CopyState::Missing | CopyState::Unreachable | CopyState::Foreign
        );
        let mut counts = (0, 0, 0);
        if holds_it {
            let (line, watching) = watching(invocation);
            let report = vault.repository.verify_copy(place, read_data, &watching);
            line.finish();
            let report = report.map_err(|error| vault.explain(error))?;
            counts = (report.packs, report.packs_read, report.bytes_read);
            status.findings.extend(report.findings);
        }
        copies.push(entry(status, counts));
    }
    copies.extend(opened.closed.iter().map(|status| entry(status, (0, 0, 0))));
    statuses.extend(opened.closed);
    let document = CopyVerifyResult { copies };
    invocation.print(&document, |out| {
        for (copy, status) in document.copies.iter().zip(&statuses) {
            findings::write(&status.findings, out)?;
            let damaged = status.findings.iter().any(|finding| finding.severity == Severity::Damage);
            writeln!(
                out,
                "{}: {}, {}; {} of {} read ({})",
                copy.name,
                copy.state,
                if damaged { "DAMAGED" } else { "no damage found" },
                human::count(copy.packs_read),
                human::things(copy.packs, ["pack", "packs"]),
                human::bytes(copy.bytes_read)
            )?;
        }
        Ok(())
    })?;
    Ok(exit(&statuses))
}

fn exit(statuses: &[CopyStatus]) -> Exit {
    let found: Vec<_> = statuses.iter().flat_map(|status| status.findings.clone()).collect();
    let damaged = found.iter().any(|finding| finding.severity == Severity::Damage);
    let all_current = statuses.iter().all(|status| status.state == CopyState::Current);
    match (damaged, all_current) {
        (true, _) => Exit::Damage,
        (false, true) => findings::exit(&found),
        (false, false) => Exit::Findings,
    }
}

fn entry(status: &CopyStatus, (packs, packs_read, bytes_read): (u64, u64, u64)) -> CopyVerifyEntry {
    CopyVerifyEntry {
        name: status.name.clone(),
        state: status.state.name().to_owned(),
        lag_snapshots: status.lag_snapshots,
        packs,
        packs_read,
        bytes_read,
        findings: findings::check_entries(&status.findings),
    }
}
