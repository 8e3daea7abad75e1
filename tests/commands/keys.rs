//! Who can do what with which key, and what a person is told when one is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{keys_of, lines, ready, snapshots};
use crate::support::sandbox::{Sandbox, files_under};

/// A repository with one snapshot of these lines under the job `a`.
fn with_snapshot() -> (Sandbox, Vec<u8>) {
    let sandbox = ready();
    let text = lines(5_000);
    fs::write(sandbox.path("dump"), &text).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    (sandbox, text)
}

#[test]
fn what_is_not_there_has_its_own_exit_code() {
    let sandbox = Sandbox::new();
    let document = sandbox.run(&["snapshots", "--json"]).exits(10).json();
    assert_eq!(document["error"]["kind"], "not_found");
    assert!(document["error"]["hint"].as_str().unwrap().contains("init"));
    sandbox.run(&["--repo", "s3://bucket/x", "snapshots"]).exits(2);
    sandbox.run(&["backup"]).exits(10);
    sandbox.run(&["init", "--json"]).exits(2);
    sandbox.run(&["init", "--kit-file", "kit", "--recipient", "age1nonsense"]).exits(2);
    sandbox.run(&["init", "--kit-file", "repo/kit"]).exits(15);
    sandbox.run(&["init", "--kit-file", "kit", "--json"]).exits(0);
    sandbox.run(&["init", "--no-kit"]).exits(2);
    sandbox.run(&["backup"]).exits(2);
    sandbox.run(&["show", "latest"]).exits(10);
    sandbox.run(&["show", "abcdef"]).exits(10);
    sandbox.run(&["show", "not-an-id"]).exits(2);
    sandbox.run(&["kit", "issue", "--kit-file", "kit"]).exits(15);
}

#[test]
fn everything_init_makes_is_private_and_the_cell_stays_out_of_the_repository() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("repo")).unwrap();
    let cell = format!("file:{}", sandbox.path("repo/cell").display());
    let refused = sandbox.run(&["init", "--no-kit", "--seal-cell", &cell]).exits(15);
    assert!(refused.stderr.contains("seal cell"), "{}", refused.stderr);
    let document = sandbox.run(&["init", "--kit-file", "kit", "--json"]).exits(0).json();
    for field in ["repository", "identity_file", "kit_file", "identity_sheet_file", "cells"] {
        assert!(document.get(field).is_some(), "{field} is missing");
    }
    let mut files = files_under(&sandbox.home());
    files.extend(files_under(&sandbox.repository()));
    files.extend([sandbox.path("kit"), sandbox.path("kit-identity")]);
    for file in files {
        let mode = fs::symlink_metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

#[test]
fn a_host_without_private_keys_backs_up_and_cannot_read_or_forget() {
    let (sandbox, text) = with_snapshot();
    let keys = keys_of(&sandbox);
    let away = sandbox.path("away");
    fs::create_dir(&away).unwrap();
    let private = ["admin.key", "identity.txt", "seal.cell"];
    private.iter().for_each(|name| fs::rename(keys.join(name), away.join(name)).unwrap());
    let document = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(document["chunks_new"], 0);
    let restored = sandbox.run(&["restore", "latest", "--stdout"]).exits(12);
    assert!(restored.stderr.contains("--kit") && restored.stdout.is_empty(), "{}", restored.stderr);
    let held = sandbox.run(&["hold", "latest"]).exits(12);
    assert!(held.stderr.contains("admin.key"), "{}", held.stderr);
    sandbox.run(&["forget", "--keep-last", "1"]).exits(12);
    sandbox.run(&["kit", "issue", "--kit-file", "kit2"]).exits(12);
    let shown = sandbox.run(&["show", "latest", "--json"]).exits(0).json();
    assert_eq!((&shown["sealed"], &shown["streams"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(sandbox.run(&["check", "--json"]).exits(0).json()["level"], 2);
    fs::rename(away.join("seal.cell"), keys.join("seal.cell")).unwrap();
    let restored = sandbox.run(&["restore", "latest", "--stdout"]).exits(12);
    assert!(restored.stderr.contains("identity.txt"), "{}", restored.stderr);
    assert_eq!(sandbox.run(&["check", "--json"]).exits(0).json()["level"], 3);
    let identity = away.join("identity.txt").display().to_string();
    let restored = sandbox.run(&["--identity", &identity, "restore", "latest", "--stdout"]).exits(0);
    assert!(restored.stdout == text);
}

#[test]
fn without_a_writer_key_nothing_is_written_but_the_rest_works() {
    let (sandbox, text) = with_snapshot();
    fs::remove_file(keys_of(&sandbox).join("writer.key")).unwrap();
    fs::remove_file(keys_of(&sandbox).join("catalog.db")).unwrap();
    let refused = sandbox.run(&["backup", "--file", "a=dump"]).exits(12);
    assert!(refused.stderr.contains("writer.key"), "{}", refused.stderr);
    assert!(sandbox.run(&["cat", "latest", "data"]).exits(0).stdout == text);
}

#[test]
fn the_kit_restores_when_the_cell_is_gone() {
    let (sandbox, text) = with_snapshot();
    fs::remove_file(keys_of(&sandbox).join("seal.cell")).unwrap();
    sandbox.run(&["ls", "latest"]).exits(12);
    let document = sandbox.run(&["ls", "latest", "--kit", "kit", "--json"]).exits(0).json();
    assert_eq!(document["streams"][0]["bytes"], text.len());
    let sheet = fs::read(sandbox.path("kit")).unwrap();
    let restored = sandbox.run_with_input(&["restore", "latest", "--stdout", "--kit", "-"], &sheet).exits(0);
    assert!(restored.stdout == text);
    let typed = String::from_utf8(sheet).unwrap().to_uppercase().replace("  ", " ");
    assert!(sandbox.run_with_input(&["cat", "latest", "data", "--kit", "-"], typed.as_bytes()).exits(0).stdout == text);
    let wrong = typed.replacen("\n2 ", "\n3 ", 1);
    sandbox.run_with_input(&["cat", "latest", "data", "--kit", "-"], wrong.as_bytes()).exits(2);
    sandbox.run(&["check", "--read-data", "--kit", "kit"]).exits(0);
}

#[test]
fn two_sheets_of_paper_restore_on_a_machine_that_has_nothing() {
    let (sandbox, text) = with_snapshot();
    let cold = Sandbox::new();
    for name in ["kit", "kit-identity"] {
        fs::copy(sandbox.path(name), cold.path(name)).unwrap();
    }
    // The policy names the cell by its place, and this is the same machine.
    fs::remove_file(keys_of(&sandbox).join("seal.cell")).unwrap();
    let repository = sandbox.repository().display().to_string();
    let read = |kits: &[&str]| {
        let mut arguments = vec!["--repo", &repository, "restore", "latest", "--stdout"];
        kits.iter().for_each(|kit| arguments.extend(["--kit", kit]));
        cold.run(&arguments)
    };
    assert!(read(&["kit"]).exits(12).stdout.is_empty());
    assert!(read(&["kit-identity"]).exits(12).stdout.is_empty());
    assert!(read(&["kit", "kit-identity"]).exits(0).stdout == text);
    let both = [fs::read(cold.path("kit")).unwrap(), fs::read(cold.path("kit-identity")).unwrap()].concat();
    let arguments = ["--repo", &repository, "restore", "latest", "--stdout", "--kit", "-"];
    assert!(cold.run_with_input(&arguments, &both).exits(0).stdout == text, "one after the other");
}

#[test]
fn the_identity_sheet_is_acknowledged_by_itself() {
    let sandbox = ready();
    let words = |file: &str| {
        let sheet = fs::read_to_string(sandbox.path(file)).unwrap();
        sheet.lines().find_map(|line| line.strip_prefix("check")).unwrap().trim().to_owned()
    };
    let sheets = || sandbox.run(&["seal", "status", "--json"]).exits(0).json()["identity_sheets"].clone();
    assert_eq!(sheets()[0]["verified"], false);
    sandbox.run(&["kit", "ack", "1", "--identity-sheet", "--checksum", &words("kit")]).exits(15);
    sandbox.run(&["kit", "ack", "1", "--identity-sheet", "--checksum", &words("kit-identity")]).exits(0);
    assert_eq!(sheets()[0]["verified"], true);
    assert_eq!(sandbox.run(&["seal", "verify", "--json"]).exits(3).json()["holders_verified"], 1);
    sandbox.run(&["kit", "ack", "1", "--checksum", &words("kit")]).exits(0);
    sandbox.run(&["seal", "verify"]).exits(0);
    let issued = sandbox.run(&["kit", "issue", "--kit-file", "kit2", "--json"]).exits(0).json();
    assert_eq!(issued["identity_sheet_file"], "kit2-identity");
    assert_eq!(words("kit2-identity"), words("kit-identity"), "it is the same secret");
    sandbox.run(&["kit", "ack", "2", "--identity-sheet", "--checksum", &words("kit2-identity")]).exits(0);
    fs::remove_file(keys_of(&sandbox).join("identity.txt")).unwrap();
    let alone = sandbox.run(&["kit", "issue", "--kit-file", "kit3", "--json"]).exits(0).json();
    assert!(alone["identity_sheet_file"].is_null() && !sandbox.path("kit3-identity").exists());
}

#[test]
fn a_wrong_identity_opens_nothing() {
    let (sandbox, _) = with_snapshot();
    let other = ready();
    fs::copy(keys_of(&other).join("identity.txt"), sandbox.path("other.txt")).unwrap();
    let refused = sandbox.run(&["--identity", "other.txt", "cat", "latest", "data"]).exits(12);
    assert!(refused.stderr.contains("1 identities") && refused.stdout.is_empty(), "{}", refused.stderr);
    sandbox.run(&["--identity", "nowhere.txt", "cat", "latest", "data"]).exits(12);
    fs::copy(other.path("kit"), sandbox.path("other-kit")).unwrap();
    fs::remove_file(keys_of(&sandbox).join("seal.cell")).unwrap();
    sandbox.run(&["cat", "latest", "data", "--kit", "other-kit"]).exits(12);
}

#[test]
fn a_passphrase_opens_without_any_file_on_the_host() {
    let mut sandbox = Sandbox::new();
    sandbox.set("LACRE_PASSPHRASE", "correct horse battery staple");
    let made = sandbox.run(&["init", "--passphrase", "--kit-file", "kit", "--json"]).exits(0).json();
    assert!(made["identity_file"].is_null());
    let listed = sandbox.run(&["key", "list", "--json"]).exits(0).json();
    assert_eq!(listed["recipients"][0]["kind"], "passphrase");
    sandbox.unset("LACRE_PASSPHRASE");
    sandbox.run_with_input(&["backup", "--stdin", "a"], b"secret\n").exits(0);
    sandbox.run(&["cat", "latest", "data"]).exits(12);
    sandbox.set("LACRE_PASSPHRASE", "wrong");
    sandbox.run(&["cat", "latest", "data"]).exits(12);
    fs::write(sandbox.path("passphrase"), "correct horse battery staple\n").unwrap();
    sandbox.unset("LACRE_PASSPHRASE").set("LACRE_PASSPHRASE_FILE", "passphrase");
    assert_eq!(sandbox.run(&["cat", "latest", "data"]).exits(0).text(), "secret\n");
}

#[test]
fn key_files_others_can_read_are_warned_about() {
    let (sandbox, _) = with_snapshot();
    assert_eq!(sandbox.run(&["ls", "latest"]).exits(0).stderr, "");
    let identity = keys_of(&sandbox).join("identity.txt");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    let warned = sandbox.run(&["ls", "latest"]).exits(0);
    assert!(warned.stderr.contains("identity.txt") && warned.stderr.contains("chmod"), "{}", warned.stderr);
    fs::write(sandbox.path("lacre.toml"), "").unwrap();
    fs::set_permissions(sandbox.path("lacre.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    let warned = sandbox.run(&["--config", "lacre.toml", "snapshots"]).exits(0);
    assert!(warned.stderr.contains("lacre.toml can be changed by other users"), "{}", warned.stderr);
}

#[test]
fn two_holders_of_the_seal_are_proved_by_typing_the_kit_back() {
    let sandbox = ready();
    assert_eq!(sandbox.run(&["seal", "verify", "--json"]).exits(3).json()["holders_verified"], 1);
    let sheet = fs::read_to_string(sandbox.path("kit")).unwrap();
    let words = sheet.lines().find_map(|line| line.strip_prefix("check")).unwrap().trim();
    sandbox.run(&["kit", "ack", "1"]).exits(15);
    sandbox.run(&["kit", "ack", "1", "--checksum", "pony pony pony pony"]).exits(15);
    sandbox.run(&["kit", "ack", "9", "--checksum", words]).exits(2);
    assert_eq!(sandbox.run(&["kit", "ack", "1", "--checksum", words, "--json"]).exits(0).json()["state"], "verified");
    let verified = sandbox.run(&["seal", "verify", "--json"]).exits(0).json();
    assert_eq!((&verified["ok"], &verified["holders_verified"]), (&true.into(), &2.into()));
    sandbox.run(&["kit", "ack", "1", "--destroyed"]).exits(0);
    sandbox.run(&["kit", "issue", "--kit-file", "kit2"]).exits(0);
    assert_eq!(sandbox.run(&["seal", "status", "--json"]).exits(0).json()["holders_verified"], 1);
}

#[test]
fn forgetting_is_planned_said_and_taken_back() {
    let (sandbox, text) = with_snapshot();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    let ids = snapshots(&sandbox, "live");
    sandbox.run(&["hold", &ids[0]]).exits(0);
    let plan = sandbox.run(&["forget", "--keep-last", "1", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(snapshots(&sandbox, "live").len(), 3);
    let done = sandbox.run(&["forget", "--keep-last", "1", "--json"]).exits(0).json();
    assert_eq!((&plan["kept"], &plan["forgotten"]), (&done["kept"], &done["forgotten"]));
    assert_eq!(done["forgotten"][0]["snapshot"], ids[1].as_str());
    assert_eq!(done["kept"][1]["reasons"][0], "held");
    assert_eq!(snapshots(&sandbox, "forgotten"), [ids[1].clone()]);
    assert!(sandbox.run(&["restore", &ids[1], "--stdout"]).exits(15).stdout.is_empty());
    sandbox.run(&["forget", "--undo", &ids[1]]).exits(0);
    assert!(sandbox.run(&["restore", &ids[1], "--stdout"]).exits(0).stdout == text);
    sandbox.run(&["release", &ids[0]]).exits(0);
    sandbox.run(&["release", &ids[0]]).exits(15);
    let nothing = sandbox.run(&["forget", "--json"]).exits(0).json();
    assert_eq!(nothing["forgotten"], serde_json::json!([]));
}

#[test]
fn an_openpgp_key_in_the_agent_restores_what_its_certificate_was_backed_up_to() {
    let mut sandbox = Sandbox::new();
    let gnupg = sandbox.path("gnupg");
    fs::create_dir(&gnupg).unwrap();
    fs::set_permissions(&gnupg, fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.set("GNUPGHOME", &gnupg).set_umask("077");
    let gpg = |arguments: &[&str]| {
        let all = [&["--batch", "--quiet", "--passphrase", ""], arguments].concat();
        let output = sandbox.program("gpg", &all).output().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    gpg(&["--quick-generate-key", "Lacre <lacre@example.org>", "rsa2048", "default", "never"]);
    let listed = String::from_utf8(gpg(&["--list-keys", "--with-colons"])).unwrap();
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':');
    gpg(&["--quick-add-key", fingerprint, "rsa2048", "encr", "never"]);
    fs::write(sandbox.path("cert.asc"), gpg(&["--armor", "--export", fingerprint])).unwrap();
    fs::write(sandbox.path("secret.asc"), gpg(&["--armor", "--export-secret-keys", fingerprint])).unwrap();
    let made = sandbox.run(&["init", "--pgp", "cert.asc", "--kit-file", "kit", "--json"]).exits(0).json();
    assert!(made["identity_file"].is_null());
    sandbox.run_with_input(&["backup", "--stdin", "a"], b"by certificate\n").exits(0);
    assert_eq!(sandbox.run(&["cat", "latest", "data"]).exits(0).text(), "by certificate\n");
    let stopped = sandbox.program("gpgconf", &["--kill", "all"]).status().unwrap();
    assert!(stopped.success());
    fs::remove_dir_all(&gnupg).unwrap();
    sandbox.run(&["cat", "latest", "data"]).exits(12);
    let by_file = sandbox.run(&["--identity", "secret.asc", "cat", "latest", "data"]).exits(0);
    assert_eq!(by_file.text(), "by certificate\n");
}
