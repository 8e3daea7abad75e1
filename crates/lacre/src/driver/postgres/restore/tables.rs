//! Chosen tables: which entries belong to them, and how they enter a database that is in use.
//!
//! In: the tables' numbers. Out: their definitions, rows, indexes and constraints, in one transaction: other sessions see all of it or
//! nothing. What a chosen table needs and the database has already (types, functions, schemas) is used as it is there.

use std::{collections::BTreeSet, sync::Arc, sync::atomic::AtomicBool};

use lacre_dump::archive::{Entry, Section, Toc};

use super::{LastLook, Plan, Ready, RestoreReport, TableReport, Veto, Work, rows, schema, sql};
use crate::driver::postgres::{
    child::{self, Task},
    error::{Error, Result},
    limits, quote,
    report::{Event, Finding, Findings, Watch},
    session::Session,
};

/// Kinds of entries that belong to a table they depend on.
const BELONGING: &[&[u8]] = &[
    b"ACL",
    b"CHECK CONSTRAINT",
    b"COMMENT",
    b"CONSTRAINT",
    b"DEFAULT",
    b"FK CONSTRAINT",
    b"INDEX",
    b"INDEX ATTACH",
    b"POLICY",
    b"ROW SECURITY",
    b"RULE",
    b"SECURITY LABEL",
    b"SEQUENCE",
    b"SEQUENCE OWNED BY",
    b"SEQUENCE SET",
    b"STATISTICS",
    b"TABLE ATTACH",
    b"TRIGGER",
    b"NOT NULL",
];
/// Kinds of entries that are relations of their own.
const RELATIONS: &[&[u8]] = &[b"TABLE", b"VIEW", b"MATERIALIZED VIEW", b"FOREIGN TABLE"];

/// The entries that make up the chosen tables, and findings for those left out because they lead to other tables.
pub(super) fn entries(toc: &Toc, selected: &BTreeSet<i32>) -> (BTreeSet<i32>, Vec<Finding>) {
    let mut ids = BTreeSet::new();
    let mut findings = Vec::new();
    let mut todo: Vec<i32> = selected
        .iter()
        .filter_map(|id| toc.entry(*id))
        .flat_map(|entry| entry.dependencies().iter().copied())
        .collect();
    let mut tables: BTreeSet<i32> =
        todo.iter().copied().filter(|id| toc.entry(*id).is_some_and(|entry| entry.desc() == b"TABLE")).collect();
    close_down(toc, &mut todo, &mut ids, &mut tables);
    let mut left_out = BTreeSet::new();
    // Each round adds what belongs to what the round before added; a chain is as long as definition, sequence, value, right.
    loop {
        let before = ids.len();
        for entry in toc.entries().filter(|entry| BELONGING.contains(&entry.desc()) && !entry.has_data()) {
            if ids.contains(&entry.dump_id()) || left_out.contains(&entry.dump_id()) {
                continue;
            }
            let depends_on_ours =
                entry.dependencies().iter().any(|id| tables.contains(id) || (ids.contains(id) && is_part(toc, *id)));
            if !depends_on_ours {
                continue;
            }
            let foreign = entry.dependencies().iter().any(|id| {
                toc.entry(*id).is_some_and(|other| RELATIONS.contains(&other.desc())) && !tables.contains(id)
            });
            if foreign {
                left_out.insert(entry.dump_id());
                findings.push(Finding::warning(
                    "it also concerns a table that was not chosen and is left out",
                    format!("{} {}", String::from_utf8_lossy(entry.desc()), String::from_utf8_lossy(entry.tag())),
                    "choose that table too, or make it by hand",
                ));
                continue;
            }
            let mut todo = vec![entry.dump_id()];
            close_down(toc, &mut todo, &mut ids, &mut tables);
        }
        if ids.len() == before {
            return (ids, findings);
        }
    }
}

/// Entries whose own rights and comments belong to the table too.
fn is_part(toc: &Toc, id: i32) -> bool {
    toc.entry(id)
        .is_some_and(|entry| matches!(entry.desc(), b"SEQUENCE" | b"INDEX" | b"CONSTRAINT" | b"TRIGGER" | b"POLICY"))
}

/// Adds entries and all they need, and the schemas they lie in.
fn close_down(toc: &Toc, todo: &mut Vec<i32>, ids: &mut BTreeSet<i32>, tables: &mut BTreeSet<i32>) {
    while let Some(id) = todo.pop() {
        let Some(entry) = toc.entry(id).filter(|entry| !entry.has_data()) else { continue };
        if !ids.insert(id) {
            continue;
        }
        if entry.desc() == b"TABLE" {
            // A table that a chosen one needs (its parent, say) comes along, without its rows.
            tables.insert(id);
        }
        todo.extend_from_slice(entry.dependencies());
        if let Some(schema) = entry.namespace() {
            todo.extend(toc.of_kind(b"SCHEMA").filter(|other| other.tag() == schema).map(|other| other.dump_id()));
        }
    }
}

/// Puts chosen tables into a database that holds other things.
pub(super) fn restore(
    plan: &Plan<'_>,
    watch: &Arc<dyn Watch>,
    findings: &Findings,
    last_look: &mut LastLook<'_>,
) -> Result<RestoreReport> {
    let work = Work { target: plan.maintenance.target().with_database(&plan.database), ..plan.work(watch, findings) };
    let selected = plan.selected.clone().unwrap_or_default();
    let (ids, skipped) = entries(&plan.toc, &selected);
    findings.extend(skipped);
    let session = work.session()?;
    let mover = Mover::new(&plan.toc, &ids, plan.options.into_schema.as_deref());
    mover.refuse_existing(&session, plan)?;
    session.run("beginning", "SET synchronous_commit = on; BEGIN")?;
    if let Some(schema) = &plan.options.into_schema {
        session.run("making the schema", &format!("CREATE SCHEMA IF NOT EXISTS {}", quote::ident(schema)))?;
    }
    let stopped =
        |source: Error| Error::Stopped { target: plan.database.clone(), left: None, source: Box::new(source) };
    let tables = fill(plan, &work, &session, &mover, &ids, &selected).map_err(stopped)?;
    let wrong: Vec<&str> = tables
        .iter()
        .filter(|table| table.rows != table.expected || table.same == Some(false))
        .map(|table| table.name.as_str())
        .collect();
    if !wrong.is_empty() {
        return Err(Error::RowsDiffer {
            side: plan.database.clone(),
            what: format!("{}; nothing was kept", wrong.join(", ")),
        });
    }
    let ready =
        Ready { side: plan.database.clone(), database: plan.database.clone(), tables, findings: findings.take() };
    // Whichever it is: the transaction takes back what arrived.
    last_look(&ready)
        .map_err(|(Veto::Keep(why) | Veto::Remove(why))| Error::RolledBack { database: plan.database.clone(), why })?;
    session.run("committing", "COMMIT").map_err(stopped)?;
    for table in mover.targets() {
        session.run("gathering statistics", &format!("ANALYZE {table}"))?;
    }
    Ok(RestoreReport {
        database: plan.database.clone(),
        kept: None,
        ended_sessions: Vec::new(),
        verified: ready.tables.iter().all(|table| table.same == Some(true)),
        tables: ready.tables,
        findings: ready.findings,
    })
}

fn fill(
    plan: &Plan<'_>,
    work: &Work<'_>,
    session: &Session,
    mover: &Mover,
    ids: &BTreeSet<i32>,
    selected: &BTreeSet<i32>,
) -> Result<Vec<TableReport>> {
    work.step("making tables")?;
    run_section(plan, work, session, mover, ids, &["--section=pre-data", "--section=data"])?;
    work.step("loading rows")?;
    let stop = AtomicBool::new(false);
    let rename = |text: &str| mover.apply(text);
    let tables = rows::load_on(work, session, &plan.toc, selected, &rename, &stop)?;
    work.step("building indexes and constraints")?;
    run_section(plan, work, session, mover, ids, &["--section=post-data"])?;
    Ok(tables)
}

/// Has `pg_restore` write a section's SQL and runs it here, statement by statement.
fn run_section(
    plan: &Plan<'_>,
    work: &Work<'_>,
    session: &Session,
    mover: &Mover,
    ids: &BTreeSet<i32>,
    sections: &[&str],
) -> Result<()> {
    let program = plan.tools.program("pg_restore")?;
    let archive = schema::archive_file(&plan.toc)?;
    let list = schema::list_file(ids, &plan.toc)?;
    let mut arguments = vec!["--file=-".to_owned(), format!("--use-list={}", list.path())];
    arguments.extend(sections.iter().map(|section| (*section).to_owned()));
    arguments.push(archive.path());
    let task = Task {
        program: &program,
        arguments,
        target: &work.target,
        settings: &[],
        files: &[&archive, &list],
        keep: child::every_line,
    };
    let (script, _) = child::output(&task, work.watch, limits::TOC_BYTES_MAX)?;
    let script = String::from_utf8(script).map_err(|_| {
        Error::NotRestorable("its definitions are not UTF-8; restore into a database of its own".to_owned())
    })?;
    for statement in sql::statements(&script) {
        let first = sql::words(&statement);
        let word = |at: usize| first.get(at).map(String::as_str).unwrap_or_default();
        // The session is pinned already, and what pg_restore sets last would outlive the statement it is for.
        if (word(0) == "SET" && word(1) != "SESSION" && !word(1).starts_with("default_"))
            || word(2) == "set_config"
            || (word(0) == "SELECT" && word(2) == "set_config")
        {
            continue;
        }
        let statement = mover.apply(&statement);
        let shown = quote::one_line(&first.iter().take(4).cloned().collect::<Vec<_>>().join(" "));
        session.run("marking a place", "SAVEPOINT lacre")?;
        match session.run(&format!("running {shown}"), &statement) {
            Ok(()) => session.run("leaving a place", "RELEASE SAVEPOINT lacre")?,
            Err(error @ Error::Statement { .. }) => {
                session.run("going back", "ROLLBACK TO SAVEPOINT lacre; RELEASE SAVEPOINT lacre")?;
                work.findings.add(statement_finding(&error, &shown));
            }
            Err(error) => return Err(error),
        }
    }
    work.watch.event(Event::Bytes(0));
    Ok(())
}

fn statement_finding(error: &Error, shown: &str) -> Finding {
    // Duplicate object, schema, function, type, extension: what the table needs is there already.
    if matches!(super::side::sqlstate(error), Some("42710" | "42P06" | "42723" | "42P07")) {
        return Finding::note("it is in the database already and is used as it is", shown, "nothing to do");
    }
    Finding::warning(error.to_string(), shown, "make it by hand")
}

/// Knows which names go to another schema.
struct Mover {
    moved: BTreeSet<(String, String)>,
    tables: Vec<(String, String)>,
    into: Option<String>,
}

impl Mover {
    fn new(toc: &Toc, ids: &BTreeSet<i32>, into: Option<&str>) -> Self {
        let pair = |entry: &Entry<'_>| {
            let schema = String::from_utf8_lossy(entry.namespace().unwrap_or_default()).into_owned();
            // A constraint's tag is `table name`, an index's is its own name; only relations have qualified names in definitions.
            (schema, String::from_utf8_lossy(entry.tag()).into_owned())
        };
        let chosen =
            || toc.entries().filter(|entry| ids.contains(&entry.dump_id()) && entry.section() != Section::None);
        let tables: Vec<(String, String)> =
            chosen().filter(|entry| entry.desc() == b"TABLE").map(|entry| pair(&entry)).collect();
        let moved = chosen()
            .filter(|entry| matches!(entry.desc(), b"TABLE" | b"SEQUENCE" | b"INDEX" | b"STATISTICS"))
            .map(|entry| pair(&entry));
        Self {
            moved: if into.is_some() { moved.collect() } else { BTreeSet::new() },
            tables,
            into: into.map(quote::ident),
        }
    }

    fn apply(&self, text: &str) -> String {
        match &self.into {
            Some(into) => sql::move_names(text, &self.moved, into),
            None => text.to_owned(),
        }
    }

    /// The tables as they will be called.
    fn targets(&self) -> Vec<String> {
        let schema = |original: &str| self.into.clone().unwrap_or_else(|| quote::ident(original));
        self.tables.iter().map(|(original, name)| format!("{}.{}", schema(original), quote::ident(name))).collect()
    }

    /// Refuses to mix restored rows with rows that are there.
    fn refuse_existing(&self, session: &Session, plan: &Plan<'_>) -> Result<()> {
        let mut there = Vec::new();
        for table in self.targets() {
            let sql = format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", quote::literal(&table));
            if session.value("looking for the table", &sql)?.as_deref() == Some("t") {
                there.push(table);
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        Err(Error::TablesThere {
            database: plan.database.clone(),
            target: plan.maintenance.target().server(),
            tables: there.join(", "),
        })
    }
}
