//! A seal that is newer than every policy at hand: this host changed it and keeps its list and bundle, a cell holds it, and the record of
//! the change is gone with the lost place and this host's cache.
//!
//! In: the copy's view, the seed that a cell gave, the keyring in this home. Out: what lets the copy open with that seal, and which of its
//! snapshots stay closed: they were erased, or their key entries were never carried. Nothing is believed that an admin has not signed.

use std::collections::BTreeSet;

use lacre_format::object::Kind;
use lacre_format::{
    erasure::Rotated,
    ids::{GenerationId, SnapshotId},
    log::EVENT_SNAPSHOTS_MAX,
    name::{Named, ObjectName},
    policy::{Policy, Role},
    signed::Signed,
};
use lacre_seal::{entropy, outer::SealSeed};

use super::known::KeptKeyring;
use crate::{
    error::Error,
    proof::{self, Verdict},
    repository::Repository,
    view::View,
};

/// The seal that only this home leads to.
pub(super) struct HomeSeal {
    pub(super) generation: GenerationId,
    public: Vec<u8>,
    kept: KeptKeyring,
    /// Key entries that were carried after the bundle was made.
    late: Vec<(ObjectName, Vec<u8>)>,
    named: BTreeSet<SnapshotId>,
}

impl HomeSeal {
    /// Live snapshots of the copy that it does not open.
    pub(super) fn closed(&self, view: &View) -> Vec<SnapshotId> {
        let live = view.snapshots.keys().filter(|snapshot| view.is_live(**snapshot));
        live.filter(|snapshot| !self.named.contains(snapshot)).copied().collect()
    }

    /// Makes it the seal of a policy.
    pub(super) fn name_in(&self, policy: &mut Policy) {
        policy.generation = self.generation;
        policy.seal_public.clone_from(&self.public);
        policy.claim = None;
        policy.sealed_at = Some(policy.signed_at);
    }

    /// What the log is told of the change: the record of it is lost.
    pub(super) fn rotated(&self, from: GenerationId, policy: u32, closed: &[SnapshotId]) -> Result<Rotated, Error> {
        Ok(Rotated {
            claim: entropy::token()?,
            from,
            to: self.generation,
            policy,
            bundle: self.kept.list.bundle,
            carried: u32::try_from(self.kept.list.entries.len()).unwrap_or(u32::MAX),
            dropped: closed.iter().copied().take(EVENT_SNAPSHOTS_MAX).collect(),
        })
    }

    /// Stores bundle, list and late entries in the copy: before any policy names the generation.
    pub(super) fn put(&self, repository: &Repository) -> Result<(), Error> {
        let objects = self.kept.objects.iter().chain(&self.late);
        objects.into_iter().try_for_each(|(name, bytes)| repository.put(name, bytes.clone()))
    }
}

impl Repository {
    /// The seal that a seed opens, if this home keeps what an admin signed of it.
    pub(super) fn home_seal(
        &self,
        view: &View,
        generation: GenerationId,
        seed: &SealSeed,
    ) -> Result<Option<HomeSeal>, Error> {
        let public = seed.public();
        let Some(kept) = self.kept_keyring(view, generation).filter(|_| public.hash8() == generation.hash) else {
            return Ok(None);
        };
        let mut named: BTreeSet<SnapshotId> = kept.list.entries.iter().map(|(snapshot, _)| *snapshot).collect();
        let mut late = Vec::new();
        for (snapshot, token, bytes) in self.home().kept_entries(generation)? {
            let entry = Named::KeyEntry(generation, snapshot, token);
            let name = ObjectName::of(&entry);
            let signer = Signed::decode(Kind::KeyEnvelope, &bytes).ok().and_then(|signed| view.home(signed.home));
            let by_admin = signer.is_some_and(|home| home.role == Role::Admin);
            if by_admin && proof::judge(view, &[], &name, &entry, &bytes) == Verdict::Good {
                named.insert(snapshot);
                late.push((name, bytes));
            }
        }
        Ok(Some(HomeSeal { generation, public: public.as_bytes().to_vec(), kept, late, named }))
    }
}
