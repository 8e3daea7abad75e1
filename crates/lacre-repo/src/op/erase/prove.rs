//! Proving an erasure by trying: every identity, seal, bundle and inbox object at hand against the erased snapshots.

use lacre_format::{
    codec,
    ids::SnapshotId,
    keyring::{BUNDLE_BYTES_MAX, KEY_ENTRY_BYTES_MAX, KeyEntry, KeyEnvelope, decode_bundle_object},
    name::{Named, ObjectName},
    object::Kind,
    signed::Signed,
};
use lacre_seal::{bundle, key_entry};

use crate::{
    error::Error,
    op::keys::{ReadKeys, Seals},
    repository::Repository,
    view::View,
};

/// What was tried and what opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proof {
    /// Seals tried.
    pub seals: usize,
    /// Identities tried.
    pub identities: usize,
    /// Bundles and inbox objects tried.
    pub objects: usize,
    /// Openings tried: an object with a seal.
    pub tried: usize,
    /// Openings that gave the key of an erased snapshot.
    pub succeeded: usize,
    /// The snapshots whose key came out.
    pub opened: Vec<SnapshotId>,
}

impl Repository {
    /// Tries to open erased snapshots with everything at hand, in this repository (which may be an old copy).
    ///
    /// # Errors
    /// Errors of the store.
    pub fn prove_erased(&self, snapshots: &[SnapshotId], keys: &ReadKeys) -> Result<Proof, Error> {
        let view = self.view()?;
        let seals = self.seals(&view, keys).unwrap_or(Seals { seeds: Vec::new() });
        let mut proof = Proof { seals: seals.seeds.len(), identities: keys.identities.len(), ..Proof::default() };
        for object in self.store().list("keyring")?.objects {
            let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
            let is_bundle = match named {
                Named::Bundle(_) => true,
                Named::KeyEntry(_, snapshot, _) if snapshots.contains(&snapshot) => false,
                _ => continue,
            };
            let limit = if is_bundle { BUNDLE_BYTES_MAX } else { KEY_ENTRY_BYTES_MAX };
            let bytes = match self.store().get(&name, limit) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            proof.objects += 1;
            for (_, seed) in &seals.seeds {
                proof.tried += 1;
                let entries = if is_bundle { self.try_bundle(seed, &bytes) } else { try_envelope(seed, &bytes) };
                for entry in entries {
                    self.try_entry(&view, &entry, snapshots, keys, &mut proof);
                }
            }
        }
        proof.opened.sort_unstable();
        proof.opened.dedup();
        Ok(proof)
    }

    fn try_bundle(&self, seed: &lacre_seal::outer::SealSeed, bytes: &[u8]) -> Vec<Vec<u8>> {
        let Ok((generation, ciphertext)) = decode_bundle_object(bytes) else { return Vec::new() };
        let opened = bundle::open_bundle(seed, self.id(), generation, ciphertext);
        opened.map(|bundle| bundle.entries.into_iter().map(Into::into).collect()).unwrap_or_default()
    }

    /// An entry of an erased snapshot that lies open counts, whether or not an identity at hand opens its inner wrap.
    fn try_entry(&self, view: &View, bytes: &[u8], snapshots: &[SnapshotId], keys: &ReadKeys, proof: &mut Proof) {
        let signed = Signed::decode(Kind::KeyEntry, bytes).ok();
        let entry = signed.and_then(|signed| codec::from_cbor::<KeyEntry>("key entry", &signed.payload).ok());
        let Some(entry) = entry.filter(|entry| snapshots.contains(&entry.snapshot)) else { return };
        let commitment =
            view.snapshots.get(&entry.snapshot).map_or(entry.key_commitment, |known| known.header.key_commitment);
        let opened = key_entry::open_key_entry(&entry, self.id(), entry.snapshot, &commitment, &keys.identities);
        let sealed_open = keys.identities.is_empty() || matches!(opened, Some(Ok(_)));
        if sealed_open {
            proof.succeeded += 1;
            proof.opened.push(entry.snapshot);
        }
    }
}

fn try_envelope(seed: &lacre_seal::outer::SealSeed, bytes: &[u8]) -> Vec<Vec<u8>> {
    let signed = Signed::decode(Kind::KeyEnvelope, bytes).ok();
    let envelope = signed.and_then(|signed| codec::from_cbor::<KeyEnvelope>("key entry", &signed.payload).ok());
    let limit = usize::try_from(KEY_ENTRY_BYTES_MAX).unwrap_or(usize::MAX);
    let inner = envelope.and_then(|envelope| seed.open(&envelope.sealed, limit).ok());
    inner.map(|inner| vec![inner.to_vec()]).unwrap_or_default()
}
