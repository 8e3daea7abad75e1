//! What one snapshot makes of what was found.
//!
//! Comes in: findings and the snapshot's marks. Goes out: the fate of each row that changes, and counts. Must not know: bytes of rows.

use super::SelectError;
use super::scan::{Findings, FoundRow};
use crate::closure::{Change, Edit, Marks, Outcome, Shape, Tally};

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It goes away.
    Delete,
    /// These fields change; sorted by field, not empty.
    Edit(Vec<Edit>),
}

/// What becomes of a run of rows. Equal verdicts on equal bytes give equal bytes, whatever the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Verdict {
    /// Rows that change, by their number in the run, rising.
    pub fates: Vec<(u64, Fate)>,
    /// Rows in the run.
    pub rows: u64,
}

impl Verdict {
    /// Whether the run stays as it is, byte by byte.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.fates.is_empty()
    }
}

/// Decides over a run of rows for one snapshot.
///
/// Rows that rules contradict each other about, or that would be left dangling, are counted in the tally and left alone; a caller must not
/// commit what has any.
///
/// # Errors
/// [`SelectError::Stale`] if the findings do not cover what the snapshot knows.
pub fn decide(shape: &Shape, findings: &Findings, marks: &Marks) -> Result<(Verdict, Tally), SelectError> {
    if !findings.cover(marks) {
        return Err(SelectError::Stale);
    }
    let mut tally = Tally { rows: findings.rows(), ..Tally::default() };
    let mut verdict = Verdict { fates: Vec::new(), rows: findings.rows() };
    for row in findings.found() {
        if let Some(fate) = fate_of(shape, row, marks, &mut tally) {
            verdict.fates.push((row.row, fate));
        }
    }
    Ok((verdict, tally))
}

fn fate_of(shape: &Shape, row: &FoundRow, marks: &Marks, tally: &mut Tally) -> Option<Fate> {
    let mut edits: Vec<Edit> = Vec::new();
    let (mut deletes, mut keeps, mut refuses) = (false, false, false);
    for (at, key) in &row.hits {
        let Some(matcher) = shape.matchers.get(*at) else { continue };
        if marks.get(matcher.set, *key) < matcher.strength {
            continue;
        }
        match &matcher.outcome {
            Outcome::Delete => deletes = true,
            Outcome::Keep => keeps = true,
            Outcome::Refuse(_) => refuses = true,
            Outcome::Edit(more) | Outcome::Unlink(more) => edits.extend_from_slice(more),
        }
    }
    if deletes && keeps {
        tally.contradicted += 1;
        return None;
    }
    if deletes {
        tally.deleted += 1;
        return Some(Fate::Delete);
    }
    let edits = settle(edits);
    // A foreign key that no rule speaks of is no trouble if another rule lets go of it.
    if refuses && !lets_go(shape, row, marks, &edits) {
        tally.refused += 1;
        return None;
    }
    if edits.is_empty() {
        tally.kept += u64::from(keeps);
        return None;
    }
    tally.changed += 1;
    Some(Fate::Edit(edits))
}

/// Whether edits make every reference NULL that must not stay.
fn lets_go(shape: &Shape, row: &FoundRow, marks: &Marks, edits: &[Edit]) -> bool {
    row.hits.iter().filter_map(|(at, key)| Some((shape.matchers.get(*at)?, *key))).all(|(matcher, key)| {
        let is_refused =
            matches!(matcher.outcome, Outcome::Refuse(_)) && marks.get(matcher.set, key) >= matcher.strength;
        let is_null = |field: usize| edits.iter().any(|edit| edit.field == field && edit.change == Change::Null);
        !is_refused || matcher.parts.iter().any(|(part, _)| is_null(part.field()))
    })
}

/// Sorts edits; of a field that becomes NULL or a text, nothing else is left to do.
fn settle(mut edits: Vec<Edit>) -> Vec<Edit> {
    edits.sort();
    edits.dedup();
    let mut settled: Vec<Edit> = Vec::with_capacity(edits.len());
    for edit in edits {
        let is_done = settled
            .last()
            .is_some_and(|last| last.field == edit.field && matches!(last.change, Change::Null | Change::Text(_)));
        if !is_done {
            settled.push(edit);
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::JsonPath;

    #[test]
    fn null_ends_what_else_a_field_becomes() {
        let json = |path: &str| Change::JsonNull(vec![JsonPath::parse(path).unwrap()]);
        let edit = |field, change| Edit { field, change };
        let all = vec![
            edit(1, json("a")),
            edit(0, Change::Text(b"x".to_vec())),
            edit(0, Change::Null),
            edit(1, json("b")),
            edit(0, json("a")),
            edit(1, json("a")),
        ];
        assert_eq!(settle(all), [edit(0, Change::Null), edit(1, json("a")), edit(1, json("b"))]);
    }
}
