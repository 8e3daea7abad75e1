//! Reading whole objects.

use lacre_repo::store::StoreError;

use crate::Case;
use crate::place::{Place, name, noise};

pub(crate) const CASES: &[Case] = &[
    ("what is not there is not found", |place| not_found(place, "snap/nothing")),
    ("nothing is found in an empty store", |place| not_found(place, "lacre.json")),
    ("nor far below nothing", |place| not_found(place, "a/b/c/d/e")),
    ("nor beside what is there", |place| {
        place_one(place, "snap/a");
        not_found(place, "snap/b");
        not_found(place, "snap/a.b");
    }),
    ("nor under half of its name", |place| {
        place_one(place, "snap/abcd");
        not_found(place, "snap/ab");
    }),
    ("a folder is no object", |place| {
        place_one(place, "packs/aa/one");
        assert!(place.store.get(&name("packs/aa"), 100).is_err());
    }),
    ("an error names what was asked for", |place| {
        let error = place.store.get(&name("snap/nothing"), 100).unwrap_err();
        assert!(error.to_string().contains("snap/nothing"), "{error}");
    }),
    ("a bound that is just enough", |place| {
        place_one(place, "snap/a");
        assert_eq!(place.store.get(&name("snap/a"), 3).unwrap(), b"one".as_slice());
    }),
    ("a bound that is one too small", |place| {
        place_one(place, "snap/a");
        let error = place.store.get(&name("snap/a"), 2).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { limit: 2, .. }), "{error:?}");
    }),
    ("a bound far below a large object", |place| {
        assert_eq!(place.put("packs/aa/a", &noise(4 << 20, 5)), lacre_repo::store::PutOutcome::Created);
        let error = place.store.get(&name("packs/aa/a"), 1000).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { limit: 1000, .. }), "{error:?}");
    }),
    ("nothing fits into no bytes", |place| {
        assert_eq!(place.put("snap/a", b""), lacre_repo::store::PutOutcome::Created);
        assert!(place.store.get(&name("snap/a"), 0).unwrap().is_empty());
    }),
    ("reading changes nothing", |place| {
        place_one(place, "snap/a");
        for _ in 0..3 {
            assert_eq!(place.get("snap/a"), b"one".as_slice());
        }
        assert_eq!(place.names(""), ["snap/a"]);
    }),
];

fn place_one(place: &Place, path: &str) {
    assert_eq!(place.put(path, b"one"), lacre_repo::store::PutOutcome::Created);
}

fn not_found(place: &Place, path: &str) {
    let error = place.store.get(&name(path), 100).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
}
