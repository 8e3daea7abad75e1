//! Copies from outside: every night, restored from directly, named when something is wrong, and adopted.

use std::fs;
use std::path::PathBuf;

use super::{keys_of, lines, ready, snapshots};
use crate::support::sandbox::{Sandbox, files_under};

/// A sandbox with a repository named by the configuration and a copy in a folder beside it.
fn with_copy() -> (Sandbox, PathBuf) {
    let mut sandbox = ready();
    let copy = sandbox.path("disk/copy");
    fs::create_dir(sandbox.path("disk")).unwrap();
    configure(&mut sandbox, &copy);
    (sandbox, copy)
}

fn configure(sandbox: &mut Sandbox, copy: &std::path::Path) {
    let text = format!(
        "repository = {:?}\n[[copy]]\nname = \"disk\"\nurl = {:?}\n",
        sandbox.repository().to_str().unwrap(),
        copy.to_str().unwrap()
    );
    let file = sandbox.path("lacre.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &file).unset("LACRE_REPO");
}

fn night(sandbox: &Sandbox, number: u32) -> Vec<u8> {
    let data = lines(4_000 + number * 50);
    fs::write(sandbox.path("dump"), &data).unwrap();
    data
}

#[test]
fn a_backup_brings_its_copies_along_and_a_copy_restores_by_itself() {
    let (sandbox, copy) = with_copy();
    let data = night(&sandbox, 1);
    let done = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    let entry = &done["copies"][0];
    assert_eq!(
        (&entry["name"], &entry["state"], &entry["lag_snapshots"]),
        (&"disk".into(), &"current".into(), &0.into())
    );
    assert!(entry["packs_sent"].as_u64().unwrap() > 0 && entry["bytes_sent"].as_u64().unwrap() > 0, "{done}");
    let at_copy = ["--repo", copy.to_str().unwrap()];
    let listed = sandbox.run(&[&at_copy[..], &["snapshots", "--json"]].concat()).exits(0).json();
    assert_eq!(listed["snapshots"][0]["snapshot"], done["snapshot"]);
    sandbox.run(&[&at_copy[..], &["check", "--read-data"]].concat()).exits(0);
    let (log, before) = (sandbox.repository().join("log"), files_under(&copy));
    let entries = files_under(&log).len();
    let restored = sandbox.run(&[&at_copy[..], &["restore", "latest:a", "--stdout"]].concat()).exits(0);
    assert!(restored.stdout == data);
    // It is on record in the log of the repository, which answered: that it began, and that it ended.
    assert_eq!((files_under(&log).len(), files_under(&copy)), (entries + 2, before));
    // While the repository is away the restore goes on; its log is told with the next thing that is written there.
    let away = sandbox.path("away");
    fs::rename(sandbox.repository(), &away).unwrap();
    let restored = sandbox.run(&[&at_copy[..], &["restore", "latest:a", "--stdout"]].concat()).exits(0);
    assert!(restored.stdout == data);
    fs::rename(&away, sandbox.repository()).unwrap();
    assert_eq!(files_under(&log).len(), entries + 2);
    sandbox.run(&["hold", "latest:a", "--reason", "a dispute"]).exits(0);
    assert_eq!(files_under(&log).len(), entries + 5);
    sandbox.run(&["copy", "sync"]).exits(0);
    let listed = sandbox.run(&["copy", "list", "--json"]).exits(0).json();
    assert_eq!((&listed["copies"][0]["state"], &listed["copies"][0]["lag_objects"]), (&"current".into(), &0.into()));
    assert!(listed["copies"][0]["last_sync"].as_str().unwrap().starts_with("20"), "{listed}");
    let verified = sandbox.run(&["copy", "verify", "--read-data", "--json"]).exits(0).json();
    assert_eq!(verified["copies"][0]["packs"], verified["copies"][0]["packs_read"]);
    // Writing into the copy is refused with what is meant instead.
    let refused = sandbox.run(&[&at_copy[..], &["backup", "--file", "a=dump"]].concat()).exits(15);
    assert!(refused.stderr.contains("copy sync") && refused.stderr.contains("repo adopt"), "{}", refused.stderr);
}

#[test]
fn a_copy_that_is_not_there_is_a_finding_and_the_snapshot_counts() {
    let (sandbox, copy) = with_copy();
    night(&sandbox, 1);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    // The disk is not mounted: its folder is empty, and later not even there.
    let aside = sandbox.path("aside");
    fs::rename(&copy, &aside).unwrap();
    night(&sandbox, 2);
    let done = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(3).json();
    assert_eq!(done["copies"][0]["state"], "missing");
    assert_eq!(snapshots(&sandbox, "live").len(), 2);
    assert!(!copy.exists(), "nothing is written around an unmounted disk");
    let listed = sandbox.run(&["copy", "list"]).exits(3);
    assert!(listed.text().contains("missing") && listed.text().contains("--begin-anew"), "{}", listed.text());
    fs::rename(&aside, &copy).unwrap();
    let listed = sandbox.run(&["copy", "list", "--json"]).exits(3).json();
    assert_eq!((&listed["copies"][0]["state"], &listed["copies"][0]["lag_snapshots"]), (&"behind".into(), &1.into()));
    let synced = sandbox.run(&["copy", "sync", "disk", "--json"]).exits(0).json();
    assert_eq!((&synced["copies"][0]["state"], &synced["copies"][0]["lag_snapshots"]), (&"current".into(), &0.into()));
    let again = sandbox.run(&["copy", "sync", "--json"]).exits(0).json();
    assert_eq!((&again["copies"][0]["packs_sent"], &again["copies"][0]["bytes_sent"]), (&0.into(), &0.into()));
    sandbox.run(&["backup", "--file", "a=dump", "--no-copies"]).exits(0);
    sandbox.run(&["copy", "list"]).exits(3);
    let unknown = sandbox.run(&["copy", "sync", "tape"]).exits(2);
    assert!(unknown.stderr.contains("lacre.toml has disk"), "{}", unknown.stderr);
}

#[test]
fn damage_in_a_copy_is_found_without_keys() {
    let (sandbox, copy) = with_copy();
    night(&sandbox, 1);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    let pack = files_under(&copy.join("packs")).remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[20] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    sandbox.run(&["copy", "verify"]).exits(0);
    let damaged = sandbox.run(&["copy", "verify", "--read-data"]).exits(4);
    assert!(damaged.text().contains("DAMAGED"), "{}", damaged.text());
    assert_eq!(fs::read(&pack).unwrap(), bytes, "it is left as it is");
}

#[test]
fn an_erasure_reaches_the_copy_and_the_receipt_says_what_lies_there() {
    let (sandbox, copy) = with_copy();
    for number in 1..3 {
        night(&sandbox, number);
        sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    }
    let dead = snapshots(&sandbox, "live").remove(0);
    // Two holders are promised and the new kit is not printed: it is pending, but the copy has the new list, bundle and policy already.
    let erased = sandbox.run(&["erase", "snapshot", &dead, "--yes", "--allow-last", "--json"]).exits(5).json();
    assert_eq!(erased["state"], "interim", "{erased}");
    let at_copy = ["--repo", copy.to_str().unwrap()];
    let before = files_under(&copy).len();
    sandbox.run(&["copy", "sync"]).exits(0);
    assert!(files_under(&copy).len() > before);
    sandbox.run(&[&at_copy[..], &["restore", "latest", "--stdout"]].concat()).exits(0);
    let refused = sandbox.run(&[&at_copy[..], &["restore", &dead, "--stdout"]].concat());
    assert_ne!(refused.status.code(), Some(0));
    let receipt = sandbox.run(&["receipt", "show", erased["erasure"].as_str().unwrap(), "--json"]).exits(0).json();
    let lines = receipt["receipt"]["physical"].as_array().unwrap();
    assert!(lines.len() == 1 && lines[0].as_str().unwrap().starts_with("copy disk"), "{receipt}");
}

#[test]
fn a_copy_is_adopted_when_the_repository_is_gone() {
    let (mut sandbox, copy) = with_copy();
    night(&sandbox, 1);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    let data = night(&sandbox, 2);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    night(&sandbox, 3);
    let lost = sandbox.run(&["backup", "--file", "a=dump", "--no-copies", "--json"]).exits(0).json();
    let at_copy = ["--repo", copy.to_str().unwrap()];
    let answers = sandbox.run(&[&at_copy[..], &["repo", "adopt", "--yes"]].concat()).exits(15);
    assert!(answers.stderr.contains("answers"), "{}", answers.stderr);
    let old = sandbox.path("old");
    fs::rename(sandbox.repository(), &old).unwrap();
    let planned = sandbox.run(&[&at_copy[..], &["repo", "adopt", "--dry-run", "--json"]].concat()).exits(3).json();
    assert_eq!((&planned["snapshots"], &planned["lost"][0]), (&2.into(), &lost["snapshot"]));
    let unasked = sandbox.run(&[&at_copy[..], &["repo", "adopt"]].concat()).exits(15);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let adopted = sandbox.run(&[&at_copy[..], &["repo", "adopt", "--yes"]].concat()).exits(3);
    assert!(
        adopted.text().contains("is now the repository") && adopted.text().contains("lacre.toml"),
        "{}",
        adopted.text()
    );
    // The configuration names the new place, and the old one, which came back, as a copy of it.
    let text = format!(
        "repository = {:?}\n[[copy]]\nname = \"old\"\nurl = {:?}\n",
        copy.to_str().unwrap(),
        old.to_str().unwrap()
    );
    fs::write(sandbox.path("lacre.toml"), text).unwrap();
    assert!(sandbox.run(&["restore", "latest:a", "--stdout"]).exits(0).stdout == data);
    sandbox.run(&["check", "--read-data"]).exits(0);
    let done = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(3).json();
    assert_eq!(done["copies"][0]["state"], "current", "{done}");
    let said = done["findings"].to_string();
    assert!(
        said.contains(&lost["snapshot"].as_str().unwrap()[..8]),
        "what lies only in the old place is named: {said}"
    );
    assert!(
        sandbox
            .run(&["--repo", old.to_str().unwrap(), "restore", lost["snapshot"].as_str().unwrap(), "--stdout"])
            .exits(0)
            .stdout
            .len()
            > 1
    );
    // As the repository it is refused for ever.
    sandbox.set("LACRE_CONFIG", sandbox.path("none.toml"));
    fs::write(sandbox.path("none.toml"), "").unwrap();
    let other = sandbox.path("older");
    sandbox.program("cp", &["-a", old.to_str().unwrap(), other.to_str().unwrap()]).status().unwrap();
    for file in
        files_under(&other.join("policy")).into_iter().filter(|file| file.to_str().unwrap().contains("00001000"))
    {
        fs::remove_file(file).unwrap();
    }
    let refused = sandbox.run(&["--repo", other.to_str().unwrap(), "backup", "--file", "a=dump"]).exits(4);
    assert!(refused.stderr.contains("this host has seen number 1000"), "{}", refused.stderr);
    assert!(keys_of(&sandbox).join("pin").exists());
}
