//! `lacre restore`: a snapshot becomes a database, a file, or the input of a program.

mod bytes;
mod database;

use lacre_format::ids::SnapshotId;

use crate::{
    cli::RestoreArgs,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    vault::Vault,
};

/// Brings a snapshot back.
///
/// # Errors
/// Those of the vault, the driver and the target.
pub(super) fn run(invocation: &Invocation, args: &RestoreArgs) -> Result<Exit, CliError> {
    bytes::refuse_json_on_stdout(invocation, args)?;
    let vault = Vault::open(invocation)?;
    let id = vault.resolve(&args.snapshot)?;
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    let mut snapshot = vault.repository.open_snapshot(id, &keys).map_err(|error| vault.explain(error))?;
    if snapshot.is_forgotten() {
        return Err(vault.explain(lacre_repo::Error::Forgotten { snapshot: id }));
    }
    if let Some(successor) = vault.covered(id)? {
        let successor = without_person(invocation, args, id, successor)?;
        snapshot = vault.repository.open_snapshot(successor, &keys).map_err(|error| vault.explain(error))?;
    } else if snapshot.is_to_be_erased() {
        vault.refuse_forgotten(id)?;
    }
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

/// A snapshot that a person is being erased from is handed out only without them: as the snapshot that replaces it.
fn without_person(
    invocation: &Invocation,
    args: &RestoreArgs,
    old: SnapshotId,
    successor: Option<SnapshotId>,
) -> Result<SnapshotId, CliError> {
    let old = old.short();
    let what = format!("a person is being erased from snapshot {old}");
    match (successor, args.accept_erasing) {
        (Some(successor), true) => {
            let new = successor.short();
            invocation.terminal.say(&format!("{what}: {new} takes its place, which is the same without them"));
            Ok(successor)
        }
        (Some(_), false) => Err(CliError::new(Kind::Refused, what)
            .hint("add --accept-erasing to restore it as it will be, without that person")),
        (None, _) => Err(CliError::new(Kind::Refused, format!("{what}, and the same without them is not made yet"))
            .hint("lacre erase status says what it waits for; lacre erase cancel gives the erasure up")),
    }
}
