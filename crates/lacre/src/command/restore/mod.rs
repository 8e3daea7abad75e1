//! `lacre restore`: a snapshot becomes a database, a file, or the input of a program.

mod bytes;
mod database;
mod last_look;

use crate::{cli::RestoreArgs, error::CliError, exit::Exit, human, invocation::Invocation, vault::Vault};

/// Brings a snapshot back.
///
/// # Errors
/// Those of the vault, the driver and the target.
pub(super) fn run(invocation: &Invocation, args: &RestoreArgs) -> Result<Exit, CliError> {
    bytes::refuse_json_on_stdout(invocation, args)?;
    let vault = Vault::open(invocation)?;
    let snapshot = vault.open_kept(invocation, &args.snapshot, &args.keys.kits)?;
    if vault.repository.store().http_requests().is_some() {
        // A reach map that cannot be read is told by whoever needs it; a restore does not.
        if let Ok(estimate) = snapshot.estimate() {
            let size = human::bytes(estimate.bytes);
            invocation.terminal.say(&format!("the whole snapshot is {size} in about {} requests", estimate.requests));
        }
    }
    match &args.to {
        Some(url) => database::run(invocation, &vault, &snapshot, args, url),
        None => bytes::run(invocation, &vault, &snapshot, args),
    }
}
