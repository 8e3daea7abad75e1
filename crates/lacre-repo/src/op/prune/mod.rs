//! Prune: garbage collection by protocol rule 11.
//!
//! ```text
//! survey     list packs, then sessions, then read snapshots; mark; count        (survey.rs, choose.rs: nothing is written)
//! claim      PUT gc/<plan>/claim, then look for others; withdraw if there are
//! plan       copy what is needed of thinned packs, merge segments; PUT gc/<plan>/plan, which names all of it     (repack.rs, merge.rs)
//! waits      list sessions; each has to end or be voided in two steps before anything goes                       (execute.rs)
//! decided    survey again; what became needed stays; PUT gc/<plan>/decided
//! delete     exactly that; PUT gc/<plan>/done
//! ```
//! Killed anywhere, the next run goes on where this one stopped. `docs/decisions/prune.md` says why it is made this way.

mod choose;
mod execute;
mod merge;
mod repack;
mod survey;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use lacre_format::{
    codec,
    gc::{GC_BYTES_MAX, GcPlan, GcStage, GcStep, Reclaimed},
    ids::{Digest, HomeId, Millis, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind as ObjectKind,
};
use lacre_seal::entropy;

pub use choose::{Economy, HeldBack};
pub(crate) use execute::deleted_by;
pub(crate) use merge::Merge;
pub(crate) use survey::Survey;
pub use survey::{Keeper, Keepers, PackUse, Untouchable};

use crate::{
    error::{Error, Kind},
    files::{FileError, LockFile},
    home::Signer,
    limits::{KEPT_SHOWN_MAX, SKEW_MAX, VOID_AFTER},
    monitor::{Finding, Monitor, Progress, Severity},
    op::sessions::Standing,
    plans::KnownPlan,
    repository::Repository,
    rollup::{self, Due},
    view::View,
};

/// Whether snapshots that are missing or unreadable stop garbage collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Losses {
    /// They do: what they need may come back from a copy.
    Refuse,
    /// A person says that they are lost.
    Accept,
}

/// Whose unfinished collections are continued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adopt {
    /// This host's own.
    Own,
    /// Anybody's: a person says that the process that began it is dead.
    Any,
}

/// How garbage is collected.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// When repacking is worth its cost.
    pub economy: Economy,
    /// A session that did not end is voided after this time, by the store's clock.
    pub void_after: Duration,
    /// No new work is begun after this time; what is left is done by the next run.
    pub duration_max: Option<Duration>,
    /// Nothing is deleted when this host's clock differs from the store's by more.
    pub skew_max: Duration,
    /// Whether missing snapshots stop it.
    pub losses: Losses,
    /// Whose unfinished collections are continued.
    pub adopt: Adopt,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            economy: Economy::default(),
            void_after: VOID_AFTER,
            duration_max: None,
            skew_max: SKEW_MAX,
            losses: Losses::Refuse,
            adopt: Adopt::Own,
        }
    }
}

/// A pack in a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedPack {
    /// Its object name.
    pub name: PackName,
    /// What it holds.
    pub usage: PackUse,
    /// Who needs it.
    pub keepers: Keepers,
}

/// A session that has to end before anything is deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// The session's snapshot.
    pub session: SnapshotId,
    /// Its writer.
    pub home: HomeId,
    /// When the store wrote its marker.
    pub opened: Timestamp,
    /// Why it could not be voided, when that is the reason.
    pub blocked: Option<String>,
}

/// What a prune would do: `--dry-run` prints it, and [`Repository::prune`] does it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PrunePlan {
    /// An unfinished collection that is continued first.
    pub continues: Option<PlanId>,
    /// Packs in the store.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of frames that nothing needs, in all packs.
    pub dead_bytes: u64,
    /// Packs that go.
    pub delete: Vec<PlannedPack>,
    /// Packs of which what is needed is copied before they go.
    pub repack: Vec<PlannedPack>,
    /// Packs that stay although they hold dead frames, those with most of them first.
    pub kept: Vec<PlannedPack>,
    /// Why not everything that is dead enough is repacked.
    pub held_back: Option<HeldBack>,
    /// Snapshots that go.
    pub snapshots: Vec<Reclaimed>,
    /// Sessions without a snapshot that go.
    pub sessions: Vec<SnapshotId>,
    /// Index segments that merged ones replace.
    pub segments: Vec<Digest>,
    /// Sessions that are open now.
    pub waiting: Vec<Waiting>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.continues.is_none()
            && self.delete.is_empty()
            && self.repack.is_empty()
            && self.snapshots.is_empty()
            && self.sessions.is_empty()
            && self.segments.is_empty()
    }

    /// Bytes that its packs give back.
    #[must_use]
    pub fn gain(&self) -> u64 {
        let gone: u64 = self.delete.iter().chain(&self.repack).map(|pack| pack.usage.bytes).sum();
        gone.saturating_sub(self.repack.iter().map(|pack| pack.usage.live_bytes).sum())
    }
}

/// How a prune ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum PruneState {
    /// There was nothing to do.
    #[default]
    Nothing,
    /// Everything planned is gone.
    Done,
    /// Something has to be waited for; the next run goes on.
    Pending,
}

/// What a prune did.
#[derive(Clone, Debug, Default)]
pub struct PruneReport {
    /// How it ended.
    pub state: PruneState,
    /// The plan that was made in this run, if one was.
    pub plan: Option<PrunePlan>,
    /// Snapshots reclaimed.
    pub snapshots: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Packs written for what was needed of deleted ones.
    pub packs_written: u64,
    /// Bytes of the deleted packs.
    pub bytes_deleted: u64,
    /// Bytes of the written packs.
    pub bytes_written: u64,
    /// Objects of all kinds deleted.
    pub objects_deleted: u64,
    /// Rollups written: small objects, many in one, for machines that come from afar.
    pub rollups_written: u64,
    /// Sessions that have to end first.
    pub waiting: Vec<Waiting>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// One run: who signs, how, since when.
pub(crate) struct Run<'a> {
    pub(crate) signer: Signer,
    pub(crate) options: &'a PruneOptions,
    pub(crate) monitor: &'a dyn Monitor,
    pub(crate) started: Timestamp,
    pub(crate) report: PruneReport,
}

impl Repository {
    /// Decides what a prune would do. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a reach map or snapshot that is needed is missing or bad; [`Error::KeyMissing`] on a host that cannot
    /// read reach maps.
    pub fn plan_prune(&self, options: &PruneOptions) -> Result<PrunePlan, Error> {
        drop(self.structure()?);
        let survey = self.survey(options.losses)?;
        Ok(design(&survey, &options.economy))
    }

    /// Collects garbage: continues what was begun, then plans anew and deletes what the plan names.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the key of an admin or maintenance home; [`Error::Damaged`] as [`Repository::plan_prune`];
    /// [`Error::Overtaken`] when another home is collecting; [`Error::Refused`] when this host's clock is not the store's.
    pub fn prune(&self, options: &PruneOptions, monitor: &dyn Monitor) -> Result<PruneReport, Error> {
        let turn = LockFile::acquire(&self.home().directory().join("prune.lock"));
        let _turn = turn.map_err(|error| match error {
            FileError::Locked { .. } => Error::Overtaken { why: "another prune is running on this host".to_owned() },
            error => error.into(),
        })?;
        drop(self.structure()?);
        let view = self.view()?;
        let signer = self.maintainer(&view)?;
        let started = self.clock().now();
        let mut run = Run { signer, options, monitor, started, report: PruneReport::default() };
        for (id, known) in view.plans.undone() {
            self.resume(&mut run, id, known)?;
            if !run.report.waiting.is_empty() || self.is_late(&run) {
                return Ok(run.report);
            }
        }
        self.anew(&mut run)?;
        self.roll_up(&mut run);
        Ok(run.report)
    }

    /// Rolls small objects up for machines that come from afar. It is a cache, so what goes wrong with it is told and fails nothing.
    fn roll_up(&self, run: &mut Run<'_>) {
        if self.is_late(run) || run.monitor.cancelled() {
            return;
        }
        let due = if run.report.snapshots > 0 { Due::Deleted } else { Due::WorthIt };
        let listing = self.store().list_many(&rollup::listed()).map_err(Error::from);
        let rolled = listing.and_then(|listing| rollup::roll_up(self.store(), &*self.catalog()?, &listing, due));
        match rolled {
            Ok(rolled) => {
                run.report.objects_deleted += rolled.deleted;
                run.report.rollups_written += rolled.written;
                run.report.findings.extend(rolled.findings);
            }
            Err(error) => {
                let what = format!("no rollup was made: {error}");
                let finding = Finding::new(Severity::Note, what, rollup::FOLDER, "the next prune makes one");
                run.report.findings.push(finding);
            }
        }
    }

    /// The signing key of an admin or maintenance home on this host.
    pub(crate) fn maintainer(&self, view: &View) -> Result<Signer, Error> {
        let missing = |error: Error| match error {
            Error::KeyMissing { .. } => {
                Error::KeyMissing { what: "the admin key (admin.key) or a maintenance home's key" }
            }
            error => error,
        };
        match self.home().admin_key() {
            Ok(admin) => return Ok(admin),
            Err(Error::KeyMissing { .. }) => {}
            Err(error) => return Err(error),
        }
        let keys = self.home().maintenance_keys().map_err(missing)?;
        if view.may_sign(keys.signer.home) {
            Ok(keys.signer)
        } else {
            Err(Error::Refused { why: "this host's maintenance key was revoked".to_owned() })
        }
    }

    /// Goes on with a collection that was not ended.
    fn resume(&self, run: &mut Run<'_>, id: PlanId, known: KnownPlan) -> Result<(), Error> {
        let foreign = known.home != run.signer.home && known.decided.is_none();
        if foreign && run.options.adopt == Adopt::Own {
            let when = Timestamp::from_millisecond(known.begun.0).unwrap_or_default();
            let why = format!(
                "home {} has been collecting garbage since {when}; if that process is dead, --adopt goes on with its plan",
                known.home.short()
            );
            return Err(Error::Overtaken { why });
        }
        match known.plan {
            // Nothing was condemned yet; packs it may have copied are garbage by now.
            None => self.put_step(run, id, GcStage::Done, |_| {}).map(drop),
            Some(plan) => self.carry_on(run, id, &plan, known.waits, known.decided),
        }
    }

    fn anew(&self, run: &mut Run<'_>) -> Result<(), Error> {
        run.monitor.progress(Progress::Phase("looking what is needed".to_owned()));
        let survey = self.survey(run.options.losses)?;
        let plan = design(&survey, &run.options.economy);
        run.report.findings.extend(plan.findings.iter().cloned());
        let empty = plan.is_empty();
        run.report.plan = Some(plan.clone());
        if empty {
            return Ok(());
        }
        let id = entropy::plan_id()?;
        self.put_step(run, id, GcStage::Claim, |_| {})?;
        let written = self.alone(run, id, &survey).and_then(|()| self.write_plan(run, id, &survey, &plan));
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                // The claim is withdrawn as well as may be; a claim that stays is ended by this host's next run.
                drop(self.put_step(run, id, GcStage::Done, |_| {}));
                return Err(error);
            }
        };
        self.carry_on(run, id, &written, None, None)
    }

    /// After the flag is written: is anybody else collecting, or was anybody since the survey? Does the store tell the time we do?
    fn alone(&self, run: &Run<'_>, id: PlanId, survey: &Survey) -> Result<(), Error> {
        let view = self.view()?;
        if let Some((_, other)) =
            view.plans.undone().iter().find(|(other, known)| *other != id && known.decided.is_none())
        {
            let why = format!("home {} is collecting garbage at the same time", other.home.short());
            return Err(Error::Overtaken { why });
        }
        if view.plans.known.keys().any(|known| *known != id && !survey.view.plans.known.contains_key(known)) {
            return Err(Error::Overtaken { why: "somebody else collected garbage at the same time".to_owned() });
        }
        self.same_time(run, &ObjectName::of(&Named::GcClaim(id)))
    }

    /// Compares this host's clock with the time the store gives an object that was just stored.
    pub(crate) fn same_time(&self, run: &Run<'_>, name: &ObjectName) -> Result<(), Error> {
        let folder = name.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
        let listed = self.store().list(folder)?.objects;
        let Some(object) = listed.into_iter().find(|object| object.name == name.as_str()) else {
            return Err(Error::Store(crate::store::StoreError::NotFound { name: name.to_string() }));
        };
        let skew = self.clock().now().duration_since(object.modified).unsigned_abs();
        if skew <= run.options.skew_max {
            return Ok(());
        }
        let why = format!(
            "this host's clock and the store's differ by {} seconds; set the clock, nothing is deleted before",
            skew.as_secs()
        );
        Err(Error::Refused { why })
    }

    /// Copies, merges, and signs what is condemned.
    fn write_plan(&self, run: &mut Run<'_>, id: PlanId, survey: &Survey, plan: &PrunePlan) -> Result<GcPlan, Error> {
        let delete = self.confirm(run, plan)?;
        run.monitor.progress(Progress::Phase("repacking".to_owned()));
        run.monitor.progress(Progress::Expected(plan.repack.iter().map(|pack| pack.usage.bytes).sum()));
        let sources: Vec<PackName> = plan.repack.iter().map(|pack| pack.name).collect();
        let stop = || self.is_late(run);
        let repacked = self.repack(survey, &sources, run.monitor, &stop)?;
        run.report.findings.extend(repacked.findings);
        run.report.packs_written += repacked.outputs.len() as u64;
        run.report.bytes_written += repacked.outputs.iter().map(|pack| pack.bytes).sum::<u64>();
        let goes: BTreeSet<PackName> = delete.iter().chain(&repacked.sources).copied().collect();
        let merge = merge::plan(survey, &goes);
        let merged = self.put_merged(&run.signer, &merge, &repacked.outputs)?;
        self.catalog()?.add_packs(None, &repacked.outputs)?;
        let plan = GcPlan {
            repository: self.id(),
            plan: id,
            made: Millis(self.clock().now().as_millisecond()),
            delete,
            repack: repacked.sources,
            outputs: repacked.outputs.iter().map(|pack| pack.name).collect(),
            snapshots: plan.snapshots.clone(),
            sessions: plan.sessions.clone(),
            segments: merge.obsolete,
            merged,
        };
        let signed = run.signer.key.sign(ObjectKind::GcPlan, self.id(), run.signer.home, codec::to_cbor(&plan));
        self.put(&ObjectName::of(&Named::GcPlan(id)), signed.encode(ObjectKind::GcPlan))?;
        Ok(plan)
    }

    /// The packs to delete whose own footers say what the index says: nobody else's word condemns a pack.
    fn confirm(&self, run: &mut Run<'_>, plan: &PrunePlan) -> Result<Vec<PackName>, Error> {
        let structure = self.structure()?;
        let mut confirmed = Vec::new();
        for pack in &plan.delete {
            let known = self.catalog()?.pack_by_name(pack.name)?;
            let own = match self.read_pack_footer(&structure, pack.name, pack.usage.bytes) {
                Ok(own) => own,
                Err(error) if error.kind() == Kind::Damaged => {
                    let advice = "the pack is left as it is: run `lacre repo check --read-data`";
                    let object = ObjectName::of(&Named::Pack(pack.name));
                    run.report.findings.push(Finding::new(Severity::Damage, error.to_string(), object, advice));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if known.as_ref() == Some(&own) {
                confirmed.push(pack.name);
                continue;
            }
            self.catalog()?.correct_pack(&own)?;
            let what = "an index describes it otherwise than its own footer; it is left as it is in this run";
            let advice = "somebody else may hold a writer's key; run this again";
            run.report.findings.push(Finding::new(Severity::Warning, what, pack.name, advice));
        }
        Ok(confirmed)
    }

    pub(crate) fn put_step(
        &self,
        run: &Run<'_>,
        id: PlanId,
        stage: GcStage,
        fill: impl FnOnce(&mut GcStep),
    ) -> Result<GcStep, Error> {
        let mut step = GcStep {
            repository: self.id(),
            plan: id,
            at: Millis(self.clock().now().as_millisecond()),
            stage,
            sessions: Vec::new(),
            packs: Vec::new(),
            snapshots: Vec::new(),
        };
        fill(&mut step);
        let name = ObjectName::of(&match stage {
            GcStage::Claim => Named::GcClaim(id),
            GcStage::Waits => Named::GcWaits(id),
            GcStage::Decided => Named::GcDecided(id),
            GcStage::Done => Named::GcDone(id),
        });
        let signed = run.signer.key.sign(ObjectKind::GcStep, self.id(), run.signer.home, codec::to_cbor(&step));
        let object = Bytes::from(signed.encode(ObjectKind::GcStep));
        let put = self.store().put_new(&name, object.clone());
        if let Err(error) = put
            && self.store().local_path().is_some()
        {
            return Err(error.into());
        }
        // Whatever answer came: the step that lies there is the one that was taken.
        if self.store().get(&name, GC_BYTES_MAX)? == object {
            Ok(step)
        } else {
            Err(Error::Overtaken { why: "another process goes on with the same collection".to_owned() })
        }
    }

    /// Whether the time this run was given is used up.
    pub(crate) fn is_late(&self, run: &Run<'_>) -> bool {
        let spent = self.clock().now().duration_since(run.started);
        run.options.duration_max.is_some_and(|most| spent.unsigned_abs() >= most)
    }
}

/// The plan that a survey asks for.
pub(crate) fn design(survey: &Survey, economy: &Economy) -> PrunePlan {
    let choice = choose::choose(&survey.packs, economy);
    let shown = |name: &PackName| PlannedPack {
        name: *name,
        usage: survey.packs.get(name).copied().unwrap_or_default(),
        keepers: survey.keepers_of(*name),
    };
    let goes: BTreeSet<PackName> = choice.delete.iter().chain(&choice.repack).copied().collect();
    let mut stays: Vec<(u64, PackName)> = survey
        .packs
        .iter()
        .filter(|(name, pack)| !goes.contains(*name) && pack.dead_bytes > 0)
        .map(|(name, pack)| (pack.dead_bytes, *name))
        .collect();
    stays.sort_unstable_by(|one, other| other.cmp(one));
    let abandoned = survey.sessions.with(Standing::Abandoned).chain(survey.sessions.with(Standing::Lost));
    let given_up = survey.sessions.open().filter(|(_, session)| session.given_up).map(|(snapshot, _)| snapshot);
    let mut sessions: BTreeSet<SnapshotId> = abandoned.chain(given_up).collect();
    sessions.extend(&survey.sessions.over);
    let snapshots = survey.reclaimable();
    let mut segments = merge::plan(survey, &goes).obsolete;
    segments.sort_unstable();
    let waiting = survey.sessions.open().map(|(session, open)| Waiting {
        session,
        home: open.home,
        opened: open.written,
        blocked: None,
    });
    let undone = survey.view.plans.undone();
    PrunePlan {
        continues: undone.first().map(|(id, _)| *id),
        packs: survey.packs.len() as u64,
        bytes: survey.total_bytes(),
        dead_bytes: survey.packs.values().map(|pack| pack.dead_bytes).sum(),
        delete: choice.delete.iter().map(shown).collect(),
        repack: choice.repack.iter().map(shown).collect(),
        kept: stays.iter().take(KEPT_SHOWN_MAX).map(|(_, name)| shown(name)).collect(),
        held_back: choice.held_back,
        snapshots,
        sessions: sessions.into_iter().collect(),
        segments,
        waiting: waiting.collect(),
        findings: survey.findings.clone(),
    }
}
