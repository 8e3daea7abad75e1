//! `lacre copy sync`, `list` and `verify`: further places that hold every snapshot.

mod list;
mod sync;
mod verify;

pub(super) use self::sync::after_backup;
use super::findings;
use crate::{
    cli::{CopyAction, CopyArgs},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    vault::Vault,
};

/// Brings copies up to date, or says how they stand.
///
/// # Errors
/// Those of the vault; [`Kind::Usage`] when no copy is configured.
pub(super) fn run(invocation: &Invocation, args: &CopyArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    if vault.settings.copies.is_empty() {
        return Err(CliError::new(Kind::Usage, "no copy is configured")
            .hint("write a [[copy]] with name = \"offsite\" and url = \"...\" into lacre.toml"));
    }
    match &args.action {
        CopyAction::Sync(args) => sync::run(invocation, &vault, args),
        CopyAction::List => list::run(invocation, &vault),
        CopyAction::Verify(args) => verify::run(invocation, &vault, args),
    }
}
