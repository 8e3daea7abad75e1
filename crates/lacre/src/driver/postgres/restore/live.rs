//! Rows of a snapshot beside a live database: which of them it does not have, and how a sample of them looks there now.
//!
//! In: a live table, rows as COPY text. Out: rows as COPY text. What is saved goes into a temporary table, and the server compares: its own
//! rows are only read, within a transaction that may write nothing else, and nothing grows here with the table.

use std::io::Write;

use lacre_dump::copy::{self, CopyStatement};

use super::rows::CopySql;
use crate::driver::postgres::{
    dump::BoxError,
    error::{Error, Result},
    quote,
    session::{CopyWriter, Reactor, Session},
    target::Target,
};

/// The temporary table, of this session alone.
const SAVED: &str = "pg_temp.lacre_saved_rows";

/// A live database.
pub struct Live {
    session: Session,
}

/// A live table as SQL.
pub struct LiveTable {
    /// Schema and name.
    pub name: String,
    /// The saved columns, quoted, in the order of the fields.
    columns: Vec<String>,
    /// The columns that tell rows apart, quoted, and their places among the fields.
    key: Vec<(String, usize)>,
}

impl LiveTable {
    /// The saved columns, for a statement.
    pub fn columns(&self) -> String {
        self.columns.join(", ")
    }
}

/// How a sample looks in the live database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// The same.
    pub same: u64,
    /// There, with other values.
    pub changed: u64,
    /// Not there.
    pub missing: u64,
}

/// Pushes rows of the snapshot into a writer.
pub type Push<'a> = dyn FnMut(&mut dyn Write) -> std::result::Result<(), BoxError> + 'a;

impl Live {
    /// Connects, with text that means what it meant where it was dumped.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect(target: &Target) -> Result<Self> {
        let session = Session::connect(&Reactor::start()?, target)?;
        session.pin()?;
        Ok(Self { session })
    }

    /// Finds the live table that a COPY statement of the archive loads.
    ///
    /// # Errors
    /// [`Error::NotRestorable`] when the table, a column of it, or a key is not there.
    pub fn table(&self, copy: &CopyStatement, encoding: &str, on: &[String]) -> Result<LiveTable> {
        let names = CopySql::new(&self.session, copy, encoding)?;
        let columns: Vec<String> = CopySql::names(&self.session, copy, encoding)?;
        let regclass = format!("pg_catalog.to_regclass({})", quote::literal(&names.table));
        let sql = format!(
            "SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute WHERE attrelid = {regclass} AND attnum > 0 AND NOT attisdropped"
        );
        let there: Vec<String> =
            self.session.rows("looking for the table", &sql)?.into_iter().flatten().flatten().collect();
        if there.is_empty() {
            return Err(Error::NotRestorable(format!(
                "{} has no table {}; restore it whole with --table",
                self.session.target(),
                names.table
            )));
        }
        let is_there = |column: &&String| !there.iter().any(|found| unquoted(found) == unquoted(column));
        if let Some(missing) = columns.iter().find(is_there) {
            return Err(Error::NotRestorable(format!(
                "the live table {} has no column {missing}; restore it beside with --table and --into-schema",
                names.table
            )));
        }
        let key = if on.is_empty() {
            self.primary_key(&regclass)?
        } else {
            on.iter().map(|name| quote::ident(name)).collect()
        };
        if key.is_empty() {
            return Err(Error::NotRestorable(format!(
                "the live table {} has no primary key; say with --on which columns tell its rows apart",
                names.table
            )));
        }
        let place = |column: &String| {
            let found = columns.iter().position(|known| unquoted(known) == unquoted(column));
            let found = found
                .ok_or_else(|| Error::NotRestorable(format!("the snapshot has no column {column} of {}", names.table)));
            found.map(|at| (quote::ident(&unquoted(column)), at))
        };
        Ok(LiveTable { key: key.iter().map(place).collect::<Result<_>>()?, name: names.table, columns })
    }

    fn primary_key(&self, regclass: &str) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
             WHERE i.indrelid = {regclass} AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)"
        );
        Ok(self.session.rows("asking for the primary key", &sql)?.into_iter().flatten().flatten().collect())
    }

    /// Makes the empty temporary table and fills it, in a transaction that is left open.
    fn save(&self, table: &LiveTable, encoding: &str, push: &mut Push<'_>) -> Result<()> {
        let columns = table.columns();
        self.session.run(
            "setting saved rows apart",
            &format!(
                "BEGIN; CREATE TEMPORARY TABLE lacre_saved_rows ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA",
                table.name
            ),
        )?;
        let doing = format!("setting saved rows of {} apart", table.name);
        let sql =
            format!("COPY {SAVED} ({columns}) FROM STDIN WITH (FORMAT text, ENCODING {})", quote::literal(encoding));
        let mut writer: CopyWriter<'_> = self.session.copy_in(&doing, &sql)?;
        if let Err(source) = push(&mut writer) {
            return Err(writer.take_failure().unwrap_or(Error::Source { stream: table.name.clone(), source }));
        }
        writer.finish().map(drop)
    }

    fn missing_sql(table: &LiveTable, columns: &str) -> String {
        let same: Vec<String> = table.key.iter().map(|(column, _)| format!("live.{column} = saved.{column}")).collect();
        format!(
            "SELECT {columns} FROM {SAVED} saved WHERE NOT EXISTS (SELECT FROM {} live WHERE {})",
            table.name,
            same.join(" AND ")
        )
    }

    /// Writes the saved rows that the live table does not have, as COPY text in UTF-8.
    ///
    /// # Errors
    /// Those of the server; [`Error::Source`] from `push`; [`Error::Io`] from `out`.
    pub fn missing(&self, table: &LiveTable, encoding: &str, push: &mut Push<'_>, out: &mut dyn Write) -> Result<()> {
        self.save(table, encoding, push)?;
        // From here on the server itself refuses whatever would write.
        self.session.run("looking for missing rows", "SET TRANSACTION READ ONLY")?;
        let query = Self::missing_sql(table, &table.columns());
        let sql = format!("COPY ({query}) TO STDOUT WITH (FORMAT text, ENCODING 'UTF8')");
        self.session.copy_out("looking for missing rows", &sql, out)?;
        self.session.run("looking for missing rows", "ROLLBACK")
    }

    /// Puts the saved rows that the live table does not have into a new table of another schema; gives its name and how many they are.
    ///
    /// # Errors
    /// Those of the server, for example when the new table exists; [`Error::Source`] from `push`.
    pub fn missing_into(
        &self,
        table: &LiveTable,
        encoding: &str,
        schema: &str,
        name: &str,
        push: &mut Push<'_>,
    ) -> Result<(String, u64)> {
        self.save(table, encoding, push)?;
        let into = format!("{}.{}", quote::ident(schema), quote::ident(name));
        let query = Self::missing_sql(table, &table.columns());
        self.session.run(
            "setting missing rows aside",
            &format!("CREATE SCHEMA IF NOT EXISTS {}; CREATE TABLE {into} AS {query}", quote::ident(schema)),
        )?;
        let count = self.session.number("counting missing rows", &format!("SELECT count(*) FROM {into}"))?;
        self.session.run("setting missing rows aside", "COMMIT")?;
        Ok((into, u64::try_from(count).unwrap_or(0)))
    }

    /// Rows of the live table, as far as its statistics or a quick count tell.
    ///
    /// # Errors
    /// Those of the server.
    pub fn count(&self, table: &LiveTable) -> Result<u64> {
        let count = self.session.number("counting rows", &format!("SELECT count(*) FROM {}", table.name))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Looks a sample of saved rows up by their keys.
    ///
    /// # Errors
    /// Those of the server.
    pub fn look_up(&self, table: &LiveTable, encoding: &str, rows: &[Vec<u8>]) -> Result<Looked> {
        let mut looked = Looked::default();
        if rows.is_empty() {
            return Ok(looked);
        }
        let mut sample = |writer: &mut dyn Write| -> std::result::Result<(), BoxError> {
            rows.iter().try_for_each(|row| writer.write_all(row)).map_err(Into::into)
        };
        self.save(table, encoding, &mut sample)?;
        self.session.run("looking rows up", "SET TRANSACTION READ ONLY")?;
        let same: Vec<String> = table.key.iter().map(|(column, _)| format!("live.{column} = saved.{column}")).collect();
        let columns: Vec<String> = table.columns.iter().map(|column| format!("live.{column}")).collect();
        let sql = format!(
            "COPY (SELECT {} FROM {} live WHERE EXISTS (SELECT FROM {SAVED} saved WHERE {})) TO STDOUT WITH (FORMAT text, ENCODING {})",
            columns.join(", "),
            table.name,
            same.join(" AND "),
            quote::literal(encoding)
        );
        let mut live = Vec::new();
        self.session.copy_out("looking rows up", &sql, &mut live)?;
        self.session.run("looking rows up", "ROLLBACK")?;
        let key = |row: &[u8]| -> Vec<Vec<u8>> {
            let fields: Vec<&[u8]> = copy::fields(row).map(copy::Field::raw).collect();
            table.key.iter().filter_map(|(_, at)| fields.get(*at).map(|field| field.to_vec())).collect()
        };
        let now: std::collections::HashMap<Vec<Vec<u8>>, &[u8]> =
            copy::rows(&live).map(|row| (key(row), row)).collect();
        for row in rows {
            let row = row.strip_suffix(b"\n").unwrap_or(row);
            match now.get(&key(row)) {
                Some(found) if *found == row => looked.same += 1,
                Some(_) => looked.changed += 1,
                None => looked.missing += 1,
            }
        }
        Ok(looked)
    }
}

/// A quoted name without its quotes.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}
