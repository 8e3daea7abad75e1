//! Extremes: very many tables, very long and empty rows, objects replayed or taken away, and paths that are no repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::{keys_of, lines, ready, snapshots};
use crate::support::cluster::{Cluster, finished};
use crate::support::sandbox::{Outcome, Sandbox, files_under};

/// Tables of the database with very many.
const TABLES: usize = 10_000;
/// Bytes of the one very long value.
const LONG_VALUE_BYTES: u64 = 200 * 1024 * 1024;
/// Rows whose only text is the empty string.
const EMPTY_ROWS: u64 = 100;
/// What a backup may hold in memory, however long one row is.
const PEAK_BYTES_MAX: u64 = 160 * 1024 * 1024;
/// Where the number of the policy lies in a host's pin.
const PIN_POLICY: usize = 37;

fn ready_with(cluster: &Cluster) -> Sandbox {
    let sandbox = Sandbox::with_tools_of(cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

/// A repository with two snapshots of different jobs, oldest first.
fn filled() -> (Sandbox, Vec<String>) {
    let sandbox = ready();
    for (job, count) in [("a", 2_000), ("b", 3_000)] {
        fs::write(sandbox.path("dump"), lines(count)).unwrap();
        sandbox.run(&["backup", "--file", &format!("{job}=dump")]).exits(0);
    }
    let listed = snapshots(&sandbox, "live");
    assert_eq!(listed.len(), 2);
    (sandbox, listed)
}

fn forget_caches(sandbox: &Sandbox) {
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let path = keys_of(sandbox).join(name);
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

/// The entries of the one admin's log, oldest first.
fn log(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_under(&sandbox.repository().join("log"))
}

/// Whether `check` reports damage of an object whose name holds these words.
#[track_caller]
fn damaged(sandbox: &Sandbox, object: &str) {
    let document = sandbox.run(&["repo", "check", "--json"]).exits(4).json();
    let findings = document["findings"].as_array().unwrap();
    let of_object = |finding: &&serde_json::Value| finding["object"].as_str().unwrap().contains(object);
    let finding = findings.iter().find(of_object).unwrap_or_else(|| panic!("nothing on {object}: {findings:?}"));
    assert_eq!(finding["severity"], "damage", "{findings:?}");
    assert_ne!(finding["advice"], "", "{findings:?}");
}

#[test]
fn ten_thousand_tables_are_backed_up_and_come_back() {
    let cluster = Cluster::start_with(&[("max_locks_per_transaction", "1024")]);
    cluster.create_database("many");
    cluster.sql(
        "many",
        &format!(
            "do $$ begin for n in 1..{TABLES} loop execute format('create table t%s (n int)', n); end loop; end $$;
             insert into t1 values (1); insert into t7777 select generate_series(1, 1000)"
        ),
    );
    let sandbox = ready_with(&cluster);
    let made = sandbox.run(&["backup", "--postgres", &cluster.url("many"), "--json"]).exits(0).json();
    let streams = made["streams"].as_array().unwrap();
    assert_eq!(streams.iter().filter(|stream| stream["kind"] == "table").count(), TABLES);
    assert_eq!(snapshots(&sandbox, "live"), [made["snapshot"].as_str().unwrap()]);
    sandbox.run(&["check", "--read-data"]).exits(0);
    let rows = sandbox.run(&["cat", "latest", "public.t7777"]).exits(0).text();
    let expected: String = (1..=1_000).map(|number| format!("{number}\n")).collect();
    assert!(rows.starts_with(&expected), "{rows}");
    sandbox.run(&["restore", "latest", "--to-file", "many.dump"]).exits(0);
    let listed = finished(cluster.client("pg_restore").arg("--list").arg(sandbox.path("many.dump"))).stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert_eq!(listed.lines().filter(|line| line.contains(" TABLE DATA public t")).count(), TABLES);
    let to = cluster.url("back");
    let restored = sandbox.run(&["restore", "latest", "--to", &to, "--create", "--json"]).exits(0).json();
    assert_eq!(restored["verified"], true);
    assert_eq!(restored["tables"].as_array().unwrap().len(), TABLES);
    assert_eq!(cluster.sql("back", "select count(*) from pg_tables where schemaname = 'public'"), TABLES.to_string());
    assert_eq!(cluster.sql("back", "select count(*), sum(n) from t7777"), "1000\t500500");
}

#[test]
fn a_row_of_200_mib_and_rows_of_nothing_come_back_bit_exactly() {
    let cluster = Cluster::start();
    cluster.create_database("long");
    cluster.sql(
        "long",
        &format!(
            "create table t (v text); insert into t select '' from generate_series(1, {EMPTY_ROWS});
             insert into t select string_agg(md5(n::text), '') from generate_series(1, {LONG_VALUE_BYTES} / 32) n"
        ),
    );
    assert_eq!(cluster.sql("long", "select max(length(v)) from t"), LONG_VALUE_BYTES.to_string());
    let sandbox = ready_with(&cluster);
    let made = sandbox.run(&["backup", "--postgres", &cluster.url("long"), "--json"]).exits(0).json();
    let streams = made["streams"].as_array().unwrap();
    let table = streams.iter().find(|stream| stream["name"] == "public.t").unwrap();
    assert_eq!(table["rows"], EMPTY_ROWS + 1);
    assert!(table["bytes"].as_u64().unwrap() > LONG_VALUE_BYTES);
    let peak = made["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < PEAK_BYTES_MAX, "{peak} bytes of memory");
    let shown = sandbox.run(&["show", "latest", "--json"]).exits(0).json();
    let written = sandbox.run(&["restore", "latest", "--to-file", "long.dump", "--json"]).exits(0).json();
    let bytes = fs::read(sandbox.path("long.dump")).unwrap();
    assert_eq!(written["bytes"], u64::try_from(bytes.len()).unwrap());
    assert_eq!(written["blake3"], blake3::hash(&bytes).to_hex().as_str());
    assert_eq!(written["blake3"], shown["facts"]["archive.blake3"]);
    cluster.create_database("back");
    finished(cluster.client("pg_restore").args(["-d", "back"]).arg(sandbox.path("long.dump")));
    let picture = "select length(v), count(*), md5(min(v)) from t group by 1 order by 1";
    assert_eq!(cluster.sql("back", picture), cluster.sql("long", picture));
}

#[test]
fn a_snapshot_put_back_under_another_name_is_damage() {
    let (sandbox, listed) = filled();
    let snap = sandbox.repository().join("snap");
    let (kept, lost) = (&listed[0], &listed[1]);
    fs::copy(snap.join(kept), snap.join(lost)).unwrap();
    forget_caches(&sandbox);
    damaged(&sandbox, lost);
    let refused = sandbox.run(&["cat", lost, "data"]);
    assert_ne!(refused.status.code(), Some(0));
    assert!(refused.stdout.is_empty(), "bytes of another snapshot came out");
    assert!(sandbox.run(&["cat", kept, "data"]).stdout == lines(2_000));
}

#[test]
fn a_log_entry_taken_away_from_under_a_later_one_is_damage() {
    let (sandbox, listed) = filled();
    sandbox.run(&["hold", &listed[0]]).exits(0);
    let held = log(&sandbox).pop().unwrap();
    sandbox.run(&["hold", &listed[1]]).exits(0);
    let later = log(&sandbox).pop().unwrap();
    assert_ne!(held, later);
    fs::remove_file(&held).unwrap();
    forget_caches(&sandbox);
    damaged(&sandbox, later.file_name().unwrap().to_str().unwrap());
    assert!(sandbox.run(&["repo", "check"]).exits(4).text().contains("gap"));
}

#[test]
fn a_policy_taken_away_or_older_than_the_one_seen_is_refused() {
    let (sandbox, listed) = filled();
    let attempts: [&[&str]; 4] =
        [&["snapshots"], &["backup", "--file", "a=dump"], &["cat", &listed[0], "data"], &["repo", "check"]];
    let objects = files_under(&sandbox.repository());
    // A host that has seen policy 1 meets a store that was put back to policy 0.
    let pin = keys_of(&sandbox).join("pin");
    let seen = fs::read(&pin).unwrap();
    // Map entry 1, after the 32 bytes of the admin key in entry 0, is the number of the policy.
    assert_eq!(seen[PIN_POLICY - 1..=PIN_POLICY], [1, 0], "the number of the first policy");
    let mut newer = seen.clone();
    newer[PIN_POLICY] = 1;
    fs::write(&pin, newer).unwrap();
    for arguments in attempts {
        let refused = sandbox.run(arguments).exits(4);
        assert!(refused.stderr.contains("has seen number 1"), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stdout.is_empty(), "{arguments:?}: {}", refused.text());
    }
    fs::write(&pin, seen).unwrap();
    // A run marks its session before it reads anything (protocol rule 2), and ends it; nothing else is written.
    let mut after = files_under(&sandbox.repository());
    after.retain(|file| objects.contains(file) || !file.starts_with(sandbox.repository().join("session")));
    assert_eq!(after, objects, "something was written");
    let policy = files_under(&sandbox.repository().join("policy")).pop().unwrap();
    let bytes = fs::read(&policy).unwrap();
    fs::remove_file(&policy).unwrap();
    for arguments in attempts {
        let refused = sandbox.run(arguments).exits(4);
        assert!(refused.stderr.contains("no valid policy"), "{arguments:?}: {}", refused.stderr);
    }
    fs::write(&policy, bytes).unwrap();
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn a_path_that_is_no_repository_is_refused_and_left_as_it_was() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(10)).unwrap();
    for arguments in [&["snapshots"][..], &["backup", "--file", "a=dump"], &["repo", "check"]] {
        let missing = sandbox.path("nowhere");
        let with_path = [&["--repo", missing.to_str().unwrap()], arguments].concat();
        let refused = sandbox.run(&with_path).exits(10);
        assert!(refused.stderr.contains("nowhere") && refused.stderr.contains("hint:"), "{}", refused.stderr);
        assert!(!missing.exists(), "{arguments:?} made a folder");
        let file = sandbox.path("dump");
        let refused = sandbox.run(&[&["--repo", file.to_str().unwrap()], arguments].concat());
        assert!([1, 2, 10].contains(&refused.status.code().unwrap()), "{}", refused.stderr);
        assert!(!refused.stderr.contains("panicked") && refused.stderr.contains("error:"), "{}", refused.stderr);
        assert_eq!(fs::read(&file).unwrap(), lines(10));
    }
}

#[test]
fn a_repository_that_may_not_be_read_is_named_and_left_as_it_was() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(10)).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    let objects = files_under(&sandbox.repository());
    let mode = |bits| fs::set_permissions(sandbox.repository(), fs::Permissions::from_mode(bits)).unwrap();
    mode(0o000);
    // Root reads everything unless it gives that up.
    let root = rustix::process::geteuid().is_root();
    let giving_up = ["--bounding-set=-dac_override,-dac_read_search", "--", env!("CARGO_BIN_EXE_lacre")];
    for arguments in [&["snapshots"][..], &["backup", "--file", "a=dump"], &["repo", "check"]] {
        let mut command = if root {
            sandbox.program("setpriv", &[&giving_up[..], arguments].concat())
        } else {
            sandbox.command(arguments)
        };
        let refused = Outcome::of(command.spawn().unwrap(), arguments);
        assert!(![Some(0), Some(3), None].contains(&refused.status.code()), "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("ermission denied"), "{arguments:?}: {}", refused.stderr);
    }
    mode(0o700);
    assert_eq!(files_under(&sandbox.repository()), objects);
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn links_and_pipes_in_a_repository_are_findings_and_never_followed() {
    let (sandbox, listed) = filled();
    let bait = sandbox.path("bait");
    fs::create_dir(&bait).unwrap();
    fs::write(bait.join("file"), b"outside").unwrap();
    symlink(bait.join("file"), sandbox.repository().join("snap/link")).unwrap();
    symlink(&bait, sandbox.repository().join("packs/linked")).unwrap();
    // A reader of the pipe would wait for ever.
    assert!(sandbox.program("mkfifo", &["repo/packs/pipe"]).status().unwrap().success());
    let document = sandbox.run(&["repo", "check", "--read-data", "--json"]).exits(3).json();
    let findings = document["findings"].as_array().unwrap();
    let mut named: Vec<&str> = findings.iter().map(|finding| finding["object"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["packs/linked", "packs/pipe", "snap/link"], "{findings:?}");
    assert!(findings.iter().all(|finding| finding["severity"] == "warning"), "{findings:?}");
    assert!(sandbox.run(&["cat", &listed[0], "data"]).stdout == lines(2_000));
    assert_eq!(fs::read(bait.join("file")).unwrap(), b"outside");
}
