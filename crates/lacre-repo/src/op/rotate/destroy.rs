//! Destroying the old generation: last of all, and only when nothing that must survive depends on it (protocol rule 9).

use std::collections::BTreeSet;

use lacre_format::{
    erasure::{ClaimOutcome, Destroyed, Rotated},
    ids::{GenerationId, Millis},
    log::Event,
    policy::{Holders, KitState},
};

use super::{Mandate, Pending, RotateOptions, RotationState};
use crate::{
    cell::{Cell, CellPlace},
    error::Error,
    home::Signer,
    repository::Repository,
    view::View,
};

impl Repository {
    pub(super) fn destroy_old(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        rotated: &Rotated,
        options: &RotateOptions,
    ) -> Result<RotationState, Error> {
        let view = self.still_mine(mandate)?;
        // The cells hold it already after a crash between policy and here; adding again is harmless only where it is missing.
        self.spread(&view, rotated)?;
        if let Some(pending) = self.missing_holder(&view, rotated.to)? {
            return Ok(RotationState::Pending(vec![pending]));
        }
        self.refuse_unkept(&view, rotated, options)?;
        if !self.home().has_keyring(rotated.to, "bundle", rotated.bundle) {
            let name = lacre_format::name::ObjectName::of(&lacre_format::name::Named::Bundle(rotated.to));
            let bytes = self.store().get(&name, lacre_format::keyring::BUNDLE_BYTES_MAX)?;
            self.home().keep_keyring(rotated.to, "bundle", &bytes)?;
        }
        let mut pending = Vec::new();
        for entry in &view.policy.cells {
            match Cell::open(&CellPlace::parse(&entry.name)?)? {
                Some(cell) => self.forget_old(admin, mandate, rotated, &entry.name, &cell)?,
                None if already_gone(&view, &entry.name, rotated.from) => {}
                None => pending.push(Pending {
                    item: format!("cell:{}", entry.name),
                    what: format!(
                        "the cell {} (made on {}) may still hold generation {}",
                        entry.name, entry.host, rotated.from
                    ),
                    command: format!(
                        "on {}: lacre erase resume; or, if it is gone: lacre erase attest cell:{} destroyed",
                        entry.host, entry.name
                    ),
                }),
            }
        }
        if !pending.is_empty() {
            return Ok(RotationState::Pending(pending));
        }
        for id in mandate.adopted.iter().chain([&mandate.id]) {
            let open = view.ledger.open_claims().any(|state| state.claim.id == *id);
            if open {
                self.end_claim(admin, *id, ClaimOutcome::Closed)?;
            }
        }
        Ok(RotationState::Closed)
    }

    fn forget_old(
        &self,
        admin: &Signer,
        mandate: &Mandate,
        rotated: &Rotated,
        name: &str,
        cell: &Cell,
    ) -> Result<(), Error> {
        let held: BTreeSet<GenerationId> = cell.generations(self.id())?.iter().map(|slot| slot.generation).collect();
        for generation in held.into_iter().filter(|generation| *generation != rotated.to) {
            let view = self.still_mine(mandate)?;
            if view.policy.generation != rotated.to {
                return Err(Error::Overtaken {
                    why: "the policy changed while the old seal was being destroyed".to_owned(),
                });
            }
            let evidence = cell.destroy(self.id(), generation)?;
            let record = Destroyed { claim: mandate.id, cell: name.to_owned(), generation, evidence };
            self.append(admin, &Event::Destroyed(record))?;
        }
        Ok(())
    }

    /// Puts a published generation into cells that miss it, from any cell that has it.
    fn spread(&self, view: &View, rotated: &Rotated) -> Result<(), Error> {
        let seals = self.seals(view, &crate::op::keys::ReadKeys::default())?;
        let Some(seed) = seals.seed(rotated.to) else { return Ok(()) };
        for entry in &view.policy.cells {
            let Some(cell) = Cell::open(&CellPlace::parse(&entry.name)?)? else { continue };
            if !cell.generations(self.id())?.iter().any(|slot| slot.generation == rotated.to) {
                cell.add(self.id(), rotated.to, seed)?;
            }
        }
        Ok(())
    }

    /// Rule 9: two cells on different hosts, or a cell and a kit whose checksum a person typed back; one cell where the policy
    /// declares a single holder.
    fn missing_holder(&self, view: &View, to: GenerationId) -> Result<Option<Pending>, Error> {
        let mut hosts: BTreeSet<&str> = BTreeSet::new();
        for entry in &view.policy.cells {
            let Some(cell) = Cell::open(&CellPlace::parse(&entry.name)?)? else { continue };
            if cell.generations(self.id())?.iter().any(|slot| slot.generation == to) {
                hosts.insert(entry.host.as_str());
            }
        }
        let kits =
            view.kits.values().filter(|(_, kit)| kit.generation == to && kit.state == KitState::Acknowledged).count();
        let enough = match view.policy.holders {
            Holders::Single => !hosts.is_empty(),
            Holders::Two => hosts.len() >= 2 || (!hosts.is_empty() && kits > 0),
        };
        Ok((!enough).then(|| Pending {
            item: "holders".to_owned(),
            what: format!(
                "{} of the 2 independent holders of the new seal {to} are verified; the old one is destroyed only then",
                hosts.len() + kits
            ),
            command: "lacre kit issue, print it, lacre kit ack NUMBER, then lacre erase resume".to_owned(),
        }))
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

fn already_gone(view: &View, cell: &str, generation: GenerationId) -> bool {
    let recorded =
        |destroyed: &lacre_format::erasure::Destroyed| destroyed.cell == cell && destroyed.generation == generation;
    view.ledger.destroyed.iter().any(|(_, destroyed)| recorded(destroyed))
        || view.ledger.attested.contains_key(&format!("cell:{cell}"))
}
