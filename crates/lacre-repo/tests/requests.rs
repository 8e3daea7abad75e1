//! How many requests operations make of a real bucket, and what they do when the way to it breaks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/mod.rs"]
mod support;

use bytes::Bytes;
use jiff::SignedDuration;
use lacre_format::{name::ObjectName, root::Shape};
use lacre_repo::{
    home::Home,
    store::{
        BucketOptions, Cause, Conditional, Credentials, DeleteRight, Deletion, Lock, LockMode, ObjectLock, PutOutcome,
        Store, StoreError, Versioning,
    },
};
use lacre_test_bucket::{BUCKET_LOCKED, BUCKET_PLAIN, BUCKET_VERSIONED, Key, Proxy, Rclone, Weed};
use support::Bench;

/// Requests of a nightly backup of a small unchanged source.
const NIGHT_REQUESTS_MAX: u64 = 15;
/// Requests of a cold restore before the data of its one stream: two listings and eight objects.
const COLD_LISTS_MAX: u64 = 2;
const COLD_GETS_MAX: u64 = 8;

fn options(endpoint: &str, bucket: &str, key: Key) -> BucketOptions {
    let keys = Credentials::new(key.id().to_owned(), key.secret());
    let mut options = BucketOptions::new(bucket, "lacre", "us-east-1", keys);
    options.endpoint = Some(endpoint.to_owned());
    options
}

fn open(endpoint: &str, bucket: &str) -> Store {
    Store::open_bucket(&options(endpoint, bucket, Key::Root)).unwrap()
}

fn name(text: &str) -> ObjectName {
    ObjectName::from_path(text).unwrap()
}

fn rows(count: u32) -> Vec<u8> {
    (0..count).flat_map(|row| format!("{row}\tsome text of row {row}\n").into_bytes()).collect()
}

#[test]
fn an_unchanged_night_is_fifteen_requests_at_the_most() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let bench = Bench::over(tempfile::tempdir().unwrap(), open(&proxy.endpoint(), BUCKET_PLAIN));
    let data = rows(2000);
    bench.backup("small", &[("data", Shape::Rows, &data)]);
    for _ in 0..2 {
        bench.clock.advance_hours(24);
        proxy.forget();
        let repository = bench.reopen_over(open(&proxy.endpoint(), BUCKET_PLAIN));
        support::backup(&repository, "small", &[("data", Shape::Rows, &data)], Default::default()).unwrap();
        let count = proxy.count();
        assert!(count.requests() <= NIGHT_REQUESTS_MAX, "{count:?}");
    }
    let snapshot = bench.backup("small", &[("data", Shape::Rows, &data)]).snapshot;
    assert_eq!(bench.read(snapshot, "data"), data);
    assert!(bench.check_all().findings.is_empty());
}

#[test]
fn a_cold_restore_begins_after_few_requests() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let bench = Bench::over(tempfile::tempdir().unwrap(), open(&proxy.endpoint(), BUCKET_PLAIN));
    let data = rows(2000);
    let report = bench.backup("small", &[("data", Shape::Rows, &data)]);
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    proxy.forget();
    let store = open(&proxy.endpoint(), BUCKET_PLAIN);
    let cold = lacre_repo::Repository::open(store.clone(), &home, bench.clock.clone()).unwrap();
    let mut keys = bench.keys();
    keys.cells = bench.report.cells.iter().map(|cell| lacre_repo::cell::CellPlace::parse(cell).unwrap()).collect();
    let snapshot = cold.open_snapshot(report.snapshot, &keys).unwrap();
    let counts = store.counts();
    assert!(counts.list <= COLD_LISTS_MAX, "{counts:?}");
    assert!(counts.get + counts.get_range <= COLD_GETS_MAX, "{counts:?}");
    drop(snapshot);
    assert_eq!(support::read(&cold, report.snapshot, &keys, "data").unwrap(), data);
}

#[test]
fn a_probe_tells_what_a_store_does() {
    let Some(weed) = Weed::start() else { return };
    let plain = open(&weed.endpoint(), BUCKET_PLAIN).probe().unwrap();
    assert_eq!((plain.conditional, plain.versioning), (Conditional::Supported, Versioning::Off), "{plain:?}");
    assert!(plain.reads_own_writes && plain.lists_own_writes && plain.left_over.is_empty(), "{plain:?}");
    assert_eq!(plain.deletes, DeleteRight::Allowed);
    assert!(plain.clock_skew.unwrap().abs() < SignedDuration::from_secs(30), "{plain:?}");
    assert!(plain.protection().starts_with("nothing in this store"));
    let versioned = open(&weed.endpoint(), BUCKET_VERSIONED).probe().unwrap();
    assert_eq!((versioned.versioning, versioned.deletes), (Versioning::On, DeleteRight::Allowed), "{versioned:?}");
    let locked = open(&weed.endpoint(), BUCKET_LOCKED).probe().unwrap();
    assert!(matches!(locked.object_lock, ObjectLock::Enabled | ObjectLock::Default { .. }), "{locked:?}");
    assert!(plain.facts().iter().all(|fact| fact.ok), "{:?}", plain.facts());
    let b2 = Proxy::backblaze(weed.port());
    let probe = open(&b2.endpoint(), BUCKET_VERSIONED).probe().unwrap();
    assert_eq!(probe.conditional, Conditional::Absent, "{probe:?}");
}

#[test]
fn a_store_that_ignores_conditions_is_found_out() {
    let Some(rclone) = Rclone::start() else { return };
    let probe = open(&rclone.endpoint(), Rclone::BUCKET).probe().unwrap();
    assert_eq!(probe.conditional, Conditional::Ignored, "{probe:?}");
    assert!(probe.reads_own_writes, "{probe:?}");
}

#[test]
fn every_version_is_deleted() {
    let Some(weed) = Weed::start() else { return };
    let client = weed.client(Key::Root);
    let store = open(&weed.endpoint(), BUCKET_VERSIONED);
    for body in ["one", "two"] {
        client.put(BUCKET_VERSIONED, "lacre/snap/ab", body.as_bytes()).expect(200);
    }
    client.put(BUCKET_VERSIONED, "lacre/snap/abc", b"a longer name").expect(200);
    client.delete(BUCKET_VERSIONED, "lacre/snap/ab").expect(204);
    assert_eq!(store.delete(&name("snap/ab")).unwrap(), Deletion::Gone);
    let left: Vec<String> = client.versions(BUCKET_VERSIONED, "lacre/snap/").into_iter().map(|left| left.key).collect();
    assert_eq!(left, ["lacre/snap/abc"]);
    assert_eq!(store.delete(&name("snap/ab")).unwrap(), Deletion::Gone, "again");
}

#[test]
fn a_lock_is_pending_and_no_error_and_never_on_keys() {
    let Some(weed) = Weed::start() else { return };
    let mut options = options(&weed.endpoint(), BUCKET_LOCKED, Key::Root);
    options.lock = Some(Lock { mode: LockMode::Governance, days: 1 });
    let store = Store::open_bucket(&options).unwrap();
    let (pack, entry) = (name("packs/ab/abab"), name("keyring/in/x/y"));
    assert_eq!(store.put_new(&pack, Bytes::from_static(b"pack")).unwrap(), PutOutcome::Created);
    assert_eq!(store.put_new(&entry, Bytes::from_static(b"entry")).unwrap(), PutOutcome::Created);
    let Deletion::Pending { until: Some(until) } = store.delete(&pack).unwrap() else {
        unreachable!("a locked pack was deleted")
    };
    let now = lacre_repo::Clock::now(&lacre_repo::SystemClock);
    assert!(until > now + SignedDuration::from_hours(23) && until < now + SignedDuration::from_hours(25), "{until}");
    let later = now + SignedDuration::from_hours(72);
    store.extend_lock(&pack, later).unwrap();
    assert!(
        matches!(store.delete(&pack).unwrap(), Deletion::Pending { until: Some(until) } if until > now + SignedDuration::from_hours(70))
    );
    assert_eq!(store.delete(&entry).unwrap(), Deletion::Gone);
}

#[test]
fn several_prefixes_are_one_listing() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let store = open(&proxy.endpoint(), BUCKET_PLAIN);
    for object in
        ["log/a/1", "packs/aa/1", "policy/1", "policy/2", "session/a/open", "snap/1", "snapshots/1", "void/a/final"]
    {
        assert_eq!(store.put_new(&name(object), Bytes::from_static(b"x")).unwrap(), PutOutcome::Created);
    }
    proxy.forget();
    let listing = store.list_many(&["void", "snap", "policy", "log"]).unwrap();
    let names: Vec<&str> = listing.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["log/a/1", "policy/1", "policy/2", "snap/1", "void/a/final"]);
    assert_eq!(proxy.count().requests(), 1);
    assert_eq!(listing.below("policy").count(), 2);
}

#[test]
fn keys_without_rights_are_told_so() {
    let Some(weed) = Weed::start() else { return };
    let as_key = |key| Store::open_bucket(&options(&weed.endpoint(), BUCKET_PLAIN, key)).unwrap();
    let cause = |error: StoreError| match error {
        StoreError::Remote { cause, .. } => cause,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(cause(as_key(Key::Stranger).list("snap").unwrap_err()), Cause::NotAllowed);
    let mut wrong = options(&weed.endpoint(), BUCKET_PLAIN, Key::Root);
    wrong.credentials = Credentials::new(Key::Root.id().to_owned(), "another".to_owned());
    assert_eq!(cause(Store::open_bucket(&wrong).unwrap().list("snap").unwrap_err()), Cause::WrongKey);
    let nowhere = Store::open_bucket(&options(&weed.endpoint(), "no-such-bucket", Key::Root)).unwrap();
    assert_eq!(cause(nowhere.list("snap").unwrap_err()), Cause::NoBucket);
    assert_eq!(cause(nowhere.put_new(&name("snap/a"), Bytes::from_static(b"x")).unwrap_err()), Cause::NoBucket);
}
