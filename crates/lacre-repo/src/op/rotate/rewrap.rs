//! Wrapping key entries again, so that somebody who was removed reads nothing that is carried on (rule 10).
//!
//! A carried entry is byte for byte what its writer made, the removed recipient's wrap among it. Whoever has an identity and the seal
//! opens it, proves the key against what the snapshot's header commits to, and wraps it to the recipients of today; an admin signs.

use std::time::{Duration, SystemTime};

use lacre_format::{
    codec,
    ids::{Digest, GenerationId, SnapshotId},
    keyring::KeyEntry,
    log::{EVENT_SNAPSHOTS_MAX, Event, Rewrapped},
    object::Kind,
    policy::Policy,
    signed::Signed,
};
use lacre_seal::{key_entry, recipient::Recipient, secret::SnapshotKey};

use super::carry::Carried;
use crate::{error::Error, home::Signer, op::keys::ReadKeys, repository::Repository, view::View};

/// What became of the entries that a removed recipient could open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rewrap {
    /// Snapshots whose entries were wrapped again.
    pub wrapped: Vec<SnapshotId>,
    /// Snapshots that no identity at hand opens: their entries are as they were.
    pub left: Vec<SnapshotId>,
}

impl Repository {
    /// Wraps what has to be wrapped again among carried entries.
    pub(super) fn rewrap_carried(
        &self,
        admin: &Signer,
        view: &View,
        carried: &mut Carried,
        keys: &ReadKeys,
    ) -> Result<Rewrap, Error> {
        let mut rewrap = Rewrap::default();
        let Some(below) = view.policy.rewrap_below else { return Ok(rewrap) };
        for snapshot in carried.snapshots() {
            let entries: Vec<(KeyEntry, Vec<u8>)> =
                carried.of(snapshot).iter().filter_map(|bytes| Some((read(bytes)?, bytes.clone()))).collect();
            let fresh: Vec<Vec<u8>> =
                entries.iter().filter(|(entry, _)| entry.policy >= below).map(|(_, bytes)| bytes.clone()).collect();
            if !fresh.is_empty() {
                carried.replace(snapshot, fresh);
                continue;
            }
            let opened = entries.iter().find_map(|(entry, _)| self.open_for_rewrap(view, entry, keys));
            match opened {
                Some(key) => {
                    carried.replace(snapshot, vec![self.wrap_again(admin, &view.policy, snapshot, &key)?]);
                    rewrap.wrapped.push(snapshot);
                }
                None => rewrap.left.push(snapshot),
            }
        }
        Ok(rewrap)
    }

    /// The key of an entry, proved against the header's commitment; of a run that has not committed, against the entry's own.
    pub(crate) fn open_for_rewrap(&self, view: &View, entry: &KeyEntry, keys: &ReadKeys) -> Option<SnapshotKey> {
        let known = view.snapshots.get(&entry.snapshot);
        let commitment: Digest = known.map_or(entry.key_commitment, |known| known.header.key_commitment);
        key_entry::open_key_entry(entry, self.id(), entry.snapshot, &commitment, &keys.identities)?.ok()
    }

    /// A signed entry for the recipients of a policy.
    pub(crate) fn wrap_again(
        &self,
        admin: &Signer,
        policy: &Policy,
        snapshot: SnapshotId,
        key: &SnapshotKey,
    ) -> Result<Vec<u8>, Error> {
        let millis = u64::try_from(self.clock().now().as_millisecond()).unwrap_or_default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let recipients = usable(policy, now)?;
        let entry = key_entry::make_key_entry(key, self.id(), snapshot, policy.number, &recipients, now)?;
        Ok(admin.key.sign(Kind::KeyEntry, self.id(), admin.home, codec::to_cbor(&entry)).encode(Kind::KeyEntry))
    }

    /// Puts on record what was wrapped again for a generation and what was not.
    pub(super) fn record_rewrap(
        &self,
        admin: &Signer,
        view: &View,
        to: GenerationId,
        rewrap: &Rewrap,
    ) -> Result<(), Error> {
        let Some(below) = view.policy.rewrap_below else { return Ok(()) };
        let wrapped = u32::try_from(rewrap.wrapped.len()).unwrap_or(u32::MAX);
        let left = rewrap.left.iter().copied().take(EVENT_SNAPSHOTS_MAX).collect();
        self.append(admin, &Event::Rewrapped(Rewrapped { to, below, wrapped, left }))
    }
}

/// The recipients that can be wrapped to today.
fn usable(policy: &Policy, now: SystemTime) -> Result<Vec<Recipient>, Error> {
    let mut usable = Vec::new();
    for entry in &policy.recipients {
        let recipient = Recipient::from_record(entry.kind, &entry.bytes)?;
        if recipient.check(now).is_ok() {
            usable.push(recipient);
        }
    }
    if usable.is_empty() {
        return Err(Error::Refused { why: "no recipient of the policy can be encrypted to today".to_owned() });
    }
    Ok(usable)
}

pub(crate) fn read(bytes: &[u8]) -> Option<KeyEntry> {
    let signed = Signed::decode(Kind::KeyEntry, bytes).ok()?;
    codec::from_cbor("key entry", &signed.payload).ok()
}
