//! The store: named, immutable objects behind five verbs.
//!
//! In come object names and whole objects; out go bytes, listings and typed errors. A store knows nothing of what the objects
//! mean, holds no keys of a repository, and never overwrites: [`Store::put_new`] is the only way in. Three backends exist: a local
//! directory ([`Store::create_local`], [`Store::open_local`]), a bucket ([`Store::open_bucket`]) and memory ([`Store::memory`]).
//! Every async part lives behind this module: callers block on a channel and may themselves run in any runtime.

mod access;
mod bucket;
mod cause;
mod counts;
mod error;
pub mod fault;
mod handles;
mod listed;
mod local;
mod probe;
mod remote;
pub mod schedule;
mod staging;
#[cfg(test)]
mod tests;
pub mod witness;

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use lacre_format::name::ObjectName;

pub use bucket::{BucketOptions, Conditional, Credentials, Lock, PARALLEL_DEFAULT, PlainHttp, Timeouts};
pub use cause::{Cause, Remedy};
pub use counts::{Counts, Verb};
pub use error::{Operation, StoreError};
pub use listed::{Foreign, ForeignKind, Listing, ObjectMeta};
pub use probe::{DeleteRight, Fact, LockMode, ObjectLock, Probe, SKEW_MAX, Versioning};
pub use staging::Sweep;

use access::Access;
use bucket::BucketStore;
use counts::Counter;
use fault::{FaultPlan, Faults};
use local::LocalStore;
use remote::RemoteStore;

/// Most entries one listing returns; a store with more is refused rather than read into memory for ever.
pub const LIST_ENTRIES_MAX: usize = 16 * 1024 * 1024;

/// Deepest directory a local listing descends into; anything deeper is reported as foreign.
pub const LIST_DEPTH_MAX: usize = 8;

/// Longest object of a probe that is read back.
const PROBED_BYTES_MAX: u64 = 1024;

/// What became of an object given to [`Store::put_new`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum PutOutcome {
    /// The object is durable under its name, and this call wrote it.
    Created,
    /// The name was taken; what is stored there was left as it is and may hold other bytes.
    AlreadyExists,
}

/// What became of an object given to [`Store::heal`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Healed {
    /// Nothing lay under its name.
    Added,
    /// What lay under its name was not the object.
    Replaced,
    /// The object is there and sound; nothing was written.
    WasGood,
}

/// What became of an object given to [`Store::delete`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    /// No version of it is left.
    Gone,
    /// A lock keeps a version of it; it can be deleted afterwards.
    Pending {
        /// When the lock ends; nothing for a hold that somebody has to lift.
        until: Option<Timestamp>,
    },
    /// It is hidden, but these keys may not delete its older versions.
    Hidden,
}

impl Deletion {
    /// The worse of two outcomes; of two locks the longer one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Gone, other) | (other, Self::Gone) => other,
            (Self::Pending { until: Some(one) }, Self::Pending { until: Some(two) }) => {
                Self::Pending { until: Some(one.max(two)) }
            }
            (Self::Pending { .. }, Self::Pending { .. }) => Self::Pending { until: None },
            (Self::Pending { until }, Self::Hidden) | (Self::Hidden, Self::Pending { until }) => {
                Self::Pending { until }
            }
            (Self::Hidden, Self::Hidden) => Self::Hidden,
        }
    }
}

/// A file or directory of the store that others on this host may open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// Where it lies, relative to the store; empty for the store's own directory.
    pub name: String,
    /// Its permission bits, e.g. `0o755`.
    pub mode: u32,
    /// The user id that owns it.
    pub owner: u32,
}

/// A store of immutable objects; cheap to clone, safe to share between threads.
#[derive(Clone)]
pub struct Store {
    backend: Arc<Backend>,
    counter: Arc<Counter>,
    faults: Option<Arc<Faults>>,
    access: Access,
}

enum Backend {
    Local(LocalStore),
    Remote(RemoteStore),
    Bucket(BucketStore),
}

impl Store {
    /// Makes a directory into an empty store.
    ///
    /// The directory is created with mode 0700, missing parents too; an existing empty one is taken over.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] when the directory holds anything, else what the file system says.
    pub fn create_local(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(Backend::Local(LocalStore::create(path)?)))
    }

    /// Opens a store in an existing directory.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the directory does not exist, else what the file system says.
    pub fn open_local(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(Backend::Local(LocalStore::open(path)?)))
    }

    /// Makes an empty store in memory, which lives as long as its clones.
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Backend::Remote(RemoteStore::memory()))
    }

    /// Opens a prefix in a bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`StoreError::Remote`] when the options cannot lead anywhere.
    pub fn open_bucket(options: &BucketOptions) -> Result<Self, StoreError> {
        Ok(Self::over(Backend::Bucket(BucketStore::open(options)?)))
    }

    /// The same objects seen through a fault plan, with counts of its own; for tests.
    #[must_use]
    pub fn with_faults(&self, plan: FaultPlan) -> Self {
        self.through(Faults::new(plan))
    }

    /// The same objects through other faults; a witness goes on being told.
    fn through(&self, faults: Faults) -> Self {
        let witness = self.faults.as_ref().and_then(|known| known.witness());
        let faults = if witness.is_some() { faults.with_witness(witness) } else { faults };
        let (backend, access) = (Arc::clone(&self.backend), self.access);
        Self { backend, counter: Arc::default(), faults: Some(Arc::new(faults)), access }
    }

    /// Stores a new object; when this returns `Created` the object survives a power cut.
    ///
    /// # Errors
    /// Whatever kept the object from becoming durable; it may then be stored or not.
    pub fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        self.refuse_writes(name, Operation::Write)?;
        self.counter.begin(Verb::PutNew);
        let length = bytes.len();
        let outcome = match &self.faults {
            None => self.backend.put_new(name, bytes),
            Some(faults) => faults.put_new(name, bytes, |bytes| self.backend.put_new(name, bytes)),
        }?;
        if outcome == PutOutcome::Created {
            self.counter.sent(length);
        }
        Ok(outcome)
    }

    /// Gives an object its bytes back: the one way over something that is stored. `is_good` says whether bytes are what the name says; what
    /// is there stays if they are, and is replaced in one step if they are not, or if it is too long or unreadable for its device.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] when no regular file lies there; whatever kept the object from being read or from becoming durable.
    pub fn heal(
        &self,
        name: &ObjectName,
        bytes: &Bytes,
        bytes_max: u64,
        is_good: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Healed, StoreError> {
        match self.get(name, bytes_max) {
            Ok(found) if is_good(&found) => return Ok(Healed::WasGood),
            Err(error) if error.is_not_found() => {
                if self.put_new(name, bytes.clone())? == PutOutcome::Created {
                    return Ok(Healed::Added);
                }
            }
            Ok(_) | Err(StoreError::TooLarge { .. } | StoreError::OutOfRange { .. } | StoreError::Io { .. }) => {}
            Err(error) => return Err(error),
        }
        self.refuse_writes(name, Operation::Write)?;
        self.counter.begin(Verb::PutNew);
        let replace = |bytes| self.backend.replace(name, bytes).map(|()| PutOutcome::Created);
        match &self.faults {
            None => replace(bytes.clone()),
            Some(faults) => faults.put_new(name, bytes.clone(), replace),
        }
        .map(|_| self.counter.sent(bytes.len()))?;
        Ok(Healed::Replaced)
    }

    /// Reads a whole object of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::TooLarge`] before reading; [`StoreError::Foreign`] for what is no regular file.
    pub fn get(&self, name: &ObjectName, bytes_max: u64) -> Result<Bytes, StoreError> {
        self.counter.begin(Verb::Get);
        let bytes = match &self.faults {
            None => self.backend.get(name, bytes_max),
            Some(faults) => faults.read(Verb::Get, name, || self.backend.get(name, bytes_max)),
        }?;
        self.counter.received(bytes.len());
        Ok(bytes)
    }

    /// Reads exactly the bytes `range` of an object; an empty range only proves that the object is there.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::OutOfRange`] when the object ends before the range does.
    pub fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.counter.begin(Verb::GetRange);
        let read = || self.backend.get_range(name, range.clone());
        let bytes = match &self.faults {
            None => read(),
            Some(faults) => faults.read(Verb::GetRange, name, read),
        }?;
        self.counter.received(bytes.len());
        Ok(bytes)
    }

    /// Gives the first `bytes` bytes of an object piece by piece, in order: whoever only looks at them once needs no memory for all of them. One call, however many pieces there are.
    ///
    /// # Errors
    /// As [`Store::get_range`]; what was given before belongs to nothing then.
    pub fn get_pieces(&self, name: &ObjectName, bytes: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        match (&*self.backend, &self.faults) {
            (Backend::Local(local), None) => {
                self.counter.begin(Verb::GetRange);
                local.get_pieces(name, bytes, &mut |piece| {
                    self.counter.received(piece.len());
                    each(piece);
                })
            }
            _ => self.get_range(name, 0..bytes).map(|all| each(&all)),
        }
    }

    /// Lists the objects below a directory-like prefix (`"packs"` or `"packs/"`, `""` for all), sorted by name.
    ///
    /// A prefix matches whole segments; one that names nothing gives an empty listing. What is no object is reported, not followed.
    ///
    /// # Errors
    /// [`StoreError::BadName`] for a malformed prefix; [`StoreError::TooLarge`] beyond [`LIST_ENTRIES_MAX`] entries.
    pub fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.counter.begin(Verb::List);
        let segments = checked_prefix(prefix)?;
        match &self.faults {
            None => self.backend.list(segments),
            Some(faults) => faults.run(Verb::List, prefix, || self.backend.list(segments)),
        }
    }

    /// Lists the objects below several prefixes, sorted by name; in a bucket one request often answers for all of them.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn list_many(&self, prefixes: &[&str]) -> Result<Listing, StoreError> {
        let Backend::Bucket(bucket) = &*self.backend else {
            let mut all = Listing::default();
            for prefix in prefixes {
                let Listing { mut objects, mut foreign } = self.list(prefix)?;
                all.objects.append(&mut objects);
                all.foreign.append(&mut foreign);
            }
            all.objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            return Ok(all);
        };
        self.counter.begin(Verb::List);
        let list = || bucket.list_many(prefixes);
        match &self.faults {
            None => list(),
            Some(faults) => faults.run(Verb::List, prefixes.first().copied().unwrap_or_default(), list),
        }
    }

    /// The names below a prefix of which anything is kept: in a versioned bucket also those of which only hidden versions are left.
    ///
    /// # Errors
    /// As [`Store::list`]; [`StoreError::Remote`] when the keys may not list versions.
    pub fn names_kept(&self, prefix: &str) -> Result<BTreeSet<String>, StoreError> {
        let Backend::Bucket(bucket) = &*self.backend else {
            return Ok(self.list(prefix)?.objects.into_iter().map(|object| object.name).collect());
        };
        self.counter.begin(Verb::List);
        let segments = checked_prefix(prefix)?;
        match &self.faults {
            None => bucket.names_kept(segments),
            Some(faults) => faults.run(Verb::List, prefix, || bucket.names_kept(segments)),
        }
    }

    /// Deletes an object durably, in a versioned bucket every version of it; one that is not there is no error, as a repeated
    /// deletion must succeed.
    ///
    /// A lock is no error either: the outcome says until when it holds.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for what is no regular file, else what the store says; the object may then be gone or not.
    pub fn delete(&self, name: &ObjectName) -> Result<Deletion, StoreError> {
        self.refuse_writes(name, Operation::Unlink)?;
        self.counter.begin(Verb::Delete);
        match &self.faults {
            None => self.backend.delete(name),
            Some(faults) => faults.run(Verb::Delete, name.as_str(), || self.backend.delete(name)),
        }
    }

    /// Locks a stored object until a time, if this store's options lock its class at all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], else what the store says.
    pub fn extend_lock(&self, name: &ObjectName, until: Timestamp) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => Ok(()),
            Backend::Bucket(bucket) => bucket.extend_lock(name, until),
        }
    }

    /// For how many days this store locks new packs, indexes, reach maps and snapshots.
    #[must_use]
    pub fn lock_days(&self) -> Option<u32> {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => None,
            Backend::Bucket(bucket) => bucket.lock_days(),
        }
    }

    /// Finds out what the store can do, by writing and deleting a few small objects under `probe/`.
    ///
    /// # Errors
    /// Whatever kept the store from being tried.
    pub fn probe(&self) -> Result<Probe, StoreError> {
        // Two hash keys that the standard library draws from the kernel: names of one probe are those of no other.
        let drawn = || RandomState::new().hash_one("probe");
        let mark = format!("{:016x}{:016x}", drawn(), drawn());
        match &*self.backend {
            Backend::Bucket(bucket) if self.access == Access::Full => bucket.probe(mark),
            Backend::Bucket(_) | Backend::Local(_) | Backend::Remote(_) => self.probe_simple(&mark),
        }
    }

    /// The probe of a store without versions, locks, connections or a clock of its own.
    fn probe_simple(&self, mark: &str) -> Result<Probe, StoreError> {
        let text = format!("probe/{mark}-twice");
        let name = ObjectName::from_path(&text).map_err(|_| StoreError::BadName { name: text.clone() })?;
        let body = Bytes::from(text.clone());
        let (first, second) = (self.put_new(&name, body.clone())?, self.put_new(&name, Bytes::from_static(b"second"))?);
        let refused = first == PutOutcome::Created && second == PutOutcome::AlreadyExists;
        let reads_own_writes = self.get(&name, PROBED_BYTES_MAX)? == body;
        let lists_own_writes = self.list("probe")?.objects.iter().any(|object| object.name == text);
        let deletes = DeleteRight::of(self.delete(&name)?);
        Ok(Probe {
            place: self.place(),
            conditional: if refused { Conditional::Supported } else { Conditional::Ignored },
            versioning: Versioning::Off,
            object_lock: ObjectLock::Absent,
            reads_own_writes,
            lists_own_writes,
            deletes,
            clock_skew: None,
            left_over: Vec::new(),
        })
    }

    /// How often each verb was called on this store and its clones, and how many bytes went either way.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counter.counts()
    }

    /// The directory of a local store.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &*self.backend {
            Backend::Local(local) => Some(local.path()),
            Backend::Remote(_) | Backend::Bucket(_) => None,
        }
    }

    /// Where the store lies, as people write it.
    #[must_use]
    pub fn place(&self) -> String {
        match &*self.backend {
            Backend::Local(local) => local.path().display().to_string(),
            Backend::Remote(_) => "memory:".to_owned(),
            Backend::Bucket(bucket) => bucket.place().to_owned(),
        }
    }

    /// How many packs it is worth storing at the same time.
    #[must_use]
    pub fn parallel(&self) -> usize {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => 1,
            Backend::Bucket(bucket) => bucket.parallel(),
        }
    }

    /// HTTP requests sent, with every try; nothing for a store that needs none.
    #[must_use]
    pub fn http_requests(&self) -> Option<u64> {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => None,
            Backend::Bucket(bucket) => Some(bucket.requests()),
        }
    }

    /// How far the store's clock is ahead of this machine's, by its last answer; nothing for a store without a clock of its own.
    #[must_use]
    pub fn clock_skew(&self) -> Option<jiff::SignedDuration> {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => None,
            Backend::Bucket(bucket) => bucket.clock_skew(),
        }
    }

    /// What the store does with conditional PUTs, as far as this run has seen.
    #[must_use]
    pub fn conditional(&self) -> Conditional {
        match &*self.backend {
            Backend::Local(_) | Backend::Remote(_) => Conditional::Supported,
            Backend::Bucket(bucket) => bucket.conditional(),
        }
    }

    /// What others on this host may open: at most `entries_max` entries, the store's directory first.
    ///
    /// # Errors
    /// Whatever kept the directory from being read.
    pub fn exposure(&self, entries_max: usize) -> Result<Vec<Exposure>, StoreError> {
        match &*self.backend {
            Backend::Local(local) => local.exposure(entries_max),
            Backend::Remote(_) | Backend::Bucket(_) => Ok(Vec::new()),
        }
    }

    /// Removes what dead writers left half written; files of living writers are never touched.
    ///
    /// # Errors
    /// Whatever kept the staging directory from being read; single files that resist are in the report.
    pub fn sweep_staging(&self) -> Result<Sweep, StoreError> {
        match &*self.backend {
            Backend::Local(local) => local.sweep_staging(),
            Backend::Remote(_) | Backend::Bucket(_) => Ok(Sweep::default()),
        }
    }

    fn over(backend: Backend) -> Self {
        Self { backend: Arc::new(backend), counter: Arc::default(), faults: None, access: Access::Full }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Store").field(&self.place()).finish()
    }
}

impl Backend {
    fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        match self {
            Self::Local(local) => local.put_new(name, &bytes),
            Self::Remote(remote) => remote.put_new(name, bytes),
            Self::Bucket(bucket) => bucket.put_new(name, bytes),
        }
    }

    fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Self::Local(local) => local.replace(name, &bytes),
            Self::Remote(remote) => remote.replace(name, bytes),
            Self::Bucket(bucket) => bucket.replace(name, bytes),
        }
    }

    fn get(&self, name: &ObjectName, bytes_max: u64) -> Result<Bytes, StoreError> {
        match self {
            Self::Local(local) => local.get(name, bytes_max),
            Self::Remote(remote) => remote.get(name, bytes_max),
            Self::Bucket(bucket) => bucket.get(name, bytes_max),
        }
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.start > range.end {
            return Err(StoreError::OutOfRange { name: name.to_string(), start: range.start, end: range.end });
        }
        match self {
            Self::Local(local) => local.get_range(name, range),
            Self::Remote(remote) => remote.get_range(name, range),
            Self::Bucket(bucket) => bucket.get_range(name, range),
        }
    }

    fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let mut listing = match self {
            Self::Local(local) => local.list(prefix),
            Self::Remote(remote) => remote.list(prefix),
            Self::Bucket(bucket) => bucket.list(prefix),
        }?;
        listing.objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        listing.foreign.sort_unstable();
        Ok(listing)
    }

    fn delete(&self, name: &ObjectName) -> Result<Deletion, StoreError> {
        match self {
            Self::Local(local) => local.delete(name).map(|()| Deletion::Gone),
            Self::Remote(remote) => remote.delete(name).map(|()| Deletion::Gone),
            Self::Bucket(bucket) => bucket.delete(name),
        }
    }
}

/// The prefix without its last slash, its segments checked by the rules of object names.
fn checked_prefix(prefix: &str) -> Result<&str, StoreError> {
    let segments = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty() && ObjectName::from_path(segments).is_err() {
        return Err(StoreError::BadName { name: prefix.escape_default().to_string() });
    }
    Ok(segments)
}
