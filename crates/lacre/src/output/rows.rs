//! The documents of `rows`, `history`, `diff`, `recover` and `spot`: the only ones that carry rows, for who holds the keys.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Document, Field, FindingEntry};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// Rows of one snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct RowsResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Table as asked for.
    pub table: String,
    /// Rows: column names and values as SQL shows them; NULL is null.
    pub rows: Vec<Map<String, Value>>,
}

impl Document for RowsResult {
    const COMMAND: &'static str = "rows";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("snapshot", "Id of the snapshot, hexadecimal."),
        field("table", "Table as asked for."),
        field("rows", "Rows: column names and values as SQL shows them; NULL is null."),
    ];
}

/// Rows as they were over some snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct RowVersion {
    /// First snapshot that has them so.
    pub snapshot: String,
    /// When its source was read, RFC 3339, UTC.
    pub time: String,
    /// Last snapshot that has them so.
    pub last_snapshot: String,
    /// When its source was read, RFC 3339, UTC.
    pub last_time: String,
    /// The rows; none: they are gone.
    pub rows: Vec<Map<String, Value>>,
}

/// Every version of some rows.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryResult {
    /// Table as asked for.
    pub table: String,
    /// Snapshots that were looked into.
    pub snapshots: u64,
    /// Snapshots of them without such a table.
    pub without_table: u64,
    /// Versions, oldest first: snapshot, time, last_snapshot, last_time, rows.
    pub versions: Vec<RowVersion>,
}

impl Document for HistoryResult {
    const COMMAND: &'static str = "history";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("table", "Table as asked for."),
        field("snapshots", "Snapshots that were looked into."),
        field("without_table", "Snapshots of them without such a table."),
        field(
            "versions",
            "Versions, oldest first: snapshot, time, last_snapshot, last_time, rows (none: they are gone).",
        ),
    ];
}

/// How a table differs between two snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct TableDifference {
    /// Name.
    pub name: String,
    /// same, changed, added or removed.
    pub state: String,
    /// Rows before.
    pub rows_before: Option<u64>,
    /// Rows after.
    pub rows_after: Option<u64>,
    /// Rows that are new.
    pub added: u64,
    /// Rows that went.
    pub removed: u64,
    /// Rows with the same primary key and other values.
    pub changed: u64,
    /// Chunks that were read.
    pub chunks_read: u64,
}

/// One row that differs.
#[derive(Clone, Debug, Serialize)]
pub struct RowDifference {
    /// Table.
    pub table: String,
    /// added, removed or changed.
    pub change: String,
    /// The row before, or null.
    pub before: Option<Map<String, Value>>,
    /// The row after, or null.
    pub after: Option<Map<String, Value>>,
}

/// What changed between two snapshots.
#[derive(Clone, Debug, Serialize)]
pub struct DiffResult {
    /// Id of the snapshot before, hexadecimal.
    pub before: String,
    /// Id of the snapshot after, hexadecimal.
    pub after: String,
    /// Tables: name, state, rows_before, rows_after, added, removed, changed, chunks_read.
    pub tables: Vec<TableDifference>,
    /// Definitions that were added, removed or changed, each as kind and name.
    pub definitions: Vec<String>,
    /// Rows, with --table: table, change, before, after.
    pub rows: Vec<RowDifference>,
    /// Rows that were found and not listed.
    pub rows_not_shown: u64,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for DiffResult {
    const COMMAND: &'static str = "diff";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("before", "Id of the snapshot before, hexadecimal."),
        field("after", "Id of the snapshot after, hexadecimal."),
        field(
            "tables",
            "Tables: name, state (same, changed, added, removed), rows_before, rows_after, added, removed, changed, chunks_read.",
        ),
        field("definitions", "Definitions that were added, removed or changed, each as kind and name."),
        field("rows", "Rows, with --table: table, change (added, removed, changed), before, after."),
        field("rows_not_shown", "Rows that were found and not listed."),
        field("findings", "Findings: severity, what, object, advice."),
    ];
}

/// Rows that were brought back.
#[derive(Clone, Debug, Serialize)]
pub struct RecoverResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Table in the database.
    pub table: String,
    /// Rows that were missing.
    pub rows: u64,
    /// File with the SQL, or null.
    pub file: Option<String>,
    /// Table that holds the rows, or null.
    pub into: Option<String>,
}

impl Document for RecoverResult {
    const COMMAND: &'static str = "recover";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("snapshot", "Id of the snapshot, hexadecimal."),
        field("table", "Table in the database."),
        field("rows", "Rows that were missing."),
        field("file", "File with the SQL, or null."),
        field("into", "Table that holds the rows, or null."),
    ];
}

/// How a table's sample compares.
#[derive(Clone, Debug, Serialize)]
pub struct SpotTable {
    /// Name.
    pub name: String,
    /// Rows in the snapshot.
    pub rows: u64,
    /// Rows in the database now.
    pub rows_live: Option<u64>,
    /// Rows looked up.
    pub sampled: u64,
    /// The same.
    pub same: u64,
    /// With other values.
    pub changed: u64,
    /// Not there.
    pub missing: u64,
    /// Why the table was not sampled, or null.
    pub skipped: Option<String>,
}

/// A snapshot beside the live database.
#[derive(Clone, Debug, Serialize)]
pub struct SpotResult {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Whether no more of the sample changed or went than tolerated.
    pub ok: bool,
    /// Tables: name, rows, rows_live, sampled, same, changed, missing, skipped.
    pub tables: Vec<SpotTable>,
}

impl Document for SpotResult {
    const COMMAND: &'static str = "spot";
    const FIELDS: &'static [Field] = &[
        field("snapshot", "Id of the snapshot, hexadecimal."),
        field("ok", "Whether no more of the sample changed or went than tolerated."),
        field("tables", "Tables: name, rows, rows_live, sampled, same, changed, missing, skipped."),
    ];
}
