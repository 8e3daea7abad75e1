//! One conformance suite over every backend, then what only a directory can do wrong, then faults.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use bytes::Bytes;
use lacre_format::name::ObjectName;

use super::fault::{Effect, Failure, Fault, FaultPlan, Recurrence};
use super::handles::HANDLES_MAX;
use super::local::LocalStore;
use super::{Backend, Foreign, ForeignKind, PutOutcome, Store, StoreError, Verb};

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

// What only a directory can do wrong.

#[test]
fn creating_needs_an_empty_directory_and_opening_an_existing_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/repo");
    assert!(Store::open_local(&path).unwrap_err().is_not_found());
    let store = Store::create_local(&path).unwrap();
    assert_eq!(put(&store, "a", b"1"), PutOutcome::Created);
    let error = Store::create_local(&path).unwrap_err();
    assert!(matches!(&error, StoreError::NotEmpty { .. }), "{error:?}");
    assert_eq!(Store::open_local(&path).unwrap().get(&name("a"), ROOM).unwrap(), "1");
    std::fs::write(directory.path().join("file"), "x").unwrap();
    assert!(Store::open_local(&directory.path().join("file")).is_err());
    assert!(Store::create_local(&directory.path().join("file")).is_err());
}

#[test]
fn files_and_directories_are_private() {
    let (store, _directory) = local();
    assert_eq!(put(&store, "packs/ab/one", b"1"), PutOutcome::Created);
    let mode = |path: &str| std::fs::symlink_metadata(root(&store).join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(""), mode("packs"), mode("packs/ab"), mode(".staging")), (0o700, 0o700, 0o700, 0o700));
    assert_eq!(mode("packs/ab/one"), 0o600);
    assert_eq!(store.exposure(100).unwrap(), []);
}

#[test]
fn what_others_may_read_is_reported() {
    let (store, _directory) = local();
    assert_eq!(put(&store, "packs/ab/one", b"1"), PutOutcome::Created);
    assert_eq!(put(&store, "packs/ab/two", b"1"), PutOutcome::Created);
    let chmod = |path: &str, mode| {
        std::fs::set_permissions(root(&store).join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod("", 0o755);
    chmod("packs", 0o710);
    chmod("packs/ab/two", 0o640);
    let found: Vec<(String, u32)> =
        store.exposure(100).unwrap().into_iter().map(|exposure| (exposure.name, exposure.mode)).collect();
    let expected = [("", 0o755), ("packs", 0o710), ("packs/ab/two", 0o640)];
    assert_eq!(found, expected.map(|(name, mode)| (name.to_owned(), mode)));
    assert_eq!(store.exposure(1).unwrap().len(), 1);
}

#[test]
fn linked_directories_are_not_entered() {
    for fixture in fixtures().into_iter().skip(1) {
        let store = &fixture.store;
        let outside = tempfile::tempdir().unwrap();
        std::fs::create_dir(outside.path().join("ab")).unwrap();
        std::fs::write(outside.path().join("ab/one"), "outside").unwrap();
        symlink(outside.path(), root(store).join("packs")).unwrap();
        let target = name("packs/ab/one");
        for error in [
            store.get(&target, ROOM).unwrap_err(),
            store.get_range(&target, 0..1).unwrap_err(),
            store.delete(&target).unwrap_err(),
            store.put_new(&name("packs/ab/two"), Bytes::from_static(b"x")).unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Foreign { kind: ForeignKind::Symlink, .. }), "{error:?}");
        }
        assert_eq!(std::fs::read_dir(outside.path().join("ab")).unwrap().count(), 1);
        let listing = store.list("packs").unwrap();
        assert_eq!(listing.objects, []);
        assert_eq!(listing.foreign, [Foreign { name: "packs".to_owned(), kind: ForeignKind::Symlink }]);
    }
}

#[test]
fn linked_objects_are_not_followed() {
    for fixture in fixtures().into_iter().skip(1) {
        let store = &fixture.store;
        assert_eq!(put(store, "real", b"1"), PutOutcome::Created);
        symlink("real", root(store).join("link")).unwrap();
        symlink("nowhere", root(store).join("dangling")).unwrap();
        for path in ["link", "dangling"] {
            let target = name(path);
            for error in [
                store.get(&target, ROOM).unwrap_err(),
                store.get_range(&target, 0..1).unwrap_err(),
                store.delete(&target).unwrap_err(),
                store.put_new(&target, Bytes::from_static(b"x")).unwrap_err(),
            ] {
                assert!(matches!(error, StoreError::Foreign { kind: ForeignKind::Symlink, .. }), "{path}: {error:?}");
            }
        }
        assert_eq!(store.list("").unwrap().objects.len(), 1);
        assert_eq!(foreign(store).len(), 2);
        assert!(!root(store).join("nowhere").exists());
    }
}

#[test]
fn a_linked_staging_directory_is_refused() {
    let (store, directory) = local();
    let outside = directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, root(&store).join(".staging")).unwrap();
    let error = store.put_new(&name("a"), Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(store.sweep_staging().is_err());
}

#[test]
fn pipes_sockets_and_directories_are_foreign() {
    for fixture in fixtures().into_iter().skip(1) {
        let store = &fixture.store;
        let pipe = root(store).join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root(store).join("socket")).unwrap();
        std::fs::create_dir(root(store).join("directory")).unwrap();
        let kinds =
            [("pipe", ForeignKind::Fifo), ("socket", ForeignKind::Socket), ("directory", ForeignKind::Directory)];
        for (path, expected) in kinds {
            for error in [store.get(&name(path), ROOM).unwrap_err(), store.delete(&name(path)).unwrap_err()] {
                assert!(matches!(error, StoreError::Foreign { kind, .. } if kind == expected), "{path}: {error:?}");
            }
        }
        let found: Vec<ForeignKind> = foreign(store).into_iter().map(|foreign| foreign.kind).collect();
        assert_eq!(found, [ForeignKind::Fifo, ForeignKind::Socket]);
    }
}

#[test]
fn odd_names_and_deep_trees_are_foreign() {
    let (store, _directory) = local();
    for odd in ["a b", ".hidden", "caf\u{e9}", "line\nfeed"] {
        std::fs::write(root(&store).join(odd), "x").unwrap();
    }
    std::fs::create_dir_all(root(&store).join("1/2/3/4/5/6/7/8/9/10")).unwrap();
    std::fs::create_dir_all(root(&store).join("sub/.staging")).unwrap();
    std::fs::write(root(&store).join("sub/.staging/x"), "x").unwrap();
    let found: Vec<(String, ForeignKind)> =
        foreign(&store).into_iter().map(|foreign| (foreign.name, foreign.kind)).collect();
    let bad = ForeignKind::BadName;
    let expected = [
        (".hidden", bad),
        ("1/2/3/4/5/6/7/8/9", ForeignKind::TooDeep),
        ("a b", bad),
        ("caf\u{e9}", bad),
        ("line\nfeed", bad),
        ("sub/.staging", bad),
    ];
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert_eq!(store.list("").unwrap().objects, []);
}

#[test]
fn staging_is_hidden_and_swept_only_from_the_dead() {
    let (store, _directory) = local();
    assert_eq!(put(&store, "a", b"1"), PutOutcome::Created);
    let staging = root(&store).join(".staging");
    let dead = format!("stage-{}", "0".repeat(32));
    let alive = format!("stage-{}", "1".repeat(32));
    std::fs::write(staging.join(&dead), "half").unwrap();
    std::fs::write(staging.join(&alive), "half").unwrap();
    std::fs::write(staging.join("notes.txt"), "somebody's").unwrap();
    symlink("/etc/passwd", staging.join(format!("stage-{}", "2".repeat(32)))).unwrap();
    let writer = std::fs::File::open(staging.join(&alive)).unwrap();
    rustix::fs::flock(&writer, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(names(&store, ""), ["a"]);
    let sweep = store.sweep_staging().unwrap();
    assert_eq!(sweep.removed, [dead]);
    assert_eq!(sweep.busy, std::slice::from_ref(&alive));
    assert_eq!(sweep.foreign.len(), 2);
    assert!(staging.join("notes.txt").exists());
    drop(writer);
    assert_eq!(store.sweep_staging().unwrap().removed, [alive]);
}

#[test]
fn sweeping_beside_writers_breaks_no_put() {
    let (store, _directory) = local();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..100 {
                        let target = name(&format!("w{thread}/{number}"));
                        assert_eq!(store.put_new(&target, Bytes::from(vec![7; 5000])).unwrap(), PutOutcome::Created);
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            store.sweep_staging().unwrap();
        }
    });
    let listing = store.list("").unwrap();
    assert_eq!(listing.objects.len(), 300);
    assert!(listing.objects.iter().all(|object| object.bytes == 5000));
}

#[test]
fn a_put_that_fails_leaves_nothing_behind() {
    let (store, _directory) = local();
    std::fs::write(root(&store).join("packs"), "a file where a directory should be").unwrap();
    let error = store.put_new(&name("packs/ab/one"), Bytes::from_static(b"x")).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error:?}");
    assert_eq!(store.sweep_staging().unwrap(), super::Sweep::default());
}

#[test]
fn open_files_are_bounded_and_deleted_ones_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let local = LocalStore::create(&directory.path().join("repo")).unwrap();
    for number in 0..2 * HANDLES_MAX {
        let target = name(&format!("p/{number}"));
        assert_eq!(local.put_new(&target, format!("{number:03}").as_bytes()).unwrap(), PutOutcome::Created);
    }
    for round in 0..2 {
        for number in 0..2 * HANDLES_MAX {
            let range = local.get_range(&name(&format!("p/{number}")), 0..3).unwrap();
            assert_eq!(range, format!("{number:03}"), "round {round}");
        }
    }
    assert_eq!(local.handles_open(), HANDLES_MAX);
    let last = name(&format!("p/{}", 2 * HANDLES_MAX - 1));
    local.delete(&last).unwrap();
    assert_eq!(local.handles_open(), HANDLES_MAX - 1);
    assert!(local.get_range(&last, 0..3).unwrap_err().is_not_found());
}

#[test]
fn a_shrunken_object_is_out_of_range() {
    let (store, _directory) = local();
    assert_eq!(put(&store, "digits", b"0123456789"), PutOutcome::Created);
    assert_eq!(store.get_range(&name("digits"), 0..10).unwrap(), "0123456789");
    std::fs::OpenOptions::new().write(true).open(root(&store).join("digits")).unwrap().set_len(4).unwrap();
    let error = store.get_range(&name("digits"), 0..10).unwrap_err();
    assert!(matches!(error, StoreError::OutOfRange { .. }), "{error:?}");
    assert_eq!(store.get(&name("digits"), ROOM).unwrap(), "0123");
}

/// A small tmpfs, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must be able to mount a tmpfs");
            eprintln_case("skipped: a tmpfs cannot be mounted here");
        }
        mounted.then_some(Self(directory))
    }

    fn remount(&self, options: &str) {
        let status =
            std::process::Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_full_disk_is_no_space_and_recovers() {
    let Some(disk) = SmallDisk::mount("size=1m") else {
        return;
    };
    let store = Store::create_local(&disk.0.path().join("repo")).unwrap();
    assert_eq!(put(&store, "small", b"1"), PutOutcome::Created);
    let error = store.put_new(&name("big"), Bytes::from(vec![1; 2 << 20])).unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert_eq!(names(&store, ""), ["small"]);
    assert_eq!(store.sweep_staging().unwrap(), super::Sweep::default());
    assert_eq!(store.put_new(&name("fits"), Bytes::from(vec![1; 1 << 19])).unwrap(), PutOutcome::Created);
}

#[test]
fn used_up_inodes_are_no_space() {
    let Some(disk) = SmallDisk::mount("size=1m,nr_inodes=12") else {
        return;
    };
    let store = Store::create_local(&disk.0.path().join("repo")).unwrap();
    let error = (0..20).find_map(|number| store.put_new(&name(&format!("o/{number}")), Bytes::new()).err()).unwrap();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
}

#[test]
fn a_read_only_store_reads_and_says_so() {
    let Some(disk) = SmallDisk::mount("size=1m") else {
        return;
    };
    let store = Store::create_local(&disk.0.path().join("repo")).unwrap();
    assert_eq!(put(&store, "a", b"1"), PutOutcome::Created);
    disk.remount("ro");
    let error = store.put_new(&name("b"), Bytes::from_static(b"1")).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let error = store.delete(&name("a")).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    assert_eq!(store.get(&name("a"), ROOM).unwrap(), "1");
    assert_eq!(names(&store, ""), ["a"]);
}

// Faults.

#[test]
fn a_fault_before_does_nothing_and_after_does_all() {
    everywhere(|store| {
        let before = store.with_faults(FaultPlan::once(Verb::PutNew, 2, Effect::FailBefore(Failure::NoSpace)));
        assert_eq!(put(&before, "a", b"1"), PutOutcome::Created);
        let error = before.put_new(&name("b"), Bytes::from_static(b"2")).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }));
        assert_eq!(names(store, ""), ["a"]);
        assert_eq!(put(&before, "b", b"2"), PutOutcome::Created);
        let after = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::FailAfter(Failure::Unavailable)));
        assert!(after.put_new(&name("c"), Bytes::from_static(b"3")).unwrap_err().is_transient());
        assert_eq!(names(store, ""), ["a", "b", "c"]);
        assert_eq!((before.counts().put_new, before.counts().bytes_sent), (3, 2));
    });
}

#[test]
fn reads_can_be_torn_and_flipped() {
    everywhere(|store| {
        assert_eq!(put(store, "a", b"hello"), PutOutcome::Created);
        let torn = store.with_faults(FaultPlan::once(Verb::Get, 1, Effect::Tear { bytes: 2 }));
        assert_eq!(torn.get(&name("a"), ROOM).unwrap(), "he");
        assert_eq!(torn.get(&name("a"), ROOM).unwrap(), "hello");
        let flipped = store.with_faults(FaultPlan::once(Verb::GetRange, 1, Effect::FlipBit { bit: 8 }));
        assert_eq!(flipped.get_range(&name("a"), 0..5).unwrap(), "hdllo");
    });
}

#[test]
fn puts_can_be_torn_and_flipped() {
    everywhere(|store| {
        let torn = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::Tear { bytes: 2 }));
        assert!(torn.put_new(&name("a"), Bytes::from_static(b"hello")).is_err());
        assert_eq!(store.get(&name("a"), ROOM).unwrap(), "he");
        let flipped = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::FlipBit { bit: 0 }));
        assert_eq!(put(&flipped, "b", b"b"), PutOutcome::Created);
        assert_eq!(store.get(&name("b"), ROOM).unwrap(), "c");
    });
}

#[test]
fn the_dead_stay_dead() {
    everywhere(|store| {
        let crashing = store.with_faults(FaultPlan::crash_at(3));
        assert_eq!(put(&crashing, "a", b"1"), PutOutcome::Created);
        crashing.list("").unwrap();
        assert!(crashing.put_new(&name("b"), Bytes::new()).is_err());
        assert!(crashing.get(&name("a"), ROOM).is_err());
        assert!(crashing.clone().delete(&name("a")).is_err());
        assert_eq!(names(store, ""), ["a"]);
        let crashing = store.with_faults(FaultPlan::crash_after(1));
        assert!(crashing.put_new(&name("b"), Bytes::new()).is_err());
        assert!(crashing.list("").is_err());
        assert_eq!(names(store, ""), ["a", "b"]);
    });
}

#[test]
fn faults_choose_by_prefix_and_recur() {
    everywhere(|store| {
        let fault = Fault {
            verb: Some(Verb::PutNew),
            prefix: "snap/".to_owned(),
            nth: 2,
            recurrence: Recurrence::Forever,
            effect: Effect::FailBefore(Failure::ReadOnly),
        };
        let delay = Fault {
            verb: None,
            prefix: String::new(),
            nth: 1,
            recurrence: Recurrence::Once,
            effect: Effect::Delay(Duration::from_millis(1)),
        };
        let faulty = store.with_faults(FaultPlan { faults: vec![fault, delay] });
        assert_eq!(put(&faulty, "packs/1", b"1"), PutOutcome::Created);
        assert_eq!(put(&faulty, "snap/1", b"1"), PutOutcome::Created);
        for path in ["snap/2", "snap/3", "snap/2"] {
            assert!(matches!(faulty.put_new(&name(path), Bytes::new()), Err(StoreError::ReadOnly { .. })));
        }
        assert_eq!(put(&faulty, "packs/2", b"1"), PutOutcome::Created);
    });
}
