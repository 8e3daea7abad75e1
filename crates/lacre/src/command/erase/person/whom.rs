//! Whom an erasure is about: the rules and the key, from files, standard input, the command line, a question, or a list of the store.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use lacre_dump::personal::Subject;
use lacre_format::suppression::Suppression;
use zeroize::Zeroizing;

use crate::{
    cli::{ErasePersonArgs, PersonAgainArgs},
    error::{CliError, Kind},
    invocation::Invocation,
    person::{self, PersonError},
    secret::Secret,
    term::prompt,
};

/// Longest rules file that is read.
const RULES_BYTES_MAX: u64 = 4 << 20;
/// Longest key or identifier file.
const SUBJECT_BYTES_MAX: u64 = 16 << 20;

/// Whom.
#[derive(Clone)]
pub(super) enum Whom {
    /// As the request names them.
    Named(Subject),
    /// As the list of an erasure tells them again, by tokens.
    Listed(Suppression),
}

/// Rules, and whom they are applied to.
#[derive(Clone)]
pub(super) struct Named {
    /// The text of the rules file.
    pub(super) rules: String,
    /// What it is called to people.
    pub(super) rules_name: String,
    /// The kind of person.
    pub(super) kind: String,
    /// Whom.
    pub(super) whom: Whom,
}

impl Named {
    /// As a request says it.
    pub(super) fn asked(invocation: &Invocation, args: &ErasePersonArgs) -> Result<Self, CliError> {
        let rules = read_text(&args.rules, RULES_BYTES_MAX, "rules file")?.to_string();
        let subject = subject(invocation, args.key.as_deref(), args.key_file.as_deref(), &args.identifier_files)?;
        let (rules_name, kind) = (args.rules.display().to_string(), args.subject.clone());
        Ok(Self { rules, rules_name, kind, whom: Whom::Named(subject) })
    }

    /// As whoever goes on with an erasure says it again; nothing if they leave it to the store.
    pub(super) fn again(invocation: &Invocation, args: &PersonAgainArgs) -> Result<Option<Self>, CliError> {
        let (Some(rules), Some(kind)) = (&args.rules, &args.subject) else { return Ok(None) };
        let text = read_text(rules, RULES_BYTES_MAX, "rules file")?.to_string();
        let subject = subject(invocation, args.key.as_deref(), args.key_file.as_deref(), &args.identifier_files)?;
        let (rules_name, kind) = (rules.display().to_string(), kind.clone());
        Ok(Some(Self { rules: text, rules_name, kind, whom: Whom::Named(subject) }))
    }

    /// As the list of an erasure says it.
    pub(super) fn listed(list: Suppression) -> Self {
        let (rules, kind) = (list.rules.clone(), list.subject.clone());
        Self { rules, rules_name: "the rules of the erasure".to_owned(), kind, whom: Whom::Listed(list) }
    }
}

/// Whom, from the files, standard input, the command line or a question.
fn subject(
    invocation: &Invocation,
    key: Option<&str>,
    key_file: Option<&Path>,
    identifier_files: &[PathBuf],
) -> Result<Subject, CliError> {
    let input = |error: PersonError| CliError::new(Kind::Usage, error.to_string());
    let keys = match (key, key_file) {
        (Some(key), _) => {
            let advice = "--key is visible to other programs of this host; prefer --key-file, or - for standard input";
            invocation.terminal.warn(advice);
            person::read_keys(key).map_err(input)?
        }
        (None, Some(path)) => person::read_keys(&read_text(path, SUBJECT_BYTES_MAX, "key file")?).map_err(input)?,
        (None, None) if invocation.terminal.can_ask() => {
            let instead = "--key-file FILE, or --key-file - for standard input";
            let typed: Secret = prompt::secret("Key of the person", "the key of the person", instead)?;
            if typed.expose().trim().is_empty() {
                return Err(
                    CliError::new(Kind::Refused, "no key of a person was typed; nothing was changed").hint(instead)
                );
            }
            person::read_keys(typed.expose()).map_err(input)?
        }
        (None, None) => {
            return Err(CliError::new(Kind::Refused, "nobody says whom to erase, and there is no terminal to ask on")
                .hint("--key-file FILE, or --key-file - for standard input"));
        }
    };
    let mut identifiers = Vec::new();
    for path in identifier_files {
        let text = read_text(path, SUBJECT_BYTES_MAX, "identifier file")?;
        identifiers.extend(person::read_identifiers(&text).map_err(input)?);
    }
    Ok(Subject { keys, identifiers })
}

fn read_text(path: &Path, bytes_max: u64, what: &str) -> Result<Zeroizing<String>, CliError> {
    let failed = |error: &io::Error| {
        CliError::new(Kind::Usage, format!("cannot read the {what} {}", path.display())).because(error)
    };
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        io::stdin().lock().take(bytes_max).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text))
    };
    read.map_err(|error| failed(&error))?;
    Ok(text)
}
