//! `lacre backup` without arguments: jobs, retention, record, log, metrics; and two of them at once.

use std::fs;
use std::io::Write;

use super::{check, job, log, script, site};
use crate::commands::{keys_of, snapshots};
use crate::support::sandbox::{Outcome, leaks};

const TWO: &str = "[log]\nfile = \"lacre.log\"\n[metrics]\ntextfile = \"lacre.prom\"\n";

#[test]
fn one_command_takes_every_job_and_leaves_a_log_a_record_and_metrics() {
    let config = format!("{TWO}{}{}", job("astro"), job("shop"));
    let sandbox = site(&config, None);
    script(&sandbox, "astro", "seq 20000");
    script(&sandbox, "shop", "seq 300");
    let document = sandbox.run(&["backup", "--json"]).exits(0).json();
    assert_eq!(document["backups"].as_array().unwrap().len(), 2);
    assert_eq!(document["failures"].as_array().unwrap().len(), 0);
    let run = document["run"]["run"].as_str().unwrap();
    assert_eq!((run.len(), &run[14..15]), (36, "4"), "a random UUID");
    let lines = log(&sandbox);
    assert!(lines.iter().all(|line| line["run"] == run && line["time"].is_string() && line["level"] == "info"));
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["run", "job", "job", "run"]);
    assert_eq!((&lines[1]["job"], &lines[1]["exit"]), (&"astro".into(), &0.into()));
    // The record is in the repository, and says nothing in clear.
    let status = sandbox.run(&["status", "--json"]).exits(3).json();
    assert!(check(&status, "run")["value"].as_str().unwrap().starts_with("exit 0, "));
    assert_eq!(leaks(&sandbox.repository(), &["astro", "shop"]), Vec::<String>::new());
    let metrics = fs::read_to_string(sandbox.path("lacre.prom")).unwrap();
    assert!(metrics.contains("lacre_snapshots{job=\"astro\"} 1\n"), "{metrics}");
    assert!(metrics.contains("lacre_run_last_exit 0\n"), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("lacre_") && number.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn a_failed_job_stops_no_other_and_forgets_nothing() {
    let config = format!("{TWO}{}{}[retention]\nkeep_last = 2\nmin_verified = 0\n", job("astro"), job("shop"));
    let sandbox = site(&config, None);
    script(&sandbox, "astro", "seq 20000");
    script(&sandbox, "shop", "seq 300");
    for _ in 0..2 {
        sandbox.run(&["backup"]).exits(0);
    }
    assert_eq!(snapshots(&sandbox, "live").len(), 4);
    script(&sandbox, "shop", "seq 300; exit 7");
    let outcome = sandbox.run(&["backup", "--json"]).exits(14);
    let document = outcome.json();
    assert_eq!(document["failures"][0]["job"], "shop");
    assert_eq!(document["run"]["forgotten"], 1, "only of the job that went well");
    assert_eq!(snapshots(&sandbox, "live").len(), 4);
    let status = sandbox.run(&["status", "--json"]).exits(3).json();
    assert!(check(&status, "run")["value"].as_str().unwrap().starts_with("exit 14, "));
    assert!(log(&sandbox).iter().any(|line| line["event"] == "job" && line["exit"] == 14 && line["level"] == "error"));
    // A job by name is that job and nothing else.
    sandbox.run(&["backup", "astro"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 5);
}

#[test]
fn a_job_that_shrank_keeps_its_history_until_somebody_has_looked() {
    let config = format!("{}[retention]\nkeep_last = 1\nmin_verified = 0\n", job("astro"));
    let sandbox = site(&config, None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    // Less than 80 % of what is usual, more than the half that is refused outright.
    script(&sandbox, "astro", "seq 12000");
    let document = sandbox.run(&["backup", "--json"]).exits(3).json();
    let held = &document["run"]["held_back"][0];
    assert_eq!(held["job"], "astro");
    assert!(held["why"].as_str().unwrap().contains(" instead of about "), "{held}");
    assert_eq!(document["run"]["forgotten"], 0);
    assert_eq!(snapshots(&sandbox, "live").len(), 2);
    let status = sandbox.run(&["status", "--json"]).exits(3).json();
    assert_eq!(check(&status, "trend:astro")["ok"], false);
    // By hand it is forgotten; and what the operator allows is no deviation.
    sandbox.run(&["backup", "--set", "status.max_shrink=50%"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}

#[test]
fn the_second_of_two_runs_waits_or_ends_with_exit_11() {
    let sandbox = site(&job("astro"), None);
    let pipe = sandbox.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // The job is under way for as long as the test holds the other end of the pipe.
    script(&sandbox, "astro", "cat pipe");
    let first = sandbox.command(&["backup"]).spawn().unwrap();
    let mut end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let outcome = sandbox.run(&["backup", "--set", "run.wait=0s", "--json"]).exits(11);
    assert_eq!(outcome.json()["error"]["kind"], "conflict");
    script(&sandbox, "astro", "echo two");
    let second = sandbox.command(&["backup", "--set", "run.wait=10m"]).spawn().unwrap();
    end.write_all(b"one\n").unwrap();
    drop(end);
    Outcome::of(first, &["first"]).exits(0);
    Outcome::of(second, &["second"]).exits(0);
    assert_eq!(snapshots(&sandbox, "live").len(), 2);
    assert_eq!(sandbox.run(&["cat", "latest", "data"]).exits(0).text(), "two\n");
}

#[test]
fn garbage_is_collected_when_it_is_due_and_only_by_who_may() {
    let config = format!("[run]\nprune_every = \"7d\"\n[retention]\nkeep_last = 1\nmin_verified = 0\n{}", job("astro"));
    let sandbox = site(&config, None);
    let night = |seed: u32, arguments: &[&str]| {
        script(&sandbox, "astro", &format!("seq {seed}000000 {seed}100000"));
        sandbox.run(&[&["backup"], arguments].concat()).exits(0);
        (snapshots(&sandbox, "live").len(), snapshots(&sandbox, "forgotten").len())
    };
    assert_eq!(night(1, &[]), (1, 0));
    // Never collected before: due at once, and what was just forgotten is given back.
    assert_eq!(night(2, &[]), (1, 0));
    assert_eq!(night(3, &[]), (1, 1), "it was only just collected");
    assert_eq!(night(4, &["--set", "run.prune_every=1ms"]), (1, 0));
    let admin = keys_of(&sandbox).join("admin.key");
    fs::rename(&admin, sandbox.path("admin.key")).unwrap();
    let document = sandbox.run(&["backup", "--json", "--set", "run.prune_every=1ms"]).exits(0).json();
    let findings = document["run"]["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|finding| finding["what"].as_str().unwrap().contains("may not forget")),
        "{document:#}"
    );
}

#[test]
fn a_password_from_a_systemd_credential_reaches_the_database_only() {
    let config =
        "[[job]]\nname = \"astro\"\npostgres = \"postgres://a@127.0.0.1:1/astro\"\npassword_credential = \"db\"\n";
    let mut sandbox = site(config, None);
    let outcome = sandbox.run(&["backup", "--json"]).exits(2);
    assert!(outcome.json()["error"]["message"].as_str().unwrap().contains("CREDENTIALS_DIRECTORY is not set"));
    fs::create_dir(sandbox.path("credentials")).unwrap();
    fs::write(sandbox.path("credentials/db"), "hunter2\n").unwrap();
    let folder = sandbox.path("credentials");
    sandbox.set("CREDENTIALS_DIRECTORY", folder);
    // It is found now, and what fails is the connection.
    let outcome = sandbox.run(&["backup", "--json"]).exits(14);
    assert!(!outcome.text().contains("hunter2") && !outcome.stderr.contains("hunter2"));
}
