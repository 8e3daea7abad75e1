//! What is no table of an archive: large objects, facts, plain dumps, other jobs; and dumps that are brought in from elsewhere.

use std::fs;
use std::process::Child;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::person::{Nights, RULES, SQL, assert_as_postgres_left_it, day, nights, states, texts, with};
use crate::support::sandbox::files_under;

/// A dump of the nights' database as it is now, in a file of the sandbox.
fn dump(nights: &Nights, name: &str, arguments: &[&str]) {
    fs::write(nights.sandbox.path(name), nights.cluster.dump("d", arguments)).unwrap();
}

#[test]
fn what_is_imported_while_a_held_night_has_the_person_is_taken_without_them() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    dump(&nights, "old.dump", &["-Fc"]);
    dump(&nights, "old.sql", &[]);
    let import = |file: &str| sandbox.run(&["import", file, "--job", "d", "--time", "2020-01-01T00:00Z", "--json"]);
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    // Before the seal is changed, what came in would be void.
    let begun = sandbox.run(&with(&["--yes", "--not-before", "2099-01-01T00:00:00Z", "--json"])).exits(5).json();
    let refused = import("old.dump").exits(11).json();
    assert!(refused["error"]["hint"].to_string().contains("lacre erase resume"), "{refused}");
    sandbox.run(&["erase", "cancel", &begun["erasure"].as_str().unwrap()[..8]]).exits(0);
    sandbox.run(&with(&["--yes"])).exits(5);

    let imported = import("old.dump").exits(0).json();
    let imported = &imported["imported"][0];
    assert!(imported["without"].as_u64().unwrap() > 10, "{imported}");
    let snapshot = imported["snapshot"].as_str().unwrap();
    assert_as_postgres_left_it(&nights, snapshot, 1);
    // Nothing recorded with it is a function of the whole file, and the folder it went through is gone.
    let shown = sandbox.run(&["show", snapshot, "--json"]).exits(0).text();
    assert!(
        !shown.contains("import.blake3") && !shown.contains("import.bytes") && shown.contains("import.time_from"),
        "{shown}"
    );
    let folder = super::keys_of(sandbox);
    assert!(fs::read_dir(&folder).unwrap().all(|entry| !entry.unwrap().path().join("repository").exists()));
    // Plain text cannot be told apart.
    let refused = import("old.sql").exits(15).json();
    assert!(refused["error"]["message"].to_string().contains("no PostgreSQL archive"), "{refused}");
    // Another job has nothing to do with it.
    sandbox.run(&["import", "old.sql", "--job", "other", "--time", "2020-01-01T00:00Z"]).exits(0);

    // When the erasure is complete nobody knows any more whom it was about, and that is said.
    sandbox.run(&["release", &nights.ids[0]]).exits(0);
    nights.cluster.sql("d", SQL);
    // The import was a run of this host's for the job: its index from before the erasure is gone already.
    let done = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(done["erasures"][1]["state"], "complete");
    let back = sandbox.run(&["import", "old.dump", "--job", "d", "--time", "2020-01-02T00:00Z", "--json"]).exits(0);
    assert!(back.stderr.contains("1 person was erased from d"), "{}", back.stderr);
    assert_eq!(back.json()["imported"][0]["without"], 0);
}

/// Starts an import of `old.dump` that is stopped while the dump with the person lies beside the home's keys.
fn import_stopped_midway(nights: &Nights) -> Child {
    let manifest = super::keys_of(&nights.sandbox).join("import-0/repository/lacre.json");
    let import = ["import", "old.dump", "--job", "d", "--time", "2020-01-01T00:00Z"];
    let mut child = nights.sandbox.command(&import).spawn().unwrap();
    while !manifest.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the import ended before anybody could stop it");
        thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    child
}

#[test]
fn what_a_killed_import_left_keeps_an_erasure_open_until_it_is_gone() {
    let nights = nights(2);
    let sandbox = &nights.sandbox;
    dump(&nights, "old.dump", &["-Fc"]);
    sandbox.run(&["hold", &nights.ids[0], "--reason", "court"]).exits(0);
    sandbox.run(&with(&["--yes"])).exits(5);
    let folder = super::keys_of(sandbox).join("import-0");

    // One that lives is waited for: its folder holds the person, and a receipt says so.
    let mut import = import_stopped_midway(&nights);
    let waiting = sandbox.run(&["erase", "resume", "--json"]).exits(5).json();
    let pending = waiting["erasures"][0]["pending"].as_array().unwrap();
    let item = pending.iter().find(|item| item["item"] == "import:0").unwrap_or_else(|| panic!("{waiting}"));
    assert!(item["command"].as_str().unwrap().contains("lacre erase resume"), "{item}");
    assert!(folder.exists(), "the folder of an import that lives was taken away");
    let receipt = sandbox.run(&["receipt", "show", &waiting["erasures"][0]["erasure"].as_str().unwrap()[..8]]).exits(0);
    assert!(receipt.text().contains("import:0"), "{}", receipt.text());
    // What opens it was never written anywhere.
    let secret = |file: &std::path::PathBuf| fs::read(file).unwrap().starts_with(b"# Lacre identity");
    assert!(!files_under(&folder).iter().any(secret));

    import.kill().unwrap();
    import.wait().unwrap();
    assert!(folder.exists(), "it was killed too late to leave anything");
    let swept = sandbox.run(&["erase", "status", "--json"]).exits(5).json();
    assert!(!folder.exists() && !swept.to_string().contains("import:"), "{swept}");

    // And every import begins with it, whatever it imports.
    let mut import = import_stopped_midway(&nights);
    import.kill().unwrap();
    import.wait().unwrap();
    fs::write(sandbox.path("other.sql"), nights.cluster.dump("postgres", &[])).unwrap();
    sandbox.run(&["import", "other.sql", "--job", "other", "--time", "2020-01-01T00:00Z"]).exits(0);
    assert!(!folder.exists());
}

#[test]
fn an_imported_night_keeps_no_hash_of_the_file_it_came_from() {
    let nights = nights(1);
    let sandbox = &nights.sandbox;
    dump(&nights, "old.dump", &["-Fc"]);
    let imported =
        sandbox.run(&["import", "old.dump", "--job", "d", "--time", "2020-01-01T00:00Z", "--json"]).exits(0).json();
    let old = imported["imported"][0]["snapshot"].as_str().unwrap();
    assert!(sandbox.run(&["show", old, "--json"]).exits(0).text().contains("import.blake3"));
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    let entry = erased["snapshots"].as_array().unwrap().iter().find(|entry| entry["old"] == old).unwrap();
    let shown = sandbox.run(&["show", entry["new"].as_str().unwrap(), "--json"]).exits(0).text();
    for fact in ["import.blake3", "import.bytes", "archive.blake3"] {
        assert!(!shown.contains(fact), "{fact}: {shown}");
    }
    assert_as_postgres_left_it(&nights, entry["new"].as_str().unwrap(), 0);
}

#[test]
fn traces_in_large_objects_roles_and_facts_fail_the_erasure_unless_allowed() {
    let nights = nights(1);
    let sandbox = &nights.sandbox;
    // In a large object, across the border of what is read at once; and in hexadecimal in another.
    nights.cluster.sql(
        "d",
        "select lo_from_bytea(0, convert_to(repeat('x', 70000) || 'user42@mail.example' || repeat('y', 70000), 'UTF8'));
         select lo_from_bytea(0, convert_to(encode('user42@mail.example', 'hex'), 'UTF8'));
         create role \"user42@mail.example\"; grant select on app.notes to \"user42@mail.example\"",
    );
    sandbox.run(&["backup", "--postgres", &nights.cluster.url("d")]).exits(0);
    let refused = sandbox.run(&with(&["--yes"])).exits(15);
    for place in ["large objects: 1 time, of email (raw)", "large objects: 1 time, of email (hex)", "roles:"] {
        assert!(refused.stderr.contains(place), "{place}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("user42"), "{}", refused.stderr);
    assert_eq!(states(sandbox), ["live"; 2]);
    fs::write(sandbox.path("rules.toml"), format!("{RULES}\n[sweep]\nresidue = \"report\"\n")).unwrap();
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    let places = texts(&erased["traces"], "place");
    assert!(places.contains(&"large objects".to_owned()) && places.contains(&"roles".to_owned()), "{places:?}");
    let receipt = fs::read_to_string(erased["receipt"].as_str().unwrap()).unwrap();
    assert!(receipt.contains("large objects") && !receipt.contains("user42"), "{receipt}");
}

#[test]
fn a_plain_dump_beside_archives_is_refused_or_swept_and_never_passed_over() {
    let nights = nights(1);
    let sandbox = &nights.sandbox;
    let import = |file: &str, time: &str| sandbox.run(&["import", file, "--job", "d", "--time", time]).exits(0);
    for (number, arguments) in [&[][..], &["--inserts"], &["--column-inserts"]].iter().enumerate() {
        dump(&nights, "plain.sql", arguments);
        import("plain.sql", &format!("2020-01-0{}T00:00Z", number + 1));
    }
    fs::write(sandbox.path("opaque"), [&b"\x00\x01"[..], b"to user42@mail.example", b"\xff"].concat()).unwrap();
    sandbox.run(&["backup", "--file", "files=opaque"]).exits(0);
    // By itself an erasure does not pass over what it cannot take apart.
    let refused = sandbox.run(&with(&["--yes"])).exits(15);
    assert!(
        refused.stderr.contains("holds no PostgreSQL archive") && refused.stderr.contains("other = \"sweep\""),
        "{}",
        refused.stderr
    );
    // Allowed to be swept only, they are, and traces fail the erasure as everywhere.
    fs::write(sandbox.path("rules.toml"), format!("{RULES}\n[sweep]\nother = \"sweep\"\n")).unwrap();
    let refused = sandbox.run(&with(&["--yes"])).exits(15);
    assert!(refused.stderr.contains("traces of the person would be left"), "{}", refused.stderr);
    let plan = sandbox.run(&with(&["--dry-run", "--json"])).exits(0).json();
    let found: u64 = plan["traces"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|trace| trace["identifier"] == "email" && trace["place"] == "data")
        .map(|trace| trace["count"].as_u64().unwrap())
        .sum();
    assert!(found >= 2, "in the opaque file and in plain text: {}", plan["traces"]);
    assert!(plan["unsearched"].to_string().contains("not taken apart"), "{}", plan["unsearched"]);
    assert_eq!(sandbox.run(&["erase", "status", "--json"]).exits(0).json()["erasures"].as_array().unwrap().len(), 0);
    // Those snapshots go whole; then the rest is erased, and one that only speaks of others stays as it is.
    let plain: Vec<String> =
        super::snapshots(sandbox, "live").into_iter().filter(|id| !nights.ids.contains(id)).collect();
    let all: Vec<&str> = plain.iter().map(String::as_str).collect();
    sandbox.run(&[&["erase", "snapshot", "--yes", "--allow-last"][..], &all].concat()).exits(5);
    fs::write(sandbox.path("opaque"), b"of somebody else").unwrap();
    sandbox.run(&["backup", "--file", "files=opaque"]).exits(0);
    let erased = sandbox.run(&with(&["--yes", "--json"])).exits(5).json();
    assert_eq!(erased["snapshots"].as_array().unwrap().len(), 2);
    let kept = super::snapshots(sandbox, "live");
    assert!(kept.iter().any(|id| sandbox.run(&["cat", id, "data"]).stdout == b"of somebody else"));
    day(&nights.cluster, 1);
}
