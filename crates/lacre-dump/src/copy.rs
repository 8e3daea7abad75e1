//! PostgreSQL's COPY text format: rows, fields, statements, and digests of rows.
//!
//! Comes in: the content of a table as an archive or a plain dump holds it. Goes out: rows and values, and facts over all rows.
//! Must not know: where the content is kept.
//!
//! A row is a line. Fields are separated by tabs, NULL is a field that is exactly `\N`, and after a backslash come `b f n r t v`, one to three
//! octal digits, `x` and one or two hexadecimal digits, or any byte meaning itself. PostgreSQL writes only `\b \f \n \r \t \v \\` (documentation
//! of `COPY`, "Text Format"). The line `\.` ends the rows; an archive adds two empty lines after it.

mod digest;
mod row_hash;
mod statement;
mod text;

pub use digest::{Ending, RowCounter, RowDigest, RowSummary};
pub use statement::{CopyStatement, Identifier};
pub use text::{Field, Fields, Rows, escape, fields, rows, splits_a_row, write_row};
