//! Small objects: what is damaged here, what only the copy has, and which of that may come back.

use std::collections::BTreeSet;

use lacre_format::{
    ids::{Digest, GenerationId},
    name::{Named, ObjectName},
    policy::{POLICY_BYTES_MAX, Policy},
};

use crate::{
    error::Error,
    monitor::{Progress, Severity},
    op::repair::{How, Repair},
    policies,
    proof::{self, Verdict, bytes_max, judge},
    store::{ObjectMeta, Store},
    view::View,
};

/// What a store gave for a name.
enum Found {
    Bytes(Vec<u8>),
    /// It is there and cannot be read, or not in full.
    Unreadable,
    Missing,
}

fn read(store: &Store, name: &ObjectName, bytes_max: u64) -> Result<Found, Error> {
    match store.get(name, bytes_max) {
        Ok(bytes) => Ok(Found::Bytes(bytes.to_vec())),
        Err(error) if error.is_not_found() => Ok(Found::Missing),
        Err(error) if error.is_of_the_object() => Ok(Found::Unreadable),
        Err(error) => Err(error.into()),
    }
}

impl Repair<'_> {
    /// Policies come first: everything else is judged by the newest of them.
    pub(super) fn policies(&mut self) -> Result<(), Error> {
        let manifest = self.repository.manifest();
        let ours = self.store().list("policy")?.objects;
        let mut known: Vec<Policy> = Vec::new();
        let mut damaged = Vec::new();
        for (name, number, digest) in numbered(&ours) {
            let good = match read(self.store(), &name, POLICY_BYTES_MAX)? {
                Found::Bytes(bytes) => policies::judge(manifest, &name, (number, digest), &bytes).ok(),
                Found::Unreadable | Found::Missing => None,
            };
            self.report.objects += 1;
            match good {
                Some((_, policy)) => known.push(policy),
                None => damaged.push((name, number, digest)),
            }
        }
        let Some(from) = self.from else { return Ok(()) };
        let newest = known.iter().map(|policy| policy.number).max();
        let listed: BTreeSet<&str> = ours.iter().map(|object| object.name.as_str()).collect();
        let theirs = from.list("policy")?.objects;
        // An older policy than the newest here must not come back: it would name recipients and homes that were taken out.
        let newer = numbered(&theirs).into_iter().filter(|(name, number, _)| {
            !listed.contains(name.as_str()) && newest.is_none_or(|newest| *number > newest)
        });
        let mut wanted: Vec<_> = damaged.into_iter().chain(newer).collect();
        wanted.sort_by_key(|(_, number, _)| *number);
        for (name, number, digest) in wanted {
            let Found::Bytes(bytes) = read(from, &name, POLICY_BYTES_MAX)? else { continue };
            let judge = |bytes: &[u8]| policies::judge(manifest, &name, (number, digest), bytes);
            let Ok((signed, policy)) = judge(&bytes) else { continue };
            if policies::is_an_admins(manifest, &signed, &known) {
                self.put_right(&name, bytes, POLICY_BYTES_MAX, How::Fetched, &|bytes| judge(bytes).is_ok())?;
                known.push(policy);
            }
        }
        Ok(())
    }

    /// Puts right what lies below a folder, and adds what only the copy has and may come back.
    pub(super) fn folder(&mut self, view: &View, folder: &str) -> Result<(), Error> {
        let stores: Vec<&Store> = std::iter::once(self.repository.store()).chain(self.from).collect();
        let bundles = if folder == "keyring" { proof::bundles(view, &stores)? } else { Vec::new() };
        let ours = self.store().list(folder)?.objects;
        for object in &ours {
            if let Some((name, named)) = ObjectName::parse(&object.name) {
                self.object(view, &bundles, &name, &named)?;
            }
        }
        let Some(from) = self.from else { return Ok(()) };
        let listed: BTreeSet<&str> = ours.iter().map(|object| object.name.as_str()).collect();
        for object in from.list(folder)?.objects.iter().filter(|object| !listed.contains(object.name.as_str())) {
            let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
            if !self.may_come_back(view, &named) {
                continue;
            }
            let Found::Bytes(bytes) = read(from, &name, bytes_max(&named))? else { continue };
            let is_good = |bytes: &[u8]| judge(view, &bundles, &name, &named, bytes) == Verdict::Good;
            if is_good(&bytes) && proof::is_believed(view, &name, &named, &bytes) {
                self.put_right(&name, bytes, bytes_max(&named), How::Fetched, &is_good)?;
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        view: &View,
        bundles: &[(GenerationId, Digest)],
        name: &ObjectName,
        named: &Named,
    ) -> Result<(), Error> {
        let verdict = match read(self.store(), name, bytes_max(named))? {
            Found::Bytes(bytes) => {
                self.report.bytes_read += bytes.len() as u64;
                judge(view, bundles, name, named, &bytes)
            }
            Found::Unreadable => Verdict::Bad,
            // A collection took it since it was listed.
            Found::Missing => return Ok(()),
        };
        self.report.objects += 1;
        self.monitor.progress(Progress::Objects(1));
        if verdict != Verdict::Bad {
            return Ok(());
        }
        let is_good = |bytes: &[u8]| judge(view, bundles, name, named, bytes) == Verdict::Good;
        let of_home = match named {
            Named::Bundle(generation) => self.repository.home().keyring_object(*generation, "bundle"),
            Named::BundleList(generation) => self.repository.home().keyring_object(*generation, "list"),
            _ => None,
        };
        if let Some(bytes) = of_home.filter(|bytes| is_good(bytes)) {
            return self.put_right(name, bytes, bytes_max(named), How::Rebuilt, &is_good).map(drop);
        }
        let Some(from) = self.from else { return Ok(()) };
        match read(from, name, bytes_max(named))? {
            Found::Bytes(bytes) if is_good(&bytes) => {
                self.put_right(name, bytes, bytes_max(named), How::Fetched, &is_good).map(drop)
            }
            Found::Bytes(_) | Found::Unreadable => {
                let advice = "try another copy";
                self.finding(Severity::Warning, "it is damaged in the copy too", name, advice);
                Ok(())
            }
            Found::Missing => Ok(()),
        }
    }

    /// Whether an object that only the copy has belongs here: never what a signed record dropped, never an old seal's.
    fn may_come_back(&self, view: &View, named: &Named) -> bool {
        let dropped = view.ledger.dropped();
        let gone = |snapshot| {
            view.plans.reclaimed.contains_key(snapshot) || view.voided.contains(snapshot) || dropped.contains(snapshot)
        };
        match named {
            Named::Log(..) | Named::Void(_) | Named::VoidIntent(_) => true,
            Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => true,
            Named::Snapshot(snapshot) => !gone(snapshot),
            Named::Reach(snapshot) | Named::RebuiltReach(snapshot, _) => {
                !gone(snapshot) && view.snapshots.contains_key(snapshot)
            }
            Named::KeyEntry(generation, snapshot, _) => *generation == view.policy.generation && !gone(snapshot),
            Named::Bundle(generation) | Named::BundleList(generation) => *generation == view.policy.generation,
            // Sessions that are not here ended or were collected; a copy's index names packs that may be gone here.
            _ => false,
        }
    }
}

fn numbered(objects: &[ObjectMeta]) -> Vec<(ObjectName, u32, Digest)> {
    let policy = |object: &ObjectMeta| match ObjectName::parse(&object.name) {
        Some((name, Named::Policy(number, digest))) => Some((name, number, digest)),
        _ => None,
    };
    objects.iter().filter_map(policy).collect()
}
