//! Adoption: a copy becomes the repository, because the place it was a copy of is gone (protocol rule 12).
//!
//! What would be lost is named first. What this host still knows and the copy has not heard of - policies, logs, voids, the bundle of a
//! newer seal - is brought along, so that no erasure that was decided here is forgotten; what may be missing beyond that refuses, unless a
//! person vouches. Then a policy is published whose number lies above any that was seen: the lost place, should it come back, is refused
//! as the repository by every host that has read it, and may serve as a copy.

mod known;
mod seal;

use std::collections::BTreeSet;

use lacre_format::{
    header::ChainHead,
    ids::{GenerationId, Millis, SnapshotId, Token},
    log::{AdoptRecord, EVENT_SNAPSHOTS_MAX, Event},
    policy::{Adopted, Role},
};

use self::{known::Brought, seal::HomeSeal};
use crate::{
    error::Error,
    home::{Pin, Signer},
    limits::ADOPTION_STEP,
    monitor::{Finding, Severity},
    op::keys::ReadKeys,
    repository::Repository,
    view::View,
};

/// Whether a person vouches for what cannot be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouched {
    /// Nobody does: what may hide an erasure refuses.
    No,
    /// A person says that no erasure is missing in the copy.
    NoErasureMissing,
}

/// What adopting a copy would mean.
#[derive(Clone, Debug)]
pub struct AdoptPlan {
    /// The newest policy that is known.
    pub from: u32,
    /// The number of the policy that would be published.
    pub policy: u32,
    /// The seal generation it names.
    pub generation: GenerationId,
    /// Live snapshots that are kept.
    pub snapshots: u64,
    /// Signed records, and parts of the keyring, that this host brings to the copy.
    pub brought: u32,
    /// Snapshots that this host knows and the copy does not hold.
    pub lost: Vec<SnapshotId>,
    /// Live snapshots of the copy that nothing opens: the newer seal that this home leads to has no key entry of them.
    pub closed: Vec<SnapshotId>,
    /// Sessions that were open when the copy was last brought up to date.
    pub sessions: Vec<SnapshotId>,
    /// Changes of the seal that were under way.
    pub claims: Vec<Token>,
    /// Erasures that are decided and not carried out.
    pub erasures: Vec<Token>,
    /// Garbage collections that were under way.
    pub collections: u64,
    /// Why an erasure may be missing in everything that is known here; each refuses the adoption unless a person vouches.
    pub unseen: Vec<String>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// What an adoption did.
#[derive(Clone, Debug)]
pub struct AdoptReport {
    /// What it meant.
    pub plan: AdoptPlan,
    /// The policy that was published.
    pub policy: u32,
}

impl Repository {
    /// Decides what adopting this copy would mean; nothing is written.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Refused`] when the seal of the copy's policy is destroyed and nothing at hand
    /// leads to the newer one; errors of the store.
    pub fn plan_adopt(&self, keys: &ReadKeys) -> Result<AdoptPlan, Error> {
        drop(self.home().admin_key()?);
        Ok(self.weigh_adoption(keys)?.0)
    }

    /// Makes this copy the repository.
    ///
    /// # Errors
    /// As [`Repository::plan_adopt`], and [`Error::Refused`] while an erasure may be missing and nobody vouches.
    pub fn adopt(&self, keys: &ReadKeys, vouched: Vouched) -> Result<AdoptReport, Error> {
        let admin = self.home().admin_key()?;
        let (plan, brought, seal) = self.weigh_adoption(keys)?;
        if let (Vouched::No, Some(why)) = (vouched, plan.unseen.first()) {
            return Err(Error::Refused {
                why: format!("{why}; an erased snapshot could come back, --accept-unseen vouches that none was erased"),
            });
        }
        brought.put(self)?;
        let view = self.unpinned_view()?;
        let signer_rules = view.home(admin.home).is_some_and(|home| home.role == Role::Admin);
        if !signer_rules {
            return Err(Error::Refused { why: "this host's admin key is in no policy of the repository".to_owned() });
        }
        let view = match &seal {
            Some(seal) => self.enter_seal(&admin, view, seal, &plan)?,
            None => view,
        };
        let at = Millis(self.clock().now().as_millisecond());
        let mut policy = view.policy.clone();
        policy.number = plan.policy;
        policy.previous = Some(view.policy_digest);
        policy.signed_at = at;
        policy.heads.clone_from(&view.heads);
        policy.adopted = Some(Adopted { policy: plan.policy, from: plan.from, at });
        if let Some(seal) = &seal {
            seal.name_in(&mut policy);
        }
        let digest = self.put_policy(&admin, &policy)?;
        self.home().keep_pin(&Pin { admin: self.manifest().admin, policy: policy.number, digest })?;
        let record = AdoptRecord {
            policy: plan.policy,
            lost: plan.lost.iter().copied().take(EVENT_SNAPSHOTS_MAX).collect(),
            brought: plan.brought,
            vouched: vouched == Vouched::NoErasureMissing && !plan.unseen.is_empty(),
        };
        self.append(&admin, &Event::Adopt(record))?;
        Ok(AdoptReport { policy: plan.policy, plan })
    }

    /// Puts the newer seal's bundle, list and late entries into the copy, and on record that its policy leads from the old one to it. The seal
    /// before is destroyed, so dying in between changes nothing for anybody.
    fn enter_seal(&self, admin: &Signer, view: View, seal: &HomeSeal, plan: &AdoptPlan) -> Result<View, Error> {
        seal.put(self)?;
        let from = view.policy.generation;
        let known = view.ledger.valid_rotations().any(|(_, rotated)| rotated.to == seal.generation);
        if known && plan.closed.is_empty() {
            return Ok(view);
        }
        let rotated = seal.rotated(from, plan.policy, &plan.closed)?;
        self.append_to(&view, admin, &Event::Rotated(rotated))?;
        self.unpinned_view()
    }

    fn weigh_adoption(&self, keys: &ReadKeys) -> Result<(AdoptPlan, Brought, Option<HomeSeal>), Error> {
        let pin = self.home().pin()?;
        let listing = self.store().list("")?;
        let (view, brought) = self.with_known(&listing)?;
        let seen = pin.as_ref().map_or(0, |pin| pin.policy).max(view.policy.number);
        let policy = seen
            .checked_add(ADOPTION_STEP)
            .ok_or_else(|| Error::Refused { why: "no policy number is left".to_owned() })?;
        let (unseen, seal) = self.unseen(&view, pin.as_ref(), keys)?;
        let names = self.session_names()?;
        let sessions = self.sessions(names, &view)?;
        let live = view.snapshots.keys().filter(|snapshot| view.is_live(**snapshot)).count();
        let closed = seal.as_ref().map(|seal| seal.closed(&view)).unwrap_or_default();
        let mut findings = view.findings.clone();
        findings.extend(sessions.findings.iter().cloned());
        let plan = AdoptPlan {
            from: view.policy.number,
            policy,
            generation: seal.as_ref().map_or(view.policy.generation, |seal| seal.generation),
            snapshots: live.saturating_sub(closed.len()) as u64,
            brought: brought.count(),
            lost: self.lost(&view)?,
            closed,
            sessions: sessions.open().map(|(snapshot, _)| snapshot).collect(),
            claims: view.ledger.open_claims().map(|open| open.claim.id).collect(),
            erasures: waiting_erasures(&view),
            collections: view.plans.undone().len() as u64,
            unseen,
            findings,
        };
        Ok((plan, brought, seal))
    }

    /// What tells that something was decided which neither the copy nor this host has the record of.
    fn unseen(
        &self,
        view: &View,
        pin: Option<&Pin>,
        keys: &ReadKeys,
    ) -> Result<(Vec<String>, Option<HomeSeal>), Error> {
        let mut unseen = Vec::new();
        if let Some(pin) = pin.filter(|pin| pin.policy > view.policy.number) {
            unseen.push(format!(
                "this host has seen policy {}, and the newest at hand is {}",
                pin.policy, view.policy.number
            ));
        }
        let ends = |home| view.heads.iter().find(|head| head.home == home).map(|head| head.seq);
        let read = view.snapshots.values().flat_map(|known| known.header.seen.iter().chain(&known.header.opened));
        let is_admin = |home| view.home(home).is_some_and(|entry| entry.role == Role::Admin);
        let signed = self.home().log_heads()?;
        let named = view.policy.heads.iter().chain(read).chain(&signed);
        let is_missing = |head: &&ChainHead| is_admin(head.home) && ends(head.home).is_none_or(|ends| ends < head.seq);
        if let Some(head) = named.filter(is_missing).max_by_key(|head| head.seq) {
            unseen.push(format!("an admin's log had an entry {}, and what is at hand ends before it", head.seq));
        }
        let current = view.policy.generation;
        let seals = self.seals(view, keys)?;
        let newer =
            seals.seeds.iter().filter(|(held, _)| held.number > current.number).max_by_key(|(held, _)| held.number);
        let is_known = view.ledger.claims.iter().any(|state| state.claim.from == current);
        match newer {
            Some((newer, seed)) if seals.seed(current).is_none() => {
                if let Some(seal) = self.home_seal(view, *newer, seed)? {
                    unseen.push(format!(
                        "the seal was changed from generation {current} to {newer}, of which only this home's list and bundle are left: what the policies after {} and the logs said besides is not known",
                        view.policy.number
                    ));
                    return Ok((unseen, Some(seal)));
                }
                return Err(Error::Refused {
                    why: format!(
                        "the cells hold generation {newer} only, and what is at hand ends with {current}, whose seal is destroyed: nothing in this copy could be opened. Run this on the host that changed the seal, whose LACRE_HOME holds the newer list and bundle"
                    ),
                });
            }
            Some((newer, _)) if !is_known => unseen.push(format!(
                "a cell holds generation {newer}, newer than {current} of the newest policy at hand, and no record of that change is at hand"
            )),
            _ => {}
        }
        Ok((unseen, None))
    }

    /// Snapshots that this host has seen or made and the copy does not hold, less those whose end is on record.
    fn lost(&self, view: &View) -> Result<Vec<SnapshotId>, Error> {
        let mut known: BTreeSet<SnapshotId> = self.home().indexed()?;
        known.extend(self.cached_snapshots()?);
        let dropped = view.ledger.dropped();
        let is_lost = |snapshot: &SnapshotId| {
            !view.snapshots.contains_key(snapshot)
                && !view.plans.reclaimed.contains_key(snapshot)
                && !view.voided.contains(snapshot)
                && !view.damaged.contains_key(snapshot)
                && !dropped.contains(snapshot)
        };
        Ok(known.into_iter().filter(is_lost).collect())
    }
}

/// Erasures that stand and that no rotation has carried out.
fn waiting_erasures(view: &View) -> Vec<Token> {
    let dropped = view.ledger.dropped();
    let waits = |intent: &&crate::ledger::Intent| intent.record.snapshots.iter().any(|gone| !dropped.contains(gone));
    view.ledger.standing_intents().filter(waits).map(|intent| intent.record.id).collect()
}

impl AdoptPlan {
    /// What a person should know, as findings: losses first.
    #[must_use]
    pub fn losses(&self) -> Vec<Finding> {
        let mut losses = Vec::new();
        let mut find = |severity, what: String, object: &str, advice: &str| {
            losses.push(Finding::new(severity, what, object, advice));
        };
        for snapshot in &self.lost {
            let what = "this host knows it and the copy does not hold it".to_owned();
            let advice =
                "it is lost unless the lost place comes back as a copy; the next backup stores everything it needs";
            find(Severity::Warning, what, &format!("snap/{snapshot}"), advice);
        }
        for snapshot in &self.closed {
            let what =
                "the newer seal has no key entry of it: it was erased, or committed too late to be carried".to_owned();
            let advice = "nothing opens it any more; lacre repo prune removes it";
            find(Severity::Warning, what, &format!("snap/{snapshot}"), advice);
        }
        for session in &self.sessions {
            let what = "a backup was under way; whether it was committed is not known".to_owned();
            find(Severity::Note, what, &format!("session/{session}"), "take it again");
        }
        for claim in &self.claims {
            let what = format!("a change of the seal was under way ({claim})");
            let advice = "lacre erase resume finishes it; of another admin's dead machine: lacre erase resume --adopt";
            find(Severity::Warning, what, "seal", advice);
        }
        for erasure in &self.erasures {
            let what = format!("erasure {erasure} is decided and not carried out; its snapshots stay refused");
            find(Severity::Warning, what, "erasure", "lacre erase resume");
        }
        if self.collections > 0 {
            let what = format!("{} garbage collections were under way", self.collections);
            find(Severity::Note, what, "gc", "lacre repo prune looks again at what is needed and goes on");
        }
        for why in &self.unseen {
            find(Severity::Warning, why.clone(), "erasures", "an erasure may be missing here");
        }
        losses
    }
}
