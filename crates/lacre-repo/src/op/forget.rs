//! Forget, undo, hold, release: signed records of what is no longer kept and what must be.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, Zoned};
use lacre_format::{
    ids::{HomeId, JobName, SnapshotId},
    log::{EVENT_SNAPSHOTS_MAX, Event, Named},
};

use crate::{
    delegation::{DelegatedRules, Row, choose, is_retired},
    error::Error,
    home::Signer,
    monitor::things,
    monitor::{Finding, Severity},
    op::snapshots::{SnapshotRow, SnapshotState},
    repository::Repository,
    retention::{Candidate, Hold, Kept, Reason, Rules, Verification},
    view::View,
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

/// What binds whoever forgets on this machine.
enum Limits {
    /// Nothing: the admin key is here, or the policy delegates nothing and only a plan is asked for.
    None,
    /// The rules of the policy, and for a writer only what it made itself.
    Policy { rules: DelegatedRules, own: Option<HomeId> },
}

/// What stays and why, what goes, and what of the former is dated in the future.
type Verdict = (Vec<Kept<SnapshotId>>, Vec<SnapshotId>, Vec<SnapshotId>);

impl Limits {
    fn choose(&self, view: &View, rows: &[&Row], configured: &Rules, now: &Zoned) -> Verdict {
        let retired = |home| is_retired(view, home);
        let choice = choose(rows, &retired, configured, now.timestamp(), now.time_zone());
        let Self::Policy { rules, own } = self else { return (choice.kept, choice.forgotten, choice.future) };
        let mine = |snapshot: &SnapshotId| {
            own.is_none_or(|own| rows.iter().any(|row| row.candidate.id == *snapshot && row.home == own))
        };
        let Some(delegated) = rows.first().and_then(|row| rules.of(&row.job)) else {
            // Nothing is delegated for this job: all of it stays, by the rules of whoever holds the admin key.
            let kept = choice.kept.into_iter().filter(|kept| mine(&kept.id)).collect();
            return (kept, Vec::new(), choice.future);
        };
        let allowed = choose(rows, &retired, &delegated, now.timestamp(), &rules.zone);
        // Without rules of its own the machine follows the policy's.
        let goes = |snapshot: &SnapshotId| {
            mine(snapshot)
                && allowed.forgotten.contains(snapshot)
                && (configured.is_empty() || choice.forgotten.contains(snapshot))
        };
        let forgotten: Vec<SnapshotId> = allowed.forgotten.iter().filter(|id| goes(id)).copied().collect();
        let mut reasons: BTreeMap<SnapshotId, BTreeSet<Reason>> = BTreeMap::new();
        let configured_kept = choice.kept.into_iter().filter(|_| !configured.is_empty());
        for kept in allowed.kept.into_iter().chain(configured_kept).filter(|kept| mine(&kept.id)) {
            reasons.entry(kept.id).or_default().extend(kept.reasons);
        }
        let kept = reasons.into_iter().map(|(id, reasons)| Kept { id, reasons: reasons.into_iter().collect() });
        (kept.collect(), forgotten, allowed.future)
    }
}

impl Repository {
    /// Decides what is kept, job by job and writer by writer: the plan that `--dry-run` prints and [`Repository::forget`] executes.
    ///
    /// `rules` gives each job's rules. On a machine without the admin key the rules of the policy hold as well: nothing goes that they
    /// keep, and a writer judges only what it made itself.
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
        self.plan_forget_at(&self.view()?, rules, job, now)
    }

    /// As [`Repository::plan_forget`], of a view that is at hand.
    ///
    /// # Errors
    /// As [`Repository::plan_forget`].
    pub fn plan_forget_at(
        &self,
        view: &View,
        rules: &dyn Fn(&JobName) -> Rules,
        job: Option<&JobName>,
        now: &Zoned,
    ) -> Result<ForgetPlan, Error> {
        drop(self.structure()?);
        let limits = self.limits(view)?;
        let mut plan =
            ForgetPlan { kept: Vec::new(), forgotten: Vec::new(), findings: Vec::new(), rows: BTreeMap::new() };
        let mut by_job: BTreeMap<JobName, Vec<Row>> = BTreeMap::new();
        for row in self.rows(view) {
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
            let home = view.writer_of(&row.known);
            by_job.entry(label.job.clone()).or_default().push(Row { home, job: label.job, candidate });
            plan.rows.insert(row.snapshot, row);
        }
        for (job, rows) in by_job {
            let rows: Vec<&Row> = rows.iter().collect();
            let (kept, forgotten, future) = limits.choose(view, &rows, &rules(&job), now);
            for snapshot in future {
                let what = "it is dated in the future, so it displaces no other snapshot";
                plan.findings.push(Finding::new(
                    Severity::Warning,
                    what,
                    snapshot,
                    "check the clock of the host that made it",
                ));
            }
            plan.kept.extend(kept);
            plan.forgotten.extend(forgotten);
        }
        Ok(plan)
    }

    /// Who would forget here, and what binds them.
    fn limits(&self, view: &View) -> Result<Limits, Error> {
        match self.home().admin_key() {
            Ok(_) => return Ok(Limits::None),
            Err(Error::KeyMissing { .. }) => {}
            Err(error) => return Err(error),
        }
        let Some(rules) = self.delegated(view)? else { return Ok(Limits::None) };
        match (self.home().maintenance_keys(), self.home().writer_keys()) {
            (Ok(_), _) => Ok(Limits::Policy { rules, own: None }),
            (Err(_), Ok(keys)) => Ok(Limits::Policy { rules, own: Some(keys.signer.home) }),
            (Err(_), Err(_)) => Ok(Limits::None),
        }
    }

    /// Records that the plan's snapshots are no longer kept. They can be brought back until they are reclaimed.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key, where the policy leaves retention to admins; [`Error::Overtaken`] when readers do
    /// not believe all of it, because the logs have changed since the plan was made.
    pub fn forget(&self, plan: &ForgetPlan) -> Result<(), Error> {
        let view = self.view()?;
        if let Limits::None = self.limits(&view)? {
            return self.record(&plan.forgotten, "retention", &Event::Forget);
        }
        let home = self.home();
        let keys = home.maintenance_keys().or_else(|_| home.writer_keys())?;
        self.record_as(&keys.signer, &plan.forgotten, "retention", &Event::Forget)?;
        // Every reader judges by the policy; so does this one, of what it has just written.
        let view = self.view()?;
        match plan.forgotten.iter().filter(|snapshot| view.is_live(**snapshot)).count() {
            0 => Ok(()),
            live => Err(Error::Overtaken {
                why: format!(
                    "{}, because the policy's rules say so now",
                    things(live, ["snapshot stays", "snapshots stay"])
                ),
            }),
        }
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
        self.record_as(&admin, snapshots, reason, event)
    }

    fn record_as(
        &self,
        signer: &Signer,
        snapshots: &[SnapshotId],
        reason: &str,
        event: &dyn Fn(Named) -> Event,
    ) -> Result<(), Error> {
        for some in snapshots.chunks(EVENT_SNAPSHOTS_MAX) {
            self.append(signer, &event(Named { snapshots: some.to_vec(), reason: reason.to_owned() }))?;
        }
        Ok(())
    }
}
