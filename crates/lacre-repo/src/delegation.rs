//! Delegated retention: what a home without the admin key may forget, judged by the rules in the signed policy.
//!
//! In: a forget that such a home signed, and what is live by everything else that is known. Out: what of it the rules allow. Every
//! reader judges alike: rules, time zone, the entry's own time and the snapshots are all in the repository. A writer may name only what
//! it made itself; snapshots of one job are judged writer by writer, so that nobody can displace another's by making many.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Span, Timestamp, tz::TimeZone};
use lacre_format::{
    codec,
    ids::{HomeId, JobName, Millis, RepositoryId, SnapshotId},
    policy::{KeepRules, Policy, Retention, Role},
};
use lacre_seal::structure::{Structure, StructureKey};

use crate::{
    retention::{self, Candidate, Choice, FUTURE_TOLERANCE, Hold, Rules, Verification},
    view::{View, label_of},
};

/// The delegated rules of a policy, opened.
#[derive(Clone, Debug)]
pub struct DelegatedRules {
    /// The zone whose days are meant.
    pub zone: TimeZone,
    /// The rules as they stand in the policy.
    pub rules: Vec<KeepRules>,
    verified_min: u32,
}

/// A snapshot as retention sees it, with its writer.
pub(crate) struct Row {
    pub(crate) home: HomeId,
    pub(crate) job: JobName,
    pub(crate) candidate: Candidate<SnapshotId>,
}

/// A forget that a home without the admin key signed, as it stands in the logs.
pub(crate) struct Wish {
    pub(crate) home: HomeId,
    pub(crate) role: Role,
    pub(crate) seq: u32,
    /// When it was signed, by its signer's clock.
    pub(crate) at: Millis,
    /// When the store took it, by the store's clock.
    pub(crate) written: Timestamp,
    /// What it names, without what an admin took back after it.
    pub(crate) snapshots: BTreeSet<SnapshotId>,
    /// What of that was held where it stands: a release does not make up for it.
    pub(crate) held: BTreeSet<SnapshotId>,
}

/// Opens what is sealed only once for all entries of the logs.
pub(crate) struct Delegation<'k> {
    structure: Option<&'k StructureKey>,
    rules: Option<Result<DelegatedRules, &'static str>>,
    labels: BTreeMap<SnapshotId, Option<(JobName, Vec<String>)>>,
}

impl DelegatedRules {
    /// Opens the rules of a policy.
    ///
    /// # Errors
    /// What is missing, in words for a finding.
    pub(crate) fn open(
        policy: &Policy,
        structure: Option<&StructureKey>,
        repository: RepositoryId,
    ) -> Result<Self, &'static str> {
        let sealed = policy.retention.as_ref().ok_or("a forget, and the policy leaves retention to admins alone")?;
        let structure = structure.ok_or("a forget that this host cannot judge without the structure key")?;
        let plaintext = structure
            .open(Structure::Retention, repository, sealed.salt, &sealed.ciphertext)
            .map_err(|_| "a forget by rules of the policy that do not open")?;
        let retention: Retention = codec::from_cbor("retention", &plaintext)
            .map_err(|_| "a forget by rules of the policy that cannot be read")?;
        let zone = TimeZone::get(&retention.zone)
            .map_err(|_| "a forget by rules of the policy whose time zone this host does not know")?;
        Ok(Self { zone, rules: retention.rules, verified_min: policy.min_verified })
    }

    /// What is kept of a job; none: the policy delegates nothing for it.
    #[must_use]
    pub fn of(&self, job: &JobName) -> Option<Rules> {
        let own = self.rules.iter().find(|rules| rules.job.as_ref() == Some(job));
        let rules = own.or_else(|| self.rules.iter().find(|rules| rules.job.is_none()))?;
        let rules = Rules {
            last: rules.last,
            hourly: rules.hourly,
            daily: rules.daily,
            weekly: rules.weekly,
            monthly: rules.monthly,
            yearly: rules.yearly,
            // A duration that does not parse keeps everything, as no rule does.
            within: match rules.within.as_deref().map(str::parse::<Span>) {
                None => None,
                Some(Ok(span)) => Some(span),
                Some(Err(_)) => return None,
            },
            tags: Vec::new(),
            verified_min: rules.verified_min.max(self.verified_min),
        };
        (!rules.is_empty()).then_some(rules)
    }
}

impl<'k> Delegation<'k> {
    pub(crate) fn new(structure: Option<&'k StructureKey>) -> Self {
        Self { structure, rules: None, labels: BTreeMap::new() }
    }

    /// What of the wanted snapshots the signer may forget.
    pub(crate) fn allowed(
        &mut self,
        view: &View,
        wish: &Wish,
        wanted: &BTreeSet<SnapshotId>,
    ) -> Result<BTreeSet<SnapshotId>, &'static str> {
        let structure = self.structure;
        let opened = self.rules.get_or_insert_with(|| DelegatedRules::open(&view.policy, structure, view.repository));
        let rules = opened.clone()?;
        let rows = self.rows(view);
        let jobs: BTreeSet<JobName> =
            rows.iter().filter(|row| wanted.contains(&row.candidate.id)).map(|row| row.job.clone()).collect();
        let stored = wish.written.checked_add(FUTURE_TOLERANCE).unwrap_or(Timestamp::MAX);
        let signed = Timestamp::from_millisecond(wish.at.0).unwrap_or(Timestamp::MIN);
        let (now, mine) = (signed.min(stored), wish.role == Role::Writer);
        let mut allowed = BTreeSet::new();
        for job in jobs {
            let Some(keep) = rules.of(&job) else { continue };
            let of_job: Vec<&Row> = rows.iter().filter(|row| row.job == job).collect();
            let choice = choose(&of_job, &|home| is_retired(view, home), &keep, now, &rules.zone);
            let may = |row: &&&Row| {
                let own = !mine || row.home == wish.home;
                let id = row.candidate.id;
                own && wanted.contains(&id) && !wish.held.contains(&id) && choice.forgotten.contains(&id)
            };
            allowed.extend(of_job.iter().filter(may).map(|row| row.candidate.id));
        }
        Ok(allowed)
    }

    /// What is live, without what the wishes granted so far have taken.
    fn rows(&mut self, view: &View) -> Vec<Row> {
        let mut rows = Vec::new();
        for (snapshot, known) in view.snapshots.iter().filter(|(snapshot, _)| view.is_live(**snapshot)) {
            let structure = self.structure;
            let label = self.labels.entry(*snapshot).or_insert_with(|| {
                let label = label_of(structure?, view.repository, &known.header).ok()?;
                Some((label.job, label.tags))
            });
            let Some((job, tags)) = label.clone() else { continue };
            let candidate = Candidate {
                id: *snapshot,
                job: job.to_string(),
                time: Timestamp::from_millisecond(known.header.taken.0).unwrap_or(Timestamp::MIN),
                hold: if view.held.contains_key(snapshot) { Hold::Held } else { Hold::Free },
                verification: if view.verified.contains(snapshot) {
                    Verification::Verified
                } else {
                    Verification::Unverified
                },
                tags,
            };
            rows.push(Row { home: view.writer_of(known), job, candidate });
        }
        rows
    }
}

/// Whether nobody makes snapshots with this home's key any more.
pub(crate) fn is_retired(view: &View, home: HomeId) -> bool {
    view.home(home).is_none_or(lacre_format::policy::HomeEntry::is_revoked)
}

/// Judges one job writer by writer: no writer's snapshots displace another's. Those of a retired writer grow old beside the ones that
/// the writers of today make, and displace none of theirs.
pub(crate) fn choose(
    rows: &[&Row],
    is_retired: &dyn Fn(HomeId) -> bool,
    rules: &Rules,
    now: Timestamp,
    zone: &TimeZone,
) -> Choice<SnapshotId> {
    let homes: BTreeSet<HomeId> = rows.iter().map(|row| row.home).collect();
    let mut all = Choice { kept: Vec::new(), forgotten: Vec::new(), future: Vec::new() };
    for home in homes {
        let beside = |row: &&&Row| row.home == home || (is_retired(home) && !is_retired(row.home));
        let candidates: Vec<Candidate<SnapshotId>> =
            rows.iter().filter(beside).map(|row| row.candidate.clone()).collect();
        let own: BTreeSet<SnapshotId> =
            rows.iter().filter(|row| row.home == home).map(|row| row.candidate.id).collect();
        let choice = retention::choose(&candidates, rules, now, zone);
        all.kept.extend(choice.kept.into_iter().filter(|kept| own.contains(&kept.id)));
        all.forgotten.extend(choice.forgotten.into_iter().filter(|id| own.contains(id)));
        all.future.extend(choice.future.into_iter().filter(|id| own.contains(id)));
    }
    all
}
