//! Forget, undo, hold, release: signed records of what is no longer kept and what must be.

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};
use lacre_format::{
    ids::{JobName, SnapshotId},
    log::{EVENT_SNAPSHOTS_MAX, Event, Named},
};

use crate::{
    error::Error,
    monitor::{Finding, Severity},
    op::snapshots::{SnapshotRow, SnapshotState},
    repository::Repository,
    retention::{self, Candidate, Hold, Kept, Rules, Verification},
};

/// What a forget would do.
#[derive(Clone, Debug)]
pub struct ForgetPlan {
    /// What stays, with every reason.
    pub kept: Vec<Kept<SnapshotId>>,
    /// What goes.
    pub forgotten: Vec<SnapshotId>,
    /// What was found: snapshots dated in the future, rules that keep everything.
    pub findings: Vec<Finding>,
    /// The rows behind the ids.
    pub rows: BTreeMap<SnapshotId, SnapshotRow>,
}

impl Repository {
    /// Decides what is kept, job by job: the plan that `--dry-run` prints and [`Repository::forget`] executes.
    ///
    /// `rules` gives each job's rules.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read labels; errors of the store.
    pub fn plan_forget(
        &self,
        rules: &dyn Fn(&JobName) -> Rules,
        job: Option<&JobName>,
        now: &Zoned,
    ) -> Result<ForgetPlan, Error> {
        drop(self.structure()?);
        let view = self.view()?;
        let mut plan =
            ForgetPlan { kept: Vec::new(), forgotten: Vec::new(), findings: Vec::new(), rows: BTreeMap::new() };
        let mut by_job: BTreeMap<JobName, Vec<Candidate<SnapshotId>>> = BTreeMap::new();
        for row in self.rows(&view) {
            let Some(label) = row.label.clone() else { continue };
            if row.state != SnapshotState::Live || job.is_some_and(|job| *job != label.job) {
                continue;
            }
            let candidate = Candidate {
                id: row.snapshot,
                job: label.job.to_string(),
                time: Timestamp::from_millisecond(row.taken.0).unwrap_or(Timestamp::MIN),
                hold: if row.held.is_some() { Hold::Held } else { Hold::Free },
                verification: if row.verified { Verification::Verified } else { Verification::Unverified },
                tags: label.tags,
            };
            by_job.entry(label.job).or_default().push(candidate);
            plan.rows.insert(row.snapshot, row);
        }
        for (job, candidates) in by_job {
            let choice = retention::choose(&candidates, &rules(&job), now.timestamp(), now.time_zone());
            for snapshot in choice.future {
                let what = "it is dated in the future, so it displaces no other snapshot";
                plan.findings.push(Finding::new(
                    Severity::Warning,
                    what,
                    snapshot,
                    "check the clock of the host that made it",
                ));
            }
            plan.kept.extend(choice.kept);
            plan.forgotten.extend(choice.forgotten);
        }
        Ok(plan)
    }

    /// Records that the plan's snapshots are no longer kept. They can be brought back until they are reclaimed.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key.
    pub fn forget(&self, plan: &ForgetPlan) -> Result<(), Error> {
        self.record(&plan.forgotten, "retention", &Event::Forget)
    }

    /// Forgets one snapshot by hand; a held one is refused.
    ///
    /// # Errors
    /// [`Error::Refused`] for a held snapshot; [`Error::KeyMissing`] without the admin key.
    pub fn forget_one(&self, snapshot: SnapshotId) -> Result<(), Error> {
        let view = self.view()?;
        if let Some(reason) = view.held.get(&snapshot) {
            return Err(Error::Refused { why: format!("snapshot {snapshot} is held ({reason}); release it first") });
        }
        self.record(&[snapshot], "by hand", &Event::Forget)
    }

    /// Brings forgotten snapshots back.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::NoSnapshot`].
    pub fn unforget(&self, snapshot: SnapshotId) -> Result<(), Error> {
        self.refuse_erased(snapshot)?;
        self.record(&[snapshot], "undo", &Event::Unforget)?;
        self.in_time(snapshot, "undone too late", &Event::Forget)?;
        self.spared(snapshot)
    }

    /// Holds a snapshot: it is neither forgotten nor erased until released. Succeeds only when its key entry is there.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::NoSnapshot`].
    pub fn hold(&self, snapshot: SnapshotId, reason: &str) -> Result<(), Error> {
        self.refuse_erased(snapshot)?;
        self.record(&[snapshot], reason, &Event::Hold)?;
        self.in_time(snapshot, "held too late", &Event::Release)?;
        self.spared(snapshot)
    }

    /// Only now, with the record written, is it certain whether a rotation left the entry behind. If it did, the record is taken back:
    /// otherwise it would keep a snapshot among the living whose key is gone, and stop every later rotation.
    fn in_time(&self, snapshot: SnapshotId, reason: &str, back: &dyn Fn(Named) -> Event) -> Result<(), Error> {
        let Err(late) = self.refuse_erased(snapshot) else { return Ok(()) };
        if matches!(late, Error::Erased { .. }) {
            self.record(&[snapshot], reason, back)?;
        }
        Err(late)
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Refused`] when there is none.
    pub fn release(&self, snapshot: SnapshotId) -> Result<(), Error> {
        if !self.view()?.held.contains_key(&snapshot) {
            return Err(Error::Refused { why: format!("snapshot {snapshot} is not held") });
        }
        self.record(&[snapshot], "released", &Event::Release)
    }

    /// The snapshot is there, and no rotation has left its key behind.
    fn refuse_erased(&self, snapshot: SnapshotId) -> Result<(), Error> {
        let view = self.view()?;
        if let Some((_, rotated)) = view.ledger.rotation_of(snapshot)
            && !self.has_entry(&view, rotated.to, snapshot)?
        {
            return Err(Error::Erased { snapshot });
        }
        if view.snapshots.contains_key(&snapshot) {
            Ok(())
        } else if view.plans.reclaimed.contains_key(&snapshot) {
            Err(Error::Reclaimed { snapshot })
        } else {
            Err(Error::NoSnapshot { name: snapshot.to_string() })
        }
    }

    /// After the record stands: does a collection that may not have read it take the snapshot all the same?
    fn spared(&self, snapshot: SnapshotId) -> Result<(), Error> {
        let view = self.view()?;
        if view.plans.reclaimed.contains_key(&snapshot) {
            return Err(Error::Reclaimed { snapshot });
        }
        match view.plans.threatens(snapshot) {
            None => Ok(()),
            Some(_) => Err(Error::Overtaken {
                why: format!(
                    "a collection that would take snapshot {} is not decided yet: end it with `lacre repo prune`, then ask again",
                    snapshot.short()
                ),
            }),
        }
    }

    fn record(&self, snapshots: &[SnapshotId], reason: &str, event: &dyn Fn(Named) -> Event) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        for some in snapshots.chunks(EVENT_SNAPSHOTS_MAX) {
            self.append(&admin, &event(Named { snapshots: some.to_vec(), reason: reason.to_owned() }))?;
        }
        Ok(())
    }
}
