//! Steps of collections that nothing has: made again, so that a collection whose step rotted or was taken away comes to its end.
//!
//! In: a plan that can be read. Out: its steps, signed by a home that may collect. A decision that is made again keeps everything of the plan
//! that is still there: nothing is deleted by it, and what is garbage of it a later collection finds. What is not there, and no signed record
//! says was to go, is kept in words too, so that it is missed and named.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    gc::{GC_BYTES_MAX, GcPlan, GcStage, GcStep},
    ids::{Millis, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
};

use crate::{
    error::{Error, Kind as ErrorKind},
    locate::packs_listed,
    op::{
        prune::deleted_by,
        repair::{How, Repair},
    },
    plans::{self, KnownPlan},
    view::View,
};

impl Repair<'_> {
    /// Makes damaged steps again, and decisions that are gone although their collections ended.
    pub(super) fn steps(&mut self, view: &View) -> Result<(), Error> {
        let broken = self.broken_steps(view)?;
        if broken.is_empty() {
            return Ok(());
        }
        let signer = match self.repository.maintainer(view) {
            Ok(signer) => signer,
            Err(error) if error.kind() == ErrorKind::NoKey => {
                self.report.not_done.push(format!("steps of a collection: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for ((plan, stage), name) in broken {
            let Some(known) = view.plans.known.get(&plan) else { continue };
            let Some(step) = self.step_again(view, plan, known, stage)? else { continue };
            let signed = signer.key.sign(Kind::GcStep, self.repository.id(), signer.home, codec::to_cbor(&step));
            let is_good = |bytes: &[u8]| plans::judge(view, &name, (plan, Some(stage)), bytes).is_ok();
            self.put_right(&name, signed.encode(Kind::GcStep), GC_BYTES_MAX, How::Rebuilt, &is_good)?;
        }
        self.repository.forget_caches()
    }

    /// Steps that are there and are not what their names say; and decisions that are not there while their collections' ends are.
    fn broken_steps(&self, view: &View) -> Result<BTreeMap<(PlanId, GcStage), ObjectName>, Error> {
        let (mut broken, mut done) = (BTreeMap::new(), BTreeSet::new());
        for object in self.store().list("gc")?.objects {
            let parsed = ObjectName::parse(&object.name);
            let Some((name, (plan, Some(stage)))) =
                parsed.and_then(|(name, named)| Some((name, plans::step_of(&named)?)))
            else {
                continue;
            };
            if stage == GcStage::Done {
                done.insert(plan);
            }
            let whole = match self.store().get(&name, GC_BYTES_MAX) {
                Ok(bytes) => plans::judge(view, &name, (plan, Some(stage)), &bytes).is_ok(),
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(_) => false,
            };
            if !whole {
                broken.insert((plan, stage), name);
            }
        }
        let ended = done.iter().chain(view.ledger.pruned.keys());
        for plan in ended.filter(|plan| view.plans.known.get(plan).is_some_and(|known| known.decided.is_none())) {
            broken.entry((*plan, GcStage::Decided)).or_insert_with(|| ObjectName::of(&Named::GcDecided(*plan)));
        }
        Ok(broken)
    }

    fn step_again(&self, view: &View, id: PlanId, known: &KnownPlan, stage: GcStage) -> Result<Option<GcStep>, Error> {
        let mut step = GcStep {
            repository: view.repository,
            plan: id,
            at: Millis(self.repository.clock().now().as_millisecond()),
            stage,
            sessions: Vec::new(),
            packs: Vec::new(),
            snapshots: Vec::new(),
        };
        match (stage, &known.plan) {
            // A claim says who began, which a plan says as well, and without a plan nothing was condemned.
            (GcStage::Claim, _) | (GcStage::Done, None) => {}
            (GcStage::Waits, _) => {
                let names = self.repository.session_names()?;
                step.sessions = self.repository.sessions(names, view)?.open().map(|(snapshot, _)| snapshot).collect();
            }
            (GcStage::Decided, Some(plan)) => (step.packs, step.snapshots) = self.kept_of(view, id, plan)?,
            (GcStage::Decided, None) => return Ok(None),
            (GcStage::Done, Some(plan)) => {
                let ended =
                    view.ledger.pruned.contains_key(&id) || self.is_carried_out(plan, known.decided.as_ref())?;
                return Ok(ended.then_some(step));
            }
        }
        Ok(Some(step))
    }

    /// What of a plan stays: whatever of it is there, and of what is not there every snapshot that no record says was to go.
    fn kept_of(&self, view: &View, id: PlanId, plan: &GcPlan) -> Result<(Vec<PackName>, Vec<SnapshotId>), Error> {
        let present = packs_listed(&self.store().list("packs")?.objects);
        let packs = plan.delete.iter().chain(&plan.repack).filter(|name| present.contains_key(*name)).copied();
        let all_went =
            view.ledger.pruned.get(&id).is_some_and(|record| record.snapshots == plan.snapshots.len() as u64);
        if all_went {
            return Ok((packs.collect(), Vec::new()));
        }
        let listed = self.store().list("snap")?.objects;
        let listed: BTreeSet<&str> = listed.iter().map(|object| object.name.as_str()).collect();
        let was_to_go = |snapshot: &SnapshotId| {
            view.forgotten.contains(snapshot) || view.erased.contains(snapshot) || view.voided.contains(snapshot)
        };
        let stays = |snapshot: &SnapshotId| {
            listed.contains(ObjectName::of(&Named::Snapshot(*snapshot)).as_str()) || !was_to_go(snapshot)
        };
        let snapshots = plan.snapshots.iter().map(|gone| gone.snapshot).filter(stays);
        Ok((packs.collect(), snapshots.collect()))
    }

    /// Whether nothing is left of what a decided plan deletes.
    fn is_carried_out(&self, plan: &GcPlan, decided: Option<&GcStep>) -> Result<bool, Error> {
        let Some(decided) = decided else { return Ok(false) };
        let wanted = deleted_by(plan, decided);
        for folder in ["snap", "reach", "session", "packs", "parity", "index"] {
            let left = self.store().list(folder)?.objects;
            if left.iter().any(|object| ObjectName::parse(&object.name).is_some_and(|(name, _)| wanted.contains(&name)))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
