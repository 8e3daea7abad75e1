//! The rules file: which tables hold a person, and what becomes of their rows.
//!
//! Comes in: TOML text. Goes out: [`Rules`], or every mistake with line, column and what to write instead. Must not know: a schema (that the
//! tables exist is checked for each snapshot by [`crate::closure`]), or a person: rules name columns, never values.
//!
//! The reference is `docs/ERASURE.md`, "The rules file".

mod lookup;
mod parse;
mod suggest;

use std::fmt;

use crate::copy::Identifier;
use crate::schema::TableName;

pub use lookup::{JsonPath, Lookup, Step};
pub use suggest::nearest;

/// A place in the file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to write or do instead.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.what, self.fix)
    }
}

/// Every mistake of a rules file, or of rules against a schema, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct Problems(pub Vec<Problem>);

fn summary(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What happens to the rows of a person in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// They are deleted.
    Delete,
    /// They stay, but no longer say whose they are: the columns that refer to the person become NULL. They are then nobody's, and what refers to
    /// them is left alone.
    Null,
    /// They stay with columns changed.
    Mask,
    /// They stay, for a stated reason.
    Keep,
    /// What the foreign key's own `ON DELETE` says.
    Follow,
}

impl Action {
    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Action::Delete => "delete",
            Action::Null => "null",
            Action::Mask => "mask",
            Action::Keep => "keep",
            Action::Follow => "follow",
        }
    }
}

/// What a column of a row that stays becomes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mask {
    /// NULL.
    Null,
    /// A constant text.
    Text(String),
    /// JSON in which the values at these paths are `null`.
    JsonNull(Vec<JsonPath>),
    /// JSON without what stands at these paths.
    JsonRemove(Vec<JsonPath>),
}

/// Whether a snapshot may lack the table or columns of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Absent {
    /// No: such a snapshot is refused.
    #[default]
    Refuse,
    /// Yes: there is nothing to do there.
    Skip,
}

/// What is done with a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRule {
    /// Where the rule stands.
    pub place: Place,
    /// The table.
    pub table: TableName,
    /// What happens to the rows.
    pub action: Action,
    /// What says whose row it is; nothing where the foreign keys say it.
    pub via: Vec<Lookup>,
    /// The rule is for rows with these values in these columns.
    pub when: Vec<(Identifier, String)>,
    /// What `via` refers to, if not the root's key.
    pub to: Option<TableName>,
    /// The columns of that table `via` refers to; its key if empty.
    pub to_columns: Vec<Identifier>,
    /// What becomes of columns.
    pub columns: Vec<(Identifier, Mask)>,
    /// Why rows are kept.
    pub basis: Option<String>,
    /// Whether a snapshot may lack the table.
    pub absent: Absent,
}

/// The rules for one kind of person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRules {
    /// Where they stand.
    pub place: Place,
    /// The X of `[subject.X]`.
    pub name: String,
    /// The table that has one row for each person.
    pub root: TableName,
    /// The columns that say which.
    pub key: Vec<Identifier>,
    /// What happens to that row: [`Action::Delete`] or [`Action::Mask`].
    pub action: Action,
    /// What becomes of its columns, if it is masked.
    pub columns: Vec<(Identifier, Mask)>,
    /// Columns of that row whose values identify the person; they are searched for afterwards, and other tables may refer to them.
    pub identifiers: Vec<Identifier>,
    /// The other tables.
    pub tables: Vec<TableRule>,
}

/// A form in which an identifier is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Raw,
    /// As COPY text writes it.
    Copy,
    /// As JSON may write it: with short escapes, `\u` escapes, or both.
    Json,
    /// In lower case.
    Lower,
    /// In hexadecimal digits of either case, as `bytea` is written.
    Hex,
    /// In base64, standard and URL alphabet, wherever it begins.
    Base64,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 6] = [Form::Raw, Form::Copy, Form::Json, Form::Lower, Form::Hex, Form::Base64];

    /// The word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Form::Raw => "raw",
            Form::Copy => "copy",
            Form::Json => "json",
            Form::Lower => "lower",
            Form::Hex => "hex",
            Form::Base64 => "base64",
        }
    }
}

/// What traces found afterwards do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Residue {
    /// They fail the erasure.
    #[default]
    Fail,
    /// They are reported.
    Report,
}

/// What is done with a snapshot whose rows cannot be told apart: a plain SQL dump, a dump of INSERT statements, any other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Other {
    /// The erasure is refused.
    #[default]
    Refuse,
    /// It is searched for traces and stays as it is.
    Sweep,
}

/// How traces are searched for afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRules {
    /// The forms.
    pub forms: Vec<Form>,
    /// What traces do.
    pub residue: Residue,
    /// What is done where no rows can be told apart.
    pub other: Other,
}

impl Default for SweepRules {
    fn default() -> SweepRules {
        SweepRules { forms: Form::ALL.to_vec(), residue: Residue::Fail, other: Other::Refuse }
    }
}

/// A whole rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The kinds of persons, by name.
    pub subjects: Vec<SubjectRules>,
    /// The search afterwards.
    pub sweep: SweepRules,
}

impl Rules {
    /// Reads the text of a rules file.
    ///
    /// # Errors
    /// Every mistake in it, at most [`crate::limits::RULE_PROBLEMS_MAX`].
    pub fn parse(text: &str) -> Result<Rules, Problems> {
        parse::parse(text)
    }

    /// The rules of one kind of person.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<&SubjectRules> {
        self.subjects.iter().find(|subject| subject.name == name)
    }
}
