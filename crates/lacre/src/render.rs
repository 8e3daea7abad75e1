//! Errors as text for a person or as one JSON document for a program.
//!
//! In: a [`CliError`]. Out: bytes for stderr (text) or stdout (JSON). It must not decide exit codes.

use std::io::{self, Write};

use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::{error::CliError, output::SCHEMA};

#[derive(Serialize)]
struct ErrorDocument<'a> {
    schema: u32,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    kind: &'a str,
    message: String,
    hint: Option<String>,
    exit: u8,
}

/// Writes the error for a person: the sentence, its reasons, a blank line, the hints.
pub fn write_text(error: &CliError, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} {}", "error:".red().bold(), error.what())?;
    for cause in error.causes() {
        writeln!(out, "  {cause}")?;
    }
    if !error.hints().is_empty() {
        writeln!(out)?;
    }
    for hint in error.hints() {
        writeln!(out, "{} {hint}", "hint:".cyan().bold())?;
    }
    Ok(())
}

/// Writes the error as the one JSON document `{schema, error: {kind, message, hint, exit}}`.
pub fn write_json(error: &CliError, out: &mut dyn Write) -> io::Result<()> {
    let hint = (!error.hints().is_empty()).then(|| error.hints().join("\n"));
    let body =
        ErrorBody { kind: error.kind().name(), message: error.message(), hint, exit: error.kind().exit().code() };
    serde_json::to_writer_pretty(&mut *out, &ErrorDocument { schema: SCHEMA, error: body })?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::{write_json, write_text};
    use crate::error::{CliError, Kind};

    fn sample() -> CliError {
        CliError::new(Kind::NoKey, "no key opens snapshot 8f21").hint("lacre --identity key.txt show 8f21")
    }

    #[test]
    fn text_puts_the_hint_after_a_blank_line() {
        let mut out = anstream::StripStream::new(Vec::new());
        write_text(&sample(), &mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert_eq!(text, "error: no key opens snapshot 8f21\n\nhint: lacre --identity key.txt show 8f21\n");
    }

    #[test]
    fn json_has_exactly_the_contract_fields() {
        let mut out = Vec::new();
        write_json(&sample(), &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"schema": 1, "error": {"kind": "no_key", "message": "no key opens snapshot 8f21",
                "hint": "lacre --identity key.txt show 8f21", "exit": 12}})
        );
    }
}
