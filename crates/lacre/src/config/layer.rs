//! The layers over the file: every key at its top and of a table that stands once has an environment name and can be given with `--set`.
//!
//! In: a document, the environment, what was typed. Out: the same document with their values in it, or problems. It must not know what
//! keys mean.

use std::ffi::OsString;

use super::{
    document::{Document, Entry, Layer, Place, Problem, from_layer},
    schema::{Key, Shape, TABLES, Table},
    suggest,
};

/// What every environment name of a key begins with.
const PREFIX: &str = "LACRE_";

/// Where a value lies that is in no file.
const NOWHERE: Place = Place { line: usize::MAX, column: 1 };

/// The environment name of a key, where it has one: keys of lists and named tables stand several times, so that no name would do.
pub fn environment_name(table: &Table, key: &Key) -> Option<String> {
    if let Some(name) = key.env {
        return Some(name.to_owned());
    }
    match table.shape {
        Shape::Root => Some(format!("{PREFIX}{}", key.name).to_uppercase()),
        Shape::Single if !table.name.starts_with("job.") => {
            Some(format!("{PREFIX}{}_{}", table.name.replace('.', "_"), key.name).to_uppercase())
        }
        _ => None,
    }
}

/// Puts the environment over the file, and what was typed over both.
pub fn put_over(document: &mut Document, environment: &dyn Fn(&str) -> Option<OsString>, typed: &[String]) {
    for table in TABLES.iter().filter(|table| matches!(table.shape, Shape::Root | Shape::Single)) {
        for key in table.keys.iter().filter(|key| key.env.is_none()) {
            let Some(name) = environment_name(table, key) else { continue };
            let Some(value) = environment(&name).filter(|value| !value.is_empty()) else { continue };
            let what = format!("the environment variable {name}");
            match value.into_string() {
                Ok(text) => put(document, (table.name, key.name), &text, Layer::Env(name), &what),
                Err(_) => document.add_problem(Problem::error(None, format!("{what} is not UTF-8"), "correct it")),
            }
        }
    }
    for setting in typed {
        let Some((path, text)) = setting.split_once('=') else {
            let fix = "write it as --set TABLE.KEY=VALUE, for example --set retention.keep_daily=30";
            document.add_problem(Problem::error(None, format!("--set {setting} has no value"), fix));
            continue;
        };
        let (table, key) = path.trim().rsplit_once('.').unwrap_or(("", path.trim()));
        put(document, (table, key), text.trim(), Layer::Set, &format!("--set {path}"));
    }
}

fn put(document: &mut Document, (table, name): (&str, &str), text: &str, layer: Layer, what: &str) {
    let found = super::schema::table(table).filter(|table| matches!(table.shape, Shape::Root | Shape::Single));
    let key = found.and_then(|table| table.keys.iter().find(|key| key.name == name));
    let (Some(table), Some(key)) = (found, key) else {
        document.add_problem(Problem::error(None, format!("{what}: there is no such key"), nearest(table, name)));
        return;
    };
    match from_layer(key.form, text) {
        Ok((value, shown)) => document.put(table, key.name, Entry { value, place: NOWHERE, shown, layer }),
        Err(why) => {
            document.add_problem(Problem::error(
                None,
                format!("{what}: {why}"),
                format!("write a {}", key.form.describe()),
            ));
        }
    }
}

fn nearest(table: &str, name: &str) -> String {
    let paths: Vec<String> = TABLES
        .iter()
        .filter(|table| matches!(table.shape, Shape::Root | Shape::Single) && !table.name.starts_with("job."))
        .flat_map(|table| {
            table.keys.iter().map(|key| {
                if table.name.is_empty() { key.name.to_owned() } else { format!("{}.{}", table.name, key.name) }
            })
        })
        .collect();
    let typed = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
    match suggest::nearest(&typed, paths.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "docs/CONFIG.md lists every key; keys of lists such as [[job]] stand in the file only".to_owned(),
    }
}

/// Variables that begin as ours do and are none, with what was probably meant: a setting that silently does nothing is the worst kind.
pub fn strangers(names: impl Iterator<Item = String>) -> Vec<Problem> {
    let keys: Vec<String> = TABLES
        .iter()
        .flat_map(|table| table.keys.iter().filter_map(|key| environment_name(table, key)))
        .chain(["LACRE_CONFIG", "LACRE_PASSPHRASE", "LACRE_PASSPHRASE_FILE"].map(str::to_owned))
        .collect();
    let groups: Vec<String> = TABLES
        .iter()
        .filter(|table| table.shape == Shape::Single)
        .map(|table| format!("{PREFIX}{}_", table.name.replace('.', "_")).to_uppercase())
        .collect();
    // Names are compared in small letters, as all others are.
    let small: Vec<String> = keys.iter().map(|key| key.to_lowercase()).collect();
    let near = |name: &str| suggest::nearest(name, small.iter().map(String::as_str)).map(str::to_uppercase);
    let is_ours = |name: &String| groups.iter().any(|group| name.starts_with(group.as_str())) || near(name).is_some();
    let mut strangers: Vec<String> =
        names.filter(|name| name.starts_with(PREFIX) && !keys.contains(name) && is_ours(name)).collect();
    strangers.sort();
    let problem = |name: String| {
        let fix = match near(&name) {
            Some(near) => format!("did you mean {near}?"),
            None => "docs/CONFIG.md lists every name".to_owned(),
        };
        Problem::warning(None, format!("the environment variable {name} sets nothing"), fix)
    };
    strangers.into_iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::{put_over, strangers};
    use crate::config::document::{Document, Layer, Value};

    fn over(file: &str, environment: &[(&str, &str)], typed: &[&str]) -> Document {
        let mut document = Document::parse(file);
        let find = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        put_over(&mut document, &find, &typed);
        document
    }

    #[test]
    fn a_flag_outranks_the_environment_which_outranks_the_file() {
        let file = "[retention]\nkeep_daily = 1\nkeep_weekly = 1\nkeep_monthly = 1\n";
        let environment = [("LACRE_RETENTION_KEEP_WEEKLY", "2"), ("LACRE_RETENTION_KEEP_MONTHLY", "2")];
        let document = over(file, &environment, &["retention.keep_monthly=3", "status.max_age=30h"]);
        assert_eq!(document.problems(), []);
        let retention = document.of("retention").next().unwrap();
        let count = |name: &str| match &retention.entries[name].value {
            Value::Count(count) => (*count, retention.entries[name].layer.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(count("keep_daily"), (1, Layer::File));
        assert_eq!(count("keep_weekly"), (2, Layer::Env("LACRE_RETENTION_KEEP_WEEKLY".into())));
        assert_eq!(count("keep_monthly"), (3, Layer::Set));
        let age = &document.of("status").next().unwrap().entries["max_age"];
        assert!(matches!(age.value, Value::Duration(age) if age.as_secs() == 30 * 3600));
    }

    #[test]
    fn lists_and_switches_are_read_as_toml() {
        let environment = [("LACRE_NOTIFY_EMAIL_TO", "[\"a@b\", 'c@d']"), ("LACRE_DAEMON_BACKUP_ON_START", "true")];
        let document = over("", &environment, &[]);
        assert_eq!(document.problems(), []);
        let to = &document.of("notify.email").next().unwrap().entries["to"].value;
        assert!(matches!(to, Value::Texts(texts) if texts == &["a@b", "c@d"]));
        assert!(matches!(document.of("daemon").next().unwrap().entries["backup_on_start"].value, Value::Switch(true)));
    }

    #[test]
    fn keys_at_the_top_have_names_too() {
        let environment = [("LACRE_READ_ONLY", "true"), ("LACRE_PARITY", "false"), ("LACRE_CREDENTIALS", "backup")];
        let document = over("read_only = false\ncredentials = \"other\"\n", &environment, &["parity=true"]);
        assert_eq!(document.problems(), []);
        let root = &document.of("").next().unwrap().entries;
        assert!(matches!(root["read_only"].value, Value::Switch(true)));
        assert!(matches!(root["parity"].value, Value::Switch(true)));
        assert!(matches!(&root["credentials"].value, Value::Text(name) if name == "backup"));
        assert_eq!(root["read_only"].layer, Layer::Env("LACRE_READ_ONLY".into()));
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        let document = over("", &[("LACRE_STATUS_MIN_COUNT", "seven")], &["retention.keep_dayly=3", "x", "job.name=a"]);
        let said: Vec<String> =
            document.problems().iter().map(|problem| format!("{} | {}", problem.what, problem.fix)).collect();
        assert!(said[0].starts_with("the environment variable LACRE_STATUS_MIN_COUNT: "), "{said:?}");
        assert_eq!(said[1], "--set retention.keep_dayly: there is no such key | did you mean 'retention.keep_daily'?");
        assert!(said[2].starts_with("--set x has no value") && said[3].contains("job.name"), "{said:?}");
    }

    #[test]
    fn variables_that_set_nothing_are_warned_about() {
        let names =
            ["LACRE_RETENTION_KEEP_DAYLY", "LACRE_HOME", "LACRE_RETENTION_KEEP_DAILY", "LACRE_ELSEWHERE", "PATH"];
        let found = strangers(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].fix, "did you mean LACRE_RETENTION_KEEP_DAILY?");
    }
}
