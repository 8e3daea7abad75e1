//! Which key entries a new generation carries: all that are valid, less what signed records drop. Absence never drops anything.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    ids::{Digest, GenerationId, Millis, SnapshotId},
    keyring::{BUNDLE_BYTES_MAX, BundleList, KEY_ENTRY_BYTES_MAX, KeyEntry, KeyEnvelope, decode_bundle_object},
    name::{Named, ObjectName},
    object::Kind,
    policy::Role,
    session::{Outcome, SESSION_BYTES_MAX, Session, SessionEnd},
    signed::Signed,
};
use lacre_seal::{bundle, outer::SealSeed};

use crate::{
    error::Error,
    home::Signer,
    monitor::{Finding, Severity},
    op::{keys::ReadKeys, void::Voided},
    repository::Repository,
    view::{View, is_strange},
};

/// Signed entries by snapshot; a writer that made its entry again before it committed has several until its header says which.
#[derive(Default)]
pub(super) struct Carried {
    entries: BTreeMap<SnapshotId, Vec<Vec<u8>>>,
    pub(super) findings: Vec<Finding>,
}

impl Carried {
    pub(super) fn has(&self, snapshot: SnapshotId) -> bool {
        self.entries.contains_key(&snapshot)
    }

    pub(super) fn of(&self, snapshot: SnapshotId) -> &[Vec<u8>] {
        self.entries.get(&snapshot).map_or(&[], Vec::as_slice)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SnapshotId, &Vec<u8>)> {
        self.entries.iter().flat_map(|(snapshot, entries)| entries.iter().map(move |entry| (*snapshot, entry)))
    }

    /// Leaves out what signed records drop, and says what went.
    pub(super) fn drop_all(&mut self, dropped: &BTreeSet<SnapshotId>) -> Vec<SnapshotId> {
        let gone = self.entries.keys().filter(|snapshot| dropped.contains(snapshot)).copied().collect();
        self.entries.retain(|snapshot, _| !dropped.contains(snapshot));
        gone
    }

    pub(super) fn snapshots(&self) -> Vec<SnapshotId> {
        self.entries.keys().copied().collect()
    }

    /// Other entries in the place of a snapshot's.
    pub(super) fn replace(&mut self, snapshot: SnapshotId, entries: Vec<Vec<u8>>) {
        self.entries.insert(snapshot, entries);
    }

    fn add(&mut self, snapshot: SnapshotId, entry: Vec<u8>) {
        let known = self.entries.entry(snapshot).or_default();
        if !known.contains(&entry) {
            known.push(entry);
        }
    }

    fn reject(&mut self, name: impl ToString, error: &Error) {
        let advice =
            "it is not carried into the new generation; if you did not expect it, somebody else can write to the store";
        self.findings.push(Finding::new(Severity::Warning, error.to_string(), name, advice));
    }
}

/// What an admin carried into the inbox of a new generation was judged when it was carried.
fn is_carried(view: &View, name: &ObjectName, signed: &Signed) -> bool {
    view.home(signed.home).is_some_and(|home| home.role == Role::Admin)
        && view.stands(Kind::KeyEnvelope, name, signed).is_ok()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

impl Repository {
    /// Every valid entry of a generation's bundle and inbox.
    pub(super) fn gather(&self, view: &View, seed: &SealSeed, generation: GenerationId) -> Result<Carried, Error> {
        let mut carried = Carried::default();
        let listed = self.bundle_list(view, generation)?;
        for entry in self.bundle_entries(seed, generation)? {
            let entry: Vec<u8> = entry.into();
            let name = ObjectName::of(&Named::Bundle(generation));
            let admitted = |found: &SnapshotId| listed.contains(&(*found, digest(&entry)));
            match self.judge(view, &name, &entry, &admitted) {
                Ok(snapshot) => carried.add(snapshot, entry),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => carried.reject(&name, &error),
            }
        }
        for (name, snapshot) in self.inbox(generation)? {
            match self.open_inbox(view, seed, &name, snapshot) {
                Ok(entry) => carried.add(snapshot, entry),
                Err(error) if is_strange(&error) => carried.reject(&name, &error),
                Err(error @ Error::Store(_)) => return Err(error),
                Err(error) => carried.reject(&name, &error),
            }
        }
        Ok(carried)
    }

    /// What lies in a generation's inbox, as names say, which anybody may have put there.
    pub(super) fn inbox(&self, generation: GenerationId) -> Result<Vec<(ObjectName, SnapshotId)>, Error> {
        let listed = self.store().list(&format!("keyring/in/{generation}"))?.objects;
        let entry = |name: &str| match ObjectName::parse(name) {
            Some((name, Named::KeyEntry(_, snapshot, _))) => Some((name, snapshot)),
            _ => None,
        };
        Ok(listed.iter().filter_map(|object| entry(&object.name)).collect())
    }

    /// Which of these snapshots have an entry in a generation. Where the seal is at hand it is opened; elsewhere the list and the envelopes
    /// say so, as far as they are signed by an admin or by the snapshot's own writer. A name alone says nothing.
    pub(crate) fn entries_of(
        &self,
        view: &View,
        generation: GenerationId,
        wanted: &BTreeSet<SnapshotId>,
    ) -> Result<BTreeSet<SnapshotId>, Error> {
        let list = self.bundle_list(view, generation)?;
        let mut found: BTreeSet<SnapshotId> =
            list.into_iter().map(|(snapshot, _)| snapshot).filter(|snapshot| wanted.contains(snapshot)).collect();
        let named = self.inbox(generation)?;
        let named: Vec<_> =
            named.into_iter().filter(|(_, snapshot)| wanted.contains(snapshot) && !found.contains(snapshot)).collect();
        if named.is_empty() {
            return Ok(found);
        }
        // A cell that does not answer is no reason not to say what signatures say.
        let seals = self.seals(view, &ReadKeys::default()).ok();
        let seed = seals.as_ref().and_then(|seals| seals.seed(generation));
        for (name, snapshot) in named {
            let entry = match seed {
                Some(seed) => self.open_inbox(view, seed, &name, snapshot).map(drop),
                None => self.envelope(view, &name, generation, snapshot).map(drop),
            };
            match entry {
                Ok(()) => drop(found.insert(snapshot)),
                Err(error) if is_strange(&error) => {}
                Err(error @ Error::Store(_)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// What a generation's list says is in its bundle, signed by an admin.
    pub(super) fn bundle_list(
        &self,
        view: &View,
        generation: GenerationId,
    ) -> Result<BTreeSet<(SnapshotId, Digest)>, Error> {
        let name = ObjectName::of(&Named::BundleList(generation));
        let bytes = self.store().get(&name, BUNDLE_BYTES_MAX)?;
        let signed = Signed::decode(Kind::BundleList, &bytes).map_err(|error| Error::format(&name, error))?;
        view.verify(Kind::BundleList, &name, &signed)?;
        view.stands(Kind::BundleList, &name, &signed)?;
        let list: BundleList =
            codec::from_cbor("bundle list", &signed.payload).map_err(|error| Error::format(&name, error))?;
        if list.generation != generation {
            return Err(Error::damaged(&name, "it is of another generation than its name says"));
        }
        Ok(list.entries.into_iter().collect())
    }

    fn bundle_entries(
        &self,
        seed: &SealSeed,
        generation: GenerationId,
    ) -> Result<Vec<minicbor::bytes::ByteVec>, Error> {
        let name = ObjectName::of(&Named::Bundle(generation));
        let bytes = self.store().get(&name, BUNDLE_BYTES_MAX)?;
        let (_, ciphertext) = decode_bundle_object(&bytes).map_err(|error| Error::format(&name, error))?;
        Ok(bundle::open_bundle(seed, self.id(), generation, ciphertext)?.entries)
    }

    /// The signed entry inside an object of the inbox, if it is believed.
    fn open_inbox(
        &self,
        view: &View,
        seed: &SealSeed,
        name: &ObjectName,
        snapshot: SnapshotId,
    ) -> Result<Vec<u8>, Error> {
        let (signed, envelope) = self.read_envelope(view, name)?;
        let limit = usize::try_from(KEY_ENTRY_BYTES_MAX).unwrap_or(usize::MAX);
        let entry = seed.open(&envelope.sealed, limit).map_err(|error| Error::damaged(name, error.to_string()))?;
        let carried_by_admin = is_carried(view, name, &signed);
        let found = self.judge(view, name, &entry, &|_| carried_by_admin)?;
        if found == snapshot {
            Ok(entry.to_vec())
        } else {
            Err(Error::damaged(name, "its entry is another snapshot's"))
        }
    }

    fn read_envelope(&self, view: &View, name: &ObjectName) -> Result<(Signed, KeyEnvelope), Error> {
        let bytes = self.store().get(name, KEY_ENTRY_BYTES_MAX)?;
        let signed = Signed::decode(Kind::KeyEnvelope, &bytes).map_err(|error| Error::format(name, error))?;
        view.verify(Kind::KeyEnvelope, name, &signed)?;
        let envelope = codec::from_cbor("key entry", &signed.payload).map_err(|error| Error::format(name, error))?;
        Ok((signed, envelope))
    }

    /// An object of the inbox as far as it can be judged without the seal: who signed that which entry of which snapshot lies in it.
    pub(super) fn envelope(
        &self,
        view: &View,
        name: &ObjectName,
        generation: GenerationId,
        snapshot: SnapshotId,
    ) -> Result<Signed, Error> {
        let (signed, envelope) = self.read_envelope(view, name)?;
        if envelope.snapshot != snapshot || envelope.generation != generation {
            return Err(Error::damaged(name, "it is another entry's envelope"));
        }
        let by_writer = match view.snapshots.get(&snapshot) {
            Some(known) => known.header.key_entry == envelope.entry,
            None => self.session_home(view, snapshot)? == Some(signed.home),
        };
        if by_writer || is_carried(view, name, &signed) {
            Ok(signed)
        } else {
            Err(Error::damaged(name, "nobody signed for the key entry it holds"))
        }
    }

    /// Whether an entry is believed: its writer signed for it in the snapshot's header; or an admin's list admits it; or there is
    /// no header yet, and whoever signed the entry signed the session that names the snapshot.
    fn judge(
        &self,
        view: &View,
        name: &ObjectName,
        bytes: &[u8],
        admitted: &dyn Fn(&SnapshotId) -> bool,
    ) -> Result<SnapshotId, Error> {
        let signed = Signed::decode(Kind::KeyEntry, bytes).map_err(|error| Error::format(name, error))?;
        view.verify(Kind::KeyEntry, name, &signed)?;
        let entry: KeyEntry =
            codec::from_cbor("key entry", &signed.payload).map_err(|error| Error::format(name, error))?;
        let snapshot = entry.snapshot;
        if entry.repository != self.id() {
            return Err(Error::damaged(name, "it belongs to another repository"));
        }
        let believed = match view.snapshots.get(&snapshot) {
            Some(known) => {
                known.header.key_entry == digest(bytes)
                    || (admitted(&snapshot) && known.header.key_commitment == entry.key_commitment)
            }
            // Its frames are gone, and a signed record says so: it is dropped below.
            None if view.plans.reclaimed.contains_key(&snapshot) => true,
            // A run that had not committed when its key was revoked never will.
            None => {
                let may_commit = view.home(signed.home).is_some_and(|home| !home.is_revoked());
                admitted(&snapshot) || (may_commit && self.session_home(view, snapshot)? == Some(signed.home))
            }
        };
        if believed { Ok(snapshot) } else { Err(Error::damaged(name, "nobody signed for the key entry it holds")) }
    }

    /// A small object, or nothing where none is: what is no object of ours, whoever put it there, is none.
    fn small(&self, name: &ObjectName) -> Result<Option<bytes::Bytes>, Error> {
        match self.store().get(name, SESSION_BYTES_MAX).map_err(Error::from) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Store(error)) if error.is_not_found() => Ok(None),
            Err(error) if is_strange(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn session_home(&self, view: &View, snapshot: SnapshotId) -> Result<Option<lacre_format::ids::HomeId>, Error> {
        let name = ObjectName::of(&Named::Session(snapshot));
        let Some(bytes) = self.small(&name)? else { return Ok(None) };
        let believed = Signed::decode(Kind::Session, &bytes)
            .ok()
            .filter(|signed| view.verify(Kind::Session, &name, signed).is_ok());
        let session = believed.and_then(|signed| codec::from_cbor::<Session>("session", &signed.payload).ok());
        Ok(session.filter(|session| session.snapshot == snapshot).map(|session| session.home))
    }

    /// Snapshots that signed records drop: forgotten, to be erased and due, void, reclaimed; and sessions that ended without a snapshot.
    /// A hold outranks all of them.
    ///
    /// An end is the word of a home, and a clone of that home may have given it while the session's own process was still at work: so
    /// such a session is voided first, in two steps.
    pub(super) fn drops(&self, admin: &Signer, view: &View, carried: &Carried) -> Result<BTreeSet<SnapshotId>, Error> {
        let mut drops = self.dropped_by_record(view);
        for (snapshot, _) in carried.iter().filter(|(snapshot, _)| !view.snapshots.contains_key(snapshot)) {
            if self.session_outcome(view, snapshot)? == Some(Outcome::Abandoned)
                && self.void_session(view, admin, snapshot)? == Voided::Final
            {
                drops.insert(snapshot);
            }
        }
        drops.retain(|snapshot| !view.held.contains_key(snapshot));
        Ok(drops)
    }

    /// The same as far as records say it already; nothing is written.
    pub(super) fn dropped_by_record(&self, view: &View) -> BTreeSet<SnapshotId> {
        let now = Millis(self.clock().now().as_millisecond());
        let mut drops: BTreeSet<SnapshotId> = view.forgotten.clone();
        let due = view.ledger.standing_intents().filter(|intent| view.is_due(intent, now));
        drops.extend(due.flat_map(|intent| intent.record.snapshots.iter()));
        drops.extend(&view.voided);
        drops.extend(view.plans.reclaimed.keys());
        drops.extend(&view.persons.stillborn);
        drops.retain(|snapshot| !view.held.contains_key(snapshot));
        drops
    }

    /// What a session's own writer says of its end; nothing while it has not ended.
    pub(crate) fn session_outcome(&self, view: &View, snapshot: SnapshotId) -> Result<Option<Outcome>, Error> {
        let name = ObjectName::of(&Named::SessionEnd(snapshot));
        let Some(bytes) = self.small(&name)? else { return Ok(None) };
        let owner = self.session_home(view, snapshot)?;
        let believed = Signed::decode(Kind::SessionEnd, &bytes)
            .ok()
            .filter(|signed| view.verify(Kind::SessionEnd, &name, signed).is_ok() && Some(signed.home) == owner);
        let end = believed.and_then(|signed| codec::from_cbor::<SessionEnd>("session end", &signed.payload).ok());
        Ok(end.filter(|end| end.snapshot == snapshot).map(|end| end.outcome))
    }
}
