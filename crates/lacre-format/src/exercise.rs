//! Every decoder of this crate run over arbitrary bytes, with checks of what must hold whatever they are.
//!
//! In: any bytes. Out: nothing; a broken promise is a failed assertion. Made for fuzzing and random tests, not for use in a
//! program. What is written with the byte cursor has one encoding, so it must come back byte by byte; CBOR has several, so what
//! was read must be read again from what is written of it.

use minicbor::{Decode, Encode};

use crate::{
    codec::{self, Cursor, put_varint},
    erasure::{PersonAccount, PersonJobs},
    frame,
    gc::{GcPlan, GcStep},
    header::{Header, Label, SnapshotObject},
    ids::{GenerationId, JobName},
    join::Join,
    keyring::{self, Bundle, BundleList, KeyEntry, KeyEnvelope},
    log::LogEntry,
    manifest::Manifest,
    name::ObjectName,
    node::Node,
    object::{self, Kind},
    pack::{Footer, TRAILER_BYTES, Trailer},
    parity::{CheckOf, ParityHeader, ShardCheck},
    policy::{Policy, Retention},
    reach::{Reach, RebuiltReach},
    rollup,
    root::Root,
    run::RunDetails,
    segment::{Salted, Segment},
    session::{Session, SessionEnd},
    signed::Signed,
    suppression::Suppression,
};

/// A name, and a function that runs one decoder and checks its promises.
pub type Exercise = (&'static str, fn(&[u8]));

/// Every decoder by the name of its fuzz target.
pub const DECODERS: &[Exercise] = &[
    ("name", name),
    ("varint", varint),
    ("manifest", manifest),
    ("frame_body", frame_body),
    ("pack_footer", pack_footer),
    ("pack_trailer", pack_trailer),
    ("node", node),
    ("reach", reach),
    ("signed", signed),
    ("snapshot", snapshot),
    ("label", label),
    ("run_details", run_details),
    ("root", root),
    ("key_entry", key_entry),
    ("bundle", bundle),
    ("policy", policy),
    ("log_entry", log_entry),
    ("session", session),
    ("segment", segment),
    ("gc", gc),
    ("parity", parity),
    ("rebuilt_reach", rebuilt_reach),
    ("rollup", rollup),
];

/// Every kind of object that begins with an object start.
pub const KINDS: &[Kind] = &[
    Kind::Pack,
    Kind::Segment,
    Kind::Snapshot,
    Kind::Reach,
    Kind::KeyEntry,
    Kind::KeyEnvelope,
    Kind::Bundle,
    Kind::BundleList,
    Kind::Policy,
    Kind::LogEntry,
    Kind::Session,
    Kind::SessionEnd,
    Kind::Void,
    Kind::GcPlan,
    Kind::GcStep,
    Kind::Parity,
    Kind::RebuiltReach,
    Kind::Suppression,
    Kind::Rollup,
    Kind::Join,
];

/// Names of objects, jobs and generations.
///
/// # Panics
/// If a name that was accepted is written in another way.
pub fn name(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    if let Some((name, named)) = ObjectName::parse(text) {
        assert!(name.as_str() == text && ObjectName::of(&named) == name, "an object has one name");
        assert!(ObjectName::from_path(text).is_ok(), "every name is a safe path");
    }
    assert!(JobName::parse(text).is_ok_and(|job| job.as_str() == text) || JobName::parse(text).is_err());
    assert!(GenerationId::parse(text).is_ok_and(|id| id.to_string() == text) || GenerationId::parse(text).is_err());
}

/// Variable length integers one after the other.
///
/// # Panics
/// If a number that was accepted is written in another way.
pub fn varint(bytes: &[u8]) {
    let mut cursor = Cursor::new("varint", bytes);
    let mut again = Vec::new();
    while let Ok(value) = cursor.varint() {
        put_varint(&mut again, value);
    }
    assert!(bytes.starts_with(&again), "a number has one encoding");
}

/// `lacre.json`.
///
/// # Panics
/// If a manifest that was accepted is written in another way.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert!(manifest.encode().as_bytes() == bytes, "the manifest has one spelling");
    }
}

/// The plaintext of a frame.
///
/// # Panics
/// If a body that was accepted is written in another way.
pub fn frame_body(bytes: &[u8]) {
    let Ok(body) = frame::decode_body(bytes) else { return };
    let raw_bytes = usize::try_from(body.raw_bytes).unwrap_or(usize::MAX);
    let mut again = Vec::new();
    let encoded = frame::encode_body(body.codec, raw_bytes, body.payload, &mut again);
    assert!(encoded.is_ok() && again == bytes, "a content has one body");
}

/// The plaintext of a pack's footer.
///
/// # Panics
/// If a footer that was accepted is written in another way.
pub fn pack_footer(bytes: &[u8]) {
    if let Ok(footer) = Footer::decode(bytes) {
        assert!(footer.encode() == bytes, "a footer has one encoding");
    }
}

/// The end of a pack; the first eight bytes are the length of the object it would end.
///
/// # Panics
/// If a footer lies beyond the object, or a trailer that was accepted is written in another way.
pub fn pack_trailer(bytes: &[u8]) {
    let Some((length, tail)) = bytes.split_first_chunk::<8>() else { return };
    let length = u64::from_le_bytes(*length);
    let Ok(trailer) = Trailer::decode(tail, length) else { return };
    let end = trailer.footer_start.checked_add(u64::from(trailer.footer_bytes));
    let trailer_start = u64::try_from(TRAILER_BYTES).ok().and_then(|bytes| length.checked_sub(bytes));
    assert!(end.is_some() && end == trailer_start, "the footer ends where the trailer begins");
    assert!(Trailer::encode(trailer.salt, trailer.footer_bytes) == tail, "a trailer has one encoding");
}

/// The plaintext of a manifest node.
///
/// # Panics
/// If a node that was accepted is written in another way.
pub fn node(bytes: &[u8]) {
    if let Ok(node) = Node::decode(bytes) {
        assert!(node.encode() == bytes, "a node has one encoding");
    }
}

/// The plaintext of a reach map.
///
/// # Panics
/// If a map that was accepted is written in another way, or counts otherwise than it lists.
pub fn reach(bytes: &[u8]) {
    let Ok(reach) = Reach::decode(bytes) else { return };
    assert!(reach.encode() == bytes, "a reach map has one encoding");
    let listed: usize = reach.packs().map(|pack| reach.slots(pack).count()).sum();
    assert!(u64::try_from(listed).ok() == Some(reach.frames()), "a reach map lists what it counts");
}

/// The envelope of everything signed, and the start of every kind of object.
///
/// # Panics
/// If an envelope changes by being written.
pub fn signed(bytes: &[u8]) {
    for kind in KINDS {
        if let Ok(body) = object::strip_start(*kind, bytes) {
            assert!(object::with_start(*kind, body) == bytes, "an object is its start and its body");
        }
        if let Ok(signed) = Signed::decode(*kind, bytes) {
            let again = Signed::decode(*kind, &signed.encode(*kind));
            assert!(again.is_ok_and(|again| again == signed), "an envelope must survive being written");
        }
    }
}

/// A snapshot object and its header.
///
/// # Panics
/// If either changes by being written.
pub fn snapshot(bytes: &[u8]) {
    cbor::<Header>(bytes);
    let Ok(object) = SnapshotObject::decode(bytes) else { return };
    let again = SnapshotObject::decode(&object.encode());
    assert!(again.is_ok_and(|again| again == object), "a snapshot must survive being written");
    cbor::<Header>(&object.signed.payload);
    assert!(object.header().is_ok() == codec::from_cbor::<Header>("header", &object.signed.payload).is_ok());
}

/// What a run did.
///
/// # Panics
/// If it changes by being written.
pub fn run_details(bytes: &[u8]) {
    cbor::<RunDetails>(bytes);
}

/// The label of a snapshot.
///
/// # Panics
/// If a label changes by being written.
pub fn label(bytes: &[u8]) {
    cbor::<Label>(bytes);
}

/// The root of a snapshot.
///
/// # Panics
/// If a root changes by being written.
pub fn root(bytes: &[u8]) {
    cbor::<Root>(bytes);
}

/// A key entry and the envelope it travels in.
///
/// # Panics
/// If either changes by being written.
pub fn key_entry(bytes: &[u8]) {
    cbor::<KeyEntry>(bytes);
    cbor::<KeyEnvelope>(bytes);
    cbor::<Suppression>(bytes);
}

/// A bundle object, a bundle and its list.
///
/// # Panics
/// If any of them changes by being written.
pub fn bundle(bytes: &[u8]) {
    cbor::<Bundle>(bytes);
    cbor::<BundleList>(bytes);
    let Ok((generation, ciphertext)) = keyring::decode_bundle_object(bytes) else { return };
    let object = keyring::encode_bundle_object(generation, ciphertext);
    let again = keyring::decode_bundle_object(&object);
    assert!(again.is_ok_and(|again| again == (generation, ciphertext)), "a bundle object must survive being written");
}

/// A policy, its rules of retention, and what is said about joining.
///
/// # Panics
/// If one of them changes by being written.
pub fn policy(bytes: &[u8]) {
    cbor::<Policy>(bytes);
    cbor::<Retention>(bytes);
    cbor::<Join>(bytes);
}

/// A log entry and its event.
///
/// # Panics
/// If an entry changes by being written, or an event loses its number.
pub fn log_entry(bytes: &[u8]) {
    cbor::<PersonAccount>(bytes);
    cbor::<PersonJobs>(bytes);
    cbor::<LogEntry>(bytes);
    let Ok(entry) = codec::from_cbor::<LogEntry>("log entry", bytes) else { return };
    let Ok(event) = entry.event() else { return };
    let (kind, body) = event.encode();
    assert!(kind == entry.kind, "an event keeps its number");
    let again = LogEntry { body: body.into(), ..entry }.event();
    assert!(again.is_ok_and(|again| again == event), "an event must survive being written");
}

/// A session and its end.
///
/// # Panics
/// If either changes by being written.
pub fn session(bytes: &[u8]) {
    cbor::<Session>(bytes);
    cbor::<SessionEnd>(bytes);
}

/// A plan of a garbage collection and a step of one.
///
/// # Panics
/// If either changes by being written.
pub fn gc(bytes: &[u8]) {
    cbor::<GcPlan>(bytes);
    cbor::<GcStep>(bytes);
}

/// A parity object, whole or not.
///
/// # Panics
/// If a header that was accepted is written in another way.
pub fn parity(bytes: &[u8]) {
    if let Ok((header, rest)) = ParityHeader::decode(bytes) {
        let used = bytes.len().saturating_sub(rest.len());
        assert!(bytes.get(..used) == Some(&header.encode()), "a header has one encoding");
    }
    // Which check is right is not this crate's to say: here every header has the same.
    let accept: CheckOf = |_| ShardCheck::default();
    let Ok((header, _)) = ParityHeader::find(bytes, accept) else { return };
    let object = header.object(ShardCheck::default(), &[]);
    let again = ParityHeader::find(&object, accept);
    assert!(again.is_ok_and(|(again, _)| again == header), "a header must survive being written");
}

/// A rollup.
///
/// # Panics
/// If it changes by being written.
pub fn rollup(bytes: &[u8]) {
    let Ok(objects) = rollup::decode(bytes) else { return };
    let mut again = rollup::Builder::default();
    objects.iter().for_each(|(name, object)| again.push(name, object));
    assert!(again.finish() == bytes, "a rollup has one encoding");
}

/// A rebuilt reach map, before it is opened.
///
/// # Panics
/// If it changes by being written.
pub fn rebuilt_reach(bytes: &[u8]) {
    cbor::<RebuiltReach>(bytes);
}

/// An index segment, and what is sealed with the structure key.
///
/// # Panics
/// If either changes by being written.
pub fn segment(bytes: &[u8]) {
    cbor::<Segment>(bytes);
    cbor::<Salted>(bytes);
}

fn cbor<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq>(bytes: &[u8]) {
    let Ok(value) = codec::from_cbor::<T>("value", bytes) else { return };
    let again = codec::to_cbor(&value);
    assert!(
        codec::from_cbor::<T>("value", &again).is_ok_and(|reread| reread == value),
        "a value must survive being written"
    );
}
