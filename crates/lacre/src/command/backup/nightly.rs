//! The night: every job, then retention, garbage, copies, record, metrics, and who is told.
//!
//! In: the configuration. Out: one document of everything that was done. What follows the jobs never undoes what they did: a step that
//! fails is a finding, and the exit code is that of the worst job, or 3.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp, Zoned};
use lacre_format::{
    ids::JobName as VaultJobName,
    run::{RunDetails, RunJob},
};
use lacre_repo::{Finding, Severity, op::status::Status};
use serde_json::Value;

use super::{Task, failure, take, tasks, tell, write_backup};
use crate::{
    cli::BackupArgs,
    command::{findings, forget, operate, prune},
    config::Settings,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    notify::{Delivery, healthchecks::Pings},
    output::{BackupResult, BackupsResult, CopySyncEntry, HeldBackEntry, NotificationEntry, RunEntry},
    run::{Run, journal::Level, millis, turn},
    term::page::Page,
    trend::{self, Bounds, Way},
    vault::{Vault, short},
};

/// How often a job that another run is still at is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a job.
pub(super) struct Ended {
    pub(super) job: String,
    pub(super) result: Result<(BackupResult, Vec<Finding>), CliError>,
    started: Timestamp,
    ended: Timestamp,
    held_back: Option<String>,
}

impl Ended {
    /// The exit code it would have alone.
    pub(super) fn exit(&self) -> Exit {
        match &self.result {
            Ok((_, found)) => findings::exit(found),
            Err(error) => error.kind().exit(),
        }
    }
}

/// What a night did.
#[derive(Default)]
pub(super) struct Report {
    pub(super) jobs: Vec<Ended>,
    pub(super) forgotten: u64,
    pub(super) copies: u32,
    pub(super) copies_failed: u32,
    /// What the copies were sent.
    pub(super) copied: Vec<CopySyncEntry>,
    /// Findings of everything that is no job.
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn failed(&self) -> impl Iterator<Item = (&Ended, &CliError)> {
        self.jobs.iter().filter_map(|ended| Some((ended, ended.result.as_ref().err()?)))
    }

    pub(super) fn exit(&self) -> Exit {
        let failures = self.failed().map(|(_, error)| error.kind().exit());
        let of_jobs = self.jobs.iter().map(Ended::exit).max().unwrap_or(Exit::Done);
        failures.max().unwrap_or_else(|| of_jobs.max(findings::exit(&self.findings)))
    }
}

/// Goes through the night.
///
/// # Errors
/// What keeps it from beginning; with a single job also what that failed of. Everybody was told before.
pub(super) fn run(invocation: &Invocation, args: &BackupArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let tasks = match tasks(&settings, args) {
        Ok(tasks) => tasks,
        // Where there is no repository, that is the first thing to say.
        Err(error) => return Vault::with(invocation, settings).and(Err(error)),
    };
    let run = Run::begin(&settings)?;
    let checks = settings.operate.notify.healthchecks.clone();
    let mut pings = checks.as_ref().and_then(|checks| Pings::of_run(checks, &run.name()));
    let opened = Vault::with(invocation, settings.clone()).and_then(|vault| {
        let turn = turn::take(vault.repository.home().directory(), settings.operate.wait, &invocation.interrupt)?;
        Ok((vault, turn))
    });
    let (vault, _turn) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            run.journal.note(Level::Error, "run", &error.message(), &[("exit", error.kind().exit().code().into())]);
            tell::not_begun(invocation, &settings, &run, pings.as_mut(), &error);
            return Err(error);
        }
    };
    run.journal.note(Level::Info, "run", "the run begins", &[("jobs", tasks.len().into())]);
    let mut deliveries: Vec<Delivery> = pings.as_mut().map(Pings::start).into_iter().collect();
    let mut night = Night { invocation, vault: &vault, args, run: &run, report: Report::default() };
    night.jobs(&tasks);
    let status = night.look();
    if !invocation.interrupt.raised() {
        night.retention(&tasks, status.as_ref());
        night.garbage(status.as_ref());
        night.copies();
    }
    night.record();
    night.metrics();
    night.log_failure();
    let Night { mut report, .. } = night;
    deliveries.extend(tell::ended(invocation, &vault, &run, pings.as_mut(), &report, status.as_ref()));
    report.findings.extend(deliveries.iter().filter_map(undelivered));
    let exit = report.exit();
    run.journal.note(
        level_of(exit),
        "run",
        &format!("the run ends with exit {}", exit.code()),
        &[("exit", exit.code().into()), ("duration_ms", wide(run.took().as_millis()))],
    );
    print(invocation, &vault.settings, &run, report, &deliveries)
}

fn wide(number: u128) -> Value {
    u64::try_from(number).unwrap_or(u64::MAX).into()
}

fn level_of(exit: Exit) -> Level {
    match exit {
        Exit::Done => Level::Info,
        Exit::Findings => Level::Warning,
        _ => Level::Error,
    }
}

/// A message that did not arrive is a finding, never a failure.
fn undelivered(delivery: &Delivery) -> Option<Finding> {
    let why = delivery.failure.as_ref()?;
    let advice = "lacre config check    (tries every way of telling somebody)";
    Some(Finding::new(Severity::Warning, format!("could not be told: {why}"), &delivery.channel, advice))
}

struct Night<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    args: &'a BackupArgs,
    run: &'a Run,
    report: Report,
}

impl Night<'_> {
    fn settings(&self) -> &Settings {
        &self.vault.settings
    }

    fn find(&mut self, severity: Severity, what: impl Into<String>, object: impl ToString, advice: &str) {
        let finding = Finding::new(severity, what, object, advice);
        let level = if severity == Severity::Note { Level::Info } else { Level::Warning };
        self.run.journal.note(level, "finding", &finding.what, &[("object", finding.object.clone().into())]);
        self.report.findings.push(finding);
    }

    fn jobs(&mut self, tasks: &[Task]) {
        for task in tasks {
            let started = Timestamp::now();
            let result = match self.wait_for(task) {
                Ok(()) => take(self.invocation, self.vault, self.args, task),
                Err(error) => Err(error),
            };
            let ended = Ended { job: task.name.to_string(), result, started, ended: Timestamp::now(), held_back: None };
            self.note_job(&ended);
            let stop = matches!(&ended.result, Err(error) if error.kind() == Kind::Interrupted);
            self.report.jobs.push(ended);
            if stop {
                break;
            }
        }
    }

    /// Somebody may be at a job by hand; the night waits for that as for another night.
    fn wait_for(&self, task: &Task) -> Result<(), CliError> {
        let Ok(job) = VaultJobName::parse(task.name.as_str()) else { return Ok(()) };
        let started = Instant::now();
        loop {
            self.invocation.interrupt.check()?;
            match self.vault.repository.home().lock_job(&job) {
                Err(lacre_repo::Error::Busy { .. }) if started.elapsed() < self.settings().operate.wait => {
                    thread::sleep(PAUSE);
                }
                // Whatever it is, the backup itself says it better.
                _ => return Ok(()),
            }
        }
    }

    fn note_job(&self, ended: &Ended) {
        let took = ended.ended.duration_since(ended.started);
        let mut values: Vec<(&str, Value)> = vec![
            ("job", ended.job.clone().into()),
            ("exit", ended.exit().code().into()),
            ("duration_ms", wide(took.unsigned_abs().as_millis())),
        ];
        match &ended.result {
            Ok((document, found)) => {
                values.push(("snapshot", document.snapshot.clone().into()));
                values.push(("bytes_stored", document.bytes_stored.into()));
                self.run.journal.note(
                    level_of(ended.exit()),
                    "job",
                    &format!("{}: snapshot {}", ended.job, short(&document.snapshot)),
                    &values,
                );
                for finding in found {
                    let message = format!("{}: {}", finding.object, finding.what);
                    self.run.journal.note(Level::Warning, "finding", &message, &[("job", ended.job.clone().into())]);
                }
            }
            Err(error) => {
                self.run.journal.note(Level::Error, "job", &format!("{}: {}", ended.job, error.message()), &values);
            }
        }
    }

    /// The copies follow when all else is done: what was forgotten and collected just now reaches them the same night.
    fn copies(&mut self) {
        if self.args.no_copies {
            return;
        }
        let (copied, found) = super::copy::after_backup(self.invocation, self.vault);
        let current = copied.iter().filter(|entry| entry.state == "current").count();
        let configured = self.settings().copies.len();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (self.report.copies, self.report.copies_failed) =
            (count(configured), count(configured.saturating_sub(current)));
        self.report.copied = copied;
        for finding in found {
            self.find(finding.severity, finding.what, finding.object, &finding.advice);
        }
    }

    /// What the repository says after the jobs: what is usual, what somebody wants erased, when garbage was last collected.
    fn look(&mut self) -> Option<Status> {
        match self.vault.repository.status() {
            Ok(status) => Some(status),
            Err(error) => {
                let error = self.vault.explain(error);
                self.find(Severity::Warning, error.message(), "repository", "lacre status");
                None
            }
        }
    }

    /// Each job that went well forgets by its own rules; one that shrank keeps everything until somebody has looked.
    fn retention(&mut self, tasks: &[Task], status: Option<&Status>) {
        let Some(status) = status else { return };
        let thresholds = self.settings().operate.status;
        let bounds = Bounds { shrink: thresholds.max_shrink, growth: thresholds.max_growth };
        for (at, task) in tasks.iter().enumerate().take(self.report.jobs.len()) {
            let Ok(job) = VaultJobName::parse(task.name.as_str()) else { continue };
            let rules = forget::configured(self.settings(), &job);
            if rules.is_empty() || self.report.jobs[at].result.is_err() {
                continue;
            }
            let off = trend::deviation(&trend::of_job(&status.rows, job.as_str()), bounds);
            if let Some(off) = off.filter(|off| off.way == Way::Shrunk) {
                let what = format!("{}; nothing of it was forgotten", off.what);
                let advice = format!("look at the source; if it is right: lacre forget --job {job}");
                self.find(Severity::Warning, what, format!("job {job}"), &advice);
                self.report.jobs[at].held_back = Some(off.what);
                continue;
            }
            self.forget(&job);
        }
    }

    fn forget(&mut self, job: &VaultJobName) {
        let rules = |job: &VaultJobName| forget::configured(self.settings(), job);
        let planned = self.vault.repository.plan_forget(&rules, Some(job), &Zoned::now());
        let done = planned.and_then(|plan| {
            if !plan.forgotten.is_empty() {
                self.vault.repository.forget(&plan)?;
            }
            Ok(plan)
        });
        match done {
            Ok(plan) => {
                let count = plan.forgotten.len();
                let message = format!("{job}: {} kept, {count} forgotten", plan.kept.len());
                self.run.journal.note(
                    Level::Info,
                    "retention",
                    &message,
                    &[("job", job.as_str().into()), ("forgotten", count.into())],
                );
                self.report.forgotten += u64::try_from(count).unwrap_or(u64::MAX);
                self.report.findings.extend(plan.findings);
            }
            // A host that only makes backups leaves retention to the one that may forget.
            Err(lacre_repo::Error::KeyMissing { .. }) => {
                let what = "this host may not forget; retention is left to one that may";
                self.find(Severity::Note, what, format!("job {job}"), "lacre forget on the admin's machine");
            }
            Err(error) => {
                let error = self.vault.explain(error);
                let what = format!("retention failed: {}", error.message());
                self.find(Severity::Warning, what, format!("job {job}"), "lacre forget --dry-run");
            }
        }
    }

    /// Collects garbage when the last time is long enough ago, on the host that may.
    fn garbage(&mut self, status: Option<&Status>) {
        let (Some(every), Some(status)) = (self.settings().operate.prune_every, status) else { return };
        let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
        let last = status.pruned_at.and_then(|at| Timestamp::from_millisecond(at.0).ok());
        let is_due = last.is_none_or(|last| status.now.duration_since(last) >= every);
        if !is_due || self.vault.repository.home().admin_key().is_err() || self.report.failed().next().is_some() {
            return;
        }
        match prune::after_forget(self.invocation, self.vault) {
            Ok((document, exit)) => {
                let message = format!("garbage collection: {}", document.state);
                self.run.journal.note(level_of(exit), "prune", &message, &[("exit", exit.code().into())]);
                if exit > Exit::Findings {
                    self.find(Severity::Warning, "garbage collection found damage", "repository", "lacre repo check");
                }
            }
            Err(error) => {
                let what = format!("garbage collection failed: {}", error.message());
                self.find(Severity::Warning, what, "repository", "lacre repo prune");
            }
        }
    }

    fn record(&mut self) {
        let job = |ended: &Ended| {
            let document = ended.result.as_ref().ok().map(|(document, _)| document);
            let found = ended.result.as_ref().map_or(0, |(_, found)| found.len());
            Some(RunJob {
                job: VaultJobName::parse(&ended.job).ok()?,
                snapshot: document.and_then(|document| lacre_format::ids::SnapshotId::parse(&document.snapshot).ok()),
                exit: ended.exit().code(),
                started: millis(ended.started),
                ended: millis(ended.ended),
                stored: document.map_or(0, |document| document.bytes_stored),
                findings: u32::try_from(found).unwrap_or(u32::MAX),
                held_back: ended.held_back.is_some(),
            })
        };
        let details = RunDetails {
            jobs: self.report.jobs.iter().filter_map(job).collect(),
            forgotten: self.report.forgotten,
            copies: self.report.copies,
            copies_failed: self.report.copies_failed,
            findings: u32::try_from(self.report.findings.len()).unwrap_or(u32::MAX),
        };
        let frame = self.run.frame(self.report.exit());
        if let Err(error) = self.vault.repository.record_run(frame, &details) {
            let error = self.vault.explain(error);
            let what = format!("the run could not be recorded: {}", error.message());
            self.find(Severity::Warning, what, "repository", "lacre status");
        }
    }

    fn metrics(&mut self) {
        if self.settings().operate.textfile.is_none() {
            return;
        }
        let written = operate::look(self.vault).map_err(|error| error.message()).and_then(|status| {
            let report = operate::judge(self.vault, &status);
            operate::write_metrics(self.settings(), &report)
        });
        if let Err(why) = written {
            self.find(Severity::Warning, format!("the metrics could not be written: {why}"), "metrics", "lacre status");
        }
    }

    fn log_failure(&mut self) {
        if let Some(why) = self.run.journal.failure() {
            let advice = "correct [log] file in lacre.toml, or the rights of its folder";
            self.report.findings.push(Finding::new(Severity::Warning, why, "log", advice));
        }
    }
}

/// Prints what was done. A single job keeps the document it has by itself.
fn print(
    invocation: &Invocation,
    settings: &Settings,
    run: &Run,
    report: Report,
    deliveries: &[Delivery],
) -> Result<Exit, CliError> {
    let exit = report.exit();
    let entry = entry(run, &report, deliveries);
    let found = report.findings.clone();
    let copied = report.copied;
    if report.jobs.len() == 1 {
        let Some(Ended { result, .. }) = report.jobs.into_iter().next() else { return Ok(exit) };
        let (mut document, own) = result.inspect_err(|_| findings::warn(invocation, &found))?;
        (document.copies, document.run) = (copied, Some(entry));
        invocation.print(&document, |out| {
            write_backup(&document, &findings::news(settings, &own), out)?;
            write_run(document.run.as_ref(), &found, out)
        })?;
        return Ok(exit);
    }
    let mut all = BackupsResult { backups: Vec::new(), failures: Vec::new(), copies: copied, run: Some(entry) };
    let mut own = Vec::new();
    for ended in report.jobs {
        match ended.result {
            Ok((document, found)) => {
                all.backups.push(document);
                own.push(found);
            }
            Err(error) => all.failures.push(failure(&ended.job, &error)),
        }
    }
    invocation.print(&all, |out| {
        super::write_several(settings, &all, &own, out)?;
        write_run(all.run.as_ref(), &found, out)
    })?;
    Ok(exit)
}

fn entry(run: &Run, report: &Report, deliveries: &[Delivery]) -> RunEntry {
    let held = report.jobs.iter().filter_map(|ended| {
        let why = ended.held_back.clone()?;
        Some(HeldBackEntry { job: ended.job.clone(), why })
    });
    let notification = |delivery: &Delivery| NotificationEntry {
        channel: delivery.channel.clone(),
        ok: delivery.is_good(),
        what: delivery.failure.clone(),
    };
    RunEntry {
        run: run.name(),
        duration_ms: u64::try_from(run.took().as_millis()).unwrap_or(u64::MAX),
        forgotten: report.forgotten,
        held_back: held.collect(),
        notifications: deliveries.iter().map(notification).collect(),
        findings: findings::entries(&report.findings),
    }
}

fn write_run(entry: Option<&RunEntry>, found: &[Finding], out: &mut dyn Page) -> std::io::Result<()> {
    let Some(entry) = entry else { return Ok(()) };
    if entry.forgotten > 0 {
        writeln!(
            out,
            "{} forgotten by their rules; lacre forget --undo SNAP brings one back",
            human::things(entry.forgotten, ["snapshot", "snapshots"])
        )?;
    }
    findings::write(found, out)?;
    writeln!(out, "run {} took {}", entry.run, human::duration(Duration::from_millis(entry.duration_ms)))
}
