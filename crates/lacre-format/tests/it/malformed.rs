//! Everything that can be wrong with an object, each under its name; and nothing wrong makes a decoder panic or allocate.

use lacre_format::{
    FormatError,
    codec::{self, Cursor, put_varint},
    erasure::{Physical, RECEIPT_ITEMS_MAX},
    exercise::DECODERS,
    frame::{Codec, RAW_BYTES_MAX, decode_body, encode_body},
    header::{CHAIN_HEADS_MAX, Header, Label, SEGMENTS_MAX, SnapshotObject, TAGS_MAX},
    keyring::{BUNDLE_ENTRIES_MAX, Bundle, BundleList, InnerWrap, KeyEntry, KeyEnvelope, WRAPS_MAX, WrapKind},
    log::{AdoptRecord, EVENT_SNAPSHOTS_MAX, LogEntry, Named, PointerRecord},
    manifest::Manifest,
    node::{NODE_ENTRIES_MAX, Node},
    object::{Kind, strip_start},
    pack::{FOOTER_BYTES_MAX, Footer, PACK_BYTES_MAX, SLOTS_MAX, Trailer},
    policy::{
        CELLS_MAX, HOMES_MAX, HomeEntry, KitState, PINNED_OBJECTS_MAX, Policy, RECIPIENTS_MAX, RULES_MAX, Retention,
        Revocation,
    },
    reach::Reach,
    root::Root,
    run::{RUN_JOBS_MAX, RunDetails},
    segment::{SEGMENT_PACKS_MAX, Salted, Segment},
    session::{Session, SessionEnd},
    signed::Signed,
};
use minicbor::{Decode, Encode};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{generators as any_of, values, vectors::read};

#[track_caller]
fn malformed<T>(result: Result<T, FormatError>, because: &str) {
    match result {
        Err(FormatError::Malformed { why, .. }) => assert!(why.contains(because), "{why}"),
        Err(other) => panic!("{other}, where {because} was expected"),
        Ok(_) => panic!("accepted, where {because} was expected"),
    }
}

#[track_caller]
fn too_large<T>(result: Result<T, FormatError>, most: u64) {
    match result {
        Err(FormatError::TooLarge { allowed, .. }) => assert_eq!(allowed, most),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

#[track_caller]
fn bad_version<T>(result: Result<T, FormatError>, version: u64) {
    match result {
        Err(FormatError::BadVersion { found, known, .. }) => assert_eq!((found, known), (version, 1)),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers.iter().for_each(|number| put_varint(&mut out, *number));
    out
}

/// A vector with one byte replaced.
fn with(name: &str, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = read(name);
    bytes[at] = byte;
    bytes
}

#[test]
fn starts() {
    let good = read("signed-object");
    for at in 0..6 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        assert_eq!(
            strip_start(Kind::SessionEnd, &bytes),
            Err(FormatError::BadMagic { what: "session end" }),
            "byte {at}"
        );
    }
    bad_version(strip_start(Kind::SessionEnd, &with("signed-object", 6, 2)), 2);
    bad_version(strip_start(Kind::SessionEnd, &with("signed-object", 7, 1)), 257);
    let elsewhere = Signed::decode(Kind::Session, &good);
    assert_eq!(elsewhere, Err(FormatError::BadMagic { what: "session" }));
}

#[test]
fn varints() {
    let varint = |bytes: &[u8]| Cursor::new("number", bytes).varint();
    malformed(varint(&[0x80, 0]), "shortest form");
    malformed(varint(&[0xff, 0x80, 0]), "shortest form");
    malformed(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), "over 64 bits");
    malformed(varint(&[0x80; 11]), "over 64 bits");
    assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
    assert_eq!(varint(&[0x80]), Err(FormatError::Truncated { what: "number" }));
    assert_eq!(Cursor::new("number", &numbers(&[9])).bounded(9), Ok(9));
    too_large(Cursor::new("number", &numbers(&[10])).bounded(9), 9);
    too_large(Cursor::new("number", &numbers(&[1 << 32])).bounded(9), 9);
}

#[test]
fn cursors_never_pass_the_end() {
    let mut cursor = Cursor::new("bytes", b"abc");
    assert!(cursor.take(usize::MAX).is_err() && cursor.array::<4>().is_err());
    assert_eq!(cursor.left(), 3, "what failed took nothing");
    assert_eq!(cursor.take(2), Ok(b"ab".as_slice()));
    assert_eq!(cursor.clone().finish(), Err(FormatError::TrailingBytes { what: "bytes", bytes: 1 }));
    assert_eq!(cursor.byte(), Ok(b'c'));
    assert_eq!(cursor.finish(), Ok(()));
}

#[test]
fn frame_bodies() {
    malformed(decode_body(&with("frame-body", 0, 3)), "codec 3 is not known");
    malformed(decode_body(&with("frame-body", 1, 27)), "raw payload of another length");
    malformed(decode_body(&with("frame-body", 39, 1)), "padding");
    malformed(decode_body(&with("frame-body", 5, 27)), "Padm");
    too_large(decode_body(&with("frame-body", 4, 2)), u64::from(RAW_BYTES_MAX));
    too_large(decode_body(&with("frame-body", 8, 2)), u64::from(RAW_BYTES_MAX));
    assert!(matches!(decode_body(&with("frame-body", 5, 200)), Err(FormatError::Truncated { .. })));
    let most = RAW_BYTES_MAX as usize;
    let mut out = Vec::new();
    too_large(encode_body(Codec::Zstd, most + 1, b"", &mut out), most as u64);
    too_large(encode_body(Codec::Raw, 0, &vec![0; most + 1], &mut out), most as u64);
    encode_body(Codec::Raw, most, &vec![7; most], &mut out).unwrap();
    assert_eq!(decode_body(&out).unwrap().payload.len(), most);
}

#[test]
fn footers() {
    bad_version(Footer::decode(&with("pack-footer", 0, 2)), 2);
    malformed(Footer::decode(&with("pack-footer", 14, 9)), "level 9 is not known");
    let footer = |count: u64, frame: &[u64]| {
        let mut bytes = vec![1; 13];
        bytes.extend(numbers(&[count]));
        if let [offset, length] = frame {
            bytes.push(0);
            bytes.extend(numbers(&[*offset, *length]));
        }
        Footer::decode(&bytes)
    };
    too_large(footer(u64::from(SLOTS_MAX) + 1, &[]), u64::from(SLOTS_MAX));
    assert_eq!(footer(u64::from(SLOTS_MAX), &[]), Err(FormatError::Truncated { what: "pack footer" }));
    too_large(footer(1, &[PACK_BYTES_MAX + 1, 0]), PACK_BYTES_MAX);
    malformed(footer(1, &[PACK_BYTES_MAX, 1]), "beyond the end");
    assert!(footer(1, &[PACK_BYTES_MAX - 1, 1]).is_ok());
}

#[test]
fn trailers() {
    let good = read("pack-trailer");
    assert_eq!(Trailer::decode(&with("pack-trailer", 27, b'!'), 1513), Err(FormatError::BadMagic { what: "pack" }));
    assert_eq!(Trailer::decode(&good, 92), Err(FormatError::Truncated { what: "pack" }));
    assert!(Trailer::decode(&good, 93).is_ok_and(|trailer| trailer.footer_start == 8));
    assert_eq!(Trailer::decode(&good, 0), Err(FormatError::Truncated { what: "pack" }));
    too_large(Trailer::decode(&with("pack-trailer", 19, 3), u64::MAX), u64::from(FOOTER_BYTES_MAX));
}

#[test]
fn nodes() {
    bad_version(Node::decode(&with("node", 0, 0)), 0);
    malformed(Node::decode(&with("node", 1, 0)), "level 0 is not known");
    malformed(Node::decode(&with("node", 1, 9)), "level 9 is not known");
    let node = |packs: &[u8], entries: u64, uses: &[u64]| {
        let mut bytes = vec![1, 1];
        bytes.extend(numbers(&[packs.len() as u64]));
        packs.iter().for_each(|pack| bytes.extend([*pack; 12]));
        bytes.extend(numbers(&[entries]));
        for index in uses {
            bytes.extend([7; 32]);
            bytes.extend(numbers(&[*index, 0, 1, 0]));
        }
        Node::decode(&bytes)
    };
    assert!(node(&[1, 2], 3, &[0, 1, 0]).is_ok());
    malformed(node(&[1], 1, &[1]), "beyond the table");
    malformed(node(&[1], 1, &[u64::MAX]), "beyond the table");
    malformed(node(&[1, 2], 2, &[1, 0]), "order of first use");
    malformed(node(&[1, 1], 2, &[0, 1]), "twice");
    malformed(node(&[1, 2], 1, &[0]), "no entry uses");
    malformed(node(&[], 0, &[]), "no entries");
    let most = NODE_ENTRIES_MAX as u64;
    too_large(node(&[1], most + 1, &[0]), most);
    assert!(matches!(node(&[1], most, &[0]), Err(FormatError::Truncated { .. })));
    let mut packs = vec![1, 1];
    packs.extend(numbers(&[most + 1]));
    too_large(Node::decode(&packs), most);
}

#[test]
fn entries_of_nodes() {
    let entry = |slot: u64, raw: u64, dictionary: u64| {
        let mut bytes = vec![1, 1, 1];
        bytes.extend([9; 12]);
        bytes.push(1);
        bytes.extend([7; 32]);
        bytes.extend(numbers(&[0, slot, raw, dictionary]));
        Node::decode(&bytes)
    };
    let (slot, raw) = (u64::from(SLOTS_MAX) - 1, u64::from(RAW_BYTES_MAX));
    assert!(entry(slot, raw, 16).is_ok());
    too_large(entry(slot + 1, raw, 16), slot);
    too_large(entry(slot, raw + 1, 16), raw);
    too_large(entry(slot, raw, 17), 16);
}

#[test]
fn reach_maps() {
    bad_version(Reach::decode(&with("reach", 0, 9)), 9);
    too_large(Reach::decode(&[&[1u8][..], &numbers(&[u64::MAX])].concat()), 1 << 20);
    assert!(matches!(Reach::decode(&[1, 0x80, 0x80, 0x40]), Err(FormatError::Truncated { .. })));
}

#[test]
fn manifests() {
    let good = values::manifest().encode();
    let decode = |text: &str| Manifest::decode(text.as_bytes());
    assert_eq!(decode("{\"format\":\"tar\"}"), Err(FormatError::BadMagic { what: "lacre.json" }));
    assert_eq!(Manifest::decode(&[0xff, 0xfe]), Err(FormatError::BadMagic { what: "lacre.json" }));
    bad_version(decode(&good.replace("\"version\":1", "\"version\":2")), 2);
    bad_version(decode(&good.replace("\"version\":1", "\"version\":123456789012345678901234567890")), 123_456_789);
    malformed(decode(&good.replace("\"version\":1", "\"version\":x")), "no version");
    malformed(decode(&good.replace("admin", "owner")), "admin");
    malformed(decode(&good.replace("1111", "111g")), "repository");
    malformed(decode(&good.replace("5555", "555G")), "nonce");
    malformed(decode(&good.replace(",\"admin", ", \"admin")), "order or spacing");
    malformed(decode(good.trim_end()), "order or spacing");
}

#[test]
fn cbor_of_another_shape() {
    let mut wrong_length = read("session-end");
    assert_eq!(wrong_length[2], 0x50, "field 0 has 16 bytes");
    wrong_length[2] = 0x51;
    malformed(codec::from_cbor::<SessionEnd>("x", &wrong_length), "RepositoryId");
    malformed(codec::from_cbor::<SessionEnd>("x", &[0xa0]), "missing");
    malformed(codec::from_cbor::<SessionEnd>("x", &[0x80]), "");
    malformed(codec::from_cbor::<SessionEnd>("x", &[0xf6]), "");
    let mut outcome = read("session-end");
    *outcome.last_mut().unwrap() = 2;
    malformed(codec::from_cbor::<SessionEnd>("x", &outcome), "");
    malformed(codec::from_cbor::<lacre_format::ids::JobName>("x", b"\x62.."), "job name");
    malformed(codec::from_cbor::<lacre_format::ids::JobName>("x", b"\x61\xff"), "");
    malformed(SnapshotObject { signed: values::signed(vec![0x01]), root: vec![] }.header(), "");
    let entry = LogEntry { kind: 7, body: vec![0x07].into(), ..values::log_entry() };
    malformed(entry.event(), "");
}

#[test]
fn lists_are_bounded() {
    let wrap = InnerWrap { kind: WrapKind::AgePq, bytes: Vec::new() };
    let entry = |count: usize| KeyEntry { wraps: vec![wrap.clone(); count], ..values::key_entry() };
    let decode = |entry: &KeyEntry| codec::from_cbor::<KeyEntry>("key entry", &codec::to_cbor(entry));
    assert_eq!(decode(&entry(WRAPS_MAX)).unwrap().wraps.len(), WRAPS_MAX);
    malformed(decode(&entry(WRAPS_MAX + 1)), "more than 64 items");
    let bundle = |count: usize| Bundle { entries: vec![Vec::new().into(); count], ..values::bundle() };
    let decode = |bundle: &Bundle| codec::from_cbor::<Bundle>("bundle", &codec::to_cbor(bundle));
    assert!(decode(&bundle(BUNDLE_ENTRIES_MAX)).is_ok());
    malformed(decode(&bundle(BUNDLE_ENTRIES_MAX + 1)), "more than 100000 items");
}

#[test]
fn every_list_ends_at_its_bound() {
    fn bound<T: Encode<()> + for<'b> Decode<'b, ()>>(most: usize, of: impl Fn(usize) -> T) {
        assert!(codec::from_cbor::<T>("x", &codec::to_cbor(&of(most))).is_ok(), "{most} items are allowed");
        malformed(codec::from_cbor::<T>("x", &codec::to_cbor(&of(most + 1))), &format!("more than {most} items"));
    }
    let head = values::header().seen[0];
    bound(CHAIN_HEADS_MAX, |count| Header { seen: vec![head; count], ..values::header() });
    bound(SEGMENTS_MAX, |count| Header { segments: vec![values::header().root; count], ..values::header() });
    let job = values::run_details().jobs[0].clone();
    bound(RUN_JOBS_MAX, |count| RunDetails { jobs: vec![job.clone(); count], ..values::run_details() });
    bound(TAGS_MAX, |count| Label { tags: vec![String::new(); count], ..values::label() });
    bound(SEGMENT_PACKS_MAX, |count| Segment { packs: vec![values::segment().packs.swap_remove(0); count] });
    let policy = values::policy();
    bound(RECIPIENTS_MAX, |count| Policy { recipients: vec![policy.recipients[0].clone(); count], ..policy.clone() });
    bound(HOMES_MAX, |count| Policy { homes: vec![policy.homes[0].clone(); count], ..policy.clone() });
    let revoked = values::policy_revoked().homes[0].clone();
    let pins = revoked.revoked.clone().unwrap();
    let with = |revocation| HomeEntry { revoked: Some(revocation), ..revoked.clone() };
    bound(CHAIN_HEADS_MAX, |count| with(Revocation { twins: vec![pins.twins[0]; count], ..pins.clone() }));
    bound(CHAIN_HEADS_MAX, |count| with(Revocation { snapshots: vec![pins.snapshots[0]; count], ..pins.clone() }));
    bound(PINNED_OBJECTS_MAX, |count| with(Revocation { objects: vec![pins.objects[0]; count], ..pins.clone() }));
    let retention = values::retention();
    bound(RULES_MAX, |count| Retention { rules: vec![retention.rules[0].clone(); count], ..retention.clone() });
    bound(CELLS_MAX, |count| Policy { cells: vec![policy.cells[0].clone(); count], ..policy.clone() });
    bound(CHAIN_HEADS_MAX, |count| Policy { heads: vec![head; count], ..policy.clone() });
    let lost = [values::SNAPSHOT];
    bound(EVENT_SNAPSHOTS_MAX, |count| AdoptRecord { lost: lost.repeat(count), ..values::adoption() });
    bound(RECEIPT_ITEMS_MAX, |count| Physical { lines: vec![String::new(); count] });
    bound(CELLS_MAX, |count| PointerRecord {
        number: 1,
        state: KitState::Issued,
        words: [0; 4],
        cells: vec![String::new(); count],
    });
    bound(EVENT_SNAPSHOTS_MAX, |count| Named { snapshots: vec![values::SNAPSHOT; count], reason: String::new() });
}

/// Fields that claim 2^64-1 items or bytes end with the input.
fn claims_end<T: for<'b> Decode<'b, ()>>() {
    for field in 0..24 {
        for claim in [0x9b, 0xbb, 0x5b, 0x7b] {
            let mut bytes = vec![0xa1, field, claim];
            bytes.extend([0xff; 8]);
            assert!(codec::from_cbor::<T>("x", &bytes).is_err());
            bytes[0] = 0x81;
            bytes.remove(1);
            assert!(codec::from_cbor::<T>("x", &bytes).is_err());
        }
    }
}

#[test]
fn claimed_counts_allocate_nothing() {
    claims_end::<Header>();
    claims_end::<Label>();
    claims_end::<RunDetails>();
    claims_end::<Root>();
    claims_end::<KeyEntry>();
    claims_end::<KeyEnvelope>();
    claims_end::<Bundle>();
    claims_end::<BundleList>();
    claims_end::<Policy>();
    claims_end::<LogEntry>();
    claims_end::<Session>();
    claims_end::<Segment>();
    claims_end::<Salted>();
    claims_end::<Signed>();
}

#[test]
fn fields_of_later_versions_are_stepped_over() {
    let mut map = read("session-end");
    assert_eq!(map[0], 0xa5);
    map[0] = 0xa6;
    map.extend([0x18, 99, 0xa1, 0x61, b'x', 0x9f, 1, 2, 0xff]);
    assert_eq!(codec::from_cbor::<SessionEnd>("x", &map).unwrap(), values::session_end());
    let mut array = codec::to_cbor(&values::salted());
    assert_eq!(array[0], 0x82);
    array[0] = 0x83;
    array.extend([0x63, b'n', b'e', b'w']);
    assert_eq!(codec::from_cbor::<Salted>("x", &array).unwrap(), values::salted());
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for opening in [0x81, 0x9f, 0xbf, 0xc1, 0xd8] {
        let mut bytes = vec![0xa1, 0x18, 99];
        bytes.extend(vec![opening; 1 << 20]);
        assert!(codec::from_cbor::<SessionEnd>("x", &bytes).is_err(), "{opening:02x}");
    }
}

#[test]
fn any_flipped_bit_of_any_vector_keeps_the_promises() {
    for (name, bytes, decoder) in values::all() {
        let Some((_, run)) = DECODERS.iter().find(|(known, _)| *known == decoder) else { continue };
        let dense = bytes.len().min(600);
        for at in (0..dense).chain((dense..bytes.len()).step_by(16)) {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                run(&flipped);
            }
        }
        assert!(!name.is_empty());
    }
}

#[test]
fn any_flipped_bit_of_a_byte_layout_is_seen_or_changes_the_value() {
    let (node, footer, reach) = (values::node(), values::footer(), values::reach());
    let flips = |bytes: Vec<u8>, same: &dyn Fn(&[u8]) -> bool| {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(!same(&flipped), "bit {bit} of byte {at} makes no difference");
            }
        }
    };
    flips(node.encode(), &|bytes| Node::decode(bytes).is_ok_and(|other| other == node));
    flips(footer.encode(), &|bytes| Footer::decode(bytes).is_ok_and(|other| other == footer));
    flips(reach.encode(), &|bytes| Reach::decode(bytes).is_ok_and(|other| other == reach));
    let body = values::frame_body();
    flips(body.clone(), &|bytes| {
        let same = |one: &[u8], other: &[u8]| match (decode_body(one), decode_body(other)) {
            (Ok(one), Ok(other)) => {
                (one.codec, one.raw_bytes, one.payload) == (other.codec, other.raw_bytes, other.payload)
            }
            _ => false,
        };
        same(&body, bytes)
    });
}

proptest! {
    /// Both are signed as kind `K`, so only their shape keeps them apart.
    #[test]
    fn a_key_entry_and_its_envelope_cannot_stand_in_for_each_other(entry in any_of::key_entry(), envelope in any_of::key_envelope()) {
        prop_assert!(codec::from_cbor::<KeyEnvelope>("envelope", &codec::to_cbor(&entry)).is_err());
        prop_assert!(codec::from_cbor::<KeyEntry>("entry", &codec::to_cbor(&envelope)).is_err());
    }

    #[test]
    fn any_bytes_keep_the_promises((_, run) in select(DECODERS), bytes in vec(any::<u8>(), 0..200)) {
        run(&bytes);
    }

    #[test]
    fn spliced_vectors_keep_the_promises(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), cut in 0usize..20, insert in vec(any::<u8>(), 0..12)) {
        let all = values::all();
        let (_, bytes, decoder) = &all[pick.index(all.len())];
        let at = at.index(bytes.len());
        let mut spliced = bytes[..at].to_vec();
        spliced.extend(&insert);
        spliced.extend(&bytes[(at + cut).min(bytes.len())..]);
        for (_, run) in DECODERS.iter().filter(|(known, _)| known == decoder) {
            run(&spliced);
        }
    }
}
