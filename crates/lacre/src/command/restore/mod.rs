//! `lacre restore`: a snapshot becomes a database, a file, or the input of a program.

mod bytes;
mod database;
pub(super) mod last_look;
mod outlook;
mod pick;

pub(super) use self::database::refuse_other_sources;

use std::sync::Arc;

use lacre_repo::op::read::Snapshot;

use crate::{
    cli::{RestoreArgs, value::SnapshotName},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    person::{PersonLess, Without},
    vault::Vault,
};

/// Brings a snapshot back.
///
/// # Errors
/// Those of the vault, the driver and the target.
pub(super) fn run(invocation: &Invocation, args: &RestoreArgs) -> Result<Exit, CliError> {
    bytes::refuse_json_on_stdout(invocation, args)?;
    let vault = Vault::open(invocation)?;
    let Some(name) = &args.snapshot else {
        let (id, chosen) = pick::choose(invocation, &vault, args)?;
        let keys = vault.read_keys(invocation, &args.keys.kits)?;
        return restore(invocation, &vault, &vault.open_id(id, &keys)?, None, &chosen);
    };
    let (snapshot, standing) = open(invocation, &vault, name, args)?;
    let without = match standing {
        Standing::Plain => None,
        Standing::Covered => Some(without_person(invocation, &vault, args, &snapshot)?),
    };
    restore(invocation, &vault, &snapshot, without.as_ref().map(|without| without as &dyn PersonLess), args)
}

fn restore(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    without: Option<&dyn PersonLess>,
    args: &RestoreArgs,
) -> Result<Exit, CliError> {
    if vault.repository.store().http_requests().is_some() {
        // A reach map that cannot be read is told by whoever needs it; a restore does not.
        if let Ok(estimate) = snapshot.estimate() {
            let size = human::bytes(estimate.bytes);
            invocation.terminal.say(&format!(
                "the whole snapshot is {size} in about {}",
                human::things(estimate.requests, ["request", "requests"])
            ));
        }
    }
    match &args.to {
        Some(url) => database::run(invocation, vault, snapshot, without, args, url),
        None => bytes::run(invocation, vault, snapshot, without, args),
    }
}

/// Whether a person is being erased from a snapshot that nothing replaces yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Plain,
    Covered,
}

/// Opens what was asked for. A snapshot that a person is being erased from is handed out only to those who say that they know it: as the
/// snapshot that replaces it, if there is one.
fn open<'v>(
    invocation: &Invocation,
    vault: &'v Vault,
    name: &SnapshotName,
    args: &RestoreArgs,
) -> Result<(Snapshot<'v>, Standing), CliError> {
    let kept = || vault.open_kept(invocation, name, &args.keys.kits);
    if !args.accept_erasing {
        return Ok((kept()?, Standing::Plain));
    }
    let snapshot = vault.open_any(invocation, name, &args.keys.kits)?;
    match vault.covered(snapshot.id())? {
        None => Ok((kept()?, Standing::Plain)),
        Some(None) => Ok((snapshot, Standing::Covered)),
        Some(Some(successor)) => {
            let (old, new) = (snapshot.id().short(), successor.short());
            invocation.terminal.say(&format!(
                "a person is being erased from snapshot {old}: {new} takes its place, which is the same without them"
            ));
            let keys = vault.read_keys(invocation, &args.keys.kits)?;
            let snapshot = vault.repository.open_snapshot(successor, &keys).map_err(|error| vault.explain(error))?;
            Ok((snapshot, Standing::Plain))
        }
    }
}

/// A snapshot that still holds a person, by the list beside it without them.
fn without_person<'s>(
    invocation: &Invocation,
    vault: &'s Vault,
    args: &RestoreArgs,
    snapshot: &'s Snapshot<'s>,
) -> Result<Without<'s>, CliError> {
    let id = snapshot.id();
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    let lists = vault.repository.suppressions(id, &keys).map_err(|error| vault.explain(error))?;
    let [only] = lists.as_slice() else {
        let what = format!("several persons are being erased from snapshot {}, one after the other", id.short());
        return Err(CliError::new(Kind::Refused, what).hint("lacre erase status says what each waits for"));
    };
    invocation.terminal.say(&format!("snapshot {} is restored without a person who is being erased", id.short()));
    let rows = vault.repository.snapshots().map_err(|error| vault.explain(error))?.rows;
    let row: Vec<_> = rows.into_iter().filter(|row| row.snapshot == id).collect();
    let opened = vault.repository.open_covered(&row, &keys, Arc::new(lacre_repo::Silent));
    let opened = opened.map_err(|error| vault.explain(error))?;
    Without::new(opened, &only.list, snapshot, Arc::new(lacre_repo::Silent))
        .map_err(|error| crate::command::erase::explain_person(vault, error))
}
