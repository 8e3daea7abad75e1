//! Identifiers and names of objects: one spelling each, and nothing else is read.

use std::collections::BTreeSet;

use lacre_format::{
    FormatError,
    ids::{Digest, GenerationId, JobName, PackId, PackName, SnapshotId},
    name::{Named, ObjectName},
};
use proptest::{prelude::*, sample::select};

use crate::{generators as any_of, values};

fn named() -> impl Strategy<Value = Named> {
    let log = (any_of::home(), any::<u32>(), any_of::digest());
    let entry = (any_of::generation(), any_of::snapshot(), any_of::token());
    prop_oneof![
        Just(Named::Manifest),
        (any::<u32>(), any_of::digest()).prop_map(|(number, digest)| Named::Policy(number, digest)),
        log.prop_map(|(home, seq, digest)| Named::Log(home, seq, digest)),
        any_of::pack_name().prop_map(Named::Pack),
        any_of::pack_name().prop_map(Named::Parity),
        any_of::digest().prop_map(Named::Segment),
        any_of::snapshot().prop_map(Named::Snapshot),
        any_of::snapshot().prop_map(Named::Reach),
        (any_of::snapshot(), any_of::digest()).prop_map(|(snapshot, digest)| Named::RebuiltReach(snapshot, digest)),
        entry.prop_map(|(generation, snapshot, token)| Named::KeyEntry(generation, snapshot, token)),
        any_of::generation().prop_map(Named::Bundle),
        any_of::generation().prop_map(Named::BundleList),
        any_of::snapshot().prop_map(Named::Session),
        any_of::snapshot().prop_map(Named::SessionEnd),
        any_of::snapshot().prop_map(Named::VoidIntent),
        any_of::snapshot().prop_map(Named::Void),
        any_of::plan().prop_map(Named::GcClaim),
        any_of::plan().prop_map(Named::GcPlan),
        any_of::plan().prop_map(Named::GcWaits),
        any_of::plan().prop_map(Named::GcDecided),
        any_of::plan().prop_map(Named::GcDone),
        (any::<u32>(), any_of::digest()).prop_map(|(objects, digest)| Named::Rollup(objects, digest)),
    ]
}

proptest! {
    #[test]
    fn names_come_back(named in named()) {
        let name = ObjectName::of(&named);
        prop_assert_eq!(ObjectName::parse(name.as_str()), Some((name.clone(), named)));
        prop_assert!(name.as_str().split('/').count() <= 5);
        prop_assert!(ObjectName::from_path(name.as_str()).is_ok());
        prop_assert_eq!(name.to_string(), name.as_str());
    }

    #[test]
    fn a_name_with_one_character_changed_is_another_or_none(named in named(), at in any::<prop::sample::Index>(), to in select(b"0fFg/.-_ \n\\%".to_vec())) {
        let name = ObjectName::of(&named);
        let mut bytes = name.as_str().as_bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let text = String::from_utf8(bytes).unwrap();
        if let Some((read, other)) = ObjectName::parse(&text) {
            prop_assert_eq!(read.as_str(), text.as_str());
            prop_assert_ne!(other, named);
        }
    }

    #[test]
    fn ids_come_back(id in any_of::digest(), generation in any_of::generation()) {
        prop_assert_eq!(Digest::parse(&id.to_string()).unwrap(), id);
        prop_assert!(id.to_string().starts_with(&id.short()) && id.short().len() == 8);
        prop_assert_eq!(GenerationId::parse(&generation.to_string()).unwrap(), generation);
    }
}

#[test]
fn ids_have_one_spelling() {
    let good = "0123456789abcdef01234567";
    assert_eq!(PackId::parse(good).unwrap().to_string(), good);
    assert_eq!(format!("{:?}", PackId::parse(good).unwrap()), format!("PackId({good})"));
    let one_more = format!("{good}0");
    for bad in [
        "",
        &good[1..],
        one_more.as_str(),
        "0123456789ABCDEF01234567",
        "0123456789abcdef0123456 ",
        "+123456789abcdef01234567",
    ] {
        assert_eq!(PackId::parse(bad), Err(FormatError::BadId { what: "PackId" }), "{bad:?}");
    }
    assert!(PackId::parse("é123456789abcdef0123456").is_err());
}

#[test]
fn generations_have_one_spelling() {
    assert_eq!(values::GENERATION.to_string(), "00000003-0102030405060708");
    let good = |number: u32| GenerationId { number, hash: [0; 8] };
    for number in [0, 99_999_999, 100_000_000, u32::MAX] {
        assert_eq!(GenerationId::parse(&good(number).to_string()), Ok(good(number)));
    }
    for bad in [
        "3-0102030405060708",
        "000000003-0102030405060708",
        "4294967296-0102030405060708",
        "+0000003-0102030405060708",
        "00000003-01020304050607",
        "00000003-010203040506070G",
        "00000003_0102030405060708",
        "00000003-0102030405060708-",
        "",
    ] {
        assert!(GenerationId::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn job_names_are_safe_in_paths() {
    let longest = "a".repeat(64);
    for good in ["orders", "a", "0", "db1.orders_v2-x", ".a", "a..b", longest.as_str()] {
        assert_eq!(JobName::parse(good).unwrap().as_str(), good);
        assert_eq!(JobName::parse(good).unwrap().to_string(), good);
    }
    let too_long = "a".repeat(65);
    for bad in ["", ".", "..", "...", "A", "a b", "a/b", "a\\b", "a\n", "é", "a\0", too_long.as_str()] {
        assert!(JobName::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn other_names_are_not_ours() {
    let hex = "ab".repeat(32);
    let sid = values::SNAPSHOT;
    for foreign in [
        String::new(),
        "/".to_owned(),
        "lacre.json/".to_owned(),
        "/lacre.json".to_owned(),
        "LACRE.JSON".to_owned(),
        "lacre.json.tmp".to_owned(),
        format!("packs/{hex}"),
        format!("packs/ac/{hex}"),
        format!("packs/AB/{hex}"),
        format!("packs/ab/{}", hex.to_uppercase()),
        format!("packs/ab/{hex}.tmp"),
        format!("packs/ab/x/{hex}"),
        format!("snap/{sid}/"),
        format!("./snap/{sid}"),
        format!("snap/../snap/{sid}"),
        format!("policy/1-{hex}"),
        format!("policy/000000001-{hex}"),
        format!("policy/-0000001-{hex}"),
        format!("keyring/in/{}/{sid}", values::GENERATION),
        "keyring/in/bundle".to_owned(),
        format!("keyring/{}/other", values::GENERATION),
        format!("session/{sid}"),
        format!("void/{sid}/open"),
        "x/".repeat(100_000),
    ] {
        assert_eq!(ObjectName::parse(&foreign), None, "{foreign:.80}");
    }
}

#[test]
fn paths_of_tests_are_safe() {
    let longest = "a".repeat(255);
    for good in ["a", "a/b/c", "A-1_2.x", longest.as_str()] {
        assert_eq!(ObjectName::from_path(good).unwrap().as_str(), good);
    }
    let too_long = "a".repeat(256);
    for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a b", "a\\b", "é", too_long.as_str()] {
        assert!(ObjectName::from_path(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn names_of_one_kind_sort_by_number() {
    let policies: BTreeSet<ObjectName> =
        [10, 2, 1, 99_999_999].map(|number| ObjectName::of(&Named::Policy(number, values::digest(0)))).into();
    let numbers: Vec<u32> = policies
        .iter()
        .filter_map(|name| match ObjectName::parse(name.as_str()) {
            Some((_, Named::Policy(number, _))) => Some(number),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [1, 2, 10, 99_999_999]);
}

#[test]
fn a_pack_is_filed_under_its_first_byte() {
    let name = ObjectName::of(&Named::Pack(PackName::new([0xab; 32])));
    assert!(name.as_str().starts_with("packs/ab/abab"));
    assert_eq!(SnapshotId::new([0x0f; 16]).short(), "0f0f0f0f");
}
