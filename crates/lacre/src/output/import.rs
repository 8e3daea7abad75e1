//! The document of `import`.

use serde::Serialize;

use super::{Document, Field};

/// A dump that became a snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedFile {
    /// File.
    pub file: String,
    /// Id of the snapshot, hexadecimal; null with --dry-run.
    pub snapshot: Option<String>,
    /// Job.
    pub job: String,
    /// When the dump was made, RFC 3339, UTC.
    pub time: String,
    /// Where that was found: --time, archive, name or file.
    pub time_from: String,
    /// Bytes of the dump, uncompressed.
    pub bytes_read: u64,
    /// Bytes of them that no earlier snapshot held.
    pub bytes_new: u64,
    /// Bytes written to the store.
    pub bytes_stored: u64,
    /// Rows of persons who are being erased from the job, which were left out or changed.
    pub without: u64,
}

/// A dump that is there already.
#[derive(Clone, Debug, Serialize)]
pub struct SkippedFile {
    /// File.
    pub file: String,
    /// The snapshot it became.
    pub snapshot: String,
}

/// A dump that could not be taken.
#[derive(Clone, Debug, Serialize)]
pub struct RefusedFile {
    /// File.
    pub file: String,
    /// Kind of the error, as in error documents.
    pub kind: String,
    /// What failed, on what, why.
    pub message: String,
    /// The next command to type.
    pub hint: Option<String>,
    /// The exit code it would have had alone.
    pub exit: u8,
}

/// Old dumps taken in.
#[derive(Clone, Debug, Serialize)]
pub struct ImportResult {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Files that became snapshots, oldest first.
    pub imported: Vec<ImportedFile>,
    /// Files that were imported before.
    pub skipped: Vec<SkippedFile>,
    /// Files that could not be taken.
    pub failures: Vec<RefusedFile>,
}

impl Document for ImportResult {
    const COMMAND: &'static str = "import";
    const FIELDS: &'static [Field] = &[
        Field { name: "dry_run", help: "Whether nothing was changed." },
        Field {
            name: "imported",
            help: "Files that became snapshots, oldest first: file, snapshot, job, time, time_from (--time, archive, name, file), bytes_read, bytes_new, bytes_stored, without (rows of persons who are being erased, left out or changed).",
        },
        Field { name: "skipped", help: "Files that were imported before: file, snapshot." },
        Field { name: "failures", help: "Files that could not be taken: file, kind, message, hint, exit." },
    ];
}
