//! The walk along the references of one snapshot.
//!
//! Comes in: findings, table by table. Goes out: which tables to search next, and at the end what the snapshot says of every key.
//! Must not know: rows.

use std::collections::BTreeSet;

use super::keys::{KeyBook, Mark, Marks, SetId};
use super::{ClosureError, Outcome, Plan, TablePlan};
use crate::copy::Identifier;
use crate::limits::PASSES_MAX;
use crate::personal::{Personal, Subject, tuple};
use crate::select::Findings;

/// The walk along the references of one snapshot; see [`crate::closure`].
#[derive(Debug)]
pub struct Walk<'p> {
    plan: &'p Plan,
    marks: Marks,
    stage: usize,
    passes: usize,
    /// What was known of each table's sets when its rows were last searched.
    searched: Vec<Option<u64>>,
    identifiers: BTreeSet<(Identifier, Personal)>,
}

/// What was found in one table of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows looked at.
    pub rows: u64,
    /// Of these, deleted.
    pub deleted: u64,
    /// Of these, changed.
    pub changed: u64,
    /// Of these, the person's and kept as they are.
    pub kept: u64,
    /// Of these, demanded to be deleted by one rule and kept by another.
    pub contradicted: u64,
    /// Of these, left with a foreign key that dangles, because no rule says what happens to them.
    pub refused: u64,
}

impl Tally {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.deleted += other.deleted;
        self.changed += other.changed;
        self.kept += other.kept;
        self.contradicted += other.contradicted;
        self.refused += other.refused;
    }

    /// The rows that stay.
    #[must_use]
    pub fn staying(&self) -> u64 {
        self.rows.saturating_sub(self.deleted)
    }
}

impl<'p> Walk<'p> {
    /// Begins at the subject.
    ///
    /// # Errors
    /// A subject that says nothing, or a key with another number of values than the rules' key has columns.
    pub fn new(plan: &'p Plan, subject: &Subject, book: &mut KeyBook) -> Result<Walk<'p>, ClosureError> {
        let mut walk = Walk {
            plan,
            marks: Marks::default(),
            stage: 0,
            passes: 0,
            searched: vec![None; plan.tables.len()],
            identifiers: subject.identifiers.iter().cloned().collect(),
        };
        let mark = plan.root_mark;
        for key in &subject.keys {
            if key.len() != plan.key_canon.len() {
                return Err(ClosureError::KeyWidth { given: key.len(), wanted: plan.key_canon.len() });
            }
            let parts: Vec<_> =
                key.iter().zip(&plan.key_canon).map(|(part, canon)| canon.apply(part.expose())).collect();
            // The row of the root may be missing where its data was left out of the dump; what refers to it is found all the same.
            for (set, order) in &plan.root_sets {
                let mut bytes = Vec::new();
                let ordered: Vec<&[u8]> = order.iter().filter_map(|at| parts.get(*at)).map(AsRef::as_ref).collect();
                tuple(ordered.into_iter(), &mut bytes);
                let id = book.insert(*set, &Personal::new(bytes))?;
                walk.marks.raise(*set, id, mark);
            }
        }
        let mut is_known = !subject.keys.is_empty();
        for (column, set) in &plan.identifiers {
            for (_, value) in subject.identifiers.iter().filter(|(name, _)| name == column) {
                let canon = book.name(*set).columns.first().map(|(_, canon)| *canon);
                let value = canon.map_or_else(|| value.clone(), |canon| Personal::new(canon.apply(value.expose())));
                let id = book.insert(*set, &value)?;
                walk.marks.raise(*set, id, mark);
                is_known = true;
            }
        }
        if is_known { Ok(walk) } else { Err(ClosureError::NoSubject) }
    }

    /// The tables to search now, as numbers into [`Plan::tables`]; nothing when the closure is complete.
    ///
    /// Call it again after every row of each of them was searched and [`Walk::absorb`]ed.
    ///
    /// # Errors
    /// Tables that refer to each other in a circle and never come to rest.
    pub fn next_tables(&mut self) -> Result<Option<Vec<usize>>, ClosureError> {
        while let Some(stage) = self.plan.stages.get(self.stage) {
            let open: Vec<usize> = stage
                .iter()
                .copied()
                .filter(|at| {
                    let known = self.known_of(&self.plan.tables[*at]);
                    known > 0 && self.searched[*at] != Some(known)
                })
                .collect();
            if open.is_empty() {
                self.stage += 1;
                self.passes = 0;
                continue;
            }
            self.passes += 1;
            if self.passes > PASSES_MAX {
                let table = self.plan.tables[open[0]].name.to_string();
                return Err(ClosureError::TooManyPasses { table, passes: PASSES_MAX });
            }
            for at in &open {
                self.searched[*at] = Some(self.known_of(&self.plan.tables[*at]));
            }
            return Ok(Some(open));
        }
        Ok(None)
    }

    fn known_of(&self, table: &TablePlan) -> u64 {
        table.shape.matchers.iter().map(|matcher| self.marks.version(matcher.set)).sum()
    }

    /// Takes what was found in some rows of a table. Findings may come in any order and more than once; remembered ones only if they
    /// [`Findings::cover`] what is known when the pass begins.
    ///
    /// # Errors
    /// Too many keys.
    pub fn absorb(&mut self, table: usize, findings: &Findings, book: &mut KeyBook) -> Result<(), ClosureError> {
        let shape = &self.plan.tables[table].shape;
        for row in findings.found() {
            let mut mark = Mark::None;
            for (matcher, key) in &row.hits {
                let Some(matcher) = shape.matchers.get(*matcher) else { continue };
                if self.marks.get(matcher.set, *key) < matcher.strength {
                    continue;
                }
                mark = mark.max(match matcher.outcome {
                    Outcome::Delete => Mark::Deleted,
                    Outcome::Keep | Outcome::Edit(_) => Mark::Belongs,
                    Outcome::Unlink(_) | Outcome::Refuse(_) => Mark::None,
                });
                if matcher.is_identity {
                    self.identifiers.extend(row.identifiers.iter().cloned());
                }
            }
            if mark == Mark::None {
                continue;
            }
            for (harvest, key) in shape.harvests.iter().zip(&row.keys) {
                if let Some(key) = key {
                    let id = book.insert(harvest.set, key)?;
                    self.marks.raise(harvest.set, id, mark);
                }
            }
        }
        Ok(())
    }

    /// The stage of the plan the walk is at, from 0.
    #[must_use]
    pub fn stage(&self) -> usize {
        self.stage
    }

    /// The identifiers of the person that were given or found so far.
    #[must_use]
    pub fn identifiers(&self) -> &BTreeSet<(Identifier, Personal)> {
        &self.identifiers
    }

    /// What the snapshot says of the keys so far.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Ends the walk; gives what the snapshot says of every key, and the identifiers of the person that were given or found in the root.
    #[must_use]
    pub fn finish(self) -> (Marks, Vec<(Identifier, Personal)>) {
        (self.marks, self.identifiers.into_iter().collect())
    }
}

impl Marks {
    /// Whether this snapshot knows no key of the set beyond the first so many of the book.
    #[must_use]
    pub fn are_within(&self, set: SetId, keys: u32) -> bool {
        self.end(set) <= keys
    }
}
