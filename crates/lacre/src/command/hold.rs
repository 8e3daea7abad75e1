//! `lacre hold` and `lacre release`: legal holds.

use crate::{
    cli::{HoldArgs, ReleaseArgs},
    error::CliError,
    exit::Exit,
    invocation::Invocation,
    output::HoldResult,
    vault::{Vault, short},
};

/// Puts a hold on a snapshot.
///
/// # Errors
/// Those of the vault.
pub(super) fn hold(invocation: &Invocation, args: &HoldArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let id = vault.resolve(&args.snapshot)?;
    vault.repository.hold(id, &args.reason).map_err(|error| vault.explain(error))?;
    let document = HoldResult { snapshot: id.to_string(), held: true };
    invocation
        .print(&document, |out| writeln!(out, "snapshot {} is held until released", short(&document.snapshot)))?;
    Ok(Exit::Done)
}

/// Ends the hold on a snapshot.
///
/// # Errors
/// Those of the vault; a snapshot that is not held is refused.
pub(super) fn release(invocation: &Invocation, args: &ReleaseArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let id = vault.resolve(&args.snapshot)?;
    vault.repository.release(id).map_err(|error| vault.explain(error))?;
    let document = HoldResult { snapshot: id.to_string(), held: false };
    invocation.print(&document, |out| writeln!(out, "snapshot {} is held no longer", short(&document.snapshot)))?;
    Ok(Exit::Done)
}
