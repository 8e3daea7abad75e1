//! `lacre daemon`: what it starts and when, what it makes up for, what it answers, how it ends; and the container's variables.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::{job, script, site};
use crate::commands::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sandbox::Sandbox;
use crate::support::served::Served;

/// A schedule that never comes while a test runs.
const NEVER: &str =
    "[schedule]\nbackup = \"0 0 29 2 *\"\nstatus = \"off\"\ncheck = \"off\"\n[daemon]\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn it_begins_with_a_backup_where_that_is_wanted() {
    let sandbox = site(&format!("{NEVER}backup_on_start = true\n{}", job("astro")), None);
    script(&sandbox, "astro", "seq 100");
    let document = sandbox.run(&["daemon", "--runs", "1", "--json"]).exits(0);
    // The command's own result stands before the daemon's.
    assert!(
        document.text().contains("\"started\": 1") && document.text().contains("\"failed\": 0"),
        "{}",
        document.text()
    );
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}

#[test]
fn what_was_missed_is_made_up_for_once() {
    let sandbox = site(&format!("{NEVER}{}", job("astro")), None);
    script(&sandbox, "astro", "seq 100");
    fs::write(sandbox.home().join("daemon.done"), "backup 2019-03-01T03:00:00Z\n").unwrap();
    sandbox.run(&["daemon", "--runs", "1", "--set", "schedule.catch_up=36500d"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    // It is noted as done, before it ran.
    let done = fs::read_to_string(sandbox.home().join("daemon.done")).unwrap();
    assert!(done.starts_with("backup 20") && !done.contains("2019"), "{done}");
}

#[test]
fn it_answers_on_the_loopback_and_ends_in_order() {
    let sandbox = site(&format!("{NEVER}backup_on_start = true\n{}", job("astro")), None);
    let pipe = sandbox.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    script(&sandbox, "astro", "exec cat pipe");
    let daemon = Served::start(&sandbox, &["daemon"]);
    // Opens once the job reads: the backup is under way.
    let mut end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    end.write_all(b"one\n").unwrap();
    let (head, body) = daemon.ask("/healthz");
    assert_eq!((head.lines().next(), body.as_str()), (Some("HTTP/1.0 200 OK"), "ok\n"));
    let (_, metrics) = daemon.ask("/metrics");
    assert!(metrics.contains("lacre_daemon_commands 1\n"), "{metrics}");
    assert!(daemon.ask("/").0.starts_with("HTTP/1.0 404 "));
    daemon.terminate().exits(0);
    drop(end);
    assert_eq!(snapshots(&sandbox, "live").len(), 0, "nothing half-done became visible");
    script(&sandbox, "astro", "echo two");
    sandbox.run(&["backup"]).exits(0);
}

#[test]
fn it_is_unwell_while_the_last_run_failed() {
    let sandbox = site(&format!("{NEVER}backup_on_start = true\n{}", job("astro")), None);
    script(&sandbox, "astro", "exit 7");
    let daemon = Served::start(&sandbox, &["daemon"]);
    let body = daemon.wait_for("/healthz", |head, _| head.starts_with("HTTP/1.0 503 "));
    assert!(body.starts_with("backup ended with exit 14 at "), "{body}");
    let metrics = daemon.wait_for("/metrics", |head, _| head.starts_with("HTTP/1.0 200 "));
    assert!(metrics.contains("lacre_daemon_last_exit{task=\"backup\"} 14\n"), "{metrics}");
    // The night wrote its metrics where the daemon shows them.
    assert!(metrics.contains("lacre_run_last_exit 14\n"), "{metrics}");
    daemon.terminate().exits(0);
}

#[test]
fn the_containers_variables_are_all_it_needs() {
    let cluster = Cluster::start();
    cluster.create_database("astro");
    cluster.sql("astro", "create table stars as select generate_series(1, 1000) as n");
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.unset("LACRE_REPO");
    let backups = sandbox.path("backups");
    fs::create_dir(&backups).unwrap();
    let repository = backups.join("lacre");
    sandbox.run(&["--repo", repository.to_str().unwrap(), "init", "--kit-file", "kit"]).exits(0);
    let port = cluster.port().to_string();
    let variables = [
        ("POSTGRES_HOST", "127.0.0.1"),
        ("POSTGRES_PORT", &port),
        ("POSTGRES_DB", "astro"),
        ("POSTGRES_USER", "postgres"),
        ("POSTGRES_PASSWORD", "hunter2"),
        ("BACKUP_DIR", backups.to_str().unwrap()),
        ("SCHEDULE", "@monthly"),
        ("BACKUP_KEEP_DAYS", "7"),
        ("BACKUP_ON_START", "TRUE"),
        ("LACRE_DAEMON_LISTEN", "off"),
    ];
    for (name, value) in variables {
        sandbox.set(name, value);
    }
    sandbox.run(&["daemon", "--from-env", "--runs", "1"]).exits(0);
    let made = fs::read_to_string(sandbox.home().join("from-env.toml")).unwrap();
    assert!(
        made.contains("keep_daily = 7") && made.contains("backup = \"0 3 1 * *\"") && !made.contains("hunter2"),
        "{made}"
    );
    sandbox.set("LACRE_REPO", &repository);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}

#[test]
fn a_second_daemon_and_an_address_of_others_are_refused() {
    let sandbox = site(&format!("{NEVER}{}", job("astro")), None);
    let daemon = Served::start(&sandbox, &["daemon"]);
    let listen = format!("daemon.listen={}", daemon.address);
    let outcome = sandbox.run(&["daemon", "--set", &listen]).exits(1);
    assert!(outcome.stderr.contains("cannot listen on") && outcome.stderr.contains("hint:"), "{}", outcome.stderr);
    let outcome = sandbox.run(&["daemon", "--set", "daemon.listen=0.0.0.0:0"]).exits(2);
    assert!(outcome.stderr.contains("reached from other machines"), "{}", outcome.stderr);
    daemon.terminate().exits(0);
}

#[test]
fn the_containers_files_name_what_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dockerfile = fs::read_to_string(top.join("docs/container/Dockerfile")).unwrap();
    let copied =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    let mut sources = 0;
    for line in copied {
        let words: Vec<&str> = line.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(top.join(source).exists(), "{line}");
            sources += 1;
        }
    }
    assert!(sources >= 4 && dockerfile.contains("\nUSER lacre\n"), "{dockerfile}");
    let rust = fs::read_to_string(top.join("Cargo.toml")).unwrap();
    let version = rust.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image builds with the version the sources want"
    );
    // What the container starts is what this program understands.
    assert!(dockerfile.contains("CMD [\"daemon\", \"--from-env\"]"));
    let help = Sandbox::new().run(&["daemon", "--help"]).exits(0).text();
    assert!(help.contains("--from-env"), "{help}");
    let compose = fs::read_to_string(top.join("docs/container/compose.yaml")).unwrap();
    assert!(compose.contains("dockerfile: docs/container/Dockerfile"));
    let config = fs::read_to_string(top.join("docs/CONFIG.md")).unwrap();
    let variables =
        compose.lines().filter_map(|line| line.trim().trim_start_matches("# ").split_once(": ")).map(|(name, _)| name);
    let ours: Vec<&str> = variables
        .filter(|name| name.starts_with("BACKUP_") || name.starts_with("LACRE_") || name.starts_with("MAX_"))
        .collect();
    assert!(ours.len() >= 5, "{ours:?}");
    for name in ours {
        assert!(config.contains(&format!("`{name}`")), "{name} is in compose.yaml and in no line of docs/CONFIG.md");
    }
}
