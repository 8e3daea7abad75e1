//! `lacre restore`: a snapshot becomes a database, a file, or the input of a program.

mod bytes;
mod database;

use crate::{cli::RestoreArgs, error::CliError, exit::Exit, invocation::Invocation, vault::Vault};

/// Brings a snapshot back.
///
/// # Errors
/// Those of the vault, the driver and the target.
pub(super) fn run(invocation: &Invocation, args: &RestoreArgs) -> Result<Exit, CliError> {
    bytes::refuse_json_on_stdout(invocation, args)?;
    let vault = Vault::open(invocation)?;
    let id = vault.resolve(&args.snapshot)?;
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    vault.refuse_forgotten(id)?;
    let snapshot = vault.repository.open_snapshot(id, &keys).map_err(|error| vault.explain(error))?;
    match &args.to {
        Some(url) => database::run(invocation, &vault, &snapshot, args, url),
        None => bytes::run(invocation, &vault, &snapshot, args),
    }
}
