//! The new generation: into every cell, its bundle and list into the store and this home, then the policy that names it.

use std::collections::BTreeSet;

use lacre_format::{
    codec,
    erasure::Rotated,
    ids::{Digest, GenerationId, Millis, SnapshotId},
    keyring::{Bundle, BundleList, KeyEnvelope, encode_bundle_object},
    log::Event,
    name::{Named, ObjectName},
    object::Kind,
    policy::Role,
};
use lacre_seal::{bundle, entropy, outer::SealSeed};
use minicbor::bytes::ByteVec;

use super::{Late, Mandate, Rewrap, RotateOptions, carry::Carried};
use crate::{
    cell::Cell,
    error::Error,
    home::Signer,
    monitor::Finding,
    op::{
        copy::Pushed,
        keys::{ReadKeys, Seals},
    },
    repository::Repository,
    view::{View, is_strange},
};

impl Repository {
    /// Publishes a new generation, or finds the one this claim has published already.
    pub(super) fn publish(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        options: &RotateOptions,
        keys: &ReadKeys,
    ) -> Result<(Rotated, Vec<Finding>), Error> {
        let view = self.still_mine(mandate)?;
        if mandate.published(&view) {
            return Ok((self.published(admin, mandate, &view, keys)?, Vec::new()));
        }
        view.refuse_lost_records()?;
        self.discard_candidates(&view)?;
        let from = view.policy.generation;
        let seals = self.seals(&view, keys)?;
        let old = seals.seed(from).ok_or(Error::NoSeal { generation: from })?;
        let mut carried = self.gather(&view, old, from)?;
        let dropped = carried.drop_all(&self.drops(admin, &view, &carried)?);
        refuse_loss(&view, &carried, options, Millis(self.clock().now().as_millisecond()))?;
        let rewrap = self.rewrap_carried(admin, &view, &mut carried, keys)?;
        let seed = SealSeed::generate().map_err(|error| Error::Bug { why: format!("no random bytes: {error}") })?;
        let to = bundle::generation_id(from.number.saturating_add(1), &seed);
        for entry in &view.policy.cells {
            drop(self.still_mine(mandate)?);
            self.reach_cell(&entry.name)?.add(self.id(), to, &seed)?;
        }
        let digest = self.put_generation(admin, &seed, to, &carried)?;
        carried.findings.extend(self.push_to_copies(&view, &options.copies, Pushed::Generation(to)));
        // Before the policy: a run that dies in between must not leave a seal behind of which nobody knows what it still lets them read.
        self.record_rewrap(admin, &view, to, &rewrap)?;
        let view = self.still_mine(mandate)?;
        let mut policy = view.policy.clone();
        policy.number = policy.number.saturating_add(1);
        policy.previous = Some(view.policy_digest);
        policy.signed_at = Millis(self.clock().now().as_millisecond());
        policy.generation = to;
        policy.seal_public = seed.public().as_bytes().to_vec();
        policy.heads.clone_from(&view.heads);
        policy.claim = Some(mandate.id);
        policy.sealed_at = Some(policy.signed_at);
        self.put_policy(admin, &policy)?;
        let rotated = Rotated {
            claim: mandate.id,
            from,
            to,
            policy: policy.number,
            bundle: digest,
            carried: u32::try_from(carried.iter().count()).unwrap_or(u32::MAX),
            dropped,
        };
        self.append(admin, &Event::Rotated(rotated.clone()))?;
        Ok((rotated, carried.findings))
    }

    /// The record of what this claim published; written now if the run died in between.
    fn published(&self, admin: &Signer, mandate: &Mandate, view: &View, keys: &ReadKeys) -> Result<Rotated, Error> {
        let to = view.policy.generation;
        if let Some((_, rotated)) = view.ledger.valid_rotations().find(|(_, rotated)| rotated.to == to) {
            return Ok(rotated.clone());
        }
        let seals = self.seals(view, keys)?;
        let before: BTreeSet<SnapshotId> = self.entries_in(view, &seals, mandate.from)?;
        let after: BTreeSet<SnapshotId> = self.entries_in(view, &seals, to)?;
        let list = self.bundle_list(view, to)?;
        let rotated = Rotated {
            claim: view.policy.claim.unwrap_or(mandate.id),
            from: mandate.from,
            to,
            policy: view.policy.number,
            bundle: self.bundle_digest(to)?,
            carried: u32::try_from(list.len()).unwrap_or(u32::MAX),
            dropped: before.difference(&after).filter(|snapshot| !view.is_live(**snapshot)).copied().collect(),
        };
        self.append(admin, &Event::Rotated(rotated.clone()))?;
        Ok(rotated)
    }

    /// Snapshots with an entry in a generation: opened where its seal is at hand, elsewhere as far as signatures say.
    fn entries_in(&self, view: &View, seals: &Seals, generation: GenerationId) -> Result<BTreeSet<SnapshotId>, Error> {
        if let Some(seed) = seals.seed(generation) {
            return Ok(self.gather(view, seed, generation)?.snapshots().into_iter().collect());
        }
        let listed = self.bundle_list(view, generation)?.into_iter().map(|(snapshot, _)| snapshot);
        let named = self.inbox(generation)?.into_iter().map(|(_, snapshot)| snapshot);
        self.entries_of(view, generation, &listed.chain(named).collect())
    }

    /// Whether a generation has an entry of a snapshot.
    pub(crate) fn has_entry(&self, view: &View, generation: GenerationId, snapshot: SnapshotId) -> Result<bool, Error> {
        Ok(self.entries_of(view, generation, &[snapshot].into())?.contains(&snapshot))
    }

    fn bundle_digest(&self, generation: GenerationId) -> Result<Digest, Error> {
        let name = ObjectName::of(&Named::Bundle(generation));
        let bytes = self.store().get(&name, lacre_format::keyring::BUNDLE_BYTES_MAX)?;
        Ok(Digest::new(*blake3::hash(&bytes).as_bytes()))
    }

    /// Bundle and list of a generation: read back from the store, and kept in this home beside it.
    fn put_generation(
        &self,
        admin: &Signer,
        seed: &SealSeed,
        generation: GenerationId,
        carried: &Carried,
    ) -> Result<Digest, Error> {
        let entries: Vec<ByteVec> = carried.iter().map(|(_, entry)| ByteVec::from(entry.clone())).collect();
        let hash = |entry: &Vec<u8>| Digest::new(*blake3::hash(entry).as_bytes());
        let named: Vec<(SnapshotId, Digest)> =
            carried.iter().map(|(snapshot, entry)| (snapshot, hash(entry))).collect();
        let content = Bundle { repository: self.id(), generation, entries };
        let object = encode_bundle_object(generation, &bundle::seal_bundle(seed, &content)?);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        self.home().keep_keyring(generation, "bundle", &object)?;
        self.put(&ObjectName::of(&Named::Bundle(generation)), object)?;
        let list = BundleList { generation, bundle: digest, entries: named };
        let signed = admin.key.sign(Kind::BundleList, self.id(), admin.home, codec::to_cbor(&list));
        let object = signed.encode(Kind::BundleList);
        self.home().keep_keyring(generation, "list", &object)?;
        self.put(&ObjectName::of(&Named::BundleList(generation)), object)?;
        Ok(digest)
    }

    /// Rule 8, after the publication: what reached the old inbox late, and what a hold saved meanwhile, goes into the new inbox.
    pub(super) fn carry_late(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        rotated: &Rotated,
        keys: &ReadKeys,
    ) -> Result<Late, Error> {
        let view = self.still_mine(mandate)?;
        let seals = self.seals(&view, keys)?;
        // Once the old seal is destroyed nothing can be late any more: it was destroyed after this step.
        let Some(old) = seals.seed(rotated.from) else {
            return Ok(Late { rotated: rotated.clone(), dropped: BTreeSet::new(), findings: Vec::new() });
        };
        let mut late = self.gather(&view, old, rotated.from)?;
        let drops = self.drops(admin, &view, &late)?;
        let dropped = late.drop_all(&drops);
        let rewrap = self.rewrap_carried(admin, &view, &mut late, keys)?;
        // Not by name: what somebody else put under a right name carries nothing.
        let known = self.entries_in(&view, &seals, rotated.to)?;
        let missing: Vec<SnapshotId> =
            late.snapshots().into_iter().filter(|snapshot| !known.contains(snapshot)).collect();
        let left = rewrap.left.into_iter().filter(|snapshot| !known.contains(snapshot)).collect::<Vec<_>>();
        if !left.is_empty() {
            self.record_rewrap(admin, &view, rotated.to, &Rewrap { wrapped: Vec::new(), left })?;
        }
        for snapshot in missing {
            for entry in late.of(snapshot) {
                self.put_late(admin, &view, rotated.to, snapshot, entry)?;
            }
        }
        // A hold or an undone forget that came in between saved what the record of this rotation says it left behind, and what came in
        // late may be left behind as well: it says so again.
        let is_kept = |snapshot: SnapshotId| known.contains(&snapshot) || late.has(snapshot);
        let mut corrected = rotated.clone();
        corrected.dropped.retain(|snapshot| drops.contains(snapshot) || !is_kept(*snapshot));
        let more: Vec<SnapshotId> = dropped
            .iter()
            .filter(|snapshot| !is_kept(**snapshot) && !corrected.dropped.contains(snapshot))
            .copied()
            .collect();
        corrected.dropped.extend(more);
        if corrected != *rotated {
            self.append(admin, &Event::Rotated(corrected.clone()))?;
        }
        Ok(Late { rotated: corrected, dropped: drops, findings: late.findings })
    }

    pub(crate) fn put_late(
        &self,
        admin: &Signer,
        view: &View,
        generation: GenerationId,
        snapshot: SnapshotId,
        entry: &[u8],
    ) -> Result<(), Error> {
        let public = lacre_seal::outer::SealPublic::from_bytes(&view.policy.seal_public)
            .map_err(|error| Error::damaged("policy", error.to_string()))?;
        if view.policy.generation != generation || public.hash8() != generation.hash {
            return Err(Error::damaged("policy", "its seal key is not of the generation it names"));
        }
        let sealed = public.seal(entry).map_err(|error| Error::Bug { why: error.to_string() })?;
        let digest = Digest::new(*blake3::hash(entry).as_bytes());
        let envelope = KeyEnvelope { snapshot, generation, entry: digest, sealed };
        let signed = admin.key.sign(Kind::KeyEnvelope, self.id(), admin.home, codec::to_cbor(&envelope));
        let name = ObjectName::of(&Named::KeyEntry(generation, snapshot, entropy::token()?));
        self.put(&name, signed.encode(Kind::KeyEnvelope))
    }

    /// Removes candidates of attempts that died before they published: no policy names them, nothing is sealed to them alone.
    pub(super) fn discard_candidates(&self, view: &View) -> Result<(), Error> {
        for entry in &view.policy.cells {
            let Some(cell) = self.cell(&entry.name)? else { continue };
            for stray in cell.contents(self.id())?.held {
                if stray.number > view.policy.generation.number {
                    cell.destroy(self.id(), stray)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn reach_cell(&self, name: &str) -> Result<Cell, Error> {
        self.cell(name)?.ok_or_else(|| Error::Refused {
            why: format!("the seal cell {name} cannot be reached from this host: run this where it is, so that it learns the new seal"),
        })
    }

    /// Rule 8: what was carried late lies in this home too, as the bundle does: losing the store's object must not lose the key.
    pub(super) fn keep_late(&self, view: &View, generation: GenerationId) -> Result<(), Error> {
        for (name, snapshot) in self.inbox(generation)? {
            let signed = match self.envelope(view, &name, generation, snapshot) {
                Ok(signed) if view.home(signed.home).is_some_and(|home| home.role == Role::Admin) => signed,
                Err(error @ Error::Store(_)) if !is_strange(&error) => return Err(error),
                _ => continue,
            };
            let bytes = signed.encode(Kind::KeyEnvelope);
            let digest = Digest::new(*blake3::hash(&bytes).as_bytes());
            let what = name.as_str().rsplit('/').next().unwrap_or_default();
            if !self.home().has_keyring(generation, what, digest) {
                self.home().keep_keyring(generation, what, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Rule 9 begins here: a survivor without an entry would be lost for ever.
fn refuse_loss(view: &View, carried: &Carried, options: &RotateOptions, now: Millis) -> Result<(), Error> {
    let lost = view.snapshots.keys().find(|snapshot| {
        view.outlives_rotation(**snapshot, now) && !carried.has(**snapshot) && !options.accept_loss.contains(snapshot)
    });
    lost.map_or(Ok(()), |snapshot| Err(Error::EntryMissing { snapshot: *snapshot }))
}
