//! Destroying the old generation: last of all, and only when nothing that must survive depends on it (protocol rule 9).

use std::collections::BTreeSet;

use lacre_format::{
    erasure::{ClaimOutcome, Destroyed, Rotated},
    ids::{GenerationId, Millis},
    log::{Event, KitRecord},
    policy::{CellEntry, Holders, KitState},
};

use super::{Late, Mandate, Pending, RotateOptions, RotationState};
use crate::{cell::Cell, error::Error, home::Signer, monitor::things, repository::Repository, view::View};

/// Whether a cell holds nothing of old generations any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Forgotten {
    All,
    /// Something that was left behind was saved meanwhile, and the old seal still opens it.
    NotYet,
    /// So many slots or values are damaged, and what is in them cannot be told.
    Damaged(usize),
}

impl Repository {
    /// Gives nothing when something that was left behind has been saved since: then it has to be carried first.
    pub(super) fn destroy_old(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        late: &Late,
        options: &RotateOptions,
    ) -> Result<Option<RotationState>, Error> {
        let rotated = &late.rotated;
        let view = self.still_mine(mandate)?;
        view.refuse_lost_records()?;
        if self.is_saved(&view, late) {
            return Ok(None);
        }
        // The cells hold it already after a crash between policy and here; adding again is harmless only where it is missing.
        self.spread(&view, rotated)?;
        if let Some(pending) = self.missing_holder(&view, rotated.to)? {
            return Ok(Some(RotationState::Pending(vec![pending])));
        }
        self.refuse_unkept(&view, rotated, options)?;
        if !self.home().has_keyring(rotated.to, "bundle", rotated.bundle) {
            let name = lacre_format::name::ObjectName::of(&lacre_format::name::Named::Bundle(rotated.to));
            let bytes = self.store().get(&name, lacre_format::keyring::BUNDLE_BYTES_MAX)?;
            self.home().keep_keyring(rotated.to, "bundle", &bytes)?;
        }
        self.keep_late(&view, rotated.to)?;
        let mut pending = Vec::new();
        for entry in &view.policy.cells {
            match self.cell(&entry.name) {
                Ok(Some(cell)) => match self.forget_old(admin, mandate, late, &entry.name, &cell) {
                    Ok(Forgotten::All) => {}
                    Ok(Forgotten::NotYet) => return Ok(None),
                    Ok(Forgotten::Damaged(count)) => pending.push(illegible(entry, rotated.from, count)),
                    // One that does not answer, or still has what it was told to destroy, does not keep the others from forgetting.
                    Err(error @ Error::Cell { .. }) => pending.push(unsettled(entry, rotated, &error.to_string())),
                    Err(error) => return Err(error),
                },
                Ok(None) if already_gone(&view, &entry.name, rotated.from) => {}
                Ok(None) => pending.push(unsettled(entry, rotated, "it is not on this host")),
                Err(error @ Error::Cell { .. }) => pending.push(unsettled(entry, rotated, &error.to_string())),
                Err(error) => return Err(error),
            }
        }
        if !pending.is_empty() {
            return Ok(Some(RotationState::Pending(pending)));
        }
        for id in mandate.adopted.iter().chain([&mandate.id]) {
            let open = view.ledger.open_claims().any(|state| state.claim.id == *id);
            if open {
                self.end_claim(admin, *id, ClaimOutcome::Closed)?;
            }
        }
        Ok(Some(RotationState::Closed))
    }

    /// Whether something that this rotation leaves behind is dropped by no record any more: a hold, an undone forget, an erasure that was
    /// given up.
    fn is_saved(&self, view: &View, late: &Late) -> bool {
        let drops = self.dropped_by_record(view);
        let mut left = late.rotated.dropped.iter().filter(|snapshot| late.dropped.contains(snapshot));
        left.any(|snapshot| !drops.contains(snapshot))
    }

    fn forget_old(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        late: &Late,
        name: &str,
        cell: &Cell,
    ) -> Result<Forgotten, Error> {
        let rotated = &late.rotated;
        let held: BTreeSet<GenerationId> = cell.contents(self.id())?.held;
        for generation in held.into_iter().filter(|generation| *generation != rotated.to) {
            let view = self.still_mine(mandate)?;
            if view.policy.generation != rotated.to {
                return Err(Error::Overtaken {
                    why: "the policy changed while the old seal was being destroyed".to_owned(),
                });
            }
            if self.is_saved(&view, late) {
                return Ok(Forgotten::NotYet);
            }
            let evidence = cell.destroy(self.id(), generation)?;
            let record = Destroyed { claim: mandate.id, cell: name.to_owned(), generation, evidence };
            self.append(admin, &Event::Destroyed(record))?;
        }
        // A damaged slot may hold the old seal as well. It dies only once the new one reads back from this cell.
        if cell.contents(self.id())?.damaged > 0 {
            drop(self.still_mine(mandate)?);
            if let Some(evidence) = cell.destroy_damaged(self.id(), rotated.to)? {
                let record = Destroyed { claim: mandate.id, cell: name.to_owned(), generation: rotated.from, evidence };
                self.append(admin, &Event::Destroyed(record))?;
            }
        }
        match cell.contents(self.id())?.damaged {
            0 => Ok(Forgotten::All),
            left => Ok(Forgotten::Damaged(left)),
        }
    }

    /// Puts a published generation into cells that miss it, from any cell that has it.
    fn spread(&self, view: &View, rotated: &Rotated) -> Result<(), Error> {
        let seals = self.seals(view, &crate::op::keys::ReadKeys::default())?;
        let Some(seed) = seals.seed(rotated.to) else { return Ok(()) };
        for entry in &view.policy.cells {
            let put = || match self.cell(&entry.name)? {
                Some(cell) if !cell.contents(self.id())?.has(rotated.to) => cell.add(self.id(), rotated.to, seed),
                _ => Ok(()),
            };
            match put() {
                // A cell that does not answer is no holder, and what it may still hold is pending below.
                Err(Error::Cell { .. }) => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Rule 9: two cells with different holders, or a cell and a kit whose checksum a person typed back; one cell where the policy
    /// declares a single holder.
    fn missing_holder(&self, view: &View, to: GenerationId) -> Result<Option<Pending>, Error> {
        let tally = self.holders_of(view, to, None)?;
        Ok((!tally.is_enough(view.policy.holders)).then(|| Pending {
            item: "holders".to_owned(),
            what: format!(
                "{} of the 2 independent holders of the new seal {to} are verified; the old one is destroyed only then",
                tally.cells.len() + tally.kits
            ),
            command:
                "lacre kit issue, print it, lacre kit ack NUMBER, then lacre erase resume; or: lacre seal add-cell SPEC"
                    .to_owned(),
        }))
    }

    /// Who holds a generation now, as far as this host can prove it, without one cell if it is about to go.
    pub(crate) fn holders_of(&self, view: &View, to: GenerationId, without: Option<&str>) -> Result<Tally, Error> {
        let mut cells = BTreeSet::new();
        for entry in view.policy.cells.iter().filter(|entry| Some(entry.name.as_str()) != without) {
            let contents = match self.cell(&entry.name) {
                Ok(Some(cell)) => cell.contents(self.id()),
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            match contents {
                Ok(contents) if contents.has(to) => drop(cells.insert(entry.holder().to_owned())),
                Ok(_) | Err(Error::Cell { .. } | Error::File(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let is_typed = |kit: &KitRecord| kit.generation == to && kit.state == KitState::Acknowledged;
        let kits = view.kits.values().filter(|(_, kit)| is_typed(kit)).count();
        Ok(Tally { cells, kits })
    }

    /// Every committed, undropped snapshot has an entry in the new generation, or nothing is destroyed.
    fn refuse_unkept(&self, view: &View, rotated: &Rotated, options: &RotateOptions) -> Result<(), Error> {
        let seals = self.seals(view, &crate::op::keys::ReadKeys::default())?;
        let new = seals.seed(rotated.to).ok_or(Error::NoSeal { generation: rotated.to })?;
        // Opened, not only listed: an object somebody else put under a right name saves nothing.
        let kept = self.gather(view, new, rotated.to)?;
        // What fell due since the new generation was published dies in the next rotation, like every other.
        let now = Millis(self.clock().now().as_millisecond());
        let lost = view.snapshots.keys().find(|snapshot| {
            view.outlives_rotation(**snapshot, now) && !kept.has(**snapshot) && !options.accept_loss.contains(snapshot)
        });
        lost.map_or(Ok(()), |snapshot| Err(Error::EntryMissing { snapshot: *snapshot }))
    }
}

/// The independent holders of a generation.
pub(crate) struct Tally {
    /// What the verified cells depend on: a host, an account at a provider.
    pub(crate) cells: BTreeSet<String>,
    /// Kits whose checksum a person typed back.
    pub(crate) kits: usize,
}

impl Tally {
    /// Whether the loss of one of them leaves another.
    pub(crate) fn is_enough(&self, promised: Holders) -> bool {
        match promised {
            Holders::Single => !self.cells.is_empty(),
            Holders::Two => self.cells.len() >= 2 || (!self.cells.is_empty() && self.kits > 0),
        }
    }
}

fn unsettled(entry: &CellEntry, rotated: &Rotated, why: &str) -> Pending {
    let CellEntry { name, host, .. } = entry;
    Pending {
        item: format!("cell:{name}"),
        what: format!("the cell {name} (made on {host}) may still hold generation {}: {why}", rotated.from),
        command: format!("on {host}: lacre erase resume; or, if it is gone: lacre erase attest cell:{name} destroyed"),
    }
}

/// A cell with something in it that cannot be read. It is seen, so nobody can vouch that it is not so.
pub(crate) fn illegible(entry: &CellEntry, from: GenerationId, count: usize) -> Pending {
    let CellEntry { name, host, .. } = entry;
    Pending {
        item: format!("damaged:{name}"),
        what: format!(
            "{} of the cell {name} may hold generation {from}",
            things(count, ["damaged slot or value", "damaged slots or values"])
        ),
        command: format!(
            "on {host}: lacre seal rotate, which destroys them once the new seal reads back; if they stay: lacre seal move-cell to a place of its own, and delete the old one"
        ),
    }
}

fn already_gone(view: &View, cell: &str, generation: GenerationId) -> bool {
    let recorded =
        |destroyed: &lacre_format::erasure::Destroyed| destroyed.cell == cell && destroyed.generation == generation;
    view.ledger.destroyed.iter().any(|(_, destroyed)| recorded(destroyed))
        || view.ledger.vouched(&format!("cell:{cell}"), generation).is_some()
}
