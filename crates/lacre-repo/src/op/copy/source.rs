//! What the repository and a copy hold, and what of the repository belongs into a copy.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lacre_format::{
    ids::{GenerationId, PackName, SnapshotId},
    manifest::MANIFEST_BYTES_MAX,
    name::{Named, ObjectName},
};

use super::CopyPlace;
use crate::{
    error::Error,
    repository::Repository,
    store::{Listing, StoreError},
    view::View,
};

/// The repository at one moment.
pub(super) struct Source {
    pub(super) view: View,
    pub(super) listing: Listing,
    /// Snapshots that stood before everything was listed: all they need is in the listing, or was moved by a plan since.
    settled: BTreeSet<SnapshotId>,
    /// Generations whose keyring is still of use: the tip's, and those that an open change of the seal began with.
    generations: BTreeSet<GenerationId>,
}

/// A copy at one moment.
#[derive(Default)]
pub(in crate::op) struct Target {
    pub(super) manifest: Option<Bytes>,
    pub(super) listing: Listing,
    /// What was sent since.
    pub(super) sent: BTreeMap<String, u64>,
}

/// One object on its way.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: ObjectName,
    pub(super) named: Named,
    pub(super) bytes: u64,
}

/// In which step an object is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    /// Logs, entry after entry: a chain that ends early has no gap.
    Logs,
    /// Other signed records that say what is believed, and key entries: before what they speak of.
    Records,
    /// Packs.
    Packs,
    /// Where frames lie; and what belongs to packs.
    Index,
    /// Plans, once what they wrote is there: a copy that is adopted goes on with them.
    Plans,
    /// Snapshots with their reach maps, one by one.
    Snapshots,
    /// Ends of sessions: a session that committed has its snapshot first.
    Ends,
}

impl Step {
    pub(super) const fn of(named: &Named) -> Self {
        match named {
            Named::Pack(_) => Self::Packs,
            Named::Log(..) => Self::Logs,
            Named::Policy(..)
            | Named::Void(_)
            | Named::VoidIntent(_)
            | Named::Session(_)
            | Named::KeyEntry(..)
            | Named::Bundle(_)
            | Named::BundleList(_) => Self::Records,
            Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
                Self::Plans
            }
            Named::Reach(_) | Named::Snapshot(_) => Self::Snapshots,
            Named::SessionEnd(_) => Self::Ends,
            // Whatever else there is belongs to packs or snapshots, and is there before the snapshots are.
            _ => Self::Index,
        }
    }
}

impl Source {
    /// A repository that was listed, at least as far as a copy is compared with it.
    pub(super) fn of(view: View, listing: Listing, settled: BTreeSet<SnapshotId>) -> Self {
        let mut generations: BTreeSet<GenerationId> = [view.policy.generation].into();
        generations.extend(view.ledger.open_claims().map(|open| open.claim.from));
        Self { view, listing, settled, generations }
    }

    /// The length of an object of the repository.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        length(&self.listing, name)
    }

    /// Whether an object belongs into a copy.
    fn wants(&self, named: &Named) -> bool {
        match named {
            Named::Manifest => false,
            // A cache of one place: a copy gets its own.
            Named::Rollup(..) => false,
            // What is sealed to a destroyed generation opens for nobody: it is not spread further.
            Named::KeyEntry(generation, ..) | Named::Bundle(generation) | Named::BundleList(generation) => {
                self.generations.contains(generation)
            }
            Named::Snapshot(snapshot) | Named::Reach(snapshot) => {
                self.settled.contains(snapshot) && self.view.snapshots.contains_key(snapshot)
            }
            Named::SessionEnd(snapshot) => {
                self.settled.contains(snapshot) || !self.view.snapshots.contains_key(snapshot)
            }
            _ => true,
        }
    }

    /// What belongs into a copy and is not in it, by step and name.
    pub(super) fn missing_in(&self, target: &Target) -> Vec<Item> {
        let mut missing = Vec::new();
        for object in &self.listing.objects {
            if target.bytes(&object.name).is_some() {
                continue;
            }
            let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
            if self.wants(&named) {
                missing.push(Item { name, named, bytes: object.bytes });
            }
        }
        missing.sort_by_key(|item| Step::of(&item.named));
        missing
    }

    /// Objects of a copy that have another length than the repository's of the same name.
    pub(super) fn differing(&self, target: &Target) -> Vec<(ObjectName, u64, u64)> {
        let mut differing = Vec::new();
        for object in &target.listing.objects {
            let Some(own) = length(&self.listing, &object.name).filter(|own| *own != object.bytes) else { continue };
            if let Some((name, _)) = ObjectName::parse(&object.name) {
                differing.push((name, own, object.bytes));
            }
        }
        differing
    }

    /// Objects of a copy that the repository does not hold.
    pub(super) fn beyond<'t>(&'t self, target: &'t Target) -> impl Iterator<Item = (ObjectName, Named, u64)> + 't {
        let only_there = target.listing.objects.iter().filter(|object| length(&self.listing, &object.name).is_none());
        only_there.filter_map(|object| {
            let (name, named) = ObjectName::parse(&object.name)?;
            Some((name, named, object.bytes))
        })
    }

    /// Live snapshots that a copy lacks.
    pub(super) fn lag(&self, target: &Target) -> u64 {
        let lacks = |snapshot: &&SnapshotId| {
            self.view.is_live(**snapshot)
                && target.bytes(ObjectName::of(&Named::Snapshot(**snapshot)).as_str()).is_none()
        };
        self.view.snapshots.keys().filter(lacks).count() as u64
    }
}

impl Target {
    /// The length of an object of the copy.
    pub(super) fn bytes(&self, name: &str) -> Option<u64> {
        self.sent.get(name).copied().or_else(|| length(&self.listing, name))
    }

    /// The packs of the copy with their lengths.
    pub(super) fn packs(&self) -> BTreeMap<PackName, u64> {
        let mut packs = crate::locate::packs_listed(&self.listing.objects);
        let sent = self.sent.iter().filter_map(|(name, bytes)| match ObjectName::parse(name) {
            Some((_, Named::Pack(pack))) => Some((pack, *bytes)),
            _ => None,
        });
        packs.extend(sent);
        packs
    }

    /// Whether a policy of this number or a later one is there.
    pub(super) fn has_policy_since(&self, number: u32) -> bool {
        let is_since =
            |name: &str| matches!(ObjectName::parse(name), Some((_, Named::Policy(found, _))) if found >= number);
        self.listing.below("policy").any(|object| is_since(&object.name))
    }

    /// The newest generation whose bundle and list are there.
    pub(super) fn generation(&self) -> Option<GenerationId> {
        let listed = self.listing.below("keyring").map(|object| object.name.as_str());
        let names = listed.chain(self.sent.keys().map(String::as_str));
        let bundle = |name: &str| match ObjectName::parse(name) {
            Some((_, Named::Bundle(generation))) => Some(generation),
            _ => None,
        };
        let has_list =
            |generation: &GenerationId| self.bytes(ObjectName::of(&Named::BundleList(*generation)).as_str()).is_some();
        names.filter_map(bundle).filter(has_list).max_by_key(|generation| generation.number)
    }
}

/// The length of a listed object; listings are sorted by name.
fn length(listing: &Listing, name: &str) -> Option<u64> {
    let found = listing.objects.binary_search_by(|object| object.name.as_str().cmp(name)).ok()?;
    listing.objects.get(found).map(|object| object.bytes)
}

impl Repository {
    /// Looks at the repository: its snapshots first, then everything.
    pub(super) fn copy_source(&self) -> Result<Source, Error> {
        let pin = self.home().pin()?;
        let mut settled = BTreeSet::new();
        for object in self.store().list("snap")?.objects {
            if let Some((_, Named::Snapshot(snapshot))) = ObjectName::parse(&object.name) {
                settled.insert(snapshot);
            }
        }
        let listing = self.store().list("")?;
        let view = self.view_of(&listing, pin)?;
        Ok(Source::of(view, listing, settled))
    }

    /// Looks at copies, at the same time; nothing of what is found is believed yet.
    pub(super) fn look_at_copies(&self, copies: &[CopyPlace]) -> Vec<Result<Target, StoreError>> {
        std::thread::scope(|scope| {
            let looks: Vec<_> = copies.iter().map(|copy| scope.spawn(|| look_at(copy, None))).collect();
            let gone = |name: &str| StoreError::Unavailable {
                name: name.to_owned(),
                operation: crate::store::Operation::List,
                reason: "its thread ended".to_owned(),
            };
            let looked = looks.into_iter().zip(copies);
            looked.map(|(look, copy)| look.join().unwrap_or_else(|_| Err(gone(&copy.name)))).collect()
        })
    }
}

/// Lists a copy, or as much of it as is asked for.
pub(super) fn look_at(copy: &CopyPlace, below: Option<&[&str]>) -> Result<Target, StoreError> {
    let manifest = match copy.store.get(&ObjectName::of(&Named::Manifest), MANIFEST_BYTES_MAX) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(error),
    };
    let listing = match below {
        Some(prefixes) => copy.store.list_many(prefixes)?,
        None => copy.store.list("")?,
    };
    Ok(Target { manifest, listing, sent: BTreeMap::new() })
}
