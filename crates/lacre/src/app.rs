//! From arguments to exit code: harden, parse, dispatch, show the error.
//!
//! In: arguments. Out: an exit code. It must not know how a command does its work.

use std::{ffi::OsString, io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, error::ErrorKind};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

use crate::{
    cli::{Cli, GlobalArgs},
    command,
    config::settle::Origins,
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    process::{self, Interrupt},
    render,
    term::{Form, Talk, Terminal, talk},
};

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let refused = process::harden();
    let matches = match Cli::command().try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => return usage(&error, &arguments).into(),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &arguments).into(),
    };
    let terminal = cli.global.terminal();
    refused.iter().chain(&process::password_in_arguments(&arguments)).for_each(|warning| terminal.warn(warning));
    let ended =
        begin(&cli.global, Origins::of(&matches)).and_then(|invocation| command::run(&invocation, &cli.command));
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if error.kind() == Kind::BrokenPipe => Exit::Done.into(),
        Err(error) => {
            terminal.error(&error);
            error.kind().exit().into()
        }
    }
}

fn begin(global: &GlobalArgs, origins: Origins) -> Result<Invocation, CliError> {
    trace(global.verbose);
    let interrupt = Interrupt::install().map_err(|error| CliError::io("cannot listen for signals", &error))?;
    Ok(Invocation { global: global.clone(), origins, terminal: global.terminal(), interrupt })
}

/// With `-v` what the rooms below note comes to stderr, with `-vv` every detail; no secret is ever noted.
fn trace(verbose: u8) {
    let ours = match verbose {
        0 => return,
        1 => "lacre=info,lacre_repo=info",
        _ => "lacre=debug,lacre_repo=debug",
    };
    let lines = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(ours))
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .finish();
    // Only tests run the program twice in one process; the first subscriber serves both.
    let _already_set = lines.try_init();
}

/// Shows what clap has to say: help and version on stdout, mistakes as an error of ours.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let json = arguments.iter().skip(1).take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let terminal = Terminal { talk: Talk::Normal, form: if json { Form::Json } else { Form::Text } };
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let shown = terminal.result(|out| write!(out, "{}", error.render().ansi()));
        return shown.map_or_else(|error| error.kind().exit(), |()| Exit::Done);
    }
    match terminal.form {
        Form::Text => talk(|err| write!(err, "{}", error.render().ansi())),
        Form::Json => drop(terminal.result(|out| render::write_json(&usage_error(error), out))),
    }
    Exit::Usage
}

/// Turns clap's text into one sentence and hints: the first paragraph says what is wrong, tips and usage follow.
fn usage_error(error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    paragraphs
        .filter(|paragraph| !paragraph.is_empty())
        .map(|paragraph| paragraph.strip_prefix("tip: ").unwrap_or(&paragraph).to_owned())
        .fold(CliError::new(Kind::Usage, what), CliError::hint)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::usage_error;
    use crate::cli::Cli;

    #[test]
    fn a_usage_error_is_one_sentence_with_hints() {
        let error = usage_error(&Cli::try_parse_from(["lacre", "snapshot"]).unwrap_err());
        assert_eq!(error.message(), "unrecognized subcommand 'snapshot'");
        assert!(error.hints().iter().any(|hint| hint.contains("'snapshots'")), "{:?}", error.hints());
        let error = usage_error(&Cli::try_parse_from(["lacre", "cat", "latest"]).unwrap_err());
        assert_eq!(error.message(), "the following required arguments were not provided: <STREAM>");
    }
}
