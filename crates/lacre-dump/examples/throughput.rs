//! How fast archives are taken apart and put together, and rows are digested, on one core.
//!
//! Everything is in memory and synthetic; run with `cargo run --release -p lacre-dump --example throughput [MEBIBYTES]`.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::io::{self, Write};
use std::time::Instant;

use lacre_dump::archive::{ArchiveReader, Error, Event, Toc, write_archive};
use lacre_dump::copy::{RowCounter, RowDigest, fields, rows};

const RUNS: u32 = 3;

fn int(value: usize, into: &mut Vec<u8>) {
    into.push(0);
    into.extend_from_slice(&u32::try_from(value).unwrap_or(0).to_le_bytes());
}

fn text(value: &[u8], into: &mut Vec<u8>) {
    int(value.len(), into);
    into.extend_from_slice(value);
}

/// The header, one entry with data, and its content in blocks: rows of about `row_bytes`, or blocks of `block_bytes` if it is not 0.
fn archive(mebibytes: usize, row_bytes: usize, block_bytes: usize) -> Vec<u8> {
    let mut bytes = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
    for _ in 0..8 {
        int(0, &mut bytes);
    }
    for name in [&b"db"[..], b"15", b"15"] {
        text(name, &mut bytes);
    }
    for number in [1, 10, 1] {
        int(number, &mut bytes);
    }
    for field in [&b"1259"[..], b"16385", b"t", b"TABLE DATA"] {
        text(field, &mut bytes);
    }
    int(3, &mut bytes);
    for field in [&b""[..], b"", b"COPY public.t FROM stdin;\n", b"public", b"", b"heap", b"owner", b"false"] {
        text(field, &mut bytes);
    }
    bytes.extend_from_slice(&[1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    int(10, &mut bytes);
    let mut content = Vec::new();
    let mut number = 0u64;
    while content.len() < mebibytes << 20 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = content.len();
        let wanted = row_bytes / 2 + usize::try_from(number >> 33).unwrap_or(0) % row_bytes.max(1);
        while content.len() - start < wanted {
            content.extend_from_slice(format!("{number:016x}\t").as_bytes());
        }
        content.push(b'\n');
        if block_bytes == 0 {
            text(&content[start..], &mut bytes);
        }
    }
    if block_bytes > 0 {
        content.chunks(block_bytes).for_each(|block| text(block, &mut bytes));
    }
    text(b"\\.\n\n\n", &mut bytes);
    int(0, &mut bytes);
    bytes
}

fn time<T>(what: &str, bytes: usize, mut run: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut best = f64::INFINITY;
    let mut result = run()?;
    for _ in 0..RUNS {
        let start = Instant::now();
        result = run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let gigabytes = f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1024.0 / 1e9;
    println!("  {what:<44} {:>6.2} GB/s", gigabytes / best);
    Ok(result)
}

fn take_apart(archive: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(Option<Toc>, Vec<u8>), Error> {
    let mut reader = ArchiveReader::new(archive);
    let mut framing = Vec::new();
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Bytes(bytes) => sink(bytes),
            Event::Framing(bytes) => framing.extend_from_slice(bytes),
            _ => {}
        }
    }
    Ok((reader.toc().cloned(), framing))
}

fn main() -> Result<(), Error> {
    let mebibytes = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(256);
    for (name, row_bytes, block_bytes) in [
        ("100-byte rows", 100, 0),
        ("300-byte rows", 300, 0),
        ("2000-byte rows", 2000, 0),
        ("128 KiB blocks", 200, 131_072),
    ] {
        let archive = archive(mebibytes, row_bytes, block_bytes);
        println!("{name}, {} MiB", archive.len() >> 20);
        let mut content = Vec::new();
        take_apart(&archive, |bytes| content.extend_from_slice(bytes))?;
        time("blake3 alone", archive.len(), || Ok(blake3::hash(&archive)))?;
        let (toc, framing) = time("reader: parse, hash, prove", archive.len(), || take_apart(&archive, |_| {}))?;
        let toc = toc.ok_or(Error::NotAnArchive)?;
        time("writer", archive.len(), || {
            write_archive(io::sink(), &toc, framing.as_slice(), |_| Ok(content.as_slice()))
        })?;
        time("row counter and digest", content.len(), || {
            let mut counter = RowCounter::copy();
            content.chunks(1 << 20).for_each(|piece| counter.push(piece));
            Ok(counter.finish())
        })?;
        time("the same, row by row", content.len(), || {
            let mut digest = RowDigest::new();
            rows(&content).for_each(|row| digest.add_row(row));
            Ok(digest)
        })?;
        time("reader, row counter and digest", archive.len(), || {
            let mut counter = RowCounter::copy();
            take_apart(&archive, |bytes| counter.push(bytes))?;
            Ok(counter.finish())
        })?;
        time("rows and fields", content.len(), || Ok(rows(&content).map(|row| fields(row).count()).sum::<usize>()))?;
        println!("  {} bytes of framing", framing.len());
    }
    io::stdout().flush().map_err(Error::Write)
}
