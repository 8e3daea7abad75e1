//! Listing snapshots and finding one by the name a person types.

use std::collections::BTreeSet;

use jiff::{Timestamp, Zoned, civil::Date};
use lacre_format::{
    header::Label,
    ids::{JobName, Millis, SnapshotId, Token},
};

use crate::{
    error::{Error, Kind},
    limits::ROOTS_TRIED_MAX,
    monitor::Finding,
    op::keys::ReadKeys,
    repository::Repository,
    retention,
    view::{Known, View},
};

/// What a snapshot's state is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotState {
    /// It counts and can be restored.
    Live,
    /// It is no longer kept and waits to be reclaimed.
    Forgotten,
    /// Its session was voided.
    Void,
    /// It is about to be erased: a rotation of the seal is under way or due.
    Pending,
    /// Its key entry was left behind by a rotation.
    Erased,
}

impl SnapshotState {
    /// The state as JSON spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Forgotten => "forgotten",
            Self::Pending => "pending",
            Self::Void | Self::Erased => "erased",
        }
    }
}

/// One line of the list.
#[derive(Clone, Debug)]
pub struct SnapshotRow {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// When its source was read.
    pub taken: Millis,
    /// What may be known without its key; none on a host without the structure key.
    pub label: Option<Label>,
    /// Its state.
    pub state: SnapshotState,
    /// Why it is held.
    pub held: Option<String>,
    /// Whether it was verified by another home.
    pub verified: bool,
    /// The policy its key entry was made under, and its base.
    pub known: Known,
}

impl SnapshotRow {
    /// The job whose night this is, as far as this host can tell: what a restore replaced is nobody's.
    #[must_use]
    pub fn night_of(&self) -> Option<&JobName> {
        self.label.as_ref().map(|label| &label.job).filter(|job| !job.is_safety())
    }
}

/// All snapshots, oldest first, and what was found on the way.
#[derive(Clone, Debug, Default)]
pub struct SnapshotList {
    /// The snapshots.
    pub rows: Vec<SnapshotRow>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Lists all snapshots, oldest first.
    ///
    /// # Errors
    /// Errors of the store; damaged objects are findings.
    pub fn snapshots(&self) -> Result<SnapshotList, Error> {
        let view = self.view()?;
        let rows = self.rows(&view);
        Ok(SnapshotList { rows, findings: view.findings })
    }

    /// What a snapshot's state is, if it is there at all, and the erasures of persons that it is to be handed out without.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn restorable(&self, snapshot: SnapshotId) -> Result<(Option<SnapshotState>, BTreeSet<Token>), Error> {
        let view = self.view()?;
        let state = self.rows(&view).into_iter().find(|row| row.snapshot == snapshot).map(|row| row.state);
        Ok((state, view.persons.covered.get(&snapshot).cloned().unwrap_or_default()))
    }

    pub(crate) fn rows(&self, view: &View) -> Vec<SnapshotRow> {
        let structure = self.structure().ok();
        let dropped = view.ledger.dropped();
        let row = |known: &Known| {
            let snapshot = known.header.snapshot;
            let state = if view.voided.contains(&snapshot) || view.persons.stillborn.contains(&snapshot) {
                SnapshotState::Void
            } else if view.erased.contains(&snapshot) {
                if dropped.contains(&snapshot) { SnapshotState::Erased } else { SnapshotState::Pending }
            } else if view.persons.unborn.contains_key(&snapshot) {
                SnapshotState::Pending
            } else if view.forgotten.contains(&snapshot) {
                SnapshotState::Forgotten
            } else {
                SnapshotState::Live
            };
            SnapshotRow {
                snapshot,
                taken: known.header.taken,
                label: structure.as_ref().and_then(|structure| self.label(structure, &known.header).ok()),
                state,
                held: view.held.get(&snapshot).cloned(),
                verified: view.verified.contains(&snapshot),
                known: known.clone(),
            }
        };
        let mut rows: Vec<SnapshotRow> = view.snapshots.values().map(row).collect();
        rows.sort_by_key(|row| (row.taken, row.known.header.seq, row.snapshot));
        rows
    }

    /// Whether this host can find a snapshot of that name only with the keys that open one: job names lie in sealed labels, and the key
    /// of labels in roots.
    #[must_use]
    pub fn needs_keys_for(&self, name: &str) -> bool {
        (name == "latest" || name.starts_with("latest:") || name.contains('@')) && !self.has_structure()
    }

    /// Learns the key of labels from a root: the newest are opened until one opens.
    ///
    /// # Errors
    /// Why the newest did not open, when none does.
    pub fn learn_from_roots(&self, view: &View, keys: &ReadKeys) -> Result<(), Error> {
        let seals = self.seals(view, keys)?;
        let mut newest: Vec<&Known> =
            view.snapshots.values().filter(|known| view.is_live(known.header.snapshot)).collect();
        newest.sort_by_key(|known| std::cmp::Reverse((known.header.taken, known.header.seq)));
        let mut first = None;
        for known in newest.into_iter().take(ROOTS_TRIED_MAX) {
            let opened = self.snapshot_key(view, &seals, keys, &known.header).and_then(|key| self.root(known, &key));
            match opened {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), Kind::NoKey | Kind::Damaged | Kind::Refused) => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Finds a snapshot by an id prefix, `latest` (of all jobs but those of what restores replaced), `latest:JOB`, or `JOB@DATE` (the newest
    /// at or before the end of that local day).
    ///
    /// # Errors
    /// [`Error::NoSnapshot`] or [`Error::Ambiguous`]; [`Error::Damaged`] when it is there and its object is not what it should be.
    pub fn resolve(&self, name: &str, now: &Zoned) -> Result<SnapshotId, Error> {
        self.resolve_at(&self.view()?, name, now)
    }

    /// As [`Repository::resolve`], among the snapshots of a view.
    ///
    /// # Errors
    /// As [`Repository::resolve`].
    pub fn resolve_at(&self, view: &View, name: &str, now: &Zoned) -> Result<SnapshotId, Error> {
        let found = resolve_in(&self.rows(view), name, now);
        // Ids typed in full or in part of what is gone deserve a better answer than that there is none.
        let gone = |snapshot: &&SnapshotId| !name.is_empty() && snapshot.to_string().starts_with(name);
        match (found, view.plans.reclaimed.keys().find(gone)) {
            (Err(Error::NoSnapshot { .. }), Some(snapshot)) => Err(Error::Reclaimed { snapshot: *snapshot }),
            (Err(Error::NoSnapshot { name }), None) => Err(view.damaged_or_none(&name)),
            (found, _) => found,
        }
    }
}

fn resolve_in(rows: &[SnapshotRow], name: &str, now: &Zoned) -> Result<SnapshotId, Error> {
    let none = || Error::NoSnapshot { name: name.to_owned() };
    let newest = |job: Option<&JobName>, until: Timestamp| {
        let fits = |row: &&SnapshotRow| {
            let of_job = match (job, &row.label) {
                (Some(job), label) => label.as_ref().is_some_and(|label| label.job == *job),
                // What a restore replaced is the newest there is, and the last thing to be restored by whoever names none.
                (None, label) => label.is_none() || row.night_of().is_some(),
            };
            row.state == SnapshotState::Live && of_job && row.taken.0 <= until.as_millisecond()
        };
        rows.iter().rfind(fits).map(|row| row.snapshot).ok_or_else(none)
    };
    // A snapshot dated in the future displaces none.
    let horizon = now.timestamp() + retention::FUTURE_TOLERANCE;
    if name == "latest" {
        return newest(None, horizon);
    }
    if let Some(job) = name.strip_prefix("latest:") {
        let job = JobName::parse(job).map_err(|_| none())?;
        return newest(Some(&job), horizon);
    }
    if let Some((job, day)) = name.split_once('@') {
        let job = JobName::parse(job).map_err(|_| none())?;
        let day: Date =
            day.parse().map_err(|_| Error::Usage { why: format!("{day:?} is no date; write 2026-11-20") })?;
        let after = day.tomorrow().and_then(|day| day.to_zoned(now.time_zone().clone()));
        let after = after.map_err(|error| Error::Usage { why: error.to_string() })?;
        return newest(Some(&job), after.timestamp() - jiff::SignedDuration::from_millis(1));
    }
    let matching: Vec<SnapshotId> =
        rows.iter().map(|row| row.snapshot).filter(|snapshot| snapshot.to_string().starts_with(name)).collect();
    match (matching.as_slice(), name.len()) {
        ([only], 1..) => Ok(*only),
        ([], _) | (_, 0) => Err(none()),
        (several, _) => Err(Error::Ambiguous { name: name.to_owned(), count: several.len() }),
    }
}
