//! `docs/CLI.md`, made from the command tree, the exit codes and the JSON documents; a test keeps the committed file the same.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use crate::{cli::Cli, exit, output};

const HEAD: &str = "\
# Command line

Made from the source by a test; do not edit by hand. Names, exit codes and JSON fields are stable; fields may be added.

Results go to stdout, talk goes to stderr. With `--json` stdout carries exactly one JSON document, also for errors:
`{\"schema\": 1, \"error\": {\"kind\", \"message\", \"hint\", \"exit\"}}`. With `--progress json` progress comes as JSON lines on stderr.
Colour and moving lines appear only on a terminal. What needs a confirmation is refused with exit 15 when there is no terminal and no `--yes`.

A snapshot is named by the beginning of its id (ambiguous: exit 2), `latest`, `latest:JOB`, or `JOB@2026-11-20` (the newest at or before
the end of that local day). Job names are 1 to 64 characters `a-z 0-9 . _ -`.
";

/// Makes the text of `docs/CLI.md`.
pub fn markdown() -> String {
    let mut root = Cli::command().term_width(0);
    root.build();
    let mut text = HEAD.to_owned();
    write_globals(&root, &mut text).expect("writing to a string cannot fail");
    for command in root.get_subcommands() {
        write_command(command, &format!("lacre {}", command.get_name()), &mut text)
            .expect("writing to a string cannot fail");
    }
    write_exits(&mut text).expect("writing to a string cannot fail");
    text
}

fn write_globals(root: &Command, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Flags of every command\n")?;
    write_arguments(root.get_arguments().filter(|argument| argument.is_global_set()), text)
}

/// The tree is ours and four deep at most, so recursion is bounded by it.
fn write_command(command: &Command, path: &str, text: &mut String) -> std::fmt::Result {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    writeln!(text, "\n## `{path}`\n\n{}", about.trim_end())?;
    let mut below = command.get_subcommands().filter(|below| below.get_name() != "help").peekable();
    if below.peek().is_none() {
        let usage = command.clone().render_usage().to_string();
        writeln!(text, "\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ").trim())?;
        write_arguments(command.get_arguments().filter(|argument| !argument.is_global_set()), text)?;
        write_fields(path, text)?;
    }
    below.try_for_each(|below| write_command(below, &format!("{path} {}", below.get_name()), text))
}

fn write_arguments<'a>(arguments: impl Iterator<Item = &'a Arg>, text: &mut String) -> std::fmt::Result {
    let shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && !matches!(
                argument.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            )
    };
    let mut arguments = arguments.filter(shown).peekable();
    if arguments.peek().is_none() {
        return Ok(());
    }
    writeln!(text, "| | | default | environment |\n|---|---|---|---|")?;
    for argument in arguments {
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let help =
            help.split("\n\n").map(str::trim).collect::<Vec<_>>().join(". ").replace('\n', " ").replace('|', "\\|");
        let defaults = argument
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.display()))
            .collect::<Vec<_>>()
            .join(", ");
        let defaults = if argument.get_action().takes_values() { defaults } else { String::new() };
        let env = argument.get_env().map_or_else(String::new, |name| format!("`{}`", name.display()));
        writeln!(text, "| `{}` | {} | {defaults} | {env} |", name_of(argument), help.trim_end_matches('.'))?;
    }
    Ok(())
}

fn name_of(argument: &Arg) -> String {
    let values: Vec<String> =
        argument.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let values = if argument.get_action().takes_values() { values.join(" ") } else { String::new() };
    let short = argument.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    match argument.get_long() {
        None => values,
        Some(long) if values.is_empty() => format!("{short}--{long}"),
        Some(long) => format!("{short}--{long} {values}"),
    }
}

fn write_fields(path: &str, text: &mut String) -> std::fmt::Result {
    let typed = path.strip_prefix("lacre ").unwrap_or(path);
    for (commands, fields) in output::all() {
        let named: Vec<&str> = commands.split(", ").collect();
        let base = named.first().copied().unwrap_or_default();
        let is_variant =
            base.strip_prefix(typed).is_some_and(|rest| rest.starts_with(" --") || rest.starts_with(" of "));
        if !named.contains(&typed) && !is_variant {
            continue;
        }
        let title = if is_variant { format!("JSON result of `{commands}`") } else { "JSON result".to_owned() };
        writeln!(
            text,
            "\n{title}:\n\n| field | |\n|---|---|\n| `schema` | Version of the document: {}. |",
            output::SCHEMA
        )?;
        for field in fields {
            writeln!(text, "| `{}` | {} |", field.name, field.help)?;
        }
    }
    Ok(())
}

fn write_exits(text: &mut String) -> std::fmt::Result {
    writeln!(text, "\n## Exit codes\n\n| code | means | what to do | retry safe |\n|---|---|---|---|")?;
    for exit in exit::ALL {
        writeln!(text, "| {} | {} | {} | {} |", exit.code(), exit.meaning(), exit.what_to_do(), exit.retry())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::markdown;
    use crate::config::reference;

    /// Compares a generated page with the committed one; with `LACRE_UPDATE_DOCS` set it is written instead.
    #[track_caller]
    fn check(name: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("LACRE_UPDATE_DOCS").is_some() {
            fs::write(&path, made).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let line = made.lines().zip(committed.lines()).position(|(made, committed)| made != committed);
        assert!(
            made == committed,
            "docs/{name} differs from line {:?} on; run: LACRE_UPDATE_DOCS=1 cargo test -p lacre reference",
            line.map(|line| line + 1)
        );
    }

    #[test]
    fn the_command_line_reference_is_up_to_date() {
        check("CLI.md", &markdown());
    }

    #[test]
    fn the_configuration_reference_is_up_to_date() {
        check("CONFIG.md", &reference::markdown());
    }

    #[test]
    fn every_json_document_is_in_the_reference() {
        let text = markdown();
        for (commands, fields) in crate::output::all() {
            for field in fields {
                assert!(text.contains(&format!("| `{}` | {} |", field.name, field.help)), "{commands}: {}", field.name);
            }
        }
        assert!(text.contains("| 130 | interrupted |"));
    }
}
