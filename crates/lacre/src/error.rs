//! The error every command returns: what failed, on what, why, and the next command to type.
//!
//! In: typed errors of the rooms below. Out: a kind (hence an exit code), a chain of sentences and hints. It must not print.

use std::{error::Error as StdError, fmt, io};

use crate::exit::Exit;

/// The longest chain of causes that is shown; a longer one is a bug in an error type, not information.
const CAUSES_MAX: usize = 16;

/// What a caller can do about an error; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// No repository or snapshot of that name.
    NotFound,
    /// Another process or machine was faster; try again.
    Conflict,
    /// The store or a server cannot be reached; retrying is safe.
    Unavailable,
    /// No key at hand opens it.
    NoKey,
    /// Stored data is damaged.
    Damaged,
    /// The source of a backup failed.
    SourceFailed,
    /// A safety rule refused.
    Refused,
    /// The operating system refused a file or process operation.
    Io,
    /// A signal asked the command to stop.
    Interrupted,
    /// The reader of our output went away; nobody is left to read a message.
    BrokenPipe,
    /// Lacre itself is wrong.
    Bug,
}

impl Kind {
    /// Returns the name used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Configuration => "configuration",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::Unavailable => "unavailable",
            Kind::NoKey => "no_key",
            Kind::Damaged => "damaged",
            Kind::SourceFailed => "source_failed",
            Kind::Refused => "refused",
            Kind::Io => "io",
            Kind::Interrupted => "interrupted",
            Kind::BrokenPipe => "broken_pipe",
            Kind::Bug => "bug",
        }
    }

    /// Returns the exit code that goes with the kind.
    pub fn exit(self) -> Exit {
        match self {
            Kind::Usage | Kind::Configuration => Exit::Usage,
            Kind::NotFound => Exit::NoRepository,
            Kind::Conflict => Exit::Conflict,
            Kind::Unavailable => Exit::Unreachable,
            Kind::NoKey => Exit::NoKey,
            Kind::Damaged => Exit::Damage,
            Kind::SourceFailed => Exit::SourceFailed,
            Kind::Refused => Exit::Refused,
            Kind::Interrupted => Exit::Interrupted,
            Kind::BrokenPipe => Exit::Done,
            Kind::Io | Kind::Bug => Exit::Failed,
        }
    }
}

/// What went wrong, in the words a person reads.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    what: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl CliError {
    /// Makes an error from one sentence: what failed, on what, why; no full stop.
    pub fn new(kind: Kind, what: impl Into<String>) -> CliError {
        let mut hints = Vec::new();
        if kind == Kind::Bug {
            hints.push(
                "this is an error in Lacre, not in your data; please report it with the output of `lacre doctor`"
                    .to_owned(),
            );
        }
        CliError { kind, what: what.into(), causes: Vec::new(), hints }
    }

    /// Makes an error for a file or process operation that the operating system refused.
    ///
    /// A broken pipe becomes [`Kind::BrokenPipe`], which ends the program quietly.
    pub fn io(what: impl Into<String>, error: &io::Error) -> CliError {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::BrokenPipe,
            io::ErrorKind::Interrupted => Kind::Interrupted,
            _ => Kind::Io,
        };
        CliError::new(kind, what).because(error)
    }

    /// Adds the chain of causes of a typed error, leaving out sentences already said.
    pub fn because(mut self, error: &dyn StdError) -> CliError {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            let said = self.what.contains(&text) || self.causes.iter().any(|earlier| earlier.contains(&text));
            if !said && self.causes.len() < CAUSES_MAX {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds the next command to type; hints are shown in the order they were added.
    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hints.push(hint.into());
        self
    }

    /// Returns the kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the first sentence: what failed, on what.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns the reasons, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Returns the hints in the order of importance.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns what, on what and why as one line, as in the JSON document.
    pub fn message(&self) -> String {
        let mut message = self.what.clone();
        for cause in &self.causes {
            message.push_str(": ");
            message.push_str(cause);
        }
        message
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl StdError for CliError {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{CliError, Kind};
    use crate::exit::Exit;

    #[test]
    fn message_holds_the_chain_once() {
        let error = CliError::io("cannot read /etc/lacre/lacre.toml", &io::Error::other("disk on fire"));
        assert_eq!(error.message(), "cannot read /etc/lacre/lacre.toml: disk on fire");
        let again = error.because(&io::Error::other("disk on fire"));
        assert_eq!(again.causes().len(), 1);
    }

    #[test]
    fn a_broken_pipe_is_quiet_success() {
        let error = CliError::io("cannot write", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((error.kind(), error.kind().exit()), (Kind::BrokenPipe, Exit::Done));
    }

    #[test]
    fn a_bug_asks_to_be_reported() {
        assert!(CliError::new(Kind::Bug, "two packs of one name").hints()[0].contains("lacre doctor"));
    }
}
