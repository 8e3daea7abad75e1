//! Backs up a file, backs it up again unchanged, reads it back and checks it: `cargo run --release --example throughput FILE`.
//!
//! Prints wall times and peak memory. Nothing is asserted: the machine decides, and the benchmark in `bench/` compares.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]

use std::{
    io::{Read, Write},
    sync::Arc,
    time::Instant,
};

use lacre_format::{
    ids::JobName,
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Repository, Silent, SystemClock,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        check::{CheckOptions, ReadData},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
    },
    store::Store,
};
use lacre_seal::identity::IdentityFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let directory = tempfile::tempdir_in(".")?;
    let home = Home::open(&directory.path().join("home"))?;
    let store = Store::create_local(&directory.path().join("repository"))?;
    let options = CreateOptions {
        recipients: Vec::new(),
        cells: Vec::new(),
        kit: KitChoice::None,
        host: "bench".to_owned(),
        sources: Vec::new(),
    };
    let (repository, report) = Repository::create(store, &home, options, Arc::new(SystemClock))?;
    let mut out = std::io::stderr();
    let mut last = None;
    for round in ["initial", "unchanged"] {
        let start = Instant::now();
        let made = run(&repository, &path)?;
        let (new, stored) = (made.chunks_new, made.bytes_stored);
        writeln!(
            out,
            "{round}: {:?}, {} chunks, {new} new, {stored} bytes stored; {}",
            start.elapsed(),
            made.chunks,
            peak()
        )?;
        last = Some(made.snapshot);
    }
    let IdentityFile::Open(identities) =
        IdentityFile::parse(&std::fs::read(report.identity_file.ok_or("no identity")?)?)?
    else {
        return Err("locked".into());
    };
    let keys = ReadKeys { identities, kits: Vec::new(), cells: Vec::new() };
    let start = Instant::now();
    let snapshot = repository.open_snapshot(last.ok_or("no snapshot")?, &keys)?;
    snapshot.read(snapshot.stream("data")?, &mut std::io::sink(), &Silent)?;
    writeln!(out, "restore: {:?}; {}", start.elapsed(), peak())?;
    let start = Instant::now();
    let options = CheckOptions { level: None, read_data: ReadData::All, snapshot: None };
    let checked = repository.check(&options, &keys, &Silent)?;
    writeln!(out, "check: {:?}, {} findings; {}", start.elapsed(), checked.findings.len(), peak())?;
    Ok(())
}

fn run(
    repository: &Repository,
    path: &str,
) -> Result<lacre_repo::op::backup::BackupReport, Box<dyn std::error::Error>> {
    let mut backup = repository.begin_backup(&JobName::parse("bench")?, BackupOptions::default(), Arc::new(Silent))?;
    let spec = StreamSpec {
        name: "data".to_owned(),
        kind: StreamKind::Opaque,
        shape: Shape::Lines,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = backup.stream(spec)?;
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        stream.push(&buffer[..read])?;
    }
    stream.finish(Rows::default())?;
    Ok(backup.commit(SourceFacts { kind: "file".to_owned(), ..SourceFacts::default() })?)
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    let times = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = times.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    format!("{peak}, user and system so far {:?} centiseconds", fields.get(11..13).unwrap_or_default())
}
