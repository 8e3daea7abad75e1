//! A snapshot becomes a database again: beside the target, compared with what was saved, then renamed into place in one transaction.
//!
//! In: a [`SnapshotSource`], a target, options. Out: a [`RestoreReport`], or an error that says what is left where. Until the one transaction
//! at the end nothing under the target's name changes: killed at any moment before, all that stays is a side database
//! whose name and comment say what it is. The order is: plan (nothing changes, the caller asks for confirmation) and then
//! execute: side database, definitions, rows, large objects, indexes and constraints, statistics, comparison, properties, the caller's last look,
//! rename.

pub mod archive;
mod complaints;
pub mod drill;
mod globals;
mod large_objects;
pub mod live;
mod plan;
mod properties;
mod rows;
mod sandbox;
mod schema;
mod side;
mod sql;
mod swap;
mod tables;

use std::{collections::BTreeMap, io::Write, sync::Arc};

pub use plan::{Plan, SessionInfo, TargetState, plan};

use super::{
    demux::APPENDED,
    dump::{BoxError, Rows, StreamKind},
    error::{Error, Result},
    facts::DatabaseFacts,
    limits,
    report::{Event, Finding, Findings, Severity, Watch},
    session::{Reactor, Session},
    target::Target,
};

/// A stream of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRef {
    /// Its name, as given by [`super::dump::StreamSpec`].
    pub name: String,
    /// What it holds.
    pub kind: StreamKind,
    /// The archive's number of the entry, for tables and large objects.
    pub dump_id: Option<i32>,
    /// Bytes.
    pub bytes: u64,
    /// What was counted when it was saved.
    pub rows: Rows,
}

/// Where a snapshot's streams come from. Read from several threads at once.
pub trait SnapshotSource: Sync {
    /// Eight characters that tell the snapshot from others; they become part of the side database's name.
    fn short_id(&self) -> String;
    /// The facts recorded with [`super::dump::DumpReport`].
    fn facts(&self) -> &BTreeMap<String, String>;
    /// All streams.
    fn streams(&self) -> &[StreamRef];
    /// Pushes a whole stream. Must return `Ok` only after the stream's digest was verified.
    ///
    /// # Errors
    /// The source's own; also when `sink` fails.
    fn read(&self, stream: &StreamRef, sink: &mut dyn Write) -> std::result::Result<(), BoxError>;
}

/// What to do about a choice that can go two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Go on.
    Allow,
    /// Stop with an error that names the option.
    Refuse,
}

/// How closely the result is compared with what was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Rows are counted by the server, on arrival and afterwards.
    Counts,
    /// Every table is read back, and its rows' digest compared.
    Digests,
}

/// Whether what is restored may act beyond its own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything is made as it was recorded.
    Open,
    /// Nothing is made that acts elsewhere or by itself, and on a server that is somebody's no owners, rights or tablespaces either.
    Sandbox,
}

/// What a restore is asked for.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The target does not exist: create it?
    pub create: Choice,
    /// The target holds something: replace it, keeping the old one?
    pub swap: Choice,
    /// Sessions are connected to a target that is replaced: end them?
    pub end_sessions: Choice,
    /// Some objects could not be made (a missing extension, say): replace a filled target nevertheless?
    pub incomplete: Choice,
    /// Roles and tablespaces of the snapshot: make those that are missing?
    pub globals: Choice,
    /// Connections that load rows; also `pg_restore -j`.
    pub jobs: usize,
    /// How closely to compare.
    pub comparison: Comparison,
    /// Only these tables, as `schema.table`; empty means everything.
    pub tables: Vec<String>,
    /// Put the chosen tables into this schema.
    pub into_schema: Option<String>,
    /// Whether it may act beyond its own database.
    pub isolation: Isolation,
    /// A moment as `20261122T231500Z`, for the name the old database is kept under.
    pub stamp: String,
}

impl RestoreOptions {
    /// Options that refuse everything a person did not ask for.
    pub fn careful(stamp: impl Into<String>) -> Self {
        Self {
            create: Choice::Refuse,
            swap: Choice::Refuse,
            end_sessions: Choice::Refuse,
            incomplete: Choice::Refuse,
            globals: Choice::Refuse,
            jobs: limits::RESTORE_JOBS_DEFAULT,
            comparison: Comparison::Digests,
            tables: Vec::new(),
            into_schema: None,
            isolation: Isolation::Open,
            stamp: stamp.into(),
        }
    }
}

/// One table as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// Its name in the snapshot.
    pub name: String,
    /// Rows the server took.
    pub rows: u64,
    /// Rows in the snapshot.
    pub expected: u64,
    /// Whether the rows read back are the rows saved; `None` when they were not read back.
    pub same: Option<bool>,
}

/// What is complete just before it is shown.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The verified side database.
    pub side: String,
    /// The name it will get.
    pub database: String,
    /// Tables as they arrived.
    pub tables: Vec<TableReport>,
    /// What was found so far.
    pub findings: Vec<Finding>,
}

/// How a restore went.
#[derive(Debug, Clone)]
pub struct RestoreReport {
    /// The database that holds the data now.
    pub database: String,
    /// The name the replaced database is kept under.
    pub kept: Option<String>,
    /// Sessions that were ended for the swap.
    pub ended_sessions: Vec<String>,
    /// Tables as they arrived.
    pub tables: Vec<TableReport>,
    /// Every table's rows were compared and are the same.
    pub verified: bool,
    /// What could not be made, or was odd.
    pub findings: Vec<Finding>,
}

/// Why something complete is not shown, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Veto {
    /// A person should look at it: it stays under its side name.
    Keep(String),
    /// Nobody should have it any more: it is removed.
    Remove(String),
}

/// The caller's last look: drops and intents are read again here. An `Err` shows nothing.
pub type LastLook<'a> = dyn FnMut(&Ready) -> std::result::Result<(), Veto> + 'a;

/// Everything the steps of one restore share.
struct Work<'a> {
    reactor: Reactor,
    /// The side database.
    target: Target,
    source: &'a dyn SnapshotSource,
    options: &'a RestoreOptions,
    watch: &'a Arc<dyn Watch>,
    findings: &'a Findings,
    facts: &'a DatabaseFacts,
    left_out: &'a sandbox::LeftOut,
}

impl Work<'_> {
    fn check_cancelled(&self, doing: &str) -> Result<()> {
        if self.watch.cancelled() { Err(Error::Cancelled(doing.to_owned())) } else { Ok(()) }
    }

    fn step(&self, text: &str) -> Result<()> {
        self.check_cancelled(text)?;
        self.watch.event(Event::Step(text.to_owned()));
        Ok(())
    }

    /// A session in the side database that reads text as it was written.
    fn session(&self) -> Result<Session> {
        let session = Session::connect(&self.reactor, &self.target)?;
        session.pin()?;
        let monetary = self.facts.server_settings.get("lc_monetary").map_or("C", String::as_str);
        if let Err(error) =
            session.run("setting lc_monetary", &format!("SET lc_monetary = {}", super::quote::literal(monetary)))
        {
            self.findings.add(Finding::warning(
                format!("columns of type money may not be read back as they were: {error}"),
                "lc_monetary",
                format!("install the locale {monetary} on the server"),
            ));
        }
        // The side database is no use before its last transaction is on disk, and that one waits for all before it.
        session.run("setting up the session", "SET synchronous_commit = off")?;
        Ok(session)
    }
}

impl Plan<'_> {
    /// Carries the plan out.
    ///
    /// # Errors
    /// [`Error::Stopped`] when something failed before the visible step, [`Error::RowsDiffer`], [`Error::Vetoed`],
    /// [`Error::Withdrawn`], [`Error::SwapFailed`], [`Error::SessionsConnected`]. In all of these the target is as it was.
    pub fn execute(mut self, watch: &Arc<dyn Watch>, last_look: &mut LastLook<'_>) -> Result<RestoreReport> {
        let findings = Findings::default();
        findings.extend(self.findings.clone());
        if !self.options.tables.is_empty() && self.state.is_filled() {
            return tables::restore(&self, watch, &findings, last_look);
        }
        if self.state.is_filled() && self.options.end_sessions == Choice::Refuse {
            swap::refuse_connected(&self)?;
        }
        if self.options.globals == Choice::Allow {
            globals::apply(&self.maintenance, self.source, &findings)?;
        }
        side::create_beside(&mut self, &findings)?;
        let work = self.work(watch, &findings);
        let filled = fill(&self, &work).and_then(|tables| properties::apply(&self, &findings).map(|()| tables));
        let tables = match filled {
            Ok(tables) => tables,
            Err(error) => return Err(side::stopped(&self, error)),
        };
        self.judge(&tables, &findings)?;
        let ready =
            Ready { side: self.side.clone(), database: self.database.clone(), tables, findings: findings.take() };
        match last_look(&ready) {
            Ok(()) => {}
            Err(Veto::Keep(why)) => {
                side::mark_complete(&self)?;
                return Err(Error::Vetoed { side: self.side.clone(), why });
            }
            Err(Veto::Remove(why)) => {
                let left = side::remove(&self).err().map(Box::new);
                return Err(Error::Withdrawn { side: self.side.clone(), why, left });
            }
        }
        let shown = swap::show(&self)?;
        let verified = ready.tables.iter().all(|table| table.same == Some(true));
        let mut all = ready.findings;
        all.extend(shown.findings);
        Ok(RestoreReport {
            database: self.database,
            kept: shown.kept,
            ended_sessions: shown.ended_sessions,
            tables: ready.tables,
            verified,
            findings: all,
        })
    }

    /// What the steps of this plan share.
    fn work<'w>(&'w self, watch: &'w Arc<dyn Watch>, findings: &'w Findings) -> Work<'w> {
        Work {
            reactor: self.reactor.clone(),
            target: self.maintenance.target().with_database(&self.side),
            source: self.source,
            options: &self.options,
            watch,
            findings,
            facts: &self.facts,
            left_out: &self.left_out,
        }
    }

    /// Stops before anything is shown when rows differ, or objects are missing and nobody allowed that.
    fn judge(&self, tables: &[TableReport], findings: &Findings) -> Result<()> {
        let wrong: Vec<String> = tables
            .iter()
            .filter(|table| table.rows != table.expected || table.same == Some(false))
            .map(|table| {
                let how = if table.rows == table.expected {
                    "other contents".to_owned()
                } else {
                    format!("{} of {}", crate::human::things(table.rows, ["row", "rows"]), table.expected)
                };
                format!("{} ({how})", table.name)
            })
            .collect();
        if !wrong.is_empty() {
            side::mark_complete(self)?;
            return Err(Error::RowsDiffer { side: self.side.clone(), what: wrong.join(", ") });
        }
        if self.state.is_filled() && self.options.incomplete == Choice::Refuse && findings.any(Severity::Warning) {
            let list = findings.take().into_iter().filter(|finding| finding.severity >= Severity::Warning);
            let text = list
                .map(|finding| format!("{}: {}", finding.object, finding.what))
                .take(5)
                .collect::<Vec<_>>()
                .join("; ");
            side::mark_complete(self)?;
            return Err(Error::Vetoed {
                side: self.side.clone(),
                why: format!("not everything could be made: {text}"),
            });
        }
        Ok(())
    }
}

/// Fills the side database.
fn fill(plan: &Plan<'_>, work: &Work<'_>) -> Result<Vec<TableReport>> {
    let schema = schema::Schema::read(work, &plan.tools, &plan.toc, &plan.selected)?;
    work.step("making tables")?;
    schema.before_rows()?;
    work.step("loading rows")?;
    let mut tables = rows::load(work, &plan.toc, &plan.selected)?;
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    if plan.selected.is_none() {
        work.step("loading large objects")?;
        large_objects::load(work, &plan.toc)?;
    }
    work.step("building indexes and constraints")?;
    schema.after_rows()?;
    work.step("gathering statistics")?;
    work.session()?.run("gathering statistics", "ANALYZE")?;
    Ok(tables)
}

/// Reads a small stream whole.
fn read_small(source: &dyn SnapshotSource, stream: &StreamRef, bytes_max: usize) -> Result<Vec<u8>> {
    if stream.bytes > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(Error::NotRestorable(format!("its stream {} is larger than {bytes_max} bytes", stream.name)));
    }
    let mut bytes = Vec::new();
    source.read(stream, &mut bytes).map_err(|error| Error::Source { stream: stream.name.clone(), source: error })?;
    Ok(bytes)
}

/// The one stream of a kind; a table of contents that was appended is told by its name.
fn stream_of(source: &dyn SnapshotSource, kind: &StreamKind) -> Option<StreamRef> {
    source.streams().iter().find(|stream| stream.kind == *kind && stream.name != APPENDED).cloned()
}
