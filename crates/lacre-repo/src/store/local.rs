//! A store in a directory of this host.
//!
//! Objects are written to a staging file, synced, and linked into place without ever replacing anything; then the directory is
//! synced. All paths are resolved below the store's own directory without following a symbolic link in any component. After a failed
//! sync the file is abandoned: the kernel may have dropped the dirty pages, so asking again would lie.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use lacre_format::name::ObjectName;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::error::{Operation, StoreError};
use super::handles::{Handle, Handles};
use super::staging::{self, STAGING_DIRECTORY, Staged, Sweep};
use super::{Exposure, Foreign, ForeignKind, LIST_DEPTH_MAX, LIST_ENTRIES_MAX, Listing, ObjectMeta, PutOutcome};

/// Permission bits that let the group or others in.
const SHARED_BITS: u32 = 0o077;

/// All permission bits.
const MODE_BITS: u32 = 0o7777;

/// Flags for opening any directory.
const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Flags for opening any object. Without `NONBLOCK` a planted named pipe would hang the reader.
const OBJECT_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// An object that is looked at once is read in pieces of this length.
const PIECE_BYTES: usize = 128 * 1024;

/// A directory used as a store.
pub(super) struct LocalStore {
    path: PathBuf,
    root: OwnedFd,
    handles: Handles,
    /// Directories whose own entries this process has synced.
    durable: Mutex<HashSet<String>>,
    /// Whether the kernel has no `openat2`, found out at the first use.
    by_component: AtomicBool,
}

impl LocalStore {
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let io = |operation| {
            move |source: std::io::Error| match source.raw_os_error() {
                Some(code) => StoreError::of_errno(Errno::from_raw_os_error(code), operation, ""),
                None => StoreError::Io { name: String::new(), operation, source },
            }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io(Operation::OpenDirectory))?;
        if let Some(entry) = std::fs::read_dir(path).map_err(io(Operation::List))?.next() {
            let name = entry.map_err(io(Operation::List))?.file_name().to_string_lossy().into_owned();
            return Err(StoreError::NotEmpty { name });
        }
        let store = Self::open(path)?;
        sync(&store.root, "")?;
        if let Some(parent) = store.path.parent() {
            let parent = File::open(parent).map_err(io(Operation::OpenDirectory))?;
            sync(&parent, "")?;
        }
        Ok(store)
    }

    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| StoreError::of_errno(errno, Operation::OpenDirectory, ""))?;
        let path = path.canonicalize().map_err(|source| StoreError::Io {
            name: String::new(),
            operation: Operation::OpenDirectory,
            source,
        })?;
        Ok(Self {
            path,
            root,
            handles: Handles::default(),
            durable: Mutex::default(),
            by_component: AtomicBool::new(false),
        })
    }

    /// Resolves paths component by component, as on kernels before 5.6.
    #[cfg(test)]
    pub(super) fn without_openat2(self) -> Self {
        self.by_component.store(true, Ordering::Relaxed);
        self
    }

    #[cfg(test)]
    pub(super) fn handles_open(&self) -> usize {
        self.handles.len()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn put_new(&self, name: &ObjectName, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        let name = name.as_str();
        let (parent, leaf) = split(name);
        let directory = self.make_directory(parent, name)?;
        if let Some(stat) = stat_at(&directory, leaf, name)? {
            require_regular(&stat, name)?;
            // Whoever wrote it may have died before this sync.
            sync(&directory, name)?;
            return Ok(PutOutcome::AlreadyExists);
        }
        let staging = self.make_directory(STAGING_DIRECTORY, name)?;
        let staged = Staged::create(&staging, name)?;
        (&staged.file).write_all(bytes).map_err(|source| of_io(source, Operation::Write, name))?;
        rustix::fs::fsync(&staged.file).map_err(|errno| StoreError::of_errno(errno, Operation::SyncFile, name))?;
        let outcome = link_into_place(staged, &directory, leaf, name)?;
        sync(&directory, name)?;
        Ok(outcome)
    }

    /// Puts an object in the place of what lies under its name, in one step.
    pub(super) fn replace(&self, name: &ObjectName, bytes: &[u8]) -> Result<(), StoreError> {
        let name = name.as_str();
        let (parent, leaf) = split(name);
        let directory = self.make_directory(parent, name)?;
        if let Some(stat) = stat_at(&directory, leaf, name)? {
            require_regular(&stat, name)?;
        }
        let staging = self.make_directory(STAGING_DIRECTORY, name)?;
        let staged = Staged::create(&staging, name)?;
        (&staged.file).write_all(bytes).map_err(|source| of_io(source, Operation::Write, name))?;
        rustix::fs::fsync(&staged.file).map_err(|errno| StoreError::of_errno(errno, Operation::SyncFile, name))?;
        self.handles.forget(name);
        rustix::fs::renameat(staged.directory(), staged.name(), &directory, leaf)
            .map_err(|errno| StoreError::of_errno(errno, Operation::Link, name))?;
        staged.moved_away();
        sync(&directory, name)
    }

    pub(super) fn get(&self, name: &ObjectName, bytes_max: u64) -> Result<Bytes, StoreError> {
        let handle = self.open_object(name.as_str())?;
        if handle.bytes > bytes_max {
            let name = name.to_string();
            return Err(StoreError::TooLarge { name, size: handle.bytes, limit: bytes_max });
        }
        read_at(&handle, 0, handle.bytes, name.as_str())
    }

    pub(super) fn get_range(&self, name: &ObjectName, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        let handle = match self.handles.find(name.as_str()) {
            Some(handle) => handle,
            None => {
                let handle = self.open_object(name.as_str())?;
                self.handles.keep(name.as_str(), handle.clone());
                handle
            }
        };
        if range.end > handle.bytes {
            return Err(StoreError::OutOfRange { name: name.to_string(), start: range.start, end: range.end });
        }
        read_at(&handle, range.start, range.end - range.start, name.as_str())
    }

    /// The first `bytes` bytes of an object in pieces: one buffer is filled again and again, and stays in the cache of a processor.
    pub(super) fn get_pieces(
        &self,
        name: &ObjectName,
        bytes: u64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        let handle = self.open_object(name.as_str())?;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut start = 0;
        while start < bytes {
            let length = PIECE_BYTES.min(usize::try_from(bytes - start).unwrap_or(usize::MAX));
            let piece = &mut buffer[..length];
            match handle.file.read_exact_at(piece, start) {
                Ok(()) => each(piece),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(StoreError::OutOfRange { name: name.to_string(), start, end: bytes });
                }
                Err(source) => return Err(of_io(source, Operation::Read, name.as_str())),
            }
            start += widen(length);
        }
        Ok(())
    }

    pub(super) fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let name = name.as_str();
        self.handles.forget(name);
        let (parent, leaf) = split(name);
        let directory = match self.open_directory(parent) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|errno| of_walk(errno, Operation::OpenDirectory, name))?,
        };
        if let Some(stat) = stat_at(&directory, leaf, name)? {
            require_regular(&stat, name)?;
            match rustix::fs::unlinkat(&directory, leaf, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(StoreError::of_errno(errno, Operation::Unlink, name)),
            }
        }
        // Also when it was gone already: the call that removed it may have died before its sync.
        sync(&directory, name)
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        self.walk(prefix, &mut |entry| {
            let found = match entry {
                Entry::Object(meta) => {
                    listing.objects.push(meta);
                    listing.objects.len()
                }
                Entry::Foreign(foreign) => {
                    listing.foreign.push(foreign);
                    listing.foreign.len()
                }
                Entry::Directory => 0,
            };
            if found > LIST_ENTRIES_MAX {
                let (size, limit) = (widen(found), widen(LIST_ENTRIES_MAX));
                return Err(StoreError::TooLarge { name: prefix.to_owned(), size, limit });
            }
            Ok(())
        })?;
        Ok(listing)
    }

    pub(super) fn exposure(&self, entries_max: usize) -> Result<Vec<Exposure>, StoreError> {
        let mut exposed = Vec::new();
        let root = rustix::fs::fstat(&self.root).map_err(|errno| StoreError::of_errno(errno, Operation::Stat, ""))?;
        exposed.extend(exposure_of("", &root));
        let mut directories = vec![(String::new(), 0_usize)];
        while let Some((path, depth)) = directories.pop() {
            let (directory, names) = self.names_in(&path)?;
            for name in names {
                if exposed.len() >= entries_max {
                    return Ok(exposed);
                }
                let full = join(&path, &name);
                let Ok(Some(stat)) = stat_at(&directory, &name, &full) else {
                    continue;
                };
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind == FileType::Directory && depth < LIST_DEPTH_MAX {
                    directories.push((full.clone(), depth + 1));
                }
                if matches!(kind, FileType::Directory | FileType::RegularFile) {
                    exposed.extend(exposure_of(&full, &stat));
                }
            }
        }
        Ok(exposed)
    }

    pub(super) fn sweep_staging(&self) -> Result<Sweep, StoreError> {
        staging::sweep(&self.root)
    }

    /// Opens an object for reading and refuses what is no regular file.
    fn open_object(&self, name: &str) -> Result<Handle, StoreError> {
        let descriptor = match self.resolve(name, OBJECT_FLAGS) {
            Ok(descriptor) => descriptor,
            Err(errno) => return Err(self.explain(errno, name)),
        };
        let stat =
            rustix::fs::fstat(&descriptor).map_err(|errno| StoreError::of_errno(errno, Operation::Stat, name))?;
        require_regular(&stat, name)?;
        Ok(Handle { file: Arc::new(File::from(descriptor)), bytes: u64::try_from(stat.st_size).unwrap_or(0) })
    }

    /// Turns the failure to open an object into what a person can act on.
    fn explain(&self, errno: Errno, name: &str) -> StoreError {
        match self.stat(name) {
            Ok(Some(stat)) => match require_regular(&stat, name) {
                Err(foreign) => foreign,
                Ok(()) => of_walk(errno, Operation::Open, name),
            },
            _ => of_walk(errno, Operation::Open, name),
        }
    }

    /// The facts of an entry itself, never of what it points to.
    fn stat(&self, name: &str) -> Result<Option<Stat>, StoreError> {
        let (parent, leaf) = split(name);
        match self.open_directory(parent) {
            Ok(directory) => stat_at(&directory, leaf, name),
            Err(errno) => Err(of_walk(errno, Operation::OpenDirectory, name)),
        }
    }

    /// Opens a directory below the store; the empty path is the store itself.
    fn open_directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.resolve(if path.is_empty() { "." } else { path }, DIRECTORY_FLAGS)
    }

    /// Opens a path below the store without following a link in any component.
    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if !self.by_component.load(Ordering::Relaxed) {
            let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), how) {
                // Old kernels lack the call; some sandboxes answer with a refusal instead.
                Err(Errno::NOSYS | Errno::PERM) => self.by_component.store(true, Ordering::Relaxed),
                other => return other,
            }
        }
        let (parent, leaf) = split(path);
        let mut directory = rustix::fs::openat(&self.root, ".", DIRECTORY_FLAGS, Mode::empty())?;
        for component in parent.split('/').filter(|component| !component.is_empty()) {
            directory = open_directory_at(&directory, component)?;
        }
        rustix::fs::openat(&directory, leaf, flags, Mode::empty())
    }

    /// Opens a directory, making it and its parents, each entry durable before anything is put below it.
    fn make_directory(&self, path: &str, object: &str) -> Result<OwnedFd, StoreError> {
        let fail = |errno| of_walk(errno, Operation::OpenDirectory, object);
        let known = |path: &str| self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(path);
        if path.is_empty() || known(path) {
            match self.open_directory(path) {
                Err(Errno::NOENT) => {}
                other => return other.map_err(fail),
            }
        }
        let mut directory = self.open_directory("").map_err(fail)?;
        let mut walked = String::new();
        for component in path.split('/').filter(|component| !component.is_empty()) {
            match rustix::fs::mkdirat(&directory, component, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(fail(errno)),
            }
            let child = open_directory_at(&directory, component).map_err(fail)?;
            walked = join(&walked, component);
            // An existing entry is synced too, once: its maker may be another process that has not come to that yet.
            if !known(&walked) {
                sync(&directory, object)?;
                self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(walked.clone());
            }
            directory = child;
        }
        Ok(directory)
    }

    /// Visits everything below a prefix, without recursion and without following anything.
    fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Entry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut directories = vec![(prefix.to_owned(), 0_usize)];
        while let Some((path, depth)) = directories.pop() {
            let (directory, names) = match self.names_in(&path) {
                Ok(opened) => opened,
                Err(StoreError::NotFound { .. }) => continue,
                Err(StoreError::Foreign { kind, name }) => {
                    visit(Entry::Foreign(Foreign { name, kind }))?;
                    continue;
                }
                Err(error) if path == prefix => return Err(error),
                Err(_) => {
                    visit(Entry::Foreign(Foreign { name: path, kind: ForeignKind::Unreadable }))?;
                    continue;
                }
            };
            for name in names {
                if path.is_empty() && name == STAGING_DIRECTORY {
                    continue;
                }
                let full = join(&path, &name);
                let entry = look_at(&directory, &name, &full, depth);
                if let Some(Entry::Directory) = entry {
                    directories.push((full, depth + 1));
                }
                if let Some(entry) = entry {
                    visit(entry)?;
                }
            }
        }
        Ok(())
    }

    /// Opens a directory and reads its names, unusual characters replaced, without the two every directory has.
    fn names_in(&self, path: &str) -> Result<(OwnedFd, Vec<String>), StoreError> {
        let fail = |errno| match errno {
            Errno::NOTDIR | Errno::LOOP => match self.stat(path) {
                Ok(Some(stat)) => StoreError::Foreign {
                    name: path.to_owned(),
                    kind: kind_of(&stat).unwrap_or(ForeignKind::Unreadable),
                },
                _ => of_walk(errno, Operation::List, path),
            },
            other => StoreError::of_errno(other, Operation::List, path),
        };
        let directory = self.open_directory(path).map_err(fail)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() > LIST_ENTRIES_MAX {
                let (size, limit) = (widen(names.len()), widen(LIST_ENTRIES_MAX));
                return Err(StoreError::TooLarge { name: path.to_owned(), size, limit });
            }
        }
        Ok((directory, names))
    }
}

/// What one entry of a listing is; `None` if it vanished meanwhile.
fn look_at(directory: &OwnedFd, leaf: &str, full: &str, depth: usize) -> Option<Entry> {
    let foreign = |kind| Some(Entry::Foreign(Foreign { name: full.to_owned(), kind }));
    if ObjectName::from_path(full).is_err() {
        return foreign(ForeignKind::BadName);
    }
    let stat = match stat_at(directory, leaf, full) {
        Ok(Some(stat)) => stat,
        Ok(None) => return None,
        Err(_) => return foreign(ForeignKind::Unreadable),
    };
    match kind_of(&stat) {
        None => Some(Entry::Object(ObjectMeta {
            name: full.to_owned(),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified: modified(&stat),
        })),
        Some(ForeignKind::Directory) if depth >= LIST_DEPTH_MAX => foreign(ForeignKind::TooDeep),
        Some(ForeignKind::Directory) => Some(Entry::Directory),
        Some(kind) => foreign(kind),
    }
}

/// What a walk meets.
enum Entry {
    Object(ObjectMeta),
    Foreign(Foreign),
    Directory,
}

/// Opens a directory that is a direct child.
pub(super) fn open_directory_at(directory: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, DIRECTORY_FLAGS, Mode::empty())
}

/// Gives a synced staging file its name, never replacing another object.
fn link_into_place(staged: Staged<'_>, directory: &OwnedFd, leaf: &str, name: &str) -> Result<PutOutcome, StoreError> {
    let from = staged.directory();
    match rustix::fs::renameat_with(from, staged.name(), directory, leaf, RenameFlags::NOREPLACE) {
        Ok(()) => {
            staged.moved_away();
            return Ok(PutOutcome::Created);
        }
        Err(Errno::EXIST) => {
            staged.discard(name)?;
            return Ok(PutOutcome::AlreadyExists);
        }
        // The kernel or the file system does not know the flag; a hard link does not replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(StoreError::of_errno(errno, Operation::Link, name)),
    }
    match rustix::fs::linkat(from, staged.name(), directory, leaf, AtFlags::empty()) {
        Ok(()) => staged.discard(name).map(|()| PutOutcome::Created),
        Err(Errno::EXIST) => staged.discard(name).map(|()| PutOutcome::AlreadyExists),
        Err(errno) => Err(StoreError::of_errno(errno, Operation::Link, name)),
    }
}

/// Reads exactly `length` bytes at `start`; an object that shrank meanwhile is out of range.
fn read_at(handle: &Handle, start: u64, length: u64, name: &str) -> Result<Bytes, StoreError> {
    let end = start.saturating_add(length);
    let length = usize::try_from(length).map_err(|_| StoreError::TooLarge {
        name: name.to_owned(),
        size: length,
        limit: widen(usize::MAX),
    })?;
    let mut bytes = vec![0; length];
    match handle.file.read_exact_at(&mut bytes, start) {
        Ok(()) => Ok(Bytes::from(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(StoreError::OutOfRange { name: name.to_owned(), start, end })
        }
        Err(source) => Err(of_io(source, Operation::Read, name)),
    }
}

fn sync(directory: impl AsFd, name: &str) -> Result<(), StoreError> {
    rustix::fs::fsync(directory).map_err(|errno| StoreError::of_errno(errno, Operation::SyncDirectory, name))
}

fn stat_at(directory: &OwnedFd, leaf: &str, name: &str) -> Result<Option<Stat>, StoreError> {
    match rustix::fs::statat(directory, leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(StoreError::of_errno(errno, Operation::Stat, name)),
    }
}

fn require_regular(stat: &Stat, name: &str) -> Result<(), StoreError> {
    match kind_of(stat) {
        None => Ok(()),
        Some(kind) => Err(StoreError::Foreign { name: name.to_owned(), kind }),
    }
}

/// Why an entry is no regular file; `None` for regular files.
fn kind_of(stat: &Stat) -> Option<ForeignKind> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some(ForeignKind::Directory),
        FileType::Symlink => Some(ForeignKind::Symlink),
        FileType::Fifo => Some(ForeignKind::Fifo),
        FileType::Socket => Some(ForeignKind::Socket),
        FileType::CharacterDevice | FileType::BlockDevice => Some(ForeignKind::Device),
        _ => Some(ForeignKind::Unreadable),
    }
}

/// Errors of opening a path: a link or a file among its components is foreign.
fn of_walk(errno: Errno, operation: Operation, name: &str) -> StoreError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => {
            StoreError::Foreign { name: name.to_owned(), kind: ForeignKind::Symlink }
        }
        other => StoreError::of_errno(other, operation, name),
    }
}

fn of_io(source: std::io::Error, operation: Operation, name: &str) -> StoreError {
    match source.raw_os_error() {
        Some(code) => StoreError::of_errno(Errno::from_raw_os_error(code), operation, name),
        None => StoreError::Io { name: name.to_owned(), operation, source },
    }
}

fn exposure_of(name: &str, stat: &Stat) -> Option<Exposure> {
    let mode = stat.st_mode & MODE_BITS;
    (mode & SHARED_BITS != 0).then(|| Exposure { name: name.to_owned(), mode, owner: stat.st_uid })
}

fn modified(stat: &Stat) -> Timestamp {
    let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Timestamp::new(stat.st_mtime, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The directory part and the last segment.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn widen(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
