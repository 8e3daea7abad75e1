//! Audit: the small signed objects that a restore can do without, proved without any key (level 2).
//!
//! Session markers and ends, the envelopes of key entries, the bundle of carried entries and its list, the parity of packs. Packs, reach maps, policies, logs
//! and snapshots are proved where they are read.

use std::collections::BTreeSet;

use lacre_format::{
    codec,
    ids::{Digest, GenerationId, PackName, SnapshotId},
    keyring::{BUNDLE_BYTES_MAX, BundleList, KEY_ENTRY_BYTES_MAX, KeyEnvelope, decode_bundle_object},
    name::{Named, ObjectName},
    object::Kind,
    parity::PARITY_BYTES_MAX,
    policy::HomeEntry,
    session::{Outcome, SESSION_BYTES_MAX, Session, SessionEnd},
    signed::Signed,
};

use crate::{
    error::{Error, Kind as ErrorKind},
    monitor::things,
    monitor::{Finding, Severity},
    parity,
    repository::Repository,
    view::{View, finding_of, foreign, foreign_name, of_the_object},
};

impl Repository {
    /// Proves sessions and keyring without keys; what is wrong is a finding.
    pub(crate) fn audit_small_objects(&self, view: &View) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for prefix in ["session", "keyring"] {
            let listing = self.store().list(prefix)?;
            findings.extend(listing.foreign.iter().map(foreign));
            for object in listing.objects {
                let Some((name, named)) = ObjectName::parse(&object.name) else {
                    findings.push(foreign_name(&object.name));
                    continue;
                };
                match self.audit_object(view, &name, &named) {
                    Ok(()) => {}
                    // What nothing needs any more opens nothing, damaged or not.
                    Err(error) if of_the_object(&error) && is_dead(view, &named) => {
                        let advice = "nothing needs it any more: its seal was changed, or its snapshot is gone";
                        findings.push(Finding::new(Severity::Note, error.to_string(), name, advice));
                    }
                    Err(error) if of_the_object(&error) || error.kind() == ErrorKind::Damaged => {
                        let advice = "lacre repo repair --from COPY brings it back";
                        findings.push(finding_of(&error, name, advice));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(findings)
    }

    /// Proves every parity object by the checks in it, without keys; says how many packs have none where they should.
    pub(crate) fn audit_parity(&self, packs: &mut dyn Iterator<Item = PackName>) -> Result<Vec<Finding>, Error> {
        let listing = self.store().list("parity")?;
        let mut findings: Vec<Finding> = listing.foreign.iter().map(foreign).collect();
        let mut present = BTreeSet::new();
        for object in listing.objects {
            let Some((name, Named::Parity(pack))) = ObjectName::parse(&object.name) else {
                findings.push(foreign_name(&object.name));
                continue;
            };
            present.insert(pack);
            let stored = self.store().get(&name, PARITY_BYTES_MAX);
            if !stored.is_ok_and(|stored| parity::is_whole(pack, &stored)) {
                let advice = "lacre repo repair computes it again from the pack";
                findings.push(Finding::new(Severity::Warning, "the parity of a pack is damaged", name, advice));
            }
        }
        let bare = packs.filter(|pack| !present.contains(pack)).count();
        if bare > 0 && self.keeps_parity() {
            let what = things(bare, ["pack has no parity", "packs have no parity"]);
            let advice = "lacre repo repair --parity adds it";
            findings.push(Finding::new(Severity::Note, what, "parity", advice));
        }
        Ok(findings)
    }

    fn audit_object(&self, view: &View, name: &ObjectName, named: &Named) -> Result<(), Error> {
        match named {
            Named::Session(snapshot) => {
                let payload = self.signed_payload(view, name, Kind::Session, SESSION_BYTES_MAX)?;
                let session: Session = read(name, "session", &payload)?;
                is_of(name, session.snapshot, *snapshot)
            }
            Named::SessionEnd(snapshot) => {
                let payload = self.signed_payload(view, name, Kind::SessionEnd, SESSION_BYTES_MAX)?;
                let end: SessionEnd = read(name, "session end", &payload)?;
                is_of(name, end.snapshot, *snapshot)?;
                // What a key says after it was revoked is no reason to look for anything.
                let stands = !view.home(end.home).is_none_or(HomeEntry::is_revoked);
                let lost = stands && end.outcome == Outcome::Committed && !view.snapshots.contains_key(snapshot);
                if lost && !view.voided.contains(snapshot) && !view.plans.reclaimed.contains_key(snapshot) {
                    let object = ObjectName::of(&Named::Snapshot(*snapshot));
                    return Err(Error::damaged(object, "its session committed it, and it is not in the repository"));
                }
                Ok(())
            }
            Named::KeyEntry(generation, snapshot, _) => {
                let payload = self.signed_payload(view, name, Kind::KeyEnvelope, KEY_ENTRY_BYTES_MAX)?;
                let envelope: KeyEnvelope = read(name, "key envelope", &payload)?;
                is_of(name, envelope.snapshot, *snapshot)?;
                if envelope.generation == *generation {
                    return Ok(());
                }
                Err(Error::damaged(name, "it is sealed to another generation than its name says"))
            }
            Named::BundleList(generation) => {
                let payload = self.signed_payload(view, name, Kind::BundleList, BUNDLE_BYTES_MAX)?;
                let list: BundleList = read(name, "bundle list", &payload)?;
                let bundle = ObjectName::of(&Named::Bundle(*generation));
                let bytes = self.store().get(&bundle, BUNDLE_BYTES_MAX)?;
                if list.generation != *generation {
                    return Err(Error::damaged(name, "it is of another generation than its name says"));
                }
                if Digest::new(*blake3::hash(&bytes).as_bytes()) == list.bundle {
                    return Ok(());
                }
                Err(Error::damaged(bundle, "it is not the bundle its list was signed for"))
            }
            Named::Bundle(generation) => {
                let bytes = self.store().get(name, BUNDLE_BYTES_MAX)?;
                let (found, _) = decode_bundle_object(&bytes).map_err(|error| Error::format(name, error))?;
                if found == *generation {
                    return Ok(());
                }
                Err(Error::damaged(name, "it is of another generation than its name says"))
            }
            _ => Ok(()),
        }
    }

    fn signed_payload(&self, view: &View, name: &ObjectName, kind: Kind, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.store().get(name, bytes_max)?;
        let signed = Signed::decode(kind, &bytes).map_err(|error| Error::format(name, error))?;
        view.verify(kind, name, &signed)?;
        if kind == Kind::BundleList {
            view.stands(kind, name, &signed)?;
        }
        Ok(signed.payload)
    }
}

fn read<T: for<'b> minicbor::Decode<'b, ()>>(
    name: &ObjectName,
    what: &'static str,
    payload: &[u8],
) -> Result<T, Error> {
    codec::from_cbor(what, payload).map_err(|error| Error::format(name, error))
}

/// Whether nothing needs an object of the keyring any more: its seal is not the newest, or its snapshot is gone on record.
fn is_dead(view: &View, named: &Named) -> bool {
    if let Named::KeyEntry(_, snapshot, _) = named
        && (view.plans.reclaimed.contains_key(snapshot) || view.ledger.dropped().contains(snapshot))
    {
        return true;
    }
    let generation: Option<GenerationId> = match named {
        Named::KeyEntry(generation, ..) | Named::Bundle(generation) | Named::BundleList(generation) => {
            Some(*generation)
        }
        _ => None,
    };
    generation.is_some_and(|generation| generation != view.policy.generation)
}

fn is_of(name: &ObjectName, found: SnapshotId, named: SnapshotId) -> Result<(), Error> {
    if found == named { Ok(()) } else { Err(Error::damaged(name, "it belongs to another snapshot than its name says")) }
}
