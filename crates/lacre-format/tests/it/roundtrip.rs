//! There and back, for random values of every object; and of every encoding, each shorter and each longer one is refused.

use lacre_format::{
    FormatError, codec,
    codec::{Cursor, put_varint},
    exercise::KINDS,
    frame::{Codec, decode_body, encode_body, padme},
    header::SnapshotObject,
    ids::JobName,
    keyring::{decode_bundle_object, encode_bundle_object},
    log::{Event, LogEntry},
    manifest::Manifest,
    node::Node,
    object::{strip_start, with_start},
    pack::{Footer, Trailer},
    signed::Signed,
};
use minicbor::{Decode, Encode};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    generators::{self as any_of, Hidden},
    values,
};

fn is_truncated<T>(result: Result<T, FormatError>) -> bool {
    matches!(result, Err(FormatError::Truncated { .. }))
}

fn has_one_byte_too_many<T>(result: Result<T, FormatError>) -> bool {
    matches!(result, Err(FormatError::TrailingBytes { bytes: 1, .. }))
}

/// A decoder that reads the whole of its input reads nothing shorter and nothing longer.
fn only_the_whole<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, FormatError>) {
    for length in 0..bytes.len() {
        assert!(is_truncated(decode(&bytes[..length])), "cut at {length} of {}", bytes.len());
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(has_one_byte_too_many(decode(&longer)), "one byte too many");
}

fn cbor<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq>(value: &T) {
    let bytes = codec::to_cbor(value);
    assert!(!bytes.is_empty());
    assert!(codec::from_cbor::<T>("value", &bytes).unwrap() == *value, "it changed on the way");
    only_the_whole(&bytes, |bytes| codec::from_cbor::<T>("value", bytes));
}

macro_rules! cbor_objects {
    ($($test:ident: $generator:ident),* $(,)?) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(48))]
            $(#[test]
            fn $test(value in any_of::$generator()) {
                cbor(&value);
            })*
        }
    };
}

cbor_objects!(
    headers: header,
    labels: label,
    run_details: run_details,
    key_entries: key_entry,
    key_envelopes: key_envelope,
    bundles: bundle,
    bundle_lists: bundle_list,
    policies: policy,
    log_entries: log_entry,
    sessions: session,
    session_ends: session_end,
    gc_plans: gc_plan,
    gc_steps: gc_step,
    segments: segment,
    salted_ciphertexts: salted,
    generation_ids: generation,
    job_names: job,
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn roots(root in any_of::root()) {
        cbor(&root.0);
    }

    #[test]
    fn events(event in any_of::event()) {
        let (kind, body) = event.encode();
        let entry = LogEntry { kind, body: body.clone().into(), ..values::log_entry() };
        prop_assert_eq!(entry.event().unwrap(), event);
        only_the_whole(&body, |body| LogEntry { body: body.to_vec().into(), ..entry.clone() }.event());
    }

    #[test]
    fn later_events_keep_their_number(kind in 9u32.., body in vec(any::<u8>(), 0..20)) {
        let entry = LogEntry { kind, body: body.into(), ..values::log_entry() };
        prop_assert_eq!(entry.event().unwrap(), Event::Unknown(kind));
    }

    #[test]
    fn signed_objects(signed in any_of::signed(), kind in select(KINDS)) {
        let bytes = signed.encode(kind);
        prop_assert_eq!(Signed::decode(kind, &bytes).unwrap(), signed);
        only_the_whole(&bytes, |bytes| Signed::decode(kind, bytes));
    }

    #[test]
    fn snapshot_objects(object in any_of::snapshot_object()) {
        let bytes = object.encode();
        prop_assert_eq!(SnapshotObject::decode(&bytes).unwrap(), object);
        only_the_whole(&bytes, SnapshotObject::decode);
    }

    #[test]
    fn headers_within_their_objects(header in any_of::header()) {
        let signed = values::signed(codec::to_cbor(&header));
        let object = SnapshotObject { signed, root: Vec::new() };
        prop_assert_eq!(SnapshotObject::decode(&object.encode()).unwrap().header().unwrap(), header);
    }

    #[test]
    fn bundle_objects(generation in any_of::generation(), ciphertext in vec(any::<u8>(), 0..60)) {
        let bytes = encode_bundle_object(generation, &ciphertext);
        prop_assert_eq!(decode_bundle_object(&bytes).unwrap(), (generation, ciphertext.as_slice()));
        for length in 0..bytes.len() - ciphertext.len() {
            prop_assert!(is_truncated(decode_bundle_object(&bytes[..length])));
        }
    }

    #[test]
    fn footers(footer in any_of::footer()) {
        let bytes = footer.encode();
        prop_assert_eq!(Footer::decode(&bytes).unwrap(), footer);
        only_the_whole(&bytes, Footer::decode);
    }

    #[test]
    fn trailers(salt in any_of::salt(), footer_bytes in 0..=32u32 << 20, before in 8u64..1 << 40) {
        let bytes = Trailer::encode(salt, footer_bytes);
        let length = before + u64::from(footer_bytes) + 28;
        let trailer = Trailer::decode(&bytes, length).unwrap();
        prop_assert_eq!((trailer.salt, trailer.footer_bytes, trailer.footer_start), (salt, footer_bytes, before));
        only_the_whole(&bytes, |bytes| Trailer::decode(bytes, length));
    }

    #[test]
    fn nodes(node in any_of::node()) {
        let Hidden(node) = node;
        let bytes = node.encode();
        prop_assert!(Node::decode(&bytes).unwrap() == node);
        only_the_whole(&bytes, Node::decode);
    }

    #[test]
    fn frame_bodies(codec in select(vec![Codec::Zstd, Codec::ZstdDictionary]), raw in 0usize..1 << 24, payload in vec(any::<u8>(), 0..300)) {
        let mut bytes = vec![0xff; 3];
        encode_body(codec, raw, &payload, &mut bytes).unwrap();
        prop_assert_eq!(bytes.len() as u64, padme(9 + payload.len() as u64));
        let body = decode_body(&bytes).unwrap();
        prop_assert_eq!((body.codec, body.raw_bytes as usize, body.payload), (codec, raw, payload.as_slice()));
        for length in 0..bytes.len() {
            prop_assert!(decode_body(&bytes[..length]).is_err(), "cut at {}", length);
        }
        bytes.push(0);
        prop_assert!(decode_body(&bytes).is_err(), "one byte too many");
    }

    #[test]
    fn raw_frame_bodies(payload in vec(any::<u8>(), 0..300)) {
        let mut bytes = Vec::new();
        encode_body(Codec::Raw, payload.len(), &payload, &mut bytes).unwrap();
        prop_assert_eq!(decode_body(&bytes).unwrap().payload, payload.as_slice());
    }

    #[test]
    fn varints(value in prop_oneof![any::<u64>(), (0u32..64).prop_map(|bit| 1 << bit), 0..300u64]) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        let significant = 64 - value.leading_zeros();
        prop_assert_eq!(u32::try_from(bytes.len()).unwrap(), significant.max(1).div_ceil(7));
        let whole = |bytes: &[u8]| {
            let mut cursor = Cursor::new("number", bytes);
            let value = cursor.varint()?;
            cursor.finish().map(|()| value)
        };
        prop_assert_eq!(whole(&bytes).unwrap(), value);
        only_the_whole(&bytes, whole);
    }

    #[test]
    fn object_starts(kind in select(KINDS), body in vec(any::<u8>(), 0..20)) {
        let bytes = with_start(kind, &body);
        prop_assert_eq!(strip_start(kind, &bytes).unwrap(), body.as_slice());
        for other in KINDS.iter().filter(|other| **other != kind) {
            let is_another = matches!(strip_start(*other, &bytes), Err(FormatError::BadMagic { .. }));
            prop_assert!(is_another);
        }
        for length in 0..8 {
            prop_assert!(is_truncated(strip_start(kind, &bytes[..length])));
        }
    }

    #[test]
    fn manifests(repository in any_of::repository(), admin in any_of::public_key(), nonce in any_of::salt()) {
        let manifest = Manifest { repository, admin, nonce };
        let text = manifest.encode();
        prop_assert_eq!(Manifest::decode(text.as_bytes()).unwrap(), manifest);
        for length in 0..text.len() {
            prop_assert!(Manifest::decode(&text.as_bytes()[..length]).is_err());
        }
        let longer = text + "\n";
        prop_assert!(Manifest::decode(longer.as_bytes()).is_err());
    }

    #[test]
    fn any_text_is_a_job_name_or_refused(text in vec(any::<char>(), 0..70)) {
        let text: String = text.into_iter().collect();
        if let Ok(job) = JobName::parse(&text) {
            prop_assert_eq!(job.as_str(), text.as_str());
        }
    }
}
