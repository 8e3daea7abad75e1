//! Carrying objects from the repository to a copy: read, verified, stored; several at a time, each once.
//!
//! In: names. Out: what arrived, what vanished at the source meanwhile, what is not what its name or signature says. Bytes pass through as
//! they are; no key opens any of them.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use lacre_format::{
    codec,
    ids::Digest,
    keyring::{BUNDLE_BYTES_MAX, BundleList},
    name::{Named, ObjectName},
    object::Kind,
    signed::Signed,
};

use super::source::Item;
use crate::{
    error::Error,
    monitor::{Finding, Monitor, Progress, Severity},
    proof::{self, Verdict},
    repository::Repository,
    store::{PutOutcome, Store, StoreError},
    view::View,
};

/// Why carrying stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The copy's store failed.
    Target(StoreError),
    /// The repository's store or this host failed, or somebody interrupted it.
    Source(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Source(error)
    }
}

/// What became of some objects.
#[derive(Default)]
pub(super) struct Carried {
    /// Arrived, or were there already.
    pub(super) arrived: Vec<(Item, Sent)>,
    /// Were listed in the repository and are gone: a plan took them meanwhile.
    pub(super) vanished: Vec<Item>,
    /// Are not what they should be, here or there.
    pub(super) findings: Vec<Finding>,
}

/// Whether an object had to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// It was.
    Now,
    /// Somebody else had stored the same bytes.
    Before,
}

/// One object's fate.
enum Fate {
    Arrived(Sent),
    Vanished,
    Refused(Finding),
}

/// Carries objects to one copy.
pub(super) struct Carrier<'a> {
    pub(super) repository: &'a Repository,
    pub(super) view: &'a View,
    pub(super) to: &'a Store,
    pub(super) monitor: &'a dyn Monitor,
}

impl Carrier<'_> {
    /// Carries all of them, `lanes` at a time; with one lane in the given order.
    pub(super) fn carry(&self, items: &[Item], lanes: usize) -> Result<Carried, Stopped> {
        let carried = Mutex::new(Carried::default());
        let stopped: Mutex<Option<Stopped>> = Mutex::new(None);
        let (next, ends) = (AtomicUsize::new(0), AtomicBool::new(false));
        let run = || {
            while !ends.load(Ordering::Relaxed) {
                let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                match self.carry_one(item) {
                    Ok(fate) => carried.lock().unwrap_or_else(PoisonError::into_inner).take(item, fate),
                    Err(error) => {
                        stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        ends.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..lanes.min(items.len()) {
                scope.spawn(run);
            }
            run();
        });
        match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(stopped) => Err(stopped),
            None => Ok(carried.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn carry_one(&self, item: &Item) -> Result<Fate, Stopped> {
        if self.monitor.cancelled() {
            return Err(Error::Interrupted.into());
        }
        let bytes = match self.repository.store().get(&item.name, item.bytes) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Fate::Vanished),
            Err(StoreError::TooLarge { .. }) => return Ok(changed(item)),
            Err(error) => return Err(Stopped::Source(error.into())),
        };
        if let Err(error) = self.verify(&item.name, &item.named, &bytes) {
            if let Error::Store(_) = error {
                return Err(Stopped::Source(error));
            }
            return Ok(Fate::Refused(refused(item, &error)));
        }
        let length = bytes.len() as u64;
        let fate = match self.to.put_new(&item.name, bytes.clone()).map_err(Stopped::Target)? {
            PutOutcome::Created => Fate::Arrived(Sent::Now),
            PutOutcome::AlreadyExists => self.same_there(item, &bytes)?,
        };
        if matches!(fate, Fate::Arrived(Sent::Now)) {
            self.monitor.progress(Progress::Bytes(length));
            self.monitor.progress(Progress::Objects(1));
        }
        Ok(fate)
    }

    /// Somebody stored it since the copy was listed: it must be the same.
    fn same_there(&self, item: &Item, bytes: &Bytes) -> Result<Fate, Stopped> {
        match self.to.get(&item.name, bytes.len() as u64) {
            Ok(stored) if stored == *bytes => Ok(Fate::Arrived(Sent::Before)),
            Ok(_) | Err(StoreError::TooLarge { .. }) => {
                let what = "the copy holds other bytes under this name";
                let advice = "it is left as it is: find out who writes there; `lacre copy verify --read-data`";
                Ok(Fate::Refused(Finding::new(Severity::Damage, what, &item.name, advice)))
            }
            Err(error) => Err(Stopped::Target(error)),
        }
    }

    /// Whether bytes are what their name, or a signature, says: without any key that opens them.
    pub(super) fn verify(&self, name: &ObjectName, named: &Named, bytes: &[u8]) -> Result<(), Error> {
        match named {
            Named::Snapshot(snapshot) => match self.view.snapshots.get(snapshot) {
                Some(known) => hashes(name, bytes, known.digest.as_bytes()),
                None => Err(Error::damaged(name, "it is no snapshot that is believed")),
            },
            Named::Reach(snapshot) => match self.view.snapshots.get(snapshot) {
                Some(known) => hashes(name, bytes, known.header.reach.as_bytes()),
                None => Err(Error::damaged(name, "it belongs to no snapshot that is believed")),
            },
            Named::Bundle(generation) => {
                let list = self.repository.signed_list(self.view, *generation)?;
                hashes(name, bytes, list.bundle.as_bytes())
            }
            Named::RebuiltReach(..) => {
                let signed = Signed::decode(Kind::RebuiltReach, bytes).map_err(|error| Error::format(name, error))?;
                self.view.verify(Kind::RebuiltReach, name, &signed)?;
                self.judge(name, named, bytes)
            }
            _ => self.judge(name, named, bytes),
        }
    }

    fn judge(&self, name: &ObjectName, named: &Named, bytes: &[u8]) -> Result<(), Error> {
        match proof::judge(self.view, &[], name, named, bytes) {
            Verdict::Bad => Err(Error::damaged(name, "its bytes are not what is signed for")),
            // What only a key that opens it could prove keeps its form, and is proved by whoever opens it.
            Verdict::Good | Verdict::Unknown => Ok(()),
        }
    }
}

impl Carried {
    fn take(&mut self, item: &Item, fate: Fate) {
        match fate {
            Fate::Arrived(sent) => self.arrived.push((item.clone(), sent)),
            Fate::Vanished => self.vanished.push(item.clone()),
            Fate::Refused(finding) => self.findings.push(finding),
        }
    }
}

/// An object of the repository that is not what it should be. Nothing is lost with parity, which is computed from its pack.
pub(super) fn refused(item: &Item, error: &Error) -> Finding {
    let (severity, advice) = match item.named {
        Named::Parity(_) => (Severity::Warning, "it is not copied; lacre repo repair computes it again from its pack"),
        _ => (
            Severity::Damage,
            "it is not copied; `lacre repo check` tells the extent, and a copy may hold the right one",
        ),
    };
    Finding::new(severity, error.to_string(), &item.name, advice)
}

fn changed(item: &Item) -> Fate {
    let what = format!("it was listed with {} bytes and is longer", item.bytes);
    let advice = "it is not copied; `lacre repo check` tells the extent";
    Fate::Refused(Finding::new(Severity::Damage, what, &item.name, advice))
}

fn hashes(name: &ObjectName, bytes: &[u8], digest: &[u8; 32]) -> Result<(), Error> {
    if blake3::hash(bytes) == *digest {
        Ok(())
    } else {
        Err(Error::damaged(name, "its bytes are not what is signed for"))
    }
}

impl Repository {
    /// The signed list of a generation's bundle, which says what the bundle's bytes are.
    pub(super) fn signed_list(
        &self,
        view: &View,
        generation: lacre_format::ids::GenerationId,
    ) -> Result<BundleList, Error> {
        let name = ObjectName::of(&Named::BundleList(generation));
        let bytes = self.store().get(&name, BUNDLE_BYTES_MAX)?;
        let signed = Signed::decode(Kind::BundleList, &bytes).map_err(|error| Error::format(&name, error))?;
        view.verify(Kind::BundleList, &name, &signed)?;
        codec::from_cbor("bundle list", &signed.payload).map_err(|error| Error::format(&name, error))
    }
}

/// BLAKE3 of an object, as names carry it.
pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}
