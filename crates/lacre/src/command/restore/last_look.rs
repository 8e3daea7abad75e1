//! What a restore owes to erasures: it is on record while it runs, and looks once more before its last visible step.
//!
//! In: the vault and the snapshot being restored. Out: whether what was read may still be shown. It knows neither files nor databases.

use lacre_format::ids::SnapshotId;
use lacre_repo::op::{read::Snapshot, snapshots::SnapshotState};

use crate::{invocation::Invocation, vault::Vault};

/// A snapshot that was forgotten, voided or erased meanwhile is not shown to anybody.
///
/// # Errors
/// Why it may not be shown, in words.
pub(super) fn still_there(vault: &Vault, snapshot: &Snapshot<'_>) -> Result<(), String> {
    let rows = vault.repository.snapshots().map_err(|error| error.to_string())?.rows;
    match rows.into_iter().find(|row| row.snapshot == snapshot.id()).map(|row| row.state) {
        Some(SnapshotState::Live) => Ok(()),
        Some(SnapshotState::Forgotten) => {
            Err("the snapshot is forgotten; `lacre forget --undo` brings it back".to_owned())
        }
        Some(SnapshotState::Pending) => Err("the snapshot is about to be erased".to_owned()),
        Some(SnapshotState::Void | SnapshotState::Erased) | None => Err("the snapshot was erased meanwhile".to_owned()),
    }
}

/// An erasure waits for restores that began and have not ended; where nothing can be signed or stored, the restore goes on without.
pub(super) struct Record<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    snapshot: SnapshotId,
    is_written: bool,
}

impl<'a> Record<'a> {
    /// Says that the restore began.
    pub(super) fn begin(invocation: &'a Invocation, vault: &'a Vault, snapshot: SnapshotId) -> Self {
        let written = vault.repository.record_restore_begun(snapshot);
        let mut record = Self { invocation, vault, snapshot, is_written: false };
        record.is_written = record.told(written);
        record
    }

    /// Says that it ended, well or not. A restore that dies before stays open until somebody vouches for it.
    pub(super) fn end(self) {
        if self.is_written {
            self.told(self.vault.repository.record_restore_ended(self.snapshot));
        }
    }

    fn told(&self, written: Result<bool, lacre_repo::Error>) -> bool {
        written.unwrap_or_else(|error| {
            self.invocation.terminal.detail(&format!("the restore is not on record: {error}"));
            false
        })
    }
}
