//! Peak memory of a prune over a repository of many chunks: `make DIR CHUNKS`, then `prune DIR` in a process of its own.
//!
//! The rows are generated, small and mostly alike, so that a million chunks need little disk. A tenth of them changes from the first snapshot
//! to the second; the first is forgotten.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program talks and reads its own accounts"
)]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::{path::Path, sync::Arc, time::Instant};

use lacre_format::{
    ids::JobName,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Repository, Silent, SystemClock,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        init::{CreateOptions, KitChoice},
        prune::{Economy, PruneOptions},
    },
    store::Store,
};

/// Rows of one chunk, more or less: 4 KiB are the target.
const CHUNK_ROWS: u64 = 40;
const STREAM_CHUNKS: u64 = 100_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", directory, chunks] => make(Path::new(directory), chunks.parse().unwrap()),
        ["prune", directory] => prune(Path::new(directory)),
        _ => println!("usage: prune_memory make DIR CHUNKS | prune_memory prune DIR"),
    }
}

fn make(directory: &Path, chunks: u64) {
    std::fs::create_dir_all(directory).unwrap();
    let store = Store::create_local(&directory.join("repository")).unwrap();
    let home = Home::open(&directory.join("home")).unwrap();
    let options = CreateOptions {
        recipients: Vec::new(),
        cells: Vec::new(),
        kit: KitChoice::Print,
        host: "measured".to_owned(),
        sources: Vec::new(),
    };
    let (repository, _) = Repository::create(store, &home, options, Arc::new(SystemClock)).unwrap();
    let first = night(&repository, chunks, 0);
    night(&repository, chunks, 1);
    repository.forget_one(first).unwrap();
}

fn night(repository: &Repository, chunks: u64, night: u64) -> lacre_format::ids::SnapshotId {
    let job = JobName::parse("many").unwrap();
    let mut backup = repository.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    for number in 0..chunks.div_ceil(STREAM_CHUNKS) {
        let (name, shape) = (format!("t{number}"), Shape::Rows);
        let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
        let mut stream = backup.stream(spec).unwrap();
        let mut rows = Vec::new();
        for chunk in 0..STREAM_CHUNKS.min(chunks - number * STREAM_CHUNKS) {
            for row in 0..CHUNK_ROWS {
                let id = (number * STREAM_CHUNKS + chunk) * CHUNK_ROWS + row;
                let changed = if chunk % 10 == 3 && row == 7 { night } else { 0 };
                rows.extend_from_slice(
                    format!("{id}\t{changed}\t{:0>92}\n", id.wrapping_mul(0x9e37_79b9_7f4a_7c15)).as_bytes(),
                );
            }
            if rows.len() > 500_000 {
                stream.push(&rows).unwrap();
                rows.clear();
            }
        }
        stream.push(&rows).unwrap();
        stream.finish(Rows::default()).unwrap();
    }
    let report = backup.commit(SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() }).unwrap();
    println!("{} chunks, {} new, {} bytes stored", report.chunks, report.chunks_new, report.bytes_stored);
    report.snapshot
}

fn prune(directory: &Path) {
    let store = Store::open_local(&directory.join("repository")).unwrap();
    let home = Home::open(&directory.join("home")).unwrap();
    let repository = Repository::open(store, &home, Arc::new(SystemClock)).unwrap();
    let economy = Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 };
    let started = Instant::now();
    let report = repository.prune(&PruneOptions { economy, ..PruneOptions::default() }, &Silent).unwrap();
    println!(
        "{:?} in {:.2} s: {} packs deleted, {} written, {} of {} bytes",
        report.state,
        started.elapsed().as_secs_f64(),
        report.packs_deleted,
        report.packs_written,
        report.bytes_written,
        report.bytes_deleted
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().filter(|line| line.starts_with("VmHWM")).for_each(|line| println!("{line}"));
}
