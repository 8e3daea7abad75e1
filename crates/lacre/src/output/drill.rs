//! The document of `drill`.

use serde::Serialize;

use super::{Document, Field, FindingEntry, RestoredTable};

/// One thing a drill checked.
#[derive(Clone, Debug, Serialize)]
pub struct DrillCheck {
    /// Name.
    pub name: String,
    /// passed, failed or skipped.
    pub result: String,
    /// What was found, without values of the database.
    pub what: String,
}

/// A rehearsed restore.
#[derive(Clone, Debug, Serialize)]
pub struct DrillResult {
    /// Whether every check that could be made passed.
    pub passed: bool,
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Its job.
    pub job: String,
    /// Host and port of the server, or throw-away.
    pub server: String,
    /// Tables: name, rows, expected.
    pub tables: Vec<RestoredTable>,
    /// Time until the restored database could be used, milliseconds; 0 when the restore failed.
    pub rto_ms: u64,
    /// Wall time of the whole drill, milliseconds.
    pub duration_ms: u64,
    /// Checks: name, result (passed, failed, skipped), what.
    pub checks: Vec<DrillCheck>,
    /// Whether the result is on record in the repository.
    pub recorded: bool,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for DrillResult {
    const COMMAND: &'static str = "drill";
    const FIELDS: &'static [Field] = &[
        Field { name: "passed", help: "Whether every check that could be made passed." },
        Field { name: "snapshot", help: "Id of the snapshot, hexadecimal." },
        Field { name: "job", help: "Its job." },
        Field { name: "server", help: "Host and port of the server, or throw-away." },
        Field { name: "tables", help: "Tables: name, rows, expected." },
        Field {
            name: "rto_ms",
            help: "Time until the restored database could be used, milliseconds; 0 when the restore failed.",
        },
        Field { name: "duration_ms", help: "Wall time of the whole drill, milliseconds." },
        Field { name: "checks", help: "Checks: name, result (passed, failed, skipped), what." },
        Field { name: "recorded", help: "Whether the result is on record in the repository." },
        Field { name: "findings", help: "Findings: severity, what, object, advice." },
    ];
}
