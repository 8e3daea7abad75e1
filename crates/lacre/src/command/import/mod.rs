//! `lacre import`: old dumps become snapshots of their day.
//!
//! In: files. Out: a snapshot each, oldest first, so that each builds on the one before. A file that was taken before is known by a digest
//! that stands in its snapshot's sealed root and nowhere else, so only who can open that recognises it.

mod without;

use std::{collections::BTreeMap, io, path::Path};

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};
use lacre_dump::archive::{Created, Peeked};
use lacre_format::ids::Millis;
use lacre_repo::op::{keys::ReadKeys, snapshots::SnapshotState};

use super::backup::{self, Dump};
use crate::{
    cli::{ImportArgs, value::JobName},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{ImportResult, ImportedFile, RefusedFile, SkippedFile},
    source::{DumpFile, Sink, SourceError},
    term::page::Page,
    vault::{Vault, short},
};

/// The fact under which a file's digest is sealed into its snapshot.
const DIGEST: &str = "import.blake3";

/// A file that is to become a snapshot.
struct Candidate {
    source: DumpFile,
    job: JobName,
    time: Timestamp,
    time_from: &'static str,
    digest: String,
    bytes: u64,
}

/// Imports files: exit 3 when some could not be taken.
///
/// # Errors
/// With a single file what it failed of; [`Kind::NoKey`] when earlier imports cannot be opened.
pub(super) fn run(invocation: &Invocation, args: &ImportArgs) -> Result<Exit, CliError> {
    if args.time.is_some() && args.files.len() > 1 {
        return Err(CliError::new(Kind::Usage, "--time dates one file, and several are given")
            .hint("import them one by one, or let their headers, names and times speak"));
    }
    let vault = Vault::open(invocation)?;
    sweep(invocation, &vault)?;
    let keys = if args.no_compare { None } else { Some(keys(invocation, &vault, args)?) };
    let mut document =
        ImportResult { dry_run: args.dry_run, imported: Vec::new(), skipped: Vec::new(), failures: Vec::new() };
    let mut errors = Vec::new();
    let mut candidates = Vec::new();
    for path in &args.files {
        match candidate(invocation, args, path) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => errors.push((path.clone(), error)),
        }
    }
    candidates.sort_by_key(|candidate| candidate.time);
    let mut known: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for candidate in &candidates {
        let job = candidate.job.as_str().to_owned();
        if let (Some(keys), false) = (&keys, known.contains_key(&job)) {
            known.insert(job.clone(), imported_before(&vault, keys, &job)?);
        }
        let file = candidate.source.path().display().to_string();
        let of_job = known.entry(job).or_default();
        if let Some(snapshot) = of_job.get(&candidate.digest) {
            document.skipped.push(SkippedFile { file, snapshot: snapshot.clone() });
            continue;
        }
        match take(invocation, &vault, args, keys.as_ref(), candidate) {
            Ok(done) => {
                of_job.insert(candidate.digest.clone(), done.snapshot.clone().unwrap_or_default());
                document.imported.push(done);
            }
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => errors.push((candidate.source.path().to_owned(), error)),
        }
    }
    if args.files.len() == 1
        && let Some((_, error)) = errors.pop()
    {
        return Err(error);
    }
    document.failures = errors.iter().map(|(path, error)| refused(path, error)).collect();
    invocation.print(&document, |out| write(&document, out))?;
    Ok(if document.failures.is_empty() { Exit::Done } else { Exit::Findings })
}

/// Removes what imports left that were killed while they took a dump apart; what stays is said, and keeps erasures of persons open.
///
/// # Errors
/// Those of this host's home.
pub(super) fn sweep(invocation: &Invocation, vault: &Vault) -> Result<(), CliError> {
    for error in vault.repository.home().sweep_import_folders().map_err(|error| vault.explain(error))? {
        invocation
            .terminal
            .warn(&format!("what a killed import left holds persons who are erased, and stays: {error}"));
    }
    Ok(())
}

fn keys(invocation: &Invocation, vault: &Vault, args: &ImportArgs) -> Result<ReadKeys, CliError> {
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    if keys.identities.is_empty() {
        return Err(CliError::new(
            Kind::NoKey,
            "no identity is at hand, so files that were imported before cannot be recognised",
        )
        .hint("give the recipient's private key with --identity FILE")
        .hint("or add --no-compare and take care yourself that no file is taken twice"));
    }
    Ok(keys)
}

/// Digests of the files that became snapshots of a job, and which.
fn imported_before(vault: &Vault, keys: &ReadKeys, job: &str) -> Result<BTreeMap<String, String>, CliError> {
    let mut known = BTreeMap::new();
    let rows = vault.repository.snapshots().map_err(|error| vault.explain(error))?.rows;
    let counts = |state| matches!(state, SnapshotState::Live | SnapshotState::Forgotten);
    for row in rows.iter().filter(|row| counts(row.state)) {
        if row.label.as_ref().is_some_and(|label| label.job.as_str() != job) {
            continue;
        }
        let snapshot = vault.repository.open_snapshot(row.snapshot, keys).map_err(|error| vault.explain(error))?;
        if let Some(digest) = snapshot.facts().get(DIGEST).filter(|_| snapshot.job().as_str() == job) {
            known.insert(digest.clone(), row.snapshot.to_string());
        }
    }
    Ok(known)
}

fn candidate(invocation: &Invocation, args: &ImportArgs, path: &Path) -> Result<Candidate, CliError> {
    let source = DumpFile::new(path);
    let peeked = source.peek().map_err(|error| unreadable(path, &error))?;
    let job = match (&args.job, &peeked) {
        (Some(job), _) => job.clone(),
        (None, Some(peeked)) => JobName::from_database(&String::from_utf8_lossy(&peeked.database)),
        (None, None) => {
            return Err(CliError::new(Kind::Usage, format!("{} does not say which database it is of", path.display()))
                .hint("name the job with --job"));
        }
    };
    let (time, time_from) = time(args, path, peeked.as_ref())?;
    if time > Timestamp::now() {
        return Err(CliError::new(
            Kind::Usage,
            format!("{} is dated in the future ({time}, by its {time_from})", path.display()),
        )
        .hint("say when it was made with --time"));
    }
    let (digest, bytes) = source.digest(&invocation.interrupt).map_err(|error| unreadable(path, &error))?;
    Ok(Candidate { source, job, time, time_from, digest: digest.to_hex().to_string(), bytes })
}

fn unreadable(path: &Path, error: &SourceError) -> CliError {
    let kind = if matches!(error, SourceError::Interrupted { .. }) { Kind::Interrupted } else { Kind::SourceFailed };
    let hint = match error {
        SourceError::Open { .. } => "check the path and its rights: nothing was taken",
        SourceError::NotAFile { .. } => "name the files in it, for example FOLDER/*.sql.gz: nothing was taken",
        _ => "the file is no dump, or it is cut off: nothing of it was taken",
    };
    CliError::new(kind, format!("{} cannot be read", path.display())).because(error).hint(hint)
}

/// When a dump was made, and who says so.
fn time(args: &ImportArgs, path: &Path, peeked: Option<&Peeked>) -> Result<(Timestamp, &'static str), CliError> {
    if let Some(text) = &args.time {
        let typed = text.parse::<Timestamp>().ok().or_else(|| local(text.parse::<DateTime>().ok()?));
        let wrong = || {
            CliError::new(Kind::Usage, format!("'{text}' is no time"))
                .hint("write it as 2026-11-20T03:15 or 2026-11-20T03:15Z")
        };
        return Ok((typed.ok_or_else(wrong)?, "--time"));
    }
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.ok().and_then(|time| Timestamp::try_from(time).ok());
    if let Some(time) = peeked.and_then(|peeked| local(civil(&peeked.created)?)) {
        // The header tells no zone: nothing was begun after its file was written last.
        return Ok(modified
            .filter(|modified| *modified < time)
            .map_or((time, "archive"), |modified| (modified, "file")));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(time) = time_of_name(&name).and_then(local) {
        return Ok((time, "name"));
    }
    let unknown = || {
        CliError::new(Kind::Usage, format!("nothing says when {} was made", path.display())).hint("say it with --time")
    };
    Ok((modified.ok_or_else(unknown)?, "file"))
}

/// A moment of this machine's clock; headers and names tell no zone.
fn local(time: DateTime) -> Option<Timestamp> {
    time.to_zoned(TimeZone::system()).ok().map(|zoned: Zoned| zoned.timestamp())
}

fn civil(created: &Created) -> Option<DateTime> {
    let small = |number: i32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(created.year).ok()?,
        small(created.month)?,
        small(created.day)?,
        small(created.hour)?,
        small(created.minute)?,
        small(created.second.min(59))?,
        0,
    )
    .ok()
}

/// A date in a name, with the time behind it if there is one: `astro_20261120_031500.dump`, `2026-11-20T03-15.sql.gz`.
fn time_of_name(name: &str) -> Option<DateTime> {
    let bytes = name.as_bytes();
    (0..bytes.len()).find_map(|start| {
        let follows_digit = start > 0 && bytes[start - 1].is_ascii_digit();
        if follows_digit { None } else { date_at(&bytes[start..]) }
    })
}

fn date_at(text: &[u8]) -> Option<DateTime> {
    let mut reader = Digits { rest: text };
    let year = reader.number(4)?;
    reader.step_over(b"-_.");
    let month = reader.number(2)?;
    reader.step_over(b"-_.");
    let day = reader.number(2)?;
    let date = jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    // A century around now: other numbers of eight digits are no dates.
    if !(1995..=2100).contains(&year) {
        return None;
    }
    let mut time = || {
        reader.step_over(b"-_.T ");
        let hour = reader.number(2)?;
        reader.step_over(b"-_.:h");
        let minute = reader.number(2)?;
        reader.step_over(b"-_.:m");
        let second = reader.number(2).unwrap_or(0);
        let small = |number: i16| i8::try_from(number).ok();
        jiff::civil::Time::new(small(hour)?, small(minute)?, small(second)?, 0).ok()
    };
    Some(date.to_datetime(time().unwrap_or(jiff::civil::Time::midnight())))
}

struct Digits<'t> {
    rest: &'t [u8],
}

impl Digits<'_> {
    fn number(&mut self, digits: usize) -> Option<i16> {
        let text = self.rest.get(..digits)?;
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = &self.rest[digits..];
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    fn step_over(&mut self, separators: &[u8]) {
        if let Some((first, rest)) = self.rest.split_first()
            && separators.contains(first)
        {
            self.rest = rest;
        }
    }
}

fn take(
    invocation: &Invocation,
    vault: &Vault,
    args: &ImportArgs,
    keys: Option<&ReadKeys>,
    candidate: &Candidate,
) -> Result<ImportedFile, CliError> {
    let standing = without::standing(vault, keys, &candidate.job, candidate.time)?;
    let mut done = ImportedFile {
        file: candidate.source.path().display().to_string(),
        snapshot: None,
        job: candidate.job.to_string(),
        time: candidate.time.to_string(),
        time_from: candidate.time_from.to_owned(),
        bytes_read: candidate.bytes,
        bytes_new: 0,
        bytes_stored: 0,
        without: 0,
    };
    if standing.gone > 0 {
        invocation.terminal.warn(&format!(
            "{}: since it was made, {} erased from {}, and nothing says any more who: if it holds them, they are back; lacre erase person",
            done.file,
            human::things(standing.gone, ["person was", "persons were"]),
            candidate.job
        ));
    }
    if args.dry_run {
        return Ok(done);
    }
    let interrupt = invocation.interrupt.clone();
    let mut source = |sink: Sink<'_>| candidate.source.pump(&interrupt, sink);
    let mut rows = 0;
    let report =
        without::through(invocation, vault, &standing.lists, &done.file, &mut source, &mut |source, removed| {
            rows = removed;
            let taken = Millis(candidate.time.as_millisecond());
            let facts = facts(candidate, removed);
            backup::import(invocation, vault, Dump { job: &candidate.job, taken, tags: &args.tags, facts }, source)
        })?;
    done.without = rows;
    done.snapshot = Some(report.snapshot.to_string());
    (done.bytes_read, done.bytes_new, done.bytes_stored) = (report.bytes_read, report.bytes_new, report.bytes_stored);
    Ok(done)
}

/// What is recorded with the snapshot of a file. A hash or length of a file that rows were left out of would let guesses of them be tried.
fn facts(candidate: &Candidate, removed: u64) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([
        // The first fact names the source in messages.
        ("file".to_owned(), candidate.source.path().display().to_string()),
        ("import.time_from".to_owned(), candidate.time_from.to_owned()),
    ]);
    if removed == 0 {
        facts.insert(DIGEST.to_owned(), candidate.digest.clone());
        facts.insert("import.bytes".to_owned(), candidate.bytes.to_string());
    }
    facts
}

fn refused(path: &Path, error: &CliError) -> RefusedFile {
    RefusedFile {
        file: path.display().to_string(),
        kind: error.kind().name().to_owned(),
        message: error.message(),
        hint: (!error.hints().is_empty()).then(|| error.hints().join("\n")),
        exit: error.kind().exit().code(),
    }
}

fn write(document: &ImportResult, out: &mut dyn Page) -> io::Result<()> {
    for done in &document.imported {
        let time = done.time.parse::<Timestamp>().map_or_else(|_| done.time.clone(), human::time);
        let (file, job, from) = (&done.file, &done.job, &done.time_from);
        match &done.snapshot {
            None => writeln!(out, "{file}: would become a snapshot of {job} at {time} (by {from})")?,
            Some(snapshot) => writeln!(
                out,
                "{file}: snapshot {} of {job} at {time} (by {from}), {} read, {} stored",
                short(snapshot),
                human::bytes(done.bytes_read),
                human::bytes(done.bytes_stored)
            )?,
        }
    }
    for done in document.imported.iter().filter(|done| done.without > 0) {
        let rows = human::things(done.without, ["row", "rows"]);
        writeln!(out, "{}: {rows} of persons who are being erased left out or changed", done.file)?;
    }
    for skipped in &document.skipped {
        writeln!(out, "{}: is snapshot {} already", skipped.file, short(&skipped.snapshot))?;
    }
    for failure in &document.failures {
        writeln!(out, "{} FAILED (exit {}): {}", failure.file, failure.exit, failure.message)?;
    }
    let (imported, skipped, failed) = (document.imported.len(), document.skipped.len(), document.failures.len());
    writeln!(out, "{imported} imported, {skipped} there already, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::time_of_name;

    #[test]
    fn dates_are_found_in_the_names_people_give() {
        let read = |name| time_of_name(name).map(|time| time.to_string());
        assert_eq!(read("astro_20261120_031500.sql.gz").as_deref(), Some("2026-11-20T03:15:00"));
        assert_eq!(read("backup_astro_2026-11-20_03-15-59.dump").as_deref(), Some("2026-11-20T03:15:59"));
        assert_eq!(read("2026-11-20T0315.dump").as_deref(), Some("2026-11-20T03:15:00"));
        assert_eq!(read("db-20261120.sql").as_deref(), Some("2026-11-20T00:00:00"));
        assert_eq!(read("astro15_20261131.dump"), None);
        assert_eq!(read("12345678901234.dump"), None);
        assert_eq!(read("latest.dump"), None);
    }
}
