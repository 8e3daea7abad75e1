//! `lacre copy sync`, `list` and `verify`: further places that hold every snapshot.

mod list;
mod sync;
mod verify;

pub(super) use self::sync::after_backup;
use lacre_repo::op::copy::{CopyState, CopyStatus};

use super::findings;
use crate::{
    cli::{CopyAction, CopyArgs},
    error::{CliError, Kind},
    exit::Exit,
    human,
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

/// What a copy lacks, in the largest things that it lacks: a night's own record comes after what the night brought there.
fn lag(status: &CopyStatus) -> String {
    match status {
        CopyStatus { state: CopyState::Missing | CopyState::Unreachable, .. } => "-".to_owned(),
        CopyStatus { lag_snapshots, .. } if *lag_snapshots > 0 => {
            human::things(*lag_snapshots, ["snapshot", "snapshots"])
        }
        CopyStatus { lag_objects: 0, .. } => "nothing".to_owned(),
        CopyStatus { lag_objects, lag_records, .. } if lag_objects == lag_records => {
            human::things(*lag_records, ["record", "records"])
        }
        CopyStatus { lag_objects, .. } => human::things(*lag_objects, ["object", "objects"]),
    }
}
