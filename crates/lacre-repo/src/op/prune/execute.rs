//! Execution of a plan: wait, look again, decide, delete. Every step is a signed object, so a run that dies here is continued.

use std::collections::BTreeSet;

use lacre_format::{
    gc::{GcPlan, GcStage, GcStep},
    ids::{PackName, PlanId, SnapshotId},
    log::{Event, PruneRecord},
    name::{Named, ObjectName},
    pack::Footer,
    reach::Reach,
};

use crate::{
    error::Error,
    monitor::{Finding, Progress, Severity},
    op::{
        prune::{
            Losses, PruneState, Run, Survey, Waiting,
            survey::{Claims, birth_of},
        },
        sessions::{Standing, Unfinished},
        void::Voided,
    },
    repository::Repository,
    store::{Deletion, StoreError},
};

/// How often sessions are looked at again because one of them committed while it was about to be voided.
const SETTLE_ATTEMPTS_MAX: u32 = 4;

/// What was deleted.
#[derive(Default)]
struct Deleted {
    packs: Vec<PackName>,
    bytes: u64,
    objects: u64,
    refused: u64,
    late: bool,
}

impl Repository {
    /// Brings a signed plan to its end, from wherever it stands.
    pub(super) fn carry_on(
        &self,
        run: &mut Run<'_>,
        id: PlanId,
        plan: &GcPlan,
        waits: Option<Vec<SnapshotId>>,
        decided: Option<GcStep>,
    ) -> Result<(), Error> {
        let decided = match decided {
            Some(decided) => decided,
            None => {
                let waits = match waits {
                    Some(waits) => waits,
                    None => self.list_waits(run, id)?,
                };
                run.monitor.progress(Progress::Phase("waiting for open sessions".to_owned()));
                let waiting = self.settle(run, plan, &waits)?;
                if !waiting.is_empty() {
                    run.report.waiting.extend(waiting);
                    run.report.state = run.report.state.max(PruneState::Pending);
                    return Ok(());
                }
                self.decide(run, id, plan)?
            }
        };
        run.monitor.progress(Progress::Phase("deleting".to_owned()));
        let deleted = self.delete_planned(run, plan, &decided)?;
        let gone = plan.snapshots.len().saturating_sub(decided.snapshots.len()) as u64;
        run.report.snapshots += gone;
        run.report.packs_deleted += deleted.packs.len() as u64;
        run.report.bytes_deleted += deleted.bytes;
        run.report.objects_deleted += deleted.objects;
        if deleted.late || deleted.refused > 0 {
            run.report.state = run.report.state.max(PruneState::Pending);
            return Ok(());
        }
        let record = PruneRecord {
            plan: id,
            snapshots: gone,
            packs_deleted: deleted.packs.len() as u64,
            packs_written: plan.outputs.len() as u64,
            bytes_deleted: deleted.bytes,
            bytes_written: run.report.bytes_written,
        };
        self.append(&run.signer, &Event::Prune(record))?;
        self.put_step(run, id, GcStage::Done, |_| {})?;
        run.report.state = run.report.state.max(PruneState::Done);
        Ok(())
    }

    /// The sessions that are open once the plan stands: later ones have read it.
    fn list_waits(&self, run: &Run<'_>, id: PlanId) -> Result<Vec<SnapshotId>, Error> {
        let names = self.session_names()?;
        let view = self.view()?;
        let open: Vec<SnapshotId> = self.sessions(names, &view)?.open().map(|(snapshot, _)| snapshot).collect();
        let listed = open.clone();
        self.put_step(run, id, GcStage::Waits, move |step| step.sessions = listed)?;
        Ok(open)
    }

    /// Ends what can be ended of the sessions that matter; gives those that have to be waited for.
    fn settle(&self, run: &mut Run<'_>, plan: &GcPlan, waits: &[SnapshotId]) -> Result<Vec<Waiting>, Error> {
        let wanted: BTreeSet<SnapshotId> = waits.iter().chain(&plan.sessions).copied().collect();
        let mut waiting = Vec::new();
        for _ in 0..SETTLE_ATTEMPTS_MAX {
            let names = self.session_names()?;
            let view = self.view()?;
            let sessions = self.sessions(names, &view)?;
            waiting.clear();
            let mut again = false;
            for (snapshot, session) in sessions.unfinished.iter().filter(|(snapshot, _)| wanted.contains(*snapshot)) {
                let wait = |blocked: Option<&str>| Waiting {
                    session: *snapshot,
                    home: session.home,
                    opened: session.written,
                    blocked: blocked.map(str::to_owned),
                };
                if !self.may_be_voided(run, session) {
                    waiting.push(wait(None));
                    continue;
                }
                match self.void_session(&view, &run.signer, *snapshot)? {
                    Voided::Final => {
                        let what = "a session that did not end well was voided";
                        run.report.findings.push(Finding::new(Severity::Note, what, format!("session/{snapshot}"), ""));
                    }
                    // Its snapshot came in at the last moment: it counts if it is believed, which the next look says.
                    Voided::Cancelled => {
                        again = true;
                        waiting.push(wait(Some("something that is no valid snapshot lies under its name")));
                    }
                    Voided::Blocked => {
                        waiting.push(wait(Some("somebody without a right to it took the name of its void: remove it")));
                    }
                }
            }
            if !again {
                break;
            }
        }
        Ok(waiting)
    }

    fn may_be_voided(&self, run: &Run<'_>, session: &Unfinished) -> bool {
        let age = self.clock().now().duration_since(session.written);
        match session.standing {
            Standing::Abandoned => true,
            Standing::Lost => run.options.losses == Losses::Accept,
            // Its own home gave it up: that home's other process, if a clone has its keys, cannot acknowledge it any more.
            Standing::Open => session.given_up || (!age.is_negative() && age.unsigned_abs() >= run.options.void_after),
        }
    }

    /// Looks again: what became needed since the plan was made stays. After this nothing of the rest can become needed.
    fn decide(&self, run: &Run<'_>, id: PlanId, plan: &GcPlan) -> Result<GcStep, Error> {
        let survey = self.survey(run.options.losses)?;
        let packs = self.still_needed(&survey, plan)?;
        let open_bases: BTreeSet<SnapshotId> = survey.sessions.open().filter_map(|(_, open)| open.base).collect();
        let named = plan.snapshots.iter().map(|gone| gone.snapshot);
        let mut snapshots: Vec<SnapshotId> =
            named.filter(|snapshot| survey.view.is_needed(*snapshot) || open_bases.contains(snapshot)).collect();
        // A session that was thought to have ended without a snapshot, and has one.
        snapshots.extend(plan.sessions.iter().filter(|snapshot| survey.view.is_needed(**snapshot)));
        snapshots.sort_unstable();
        snapshots.dedup();
        let step = self.put_step(run, id, GcStage::Decided, move |step| {
            step.packs = packs;
            step.snapshots = snapshots;
        })?;
        self.same_time(run, &ObjectName::of(&Named::GcDecided(id)))?;
        Ok(step)
    }

    /// Condemned packs that hold a frame which is needed now and lies nowhere else by its own right or by the word of a plan.
    fn still_needed(&self, survey: &Survey, plan: &GcPlan) -> Result<Vec<PackName>, Error> {
        let condemned: BTreeSet<PackName> = plan.delete.iter().chain(&plan.repack).copied().collect();
        // What any other plan that is not ended is about to take covers nothing either.
        let others = &survey.view.plans.condemned;
        let mut covered = Reach::default();
        for name in survey.packs.keys().filter(|name| !condemned.contains(*name) && !others.contains(*name)) {
            self.births_in(survey, *name, &mut |birth, own| {
                // Which of two packs with one birth name is right is not known: neither stands in for the other.
                if !own || !survey.contested.contains(&birth.pack) {
                    covered.insert(birth);
                }
                true
            })?;
        }
        let mut kept = Vec::new();
        for name in condemned.iter().filter(|name| survey.packs.contains_key(*name)) {
            let mut needed = false;
            self.births_in(survey, *name, &mut |birth, _| {
                needed |= survey.marks.contains(birth) && !covered.contains(birth);
                !needed
            })?;
            if needed {
                kept.push(*name);
            }
        }
        Ok(kept)
    }

    /// Gives every birth that a pack holds rightly, and whether it was born there, until `each` has enough.
    fn births_in(
        &self,
        survey: &Survey,
        name: PackName,
        each: &mut dyn FnMut(lacre_format::pack::Birth, bool) -> bool,
    ) -> Result<(), Error> {
        let Some(known) = self.catalog()?.pack_by_name(name)? else { return Ok(()) };
        let footer = Footer::decode(&known.footer).map_err(|error| Error::format(name, error))?;
        let is_output = survey.view.plans.outputs.contains(&name);
        for (slot, frame) in (0u32..).zip(&footer.frames) {
            if let Some(birth) = birth_of(&footer, slot, frame.born, Claims::from(is_output))
                && !each(birth, frame.born.is_none())
            {
                break;
            }
        }
        Ok(())
    }

    /// Deletes what the plan names and the decision does not keep, as far as it is there.
    fn delete_planned(&self, run: &mut Run<'_>, plan: &GcPlan, decided: &GcStep) -> Result<Deleted, Error> {
        let kept_packs: BTreeSet<PackName> = decided.packs.iter().copied().collect();
        let kept: BTreeSet<SnapshotId> = decided.snapshots.iter().copied().collect();
        let mut wanted: BTreeSet<ObjectName> = BTreeSet::new();
        let mut want = |named: Named| {
            wanted.insert(ObjectName::of(&named));
        };
        for snapshot in plan.snapshots.iter().map(|gone| gone.snapshot).filter(|snapshot| !kept.contains(snapshot)) {
            want(Named::Snapshot(snapshot));
            want(Named::Reach(snapshot));
            want(Named::Session(snapshot));
            want(Named::SessionEnd(snapshot));
        }
        for session in plan.sessions.iter().filter(|session| !kept.contains(*session)) {
            want(Named::Reach(*session));
            want(Named::Session(*session));
            want(Named::SessionEnd(*session));
        }
        plan.delete.iter().chain(&plan.repack).filter(|name| !kept_packs.contains(*name)).for_each(|name| {
            want(Named::Pack(*name));
            want(Named::Parity(*name));
        });
        plan.segments.iter().for_each(|digest| want(Named::Segment(*digest)));
        let mut deleted = Deleted::default();
        // Snapshots first: what is half gone is listed no more. Segments last: until then they say where packs were.
        for folder in ["snap", "reach", "session", "packs", "parity", "index"] {
            for object in self.store().list(folder)?.objects {
                let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
                // A reach map that was made again goes with the one it stands for.
                let stands_for = match named {
                    Named::RebuiltReach(snapshot, _) => Some(ObjectName::of(&Named::Reach(snapshot))),
                    _ => None,
                };
                if !wanted.contains(stands_for.as_ref().unwrap_or(&name)) {
                    continue;
                }
                if self.is_late(run) || run.monitor.cancelled() {
                    deleted.late = true;
                    return Ok(deleted);
                }
                if !self.delete_one(run, &name)? {
                    deleted.refused += 1;
                    continue;
                }
                deleted.objects += 1;
                run.monitor.progress(Progress::Objects(1));
                if let Named::Pack(pack) = named {
                    deleted.packs.push(pack);
                    deleted.bytes += object.bytes;
                }
            }
        }
        let mut catalog = self.catalog()?;
        catalog.drop_packs(&deleted.packs)?;
        plan.segments.iter().try_for_each(|digest| catalog.drop_segment(digest))?;
        Ok(deleted)
    }

    /// Deletes one object; `false` when the store does not allow it now.
    fn delete_one(&self, run: &mut Run<'_>, name: &ObjectName) -> Result<bool, Error> {
        match self.store().delete(name) {
            Ok(Deletion::Gone) => Ok(true),
            Ok(Deletion::Pending { until }) => {
                let when = until.map_or_else(|| "somebody lifts a hold".to_owned(), |until| until.to_string());
                let what = format!("pending: the store keeps it until {when}");
                let advice = "a prune after that deletes it";
                run.report.findings.push(Finding::new(Severity::Note, what, name, advice));
                Ok(false)
            }
            Ok(Deletion::Hidden) => {
                let what = "it is hidden, but these keys may not delete its older versions";
                let advice = "prune with keys that may, or let the bucket's own rules expire hidden versions";
                run.report.findings.push(Finding::new(Severity::Warning, what, name, advice));
                Ok(true)
            }
            Err(error) if error.is_not_found() => Ok(true),
            Err(
                error
                @ (StoreError::PermissionDenied { .. } | StoreError::ReadOnly { .. } | StoreError::Foreign { .. }),
            ) => {
                let what = format!("it could not be deleted yet: {error}");
                let advice =
                    "the next prune tries again; a lock on the object ends by itself, a missing right does not";
                run.report.findings.push(Finding::new(Severity::Warning, what, name, advice));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
