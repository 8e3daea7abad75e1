//! The document of `runbook`.

use serde::Serialize;

use super::{Document, Field};
use crate::term::page::Lines;

const fn field(name: &'static str, help: &'static str) -> Field {
    Field { name, help }
}

/// A page.
#[derive(Clone, Debug, Serialize)]
pub struct RunbookResult {
    /// What it is about.
    pub scenarios: Vec<String>,
    /// Language.
    pub lang: String,
    /// Markdown.
    pub markdown: String,
    /// Blocks of commands.
    pub commands: Vec<RunbookBlock>,
}

impl Document for RunbookResult {
    const COMMAND: &'static str = "runbook";
    const LINES: Lines = Lines::AsTheyAre;
    const FIELDS: &'static [Field] = &[
        field("scenarios", "What the page is about, by name."),
        field("lang", "Language: en or pt-BR."),
        field("markdown", "The page."),
        field("commands", "Its blocks of commands: name, commands. They are the same in every language."),
    ];
}

/// A block of commands.
#[derive(Clone, Debug, Serialize)]
pub struct RunbookBlock {
    /// Its name.
    pub name: String,
    /// Shell commands, one a line.
    pub commands: String,
}
