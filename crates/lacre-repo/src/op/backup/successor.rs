//! After the erasure of a person: the snapshot a run builds upon in place of the one whose index this host has.

use lacre_format::{
    header::Label,
    ids::{JobName, SnapshotId},
};

use crate::{
    repository::Repository,
    view::{Known, View},
};

impl Repository {
    /// The live snapshot that replaces one of this host after the erasure of a person.
    pub(super) fn successor_of(&self, view: &View, job: &JobName, old: Option<SnapshotId>) -> Option<(Known, Label)> {
        let structure = self.structure().ok()?;
        let mut snapshot = old?;
        for _ in 0..view.snapshots.len() {
            snapshot = *view.persons.successors.get(&snapshot)?;
            if view.is_live(snapshot) {
                break;
            }
        }
        let known = view.snapshots.get(&snapshot).filter(|_| view.is_live(snapshot))?;
        let label = self.label(&structure, &known.header).ok().filter(|label| label.job == *job)?;
        Some((known.clone(), label))
    }
}
