//! The tip goes first and by itself: bundle and list of the current generation, the logs that its policy pins, then the policy.
//!
//! After a change of the seal a copy without the new bundle opens for nobody; so a rotation pushes it to every copy before it destroys
//! the old seal.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    ids::{GenerationId, HomeId},
    manifest::MANIFEST_BYTES_MAX,
    name::{Named, ObjectName},
    policy::Policy,
};

use super::{
    CopyPlace,
    carry::{Carrier, Stopped, refused},
    source::{Item, Source},
    sync::Run,
};
use crate::{
    error::Error,
    monitor::things,
    monitor::{Finding, Severity, Silent},
    proof,
    repository::Repository,
    store::StoreError,
    view::View,
};

/// What is pushed to every copy during a change of the seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// List and bundle of a generation that no policy names yet.
    Generation(GenerationId),
    /// The policy that names it, and before it the logs that it pins.
    Policy(u32, lacre_format::ids::Digest),
}

/// The newest log entry of each home that a policy pins: what its admin had read, and what counts of keys it revokes.
struct Pins(BTreeMap<HomeId, u32>);

impl Pins {
    fn of(policy: &Policy) -> Self {
        let revoked = policy.homes.iter().flat_map(|home| {
            home.revoked_at.iter().chain(home.revoked.iter().flat_map(|revocation| &revocation.twins))
        });
        let mut pins = BTreeMap::new();
        for head in policy.heads.iter().chain(revoked) {
            let newest = pins.entry(head.home).or_insert(head.seq);
            *newest = head.seq.max(*newest);
        }
        Self(pins)
    }

    /// Whether an object is an entry that is pinned, or comes before one.
    fn reach(&self, named: &Named) -> bool {
        match named {
            Named::Log(home, seq, _) => self.0.get(home).is_some_and(|newest| seq <= newest),
            _ => false,
        }
    }
}

impl Run<'_> {
    /// Sends what of the tip the copy lacks: the bundle, its list, the logs that the policy pins, and only then the policy. It never names
    /// a bundle, or speaks of a log entry, that is not there.
    pub(super) fn tip(&mut self, source: &Source) -> Result<(), Stopped> {
        let policy = &source.view.policy;
        let generation = policy.generation;
        let named = Named::Policy(policy.number, source.view.policy_digest);
        if !self.part(source, Named::Bundle(generation))? || !self.part(source, Named::BundleList(generation))? {
            return Ok(());
        }
        if self.target.bytes(ObjectName::of(&named).as_str()).is_some() {
            return Ok(());
        }
        let pins = Pins::of(policy);
        let missing = source.missing_in(&self.target);
        let pinned: Vec<Item> = missing.into_iter().filter(|item| pins.reach(&item.named)).collect();
        // An entry that is damaged here is a finding, and is missed there as it is here; the new seal does not wait for it.
        self.send(source, &pinned, 1)?;
        self.part(source, named).map(drop)
    }

    /// Sends one object; `false` when it is not there afterwards, which is a finding: what names it does not go either.
    fn part(&mut self, source: &Source, named: Named) -> Result<bool, Stopped> {
        let name = ObjectName::of(&named);
        if self.target.bytes(name.as_str()).is_some() {
            return Ok(true);
        }
        let Some(bytes) = source.bytes(name.as_str()) else {
            let what = format!("{name} of the tip is not in the repository: the copy does not get it");
            self.find(Severity::Damage, what, "lacre repo check    (tells the extent)");
            return Ok(false);
        };
        self.send(source, &[Item { name: name.clone(), named, bytes }], 1)?;
        Ok(self.target.bytes(name.as_str()).is_some())
    }
}

impl Repository {
    /// Puts a part of the tip into every copy. A copy that does not take it is a finding, and opens for nobody once the old seal is
    /// destroyed, until it is brought up to date.
    pub(crate) fn push_to_copies(&self, view: &View, copies: &[CopyPlace], pushed: Pushed) -> Vec<Finding> {
        let mut findings = Vec::new();
        for copy in copies {
            if let Err(error) = self.push(view, copy, pushed, &mut findings) {
                let what = format!("it did not take the new seal's list, bundle and policy: {error}");
                let advice =
                    "until it is brought up to date nothing in it can be opened with the new seal: lacre copy sync";
                findings.push(Finding::new(Severity::Warning, what, &copy.name, advice));
            }
        }
        findings
    }

    fn push(&self, view: &View, copy: &CopyPlace, pushed: Pushed, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let manifest = copy.store.get(&ObjectName::of(&Named::Manifest), MANIFEST_BYTES_MAX)?;
        if manifest != self.manifest().encode().as_bytes() {
            return Err(Error::Refused { why: "another repository lies there".to_owned() });
        }
        match pushed {
            Pushed::Generation(generation) => {
                self.push_one(view, copy, &Named::Bundle(generation))?;
                self.push_one(view, copy, &Named::BundleList(generation))
            }
            Pushed::Policy(number, digest) => {
                self.push_pinned(view, copy, findings)?;
                self.push_one(view, copy, &Named::Policy(number, digest))
            }
        }
    }

    /// The logs that the tip's policy pins, before it: without them the copy would look like one whose newest entries somebody took away.
    fn push_pinned(&self, view: &View, copy: &CopyPlace, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let pins = Pins::of(&view.policy);
        let there: BTreeSet<String> = copy.store.list("log")?.objects.into_iter().map(|object| object.name).collect();
        for object in self.store().list("log")?.objects {
            let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
            if !pins.reach(&named) || there.contains(&object.name) {
                continue;
            }
            match self.push_one(view, copy, &named) {
                Err(error @ Error::Damaged { .. }) => {
                    findings.push(refused(&Item { name, named, bytes: object.bytes }, &error));
                }
                pushed => pushed?,
            }
        }
        Ok(())
    }

    /// Stores one object of the repository in a copy, proved before and read back after.
    fn push_one(&self, view: &View, copy: &CopyPlace, named: &Named) -> Result<(), Error> {
        let name = ObjectName::of(named);
        let bytes = self.store().get(&name, proof::bytes_max(named))?;
        let carrier = Carrier { repository: self, view, to: &copy.store, monitor: &Silent };
        carrier.verify(&name, named, &bytes)?;
        // Whether it was there before says nothing about its bytes: what lies there now does.
        let _outcome = copy.store.put_new(&name, bytes.clone())?;
        let stored = copy.store.get(&name, proof::bytes_max(named))?;
        if stored == bytes { Ok(()) } else { Err(Error::damaged(&name, "other bytes are stored under this name")) }
    }

    /// What copies hold that is sealed to generations before this one, in words: ciphertext that nothing opens any more, for who must
    /// also delete it.
    #[must_use]
    pub fn old_in_copies(&self, copies: &[CopyPlace], current: GenerationId) -> Vec<String> {
        copies.iter().filter_map(|copy| old_in(copy, current)).collect()
    }
}

fn old_in(copy: &CopyPlace, current: GenerationId) -> Option<String> {
    let count = |store: &crate::store::Store| -> Result<usize, StoreError> {
        let is_old = |name: &str| match ObjectName::parse(name) {
            Some((_, Named::KeyEntry(found, ..) | Named::Bundle(found) | Named::BundleList(found))) => {
                found.number < current.number
            }
            _ => false,
        };
        Ok(store.list("keyring")?.objects.iter().filter(|object| is_old(&object.name)).count())
    };
    match count(&copy.store) {
        Ok(0) => None,
        Ok(old) => Some(format!(
            "copy {} ({}): {} sealed to generations before {}",
            copy.name,
            copy.store.place(),
            things(old, ["object", "objects"]),
            current.number
        )),
        Err(error) => Some(format!(
            "copy {} ({}): not seen ({error}); it may hold objects sealed to generations before {}",
            copy.name,
            copy.store.place(),
            current.number
        )),
    }
}
