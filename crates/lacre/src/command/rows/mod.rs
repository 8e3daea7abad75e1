//! Finding rows again: in one snapshot, in all of them, between two, and beside a live database.
//!
//! In: snapshots and a table's name. Out: rows for people who hold the keys. They come from table streams alone; what a table's columns
//! and key are, the archive's own table of contents says.

mod bag;
mod diff;
mod recover;
mod search;
mod spot;
mod table;

pub(super) use self::{
    diff::run as diff,
    recover::run as recover,
    search::{history, rows},
    spot::run as spot,
};
