//! The tip goes first and by itself: list and bundle of the current generation, then the policy that names it.
//!
//! After a change of the seal a copy without the new bundle opens for nobody; so a rotation pushes it to every copy before it destroys
//! the old seal.

use lacre_format::{
    ids::GenerationId,
    keyring::BUNDLE_BYTES_MAX,
    manifest::MANIFEST_BYTES_MAX,
    name::{Named, ObjectName},
};

use super::{
    CopyPlace,
    carry::Stopped,
    source::{Item, Source},
    sync::Run,
};
use crate::{
    error::Error,
    monitor::{Finding, Severity},
    repository::Repository,
    store::StoreError,
};

/// What is pushed to every copy during a change of the seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// List and bundle of a generation that no policy names yet.
    Generation(GenerationId),
    /// The policy that names it.
    Policy(u32, lacre_format::ids::Digest),
}

impl Run<'_> {
    /// Sends what of the tip the copy lacks.
    pub(super) fn tip(&mut self, source: &Source) -> Result<(), Stopped> {
        let policy = &source.view.policy;
        let generation = policy.generation;
        let tip = [
            Named::Bundle(generation),
            Named::BundleList(generation),
            Named::Policy(policy.number, source.view.policy_digest),
        ];
        let mut items = Vec::new();
        for named in tip {
            let name = ObjectName::of(&named);
            if self.target.bytes(name.as_str()).is_some() {
                continue;
            }
            let Some(bytes) = source.bytes(name.as_str()) else {
                let what = format!("{name} of the tip is not in the repository: the copy does not get it");
                self.find(Severity::Damage, what, "lacre repo check    (tells the extent)");
                return Ok(());
            };
            items.push(Item { name, named, bytes });
        }
        // In this order: a policy never names a bundle that is not there.
        for item in items {
            self.send(source, std::slice::from_ref(&item), 1)?;
            if self.target.bytes(item.name.as_str()).is_none() {
                // It was refused, which is a finding; what names it does not go either.
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Repository {
    /// Puts a part of the tip into every copy. A copy that does not take it is a finding, and opens for nobody once the old seal is
    /// destroyed, until it is brought up to date.
    pub(crate) fn push_to_copies(&self, copies: &[CopyPlace], pushed: Pushed) -> Vec<Finding> {
        let names = match pushed {
            Pushed::Generation(generation) => vec![Named::Bundle(generation), Named::BundleList(generation)],
            Pushed::Policy(number, digest) => vec![Named::Policy(number, digest)],
        };
        let mut findings = Vec::new();
        for copy in copies {
            if let Err(error) = self.push(copy, &names) {
                let what = format!("it did not take the new seal's list, bundle and policy: {error}");
                let advice =
                    "until it is brought up to date nothing in it can be opened with the new seal: lacre copy sync";
                findings.push(Finding::new(Severity::Warning, what, &copy.name, advice));
            }
        }
        findings
    }

    fn push(&self, copy: &CopyPlace, names: &[Named]) -> Result<(), Error> {
        let manifest = copy.store.get(&ObjectName::of(&Named::Manifest), MANIFEST_BYTES_MAX)?;
        if manifest != self.manifest().encode().as_bytes() {
            return Err(Error::Refused { why: "another repository lies there".to_owned() });
        }
        for named in names {
            let name = ObjectName::of(named);
            let bytes = self.store().get(&name, BUNDLE_BYTES_MAX)?;
            let stored = match copy.store.put_new(&name, bytes.clone()) {
                Ok(_) => copy.store.get(&name, BUNDLE_BYTES_MAX)?,
                Err(error) => return Err(error.into()),
            };
            if stored != bytes {
                return Err(Error::damaged(&name, "other bytes are stored under this name"));
            }
        }
        Ok(())
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
            "copy {} ({}): {old} objects sealed to generations before {}",
            copy.name,
            copy.store.place(),
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
