//! A repository with nights, and a copy of it in memory.

use std::{collections::BTreeMap, time::Duration};

use lacre_format::{ids::SnapshotId, name::ObjectName, root::Shape};
use lacre_repo::{
    Repository, Severity, Silent,
    home::Home,
    op::{
        check::{CheckOptions, CheckReport, ReadData},
        copy::{CopyPlace, CopyReport, SyncOptions},
        init::{CreateOptions, KitChoice},
        prune::{Economy, PruneOptions},
        snapshots::SnapshotState,
    },
    store::{PutOutcome, Store},
};

use crate::support::{Bench, read, rows};

pub(crate) const NAME: &str = "offsite";

/// What the snapshots of a bench hold.
pub(crate) type Nights = BTreeMap<SnapshotId, Vec<u8>>;

/// A repository whose only holder is one cell.
pub(crate) fn bench() -> Bench {
    bench_over(Store::memory())
}

pub(crate) fn bench_over(store: Store) -> Bench {
    let options = CreateOptions { kit: KitChoice::None, ..Bench::options() };
    Bench::with_options(tempfile::tempdir().unwrap(), store, options)
}

pub(crate) fn nights(bench: &Bench, count: u64) -> Nights {
    (0..count).map(|number| night(bench, number)).collect()
}

pub(crate) fn night(bench: &Bench, number: u64) -> (SnapshotId, Vec<u8>) {
    bench.clock.advance_hours(24);
    let data = rows(600 + number * 40, 7 + number);
    (bench.backup("app", &[("t", Shape::Rows, &data)]).snapshot, data)
}

pub(crate) fn place(store: &Store) -> CopyPlace {
    CopyPlace { name: NAME.to_owned(), store: store.clone() }
}

pub(crate) fn try_sync(repository: &Repository, copy: &Store) -> Result<CopyReport, lacre_repo::Error> {
    let mut reports = repository.sync_copies(&[place(copy)], SyncOptions::default(), &Silent)?;
    Ok(reports.remove(0))
}

pub(crate) fn sync(repository: &Repository, copy: &Store) -> CopyReport {
    try_sync(repository, copy).unwrap()
}

/// The copy as `--repo` opens it on this host.
pub(crate) fn opened(bench: &Bench, copy: &Store) -> Repository {
    let home = Home::open(&bench.directory.path().join("home")).unwrap();
    Repository::open_copy(copy.clone(), &home, bench.clock.clone(), NAME).unwrap()
}

pub(crate) fn check_all(bench: &Bench, repository: &Repository) -> CheckReport {
    let options = CheckOptions { level: None, read_data: ReadData::All, snapshot: None };
    repository.check(&options, &bench.keys(), &Silent).unwrap()
}

/// Every live snapshot of a place is one of the nights and gives its bytes back, and an audit of everything finds no damage.
pub(crate) fn assert_whole(bench: &Bench, repository: &Repository, nights: &Nights, context: &str) -> usize {
    let rows = repository.snapshots().unwrap().rows;
    let live: Vec<SnapshotId> =
        rows.iter().filter(|row| row.state == SnapshotState::Live).map(|row| row.snapshot).collect();
    for snapshot in &live {
        let found = read(repository, *snapshot, &bench.keys(), "t");
        assert!(
            found.as_ref().is_ok_and(|found| *found == nights[snapshot]),
            "{context}: {snapshot}: {:?}",
            found.err()
        );
    }
    let findings = check_all(bench, repository).findings;
    assert!(findings.iter().all(|finding| finding.severity < Severity::Damage), "{context}: {findings:?}");
    live.len()
}

pub(crate) fn names(store: &Store, folder: &str) -> Vec<String> {
    store.list(folder).unwrap().objects.into_iter().map(|object| object.name).collect()
}

/// The same of everything but rollups, which are a cache of the place in which they lie.
pub(crate) fn copied(store: &Store) -> Vec<String> {
    names(store, "").into_iter().filter(|name| !name.starts_with("rollup/")).collect()
}

/// Repack whatever has a dead byte.
pub(crate) fn eager() -> PruneOptions {
    PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: Duration::MAX,
        ..PruneOptions::default()
    }
}

/// The same objects in a place of their own.
pub(crate) fn twin(store: &Store) -> Store {
    let twin = Store::memory();
    for object in store.list("").unwrap().objects {
        let name = ObjectName::from_path(&object.name).unwrap();
        let outcome = twin.put_new(&name, store.get(&name, object.bytes).unwrap()).unwrap();
        assert_eq!(outcome, PutOutcome::Created);
    }
    twin
}

/// Somebody who never saw the repository finds in the copy every log entry that its policy speaks of.
pub(crate) fn assert_logs_reach_the_policy(bench: &Bench, copy: &Store, context: &str) -> u32 {
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(&elsewhere.path().join("home")).unwrap();
    let view = Repository::open_copy(copy.clone(), &home, bench.clock.clone(), NAME).unwrap().view().unwrap();
    for pinned in &view.policy.heads {
        let ends = view.heads.iter().find(|head| head.home == pinned.home).map(|head| head.seq);
        assert!(ends.is_some_and(|ends| ends >= pinned.seq), "{context}: {pinned:?} and {ends:?}");
    }
    let grave = view.findings.iter().find(|finding| finding.severity > Severity::Note);
    assert!(grave.is_none(), "{context}: {grave:?}");
    view.policy.number
}

pub(crate) trait Notes {
    fn forget_note(&self);
}

impl Notes for Bench {
    /// The next sync is the first one of its copy.
    fn forget_note(&self) {
        let note = self.home_files().join("copies").join("offsite.synced");
        if note.exists() {
            std::fs::remove_file(note).unwrap();
        }
    }
}
