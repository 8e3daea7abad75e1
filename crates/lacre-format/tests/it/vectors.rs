//! Golden vectors: what version 1 wrote on its first day must be written and read for ever.
//!
//! `LACRE_WRITE_VECTORS=1` writes the files, and the first inputs of the fuzz corpora, anew. A change of an old file is a
//! change of the format.

use std::{collections::BTreeSet, fs, path::PathBuf};

use lacre_format::{
    codec::from_cbor,
    erasure::{PersonAccount, Receipt},
    exercise::DECODERS,
    frame::{Codec, decode_body},
    gc::{GcPlan, GcStep},
    header::{Header, Label, SnapshotObject},
    join::Join,
    keyring::{Bundle, BundleList, KeyEntry, KeyEnvelope, decode_bundle_object},
    log::LogEntry,
    manifest::Manifest,
    node::Node,
    object::{Kind, strip_start},
    pack::{Footer, Trailer},
    parity::ParityHeader,
    policy::{Policy, Retention},
    reach::{Reach, RebuiltReach},
    root::Root,
    run::RunDetails,
    segment::{Salted, Segment},
    session::{Session, SessionEnd},
    signed::Signed,
    suppression::Suppression,
};

use crate::{persons, values};

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A vector's bytes as its file has them.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = directory().join(format!("{name}.hex"));
    unhex(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex(line) + "\n").collect()
}

#[test]
fn values_are_written_as_on_the_first_day() {
    let write = std::env::var_os("LACRE_WRITE_VECTORS").is_some();
    for (name, bytes, decoder) in values::all() {
        if write {
            fs::create_dir_all(directory()).unwrap();
            fs::write(directory().join(format!("{name}.hex")), lines(&bytes)).unwrap();
            if !decoder.is_empty() {
                let corpus = crate::corpus::directory().join(format!("format_{decoder}"));
                fs::create_dir_all(&corpus).unwrap();
                fs::write(corpus.join(name), &bytes).unwrap();
            }
        }
        assert_eq!(hex(&bytes), hex(&read(name)), "{name} is written otherwise than on the first day");
    }
}

#[test]
fn every_file_is_a_vector() {
    let names: BTreeSet<String> = values::all().iter().map(|(name, _, _)| format!("{name}.hex")).collect();
    for file in fs::read_dir(directory()).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        assert!(file == "README.md" || names.contains(&file), "{file} belongs to no value");
    }
}

#[test]
fn vectors_keep_the_promises_of_their_decoders() {
    for (name, _, decoder) in values::all() {
        if let Some((_, exercise)) = DECODERS.iter().find(|(known, _)| *known == decoder) {
            exercise(&read(name));
        } else {
            assert_eq!(decoder, "", "{name} has no decoder {decoder}");
        }
    }
}

#[test]
fn vectors_of_byte_layouts_are_read_as_on_the_first_day() {
    assert_eq!(Manifest::decode(&read("manifest")).unwrap(), values::manifest());
    assert_eq!(Footer::decode(&read("pack-footer")).unwrap(), values::footer());
    let trailer = Trailer::decode(&read("pack-trailer"), 1513).unwrap();
    assert_eq!((trailer.salt, trailer.footer_start, trailer.footer_bytes), (values::SALT, 1428, 57));
    assert!(Node::decode(&read("node")).unwrap() == values::node());
    assert_eq!(Reach::decode(&read("reach")).unwrap(), values::reach());
    let body = read("frame-body");
    let body = decode_body(&body).unwrap();
    assert_eq!((body.codec, body.raw_bytes, body.payload), (Codec::Raw, 28, &values::frame_body()[9..37]));
}

#[test]
fn vectors_of_cbor_are_read_as_on_the_first_day() {
    assert_eq!(from_cbor::<Header>("", &read("header")).unwrap(), values::header());
    assert_eq!(from_cbor::<Label>("", &read("label")).unwrap(), values::label());
    assert_eq!(from_cbor::<RunDetails>("", &read("run-details")).unwrap(), values::run_details());
    assert!(from_cbor::<Root>("", &read("root")).unwrap() == values::root());
    assert_eq!(from_cbor::<KeyEntry>("", &read("key-entry")).unwrap(), values::key_entry());
    assert_eq!(from_cbor::<KeyEnvelope>("", &read("key-envelope")).unwrap(), values::key_envelope());
    assert_eq!(from_cbor::<Bundle>("", &read("bundle")).unwrap(), values::bundle());
    assert_eq!(from_cbor::<BundleList>("", &read("bundle-list")).unwrap(), values::bundle_list());
    assert_eq!(from_cbor::<Policy>("", &read("policy")).unwrap(), values::policy());
    assert_eq!(from_cbor::<Policy>("", &read("policy-adopted")).unwrap(), values::policy_adopted());
    assert_eq!(from_cbor::<Receipt>("", &read("receipt-copies")).unwrap(), values::receipt_with_copies());
    assert_eq!(from_cbor::<Policy>("", &read("policy-cells")).unwrap(), values::policy_with_cells());
    assert_eq!(from_cbor::<Policy>("", &read("policy-revoked")).unwrap(), values::policy_revoked());
    assert_eq!(from_cbor::<Retention>("", &read("retention")).unwrap(), values::retention());
    assert_eq!(from_cbor::<Join>("", &read("join-request")).unwrap(), Join::Request(values::join_request()));
    assert_eq!(from_cbor::<Join>("", &read("join-grant")).unwrap(), Join::Grant(Box::new(values::join_grant())));
    assert_eq!(from_cbor::<LogEntry>("", &read("log-entry")).unwrap(), values::log_entry());
    assert_eq!(from_cbor::<Session>("", &read("session")).unwrap(), values::session());
    assert_eq!(from_cbor::<SessionEnd>("", &read("session-end")).unwrap(), values::session_end());
    assert_eq!(from_cbor::<GcPlan>("", &read("gc-plan")).unwrap(), values::gc_plan());
    assert_eq!(from_cbor::<GcStep>("", &read("gc-step")).unwrap(), values::gc_step());
    assert_eq!(from_cbor::<Segment>("", &read("segment")).unwrap(), values::segment());
    assert_eq!(from_cbor::<RebuiltReach>("", &read("rebuilt-reach")).unwrap(), values::rebuilt_reach());
    assert_eq!(from_cbor::<PersonAccount>("", &read("person-account")).unwrap(), persons::account());
    assert!(from_cbor::<Suppression>("", &read("suppression")).unwrap() == persons::suppression());
}

#[test]
fn vectors_of_objects_are_read_as_on_the_first_day() {
    let snapshot = SnapshotObject::decode(&read("snapshot-object")).unwrap();
    assert_eq!(snapshot, values::snapshot_object());
    assert_eq!(snapshot.header().unwrap(), values::header());
    let signed = Signed::decode(Kind::SessionEnd, &read("signed-object")).unwrap();
    assert_eq!(signed.payload, read("session-end"));
    let sealed = read("sealed-object");
    let salted: Salted = from_cbor("", strip_start(Kind::Reach, &sealed).unwrap()).unwrap();
    assert_eq!(salted, values::salted());
    let parity = read("parity");
    let (header, shards) = ParityHeader::find(&parity, |_| [0xc0; 16]).unwrap();
    assert_eq!((&header, &shards[..64]), (&values::parity_header(), [0x1e; 64].as_slice()));
    assert_eq!(header.object_bytes(), parity.len() as u64);
    let rolled = read("rollup");
    let objects = lacre_format::rollup::decode(&rolled).unwrap();
    let expected = crate::rollup::objects();
    assert!(objects.iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).eq(expected));
    let bundle = read("bundle-object");
    assert_eq!(decode_bundle_object(&bundle).unwrap(), (values::GENERATION, [0x1d; 48].as_slice()));
}

#[test]
fn vectors_of_events_are_read_as_on_the_first_day() {
    let document = include_str!("../../../../docs/FORMAT.md");
    for (name, event) in values::events() {
        let (kind, body) = event.encode();
        assert_eq!(body, read(name), "{name}");
        let entry = LogEntry { kind, body: body.into(), ..values::log_entry() };
        assert_eq!(entry.event().unwrap(), event, "{name}");
        let row = format!("| {} | {kind} |", name.strip_prefix("event-").unwrap().replace('-', " "));
        assert!(document.contains(&row), "docs/FORMAT.md has no row {row}");
    }
}
