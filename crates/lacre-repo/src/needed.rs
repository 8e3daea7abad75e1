//! What must stay although it counts no more: snapshots whose erasure may still be given up.
//!
//! In: a view. Out: whether a collection keeps a snapshot's frames, and a rotation its key. It reads no store.

use lacre_format::ids::{Millis, SnapshotId};

use crate::{ledger::Intent, view::View};

impl View {
    /// Whether its frames must stay: it is live; it is to be erased and no rotation has left it behind yet; or the erasure of a person is
    /// not decided about it.
    #[must_use]
    pub fn is_needed(&self, snapshot: SnapshotId) -> bool {
        let waits = self.erased.contains(&snapshot) && self.ledger.rotation_of(snapshot).is_none();
        let is_gone = self.voided.contains(&snapshot) || self.forgotten.contains(&snapshot);
        self.is_live(snapshot)
            || (!is_gone && (self.persons.keep(snapshot) || (waits && self.snapshots.contains_key(&snapshot))))
    }

    /// Whether an erasure names it and a rotation has left it behind: it is refused even where somebody kept a key that opens it.
    #[must_use]
    pub fn is_dead(&self, snapshot: SnapshotId) -> bool {
        let is_named = self.ledger.to_erase().contains(&snapshot) && !self.held.contains_key(&snapshot);
        is_named && self.ledger.rotation_of(snapshot).is_some()
    }

    /// Whether an erasure may be carried out at this time: its cool-down has ended, and as many admins as it needs have approved it.
    #[must_use]
    pub fn is_due(&self, intent: &Intent, now: Millis) -> bool {
        intent.record.not_before.is_none_or(|before| before <= now) && self.missing_approvals(intent) == 0
    }

    /// Whether a rotation at this time must carry its key: it is needed, and no erasure that is due names it.
    #[must_use]
    pub fn outlives_rotation(&self, snapshot: SnapshotId, now: Millis) -> bool {
        let mut due = self.ledger.standing_intents().filter(|intent| self.is_due(intent, now));
        self.is_live(snapshot)
            || (self.is_needed(snapshot) && !due.any(|intent| intent.record.snapshots.contains(&snapshot)))
    }
}
