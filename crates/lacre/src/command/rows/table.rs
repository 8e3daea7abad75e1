//! A snapshot's tables: which streams hold a table's rows, what their fields are called, what tells rows apart.

use lacre_dump::{
    archive::{Setting, Toc},
    copy::{self, CopyStatement, Identifier},
    find::{Condition, Finder},
    schema::{Schema, Table, TableName},
};
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::{Monitor, op::read::Snapshot};
use serde_json::{Map, Value};

use crate::{
    cli::ConditionArgs,
    driver::postgres::{dump::table_names, limits::TOC_BYTES_MAX},
    error::{CliError, Kind},
    vault::Vault,
};

/// The name of the stream that some versions of `pg_dump` append to the archive; it is no table of contents to look into.
const APPENDED: &str = "toc.appended";

/// A snapshot's definitions.
pub(super) struct Tables {
    toc: Toc,
    schema: Option<Schema>,
}

/// Where the rows of one table, or of one of its partitions, are.
pub(super) struct Place<'t> {
    /// The stream's name.
    pub(super) name: String,
    dump_id: u32,
    /// What the fields are called, in order.
    pub(super) columns: Vec<Identifier>,
    /// Schema and name as the archive writes them.
    pub(super) table_name: TableName,
    table: Option<&'t Table>,
    charset: Charset,
}

/// How the bytes of an archive are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// UTF-8, and what else is ASCII where it matters.
    Utf8,
    /// ISO 8859-1, in which every byte is the character of its number.
    Latin1,
}

impl Charset {
    fn named(encoding: &str) -> Charset {
        if encoding.eq_ignore_ascii_case("LATIN1") { Charset::Latin1 } else { Charset::Utf8 }
    }

    fn decode(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Charset::Latin1 => bytes.iter().copied().map(char::from).collect(),
        }
    }

    /// A text as it would stand in the archive; one that cannot stand there stays what it is, and is not found.
    fn encode(self, text: &[u8]) -> Vec<u8> {
        let one_byte = |text: &str| text.chars().map(|character| u8::try_from(character).ok()).collect();
        let latin1 = || std::str::from_utf8(text).ok().and_then(one_byte);
        match self {
            Charset::Utf8 => None,
            Charset::Latin1 => latin1(),
        }
        .unwrap_or_else(|| text.to_vec())
    }
}

impl Tables {
    /// Reads a snapshot's definitions.
    pub(super) fn read(vault: &Vault, snapshot: &Snapshot<'_>, monitor: &dyn Monitor) -> Result<Tables, CliError> {
        let is_toc = |stream: &&Stream| stream.kind == StreamKind::ArchiveToc && stream.name != APPENDED;
        let stream = snapshot.streams().iter().find(is_toc).ok_or_else(|| {
            CliError::new(Kind::Usage, format!("snapshot {} holds no PostgreSQL archive", snapshot.id().short()))
                .hint("lacre cat SNAP STREAM    (gives the bytes of any stream)")
        })?;
        let damaged = |why: String| {
            CliError::new(
                Kind::Damaged,
                format!("the definitions of snapshot {} cannot be read: {why}", snapshot.id().short()),
            )
        };
        if stream.bytes > u64::try_from(TOC_BYTES_MAX).unwrap_or(u64::MAX) {
            return Err(damaged(format!("they are longer than {TOC_BYTES_MAX} bytes")));
        }
        let mut bytes = Vec::new();
        snapshot.read(stream, &mut bytes, monitor).map_err(|error| vault.explain(error))?;
        let toc = Toc::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        // Without the schema values are compared as they stand and rows have no key; that is better than nothing.
        let schema = Schema::of_archive(&toc).ok();
        Ok(Tables { toc, schema })
    }

    /// Every table with rows in the archive.
    pub(super) fn all(&self) -> Vec<Place<'_>> {
        let names = table_names(&self.toc);
        let charset = Charset::named(&self.encoding());
        let place = |data: lacre_dump::archive::TableData<'_>| {
            let dump_id = data.entry.dump_id();
            let table_name = TableName { schema: Identifier::new(data.schema), table: Identifier::new(data.name) };
            let table = self.schema.as_ref().and_then(|schema| Some(schema.table(schema.find(&table_name)?)));
            Some(Place {
                name: names.get(&dump_id)?.clone(),
                dump_id: u32::try_from(dump_id).ok()?,
                columns: data.copy?.columns,
                table_name,
                table,
                charset,
            })
        };
        self.toc.tables().filter_map(place).collect()
    }

    /// The places of one table: one, or one for each partition.
    pub(super) fn find(&self, wanted: &str) -> Result<Vec<Place<'_>>, CliError> {
        let all = self.all();
        let named = |place: &&Place<'_>| place.name == wanted || place.name == format!("public.{wanted}");
        if let Some(at) = all.iter().position(|place| named(&place)) {
            return Ok(all.into_iter().nth(at).into_iter().collect());
        }
        let partitions = self.partitions(wanted);
        if !partitions.is_empty() {
            return Ok(all.into_iter().filter(|place| partitions.contains(&place.dump_id)).collect());
        }
        let (mut alike, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|place| place.table_name.table.to_string() == wanted);
        match alike.len() {
            1 => Ok(alike),
            0 => {
                let close: Vec<String> = others
                    .iter()
                    .filter(|place| place.name.contains(wanted.rsplit('.').next().unwrap_or(wanted)))
                    .take(3)
                    .map(|place| place.name.clone())
                    .collect();
                let error = CliError::new(Kind::Usage, format!("table {wanted:?} is not in the snapshot"));
                Err(if close.is_empty() {
                    error.hint("lacre ls SNAP    (lists the tables; a name is schema.table)")
                } else {
                    error.hint(format!("did you mean {}", close.join(", ")))
                })
            }
            _ => {
                let names: Vec<String> = alike.drain(..).map(|place| place.name).collect();
                Err(CliError::new(Kind::Usage, format!("several tables are called {wanted:?}: {}", names.join(", ")))
                    .hint("write the name with its schema"))
            }
        }
    }

    /// The streams of a partitioned table's parts.
    fn partitions(&self, wanted: &str) -> Vec<u32> {
        let Some(schema) = &self.schema else { return Vec::new() };
        let (space, name) = wanted.split_once('.').unwrap_or(("public", wanted));
        let full = TableName { schema: Identifier::new(space), table: Identifier::new(name) };
        let by_name = || {
            let mut alike = schema.tables().filter(|(_, table)| table.name.table.as_bytes() == wanted.as_bytes());
            let first = alike.next().map(|(id, _)| id);
            if alike.next().is_some() { None } else { first }
        };
        let Some(id) = schema.find(&full).or_else(by_name) else { return Vec::new() };
        let stream = |id| schema.table(id).stream.as_ref().and_then(|stream| u32::try_from(stream.dump_id).ok());
        schema.rows_of(id).into_iter().filter_map(stream).collect()
    }

    /// The encoding all text of the archive is in.
    pub(super) fn encoding(&self) -> String {
        let bytes = self.toc.setting(Setting::Encoding);
        bytes.map_or_else(|| "UTF8".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What is defined: kind, schema and name of every entry, and its definition.
    pub(super) fn definitions(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = |entry: &lacre_dump::archive::Entry<'_>| {
            let schema = entry.namespace().map_or_else(String::new, |schema| format!("{}.", text(schema)));
            format!("{} {schema}{}", text(entry.desc()).to_lowercase(), text(entry.tag()))
        };
        let is_row_or_value =
            |desc: &[u8]| matches!(desc, b"TABLE DATA" | b"SEQUENCE SET" | b"BLOBS" | b"BLOB METADATA");
        let entries = self.toc.entries().filter(|entry| !is_row_or_value(entry.desc()));
        entries.map(|entry| (name(&entry), entry.definition().to_vec())).collect()
    }
}

impl Place<'_> {
    /// The stream in a snapshot.
    pub(super) fn stream<'s>(&self, snapshot: &'s Snapshot<'_>) -> Result<&'s Stream, CliError> {
        let is_it = |stream: &&Stream| stream.kind == StreamKind::Table && stream.dump_id == Some(self.dump_id);
        snapshot.streams().iter().find(is_it).ok_or_else(|| {
            CliError::new(Kind::Damaged, format!("snapshot {} has no rows of {}", snapshot.id().short(), self.name))
        })
    }

    /// A search for rows of this table.
    pub(super) fn finder(&self, conditions: &[Condition]) -> Result<Finder, CliError> {
        let encode = |condition: &Condition| Condition {
            column: Identifier::new(self.charset.encode(condition.column.as_bytes())),
            value: condition.value.as_deref().map(|value| self.charset.encode(value)),
        };
        let conditions: Vec<Condition> = conditions.iter().map(encode).collect();
        Finder::new(&self.columns, self.table, &conditions)
            .map_err(|error| CliError::new(Kind::Usage, format!("table {}: {error}", self.name)))
    }

    /// The statement that loads the table's rows.
    pub(super) fn copy(&self) -> CopyStatement {
        let schema = Some(self.table_name.schema.clone()).filter(|schema| !schema.as_bytes().is_empty());
        CopyStatement { schema, table: self.table_name.table.clone(), columns: self.columns.clone() }
    }

    /// The columns of the primary key, where there is one and all its columns are saved.
    pub(super) fn key(&self) -> Option<&[Identifier]> {
        let key = self.table?.primary_key().or_else(|| self.table?.keys.first().map(|key| key.columns.as_slice()))?;
        key.iter().all(|column| self.columns.contains(column)).then_some(key)
    }

    /// The fields of the primary key in a row, as they stand there.
    pub(super) fn key_of<'r>(&self, key: &[Identifier], row: &'r [u8]) -> Vec<&'r [u8]> {
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let fields: Vec<&[u8]> = copy::fields(row).map(copy::Field::raw).collect();
        let place = |column: &Identifier| self.columns.iter().position(|known| known == column);
        key.iter().filter_map(|column| fields.get(place(column)?).copied()).collect()
    }

    /// A row as JSON: names and values; NULL is null.
    pub(super) fn record(&self, row: &[u8]) -> Map<String, Value> {
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        let value = |field: copy::Field<'_>| {
            field.value().map_or(Value::Null, |value| Value::String(self.charset.decode(&value)))
        };
        let names = self.columns.iter().map(|column| self.charset.decode(column.as_bytes()));
        names.zip(copy::fields(row).map(value)).collect()
    }

    /// The columns' names in one line, as the rows below it.
    pub(super) fn head(&self) -> String {
        self.columns.iter().map(ToString::to_string).collect::<Vec<_>>().join("\t")
    }
}

/// The conditions a person typed.
pub(super) fn conditions(args: &ConditionArgs) -> Vec<Condition> {
    let value = args.wanted.iter().map(|wanted| Condition {
        column: Identifier::new(wanted.column.as_bytes()),
        value: Some(wanted.value.clone().into_bytes()),
    });
    let null = args.null.iter().map(|column| Condition { column: Identifier::new(column.as_bytes()), value: None });
    value.chain(null).collect()
}
