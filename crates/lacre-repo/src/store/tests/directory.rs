//! What only a directory can do wrong.

use std::os::unix::fs::{PermissionsExt, symlink};

use bytes::Bytes;

use super::{ROOM, eprintln_case, fixtures, foreign, local, name, names, put, root};
use crate::store::handles::HANDLES_MAX;
use crate::store::local::LocalStore;
use crate::store::{Foreign, ForeignKind, PutOutcome, Store, StoreError};

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
    assert_eq!(store.sweep_staging().unwrap(), crate::store::Sweep::default());
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
    assert_eq!(store.sweep_staging().unwrap(), crate::store::Sweep::default());
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
