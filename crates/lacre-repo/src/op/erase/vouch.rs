//! What a person vouches for because nothing can prove it, and how far such a word carries.
//!
//! In: what erasures wait for, and the admins' attestations. Out: what is settled by them. What was seen to be otherwise nobody can vouch for.

use std::collections::BTreeSet;

use lacre_format::{
    erasure::{Attestation, Declared, Destroyed, Rotated},
    header::ChainHead,
    ids::Millis,
    log::Event,
};

use crate::{error::Error, op::rotate::Pending, repository::Repository, view::View};

/// What can be vouched for; anything else is seen, or has to be done.
const ATTESTABLE: [&str; 5] = ["kit:", "cell:", "writer:", "session:", "restore:"];

impl Repository {
    /// Records what a person vouches for. Of a cell that is what it held until the last change of the seal.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Usage`] for an item that nothing waits for.
    pub fn attest(&self, item: &str, state: Declared) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let last = view.ledger.valid_rotations().last().map(|(_, rotated)| rotated);
        let of_seal = last.map(|rotated| self.unsettled_seal(&view, rotated)).transpose()?.unwrap_or_default();
        let of_erasures = self.erasures()?.into_iter().flat_map(|status| status.pending);
        let of_removals = self.removals()?.into_iter().flat_map(|status| status.pending);
        let waiting: BTreeSet<String> =
            of_seal.into_iter().chain(of_erasures).chain(of_removals).map(|pending| pending.item).collect();
        if !ATTESTABLE.iter().any(|start| item.starts_with(start)) || !waiting.contains(item) {
            let list: Vec<String> = waiting.into_iter().collect();
            let why = format!("nothing waits for {item:?}; pending: {}", list.join(", "));
            return Err(Error::Usage { why });
        }
        let generation = last.filter(|_| item.starts_with("cell:")).map(|rotated| rotated.from);
        self.append(&admin, &Event::Attestation(Attestation { item: item.to_owned(), state, generation }))
    }
}

/// Takes what was vouched for out of what the change of the seal waits for.
pub(crate) fn declare(view: &View, rotated: &Rotated, pending: &mut Vec<Pending>, declared: &mut Vec<Attestation>) {
    pending.retain(|item| {
        let vouched = view.ledger.vouched(&item.item, rotated.from).filter(|_| still_vouched(view, &item.item));
        declared.extend(vouched.map(|attested| attested.record(&item.item)));
        vouched.is_none()
    });
}

/// A writer that was declared gone and has opened a run since is not gone: what was vouched for is not so.
fn still_vouched(view: &View, item: &str) -> bool {
    let Some(home) = item.strip_prefix("writer:") else { return true };
    let Some(vouched) = view.ledger.attested.get(item).map(|attested| attested.place) else { return true };
    let saw_it = |head: &ChainHead| head.home == vouched.home && head.seq >= vouched.seq;
    let mut headers = view.snapshots.values().map(|known| &known.header);
    !headers.any(|header| header.home.to_string() == home && header.opened.iter().any(saw_it))
}

/// Cells that an admin took out of the policy without seeing them empty: what they held is only declared to be gone.
pub(super) fn removed_cells(view: &View, rotated: &Rotated) -> Vec<Attestation> {
    let of_policy = |name: &str| view.policy.cells.iter().any(|cell| cell.name == name);
    let seen_empty = |name: &str| {
        let after =
            |(_, gone): &&(Millis, Destroyed)| gone.cell == name && gone.generation.number >= rotated.from.number;
        view.ledger.destroyed.iter().any(|record| after(&record))
    };
    let cells =
        view.ledger.attested.iter().filter_map(|(item, attested)| Some((item, item.strip_prefix("cell:")?, attested)));
    cells
        .filter(|(_, name, _)| !of_policy(name) && !seen_empty(name))
        .map(|(item, _, attested)| attested.record(item))
        .collect()
}
