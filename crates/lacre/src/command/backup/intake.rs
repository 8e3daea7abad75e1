//! Sources that are one stream of bytes: a command's output, a file, standard input.
//!
//! In: pieces. Out: one stream named `data`, cut as its first bytes suggest, committed only when its end is the one its format needs.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    time::Instant,
};

use lacre_dump::plain::{EndCheck, Format, Verdict, sniff};
use lacre_format::root::{Shape, StreamKind};
use lacre_repo::{
    Error, Finding, Severity,
    op::backup::{Backup, BackupReport, Rows, SourceFacts, StreamSpec, StreamWriter},
};

use super::{Blame, Session, abandon};
use crate::{
    error::{CliError, Kind},
    source::{CommandSource, FileSource, Sink, SourceEnd, SourceError, StdinSource},
};

/// The stream's name.
const STREAM: &str = "data";

/// How many first bytes decide how the stream is cut.
const HEAD_BYTES: usize = 64 * 1024;

/// Takes a command's output.
pub(super) fn command(
    session: &Session<'_>,
    backup: Backup<'_>,
    argv: Vec<OsString>,
) -> Result<BackupReport, CliError> {
    let mut source = CommandSource::new(argv, session.invocation.interrupt.clone());
    // Only the program is recorded: arguments may hold passwords.
    let facts = [("program".to_owned(), source.name())];
    take(session, backup, "command", facts.into(), &mut |sink| source.pump(sink))
}

/// Takes a file.
pub(super) fn file(session: &Session<'_>, backup: Backup<'_>, path: PathBuf) -> Result<BackupReport, CliError> {
    session.watching.expect_bytes(std::fs::metadata(&path).map_or(0, |metadata| metadata.len()));
    let mut source = FileSource::new(path, session.invocation.interrupt.clone());
    let facts = [("path".to_owned(), source.name())];
    take(session, backup, "file", facts.into(), &mut |sink| source.pump(sink))
}

/// Takes standard input.
pub(super) fn stdin(session: &Session<'_>, backup: Backup<'_>) -> Result<BackupReport, CliError> {
    let mut source = StdinSource::new(session.invocation.interrupt.clone());
    take(session, backup, "stdin", BTreeMap::new(), &mut |sink| source.pump(sink))
}

type Pump<'a> = &'a mut dyn FnMut(Sink<'_>) -> Result<SourceEnd, SourceError>;

fn take(
    session: &Session<'_>,
    mut backup: Backup<'_>,
    kind: &str,
    mut facts: BTreeMap<String, String>,
    pump: Pump<'_>,
) -> Result<BackupReport, CliError> {
    let started = Instant::now();
    let mut intake =
        Intake { backup: &mut backup, head: Vec::new(), writer: None, end: EndCheck::new(), failure: None };
    let pumped = pump(&mut |piece| intake.push(piece));
    let source_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let end = match pumped {
        Ok(end) => end,
        Err(error) => {
            let own = intake.failure.take();
            drop(intake);
            let blame = if matches!(error, SourceError::Sink { .. }) { Blame::Sink } else { Blame::Source };
            let shown = own.map_or_else(|| explain(&error), |own| session.vault.explain(own));
            return Err(abandon(session, backup, shown, blame));
        }
    };
    let (format, verdict) = intake.end.finish();
    if let Some(error) = refuse(format, verdict, session, &facts) {
        drop(intake);
        return Err(abandon(session, backup, error, Blame::Source));
    }
    if let Err(error) = intake.finish() {
        let shown = session.vault.explain(error);
        return Err(abandon(session, backup, shown, Blame::Sink));
    }
    let findings = note(kind, &end);
    facts.insert("format".to_owned(), format.to_string());
    facts.insert("verified".to_owned(), end.verified.to_string());
    if let Some(status) = end.exit_status {
        facts.insert("exit_status".to_owned(), status.to_string());
    }
    if !end.stderr_tail.is_empty() {
        facts.insert("stderr".to_owned(), end.stderr_tail);
    }
    let facts = SourceFacts { kind: kind.to_owned(), facts, findings, source_ms };
    backup.commit(facts).map_err(|error| session.vault.explain(error))
}

/// Law L1: a stream that is empty, or of a known format and not ended as that format ends, is a failed source.
fn refuse(
    format: Format,
    verdict: Verdict,
    session: &Session<'_>,
    facts: &BTreeMap<String, String>,
) -> Option<CliError> {
    let Verdict::Incomplete(why) = verdict else { return None };
    let source = facts.values().next().map_or("standard input", String::as_str);
    if format == Format::Empty {
        return (!session.allow_empty).then(|| {
            CliError::new(Kind::SourceFailed, format!("{source} gave no data at all; nothing was committed"))
                .hint("add --allow-empty if that is right")
        });
    }
    let what = format!("{source} gave {format} that is not complete: {why}; nothing was committed");
    Some(
        CliError::new(Kind::SourceFailed, what)
            .hint("look for what ended the dump early: a full disk, a lost connection, a killed program"),
    )
}

/// What a reader of the result should know although nothing failed.
fn note(kind: &str, end: &SourceEnd) -> Vec<Finding> {
    if end.verified {
        return Vec::new();
    }
    let what = "nobody can tell whether the program that wrote it failed";
    let advice = "use --command NAME -- PROGRAM, so that its exit status is judged";
    vec![Finding::new(Severity::Note, what, kind, advice)]
}

fn explain(error: &SourceError) -> CliError {
    let kind = match error {
        SourceError::Interrupted { .. } => Kind::Interrupted,
        SourceError::Sink { .. } => Kind::Io,
        _ => Kind::SourceFailed,
    };
    let shown = CliError::new(kind, format!("{error}; nothing was committed")).because(error);
    match error {
        SourceError::Status { stderr_tail, .. } if !stderr_tail.trim().is_empty() => {
            let lines: Vec<&str> = stderr_tail.lines().rev().take(5).collect();
            let last = lines.into_iter().rev().collect::<Vec<_>>().join(" | ");
            shown.hint(format!("it said: {last}"))
        }
        SourceError::Changed { .. } => {
            shown.hint("back up a file that nobody writes to, or the program that makes it with --command")
        }
        SourceError::NotAFile { .. } => shown.hint("name a regular file; pipes go to --stdin NAME"),
        _ => shown,
    }
}

/// Holds the first bytes back until they tell how to cut the stream.
struct Intake<'b, 'r> {
    backup: &'b mut Backup<'r>,
    head: Vec<u8>,
    writer: Option<StreamWriter>,
    end: EndCheck,
    failure: Option<Error>,
}

impl Intake<'_, '_> {
    fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.end.push(piece);
        if let Some(writer) = &mut self.writer {
            return writer.write_all(piece);
        }
        self.head.extend_from_slice(piece);
        if self.head.len() < HEAD_BYTES {
            return Ok(());
        }
        if let Err(error) = self.open() {
            let text = error.to_string();
            self.failure = Some(error);
            return Err(io::Error::other(text));
        }
        Ok(())
    }

    /// Opens the stream in the shape its first bytes suggest and writes them.
    fn open(&mut self) -> Result<(), Error> {
        let shape = if sniff(&self.head).is_lines() { Shape::Lines } else { Shape::Bytes };
        let spec = StreamSpec {
            name: STREAM.to_owned(),
            kind: StreamKind::Opaque,
            shape,
            dump_id: None,
            expected_bytes: None,
        };
        let writer = self.writer.insert(self.backup.stream(spec)?);
        writer.push(&std::mem::take(&mut self.head))
    }

    fn finish(mut self) -> Result<(), Error> {
        if self.writer.is_none() {
            self.open()?;
        }
        match self.writer {
            Some(writer) => writer.finish(Rows::default()).map(drop),
            None => Ok(()),
        }
    }
}
