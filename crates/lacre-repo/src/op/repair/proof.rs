//! What a name says its object is, as far as it can be told without any key: by hash, by signature, by what a signed object says of it.

use lacre_format::{
    codec,
    gc::GC_BYTES_MAX,
    header::{SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, GenerationId, SnapshotId},
    keyring::{BUNDLE_BYTES_MAX, BundleList, KEY_ENTRY_BYTES_MAX, KeyEnvelope},
    log::LOG_ENTRY_BYTES_MAX,
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    name::{Named, ObjectName},
    object::Kind,
    pack::PACK_BYTES_MAX,
    parity::PARITY_BYTES_MAX,
    policy::POLICY_BYTES_MAX,
    reach::REACH_BYTES_MAX,
    segment::SEGMENT_BYTES_MAX,
    session::{SESSION_BYTES_MAX, Session, SessionEnd, VoidStage},
    signed::Signed,
};

use crate::{parity, plans, store::Store, view::View};

/// What is known about whether bytes are an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// They are.
    Good,
    /// They are not.
    Bad,
    /// Nothing that is at hand tells: such an object is left alone.
    Unknown,
}

impl From<bool> for Verdict {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// The longest object of a name.
pub(super) fn bytes_max(named: &Named) -> u64 {
    match named {
        Named::Manifest => MANIFEST_BYTES_MAX,
        Named::Policy(..) => POLICY_BYTES_MAX,
        Named::Log(..) => LOG_ENTRY_BYTES_MAX,
        Named::Pack(_) => PACK_BYTES_MAX,
        Named::Parity(_) => PARITY_BYTES_MAX,
        Named::Segment(_) => SEGMENT_BYTES_MAX,
        Named::Snapshot(_) => SNAPSHOT_BYTES_MAX,
        Named::Reach(_) | Named::RebuiltReach(..) => REACH_BYTES_MAX,
        Named::KeyEntry(..) => KEY_ENTRY_BYTES_MAX,
        Named::Bundle(_) | Named::BundleList(_) => BUNDLE_BYTES_MAX,
        Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
            GC_BYTES_MAX
        }
        _ => SESSION_BYTES_MAX,
    }
}

pub(super) fn hashes_to(bytes: &[u8], digest: &[u8; 32]) -> bool {
    blake3::hash(bytes) == *digest
}

/// Whether bytes are the object that a name says. A name that holds a hash is proved by it; everything else by its signature and by what
/// it says of itself.
pub(super) fn judge(
    view: &View,
    bundles: &[(GenerationId, Digest)],
    name: &ObjectName,
    named: &Named,
    bytes: &[u8],
) -> Verdict {
    match named {
        Named::Manifest => Verdict::from(Manifest::decode(bytes).is_ok_and(|found| found.admin == view.admin)),
        Named::Policy(_, digest) | Named::Log(_, _, digest) | Named::Segment(digest) => {
            hashes_to(bytes, digest.as_bytes()).into()
        }
        Named::RebuiltReach(_, digest) => hashes_to(bytes, digest.as_bytes()).into(),
        Named::Pack(pack) => hashes_to(bytes, pack.as_bytes()).into(),
        Named::Parity(pack) => parity::is_whole(*pack, bytes).into(),
        Named::Snapshot(snapshot) => is_snapshot(view, name, *snapshot, bytes).into(),
        Named::Reach(snapshot) => match view.snapshots.get(snapshot) {
            Some(known) => hashes_to(bytes, known.header.reach.as_bytes()).into(),
            None => Verdict::Unknown,
        },
        Named::KeyEntry(generation, snapshot, _) => {
            let envelope: Option<KeyEnvelope> = payload(view, Kind::KeyEnvelope, name, bytes);
            let fits = |envelope: KeyEnvelope| envelope.snapshot == *snapshot && envelope.generation == *generation;
            envelope.is_some_and(fits).into()
        }
        Named::BundleList(generation) => {
            let list: Option<BundleList> = payload(view, Kind::BundleList, name, bytes);
            list.is_some_and(|list| list.generation == *generation).into()
        }
        Named::Bundle(generation) => match bundles.iter().find(|(known, _)| known == generation) {
            Some((_, digest)) => hashes_to(bytes, digest.as_bytes()).into(),
            None => Verdict::Unknown,
        },
        // Only the snapshot's own key can tell.
        Named::Suppression(..) => Verdict::Unknown,
        Named::Session(snapshot) => {
            let session: Option<Session> = payload(view, Kind::Session, name, bytes);
            session.is_some_and(|session| session.snapshot == *snapshot).into()
        }
        Named::SessionEnd(snapshot) => {
            let end: Option<SessionEnd> = payload(view, Kind::SessionEnd, name, bytes);
            end.is_some_and(|end| end.snapshot == *snapshot).into()
        }
        Named::Void(snapshot) => is_void(view, name, *snapshot, VoidStage::Final, bytes).into(),
        Named::VoidIntent(snapshot) => is_void(view, name, *snapshot, VoidStage::Intent, bytes).into(),
        Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
            plans::step_of(named).is_some_and(|step| plans::judge(view, name, step, bytes).is_ok()).into()
        }
    }
}

/// Whether an object that is not here may be brought here: only what signatures of homes that may still sign stand for. A name's hash says
/// what the bytes are, not that anybody wants them.
pub(super) fn is_believed(view: &View, name: &ObjectName, named: &Named, bytes: &[u8]) -> bool {
    let signed = |kind: Kind| {
        let signed = Signed::decode(kind, bytes).ok()?;
        view.verify(kind, name, &signed).is_ok().then_some(signed)
    };
    match named {
        // What a revoked key signed beyond its pins the view leaves out.
        Named::Log(home, ..) => signed(Kind::LogEntry).is_some_and(|signed| signed.home == *home),
        Named::RebuiltReach(..) => signed(Kind::RebuiltReach).is_some_and(|signed| view.may_maintain(signed.home)),
        _ => true,
    }
}

fn payload<T: for<'b> minicbor::Decode<'b, ()>>(view: &View, kind: Kind, name: &ObjectName, bytes: &[u8]) -> Option<T> {
    let signed = Signed::decode(kind, bytes).ok()?;
    view.verify(kind, name, &signed).ok()?;
    codec::from_cbor(kind.name(), &signed.payload).ok()
}

fn is_snapshot(view: &View, name: &ObjectName, snapshot: SnapshotId, bytes: &[u8]) -> bool {
    let judge = || {
        let object = SnapshotObject::decode(bytes).ok()?;
        let header = object.header().ok()?;
        view.verify(Kind::Snapshot, name, &object.signed).ok()?;
        let its_own = header.snapshot == snapshot && header.repository == view.repository;
        (its_own && header.home == object.signed.home && hashes_to(&object.root, header.root.as_bytes())).then_some(())
    };
    judge().is_some()
}

fn is_void(view: &View, name: &ObjectName, snapshot: SnapshotId, stage: VoidStage, bytes: &[u8]) -> bool {
    let signed = Signed::decode(Kind::Void, bytes);
    signed.is_ok_and(|signed| view.may_void(name, &signed, snapshot, stage).is_ok())
}

/// The digests of bundles that lists in any of these stores were signed for.
pub(super) fn bundles(view: &View, stores: &[&Store]) -> Vec<(GenerationId, Digest)> {
    let mut bundles = Vec::new();
    for store in stores {
        let Ok(listing) = store.list("keyring") else { continue };
        for object in listing.objects {
            let Some((name, Named::BundleList(generation))) = ObjectName::parse(&object.name) else { continue };
            if bundles.iter().any(|(known, _)| *known == generation) {
                continue;
            }
            let Ok(bytes) = store.get(&name, BUNDLE_BYTES_MAX) else { continue };
            let list: Option<BundleList> = payload(view, Kind::BundleList, &name, &bytes);
            bundles.extend(list.filter(|list| list.generation == generation).map(|list| (generation, list.bundle)));
        }
    }
    bundles
}
