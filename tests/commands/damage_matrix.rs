//! `docs/DAMAGE.md`, cell by cell: every kind of object, damaged in every way, alone, with parity and with a copy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::lines;
use crate::support::sandbox::{Outcome, Sandbox, files_under};

const BEGIN: &str = "<!-- the table is compared by tests/commands/damage_matrix.rs -->\n";
const BEGIN_STRANGE: &str = "<!-- this table is compared by tests/commands/damage_matrix.rs, too -->\n";

/// A repository that holds at least one object of every kind, and the same again untouched.
struct Scene {
    sandbox: Sandbox,
    text: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let sandbox = Sandbox::new();
        sandbox.run(&["init", "--no-kit"]).exits(0);
        let mut text = lines(3_000);
        for night in 0..3 {
            text.extend_from_slice(format!("night {night}\n").as_bytes());
            fs::write(sandbox.path("dump"), &text).unwrap();
            sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
        }
        copy(&sandbox.repository(), &sandbox.path("earlier"));
        // A run that failed leaves a session, which a collection voids; a rotation leaves a bundle.
        sandbox.run(&["backup", "--command", "broken", "--", "false"]).exits(14);
        sandbox.run(&["forget", "--keep-last", "2"]).exits(0);
        sandbox.run(&["prune", "--max-repack", "100%", "--min-dead", "0.1%", "--min-gain", "0.1%"]).exits(0);
        sandbox.run(&["seal", "rotate"]).exits(0);
        text.extend_from_slice(b"the last night\n");
        fs::write(sandbox.path("dump"), &text).unwrap();
        sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
        let scene = Scene { sandbox, text };
        copy(&scene.sandbox.repository(), &scene.pristine());
        scene
    }

    fn pristine(&self) -> PathBuf {
        self.sandbox.path("pristine")
    }

    /// Somebody's copy of the first three nights, before two of them were forgotten and the seal was changed.
    fn earlier(&self) -> PathBuf {
        self.sandbox.path("earlier")
    }

    /// One object of each kind that was in the repository once and is not any more, by the words of the page.
    fn taken(&self) -> Vec<(&'static str, PathBuf)> {
        let (root, now) = (self.earlier(), self.pristine());
        let of_kind = |folder: &str, end: &str| {
            let files = files_under(&root.join(folder)).into_iter();
            let files = files.map(|file| file.strip_prefix(&root).unwrap().to_owned());
            let mut gone: Vec<PathBuf> =
                files.filter(|file| !now.join(file).exists() && file.to_string_lossy().ends_with(end)).collect();
            gone.sort_by_key(|file| fs::metadata(root.join(file)).unwrap().len());
            gone.pop()
        };
        let kinds = [
            ("pack", "packs", ""),
            ("parity", "parity", ""),
            ("index segment", "index", ""),
            ("snapshot", "snap", ""),
            ("reach map", "reach", ""),
            ("key entry", "keyring/in", ""),
            ("bundle of key entries", "keyring", "/bundle"),
            ("session", "session", "/open"),
            ("session's end", "session", "/end"),
        ];
        kinds.into_iter().filter_map(|(what, folder, end)| Some((what, of_kind(folder, end)?))).collect()
    }

    /// A name that an object of each kind could have and none has.
    fn vacant(&self) -> Vec<(&'static str, PathBuf)> {
        let objects = self.objects().into_iter().filter(|(_, object)| object.iter().count() > 1);
        objects.map(|(what, object)| (what, another(&object))).collect()
    }

    /// The repository as it was, with parity or without.
    fn again(&self, parity: Parity) {
        fs::remove_dir_all(self.sandbox.repository()).unwrap();
        copy(&self.pristine(), &self.sandbox.repository());
        if parity == Parity::Without {
            fs::remove_dir_all(self.sandbox.repository().join("parity")).unwrap();
        }
    }

    /// One object of each kind, by the words of the page.
    fn objects(&self) -> Vec<(&'static str, PathBuf)> {
        let root = self.pristine();
        let below = |folder: &str| {
            let mut files = files_under(&root.join(folder));
            files.sort_by_key(|file| (fs::metadata(file).unwrap().modified().unwrap(), file.clone()));
            files
        };
        let named = |folder: &str, end: &str| {
            let found = below(folder).into_iter().rfind(|file| file.to_string_lossy().contains(end));
            found.unwrap_or_else(|| panic!("no {end} below {folder}"))
        };
        let mut policies = files_under(&root.join("policy"));
        policies.sort();
        let mut packs = below("packs");
        packs.sort_by_key(|file| fs::metadata(file).unwrap().len());
        let log = files_under(&root.join("log")).remove(0);
        vec![
            ("lacre.json", root.join("lacre.json")),
            ("policy, the newest", policies[policies.len() - 1].clone()),
            ("policy, an older one", policies[0].clone()),
            ("log entry", log),
            ("pack of chunks", packs[packs.len() - 1].clone()),
            ("pack of nodes", packs[0].clone()),
            ("parity", named("parity", "/")),
            ("index segment", named("index", "/")),
            ("snapshot", named("snap", "/")),
            ("reach map", named("reach", "/")),
            ("key entry", named("keyring/in", "/")),
            ("bundle of key entries", named("keyring", "/bundle")),
            ("list of the bundle", named("keyring", "/list")),
            ("session", named("session", "/open")),
            ("session's end", named("session", "/end")),
            ("void", named("void", "/final")),
            ("collection plan", named("gc", "/plan")),
            ("collection step", named("gc", "/decided")),
        ]
        .into_iter()
        .map(|(what, path)| (what, path.strip_prefix(&root).unwrap().to_owned()))
        .collect()
    }
}

/// The name with another last digit of its id: a file that is named by its id, or the only file of a folder that is.
fn another(object: &Path) -> PathBuf {
    let file = object.file_name().unwrap().to_str().unwrap();
    let other = |id: &str| {
        let (kept, last) = id.split_at(id.len() - 1);
        format!("{kept}{}", if last == "0" { "1" } else { "0" })
    };
    if file.len() > 20 {
        return object.with_file_name(other(file));
    }
    let folder = object.parent().unwrap();
    folder.with_file_name(other(folder.file_name().unwrap().to_str().unwrap())).join(file)
}

/// What is done to a repository; `false` where it cannot be.
type Deed<'a> = dyn Fn(&Scene) -> bool + 'a;

/// One row: what is said, and what helps alone, with parity and with a copy. Nothing where the deed cannot be done.
fn row(scene: &Scene, object: &Path, parity: Parity, deed: &Deed<'_>) -> Option<String> {
    let from = scene.pristine().display().to_string();
    scene.again(parity);
    if !deed(scene) {
        return None;
    }
    let (exit, advice) = checked(scene, object);
    let alone = repaired(scene, &[]);
    let is_pack = object.starts_with("packs");
    let with_parity = if is_pack {
        scene.again(Parity::With);
        deed(scene);
        repaired(scene, &[])
    } else {
        "the same".to_owned()
    };
    scene.again(parity);
    deed(scene);
    let copied = repaired(scene, &["--from", &from]);
    Some(format!("{exit} | {advice} | {alone} | {with_parity} | {copied}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parity {
    With,
    Without,
}

const DAMAGES: [&str; 4] = ["a bit flipped", "cut in half", "gone", "exchanged"];

/// Damages an object; `false` if there is no other object to exchange it with.
fn damage(scene: &Scene, object: &Path, how: &str) -> bool {
    let path = scene.sandbox.repository().join(object);
    let mut bytes = fs::read(&path).unwrap();
    match how {
        "a bit flipped" => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(&path, bytes).unwrap();
        }
        "cut in half" => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
        "gone" => fs::remove_file(&path).unwrap(),
        _ => {
            let folder = object.components().next().unwrap();
            if object.iter().count() == 1 {
                return false;
            }
            let last = path.file_name().unwrap();
            let alike = |other: &&PathBuf| match object.iter().count() {
                3 if object.starts_with("session") || object.starts_with("gc") => other.file_name() == Some(last),
                _ => true,
            };
            let all = files_under(&scene.sandbox.repository().join(folder));
            // Names are random and say nothing of order: the longest one is the same in every run.
            let length = |other: &&PathBuf| fs::metadata(other).unwrap().len();
            let others = all.iter().filter(|other| **other != path).filter(alike);
            let Some(other) = others.max_by_key(length) else { return false };
            fs::copy(other, &path).unwrap();
        }
    }
    true
}

fn code(outcome: &Outcome) -> i32 {
    assert!(!outcome.stderr.contains("panicked"), "{}: {}", outcome.command, outcome.stderr);
    outcome.status.code().unwrap_or(-1)
}

/// What `check` says of an object: the exit code, and the advice of the gravest finding about it.
fn checked(scene: &Scene, object: &Path) -> (i32, String) {
    let outcome = scene.sandbox.run(&["check", "--read-data", "--json"]);
    let exit = code(&outcome);
    let document: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap_or_default();
    let name = object.file_name().unwrap().to_string_lossy().into_owned();
    let name = name.split('-').next_back().unwrap_or(&name).to_owned();
    let empty = Vec::new();
    let findings = document["findings"].as_array().unwrap_or(&empty);
    let about = findings.iter().find(|finding| finding["object"].as_str().unwrap_or_default().contains(&name));
    let gravest = findings.iter().find(|finding| finding["severity"] == "damage");
    let advice = about.or(gravest).map(|finding| finding["advice"].as_str().unwrap_or_default().to_owned());
    let hint = document["error"]["hint"].as_str().and_then(|hint| hint.lines().next());
    (exit, advice.unwrap_or_else(|| hint.unwrap_or("-").to_owned()))
}

/// `repair`, then `check`: two exit codes. What can be read afterwards is never other bytes.
fn repaired(scene: &Scene, arguments: &[&str]) -> String {
    let repair = code(&scene.sandbox.run(&[&["repo", "repair"][..], arguments].concat()));
    let check = code(&scene.sandbox.run(&["check", "--read-data"]));
    let prune = code(&scene.sandbox.run(&["prune"]));
    let read = scene.sandbox.run(&["cat", "latest:a", "data"]);
    if code(&read) == 0 {
        assert!(scene.text.starts_with(&read.stdout) && !read.stdout.is_empty(), "other bytes came out");
    }
    format!("{repair}, {check}, {prune}")
}

fn copy(from: &Path, to: &Path) {
    for file in files_under(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}

const HEAD: &str =
    "| object | damage | `check` | advice | alone | with parity | with a copy |\n|---|---|---|---|---|---|---|\n";

/// The page holds this table behind a mark, or gets it.
fn compare(mark: &str, table: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DAMAGE.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(mark).expect("the page has a mark");
    let table = tidy(table);
    if std::env::var_os("LACRE_UPDATE_DOCS").is_some() {
        let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
        let between = if after.is_empty() { "" } else { "\n" };
        fs::write(&page, format!("{before}{mark}{table}{between}{after}")).unwrap();
        return;
    }
    let found: BTreeMap<usize, &str> = rest.lines().take(table.lines().count()).enumerate().collect();
    for (at, row) in table.lines().enumerate() {
        assert_eq!(found.get(&at), Some(&row), "docs/DAMAGE.md says otherwise");
    }
}

fn parity_of(what: &str) -> Parity {
    if what == "parity" { Parity::With } else { Parity::Without }
}

#[test]
fn every_cell_of_the_damage_matrix() {
    let scene = Scene::new();
    let mut table = HEAD.to_owned();
    for (what, object) in scene.objects() {
        for how in DAMAGES {
            let deed = |scene: &Scene| damage(scene, &object, how);
            if let Some(row) = row(&scene, &object, parity_of(what), &deed) {
                table.push_str(&format!("| {what} | {how} | {row} |\n"));
            }
        }
    }
    compare(BEGIN, &table);
}

#[test]
fn what_comes_back_and_what_nobody_wrote() {
    let scene = Scene::new();
    let mut table = HEAD.to_owned();
    for (what, object) in scene.taken() {
        let deed = |scene: &Scene| put(scene, &object, &fs::read(scene.earlier().join(&object)).unwrap());
        let row = row(&scene, &object, parity_of(what), &deed).unwrap();
        table.push_str(&format!("| {what} | put back | {row} |\n"));
    }
    for (what, object) in scene.vacant() {
        let deed = |scene: &Scene| put(scene, &object, b"nobody of this repository wrote this");
        let row = row(&scene, &object, parity_of(what), &deed).unwrap();
        table.push_str(&format!("| {what} | forged | {row} |\n"));
    }
    for folder in ["policy", "log", "packs", "parity", "index", "snap", "reach", "keyring", "session", "void", "gc", ""]
    {
        let object = Path::new(folder).join("notes.txt");
        let deed = |scene: &Scene| put(scene, &object, b"a file of somebody else");
        let parity = if folder == "parity" { Parity::With } else { Parity::Without };
        let row = row(&scene, &object, parity, &deed).unwrap();
        let place = if folder.is_empty() { "beside lacre.json".to_owned() } else { format!("below {folder}/") };
        table.push_str(&format!("| a file of another program | {place} | {row} |\n"));
        assert!(scene.sandbox.repository().join(&object).exists(), "{folder}: what is not ours is not touched");
    }
    compare(BEGIN_STRANGE, &table);
}

fn put(scene: &Scene, object: &Path, bytes: &[u8]) -> bool {
    let path = scene.sandbox.repository().join(object);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    true
}

/// Ids and times differ from run to run.
fn tidy(table: &str) -> String {
    let is_id = |word: &str| word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let is_time = |word: &str| word.starts_with("20") && word.contains('T') && word.ends_with([';', 'Z']);
    let word = |word: &str| match (is_id(word), is_time(word)) {
        (true, _) => "ID".to_owned(),
        (_, true) => "TIME;".to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    table.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}
