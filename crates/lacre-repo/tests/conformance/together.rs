//! Several at once, and the books a store keeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use lacre_repo::store::{PutOutcome, StoreError};

use crate::Case;
use crate::place::{Exclusive, name, noise};

/// Writers at once; more on one name is slow on some servers and shows nothing new.
const WRITERS: usize = 6;

pub(crate) const CASES: &[Case] = &[
    ("many writers of many names", |place| {
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    for number in 0..8 {
                        let path = format!("packs/{writer:02}/{number}");
                        assert_eq!(place.put(&path, path.as_bytes()), PutOutcome::Created);
                    }
                });
            }
        });
        let listed = place.names("packs");
        assert_eq!(listed.len(), WRITERS * 8);
        assert!(listed.iter().all(|path| place.get(path) == path.as_bytes()));
    }),
    ("many writers of one name", |place| {
        let outcomes: Vec<PutOutcome> = thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || place.put("snap/a", &noise(5_000, writer as u64 + 1))))
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let stored = place.get("snap/a");
        let owners: Vec<usize> = (0..WRITERS).filter(|writer| stored == noise(5_000, *writer as u64 + 1)).collect();
        assert_eq!(owners.len(), 1, "what is stored is one writer's and whole");
        let created: Vec<usize> = (0..WRITERS).filter(|writer| outcomes[*writer] == PutOutcome::Created).collect();
        match place.exclusive {
            Exclusive::Always => assert_eq!(created, owners, "exactly the one who wrote it is told so"),
            Exclusive::WithoutRace => assert!(created.contains(&owners[0]), "{created:?} {owners:?}"),
        }
    }),
    ("readers see nothing or all", |place| {
        let (pack, done) = (noise(2 << 20, 9), AtomicBool::new(false));
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while !done.load(Ordering::SeqCst) || seen == 0 {
                    match place.store.get(&name("packs/aa/a"), u64::MAX) {
                        Ok(bytes) => {
                            assert!(bytes == pack, "half of an object");
                            seen += 1;
                        }
                        Err(StoreError::NotFound { .. }) => assert_eq!(seen, 0, "gone again"),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            let created = place.put("packs/aa/a", &pack);
            done.store(true, Ordering::SeqCst);
            reader.join().unwrap();
            assert_eq!(created, PutOutcome::Created);
        });
    }),
    ("a listing beside writers holds all that was there before", |place| {
        for number in 0..20 {
            assert_eq!(place.put(&format!("old/{number:02}"), b"x"), PutOutcome::Created);
        }
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..20 {
                    assert_eq!(place.put(&format!("old/new{number:02}"), b"y"), PutOutcome::Created);
                }
            });
            while !writer.is_finished() {
                assert_eq!(place.names("old").iter().filter(|path| !path.contains("new")).count(), 20);
            }
            writer.join().unwrap();
        });
        assert_eq!(place.names("old").len(), 40);
    }),
    ("ranges of one pack by many readers", |place| {
        let pack = noise(2 << 20, 11);
        assert_eq!(place.put("packs/aa/a", &pack), PutOutcome::Created);
        let pack = &pack;
        thread::scope(|scope| {
            for reader in 0..WRITERS {
                scope.spawn(move || {
                    for piece in 0..4 {
                        let from = (reader * 4 + piece) * 50_000;
                        let range = from as u64..from as u64 + 50_000;
                        let got = place.store.get_range(&name("packs/aa/a"), range).unwrap();
                        assert!(got == pack[from..from + 50_000]);
                    }
                });
            }
        });
    }),
    ("clones share objects and counts", |place| {
        let clone = place.store.clone();
        assert_eq!(clone.put_new(&name("snap/a"), Bytes::from_static(b"one")).unwrap(), PutOutcome::Created);
        assert_eq!(place.get("snap/a"), b"one".as_slice());
        assert_eq!(place.store.counts(), clone.counts());
    }),
    ("every verb is counted, and every byte", |place| {
        assert_eq!(place.put("snap/a", b"12345"), PutOutcome::Created);
        assert_eq!(place.put("snap/a", b"123"), PutOutcome::AlreadyExists);
        assert_eq!(place.get("snap/a").len(), 5);
        assert_eq!(place.store.get_range(&name("snap/a"), 1..3).unwrap().len(), 2);
        assert!(place.store.get(&name("snap/b"), 1).is_err());
        assert_eq!(place.names("snap"), ["snap/a"]);
        place.store.delete(&name("snap/a")).unwrap();
        let counts = place.store.counts();
        assert_eq!((counts.put_new, counts.get, counts.get_range, counts.list, counts.delete), (2, 2, 1, 1, 1));
        assert_eq!((counts.bytes_sent, counts.bytes_received), (5, 7));
    }),
    ("what was stored is there when the store is opened again", |place| {
        if place.forgets {
            return;
        }
        assert_eq!(place.put("snap/a", b"one"), PutOutcome::Created);
        let again = place.again();
        assert_eq!(again.get(&name("snap/a"), 3).unwrap(), b"one".as_slice());
        assert_eq!(again.counts().get, 1, "counts are this store's own");
        assert_eq!(again.list("").unwrap().objects.len(), 1);
    }),
];
