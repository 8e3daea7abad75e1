//! Following a prune: what an executed plan deleted in the repository goes from a copy, as far as the copy's own mark agrees.
//!
//! In: what only the copy still holds. Out: deletions that a signed, executed plan names *and* that no snapshot in the copy needs. Absence
//! in the repository deletes nothing: whoever empties it empties no copy.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    gc::{GC_BYTES_MAX, GcPlan, GcStep},
    ids::{Digest, PackName, PlanId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    signed::Signed,
};

use super::{carry::Stopped, source::Source, sync::Run};
use crate::{
    error::{Error, Kind as ErrorKind},
    monitor::things,
    monitor::{Finding, Severity},
    op::prune::{Losses, Survey, deleted_by},
    repository::Repository,
    store::{Deletion, StoreError},
    view::fetch,
};

impl Run<'_> {
    pub(super) fn follow(&mut self, source: &Source) -> Result<(), Stopped> {
        let candidates: BTreeMap<ObjectName, Named> = source
            .beyond(&self.target)
            .filter(|(_, named, _)| is_deleted_by_plans(named))
            .map(|(name, named, _)| (name, named))
            .collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let executed = self.repository.executed(source, &candidates)?;
        if executed.is_empty() {
            return Ok(());
        }
        if !self.repository.has_structure() {
            let what = format!(
                "{} deleted stay: this host cannot read which of them the copy needs",
                things(executed.len(), ["object that the repository", "objects that the repository"])
            );
            self.find(
                Severity::Note,
                what,
                "lacre copy sync on a host with a writer's or the admin's key deletes them",
            );
            return Ok(());
        }
        let seen = self.repository.seen_in_copy(&self.copy.store, &self.copy.name)?;
        let survey = match seen.survey(Losses::Refuse) {
            Ok(survey) => survey,
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let what = format!("nothing is deleted: what the copy needs is not known ({error})");
                self.find(Severity::Warning, what, "lacre copy verify    (tells the extent)");
                return Ok(());
            }
            Err(Error::Store(error)) => return Err(Stopped::Target(error)),
            Err(error) => return Err(error.into()),
        };
        let agreed = seen.agreed(&survey, &executed)?;
        self.delete(&agreed)
    }

    /// Snapshots first, segments last, as in the repository.
    fn delete(&mut self, agreed: &BTreeSet<ObjectName>) -> Result<(), Stopped> {
        for folder in ["snap/", "reach/", "session/", "packs/", "index/"] {
            for name in agreed.iter().filter(|name| name.as_str().starts_with(folder)) {
                if self.monitor.cancelled() {
                    return Err(Error::Interrupted.into());
                }
                match self.copy.store.delete(name) {
                    Ok(Deletion::Gone | Deletion::Hidden) => self.report.objects_deleted += 1,
                    Ok(Deletion::Pending { until }) => {
                        let when = until.map_or_else(|| "somebody lifts a hold".to_owned(), |until| until.to_string());
                        let what = format!("{name} is kept by the store until {when}");
                        self.find(Severity::Note, what, "a sync after that deletes it");
                    }
                    Err(error) if error.is_not_found() => {}
                    Err(
                        error @ (StoreError::PermissionDenied { .. }
                        | StoreError::ReadOnly { .. }
                        | StoreError::Foreign { .. }),
                    ) => {
                        let what = format!("{name} could not be deleted: {error}");
                        let found = Finding::new(
                            Severity::Note,
                            what,
                            &self.copy.name,
                            "keys that only add are right for most copies",
                        );
                        self.report.status.findings.push(found);
                        return Ok(());
                    }
                    Err(error) => return Err(Stopped::Target(error)),
                }
            }
        }
        Ok(())
    }
}

const fn is_deleted_by_plans(named: &Named) -> bool {
    matches!(
        named,
        Named::Pack(_)
            | Named::Parity(_)
            | Named::Segment(_)
            | Named::Snapshot(_)
            | Named::Reach(_)
            | Named::Session(_)
            | Named::SessionEnd(_)
    )
}

impl Repository {
    /// Which of these objects an executed plan of the repository deleted.
    fn executed(
        &self,
        source: &Source,
        candidates: &BTreeMap<ObjectName, Named>,
    ) -> Result<BTreeMap<ObjectName, Named>, Error> {
        let mut executed = BTreeMap::new();
        let done = source.view.plans.known.iter().filter(|(_, known)| known.done && known.plan.is_some());
        let mut done: Vec<_> = done.collect();
        done.sort_by_key(|(_, known)| std::cmp::Reverse(known.begun));
        for (id, _) in done {
            if executed.len() == candidates.len() {
                break;
            }
            let Some((plan, decided)) = self.plan_in_full(source, *id)? else { continue };
            for name in deleted_by(&plan, &decided) {
                if let Some(named) = candidates.get(&name) {
                    executed.insert(name, *named);
                }
            }
        }
        Ok(executed)
    }

    /// A plan with all its names, which a view of many plans does not keep; its signature was judged when the view was made.
    fn plan_in_full(&self, source: &Source, id: PlanId) -> Result<Option<(GcPlan, GcStep)>, Error> {
        let read = |named: Named, kind: Kind| -> Result<Vec<u8>, Error> {
            let name = ObjectName::of(&named);
            let bytes = fetch(self.store(), &*self.catalog()?, &name, GC_BYTES_MAX)?;
            let signed = Signed::decode(kind, &bytes).map_err(|error| Error::format(&name, error))?;
            source.view.verify(kind, &name, &signed)?;
            Ok(signed.payload)
        };
        let plan = read(Named::GcPlan(id), Kind::GcPlan)?;
        let decided = match read(Named::GcDecided(id), Kind::GcStep) {
            Err(Error::Store(error)) if error.is_not_found() => return Ok(None),
            decided => decided?,
        };
        let format = |error| Error::format(format!("gc/{id}"), error);
        let plan: GcPlan = codec::from_cbor("collection plan", &plan).map_err(format)?;
        let decided: GcStep = codec::from_cbor("collection step", &decided).map_err(format)?;
        Ok((plan.plan == id && decided.plan == id).then_some((plan, decided)))
    }

    /// What the copy's own mark lets go: `self` is the repository as the copy holds it.
    fn agreed(&self, survey: &Survey, executed: &BTreeMap<ObjectName, Named>) -> Result<BTreeSet<ObjectName>, Error> {
        let view = &survey.view;
        let is_over = |snapshot: &SnapshotId| {
            view.plans.reclaimed.contains_key(snapshot) || !view.snapshots.contains_key(snapshot)
        };
        let packs: BTreeSet<PackName> = executed
            .values()
            .filter_map(|named| match named {
                Named::Pack(pack) if survey.packs.contains_key(pack) => Some(*pack),
                _ => None,
            })
            .collect();
        let kept: BTreeSet<PackName> = self.needed_of(survey, &packs)?.into_iter().collect();
        let going: BTreeSet<PackName> = packs.difference(&kept).copied().collect();
        let segments: BTreeSet<Digest> = executed
            .values()
            .filter_map(|named| match named {
                Named::Segment(digest) => Some(*digest),
                _ => None,
            })
            .collect();
        let agrees = |named: &Named| match named {
            Named::Pack(pack) | Named::Parity(pack) => going.contains(pack),
            Named::Snapshot(snapshot) | Named::Reach(snapshot) => is_over(snapshot),
            Named::Session(snapshot) | Named::SessionEnd(snapshot) => is_over(snapshot),
            Named::Segment(digest) => survey.is_named_elsewhere(digest, &segments, &going),
            _ => false,
        };
        Ok(executed.iter().filter(|(_, named)| agrees(named)).map(|(name, _)| name.clone()).collect())
    }
}

impl Survey {
    /// Whether every pack a segment names, and that stays, is named by another segment that stays.
    fn is_named_elsewhere(&self, digest: &Digest, leaving: &BTreeSet<Digest>, going: &BTreeSet<PackName>) -> bool {
        let Some(packs) = self.segments.get(digest) else { return false };
        let stays = |pack: &&PackName| self.packs.contains_key(*pack) && !going.contains(*pack);
        let staying = self.segments.iter().filter(|(other, _)| !leaving.contains(other));
        let named: BTreeSet<&PackName> = staying.flat_map(|(_, packs)| packs).collect();
        packs.iter().filter(stays).all(|pack| named.contains(pack))
    }
}
