//! Reading `lacre.toml`: text to checked values, each with its place, and every mistake at once.
//!
//! In: the text of the file. Out: values that fit the declaration in `schema`, and problems with line and column. It must not know
//! what the values are used for.

mod form;

use std::{collections::BTreeMap, fmt, ops::Range, path::PathBuf};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use self::form::read_value;
pub use self::form::{from_layer, from_text};
use super::{
    schema::{self, Shape, Table},
    suggest,
};
use crate::{
    cli::value::{JobName, StoreUrl},
    safe_url::SafeUrl,
};

/// The most problems that are collected; more say nothing new.
const PROBLEMS_MAX: usize = 100;

/// A place in the file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Worth knowing.
    Note,
    /// Should be changed; commands still run.
    Warning,
    /// Commands refuse the file.
    Error,
}

impl Weight {
    /// Returns the word shown and used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Weight::Note => "note",
            Weight::Warning => "warning",
            Weight::Error => "error",
        }
    }

    /// Returns the word for one, and for several.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Weight::Note => ["note", "notes"],
            Weight::Warning => ["warning", "warnings"],
            Weight::Error => ["error", "errors"],
        }
    }
}

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub weight: Weight,
    /// Where it is; nothing when it is about the file as a whole.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// What to write or do instead.
    pub fix: String,
}

impl Problem {
    /// Makes an error at a place.
    pub fn error(place: Option<Place>, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { weight: Weight::Error, place, what: what.into(), fix: fix.into() }
    }

    /// Makes a warning at a place.
    pub fn warning(place: Option<Place>, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { weight: Weight::Warning, place, what: what.into(), fix: fix.into() }
    }

    /// Makes a note at a place.
    pub fn note(place: Option<Place>, what: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem { weight: Weight::Note, place, what: what.into(), fix: fix.into() }
    }
}

/// A value that fits the form of its key.
#[derive(Clone, Debug)]
pub enum Value {
    /// [`schema::Form::Text`] and [`schema::Form::Variable`].
    Text(String),
    /// [`schema::Form::Url`].
    Url(SafeUrl),
    /// [`schema::Form::Store`].
    Store(StoreUrl),
    /// [`schema::Form::Path`].
    Path(PathBuf),
    /// [`schema::Form::Count`].
    Count(u32),
    /// [`schema::Form::Switch`].
    Switch(bool),
    /// [`schema::Form::Size`] and [`schema::Form::Rate`].
    Bytes(u64),
    /// [`schema::Form::Duration`] and [`schema::Form::Patience`].
    Duration(std::time::Duration),
    /// [`schema::Form::Percent`], as a fraction.
    Share(f64),
    /// [`schema::Form::Amount`].
    Amount(f64),
    /// [`schema::Form::Span`].
    Span(jiff::Span),
    /// [`schema::Form::JobName`].
    JobName(JobName),
    /// [`schema::Form::Texts`] and [`schema::Form::Argv`].
    Texts(Vec<String>),
    /// [`schema::Form::Paths`].
    Paths(Vec<PathBuf>),
    /// [`schema::Form::Argvs`].
    Argvs(Vec<Vec<String>>),
}

/// A value, its place and how it was written (with passwords hidden).
#[derive(Clone, Debug)]
pub struct Entry {
    /// The checked value.
    pub value: Value,
    /// The place of its key.
    pub place: Place,
    /// The value as it may be shown.
    pub shown: String,
    /// What gave it.
    pub layer: Layer,
}

/// What gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The file.
    File,
    /// An environment variable.
    Env(String),
    /// The flag `--set`.
    Set,
}

/// One table that stands in the file.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its declaration.
    pub table: &'static Table,
    /// The X of `[table.X]`, or the number of `[[table]]` from 1; empty for single tables.
    pub label: String,
    /// Where its header is.
    pub place: Place,
    /// Its valid values by key name.
    pub entries: BTreeMap<&'static str, Entry>,
}

impl Section {
    /// Returns the name as it is shown: `status`, `credential.backup`, `job 2`.
    pub fn title(&self) -> String {
        match self.table.shape {
            Shape::Root => String::new(),
            Shape::Single if self.label.is_empty() => self.table.name.to_owned(),
            Shape::Single | Shape::List => format!("{} {}", self.table.name, self.label),
            Shape::Named => format!("{}.{}", self.table.name, self.label),
        }
    }
}

/// The file as it was read: valid sections and all problems.
#[derive(Clone, Debug, Default)]
pub struct Document {
    sections: Vec<Section>,
    problems: Vec<Problem>,
}

impl Document {
    /// Reads the text of a file; never fails, because a problem is a result.
    pub fn parse(text: &str) -> Document {
        let mut reader = Reader { lines: LineIndex::new(text), document: Document::default() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let place = error.span().map(|span| reader.lines.place(&span));
            reader.problem(Problem::error(
                place,
                format!("this is not TOML: {}", error.message()),
                "correct the syntax at that place",
            ));
        }
        reader.root(root.get_ref());
        // The parser sorts keys by name; people read from top to bottom.
        reader.document.problems.sort_by_key(|problem| problem.place);
        reader.document.sections.sort_by_key(|section| section.place);
        reader.document
    }

    /// Returns all problems found so far, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the sections in the order of the file; the top of the file is first.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Puts a value over what the file says; a table that is not in the file is as if it stood at its end.
    pub fn put(&mut self, table: &'static Table, name: &'static str, entry: Entry) {
        let place = entry.place;
        let at = self.sections.iter().position(|section| section.table.name == table.name).unwrap_or_else(|| {
            self.sections.push(Section { table, label: String::new(), place, entries: BTreeMap::new() });
            self.sections.len() - 1
        });
        self.sections[at].entries.insert(name, entry);
    }

    /// Adds a problem that was found outside the file.
    pub fn add_problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Returns the sections of one table.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.table.name == name)
    }
}

/// Where each line begins, to turn byte offsets into places.
struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    fn new(text: &'a str) -> LineIndex<'a> {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        LineIndex { text, starts }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let at = span.start.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts[line - 1];
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }
}

struct Reader<'a> {
    lines: LineIndex<'a>,
    document: Document,
}

impl Reader<'_> {
    fn problem(&mut self, problem: Problem) {
        if self.document.problems.len() < PROBLEMS_MAX {
            self.document.problems.push(problem);
        }
    }

    fn root(&mut self, root: &DeTable<'_>) {
        let table = schema::table("").expect("the root is declared");
        let place = Place { line: 1, column: 1 };
        self.section(table, String::new(), place, root, "");
    }

    /// Reads the keys of one table; names that are tables below it are read as sections of their own.
    fn section(&mut self, table: &'static Table, label: String, place: Place, content: &DeTable<'_>, prefix: &str) {
        let at = self.document.sections.len();
        self.document.sections.push(Section { table, label: label.clone(), place, entries: BTreeMap::new() });
        for (name, value) in content {
            let place = self.lines.place(&name.span());
            let name = name.get_ref().as_ref();
            if let Some(key) = table.keys.iter().find(|key| key.name == name) {
                match read_value(key.form, value.get_ref()) {
                    Ok((value, shown)) => {
                        self.document.sections[at]
                            .entries
                            .insert(key.name, Entry { value, place, shown, layer: Layer::File });
                    }
                    Err(why) => self.problem(Problem::error(
                        Some(place),
                        format!("{}: {why}", dotted(prefix, name)),
                        format!("write a {}", key.form.describe()),
                    )),
                }
            } else {
                self.below(&dotted(prefix, name), place, value, &label);
            }
        }
    }

    /// Reads what is not a key of the table above: a table of its own, or a mistake.
    fn below(&mut self, path: &str, place: Place, value: &Spanned<DeValue<'_>>, label: &str) {
        let is_group =
            schema::TABLES.iter().any(|table| table.name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')));
        match (schema::table(path), value.get_ref()) {
            (Some(table), DeValue::Table(content)) if table.shape == Shape::Single => {
                self.section(table, label.to_owned(), place, content, path);
            }
            (Some(table), DeValue::Table(content)) if table.shape == Shape::Named => {
                for (name, value) in content {
                    let place = self.lines.place(&name.span());
                    let name = name.get_ref().as_ref();
                    match value.get_ref() {
                        DeValue::Table(content) => self.section(table, name.to_owned(), place, content, path),
                        _ => self.problem(Problem::error(
                            Some(place),
                            format!("{path}.{name} is not a table"),
                            format!("write [{path}.NAME]"),
                        )),
                    }
                }
            }
            (Some(table), DeValue::Array(items)) if table.shape == Shape::List => {
                for (number, item) in items.iter().enumerate() {
                    let place = self.lines.place(&item.span());
                    match item.get_ref() {
                        DeValue::Table(content) => self.section(table, (number + 1).to_string(), place, content, path),
                        _ => self.problem(Problem::error(
                            Some(place),
                            format!("{path} holds something that is not a table"),
                            format!("write [[{path}]]"),
                        )),
                    }
                }
            }
            (Some(table), _) => {
                let header = if table.shape == Shape::List { format!("[[{path}]]") } else { format!("[{path}]") };
                self.problem(Problem::error(
                    Some(place),
                    format!("{path} has the wrong form"),
                    format!("write it as {header}"),
                ));
            }
            (None, DeValue::Table(content)) if is_group => {
                for (name, value) in content {
                    let place = self.lines.place(&name.span());
                    self.below(&dotted(path, name.get_ref().as_ref()), place, value, label);
                }
            }
            (None, _) => self.unknown(path, place),
        }
    }

    fn unknown(&mut self, path: &str, place: Place) {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let keys = schema::table(parent).map_or(&[][..], |table| table.keys).iter().map(|key| key.name);
        let tables = schema::TABLES.iter().filter_map(|table| {
            let rest =
                if parent.is_empty() { Some(table.name) } else { table.name.strip_prefix(parent)?.strip_prefix('.') };
            rest?.split('.').next().filter(|first| !first.is_empty())
        });
        let elsewhere =
            schema::TABLES.iter().find(|table| table.name != parent && table.keys.iter().any(|key| key.name == name));
        let fix = match (suggest::nearest(name, keys.chain(tables)), elsewhere) {
            (Some(near), _) => format!("did you mean '{}'?", dotted(parent, near)),
            (None, Some(table)) if table.name.is_empty() => {
                format!("'{name}' belongs at the top of the file, before the first [table]")
            }
            (None, Some(table)) => format!("'{name}' belongs in [{}]", table.name),
            (None, None) => "remove it; docs/CONFIG.md lists every key".to_owned(),
        };
        self.problem(Problem::error(Some(place), format!("'{path}' is not a key Lacre knows"), fix));
    }
}

fn dotted(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::{Document, Value};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let document = Document::parse(text);
        let problems: Vec<String> = document
            .problems()
            .iter()
            .map(|problem| format!("{} {} | {}", problem.place.unwrap(), problem.what, problem.fix))
            .collect();
        assert_eq!(problems, expected);
    }

    #[test]
    fn the_contract_example_is_valid_and_typed() {
        let document = Document::parse(include_str!("../../tests/data/contract.toml"));
        assert_eq!(document.problems(), []);
        assert_eq!(document.sections().len(), 14);
        let status = document.of("status").next().unwrap();
        assert!(matches!(status.entries["max_age"].value, Value::Duration(age) if age.as_secs() == 26 * 3600));
        assert!(matches!(status.entries["min_size"].value, Value::Bytes(102_400)));
        assert_eq!(document.of("credential").next().unwrap().title(), "credential.backup");
        let hooks = document.of("hooks").next().unwrap();
        assert!(matches!(&hooks.entries["before_restore"].value, Value::Argvs(argvs) if argvs[0][0] == "docker"));
    }

    #[test]
    fn unknown_keys_have_a_place_and_a_suggestion() {
        check("repositry = \"/x\"", &["1:1 'repositry' is not a key Lacre knows | did you mean 'repository'?"]);
        check(
            "[retention]\nkeep_daily = 3\n  keep-dayly = 4\n",
            &["3:3 'retention.keep-dayly' is not a key Lacre knows | did you mean 'retention.keep_daily'?"],
        );
        check("[staus]\nx = 1", &["1:2 'staus' is not a key Lacre knows | did you mean 'status'?"]);
        check("[notify.emial]\nx = 1", &["1:9 'notify.emial' is not a key Lacre knows | did you mean 'notify.email'?"]);
        check(
            "[status]\nrepository = '/x'",
            &[
                "2:1 'status.repository' is not a key Lacre knows | 'repository' belongs at the top of the file, before the first [table]",
            ],
        );
        check("max_age = '1h'", &["1:1 'max_age' is not a key Lacre knows | 'max_age' belongs in [status]"]);
        check("zzz = 1", &["1:1 'zzz' is not a key Lacre knows | remove it; docs/CONFIG.md lists every key"]);
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        check(
            "[status]\nmax_age = \"26\"\nmin_count = -1\nmin_size = true\n[[job]]\nname = \"Astro\"\ncommand = []\n",
            &[
                "2:1 status.max_age: '26' is not a time span; write for example 90s, 30m, 26h, 8d, 2w, 3mo or 1y | write a duration, for example \"26h\" or \"8d\"",
                "3:1 status.min_count: -1 is not between 0 and 4294967295 | write a whole number",
                "4:1 status.min_size: it is of type boolean | write a size, for example \"64MiB\"",
                "6:1 job.name: 'A' is not allowed in a job name; use a-z, 0-9, '.', '_' and '-' | write a name of 1 to 64 characters a-z 0-9 . _ -",
                "7:1 job.command: the list is empty | write a list of a program and its arguments",
            ],
        );
    }

    #[test]
    fn wrong_shapes_are_named() {
        check("[job]\nname = 'a'", &["1:2 job has the wrong form | write it as [[job]]"]);
        check("[[status]]\n", &["1:3 status has the wrong form | write it as [status]"]);
        check("[credential]\nbackup = 1", &["2:1 credential.backup is not a table | write [credential.NAME]"]);
        check(
            "[credential.b]\nsecret_access_key_env = 'abc/def'",
            &[
                "2:1 credential.secret_access_key_env: 'abc/def' is not the name of an environment variable (and must not be the secret itself) | write a name of an environment variable",
            ],
        );
    }

    #[test]
    fn broken_syntax_is_a_problem_with_a_place() {
        let document = Document::parse("repository = \"/x\"\n[status\nmax_age = \"1h\"\n");
        assert!(
            document
                .problems()
                .iter()
                .any(|problem| problem.place.unwrap().line == 2 && problem.what.contains("not TOML")),
            "{:?}",
            document.problems()
        );
    }

    #[test]
    fn passwords_are_never_shown() {
        let document = Document::parse(
            "[[job]]\nname='a'\npostgres='postgres://u:hunter2@h/d'\ntags=['postgres://u:hunter2@h/d']",
        );
        let shown = format!("{document:?}");
        let entries = &document.of("job").next().unwrap().entries;
        assert_eq!(entries["postgres"].shown, "\"postgres://u:***@h/d\"");
        assert!(!entries["tags"].shown.contains("hunter2") && !shown.contains("SafeUrl(postgres://u:hunter2"));
    }

    #[test]
    fn any_bytes_end_without_a_panic() {
        for text in [
            "",
            "\u{feff}",
            "a",
            "[",
            "[[",
            "]]",
            "a=",
            "é = 1\nü",
            "a.b.c = 1",
            "[a]\n[a]",
            "\0",
            "a = 1979-05-27",
            &"[".repeat(5000),
        ] {
            let document = Document::parse(text);
            assert!(document.problems().len() <= super::PROBLEMS_MAX);
        }
    }
}
