//! Deleting.

use lacre_repo::store::{Deletion, PutOutcome, StoreError};

use crate::Case;
use crate::place::{Place, name};

pub(crate) const CASES: &[Case] = &[
    ("what is deleted is gone", |place| {
        put(place, "snap/a");
        assert_eq!(place.store.delete(&name("snap/a")).unwrap(), Deletion::Gone);
        gone(place, "snap/a");
    }),
    ("what is deleted is not listed", |place| {
        put(place, "snap/a");
        put(place, "snap/b");
        place.store.delete(&name("snap/a")).unwrap();
        assert_eq!(place.names("snap"), ["snap/b"]);
    }),
    ("a range of what is deleted is not found", |place| {
        put(place, "snap/a");
        place.store.delete(&name("snap/a")).unwrap();
        let error = place.store.get_range(&name("snap/a"), 0..1).unwrap_err();
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    }),
    ("deleting twice succeeds", |place| {
        put(place, "snap/a");
        place.store.delete(&name("snap/a")).unwrap();
        place.store.delete(&name("snap/a")).unwrap();
    }),
    ("deleting nothing succeeds", |place| {
        place.store.delete(&name("snap/nothing")).unwrap();
        place.store.delete(&name("a/b/c/d/e")).unwrap();
        assert!(place.names("").is_empty());
    }),
    ("deleting one leaves the others", |place| {
        for path in ["snap/a", "snap/ab", "snap/a.b", "snapshot/a", "lacre.json"] {
            put(place, path);
        }
        place.store.delete(&name("snap/a")).unwrap();
        assert_eq!(place.names(""), ["lacre.json", "snap/a.b", "snap/ab", "snapshot/a"]);
    }),
    ("deleting the last of a folder leaves the folder usable", |place| {
        put(place, "session/x/open");
        place.store.delete(&name("session/x/open")).unwrap();
        assert!(place.names("session").is_empty());
        put(place, "session/x/end");
        assert_eq!(place.names("session"), ["session/x/end"]);
    }),
    ("a deleted name can be used again", |place| {
        put(place, "snap/a");
        place.store.delete(&name("snap/a")).unwrap();
        assert_eq!(place.put("snap/a", b"second life"), PutOutcome::Created);
        assert_eq!(place.get("snap/a"), b"second life".as_slice());
        place.store.delete(&name("snap/a")).unwrap();
        gone(place, "snap/a");
    }),
    ("another reader sees that it is gone", |place| {
        if place.forgets {
            return;
        }
        let other = place.again();
        put(place, "snap/a");
        assert!(other.get(&name("snap/a"), 100).is_ok());
        place.store.delete(&name("snap/a")).unwrap();
        assert!(matches!(other.get(&name("snap/a"), 100), Err(StoreError::NotFound { .. })));
        assert!(other.list("").unwrap().objects.is_empty());
    }),
];

fn put(place: &Place, path: &str) {
    assert_eq!(place.put(path, path.as_bytes()), PutOutcome::Created, "{path}");
}

fn gone(place: &Place, path: &str) {
    let error = place.store.get(&name(path), 100).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}
