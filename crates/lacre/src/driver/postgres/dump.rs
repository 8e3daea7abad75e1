//! Engine A: one `pg_dump -Fc -Z0`, taken apart while it streams.
//!
//! In: a target and a place for streams. Out: a stream per table, per set of large objects, the table of contents, the framing and the
//! globals; and facts about the source. A dump counts only if `pg_dump` ended with status 0, everything it announced came exactly once,
//! and the parts are proved to make the same bytes again. On any failure the program's whole process group is killed first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    error::Error as StdError,
    io::{Cursor, Read, Write},
    sync::Arc,
    time::Duration,
};

use lacre_dump::archive::{self, Sniff, Toc};

use super::{
    child::{self, Running, Task},
    demux,
    error::{Error, Result},
    facts::DatabaseFacts,
    limits,
    report::{Event, Finding, Watch},
    session::{Reactor, Session},
    target::Target,
    tools::{self, Toolset, Version},
};

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamKind {
    /// The archive's header and table of contents, verbatim.
    Toc,
    /// The rows of one table as COPY text, end marker included.
    Table,
    /// The contents of a set of large objects, one after the other; the framing says where each ends.
    LargeObjects,
    /// How the archive was cut into blocks.
    Framing,
    /// `pg_dumpall --globals-only`: roles and tablespaces as SQL.
    Globals,
    /// An archive that could not be taken apart, whole.
    Opaque,
}

/// A stream about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Unique within the dump: `toc`, `framing`, `globals`, `archive`, `blobs:ID`, or the table as `schema.table`.
    pub name: String,
    /// What it will hold.
    pub kind: StreamKind,
    /// The archive's number of the entry, for tables and large objects.
    pub dump_id: Option<i32>,
    /// About how many bytes it will have, for tables the planner knows.
    pub expected_bytes: Option<u64>,
}

/// What the driver counted in a stream, by the rules of what it holds: COPY's end marker is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rows {
    /// Rows of a table; `None` for other streams.
    pub count: Option<u64>,
    /// Digest of the rows that does not depend on their order; `None` for other streams.
    pub digest: Option<[u64; 4]>,
}

/// The receiving side's error, whatever it is.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Where the streams of a dump go. `framing` stays open from the first table to the end, beside one other stream.
pub trait DumpSink {
    /// An open stream.
    type Stream: Write;
    /// Begins a stream.
    ///
    /// # Errors
    /// The sink's own.
    fn open(&mut self, spec: StreamSpec) -> std::result::Result<Self::Stream, BoxError>;
    /// Ends a stream that is complete. A stream that is dropped instead was not.
    ///
    /// # Errors
    /// The sink's own.
    fn close(&mut self, stream: Self::Stream, rows: Rows) -> std::result::Result<(), BoxError>;
}

/// What a dump is asked for beyond its target.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// Give up when a table stays locked for this long; `None` waits as `pg_dump` does.
    pub lock_wait: Option<Duration>,
}

/// How a dump went.
#[derive(Debug, Clone)]
pub struct DumpReport {
    /// Bytes `pg_dump` wrote.
    pub archive_bytes: u64,
    /// BLAKE3 of those bytes. A function of plaintext: it may go into the sealed root and nowhere else.
    pub archive_blake3: [u8; 32],
    /// Streams of table rows.
    pub tables: u64,
    /// Facts for the snapshot's root: those of [`DatabaseFacts::to_map`], and `client.version`, `archive.*`, `exit_status`.
    pub facts: BTreeMap<String, String>,
    /// What was skipped or odd.
    pub findings: Vec<Finding>,
}

/// A database that answered and can be dumped.
pub struct Source {
    session: Session,
    facts: DatabaseFacts,
    tools: Toolset,
    findings: Vec<Finding>,
}

impl Source {
    /// Connects, reads the database's properties and finds programs that understand the server. Nothing is dumped yet.
    ///
    /// # Errors
    /// Those of connecting, [`Error::ToolMissing`], [`Error::ClientTooOld`].
    pub fn open(target: &Target) -> Result<Self> {
        let reactor = Reactor::start()?;
        let session = Session::connect(&reactor, target)?;
        let facts = DatabaseFacts::gather(&session)?;
        let tools = Toolset::find("pg_dump", target.environment(), facts.server(), None)?;
        let mut findings = target.findings().to_vec();
        findings.extend(tools.findings());
        findings.extend(standby_note(&facts));
        Ok(Self { session, facts, tools, findings })
    }

    /// The database's properties.
    pub fn facts(&self) -> &DatabaseFacts {
        &self.facts
    }

    /// The programs that will be used.
    pub fn tools(&self) -> &Toolset {
        &self.tools
    }

    /// Dumps everything into `sink`. The caller commits only after this returned without an error.
    ///
    /// # Errors
    /// [`Error::DumpEmpty`], [`Error::DumpTruncated`], [`Error::Garbage`], [`Error::ToolFailed`], [`Error::ServerGone`],
    /// [`Error::AuthFailed`], [`Error::Sink`], [`Error::Cancelled`], [`Error::Spawn`].
    pub fn dump<S: DumpSink>(
        mut self,
        options: &DumpOptions,
        sink: &mut S,
        watch: &Arc<dyn Watch>,
    ) -> Result<DumpReport> {
        let sizes = table_sizes(&self.session)?;
        watch.event(Event::Total { bytes: sizes.values().sum(), rows: None });
        let target = self.session.target().clone();
        // The session has done its work; it must not sit idle beside a dump of hours.
        drop(self.session);
        watch.event(Event::Step("saving roles and tablespaces".to_owned()));
        let work = Work { origin: target.to_string(), sink, watch, sizes, findings: &mut self.findings };
        let mut dumping = Dumping { work, target: &target, tools: &self.tools };
        dumping.globals(self.facts.server())?;
        let archive = dumping.archive(options, &self.facts)?;
        let mut facts = self.facts.to_map();
        let mut put = |name: &str, value: String| drop(facts.insert(name.to_owned(), value));
        put("client.version", self.tools.version().to_string());
        put("archive.bytes", archive.bytes.to_string());
        put("archive.version", archive.version);
        put("archive.form", archive.form.to_owned());
        put("exit_status", "0".to_owned());
        Ok(DumpReport {
            archive_bytes: archive.bytes,
            archive_blake3: archive.blake3,
            tables: archive.tables,
            facts,
            findings: self.findings,
        })
    }
}

/// Bytes of each table with what it keeps out of line, as the planner last saw them: for progress and for choosing how finely to cut.
/// Asking for true sizes would wait behind whoever locks a table.
fn table_sizes(session: &Session) -> Result<HashMap<u32, u64>> {
    let sql = format!(
        "SELECT c.oid, (c.relpages::bigint + coalesce(t.relpages, 0)) * current_setting('block_size')::bigint \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid \
         WHERE c.relkind = 'r' AND c.oid >= 16384 AND c.relpages > 0 ORDER BY 2 DESC LIMIT {}",
        limits::TABLE_ESTIMATES_MAX
    );
    let rows = session.rows("estimating sizes", &sql)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(oid), Some(bytes)] => Some((oid.parse().ok()?, bytes.parse().ok()?)),
            _ => None,
        })
        .collect())
}

/// One connection exports no snapshot, so a standby with the fault can be dumped; whoever uses several connections must not.
fn standby_note(facts: &DatabaseFacts) -> Option<Finding> {
    let fixed = tools::superseded_by(facts.server()).filter(|_| facts.in_recovery)?;
    Some(Finding::note(
        format!(
            "this standby runs {}, which exports wrong snapshots to parallel dumps; one connection is used",
            facts.server()
        ),
        facts.name.clone(),
        format!("update the standby to {fixed}"),
    ))
}

/// Refuses several connections on a standby that would give them different views.
///
/// # Errors
/// [`Error::StandbyUnsafe`].
pub fn refuse_parallel_standby(facts: &DatabaseFacts, target: &Target) -> Result<()> {
    match tools::superseded_by(facts.server()).filter(|_| facts.in_recovery) {
        Some(fixed) => Err(Error::StandbyUnsafe {
            target: target.server(),
            server: facts.server().to_string(),
            fixed_in: fixed.to_string(),
        }),
        None => Ok(()),
    }
}

/// What was in the archive.
pub(super) struct Archived {
    pub(super) bytes: u64,
    pub(super) blake3: [u8; 32],
    pub(super) tables: u64,
    pub(super) version: String,
    pub(super) form: &'static str,
}

/// An archive on its way into a sink, wherever it comes from.
pub(super) struct Work<'a, S> {
    /// What is being read, for messages.
    pub(super) origin: String,
    pub(super) sink: &'a mut S,
    pub(super) watch: &'a Arc<dyn Watch>,
    /// Bytes of tables by their OID, as the planner knows them.
    pub(super) sizes: HashMap<u32, u64>,
    pub(super) findings: &'a mut Vec<Finding>,
}

/// A database on its way into a sink.
struct Dumping<'d, 'a, S> {
    work: Work<'a, S>,
    target: &'d Target,
    tools: &'d Toolset,
}

impl<S: DumpSink> Dumping<'_, '_, S> {
    /// Saves roles and tablespaces: with password hashes, or without, or not at all but said so.
    fn globals(&mut self, server: Version) -> Result<()> {
        let program = self.tools.program("pg_dumpall")?;
        let database = format!("dbname={}", super::quote::conninfo_value(self.target.database()));
        let arguments = |extra: Option<&str>| {
            let fixed = ["--globals-only", "--no-password", "--database"].map(str::to_owned);
            fixed.into_iter().chain([database.clone()]).chain(extra.map(str::to_owned)).collect::<Vec<_>>()
        };
        let run = |extra: Option<&str>| {
            let task = Task {
                program: &program,
                arguments: arguments(extra),
                target: self.target,
                settings: &[],
                files: &[],
                keep: child::every_line,
            };
            child::output(&task, self.work.watch, limits::GLOBALS_BYTES_MAX)
        };
        let refused =
            |error: &Error| matches!(error, Error::ToolFailed { stderr, .. } if stderr.contains("permission denied"));
        let outcome = match run(None) {
            Err(error) if refused(&error) && server.major >= 10 => {
                let again = run(Some("--no-role-passwords"));
                if again.is_ok() {
                    self.work.findings.push(Finding::note(
                        "roles are saved without their passwords, because only a superuser may read them",
                        "globals",
                        "after a restore on a new server set passwords again, or back up as a superuser",
                    ));
                }
                again
            }
            other => other,
        };
        match outcome {
            Ok((bytes, _)) => self.work.store_whole("globals", StreamKind::Globals, &bytes),
            Err(error @ Error::ToolFailed { .. }) => {
                self.work.findings.push(Finding::warning(
                    format!("roles and tablespaces could not be saved: {error}"),
                    "globals",
                    "give the role the rights to read pg_authid or pg_roles",
                ));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Runs `pg_dump` and takes its archive apart.
    fn archive(&mut self, options: &DumpOptions, facts: &DatabaseFacts) -> Result<Archived> {
        self.work.watch.event(Event::Step("dumping".to_owned()));
        let program = self.tools.program("pg_dump")?;
        let mut arguments = ["--format=custom", "--compress=0", "--no-password"].map(str::to_owned).to_vec();
        if let Some(wait) = options.lock_wait {
            arguments.push(format!("--lock-wait-timeout={}", wait.as_millis()));
        }
        // Money is written as lc_monetary says; pinning it to the recorded value lets a restore read it back, here or with stock tools.
        let monetary = facts.server_settings.get("lc_monetary").map_or("C", String::as_str);
        let settings = [("bytea_output", "hex"), ("xmlbinary", "base64"), ("lc_monetary", monetary)];
        let task = Task {
            program: &program,
            arguments,
            target: self.target,
            settings: &settings,
            files: &[],
            keep: child::every_line,
        };
        let (running, mut stdout) = Running::start(&task, self.work.watch)?;
        let taken = self.work.take_apart(&mut stdout);
        // Only a dump that was read to its end may wait for the program; in every other case it is killed before its pipe is closed.
        let ended = if taken.is_ok() || matches!(taken, Err(Taken::Early { .. })) {
            running.wait()?
        } else {
            running.kill()?
        };
        drop(stdout);
        let bytes_of = |error: &Taken| match error {
            Taken::Early { bytes, .. } | Taken::Garbage { bytes, .. } => *bytes,
            Taken::Failed(_) => 0,
        };
        if ended.cancelled || self.work.watch.cancelled() {
            return Err(Error::Cancelled("pg_dump was running".to_owned()));
        }
        let target = self.target.to_string();
        match taken {
            Err(Taken::Failed(error)) => Err(error),
            Err(Taken::Garbage { bytes, why }) => Err(Error::Garbage { target, bytes, why }),
            _ if !ended.status.success() => Err(Running::failed("pg_dump", self.target, &ended)),
            Err(early @ Taken::Early { .. }) if bytes_of(&early) == 0 => Err(Error::DumpEmpty { target }),
            Err(Taken::Early { bytes, why }) => Err(Error::DumpTruncated { target, bytes, why }),
            Ok(archived) => {
                self.work.findings.extend(
                    ended.stderr.lines().filter(|line| !line.trim().is_empty()).take(limits::FINDINGS_MAX).map(
                        |line| {
                            Finding::note(
                                super::quote::one_line(line),
                                "pg_dump",
                                "pg_dump ended well; see its manual page",
                            )
                        },
                    ),
                );
                Ok(archived)
            }
        }
    }
}

impl<S: DumpSink> Work<'_, S> {
    pub(super) fn sink_failed(&self, source: BoxError) -> Error {
        Error::Sink { target: self.origin.clone(), source }
    }

    pub(super) fn store_whole(&mut self, name: &str, kind: StreamKind, bytes: &[u8]) -> Result<()> {
        let spec = StreamSpec { name: name.to_owned(), kind, dump_id: None, expected_bytes: Some(count(bytes.len())) };
        let mut stream = self.open(spec)?;
        stream.write_all(bytes).map_err(|error| self.sink_failed(error.into()))?;
        self.close(stream, Rows::default())
    }

    /// Sends an archive's parts to their streams, or all of it to one if it is of a kind that is not known.
    pub(super) fn take_apart(&mut self, stdout: &mut impl Read) -> std::result::Result<Archived, Taken> {
        let mut head = Vec::new();
        stdout.take(16).read_to_end(&mut head).map_err(|error| Taken::Early { bytes: 0, why: error.to_string() })?;
        if head.len() < 16 {
            let bytes = u64::try_from(head.len()).unwrap_or(0);
            return Err(Taken::Early { bytes, why: "it ends within its first bytes".to_owned() });
        }
        match archive::sniff(&head) {
            Sniff::Supported { .. } => demux::streams(self, Cursor::new(head).chain(stdout)),
            Sniff::Unsupported(why) => {
                self.findings.push(Finding::warning(
                    format!("the archive is stored whole and cannot be restored by table: {why}"),
                    "archive",
                    "a newer Lacre may know this version of pg_dump; `restore --to-file` gives the archive back",
                ));
                self.opaque(Cursor::new(head).chain(stdout), &why.to_string())
            }
            Sniff::NotAnArchive => {
                let start: String = String::from_utf8_lossy(&head).escape_debug().collect();
                Err(Taken::Garbage { bytes: 16, why: format!("it begins with \"{start}\"") })
            }
        }
    }

    /// Stores an archive of a kind we do not know, whole.
    fn opaque(&mut self, mut from: impl Read, version: &str) -> std::result::Result<Archived, Taken> {
        let spec =
            StreamSpec { name: "archive".to_owned(), kind: StreamKind::Opaque, dump_id: None, expected_bytes: None };
        let mut stream = self.open(spec)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; limits::PIPE_BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let got = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Taken::Early { bytes, why: error.to_string() }),
            };
            let piece = buffer.get(..got).unwrap_or_default();
            hasher.update(piece);
            stream.write_all(piece).map_err(|error| self.sink_failed(error.into()))?;
            let count = u64::try_from(got).unwrap_or(0);
            bytes += count;
            self.watch.event(Event::Bytes(count));
        }
        self.close(stream, Rows::default())?;
        Ok(Archived {
            bytes,
            blake3: *hasher.finalize().as_bytes(),
            tables: 0,
            version: version.to_owned(),
            form: "opaque",
        })
    }

    pub(super) fn open(&mut self, spec: StreamSpec) -> Result<S::Stream> {
        self.sink.open(spec).map_err(|error| self.sink_failed(error))
    }

    pub(super) fn close(&mut self, stream: S::Stream, rows: Rows) -> Result<()> {
        self.sink.close(stream, rows).map_err(|error| self.sink_failed(error))
    }
}

/// Why taking an archive apart stopped.
pub(super) enum Taken {
    /// The input ended before the archive did; how the program ended says why.
    Early { bytes: u64, why: String },
    /// The bytes are no archive.
    Garbage { bytes: u64, why: String },
    /// Another failure, already complete.
    Failed(Error),
}

impl From<Error> for Taken {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Stream names of all tables: `schema.table`, with `#ID` appended where two would be alike (dots in names, bytes that are not UTF-8).
pub fn table_names(toc: &Toc) -> BTreeMap<i32, String> {
    let mut seen = HashSet::new();
    let mut names = BTreeMap::new();
    for entry in toc.entries().filter(|entry| entry.has_data() && entry.desc() != b"BLOBS") {
        let tag = String::from_utf8_lossy(entry.tag());
        let mut name = match entry.namespace() {
            Some(schema) => format!("{}.{tag}", String::from_utf8_lossy(schema)),
            None => tag.into_owned(),
        };
        if !seen.insert(name.clone()) {
            name = format!("{name}#{}", entry.dump_id());
            seen.insert(name.clone());
        }
        names.insert(entry.dump_id(), name);
    }
    names
}
