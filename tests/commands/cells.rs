//! Cells as a person deals with them: a command that keeps values, one that hangs, cells that come and go, the seal that changes by
//! itself, and who is told of an erasure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use super::lines;
use crate::support::sandbox::{Outcome, Sandbox};

/// Keeps values as files of a folder; with a file `hang` in it, it answers no more.
const KEEPER: &str = r#"#!/bin/sh
set -eu
dir=$1 verb=$2 name=${3-}
[ ! -e "$dir.hang" ] || exec sleep 1000
[ ! -e "$dir.garbage" ] || exec yes garbage
case $verb in
put) set -C; cat > "$dir/$name" ;;
get) [ -e "$dir/$name" ] || exit 3; cat "$dir/$name" ;;
destroy) [ -e "$dir.keeps" ] || rm -f "$dir/$name" ;;
list) ls "$dir" ;;
*) exit 2 ;;
esac
"#;

/// A repository with three nights whose seal lies in a file and with one command.
fn ready() -> (Sandbox, Vec<String>, String) {
    let mut sandbox = Sandbox::new();
    let keeper = sandbox.path("keeper");
    fs::write(&keeper, KEEPER).unwrap();
    fs::set_permissions(&keeper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(sandbox.path("vault")).unwrap();
    let cell = format!("exec:{} {}", keeper.display(), sandbox.path("vault").display());
    configure(&mut sandbox, "patience = \"1s\"", "");
    sandbox.run(&["init", "--no-kit"]).exits(0);
    let added = sandbox.run(&["seal", "add-cell", &cell, "--holder", "vault", "--json"]).exits(0).json();
    assert_eq!((added["added"].as_str(), added["holders_verified"].as_u64()), (Some(cell.as_str()), Some(2)));
    let mut ids = Vec::new();
    for night in 0..3 {
        fs::write(sandbox.path("dump"), lines(2_000 + night * 50)).unwrap();
        let document = sandbox.run(&["backup", "--file", "app=dump", "--json"]).exits(0).json();
        ids.push(document["snapshot"].as_str().unwrap().to_owned());
    }
    (sandbox, ids, cell)
}

fn configure(sandbox: &mut Sandbox, seal: &str, more: &str) {
    let path = sandbox.path("lacre.toml");
    fs::write(&path, format!("[seal]\n{seal}\n{more}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &path);
}

fn values(sandbox: &Sandbox) -> Vec<String> {
    let names = fs::read_dir(sandbox.path("vault")).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_command_keeps_the_seal_and_forgets_it() {
    let (sandbox, ids, cell) = ready();
    let before = values(&sandbox);
    assert_eq!(before.len(), 1, "the trial left nothing: {before:?}");
    let text = fs::read_to_string(sandbox.path("vault").join(&before[0])).unwrap();
    assert!(text.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()), "a value is one line of text");
    let rotated = sandbox.run(&["seal", "rotate", "--json"]).exits(0).json();
    assert_eq!((rotated["state"].as_str(), rotated["carried"].as_u64()), (Some("closed"), Some(3)));
    let after = values(&sandbox);
    assert!(after.len() == 1 && after != before, "{after:?}");
    // The file is gone: the command alone opens everything, and only while it answers.
    let keys = super::keys_of(&sandbox);
    fs::rename(keys.join("seal.cell"), sandbox.path("aside")).unwrap();
    assert_eq!(sandbox.run(&["cat", &ids[0], "data"]).exits(0).stdout, lines(2_000));
    fs::write(sandbox.path("vault.hang"), "").unwrap();
    let refused = sandbox.run(&["cat", &ids[0], "data"]).exits(13);
    assert!(refused.stderr.contains("did not end within 1 seconds"), "{}", refused.stderr);
    fs::rename(sandbox.path("vault.hang"), sandbox.path("vault.garbage")).unwrap();
    let refused = sandbox.run(&["cat", &ids[0], "data"]).exits(13);
    assert!(refused.stderr.contains("more than"), "{}", refused.stderr);
    fs::remove_file(sandbox.path("vault.garbage")).unwrap();
    fs::rename(sandbox.path("aside"), keys.join("seal.cell")).unwrap();
    // Two holders remain, or the cell stays.
    let refused = sandbox.run(&["seal", "remove-cell", &cell]).exits(15);
    assert!(refused.stderr.contains("1 of the 2 independent holders"), "{}", refused.stderr);
    let second = sandbox.path("second");
    fs::create_dir(&second).unwrap();
    let other = format!("exec:{} {}", sandbox.path("keeper").display(), second.display());
    let moved = sandbox.run(&["seal", "move-cell", &cell, &other, "--holder", "elsewhere", "--json"]).exits(0).json();
    assert_eq!((moved["removed"].as_str(), moved["holders_verified"].as_u64()), (Some(cell.as_str()), Some(2)));
    assert!(values(&sandbox).is_empty(), "what it held is destroyed");
    sandbox.run(&["seal", "verify"]).exits(0);
    assert_eq!(sandbox.run(&["cat", &ids[1], "data"]).exits(0).stdout, lines(2_050));
}

#[test]
fn a_cell_that_keeps_what_it_should_destroy_is_named_until_it_is_settled() {
    let (sandbox, ids, cell) = ready();
    fs::write(sandbox.path("vault.keeps"), "").unwrap();
    let erased = sandbox.run(&["erase", "snapshot", &ids[0], "--yes", "--json"]).exits(5).json();
    let items: Vec<&str> =
        erased["pending"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert!(items.contains(&format!("cell:{cell}").as_str()), "{items:?}");
    sandbox.run(&["backup", "--file", "app=dump"]).exits(0);
    let verified = sandbox.run(&["seal", "verify"]).exits(3);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains("00000000-") && said.contains("lacre seal rotate"), "{said}");
    sandbox.run(&["erase", "resume"]).exits(5);
    fs::remove_file(sandbox.path("vault.keeps")).unwrap();
    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete");
    assert_eq!(values(&sandbox).len(), 1);
    // A cell that cannot forget is not taken in the first place.
    fs::create_dir(sandbox.path("worm")).unwrap();
    fs::write(sandbox.path("worm.keeps"), "").unwrap();
    let worm = format!("exec:{} {}", sandbox.path("keeper").display(), sandbox.path("worm").display());
    let refused = sandbox.run(&["seal", "add-cell", &worm]).exits(15);
    assert!(refused.stderr.contains("told to destroy"), "{}", refused.stderr);
}

/// Changes the seal as soon as it is due. How long that takes is not judged, only that it does not hang.
fn once_due(sandbox: &Sandbox) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let outcome = sandbox.run(&["seal", "rotate", "--if-due", "--json"]);
        if outcome.json()["state"] != "not_due" {
            return outcome;
        }
        assert!(Instant::now() < deadline, "it never was due");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_seal_changes_when_it_is_due_and_only_where_that_needs_nobody() {
    let (mut sandbox, ids, _) = ready();
    sandbox.run(&["seal", "rotate", "--if-due"]).exits(2);
    configure(&mut sandbox, "rotate_every = \"1s\"", "");
    // One command and a file: due, and a person's work.
    let by_hand = once_due(&sandbox).exits(3).json();
    assert_eq!((by_hand["state"].as_str(), by_hand["to"].as_u64()), (Some("by_hand"), Some(0)));
    let pruned = sandbox.run(&["repo", "prune"]).exits(0);
    assert!(pruned.stderr.contains("was due to change"), "{}", pruned.stderr);
    fs::create_dir(sandbox.path("second")).unwrap();
    let other = format!("exec:{} {}", sandbox.path("keeper").display(), sandbox.path("second").display());
    sandbox.run(&["seal", "add-cell", &other, "--holder", "elsewhere"]).exits(0);
    let status = sandbox.run(&["seal", "status", "--json"]).exits(0).json();
    assert!(status["rotation_due"].is_string() && status["rotation_blocked"].is_null(), "{status}");
    sandbox.run(&["repo", "prune"]).exits(0);
    assert_eq!(sandbox.run(&["seal", "status", "--json"]).exits(0).json()["generation"], 1);
    assert_eq!(once_due(&sandbox).exits(0).json()["to"], 2);
    configure(&mut sandbox, "rotate_every = \"90d\"", "");
    let not_due = sandbox.run(&["seal", "rotate", "--if-due", "--json"]).exits(0).json();
    assert_eq!((not_due["state"].as_str(), not_due["to"].as_u64()), (Some("not_due"), Some(2)));
    for (night, id) in (0_u32..).zip(&ids) {
        assert_eq!(sandbox.run(&["cat", id, "data"]).exits(0).stdout, lines(2_000 + night * 50));
    }
}

#[test]
fn every_intent_is_told_with_counts_only() {
    let (mut sandbox, ids, _) = ready();
    let told = sandbox.path("told");
    let hook = sandbox.path("hook");
    fs::write(&hook, format!("#!/bin/sh\ncat >> {}\n", told.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    configure(&mut sandbox, "", &format!("[hooks]\non_erase_intent = [[{hook:?}], [\"/bin/false\"]]"));
    sandbox.run(&["erase", "snapshot", &ids[0], "--dry-run"]).exits(0);
    assert!(!told.exists(), "a plan is no intent");
    let arguments =
        ["erase", "snapshot", &ids[0], "--yes", "--reason", "SECRETREASON", "--not-before", "2099-01-01T00:00:00Z"];
    let erased = sandbox.run(&arguments).exits(5);
    assert!(erased.stderr.contains("on_erase_intent \"/bin/false\" failed"), "{}", erased.stderr);
    sandbox.run(&["erase", "snapshot", &ids[1], "--yes"]).exits(5);
    let text = fs::read_to_string(&told).unwrap();
    let all: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.len(), 2);
    let manifest = fs::read_to_string(sandbox.repository().join("lacre.json")).unwrap();
    for document in &all {
        assert_eq!((document["event"].as_str(), document["snapshots"].as_u64()), (Some("erase_intent"), Some(1)));
        assert!(manifest.contains(document["repository"].as_str().unwrap()));
        let fields: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["schema", "event", "repository", "erasure", "snapshots", "bytes_dead", "bytes_shared"]);
    }
    assert!(!text.contains("SECRETREASON") && !text.contains("app") && !text.contains(&ids[0]), "{text}");
}

#[test]
fn nothing_could_be_erased_where_more_admins_have_to_approve_than_there_are() {
    let (sandbox, _, _) = ready();
    assert_eq!(sandbox.run(&["erase", "guard", "--json"]).exits(0).json()["approvals"], 0);
    let refused = sandbox.run(&["erase", "guard", "--approvals", "1"]).exits(15);
    assert!(refused.stderr.contains("nothing could be erased"), "{}", refused.stderr);
    sandbox.run(&["seal", "rotate"]).exits(0);
}

#[test]
fn a_lost_cell_goes_where_its_loss_is_no_news() {
    let (sandbox, ids, cell) = ready();
    // It still answers, so declaring it lost would take a holder away.
    let refused = sandbox.run(&["seal", "remove-cell", &cell, "--lost"]).exits(15);
    assert!(refused.stderr.contains("1 of the 2 independent holders"), "{}", refused.stderr);
    fs::remove_dir_all(sandbox.path("vault")).unwrap();
    sandbox.run(&["seal", "rotate"]).exits(13);
    // The file is the only holder before and after; the last one does not go.
    let keys = super::keys_of(&sandbox);
    let file = format!("file:{}", keys.join("seal.cell").display());
    sandbox.run(&["seal", "remove-cell", &file, "--lost"]).exits(15);
    let removed = sandbox.run(&["seal", "remove-cell", &cell, "--lost", "--json"]).exits(0).json();
    assert_eq!((removed["removed"].as_str(), removed["holders_verified"].as_u64()), (Some(cell.as_str()), Some(1)));
    // What was promised still is: two holders before anything is destroyed.
    let waiting = sandbox.run(&["seal", "rotate", "--json"]).exits(5).json();
    assert_ne!(waiting["state"].as_str(), Some("closed"));
    assert_eq!(sandbox.run(&["cat", &ids[1], "data"]).exits(0).stdout, lines(2_050));
}

#[test]
fn a_cell_on_a_disk_that_is_not_mounted_is_refused() {
    let sandbox = Sandbox::new();
    let missing = sandbox.path("mnt").join("usb").join("lacre").join("seal.cell");
    let cell = format!("file:{}", missing.display());
    let refused = sandbox.run(&["init", "--no-kit", "--seal-cell", &cell]).exits(15);
    assert!(refused.stderr.contains("mount its disk") && refused.stderr.contains("mkdir -p"), "{}", refused.stderr);
    assert!(!sandbox.path("mnt").exists(), "nothing was made");
    // A folder of its own is made where the disk is.
    fs::create_dir_all(sandbox.path("mnt").join("usb")).unwrap();
    sandbox.run(&["init", "--no-kit", "--seal-cell", &cell]).exits(0);
    assert!(missing.is_file());
    let other = sandbox.path("other").join("disk").join("seal.cell");
    let refused = sandbox.run(&["seal", "add-cell", &format!("file:{}", other.display())]).exits(15);
    assert!(refused.stderr.contains("does not exist"), "{}", refused.stderr);
    assert!(!sandbox.path("other").exists());
}
