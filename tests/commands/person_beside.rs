//! What restores replaced: it holds the same people, and is nobody's night.

use super::{
    person::{nights, with},
    snapshots,
};

#[test]
fn what_a_restore_replaced_is_erased_with_its_job_and_is_never_the_latest() {
    let nights = nights(3);
    let (cluster, sandbox) = (&nights.cluster, &nights.sandbox);
    let swap = ["restore", &nights.ids[0], "--to", &cluster.url("d"), "--swap", "--yes"];
    sandbox.run(&swap).exits(0);
    let list = sandbox.run(&["snapshots", "--job", "d.before-restore", "--json"]).exits(0).json();
    let saved = list["snapshots"][0]["snapshot"].as_str().unwrap().to_owned();
    let person = |snapshot: &str| {
        let found = sandbox.run(&["rows", snapshot, "app.users", "--where", "id=42", "--json"]).exits(0).json();
        found["rows"].as_array().unwrap().len()
    };
    assert_eq!(person(&saved), 1);
    // It is the newest there is, and nobody means it who names no job.
    assert_eq!(sandbox.run(&["show", "latest", "--json"]).exits(0).json()["job"], "d");
    sandbox.run(&["history", "app.users", "--where", "id=41"]).exits(0);
    let status = sandbox.run(&["status", "--json"]);
    assert!(!status.text().contains("before-restore"), "{}", status.text());
    let book = sandbox.run(&["runbook"]).exits(0).text();
    assert!(!book.contains("d.before-restore"), "{book}");

    let planned = sandbox.run(&with(&["--job", "d", "--dry-run", "--json"])).exits(0).json();
    let covered = planned["snapshots"].as_array().unwrap();
    assert!(covered.iter().any(|entry| entry["old"] == *saved), "{planned}");
    assert_eq!(covered.len(), 4);
    sandbox.run(&with(&["--job", "d", "--yes"])).exits(5);
    cluster.sql("d", super::person::SQL);
    sandbox.run(&["backup", "--postgres", &cluster.url("d")]).exits(0);
    // The next night of the job is all that is waited for: nobody can say when the next restore is.
    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete", "{resumed}");
    let left = snapshots(sandbox, "live");
    assert_eq!(left.len(), 5);
    assert!(left.iter().all(|snapshot| person(snapshot) == 0));
}

#[test]
fn what_is_waited_for_is_said_once_before_and_after() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    sandbox.run(&["kit", "issue", "--kit-file", "sheet"]).exits(0);
    sandbox.run(&["hold", &nights.ids[0], "--reason", "a claim"]).exits(0);
    let kit = "kit:1".to_owned();
    let hold = format!("hold:{}", nights.ids[0]);
    let planned = sandbox.run(&with(&["--dry-run", "--json"])).exits(0).json();
    assert_eq!(super::person::texts(&planned["pending"], "item"), [kit.clone(), hold.clone()]);
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    let items = super::person::texts(&erased["pending"], "item");
    for item in [kit, hold] {
        assert_eq!(items.iter().filter(|said| **said == item).count(), 1, "{items:?}");
    }
    let distinct: std::collections::BTreeSet<&String> = items.iter().collect();
    assert_eq!(distinct.len(), items.len(), "{items:?}");
}

#[test]
fn another_job_with_the_same_people_is_pointed_out() {
    let nights = nights(1);
    nights.cluster.sql("postgres", "create database e template d");
    nights.sandbox.run(&["backup", "--postgres", &nights.cluster.url("e")]).exits(0);
    let planned = nights.sandbox.run(&with(&["--job", "d", "--dry-run", "--json"])).exits(0).json();
    let cautions = planned["cautions"].to_string();
    assert!(cautions.contains("job e") && cautions.contains("--job e"), "{cautions}");
    let all = nights.sandbox.run(&with(&["--dry-run", "--json"])).exits(0).json();
    assert!(!all["cautions"].to_string().contains("--job"), "{all}");
}

#[test]
fn a_plan_says_when_the_person_is_nowhere() {
    let nights = nights(1);
    std::fs::write(nights.sandbox.path("key"), "0\t4242\n").unwrap();
    let planned = nights.sandbox.run(&with(&["--dry-run", "--json"])).exits(0).json();
    assert_eq!(planned["state"], "nothing");
}

#[test]
fn nights_without_a_person_grow_old_among_the_others() {
    let nights = nights(3);
    let (cluster, sandbox) = (&nights.cluster, &nights.sandbox);
    sandbox.run(&with(&["--yes"])).exits(5);
    let mut successors = snapshots(sandbox, "live");
    successors.sort();
    assert_eq!(successors.len(), 3);
    for _ in 0..3 {
        sandbox.run(&["backup", "--postgres", &cluster.url("d")]).exits(0);
    }
    let plan = ["forget", "--keep-last", "3", "--dry-run", "--json", "--set", "retention.min_verified=0"];
    let forgotten = || {
        let plan = sandbox.run(&plan).exits(0).json();
        let mut named = super::person::texts(&plan["forgotten"], "snapshot");
        named.sort();
        named
    };
    assert_eq!(forgotten(), successors);
    // Also when what they were made of is gone from the store.
    sandbox.run(&["repo", "prune"]).exits(0);
    assert_eq!(forgotten(), successors);
}
