//! `lacre recover`: rows that were deleted, as SQL or in a schema of their own.
//!
//! The live database compares; its own rows are never written. What is written is for a person to look at and run.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
};

use lacre_dump::copy;
use lacre_repo::op::{read::Snapshot, search::Searcher};

use super::table::{Place, Tables, conditions};
use crate::{
    cli::RecoverArgs,
    command::{backup::environment, restore::last_look::still_there},
    driver::postgres::{
        memory_file::MemoryFile,
        quote,
        restore::live::{Live, LiveTable, Push},
        target::Target,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::RecoverResult,
    vault::{Role, Vault, Watching, explain_driver, short, watching},
};

/// Brings rows back that a database does not have any more.
///
/// # Errors
/// [`Kind::Usage`] for a table or column that is not there; those of the vault and the database.
pub(in crate::command) fn run(invocation: &Invocation, args: &RecoverArgs) -> Result<Exit, CliError> {
    if args.out.is_none() && args.into_schema.is_none() && invocation.global.json {
        return Err(CliError::new(Kind::Usage, "--json and the rows cannot both go to stdout")
            .hint("add --out FILE or --into-schema S"));
    }
    let vault = Vault::open(invocation)?;
    let snapshot = vault.open_kept(invocation, &args.from, &args.keys.kits)?;
    let (line, watching) = watching(invocation);
    let tables = Tables::read(&vault, &snapshot, &watching)?;
    let places = tables.find(&args.table)?;
    let explain = |error| explain_driver(error, Role::Target, Some(vault.repository.home().directory()));
    let target = Target::resolve(args.missing_in.expose(), &environment()).map_err(explain)?;
    let live = Live::connect(&target).map_err(explain)?;
    let recovery =
        Recovery { args, vault: &vault, snapshot: &snapshot, watching: &watching, tables: &tables, live: &live };
    let done = match (&args.into_schema, &args.out) {
        (Some(schema), _) => recovery.set_aside(&places, schema),
        (None, Some(path)) => {
            let what = || format!("cannot write {}", path.display());
            let file = File::create_new(path).map_err(|error| CliError::io(what(), &error))?;
            let written = recovery.write(&places, &mut BufWriter::new(file));
            if written.is_err() {
                // A part of the rows is worse than none.
                drop(fs::remove_file(path));
            }
            written
        }
        (None, None) => recovery.write(&places, &mut BufWriter::new(invocation.terminal.raw_stdout()?)),
    };
    line.finish();
    let (rows, into) = done?;
    let document = RecoverResult {
        snapshot: snapshot.id().to_string(),
        table: args.table.clone(),
        rows,
        file: args.out.as_ref().map(|path| path.display().to_string()),
        into: into.clone(),
    };
    let said = format!("{} of {} missing in {target}", human::things(rows, ["row", "rows"]), args.table);
    if args.out.is_some() || args.into_schema.is_some() {
        let place = into.or(document.file.clone()).unwrap_or_default();
        invocation.print(&document, |out| writeln!(out, "{said}; they are in {place}"))?;
    } else {
        invocation.terminal.say(&said);
    }
    Ok(Exit::Done)
}

struct Recovery<'a> {
    args: &'a RecoverArgs,
    vault: &'a Vault,
    snapshot: &'a Snapshot<'a>,
    watching: &'a Watching,
    tables: &'a Tables,
    live: &'a Live,
}

impl Recovery<'_> {
    fn explain(&self, error: crate::driver::postgres::error::Error) -> CliError {
        explain_driver(error, Role::Target, Some(self.vault.repository.home().directory()))
    }

    fn table(&self, place: &Place<'_>) -> Result<LiveTable, CliError> {
        let table = self.live.table(&place.copy(), &self.tables.encoding(), &self.args.on);
        table.map_err(|error| self.explain(error))
    }

    /// Pushes the saved rows of a table: all, or those that meet the conditions.
    fn push<'p>(
        &'p self,
        place: &'p Place<'_>,
    ) -> Result<impl FnMut(&mut dyn Write) -> Result<(), crate::driver::postgres::dump::BoxError> + 'p, CliError> {
        let stream = place.stream(self.snapshot)?;
        let wanted = conditions(&self.args.conditions);
        let finder = place.finder(&wanted)?;
        Ok(move |writer: &mut dyn Write| {
            if wanted.is_empty() {
                self.snapshot.read(stream, writer, self.watching)?;
            } else {
                let test = |rows: &[u8]| finder.find(rows).into_iter().map(<[u8]>::to_vec).collect();
                let found = Searcher::new().search(self.snapshot, stream, &test, self.watching)?;
                found.iter().try_for_each(|row| writer.write_all(row))?;
            }
            // What fails here is rolled back before anything of it shows.
            let look = still_there(self.vault, self.snapshot.id(), None);
            Ok(look.map_err(|why| lacre_repo::Error::Refused { why: why.to_string() })?)
        })
    }

    fn set_aside(&self, places: &[Place<'_>], schema: &str) -> Result<(u64, Option<String>), CliError> {
        let (mut rows, mut into) = (0, Vec::new());
        for place in places {
            let table = self.table(place)?;
            let mut push = self.push(place)?;
            let name = place.table_name.table.to_string();
            let made =
                self.live.missing_into(&table, &self.tables.encoding(), schema, &name, &mut push as &mut Push<'_>);
            let (name, count) = made.map_err(|error| self.explain(error))?;
            rows += count;
            into.push(name);
        }
        Ok((rows, Some(into.join(", "))))
    }

    fn write(&self, places: &[Place<'_>], out: &mut dyn Write) -> Result<(u64, Option<String>), CliError> {
        let failed = |error: io::Error| CliError::io("the SQL cannot be written", &error);
        let head = format!(
            "-- Rows of {} in snapshot {} that were missing in {} when this was written.\n\
             -- They are put in where they are missing; nothing that is there is changed.\n\
             SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nBEGIN;\n",
            quote::one_line(&self.args.table),
            short(&self.snapshot.id().to_string()),
            self.args.missing_in
        );
        out.write_all(head.as_bytes()).map_err(failed)?;
        let mut rows = 0;
        for place in places {
            let table = self.table(place)?;
            let mut push = self.push(place)?;
            if self.args.inserts {
                // One statement a row needs the rows first; they stay in memory files, never on disk.
                let mut held = MemoryFile::create().map_err(|error| self.explain(error))?;
                let found = self.live.missing(&table, &self.tables.encoding(), &mut push as &mut Push<'_>, held.file());
                found.map_err(|error| self.explain(error))?;
                rows += inserts(&table, held.file(), out).map_err(failed)?;
                continue;
            }
            writeln!(out, "COPY {} ({}) FROM stdin;", table.name, table.columns()).map_err(failed)?;
            let mut counted = Counted { out: &mut *out, rows: 0 };
            let found = self.live.missing(&table, &self.tables.encoding(), &mut push as &mut Push<'_>, &mut counted);
            rows += counted.rows;
            found.map_err(|error| self.explain(error))?;
            out.write_all(b"\\.\n").map_err(failed)?;
        }
        out.write_all(b"COMMIT;\n").and_then(|()| out.flush()).map_err(failed)?;
        Ok((rows, None))
    }
}

/// Turns rows into statements that step over what is there meanwhile.
fn inserts(table: &LiveTable, file: &mut File, out: &mut dyn Write) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let (mut rows, mut row) = (0, Vec::new());
    while {
        row.clear();
        reader.read_until(b'\n', &mut row)? > 0
    } {
        let line = row.strip_suffix(b"\n").unwrap_or(&row);
        let values: Vec<String> = copy::fields(line)
            .map(|field| {
                field
                    .value()
                    .map_or_else(|| "NULL".to_owned(), |value| quote::literal(&String::from_utf8_lossy(&value)))
            })
            .collect();
        let (name, columns) = (&table.name, table.columns());
        writeln!(
            out,
            "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({}) ON CONFLICT DO NOTHING;",
            values.join(", ")
        )?;
        rows += 1;
    }
    Ok(rows)
}

/// Counts the rows that pass.
struct Counted<'a> {
    out: &'a mut dyn Write,
    rows: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.rows += memchr::memchr_iter(b'\n', bytes).count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
