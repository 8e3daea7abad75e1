//! The document of `repo repair`.

use serde::Serialize;

use super::{Document, Field, FindingEntry};

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// An object that was put right.
#[derive(Clone, Debug, Serialize)]
pub struct MendedEntry {
    /// Its name.
    pub object: String,
    /// fetched, corrected or rebuilt.
    pub how: String,
    /// Its length.
    pub bytes: u64,
}

/// A snapshot of which something is lost.
#[derive(Clone, Debug, Serialize)]
pub struct IncompleteEntry {
    /// Id, hexadecimal.
    pub snapshot: String,
    /// Frames that are lost.
    pub frames: u64,
}

/// A stretch of a stream that is lost; null where that is not known.
#[derive(Clone, Debug, Serialize)]
pub struct StretchEntry {
    /// First byte.
    pub start: Option<u64>,
    /// Length.
    pub bytes: Option<u64>,
    /// First row, counted from 1.
    pub first_row: Option<u64>,
    /// Last row.
    pub last_row: Option<u64>,
}

/// A stream of which something is lost.
#[derive(Clone, Debug, Serialize)]
pub struct LostStreamEntry {
    /// Id of the snapshot, hexadecimal.
    pub snapshot: String,
    /// Name.
    pub stream: String,
    /// Bytes that are lost.
    pub bytes: u64,
    /// Rows that are lost, or null.
    pub rows: Option<u64>,
    /// Where.
    pub stretches: Vec<StretchEntry>,
}

/// What was put right and what is lost.
#[derive(Clone, Debug, Serialize)]
pub struct RepairResult {
    /// Objects that were proved.
    pub objects: u64,
    /// Bytes read from the repository.
    pub bytes_read: u64,
    /// Bytes read from the copy.
    pub bytes_fetched: u64,
    /// Objects that were put right.
    pub mended: Vec<MendedEntry>,
    /// Packs that got parity they never had.
    pub parity_added: u64,
    /// Objects that are damaged or missing and that nothing has.
    pub left: Vec<String>,
    /// Snapshots that are incomplete.
    pub incomplete: Vec<IncompleteEntry>,
    /// Streams that are incomplete, with an identity.
    pub streams: Vec<LostStreamEntry>,
    /// Whether the losses are on record.
    pub recorded: bool,
    /// What could not be done.
    pub not_done: Vec<String>,
    /// Findings: severity, what, object, advice.
    pub findings: Vec<FindingEntry>,
}

impl Document for RepairResult {
    const COMMAND: &'static str = "repo repair";
    const FIELDS: &'static [Field] = &[
        field("objects", "Objects that were proved."),
        field("bytes_read", "Bytes read from the repository."),
        field("bytes_fetched", "Bytes read from the copy."),
        field("mended", "Objects that were put right: object, how (fetched, corrected, rebuilt), bytes."),
        field("parity_added", "Packs that got parity they never had."),
        field("left", "Names of objects that are damaged or missing and that nothing has."),
        field("incomplete", "Snapshots of which something is lost: snapshot, frames."),
        field(
            "streams",
            "With an identity, streams of which something is lost: snapshot, stream, bytes, rows, stretches (start, bytes, first_row, last_row).",
        ),
        field("recorded", "Whether the losses are on record."),
        field("not_done", "What could not be done, and what it needs."),
        field("findings", "Findings: severity, what, object, advice."),
    ];
}
