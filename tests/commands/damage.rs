//! Damaged, missing and foreign objects: named, never believed, never silent.

use std::fs;
use std::path::{Path, PathBuf};

use super::{keys_of, lines, ready};
use crate::support::sandbox::{Sandbox, files_under, leaks};

/// What the newest snapshot has more than the one before.
const LAST_LINE: &[u8] = b"one more line of a secret ledger\n";

/// A repository with three snapshots of two jobs, and what the newest of `a` holds.
fn filled() -> (Sandbox, Vec<u8>) {
    let sandbox = ready();
    let mut text = lines(20_000);
    fs::write(sandbox.path("dump"), &text).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    sandbox.run(&["backup", "--file", "b=dump"]).exits(0);
    text.extend_from_slice(LAST_LINE);
    fs::write(sandbox.path("dump"), &text).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    (sandbox, text)
}

fn packs(sandbox: &Sandbox) -> Vec<PathBuf> {
    files_under(&sandbox.repository().join("packs"))
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn forget_caches(sandbox: &Sandbox) {
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        match fs::remove_file(keys_of(sandbox).join(name)) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    }
}

#[test]
fn a_flipped_bit_in_a_pack_is_found_and_named() {
    let (sandbox, _) = filled();
    let pack = packs(&sandbox).into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    flip(&pack);
    sandbox.run(&["check"]).exits(0);
    let found = sandbox.run(&["check", "--read-data", "--json"]).exits(4).json();
    let name = pack.file_name().unwrap().to_str().unwrap();
    let findings = found["findings"].as_array().unwrap();
    let of_pack = |finding: &&serde_json::Value| finding["object"].as_str().unwrap().contains(name);
    assert_eq!(findings.iter().find(of_pack).unwrap()["severity"], "damage", "{findings:?}");
    let by_command = sandbox.run(&["repo", "check", "--read-data"]).exits(4);
    assert!(by_command.text().contains("DAMAGED"), "{}", by_command.text());
}

#[test]
fn caches_can_be_deleted_at_any_time() {
    let (sandbox, text) = filled();
    forget_caches(&sandbox);
    assert!(sandbox.run(&["cat", "latest:a", "data"]).exits(0).stdout == text);
    forget_caches(&sandbox);
    let again = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(again["chunks_new"], 0);
    fs::write(keys_of(&sandbox).join("catalog.db"), b"this is no database").unwrap();
    sandbox.run(&["check", "--read-data"]).exits(0);
    fs::remove_dir_all(keys_of(&sandbox).join("index")).unwrap();
    let full = sandbox.run(&["backup", "--file", "a=dump", "--json"]).exits(0).json();
    assert_eq!(full["chunks_new"], full["chunks"]);
    assert!(sandbox.run(&["cat", "latest:a", "data"]).exits(0).stdout == text);
    let rebuilt = sandbox.run(&["repo", "rebuild", "--json"]).exits(0).json();
    assert_eq!(rebuilt["packs"], packs(&sandbox).len());
}

/// What must hold of any damage to any one object: nobody panics, nobody gets other bytes, and the audit does not call it well.
fn misbelieved(sandbox: &Sandbox, text: &[u8], what: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    forget_caches(sandbox);
    let read = sandbox.run(&["cat", "latest:a", "data"]);
    let code = read.status.code().unwrap_or(-1);
    // 3: its parity corrected it, and that was said.
    let corrected = code == 3 && read.stderr.contains("its parity made");
    if !(corrected || [0, 1, 4, 10, 12].contains(&code)) || read.stderr.contains("panicked") {
        wrong.push(format!("{what}: cat ended with {code}: {}", read.stderr));
    }
    // The newest snapshot may be gone, and an older one then is `latest`; anything else must be the very bytes.
    let older = &text[..text.len() - LAST_LINE.len()];
    if (code == 0 || corrected) && read.stdout != text && read.stdout != older {
        wrong.push(format!("{what}: other bytes came out"));
    }
    let checked = sandbox.run(&["check", "--read-data"]);
    let code = checked.status.code().unwrap_or(-1);
    if ![3, 4].contains(&code) || checked.stderr.contains("panicked") {
        wrong.push(format!("{what}: check ended with {code}: {}{}", checked.text(), checked.stderr));
    }
    wrong
}

#[test]
fn every_object_flipped_or_cut_or_swapped_is_found() {
    let (sandbox, text) = filled();
    let objects = files_under(&sandbox.repository());
    let mut wrong = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        let good = fs::read(object).unwrap();
        let name = object.strip_prefix(sandbox.repository()).unwrap().display().to_string();
        flip(object);
        wrong.extend(misbelieved(&sandbox, &text, &format!("flipped {name}")));
        fs::write(object, &good[..good.len() / 2]).unwrap();
        wrong.extend(misbelieved(&sandbox, &text, &format!("cut {name}")));
        let other = objects.iter().enumerate().find(|(place, other)| *place != at && other.parent() == object.parent());
        if let Some((_, other)) = other {
            fs::copy(other, object).unwrap();
            wrong.extend(misbelieved(&sandbox, &text, &format!("swapped {name}")));
        }
        fs::write(object, &good).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    forget_caches(&sandbox);
    sandbox.run(&["check", "--read-data"]).exits(0);
}

#[test]
fn a_repository_of_another_format_version_is_left_alone() {
    let (sandbox, _) = filled();
    let manifest = sandbox.repository().join("lacre.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    assert_ne!(text, newer, "{text}");
    fs::write(&manifest, newer).unwrap();
    let refused = sandbox.run(&["snapshots"]).exits(2);
    assert!(refused.stderr.contains("version"), "{}", refused.stderr);
}

#[test]
fn foreign_files_are_reported_and_never_touched() {
    let (sandbox, text) = filled();
    let foreign = sandbox.repository().join("packs/readme.txt");
    fs::write(&foreign, b"not ours").unwrap();
    assert!(sandbox.run(&["cat", "latest:a", "data"]).exits(0).stdout == text);
    let checked = sandbox.run(&["check", "--read-data"]);
    assert!(checked.text().contains("readme.txt"), "{}", checked.text());
    assert_eq!(fs::read(&foreign).unwrap(), b"not ours");
}

#[test]
fn nothing_readable_lies_in_the_repository() {
    let (sandbox, _) = filled();
    let identity = fs::read_to_string(keys_of(&sandbox).join("identity.txt")).unwrap();
    let secret = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY")).unwrap();
    let kit = fs::read_to_string(sandbox.path("kit")).unwrap();
    let words = kit.lines().find(|line| line.starts_with("1 ")).unwrap();
    let needles = ["row of 42", "secret ledger", "dump", "lines of text", secret, words];
    assert_eq!(leaks(&sandbox.repository(), &needles), Vec::<String>::new());
}
