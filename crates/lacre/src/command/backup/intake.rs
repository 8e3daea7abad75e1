//! Sources that are bytes and nothing else: a command's output, a file, standard input.
//!
//! In: pieces. Out: one stream named `data`, cut as its first bytes suggest, or the parts of a PostgreSQL archive, as of a dump of our own;
//! committed only when its end is the one its format needs.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Read, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
    time::Instant,
};

use lacre_dump::{
    archive::{self, Sniff, Unsupported},
    plain::{EndCheck, Format, Verdict, sniff},
};
use lacre_format::root::{Shape, StreamKind};
use lacre_repo::{
    Error, Finding, Severity,
    op::backup::{Backup, BackupReport, Rows, SourceFacts, StreamSpec, StreamWriter},
};

use super::{Blame, Session, abandon};
use crate::{
    driver::postgres::{
        dump::DumpReport,
        error::Error as DriverError,
        foreign,
        report::Watch,
        vault::{VaultSink, vault_error},
    },
    error::{CliError, Kind},
    source::{CommandSource, FileSource, Sink, SourceEnd, SourceError, StdinSource},
};

/// The stream's name.
const STREAM: &str = "data";

/// How many first bytes decide how the stream is cut.
const HEAD_BYTES: usize = 64 * 1024;

/// Pieces of an archive that wait for the thread that takes it apart.
const PIECES_WAITING: usize = 2;

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

pub(in crate::command) type Pump<'a> = &'a mut dyn FnMut(Sink<'_>) -> Result<SourceEnd, SourceError>;

pub(super) fn take(
    session: &Session<'_>,
    mut backup: Backup<'_>,
    kind: &str,
    mut facts: BTreeMap<String, String>,
    pump: Pump<'_>,
) -> Result<BackupReport, CliError> {
    let started = Instant::now();
    let origin = facts.values().next().map_or("standard input", String::as_str).to_owned();
    let watch: Arc<dyn Watch> = Arc::new(session.watching.clone());
    let stored = thread::scope(|scope| {
        let mut intake = Intake {
            scope,
            origin: &origin,
            watch: &watch,
            end: EndCheck::new(),
            failure: None,
            state: State::Head { backup: &mut backup, head: Vec::new() },
        };
        let pumped = pump(&mut |piece| intake.push(piece));
        judge(session, &origin, intake, pumped)
    });
    let source_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let stored = match stored {
        Ok(stored) => stored,
        Err((error, blame)) => return Err(abandon(session, backup, error, blame)),
    };
    let mut findings = note(kind, &stored.end);
    findings.extend(stored.findings);
    facts.extend(stored.facts);
    facts.insert("format".to_owned(), stored.format.to_string());
    facts.insert("verified".to_owned(), stored.end.verified.to_string());
    if let Some(status) = stored.end.exit_status {
        facts.insert("exit_status".to_owned(), status.to_string());
    }
    if !stored.end.stderr_tail.is_empty() {
        facts.insert("stderr".to_owned(), stored.end.stderr_tail);
    }
    let facts = SourceFacts { kind: kind.to_owned(), facts, findings, source_ms };
    backup.commit(facts).map_err(|error| session.vault.explain(error))
}

/// What was stored of a source that ended well.
struct Stored {
    end: SourceEnd,
    format: Format,
    facts: BTreeMap<String, String>,
    findings: Vec<Finding>,
}

/// Whether the source and what was made of it ended well; the source's own end comes first, because it explains the others.
fn judge(
    session: &Session<'_>,
    origin: &str,
    mut intake: Intake<'_, '_, '_>,
    pumped: Result<SourceEnd, SourceError>,
) -> Result<Stored, (CliError, Blame)> {
    let end = match pumped {
        Ok(end) => end,
        Err(error @ SourceError::Sink { .. }) => {
            let own = intake.failure.take().map(|own| session.vault.explain(own));
            let own = own.or_else(|| intake.finish(session, origin).err());
            return Err((own.unwrap_or_else(|| explain(&error)), Blame::Sink));
        }
        Err(error) => return Err((explain(&error), Blame::Source)),
    };
    let (format, verdict) = intake.end.finish();
    if let Some(error) = refuse(format, verdict, session, origin) {
        return Err((error, Blame::Source));
    }
    let (facts, findings) = intake.finish(session, origin).map_err(|error| {
        let blame = if error.kind() == Kind::SourceFailed { Blame::Source } else { Blame::Sink };
        (error, blame)
    })?;
    Ok(Stored { end, format, facts, findings })
}

/// Law L1: a stream that is empty, or of a known format and not ended as that format ends, is a failed source.
fn refuse(format: Format, verdict: Verdict, session: &Session<'_>, source: &str) -> Option<CliError> {
    let Verdict::Incomplete(why) = verdict else { return None };
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
        SourceError::Open { .. } => shown.hint("check the path; it is taken from the folder lacre was started in"),
        SourceError::Start { .. } => {
            shown.hint("check the program's name and PATH; everything after -- is one command")
        }
        SourceError::NotAFile { .. } => shown.hint("name a regular file; pipes go to --stdin NAME"),
        _ => shown,
    }
}

/// The parts of an archive as a thread of their own takes them apart, or why it could not.
type Parts<'scope> = ScopedJoinHandle<'scope, Result<DumpReport, DriverError>>;

/// Holds the first bytes back until they tell what the stream is: an archive is taken apart, anything else is one stream.
struct Intake<'scope, 'env, 'r> {
    scope: &'scope Scope<'scope, 'env>,
    origin: &'scope str,
    watch: &'scope Arc<dyn Watch>,
    end: EndCheck,
    failure: Option<Error>,
    state: State<'scope, 'r>,
}

#[expect(clippy::large_enum_variant, reason = "one lives for each source that is read, and it is never copied")]
enum State<'scope, 'r> {
    Head { backup: &'scope mut Backup<'r>, head: Vec<u8> },
    Stream { writer: StreamWriter, findings: Vec<Finding> },
    Archive { pieces: SyncSender<Vec<u8>>, parts: Parts<'scope> },
    Broken,
}

impl Intake<'_, '_, '_> {
    fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.end.push(piece);
        match &mut self.state {
            State::Stream { writer, .. } => return writer.write_all(piece),
            State::Archive { pieces, .. } => return send(pieces, piece.to_vec()),
            State::Broken => return Err(io::Error::other("the stream could not be opened")),
            State::Head { head, .. } => {
                head.extend_from_slice(piece);
                if head.len() < HEAD_BYTES {
                    return Ok(());
                }
            }
        }
        self.open()
    }

    /// Opens what the first bytes suggest and hands them on.
    fn open(&mut self) -> io::Result<()> {
        let State::Head { backup, head } = std::mem::replace(&mut self.state, State::Broken) else { return Ok(()) };
        let findings = match archive::sniff(&head) {
            Sniff::Supported { .. } => {
                let (pieces, waiting) = sync_channel(PIECES_WAITING);
                let feed = Feed { waiting, piece: Vec::new(), taken: 0 };
                let (origin, watch) = (self.origin, self.watch);
                let parts = self.scope.spawn(move || foreign::take(feed, origin, &mut VaultSink::new(backup), watch));
                let sent = send(&pieces, head);
                self.state = State::Archive { pieces, parts };
                return sent;
            }
            Sniff::Unsupported(why) => vec![kept_whole(&why)],
            Sniff::NotAnArchive => Vec::new(),
        };
        let shape = if sniff(&head).is_lines() { Shape::Lines } else { Shape::Bytes };
        let name = STREAM.to_owned();
        let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
        let opened = backup.stream(spec).and_then(|mut writer| writer.push(&head).map(|()| writer));
        match opened {
            Ok(writer) => {
                self.state = State::Stream { writer, findings };
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                self.failure = Some(error);
                Err(io::Error::other(text))
            }
        }
    }

    /// Ends what was opened: facts and findings of an archive, findings of a stream.
    fn finish(
        mut self,
        session: &Session<'_>,
        origin: &str,
    ) -> Result<(BTreeMap<String, String>, Vec<Finding>), CliError> {
        let opened = if matches!(self.state, State::Head { .. }) { self.open() } else { Ok(()) };
        if let Some(error) = self.failure {
            return Err(session.vault.explain(error));
        }
        match self.state {
            State::Stream { writer, findings } => {
                writer.finish(Rows::default()).map_err(|error| session.vault.explain(error))?;
                Ok((BTreeMap::new(), findings))
            }
            State::Archive { pieces, parts } => {
                // No more pieces: the archive must end here.
                drop(pieces);
                let gone = || CliError::new(Kind::Bug, "the thread that takes the archive apart died");
                let report = parts.join().map_err(|_| gone())?.map_err(|error| broken(session, origin, error))?;
                let mut facts = report.facts;
                let hash = blake3::Hash::from_bytes(report.archive_blake3);
                facts.insert("archive.blake3".to_owned(), hash.to_hex().to_string());
                Ok((facts, report.findings.into_iter().map(Into::into).collect()))
            }
            State::Head { .. } | State::Broken => {
                let error = opened.err().unwrap_or_else(|| io::Error::other("it was never opened"));
                Err(CliError::io("the stream could not be opened", &error))
            }
        }
    }
}

fn send(pieces: &SyncSender<Vec<u8>>, piece: Vec<u8>) -> io::Result<()> {
    pieces.send(piece).map_err(|_| io::Error::other("the archive cannot be taken apart"))
}

/// Why an archive is stored as one stream.
fn kept_whole(why: &Unsupported) -> Finding {
    let what = format!("the archive is stored whole and cannot be restored by table: {why}");
    let (severity, advice) = match why {
        Unsupported::Compressed(_) => {
            (Severity::Note, "write it with pg_dump -Fc -Z0: Lacre compresses, and then unchanged rows are stored once")
        }
        _ => (Severity::Warning, "a newer Lacre may know this kind; `restore --to-file` gives the archive back"),
    };
    Finding::new(severity, what, STREAM, advice)
}

/// What is wrong with an archive that could not be taken apart, unless the vault failed.
fn broken(session: &Session<'_>, origin: &str, error: DriverError) -> CliError {
    let error = match vault_error(error) {
        Ok(own) => return session.vault.explain(*own),
        Err(error) => error,
    };
    let (what, hint) = match &error {
        DriverError::DumpTruncated { why, .. } => (
            format!("{origin} gave a PostgreSQL archive that is not complete: {why}"),
            "look for what ended the dump early: a full disk, a lost connection, a killed program",
        ),
        DriverError::Garbage { why, .. } => (
            format!("{origin} gave a PostgreSQL archive that is malformed: {why}"),
            "see whether pg_restore --list reads it; compressed (gzip, zstd) it is stored as it is",
        ),
        other => (format!("{origin} could not be taken apart: {other}"), "run it again"),
    };
    CliError::new(Kind::SourceFailed, format!("{what}; nothing was committed")).hint(hint)
}

/// Pieces of an archive from another thread, as a reader; it ends when the sender is gone.
struct Feed {
    waiting: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.piece.len() {
            let Ok(piece) = self.waiting.recv() else { return Ok(0) };
            self.piece = piece;
            self.taken = 0;
        }
        let left = self.piece.get(self.taken..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}
