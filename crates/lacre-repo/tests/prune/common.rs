//! Nights of a table that changes, and a prune that repacks whatever it may.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lacre_format::{
    ids::{JobName, SnapshotId},
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Repository, Silent,
    op::{
        backup::{Backup, BackupOptions, Rows, SourceFacts, StreamSpec},
        prune::{Economy, PruneOptions, PruneReport},
        snapshots::SnapshotState,
    },
};

use crate::support::{Bench, read, write_row};

/// The table as it is after some nights: every night one row in thirteen has changed.
pub(crate) fn night(number: u64, rows: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 0..rows {
        let changed = (1..=number).rev().find(|night| (row / 8 * 31 + night * 17) % 13 == 0).unwrap_or(0);
        write_row(&mut out, row, changed);
    }
    out
}

/// Repack whatever has a dead byte, at any store's time; sessions are waited for unless a test says otherwise.
pub(crate) fn eager() -> PruneOptions {
    PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: Duration::MAX,
        ..PruneOptions::default()
    }
}

pub(crate) fn prune(repository: &Repository) -> PruneReport {
    repository.prune(&eager(), &Silent).unwrap()
}

pub(crate) fn job() -> JobName {
    JobName::parse("app").unwrap()
}

/// An open session with all of a table fed into it, but not committed.
pub(crate) fn open<'r>(repository: &'r Repository, table: &[u8]) -> Backup<'r> {
    let mut backup = repository.begin_backup(&job(), BackupOptions::default(), Arc::new(Silent)).unwrap();
    feed(&mut backup, table);
    backup
}

pub(crate) fn feed(backup: &mut Backup<'_>, table: &[u8]) {
    let (name, shape) = ("t".to_owned(), Shape::Rows);
    let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
    let mut stream = backup.stream(spec).unwrap();
    stream.push(table).unwrap();
    stream.finish(Rows::default()).unwrap();
}

pub(crate) fn commit(backup: Backup<'_>) -> Result<SnapshotId, Error> {
    let facts = SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() };
    backup.commit(facts).map(|report| report.snapshot)
}

/// Every live snapshot gives back what it was made of, and an audit of everything finds no damage.
pub(crate) fn whole(bench: &Bench, expected: &BTreeMap<SnapshotId, Vec<u8>>, context: &str) {
    let repository = bench.reopen();
    let rows = repository.snapshots().unwrap().rows;
    for row in rows.iter().filter(|row| row.state == SnapshotState::Live) {
        let Some(table) = expected.get(&row.snapshot) else { continue };
        let found = read(&repository, row.snapshot, &bench.keys(), "t");
        assert!(found.as_ref().is_ok_and(|found| found == table), "{context}: {:?}", found.err());
    }
    for snapshot in expected.keys() {
        let live = rows.iter().any(|row| row.snapshot == *snapshot && row.state == SnapshotState::Live);
        assert!(live, "{context}: {snapshot} is not live");
    }
    let findings = bench.check_all().findings;
    assert!(findings.iter().all(|finding| finding.severity < lacre_repo::Severity::Damage), "{context}: {findings:?}");
}

pub(crate) fn names(bench: &Bench, folder: &str) -> Vec<String> {
    bench.store.list(folder).unwrap().objects.into_iter().map(|object| object.name).collect()
}

pub(crate) fn bytes(bench: &Bench, folder: &str) -> u64 {
    bench.store.list(folder).unwrap().objects.into_iter().map(|object| object.bytes).sum()
}
