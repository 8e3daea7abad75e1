//! Staging files: where an object is written and synced before it gets its name.
//!
//! They lie in one hidden directory that no object name can reach (names never start with a dot) and no listing shows.
//! A writer holds `flock` on its staging file for as long as it lives; the kernel drops the lock with the process. The sweep removes
//! a file only when it gets that lock, so a concurrent writer of any age is safe, and a writer that lost the race between creating
//! and locking notices that its file has no name any more and starts again. Where locks do not work at all, only files older than a
//! day by the file system's own clock are removed.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::{Operation, StoreError};
use super::local::open_directory_at;

/// The hidden directory, directly under the store.
pub(super) const STAGING_DIRECTORY: &str = ".staging";

/// How every staging file's name begins.
const STAGING_PREFIX: &str = "stage-";

/// Hexadecimal digits behind the prefix.
const STAGING_DIGITS: usize = 32;

/// How often a fresh name is drawn before giving up.
const STAGING_ATTEMPTS_MAX: usize = 16;

/// Age in seconds from which a file is swept where locks do not work.
const UNLOCKABLE_AGE_SECONDS: i64 = 24 * 60 * 60;

/// Most entries of the staging directory that one sweep looks at.
const SWEEP_ENTRIES_MAX: usize = 100_000;

/// What a sweep of the staging directory did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sweep {
    /// Files of dead writers, now removed.
    pub removed: Vec<String>,
    /// Files whose writers live.
    pub busy: Vec<String>,
    /// Entries that are not ours and were left alone, and ours that could not be removed.
    pub foreign: Vec<String>,
}

/// A locked, empty staging file, removed again when dropped unless it was linked into place.
pub(super) struct Staged<'a> {
    directory: BorrowedFd<'a>,
    name: String,
    pub(super) file: File,
    settled: bool,
}

impl<'a> Staged<'a> {
    /// Creates and locks a new staging file for the object `object`.
    pub(super) fn create(directory: &'a OwnedFd, object: &str) -> Result<Self, StoreError> {
        let fail = |errno| StoreError::of_errno(errno, Operation::Write, object);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..STAGING_ATTEMPTS_MAX {
            let name = random_name();
            let descriptor = match rustix::fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                other => other.map_err(fail)?,
            };
            let staged = Self { directory: directory.as_fd(), name, file: File::from(descriptor), settled: false };
            let locked = rustix::fs::flock(&staged.file, FlockOperation::NonBlockingLockExclusive);
            if locked == Err(Errno::WOULDBLOCK) {
                // A sweep holds it and is about to remove it.
                continue;
            }
            if rustix::fs::fstat(&staged.file).map_err(fail)?.st_nlink == 0 {
                continue;
            }
            return Ok(staged);
        }
        Err(StoreError::Unavailable {
            name: object.to_owned(),
            operation: Operation::Write,
            reason: "no staging file could be created".to_owned(),
        })
    }

    /// Its name within the staging directory.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its directory.
    pub(super) fn directory(&self) -> BorrowedFd<'a> {
        self.directory
    }

    /// The rename took the staging name away: there is nothing left to remove.
    pub(super) fn moved_away(mut self) {
        self.settled = true;
    }

    /// Removes the staging name and says so when that fails: a second name would be a hidden copy of the object.
    pub(super) fn discard(mut self, object: &str) -> Result<(), StoreError> {
        self.settled = true;
        match rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(StoreError::of_errno(errno, Operation::Unlink, object)),
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.settled {
            // Another error is already on its way to the caller; a file left here is what the sweep is for.
            let _ = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty());
        }
    }
}

/// Removes the staging files of dead writers below `root`.
pub(super) fn sweep(root: &OwnedFd) -> Result<Sweep, StoreError> {
    let fail = |errno| StoreError::of_errno(errno, Operation::List, STAGING_DIRECTORY);
    let directory = match open_directory_at(root, STAGING_DIRECTORY) {
        Err(Errno::NOENT) => return Ok(Sweep::default()),
        other => other.map_err(fail)?,
    };
    let mut report = Sweep::default();
    for (count, entry) in Dir::read_from(&directory).map_err(fail)?.enumerate() {
        if count >= SWEEP_ENTRIES_MAX {
            break;
        }
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        let list =
            if is_staging_name(&name) { sweep_file(&directory, &name, &mut report) } else { &mut report.foreign };
        list.push(name);
    }
    report.removed.sort_unstable();
    report.busy.sort_unstable();
    report.foreign.sort_unstable();
    rustix::fs::fsync(&directory).map_err(fail)?;
    Ok(report)
}

/// Sweeps one file and returns the part of the report its name belongs to.
fn sweep_file<'a>(directory: &OwnedFd, name: &str, report: &'a mut Sweep) -> &'a mut Vec<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::openat(directory, name, flags, Mode::empty()) else {
        return &mut report.foreign;
    };
    let Ok(stat) = rustix::fs::fstat(&file) else {
        return &mut report.foreign;
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return &mut report.foreign;
    }
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return &mut report.busy,
        Err(_) => match age_seconds(directory, stat.st_mtime) {
            Some(age) if age >= UNLOCKABLE_AGE_SECONDS => {}
            _ => return &mut report.busy,
        },
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) => &mut report.removed,
        // Its writer finished between the listing and the lock.
        Err(Errno::NOENT) => &mut report.busy,
        Err(_) => &mut report.foreign,
    }
}

/// The age of a time stamp by the clock of the file system: a fresh file's time is "now" there.
fn age_seconds(directory: &OwnedFd, modified: i64) -> Option<i64> {
    let probe = random_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &probe, flags, Mode::RUSR | Mode::WUSR).ok()?;
    let stat = rustix::fs::fstat(&file).ok();
    rustix::fs::unlinkat(directory, &probe, AtFlags::empty()).ok()?;
    stat?.st_mtime.checked_sub(modified)
}

/// A name that no other writer draws; `O_EXCL` settles the rest. The standard library seeds its hashers from the system.
fn random_name() -> String {
    let draw = || RandomState::new().build_hasher().finish();
    let process = u64::from(std::process::id());
    format!("{STAGING_PREFIX}{:016x}{:016x}", draw(), draw() ^ process)
}

fn is_staging_name(name: &str) -> bool {
    name.strip_prefix(STAGING_PREFIX)
        .is_some_and(|rest| rest.len() == STAGING_DIGITS && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
