//! What a restore owes to erasures: it is on record while it runs, and looks once more before its last visible step.
//!
//! In: the vault and the snapshot being restored. Out: whether what was read may still be shown. It knows neither files nor databases.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use lacre_format::ids::SnapshotId;
use lacre_repo::{
    Repository, SystemClock,
    home::Home,
    op::{log::RestoreOnRecord, snapshots::SnapshotState},
};

use crate::{
    driver::postgres::restore::Veto,
    invocation::Invocation,
    person::PersonLess,
    vault::{Vault, configured_repository, open_store},
};

/// Why what was read is not shown.
#[derive(Debug, thiserror::Error)]
pub(in crate::command) enum NotShown {
    /// Nobody may have it any more.
    #[error("{0}")]
    Erased(&'static str),
    /// It may come back, or nobody knows.
    #[error("{0}")]
    Unclear(String),
}

impl From<NotShown> for Veto {
    fn from(why: NotShown) -> Self {
        match why {
            NotShown::Erased(why) => Veto::Remove(why.to_owned()),
            NotShown::Unclear(why) => Veto::Keep(why),
        }
    }
}

/// A snapshot that was forgotten, voided or erased meanwhile is not shown to anybody, nor one that a person began to be erased from unless
/// what was read of it leaves that person out.
///
/// # Errors
/// Why it may not be shown.
pub(in crate::command) fn still_there(
    vault: &Vault,
    snapshot: SnapshotId,
    without: Option<&dyn PersonLess>,
) -> Result<(), NotShown> {
    let looked = vault.repository.restorable(snapshot);
    let (state, covering) = looked.map_err(|error| NotShown::Unclear(error.to_string()))?;
    match state {
        Some(SnapshotState::Live)
            if covering.iter().any(|erasure| without.map(PersonLess::erasure) != Some(*erasure)) =>
        {
            Err(NotShown::Erased("a person is being erased from the snapshot since; run the restore again"))
        }
        Some(SnapshotState::Live) => Ok(()),
        Some(SnapshotState::Forgotten) => {
            Err(NotShown::Unclear("the snapshot is forgotten; `lacre forget --undo` brings it back".to_owned()))
        }
        Some(SnapshotState::Pending) => Err(NotShown::Erased("the snapshot is about to be erased")),
        Some(SnapshotState::Void | SnapshotState::Erased) | None => {
            Err(NotShown::Erased("the snapshot was erased meanwhile"))
        }
    }
}

/// How long a restore that has ended waits for the log of a repository that was slow to answer: what is not told by then is told later.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// An erasure waits for restores that began and have not ended. What reads a copy, or with keys that only read, is on record in this home,
/// and in the repository's log as soon as that can be told; where nothing can be signed, the restore goes on without.
pub(in crate::command) struct Record<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    snapshot: SnapshotId,
    begun: RestoreOnRecord,
    /// The repository that a copy is of, once it answered.
    primary: Option<Receiver<Repository>>,
}

impl<'a> Record<'a> {
    /// Says that the restore began.
    pub(in crate::command) fn begin(invocation: &'a Invocation, vault: &'a Vault, snapshot: SnapshotId) -> Self {
        let detail = |error: lacre_repo::Error| {
            invocation.terminal.detail(&format!("the restore is not on record: {error}"));
            RestoreOnRecord::Nowhere
        };
        let begun = vault.repository.record_restore_begun(snapshot).unwrap_or_else(detail);
        let is_elsewhere = matches!(begun, RestoreOnRecord::InHome(_)) && vault.repository.is_copy();
        let primary = if is_elsewhere { tell_repository(invocation, vault) } else { None };
        Self { invocation, vault, snapshot, begun, primary }
    }

    /// Says that it ended, well or not. A restore that dies before stays open until somebody vouches for it.
    pub(in crate::command) fn end(self) {
        let ended = self.vault.repository.record_restore_ended(self.snapshot, self.begun);
        let answered = self.primary.and_then(|primary| primary.recv_timeout(LOG_PATIENCE).ok());
        let told = ended.and_then(|()| answered.map_or(Ok(()), |primary| primary.tell_restores()));
        if let Err(error) = told {
            self.invocation.terminal.detail(&format!("the log was not told that the restore ended: {error}"));
        }
    }
}

/// Tells the log of the repository that this is a copy of, if it still answers. A copy is read because it may not, so nobody waits for it.
fn tell_repository(invocation: &Invocation, vault: &Vault) -> Option<Receiver<Repository>> {
    if vault.settings.read_only {
        return None;
    }
    let place = configured_repository(invocation).ok().flatten().filter(|place| *place != vault.place)?;
    let (settings, id) = (vault.settings.clone(), vault.repository.id());
    let (sender, receiver) = channel();
    let tell = move || {
        let store = open_store(&place, &settings).ok()?;
        let repository = Repository::open(store, &Home::open(&settings.home).ok()?, Arc::new(SystemClock)).ok()?;
        if repository.id() != id {
            return None;
        }
        // What fails here is told with the next thing that this host writes there.
        repository.tell_restores().ok()?;
        sender.send(repository).ok()
    };
    std::thread::spawn(tell);
    Some(receiver)
}
