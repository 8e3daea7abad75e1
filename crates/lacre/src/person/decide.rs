//! Each snapshot decides about the runs that were found; what is left is searched again, counted and swept.
//!
//! In: findings and marks. Out: verdicts, each with what it makes of a run, worked out once however many snapshots agree. Foreign keys are
//! checked here: a run that nobody found refers to no key that went away.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use lacre_dump::{
    closure::{Marks, Outcome as Fate, Shape, ShapeId, Tally},
    copy::{RowCounter, RowDigest},
    select::{self, Findings, Rewriter, Search as RowSearch, SelectError, Verdict},
    verify,
};
use lacre_repo::op::erase::person::{Run, RunName};
use zeroize::Zeroizing;

use super::{PersonError, Search};

/// Verdicts, numbered. Equal verdicts on equal runs give equal rows.
#[derive(Default)]
pub(super) struct Verdicts {
    numbers: HashMap<Verdict, u64>,
    list: Vec<Arc<Verdict>>,
    swept: HashSet<(RunName, Vec<u64>)>,
}

impl Verdicts {
    fn number(&mut self, verdict: Verdict) -> u64 {
        if let Some(number) = self.numbers.get(&verdict) {
            return *number;
        }
        let number = self.list.len() as u64;
        self.list.push(Arc::new(verdict.clone()));
        self.numbers.insert(verdict, number);
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Verdict>> {
        self.list.get(usize::try_from(number).ok()?).map(Arc::clone)
    }
}

/// What a verdict makes of a run.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) bytes_old: u64,
    pub(super) bytes_new: u64,
    pub(super) digest_old: RowDigest,
    pub(super) digest_new: RowDigest,
}

/// Writes what a verdict leaves of rows.
pub(super) fn apply(verdict: &Verdict, rows: &[u8], out: &mut Vec<u8>) -> Result<select::Written, SelectError> {
    let mut rewriter = Rewriter::new(verdict);
    rewriter.push(rows, out)?;
    rewriter.finish(out)
}

fn digest(rows: &[u8]) -> RowDigest {
    let mut counter = RowCounter::copy();
    counter.push(rows);
    counter.finish().digest
}

/// Rows of the person that stay because a rule says so, with its reason.
fn kept(shape: &Shape, findings: &Findings, marks: &Marks) -> Vec<u64> {
    let is_kept = |(at, key): &(usize, u32)| {
        shape
            .matchers
            .get(*at)
            .is_some_and(|matcher| matcher.outcome == Fate::Keep && marks.get(matcher.set, *key) >= matcher.strength)
    };
    findings.found().iter().filter(|row| row.hits.iter().any(is_kept)).map(|row| row.row).collect()
}

/// A verdict that also takes away what is kept: what remains is swept.
fn without(verdict: &Verdict, kept: &[u64]) -> Verdict {
    let mut fates: Vec<_> = verdict.fates.iter().filter(|(row, _)| !kept.contains(row)).cloned().collect();
    fates.extend(kept.iter().map(|row| (*row, select::Fate::Delete)));
    fates.sort_by_key(|(row, _)| *row);
    Verdict { fates, rows: verdict.rows }
}

/// One run of one table of one snapshot.
struct Case<'c> {
    at: usize,
    table: String,
    shape: &'c Shape,
    columns: Option<Arc<[String]>>,
    run: &'c Run,
    findings: &'c Findings,
}

impl Search<'_> {
    /// Decides over every marked run of every snapshot.
    pub(super) fn decide_all(&mut self) -> Result<(), PersonError> {
        let plans = std::mem::take(&mut self.plans);
        let done = (0..plans.len()).try_for_each(|at| {
            (0..plans[at].tables.len()).try_for_each(|table| {
                let planned = &plans[at].tables[table];
                let dump_id = u32::try_from(planned.dump_id).unwrap_or_default();
                self.decide_table(at, table, (planned.name.to_string(), planned.shape_id, &planned.shape), dump_id)
            })
        });
        self.plans = plans;
        done
    }

    fn decide_table(
        &mut self,
        at: usize,
        table: usize,
        (name, id, shape): (String, ShapeId, &Shape),
        dump_id: u32,
    ) -> Result<(), PersonError> {
        let runs = std::mem::take(&mut self.archives[at].marked[table]);
        let columns = self.archives[at].columns.get(&dump_id).cloned();
        let mut tally = Tally::default();
        for run in &runs {
            let findings = self.shaped.get(&id).and_then(|shaped| shaped.findings.get(&run.name())).map(Arc::clone);
            let Some(findings) = findings else { continue };
            let columns = columns.clone();
            let case = Case { at, table: name.clone(), shape, columns, run, findings: &findings };
            tally.add(&self.decide_run(&case)?);
        }
        self.archives[at].marked[table] = runs;
        if tally.contradicted > 0 {
            let what = format!(
                "{} to be deleted by one rule and kept by another, of {name} in snapshot {}",
                crate::human::things(tally.contradicted, ["row is", "rows are"]),
                self.archives[at].id
            );
            return Err(PersonError::Undecided(what));
        }
        if tally.refused > 0 {
            let what = format!(
                "{} of {name} in snapshot {} would be left with a foreign key to a deleted row, and its ON DELETE forbids that: say in a rule what becomes of them",
                crate::human::things(tally.refused, ["row", "rows"]),
                self.archives[at].id
            );
            return Err(PersonError::Undecided(what));
        }
        *self.archives[at].tallies.entry(name).or_default() = tally;
        Ok(())
    }

    fn decide_run(&mut self, case: &Case<'_>) -> Result<Tally, PersonError> {
        let select = |source| PersonError::Select { table: case.table.clone(), source };
        let marks = self.archives[case.at].marks.clone();
        let (verdict, tally) = select::decide(case.shape, case.findings, &marks).map_err(select)?;
        let kept = kept(case.shape, case.findings, &marks);
        if verdict.is_untouched() {
            let leftover = verify::check(case.shape, case.findings, &marks).map_err(select)?;
            refuse_leftover(case, &leftover)?;
            if self.verdicts.swept.insert((case.run.name(), kept.clone())) {
                let rows = self.rewrite.rows(case.run)?;
                self.sweep_left(case, &without(&verdict, &kept), &rows)?;
            }
            return Ok(tally);
        }
        let number = self.verdicts.number(verdict.clone());
        let key = (case.run.name(), number);
        if self.outcomes.contains_key(&key) {
            return Ok(tally);
        }
        let rows = self.rewrite.rows(case.run)?;
        let outcome = self.work_out(case, &verdict, &tally, &marks, &rows)?;
        self.sweep_left(case, &without(&verdict, &kept), &rows)?;
        self.outcomes.insert(key, outcome);
        Ok(tally)
    }

    /// Writes what is left, in memory, and proves it: counts, and a second search.
    fn work_out(
        &self,
        case: &Case<'_>,
        verdict: &Verdict,
        tally: &Tally,
        marks: &Marks,
        rows: &[u8],
    ) -> Result<Outcome, PersonError> {
        let select = |source| PersonError::Select { table: case.table.clone(), source };
        let mut new = Zeroizing::new(Vec::with_capacity(rows.len()));
        let written = apply(verdict, rows, &mut new).map_err(select)?;
        let survivors = RowSearch::new(case.shape, &self.book).run(&new).map_err(select)?;
        let leftover = verify::check(case.shape, &survivors, marks).map_err(select)?;
        refuse_leftover(case, &leftover)?;
        let same = (written.deleted, written.changed) == (tally.deleted, tally.changed);
        if !same || !verify::counts_add_up(tally, survivors.rows()) {
            let why =
                format!("{} of {} rows are left where {} were to go", survivors.rows(), tally.rows, tally.deleted);
            return Err(PersonError::Leftover { table: case.table.clone(), why });
        }
        Ok(Outcome {
            bytes_old: rows.len() as u64,
            bytes_new: new.len() as u64,
            digest_old: digest(rows),
            digest_new: digest(&new),
        })
    }

    fn sweep_left(&mut self, case: &Case<'_>, verdict: &Verdict, rows: &[u8]) -> Result<(), PersonError> {
        let Some(needles) = &self.needles else { return Ok(()) };
        let mut left = Zeroizing::new(Vec::with_capacity(rows.len()));
        apply(verdict, rows, &mut left).map_err(|source| PersonError::Select { table: case.table.clone(), source })?;
        let mut sweeper = needles.rows();
        sweeper.push(&left);
        self.traced.take(&case.table, case.columns.as_deref(), &sweeper.finish());
        Ok(())
    }

    /// Whether a verdict changes a run in a snapshot, and which.
    pub(super) fn verdict_of(&self, at: usize, shape: ShapeId, run: &RunName) -> Option<Verdict> {
        let findings = self.shaped.get(&shape)?.findings.get(run)?;
        let shape = self.shapes.get(&shape)?;
        let (verdict, _) = select::decide(shape, findings, &self.archives[at].marks).ok()?;
        (!verdict.is_untouched()).then_some(verdict)
    }

    pub(super) fn number_of(&self, verdict: &Verdict) -> Option<u64> {
        self.verdicts.numbers.get(verdict).copied()
    }
}

fn refuse_leftover(case: &Case<'_>, leftover: &verify::Leftover) -> Result<(), PersonError> {
    if leftover.is_none() {
        return Ok(());
    }
    let dangling: u64 = leftover.dangling.values().sum();
    let why = format!(
        "{} be gone, {} to deleted rows by foreign key, {} the person",
        crate::human::things(leftover.undeleted, ["row should", "rows should"]),
        crate::human::things(dangling, ["refers", "refer"]),
        crate::human::things(leftover.linked, ["still names", "still name"])
    );
    Err(PersonError::Leftover { table: case.table.clone(), why })
}
