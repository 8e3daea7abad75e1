//! Questions to the person: yes or no, a name typed in full, a passphrase.
//!
//! The rule: without a terminal and without `--yes`, whatever needs an answer is refused with exit 15; nothing is assumed.

use std::io;

use super::{
    Terminal,
    answer::{Line, Stdin, hidden},
    talk,
};
use crate::{
    error::{CliError, Kind},
    secret::Secret,
};

/// How often a person may mistype before the command gives up.
const ATTEMPTS_MAX: u32 = 3;

/// Whether the person already agreed on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// `--yes` was given.
    Given,
    /// It must be asked for.
    Ask,
}

impl From<bool> for Agreement {
    fn from(yes: bool) -> Agreement {
        if yes { Agreement::Given } else { Agreement::Ask }
    }
}

/// Asks a yes-or-no question; anything but yes is no.
///
/// # Errors
/// [`Kind::Refused`] when the answer is no, or when nobody can be asked.
pub fn confirm(terminal: &Terminal, agreement: Agreement, question: &str) -> Result<(), CliError> {
    if agreement == Agreement::Given {
        return Ok(());
    }
    require_terminal(terminal, question)?;
    let answer = ask(&format!("{question} [y/N] "), &mut Stdin)?;
    if is_yes(&answer) { Ok(()) } else { Err(CliError::new(Kind::Refused, "not confirmed; nothing was changed")) }
}

/// Asks for a name to be typed in full before something that cannot be taken back.
///
/// # Errors
/// [`Kind::Refused`] when it was mistyped three times, or when nobody can be asked.
pub fn confirm_by_name(
    terminal: &Terminal,
    agreement: Agreement,
    consequence: &str,
    name: &str,
) -> Result<(), CliError> {
    if agreement == Agreement::Given {
        return Ok(());
    }
    require_terminal(terminal, consequence)?;
    talk(|err| writeln!(err, "{consequence}"));
    typed_name(name, &mut Stdin)
}

fn typed_name(name: &str, answers: &mut impl Line) -> Result<(), CliError> {
    for _ in 0..ATTEMPTS_MAX {
        let answer = ask(&format!("Type the name '{}' to go on: ", super::table::printable(name)), answers)?;
        if answer == name {
            return Ok(());
        }
        if answer.is_empty() {
            break;
        }
    }
    Err(CliError::new(Kind::Refused, format!("'{name}' was not typed; nothing was changed")))
}

/// Asks for an existing passphrase without showing it, on `/dev/tty` even when stdin is a pipe.
///
/// # Errors
/// [`Kind::NoKey`] when there is no terminal or nothing was typed.
pub fn passphrase(prompt: &str) -> Result<Secret, CliError> {
    let typed = secret(
        prompt,
        "a passphrase",
        "run the command in a terminal, or use an identity without a passphrase (0600, on an encrypted disk)",
    )?;
    if typed.expose().is_empty() {
        return Err(CliError::new(Kind::NoKey, "no passphrase was typed"));
    }
    Ok(typed)
}

/// Asks for a secret text without showing it, on `/dev/tty` even when stdin is a pipe; `what` is what it is called in the error.
///
/// # Errors
/// [`Kind::NoKey`] with `instead` as the hint when there is no terminal, [`Kind::Interrupted`].
pub fn secret(prompt: &str, what: &str, instead: &str) -> Result<Secret, CliError> {
    hidden(&format!("{prompt}: ")).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => stopped(),
        _ => CliError::new(Kind::NoKey, format!("{what} is needed and there is no terminal to ask on"))
            .because(&error)
            .hint(instead),
    })
}

/// What a signal at a question comes to.
fn stopped() -> CliError {
    CliError::new(Kind::Interrupted, "interrupted at a question; what it was about is not done")
}

/// Asks for a new passphrase twice.
///
/// # Errors
/// [`Kind::Refused`] when the two differ three times; otherwise those of [`passphrase`].
pub fn new_passphrase(prompt: &str) -> Result<Secret, CliError> {
    for _ in 0..ATTEMPTS_MAX {
        let first = passphrase(prompt)?;
        if first.expose() == passphrase("The same again")?.expose() {
            return Ok(first);
        }
        talk(|err| writeln!(err, "The two differ; once more."));
    }
    Err(CliError::new(Kind::Refused, "the passphrase was not typed the same twice; nothing was changed"))
}

/// Asks for one line of text.
///
/// # Errors
/// [`Kind::Refused`] with `instead` as the hint when nobody can be asked.
pub fn line(terminal: &Terminal, question: &str, instead: &str) -> Result<String, CliError> {
    if !terminal.can_ask() {
        return Err(
            CliError::new(Kind::Refused, "this asks a question and there is no terminal to ask on").hint(instead)
        );
    }
    ask(question, &mut Stdin)
}

fn require_terminal(terminal: &Terminal, question: &str) -> Result<(), CliError> {
    if terminal.can_ask() {
        return Ok(());
    }
    let what = format!("this needs confirmation and there is no terminal to ask on: {question}");
    Err(CliError::new(Kind::Refused, what).hint("add --yes to agree beforehand"))
}

fn ask(prompt: &str, answers: &mut impl Line) -> Result<String, CliError> {
    talk(|err| write!(err, "{prompt}"));
    let answer = answers.line().map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => stopped(),
        _ => CliError::io("cannot read the answer", &error),
    })?;
    Ok(answer.trim().to_owned())
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::{Agreement, confirm, confirm_by_name, is_yes, typed_name};
    use crate::{
        exit::Exit,
        term::{Form, Talk, Terminal},
    };

    const TERMINAL: Terminal = Terminal { talk: Talk::Normal, form: Form::Text };

    #[test]
    fn agreement_beforehand_asks_nothing() {
        assert!(confirm(&TERMINAL, Agreement::from(true), "Replace?").is_ok());
        assert!(confirm_by_name(&TERMINAL, Agreement::Given, "It will be replaced.", "astro").is_ok());
    }

    #[test]
    fn without_a_terminal_the_answer_is_exit_15() {
        if TERMINAL.can_ask() {
            return;
        }
        let error = confirm(&TERMINAL, Agreement::from(false), "Replace?").unwrap_err();
        assert_eq!(error.kind().exit(), Exit::Refused);
        assert!(error.hints()[0].contains("--yes"));
        assert!(confirm_by_name(&TERMINAL, Agreement::Ask, "It will be replaced.", "astro").is_err());
    }

    #[test]
    fn only_the_whole_name_counts() {
        assert!(typed_name("astro", &mut &b"astr\nASTRO\nastro\n"[..]).is_ok());
        assert!(typed_name("astro", &mut &b"a\nb\nc\nastro\n"[..]).is_err());
        assert!(typed_name("astro", &mut &b""[..]).is_err());
    }

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y") && is_yes("YES"));
        assert!(!is_yes("") && !is_yes("n") && !is_yes("yep"));
    }
}
