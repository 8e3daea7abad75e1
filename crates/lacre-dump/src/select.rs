//! Rows of a table: which of them refer to the person, and the rows that are left.
//!
//! Comes in: COPY text in pieces cut anywhere, as long as all pieces of one run begin and end with whole rows. Goes out: [`Findings`] (what was
//! found in the run, the same for every snapshot that holds it), a [`Verdict`] (what one snapshot makes of them), and the surviving bytes.
//! Must not know: where rows come from, or how many snapshots share them.
//!
//! A run is what the caller keeps together: a chunk of whole rows, or all chunks of one long row. The end marker and the empty lines an archive
//! adds may be in the last run or in runs of their own; of a table with one column they should stand with the marker, or they count as rows. Of rows up to [`WHOLE_ROW_BYTES_MAX`] one is
//! held in memory; of longer ones only the columns that matter, each up to [`KEY_BYTES_MAX`], or [`JSON_BYTES_MAX`] for JSON.
//!
//! [`WHOLE_ROW_BYTES_MAX`]: crate::limits::WHOLE_ROW_BYTES_MAX
//! [`KEY_BYTES_MAX`]: crate::limits::KEY_BYTES_MAX
//! [`JSON_BYTES_MAX`]: crate::limits::JSON_BYTES_MAX

pub mod json;
mod rewrite;
mod scan;
mod verdict;

pub use rewrite::{Rewriter, Written};
pub use scan::{Findings, FoundRow, Scanner, Search};
pub use verdict::{Fate, Verdict, decide};

/// Why rows could not be searched or rewritten. Numbers of rows and fields, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A row has another number of fields than the table has columns.
    #[error("row {row} of the run has {found} fields, the table has {wanted} columns")]
    FieldCount {
        /// The row, from 0.
        row: u64,
        /// Its fields.
        found: usize,
        /// The table's columns.
        wanted: usize,
    },
    /// A value that should be JSON is not.
    #[error("field {field} of row {row} of the run is not JSON")]
    NotJson {
        /// The row, from 0.
        row: u64,
        /// The field, from 0.
        field: usize,
    },
    /// A JSON value is larger than is searched.
    #[error("field {field} of row {row} of the run is JSON of more than {max} bytes")]
    LargeJson {
        /// The row, from 0.
        row: u64,
        /// The field, from 0.
        field: usize,
        /// The bound, in bytes.
        max: usize,
    },
    /// A newline follows a backslash: the text was not written by PostgreSQL.
    #[error("row {row} of the run goes on behind an escaped newline, which PostgreSQL never writes")]
    SplitRow {
        /// The row, from 0.
        row: u64,
    },
    /// The snapshot knows keys that were not known when the rows were searched.
    #[error("the rows were searched before all keys of this snapshot were known; search them again")]
    Stale,
    /// The rows that were rewritten are not the rows that were searched.
    #[error("the run has {found} rows, and {wanted} were searched")]
    OtherRows {
        /// Rows seen now.
        found: u64,
        /// Rows seen before.
        wanted: u64,
    },
}
