//! `lacre backup`: which jobs, one snapshot each, and what is shown of them.
//!
//! In: flags and the configuration's jobs. Out: one document, or one per job in a list; the worst exit code of all. A job that fails
//! does not stop the others; a signal does.

mod intake;
mod nightly;
mod postgres;
mod tell;

pub(in crate::command) use self::intake::Pump;
pub(super) use self::{
    postgres::{environment, environment_with},
    tell::{erasures as tell_erasures, host},
};

use std::{ffi::OsString, fs, io, sync::Arc, time::Duration};

use lacre_format::ids::JobName as VaultJobName;
use lacre_repo::{
    Finding,
    op::backup::{Backup, BackupOptions, BackupReport},
};

use super::{copy, findings, streams};
use crate::{
    cli::{BackupArgs, value::JobName},
    config::{JobSource, Settings},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{BackupResult, BackupsResult, CopySyncEntry, JobFailure},
    secret::SecretSource,
    term::page::Page,
    vault::{Vault, Watching, short, watching},
};

/// One job to take now.
struct Task {
    name: JobName,
    source: Source,
    tags: Vec<String>,
    /// Where the password of its database comes from, if not from where libpq looks.
    password: Option<SecretSource>,
}

/// What a job reads.
enum Source {
    Postgres(String),
    Command(Vec<OsString>),
    File(std::path::PathBuf),
    Stdin,
}

/// Takes the jobs one after the other.
///
/// # Errors
/// With a single job what it failed of; with several only what keeps all of them from starting.
pub(super) fn run(invocation: &Invocation, args: &BackupArgs) -> Result<Exit, CliError> {
    if args.is_night() {
        return nightly::run(invocation, args);
    }
    let vault = Vault::open(invocation)?;
    let tasks = tasks(&vault.settings, args)?;
    if let [task] = tasks.as_slice() {
        let (mut document, mut found) = take(invocation, &vault, args, task)?;
        let (copies, own) = bring_copies(invocation, &vault, args);
        (document.copies, document.findings) = (copies, [document.findings, findings::entries(&own)].concat());
        found.extend(own);
        invocation.print(&document, |out| write_backup(&document, &findings::news(&vault.settings, &found), out))?;
        return Ok(findings::exit(&found));
    }
    several(invocation, &vault, args, &tasks)
}

fn several(invocation: &Invocation, vault: &Vault, args: &BackupArgs, tasks: &[Task]) -> Result<Exit, CliError> {
    let mut all = BackupsResult { backups: Vec::new(), failures: Vec::new(), copies: Vec::new(), run: None };
    let mut found = Vec::new();
    let mut worst = None;
    for task in tasks {
        match take(invocation, vault, args, task) {
            Ok((document, own)) => {
                all.backups.push(document);
                found.push(own);
            }
            Err(error) => {
                let exit = error.kind().exit();
                worst = worst.max(Some(exit));
                all.failures.push(failure(task.name.as_str(), &error));
                if error.kind() == Kind::Interrupted {
                    break;
                }
            }
        }
    }
    let interrupted = worst == Some(Exit::Interrupted);
    let (copies, own) = if interrupted { Default::default() } else { bring_copies(invocation, vault, args) };
    all.copies = copies;
    invocation.print(&all, |out| {
        write_several(&vault.settings, &all, &found, out)?;
        findings::write(&own, out)
    })?;
    found.push(own);
    Ok(worst.unwrap_or_else(|| findings::exit(&found.concat())))
}

/// Takes one database as a snapshot of a job, and shows nothing of it.
///
/// # Errors
/// As any backup of a database.
pub(super) fn database(
    invocation: &Invocation,
    vault: &Vault,
    job: &JobName,
    url: &crate::safe_url::SafeUrl,
    database: &str,
) -> Result<lacre_format::ids::SnapshotId, CliError> {
    let name = VaultJobName::parse(job.as_str())
        .map_err(|error| CliError::new(Kind::Usage, format!("{job} is no job name")).because(&error))?;
    let options = BackupOptions { allow_shrink: true, ..BackupOptions::default() };
    let (line, watching) = watching(invocation);
    let session = Session { invocation, vault, watching: watching.clone(), allow_empty: true };
    let begun = vault.repository.begin_backup(&name, options, Arc::new(watching));
    let taken = begun
        .map_err(|error| vault.explain(error))
        .and_then(|backup| postgres::take_named(&session, backup, url.expose(), None, Some(database)));
    line.finish();
    Ok(taken?.snapshot)
}

/// Takes a dump somebody made earlier, as a snapshot of that moment.
///
/// # Errors
/// As any backup from a file.
pub(super) fn import(
    invocation: &Invocation,
    vault: &Vault,
    dump: Dump<'_>,
    pump: Pump<'_>,
) -> Result<BackupReport, CliError> {
    let job = VaultJobName::parse(dump.job.as_str())
        .map_err(|error| CliError::new(Kind::Usage, format!("{} is no job name", dump.job)).because(&error))?;
    // Older dumps are smaller than newer ones; that is no alarm.
    let options = BackupOptions { allow_shrink: true, tags: dump.tags.to_vec(), ..BackupOptions::default() };
    let (line, watching) = watching(invocation);
    let session = Session { invocation, vault, watching: watching.clone(), allow_empty: false };
    let mut backup =
        vault.repository.begin_backup(&job, options, Arc::new(watching)).map_err(|error| vault.explain(error))?;
    if let Err(error) = backup.date(dump.taken) {
        let error = vault.explain(error);
        return Err(abandon(&session, backup, error, Blame::Source));
    }
    let report = intake::take(&session, backup, "import", dump.facts, pump);
    line.finish();
    report
}

/// A dump that somebody made earlier.
pub(super) struct Dump<'a> {
    /// The job it becomes a snapshot of.
    pub(super) job: &'a JobName,
    /// When it was made.
    pub(super) taken: lacre_format::ids::Millis,
    /// Labels.
    pub(super) tags: &'a [String],
    /// What is recorded with it, sealed.
    pub(super) facts: std::collections::BTreeMap<String, String>,
}

/// The snapshots stand; now the copies follow. What becomes of them takes no snapshot back.
fn bring_copies(invocation: &Invocation, vault: &Vault, args: &BackupArgs) -> (Vec<CopySyncEntry>, Vec<Finding>) {
    if args.no_copies { (Vec::new(), Vec::new()) } else { copy::after_backup(invocation, vault) }
}

fn write_several(
    settings: &Settings,
    all: &BackupsResult,
    found: &[Vec<Finding>],
    out: &mut dyn Page,
) -> io::Result<()> {
    for (document, found) in all.backups.iter().zip(found) {
        write_backup(document, &findings::news(settings, found), out)?;
    }
    for failure in &all.failures {
        writeln!(out, "job {} FAILED (exit {}): {}", failure.job, failure.exit, failure.message)?;
        if let Some(hint) = &failure.hint {
            writeln!(out, "  hint: {hint}")?;
        }
    }
    Ok(())
}

fn failure(job: &str, error: &CliError) -> JobFailure {
    JobFailure {
        job: job.to_owned(),
        kind: error.kind().name().to_owned(),
        message: error.message(),
        hint: (!error.hints().is_empty()).then(|| error.hints().join("\n")),
        exit: error.kind().exit().code(),
    }
}

/// The jobs that flags name, or those of the configuration.
fn tasks(settings: &Settings, args: &BackupArgs) -> Result<Vec<Task>, CliError> {
    let task = |name: JobName, source: Source| Ok(vec![Task { name, source, tags: args.tags.clone(), password: None }]);
    if let Some(url) = &args.postgres {
        let name = match args.jobs.as_slice() {
            [] => postgres::job_name(url.expose())?,
            [name] => name.clone(),
            _ => return Err(CliError::new(Kind::Usage, "--postgres takes one job name at most")),
        };
        return task(name, Source::Postgres(url.expose().to_owned()));
    }
    if let Some(name) = &args.command {
        return task(name.clone(), Source::Command(args.argv.clone()));
    }
    if let Some(file) = &args.file {
        return task(file.name.clone(), Source::File(file.path.clone()));
    }
    if let Some(name) = &args.stdin {
        return task(name.clone(), Source::Stdin);
    }
    let unknown = |name: &JobName| {
        let known: Vec<&str> = settings.jobs.iter().map(|job| job.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CliError::new(Kind::Usage, format!("no job is named {name}; lacre.toml has {known}"))
            .hint("lacre config check    (finds mistakes in lacre.toml)")
    };
    let chosen = if args.jobs.is_empty() {
        settings.jobs.iter().collect()
    } else {
        let find = |name: &JobName| settings.job(name).ok_or_else(|| unknown(name));
        args.jobs.iter().map(find).collect::<Result<Vec<_>, _>>()?
    };
    if chosen.is_empty() {
        return Err(CliError::new(Kind::Usage, "nothing says what to back up")
            .hint("lacre backup --postgres postgres://backup@db/astro")
            .hint("or write a [[job]] into lacre.toml"));
    }
    Ok(chosen
        .into_iter()
        .map(|job| Task {
            name: job.name.clone(),
            source: match &job.source {
                JobSource::Postgres(url) => Source::Postgres(url.expose().to_owned()),
                JobSource::Command(argv) => Source::Command(argv.iter().map(OsString::from).collect()),
                JobSource::File(path) => Source::File(path.clone()),
                JobSource::Stdin => Source::Stdin,
            },
            tags: job.tags.iter().chain(&args.tags).cloned().collect(),
            password: job.password.clone(),
        })
        .collect())
}

/// What every source needs.
struct Session<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    watching: Watching,
    allow_empty: bool,
}

/// Takes one job: the session first, then its source.
fn take(
    invocation: &Invocation,
    vault: &Vault,
    args: &BackupArgs,
    task: &Task,
) -> Result<(BackupResult, Vec<Finding>), CliError> {
    let job = VaultJobName::parse(task.name.as_str())
        .map_err(|error| CliError::new(Kind::Usage, format!("{} is no job name", task.name)).because(&error))?;
    let options = BackupOptions {
        allow_empty: args.allow_empty,
        allow_shrink: args.allow_shrink,
        tags: task.tags.clone(),
        ..BackupOptions::default()
    };
    let (line, watching) = watching(invocation);
    let _shown = watching.shown(vault, "backup", Some(task.name.as_str()));
    let session = Session { invocation, vault, watching: watching.clone(), allow_empty: args.allow_empty };
    let begun = vault.repository.begin_backup(&job, options, Arc::new(watching));
    let taken = begun.map_err(|error| vault.explain(error)).and_then(|backup| match &task.source {
        Source::Postgres(url) => postgres::take(&session, backup, url, task.password.as_ref()),
        Source::Command(argv) => intake::command(&session, backup, argv.clone()),
        Source::File(path) => intake::file(&session, backup, path.clone()),
        Source::Stdin => intake::stdin(&session, backup),
    });
    line.finish();
    let report = taken?;
    Ok((document(&task.name, &report), report.findings))
}

/// Ends a session whose source failed, and says why: the vault's own error explains a source that only stopped because of it.
fn abandon(session: &Session<'_>, backup: Backup<'_>, error: CliError, blame: Blame) -> CliError {
    match backup.abandon() {
        Ok(Some(own)) if blame == Blame::Sink => session.vault.explain(own),
        Ok(_) => error,
        Err(_) if blame == Blame::Source => error,
        Err(own) => session.vault.explain(own),
    }
}

/// Which side failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The source.
    Source,
    /// The vault, which took no more bytes.
    Sink,
}

fn document(name: &JobName, report: &BackupReport) -> BackupResult {
    BackupResult {
        snapshot: report.snapshot.to_string(),
        job: name.to_string(),
        streams: report.streams.iter().map(streams::of_backup).collect(),
        bytes_read: report.bytes_read,
        bytes_new: report.bytes_new,
        bytes_stored: report.bytes_stored,
        chunks: report.chunks,
        chunks_new: report.chunks_new,
        duration_ms: report.duration_ms,
        source_ms: report.source_ms,
        peak_memory_bytes: peak_memory_bytes(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
        copies: Vec::new(),
        findings: findings::entries(&report.findings),
        run: None,
    }
}

/// The most memory this process ever had resident, from the text of `/proc/self/status`; 0 where the system does not tell.
fn peak_memory_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib =
        line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or_default().saturating_mul(1024)
}

fn write_backup(document: &BackupResult, found: &[Finding], out: &mut dyn Page) -> io::Result<()> {
    writeln!(
        out,
        "snapshot {} of {}: {} read in {}, {} new, {} stored, {} of {} new",
        short(&document.snapshot),
        document.job,
        human::bytes(document.bytes_read),
        human::duration(Duration::from_millis(document.duration_ms)),
        human::bytes(document.bytes_new),
        human::bytes(document.bytes_stored),
        human::count(document.chunks_new),
        human::things(document.chunks, ["chunk", "chunks"])
    )?;
    for copy in &document.copies {
        writeln!(out, "copy {}: {}, {} sent", copy.name, copy.state, human::bytes(copy.bytes_sent))?;
    }
    findings::write(found, out)
}

#[cfg(test)]
mod tests {
    use super::peak_memory_bytes;

    #[test]
    fn the_high_water_mark_is_read_from_the_status_text() {
        assert_eq!(peak_memory_bytes("Name:\tlacre\nVmHWM:\t   81234 kB\nVmRSS:\t 1 kB\n"), 81_234 * 1024);
        assert_eq!(peak_memory_bytes("Name:\tlacre\n"), 0);
        assert!(peak_memory_bytes(&std::fs::read_to_string("/proc/self/status").unwrap()) > 1 << 20);
    }
}
