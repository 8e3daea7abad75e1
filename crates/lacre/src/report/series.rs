//! Histories as the plots draw them: the snapshots of each job, what failed, and both by month.
//!
//! In: rows and runs. Out: plain numbers. Pure functions.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};
use lacre_repo::op::snapshots::{SnapshotRow, SnapshotState};

use super::{Facts, moment};
use crate::daemon::is_bad;

/// The snapshots of one job, oldest first.
pub(super) struct Series<'a> {
    /// The job; none for those whose job cannot be read here.
    pub(super) job: Option<String>,
    pub(super) rows: Vec<&'a SnapshotRow>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The job; none where the run itself failed, or its details cannot be read here.
    pub(super) job: Option<String>,
    pub(super) at: Timestamp,
    pub(super) exit: u8,
}

/// The snapshots of the page's time, job by job; jobs of the configuration without any are there, too.
pub(super) fn by_job<'a>(facts: &'a Facts<'_>) -> Vec<Series<'a>> {
    let mut jobs: BTreeMap<Option<String>, Vec<&SnapshotRow>> =
        facts.settings.jobs.iter().map(|job| (Some(job.name.to_string()), Vec::new())).collect();
    for row in facts.rows() {
        jobs.entry(row.label.as_ref().map(|label| label.job.to_string())).or_default().push(row);
    }
    jobs.into_iter().map(|(job, rows)| Series { job, rows }).collect()
}

/// Everything that failed in the page's time, oldest first.
pub(super) fn failures(facts: &Facts<'_>) -> Vec<Failure> {
    let mut failures = Vec::new();
    for run in facts.status.runs.iter().filter(|run| is_bad(run.frame.exit) && facts.is_in(run.frame.ended)) {
        let jobs = run.details.iter().flat_map(|details| &details.jobs).filter(|job| is_bad(job.exit));
        let before = failures.len();
        failures.extend(jobs.map(|job| Failure {
            job: Some(job.job.to_string()),
            at: moment(job.ended),
            exit: job.exit,
        }));
        if failures.len() == before {
            failures.push(Failure { job: None, at: moment(run.frame.ended), exit: run.frame.exit });
        }
    }
    failures
}

/// From when to when the page's histories go.
pub(super) fn span(facts: &Facts<'_>) -> (Timestamp, Timestamp) {
    let now = facts.now();
    let first_row = facts.rows().next().map(|row| moment(row.taken));
    let first_run = facts.status.runs.iter().map(|run| moment(run.frame.started)).min();
    let first = facts.since.or_else(|| first_row.into_iter().chain(first_run).min()).unwrap_or(now);
    let newest = facts.rows().next_back().map_or(now, |row| moment(row.taken));
    (first.min(now), newest.max(now))
}

/// What a month holds of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Month {
    pub(super) live: u64,
    pub(super) held: u64,
    pub(super) forgotten: u64,
    pub(super) pending: u64,
    pub(super) erased: u64,
    pub(super) failed: u64,
    /// Bytes of all streams of its snapshots.
    pub(super) bytes: u64,
    /// Bytes they added to the store.
    pub(super) stored: u64,
}

impl Month {
    fn add(&mut self, row: &SnapshotRow) {
        match (row.state, row.held.is_some()) {
            (SnapshotState::Live, true) => self.held += 1,
            (SnapshotState::Live, false) => self.live += 1,
            (SnapshotState::Forgotten, _) => self.forgotten += 1,
            (SnapshotState::Pending, _) => self.pending += 1,
            (SnapshotState::Void | SnapshotState::Erased, _) => self.erased += 1,
        }
        if let Some(label) = &row.label {
            self.bytes = self.bytes.saturating_add(label.bytes);
            self.stored = self.stored.saturating_add(label.stored);
        }
    }
}

/// Month by month and job by job, the newest month first; the moment is one within the month.
pub(super) fn months(facts: &Facts<'_>) -> Vec<(Timestamp, String, Month)> {
    let mut months: BTreeMap<(i16, i8, Option<String>), (Timestamp, Month)> = BTreeMap::new();
    let key = |at: Timestamp, job: Option<String>| {
        let zoned = Zoned::new(at, facts.zone.clone());
        (zoned.year(), zoned.month(), job)
    };
    for series in by_job(facts) {
        for row in series.rows {
            let at = moment(row.taken);
            let entry = months.entry(key(at, series.job.clone())).or_insert_with(|| (at, Month::default()));
            entry.1.add(row);
        }
    }
    for failure in failures(facts) {
        let entry = months.entry(key(failure.at, failure.job)).or_insert_with(|| (failure.at, Month::default()));
        entry.1.failed += 1;
    }
    let named = |((_, _, job), (at, month)): ((i16, i8, Option<String>), (Timestamp, Month))| {
        (at, job.unwrap_or_else(|| "?".to_owned()), month)
    };
    months.into_iter().rev().map(named).collect()
}
