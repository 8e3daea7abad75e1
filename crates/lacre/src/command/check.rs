//! `lacre repo check`: what can be proved, what was found, what was not proved.

use std::io;

use lacre_repo::{
    Severity,
    op::{
        check::{CheckOptions, ReadData as Share},
        rolling::Rolling,
    },
};

use super::{findings, structure::ArchiveStructure};
use crate::{
    cli::{CheckArgs, ReadData},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::CheckResult,
    term::page::Page,
    vault::{Vault, watching},
};

/// Audits the repository: exit 4 for damage, 3 for warnings.
///
/// # Errors
/// Those that prevent the audit itself.
pub(super) fn run(invocation: &Invocation, args: &CheckArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let (snapshot, keys) = match &args.snapshot {
        Some(name) => {
            let (snapshot, keys) = vault.resolve_with_keys(invocation, name, &args.keys.kits)?;
            (Some(snapshot), keys)
        }
        None => (None, vault.read_keys(invocation, &args.keys.kits)?),
    };
    let read_data = match args.read_data() {
        ReadData::None => Share::None,
        ReadData::Share(share) if share.fraction() >= 1.0 => Share::All,
        ReadData::Share(share) => Share::Percent(share.fraction() * 100.0),
    };
    let options = CheckOptions { level: args.level, read_data, snapshot };
    let (line, watching) = watching(invocation);
    let _shown = watching.shown(&vault, "check", None);
    let structure = ArchiveStructure::default();
    let rolling = Rolling { max_age: args.max_age, max_duration: args.max_duration, structure: Some(&structure) };
    let report = vault.repository.check_rolling(&options, &rolling, &keys, &watching);
    line.finish();
    let report = report.map_err(|error| vault.explain(error))?;
    let document = CheckResult {
        level: report.level,
        packs: report.packs,
        bytes_read: report.bytes_read,
        findings: findings::check_entries(&report.findings),
        not_proved: report.not_proved.clone(),
    };
    let damaged = report.findings.iter().any(|finding| finding.severity == Severity::Damage);
    invocation.print(&document, |out| {
        findings::write(&report.findings, out)?;
        summary(&document, report.packs_read, report.snapshots.len(), out)
    })?;
    Ok(if damaged { Exit::Damage } else { findings::exit(&report.findings) })
}

fn summary(document: &CheckResult, packs_read: u64, snapshots: usize, out: &mut dyn Page) -> io::Result<()> {
    let verdict = if document.findings.iter().any(|finding| finding.severity == "damage") {
        "DAMAGED"
    } else {
        "no damage found"
    };
    let opened = if document.level >= 4 {
        format!(", {} opened", human::things(snapshots, ["snapshot", "snapshots"]))
    } else {
        String::new()
    };
    writeln!(
        out,
        "{verdict}: level {} of 5 reached{opened}; {packs_read} of {} read ({})",
        document.level,
        human::things(document.packs, ["pack", "packs"]),
        human::bytes(document.bytes_read)
    )?;
    for missing in &document.not_proved {
        writeln!(out, "not proved: {missing}")?;
    }
    Ok(())
}
