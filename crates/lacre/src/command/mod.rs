//! The commands: one file per verb, each one library call and what is shown of it.

mod completions;
mod config;
mod doctor;
mod man;

use crate::{
    cli::Command,
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
};

/// Runs the command that was typed.
///
/// # Errors
/// What the command failed of; its kind decides the exit code.
pub fn run(invocation: &Invocation, command: &Command) -> Result<Exit, CliError> {
    match command {
        Command::Completions(args) => completions::run(invocation, args),
        Command::Config(args) => config::run(invocation, args),
        Command::Doctor(args) => doctor::run(invocation, args),
        Command::Man(args) => man::run(invocation, args),
        _ => Err(CliError::new(Kind::Usage, "this command is not part of this build")),
    }
}
