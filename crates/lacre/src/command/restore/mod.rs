//! `lacre restore`: a snapshot becomes a database, a file, or the input of a program.

mod bytes;
mod database;

use std::sync::Arc;

use lacre_format::ids::SnapshotId;
use lacre_repo::op::{keys::ReadKeys, read::Snapshot};

use crate::{
    cli::RestoreArgs,
    driver::postgres::restore::SnapshotSource,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    person::Without,
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
    let covered = vault.covered(id)?;
    if let Some(successor) = covered {
        accept_erasing(args, id)?;
        if let Some(successor) = successor {
            say_instead(invocation, id, successor);
            snapshot = vault.repository.open_snapshot(successor, &keys).map_err(|error| vault.explain(error))?;
        }
    } else if snapshot.is_to_be_erased() {
        vault.refuse_forgotten(id)?;
    }
    let without = match covered {
        Some(None) => Some(without_person(invocation, &vault, id, &snapshot, &keys)?),
        _ => None,
    };
    let without = without.as_ref().map(|without| without as &dyn SnapshotSource);
    if vault.repository.store().http_requests().is_some() {
        // A reach map that cannot be read is told by whoever needs it; a restore does not.
        if let Ok(estimate) = snapshot.estimate() {
            let size = human::bytes(estimate.bytes);
            invocation.terminal.say(&format!("the whole snapshot is {size} in about {} requests", estimate.requests));
        }
    }
    match &args.to {
        Some(url) => database::run(invocation, &vault, &snapshot, without, args, url),
        None => bytes::run(invocation, &vault, &snapshot, without, args),
    }
}

/// A snapshot that a person is being erased from is handed out only to those who know that, and only without that person.
fn accept_erasing(args: &RestoreArgs, id: SnapshotId) -> Result<(), CliError> {
    if args.accept_erasing {
        return Ok(());
    }
    let what = format!("a person is being erased from snapshot {}", id.short());
    Err(CliError::new(Kind::Refused, what).hint("add --accept-erasing to restore it without that person"))
}

fn say_instead(invocation: &Invocation, old: SnapshotId, new: SnapshotId) {
    let (old, new) = (old.short(), new.short());
    invocation.terminal.say(&format!(
        "a person is being erased from snapshot {old}: {new} takes its place, which is the same without them"
    ));
}

/// A snapshot that still holds a person, by the list beside it without them.
fn without_person<'s>(
    invocation: &Invocation,
    vault: &'s Vault,
    id: SnapshotId,
    snapshot: &'s Snapshot<'s>,
    keys: &ReadKeys,
) -> Result<Without<'s>, CliError> {
    let lists = vault.repository.suppressions(id, keys).map_err(|error| vault.explain(error))?;
    let [only] = lists.as_slice() else {
        let what = format!("several persons are being erased from snapshot {}, one after the other", id.short());
        return Err(CliError::new(Kind::Refused, what).hint("lacre erase status says what each waits for"));
    };
    invocation.terminal.say(&format!("snapshot {} is restored without a person who is being erased", id.short()));
    let rows = vault.repository.snapshots().map_err(|error| vault.explain(error))?.rows;
    let row: Vec<_> = rows.into_iter().filter(|row| row.snapshot == id).collect();
    let opened = vault.repository.open_covered(&row, keys, Arc::new(lacre_repo::Silent));
    let opened = opened.map_err(|error| vault.explain(error))?;
    Without::new(opened, &only.list, snapshot, Arc::new(lacre_repo::Silent))
        .map_err(|error| crate::command::erase::explain_person(vault, error))
}
