//! A rehearsal: a snapshot restored into a scratch database, judged, and removed.
//!
//! In: a server, a [`SnapshotSource`], what to ask of the result. Out: tables as they arrived, checks, and the time until the database could
//! be used. It takes the very steps of a restore up to the rename. The scratch database says in its comment whose drill it is, so that a
//! later one finds what a killed one left, and removes nothing else.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use lacre_dump::{archive::Toc, copy::RowCounter};

use super::{
    Choice, Comparison, Isolation, Plan, RestoreOptions, SnapshotSource, StreamRef, TableReport, Work, large_objects,
    plan, plan::table_streams, properties, side,
};
use crate::driver::postgres::{
    child::{self, Task, every_line},
    dump::StreamKind,
    error::{Error, Result},
    facts::DatabaseFacts,
    limits, quote,
    report::{Finding, Findings, Severity, Watch},
    session::{Reactor, Session},
    target::Target,
    tools::{Toolset, Version},
};

/// How every scratch database's name begins.
const PREFIX: &str = "lacre_drill_";
/// How every scratch database's comment begins; a snapshot and a home follow.
const COMMENT: &str = "lacre: drill of snapshot ";

/// What a drill is asked for.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// Connections that load rows.
    pub jobs: usize,
    /// Queries that must each return true.
    pub critical: Vec<String>,
    /// The snapshot's whole id, for the comment.
    pub snapshot: String,
    /// The home that rehearses, in hexadecimal.
    pub home: String,
    /// Roles of the snapshot are made: only where the server is a throw-away one.
    pub roles: Choice,
    /// When the recovery began.
    pub started: Instant,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It could not be made.
    Skipped,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found, without values of the database.
    pub what: String,
}

impl Check {
    fn judged(name: &str, holds: Holds, what: impl Into<String>) -> Self {
        let outcome = if holds == Holds::Yes { Outcome::Passed } else { Outcome::Failed };
        Self { name: name.to_owned(), outcome, what: what.into() }
    }

    fn skipped(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), outcome: Outcome::Skipped, what: why.into() }
    }
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// How a drill went.
#[derive(Debug, Clone)]
pub struct Drilled {
    /// Tables as they arrived.
    pub tables: Vec<TableReport>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// Time until the database could be used.
    pub recovery: Duration,
    /// What could not be made, was left out, or was odd.
    pub findings: Vec<Finding>,
}

/// A scratch database an earlier drill left, which is gone now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its name.
    pub database: String,
    /// The snapshot that was in it, as its comment said.
    pub snapshot: Option<String>,
}

/// What a server must be to take a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The version of the server it comes from.
    pub server: Version,
    /// The version of the program that wrote its archive.
    pub archive: Option<Version>,
    /// Bytes the restored database takes, about.
    pub bytes: u64,
}

/// Says what a server must be to take a snapshot.
///
/// # Errors
/// [`Error::NotRestorable`], [`Error::Source`].
pub fn needs(source: &dyn SnapshotSource) -> Result<Needs> {
    let facts = DatabaseFacts::from_map(source.facts())?;
    let toc = plan::read_toc(source)?;
    let archive = Version::parse(&String::from_utf8_lossy(toc.header().dump_version));
    let streams = source.streams().iter().map(|stream| stream.bytes).sum();
    Ok(Needs { server: facts.server(), archive, bytes: facts.size_bytes.max(streams) })
}

/// The name of a scratch database: it names the snapshot and the home, so that two homes never meet.
pub fn scratch_name(short_id: &str, home: &str) -> String {
    format!("{PREFIX}{short_id}_{}", home.get(..8).unwrap_or(home))
}

/// Removes the scratch databases that earlier drills of this home left on a server. The caller makes sure that none of them is running.
///
/// # Errors
/// Those of connecting; those of removing.
pub fn sweep(target: &Target, home: &str) -> Result<Vec<Leftover>> {
    let reactor = Reactor::start()?;
    let session = plan::maintenance_session(&reactor, target)?;
    let sql = format!(
        "SELECT d.datname, coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '') FROM pg_catalog.pg_database d \
         WHERE d.datname LIKE {}",
        quote::literal(&format!("{}%", PREFIX.replace('_', "\\_")))
    );
    let own_name = format!("_{}", home.get(..8).unwrap_or(home));
    let mut removed = Vec::new();
    for row in session.rows("looking for earlier drills", &sql)? {
        let [Some(name), Some(comment)] = row.as_slice() else { continue };
        let told = comment.strip_prefix(COMMENT).and_then(|rest| rest.split_once(" by home "));
        let is_ours = match told {
            Some((_, whose)) => whose == home,
            // Killed between the birth of the database and its comment.
            None => comment.is_empty() && name.ends_with(&own_name) && is_empty(&reactor, &session, name)?,
        };
        if is_ours {
            remove(&session, name)?;
            removed.push(Leftover { database: name.clone(), snapshot: told.map(|(id, _)| id.to_owned()) });
        }
    }
    Ok(removed)
}

fn is_empty(reactor: &Reactor, session: &Session, name: &str) -> Result<bool> {
    let inside = Session::connect(reactor, &session.target().with_database(name))?;
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384)";
    Ok(inside.value("looking into an earlier drill", sql)?.as_deref() == Some("t"))
}

/// Drops a scratch database with whoever is connected to it.
fn remove(session: &Session, name: &str) -> Result<()> {
    let doing = "removing the scratch database";
    let sql = format!("DROP DATABASE IF EXISTS {}", quote::ident(name));
    if session.number("reading the server's version", "SHOW server_version_num")? >= 130_000 {
        return session.run(doing, &format!("{sql} WITH (FORCE)"));
    }
    let end = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = ";
    session.run(doing, &format!("{end}{}", quote::literal(name)))?;
    session.run(doing, &sql)
}

/// Restores a snapshot into a scratch database, judges it, and removes it again, whatever happens.
///
/// # Errors
/// Those of planning a restore; [`Error::ScratchTaken`]; what a restore stopped of, after the scratch database was removed.
pub fn run(
    target: &Target,
    source: &dyn SnapshotSource,
    options: &DrillOptions,
    watch: &Arc<dyn Watch>,
) -> Result<Drilled> {
    let name = scratch_name(&source.short_id(), &options.home);
    let planned = plan::plan(&target.with_database(&name), source, restore_options(options)).map_err(|error| {
        if let Error::TargetNotEmpty { database, target, .. } = error {
            return Error::ScratchTaken { database, target };
        }
        error
    })?;
    if planned.state != super::TargetState::Missing {
        return Err(Error::ScratchTaken { database: name, target: planned.maintenance.target().server() });
    }
    let findings = Findings::default();
    findings.extend(planned.findings.iter().filter(|finding| !is_about_roles(finding)).cloned());
    let comment = format!("{COMMENT}{} by home {}", options.snapshot, options.home);
    let outcome = rehearse(&planned, &comment, options, watch, &findings);
    let removed = remove(&planned.maintenance, &name);
    match (outcome, removed) {
        (Ok(drilled), Ok(())) => Ok(Drilled { findings: findings.take(), ..drilled }),
        (Ok(drilled), Err(error)) => {
            findings.add(Finding::warning(
                format!("the scratch database could not be removed: {error}"),
                name,
                "the next drill removes it, or drop it by hand",
            ));
            Ok(Drilled { findings: findings.take(), ..drilled })
        }
        (Err(error), removed) => {
            let left = removed.err().map(|_| name.clone());
            Err(Error::Stopped { target: name, left, source: Box::new(error) })
        }
    }
}

fn restore_options(options: &DrillOptions) -> RestoreOptions {
    RestoreOptions {
        create: Choice::Allow,
        globals: options.roles,
        jobs: options.jobs,
        comparison: Comparison::Digests,
        isolation: Isolation::Sandbox,
        ..RestoreOptions::careful(String::new())
    }
}

/// That roles are missing is no news: on a throw-away server they are made, elsewhere owners and rights are not rehearsed.
fn is_about_roles(finding: &Finding) -> bool {
    finding.what.starts_with("role ") && finding.advice.contains("--globals")
}

fn rehearse(
    planned: &Plan<'_>,
    comment: &str,
    options: &DrillOptions,
    watch: &Arc<dyn Watch>,
    findings: &Findings,
) -> Result<Drilled> {
    if options.roles == Choice::Allow {
        // What the throw-away server cannot have, tablespaces for instance, is nothing the drill is about.
        let missing = Findings::default();
        super::globals::apply(&planned.maintenance, planned.source, &missing)?;
    }
    side::create(planned, comment, findings)?;
    let name = quote::ident(&planned.side);
    planned.maintenance.run("closing the scratch database", &format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"))?;
    let work = planned.work(watch, findings);
    let made = Findings::default();
    let tables = super::fill(planned, &Work { findings: &made, ..work })?;
    let recovery = options.started.elapsed();
    properties::apply_settings(planned, findings);
    let work = planned.work(watch, findings);
    work.step("checking")?;
    let mut checks = vec![rows(planned, &work, &tables)?];
    checks.extend(large_objects_check(planned, &work)?);
    checks.push(definitions(&made, findings));
    let session = work.session()?;
    checks.push(foreign_keys(planned, &session)?);
    checks.push(indexes(&session)?);
    checks.push(amcheck(planned, &session, watch)?);
    drop(session);
    for query in &options.critical {
        work.check_cancelled("checking")?;
        checks.push(critical(&work, query)?);
    }
    for what in planned.left_out.words() {
        findings.add(Finding::note(format!("left out of the drill: {what}"), "sandbox", "nothing to do"));
    }
    Ok(Drilled { tables, checks, recovery, findings: Vec::new() })
}

/// Every table's rows and digest, those that the sandbox did not load included.
fn rows(planned: &Plan<'_>, work: &Work<'_>, tables: &[TableReport]) -> Result<Check> {
    let mut wrong: Vec<String> = tables
        .iter()
        .filter(|table| table.rows != table.expected || table.same == Some(false))
        .map(|table| table.name.clone())
        .collect();
    let left_out = |stream: &StreamRef| stream.dump_id.is_some_and(|id| planned.left_out.contains(id));
    let mut unloaded = 0_u64;
    for stream in table_streams(planned.source, &None).into_iter().filter(left_out) {
        unloaded += 1;
        if !is_as_counted(work, &stream)? {
            wrong.push(stream.name);
        }
    }
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    let unread = tables.iter().filter(|table| table.same.is_none()).count();
    let mut what = format!(
        "{}, {}",
        crate::human::things(tables.len(), ["table", "tables"]),
        crate::human::things(rows, ["row", "rows"])
    );
    if unread > 0 {
        what.push_str(&format!("; {unread} of them compared on the way in only"));
    }
    if unloaded > 0 {
        what.push_str(&format!("; {unloaded} more not loaded, compared with what was counted"));
    }
    if !wrong.is_empty() {
        wrong.truncate(5);
        what = format!("not as saved: {}", wrong.join(", "));
    }
    Ok(Check::judged("rows", wrong.is_empty().into(), what))
}

/// Whether a stream that is not loaded has the rows that were counted when it was saved.
fn is_as_counted(work: &Work<'_>, stream: &StreamRef) -> Result<bool> {
    let mut counter = Counting(RowCounter::copy());
    work.source.read(stream, &mut counter).map_err(|source| Error::Source { stream: stream.name.clone(), source })?;
    let seen = counter.0.finish();
    let count = stream.rows.count.is_none_or(|count| count == seen.rows);
    Ok(count && stream.rows.digest.is_none_or(|digest| digest == seen.digest.lanes()))
}

struct Counting(RowCounter);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn large_objects_check(planned: &Plan<'_>, work: &Work<'_>) -> Result<Option<Check>> {
    if !planned.source.streams().iter().any(|stream| stream.kind == StreamKind::LargeObjects) {
        return Ok(None);
    }
    let compared = large_objects::compare(work, &planned.toc)?;
    let what = match compared.different {
        0 => crate::human::things(compared.objects, ["object", "objects"]),
        different => {
            format!("{different} of {} not as saved", crate::human::things(compared.objects, ["object", "objects"]))
        }
    };
    Ok(Some(Check::judged("large objects", (compared.different == 0).into(), what)))
}

/// Everything the archive defines could be made: what `pg_restore` complained of is listed.
fn definitions(made: &Findings, findings: &Findings) -> Check {
    let made = made.take();
    let failed: BTreeSet<String> = made
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .map(|finding| finding.object.clone())
        .collect();
    let what = match failed.len() {
        0 => "everything could be made".to_owned(),
        count => {
            format!("{count} could not be made: {}", failed.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
        }
    };
    findings.extend(made);
    Check::judged("definitions", failed.is_empty().into(), what)
}

/// Every foreign key of the archive is there, and holds for all rows unless it was never validated.
fn foreign_keys(planned: &Plan<'_>, session: &Session) -> Result<Check> {
    let unproved = |definition: &[u8]| {
        let text = String::from_utf8_lossy(definition);
        text.contains(" NOT VALID") || text.contains(" NOT ENFORCED")
    };
    let (expected, unproved) = expected_keys(&planned.toc, &unproved);
    // Keys of partitions come with their parent's.
    let own = if planned.server.major >= 11 { "AND conparentid = 0" } else { "" };
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE NOT convalidated) FROM pg_catalog.pg_constraint WHERE contype = 'f' {own}"
    );
    let row = session.rows("counting foreign keys", &sql)?.into_iter().next().unwrap_or_default();
    let number = |at: usize| row.get(at).cloned().flatten().and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    let (found, invalid) = (number(0), number(1));
    let what = if found < expected {
        format!("{} of {expected} missing", expected - found)
    } else if invalid > unproved {
        format!("{} of {expected} not holding", invalid - unproved)
    } else {
        crate::human::things(expected, ["holds", "hold"])
    };
    Ok(Check::judged("foreign keys", (found >= expected && invalid <= unproved).into(), what))
}

fn expected_keys(toc: &Toc, unproved: &dyn Fn(&[u8]) -> bool) -> (usize, usize) {
    let keys: Vec<_> = toc.of_kind(b"FK CONSTRAINT").collect();
    (keys.len(), keys.iter().filter(|entry| unproved(entry.definition())).count())
}

fn indexes(session: &Session) -> Result<Check> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE NOT i.indisvalid OR NOT i.indisready) FROM pg_catalog.pg_index i \
               WHERE i.indexrelid >= 16384";
    let row = session.rows("counting indexes", sql)?.into_iter().next().unwrap_or_default();
    let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    let what =
        if text(1) == "0" { format!("{} valid", text(0)) } else { format!("{} of {} invalid", text(1), text(0)) };
    Ok(Check::judged("indexes", (text(1) == "0").into(), what))
}

/// `pg_amcheck` over the whole scratch database, where the program, the extension and the rights are there.
fn amcheck(planned: &Plan<'_>, session: &Session, watch: &Arc<dyn Watch>) -> Result<Check> {
    const NAME: &str = "amcheck";
    // It often lies apart from the programs that restore.
    let found = Toolset::find("pg_amcheck", planned.maintenance.target().environment(), planned.server, None);
    let Ok(program) = found.and_then(|tools| tools.program("pg_amcheck")) else {
        return Ok(Check::skipped(NAME, "pg_amcheck is not installed"));
    };
    if planned.server.major < 14 {
        return Ok(Check::skipped(NAME, "pg_amcheck needs a server of version 14 or newer"));
    }
    let sql = "SELECT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), \
               EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck')";
    match session.rows("asking for amcheck", sql)?.into_iter().next().as_deref() {
        Some([Some(superuser), _]) if superuser != "t" => {
            return Ok(Check::skipped(NAME, "it needs a superuser"));
        }
        Some([_, Some(available)]) if available == "t" => {}
        _ => return Ok(Check::skipped(NAME, "the extension amcheck is not available on the server")),
    }
    let task = Task {
        program: &program,
        arguments: ["--install-missing", "--heapallindexed", "--no-password", "--jobs=2"].map(str::to_owned).to_vec(),
        target: &planned.maintenance.target().with_database(&planned.side),
        settings: &[],
        files: &[],
        keep: every_line,
    };
    match child::output(&task, watch, limits::STDERR_BYTES_MAX) {
        Ok(_) => Ok(Check::judged(NAME, Holds::Yes, "tables and indexes agree")),
        Err(Error::ToolFailed { .. } | Error::Io { .. }) => Ok(Check::judged(
            NAME,
            Holds::No,
            "pg_amcheck found corruption; run it on a restored database to see where",
        )),
        Err(error) => Err(error),
    }
}

/// A query of the person's own that must return true. What it returned is not shown: it may be anybody's data.
fn critical(work: &Work<'_>, query: &str) -> Result<Check> {
    judge(&Session::connect(&work.reactor, &work.target)?, query)
}

/// Asks a database a query that must return true.
///
/// # Errors
/// Those of connecting; a query that fails is a check that failed.
pub fn ask(database: &Target, query: &str) -> Result<Check> {
    judge(&Session::connect(&Reactor::start()?, database)?, query)
}

fn judge(session: &Session, query: &str) -> Result<Check> {
    let name = format!("critical: {}", quote::one_line(query));
    // As an application would see the database: its own search path, not the restore's.
    let limit = limits::CRITICAL_QUERY_TIMEOUT.as_millis();
    session.run("setting up the session", &format!("SET statement_timeout = {limit}; BEGIN READ ONLY"))?;
    let answer = match session.value("asking a critical query", query) {
        Ok(answer) => answer,
        Err(Error::Statement { sqlstate, .. }) => {
            let code = sqlstate.map_or_else(String::new, |code| format!(" (SQLSTATE {code})"));
            return Ok(Check::judged(&name, Holds::No, format!("the query failed{code}")));
        }
        Err(error) => return Err(error),
    };
    let is_true = answer.is_some_and(|answer| matches!(answer.to_ascii_lowercase().as_str(), "t" | "true"));
    Ok(Check::judged(&name, is_true.into(), if is_true { "true" } else { "it did not return true" }))
}
