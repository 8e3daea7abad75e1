//! One run of the program: what was typed, the terminal, the interrupt flag, and the settings once a command asks for them.
//!
//! In: parsed arguments. Out: what every `command::*::run` needs. It must not know any command.

use std::{fs, io, os::unix::fs::MetadataExt as _};

use crate::{
    cli::{GlobalArgs, value::StoreUrl},
    config::{self, ConfigFile, Settings, settle::Origins},
    error::{CliError, Kind},
    output::{self, Document},
    process::Interrupt,
    term::{Form, Terminal, page::Page, progress::Progress},
};

/// One run of the program.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Global flags.
    pub global: GlobalArgs,
    /// Where the global flags came from.
    pub origins: Origins,
    /// The terminal.
    pub terminal: Terminal,
    /// Raised by SIGINT, SIGTERM and SIGHUP.
    pub interrupt: Interrupt,
}

impl Invocation {
    /// Reads the configuration file, with the environment and what was typed over it, without judging what it says.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when a file is there and cannot be read.
    pub fn config_file(&self) -> Result<ConfigFile, CliError> {
        let mut file = ConfigFile::load(self.global.config.as_deref())?;
        config::layer::put_over(&mut file.document, &|name| std::env::var_os(name), &self.global.set);
        Ok(file)
    }

    /// Reads and settles the configuration, and warns when its file is open to others.
    ///
    /// # Errors
    /// [`Kind::Configuration`] with file, line and column of the first mistake.
    pub fn settings(&self) -> Result<Settings, CliError> {
        let file = self.config_file()?;
        for problem in &file.file_problems {
            self.terminal.warn(&format!("{}; {}", problem.what, problem.fix));
        }
        let settings = config::settle(&file, &self.global, &self.origins)?;
        for path in &settings.identities {
            // A missing identity is reported by the command that needs it; one that only backs up does not.
            let Ok(metadata) = fs::metadata(path) else { continue };
            for problem in config::mode_problems(path, metadata.mode()) {
                self.terminal.warn(&format!("{}; {}", problem.what, problem.fix));
            }
        }
        Ok(settings)
    }

    /// Returns where the repository lies.
    ///
    /// # Errors
    /// [`Kind::Usage`] when nothing names one.
    pub fn repository(&self, settings: &Settings) -> Result<StoreUrl, CliError> {
        settings.repository.clone().ok_or_else(|| {
            CliError::new(Kind::Usage, "no repository is named")
                .hint("give --repo /var/backups/lacre, set LACRE_REPO, or write repository = \"...\" into lacre.toml")
        })
    }

    /// Starts showing progress as the flags and the terminal want it.
    pub fn progress(&self) -> Progress {
        Progress::start(self.global.progress_mode())
    }

    /// Prints a result: exactly one JSON document with `--json`, else what `text` writes.
    ///
    /// # Errors
    /// Those of stdout; a reader that went away ends the program quietly.
    pub fn print<D: Document>(
        &self,
        document: &D,
        text: impl FnOnce(&mut dyn Page) -> io::Result<()>,
    ) -> Result<(), CliError> {
        match self.terminal.form {
            Form::Text => self.terminal.result_in(D::LINES, text),
            Form::Json => self.terminal.result(|out| out.write_all(output::to_json(document).as_bytes())),
        }
    }
}
