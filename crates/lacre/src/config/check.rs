//! `config check`: what a file means beyond its syntax, and whether what it names can be reached from here.
//!
//! In: the document. Out: problems with places and fixes. [`structure`] looks at the document alone and every command asks it;
//! [`reach`] also looks at this host and only `config check` asks it. Nothing is changed, no network is used.

mod operate;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    document::{Document, Entry, Problem, Section, Value},
    mode_problems,
    schema::Effect,
    settle::default_home,
    suggest,
};
use crate::{cli::value::StoreUrl, process};

/// The ways a job names its source.
const SOURCES: [&str; 4] = ["postgres", "command", "file", "stdin"];

/// Finds mistakes that the document alone shows.
pub fn structure(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    for section in document.of("job") {
        job(section, &mut problems);
    }
    unique(document, "job", &mut problems);
    unique(document, "copy", &mut problems);
    for section in document.of("copy") {
        required(section, "name", &mut problems);
        required(section, "url", &mut problems);
        apart(document, section, &mut problems);
    }
    for section in document.of("object_lock") {
        object_lock(section, &mut problems);
    }
    for section in document.of("credential") {
        credential(section, &mut problems);
    }
    operate::structure(document, &mut problems);
    super::prices::structure(document, &mut problems);
    references(document, &mut problems);
    cells(document, &mut problems);
    for section in document.of("retention").chain(document.of("job.retention")) {
        if !section.entries.keys().any(|name| name.starts_with("keep_")) {
            let what = format!("[{}] has no keep rule, so every snapshot is kept", section.table.name);
            problems.push(Problem::warning(
                Some(section.place),
                what,
                "add for example keep_daily = 30, or remove the table",
            ));
        }
    }
    problems
}

/// Finds what is missing, unset or open to others on this host, and what this version does not act on yet.
pub fn reach(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    for section in document.sections().iter().filter(|section| section.table.effect == Effect::ReadOnly) {
        let what = format!("[{}] is read and checked, but this version does not act on it yet", section.title());
        problems.push(Problem::note(
            Some(section.place),
            what,
            "keep it for later, and keep what does this today running until then",
        ));
    }
    let root = document.of("").next();
    match root.and_then(|root| root.entries.get("repository")) {
        Some(entry) => repository(entry, &mut problems),
        None if std::env::var_os("LACRE_REPO").is_none() => {
            let fix = "add repository = \"/var/backups/lacre\" at the top, or give --repo each time";
            problems.push(Problem::warning(None, "no repository is named", fix));
        }
        None => {}
    }
    identities(root, &mut problems);
    for section in document.of("job") {
        job_source(section, &mut problems);
    }
    for section in document.of("hooks") {
        for entry in section.entries.values() {
            let Value::Argvs(argvs) = &entry.value else { continue };
            argvs.iter().for_each(|argv| program(argv, entry, "hook", &mut problems));
        }
    }
    for section in document.sections() {
        secrets(section, &mut problems);
    }
    problems
}

/// A copy lies elsewhere than the repository.
fn apart(document: &Document, section: &Section, problems: &mut Vec<Problem>) {
    let repository = document.of("").next().and_then(|root| root.entries.get("repository"));
    let (Some(repository), Some(url)) = (repository, section.entries.get("url")) else { return };
    if let (Value::Store(repository), Value::Store(copy)) = (&repository.value, &url.value)
        && let Some(how) = overlap(repository, copy)
    {
        let what = format!("{} {how}", section.title());
        problems.push(Problem::error(Some(url.place), what, "name another place, or remove the table"));
    }
}

/// How two places are not apart, if they are not.
fn overlap(repository: &StoreUrl, copy: &StoreUrl) -> Option<&'static str> {
    if repository == copy {
        return Some("is the repository itself");
    }
    let (StoreUrl::Folder(repository), StoreUrl::Folder(copy)) = (repository, copy) else { return None };
    if copy.starts_with(repository) {
        return Some("lies inside the repository");
    }
    repository.starts_with(copy).then_some("holds the repository")
}

pub(super) fn required(section: &Section, name: &str, problems: &mut Vec<Problem>) {
    if !section.entries.contains_key(name) {
        problems.push(Problem::error(
            Some(section.place),
            format!("{} has no {name}", section.title()),
            format!("add {name} = \"...\""),
        ));
    }
}

fn unique(document: &Document, table: &str, problems: &mut Vec<Problem>) {
    let mut first: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in document.of(table).filter_map(|section| section.entries.get("name")) {
        match first.get(entry.shown.as_str()) {
            Some(earlier) => {
                let what =
                    format!("a second {table} is named {}; the first is in line {}", entry.shown, earlier.place.line);
                problems.push(Problem::error(Some(entry.place), what, "give it another name"));
            }
            None => drop(first.insert(&entry.shown, entry)),
        }
    }
}

fn job(section: &Section, problems: &mut Vec<Problem>) {
    required(section, "name", problems);
    let off = |entry: &Entry| matches!(entry.value, Value::Switch(false));
    let sources: Vec<&str> =
        SOURCES.into_iter().filter(|name| section.entries.get(name).is_some_and(|entry| !off(entry))).collect();
    match sources.as_slice() {
        [_] => {}
        [] => problems.push(Problem::error(
            Some(section.place),
            format!("{} has no source", section.title()),
            "add one of postgres, command, file, stdin",
        )),
        [_, second, ..] => {
            let place = section.entries.get(second).map(|entry| entry.place);
            problems.push(Problem::error(
                place,
                format!("{} has more than one source: {}", section.title(), sources.join(", ")),
                "keep one; make a [[job]] of its own for the other",
            ));
        }
    }
    if let Some(Entry { value: Value::Url(url), place, .. }) = section.entries.get("postgres")
        && url.has_password()
    {
        problems.push(Problem::warning(
            Some(*place),
            "the URL holds a password",
            "put it into ~/.pgpass or a service file, and remove it here",
        ));
    }
}

fn credential(section: &Section, problems: &mut Vec<Problem>) {
    let has = |name: &str| section.entries.contains_key(name);
    let ways = |half: &str| ["env", "file", "credential"].map(|way| format!("{half}_{way}"));
    for half in ["access_key_id", "secret_access_key"] {
        let named: Vec<String> = ways(half).into_iter().filter(|key| has(key)).collect();
        if named.len() > 1 {
            problems.push(Problem::error(
                Some(section.place),
                format!("{} has both {}", section.title(), named.join(" and ")),
                "keep one of them",
            ));
        }
    }
    let id = ways("access_key_id").iter().any(|key| has(key));
    let secret = ways("secret_access_key").iter().any(|key| has(key));
    let ways = [id || secret, has("command"), has("profile")].into_iter().filter(|way| *way).count();
    if ways != 1 || id != secret {
        let fix = "give access_key_id_* and secret_access_key_*, or command, or profile";
        problems.push(Problem::error(
            Some(section.place),
            format!("{} does not say exactly one way to get its keys", section.title()),
            fix,
        ));
    }
}

fn object_lock(section: &Section, problems: &mut Vec<Problem>) {
    if !matches!(section.entries.get("days"), Some(Entry { value: Value::Count(1..), .. })) {
        problems.push(Problem::error(Some(section.place), "object_lock locks for no days", "write days = 30"));
    }
    if let Some(Entry { value: Value::Text(mode), place, .. }) = section.entries.get("mode")
        && !["governance", "compliance"].contains(&mode.as_str())
    {
        let what = format!("{mode:?} is no mode of object_lock");
        problems.push(Problem::error(Some(*place), what, "write \"governance\" or \"compliance\""));
    }
}

fn references(document: &Document, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = document.of("credential").map(|section| section.label.as_str()).collect();
    for section in document.sections() {
        let Some(Entry { value: Value::Text(name), place, .. }) = section.entries.get("credentials") else { continue };
        if known.contains(&name.as_str()) {
            continue;
        }
        let fix = match suggest::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("add a [credential.{name}] table"),
        };
        problems.push(Problem::error(Some(*place), format!("there is no [credential.{name}]"), fix));
    }
}

/// Law L6: the seal is never inside the repository or a path that is backed up.
fn cells(document: &Document, problems: &mut Vec<Problem>) {
    let Some(entry) = document.of("seal").next().and_then(|section| section.entries.get("cells")) else { return };
    let Value::Texts(cells) = &entry.value else { return };
    let repository = document.of("").next().and_then(|root| root.entries.get("repository")).map(|entry| &entry.value);
    let files: Vec<&PathBuf> =
        document.of("job").filter_map(|section| section.entries.get("file")).filter_map(path_of).collect();
    for cell in cells {
        let Some(path) = cell.strip_prefix("file:").map(Path::new) else {
            if !cell.contains(':') {
                problems.push(Problem::error(
                    Some(entry.place),
                    format!("'{cell}' is not a cell"),
                    format!("write file:{cell} for a file"),
                ));
            }
            continue;
        };
        if !path.is_absolute() {
            problems.push(Problem::error(
                Some(entry.place),
                format!("the path of cell '{cell}' is not absolute"),
                "write file:/path",
            ));
        }
        if let Some(Value::Store(StoreUrl::Folder(folder))) = repository
            && path.starts_with(folder)
        {
            let what = format!(
                "cell '{cell}' lies inside the repository: whoever holds an old copy of it could open what was erased"
            );
            problems.push(Problem::error(Some(entry.place), what, "put the cell on another disk or host"));
        }
        if files.iter().any(|file| path == file.as_path()) {
            problems.push(Problem::error(
                Some(entry.place),
                format!("cell '{cell}' is itself backed up by a job"),
                "remove that job or move the cell",
            ));
        }
    }
}

fn path_of(entry: &Entry) -> Option<&PathBuf> {
    if let Value::Path(path) = &entry.value { Some(path) } else { None }
}

fn repository(entry: &Entry, problems: &mut Vec<Problem>) {
    match &entry.value {
        Value::Store(StoreUrl::Folder(folder)) if !folder.join("lacre.json").exists() => {
            let what = format!("there is no repository in {}", folder.display());
            problems.push(Problem::warning(Some(entry.place), what, format!("lacre --repo {} init", folder.display())));
        }
        _ => {}
    }
}

fn identities(root: Option<&Section>, problems: &mut Vec<Problem>) {
    let Some(entry) = root.and_then(|root| root.entries.get("identities")) else { return };
    let Value::Paths(paths) = &entry.value else { return };
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) => problems.extend(
                mode_problems(path, metadata.mode())
                    .into_iter()
                    .map(|problem| Problem { place: Some(entry.place), ..problem }),
            ),
            Err(error) => problems.push(Problem::error(
                Some(entry.place),
                format!("cannot read the identity {}: {error}", path.display()),
                "correct the path, or remove it on a host that only makes backups",
            )),
        }
    }
    let home = root.and_then(|root| root.entries.get("home")).and_then(path_of).cloned().unwrap_or_else(default_home);
    if let Ok(metadata) = fs::metadata(&home) {
        problems.extend(mode_problems(&home, metadata.mode()));
    }
}

fn job_source(section: &Section, problems: &mut Vec<Problem>) {
    if let Some(entry) = section.entries.get("command")
        && let Value::Texts(argv) = &entry.value
    {
        program(argv, entry, &section.title(), problems);
    }
    if let Some(entry) = section.entries.get("file")
        && let Value::Path(path) = &entry.value
    {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => problems.push(Problem::error(
                Some(entry.place),
                format!("{} is not a regular file", path.display()),
                "name a regular file",
            )),
            Err(error) => problems.push(Problem::warning(
                Some(entry.place),
                format!("{} cannot be read: {error}", path.display()),
                "correct the path, or make sure it is there when the job runs",
            )),
        }
    }
    if let Some(Entry { value: Value::Count(jobs), place, .. }) = section.entries.get("jobs")
        && *jobs > 1
    {
        problems.push(Problem::note(
            Some(*place),
            "this version reads a database with one connection",
            "leave it for later",
        ));
    }
}

fn program(argv: &[String], entry: &Entry, user: &str, problems: &mut Vec<Problem>) {
    if let Some(name) = argv.first()
        && process::find_program(name).is_none()
    {
        problems.push(Problem::error(
            Some(entry.place),
            format!("{user}: the program '{name}' is not found"),
            "install it or write its full path",
        ));
    }
}

fn secrets(section: &Section, problems: &mut Vec<Problem>) {
    for (name, entry) in &section.entries {
        match &entry.value {
            Value::Text(variable) if name.ends_with("_env") => {
                let file = format!("{variable}_FILE");
                if std::env::var_os(variable).is_none() && std::env::var_os(&file).is_none() {
                    let what = format!("{}: neither {variable} nor {file} is set here", section.title());
                    problems.push(Problem::warning(
                        Some(entry.place),
                        what,
                        "set it where the job runs (systemd: EnvironmentFile or LoadCredential)",
                    ));
                }
            }
            Value::Path(path) if name.ends_with("_file") && *name != "ca_file" => match fs::metadata(path) {
                Ok(metadata) => problems.extend(
                    mode_problems(path, metadata.mode())
                        .into_iter()
                        .map(|problem| Problem { place: Some(entry.place), ..problem }),
                ),
                Err(error) => problems.push(Problem::error(
                    Some(entry.place),
                    format!("cannot read the secret file {}: {error}", path.display()),
                    "correct the path",
                )),
            },
            Value::Texts(argv) if name.ends_with("command") && section.table.name != "job" => {
                program(argv, entry, &section.title(), problems);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, reach, structure};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let document = Document::parse(text);
        assert_eq!(document.problems(), []);
        let found: Vec<String> = structure(&document)
            .iter()
            .map(|problem| format!("{} {} {}", problem.weight.name(), problem.place.unwrap(), problem.what))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_contract_example_has_no_mistake() {
        check(include_str!("../../tests/data/contract.toml"), &[]);
    }

    #[test]
    fn jobs_have_a_name_and_one_source() {
        check("[[job]]\nname='a'", &["error 1:1 job 1 has no source"]);
        check("[[job]]\nstdin=true", &["error 1:1 job 1 has no name"]);
        check(
            "[[job]]\nname='a'\nstdin=true\nfile='/x'",
            &["error 4:1 job 1 has more than one source: file, stdin".replace("4:1", "3:1").as_str()],
        );
        check(
            "[[job]]\nname='a'\nstdin=true\n[[job]]\nname='a'\nfile='/x'",
            &["error 5:1 a second job is named \"a\"; the first is in line 2"],
        );
        check("[[job]]\nname='a'\npostgres='postgres://u:p@h/d'", &["warning 3:1 the URL holds a password"]);
    }

    #[test]
    fn credentials_are_complete_and_known() {
        check(
            "[credential.a]\nprofile='x'\ncommand=['y']",
            &["error 1:13 credential.a does not say exactly one way to get its keys"],
        );
        check(
            "[credential.a]\naccess_key_id_env='X'",
            &["error 1:13 credential.a does not say exactly one way to get its keys"],
        );
        check("credentials='backpu'\n[credential.backup]\nprofile='x'", &["error 1:1 there is no [credential.backpu]"]);
    }

    #[test]
    fn a_copy_lies_elsewhere() {
        let copy = "repository='/b'\n[[copy]]\nname='a'\nurl=";
        check(&format!("{copy}'/b'"), &["error 4:1 copy 1 is the repository itself"]);
        check(&format!("{copy}'/c'"), &[]);
    }

    #[test]
    fn a_cell_inside_the_repository_is_refused() {
        let what = "error 3:1 cell 'file:/b/seal' lies inside the repository: whoever holds an old copy of it could open what was erased";
        check("repository='/b'\n[seal]\ncells=['file:/b/seal','file:/bb/seal']", &[what]);
        check("[seal]\ncells=['/x']", &["error 2:1 '/x' is not a cell"]);
        check(
            "[[job]]\nname='a'\nfile='/s/seal'\n[seal]\ncells=['file:/s/seal']",
            &["error 5:1 cell 'file:/s/seal' is itself backed up by a job"],
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let text = "repository='/no/such/folder'\nidentities=['/no/such/key']\n[[job]]\nname='a'\ncommand=['no-such-program-here']\n[[job]]\nname='b'\nfile='/'\n[credential.a]\nprofile='x'\n";
        let found: Vec<String> = reach(&Document::parse(text)).iter().map(|problem| problem.what.clone()).collect();
        let all = found.join("\n");
        for part in [
            "there is no repository in /no/such/folder",
            "cannot read the identity /no/such/key",
            "'no-such-program-here' is not found",
            "/ is not a regular file",
        ] {
            assert!(all.contains(part), "{part} is missing in:\n{all}");
        }
    }
}
