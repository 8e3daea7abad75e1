//! Cells in real buckets that keep versions: nothing hidden is left, and a bucket that cannot forget is no cell.

use std::sync::Arc;

use lacre_repo::{
    Error,
    cell::CellPlace,
    op::{cells::NewCell, init::KitChoice, keys::ReadKeys, rotate::RotationState},
    store::{BucketOptions, Credentials, Store},
};
use lacre_test_bucket::{BUCKET_LOCKED, BUCKET_VERSIONED, Key, Weed};

use crate::shop::{BUCKET, COMMAND, Place, Shop};

fn store(weed: &Weed, bucket: &str, prefix: &str, key: Key) -> Store {
    let keys = Credentials::new(key.id().to_owned(), key.secret());
    let mut options = BucketOptions::new(bucket, prefix, "us-east-1", keys);
    options.endpoint = Some(weed.endpoint());
    Store::open_bucket(&options).unwrap()
}

#[test]
fn no_version_of_a_seal_survives_a_rotation_and_hidden_ones_are_named() {
    let Some(weed) = Weed::start() else { return };
    let root = weed.client(Key::Root);
    let shop = Arc::new(Shop::default());
    shop.stores(BUCKET, store(&weed, BUCKET_VERSIONED, "cell", Key::Root));
    let place = Place::over(shop, &[(BUCKET, Some("one")), (COMMAND, Some("vault"))], KitChoice::None);
    let made = place.nights(2);
    let first = place.current();
    let held = |place: &Place| {
        let mut names: Vec<String> = root
            .versions(BUCKET_VERSIONED, "cell/")
            .into_iter()
            .map(|version| format!("{}{}", version.key, if version.marker { " (marker)" } else { "" }))
            .collect();
        names.sort();
        names.dedup();
        assert!(names.iter().all(|name| name.contains(&place.bench.repository.id().to_string())), "{names:?}");
        names
    };
    let before = held(&place);
    assert_eq!(before.len(), 1, "the trial and the probe left nothing: {before:?}");
    // Somebody hides the current value, as a plain DELETE does: it is gone to see and still there.
    let key = before[0].clone();
    let value = root.get(BUCKET_VERSIONED, &key);
    root.delete(BUCKET_VERSIONED, &key).expect(204);
    assert_eq!(place.held(BUCKET), [first].into(), "a hidden version counts");
    assert!(place.findings().contains("holds but cannot give back the current seal"), "{}", place.findings());
    // The rotation opens the seal with the other cell, and every version of the old one goes, with its marker.
    let report = place.rotate().unwrap();
    assert_eq!(report.state, RotationState::Closed);
    let after = held(&place);
    assert_eq!(after.len(), 1, "{after:?}");
    assert!(after[0].contains(&report.to.to_string()), "{after:?}");
    place.assert_reads(&made);
    // Put back over and over, then hidden: one old generation, named, and destroyed with all its versions.
    for _ in 0..3 {
        assert_eq!(root.put(BUCKET_VERSIONED, &key, &value.body).status, 200);
    }
    root.delete(BUCKET_VERSIONED, &key).expect(204);
    assert_eq!(place.held(BUCKET), [first, report.to].into());
    assert!(place.findings().contains(&first.to_string()), "{}", place.findings());
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert_eq!(held(&place).len(), 1);
    place.assert_reads(&made);
}

#[test]
fn a_bucket_that_cannot_forget_and_keys_that_cannot_delete_are_refused() {
    let Some(weed) = Weed::start() else { return };
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::Print);
    let root = weed.client(Key::Root);
    let rule = b"<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    root.call("PUT", &format!("/{BUCKET_LOCKED}"), &[("object-lock", "")], &[], rule).expect(200);
    for (bucket, key, because) in [
        (BUCKET_LOCKED, Key::Root, "locks"),
        (BUCKET_VERSIONED, Key::Backup, "no right"),
        (BUCKET_VERSIONED, Key::Stranger, ""),
        (BUCKET_VERSIONED, Key::NoList, ""),
    ] {
        place.shop.stores(BUCKET, store(&weed, bucket, "lacre/refused", key));
        let new = NewCell {
            place: CellPlace::parse(BUCKET).unwrap(),
            host: "test".to_owned(),
            holder: Some("one".to_owned()),
            sources: Vec::new(),
            replaces: None,
        };
        let refused = place.reopen().add_cell(&new, &ReadKeys::default()).unwrap_err();
        assert!(matches!(refused, Error::Cell { .. }), "{key:?}: {refused}");
        assert!(refused.to_string().contains(because), "{key:?}: {refused}");
        assert_eq!(place.reopen().view().unwrap().policy.cells.len(), 1);
    }
    let seals: Vec<_> =
        root.versions(BUCKET_VERSIONED, "lacre/refused/seal").into_iter().filter(|one| !one.marker).collect();
    assert!(seals.is_empty(), "no seal was put where it could not be forgotten: {seals:?}");
}
