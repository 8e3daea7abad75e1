//! Garbage collections as the store tells them: claims, plans and steps that a maintenance or admin home signed.
//!
//! In: objects below `gc/`. Out: which packs are condemned, which may claim frames born elsewhere, which snapshots were reclaimed.
//! Unsigned, unknown and revoked ones are findings and change nothing. It deletes nothing and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    authority::Authority,
    codec,
    gc::{GC_BYTES_MAX, GcPlan, GcStage, GcStep, Reclaimed},
    ids::{Digest, HomeId, Millis, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    policy::HomeEntry,
    signed::Signed,
};

use crate::{
    error::Error,
    monitor::{Finding, Severity},
    store::Listing,
    view::{Source, View, bounded, fetch_listed, foreign_name, of_the_object},
};

/// One garbage collection.
#[derive(Clone, Debug)]
pub struct KnownPlan {
    /// Who began it.
    pub home: HomeId,
    /// When, by that home's clock.
    pub begun: Millis,
    /// What it condemns, once that is written.
    pub plan: Option<GcPlan>,
    /// The sessions it waits for, once they were listed.
    pub waits: Option<Vec<SnapshotId>>,
    /// What of the plan is kept after all, once that is decided.
    pub decided: Option<GcStep>,
    /// Whether nothing is left of it to do.
    pub done: bool,
}

/// All garbage collections that are believed.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// By their ids.
    pub known: BTreeMap<PlanId, KnownPlan>,
    /// Packs that hold frames born elsewhere, by the word of a plan.
    pub outputs: BTreeSet<PackName>,
    /// Packs that are about to go: no new snapshot may need them.
    pub condemned: BTreeSet<PackName>,
    /// Snapshots that were reclaimed, or irrevocably will be.
    pub reclaimed: BTreeMap<SnapshotId, Reclaimed>,
    /// What was there and is not believed.
    pub(crate) findings: Vec<Finding>,
}

/// What one object says.
enum Said {
    Plan(Box<GcPlan>),
    Step(Box<GcStep>),
}

impl Plans {
    /// Reads everything below `gc/`. `pruned` are the plans whose end stands in a log: those of a home that was revoked later still
    /// count.
    pub(crate) fn load(
        view: &View,
        source: &Source<'_>,
        listing: &Listing,
        pruned: &BTreeSet<PlanId>,
    ) -> Result<Self, Error> {
        let mut plans = Self::default();
        for object in bounded(listing.below("gc").collect())? {
            let parsed = ObjectName::parse(&object.name);
            let Some((name, (plan, stage))) = parsed.and_then(|(name, named)| Some((name, step_of(&named)?))) else {
                plans.findings.push(foreign_name(&object.name));
                continue;
            };
            match source.judged(&name, || read(view, source, &name, object.bytes, (plan, stage), pruned)) {
                Ok((home, said)) => plans.take(home, plan, said),
                Err(error) if of_the_object(&error) => {
                    let advice = "it is ignored; somebody else can write to the store";
                    plans.findings.push(Finding::new(Severity::Warning, error.to_string(), name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        plans.conclude();
        Ok(plans)
    }

    fn take(&mut self, home: HomeId, plan: PlanId, said: Said) {
        let at = match &said {
            Said::Plan(plan) => plan.made,
            Said::Step(step) => step.at,
        };
        let empty = KnownPlan { home, begun: at, plan: None, waits: None, decided: None, done: false };
        let known = self.known.entry(plan).or_insert(empty);
        match said {
            Said::Plan(plan) => {
                known.home = home;
                known.plan = Some(*plan);
            }
            Said::Step(step) => match step.stage {
                GcStage::Claim => (known.home, known.begun) = (home, step.at),
                GcStage::Waits => known.waits = Some(step.sessions),
                GcStage::Decided => known.decided = Some(*step),
                GcStage::Done => known.done = true,
            },
        }
    }

    fn conclude(&mut self) {
        for known in self.known.values_mut() {
            let Some(plan) = &mut known.plan else { continue };
            self.outputs.extend(plan.outputs.iter().copied());
            // A plan that came after its claim was withdrawn still condemns until it is decided.
            known.done &= known.decided.is_some();
            if let Some(decided) = &known.decided {
                let kept: BTreeSet<SnapshotId> = decided.snapshots.iter().copied().collect();
                let gone = plan.snapshots.iter().filter(|gone| !kept.contains(&gone.snapshot));
                self.reclaimed.extend(gone.map(|gone| (gone.snapshot, *gone)));
            }
            if known.done {
                // Its packs are gone; a long history of names would only take memory.
                (plan.delete, plan.repack, plan.segments) = (Vec::new(), Vec::new(), Vec::new());
                continue;
            }
            let kept: BTreeSet<PackName> = known.decided.iter().flat_map(|step| step.packs.iter().copied()).collect();
            let condemned = plan.delete.iter().chain(&plan.repack).filter(|name| !kept.contains(*name));
            self.condemned.extend(condemned.copied());
        }
    }

    /// The plans and claims that were begun and not ended, oldest first.
    pub(crate) fn undone(&self) -> Vec<(PlanId, KnownPlan)> {
        let undone = self.known.iter().filter(|(_, known)| !known.done);
        let mut undone: Vec<_> = undone.map(|(plan, known)| (*plan, known.clone())).collect();
        undone.sort_by_key(|(plan, known)| (known.begun, *plan));
        undone
    }

    /// The plan that would take a snapshot and is not decided yet.
    pub(crate) fn threatens(&self, snapshot: SnapshotId) -> Option<PlanId> {
        let threatens = |known: &KnownPlan| {
            let planned = known.plan.iter().flat_map(|plan| &plan.snapshots);
            !known.done && known.decided.is_none() && planned.into_iter().any(|gone| gone.snapshot == snapshot)
        };
        self.known.iter().find(|(_, known)| threatens(known)).map(|(plan, _)| *plan)
    }
}

impl View {
    /// Whether a home may collect garbage, and stand for what is made again.
    pub(crate) fn may_maintain(&self, home: HomeId) -> bool {
        let admits = |entry: &HomeEntry| Authority::of_object(Kind::RebuiltReach).admits(entry.role);
        self.may_sign(home) && self.home(home).is_some_and(admits)
    }

    /// The number and hash of a home's newest snapshot, also of one that was reclaimed.
    #[must_use]
    pub fn last_of(&self, home: HomeId) -> Option<(u32, Digest)> {
        let there = self.snapshots.values().filter(|known| known.header.home == home);
        let gone = self.plans.reclaimed.values().filter(|gone| gone.home == home);
        let numbered =
            there.map(|known| (known.header.seq, known.digest)).chain(gone.map(|gone| (gone.seq, gone.digest)));
        numbered.max_by_key(|(seq, _)| *seq)
    }
}

pub(crate) fn step_of(named: &Named) -> Option<(PlanId, Option<GcStage>)> {
    match named {
        Named::GcPlan(plan) => Some((*plan, None)),
        Named::GcClaim(plan) => Some((*plan, Some(GcStage::Claim))),
        Named::GcWaits(plan) => Some((*plan, Some(GcStage::Waits))),
        Named::GcDecided(plan) => Some((*plan, Some(GcStage::Decided))),
        Named::GcDone(plan) => Some((*plan, Some(GcStage::Done))),
        _ => None,
    }
}

fn read(
    view: &View,
    source: &Source<'_>,
    name: &ObjectName,
    listed: u64,
    (plan, stage): (PlanId, Option<GcStage>),
    pruned: &BTreeSet<PlanId>,
) -> Result<(HomeId, Said), Error> {
    let bytes = fetch_listed(source.store, source.catalog, name, listed, GC_BYTES_MAX)?;
    let (home, said) = said_by(view, name, (plan, stage), &bytes)?;
    // What a revoked home brought to its end stays, by the word of its log.
    if !pruned.contains(&plan) {
        let kind = if stage.is_some() { Kind::GcStep } else { Kind::GcPlan };
        let signed = Signed::decode(kind, &bytes).map_err(|error| Error::format(name, error))?;
        view.stands(kind, name, &signed)?;
    }
    Ok((home, said))
}

/// Whether bytes are the object of a collection that a name says, signed by a home that may collect.
pub(crate) fn judge(
    view: &View,
    name: &ObjectName,
    named: (PlanId, Option<GcStage>),
    bytes: &[u8],
) -> Result<(), Error> {
    said_by(view, name, named, bytes).map(drop)
}

/// The plan that bytes are.
pub(crate) fn plan_of(view: &View, name: &ObjectName, plan: PlanId, bytes: &[u8]) -> Result<GcPlan, Error> {
    match said_by(view, name, (plan, None), bytes)? {
        (_, Said::Plan(plan)) => Ok(*plan),
        (_, Said::Step(_)) => Err(Error::damaged(name, "it is another object's content")),
    }
}

fn said_by(
    view: &View,
    name: &ObjectName,
    (plan, stage): (PlanId, Option<GcStage>),
    bytes: &[u8],
) -> Result<(HomeId, Said), Error> {
    let kind = if stage.is_some() { Kind::GcStep } else { Kind::GcPlan };
    let signed = Signed::decode(kind, bytes).map_err(|error| Error::format(name, error))?;
    view.verify(kind, name, &signed)?;
    let format = |error| Error::format(name, error);
    let (said, repository, named, found) = match stage {
        None => {
            let read: GcPlan = codec::from_cbor("collection plan", &signed.payload).map_err(format)?;
            let (repository, named) = (read.repository, read.plan);
            (Said::Plan(Box::new(read)), repository, named, None)
        }
        Some(_) => {
            let read: GcStep = codec::from_cbor("collection step", &signed.payload).map_err(format)?;
            let (repository, named, found) = (read.repository, read.plan, read.stage);
            (Said::Step(Box::new(read)), repository, named, Some(found))
        }
    };
    if repository == view.repository && named == plan && found == stage {
        Ok((signed.home, said))
    } else {
        Err(Error::damaged(name, "it is another object's content"))
    }
}
