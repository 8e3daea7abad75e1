//! Files, commands and standard input: stored when they ended well, and never otherwise.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{lines, ready, snapshots};
use crate::support::sandbox::Outcome;
use crate::support::seed::Seed;

const BACKUP_FIELDS: &[&str] = &[
    "schema",
    "snapshot",
    "job",
    "streams",
    "bytes_read",
    "bytes_new",
    "bytes_stored",
    "chunks",
    "chunks_new",
    "copies",
    "duration_ms",
    "source_ms",
    "peak_memory_bytes",
    "findings",
    "run",
];

fn fields(value: &serde_json::Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn files_commands_and_standard_input_come_back_byte_for_byte() {
    let sandbox = ready();
    let text = lines(50_000);
    let binary = Seed::new(11).bytes(1_500_000);
    fs::write(sandbox.path("text"), &text).unwrap();
    fs::write(sandbox.path("binary"), &binary).unwrap();
    sandbox.run(&["backup", "--file", "a=text"]).exits(0);
    sandbox.run(&["backup", "--command", "b", "--", "cat", "binary"]).exits(0);
    sandbox.run_with_input(&["backup", "--stdin", "c"], &text).exits(0);
    for (job, bytes) in [("a", &text), ("b", &binary), ("c", &text)] {
        let name = format!("latest:{job}");
        assert!(sandbox.run(&["cat", &name, "data"]).exits(0).stdout == *bytes, "cat {job}");
        assert!(sandbox.run(&["restore", &name, "--stdout"]).exits(0).stdout == *bytes, "stdout {job}");
        let file = format!("{job}.out");
        let document = sandbox.run(&["restore", &name, "--to-file", &file, "--json"]).exits(0).json();
        assert!(fs::read(sandbox.path(&file)).unwrap() == *bytes, "file {job}");
        assert_eq!(document["bytes"], bytes.len());
        assert_eq!(document["blake3"], blake3::hash(bytes).to_hex().as_str());
        sandbox.run(&["restore", &name, "--to-file", &file]).exits(15);
        let out = format!("dd status=none of={job}.piped");
        sandbox.run(&["restore", &name, "--to-command", &out]).exits(0);
        assert!(fs::read(sandbox.path(&format!("{job}.piped"))).unwrap() == *bytes, "command {job}");
    }
    let leftovers: Vec<_> = fs::read_dir(sandbox.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".part"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[test]
fn the_document_of_a_backup_is_the_contract() {
    let sandbox = ready();
    let text = lines(20_000);
    fs::write(sandbox.path("text"), &text).unwrap();
    let first = sandbox.run(&["backup", "--file", "a=text", "--json"]).exits(0).json();
    assert_eq!(fields(&first), BACKUP_FIELDS.iter().copied().collect());
    assert_eq!(fields(&first["streams"][0]), BTreeSet::from(["name", "kind", "rows", "bytes"]));
    assert_eq!(first["streams"][0]["rows"], 20_000);
    assert_eq!(first["streams"][0]["kind"], "lines");
    assert_eq!(first["bytes_read"], text.len());
    assert_eq!(first["bytes_new"], text.len());
    assert_eq!(first["chunks"], first["chunks_new"]);
    assert!(first["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    let again = sandbox.run(&["backup", "--file", "a=text", "--json"]).exits(0).json();
    assert_eq!((&again["bytes_new"], &again["chunks_new"]), (&0.into(), &0.into()));
    assert!(again["bytes_stored"].as_u64() < first["bytes_stored"].as_u64());
    let listed = sandbox.run(&["snapshots", "--json"]).exits(0).json();
    let row = &listed["snapshots"][1];
    assert_eq!(row["snapshot"], again["snapshot"]);
    for field in ["snapshot", "job", "time", "bytes", "rows", "state"] {
        assert!(row.get(field).is_some(), "{field} is missing");
    }
}

#[test]
fn another_dump_under_the_same_name_is_stored() {
    let sandbox = ready();
    let (one, two) = (lines(10_000), Seed::new(11).bytes(200_000));
    for bytes in [&one, &two] {
        fs::write(sandbox.path("dump"), bytes).unwrap();
        sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    }
    let ids = snapshots(&sandbox, "live");
    assert!(sandbox.run(&["cat", &ids[0], "data"]).exits(0).stdout == one);
    assert!(sandbox.run(&["cat", &ids[1], "data"]).exits(0).stdout == two);
}

#[test]
fn a_source_that_failed_leaves_no_snapshot() {
    let sandbox = ready();
    fs::write(sandbox.path("empty"), b"").unwrap();
    fs::write(sandbox.path("cut.sql"), b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n").unwrap();
    let failing: &[&[&str]] = &[
        &["backup", "--command", "a", "--", "sh", "-c", "seq 1 100000; exit 3"],
        &["backup", "--command", "a", "--", "sh", "-c", "seq 1 100000; kill -9 $$"],
        &["backup", "--command", "a", "--", "no-such-program-here"],
        &["backup", "--command", "a", "--", "true"],
        &["backup", "--file", "a=empty"],
        &["backup", "--file", "a=cut.sql"],
        &["backup", "--file", "a=nowhere"],
        &["backup", "--file", "a=."],
        &["backup", "--stdin", "a"],
    ];
    for arguments in failing {
        let mut with_json = arguments.to_vec();
        with_json.insert(0, "--json");
        let document = sandbox.run(&with_json).exits(14).json();
        assert_eq!(document["error"]["exit"], 14);
        assert_eq!(document["error"]["kind"], "source_failed");
    }
    assert_eq!(snapshots(&sandbox, "live"), Vec::<String>::new());
    sandbox.run(&["backup", "--file", "a=empty", "--allow-empty"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn a_source_that_shrank_needs_a_person() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(10_000)).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    fs::write(sandbox.path("dump"), lines(1_000)).unwrap();
    let refused = sandbox.run(&["backup", "--file", "a=dump"]).exits(15);
    assert!(refused.stderr.contains("--allow-shrink"), "{}", refused.stderr);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    sandbox.run(&["backup", "--file", "a=dump", "--allow-shrink", "--tag", "small"]).exits(0);
    let shown = sandbox.run(&["show", "latest", "--json"]).exits(0).json();
    assert_eq!(shown["tags"][0], "small");
}

#[test]
fn a_failing_job_does_not_stop_the_others() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(100)).unwrap();
    let dump = sandbox.path("dump");
    let config = format!(
        "[[job]]\nname = \"one\"\nfile = \"{0}\"\n[[job]]\nname = \"bad\"\ncommand = [\"false\"]\n[[job]]\nname = \"two\"\nfile = \"{0}\"\ntags = [\"t\"]\n",
        dump.display()
    );
    fs::write(sandbox.path("lacre.toml"), config).unwrap();
    let document = sandbox.run(&["--config", "lacre.toml", "backup", "--json"]).exits(14).json();
    let jobs: Vec<_> = document["backups"].as_array().unwrap().iter().map(|backup| &backup["job"]).collect();
    assert_eq!(jobs, ["one", "two"]);
    assert_eq!(document["failures"][0]["job"], "bad");
    assert_eq!(document["failures"][0]["exit"], 14);
    sandbox.run(&["--config", "lacre.toml", "backup", "two"]).exits(0);
    sandbox.run(&["--config", "lacre.toml", "backup", "three"]).exits(2);
    assert_eq!(snapshots(&sandbox, "live").len(), 3);
}

#[test]
fn two_backups_of_one_job_do_not_run_at_once() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(100)).unwrap();
    let arguments = ["backup", "--stdin", "a"];
    let mut first = sandbox.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let sessions = sandbox.repository().join("session");
    while fs::read_dir(&sessions).map_or(0, Iterator::count) == 0 {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended early");
        std::thread::yield_now();
    }
    let second = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(11).json();
    assert_eq!(second["error"]["kind"], "conflict");
    sandbox.run(&["backup", "--file", "b=dump"]).exits(0);
    first.stdin.take().unwrap().write_all(b"the first\n").unwrap();
    Outcome::of(first, &arguments).exits(0);
    assert_eq!(sandbox.run(&["cat", "latest:a", "data"]).exits(0).text(), "the first\n");
}

#[test]
fn a_signal_ends_the_run_and_its_command_without_a_snapshot() {
    let sandbox = ready();
    for signal in ["-INT", "-TERM"] {
        let arguments = ["backup", "--command", "a", "--", "sh", "-c", "echo $$ > pid; while :; do echo again; done"];
        let run = sandbox.command(&arguments).spawn().unwrap();
        while fs::read_to_string(sandbox.path("pid")).map_or(true, |text| !text.ends_with('\n')) {
            std::thread::yield_now();
        }
        let sent = Command::new("kill").args([signal, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        Outcome::of(run, &arguments).exits(130);
        let child = fs::read_to_string(sandbox.path("pid")).unwrap();
        assert!(!std::path::Path::new("/proc").join(child.trim()).exists(), "the command still runs");
        fs::remove_file(sandbox.path("pid")).unwrap();
    }
    assert!(snapshots(&sandbox, "live").is_empty());
    sandbox.run_with_input(&["backup", "--stdin", "a"], b"well\n").exits(0);
    sandbox.run(&["check", "--read-data"]).exits(0);
}
