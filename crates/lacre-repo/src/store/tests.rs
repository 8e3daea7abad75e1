//! One conformance suite over every backend; beside it what only a directory can do wrong, and faults.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]

mod directory;
mod faults;

use std::path::Path;
use std::sync::Barrier;

use bytes::Bytes;
use lacre_format::name::ObjectName;

use super::local::LocalStore;
use super::{Backend, Foreign, PutOutcome, Store, StoreError};

/// Bound for reads in tests.
const ROOM: u64 = 1 << 20;

struct Fixture {
    what: &'static str,
    store: Store,
    _directory: Option<tempfile::TempDir>,
}

fn fixtures() -> Vec<Fixture> {
    let memory = Fixture { what: "memory", store: Store::memory(), _directory: None };
    let (store, directory) = local();
    let openat2 = Fixture { what: "local", store, _directory: Some(directory) };
    let directory = tempfile::tempdir().unwrap();
    let local = LocalStore::create(&directory.path().join("repo")).unwrap().without_openat2();
    let store = Store::over(Backend::Local(local));
    let components = Fixture { what: "local, component-wise", store, _directory: Some(directory) };
    vec![memory, openat2, components]
}

fn local() -> (Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Store::create_local(&directory.path().join("repo")).unwrap(), directory)
}

fn root(store: &Store) -> &Path {
    store.local_path().unwrap()
}

fn name(path: &str) -> ObjectName {
    ObjectName::from_path(path).unwrap()
}

fn put(store: &Store, path: &str, bytes: &'static [u8]) -> PutOutcome {
    store.put_new(&name(path), Bytes::from_static(bytes)).unwrap()
}

fn names(store: &Store, prefix: &str) -> Vec<String> {
    let listing = store.list(prefix).unwrap();
    assert_eq!(listing.foreign, []);
    listing.objects.into_iter().map(|object| object.name).collect()
}

fn foreign(store: &Store) -> Vec<Foreign> {
    store.list("").unwrap().foreign
}

/// Runs one case over every backend.
fn everywhere(case: impl Fn(&Store)) {
    for fixture in fixtures() {
        eprintln_case(fixture.what);
        case(&fixture.store);
    }
}

#[expect(clippy::print_stderr, reason = "a failing case must name its backend")]
fn eprintln_case(what: &str) {
    eprintln!("backend: {what}");
}

#[test]
fn what_is_put_is_read() {
    everywhere(|store| {
        assert_eq!(put(store, "packs/ab/one", b"hello"), PutOutcome::Created);
        assert_eq!(store.get(&name("packs/ab/one"), ROOM).unwrap(), "hello");
    });
}

#[test]
fn an_empty_object_is_an_object() {
    everywhere(|store| {
        assert_eq!(put(store, "empty", b""), PutOutcome::Created);
        assert_eq!(store.get(&name("empty"), 0).unwrap(), "");
        assert_eq!(store.get_range(&name("empty"), 0..0).unwrap(), "");
        assert_eq!(store.list("").unwrap().objects[0].bytes, 0);
        assert_eq!(put(store, "empty", b"x"), PutOutcome::AlreadyExists);
    });
}

#[test]
fn nothing_is_overwritten() {
    everywhere(|store| {
        assert_eq!(put(store, "snap/a", b"first"), PutOutcome::Created);
        assert_eq!(put(store, "snap/a", b"second"), PutOutcome::AlreadyExists);
        assert_eq!(put(store, "snap/a", b"first"), PutOutcome::AlreadyExists);
        assert_eq!(store.get(&name("snap/a"), ROOM).unwrap(), "first");
    });
}

#[test]
fn a_deleted_name_can_be_used_again() {
    everywhere(|store| {
        assert_eq!(put(store, "a/b", b"1"), PutOutcome::Created);
        store.delete(&name("a/b")).unwrap();
        assert_eq!(put(store, "a/b", b"22"), PutOutcome::Created);
        assert_eq!(store.get(&name("a/b"), ROOM).unwrap(), "22");
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    everywhere(|store| {
        for path in ["none", "no/such/thing"] {
            assert!(store.get(&name(path), ROOM).unwrap_err().is_not_found());
            assert!(store.get_range(&name(path), 0..1).unwrap_err().is_not_found());
            assert!(store.get_range(&name(path), 0..0).unwrap_err().is_not_found());
        }
    });
}

#[test]
fn deleting_twice_succeeds() {
    everywhere(|store| {
        assert_eq!(put(store, "a/b/c", b"1"), PutOutcome::Created);
        store.delete(&name("a/b/c")).unwrap();
        store.delete(&name("a/b/c")).unwrap();
        store.delete(&name("never/was/there")).unwrap();
        assert!(store.get(&name("a/b/c"), ROOM).unwrap_err().is_not_found());
        assert_eq!(names(store, ""), Vec::<String>::new());
    });
}

#[test]
fn reading_is_bounded() {
    everywhere(|store| {
        assert_eq!(put(store, "five", b"12345"), PutOutcome::Created);
        assert_eq!(store.get(&name("five"), 5).unwrap(), "12345");
        let error = store.get(&name("five"), 4).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { size: 5, limit: 4, .. }), "{error:?}");
    });
}

#[test]
fn ranges_are_exact() {
    everywhere(|store| {
        assert_eq!(put(store, "digits", b"0123456789"), PutOutcome::Created);
        let digits = name("digits");
        for (start, end) in [(0, 10), (0, 1), (9, 10), (3, 7), (10, 10), (4, 4)] {
            let expected: String = (start..end).map(|digit: u64| digit.to_string()).collect();
            assert_eq!(store.get_range(&digits, start..end).unwrap(), expected);
        }
    });
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "a range from hostile input may be anything")]
fn ranges_beyond_the_end_are_refused() {
    everywhere(|store| {
        assert_eq!(put(store, "digits", b"0123456789"), PutOutcome::Created);
        for range in [0..11, 9..11, 10..11, 11..12, 11..11, 5..3, u64::MAX - 1..u64::MAX, 0..u64::MAX] {
            let error = store.get_range(&name("digits"), range.clone()).unwrap_err();
            assert!(matches!(error, StoreError::OutOfRange { .. }), "{range:?}: {error:?}");
        }
    });
}

#[test]
fn listings_are_sorted_and_sized() {
    everywhere(|store| {
        for path in ["b", "a/2", "a/10", "a.b", "a/1/x", "Z", "_"] {
            assert_eq!(put(store, path, path.as_bytes()), PutOutcome::Created);
        }
        assert_eq!(names(store, ""), ["Z", "_", "a.b", "a/1/x", "a/10", "a/2", "b"]);
        for object in store.list("").unwrap().objects {
            assert_eq!(object.bytes, u64::try_from(object.name.len()).unwrap());
            assert!(object.modified.as_second() > 1_600_000_000, "{object:?}");
        }
    });
}

#[test]
fn prefixes_match_whole_segments() {
    everywhere(|store| {
        for path in ["packs/ab/1", "packs/ab/2", "packs/ac/3", "packsx/4", "snap/5"] {
            assert_eq!(put(store, path, b"."), PutOutcome::Created);
        }
        assert_eq!(names(store, "packs"), ["packs/ab/1", "packs/ab/2", "packs/ac/3"]);
        assert_eq!(names(store, "packs/"), names(store, "packs"));
        assert_eq!(names(store, "packs/ab"), ["packs/ab/1", "packs/ab/2"]);
        assert_eq!(names(store, "packs/a"), Vec::<String>::new());
        assert_eq!(names(store, "nothing/here"), Vec::<String>::new());
    });
}

#[test]
fn malformed_prefixes_are_refused() {
    everywhere(|store| {
        for prefix in ["/", "/packs", "packs//ab", "../packs", "packs/..", ".staging", "a b", "a\0", "pa\u{e9}"] {
            let error = store.list(prefix).unwrap_err();
            assert!(matches!(error, StoreError::BadName { .. }), "{prefix:?}: {error:?}");
        }
    });
}

#[test]
fn malformed_names_do_not_exist() {
    let long = "x".repeat(256);
    for path in
        ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".staging/x", "a/.b", "a b", "a\\b", "\u{e9}", "a\0", &long]
    {
        assert!(ObjectName::from_path(path).is_err(), "{path:?}");
    }
}

#[test]
fn the_longest_segment_works() {
    everywhere(|store| {
        let long = "x".repeat(255);
        let path = format!("a/{long}");
        assert_eq!(store.put_new(&name(&path), Bytes::from_static(b"1")).unwrap(), PutOutcome::Created);
        assert_eq!(names(store, "a"), [path]);
    });
}

#[test]
fn large_objects_survive() {
    everywhere(|store| {
        let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(store.put_new(&name("large"), Bytes::from(bytes.clone())).unwrap(), PutOutcome::Created);
        assert_eq!(store.get(&name("large"), 16 << 20).unwrap(), bytes);
        assert_eq!(store.get_range(&name("large"), 11_999_990..12_000_000).unwrap(), bytes[11_999_990..]);
    });
}

#[test]
fn one_name_has_one_creator() {
    everywhere(|store| {
        for round in 0..20 {
            let target = name(&format!("race/{round}"));
            let barrier = Barrier::new(8);
            let outcomes: Vec<(u8, PutOutcome)> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8_u8)
                    .map(|writer| {
                        let (barrier, target) = (&barrier, &target);
                        scope.spawn(move || {
                            barrier.wait();
                            (writer, store.put_new(target, Bytes::from(vec![writer; 1000])).unwrap())
                        })
                    })
                    .collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            let winners: Vec<u8> = outcomes
                .iter()
                .filter(|(_, outcome)| *outcome == PutOutcome::Created)
                .map(|(writer, _)| *writer)
                .collect();
            assert_eq!(winners.len(), 1, "{outcomes:?}");
            assert_eq!(store.get(&target, ROOM).unwrap(), vec![winners[0]; 1000]);
        }
        assert_eq!(store.sweep_staging().unwrap(), super::Sweep::default());
    });
}

#[test]
fn many_threads_put_read_and_delete() {
    everywhere(|store| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..25 {
                        let target = name(&format!("t{thread}/{:02x}/{number}", number % 7));
                        assert_eq!(
                            store.put_new(&target, Bytes::from(format!("{thread}-{number}"))).unwrap(),
                            PutOutcome::Created
                        );
                        assert_eq!(store.get(&target, ROOM).unwrap(), format!("{thread}-{number}"));
                        if number % 2 == 0 {
                            store.delete(&target).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(store.list("").unwrap().objects.len(), 4 * 12);
    });
}

#[test]
fn clones_share_objects_and_counts() {
    everywhere(|store| {
        let clone = store.clone();
        assert_eq!(put(&clone, "a", b"12"), PutOutcome::Created);
        assert_eq!(put(store, "a", b"123"), PutOutcome::AlreadyExists);
        assert_eq!(store.get(&name("a"), ROOM).unwrap(), "12");
        assert_eq!(store.get_range(&name("a"), 0..1).unwrap(), "1");
        assert!(store.get(&name("b"), ROOM).is_err());
        clone.list("").unwrap();
        clone.delete(&name("a")).unwrap();
        let counts = store.counts();
        assert_eq!((counts.put_new, counts.get, counts.get_range, counts.list, counts.delete), (2, 2, 1, 1, 1));
        assert_eq!((counts.bytes_sent, counts.bytes_received, counts.requests()), (2, 3, 7));
    });
}

#[test]
fn stores_work_inside_another_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    everywhere(|store| {
        runtime.block_on(async {
            assert_eq!(put(store, "inside", b"1"), PutOutcome::Created);
            assert_eq!(store.get(&name("inside"), ROOM).unwrap(), "1");
        });
    });
}

#[test]
fn a_store_can_be_sent_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Store>();
}

#[test]
fn pieces_are_the_object_in_order_and_one_call() {
    for Fixture { what, store, .. } in fixtures() {
        let bytes: Vec<u8> = (0..300_001_u32).map(|at| at.to_le_bytes()[usize::from(at % 3 == 0)]).collect();
        assert_eq!(store.put_new(&name("packs/ab/c"), Bytes::from(bytes.clone())).unwrap(), PutOutcome::Created);
        let before = store.counts();
        let mut found = Vec::new();
        store.get_pieces(&name("packs/ab/c"), 300_001, &mut |piece| found.extend_from_slice(piece)).unwrap();
        let after = store.counts();
        assert!(found == bytes, "{what}");
        assert_eq!((after.requests() - before.requests(), after.bytes_received - before.bytes_received), (1, 300_001));
        let beyond = store.get_pieces(&name("packs/ab/c"), 300_002, &mut |_| {});
        assert!(matches!(beyond, Err(StoreError::OutOfRange { .. })), "{what}: {beyond:?}");
        let missing = store.get_pieces(&name("packs/ab/d"), 1, &mut |_| {});
        assert!(missing.is_err_and(|error| error.is_not_found()), "{what}");
    }
}

#[test]
fn a_store_that_is_only_read_is_asked_nothing_that_writes() {
    for Fixture { what, store, .. } in fixtures() {
        assert_eq!(put(&store, "packs/ab/c", b"bytes"), PutOutcome::Created);
        let (reader, before) = (store.read_only(), store.counts());
        assert!(reader.is_read_only() && !store.is_read_only());
        let read_only = |error: StoreError| matches!(error, StoreError::ReadOnly { .. });
        assert!(reader.put_new(&name("packs/ab/d"), Bytes::from_static(b"more")).is_err_and(read_only), "{what}");
        assert!(reader.delete(&name("packs/ab/c")).is_err_and(read_only), "{what}");
        assert!(reader.probe().is_err_and(read_only), "{what}");
        let healed = reader.heal(&name("packs/ab/c"), &Bytes::from_static(b"other"), ROOM, &|bytes| bytes == b"other");
        assert!(healed.is_err_and(read_only), "{what}");
        let after = reader.counts();
        assert_eq!((after.put_new, after.delete), (before.put_new, before.delete), "{what}");
        assert_eq!(reader.get(&name("packs/ab/c"), ROOM).unwrap(), &b"bytes"[..], "{what}");
    }
}
