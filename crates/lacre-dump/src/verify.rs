//! Proof that what is left holds together.
//!
//! Comes in: what the same search finds in the rows that were written, and counts. Goes out: what should not be there. Must not know: streams.
//!
//! Foreign keys are checked over the keys that went away: a key of a surviving row that no row answers to any more must be one of those, because
//! the database the dump was taken of had none. A dump of a database with broken or `NOT VALID` keys stays as broken as it was.

use std::collections::BTreeMap;

use crate::closure::{Mark, Marks, Outcome, Shape, Tally};
use crate::copy::Identifier;
use crate::select::{Findings, SelectError, decide};

/// What should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leftover {
    /// Rows that should have been deleted.
    pub undeleted: u64,
    /// Rows that refer to one that was deleted, by foreign key.
    pub dangling: BTreeMap<Identifier, u64>,
    /// Rows that refer to the person as one that was deleted, where only the rules say that they refer to anything.
    pub linked: u64,
}

impl Leftover {
    /// Whether all is well.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Leftover::default()
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Leftover) {
        self.undeleted += other.undeleted;
        self.linked += other.linked;
        for (key, count) in &other.dangling {
            *self.dangling.entry(key.clone()).or_default() += count;
        }
    }
}

/// Checks surviving rows: `survivors` is what a search with the same shape found in them.
///
/// # Errors
/// Findings that do not cover what the snapshot knows.
pub fn check(shape: &Shape, survivors: &Findings, marks: &Marks) -> Result<Leftover, SelectError> {
    let (_, tally) = decide(shape, survivors, marks)?;
    let mut leftover = Leftover { undeleted: tally.deleted + tally.contradicted, ..Leftover::default() };
    for row in survivors.found() {
        for (at, key) in &row.hits {
            let Some(matcher) = shape.matchers.get(*at) else { continue };
            let mark = marks.get(matcher.set, *key);
            match (&matcher.constraint, &matcher.outcome) {
                (Some(constraint), _) if mark == Mark::Deleted => {
                    *leftover.dangling.entry(constraint.clone()).or_default() += 1;
                }
                (None, Outcome::Unlink(_)) if mark >= matcher.strength => leftover.linked += 1,
                _ => {}
            }
        }
    }
    Ok(leftover)
}

/// Whether the rows that were written are the rows that were read less those that were deleted.
#[must_use]
pub fn counts_add_up(read: &Tally, rows_written: u64) -> bool {
    read.rows.checked_sub(read.deleted) == Some(rows_written)
}
