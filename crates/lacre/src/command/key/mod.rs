//! `lacre key`: who may read, who may write, how machines join and leave.

mod delegate;
mod homes;
mod list;
mod recipients;

use std::{io::Read as _, path::Path};

use lacre_format::{join::JOIN_TEXT_BYTES_MAX, policy::Role};
use lacre_repo::files::{self, Replace};

use crate::{
    cli::{KeyAction, KeyListArgs, RoleName},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
};

/// Runs what was asked of the keys.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation, args: &KeyListArgs) -> Result<Exit, CliError> {
    match &args.action {
        KeyAction::List => list::run(invocation),
        KeyAction::Request(args) => homes::request(invocation, args),
        KeyAction::EnrolWriter(args) => homes::enrol(invocation, args),
        KeyAction::Join(args) => homes::join(invocation, args),
        KeyAction::RevokeWriter(args) => homes::revoke(invocation, args),
        KeyAction::AddRecipient(args) => recipients::add(invocation, args),
        KeyAction::RemoveRecipient(args) => recipients::remove(invocation, args),
        KeyAction::Delegate(args) => delegate::run(invocation, args),
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Maintenance => "maintenance",
        Role::Admin => "admin",
    }
}

fn role_of(name: RoleName) -> Role {
    match name {
        RoleName::Writer => Role::Writer,
        RoleName::Maintenance => Role::Maintenance,
        RoleName::Admin => Role::Admin,
    }
}

/// A request or token that was given itself, or the content of a file or of standard input.
fn text_of(given: &str, prefix: &str) -> Result<String, CliError> {
    if given.starts_with(prefix) {
        return Ok(given.to_owned());
    }
    let what = || format!("cannot read {given}");
    let limit = u64::try_from(JOIN_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    if given == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(limit).read_to_string(&mut text);
        read.map_err(|error| CliError::new(Kind::Usage, "cannot read standard input").because(&error))?;
        return Ok(text);
    }
    let file = files::read_file(Path::new(given), limit).map_err(|error| {
        CliError::new(Kind::Usage, what())
            .because(&error)
            .hint(format!("give the text itself, which begins with {prefix}, or the file that holds it"))
    })?;
    String::from_utf8(file.bytes).map_err(|error| CliError::new(Kind::Usage, what()).because(&error))
}

/// Writes a text that is no secret to a new file.
fn write_out(file: Option<&Path>, text: &str) -> Result<Option<String>, CliError> {
    let Some(file) = file else { return Ok(None) };
    let line = format!("{text}\n");
    files::write_secret_file(file, line.as_bytes(), Replace::Never)
        .map_err(|error| CliError::new(Kind::Io, format!("cannot write {}", file.display())).because(&error))?;
    Ok(Some(file.display().to_string()))
}
