//! Dumps that are text: what a stream is, where the tables in it lie, and whether it ended as it should.
//!
//! Comes in: a stream, in pieces. Goes out: its [`Format`], a [`Verdict`] on its end, and for `pg_dump`'s plain output the [`Piece`]s of it.
//! Must not know: where the stream comes from. SQL is never parsed beyond `COPY` statements.

mod sniff;
mod split;

pub use sniff::{EndCheck, Format, Verdict, sniff};
pub use split::{Piece, Splitter};
