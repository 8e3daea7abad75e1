//! From arguments to exit code: harden, parse, dispatch, show the error.
//!
//! In: arguments. Out: an exit code. It must not know how a command does its work.

use std::{ffi::OsString, io::IsTerminal as _, process::ExitCode};

use clap::{
    CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
};
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
    let arguments = asked_for_help(arguments);
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

/// `lacre help restore` is what some type for `lacre restore --help`.
fn asked_for_help(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut left = arguments.iter();
    match (left.next(), left.next()) {
        (Some(program), Some(word)) if word == "help" => {
            [program].into_iter().chain(left).cloned().chain([OsString::from("--help")]).collect()
        }
        _ => arguments,
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
        Form::Text => talk(|err| {
            write!(err, "{}", error.render().ansi())?;
            meant(error).map_or(Ok(()), |command| writeln!(err, "\nhint: {command}"))
        }),
        Form::Json => drop(terminal.result(|out| render::write_json(&usage_error(error, arguments), out))),
    }
    Exit::Usage
}

/// What other programs call a command of ours.
fn meant(error: &clap::Error) -> Option<&'static str> {
    match error.get(ContextKind::InvalidSubcommand)? {
        ContextValue::String(typed) => match typed.as_str() {
            "list" | "ls-snapshots" => Some("lacre snapshots"),
            "verify" => Some("lacre check"),
            _ => None,
        },
        _ => None,
    }
}

/// The first example of the command that these arguments name.
fn example(arguments: &[OsString]) -> Option<String> {
    let mut command = Cli::command();
    for word in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(below) = command.find_subcommand(word) {
            command = below.clone();
        }
    }
    let text = command.get_long_about().or_else(|| command.get_about())?.to_string();
    let line = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix("Example: ").or_else(|| line.strip_prefix("Examples: ")).unwrap_or(line);
        line.starts_with("lacre ").then(|| line.to_owned())
    };
    text.lines().find_map(line)
}

/// Turns clap's text into one sentence and hints: the first paragraph says what is wrong, tips follow. The usage is for a terminal; here
/// the command's first example says more.
fn usage_error(error: &clap::Error, arguments: &[OsString]) -> CliError {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    let is_tip = |paragraph: &String| {
        !paragraph.is_empty() && !paragraph.starts_with("Usage:") && !paragraph.starts_with("For more information")
    };
    let error = paragraphs
        .filter(is_tip)
        .map(|paragraph| paragraph.strip_prefix("tip: ").unwrap_or(&paragraph).to_owned())
        .chain(meant(error).map(ToOwned::to_owned))
        .fold(CliError::new(Kind::Usage, what), CliError::hint);
    match example(arguments) {
        Some(example) => error.hint(example),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::Parser as _;

    use super::{asked_for_help, usage_error};
    use crate::{cli::Cli, error::CliError};

    fn refused(arguments: &[&str]) -> CliError {
        let words: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        usage_error(&Cli::try_parse_from(arguments).unwrap_err(), &words)
    }

    #[test]
    fn a_usage_error_is_one_sentence_with_hints() {
        let error = refused(&["lacre", "snapshot"]);
        assert_eq!(error.message(), "unrecognized subcommand 'snapshot'");
        assert!(error.hints().iter().any(|hint| hint.contains("'snapshots'")), "{:?}", error.hints());
        let error = refused(&["lacre", "cat", "latest"]);
        assert_eq!(error.message(), "the following required arguments were not provided: <STREAM>");
        let error = refused(&["lacre", "erase", "job", "astro"]);
        assert_eq!(error.hints(), ["lacre erase job astro --before 2026-01-01"]);
    }

    #[test]
    fn words_of_other_programs_lead_somewhere() {
        assert!(refused(&["lacre", "list"]).hints().contains(&"lacre snapshots".to_owned()));
        let words = asked_for_help(["lacre", "help", "erase", "job"].map(OsString::from).to_vec());
        assert_eq!(words, ["lacre", "erase", "job", "--help"].map(OsString::from));
    }
}
