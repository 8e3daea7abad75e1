//! `lacre forget`: the plan with its reasons, then the record of it; and the way back.

use std::io;

use jiff::Zoned;
use lacre_format::ids::{JobName, SnapshotId};
use lacre_repo::{op::forget::ForgetPlan, retention::Rules};

use super::{findings, prune, streams};
use crate::{
    cli::{ForgetArgs, value::SnapshotName},
    config::{Retention, Settings},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{ForgetResult, ForgottenEntry, KeptEntry, SnapshotState, UndoResult},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::{Vault, short},
};

/// Forgets by rule, or with `--dry-run` prints the same plan.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation, args: &ForgetArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    if let Some(name) = &args.undo {
        return undo(invocation, &vault, name);
    }
    let settings = &vault.settings;
    let rules = |job: &JobName| rules_of(&retention_of(settings, job).overridden_by(&args.keep));
    let job = args.job.as_ref().map(|job| JobName::parse(job.as_str())).transpose();
    let job = job.map_err(|error| CliError::new(Kind::Usage, "that is no job name").because(&error))?;
    let plan =
        vault.repository.plan_forget(&rules, job.as_ref(), &Zoned::now()).map_err(|error| vault.explain(error))?;
    if let Some(job) = &args.job {
        super::snapshots::refuse_unknown(&vault, plan.rows.values(), job.as_str())?;
    }
    if !args.dry_run && !plan.forgotten.is_empty() {
        vault.repository.forget(&plan).map_err(|error| vault.explain(error))?;
    }
    // What was forgotten is forgotten, whatever becomes of the prune: its failure is the command's.
    let pruned = args.prune.then(|| prune::after_forget(invocation, &vault)).transpose()?;
    let (pruned, prune_exit) = pruned.map_or((None, Exit::Done), |(document, exit)| (Some(document), exit));
    let document = ForgetResult {
        dry_run: args.dry_run,
        kept: plan.kept.iter().map(|kept| kept_entry(&plan, kept.id, &kept.reasons)).collect(),
        forgotten: plan.forgotten.iter().map(|id| forgotten_entry(&plan, *id)).collect(),
        pruned,
    };
    invocation.print(&document, |out| {
        findings::write(&plan.findings, out)?;
        write_plan(&document, out)?;
        document.pruned.as_ref().map_or(Ok(()), |pruned| prune::write(pruned, out))
    })?;
    Ok(findings::exit(&plan.findings).max(prune_exit))
}

/// The keep rules of a job as the configuration has them.
pub(super) fn configured(settings: &Settings, job: &JobName) -> Rules {
    rules_of(retention_of(settings, job))
}

fn retention_of<'a>(settings: &'a Settings, job: &JobName) -> &'a Retention {
    let own = settings.jobs.iter().find(|known| known.name.as_str() == job.as_str());
    own.and_then(|job| job.retention.as_ref()).unwrap_or(&settings.retention)
}

fn rules_of(retention: &Retention) -> Rules {
    Rules {
        last: retention.keep_last.unwrap_or_default(),
        hourly: retention.keep_hourly.unwrap_or_default(),
        daily: retention.keep_daily.unwrap_or_default(),
        weekly: retention.keep_weekly.unwrap_or_default(),
        monthly: retention.keep_monthly.unwrap_or_default(),
        yearly: retention.keep_yearly.unwrap_or_default(),
        within: retention.keep_within,
        tags: Vec::new(),
        verified_min: retention.min_verified,
    }
}

fn job_and_time(plan: &ForgetPlan, id: SnapshotId) -> (String, String) {
    let row = plan.rows.get(&id);
    let job = row.and_then(|row| row.label.as_ref()).map_or_else(String::new, |label| label.job.to_string());
    (job, row.map_or_else(String::new, |row| streams::rfc3339(row.taken)))
}

fn kept_entry(plan: &ForgetPlan, id: SnapshotId, reasons: &[lacre_repo::retention::Reason]) -> KeptEntry {
    let (job, time) = job_and_time(plan, id);
    KeptEntry { snapshot: id.to_string(), job, time, reasons: reasons.iter().map(ToString::to_string).collect() }
}

fn forgotten_entry(plan: &ForgetPlan, id: SnapshotId) -> ForgottenEntry {
    let (job, time) = job_and_time(plan, id);
    ForgottenEntry { snapshot: id.to_string(), job, time }
}

fn write_plan(document: &ForgetResult, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("snapshot", Align::Left),
        ("job", Align::Left),
        ("time", Align::Left),
        ("why", Align::Left),
    ]);
    let local = |time: &str| time.parse().map_or_else(|_| time.to_owned(), human::time);
    for kept in &document.kept {
        let why = kept.reasons.join(", ");
        table.row(["keep".to_owned(), short(&kept.snapshot).to_owned(), kept.job.clone(), local(&kept.time), why]);
    }
    for gone in &document.forgotten {
        let why = "no rule keeps it".to_owned();
        table.row(["forget".to_owned(), short(&gone.snapshot).to_owned(), gone.job.clone(), local(&gone.time), why]);
    }
    table.write(out)?;
    let (kept, forgotten) = (document.kept.len(), document.forgotten.len());
    if document.dry_run {
        writeln!(out, "{kept} would be kept, {forgotten} forgotten; nothing was changed (--dry-run)")
    } else if forgotten > 0 && document.pruned.is_none() {
        writeln!(out, "{kept} kept, {forgotten} forgotten; lacre forget --undo SNAP brings one back")
    } else {
        let gone = if forgotten == 0 { "none".to_owned() } else { forgotten.to_string() };
        writeln!(out, "{kept} kept, {gone} forgotten")
    }
}

fn undo(invocation: &Invocation, vault: &Vault, name: &SnapshotName) -> Result<Exit, CliError> {
    let id = vault.resolve(name)?;
    vault.repository.unforget(id).map_err(|error| vault.explain(error))?;
    let document = UndoResult { snapshot: id.to_string(), state: SnapshotState::Live };
    invocation.print(&document, |out| writeln!(out, "snapshot {} is live again", short(&document.snapshot)))?;
    Ok(Exit::Done)
}
