//! Files of this host that hold secrets: keys, pins, seal cells, locks.
//!
//! Paths and bytes come in; durable files with mode 0600 in directories with mode 0700 go out, and reports of what others may read.
//! Nothing here knows what the bytes mean. Two ways of writing exist on purpose: [`write_secret_file`] replaces a file as a whole
//! (the old contents stay on the device), and [`SlotFile`] overwrites fixed slots in place, so that a key can be overwritten.

use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

#[cfg(test)]
mod tests;

/// Bytes of one slot: a block of every file system that matters, so that one slot is one write to the device.
pub const SLOT_BYTES: usize = 4096;

/// Most slots of one file.
pub const SLOTS_MAX: usize = 64;

/// How long a waiting lock sleeps between tries.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Permission bits that let the group or others in.
const SHARED_BITS: u32 = 0o077;

/// All permission bits.
const MODE_BITS: u32 = 0o7777;

/// What failed, on which path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file or directory does not exist.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// A file of this name exists and was not to be replaced.
    #[error("{} already exists", path.display())]
    AlreadyExists {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refuses this user.
    #[error("permission denied: {}", path.display())]
    PermissionDenied {
        /// The path.
        path: PathBuf,
    },
    /// The disk, its inodes or a quota are used up.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The path.
        path: PathBuf,
    },
    /// A link, pipe, device or directory lies where a file should be.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The file is longer than the caller's bound.
    #[error("{} has {bytes} bytes, more than the {bytes_max} allowed here", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// The file of slots has another size than it was created with.
    #[error("{} has {bytes} bytes instead of {expected}", path.display())]
    WrongSize {
        /// The path.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The size of its slots together.
        expected: u64,
    },
    /// No such slot in this file.
    #[error("{} has no slot {slot}", path.display())]
    NoSlot {
        /// The path.
        path: PathBuf,
        /// The slot asked for.
        slot: usize,
    },
    /// A slot written and synced reads back otherwise: the device cannot be trusted.
    #[error("slot {slot} of {} reads back otherwise than it was written", path.display())]
    ReadBackDiffers {
        /// The path.
        path: PathBuf,
        /// The slot.
        slot: usize,
    },
    /// Another process holds the lock.
    #[error("{} is locked by another process", path.display())]
    Locked {
        /// The path.
        path: PathBuf,
    },
    /// Any other failure.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl FileError {
    /// Whether the disk is full or takes no writes, so that only what must be written fails.
    #[must_use]
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::ReadOnlyFilesystem,
            _ => false,
        }
    }
}

/// Who else may open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privacy {
    /// Only its owner.
    Private,
    /// The group or others, with these permission bits.
    Shared {
        /// E.g. `0o644`.
        mode: u32,
    },
}

/// The bytes of a file and who else may read them.
#[derive(Debug)]
pub struct ReadFile {
    /// The whole contents; the caller wipes them if they are secret.
    pub bytes: Vec<u8>,
    /// To be reported when shared.
    pub privacy: Privacy,
}

/// Whether a secret file may take the place of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replace {
    /// An existing file is an error.
    Never,
    /// An existing file is replaced at once and as a whole.
    Whole,
}

/// Creates a directory and its missing parents with mode 0700, durably; an existing directory stays as it is.
///
/// # Errors
/// What the operating system says.
pub fn create_private_directory(path: &Path) -> Result<(), FileError> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        if ancestor.as_os_str().is_empty() || ancestor.exists() {
            break;
        }
        missing.push(ancestor);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| failed(path, "create", source))?;
    for created in missing {
        sync_directory(parent_of(created))?;
    }
    Ok(())
}

/// Who else may enter a directory or read a file.
///
/// # Errors
/// [`FileError::NotFound`] and what else the operating system says.
pub fn privacy_of(path: &Path) -> Result<Privacy, FileError> {
    let metadata = std::fs::symlink_metadata(path).map_err(|source| failed(path, "look at", source))?;
    Ok(privacy(metadata.mode()))
}

/// Writes a secret to a file with mode 0600: a temporary file beside it is written, synced and renamed, then the directory is synced.
///
/// # Errors
/// [`FileError::AlreadyExists`] with [`Replace::Never`]; what the operating system says. The file is then the old one or the new one.
pub fn write_secret_file(path: &Path, bytes: &[u8], replace: Replace) -> Result<(), FileError> {
    let directory = parent_of(path);
    let name = path.file_name().ok_or_else(|| FileError::NotRegular { path: path.to_path_buf() })?;
    let temporary = directory.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&temporary, "remove", error));
        }
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = open(&temporary, flags, "create")?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|source| failed(&temporary, "write", source))
        .and_then(|()| name_file(&temporary, path, replace));
    if let Err(error) = written {
        // The first error is the one to report; what may be left is a private file.
        drop(std::fs::remove_file(&temporary));
        return Err(error);
    }
    sync_directory(directory)
}

/// Reads a file of at most `bytes_max` bytes, following no link in its last component, and says who else may read it.
///
/// # Errors
/// [`FileError::TooLarge`], [`FileError::NotRegular`], [`FileError::NotFound`] and what else the operating system says.
pub fn read_file(path: &Path, bytes_max: u64) -> Result<ReadFile, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, "open")?;
    let metadata = regular(&file, path)?;
    let too_large = |bytes| FileError::TooLarge { path: path.to_path_buf(), bytes, bytes_max };
    if metadata.len() > bytes_max {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let read = (&file).take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|source| failed(path, "read", source))?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > bytes_max {
        return Err(too_large(length));
    }
    Ok(ReadFile { bytes, privacy: privacy(metadata.mode()) })
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// What the operating system says.
pub fn sync_directory(path: &Path) -> Result<(), FileError> {
    let directory = File::open(path).map_err(|source| failed(path, "open", source))?;
    directory.sync_all().map_err(|source| failed(path, "make durable", source))
}

/// A file of fixed 4 KiB slots that are overwritten in place and never moved, so that old contents do not survive beside new ones.
#[derive(Debug)]
pub struct SlotFile {
    path: PathBuf,
    slots: usize,
}

impl SlotFile {
    /// Opens a file of `slots` slots, or creates it with mode 0600 and every slot zero, durably.
    ///
    /// # Errors
    /// [`FileError::WrongSize`] for an existing file of another size; [`FileError::NoSlot`] for more than [`SLOTS_MAX`].
    pub fn open_or_create(path: &Path, slots: usize) -> Result<Self, FileError> {
        if slots == 0 || slots > SLOTS_MAX {
            return Err(FileError::NoSlot { path: path.to_path_buf(), slot: slots });
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open(path, flags, "create") {
            Err(FileError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
            Ok(mut file) => {
                let zeros = vec![0; slots * SLOT_BYTES];
                let written = file.write_all(&zeros).and_then(|()| file.sync_all());
                written.map_err(|source| failed(path, "write", source))?;
                sync_directory(parent_of(path))?;
            }
        }
        Self::open(path, slots)
    }

    /// Opens an existing file of `slots` slots.
    ///
    /// # Errors
    /// [`FileError::NotFound`], [`FileError::WrongSize`], [`FileError::NotRegular`].
    pub fn open(path: &Path, slots: usize) -> Result<Self, FileError> {
        let file = Self { path: path.to_path_buf(), slots };
        file.descriptor(OFlags::RDONLY)?;
        Ok(file)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many slots it has.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Who else may read it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn privacy(&self) -> Result<Privacy, FileError> {
        privacy_of(&self.path)
    }

    /// Reads one slot through a descriptor of its own.
    ///
    /// # Errors
    /// [`FileError::NoSlot`], and what the operating system says.
    pub fn read_slot(&self, slot: usize) -> Result<Box<[u8; SLOT_BYTES]>, FileError> {
        let offset = self.offset(slot)?;
        let file = self.descriptor(OFlags::RDONLY)?;
        let mut bytes = Box::new([0; SLOT_BYTES]);
        file.read_exact_at(bytes.as_mut_slice(), offset).map_err(|source| failed(&self.path, "read", source))?;
        Ok(bytes)
    }

    /// Overwrites one slot in place, makes it durable, drops it from the page cache where the system allows, and reads it back through
    /// a fresh descriptor.
    ///
    /// # Errors
    /// [`FileError::ReadBackDiffers`], [`FileError::NoSlot`], and what the operating system says; the slot is then not to be trusted.
    pub fn write_slot(&self, slot: usize, bytes: &[u8; SLOT_BYTES]) -> Result<(), FileError> {
        let offset = self.offset(slot)?;
        let file = self.descriptor(OFlags::WRONLY)?;
        file.write_all_at(bytes, offset).map_err(|source| failed(&self.path, "write", source))?;
        // No second try after a failed sync: the kernel may have dropped the page.
        file.sync_data().map_err(|source| failed(&self.path, "make durable", source))?;
        let length = std::num::NonZeroU64::new(SLOT_BYTES.try_into().unwrap_or(u64::MAX));
        // Advice only; without it the comparison sees the page cache, which is still a comparison.
        let _ = rustix::fs::fadvise(&file, offset, length, rustix::fs::Advice::DontNeed);
        drop(file);
        // What was read back is the secret itself.
        let mut written = zeroize::Zeroizing::new([0u8; SLOT_BYTES]);
        let descriptor = self.descriptor(OFlags::RDONLY)?;
        let read = descriptor.read_exact_at(written.as_mut_slice(), offset);
        read.map_err(|source| failed(&self.path, "read", source))?;
        if written.as_slice() == bytes.as_slice() {
            Ok(())
        } else {
            Err(FileError::ReadBackDiffers { path: self.path.clone(), slot })
        }
    }

    fn offset(&self, slot: usize) -> Result<u64, FileError> {
        if slot >= self.slots {
            return Err(FileError::NoSlot { path: self.path.clone(), slot });
        }
        Ok(u64::try_from(slot * SLOT_BYTES).unwrap_or(u64::MAX))
    }

    fn descriptor(&self, access: OFlags) -> Result<File, FileError> {
        let file = open(&self.path, access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK, "open")?;
        let bytes = regular(&file, &self.path)?.len();
        let expected = u64::try_from(self.slots * SLOT_BYTES).unwrap_or(u64::MAX);
        if bytes != expected {
            return Err(FileError::WrongSize { path: self.path.clone(), bytes, expected });
        }
        Ok(file)
    }
}

/// The file system a path lies on, by its usual name, or its magic number in hexadecimal.
///
/// # Errors
/// [`FileError::NotFound`] and what else the operating system says.
pub fn filesystem_of(path: &Path) -> Result<String, FileError> {
    let facts = rustix::fs::statfs(path).map_err(|errno| failed(path, "look at the file system of", errno.into()))?;
    let magic = u32::try_from(i128::from(facts.f_type) & 0xffff_ffff).unwrap_or(0);
    Ok(match magic {
        0x0000_ef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x2fc1_2fc1 => "zfs".to_owned(),
        0x794c_7630 => "overlay".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0x8584_58f6 => "ramfs".to_owned(),
        0x0000_6969 => "nfs".to_owned(),
        0xff53_4d42 | 0xfe53_4d42 => "smb".to_owned(),
        0x6573_5546 => "fuse".to_owned(),
        0xf2f5_2010 => "f2fs".to_owned(),
        0xca45_1a4e => "bcachefs".to_owned(),
        0x0000_4d44 => "vfat".to_owned(),
        0x0102_1997 => "9p".to_owned(),
        other => format!("{other:#010x}"),
    })
}

/// Whether `path` is `directory` or lies below it, links resolved. The last components of `path` need not exist yet.
///
/// # Errors
/// [`FileError::NotFound`] when `directory` does not exist, and what else the operating system says.
pub fn is_inside(path: &Path, directory: &Path) -> Result<bool, FileError> {
    let directory = directory.canonicalize().map_err(|source| failed(directory, "resolve", source))?;
    let absolute = std::path::absolute(path).map_err(|source| failed(path, "resolve", source))?;
    for ancestor in absolute.ancestors() {
        match ancestor.canonicalize() {
            Ok(resolved) => return Ok(resolved.starts_with(&directory)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(ancestor, "resolve", error)),
        }
    }
    Ok(false)
}

/// An exclusive lock between processes, held until dropped; the kernel drops it with the process.
#[derive(Debug)]
#[must_use]
pub struct LockFile {
    /// Holding the descriptor open holds the lock. The file itself stays: removing it would let two holders exist.
    _file: File,
}

impl LockFile {
    /// Takes the lock or fails at once.
    ///
    /// # Errors
    /// [`FileError::Locked`] when another process, or another part of this one, holds it.
    pub fn acquire(path: &Path) -> Result<Self, FileError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = open(path, flags, "open")?;
        regular(&file, path)?;
        match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(FileError::Locked { path: path.to_path_buf() }),
            Err(errno) => Err(failed(path, "lock", errno.into())),
        }
    }

    /// Takes the lock, waiting for it at most so long.
    ///
    /// # Errors
    /// [`FileError::Locked`] when it is still held then.
    pub fn acquire_within(path: &Path, patience: Duration) -> Result<Self, FileError> {
        let start = Instant::now();
        loop {
            match Self::acquire(path) {
                Err(FileError::Locked { .. }) if start.elapsed() < patience => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                other => return other,
            }
        }
    }
}

/// Gives a finished temporary file its name.
fn name_file(temporary: &Path, path: &Path, replace: Replace) -> Result<(), FileError> {
    match replace {
        Replace::Whole => std::fs::rename(temporary, path).map_err(|source| failed(path, "name", source)),
        Replace::Never => {
            std::fs::hard_link(temporary, path).map_err(|source| failed(path, "name", source))?;
            std::fs::remove_file(temporary).map_err(|source| failed(temporary, "remove", source))
        }
    }
}

fn open(path: &Path, flags: OFlags, action: &'static str) -> Result<File, FileError> {
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(descriptor) => Ok(File::from(descriptor)),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => Err(FileError::NotRegular { path: path.to_path_buf() }),
        Err(errno) => Err(failed(path, action, errno.into())),
    }
}

fn regular(file: &File, path: &Path) -> Result<std::fs::Metadata, FileError> {
    let metadata = file.metadata().map_err(|source| failed(path, "look at", source))?;
    if metadata.is_file() { Ok(metadata) } else { Err(FileError::NotRegular { path: path.to_path_buf() }) }
}

fn privacy(mode: u32) -> Privacy {
    if mode & SHARED_BITS == 0 { Privacy::Private } else { Privacy::Shared { mode: mode & MODE_BITS } }
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn failed(path: &Path, action: &'static str, source: std::io::Error) -> FileError {
    let path = path.to_path_buf();
    match source.kind() {
        std::io::ErrorKind::NotFound => FileError::NotFound { path },
        std::io::ErrorKind::AlreadyExists => FileError::AlreadyExists { path },
        std::io::ErrorKind::PermissionDenied => FileError::PermissionDenied { path },
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FileError::NoSpace { path },
        _ => FileError::Io { path, action, source },
    }
}
