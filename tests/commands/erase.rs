//! Erasing as a person does it: plan, refusal, change of the seal, what is still pending, receipt, proof.

use std::fs;

use super::lines;
use crate::support::sandbox::Sandbox;

/// A repository with one cell as its declared single holder, and four nights of one job.
fn nights() -> (Sandbox, Vec<String>, Vec<Vec<u8>>) {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-kit"]).exits(0);
    let (mut ids, mut texts) = (Vec::new(), Vec::new());
    for night in 0..4 {
        let text = lines(3_000 + night * 50);
        fs::write(sandbox.path("dump"), &text).unwrap();
        let document = sandbox.run(&["backup", "--file", "app=dump", "--json"]).exits(0).json();
        ids.push(document["snapshot"].as_str().unwrap().to_owned());
        texts.push(text);
    }
    (sandbox, ids, texts)
}

fn states(sandbox: &Sandbox) -> Vec<String> {
    let document = sandbox.run(&["snapshots", "--json"]).exits(0).json();
    let rows = document["snapshots"].as_array().unwrap().clone();
    rows.iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_snapshot_is_erased_with_a_receipt_that_anybody_can_verify() {
    let (sandbox, ids, texts) = nights();
    let old_copy = sandbox.path("copy");
    let copied =
        sandbox.program("cp", &["-a", sandbox.repository().to_str().unwrap(), old_copy.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());

    let plan = sandbox.run(&["erase", "snapshot", &ids[1], "--dry-run", "--json"]).exits(0).json();
    assert_eq!((plan["state"].as_str(), plan["erasure"].is_null()), (Some("planned"), true));
    assert!(plan["bytes_dead"].as_u64().unwrap() > 0 && plan["bytes_shared"].as_u64().unwrap() > 0);
    assert_eq!(states(&sandbox), ["live"; 4]);

    // Without a terminal and without --yes nothing happens.
    sandbox.run(&["erase", "snapshot", &ids[1]]).exits(15);
    assert_eq!(states(&sandbox), ["live"; 4]);

    let arguments = ["erase", "snapshot", &ids[1], "--yes", "--reason", "art17", "--request", "TICKET-812", "--json"];
    let erased = sandbox.run(&arguments).exits(5).json();
    assert_eq!(erased["state"], "interim");
    assert!(erased["pending"][0]["command"].as_str().unwrap().contains("lacre backup app"));
    assert_eq!(erased["request_salt"].as_str().unwrap().len(), 32);
    assert_eq!(states(&sandbox), ["live", "erased", "live", "live"]);
    let refused = sandbox.run(&["restore", &ids[1], "--stdout"]).exits(15);
    assert!(refused.stderr.contains("was erased"), "{}", refused.stderr);
    for night in [0, 2, 3] {
        assert_eq!(sandbox.run(&["restore", &ids[night], "--stdout"]).exits(0).stdout, texts[night]);
    }
    sandbox.run(&["repo", "check", "--read-data"]).exits(0);

    // The next night settles the writer; then nothing is pending.
    sandbox.run(&["backup", "--file", "app=dump"]).exits(0);
    let resumed = sandbox.run(&["erase", "resume", "--json"]).exits(0).json();
    assert_eq!(resumed["erasures"][0]["state"], "complete");
    let receipt = resumed["erasures"][0]["receipt"].as_str().unwrap().to_owned();
    let text = fs::read_to_string(&receipt).unwrap();
    assert!(!text.contains("TICKET"), "only a salted hash of the request is kept");

    // Verified on a machine that has only the file and the public key.
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.repository().join("lacre.json")).unwrap()).unwrap();
    let key = manifest["admin"].as_str().unwrap();
    let elsewhere = Sandbox::new();
    fs::write(elsewhere.path("receipt"), &text).unwrap();
    let verified = elsewhere.run(&["receipt", "verify", "receipt", "--admin-key", key, "--json"]).exits(0).json();
    assert_eq!(verified["receipt"]["state"], "complete");
    assert_eq!(verified["receipt"]["snapshots"][0]["snapshot"], ids[1].as_str());
    fs::write(elsewhere.path("receipt"), text.replace("\"complete\"", "\"interim\"")).unwrap();
    elsewhere.run(&["receipt", "verify", "receipt", "--admin-key", key]).exits(4);
    let other = format!("{}{}", if key.starts_with('0') { '1' } else { '0' }, &key[1..]);
    fs::write(elsewhere.path("receipt"), &text).unwrap();
    elsewhere.run(&["receipt", "verify", "receipt", "--admin-key", &other]).exits(4);

    // An old copy, today's seal and every key: nothing opens.
    let (copy, home) = (old_copy.to_str().unwrap().to_owned(), sandbox.path("auditor").to_str().unwrap().to_owned());
    let identity = super::keys_of(&sandbox).join("identity.txt").to_str().unwrap().to_owned();
    let prove = ["--repo", &copy, "--home", &home, "--identity", &identity, "erase", "prove", &ids[1], "--json"];
    let proof = sandbox.run(&prove).exits(0).json();
    assert_eq!(proof["succeeded"], 0);
    assert!(proof["tried"].as_u64().unwrap() > 0 && proof["identities"].as_u64().unwrap() > 0);
}

#[test]
fn what_cannot_be_erased_is_refused_and_an_erasure_can_be_given_up() {
    let (sandbox, ids, _) = nights();
    sandbox.run(&["hold", &ids[0], "--reason", "court"]).exits(0);
    let refused = sandbox.run(&["erase", "snapshot", &ids[0], "--yes"]).exits(15);
    assert!(refused.stderr.contains("held"), "{}", refused.stderr);
    sandbox.run(&["erase", "job", "app", "--before", "2099-01-01T00:00:00Z", "--yes"]).exits(15);
    sandbox.run(&["erase", "job", "nobody", "--before", "2099-01-01T00:00:00Z", "--yes"]).exits(10);
    sandbox.run(&["erase", "snapshot", &ids[1], "--yes", "--not-before", "2099-01-01T00:00:00Z"]).exits(5);
    assert_eq!(states(&sandbox), ["live", "pending", "live", "live"]);
    sandbox.run(&["restore", &ids[1], "--stdout"]).exits(15);
    let all = sandbox.run(&["erase", "status", "--json"]).exits(5).json();
    let id = all["erasures"][0]["erasure"].as_str().unwrap().to_owned();
    sandbox.run(&["erase", "cancel", &id[..8]]).exits(0);
    assert_eq!(states(&sandbox), ["live"; 4]);
    sandbox.run(&["erase", "cancel", &id[..8]]).exits(2);
    sandbox.run(&["erase", "attest", "kit:7", "lost"]).exits(2);
    // Without the admin key nothing is erased, and the missing key is named.
    let repos = fs::read_dir(sandbox.home().join("repos")).unwrap().next().unwrap().unwrap().path();
    fs::rename(repos.join("admin.key"), sandbox.path("aside")).unwrap();
    let refused = sandbox.run(&["erase", "snapshot", &ids[1], "--yes"]).exits(12);
    assert!(refused.stderr.contains("admin key"), "{}", refused.stderr);
}

#[test]
fn a_rotation_waits_for_the_new_kit_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let text = lines(3_000);
    fs::write(sandbox.path("dump"), &text).unwrap();
    sandbox.run(&["backup", "--file", "app=dump"]).exits(0);
    let pending = sandbox.run(&["seal", "rotate", "--json"]).exits(5).json();
    assert_eq!((pending["state"].as_str(), pending["to"].as_u64()), (Some("pending"), Some(1)));
    assert!(pending["pending"][0]["command"].as_str().unwrap().contains("kit issue"));
    sandbox.run(&["kit", "issue", "--kit-file", "kit2"]).exits(0);
    let sheet = fs::read_to_string(sandbox.path("kit2")).unwrap();
    let words = sheet.lines().find_map(|line| line.trim().strip_prefix("check")).unwrap().trim().to_owned();
    sandbox.run(&["kit", "ack", "2", "--checksum", &words]).exits(0);
    let closed = sandbox.run(&["seal", "rotate", "--json"]).exits(0).json();
    assert_eq!(closed["state"], "closed");
    // The new kit opens everything when the cell is gone.
    let cell =
        sandbox.run(&["seal", "status", "--json"]).exits(0).json()["holders"][0]["name"].as_str().unwrap().to_owned();
    fs::rename(cell.strip_prefix("file:").unwrap(), sandbox.path("cell")).unwrap();
    assert_eq!(sandbox.run(&["restore", "latest", "--stdout", "--kit", "kit2"]).exits(0).stdout, text);
}

#[test]
fn a_restore_that_ends_after_the_erasure_shows_nothing() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--no-kit"]).exits(0);
    // More than a pipe holds, so that the restore waits for its reader.
    fs::write(sandbox.path("dump"), lines(20_000)).unwrap();
    let first = sandbox.run(&["backup", "--file", "app=dump", "--json"]).exits(0).json();
    let victim = first["snapshot"].as_str().unwrap().to_owned();
    fs::write(sandbox.path("dump"), lines(20_100)).unwrap();
    sandbox.run(&["backup", "--file", "app=dump"]).exits(0);
    // The reader erases what it is about to be given, reads it, and takes it for whole once it sees its end.
    let lacre = env!("CARGO_BIN_EXE_lacre");
    let script = format!("set -e\n{lacre} erase snapshot {victim} --yes >/dev/null 2>&1 || true\ncat >got\n: >whole\n");
    fs::write(sandbox.path("reader"), script).unwrap();
    let refused = sandbox.run(&["restore", &victim, "--to-command", "sh reader"]).exits(15);
    assert!(refused.stderr.contains("was erased meanwhile"), "{}", refused.stderr);
    assert!(sandbox.path("got").exists() && !sandbox.path("whole").exists(), "the reader never saw the end");
    // While it ran it was on record, so the erasure did not count as complete; it has ended.
    let status = sandbox.run(&["erase", "status", "--json"]).json();
    let pending = status["erasures"][0]["pending"].to_string();
    assert!(!pending.contains("restore:"), "{pending}");
}
