use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::{
    FileError, LockFile, Privacy, Replace, SLOT_BYTES, SLOTS_MAX, SlotFile, create_private_directory, filesystem_of,
    is_inside, privacy_of, read_file, write_secret_file,
};

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn directories_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a/b/c");
    create_private_directory(&deep).unwrap();
    create_private_directory(&deep).unwrap();
    for path in [&deep, deep.parent().unwrap()] {
        assert_eq!(mode(path), 0o700);
        assert_eq!(privacy_of(path).unwrap(), Privacy::Private);
    }
    chmod(&deep, 0o750);
    assert_eq!(privacy_of(&deep).unwrap(), Privacy::Shared { mode: 0o750 });
    std::fs::write(directory.path().join("file"), "").unwrap();
    assert!(create_private_directory(&directory.path().join("file/x")).is_err());
}

#[test]
fn secrets_are_private_and_written_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    write_secret_file(&path, b"one", Replace::Never).unwrap();
    assert_eq!(mode(&path), 0o600);
    let error = write_secret_file(&path, b"two", Replace::Never).unwrap_err();
    assert!(matches!(error, FileError::AlreadyExists { .. }), "{error:?}");
    assert_eq!(read_file(&path, 3).unwrap().bytes, b"one");
    write_secret_file(&path, b"three", Replace::Whole).unwrap();
    let read = read_file(&path, 100).unwrap();
    assert_eq!((read.bytes.as_slice(), read.privacy), (b"three".as_slice(), Privacy::Private));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_planted_temporary_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let victim = directory.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    symlink(&victim, directory.path().join(format!(".key.{}.new", std::process::id()))).unwrap();
    write_secret_file(&directory.path().join("key"), b"secret", Replace::Whole).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(read_file(&directory.path().join("key"), 100).unwrap().bytes, b"secret");
}

#[test]
fn reading_is_bounded_and_reports_who_else_can() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    std::fs::write(&path, "12345").unwrap();
    chmod(&path, 0o644);
    assert_eq!(read_file(&path, 5).unwrap().privacy, Privacy::Shared { mode: 0o644 });
    assert!(matches!(read_file(&path, 4), Err(FileError::TooLarge { bytes: 5, bytes_max: 4, .. })));
    assert!(matches!(read_file(&directory.path().join("none"), 4), Err(FileError::NotFound { .. })));
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(read_file(&link, 100), Err(FileError::NotRegular { .. })));
    assert!(matches!(read_file(directory.path(), 100), Err(FileError::NotRegular { .. })));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(matches!(read_file(&pipe, 100), Err(FileError::NotRegular { .. })));
    // Sizes that the file system only claims: the bound holds for what is read.
    assert!(matches!(read_file(Path::new("/proc/self/maps"), 10), Err(FileError::TooLarge { .. })));
}

#[test]
fn slots_are_overwritten_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cell");
    let cell = SlotFile::open_or_create(&path, 8).unwrap();
    assert_eq!((mode(&path), cell.slots(), cell.path()), (0o600, 8, path.as_path()));
    assert_eq!(cell.privacy().unwrap(), Privacy::Private);
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let before = inode(&path);
    for slot in 0..8 {
        assert_eq!(*cell.read_slot(slot).unwrap(), [0; SLOT_BYTES]);
        cell.write_slot(slot, &[u8::try_from(slot).unwrap() + 1; SLOT_BYTES]).unwrap();
    }
    cell.write_slot(3, &[0; SLOT_BYTES]).unwrap();
    let again = SlotFile::open_or_create(&path, 8).unwrap();
    for slot in 0..8 {
        let expected = if slot == 3 { 0 } else { u8::try_from(slot).unwrap() + 1 };
        assert_eq!(*again.read_slot(slot).unwrap(), [expected; SLOT_BYTES]);
    }
    assert_eq!(inode(&path), before);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 8 * 4096);
}

#[test]
fn slots_beyond_the_file_and_files_of_another_size_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cell");
    assert!(matches!(SlotFile::open(&path, 8), Err(FileError::NotFound { .. })));
    let cell = SlotFile::open_or_create(&path, 2).unwrap();
    assert!(matches!(cell.read_slot(2), Err(FileError::NoSlot { slot: 2, .. })));
    assert!(matches!(cell.write_slot(2, &[1; SLOT_BYTES]), Err(FileError::NoSlot { slot: 2, .. })));
    assert!(matches!(SlotFile::open(&path, 3), Err(FileError::WrongSize { bytes: 8192, expected: 12288, .. })));
    assert!(matches!(SlotFile::open_or_create(&path, 3), Err(FileError::WrongSize { .. })));
    for slots in [0, SLOTS_MAX + 1, usize::MAX] {
        assert!(matches!(SlotFile::open_or_create(&path, slots), Err(FileError::NoSlot { .. })));
    }
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(8191).unwrap();
    assert!(matches!(cell.read_slot(0), Err(FileError::WrongSize { bytes: 8191, .. })));
    assert!(matches!(cell.write_slot(0, &[1; SLOT_BYTES]), Err(FileError::WrongSize { .. })));
}

#[test]
fn a_linked_cell_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    SlotFile::open_or_create(&real, 2).unwrap();
    let link = directory.path().join("link");
    symlink(&real, &link).unwrap();
    assert!(matches!(SlotFile::open(&link, 2), Err(FileError::NotRegular { .. })));
    assert!(SlotFile::open_or_create(&link, 2).is_err());
}

#[test]
fn file_systems_have_names() {
    assert_eq!(filesystem_of(Path::new("/proc")).unwrap(), "0x00009fa0");
    let here = filesystem_of(&std::env::temp_dir()).unwrap();
    assert!(!here.is_empty());
    if Path::new("/dev/shm").exists() {
        assert_eq!(filesystem_of(Path::new("/dev/shm")).unwrap(), "tmpfs");
    }
    assert!(matches!(filesystem_of(Path::new("/no/such/place")), Err(FileError::NotFound { .. })));
}

#[test]
fn inside_is_judged_after_resolving_links() {
    let directory = tempfile::tempdir().unwrap();
    let repo = directory.path().join("repo");
    std::fs::create_dir_all(repo.join("packs")).unwrap();
    std::fs::create_dir(directory.path().join("repo2")).unwrap();
    symlink(&repo, directory.path().join("alias")).unwrap();
    let inside = |path: &str| is_inside(&directory.path().join(path), &repo).unwrap();
    for path in ["repo", "repo/packs", "repo/new/cell", "alias", "alias/cell", "alias/packs/cell", "repo/packs/../cell"]
    {
        assert!(inside(path), "{path}");
    }
    for path in ["repo2", "repo2/cell", "other", "alias2/cell", ".", "repo/../cell"] {
        assert!(!inside(path), "{path}");
    }
    assert!(is_inside(&repo.join("x"), &directory.path().join("alias")).unwrap());
    assert!(matches!(is_inside(&repo, &directory.path().join("none")), Err(FileError::NotFound { .. })));
}

#[test]
fn a_lock_has_one_holder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lock");
    let held = LockFile::acquire(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(matches!(LockFile::acquire(&path), Err(FileError::Locked { .. })));
    assert!(matches!(LockFile::acquire_within(&path, Duration::from_millis(120)), Err(FileError::Locked { .. })));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| LockFile::acquire_within(&path, Duration::from_secs(60)));
        drop(held);
        assert!(waiting.join().unwrap().is_ok());
    });
    drop(LockFile::acquire(&path).unwrap());
    assert!(path.exists());
}
