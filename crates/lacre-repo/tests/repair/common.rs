//! A repository with some history, a copy of it, and ways to damage either.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use lacre_format::{ids::SnapshotId, root::Shape};
use lacre_repo::{
    Finding, Repository, Severity, Silent,
    op::{
        keys::ReadKeys,
        prune::{Economy, PruneOptions, PruneState},
        repair::{AddParity, RepairOptions, RepairReport},
    },
    parity::ParityChoice,
    store::Store,
};

use crate::support::{Bench, read, rows};

pub(crate) const ROWS: u64 = 12_000;

/// A repository in a directory, its copy beside it, and what every live snapshot holds.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) live: BTreeMap<SnapshotId, Vec<u8>>,
}

impl Scene {
    /// Three snapshots, one of them forgotten and collected, and a copy made after that.
    pub(crate) fn new(parity: ParityChoice) -> Self {
        let mut bench = Bench::new();
        bench.repository = bench.reopen().with_parity(parity);
        let mut live = BTreeMap::new();
        for night in 0..3 {
            let mut table = rows(ROWS, 7);
            table.extend_from_slice(&rows(500, 100 + night));
            let made = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
            live.insert(made, table);
        }
        let oldest = bench.repository.snapshots().unwrap().rows[0].snapshot;
        bench.repository.forget_one(oldest).unwrap();
        let pruned = bench.repository.prune(&eager(), &Silent).unwrap();
        assert_eq!(pruned.state, PruneState::Done);
        live.remove(&oldest);
        let scene = Self { bench, live };
        copy_of(&scene.root(), &scene.copy_path());
        scene
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.bench.directory.path().join("repository")
    }

    pub(crate) fn copy_path(&self) -> PathBuf {
        self.bench.directory.path().join("copy")
    }

    pub(crate) fn copy(&self) -> Store {
        Store::open_local(&self.copy_path()).unwrap()
    }

    /// The files of the repository below a folder.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        self.bench.files(folder)
    }

    /// The largest pack, which is one of chunks.
    pub(crate) fn pack(&self) -> PathBuf {
        self.files("packs").into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }

    pub(crate) fn repair(&self, from: Option<Store>) -> RepairReport {
        self.repair_with(from, &self.bench.keys())
    }

    pub(crate) fn repair_with(&self, from: Option<Store>, keys: &ReadKeys) -> RepairReport {
        let options = RepairOptions { from, add_parity: AddParity::No };
        self.bench.reopen().repair(&options, keys, &Silent).unwrap()
    }

    /// Every live snapshot reads, an audit of everything finds nothing, and garbage collection goes through.
    pub(crate) fn is_whole(&self, context: &str) {
        assert_eq!(grave(self.bench.check_all().findings), [], "{context}");
        let repository = self.bench.reopen();
        for (snapshot, table) in &self.live {
            let found = read(&repository, *snapshot, &self.bench.keys(), "t");
            assert!(found.as_ref().is_ok_and(|found| found == table), "{context}: {:?}", found.err());
        }
        let pruned = repository.prune(&eager(), &Silent);
        assert!(pruned.is_ok(), "{context}: {:?}", pruned.err());
    }
}

pub(crate) fn grave(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.severity > Severity::Note).collect()
}

pub(crate) fn eager() -> PruneOptions {
    PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: std::time::Duration::MAX,
        ..PruneOptions::default()
    }
}

pub(crate) fn copy_of(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_of(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// A repository opened by a host that has nothing of its own: no key, no cache.
pub(crate) fn stranger(scene: &Scene) -> Repository {
    let home = lacre_repo::home::Home::open(&scene.bench.directory.path().join("stranger")).unwrap();
    Repository::open(scene.bench.store.clone(), &home, scene.bench.clock.clone()).unwrap()
}
