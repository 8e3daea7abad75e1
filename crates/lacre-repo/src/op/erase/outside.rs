//! What an erasure waits for outside of the repository: restores that have not ended, and dumps that are being taken apart on this host.
//!
//! In: an intent, the log's restores and this home's files. Out: pending items. It must not know what becomes of them.

use std::collections::BTreeSet;

use lacre_format::ids::{SnapshotId, Token};

use crate::{error::Error, ledger::Intent, op::rotate::Pending, repository::Repository, view::View};

impl Repository {
    pub(super) fn unsettled_outside(
        &self,
        view: &View,
        intent: &Intent,
        pending: &mut Vec<Pending>,
    ) -> Result<(), Error> {
        // A restore from a copy, of which only this home knows as yet.
        let noted = self.home().noted_restores()?.into_iter().filter(|noted| noted.untold.is_open());
        let noted: Vec<(SnapshotId, Token)> = noted.map(|noted| (noted.snapshot, noted.token)).collect();
        for snapshot in &intent.record.snapshots {
            let told = view.ledger.restoring.get(snapshot).into_iter().flatten().map(|open| open.restore);
            let untold = noted.iter().filter(|(of, _)| of == snapshot).map(|(_, restore)| Some(*restore));
            for restore in told.chain(untold).collect::<BTreeSet<_>>() {
                // A word on one restore says nothing of the next one.
                let item =
                    restore.map_or_else(|| format!("restore:{snapshot}"), |restore| format!("restore:{restore}"));
                pending.push(Pending {
                    what: format!("a restore of snapshot {} began and has not ended", snapshot.short()),
                    command: format!("end it, or: lacre erase attest {item} destroyed"),
                    item,
                });
            }
        }
        if intent.person.is_none() {
            return Ok(());
        }
        // Which person a dump is taken without is not written beside it: each who is being erased may be in it.
        for number in self.home().import_folders()? {
            pending.push(Pending {
                item: format!("import:{number}"),
                what: format!(
                    "an import on this host takes a dump apart in {}",
                    self.home().import_folder(number).display()
                ),
                command: "end it, then: lacre erase resume, which also removes what a killed one left".to_owned(),
            });
        }
        Ok(())
    }
}
