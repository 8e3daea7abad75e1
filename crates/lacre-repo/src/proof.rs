//! What a name says its object is, as far as it can be told without any key: by hash, by signature, by what a signed object says of it.
//!
//! In: a name, and bytes that somebody stored under it. Out: whether they are that object. Repairs and copies ask before a byte is written;
//! it reads no object but lists of bundles, and whether an object *counts* is a question for the view.

use lacre_format::{
    codec,
    gc::GC_BYTES_MAX,
    header::{SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, GenerationId, SnapshotId},
    keyring::{BUNDLE_BYTES_MAX, BundleList, KEY_ENTRY_BYTES_MAX, KeyEnvelope},
    log::LOG_ENTRY_BYTES_MAX,
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    name::{Named, ObjectName},
    object::{self, Kind},
    pack::PACK_BYTES_MAX,
    parity::PARITY_BYTES_MAX,
    policy::POLICY_BYTES_MAX,
    reach::REACH_BYTES_MAX,
    rollup::ROLLUP_BYTES_MAX,
    segment::{SEGMENT_BYTES_MAX, Salted},
    session::{SESSION_BYTES_MAX, Session, SessionEnd, Void, VoidStage},
    signed::Signed,
    suppression::SUPPRESSION_BYTES_MAX,
};
use lacre_seal::sign;

use crate::{error::Error, parity, plans, store::Store, view::View};

/// What is known about whether bytes are an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
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
pub(crate) fn bytes_max(named: &Named) -> u64 {
    match named {
        Named::Manifest => MANIFEST_BYTES_MAX,
        Named::Policy(..) => POLICY_BYTES_MAX,
        Named::Log(..) => LOG_ENTRY_BYTES_MAX,
        Named::Pack(_) => PACK_BYTES_MAX,
        Named::Parity(_) => PARITY_BYTES_MAX,
        Named::Rollup(..) => ROLLUP_BYTES_MAX,
        Named::Segment(_) => SEGMENT_BYTES_MAX,
        Named::Snapshot(_) => SNAPSHOT_BYTES_MAX,
        Named::Reach(_) | Named::RebuiltReach(..) => REACH_BYTES_MAX,
        Named::KeyEntry(..) => KEY_ENTRY_BYTES_MAX,
        Named::Bundle(_) | Named::BundleList(_) => BUNDLE_BYTES_MAX,
        Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
            GC_BYTES_MAX
        }
        Named::Suppression(..) => SUPPRESSION_BYTES_MAX,
        Named::Session(_) | Named::SessionEnd(_) | Named::VoidIntent(_) | Named::Void(_) => SESSION_BYTES_MAX,
    }
}

pub(crate) fn hashes_to(bytes: &[u8], digest: &[u8; 32]) -> bool {
    blake3::hash(bytes) == *digest
}

/// Whether bytes are the object that a name says. A name that holds a hash is proved by it; everything else by its signature and by what
/// it says of itself.
pub(crate) fn judge(
    view: &View,
    bundles: &[(GenerationId, Digest)],
    name: &ObjectName,
    named: &Named,
    bytes: &[u8],
) -> Verdict {
    match named {
        Named::Manifest => Verdict::from(Manifest::decode(bytes).is_ok_and(|found| found.admin == view.admin)),
        Named::Policy(_, digest) | Named::Log(_, _, digest) | Named::Segment(digest) | Named::Rollup(_, digest) => {
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
        // Only the snapshot's own key can tell, unless it is no such list at all.
        Named::Suppression(..) if is_suppression(bytes) => Verdict::Unknown,
        Named::Suppression(..) => Verdict::Bad,
        Named::Session(snapshot) => {
            let session: Option<Session> = payload(view, Kind::Session, name, bytes);
            session.is_some_and(|session| session.snapshot == *snapshot).into()
        }
        Named::SessionEnd(snapshot) => {
            let end: Option<SessionEnd> = payload(view, Kind::SessionEnd, name, bytes);
            end.is_some_and(|end| end.snapshot == *snapshot).into()
        }
        Named::Void(snapshot) => is_void(view, name, *snapshot, VoidStage::Final, bytes).into(),
        Named::VoidIntent(snapshot) => {
            (is_void(view, name, *snapshot, VoidStage::Intent, bytes) || gives_up(view, *snapshot, bytes)).into()
        }
        Named::GcClaim(_) | Named::GcPlan(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
            plans::step_of(named).is_some_and(|step| plans::judge(view, name, step, bytes).is_ok()).into()
        }
    }
}

/// Whether an object that is not here may be brought here: only what signatures of homes that may still sign stand for. A name's hash says
/// what the bytes are, not that anybody wants them.
pub(crate) fn is_believed(view: &View, name: &ObjectName, named: &Named, bytes: &[u8]) -> bool {
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

/// Whether a home that may still sign says of a session that it gives it up. Whether the session was its own the view asks.
fn gives_up(view: &View, snapshot: SnapshotId, bytes: &[u8]) -> bool {
    let judge = || {
        let signed = Signed::decode(Kind::Void, bytes).ok()?;
        let home = view.home(signed.home).filter(|home| !home.is_revoked())?;
        sign::verify(&home.key, Kind::Void, view.repository, &signed).ok()?;
        let void: Void = codec::from_cbor("void", &signed.payload).ok()?;
        let its_own = void.repository == view.repository && void.snapshot == snapshot;
        (its_own && void.stage == VoidStage::Intent).then_some(())
    };
    judge().is_some()
}

fn is_suppression(bytes: &[u8]) -> bool {
    let body = object::strip_start(Kind::Suppression, bytes);
    body.is_ok_and(|body| codec::from_cbor::<Salted>("suppression list", body).is_ok())
}

/// The digests of bundles that lists in any of these stores were signed for. A list that is not there or cannot be what it says proves nothing
/// and is judged where it lies.
///
/// # Errors
/// Errors of a store: nothing is said to be bad because a list did not arrive.
pub(crate) fn bundles(view: &View, stores: &[&Store]) -> Result<Vec<(GenerationId, Digest)>, Error> {
    let mut bundles = Vec::new();
    for store in stores {
        for object in store.list("keyring")?.objects {
            let Some((name, Named::BundleList(generation))) = ObjectName::parse(&object.name) else { continue };
            if bundles.iter().any(|(known, _)| *known == generation) {
                continue;
            }
            let bytes = match store.get(&name, BUNDLE_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() || error.is_of_the_object() => continue,
                Err(error) => return Err(error.into()),
            };
            let list: Option<BundleList> = payload(view, Kind::BundleList, &name, &bytes);
            bundles.extend(list.filter(|list| list.generation == generation).map(|list| (generation, list.bundle)));
        }
    }
    Ok(bundles)
}
