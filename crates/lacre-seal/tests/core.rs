//! Frames, structure, roots, signatures, index rows, key entries, bundles and slots: what they promise and what they refuse.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::SystemTime;

use lacre_format::{
    codec,
    frame::Codec,
    ids::{GenerationId, HomeId, JobName, Millis, PackId, RepositoryId, Salt, SnapshotId},
    keyring::Bundle,
    node::Capability,
    object::Kind,
    pack::Birth,
    root::{Root, Secret32},
};
use lacre_seal::{
    aead::Suite,
    bundle,
    cell::{SLOT_BYTES, Slot, decode_slot, encode_slot},
    frame::{Fingerprinter, open_frame, seal_frame},
    identity::Identity,
    index_row::{IndexKey, IndexRow, ROW_BYTES},
    key_entry::{OpenEntryError, make_key_entry, open_key_entry},
    outer::SealSeed,
    root::{OpenRootError, open_root, seal_root},
    secret::{SnapshotKey, StreamSecret, repository_id},
    sign::{SigningKey, verify},
    structure::{Structure, StructureKey},
};
use zeroize::Zeroizing;

const REPOSITORY: RepositoryId = RepositoryId::new([1; 16]);
const SNAPSHOT: SnapshotId = SnapshotId::new([2; 16]);
const OTHER: SnapshotId = SnapshotId::new([3; 16]);
const HOME: HomeId = HomeId::new([4; 16]);

fn fingerprinter() -> Fingerprinter {
    Fingerprinter::new(&StreamSecret::from_bytes(&[5; 32]))
}

#[test]
fn a_frame_opens_with_its_capability_only() {
    for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305] {
        let fingerprint = fingerprinter().fingerprint(0, b"some rows");
        let sealed = seal_frame(suite, &fingerprint, 0, Codec::Raw, 9, b"some rows").unwrap();
        let body = open_frame(&sealed.capability, 0, &mut sealed.bytes.clone()).unwrap().payload.to_vec();
        assert_eq!(body, b"some rows");
        assert!(open_frame(&sealed.capability, 1, &mut sealed.bytes.clone()).is_err(), "another level");
        let stranger = Capability::from_bytes([9; 32]);
        assert!(open_frame(&stranger, 0, &mut sealed.bytes.clone()).is_err(), "another capability");
        for at in 0..sealed.bytes.len() {
            let mut flipped = sealed.bytes.clone();
            flipped[at] ^= 1;
            assert!(open_frame(&sealed.capability, 0, &mut flipped).is_err(), "byte {at} flipped");
            assert!(open_frame(&sealed.capability, 0, &mut sealed.bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
    }
}

#[test]
fn sealing_the_same_plaintext_twice_gives_unrelated_frames() {
    let seal = || {
        let fingerprint = fingerprinter().fingerprint(0, b"twice");
        seal_frame(Suite::Aes256Gcm, &fingerprint, 0, Codec::Raw, 5, b"twice").unwrap()
    };
    let (one, other) = (seal(), seal());
    assert!(one.capability != other.capability);
    assert_ne!(one.bytes, other.bytes);
    assert_eq!(one.bytes.len(), other.bytes.len());
}

#[test]
fn the_length_of_a_frame_is_padded() {
    let lengths: std::collections::BTreeSet<usize> = (1000..1040)
        .map(|length| {
            let plaintext = vec![7u8; length];
            let fingerprint = fingerprinter().fingerprint(0, &plaintext);
            seal_frame(Suite::Aes256Gcm, &fingerprint, 0, Codec::Raw, length, &plaintext).unwrap().bytes.len()
        })
        .collect();
    assert!(lengths.len() <= 3, "{lengths:?}");
}

#[test]
fn fingerprints_depend_on_secret_level_and_plaintext() {
    let key = IndexKey::from_bytes(&[6; 32]);
    let other_secret = Fingerprinter::new(&StreamSecret::from_bytes(&[8; 32]));
    let names = [
        key.name(&fingerprinter().fingerprint(0, b"x")),
        key.name(&fingerprinter().fingerprint(1, b"x")),
        key.name(&fingerprinter().fingerprint(0, b"y")),
        key.name(&other_secret.fingerprint(0, b"x")),
        IndexKey::from_bytes(&[7; 32]).name(&fingerprinter().fingerprint(0, b"x")),
    ];
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert_eq!(names[0], key.name(&fingerprinter().fingerprint(0, b"x")));
}

#[test]
fn an_index_row_opens_only_with_the_run_key_and_the_plaintext() {
    let key = IndexKey::from_bytes(&[6; 32]);
    let fingerprint = fingerprinter().fingerprint(0, b"chunk");
    let name = key.name(&fingerprint);
    let birth = Birth { pack: PackId::new([1; 12]), slot: 77 };
    let row = |byte: u8| IndexRow { capability: Capability::from_bytes([byte; 32]), birth, dictionary: 3 };
    let sealed = key.seal(&fingerprint, &name, &row(9));
    assert_eq!(sealed.len(), ROW_BYTES);
    assert_eq!(sealed, key.seal(&fingerprint, &name, &row(9)), "the same row is the same bytes");
    assert_ne!(sealed[..12], key.seal(&fingerprint, &name, &row(10))[..12], "another row has another nonce");
    let opened = key.open(&fingerprint, &name, &sealed).unwrap();
    assert!(opened.birth == birth && opened.dictionary == 3 && opened.capability.expose() == &[9; 32]);
    let wrong = fingerprinter().fingerprint(0, b"other");
    assert!(key.open(&wrong, &name, &sealed).is_none());
    assert!(key.open(&fingerprint, &[0; 16], &sealed).is_none());
    assert!(IndexKey::from_bytes(&[7; 32]).open(&fingerprint, &name, &sealed).is_none());
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 128;
        assert!(key.open(&fingerprint, &name, &flipped).is_none(), "byte {at}");
        assert!(key.open(&fingerprint, &name, &sealed[..at]).is_none(), "cut at {at}");
    }
}

#[test]
fn structure_is_bound_to_kind_repository_and_snapshot() {
    let key = StructureKey::from_bytes(&[3; 32]);
    let kinds = [
        Structure::Footer,
        Structure::Segment,
        Structure::Reach(SNAPSHOT),
        Structure::Reach(OTHER),
        Structure::Label(SNAPSHOT),
        Structure::SessionJob(SNAPSHOT),
    ];
    for kind in kinds {
        let sealed = key.seal(kind, REPOSITORY, b"where frames lie").unwrap();
        for other in kinds {
            let opened = key.open(other, REPOSITORY, sealed.salt, &sealed.ciphertext);
            assert_eq!(opened.is_ok(), other == kind, "{kind:?} as {other:?}");
        }
        assert!(key.open(kind, RepositoryId::new([9; 16]), sealed.salt, &sealed.ciphertext).is_err());
        assert!(key.open(kind, REPOSITORY, Salt::new([0; 16]), &sealed.ciphertext).is_err());
    }
}

fn root() -> Root {
    Root {
        repository: REPOSITORY,
        snapshot: SNAPSHOT,
        job: JobName::parse("app").unwrap(),
        taken: Millis(1),
        source: "file".to_owned(),
        facts: [("tool".to_owned(), "test".to_owned())].into(),
        streams: Vec::new(),
        structure_key: Secret32::from_bytes([1; 32]),
        stream_secret: Secret32::from_bytes([2; 32]),
    }
}

#[test]
fn a_root_opens_with_its_snapshot_key_only() {
    let key = SnapshotKey::generate(SNAPSHOT).unwrap();
    let sealed = seal_root(&key, &root());
    assert!(open_root(&key, REPOSITORY, SNAPSHOT, &sealed).is_ok_and(|opened| opened == root()));
    let other = SnapshotKey::generate(SNAPSHOT).unwrap();
    assert!(matches!(open_root(&other, REPOSITORY, SNAPSHOT, &sealed), Err(OpenRootError::NotAuthentic(_))));
    assert!(open_root(&key, REPOSITORY, OTHER, &sealed).is_err());
    assert!(open_root(&key, RepositoryId::new([7; 16]), SNAPSHOT, &sealed).is_err());
    for at in (0..sealed.len()).step_by(7) {
        assert!(open_root(&key, REPOSITORY, SNAPSHOT, &sealed[..at]).is_err());
    }
}

#[test]
fn a_signature_covers_kind_repository_home_and_payload() {
    let key = SigningKey::from_seed(&[1; 32]);
    let signed = key.sign(Kind::Policy, REPOSITORY, HOME, b"payload".to_vec());
    assert!(verify(&key.public(), Kind::Policy, REPOSITORY, &signed).is_ok());
    assert!(verify(&key.public(), Kind::LogEntry, REPOSITORY, &signed).is_err());
    assert!(verify(&key.public(), Kind::Policy, RepositoryId::new([9; 16]), &signed).is_err());
    assert!(verify(&SigningKey::from_seed(&[2; 32]).public(), Kind::Policy, REPOSITORY, &signed).is_err());
    let mut moved = signed.clone();
    moved.home = HomeId::new([8; 16]);
    assert!(verify(&key.public(), Kind::Policy, REPOSITORY, &moved).is_err());
    let mut changed = signed;
    changed.payload[0] ^= 1;
    assert!(verify(&key.public(), Kind::Policy, REPOSITORY, &changed).is_err());
}

#[test]
fn ed25519_gives_the_public_key_of_rfc_8032() {
    // RFC 8032, 7.1, test 1.
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(SigningKey::from_seed(&seed).public().to_string(), expected);
}

fn hex(text: &str) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    bytes
}

#[test]
fn a_key_entry_gives_the_key_its_writer_committed_to() {
    let (secret, recipient) = Identity::generate_x25519().unwrap();
    let identities = [secret.identity()];
    let key = SnapshotKey::generate(SNAPSHOT).unwrap();
    let commitment = key.commitment(REPOSITORY, SNAPSHOT);
    let entry =
        make_key_entry(&key, REPOSITORY, SNAPSHOT, 0, std::slice::from_ref(&recipient), SystemTime::now()).unwrap();
    let opened = open_key_entry(&entry, REPOSITORY, SNAPSHOT, &commitment, &identities).unwrap().unwrap();
    assert!(opened.commits_to(&commitment, REPOSITORY, SNAPSHOT));
    let foreign = open_key_entry(&entry, REPOSITORY, OTHER, &commitment, &identities).unwrap();
    assert!(matches!(foreign, Err(OpenEntryError::Foreign)));
    let other = SnapshotKey::generate(SNAPSHOT).unwrap();
    let swapped = make_key_entry(&other, REPOSITORY, SNAPSHOT, 0, &[recipient], SystemTime::now()).unwrap();
    let refused = open_key_entry(&swapped, REPOSITORY, SNAPSHOT, &commitment, &identities).unwrap();
    assert!(matches!(refused, Err(OpenEntryError::Commitment)));
    let (stranger, _) = Identity::generate_x25519().unwrap();
    assert!(open_key_entry(&entry, REPOSITORY, SNAPSHOT, &commitment, &[stranger.identity()]).is_none());
}

#[test]
fn a_bundle_opens_with_its_generation_only() {
    let seed = SealSeed::generate().unwrap();
    let generation = bundle::generation_id(3, &seed);
    let content = Bundle { repository: REPOSITORY, generation, entries: vec![vec![1, 2, 3].into()] };
    let sealed = bundle::seal_bundle(&seed, &content).unwrap();
    assert_eq!(bundle::open_bundle(&seed, REPOSITORY, generation, &sealed).unwrap(), content);
    let next = GenerationId { number: 4, ..generation };
    assert!(bundle::open_bundle(&seed, REPOSITORY, next, &sealed).is_err());
    assert!(bundle::open_bundle(&SealSeed::generate().unwrap(), REPOSITORY, generation, &sealed).is_err());
    assert_ne!(sealed, bundle::seal_bundle(&seed, &content).unwrap(), "a second sealing has another salt and key");
    for at in (0..sealed.len()).step_by(11) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 2;
        assert!(bundle::open_bundle(&seed, REPOSITORY, generation, &flipped).is_err(), "byte {at}");
    }
}

#[test]
fn a_slot_is_empty_full_or_damaged() {
    let seed = SealSeed::from_bytes(Zeroizing::new([5; 32]));
    let generation = bundle::generation_id(0, &seed);
    let slot = encode_slot(REPOSITORY, generation, &seed);
    assert_eq!(slot.len(), SLOT_BYTES);
    let Slot::Full(full) = decode_slot(&slot) else { unreachable!("a whole slot") };
    assert_eq!((full.repository, full.generation), (REPOSITORY, generation));
    assert_eq!(*full.seed.to_cell_bytes(), [5; 32]);
    assert!(matches!(decode_slot(&[0; SLOT_BYTES]), Slot::Empty));
    for at in (0..110).chain([500, SLOT_BYTES - 1]) {
        let mut torn = slot.to_vec();
        torn[at] ^= 1;
        assert!(matches!(decode_slot(&torn), Slot::Damaged), "byte {at}");
    }
    assert!(matches!(decode_slot(&slot[..100]), Slot::Damaged));
}

/// Fixed inputs give these bytes for ever: a change here is a change of the format.
#[test]
fn golden_derivations() {
    let secret = StreamSecret::from_bytes(&[5; 32]);
    let tables = secret.cut_secret();
    let gear: Vec<u8> = tables.gear().iter().flat_map(|word| word.to_le_bytes()).collect();
    let key = IndexKey::from_bytes(&[6; 32]);
    let admin = SigningKey::from_seed(&[1; 32]).public();
    let golden = [
        ("gear table", blake3::hash(&gear).to_hex().to_string()),
        ("row cut", blake3::hash(tables.row()).to_hex().to_string()),
        ("stream tag", secret.stream_tag("public.users").to_string()),
        (
            "index name",
            codec::to_cbor(&Salt::new(key.name(&fingerprinter().fingerprint(0, b"x"))))
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        ),
        ("repository id", repository_id(&admin, &Salt::new([2; 16])).to_string()),
    ];
    let found: String = golden.iter().map(|(what, value)| format!("{what}: {value}\n")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/derivations.txt");
    if std::env::var_os("LACRE_UPDATE_VECTORS").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(path).unwrap());
}

/// Frames, roots and signatures sealed by the first version must open for ever.
#[test]
fn golden_objects_open() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/core");
    let signing = SigningKey::from_seed(&[1; 32]);
    if std::env::var_os("LACRE_UPDATE_VECTORS").is_some() {
        std::fs::create_dir_all(directory).unwrap();
        let fingerprint = fingerprinter().fingerprint(0, b"golden rows\n");
        for (name, suite) in [("aes", Suite::Aes256Gcm), ("chacha", Suite::ChaCha20Poly1305)] {
            let sealed = seal_frame(suite, &fingerprint, 0, Codec::Raw, 12, b"golden rows\n").unwrap();
            std::fs::write(format!("{directory}/frame-{name}.bin"), &sealed.bytes).unwrap();
            std::fs::write(format!("{directory}/frame-{name}.capability"), sealed.capability.expose()).unwrap();
        }
        let footer = StructureKey::from_bytes(&[3; 32]).seal(Structure::Footer, REPOSITORY, b"golden footer").unwrap();
        std::fs::write(format!("{directory}/footer.cbor"), codec::to_cbor(&footer)).unwrap();
        let signed = signing.sign(Kind::Session, REPOSITORY, HOME, b"golden session".to_vec());
        std::fs::write(format!("{directory}/signed.bin"), signed.encode(Kind::Session)).unwrap();
    }
    let load = |name: &str| std::fs::read(format!("{directory}/{name}")).unwrap();
    for name in ["aes", "chacha"] {
        let capability = Capability::from_bytes(load(&format!("frame-{name}.capability")).try_into().unwrap());
        let mut frame = load(&format!("frame-{name}.bin"));
        assert_eq!(open_frame(&capability, 0, &mut frame).unwrap().payload, b"golden rows\n");
    }
    let footer: lacre_format::segment::Salted = codec::from_cbor("footer", &load("footer.cbor")).unwrap();
    let opened =
        StructureKey::from_bytes(&[3; 32]).open(Structure::Footer, REPOSITORY, footer.salt, &footer.ciphertext);
    assert_eq!(opened.unwrap(), b"golden footer");
    let signed = lacre_format::signed::Signed::decode(Kind::Session, &load("signed.bin")).unwrap();
    assert!(verify(&signing.public(), Kind::Session, REPOSITORY, &signed).is_ok());
    let again = signing.sign(Kind::Session, REPOSITORY, HOME, b"golden session".to_vec());
    assert_eq!(again, signed, "Ed25519 signatures are deterministic");
}
