//! Reading the rules file.
//!
//! Comes in: TOML text. Goes out: rules, or every problem with its place. Must not know: schemas.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::lookup::{column_name, table_name};
use super::{
    Absent, Action, Form, JsonPath, Lookup, Mask, Other, Place, Problem, Problems, Residue, Rules, SubjectRules,
    SweepRules, TableRule, nearest,
};
use crate::copy::Identifier;
use crate::limits::{RULE_PROBLEMS_MAX, RULES_BYTES_MAX, RULES_TABLES_MAX};
use crate::schema::TableName;

const TOP_KEYS: &[&str] = &["version", "subject", "sweep"];
const SUBJECT_KEYS: &[&str] = &["root", "key", "action", "columns", "identifiers", "table"];
const TABLE_KEYS: &[&str] = &["name", "action", "via", "when", "to", "to_columns", "columns", "basis", "absent"];
const SWEEP_KEYS: &[&str] = &["forms", "residue", "other"];
const ACTIONS: [Action; 5] = [Action::Delete, Action::Null, Action::Mask, Action::Keep, Action::Follow];

/// The version of the rules file that this program reads.
const VERSION: &str = "1";

type Value<'d> = Spanned<DeValue<'d>>;

pub(super) fn parse(text: &str) -> Result<Rules, Problems> {
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut reader = Reader { text, starts, problems: Vec::new() };
    let mut rules = Rules { subjects: Vec::new(), sweep: SweepRules::default() };
    if text.len() > RULES_BYTES_MAX {
        reader.problem(0..0, "the file is too large", format!("keep it under {RULES_BYTES_MAX} bytes"));
        return Err(Problems(reader.problems));
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let what = format!("this is not TOML: {}", error.message());
        reader.problem(error.span().unwrap_or_default(), what, "correct the syntax at that place");
    }
    if reader.problems.is_empty() {
        reader.top(root.get_ref(), &mut rules);
    }
    if reader.problems.is_empty() {
        return Ok(rules);
    }
    // The parser sorts keys by name; people read from top to bottom.
    reader.problems.sort_by_key(|problem| problem.place);
    Err(Problems(reader.problems))
}

struct Reader<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        let at = span.start.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let column = self.text.get(self.starts[line - 1]..at).map_or(0, |before| before.chars().count()) + 1;
        Place { line, column }
    }

    fn problem(&mut self, span: Range<usize>, what: impl Into<String>, fix: impl Into<String>) {
        if self.problems.len() < RULE_PROBLEMS_MAX {
            let place = self.place(&span);
            self.problems.push(Problem { place, what: what.into(), fix: fix.into() });
        }
    }

    /// Reports the keys that are not known.
    fn known(&mut self, table: &DeTable<'_>, keys: &'static [&'static str], within: &str) {
        for (name, _) in table {
            let typed = name.get_ref().as_ref();
            if keys.contains(&typed) {
                continue;
            }
            let fix = match nearest(typed, keys.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("known there: {}", keys.join(", ")),
            };
            self.problem(name.span(), format!("'{typed}' is not a key {within} has"), fix);
        }
    }

    fn top(&mut self, root: &DeTable<'_>, rules: &mut Rules) {
        self.known(root, TOP_KEYS, "the file");
        if let Some(version) = root.get("version") {
            let read = version.get_ref().as_integer().is_some_and(|number| number.as_str() == VERSION);
            if !read {
                self.problem(version.span(), "this version of the rules is not known", "write version = 1");
            }
        }
        if let Some(sweep) = root.get("sweep") {
            self.sweep(sweep, &mut rules.sweep);
        }
        match root.get("subject").map(|value| (value.span(), value.get_ref())) {
            Some((_, DeValue::Table(subjects))) if !subjects.is_empty() => {
                for (name, value) in subjects {
                    let DeValue::Table(content) = value.get_ref() else {
                        self.problem(name.span(), "a subject must be a table", "write [subject.NAME]");
                        continue;
                    };
                    if let Some(subject) = self.subject(name.get_ref(), name.span(), content) {
                        rules.subjects.push(subject);
                    }
                }
                rules.subjects.sort_by_key(|subject| subject.place);
            }
            Some((span, _)) => self.problem(span, "there is no subject", "write [subject.NAME] with root and key"),
            None => self.problem(0..0, "there is no subject", "write [subject.NAME] with root and key"),
        }
    }

    fn sweep(&mut self, value: &Value<'_>, sweep: &mut SweepRules) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.problem(value.span(), "sweep must be a table", "write [sweep]");
        };
        self.known(table, SWEEP_KEYS, "[sweep]");
        if let Some(value) = table.get("forms") {
            sweep.forms.clear();
            for (text, span) in self.texts(value) {
                match Form::ALL.into_iter().find(|form| form.word() == text) {
                    Some(form) if !sweep.forms.contains(&form) => sweep.forms.push(form),
                    Some(_) => {}
                    None => self.choice(span, "a form", &text, &Form::ALL.map(Form::word)),
                }
            }
            if sweep.forms.is_empty() {
                self.problem(value.span(), "no form is searched for", "leave 'forms' out to search for all");
            }
        }
        if let Some(value) = table.get("residue") {
            match self.text(value).as_deref() {
                Some("fail") => sweep.residue = Residue::Fail,
                Some("report") => sweep.residue = Residue::Report,
                Some(other) => self.choice(value.span(), "what a residue does", other, &["fail", "report"]),
                None => {}
            }
        }
        if let Some(value) = table.get("other") {
            match self.text(value).as_deref() {
                Some("refuse") => sweep.other = Other::Refuse,
                Some("sweep") => sweep.other = Other::Sweep,
                Some(other) => {
                    self.choice(value.span(), "what is done with other snapshots", other, &["refuse", "sweep"]);
                }
                None => {}
            }
        }
    }

    fn choice(&mut self, span: Range<usize>, kind: &str, typed: &str, known: &[&str]) {
        let fix = match nearest(typed, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("write one of: {}", known.join(", ")),
        };
        self.problem(span, format!("'{typed}' is not {kind}"), fix);
    }

    fn subject(&mut self, name: &str, span: Range<usize>, table: &DeTable<'_>) -> Option<SubjectRules> {
        self.known(table, SUBJECT_KEYS, "a subject");
        let root = self.required(table, "root", &span).and_then(|value| self.table(value));
        let key = self.required(table, "key", &span).map(|value| self.columns(value)).unwrap_or_default();
        let action = self.action(table).unwrap_or(Action::Delete);
        if !matches!(action, Action::Delete | Action::Mask) {
            let what = format!("the root cannot be '{}'", action.word());
            self.problem(span.clone(), what, "write action = \"delete\" or \"mask\"");
        }
        let columns = table.get("columns").map(|value| self.masks(value)).unwrap_or_default();
        self.columns_fit(action, &columns, &span);
        let identifiers = table.get("identifiers").map(|value| self.columns(value)).unwrap_or_default();
        let mut tables = Vec::new();
        match table.get("table").map(|value| (value.span(), value.get_ref())) {
            Some((span, DeValue::Array(items))) => {
                if items.len() > RULES_TABLES_MAX {
                    self.problem(span, "there are too many tables", format!("at most {RULES_TABLES_MAX}"));
                }
                for item in items.iter().take(RULES_TABLES_MAX) {
                    match item.get_ref() {
                        DeValue::Table(content) => tables.extend(self.rule(content, item.span())),
                        _ => {
                            self.problem(item.span(), "a table's rule must be a table", "write [[subject.NAME.table]]");
                        }
                    }
                }
            }
            Some((span, _)) => self.problem(span, "'table' must be a list", "write [[subject.NAME.table]]"),
            None => {}
        }
        tables.sort_by_key(|rule| rule.place);
        let place = self.place(&span);
        Some(SubjectRules { place, name: name.to_owned(), root: root?, key, action, columns, identifiers, tables })
    }

    fn rule(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<TableRule> {
        self.known(table, TABLE_KEYS, "a table's rule");
        let name = self.required(table, "name", &span).and_then(|value| self.table(value));
        let action = match table.get("action") {
            Some(_) => self.action(table),
            None => {
                self.problem(span.clone(), "a table's rule needs an action", "write action = \"delete\" or another");
                None
            }
        };
        let via = table.get("via").map(|value| self.lookups(value)).unwrap_or_default();
        let when = table.get("when").map(|value| self.conditions(value)).unwrap_or_default();
        let to = table.get("to").and_then(|value| self.table(value));
        let to_columns = table.get("to_columns").map(|value| self.columns(value)).unwrap_or_default();
        let columns = table.get("columns").map(|value| self.masks(value)).unwrap_or_default();
        let basis = table.get("basis").and_then(|value| self.text(value)).filter(|text| !text.trim().is_empty());
        let absent = match table.get("absent").map(|value| (value, self.text(value))) {
            Some((_, Some(word))) if word == "skip" => Absent::Skip,
            Some((_, Some(word))) if word == "refuse" => Absent::Refuse,
            Some((value, Some(word))) => {
                self.choice(value.span(), "what an absent table does", &word, &["skip", "refuse"]);
                Absent::Refuse
            }
            _ => Absent::Refuse,
        };
        let place = self.place(&span);
        let rule =
            TableRule { place, table: name?, action: action?, via, when, to, to_columns, columns, basis, absent };
        self.rule_fits(&rule, &span);
        Some(rule)
    }

    /// What goes together and what does not.
    fn rule_fits(&mut self, rule: &TableRule, span: &Range<usize>) {
        self.columns_fit(rule.action, &rule.columns, span);
        match (rule.action, &rule.basis) {
            (Action::Keep, None) => self.problem(
                span.clone(),
                "rows of a person are kept without a reason",
                "write basis = \"the law or contract that demands it\"",
            ),
            (Action::Keep, Some(_)) | (_, None) => {}
            (_, Some(_)) => self.problem(span.clone(), "only action = \"keep\" has a basis", "remove 'basis'"),
        }
        if rule.via.is_empty() && !(rule.when.is_empty() && rule.to.is_none() && rule.to_columns.is_empty()) {
            let fix = "write via = \"the column that refers to the person\"";
            self.problem(span.clone(), "'when', 'to' and 'to_columns' need a 'via'", fix);
        }
        if rule.action == Action::Follow && !(rule.via.is_empty() && rule.when.is_empty()) {
            let fix = "remove 'via', or say what happens to the rows";
            self.problem(span.clone(), "'follow' leaves it to the foreign keys and has no 'via'", fix);
        }
    }

    fn columns_fit(&mut self, action: Action, columns: &[(Identifier, Mask)], span: &Range<usize>) {
        match action {
            Action::Mask if columns.is_empty() => {
                let fix = "write columns = { NAME = \"null\" }";
                self.problem(span.clone(), "'mask' changes no column", fix);
            }
            Action::Delete | Action::Keep | Action::Follow if !columns.is_empty() => {
                let what = format!("'{}' changes no columns", action.word());
                self.problem(span.clone(), what, "write action = \"mask\", or remove 'columns'");
            }
            _ => {}
        }
    }

    fn required<'v, 'd>(
        &mut self,
        table: &'v DeTable<'d>,
        key: &'static str,
        span: &Range<usize>,
    ) -> Option<&'v Value<'d>> {
        let value = table.get(key);
        if value.is_none() {
            self.problem(span.clone(), format!("'{key}' is missing"), format!("write {key} = ..."));
        }
        value
    }

    fn action(&mut self, table: &DeTable<'_>) -> Option<Action> {
        let value = table.get("action")?;
        let word = self.text(value)?;
        let found = ACTIONS.into_iter().find(|action| action.word() == word);
        if found.is_none() {
            self.choice(value.span(), "an action", &word, &ACTIONS.map(Action::word));
        }
        found
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => {
                self.problem(value.span(), "this must be text", "write it in quotes");
                None
            }
        }
    }

    /// One text or a list of them, each with its place.
    fn texts(&mut self, value: &Value<'_>) -> Vec<(String, Range<usize>)> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|item| Some((self.text(item)?, item.span()))).collect(),
            _ => self.text(value).map(|text| (text, value.span())).into_iter().collect(),
        }
    }

    fn table(&mut self, value: &Value<'_>) -> Option<TableName> {
        let text = self.text(value)?;
        let name = table_name(&text);
        if name.is_none() {
            let fix = "write it with its schema, as in \"app.users\" or \"app.\\\"Users\\\"\"";
            self.problem(value.span(), format!("'{text}' is not the name of a table"), fix);
        }
        name
    }

    fn columns(&mut self, value: &Value<'_>) -> Vec<Identifier> {
        let texts = self.texts(value);
        if texts.is_empty() {
            self.problem(value.span(), "no column is named", "write at least one column");
        }
        texts.into_iter().filter_map(|(text, span)| self.column(&text, span)).collect()
    }

    fn column(&mut self, text: &str, span: Range<usize>) -> Option<Identifier> {
        let name = column_name(text);
        if name.is_none() {
            let fix = "write it as SQL does: small letters, or in double quotes";
            self.problem(span, format!("'{text}' is not the name of a column"), fix);
        }
        name
    }

    fn lookups(&mut self, value: &Value<'_>) -> Vec<Lookup> {
        let mut found = Vec::new();
        for (text, span) in self.texts(value) {
            match Lookup::parse(&text) {
                Some(lookup) => found.push(lookup),
                None => {
                    let what = format!("'{text}' is neither a column nor a place in JSON");
                    self.problem(span, what, "write \"user_id\" or \"payload->>'user_id'\"");
                }
            }
        }
        found
    }

    fn conditions(&mut self, value: &Value<'_>) -> Vec<(Identifier, String)> {
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(value.span(), "'when' must be a table", "write when = { COLUMN = \"value\" }");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::Integer(number) => Some(number.as_str().to_owned()),
                DeValue::Boolean(is_true) => Some(if *is_true { "t" } else { "f" }.to_owned()),
                _ => self.text(value),
            };
            let column = self.column(name.get_ref(), name.span());
            found.extend(column.zip(text));
        }
        found
    }

    fn masks(&mut self, value: &Value<'_>) -> Vec<(Identifier, Mask)> {
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(value.span(), "'columns' must be a table", "write columns = { NAME = \"null\" }");
            return Vec::new();
        };
        let mut found = Vec::new();
        for (name, value) in table {
            let column = self.column(name.get_ref(), name.span());
            let mask = self.text(value).and_then(|text| self.mask(&text, value.span()));
            found.extend(column.zip(mask));
        }
        found
    }

    fn mask(&mut self, text: &str, span: Range<usize>) -> Option<Mask> {
        let fix = "write \"null\", \"text:...\", \"json:path,path\" or \"json-remove:path,path\"";
        if text == "null" {
            return Some(Mask::Null);
        }
        if let Some(constant) = text.strip_prefix("text:") {
            return Some(Mask::Text(constant.to_owned()));
        }
        let (paths, mask): (_, fn(Vec<JsonPath>) -> Mask) =
            match (text.strip_prefix("json:"), text.strip_prefix("json-remove:")) {
                (Some(paths), _) => (paths, Mask::JsonNull),
                (_, Some(paths)) => (paths, Mask::JsonRemove),
                _ => {
                    self.problem(span, format!("'{text}' does not say what the column becomes"), fix);
                    return None;
                }
            };
        let read: Option<Vec<_>> = paths.split(',').map(JsonPath::parse).collect();
        if read.is_none() {
            self.problem(span, format!("'{text}' holds something that is no path"), "write \"json:a.b,c.*.d\"");
        }
        read.map(mask)
    }
}

#[cfg(test)]
mod tests;
