//! How fast rows are searched for a person and swept for traces, on one core.
//!
//! Everything is in memory and synthetic; run with `cargo run --release -p lacre-dump --example erasure [MEBIBYTES]`. The rows are given in chunks
//! of 4 KiB, as a vault keeps them, each with a search and a sweep of its own.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "an example may read clocks and its arguments")]
#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::unwrap_used, reason = "the input is made here")]

use std::sync::LazyLock;
use std::time::Instant;

use lacre_dump::closure::{KeyBook, Plan, Walk};
use lacre_dump::copy::{CopyStatement, Identifier};
use lacre_dump::personal::{Personal, Subject};
use lacre_dump::rules::{Form, Rules};
use lacre_dump::schema::{Schema, SchemaReader, TableName};
use lacre_dump::select::{Rewriter, Search, decide};
use lacre_dump::sql::Backslash;
use lacre_dump::sweep::Needles;

const RUNS: u32 = 3;
const CHUNK_BYTES: usize = 4096;

const SCHEMA: &str = "
CREATE TABLE app.users (id bigint NOT NULL, email text, name text);
CREATE TABLE app.orders (id bigint NOT NULL, user_id bigint, note text, a text, b text, c text, d text, e text);
CREATE TABLE app.events (id bigint NOT NULL, at timestamp with time zone, payload jsonb);
CREATE TABLE app.narrow (user_id bigint, n integer);
ALTER TABLE app.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE app.orders ADD CONSTRAINT orders_fk FOREIGN KEY (user_id) REFERENCES app.users(id);
ALTER TABLE app.narrow ADD CONSTRAINT narrow_fk FOREIGN KEY (user_id) REFERENCES app.users(id);
";

const RULES: &str = r#"
[subject.user]
root = "app.users"
key = "id"
identifiers = ["email", "name"]
[[subject.user.table]]
name = "app.orders"
action = "delete"
[[subject.user.table]]
name = "app.narrow"
action = "delete"
[[subject.user.table]]
name = "app.events"
via = "payload->'actor'->>'id'"
action = "mask"
columns = { payload = "json:actor" }
"#;

const TABLES: [(&str, &str); 4] = [
    ("users", "id, email, name"),
    ("orders", "id, user_id, note, a, b, c, d, e"),
    ("events", "id, at, payload"),
    ("narrow", "user_id, n"),
];

/// A number that depends on nothing but the last one.
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn text(table: &str, bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes + 1024);
    let mut state = 1;
    for id in 0u64.. {
        if content.len() >= bytes {
            break;
        }
        let (user, word) = (step(&mut state) % 100_000, step(&mut state));
        let row = match table {
            "users" => format!("{id}\tuser{id}@mail.example\tName {word} of {user}\n"),
            "orders" => format!(
                "{id}\t{user}\tnote {word:x} with\\\\some text\t{word}\tb{user}\t\\N\td d d d d d d d d d d d d d d\t{}\n",
                "e".repeat(120)
            ),
            "events" => format!(
                "{id}\t2026-01-01 00:00:00+00\t{{\"ms\": {word}, \"actor\": {{\"id\": {user}, \"kind\": \"user\"}}, \"path\": \"/a/b/{word:x}\", \"agent\": \"Browser/1.0 (some system; some more words)\"}}\n"
            ),
            _ => format!("{user}\t{word}\n"),
        };
        content.extend_from_slice(row.as_bytes());
    }
    content
}

fn chunks(content: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let least = CHUNK_BYTES.min(rest.len()) - 1;
        let end = rest[least..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| least + at + 1);
        chunks.push(&rest[..end]);
        rest = &rest[end..];
    }
    chunks
}

/// Seconds this thread has run, or has existed where that is not known: other programs on the machine do not count.
fn seconds() -> f64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_cpu.and_then(|text| text.split(' ').next().and_then(|word| word.parse::<f64>().ok()));
    nanoseconds.map_or_else(|| BEGAN.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn time(what: &str, bytes: usize, mut run: impl FnMut() -> u64) {
    let mut best = f64::INFINITY;
    let mut result = 0;
    for _ in 0..RUNS {
        let start = seconds();
        result = run();
        best = best.min(seconds() - start);
    }
    let megabytes = f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1024.0 / 1e6;
    println!("  {what:<44} {:>8.0} MB/s   ({result} found)", megabytes / best);
}

fn schema() -> Schema {
    let mut reader = SchemaReader::new(Backslash::Literal);
    reader.definition(SCHEMA.as_bytes()).unwrap();
    for (dump_id, (table, columns)) in (1..).zip(TABLES) {
        let copy = CopyStatement::parse(format!("COPY app.{table} ({columns}) FROM stdin;").as_bytes());
        let name = TableName { schema: Identifier::new("app"), table: Identifier::new(table) };
        reader.stream(name, dump_id, copy.as_ref());
    }
    reader.finish().unwrap()
}

fn main() {
    let mebibytes = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(300usize);
    let schema = schema();
    let rules = Rules::parse(RULES).unwrap();
    let mut book = KeyBook::new();
    let plan = Plan::new(rules.subject("user").unwrap(), &schema, &mut book).unwrap();
    let subject = Subject { keys: vec![vec![Personal::new("4242")]], identifiers: Vec::new() };
    let mut walk = Walk::new(&plan, &subject, &mut book).unwrap();
    // The root first, so that every table has keys to be searched for.
    let users = text("users", 1 << 20);
    while let Some(open) = walk.next_tables().unwrap() {
        for at in open {
            let shape = &plan.tables[at].shape;
            let rows = if plan.tables[at].dump_id == 1 { &users[..] } else { b"" };
            let findings = Search::new(shape, &book).run(rows).unwrap();
            walk.absorb(at, &findings, &mut book).unwrap();
        }
    }
    let marks = walk.marks().clone();
    let (_, identifiers) = walk.finish();
    let needles = Needles::new(&identifiers, &Form::ALL);
    for (dump_id, (table, _)) in (1..).zip(TABLES) {
        let content = text(table, mebibytes << 20);
        let runs = chunks(&content);
        let planned = plan.tables.iter().find(|planned| planned.dump_id == dump_id).unwrap();
        let search = Search::new(&planned.shape, &book);
        println!(
            "app.{table}: {} MiB in {} chunks, rows of about {} bytes, {} patterns swept for",
            content.len() >> 20,
            runs.len(),
            content.len() / memchr::memchr_iter(b'\n', &content).count(),
            needles.patterns()
        );
        let select = |run: &[u8], out: &mut Vec<u8>| {
            let findings = search.run(run).unwrap();
            if findings.found().is_empty() {
                return 0;
            }
            let (verdict, tally) = decide(&planned.shape, &findings, &marks).unwrap();
            out.clear();
            let mut rewriter = Rewriter::new(&verdict);
            rewriter.push(run, out).unwrap();
            rewriter.finish(out).unwrap();
            tally.deleted + tally.changed
        };
        let sweep = |run: &[u8]| {
            let mut sweeper = needles.rows();
            sweeper.push(run);
            sweeper.finish().total()
        };
        let mut out = Vec::new();
        time("search, decide, rewrite", content.len(), || runs.iter().map(|run| select(run, &mut out)).sum());
        time("sweep, a stream per chunk", content.len(), || runs.iter().map(|run| sweep(run)).sum());
        time("sweep, one stream", content.len(), || {
            let mut sweeper = needles.rows();
            runs.iter().for_each(|run| sweeper.push(run));
            sweeper.finish().total()
        });
        time("both", content.len(), || runs.iter().map(|run| select(run, &mut out) + sweep(run)).sum());
    }
}
