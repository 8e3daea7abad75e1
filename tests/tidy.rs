//! House rules that no compiler checks: what may lie where, what a file may say, who may depend on what.
//!
//! Words that are looked for are put together from pieces, so that this file does not find itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest a source file may be before its tests begin.
const LINES_MAX: usize = 600;
/// Folders that hold nothing of ours, and files whose words are not ours.
const NOT_OURS: &[&str] = &[".git", "target", "demo-data", "Cargo.lock"];
/// Everything that may lie at the top; a new name needs a reason to be there rather than in one of these.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".config",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "bench",
    "crates",
    "deny.toml",
    "docs",
    "fuzz",
    "rust-toolchain.toml",
    "tests",
];
/// The lines every crate's `clippy.toml` shares; a crate's file replaces the workspace's, so each repeats them.
const CLIPPY_COMMON: &[&str] = &[
    "max-fn-params-bools = 0",
    "too-many-lines-threshold = 70",
    "allow-unwrap-in-tests = true",
    "allow-panic-in-tests = true",
    "allow-expect-in-tests = true",
];
/// Crates that never write to the terminal.
const SILENT: &[&str] = &["lacre-format", "lacre-seal", "lacre-repo", "lacre-dump"];
/// Dependencies that give a room its reason to exist, and the only rooms that may have them.
const ROOMS: &[(&str, &[&str])] = &[
    ("age", &["lacre-seal", "lacre-adversary"]),
    ("age-core", &["lacre-seal", "lacre-adversary"]),
    ("aws-lc-rs", &["lacre-seal", "lacre-adversary"]),
    ("chacha20poly1305", &["lacre-seal"]),
    ("aes-gcm", &["lacre-seal"]),
    ("hpke", &["lacre-seal", "lacre-adversary"]),
    ("secrecy", &["lacre-seal", "lacre-adversary"]),
    ("sequoia-openpgp", &["lacre-seal"]),
    ("rusqlite", &["lacre-repo"]),
    ("object_store", &["lacre-repo"]),
    ("tokio", &["lacre-repo", "lacre"]),
    ("tokio-postgres", &["lacre"]),
    ("anyhow", &["lacre"]),
    ("clap", &["lacre"]),
    ("lacre-repo", &["lacre"]),
    ("lacre-seal", &["lacre-repo", "lacre"]),
];

/// A text file of the project: its path from the top, and what it says.
struct Source {
    path: String,
    text: String,
}

fn top() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    assert!(top.join("crates/lacre/Cargo.toml").exists(), "{} is not the project", top.display());
    top
}

/// Every text file of the project; files that are not UTF-8 (vectors, corpora) are left out.
fn sources() -> Vec<Source> {
    let top = top();
    let mut sources = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                sources
                    .push(Source { path: entry.path().strip_prefix(&top).unwrap().to_str().unwrap().to_owned(), text });
            }
        }
    }
    assert!(sources.len() > 20, "the project was not found under {}", top.display());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn ends_in(source: &Source, extensions: &[&str]) -> bool {
    extensions.iter().any(|extension| source.path.ends_with(extension))
}

/// Whether a source file holds unit tests only; the rules for code that ships do not bind it.
fn only_tests(source: &Source) -> bool {
    let of_a_crate = source.path.starts_with("crates/") || source.path.starts_with("tests/model/");
    of_a_crate && (source.path.ends_with("/tests.rs") || source.path.contains("/tests/"))
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn crates() -> Vec<(String, PathBuf)> {
    let mut crates: Vec<_> = fs::read_dir(top().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    // The protocol's model is a crate that only tests use.
    crates.push(("lacre-model".to_owned(), top().join("tests/model")));
    crates.sort();
    crates
}

/// Panics with every finding on a line of its own, so that one run shows all there is to mend.
#[track_caller]
fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The lines of all text files that contain one of these words, whatever their case.
fn lines_with(words: &[&str], filter: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| filter(source)) {
        for (number, line) in source.text.lines().enumerate() {
            let lower = line.to_lowercase();
            findings.extend(
                words
                    .iter()
                    .filter(|word| lower.contains(&word.to_lowercase()))
                    .map(|word| format!("{}:{}: {word}", source.path, number + 1)),
            );
        }
    }
    findings
}

#[test]
fn nothing_is_left_open() {
    let mark = [
        concat!("to", "do!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("#[ig", "nore"),
    ];
    none(
        "work left open belongs in an issue",
        &lines_with(&mark, |source| ends_in(source, &[".rs", ".sh", ".py", ".sql", ".toml"])),
    );
    let word = concat!("TO", "DO");
    let findings: Vec<String> = sources()
        .iter()
        .filter(|source| source.text.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w == word))
        .map(|source| source.path.clone())
        .collect();
    none("work left open belongs in an issue", &findings);
}

#[test]
fn the_project_speaks_of_itself_only() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
        concat!("/ro", "ot/"),
        concat!("sub", "agent"),
        concat!("cla", "ude"),
        concat!("anth", "ropic"),
        concat!("chat", "gpt"),
        concat!("language ", "model"),
        concat!("AI ", "assistant"),
    ];
    none("these words are not about the project", &lines_with(&words, |_| true));
}

#[test]
fn types_have_names_that_say_something() {
    let empty = [
        concat!("Man", "ager"),
        concat!("Hand", "ler"),
        concat!("Hel", "per"),
        concat!("Ut", "il"),
        concat!("Ut", "ils"),
    ];
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| ends_in(source, &[".rs"])) {
        for (number, line) in source.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            while let Some(word) = words.next() {
                if !["struct", "enum", "trait"].contains(&word) {
                    continue;
                }
                let name = words.next().unwrap_or_default();
                findings.extend(
                    empty
                        .iter()
                        .filter(|end| name.ends_with(**end))
                        .map(|_| format!("{}:{}: {name}", source.path, number + 1)),
                );
            }
        }
    }
    none("a type is named by the noun a user would say", &findings);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| ends_in(source, &[".rs"]) && !only_tests(source)) {
        let lines = source.text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines", source.path));
        }
    }
    none(&format!("a file has at most {LINES_MAX} lines before its tests"), &findings);
}

#[test]
fn every_module_says_what_it_is() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| ends_in(source, &[".rs"]) && !only_tests(source)) {
        if !source.text.starts_with("//!") {
            findings.push(source.path.clone());
        }
    }
    none("a file opens with what comes in, what goes out and what it must not know", &findings);
}

#[test]
fn libraries_never_print() {
    let calls = [concat!("print", "ln!("), concat!("eprint", "ln!("), concat!("eprint", "!("), concat!("dbg", "!(")];
    let findings = lines_with(&calls, |source| {
        ends_in(source, &[".rs"])
            && !only_tests(source)
            && SILENT.iter().any(|name| source.path.starts_with(&format!("crates/{name}/src/")))
    });
    none("only the crate `lacre` talks to people", &findings);
}

#[test]
fn crates_share_the_common_lints() {
    let mut findings = Vec::new();
    for (name, path) in crates() {
        let text = fs::read_to_string(path.join("clippy.toml")).unwrap_or_default();
        let lines: BTreeSet<&str> = text.lines().map(str::trim).collect();
        findings.extend(
            CLIPPY_COMMON
                .iter()
                .filter(|line| !lines.contains(**line))
                .map(|line| format!("crates/{name}/clippy.toml lacks: {line}")),
        );
        let lints = manifest(&path.join("Cargo.toml"))
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if lints != Some(true) {
            findings.push(format!("crates/{name}/Cargo.toml does not take the workspace's lints"));
        }
    }
    none("every crate keeps the house rules", &findings);
}

#[test]
fn rooms_keep_to_themselves() {
    let mut findings = Vec::new();
    for (name, path) in crates() {
        let manifest = manifest(&path.join("Cargo.toml"));
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for dependency in
                manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys)
            {
                let allowed = ROOMS
                    .iter()
                    .find(|(known, _)| known == dependency)
                    .is_none_or(|(_, rooms)| rooms.contains(&name.as_str()));
                if !allowed {
                    findings.push(format!("crates/{name}/Cargo.toml: {dependency}"));
                }
            }
        }
    }
    none("a crate exists because the compiler forbids it something", &findings);
}

#[test]
fn every_dependency_is_explained_and_chosen_in_one_place() {
    let manifest_of_all = manifest(&top().join("Cargo.toml"));
    let chosen: BTreeMap<String, toml::Value> =
        manifest_of_all["workspace"]["dependencies"].as_table().unwrap().clone().into_iter().collect();
    let text = fs::read_to_string(top().join("docs/decisions/dependencies.md")).unwrap();
    let explained: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|rest| rest.split('`').next()).collect();
    let mut findings = Vec::new();
    for name in chosen.keys().filter(|name| !name.starts_with("lacre-") && !explained.contains(name.as_str())) {
        findings.push(format!("{name} is in Cargo.toml without a line in docs/decisions/dependencies.md"));
    }
    for name in explained.iter().filter(|name| !chosen.contains_key(**name)) {
        findings.push(format!("{name} has a line in docs/decisions/dependencies.md and is not in Cargo.toml"));
    }
    let mut used = BTreeSet::new();
    for (crate_name, path) in crates() {
        let manifest = manifest(&path.join("Cargo.toml"));
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in manifest.get(table).and_then(toml::Value::as_table).into_iter().flatten() {
                if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    findings.push(format!("crates/{crate_name}/Cargo.toml chooses {name} itself; versions live in the workspace's Cargo.toml"));
                }
                used.insert(name.clone());
            }
        }
    }
    findings.extend(
        chosen
            .keys()
            .filter(|name| !used.contains(*name))
            .map(|name| format!("{name} is in Cargo.toml and no crate uses it")),
    );
    none("a dependency is a decision", &findings);
}

#[test]
fn the_top_level_holds_only_what_must_be_there() {
    let listed = Command::new("git").arg("-C").arg(top()).args(["ls-files", "-z"]).output().unwrap();
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let paths = String::from_utf8(listed.stdout).unwrap();
    let names: BTreeSet<&str> =
        paths.split('\0').filter(|path| !path.is_empty()).filter_map(|path| path.split('/').next()).collect();
    assert!(names.contains("Cargo.toml"));
    let findings: Vec<String> =
        names.iter().filter(|name| !TOP_LEVEL.contains(name)).map(|name| (*name).to_owned()).collect();
    none("a name at the top is for ever", &findings);
}

#[test]
fn scripts_parse_and_stop_at_the_first_error() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| {
        source.text.starts_with("#!") && source.text.lines().next().is_some_and(|line| line.ends_with("bash"))
    }) {
        if !source.text.contains("\nset -euo pipefail\n") {
            findings.push(format!("{}: no `set -euo pipefail`", source.path));
        }
        let checked = Command::new("bash").arg("-n").arg(top().join(&source.path)).output().unwrap();
        if !checked.status.success() {
            findings.push(format!("{}: {}", source.path, String::from_utf8_lossy(&checked.stderr)));
        }
    }
    none("a script that goes on after an error lies", &findings);
}

#[test]
fn every_bad_day_has_its_test() {
    rows_name_tests("bad-days.md", "| the day |", 30);
}

#[test]
fn every_promise_has_its_test() {
    rows_name_tests("adversary.md", "| number |", 10);
}

#[test]
fn every_replay_has_its_test() {
    rows_name_tests("replays.md", "| rules of the model |", 10);
}

/// Every row of a page's table ends with names of tests that exist.
fn rows_name_tests(page: &str, head: &str, rows_min: usize) {
    let text = fs::read_to_string(top().join("docs/decisions").join(page)).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with(head)).collect();
    assert!(rows.len() > rows_min, "{} rows", rows.len());
    let rust: String =
        sources().into_iter().filter(|source| ends_in(source, &[".rs"])).map(|source| source.text).collect();
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row} names no test");
        for name in names {
            assert!(rust.contains(&format!("fn {name}()")), "{name} is named in {page} and is no test");
        }
    }
}
