//! What this host knows that a copy has not heard of: signed records in its cache, and the keyring in its home.
//!
//! In: the copy's listing. Out: a view of the copy with these records in it, and the records, each proved by its signature. A cache proves
//! nothing by itself: what it lacks is not known, what it holds is believed as far as signatures reach.

use std::collections::BTreeSet;

use jiff::Timestamp;
use lacre_format::{
    codec,
    ids::{Digest, GenerationId, SnapshotId},
    keyring::BundleList,
    name::{Named, ObjectName},
    object::Kind,
    signed::Signed,
};

use crate::{
    error::Error,
    proof::{self, Verdict},
    repository::Repository,
    store::{Listing, ObjectMeta},
    view::{Source, View},
};

/// Folders whose records are brought along. Collections are not: what they decided holds for the packs of the lost place.
const BROUGHT: [&str; 3] = ["policy", "log", "void"];
/// Folders whose records are only looked at.
const LOOKED_AT: [&str; 4] = ["policy", "log", "void", "gc"];

/// Objects that go into the copy.
pub(super) struct Brought(Vec<(ObjectName, Vec<u8>)>);

/// A generation's list and bundle that this home keeps.
pub(super) struct KeptKeyring {
    pub(super) list: BundleList,
    /// The bundle, then the list.
    pub(super) objects: Vec<(ObjectName, Vec<u8>)>,
}

impl Brought {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Stores them, policies last: a policy never names a bundle that is not there.
    pub(super) fn put(self, repository: &Repository) -> Result<(), Error> {
        let (policies, rest): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(name, _)| name.as_str().starts_with("policy/"));
        for (name, bytes) in rest.into_iter().chain(policies) {
            repository.put(&name, bytes)?;
        }
        Ok(())
    }
}

impl Repository {
    /// The copy as it would be with what this host knows; whatever policy this host has seen.
    pub(super) fn with_known(&self, listing: &Listing) -> Result<(View, Brought), Error> {
        let listed: BTreeSet<&str> = listing.objects.iter().map(|object| object.name.as_str()).collect();
        let mut whole = listing.clone();
        let mut cached = Vec::new();
        for folder in LOOKED_AT {
            for (name, bytes) in self.catalog()?.objects_below(folder)? {
                let Some((name, named)) = ObjectName::parse(&name) else { continue };
                if listed.contains(name.as_str()) {
                    continue;
                }
                let meta = ObjectMeta { name: name.as_str().to_owned(), bytes, modified: Timestamp::UNIX_EPOCH };
                whole.objects.push(meta);
                if BROUGHT.contains(&folder) {
                    cached.push((name, named));
                }
            }
        }
        whole.objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let view = self.unpinned(&whole)?;
        let mut brought = Vec::new();
        for (name, named) in cached {
            let Some(bytes) = self.catalog()?.object(name.as_str())? else { continue };
            if self.is_signed(&view, &name, &named, &bytes).is_ok() {
                brought.push((name, bytes));
            }
        }
        self.bring_keyring(&view, &listed, &mut brought)?;
        Ok((view, Brought(brought)))
    }

    /// The copy's own view, whatever policy this host has seen.
    pub(super) fn unpinned_view(&self) -> Result<View, Error> {
        self.unpinned(&self.store().list_many(&crate::view::VIEWED)?)
    }

    fn unpinned(&self, listing: &Listing) -> Result<View, Error> {
        let structure = self.structure().ok();
        let catalog = self.catalog()?;
        let source = Source {
            store: self.store(),
            catalog: &catalog,
            manifest: self.manifest(),
            pin: None,
            structure: structure.as_ref(),
            signatures: self.signatures(),
            sent: &[],
        };
        View::of_listing(&source, listing)
    }

    /// Snapshots whose objects this host has read.
    pub(super) fn cached_snapshots(&self) -> Result<BTreeSet<SnapshotId>, Error> {
        let names = self.catalog()?.objects_below("snap")?;
        let snapshot = |(name, _): (String, u64)| match ObjectName::parse(&name) {
            Some((_, Named::Snapshot(snapshot))) => Some(snapshot),
            _ => None,
        };
        Ok(names.into_iter().filter_map(snapshot).collect())
    }

    fn is_signed(&self, view: &View, name: &ObjectName, named: &Named, bytes: &[u8]) -> Result<(), Error> {
        let decode = |kind| Signed::decode(kind, bytes).map_err(|error| Error::format(name, error));
        let is_named = |digest: &Digest| {
            if digest_of(bytes) == *digest { Ok(()) } else { Err(Error::damaged(name, "it is not what its name says")) }
        };
        match named {
            Named::Policy(_, digest) => {
                is_named(digest)?;
                view.verify(Kind::Policy, name, &decode(Kind::Policy)?).map(drop)
            }
            Named::Log(_, _, digest) => {
                is_named(digest)?;
                view.verify(Kind::LogEntry, name, &decode(Kind::LogEntry)?).map(drop)
            }
            Named::Void(_) | Named::VoidIntent(_) => match proof::judge(view, &[], name, named, bytes) {
                Verdict::Good => Ok(()),
                Verdict::Bad | Verdict::Unknown => Err(Error::damaged(name, "nobody who may has signed it")),
            },
            _ => Err(Error::damaged(name, "it is no record that is brought along")),
        }
    }

    /// List and bundle of the tip's generation from this home, where the copy does not hold them.
    fn bring_keyring(
        &self,
        view: &View,
        listed: &BTreeSet<&str>,
        brought: &mut Vec<(ObjectName, Vec<u8>)>,
    ) -> Result<(), Error> {
        let generation = view.policy.generation;
        let is_there = |named: &Named| listed.contains(ObjectName::of(named).as_str());
        if is_there(&Named::BundleList(generation)) && is_there(&Named::Bundle(generation)) {
            return Ok(());
        }
        brought.extend(self.kept_keyring(view, generation).ok_or_else(|| no_keyring(generation))?.objects);
        Ok(())
    }

    /// List and bundle of a generation as this home keeps them, if an admin signed the one for the other.
    pub(super) fn kept_keyring(&self, view: &View, generation: GenerationId) -> Option<KeptKeyring> {
        let name = ObjectName::of(&Named::BundleList(generation));
        let list = self.home().keyring_object(generation, "list")?;
        let bundle = self.home().keyring_object(generation, "bundle")?;
        let signed = Signed::decode(Kind::BundleList, &list).ok()?;
        view.verify(Kind::BundleList, &name, &signed).ok()?;
        let said: BundleList = codec::from_cbor("bundle list", &signed.payload).ok()?;
        let fits = said.generation == generation && said.bundle == digest_of(&bundle);
        let objects = vec![(ObjectName::of(&Named::Bundle(generation)), bundle), (name, list)];
        fits.then_some(KeptKeyring { list: said, objects })
    }
}

fn no_keyring(generation: GenerationId) -> Error {
    Error::Refused {
        why: format!(
            "the copy does not hold the list and the bundle of generation {generation}, and neither does this host: run this on the host that changed the seal"
        ),
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}
