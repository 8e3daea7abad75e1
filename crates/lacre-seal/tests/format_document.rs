//! The sealed examples of `docs/FORMAT.md`, computed by an independent implementation, open here.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::{fs, path::PathBuf};

use lacre_format::{
    ids::{HomeId, PublicKey, RepositoryId, Salt, Signature},
    node::Capability,
    object::Kind,
    signed::Signed,
};
use lacre_seal::{
    frame::open_frame,
    secret::{StreamSecret, repository_id},
    sign::{self, SigningKey},
    structure::{Structure, StructureKey},
};

/// The bytes of the example whose fence says `word name`; what follows a `#` is comment.
fn example(word: &str, name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/FORMAT.md");
    let text = fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once(&format!("\n```{word} {name}\n")).unwrap_or_else(|| panic!("no example {name}"));
    let (block, _) = rest.split_once("\n```").unwrap();
    let digits: String = block.lines().map(|line| line.split('#').next().unwrap().trim()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte in {name}");
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn counting() -> [u8; 32] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

const REPOSITORY: RepositoryId = RepositoryId::new([0x11; 16]);
const SALT: Salt = Salt::new([0x55; 16]);

#[test]
fn the_frame_opens() {
    let mut frame = example("seal", "frame");
    let capability = Capability::from_bytes(counting());
    let body = open_frame(&capability, 0, &mut frame).unwrap();
    assert_eq!(body.payload, &example("hex", "frame-body")[9..37]);
    let mut frame = example("seal", "frame");
    assert!(open_frame(&capability, 1, &mut frame).is_err(), "the level is authenticated");
}

#[test]
fn the_footer_opens() {
    let key = StructureKey::from_bytes(&[0xe1; 32]);
    let sealed = example("seal", "footer");
    let footer = key.open(Structure::Footer, REPOSITORY, SALT, &sealed).unwrap();
    assert_eq!(footer, example("hex", "pack-footer"));
    assert!(key.open(Structure::Segment, REPOSITORY, SALT, &sealed).is_err(), "a footer is no segment");
}

#[test]
fn ids_are_derived_as_described() {
    let id = repository_id(&PublicKey::new([0xad; 32]), &SALT);
    assert_eq!(id.as_bytes().as_slice(), example("seal", "repository-id"));
    let tag = StreamSecret::from_bytes(&[0xe2; 32]).stream_tag("public.users");
    assert_eq!(tag.as_bytes().as_slice(), example("seal", "stream-tag"));
}

#[test]
fn the_signature_verifies() {
    let key = SigningKey::from_seed(&counting());
    assert_eq!(key.public().as_bytes().as_slice(), example("seal", "public-key"));
    let message = example("hex", "signed-message");
    let payload = example("hex", "session-end");
    let home = HomeId::new([0x33; 16]);
    assert_eq!(Signed::message(Kind::SessionEnd, REPOSITORY, home, &payload), message);
    let bytes = <[u8; 64]>::try_from(example("seal", "signature")).unwrap();
    let signed = Signed { home, payload: payload.clone(), signature: Signature::new(bytes) };
    sign::verify(&key.public(), Kind::SessionEnd, REPOSITORY, &signed).unwrap();
    assert_eq!(key.sign(Kind::SessionEnd, REPOSITORY, home, payload), signed, "Ed25519 is deterministic");
    assert!(sign::verify(&key.public(), Kind::Session, REPOSITORY, &signed).is_err(), "the kind is signed");
}
