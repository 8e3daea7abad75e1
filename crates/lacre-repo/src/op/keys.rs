//! Opening a snapshot: the seal from a cell or kit, the key entry from the inbox or the bundle, the key by an identity.

use lacre_format::{
    codec,
    header::{Header, SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, GenerationId, SnapshotId},
    keyring::{BUNDLE_BYTES_MAX, KEY_ENTRY_BYTES_MAX, KeyEntry, KeyEnvelope, decode_bundle_object},
    name::{Named, ObjectName},
    object::Kind,
    policy::Role,
    root::Root,
    signed::Signed,
};
use lacre_seal::{
    bundle, cell::SealedSlot, identity::Identity, key_entry, kit::SealKit, outer::SealSeed, root::open_root,
    secret::SnapshotKey,
};

use crate::{
    cell::{Cell, CellPlace},
    error::Error,
    repository::Repository,
    view::{self, Known, View},
};

/// What a reader has.
#[derive(Default)]
pub struct ReadKeys {
    /// Who reads.
    pub identities: Vec<Identity>,
    /// Printed kits that were typed in or read from files.
    pub kits: Vec<SealKit>,
    /// Cells beside those the policy names.
    pub cells: Vec<CellPlace>,
}

/// The seals at hand, by generation.
pub(crate) struct Seals {
    pub(crate) seeds: Vec<(GenerationId, SealSeed)>,
}

impl Seals {
    pub(crate) fn seed(&self, generation: GenerationId) -> Option<&SealSeed> {
        self.seeds.iter().find(|(known, _)| *known == generation).map(|(_, seed)| seed)
    }
}

impl Repository {
    /// Every seal generation that a cell of the policy on this host, another cell or a kit gives.
    pub(crate) fn seals(&self, view: &View, keys: &ReadKeys) -> Result<Seals, Error> {
        let mut seeds: Vec<(GenerationId, SealSeed)> = Vec::new();
        let mut unreadable = None;
        let named = view.policy.cells.iter().filter_map(|cell| CellPlace::parse(&cell.name).ok());
        for place in named.chain(keys.cells.iter().cloned()) {
            let cell = match Cell::open_over(&place, self.reach_of_cells()) {
                Ok(Some(cell)) => cell,
                Ok(None) => continue,
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            let found = match cell.generations(self.id()) {
                Ok(found) => found,
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            for SealedSlot { generation, seed, .. } in found {
                if !seeds.iter().any(|(known, _)| *known == generation) {
                    seeds.push((generation, seed));
                }
            }
        }
        for kit in keys.kits.iter().filter(|kit| kit.repository == self.id()) {
            let generation = bundle::generation_id(kit.generation_number, &kit.seed);
            if !seeds.iter().any(|(known, _)| *known == generation) {
                seeds.push((generation, SealSeed::from_bytes(kit.seed.to_cell_bytes())));
            }
        }
        // A cell that cannot be read matters only when nothing else holds the seal.
        match unreadable {
            Some(error) if seeds.is_empty() => Err(error),
            _ => Ok(Seals { seeds }),
        }
    }

    /// Shows the believed key entries of a snapshot, opened with the seal, until one is taken: first the inbox, then the bundle. There are several after an admin wrapped its key again; an
    /// object is read only while none was taken.
    ///
    /// # Errors
    /// [`Error::Erased`], [`Error::EntryMissing`] or [`Error::NoSeal`] when there is none to show; errors of the store.
    pub(crate) fn visit_entries(
        &self,
        view: &View,
        seals: &Seals,
        header: &Header,
        take: &mut dyn FnMut(KeyEntry) -> bool,
    ) -> Result<(), Error> {
        let (mut sealed_to_known, mut seen) = (false, false);
        let mut show = |entry: KeyEntry| {
            seen = true;
            take(entry)
        };
        let tip = view.policy.generation;
        let generations = if header.generation == tip { vec![tip] } else { vec![header.generation, tip] };
        for generation in generations {
            let Some(seed) = seals.seed(generation) else { continue };
            sealed_to_known = true;
            if self.show_inbox(view, seed, generation, header, &mut show)?
                || self.show_bundle(view, seed, generation, header, &mut show)?
            {
                return Ok(());
            }
        }
        if seen {
            Ok(())
        } else if view.ledger.dropped().contains(&header.snapshot) {
            Err(Error::Erased { snapshot: header.snapshot })
        } else if sealed_to_known {
            Err(Error::EntryMissing { snapshot: header.snapshot })
        } else {
            Err(Error::NoSeal { generation: tip })
        }
    }

    fn show_inbox(
        &self,
        view: &View,
        seed: &SealSeed,
        generation: GenerationId,
        header: &Header,
        show: &mut dyn FnMut(KeyEntry) -> bool,
    ) -> Result<bool, Error> {
        let token = header.token;
        let anchored = ObjectName::of(&Named::KeyEntry(generation, header.snapshot, token));
        if generation == header.generation {
            // The header names the entry it was anchored with; only if that is not taken the others are looked at.
            match view::fetch(self.store(), &*self.catalog()?, &anchored, KEY_ENTRY_BYTES_MAX) {
                Ok(bytes) => {
                    if let Ok(entry) = self.open_envelope(view, seed, &anchored, &bytes, header)
                        && show(entry)
                    {
                        return Ok(true);
                    }
                }
                Err(Error::Store(error)) if error.is_not_found() => {}
                Err(error) if view::of_the_object(&error) => {}
                Err(error) => return Err(error),
            }
        }
        for object in self.store().list(&format!("keyring/in/{generation}"))?.objects {
            let Some((name, Named::KeyEntry(_, snapshot, _))) = ObjectName::parse(&object.name) else { continue };
            if snapshot != header.snapshot || name == anchored {
                continue;
            }
            // One that cannot be read is passed by as well; if it was the one, the entry counts as missing.
            let Ok(bytes) = view::fetch(self.store(), &*self.catalog()?, &name, KEY_ENTRY_BYTES_MAX) else { continue };
            // A forged entry is passed by: only one that the writer signed for in the header counts, or an admin's (rule 1).
            if let Ok(entry) = self.open_envelope(view, seed, &name, &bytes, header)
                && show(entry)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn open_envelope(
        &self,
        view: &View,
        seed: &SealSeed,
        name: &ObjectName,
        bytes: &[u8],
        header: &Header,
    ) -> Result<KeyEntry, Error> {
        let signed = Signed::decode(Kind::KeyEnvelope, bytes).map_err(|error| Error::format(name, error))?;
        view.verify(Kind::KeyEnvelope, name, &signed)?;
        let envelope: KeyEnvelope =
            codec::from_cbor("key envelope", &signed.payload).map_err(|error| Error::format(name, error))?;
        let limit = usize::try_from(KEY_ENTRY_BYTES_MAX).unwrap_or(usize::MAX);
        let inner = seed.open(&envelope.sealed, limit).map_err(|error| Error::damaged(name, error.to_string()))?;
        self.accept_entry(view, name, &inner, header)
    }

    fn show_bundle(
        &self,
        view: &View,
        seed: &SealSeed,
        generation: GenerationId,
        header: &Header,
        show: &mut dyn FnMut(KeyEntry) -> bool,
    ) -> Result<bool, Error> {
        let name = ObjectName::of(&Named::Bundle(generation));
        let bytes = match self.store().get(&name, BUNDLE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let (_, ciphertext) = decode_bundle_object(&bytes).map_err(|error| Error::format(&name, error))?;
        let content = bundle::open_bundle(seed, self.id(), generation, ciphertext)?;
        let fitting = content.entries.iter().filter_map(|entry| self.accept_entry(view, &name, entry, header).ok());
        Ok(fitting.into_iter().any(show))
    }

    /// Accepts a signed entry if it is, byte for byte, the one whose hash the writer signed in the header, or one that an admin made
    /// of the same key: what it opens to is proved against the header's commitment in either case.
    fn accept_entry(&self, view: &View, name: &ObjectName, bytes: &[u8], header: &Header) -> Result<KeyEntry, Error> {
        let signed = Signed::decode(Kind::KeyEntry, bytes).map_err(|error| Error::format(name, error))?;
        let role = view.verify(Kind::KeyEntry, name, &signed)?.role;
        let entry: KeyEntry =
            codec::from_cbor("key entry", &signed.payload).map_err(|error| Error::format(name, error))?;
        let is_its_writers = Digest::new(*blake3::hash(bytes).as_bytes()) == header.key_entry;
        let is_wrapped_again = role == Role::Admin
            && entry.repository == self.id()
            && entry.snapshot == header.snapshot
            && entry.key_commitment == header.key_commitment;
        if is_its_writers || is_wrapped_again {
            Ok(entry)
        } else {
            Err(Error::damaged(name, "it is not the key entry its writer signed for"))
        }
    }

    /// The key of a snapshot.
    pub(crate) fn snapshot_key(
        &self,
        view: &View,
        seals: &Seals,
        keys: &ReadKeys,
        header: &Header,
    ) -> Result<SnapshotKey, Error> {
        let snapshot = header.snapshot;
        let (mut key, mut failure) = (None, None);
        self.visit_entries(view, seals, header, &mut |entry| {
            let commitment = &header.key_commitment;
            match key_entry::open_key_entry(&entry, self.id(), snapshot, commitment, &keys.identities) {
                Some(Ok(opened)) => key = Some(opened),
                Some(Err(source)) => failure = Some(Error::Entry { snapshot, source }),
                None => {}
            }
            key.is_some()
        })?;
        let none = Error::NoIdentity { snapshot, identities: keys.identities.len() };
        key.ok_or_else(|| failure.unwrap_or(none))
    }

    /// The root of a snapshot.
    pub(crate) fn root(&self, known: &Known, key: &SnapshotKey) -> Result<Root, Error> {
        let snapshot: SnapshotId = known.header.snapshot;
        let name = ObjectName::of(&Named::Snapshot(snapshot));
        let bytes = view::fetch(self.store(), &*self.catalog()?, &name, SNAPSHOT_BYTES_MAX)?;
        let object = SnapshotObject::decode(&bytes).map_err(|error| Error::format(&name, error))?;
        let root =
            open_root(key, self.id(), snapshot, &object.root).map_err(|source| Error::Root { snapshot, source })?;
        self.learn_structure(root.structure_key.expose());
        Ok(root)
    }
}
