//! Bad days: a disk that fills up, a snapshot from the past brought back, a restore that is killed.

use std::fs;
use std::time::Duration;

use super::{keys_of, lines, ready, snapshots};
use crate::support::cluster::Cluster;
use crate::support::sandbox::{Outcome, Sandbox, files_under};
use crate::support::seed::Seed;

const FULL_DISK: &str = include_str!("full_disk.sh");
const FULL_HOME: &str = include_str!("full_home.sh");

#[test]
fn a_disk_that_fills_up_costs_only_that_run() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("full_disk.sh"), FULL_DISK).unwrap();
    let script = ["-rm", "bash", "full_disk.sh", env!("CARGO_BIN_EXE_lacre")];
    let outcome = Outcome::of(sandbox.program("unshare", &script).spawn().unwrap(), &script).exits(0);
    let mut live = 1;
    let (mut full, mut fitted) = (0, 0);
    for line in outcome.text().lines() {
        let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [kib, exit, listed] = numbers[..] else { panic!("{line}") };
        let said = fs::read_to_string(sandbox.path(&format!("err.{kib}"))).unwrap();
        match exit {
            // Only the snapshot counts: what could not be tidied up afterwards is a warning.
            0 | 3 => fitted += 1,
            1 => full += 1,
            other => panic!("{kib} KiB free: exit {other}: {said}"),
        }
        assert!(
            exit != 1 || ["space", "full", "disk I/O"].iter().any(|word| said.contains(word)),
            "{kib} KiB free: {said}"
        );
        live += u32::from(exit != 1);
        assert_eq!(listed, live, "{kib} KiB free, exit {exit}: {said}");
    }
    assert!(full > 5 && fitted > 1, "{}", outcome.text());
}

#[test]
fn reading_needs_no_room_on_the_disk_of_this_hosts_files() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("full_home.sh"), FULL_HOME).unwrap();
    let script = ["-rm", "bash", "full_home.sh", env!("CARGO_BIN_EXE_lacre")];
    let outcome = Outcome::of(sandbox.program("unshare", &script).spawn().unwrap(), &script).exits(0);
    let mut expected = Vec::new();
    for state in ["full", "no-cache"] {
        expected.extend(["snapshots", "ls", "cat", "restore", "check"].map(|command| format!("{state} {command}")));
    }
    expected.extend(["backup 1".to_owned(), "cold cat".to_owned()]);
    assert_eq!(outcome.text().lines().collect::<Vec<_>>(), expected, "{}", outcome.stderr);
    let said = fs::read_to_string(sandbox.path("backup.err")).unwrap();
    assert!(said.contains("space") || said.contains("full"), "{said}");
}

#[test]
fn a_repository_that_is_no_folder_or_closed_is_a_usage_error_with_the_fix() {
    let sandbox = ready();
    fs::write(sandbox.path("file"), b"x").unwrap();
    for path in ["file", "file/below"] {
        for command in [&["snapshots"][..], &["init", "--no-kit"], &["check"]] {
            let outcome = sandbox.run(&[&["--repo", path], command].concat()).exits(2);
            let said = &outcome.stderr;
            assert!(said.contains("is a file, not a folder") && said.contains("hint:"), "{said}");
        }
    }
}

#[test]
fn a_key_file_that_was_cut_off_is_told_from_a_damaged_repository() {
    let sandbox = ready();
    sandbox.run_with_input(&["backup", "--stdin", "a"], b"text\n").exits(0);
    for (name, command) in [("writer.key", &["backup", "--stdin", "a"][..]), ("admin.key", &["hold", "latest"])] {
        let path = keys_of(&sandbox).join(name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        let said = sandbox.run_with_input(command, b"text\n").exits(12).stderr;
        assert!(said.contains(path.to_str().unwrap()) && said.contains("LACRE_HOME"), "{said}");
        fs::write(&path, good).unwrap();
    }
}

/// Whoever can write to the store may put it back into an older state, one kind of object at a time.
#[test]
fn objects_missing_from_the_newest_state_are_noticed() {
    let sandbox = ready();
    fs::write(sandbox.path("dump"), lines(1_000)).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    sandbox.run(&["hold", "latest"]).exits(0);
    let before = sandbox.path("before");
    let copied = sandbox.program("cp", &["-a", "repo", "before"]).status().unwrap();
    assert!(copied.success());
    sandbox.run(&["release", "latest"]).exits(0);
    fs::write(sandbox.path("dump"), lines(1_200)).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    sandbox.run(&["forget", "--keep-last", "1"]).exits(0);
    // The objects of the newer state that the older one lacks are removed one kind at a time.
    let old: Vec<_> = files_under(&before).iter().map(|path| path.strip_prefix(&before).unwrap().to_owned()).collect();
    let new = files_under(&sandbox.repository());
    for kind in ["snap/", "packs/", "reach/", "keyring/in/"] {
        let gone: Vec<_> = new
            .iter()
            .filter(|path| {
                let name = path.strip_prefix(sandbox.repository()).unwrap();
                !old.contains(&name.to_owned()) && name.to_str().unwrap().starts_with(kind)
            })
            .collect();
        assert!(!gone.is_empty(), "nothing new under {kind}");
        let kept: Vec<_> = gone.iter().map(|path| fs::read(path).unwrap()).collect();
        gone.iter().for_each(|path| fs::remove_file(path).unwrap());
        let checked = sandbox.run(&["check", "--read-data"]);
        let code = checked.status.code().unwrap();
        assert!([3, 4].contains(&code), "without the new {kind}: exit {code}: {}{}", checked.text(), checked.stderr);
        gone.iter().zip(kept).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        sandbox.run(&["check", "--read-data"]).exits(0);
    }
}

#[test]
fn a_restore_killed_at_any_time_leaves_nothing_under_the_name() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster
        .sql("d", "create table t as select n, md5(n::text) m from generate_series(1, 60000) n; create index on t (m)");
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox.run(&["backup", "--postgres", &cluster.url("d")]).exits(0);
    let mut seed = Seed::new(23);
    let to = cluster.url("back");
    let mut killed = 0;
    for _ in 0..8 {
        let after = Duration::from_millis(20 + seed.below(500));
        let run = sandbox.run_killed(&["restore", "latest", "--to", &to, "--create"], after);
        killed += u32::from(run.was_killed());
        if cluster.has_database("back") {
            assert_eq!(cluster.sql("back", "select count(*) from t"), "60000");
            cluster.sql("postgres", "drop database back with (force)");
        }
    }
    assert!(killed > 0, "no run was killed; the machine is too fast for this test's times");
    sandbox.run(&["restore", "latest", "--to", &to, "--create"]).exits(0);
    assert_eq!(cluster.sql("back", "select count(*), min(length(m)) from t"), "60000\t32");
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}
