//! `lacre completions SHELL`.

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionsArgs},
    error::CliError,
    exit::Exit,
    invocation::Invocation,
};

/// Prints the completion script; it is a script in every form, so `--json` changes nothing.
///
/// # Errors
/// Those of stdout.
pub(super) fn run(invocation: &Invocation, args: &CompletionsArgs) -> Result<Exit, CliError> {
    // Generated into memory first, because the generator panics when its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lacre", &mut script);
    invocation.terminal.result(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}
