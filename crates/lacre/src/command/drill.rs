//! `lacre drill`: a restore rehearsed, judged, put on record and cleaned up.
//!
//! In: a snapshot and a server, or none. Out: what was proved and how long a recovery takes. What can go wrong with the server is an error;
//! what goes wrong with the snapshot is a drill that did not pass, and goes on record as such.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lacre_format::{ids::SnapshotId, log::DrillRecord};
use lacre_repo::{
    Finding, Severity,
    files::{FileError, LockFile},
    op::read::Snapshot,
};

use super::{
    backup::environment,
    drill_tell, findings,
    restore::{last_look::Record, refuse_other_sources},
};
use crate::{
    cli::{DrillArgs, value::SnapshotName},
    driver::postgres::{
        cluster::{self, Cluster},
        error::Error as DriverError,
        report::Watch,
        restore::{
            Choice,
            drill::{self, Check, DrillOptions, Drilled, Outcome},
        },
        target::Target,
        vault::VaultSource,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{DrillCheck, DrillResult, RestoredTable},
    safe_url::SafeUrl,
    term::{
        page::{self, Lead, Page},
        table::{Align, Table, printable},
    },
    vault::{Role, Vault, explain_driver, short, watching},
};

/// Where throw-away servers are made when nothing names a folder: on disk, unlike many a `/tmp`.
const FOLDER: &str = "/var/tmp";

/// Rehearses a restore: exit 4 when it did not pass.
///
/// # Errors
/// Those of the vault, and of the server the scratch database is made on.
pub(super) fn run(invocation: &Invocation, args: &DrillArgs) -> Result<Exit, CliError> {
    rehearsed(invocation, args).inspect_err(|error| drill_tell::not_made(invocation, args, error))
}

fn rehearsed(invocation: &Invocation, args: &DrillArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let vault = Vault::open(invocation)?;
    let _alone = alone(&vault)?;
    let snapshot = vault.open_kept(invocation, &chosen(args), &args.keys.kits)?;
    let id = snapshot.id();
    if let Some(job) = args.job.as_ref().filter(|job| job.as_str() != snapshot.job().as_str()) {
        let what = format!("snapshot {} is of job {}, not of {job}", id.short(), snapshot.job());
        return Err(CliError::new(Kind::Usage, what).hint("leave out one of the two"));
    }
    refuse_other_sources(&snapshot)?;
    let mut drill = Rehearsal::new(invocation, &vault, args);
    drill.sweep()?;
    let record = Record::begin(invocation, &vault, id);
    let outcome = drill.rehearse(&snapshot, started);
    record.end();
    let outcome = outcome?;
    drill.report(&snapshot, outcome, started.elapsed())
}

fn chosen(args: &DrillArgs) -> SnapshotName {
    match (&args.snapshot, &args.job) {
        (Some(name), _) => name.clone(),
        (None, Some(job)) => SnapshotName::LatestOf(job.clone()),
        (None, None) => SnapshotName::Latest,
    }
}

/// One drill of a home at a time: whatever else says that it is one of this home's is left from a killed one.
fn alone(vault: &Vault) -> Result<LockFile, CliError> {
    LockFile::acquire(&vault.repository.home().directory().join("drill.lock")).map_err(|error| match error {
        FileError::Locked { .. } => {
            CliError::new(Kind::Conflict, "another drill of this host is running").hint("wait until it has ended")
        }
        other => CliError::new(Kind::Io, "the lock of drills cannot be taken").because(&other),
    })
}

/// What a restored snapshot showed: a judgement, or why there is nothing to judge.
enum Outcomes {
    Drilled(Drilled),
    Failed(String),
}

struct Rehearsal<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    args: &'a DrillArgs,
    /// Who rehearses, in hexadecimal.
    home: String,
    findings: Vec<Finding>,
}

impl<'a> Rehearsal<'a> {
    fn new(invocation: &'a Invocation, vault: &'a Vault, args: &'a DrillArgs) -> Self {
        let directory = vault.repository.home().directory();
        let home = vault.repository.speaks_as().map_or_else(|| unsigned(directory), |home| home.to_string());
        Self { invocation, vault, args, home, findings: Vec::new() }
    }

    fn server(&self) -> Option<&SafeUrl> {
        if self.args.throw_away {
            return None;
        }
        self.args.server.as_ref().or(self.vault.settings.drill.server.as_ref())
    }

    fn folder(&self) -> PathBuf {
        self.vault.settings.drill.folder.clone().unwrap_or_else(|| PathBuf::from(FOLDER))
    }

    fn explain(&self, error: DriverError) -> CliError {
        explain_driver(error, Role::Target, Some(self.vault.repository.home().directory()))
    }

    fn target(&self, url: &SafeUrl) -> Result<Target, CliError> {
        Target::resolve(url.expose(), &environment()).map_err(|error| self.explain(error))
    }

    /// Removes what killed drills left, and ends their restores in the log.
    fn sweep(&mut self) -> Result<(), CliError> {
        let (clusters, found) = cluster::sweep(&self.folder(), &self.home);
        self.findings.extend(found.into_iter().map(Into::into));
        let mut left: Vec<(String, Option<String>)> =
            clusters.into_iter().map(|left| (left.folder.display().to_string(), left.snapshot)).collect();
        if let Some(url) = self.server() {
            let target = self.target(url)?;
            let databases = drill::sweep(&target, &self.home).map_err(|error| self.explain(error))?;
            left.extend(databases.into_iter().map(|left| (left.database, left.snapshot)));
        }
        for (name, snapshot) in left {
            if let Some(snapshot) = snapshot.and_then(|text| SnapshotId::parse(&text).ok())
                && let Err(error) = self.vault.repository.end_left_restores(snapshot)
            {
                self.invocation.terminal.detail(&format!("not on record: {error}"));
            }
            let what = "an earlier drill was killed; what it left is removed";
            self.findings.push(Finding::new(Severity::Note, what, name, "nothing to do"));
        }
        Ok(())
    }

    fn rehearse(&mut self, snapshot: &Snapshot<'_>, started: Instant) -> Result<(Outcomes, String), CliError> {
        let (line, watching) = watching(self.invocation);
        let _shown = watching.shown(self.vault, "drill", Some(snapshot.job().as_str()));
        watching.expect_bytes(snapshot.streams().iter().map(|stream| stream.bytes).sum());
        let watch: Arc<dyn Watch> = Arc::new(watching.clone());
        let source = VaultSource::new(snapshot, Arc::new(watching));
        let settings = &self.vault.settings;
        let of_job = settings.jobs.iter().find(|job| job.name.as_str() == snapshot.job().as_str());
        let critical = settings.drill.critical.iter().chain(of_job.into_iter().flat_map(|job| &job.critical));
        let mut options = DrillOptions {
            jobs: usize::from(self.args.jobs),
            critical: critical.cloned().collect(),
            snapshot: snapshot.id().to_string(),
            home: self.home.clone(),
            roles: Choice::Refuse,
            started,
        };
        let done = match self.server() {
            Some(url) => {
                let target = self.target(url)?;
                let place = target.server();
                (drill::run(&target, &source, &options, &watch), place)
            }
            None => {
                let made = self.throw_away(&source, &options);
                let ran = made.and_then(|cluster| {
                    // A server has to be there before anything can be recovered: the clock starts now.
                    options.started = Instant::now();
                    options.roles = Choice::Allow;
                    drill::run(cluster.target(), &source, &options, &watch)
                });
                (ran, "throw-away".to_owned())
            }
        };
        line.finish();
        match done {
            (Ok(drilled), place) => Ok((Outcomes::Drilled(drilled), place)),
            (Err(error), place) if is_of_the_snapshot(&error) => Ok((Outcomes::Failed(said(error)), place)),
            (Err(error), _) => Err(self.explain(error)),
        }
    }

    fn throw_away(&self, source: &VaultSource<'_>, options: &DrillOptions) -> Result<Cluster, DriverError> {
        let needs = drill::needs(source)?;
        let folder = self.folder();
        let wanted = cluster::Wanted {
            parent: &folder,
            server: needs.server,
            archive: needs.archive,
            bytes: needs.bytes,
            home: &self.home,
            snapshot: &options.snapshot,
        };
        Cluster::start(&wanted, &environment())
    }

    fn report(
        mut self,
        snapshot: &Snapshot<'_>,
        (outcome, place): (Outcomes, String),
        took: Duration,
    ) -> Result<Exit, CliError> {
        let (tables, checks, recovery) = match outcome {
            Outcomes::Drilled(drilled) => {
                self.findings.extend(drilled.findings.into_iter().map(Into::into));
                (drilled.tables, drilled.checks, drilled.recovery)
            }
            Outcomes::Failed(what) => {
                let check = Check { name: "restore".to_owned(), outcome: Outcome::Failed, what };
                (Vec::new(), vec![check], Duration::ZERO)
            }
        };
        let failed = checks.iter().filter(|check| check.outcome == Outcome::Failed).count();
        let made = checks.iter().filter(|check| check.outcome != Outcome::Skipped).count();
        let before = self.before(snapshot);
        let record = DrillRecord {
            snapshot: snapshot.id(),
            passed: failed == 0,
            rto_ms: millis(recovery),
            duration_ms: millis(took),
            tables: tables.len() as u64,
            bytes: snapshot.streams().iter().map(|stream| stream.bytes).sum(),
            checks: u32::try_from(made).unwrap_or(u32::MAX),
            failed: u32::try_from(failed).unwrap_or(u32::MAX),
            place: u8::from(place != "throw-away"),
        };
        let is_recorded = match self.vault.repository.record_drill(record.clone()) {
            Ok(written) => written,
            Err(error) => {
                let what = format!("the drill is not on record: {error}");
                let advice = "run it again from a host that may write to the repository";
                self.findings.push(Finding::new(Severity::Warning, what, "log", advice));
                false
            }
        };
        let document = DrillResult {
            passed: record.passed,
            snapshot: snapshot.id().to_string(),
            job: snapshot.job().to_string(),
            server: place,
            tables: tables
                .into_iter()
                .map(|table| RestoredTable { name: table.name, rows: table.rows, expected: table.expected })
                .collect(),
            rto_ms: record.rto_ms,
            duration_ms: record.duration_ms,
            checks: checks.iter().map(entry).collect(),
            recorded: is_recorded,
            findings: findings::entries(&self.findings),
        };
        drill_tell::ended(self.invocation, &self.vault.settings, &document);
        self.invocation.print(&document, |out| {
            write(&document, before, out)?;
            findings::write(&self.findings, out)
        })?;
        Ok(if record.passed { findings::exit(&self.findings) } else { Exit::Damage })
    }

    /// How long the last recovery of the same job took.
    fn before(&self, snapshot: &Snapshot<'_>) -> Option<Duration> {
        let past = self.vault.repository.drills().ok()?;
        let same = past.iter().rev().find(|past| past.record.passed && past.job.as_ref() == Some(snapshot.job()))?;
        Some(Duration::from_millis(same.record.rto_ms))
    }
}

/// A host that can sign nothing still has to know its own scratch databases: machine and folder name it.
fn unsigned(directory: &Path) -> String {
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&machine).update(directory.as_os_str().as_encoded_bytes());
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// Whether a drill failed for what the snapshot is, and not for what happened to the server or the store.
fn is_of_the_snapshot(error: &DriverError) -> bool {
    match error {
        DriverError::Stopped { source, .. } => is_of_the_snapshot(source),
        DriverError::Source { source, .. } => {
            source.downcast_ref::<lacre_repo::Error>().is_some_and(|error| error.kind() == lacre_repo::Kind::Damaged)
        }
        // Out of room or connections, stopped by somebody, or broken in itself: that is the server.
        DriverError::Statement { sqlstate: Some(code), .. } => {
            !["53", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
        }
        DriverError::NotRestorable(_) | DriverError::ToolFailed { .. } => true,
        _ => false,
    }
}

fn said(error: DriverError) -> String {
    match error {
        DriverError::Stopped { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn entry(check: &Check) -> DrillCheck {
    let result = match check.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    };
    DrillCheck { name: check.name.clone(), result: result.to_owned(), what: check.what.clone() }
}

fn write(document: &DrillResult, before: Option<Duration>, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[("check", Align::Left), ("result", Align::Left), ("what", Align::Left)]);
    for check in &document.checks {
        table.row([printable(&check.name), check.result.clone(), printable(&check.what)]);
    }
    table.write(out)?;
    let verdict = if document.passed { "passed" } else { "DID NOT PASS" };
    let of = format!("drill of snapshot {} ({}) on {}", short(&document.snapshot), document.job, document.server);
    if document.rto_ms == 0 {
        return page::sentence(out, Lead::plain(""), &format!("{of} {verdict}: nothing was recovered"));
    }
    let earlier = before.map_or_else(String::new, |before| format!(" (last time {})", human::duration(before)));
    let recovery = human::duration(Duration::from_millis(document.rto_ms));
    page::sentence(out, Lead::plain(""), &format!("{of} {verdict}: recovered in {recovery}{earlier}"))
}
