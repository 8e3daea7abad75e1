//! What the store says, believed only as far as signatures reach: policies, homes, logs and snapshots.
//!
//! In: a listing and objects of a store nobody trusts. Out: the tip policy, the state of every snapshot, and findings for
//! everything that was there and is not believed. Nothing unsigned, unknown or revoked displaces anything (protocol rule 1).

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    header::{ChainHead, Header, SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, HomeId, Millis, PlanId, PublicKey, RepositoryId, SnapshotId},
    log::{CheckRecord, Event, KitRecord, LOG_ENTRY_BYTES_MAX, LogEntry},
    manifest::Manifest,
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, POLICY_BYTES_MAX, Policy, Role},
    signed::Signed,
};
use lacre_seal::sign;

use crate::{
    catalog::Catalog,
    error::Error,
    home::Pin,
    ledger::Ledger,
    limits::OBJECTS_MAX,
    monitor::{Finding, Severity},
    plans::Plans,
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
    /// Snapshots proved at level 4 or more by another home than their writer's.
    pub verified: BTreeSet<SnapshotId>,
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
    /// What was there and is not believed.
    pub findings: Vec<Finding>,
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

/// Whether an object's failure is its own: others are read all the same. A store that does not answer is no fault of an object.
pub(crate) fn of_the_object(error: &Error) -> bool {
    match error {
        Error::Format { .. } | Error::Damaged { .. } => true,
        Error::Store(error) => {
            matches!(error, StoreError::TooLarge { .. } | StoreError::Foreign { .. } | StoreError::OutOfRange { .. })
        }
        _ => false,
    }
}

/// A snapshot is read by itself: that this machine's disk or rights keep one object from being read says nothing about the others.
fn of_the_snapshot(error: &Error) -> bool {
    let unreadable = matches!(error, Error::Store(StoreError::Io { .. } | StoreError::PermissionDenied { .. }));
    of_the_object(error) || unreadable
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

/// One log entry that is believed.
struct Believed {
    home: HomeId,
    role: Role,
    seq: u32,
    digest: Digest,
    at: Millis,
    event: Event,
}

impl View {
    /// Reads policies, logs, voids and snapshots.
    ///
    /// # Errors
    /// [`Error::Damaged`] when no policy is valid or the newest is older than one this host has seen; errors of the store.
    pub fn load(store: &Store, catalog: &Catalog, manifest: &Manifest, pin: Option<&Pin>) -> Result<Self, Error> {
        Self::of_listing(store, catalog, manifest, pin, &store.list_many(&VIEWED)?)
    }

    /// As [`View::load`], from a listing made just now of at least [`VIEWED`].
    ///
    /// # Errors
    /// As [`View::load`].
    pub(crate) fn of_listing(
        store: &Store,
        catalog: &Catalog,
        manifest: &Manifest,
        pin: Option<&Pin>,
        listing: &Listing,
    ) -> Result<Self, Error> {
        let mut findings: Vec<Finding> = listing.foreign.iter().map(foreign).collect();
        let (policy, policy_digest) = newest_policy(store, catalog, manifest, pin, listing, &mut findings)?;
        let mut view = Self {
            repository: manifest.repository,
            admin: manifest.admin,
            policy,
            policy_digest,
            heads: Vec::new(),
            snapshots: BTreeMap::new(),
            damaged: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            erased: BTreeSet::new(),
            held: BTreeMap::new(),
            voided: BTreeSet::new(),
            void_intents: BTreeSet::new(),
            verified: BTreeSet::new(),
            checks: Vec::new(),
            plans: Plans::default(),
            kits: BTreeMap::new(),
            identity_sheets: BTreeMap::new(),
            ledger: Ledger::default(),
            findings,
        };
        view.read_voids(store, catalog, listing)?;
        view.read_snapshots(store, catalog, listing)?;
        let entries = view.read_logs(store, catalog, listing)?;
        view.compare_with_seen();
        let pruned = view.apply(entries);
        view.read_plans(store, catalog, listing, &pruned)?;
        view.follow_writers();
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
    }

    /// What to say of a name that no believed snapshot has: damaged, if the object of one is; otherwise that there is none.
    pub(crate) fn damaged_or_none(&self, name: &str) -> Error {
        let mut candidates = self.damaged.iter().filter(|(snapshot, _)| snapshot.to_string().starts_with(name));
        match candidates.next() {
            Some((snapshot, why)) if !name.is_empty() => {
                Error::damaged(format!("snapshot {}", snapshot.short()), why.clone())
            }
            _ => Error::NoSnapshot { name: name.to_owned() },
        }
    }

    /// Reads garbage collections after the snapshots: what they decided to take is no snapshot any more, although its object may still
    /// be there.
    fn read_plans(
        &mut self,
        store: &Store,
        catalog: &Catalog,
        listing: &Listing,
        pruned: &BTreeSet<PlanId>,
    ) -> Result<(), Error> {
        let mut plans = Plans::load(self, store, catalog, listing, pruned)?;
        self.findings.append(&mut plans.findings);
        self.snapshots.retain(|snapshot, _| !plans.reclaimed.contains_key(snapshot));
        self.plans = plans;
        Ok(())
    }

    /// Snapshots say which log entries their writers had read: a log that now ends before one of them was shortened.
    fn compare_with_seen(&mut self) {
        let mut newest: BTreeMap<HomeId, (u32, SnapshotId)> = BTreeMap::new();
        for known in self.snapshots.values() {
            for head in &known.header.seen {
                let seen = newest.entry(head.home).or_insert((head.seq, known.header.snapshot));
                *seen = (*seen).max((head.seq, known.header.snapshot));
            }
        }
        for (home, (seq, snapshot)) in newest {
            let ends = self.heads.iter().find(|head| head.home == home).map(|head| head.seq);
            if ends.is_none_or(|ends| ends < seq) {
                let what = format!(
                    "the log ends before entry {seq}, which the writer of snapshot {} had read",
                    snapshot.short()
                );
                let advice = "somebody took its newest entries away, holds perhaps among them: compare with a copy of the repository";
                self.findings.push(Finding::new(Severity::Damage, what, format!("log/{home}"), advice));
            }
        }
    }

    /// Every writer counts its snapshots: a number that is missing is a snapshot that somebody took away.
    fn follow_writers(&mut self) {
        let mut numbers: BTreeMap<HomeId, Vec<u32>> = BTreeMap::new();
        for known in self.snapshots.values() {
            numbers.entry(known.header.home).or_default().push(known.header.seq);
        }
        // A signed record says that these were reclaimed; their numbers are not missing.
        for gone in self.plans.reclaimed.values() {
            numbers.entry(gone.home).or_default().push(gone.seq);
        }
        self.follow_chains();
        for (home, mut numbers) in numbers {
            numbers.sort_unstable();
            let mut expected = 0;
            for number in numbers {
                let object = format!("writer {}", home.short());
                if number > expected {
                    let what = format!("snapshot number {expected} of this writer is missing");
                    let advice = "it was taken out of the store: bring it back from a copy of the repository";
                    self.findings.push(Finding::new(Severity::Damage, what, object, advice));
                } else if number < expected {
                    let what = format!("two snapshots have number {number}: one signing key is used on two machines");
                    let advice = "both count; enrol each machine with a key of its own";
                    self.findings.push(Finding::new(Severity::Warning, what, object, advice));
                }
                expected = number.saturating_add(1);
            }
        }
    }

    /// Every writer signs the hash of its snapshot before: one that is there and is another was exchanged, or never was before it.
    fn follow_chains(&mut self) {
        let mut digests: BTreeMap<(HomeId, u32), Vec<Digest>> = BTreeMap::new();
        for known in self.snapshots.values() {
            digests.entry((known.header.home, known.header.seq)).or_default().push(known.digest);
        }
        for gone in self.plans.reclaimed.values() {
            digests.entry((gone.home, gone.seq)).or_default().push(gone.digest);
        }
        for known in self.snapshots.values() {
            let header = &known.header;
            let before = header.seq.checked_sub(1).map(|seq| digests.get(&(header.home, seq)));
            let follows = match (before, header.previous) {
                (None, None) | (Some(None), Some(_)) => true,
                (Some(Some(candidates)), Some(previous)) => candidates.contains(&previous),
                (None, Some(_)) | (Some(_), None) => false,
            };
            if !follows {
                let what = format!("it does not follow snapshot number {} of its writer", i64::from(header.seq) - 1);
                let advice = "the one before it was exchanged, or its writer's key was used elsewhere: compare with a copy of the repository";
                let name = ObjectName::of(&Named::Snapshot(header.snapshot));
                self.findings.push(Finding::new(Severity::Damage, what, name, advice));
            }
        }
    }

    fn read_snapshots(&mut self, store: &Store, catalog: &Catalog, listing: &Listing) -> Result<(), Error> {
        for object in bounded(listing.below("snap").collect())? {
            let Some((name, Named::Snapshot(snapshot))) = ObjectName::parse(&object.name) else {
                self.findings.push(foreign_name(&object.name));
                continue;
            };
            match self.read_snapshot(store, catalog, &name, object.bytes, snapshot) {
                Ok(known) => drop(self.snapshots.insert(snapshot, known)),
                // It was listed and is gone: a collection took it meanwhile, and its signed step is read below; else its number is missing.
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error) if of_the_snapshot(&error) => {
                    self.damaged.insert(snapshot, error.to_string());
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
        store: &Store,
        catalog: &Catalog,
        name: &ObjectName,
        listed: u64,
        snapshot: SnapshotId,
    ) -> Result<Known, Error> {
        let bytes = fetch_listed(store, catalog, name, listed, SNAPSHOT_BYTES_MAX)?;
        let object = SnapshotObject::decode(&bytes).map_err(|error| Error::format(name, error))?;
        let header = object.header().map_err(|error| Error::format(name, error))?;
        self.verify(Kind::Snapshot, name, &object.signed)?;
        if header.snapshot != snapshot || header.repository != self.repository || header.home != object.signed.home {
            return Err(Error::damaged(name, "it is another snapshot's object"));
        }
        let pinned = self.home(header.home).and_then(|home| home.revoked_at);
        if pinned.is_some_and(|last| header.seq > last.seq) {
            return Err(Error::damaged(name, "its signer was revoked before it"));
        }
        if digest(&object.root) != header.root {
            return Err(Error::damaged(name, "its sealed root is not the one its writer signed for"));
        }
        Ok(Known { header, digest: digest(&bytes), bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX) })
    }

    /// Verifies a signed object of a home of the tip policy.
    pub(crate) fn verify(&self, kind: Kind, name: &ObjectName, signed: &Signed) -> Result<(), Error> {
        let Some(home) = self.home(signed.home) else {
            return Err(Error::damaged(name, "its signer is in no policy"));
        };
        sign::verify(&home.key, kind, self.repository, signed).map_err(|error| Error::damaged(name, error.to_string()))
    }

    fn read_logs(&mut self, store: &Store, catalog: &Catalog, listing: &Listing) -> Result<Vec<Believed>, Error> {
        let mut believed = Vec::new();
        let mut previous: Option<ChainHead> = None;
        for object in bounded(listing.below("log").collect())? {
            let Some((name, Named::Log(home, seq, name_digest))) = ObjectName::parse(&object.name) else {
                self.findings.push(foreign_name(&object.name));
                continue;
            };
            let head = ChainHead { home, seq, digest: name_digest };
            match self.read_entry(store, catalog, &name, object.bytes, head) {
                Ok((entry, role, event)) => {
                    self.chain(&name, previous, head, &entry);
                    previous = Some(head);
                    believed.push(Believed { home, role, seq, digest: name_digest, at: entry.at, event });
                }
                Err(error) if of_the_object(&error) => {
                    let advice = "the entry is ignored; if you did not expect it, somebody else can write to the store";
                    self.findings.push(Finding::new(Severity::Damage, error.to_string(), name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(believed)
    }

    fn read_entry(
        &self,
        store: &Store,
        catalog: &Catalog,
        name: &ObjectName,
        listed: u64,
        head: ChainHead,
    ) -> Result<(LogEntry, Role, Event), Error> {
        let bytes = fetch_listed(store, catalog, name, listed, LOG_ENTRY_BYTES_MAX)?;
        if digest(&bytes) != head.digest {
            return Err(Error::damaged(name, "its bytes do not hash to its name"));
        }
        let signed = Signed::decode(Kind::LogEntry, &bytes).map_err(|error| Error::format(name, error))?;
        self.verify(Kind::LogEntry, name, &signed)?;
        let entry: LogEntry =
            codec::from_cbor("log entry", &signed.payload).map_err(|error| Error::format(name, error))?;
        let home = self.home(head.home).ok_or_else(|| Error::damaged(name, "its signer is in no policy"))?;
        let is_its_own = signed.home == head.home && entry.home == head.home && entry.seq == head.seq;
        if !is_its_own || entry.repository != self.repository {
            return Err(Error::damaged(name, "it is another entry's object"));
        }
        if home.revoked_at.is_some_and(|last| entry.seq > last.seq) {
            return Err(Error::damaged(name, "its signer was revoked before it"));
        }
        let event = entry.event().map_err(|error| Error::format(name, error))?;
        Ok((entry, home.role, event))
    }

    /// Follows one home's chain; entries come sorted by home and number.
    fn chain(&mut self, name: &ObjectName, previous: Option<ChainHead>, head: ChainHead, entry: &LogEntry) {
        let before = previous.filter(|previous| previous.home == head.home);
        let follows = match before {
            None => entry.seq == 0 && entry.previous.is_none(),
            Some(before) => before.seq + 1 == entry.seq && entry.previous == Some(before.digest),
        };
        let twin = before.is_some_and(|before| before.seq == entry.seq);
        if twin {
            let what = format!("two entries have number {}: one signing key is used on two machines", entry.seq);
            let advice = "both entries count; enrol each machine with a key of its own";
            self.findings.push(Finding::new(Severity::Warning, what, name, advice));
        } else if !follows {
            let advice = "an entry before it is missing: compare with a copy of the repository";
            self.findings.push(Finding::new(Severity::Damage, "the log has a gap before this entry", name, advice));
        }
        self.heads.retain(|known| known.home != head.home);
        self.heads.push(head);
    }

    /// Applies what the logs say, in the order of its time; gives the plans whose end stands in a log.
    fn apply(&mut self, mut entries: Vec<Believed>) -> BTreeSet<PlanId> {
        let mut pruned = BTreeSet::new();
        // One home's entries keep their order whatever its clock did: no time lies before the one signed earlier.
        let mut floors: BTreeMap<HomeId, Millis> = BTreeMap::new();
        for entry in &mut entries {
            let floor = floors.entry(entry.home).or_insert(entry.at);
            entry.at = entry.at.max(*floor);
            *floor = entry.at;
        }
        entries.sort_by_key(|entry| (entry.at, entry.home, entry.seq));
        for entry in entries {
            let rules = matches!(entry.role, Role::Admin | Role::Maintenance);
            let place = ChainHead { home: entry.home, seq: entry.seq, digest: entry.digest };
            match entry.event {
                Event::Forget(named) if rules => self.forgotten.extend(named.snapshots),
                Event::Unforget(named) if entry.role == Role::Admin => {
                    self.forgotten.retain(|snapshot| !named.snapshots.contains(snapshot));
                }
                Event::Hold(named) if entry.role == Role::Admin => {
                    self.held.extend(named.snapshots.iter().map(|snapshot| (*snapshot, named.reason.clone())));
                }
                Event::Release(named) if entry.role == Role::Admin => {
                    self.held.retain(|snapshot, _| !named.snapshots.contains(snapshot));
                }
                Event::Check(record) => {
                    let proved = record.snapshots.iter().filter(|_| record.level >= 4 && rules);
                    let by_another = proved.filter(|snapshot| {
                        self.snapshots.get(snapshot).is_some_and(|known| known.header.home != entry.home)
                    });
                    self.verified.extend(by_another.copied().collect::<Vec<_>>());
                    self.checks.push((entry.at, record));
                }
                Event::Kit(record) if entry.role == Role::Admin => {
                    let sheets = if record.identity.is_some() { &mut self.identity_sheets } else { &mut self.kits };
                    sheets.insert(record.number, (entry.at, record));
                }
                Event::Prune(record) if rules => drop(pruned.insert(record.plan)),
                Event::Probe(_) => {}
                Event::Adopt(_) if entry.role == Role::Admin => {}
                Event::Restore(record) => self.ledger.restore(&record),
                Event::Unknown(_) => {}
                event if entry.role == Role::Admin && self.ledger.apply(place, entry.at, &event) => {}
                _ => {
                    let what = "an event that its signer's role does not allow";
                    let object = format!("log/{}/{:08}", entry.home, entry.seq);
                    self.findings.push(Finding::new(
                        Severity::Warning,
                        what,
                        object,
                        "it is ignored; ask who holds that key",
                    ));
                }
            }
        }
        // A hold outranks a forget, whichever came first.
        self.forgotten.retain(|snapshot| !self.held.contains_key(snapshot));
        self.erased = self.ledger.to_erase();
        self.erased.retain(|snapshot| !self.held.contains_key(snapshot));
        self.erased.extend(self.ledger.dropped().into_iter().filter(|snapshot| !self.held.contains_key(snapshot)));
        pruned
    }
}

fn newest_policy(
    store: &Store,
    catalog: &Catalog,
    manifest: &Manifest,
    pin: Option<&Pin>,
    listing: &Listing,
    findings: &mut Vec<Finding>,
) -> Result<(Policy, Digest), Error> {
    let mut newest: Option<(Policy, Digest)> = None;
    for object in bounded(listing.below("policy").collect())? {
        let Some((name, Named::Policy(number, name_digest))) = ObjectName::parse(&object.name) else {
            findings.push(foreign_name(&object.name));
            continue;
        };
        match read_policy(store, catalog, manifest, &name, object.bytes, (number, name_digest)) {
            Ok(policy) => newest = Some((policy, name_digest)),
            Err(error) if of_the_object(&error) => {
                let advice = "the policy is ignored; bring it back from a copy of the repository";
                findings.push(Finding::new(Severity::Damage, error.to_string(), name, advice));
            }
            Err(error) => return Err(error),
        }
    }
    let Some((policy, name_digest)) = newest else {
        return Err(Error::damaged("policy", "there is no valid policy in the repository"));
    };
    if let Some(pin) = pin.filter(|pin| pin.policy > policy.number) {
        let why = format!("the newest is number {}, but this host has seen number {}", policy.number, pin.policy);
        return Err(Error::damaged("policy", why));
    }
    Ok((policy, name_digest))
}

fn read_policy(
    store: &Store,
    catalog: &Catalog,
    manifest: &Manifest,
    name: &ObjectName,
    listed: u64,
    (number, name_digest): (u32, Digest),
) -> Result<Policy, Error> {
    let bytes = fetch_listed(store, catalog, name, listed, POLICY_BYTES_MAX)?;
    if digest(&bytes) != name_digest {
        return Err(Error::damaged(name, "its bytes do not hash to its name"));
    }
    let signed = Signed::decode(Kind::Policy, &bytes).map_err(|error| Error::format(name, error))?;
    sign::verify(&manifest.admin, Kind::Policy, manifest.repository, &signed)
        .map_err(|error| Error::damaged(name, error.to_string()))?;
    let policy: Policy = codec::from_cbor("policy", &signed.payload).map_err(|error| Error::format(name, error))?;
    if policy.number == number && policy.repository == manifest.repository {
        Ok(policy)
    } else {
        Err(Error::damaged(name, "it is another policy's object"))
    }
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
