//! Cells come and go: added, taken out and moved, under a claim like every change of the policy, without a new seal.
//!
//! In: a place and what it depends on. Out: a policy that names it, after it proved that it keeps, returns and forgets, and holds the
//! current generation. A cell goes only when two independent holders remain, and what it held is destroyed and proved, or declared lost.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use lacre_format::{
    erasure::{Attestation, ClaimOutcome, Declared, Destroyed, Purpose},
    ids::{GenerationId, Millis},
    log::Event,
    policy::{CELLS_MAX, CellEntry, Holders, Policy},
};

use crate::{
    cell::{Cell, CellPlace},
    error::Error,
    home::Signer,
    monitor::things,
    op::{
        keys::ReadKeys,
        rotate::{Adoption, Mandate},
    },
    repository::Repository,
    view::View,
};

/// A cell that is to be added.
#[derive(Clone, Debug)]
pub struct NewCell {
    /// Where it is.
    pub place: CellPlace,
    /// This host.
    pub host: String,
    /// What it depends on, where that is not this host.
    pub holder: Option<String>,
    /// Paths that are backed up: no cell may lie inside.
    pub sources: Vec<std::path::PathBuf>,
    /// The cell that goes once this one is there.
    pub replaces: Option<String>,
}

/// What becomes of what a cell held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leftover {
    /// It is destroyed and proved to be gone.
    Destroy,
    /// The cell is lost: an admin declares so, and receipts show it.
    DeclareLost,
}

/// Whether the seal may be changed without a person, and when that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RotationDue {
    /// When the current generation was published.
    pub sealed_at: Timestamp,
    /// When the next one is due.
    pub due_at: Timestamp,
    /// Whether that is now.
    pub is_due: bool,
    /// Why it does not happen by itself; nothing when it does.
    pub blocked: Option<String>,
}

impl Repository {
    /// Adds a cell: tries it out, puts the current generation into it, reads it back, and publishes the policy that names it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a bad place or one that cannot forget; [`Error::Usage`] for a cell that is there already;
    /// [`Error::NoSeal`] when no holder at hand gives the seal; [`Error::Overtaken`] while another admin changes the policy.
    pub fn add_cell(&self, new: &NewCell, keys: &ReadKeys) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let name = new.place.to_string();
        self.refuse_bad_cells(std::slice::from_ref(&new.place), &new.sources)?;
        let view = self.view()?;
        if view.policy.cells.iter().any(|cell| cell.name == name) {
            return Err(Error::Usage { why: format!("{name} is a cell of this repository already") });
        }
        if view.policy.cells.len() >= CELLS_MAX {
            return Err(Error::Usage { why: format!("{CELLS_MAX} cells are enough") });
        }
        let cell = Cell::create_over(&new.place, self.reach_of_cells())?;
        cell.try_out(self.id())?;
        self.change_cells(&admin, |view, mandate| {
            let generation = view.policy.generation;
            let seals = self.seals(view, keys)?;
            let seed = seals.seed(generation).ok_or(Error::NoSeal { generation })?;
            if !cell.contents(self.id())?.has(generation) {
                cell.add(self.id(), generation, seed)?;
            }
            let view = self.still_mine(mandate)?;
            let mut policy = view.policy.clone();
            let entry = CellEntry { name: name.clone(), host: new.host.clone(), holder: new.holder.clone() };
            policy.cells.push(entry);
            // Who had one holder and adds another that is not lost with it promises two from now on.
            let stay = policy.cells.iter().filter(|cell| Some(&cell.name) != new.replaces.as_ref());
            if stay.map(CellEntry::holder).collect::<BTreeSet<_>>().len() >= 2 {
                policy.holders = Holders::Two;
            }
            Ok(Some((view, policy)))
        })
    }

    /// Takes a cell out of the policy and destroys what it holds.
    ///
    /// # Errors
    /// [`Error::Refused`] when fewer than two independent holders of the seal would remain; [`Error::Usage`] for an unknown cell;
    /// [`Error::Cell`] when it cannot be reached and is not declared lost.
    pub fn remove_cell(&self, name: &str, leftover: Leftover) -> Result<Vec<String>, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let is_named = view.policy.cells.iter().any(|cell| cell.name == name);
        let cell = match (leftover, self.cell(name)) {
            (Leftover::DeclareLost, _) => None,
            (Leftover::Destroy, Ok(Some(cell))) => Some(cell),
            (Leftover::Destroy, Ok(None)) => {
                let why = format!(
                    "the cell {name} is not on this host: run this where it is, or declare it lost with --lost"
                );
                return Err(Error::Refused { why });
            }
            (Leftover::Destroy, Err(error)) => return Err(error),
        };
        // Looked at before anything is changed: one that does not answer must not be half removed.
        let held = cell.as_ref().map(|cell| cell.contents(self.id())).transpose()?.map(|contents| contents.held);
        if !is_named && held.as_ref().is_none_or(BTreeSet::is_empty) {
            return Err(Error::Usage {
                why: format!("{name} is no cell of this repository; lacre seal status lists them"),
            });
        }
        if is_named {
            self.change_cells(&admin, |view, _| self.policy_without(view, name, leftover).map(Some))?;
        }
        match cell {
            Some(cell) => self.empty(&admin, name, &cell, held.into_iter().flatten()),
            None => {
                let item = format!("cell:{name}");
                self.append(
                    &admin,
                    &Event::Attestation(Attestation {
                        item,
                        state: Declared::Lost,
                        generation: Some(view.policy.generation),
                    }),
                )?;
                Ok(Vec::new())
            }
        }
    }

    /// The policy without a cell, if enough verified holders remain. One that is declared lost and that nobody could read anyhow takes no
    /// holder away: then one that is left is enough, or a lost cell would stand in the way of every rotation until a new one is there.
    fn policy_without(&self, view: &View, name: &str, leftover: Leftover) -> Result<(View, Policy), Error> {
        let view = self.same_tip(view)?;
        let generation = view.policy.generation;
        let tally = self.holders_of(&view, generation, Some(name))?;
        let is_no_worse = || -> Result<bool, Error> {
            let left = tally.cells.len() + tally.kits;
            let now = self.holders_of(&view, generation, None)?;
            Ok(leftover == Leftover::DeclareLost && left > 0 && now.cells.len() + now.kits == left)
        };
        if !tally.is_enough(view.policy.holders) && !is_no_worse()? {
            let why = format!(
                "without {name} only {} of the 2 independent holders of the seal would be verified; add another cell or acknowledge a kit first",
                tally.cells.len() + tally.kits
            );
            return Err(Error::Refused { why });
        }
        let mut policy = view.policy.clone();
        policy.cells.retain(|cell| cell.name != name);
        Ok((view, policy))
    }

    fn same_tip(&self, before: &View) -> Result<View, Error> {
        let view = self.view()?;
        if view.policy_digest == before.policy_digest {
            Ok(view)
        } else {
            Err(Error::Overtaken { why: "the policy changed meanwhile".to_owned() })
        }
    }

    /// Destroys what a cell holds that no policy names any more, with proof.
    fn empty(
        &self,
        admin: &Signer,
        name: &str,
        cell: &Cell,
        held: impl Iterator<Item = GenerationId>,
    ) -> Result<Vec<String>, Error> {
        let mut seen = Vec::new();
        for generation in held {
            if self.view()?.policy.cells.iter().any(|cell| cell.name == name) {
                return Err(Error::Overtaken { why: format!("{name} is a cell of the policy again") });
            }
            let evidence = cell.destroy(self.id(), generation)?;
            let claim = self.view()?.policy.claim.unwrap_or(lacre_format::ids::Token::new([0; 16]));
            let record = Destroyed { claim, cell: name.to_owned(), generation, evidence: evidence.clone() };
            self.append(admin, &Event::Destroyed(record))?;
            seen.push(format!("generation {generation}: {evidence}"));
        }
        Ok(seen)
    }

    /// Changes the policy under a claim. A rotation of this host that has published and waits for holders is the claim itself.
    fn change_cells(
        &self,
        admin: &Signer,
        change: impl FnOnce(&View, &Mandate) -> Result<Option<(View, Policy)>, Error>,
    ) -> Result<(), Error> {
        let mandate = self.claim(admin, Purpose::Policy, Adoption::Never)?;
        let view = self.still_mine(&mandate)?;
        let is_rotating = mandate.published(&view);
        let done = change(&view, &mandate).and_then(|changed| match changed {
            None => Ok(()),
            Some((view, mut policy)) => {
                policy.number = view.policy.number.saturating_add(1);
                policy.previous = Some(view.policy_digest);
                policy.signed_at = Millis(self.clock().now().as_millisecond());
                policy.heads.clone_from(&view.heads);
                if !is_rotating {
                    policy.claim = Some(mandate.id);
                }
                drop(self.still_mine(&mandate)?);
                self.put_policy(admin, &policy).map(drop)
            }
        });
        match done {
            Ok(()) if is_rotating => Ok(()),
            Ok(()) => self.end_claim(admin, mandate.id, ClaimOutcome::Closed),
            // Nothing was published for certain: whoever comes next must not find a claim that nobody works under.
            Err(error @ (Error::Refused { .. } | Error::NoSeal { .. } | Error::Cell { .. } | Error::Usage { .. })) => {
                if !is_rotating {
                    self.end_claim(admin, mandate.id, ClaimOutcome::Withdrawn)?;
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// How many other admins have to approve every erasure from now on.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are not so many other admins; [`Error::Overtaken`] while another admin changes the policy.
    pub fn require_approvals(&self, approvals: u32) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        self.change_cells(&admin, |view, _| {
            let is_admin = |home: &&lacre_format::policy::HomeEntry| {
                home.role == lacre_format::policy::Role::Admin && !home.is_revoked() && home.home != admin.home
            };
            let others = view.policy.homes.iter().filter(is_admin).count();
            if usize::try_from(approvals).unwrap_or(usize::MAX) > others {
                let why = format!(
                    "an erasure would need the approval of {}, and there are {others}: nothing could be erased",
                    things(approvals, ["other admin", "other admins"])
                );
                return Err(Error::Refused { why });
            }
            let view = self.same_tip(view)?;
            let mut policy = view.policy.clone();
            policy.approvals = (approvals > 0).then_some(approvals);
            Ok(Some((view, policy)))
        })
    }

    /// When the seal is due to change, and whether that may happen without a person: only where two independent cells that are no files of
    /// one host learn the new generation, and no kit would silently go stale.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn rotation_due(&self, every: SignedDuration) -> Result<RotationDue, Error> {
        let view = self.view()?;
        let moment = |at: i64| Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
        let sealed_at = moment(self.sealed_at(&view).0);
        let due_at = sealed_at.saturating_add(every).unwrap_or(Timestamp::MAX);
        let is_due = due_at <= self.clock().now();
        Ok(RotationDue { sealed_at, due_at, is_due, blocked: self.why_not_alone(&view)? })
    }

    fn why_not_alone(&self, view: &View) -> Result<Option<String>, Error> {
        let remote = |entry: &&CellEntry| CellPlace::parse(&entry.name).is_ok_and(|place| !place.is_of_this_host());
        let mut holders = BTreeSet::new();
        for entry in view.policy.cells.iter().filter(remote) {
            match self.cell(&entry.name).and_then(|cell| cell.map(|cell| cell.contents(self.id())).transpose()) {
                Ok(Some(contents)) if contents.has(view.policy.generation) => {
                    holders.insert(entry.holder());
                }
                Ok(_) | Err(Error::Cell { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if holders.len() < 2 {
            return Ok(Some(format!(
                "{} of 2 independent remote cells hold the seal and answer; with fewer a printed kit would go stale unnoticed: `lacre seal rotate` by hand, then `lacre kit issue`",
                holders.len()
            )));
        }
        if let Some(state) = view.ledger.open_claims().find(|_| self.home().admin_key().is_err()) {
            return Ok(Some(format!(
                "another admin's change of the seal is under way (claim {})",
                state.claim.id.short()
            )));
        }
        Ok(None)
    }
}
