//! Listing.

use lacre_repo::store::{PutOutcome, StoreError};

use crate::Case;
use crate::place::{Place, name, names, noise};

/// More than two pages of S3.
const MANY: usize = 2_005;

pub(crate) const CASES: &[Case] = &[
    ("an empty store lists nothing", |place| {
        assert!(place.names("").is_empty());
        assert!(place.names("snap").is_empty());
    }),
    ("what was put is listed at once", |place| {
        for path in ["snap/a", "snap/b", "snap/c"] {
            put(place, path);
            assert!(place.names("snap").contains(&path.to_owned()), "{path}");
        }
    }),
    ("a listing is sorted", |place| {
        for path in ["snap/b", "snap/Z", "snap/a", "index/x", "snap/-", "snap/a.b"] {
            put(place, path);
        }
        let listed = place.names("");
        assert!(listed.len() == 6 && listed.is_sorted(), "{listed:?}");
    }),
    ("sizes are right", |place| {
        for length in [0, 1, 1000, 70_000] {
            assert_eq!(place.put(&format!("snap/{length:06}"), &noise(length, 1)), PutOutcome::Created);
        }
        let sizes: Vec<u64> = place.store.list("snap").unwrap().objects.iter().map(|object| object.bytes).collect();
        assert_eq!(sizes, [0, 1, 1000, 70_000]);
    }),
    ("a prefix matches whole segments", |place| {
        for path in ["packs/aa/1", "packs/ab/2", "packs-old/aa/3", "pack/4"] {
            put(place, path);
        }
        assert_eq!(place.names("packs"), ["packs/aa/1", "packs/ab/2"]);
        assert_eq!(place.names("packs/a"), [] as [&str; 0]);
        assert_eq!(place.names("packs/aa"), ["packs/aa/1"]);
    }),
    ("a slash at the end changes nothing", |place| {
        put(place, "packs/aa/1");
        assert_eq!(place.names("packs/"), place.names("packs"));
    }),
    ("no prefix lists everything", |place| {
        for path in ["lacre.json", "a/b/c/d/e", "snap/a"] {
            put(place, path);
        }
        assert_eq!(place.names(""), ["a/b/c/d/e", "lacre.json", "snap/a"]);
    }),
    ("a prefix deep down", |place| {
        for path in ["keyring/in/1/x", "keyring/in/2/y", "keyring/1/bundle"] {
            put(place, path);
        }
        assert_eq!(place.names("keyring/in/2"), ["keyring/in/2/y"]);
        assert_eq!(place.names("keyring/in"), ["keyring/in/1/x", "keyring/in/2/y"]);
    }),
    ("below an object lies nothing", |place| {
        put(place, "snap/a");
        put(place, "snap/b");
        // A file is no folder everywhere; what matters is that nothing else is listed.
        if let Ok(listing) = place.store.list("snap/a") {
            assert!(listing.objects.is_empty(), "{listing:?}");
        }
    }),
    ("malformed prefixes are refused", |place| {
        for prefix in ["/", "/snap", "snap//a", "..", "snap/../index", "snap\n", "snap/é", "%2e"] {
            let error = place.store.list(prefix).unwrap_err();
            assert!(matches!(error, StoreError::BadName { .. }), "{prefix:?}: {error:?}");
        }
    }),
    ("an object knows about when it was written", |place| {
        put(place, "snap/a");
        let modified = place.store.list("snap").unwrap().objects[0].modified;
        let day = jiff::SignedDuration::from_hours(24);
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = jiff::Timestamp::try_from(file.as_file().metadata().unwrap().modified().unwrap()).unwrap();
        assert!(now - day < modified && modified < now + day, "{modified} is not about {now}");
    }),
    ("many objects are all listed, once each", |place| {
        if !place.pages {
            return;
        }
        std::thread::scope(|scope| {
            for lane in 0..4 {
                scope.spawn(move || {
                    for number in (lane..MANY).step_by(4) {
                        put(place, &format!("packs/{:02}/{number:05}", number % 100));
                    }
                });
            }
        });
        let listed = place.names("packs");
        assert_eq!(listed.len(), MANY);
        assert!(listed.is_sorted() && listed.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(place.names("packs/03").len(), 21);
    }),
    ("stores beside each other do not see each other", |place| {
        let other = place.neighbour();
        put(place, "snap/a");
        assert!(names(&other, "").is_empty());
        assert_eq!(other.put_new(&name("snap/b"), bytes::Bytes::new()).unwrap(), PutOutcome::Created);
        assert_eq!((place.names(""), names(&other, "")), (vec!["snap/a".to_owned()], vec!["snap/b".to_owned()]));
    }),
    ("nothing of ours is foreign", |place| {
        put(place, "snap/a");
        assert_eq!(place.store.list("").unwrap().foreign, []);
    }),
];

fn put(place: &Place, path: &str) {
    assert_eq!(place.put(path, path.as_bytes()), PutOutcome::Created, "{path}");
}
