//! A repository with a history, copied for every interleaving, and processes that can be suspended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lacre_format::{
    ids::{JobName, SnapshotId},
    name::ObjectName,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Kind, Repository, Severity, Silent,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        check::{CheckOptions, ReadData},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::{Economy, PruneOptions, PruneReport},
        rotate::{RotateOptions, RotationReport},
        snapshots::SnapshotState,
    },
    store::{
        Store,
        schedule::{Schedule, Stand},
    },
};
use tempfile::TempDir;

use crate::support::{Bench, TestClock, read, write_row};

const ROWS: u64 = 700;
const OBJECT_BYTES_MAX: u64 = 1 << 26;

/// The table as it is after some nights: every night one row in thirteen has changed.
pub(crate) fn night(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..ROWS {
        let changed = (1..=number).rev().find(|night| (row / 8 * 31 + night * 17) % 13 == 0).unwrap_or(0);
        write_row(&mut out, row, changed);
    }
    out
}

pub(crate) fn job() -> JobName {
    JobName::parse("app").unwrap()
}

/// What a repository and its hosts look like before anything happens: three nights, of which the first is forgotten.
pub(crate) struct History {
    bench: Bench,
    /// The seal as it is before anything happens: every copy of the history has the same cell, so it is put back for each.
    cell: Vec<u8>,
    /// The nights by snapshot, the newest last.
    pub(crate) nights: Vec<SnapshotId>,
}

impl History {
    pub(crate) fn new() -> Self {
        let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
        let bench = Bench::with_options(tempfile::tempdir().unwrap(), Store::memory(), options);
        // Whoever looks at the store's times finds that every session is old.
        bench.clock.advance_hours(24 * 400);
        let made = |number| bench.backup("app", &[("t", Shape::Rows, &night(number))]).snapshot;
        let nights: Vec<SnapshotId> = (0..3).map(made).collect();
        bench.repository.forget_one(nights[0]).unwrap();
        let cell = std::fs::read(bench.repository.home().default_cell()).unwrap();
        Self { bench, cell, nights }
    }

    /// A copy of everything, with a host for the writer and one for the admin.
    pub(crate) fn site(&self) -> Site {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::memory();
        std::fs::write(self.bench.repository.home().default_cell(), &self.cell).unwrap();
        for object in self.bench.store.list("").unwrap().objects {
            let (name, _) = ObjectName::parse(&object.name).unwrap();
            let bytes = self.bench.store.get(&name, OBJECT_BYTES_MAX).unwrap();
            assert_eq!(store.put_new(&name, bytes).unwrap(), lacre_repo::store::PutOutcome::Created);
        }
        let site = Site { directory, store, clock: Arc::clone(&self.bench.clock), keys: self.bench.keys() };
        let files = self.bench.directory.path().join("home");
        copy(&files, &site.host("writer"));
        copy(&files, &site.host("admin"));
        site
    }
}

/// One copy of the history.
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) store: Store,
    clock: Arc<TestClock>,
    keys: ReadKeys,
}

impl Site {
    fn host(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A second machine with the files of the first, as they are now: a clone.
    pub(crate) fn clone_host(&self, from: &str, to: &str) {
        copy(&self.host(from), &self.host(to));
    }

    /// The repository as one host sees it.
    pub(crate) fn open(&self, host: &str) -> Repository {
        self.open_over(host, self.store.clone())
    }

    /// The same, every request waiting for its turn.
    pub(crate) fn open_scheduled(&self, host: &str, schedule: &Arc<Schedule>) -> Repository {
        self.open_over(host, self.store.with_schedule(Arc::clone(schedule)))
    }

    fn open_over(&self, host: &str, store: Store) -> Repository {
        let home = Home::open(&self.host(host)).unwrap();
        Repository::open(store, &home, self.clock.clone()).unwrap()
    }

    /// Runs an operation that is suspended after some requests; `meanwhile` runs while it is, and says whether it was.
    pub(crate) fn suspended<T: Send>(
        &self,
        host: &str,
        requests: u64,
        operation: impl FnOnce(&Repository) -> T + Send,
        meanwhile: impl FnOnce(),
    ) -> Option<T> {
        let schedule = Arc::new(Schedule::after(requests));
        std::thread::scope(|scope| {
            let process = scope.spawn(|| {
                let _end = EndAtDrop(&schedule);
                operation(&self.open_scheduled(host, &schedule))
            });
            let _release = ReleaseAtDrop(&schedule);
            let stand = schedule.stand();
            if stand != Stand::Ended {
                meanwhile();
            }
            schedule.release();
            let outcome = process.join().unwrap();
            (stand != Stand::Ended).then_some(outcome)
        })
    }

    /// Every acknowledged snapshot is live and gives back its table; an audit of everything finds no damage.
    pub(crate) fn whole(&self, acknowledged: &BTreeMap<SnapshotId, Vec<u8>>, context: &str) {
        self.clone_host("admin", "auditor");
        let repository = self.open("auditor");
        let rows = repository.snapshots().unwrap().rows;
        for (snapshot, table) in acknowledged {
            let live = rows.iter().any(|row| row.snapshot == *snapshot && row.state == SnapshotState::Live);
            assert!(live, "{context}: {snapshot} was acknowledged and is not live");
            let found = read(&repository, *snapshot, &self.keys, "t");
            assert!(found.as_ref().is_ok_and(|found| found == table), "{context}: {snapshot}: {:?}", found.err());
        }
        let options = CheckOptions { level: None, read_data: ReadData::All, snapshot: None };
        let findings = repository.check(&options, &self.keys, &Silent).unwrap().findings;
        assert!(findings.iter().all(|finding| finding.severity < Severity::Damage), "{context}: {findings:?}");
        std::fs::remove_dir_all(self.host("auditor")).unwrap();
    }
}

/// Says that a process has ended, also when it panics.
pub(crate) struct EndAtDrop<'a>(pub(crate) &'a Schedule);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A test that fails while a process sleeps must not wait for it for ever.
struct ReleaseAtDrop<'a>(&'a Schedule);

impl Drop for ReleaseAtDrop<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mode = std::fs::metadata(from).unwrap().permissions();
    std::fs::set_permissions(to, mode).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // A catalog's journal may vanish while it is copied, as on a real machine.
            drop(std::fs::copy(entry.path(), target));
        }
    }
}

/// A backup of one night, from its session to its end.
pub(crate) fn back_up(repository: &Repository, number: u64) -> Result<SnapshotId, Error> {
    let mut backup = repository.begin_backup(&job(), BackupOptions::default(), Arc::new(Silent))?;
    let (name, shape) = ("t".to_owned(), Shape::Rows);
    let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
    let mut stream = backup.stream(spec)?;
    if stream.push(&night(number)).is_ok() {
        drop(stream.finish(Rows::default()));
    }
    let facts = SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() };
    backup.commit(facts).map(|report| report.snapshot)
}

/// An operation may fail only because somebody was in its way.
#[track_caller]
pub(crate) fn unless_overtaken<T>(outcome: Result<T, Error>, context: &str) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Conflict, "{context}: {error}");
            None
        }
    }
}

/// What a collection does about sessions that are open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Patience {
    /// It waits for them.
    Waits,
    /// It voids them.
    Voids,
}

/// A collection that repacks whatever it may.
pub(crate) fn collect(repository: &Repository, patience: Patience) -> Result<PruneReport, Error> {
    let void_after = if patience == Patience::Waits { Duration::MAX } else { Duration::ZERO };
    let economy = Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 };
    let options = PruneOptions { economy, void_after, skew_max: Duration::MAX, ..PruneOptions::default() };
    repository.prune(&options, &Silent)
}

pub(crate) fn rotate(repository: &Repository) -> Result<RotationReport, Error> {
    repository.rotate(&RotateOptions::default(), &ReadKeys::default())
}
