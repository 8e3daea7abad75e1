//! What is running on this host, for whoever looks while it does: a small file for each command in the home, gone when the command is.
//!
//! In: the counters of a command's progress. Out: one record a second, written over the one before; a lock held on the file says that its
//! writer lives, so that one that was killed is not taken for one that is slow. Nothing of what is read from a source is in it: no name of
//! a table, and sizes and counts of rows rounded up as sizes are in a snapshot's label. It is for looking only, so a home in which it cannot be written costs
//! nothing but the sight of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use lacre_format::frame::padme;
use lacre_repo::files;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use crate::{output::SCHEMA, term::progress::Counters};

/// How often a record is written.
const PAUSE: Duration = Duration::from_secs(1);
/// The length of every record, bytes; the rest of it is blank.
const RECORD_BYTES: usize = 512;
/// Most commands that are shown.
const SHOWN_MAX: usize = 32;
/// The folder in a repository's home.
const FOLDER: &str = "running";

/// Tells two commands of one process apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A command that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The command: `backup`, `drill`, `check`.
    pub what: String,
    /// The job it is about.
    pub job: Option<String>,
    /// Its process.
    pub pid: u32,
    /// When it began.
    pub started: Timestamp,
    /// Bytes so far, rounded up.
    pub bytes: u64,
    /// Bytes there will be, where it knows.
    pub bytes_total: Option<u64>,
    /// Rows so far, rounded up.
    pub rows: u64,
}

impl Running {
    /// Whether both are the same command, however far it is.
    pub fn is_same(&self, other: &Running) -> bool {
        (self.pid, self.started, &self.what, &self.job) == (other.pid, other.started, &other.what, &other.job)
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    schema: u32,
    what: String,
    job: Option<String>,
    pid: u32,
    started_ms: i64,
    bytes: u64,
    bytes_total: Option<u64>,
    rows: u64,
}

/// Shows a command as long as it lives.
#[derive(Debug)]
pub struct Shown {
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    /// Begins to show a command of this home; the counters are those its progress is drawn from.
    pub fn begin(home: &Path, what: &'static str, job: Option<&str>, counters: Arc<Counters>) -> Shown {
        let started = Timestamp::now();
        let opened = open(&home.join(FOLDER));
        let (path, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(%error, "the command is not shown");
                return Shown { stop: None, thread: None };
            }
        };
        let job = job.map(str::to_owned);
        let (stop, stopped) = mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            loop {
                // A disk that is full now may have room in a second; nobody but a reader misses this record.
                let _not_seen_this_time = write(&file, &record(what, job.clone(), started, &counters));
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            // Removed before the lock is let go: whoever finds the file finds it locked.
            let _nobody_reads_it_any_more = fs::remove_file(&path);
            drop(file);
        });
        Shown { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by the panic hook and concerns nobody else.
            let _shown = thread.join();
        }
    }
}

/// Makes the file of this command and locks it; files of those that died are removed.
fn open(folder: &Path) -> io::Result<(PathBuf, File)> {
    files::create_private_directory(folder).map_err(io::Error::other)?;
    for path in paths(folder)? {
        if File::open(&path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            let _another_may_have_been_faster = fs::remove_file(&path);
        }
    }
    let path = folder.join(format!("{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    // A reader holds it for an instant at most.
    flock(&file, FlockOperation::LockExclusive)?;
    Ok((path, file))
}

fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn record(what: &str, job: Option<String>, started: Timestamp, counters: &Counters) -> Record {
    let so_far = counters.so_far();
    Record {
        schema: SCHEMA,
        what: what.to_owned(),
        job,
        pid: process::id(),
        started_ms: started.as_millisecond(),
        bytes: padme(so_far.bytes),
        bytes_total: (so_far.bytes_total > 0).then(|| padme(so_far.bytes_total)),
        rows: padme(so_far.rows),
    }
}

/// One write at one place: whoever reads meanwhile has the old record or the new one, or reads again.
fn write(file: &File, record: &Record) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(record)?;
    bytes.resize(RECORD_BYTES.max(bytes.len()), b' ');
    file.write_all_at(&bytes, 0)
}

/// What is running now on this host over the repository with this home, the oldest first.
pub fn running(home: &Path) -> Vec<Running> {
    let mut running: Vec<Running> =
        paths(&home.join(FOLDER)).unwrap_or_default().iter().filter_map(|path| read(path)).take(SHOWN_MAX).collect();
    running.sort_by_key(|running| (running.started, running.pid));
    running
}

fn read(path: &Path) -> Option<Running> {
    let nofollow = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(nofollow).open(path).ok()?;
    // Who gets the lock has found what a dead one left.
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut text = String::new();
    file.take(u64::try_from(RECORD_BYTES).ok()?).read_to_string(&mut text).ok()?;
    let record: Record = serde_json::from_str(text.trim_end()).ok()?;
    Some(Running {
        what: record.what,
        job: record.job,
        pid: record.pid,
        started: Timestamp::from_millisecond(record.started_ms).ok()?,
        bytes: record.bytes,
        bytes_total: record.bytes_total,
        rows: record.rows,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, thread, time::Duration};

    use super::{FOLDER, Shown, running};
    use crate::term::progress::Counters;

    #[test]
    fn a_command_is_seen_while_it_runs_and_not_after() {
        let home = tempfile::tempdir().unwrap();
        assert!(running(home.path()).is_empty());
        let counters = Arc::new(Counters::default());
        counters.add_bytes(1_000_001);
        counters.add_rows(70_001);
        let shown = Shown::begin(home.path(), "backup", Some("astro"), counters);
        let seen = loop {
            // The first record is written by a thread of its own.
            if let Some(seen) = running(home.path()).pop() {
                break seen;
            }
            thread::sleep(Duration::from_millis(1));
        };
        assert_eq!((seen.what.as_str(), seen.job.as_deref()), ("backup", Some("astro")));
        assert!(seen.bytes > 1_000_001 && seen.bytes < 1_130_000, "{seen:?}");
        assert!(seen.rows > 70_001 && seen.rows < 79_000, "{seen:?}");
        for file in fs::read_dir(home.path().join(FOLDER)).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(shown);
        assert_eq!(fs::read_dir(home.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_one_left_is_not_shown_and_goes_with_the_next() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(FOLDER);
        drop(Shown::begin(home.path(), "backup", None, Arc::default()));
        fs::write(folder.join("1-0"), r#"{"schema":1,"what":"backup","job":"astro","pid":1,"started_ms":0,"bytes":1,"bytes_total":null,"rows":0}"#).unwrap();
        assert!(running(home.path()).is_empty());
        let shown = Shown::begin(home.path(), "check", None, Arc::default());
        assert!(!folder.join("1-0").exists());
        drop(shown);
    }

    #[test]
    fn a_home_that_cannot_be_written_costs_nothing() {
        drop(Shown::begin("/proc/no/such/home".as_ref(), "backup", None, Arc::default()));
        assert!(running("/proc/no/such/home".as_ref()).is_empty());
    }
}
