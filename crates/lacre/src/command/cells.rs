//! `lacre seal add-cell`, `remove-cell` and `move-cell`: cells come and go.

use lacre_repo::op::{
    cells::{Leftover, NewCell},
    keys::ReadKeys,
};

use super::init::{host_name, sources};
use crate::{
    cli::{AddCellArgs, MoveCellArgs, RemoveCellArgs},
    error::CliError,
    exit::Exit,
    invocation::Invocation,
    output::CellChangeResult,
    vault::Vault,
};

/// Adds a cell.
///
/// # Errors
/// Those of the vault; [`crate::error::Kind::Refused`] for a place that is no place for a seal.
pub(super) fn add(invocation: &Invocation, vault: &Vault, args: &AddCellArgs) -> Result<Exit, CliError> {
    let added = added(vault, &args.spec, args.holder.as_ref(), None)?;
    show(invocation, vault, Some(added), None, Vec::new())
}

/// Takes a cell out.
///
/// # Errors
/// Those of the vault; [`crate::error::Kind::Refused`] when too few holders would remain.
pub(super) fn remove(invocation: &Invocation, vault: &Vault, args: &RemoveCellArgs) -> Result<Exit, CliError> {
    let leftover = if args.lost { Leftover::DeclareLost } else { Leftover::Destroy };
    let destroyed = vault.repository.remove_cell(&args.cell, leftover).map_err(|error| vault.explain(error))?;
    if args.lost {
        let advice = "whoever finds it opens what was erased after this: lacre seal rotate";
        invocation.terminal.warn(&format!("{} may still hold the seal; {advice}", args.cell));
    }
    show(invocation, vault, None, Some(args.cell.clone()), destroyed)
}

/// Adds a cell, then takes another out.
///
/// # Errors
/// As [`add`] and [`remove`].
pub(super) fn relocate(invocation: &Invocation, vault: &Vault, args: &MoveCellArgs) -> Result<Exit, CliError> {
    let added = added(vault, &args.to, args.holder.as_ref(), Some(args.from.clone()))?;
    let destroyed = vault.repository.remove_cell(&args.from, Leftover::Destroy).map_err(|error| {
        vault.explain(error).hint(format!("{added} is a cell now; go on with: lacre seal remove-cell {}", args.from))
    })?;
    show(invocation, vault, Some(added), Some(args.from.clone()), destroyed)
}

fn added(vault: &Vault, spec: &str, holder: Option<&String>, replaces: Option<String>) -> Result<String, CliError> {
    let place = vault.cells.place(spec)?;
    vault.cells.refuse_shared(&place, &vault.place)?;
    let holder = match holder {
        Some(named) => Some(named.clone()),
        None => vault.cells.holder(&place)?,
    };
    let name = place.to_string();
    let new = NewCell { place, host: host_name(), holder, sources: sources(&vault.settings), replaces };
    let keys = ReadKeys::default();
    vault.repository.add_cell(&new, &keys).map_err(|error| vault.explain(error))?;
    Ok(name)
}

fn show(
    invocation: &Invocation,
    vault: &Vault,
    added: Option<String>,
    removed: Option<String>,
    destroyed: Vec<String>,
) -> Result<Exit, CliError> {
    let status = vault.repository.seal_status().map_err(|error| vault.explain(error))?;
    let document = CellChangeResult {
        added,
        removed,
        destroyed,
        cells: status.cells.iter().map(|cell| cell.name.clone()).collect(),
        holders_verified: u32::try_from(status.holders_verified).unwrap_or(u32::MAX),
    };
    invocation.print(&document, |out| {
        if let Some(added) = &document.added {
            writeln!(out, "{added} holds the seal, read back")?;
        }
        if let Some(removed) = &document.removed {
            writeln!(out, "{removed} is no cell any more")?;
        }
        document.destroyed.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, "independent holders verified: {}", document.holders_verified)
    })?;
    super::findings::warn(invocation, &status.findings);
    Ok(Exit::Done)
}
