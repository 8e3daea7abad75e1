//! The verbs over buckets: SeaweedFS with and without versions and locks, a store that answers like B2, and one that lies.

use lacre_repo::store::{BucketOptions, Conditional, Credentials, Deletion, PutOutcome, Store};
use lacre_test_bucket::{BUCKET_LOCKED, BUCKET_PLAIN, BUCKET_VERSIONED, Key, Proxy, Rclone, Weed};

use crate::place::{Exclusive, Subject, name};
use crate::{cases, putting};

#[test]
fn a_bucket_without_versions() {
    let Some(weed) = Weed::start() else { return };
    let open = |place: &str| in_bucket(weed.port(), BUCKET_PLAIN, place, Conditional::Unknown);
    Subject::new("a bucket", Exclusive::Always, &open).run(&cases());
    Subject::new("a bucket whose conditions were probed", Exclusive::Always, &|place| {
        in_bucket(weed.port(), BUCKET_PLAIN, &format!("probed-{place}"), Conditional::Supported)
    })
    .run(putting::CASES);
}

#[test]
fn a_bucket_with_versions_and_one_with_locks() {
    let Some(weed) = Weed::start() else { return };
    for bucket in [BUCKET_VERSIONED, BUCKET_LOCKED] {
        let open = |place: &str| in_bucket(weed.port(), bucket, place, Conditional::Unknown);
        Subject::new(bucket, Exclusive::Always, &open).in_one_page().run(&cases());
    }
}

#[test]
fn what_is_deleted_leaves_no_version_behind() {
    let Some(weed) = Weed::start() else { return };
    let eye = weed.client(Key::Root);
    for (bucket, port) in [(BUCKET_VERSIONED, weed.port()), (BUCKET_LOCKED, weed.port())] {
        let store = in_bucket(port, bucket, "deleted", Conditional::Unknown);
        for round in 0..3_u8 {
            assert_eq!(store.put_new(&name("snap/a"), vec![round].into()).unwrap(), PutOutcome::Created);
            // A marker that somebody else's tool left does not hide what lies below it.
            eye.delete(bucket, "lacre/deleted/snap/a").expect(204);
            assert!(eye.versions(bucket, "lacre/deleted/").len() > 1);
            assert_eq!(store.delete(&name("snap/a")).unwrap(), Deletion::Gone);
            assert_eq!(eye.versions(bucket, "lacre/deleted/"), []);
        }
    }
}

#[test]
fn a_bucket_that_answers_like_backblaze() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::backblaze(weed.port());
    let open = |place: &str| in_bucket(proxy.port(), BUCKET_VERSIONED, place, Conditional::Unknown);
    Subject::new("a bucket without conditions", Exclusive::WithoutRace, &open).in_one_page().run(&cases());
}

#[test]
fn a_store_that_ignores_conditions() {
    let Some(rclone) = Rclone::start() else { return };
    let open = |place: &str| in_bucket(rclone.port(), Rclone::BUCKET, place, Conditional::Ignored);
    Subject::new("a store that lies", Exclusive::WithoutRace, &open).run(&cases());
}

/// A store in a bucket of a server on loopback, under a prefix of its own, with the key that may do everything.
fn in_bucket(port: u16, bucket: &str, place: &str, conditional: Conditional) -> Store {
    let credentials = Credentials::new(Key::Root.id().to_owned(), Key::Root.secret());
    let mut options = BucketOptions::new(bucket, &format!("lacre/{place}"), "us-east-1", credentials);
    options.endpoint = Some(format!("http://127.0.0.1:{port}"));
    options.conditional = conditional;
    Store::open_bucket(&options).unwrap()
}
