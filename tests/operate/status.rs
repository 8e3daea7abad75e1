//! `lacre status`: every check with its limit and advice, its exit codes, one line for Nagios, metrics, and who is told.

use serde_json::Value;

use lacre_test_bucket::{BUCKET_PLAIN, Count, Key, Kind, Proxy, Weed};

use super::{check, job, script, site};
use crate::commands::snapshots;
use crate::stores::in_bucket;
use crate::support::listener::Listener;

const EASY: &str = "[status]\nmin_count = 1\nmin_size = \"1\"\nmin_free = \"1\"\n";

#[test]
fn every_check_has_a_value_a_limit_and_says_what_to_do() {
    let sandbox = site(&format!("{EASY}{}{}", job("astro"), job("shop")), None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup", "astro"]).exits(0);
    let outcome = sandbox.run(&["status", "--json"]).exits(3);
    let document = outcome.json();
    assert_eq!(document["ok"], false);
    let shop = check(&document, "age:shop");
    assert_eq!((&shop["ok"], &shop["value"]), (&false.into(), &"no snapshot yet".into()));
    assert!(shop["advice"].as_str().unwrap().contains("lacre backup shop"));
    for name in ["age:astro", "count:astro", "size:astro", "trend:astro", "disk", "seal", "store", "erasures"] {
        let check = check(&document, name);
        assert_eq!((&check["ok"], &check["advice"]), (&true.into(), &Value::Null), "{check}");
    }
    assert_eq!(check(&document, "seal")["value"], "generation 0");
    // What should have been done and was not is minded by --strict only.
    for name in ["check:2", "check:4", "holders", "kit"] {
        assert_eq!((&check(&document, name)["ok"], &check(&document, name)["strict"]), (&false.into(), &true.into()));
    }
    script(&sandbox, "shop", "seq 30");
    sandbox.run(&["backup"]).exits(0);
    let document = sandbox.run(&["status", "--json"]).exits(0).json();
    assert_eq!(document["ok"], true);
    assert!(check(&document, "run")["ok"] == true);
    assert_eq!(sandbox.run(&["status", "--strict", "--json"]).exits(3).json()["ok"], false);
    sandbox.run(&["repo", "check", "--read-data"]).exits(0);
    let document = sandbox.run(&["status", "--json"]).exits(0).json();
    for name in ["check:2", "check:4", "integrity"] {
        assert_eq!(check(&document, name)["ok"], true, "{document:#}");
    }
}

#[test]
fn thresholds_are_the_operators() {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    let fails = |set: &str, name: &str| {
        let document = sandbox.run(&["status", "--json", "--set", set]).exits(3).json();
        assert_eq!(check(&document, name)["ok"], false, "{set}: {document:#}");
    };
    fails("status.min_count=2", "count:astro");
    fails("status.min_size=1GiB", "size:astro");
    fails("status.min_free=1000TiB", "disk");
    sandbox.run(&["status"]).exits(0);
}

#[test]
fn damage_is_exit_4() {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    let id = snapshots(&sandbox, "live").swap_remove(0);
    let path = sandbox.repository().join("snap").join(id);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let document = sandbox.run(&["status", "--json"]).exits(4).json();
    assert_eq!(check(&document, "store")["ok"], false);
    assert!(sandbox.run(&["status", "--nagios"]).exits(2).text().starts_with("LACRE CRITICAL - "));
}

#[test]
fn nagios_gets_one_line_and_its_own_codes() {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    script(&sandbox, "astro", "seq 20000");
    let line = sandbox.run(&["status", "--nagios"]).exits(2).text();
    assert!(
        line.starts_with("LACRE CRITICAL - age:astro no snapshot yet, count:astro 0 snapshots")
            && line.lines().count() == 1,
        "{line}"
    );
    sandbox.run(&["backup"]).exits(0);
    let line = sandbox.run(&["status", "--nagios"]).exits(1).text();
    assert!(line.starts_with("LACRE WARNING - ") && line.contains(" | 'age:astro'="), "{line}");
    std::fs::rename(sandbox.repository(), sandbox.path("elsewhere")).unwrap();
    let line = sandbox.run(&["status", "--nagios"]).exits(2).text();
    assert!(line.starts_with("LACRE CRITICAL - "), "{line}");
    sandbox.run(&["status"]).exits(10);
}

#[test]
fn prometheus_gets_metrics_and_the_textfile_is_written_too() {
    let config = format!("{EASY}[metrics]\ntextfile = \"lacre.prom\"\n{}", job("astro"));
    let sandbox = site(&config, None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    let text = sandbox.run(&["status", "--prometheus"]).exits(0).text();
    assert!(text.contains("lacre_status_ok 1\n") && text.contains("lacre_check_ok{check=\"kit\"} 0\n"), "{text}");
    assert!(text.contains("lacre_snapshot_bytes{job=\"astro\"} 1"), "{text}");
    let file = std::fs::read_to_string(sandbox.path("lacre.prom")).unwrap();
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("# HELP "))
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&file), names(&text));
}

#[test]
fn what_is_overdue_is_told_once_and_so_is_its_end() {
    let listener = Listener::start();
    let config = "[[notify.webhook]]\nname = \"chat\"\nurl = \"{url}/hook\"\n[notify.healthchecks]\nstatus_url = \"{url}/watch\"\n";
    let sandbox = site(&format!("{EASY}{config}{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "seq 20000");
    let told = || -> Vec<String> {
        let event = |body: &str| {
            let message: Value = serde_json::from_str(body).unwrap();
            format!(
                "{} {}",
                message["event"].as_str().unwrap(),
                message["title"].as_str().unwrap().split(' ').next().unwrap()
            )
        };
        listener.asked().iter().filter(|asked| asked.path() == "/hook").map(|asked| event(&asked.body)).collect()
    };
    sandbox.run(&["status", "--notify"]).exits(3);
    sandbox.run(&["status", "--notify"]).exits(3);
    assert_eq!(told(), ["stale age:astro", "stale count:astro"]);
    let watched: Vec<String> = listener
        .asked()
        .iter()
        .map(|asked| asked.path().to_owned())
        .filter(|path| path.starts_with("/watch"))
        .collect();
    assert_eq!(watched, ["/watch/fail", "/watch/fail"]);
    listener.forget();
    sandbox.run(&["backup"]).exits(0);
    let document = sandbox.run(&["status", "--notify", "--json"]).exits(0).json();
    assert!(document["notifications"].as_array().unwrap().iter().all(|entry| entry["ok"] == true), "{document:#}");
    assert_eq!(told(), ["recovery age:astro", "recovery count:astro"]);
    assert_eq!(listener.asked().last().unwrap().path(), "/watch");
    // A repository that cannot be looked at is told, too.
    listener.forget();
    std::fs::rename(sandbox.repository(), sandbox.path("elsewhere")).unwrap();
    sandbox.run(&["status", "--notify"]).exits(10);
    assert_eq!(told(), ["stale lacre"]);
}

#[test]
fn a_look_is_one_listing_of_the_store() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for number in 0..3 {
        sandbox.run_with_input(&["backup", "--stdin", "astro"], format!("{number}\n").repeat(3000).as_bytes()).exits(0);
    }
    sandbox.run(&["status"]);
    proxy.forget();
    let document = sandbox.run(&["status", "--json"]).json();
    assert_eq!(check(&document, "count:astro")["value"], "3 snapshots");
    let records = proxy.records();
    let count = Count::of(&records);
    assert_eq!(count.of_kind(Kind::List), 1, "{records:?}");
    // The manifest is read to know which repository it is; all else this host has seen before.
    assert!(count.requests() <= 2, "{records:?}");
}

/// Plurals that must not follow a one, in both languages.
const MANY: [&str; 36] = [
    "snapshots",
    "cells",
    "kits",
    "packs",
    "chunks",
    "objects",
    "copies",
    "records",
    "runs",
    "checks",
    "jobs",
    "rows",
    "streams",
    "days",
    "holders",
    "kinds",
    "machines",
    "findings",
    "faults",
    "tables",
    "receipts",
    "identities",
    "seals",
    "admins",
    "errors",
    "warnings",
    "notes",
    "cópias",
    "tipos",
    "máquinas",
    "achados",
    "falhas",
    "tabelas",
    "execuções",
    "detentores",
    "dias",
];

#[test]
fn one_is_not_many() {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    script(&sandbox, "astro", "echo one");
    let mut said = Vec::new();
    let run = |arguments: &[&str]| {
        let outcome = sandbox.run(arguments);
        format!("{}{}", outcome.text(), outcome.stderr)
    };
    let commands: &[&[&str]] = &[
        &["backup"],
        &["status", "--strict"],
        &["status", "--nagios"],
        &["seal", "verify"],
        &["repo", "check", "--read-data"],
        &["repo", "stats"],
        &["repo", "rebuild"],
        &["repo", "repair"],
        &["prune", "--dry-run"],
        &["forget", "--dry-run"],
        &["report"],
        &["report", "--html", "en.html"],
        &["report", "--html", "pt.html", "--lang", "pt-BR"],
        &["config", "check"],
        &["doctor"],
        &["runbook", "total-loss"],
        &["erase", "snapshot", "latest:astro", "--allow-last", "--dry-run"],
        &["erase", "snapshot", "latest:astro", "--allow-last", "--yes"],
        &["erase", "status"],
    ];
    for command in commands {
        said.push(run(command));
    }
    for page in ["en.html", "pt.html"] {
        said.push(std::fs::read_to_string(sandbox.path(page)).unwrap());
    }
    for text in said {
        let words: Vec<&str> =
            text.split(|character: char| !(character.is_alphanumeric() || ".,()-".contains(character))).collect();
        for pair in words.windows(2) {
            let noun = pair[1].trim_matches(|character: char| !character.is_alphabetic());
            assert!(pair[0] != "1" || !MANY.contains(&noun), "1 {noun}: {text}");
        }
        assert!(!text.contains("(s)"), "{text}");
    }
}
