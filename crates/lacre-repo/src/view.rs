//! What the store says, believed only as far as signatures reach: policies, homes, logs and snapshots.
//!
//! In: a listing and objects of a store nobody trusts. Out: the tip policy, the state of every snapshot, and findings for
//! everything that was there and is not believed. Nothing unsigned, unknown or revoked displaces anything (protocol rule 1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lacre_format::{
    authority::Authority,
    codec,
    header::{ChainHead, Header, Label, SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, HomeId, Millis, PlanId, PublicKey, RepositoryId, SnapshotId},
    log::{CheckRecord, KitRecord},
    manifest::Manifest,
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, Policy, Role},
    signed::Signed,
};
use lacre_seal::structure::{Structure, StructureKey};

use crate::{
    catalog::Catalog,
    error::Error,
    home::Pin,
    journal::{self, Twins},
    ledger::Ledger,
    limits::OBJECTS_MAX,
    lost::Lost,
    monitor::{Finding, Severity},
    persons::Persons,
    plans::Plans,
    policies,
    signatures::Signatures,
    store::{Listing, Store, StoreError},
};

/// What a view is made of.
pub(crate) const VIEWED: [&str; 5] = ["log", "policy", "snap", "void", "gc"];

/// A snapshot as its signed header and the logs describe it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The header.
    pub header: Header,
    /// BLAKE3 of the snapshot object.
    pub digest: Digest,
    /// The object's length in bytes.
    pub bytes: u64,
}

/// The believed state of a repository at one moment.
pub struct View {
    /// The repository.
    pub repository: RepositoryId,
    /// The admin's public key.
    pub admin: PublicKey,
    /// The newest policy.
    pub policy: Policy,
    /// The hash in its name.
    pub policy_digest: Digest,
    /// The newest entry of every home's log.
    pub heads: Vec<ChainHead>,
    /// Snapshots by id.
    pub snapshots: BTreeMap<SnapshotId, Known>,
    /// Snapshots whose objects are there and not what they should be, and why.
    pub damaged: BTreeMap<SnapshotId, String>,
    /// Those of them that nobody's snapshot can be: what lies there is longer than any, or no file.
    pub strange: BTreeSet<SnapshotId>,
    /// Snapshots whose objects are whole and whose signers may not make them, and why.
    pub unbelieved: BTreeMap<SnapshotId, String>,
    /// What lies in the logs under good names and never was an entry.
    pub(crate) never_entries: BTreeSet<String>,
    /// Forgotten snapshots.
    pub forgotten: BTreeSet<SnapshotId>,
    /// Snapshots that are erased, or about to be.
    pub erased: BTreeSet<SnapshotId>,
    /// Held snapshots and why.
    pub held: BTreeMap<SnapshotId, String>,
    /// Voided snapshots.
    pub voided: BTreeSet<SnapshotId>,
    /// Sessions somebody intends to void.
    pub void_intents: BTreeSet<SnapshotId>,
    /// Sessions whose own writer gave them up and cannot end: another process may have the same keys.
    pub given_up: BTreeSet<SnapshotId>,
    /// Snapshots proved at level 4 or more by another home than their writer's.
    pub verified: BTreeSet<SnapshotId>,
    /// Homes that an admin has begun to revoke.
    pub revoking: BTreeSet<HomeId>,
    /// The newest recorded audits, oldest first.
    pub checks: Vec<(Millis, CheckRecord)>,
    /// Garbage collections.
    pub plans: Plans,
    /// What became of every kit.
    pub kits: BTreeMap<u32, (Millis, KitRecord)>,
    /// What became of every identity sheet, by the number of the kit it was printed with.
    pub identity_sheets: BTreeMap<u32, (Millis, KitRecord)>,
    /// Seal changes and erasures.
    pub ledger: Ledger,
    /// What is on record as lost.
    pub lost: Lost,
    /// What erasures of persons make of snapshots.
    pub persons: Persons,
    /// What was there and is not believed.
    pub findings: Vec<Finding>,
    signatures: Arc<Signatures>,
    pub(crate) twins: Twins,
}

/// Reads a small immutable object through the catalog.
pub(crate) fn fetch(store: &Store, catalog: &Catalog, name: &ObjectName, bytes_max: u64) -> Result<Vec<u8>, Error> {
    match catalog.object(name.as_str())? {
        Some(bytes) => Ok(bytes),
        None => fetch_anew(store, catalog, name, bytes_max),
    }
}

/// The same for an object that a listing has just shown with this length: one that is now of another length is not the one that was
/// kept, and is read again. What changed without changing its length costs a read of everything to see; `check` does that.
pub(crate) fn fetch_listed(
    store: &Store,
    catalog: &Catalog,
    name: &ObjectName,
    listed: u64,
    bytes_max: u64,
) -> Result<Vec<u8>, Error> {
    match catalog.object(name.as_str())? {
        Some(bytes) if u64::try_from(bytes.len()) == Ok(listed) => Ok(bytes),
        _ => fetch_anew(store, catalog, name, bytes_max),
    }
}

fn fetch_anew(store: &Store, catalog: &Catalog, name: &ObjectName, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let bytes = store.get(name, bytes_max)?.to_vec();
    // Only a cache: a disk without room for it is no reason not to read.
    if let Err(error) = catalog.keep_object(name.as_str(), &bytes) {
        tracing::warn!(%error, %name, "the object is not cached");
    }
    Ok(bytes)
}

impl Source<'_> {
    /// Reads an object and judges it; when what is kept of it is not what it should be, what is stored is read and judged instead.
    pub(crate) fn judged<T>(&self, name: &ObjectName, read: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let done = read();
        let is_another = match &done {
            Err(Error::Format { .. } | Error::Damaged { .. }) => self.catalog.forget_object(name.as_str()),
            // A rollup is nobody's word: what lies under the name itself may have a signer of standing.
            Err(Error::Unbelieved { .. }) => self.catalog.forget_rolled(name.as_str()),
            _ => return done,
        };
        if is_another.is_ok_and(|kept| kept) { read() } else { done }
    }
}

/// Whether an object's failure is its own: others are read all the same. That this machine's disk or rights keep one object from being
/// read says nothing about the others; a store that does not answer is no fault of an object.
pub(crate) fn of_the_object(error: &Error) -> bool {
    match error {
        Error::Format { .. } | Error::Damaged { .. } | Error::Unbelieved { .. } => true,
        Error::Store(error) => matches!(
            error,
            StoreError::TooLarge { .. }
                | StoreError::Foreign { .. }
                | StoreError::OutOfRange { .. }
                | StoreError::Io { .. }
                | StoreError::PermissionDenied { .. }
        ),
        _ => false,
    }
}

/// Whether what lies under a name is no object of ours for sure, however it came there: it is longer than any, or no file. That a valid
/// one could not be read is something else, and no reason to go on as if it were not there.
pub(crate) fn is_strange(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::TooLarge { .. } | StoreError::Foreign { .. }))
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

/// What a view is read from, and by whom.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a Store,
    pub(crate) catalog: &'a Catalog,
    pub(crate) manifest: &'a Manifest,
    /// What this host has seen of policies.
    pub(crate) pin: Option<&'a Pin>,
    /// Labels and rules of retention are read with it; without it, forgets of writers cannot be judged and are not believed.
    pub(crate) structure: Option<&'a StructureKey>,
    /// What was verified before.
    pub(crate) signatures: &'a Arc<Signatures>,
    /// Entries of logs that this host sent and whose answers it never saw.
    pub(crate) sent: &'a [ChainHead],
}

impl View {
    /// Reads policies, logs, voids, collections and snapshots, from a listing made just now of at least [`VIEWED`].
    ///
    /// # Errors
    /// [`Error::Damaged`] when no policy is valid or the newest is older than one this host has seen; errors of the store.
    pub(crate) fn of_listing(source: &Source<'_>, listing: &Listing) -> Result<Self, Error> {
        let mut passed: BTreeSet<Digest> = BTreeSet::new();
        loop {
            let view = Self::without(source, listing, &passed)?;
            // A policy whose claim was voided is nobody's tip, because its request may have landed after that.
            match view.policy.claim.filter(|claim| view.ledger.is_void(*claim)) {
                Some(_) => drop(passed.insert(view.policy_digest)),
                None => return Ok(view),
            }
        }
    }

    /// As [`View::of_listing`], passing over some policies.
    fn without(source: &Source<'_>, listing: &Listing, passed: &BTreeSet<Digest>) -> Result<Self, Error> {
        let mut findings: Vec<Finding> = listing.foreign.iter().map(foreign).collect();
        let (policy, policy_digest) = policies::newest(source, listing, passed, &mut findings)?;
        let mut view = Self {
            repository: source.manifest.repository,
            admin: source.manifest.admin,
            policy,
            policy_digest,
            heads: Vec::new(),
            snapshots: BTreeMap::new(),
            damaged: BTreeMap::new(),
            strange: BTreeSet::new(),
            unbelieved: BTreeMap::new(),
            never_entries: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            erased: BTreeSet::new(),
            held: BTreeMap::new(),
            voided: BTreeSet::new(),
            void_intents: BTreeSet::new(),
            given_up: BTreeSet::new(),
            verified: BTreeSet::new(),
            revoking: BTreeSet::new(),
            checks: Vec::new(),
            plans: Plans::default(),
            kits: BTreeMap::new(),
            identity_sheets: BTreeMap::new(),
            ledger: Ledger::default(),
            lost: Lost::default(),
            persons: Persons::default(),
            findings,
            signatures: Arc::clone(source.signatures),
            twins: Twins::default(),
        };
        view.read_voids(source, listing)?;
        view.read_snapshots(source, listing)?;
        let entries = view.read_logs(source, listing)?;
        view.read_plans(source, listing, &journal::pruned(&entries))?;
        view.drop_beyond_pins();
        view.compare_with_seen();
        let wishes = view.apply(entries);
        view.settle_twins(source.sent);
        view.settle_successors();
        view.grant(&wishes, source);
        view.follow_writers();
        view.lost.settle_all(&mut view.findings);
        Ok(view)
    }

    /// A home of the tip policy.
    #[must_use]
    pub fn home(&self, home: HomeId) -> Option<&HomeEntry> {
        self.policy.homes.iter().find(|entry| entry.home == home)
    }

    /// The heads of the logs of admins: what a writer must have `seen`.
    #[must_use]
    pub fn admin_heads(&self) -> Vec<ChainHead> {
        let is_admin = |head: &&ChainHead| self.home(head.home).is_some_and(|entry| entry.role == Role::Admin);
        self.heads.iter().filter(is_admin).copied().collect()
    }

    /// Whether a snapshot counts: committed, not voided, not forgotten.
    #[must_use]
    pub fn is_live(&self, snapshot: SnapshotId) -> bool {
        self.snapshots.contains_key(&snapshot)
            && !self.voided.contains(&snapshot)
            && !self.forgotten.contains(&snapshot)
            && !self.erased.contains(&snapshot)
            && self.persons.count(snapshot)
    }

    /// What to say of a name that no believed snapshot has: damaged, if the object of one is; otherwise that there is none.
    pub(crate) fn damaged_or_none(&self, name: &str) -> Error {
        let mut candidates =
            self.damaged.iter().chain(&self.unbelieved).filter(|(snapshot, _)| snapshot.to_string().starts_with(name));
        match candidates.next() {
            Some((snapshot, why)) if !name.is_empty() => {
                Error::damaged(format!("snapshot {}", snapshot.short()), why.clone())
            }
            _ => Error::NoSnapshot { name: name.to_owned() },
        }
    }

    /// Whether a home may sign now: it is enrolled, and nobody has begun to revoke it.
    #[must_use]
    pub fn may_sign(&self, home: HomeId) -> bool {
        self.home(home).is_some_and(|entry| !entry.is_revoked()) && !self.revoking.contains(&home)
    }

    /// Reads garbage collections after the snapshots: what they decided to take is no snapshot any more, although its object may still
    /// be there.
    fn read_plans(&mut self, source: &Source<'_>, listing: &Listing, pruned: &BTreeSet<PlanId>) -> Result<(), Error> {
        let mut plans = Plans::load(self, source, listing, pruned)?;
        self.findings.append(&mut plans.findings);
        self.snapshots.retain(|snapshot, _| !plans.reclaimed.contains_key(snapshot));
        self.plans = plans;
        Ok(())
    }

    fn read_snapshots(&mut self, source: &Source<'_>, listing: &Listing) -> Result<(), Error> {
        for object in bounded(listing.below("snap").collect())? {
            let Some((name, Named::Snapshot(snapshot))) = ObjectName::parse(&object.name) else {
                self.findings.push(foreign_name(&object.name));
                continue;
            };
            match source.judged(&name, || self.read_snapshot(source, &name, object.bytes, snapshot)) {
                Ok(known) => drop(self.snapshots.insert(snapshot, known)),
                // It was listed and is gone: a collection took it meanwhile, and its signed step is read below; else its number is missing.
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error @ Error::Unbelieved { .. }) => {
                    self.unbelieved.insert(snapshot, error.to_string());
                    let advice = "it is ignored; if you did not expect it, somebody else can write to the store";
                    self.findings.push(finding_of(&error, name, advice));
                }
                Err(error) if of_the_object(&error) => {
                    self.damaged.insert(snapshot, error.to_string());
                    self.strange.extend(is_strange(&error).then_some(snapshot));
                    let advice = "bring it back from a copy of the repository; other snapshots are not affected";
                    self.findings.push(Finding::new(Severity::Damage, error.to_string(), name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_snapshot(
        &self,
        source: &Source<'_>,
        name: &ObjectName,
        listed: u64,
        snapshot: SnapshotId,
    ) -> Result<Known, Error> {
        let bytes = fetch_listed(source.store, source.catalog, name, listed, SNAPSHOT_BYTES_MAX)?;
        let object = SnapshotObject::decode(&bytes).map_err(|error| Error::format(name, error))?;
        let header = object.header().map_err(|error| Error::format(name, error))?;
        self.verify(Kind::Snapshot, name, &object.signed)?;
        if header.snapshot != snapshot || header.repository != self.repository || header.home != object.signed.home {
            return Err(Error::damaged(name, "it is another snapshot's object"));
        }
        if digest(&object.root) != header.root {
            return Err(Error::damaged(name, "its sealed root is not the one its writer signed for"));
        }
        Ok(Known { header, digest: digest(&bytes), bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) })
    }

    /// Verifies a signed object: its signer is a home of the tip policy whose role may sign such an object. Whether a revoked key's
    /// object counts is another question: [`View::stands`] for single objects, pins for chains.
    pub(crate) fn verify(&self, kind: Kind, name: &ObjectName, signed: &Signed) -> Result<&HomeEntry, Error> {
        let Some(home) = self.home(signed.home) else {
            return Err(Error::unbelieved(name, "its signer is in no policy"));
        };
        self.signatures
            .verify(&home.key, kind, self.repository, signed)
            .map_err(|error| Error::damaged(name, error.to_string()))?;
        if Authority::of_object(kind).admits(home.role) {
            Ok(home)
        } else {
            Err(Error::unbelieved(name, "its signer's role does not allow it"))
        }
    }

    /// Whether a snapshot that counts names this index segment as its own.
    pub(crate) fn names_segment(&self, segment: &Digest) -> bool {
        self.snapshots.values().any(|known| known.header.segments.contains(segment))
    }

    /// Whether an object outside of chains still counts: its signer's key is not revoked, or the revocation pins it.
    pub(crate) fn stands(&self, kind: Kind, name: &ObjectName, signed: &Signed) -> Result<(), Error> {
        let Some(home) = self.home(signed.home).filter(|home| home.is_revoked()) else { return Ok(()) };
        let pins = home.revoked.iter().flat_map(|pins| &pins.objects);
        if pins.into_iter().any(|pinned| *pinned == digest(&signed.encode(kind))) {
            Ok(())
        } else {
            Err(Error::unbelieved(name, "its signer's key is revoked, and it was not pinned then"))
        }
    }
}

/// The label of a snapshot, opened with the structure key.
pub(crate) fn label_of(structure: &StructureKey, repository: RepositoryId, header: &Header) -> Result<Label, Error> {
    let name = ObjectName::of(&Named::Snapshot(header.snapshot));
    let plaintext = structure
        .open(Structure::Label(header.snapshot), repository, header.label_salt, &header.label)
        .map_err(|error| Error::damaged(&name, error.to_string()))?;
    codec::from_cbor("snapshot label", &plaintext).map_err(|error| Error::format(&name, error))
}

/// What is said of an object that is not believed: damage, unless it is whole and only its signer has no standing.
pub(crate) fn finding_of(error: &Error, name: impl ToString, advice: &str) -> Finding {
    let severity = if matches!(error, Error::Unbelieved { .. }) { Severity::Warning } else { Severity::Damage };
    Finding::new(severity, error.to_string(), name, advice)
}

pub(crate) fn bounded<T>(objects: Vec<T>) -> Result<Vec<T>, Error> {
    if objects.len() > OBJECTS_MAX {
        return Err(Error::damaged(
            "listing",
            format!("{} objects of one kind, more than {OBJECTS_MAX}", objects.len()),
        ));
    }
    Ok(objects)
}

pub(crate) fn foreign(found: &crate::store::Foreign) -> Finding {
    let what = format!("it is no object of Lacre's ({:?}) and was not followed", found.kind);
    Finding::new(Severity::Warning, what, &found.name, "remove it if you did not put it there")
}

pub(crate) fn foreign_name(name: &str) -> Finding {
    Finding::new(Severity::Warning, "a file that Lacre did not write", name, "remove it if you did not put it there")
}
