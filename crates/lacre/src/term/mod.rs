//! The terminal: the only place that writes to stdout and stderr.
//!
//! In: results, warnings, progress counters. Out: data on stdout, talk on stderr; colour and movement only on a terminal.
//! It must not know what a command does.

mod answer;
pub mod page;
pub mod progress;
pub mod prompt;
pub mod qr;
pub mod table;

use std::{
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
};

use owo_colors::OwoColorize as _;

use self::page::{Lead, Lines, Page, Sheet};
use crate::error::CliError;

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Talk {
    /// Errors only.
    Quiet,
    /// Warnings, hints and results.
    Normal,
    /// What is done and why, too.
    Verbose,
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// Exactly one JSON document.
    Json,
}

/// The terminal as this run found it.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// How much is said.
    pub talk: Talk,
    /// What stdout carries.
    pub form: Form,
}

impl Terminal {
    /// Says whether a person can answer a question: both ends must be a terminal.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Says whether stdout is a terminal.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes a command's result to stdout.
    ///
    /// # Errors
    /// A reader that went away is [`crate::error::Kind::BrokenPipe`], which ends the program quietly.
    pub fn result(&self, write: impl FnOnce(&mut dyn Page) -> io::Result<()>) -> Result<(), CliError> {
        self.result_in(Lines::AsTheyAre, write)
    }

    /// Writes a command's result to stdout, its long lines as they are or folded where a person looks at them.
    ///
    /// # Errors
    /// As [`Terminal::result`].
    pub fn result_in(&self, lines: Lines, write: impl FnOnce(&mut dyn Page) -> io::Result<()>) -> Result<(), CliError> {
        let columns = page::columns(&io::stdout());
        let mut out = Sheet::new(io::BufWriter::new(anstream::stdout().lock()), columns, lines);
        write(&mut out)
            .and_then(|()| out.flush())
            .map_err(|error| CliError::io("cannot write to standard output", &error))
    }

    /// Gives stdout for bytes that are data, exactly as they are; nothing else may be written to it.
    ///
    /// # Errors
    /// The operating system's refusal to duplicate the descriptor.
    pub fn raw_stdout(&self) -> Result<std::fs::File, CliError> {
        rustix::io::dup(io::stdout().as_fd())
            .map(std::fs::File::from)
            .map_err(|error| CliError::io("cannot write to standard output", &error.into()))
    }

    /// Says something on stderr unless `--quiet`.
    pub fn say(&self, text: &str) {
        if self.talk >= Talk::Normal {
            talk(|err| writeln!(err, "{text}"));
        }
    }

    /// Says a detail on stderr when `-v` asked for it.
    pub fn detail(&self, text: &str) {
        if self.talk >= Talk::Verbose {
            talk(|err| writeln!(err, "{}", text.dimmed()));
        }
    }

    /// Warns on stderr, also when quiet: a warning names something a person must act on.
    pub fn warn(&self, text: &str) {
        let word = "warning:";
        let shown = format!("{} ", word.yellow().bold());
        talk(|err| page::sentence(err, Lead { shown: &shown, columns: page::width(word) + 1 }, text));
    }

    /// Shows an error on stderr, or as the JSON document on stdout.
    pub fn error(&self, error: &CliError) {
        match self.form {
            Form::Text => talk(|err| crate::render::write_text(error, err)),
            // When stdout is gone too, nobody is left to tell; the exit code still speaks.
            Form::Json => drop(self.result(|out| crate::render::write_json(error, out))),
        }
    }
}

/// Writes to stderr; when stderr is gone there is nobody to tell, and that must not fail a backup.
pub(crate) fn talk(write: impl FnOnce(&mut dyn Page) -> io::Result<()>) {
    let mut err = Sheet::new(anstream::stderr().lock(), page::columns(&io::stderr()), Lines::AsTheyAre);
    let _nobody_to_tell = write(&mut err).and_then(|()| err.flush());
}
