//! A repository in a temporary directory, with a clock the test sets.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub(crate) mod person;

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::Timestamp;
use lacre_format::{
    ids::{JobName, SnapshotId},
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Clock, Error, Repository, Silent,
    cell::{Cell, CellPlace},
    home::Home,
    op::{
        backup::{BackupOptions, BackupReport, Rows, SourceFacts, StreamSpec},
        check::{CheckOptions, CheckReport, ReadData},
        init::{CreateOptions, CreateReport, KitChoice},
        keys::ReadKeys,
    },
    store::Store,
};
use lacre_seal::identity::{Identity, IdentityFile};
use tempfile::TempDir;

/// A clock that stands still until the test moves it.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Sets it so many hours ahead of the clock of this machine, by which stores date what they are given.
    #[allow(clippy::disallowed_methods, reason = "the stores of the tests tell the machine's time")]
    pub(crate) fn set_ahead_hours(&self, hours: i64) {
        self.0.store(Timestamp::now().as_millisecond() + hours * 3_600_000, Ordering::SeqCst);
    }

    /// A clock of its own that stands where this one stands.
    pub(crate) fn again(&self) -> Self {
        Self(AtomicI64::new(self.0.load(Ordering::SeqCst)))
    }

    pub(crate) fn advance_hours(&self, hours: i64) {
        self.0.fetch_add(hours * 3_600_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }
}

pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Store,
    pub(crate) report: CreateReport,
    pub(crate) repository: Repository,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create_local(&directory.path().join("repository")).unwrap();
        Self::over(directory, store)
    }

    pub(crate) fn in_memory() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Store::memory())
    }

    pub(crate) fn over(directory: TempDir, store: Store) -> Self {
        Self::with_options(directory, store, Self::options())
    }

    pub(crate) fn with_options(directory: TempDir, store: Store, options: CreateOptions) -> Self {
        let clock = Self::clock();
        let home = Home::open(&directory.path().join("home")).unwrap();
        let (repository, report) = Repository::create(store.clone(), &home, options, clock.clone()).unwrap();
        Self { directory, clock, store, report, repository }
    }

    pub(crate) fn clock() -> Arc<TestClock> {
        let start: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        Arc::new(TestClock(AtomicI64::new(start.as_millisecond())))
    }

    pub(crate) fn options() -> CreateOptions {
        CreateOptions {
            recipients: Vec::new(),
            cells: Vec::new(),
            kit: KitChoice::Print,
            host: "test".to_owned(),
            sources: Vec::new(),
        }
    }

    /// The bench's time, without moving it.
    pub(crate) fn now(&self) -> i64 {
        self.clock.0.load(Ordering::SeqCst)
    }

    pub(crate) fn home_files(&self) -> PathBuf {
        self.repository.home().directory().to_path_buf()
    }

    pub(crate) fn reopen(&self) -> Repository {
        self.reopen_over(self.store.clone())
    }

    pub(crate) fn reopen_over(&self, store: Store) -> Repository {
        let home = Home::open(&self.directory.path().join("home")).unwrap();
        Repository::open(store, &home, self.clock.clone()).unwrap()
    }

    pub(crate) fn keys(&self) -> ReadKeys {
        ReadKeys { identities: self.identities(), kits: Vec::new(), cells: Vec::new() }
    }

    pub(crate) fn identities(&self) -> Vec<Identity> {
        let path = self.report.identity_file.as_ref().unwrap();
        match IdentityFile::parse(&std::fs::read(path).unwrap()).unwrap() {
            IdentityFile::Open(identities) => identities,
            IdentityFile::Locked(_) => unreachable!("init makes an open identity"),
        }
    }

    pub(crate) fn backup(&self, job: &str, streams: &[(&str, Shape, &[u8])]) -> BackupReport {
        backup(&self.repository, job, streams, BackupOptions::default()).unwrap()
    }

    pub(crate) fn read(&self, snapshot: SnapshotId, stream: &str) -> Vec<u8> {
        read(&self.repository, snapshot, &self.keys(), stream).unwrap()
    }

    pub(crate) fn check_all(&self) -> CheckReport {
        self.repository.check(&all(), &self.keys(), &Silent).unwrap()
    }

    /// Files of the repository below a folder, sorted.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let root = self.directory.path().join("repository");
        let names = self.store.list(folder).unwrap().objects.into_iter().map(|object| object.name);
        names.map(|name| root.join(name)).collect()
    }

    pub(crate) fn cell(&self) -> Cell {
        let place = CellPlace::parse(&self.report.cells[0]).unwrap();
        Cell::open(&place).unwrap().unwrap()
    }
}

/// A check of everything.
pub(crate) fn all() -> CheckOptions {
    CheckOptions { level: None, read_data: ReadData::All, snapshot: None }
}

pub(crate) fn backup(
    repository: &Repository,
    job: &str,
    streams: &[(&str, Shape, &[u8])],
    options: BackupOptions,
) -> Result<BackupReport, Error> {
    let mut backup = repository.begin_backup(&JobName::parse(job).unwrap(), options, Arc::new(Silent))?;
    for (name, shape, bytes) in streams {
        let spec = StreamSpec {
            name: (*name).to_owned(),
            kind: StreamKind::Opaque,
            shape: *shape,
            dump_id: None,
            expected_bytes: None,
        };
        let mut stream = backup.stream(spec)?;
        for piece in bytes.chunks(100_003) {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        if stream.finish(Rows::default()).is_err() {
            break;
        }
    }
    let facts = [("tool".to_owned(), "test".to_owned())].into();
    backup.commit(SourceFacts { kind: "file".to_owned(), facts, findings: Vec::new(), source_ms: 1 })
}

pub(crate) fn read(
    repository: &Repository,
    snapshot: SnapshotId,
    keys: &ReadKeys,
    stream: &str,
) -> Result<Vec<u8>, Error> {
    let opened = repository.open_snapshot(snapshot, keys)?;
    let mut bytes = Vec::new();
    opened.read(opened.stream(stream)?, &mut bytes, &Silent)?;
    Ok(bytes)
}

/// Rows like a table's: a number, a name-like text, hexadecimal noise.
pub(crate) fn rows(count: u64, seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..count {
        write_row(&mut out, row, seed);
    }
    out
}

pub(crate) fn write_row(out: &mut Vec<u8>, row: u64, seed: u64) {
    let mut state = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    next();
    writeln!(out, "{row}\tname{}\t{:016x}{:016x}\tsome text that repeats in every row", next() % 1000, next(), next())
        .unwrap();
}
