//! Rows, loaded by parallel `COPY` over connections of our own, and compared.
//!
//! In: the table streams. Out: per table how many rows arrived and whether they are the same when read back. Tables go biggest first to
//! whichever connection is free. A lost connection or a stream that fails its digest ends the COPY in an abort: a pipe into `psql` would
//! have committed what came so far.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use lacre_dump::{
    archive::{TableData, Toc},
    copy::{CopyStatement, Identifier, RowCounter, RowSummary},
};

use super::{Comparison, StreamRef, TableReport, Work, plan::encoding, plan::table_streams};
use crate::driver::postgres::{
    error::{Error, Result},
    limits, quote,
    report::{Event, Watch},
    session::Session,
};

/// How one table is loaded.
struct Load {
    stream: StreamRef,
    /// The table and its columns as SQL: `"s"."t" ("a", "b")`.
    columns: String,
    /// The table alone.
    table: String,
    /// The rows can be read back: they are all the table has, and nothing sorted them elsewhere.
    readable: bool,
}

/// Loads all tables, or the chosen ones.
pub(super) fn load(work: &Work<'_>, toc: &Toc, selected: &Option<BTreeSet<i32>>) -> Result<Vec<TableReport>> {
    let session = work.session()?;
    let loads = plan_loads(work, &session, toc, selected)?;
    drop(session);
    let bytes = loads.iter().map(|load| load.stream.bytes).sum();
    work.watch.event(Event::Total { bytes, rows: None });
    let queue = Mutex::new(loads.into_iter().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    let encoding = encoding(toc);
    let worker = || -> Result<()> {
        let mut session = None;
        loop {
            let Some(load) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return Ok(()) };
            if stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let session = match &session {
                Some(session) => session,
                None => session.insert(work.session()?),
            };
            let report = one(work, session, &load, &encoding, &stop)?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        }
    };
    let jobs = work.options.jobs.clamp(1, limits::RESTORE_JOBS_MAX);
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let guarded = || {
            let outcome = worker();
            if outcome.is_err() {
                stop.store(true, Ordering::SeqCst);
            }
            outcome
        };
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(guarded)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::NotRestorable("a loading thread died".to_owned())))
            })
            .collect()
    });
    // The first failure is the cause; what others report after it stopped them is an echo.
    let mut echoes = None;
    for outcome in outcomes {
        match outcome {
            Ok(()) => {}
            Err(error @ Error::Cancelled(_)) => {
                let _ = echoes.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match echoes {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Loads the chosen tables one after the other on a session that is inside a transaction, under the names `rename` gives them.
pub(super) fn load_on(
    work: &Work<'_>,
    session: &Session,
    toc: &Toc,
    selected: &BTreeSet<i32>,
    rename: &dyn Fn(&str) -> String,
    stop: &AtomicBool,
) -> Result<Vec<TableReport>> {
    let encoding = encoding(toc);
    let mut reports = Vec::new();
    for mut load in plan_loads(work, session, toc, &Some(selected.clone()))? {
        load.columns = rename(&load.columns);
        load.table = rename(&load.table);
        reports.push(one(work, session, &load, &encoding, stop)?);
    }
    Ok(reports)
}

/// Pairs streams with COPY statements, biggest first.
fn plan_loads(work: &Work<'_>, session: &Session, toc: &Toc, selected: &Option<BTreeSet<i32>>) -> Result<Vec<Load>> {
    let tables: HashMap<i32, TableData<'_>> = toc.tables().map(|table| (table.entry.dump_id(), table)).collect();
    let extension_tables = extension_tables(session)?;
    let encoding = encoding(toc);
    let mut loads = Vec::new();
    let made = |stream: &StreamRef| stream.dump_id.is_none_or(|id| !work.left_out.contains(id));
    for stream in table_streams(work.source, selected).into_iter().filter(made) {
        let missing =
            || Error::NotRestorable(format!("its table of contents has no COPY statement for {}", stream.name));
        let table = stream.dump_id.and_then(|id| tables.get(&id)).ok_or_else(missing)?;
        let copy = table.copy.as_ref().ok_or_else(missing)?;
        let sql = CopySql::new(session, copy, &encoding)?;
        let readable = !table.via_root && !extension_tables.contains(&sql.table);
        loads.push(Load { stream, columns: sql.columns, table: sql.table, readable });
    }
    loads.sort_by_key(|load| Reverse(load.stream.bytes));
    Ok(loads)
}

/// Tables that belong to extensions: making the extension may have filled them already.
fn extension_tables(session: &Session) -> Result<HashSet<String>> {
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e' AND c.relkind IN ('r', 'p')";
    let rows = session.rows("listing tables of extensions", sql)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(schema), Some(name)] => Some(format!("{}.{}", quote::ident(schema), quote::ident(name))),
            _ => None,
        })
        .collect())
}

/// Parts of COPY statements, in the encoding our session speaks.
pub(super) struct CopySql {
    pub(super) table: String,
    pub(super) columns: String,
}

impl CopySql {
    pub(super) fn new(session: &Session, copy: &CopyStatement, encoding: &str) -> Result<Self> {
        let name = |bytes: &[u8]| name_text(session, bytes, encoding).map(|text| quote::ident(&text));
        let columns = Self::names(session, copy, encoding)?;
        let mut table = String::new();
        if let Some(schema) = &copy.schema {
            table = format!("{}.", name(schema.as_bytes())?);
        }
        table.push_str(&name(copy.table.as_bytes())?);
        let columns = if columns.is_empty() { table.clone() } else { format!("{table} ({})", columns.join(", ")) };
        Ok(Self { table, columns })
    }

    /// The columns alone, each quoted.
    pub(super) fn names(session: &Session, copy: &CopyStatement, encoding: &str) -> Result<Vec<String>> {
        let name =
            |column: &Identifier| name_text(session, column.as_bytes(), encoding).map(|text| quote::ident(&text));
        copy.columns.iter().map(name).collect()
    }
}

/// A name out of the archive as text; other encodings than UTF-8 are translated by the server, which knows them all.
fn name_text(session: &Session, bytes: &[u8], encoding: &str) -> Result<String> {
    let unusable = || {
        Error::NotRestorable(format!(
            "the name {:?} is not valid in its encoding {encoding}",
            String::from_utf8_lossy(bytes)
        ))
    };
    if bytes.is_ascii() || matches!(encoding, "UTF8" | "SQL_ASCII") {
        return String::from_utf8(bytes.to_vec()).map_err(|_| unusable());
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let sql = format!("SELECT pg_catalog.convert_from('\\x{hex}'::pg_catalog.bytea, {})", quote::literal(encoding));
    session.value("translating a name", &sql)?.ok_or_else(unusable)
}

/// Passes bytes on to the server while counting rows and listening for a stop.
struct Counted<'a, W> {
    inner: W,
    counter: RowCounter,
    watch: &'a dyn Watch,
    stop: &'a AtomicBool,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::SeqCst) || self.watch.cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.inner.write_all(bytes)?;
        self.counter.push(bytes);
        self.watch.event(Event::Bytes(u64::try_from(bytes.len()).unwrap_or(0)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Loads and compares one table.
fn one(work: &Work<'_>, session: &Session, load: &Load, encoding: &str, stop: &AtomicBool) -> Result<TableReport> {
    work.watch.event(Event::Stream(load.stream.name.clone()));
    let (rows, sent) = push(work, session, load, encoding, stop)?;
    let expected = load.stream.rows.count.unwrap_or(sent.rows);
    let mut report = TableReport { name: load.stream.name.clone(), rows, expected, same: None };
    if load.stream.rows.digest.is_some_and(|digest| digest != sent.digest.lanes()) {
        report.same = Some(false);
        return Ok(report);
    }
    if !load.readable {
        // The server's own count of what it took is all that can be compared here.
        return Ok(report);
    }
    match work.options.comparison {
        Comparison::Counts => {
            let counted = session.number("counting rows", &format!("SELECT count(*) FROM ONLY {}", load.table))?;
            report.rows = rows.min(u64::try_from(counted).unwrap_or(0));
        }
        Comparison::Digests => {
            let back = read_back(session, load, encoding)?;
            report.rows = back.rows;
            report.same = Some(back.digest == sent.digest && back.rows == expected);
        }
    }
    Ok(report)
}

fn push(
    work: &Work<'_>,
    session: &Session,
    load: &Load,
    encoding: &str,
    stop: &AtomicBool,
) -> Result<(u64, RowSummary)> {
    let doing = format!("loading {}", load.stream.name);
    let sql = format!("COPY {} FROM STDIN WITH (FORMAT text, ENCODING {})", load.columns, quote::literal(encoding));
    let mut writer = Counted {
        inner: session.copy_in(&doing, &sql)?,
        counter: RowCounter::copy(),
        watch: work.watch.as_ref(),
        stop,
    };
    let pushed = work.source.read(&load.stream, &mut writer);
    if let Err(source) = pushed {
        if let Some(failure) = writer.inner.take_failure() {
            return Err(failure);
        }
        if stop.load(Ordering::SeqCst) || work.watch.cancelled() {
            return Err(Error::Cancelled(doing));
        }
        // Dropping the writer unfinished makes the server forget these rows.
        return Err(Error::Source { stream: load.stream.name.clone(), source });
    }
    let Counted { inner, counter, .. } = writer;
    Ok((inner.finish()?, counter.finish()))
}

fn read_back(session: &Session, load: &Load, encoding: &str) -> Result<RowSummary> {
    let doing = format!("reading {} back", load.stream.name);
    let mut counter = Digested(RowCounter::lines());
    let sql = format!("COPY {} TO STDOUT WITH (FORMAT text, ENCODING {})", load.columns, quote::literal(encoding));
    session.copy_out(&doing, &sql, &mut counter)?;
    Ok(counter.0.finish())
}

/// A sink that only digests.
struct Digested(RowCounter);

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
