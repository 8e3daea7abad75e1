//! Rotating the seal (protocol rules 6, 8 and 9): a new generation carries every key entry that no signed record drops; then the
//! old generation is destroyed in every cell, and with it every dropped snapshot in every copy ever made.
//!
//! What has happened is read from the store, the cells and the logs alone, so that a rotation that died anywhere is finished by
//! running it again: an unpublished candidate is discarded, a published one is carried on.
//!
//! ```text
//! claim -> list claims -> open seal g -> seal g' into every cell -> bundle g' -> policy g'   publish.rs, carry.rs
//!       -> list inbox g again, holds -> two holders of g'? every survivor has an entry? -> destroy g -> close     destroy.rs
//! ```

mod carry;
mod destroy;
mod publish;
mod rewrap;

use std::collections::BTreeSet;

use lacre_format::{
    erasure::{Claim, ClaimEnd, ClaimOutcome, Purpose, Rotated},
    ids::{GenerationId, SnapshotId, Token},
    log::Event,
};
use lacre_seal::entropy;

pub(crate) use self::destroy::illegible;
pub use self::rewrap::Rewrap;
use crate::{
    error::Error,
    home::Signer,
    monitor::Finding,
    op::{
        copy::{CopyPlace, Pushed},
        keys::ReadKeys,
    },
    repository::Repository,
    view::View,
};

/// How to rotate.
#[derive(Clone, Debug)]
pub struct RotateOptions {
    /// Why.
    pub purpose: Purpose,
    /// Whether a dead claim of another admin is taken over: a person vouches that its process is dead.
    pub adoption: Adoption,
    /// Snapshots whose key entry is missing and whose loss a person accepts.
    pub accept_loss: Vec<SnapshotId>,
    /// Copies that get the new generation's list and bundle, and the policy, before the old seal is destroyed.
    pub copies: Vec<CopyPlace>,
}

impl Default for RotateOptions {
    fn default() -> Self {
        Self { purpose: Purpose::Rotate, adoption: Adoption::Never, accept_loss: Vec::new(), copies: Vec::new() }
    }
}

/// What to do about a claim that another admin left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adoption {
    /// Stop: it may be at work.
    Never,
    /// Take it over.
    TakeOver,
}

/// How far a rotation came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RotationState {
    /// The old generation is destroyed in every cell.
    Closed,
    /// The new generation is published, the old one still lives: something must be done first.
    Pending(Vec<Pending>),
}

/// Something that must be done before a rotation closes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pending {
    /// What: `holders`, `cell:file:/path`, `kit:3`, `writer:<home>`, `session:<snapshot>`, `restore:<snapshot>`, `rotation`.
    pub item: String,
    /// What is the matter.
    pub what: String,
    /// The command that settles it.
    pub command: String,
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct RotationReport {
    /// The claim it ran under.
    pub claim: Token,
    /// The generation before.
    pub from: GenerationId,
    /// The generation now.
    pub to: GenerationId,
    /// Key entries that were carried.
    pub carried: u32,
    /// Snapshots that were left behind.
    pub dropped: Vec<SnapshotId>,
    /// How far it came.
    pub state: RotationState,
    /// What was found on the way: entries that are not believed.
    pub findings: Vec<Finding>,
}

/// How often a claim is tried anew: once for what a dead run of this host left, once for what another's did.
const CLAIM_ATTEMPTS_MAX: u32 = 3;

/// How often a rotation looks again because something that it leaves behind was saved in the last moment.
const CARRY_ATTEMPTS_MAX: u32 = 8;

/// A published generation after what came in late was carried.
pub(crate) struct Late {
    /// The record as it stands.
    pub(crate) rotated: Rotated,
    /// What signed records dropped then; nothing once the old seal is destroyed, because then it saves nobody to look again.
    pub(crate) dropped: BTreeSet<SnapshotId>,
    pub(crate) findings: Vec<Finding>,
}

/// The claim a run works under, and those it took over.
pub(crate) struct Mandate {
    pub(crate) id: Token,
    pub(crate) from: GenerationId,
    pub(crate) adopted: Vec<Token>,
}

impl Mandate {
    /// Whether a new generation was published by this claim or one it took over.
    pub(crate) fn published(&self, view: &View) -> bool {
        let by = view.policy.claim.is_some_and(|claim| claim == self.id || self.adopted.contains(&claim));
        by && view.policy.generation != self.from
    }
}

/// The newest open claim of this home.
fn own(view: &View, admin: &Signer) -> Option<Claim> {
    let mine = view.ledger.open_claims().filter(|state| state.home == admin.home);
    mine.last().map(|state| state.claim.clone())
}

pub(crate) fn published_by(view: &View, claim: &Claim) -> bool {
    let adopted = view.ledger.in_front_of(claim);
    Mandate { id: claim.id, from: claim.from, adopted }.published(view)
}

impl Repository {
    /// Rotates the seal, or carries on with a rotation that was begun.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Overtaken`] while another admin's claim is open; [`Error::NoSeal`]
    /// when neither a cell nor a kit at hand holds the current generation; [`Error::Refused`] for a cell that cannot be reached;
    /// [`Error::EntryMissing`] when a survivor has no key entry; [`Error::Damaged`] while records of an admin are lost.
    pub fn rotate(&self, options: &RotateOptions, keys: &ReadKeys) -> Result<RotationReport, Error> {
        let admin = self.home().admin_key()?;
        // Before the claim, which would stay open.
        self.view()?.refuse_lost_records()?;
        let mandate = self.claim(&admin, options.purpose, options.adoption)?;
        let (mut rotated, mut findings) = self.publish(&admin, &mandate, options, keys)?;
        for _ in 0..CARRY_ATTEMPTS_MAX {
            let late = self.carry_late(&admin, &mandate, &rotated, keys)?;
            rotated = late.rotated.clone();
            let mut found = late.findings.clone();
            // Rule 12: what was published in an earlier run may not have reached every copy.
            if !options.copies.is_empty() {
                let tip = self.still_mine(&mandate)?;
                for pushed in [Pushed::Generation(rotated.to), Pushed::Policy(tip.policy.number, tip.policy_digest)] {
                    found.extend(self.push_to_copies(&tip, &options.copies, pushed));
                }
            }
            for finding in found {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
            if let Some(state) = self.destroy_old(&admin, &mandate, &late, options)? {
                let Rotated { from, to, carried, dropped, .. } = rotated;
                return Ok(RotationReport { claim: mandate.id, from, to, carried, dropped, state, findings });
            }
        }
        let why =
            "what this change of the seal leaves behind was saved again and again while it was under way".to_owned();
        Err(Error::Overtaken { why })
    }

    /// Gives up an open claim of this host under which nothing was published. `false` when there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] when the new generation is published already: then it can only be finished.
    pub fn withdraw_claim(&self) -> Result<bool, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let Some(mine) = own(&view, &admin) else { return Ok(false) };
        // In two steps like every taking over: a request of a run that died may still be on its way.
        let claim =
            if published_by(&view, &mine) { mine } else { self.new_claim(&admin, &view, mine.purpose, Some(&mine))? };
        let view = self.settle_claims(&admin, &claim)?;
        if published_by(&view, &claim) {
            let why = "its generation is published already; `lacre erase resume` finishes it".to_owned();
            return Err(Error::Refused { why });
        }
        self.discard_candidates(&view)?;
        self.end_claim(&admin, claim.id, ClaimOutcome::Withdrawn)?;
        Ok(true)
    }

    /// Rule 6: the claim is written first, then everybody's claims are read; another open one ends this attempt. A claim of this host under
    /// which nothing was published is not used again: what its dead run still had on its way must count for nobody.
    pub(crate) fn claim(&self, admin: &Signer, purpose: Purpose, adoption: Adoption) -> Result<Mandate, Error> {
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            let view = self.view()?;
            let other = view.ledger.open_claims().find(|state| state.home != admin.home);
            let claim = match (own(&view, admin), other, adoption) {
                (Some(mine), _, _) if published_by(&view, &mine) => mine,
                (Some(mine), _, _) => self.new_claim(admin, &view, purpose, Some(&mine))?,
                (None, Some(_), Adoption::Never) => return Err(taken(&view, admin)),
                (None, other, _) => self.new_claim(admin, &view, purpose, other.map(|state| &state.claim))?,
            };
            let view = self.settle_claims(admin, &claim)?;
            let adopted = view.ledger.in_front_of(&claim);
            let mandate = Mandate { id: claim.id, from: claim.from, adopted };
            let rival = view.ledger.open_claims().any(|state| state.home != admin.home);
            if !rival {
                return Ok(mandate);
            }
            // A published generation is not withdrawn: it is finished, or adopted.
            if mandate.published(&view) {
                return Err(taken(&view, admin));
            }
            self.end_claim(admin, claim.id, ClaimOutcome::Withdrawn)?;
            if adoption == Adoption::Never || claim.adopts.is_none() {
                return Err(taken(&view, admin));
            }
        }
        Err(taken(&self.view()?, admin))
    }

    /// Writes a claim. One that takes another's place puts that one in doubt from here on, before anybody looks what it published.
    fn new_claim(
        &self,
        admin: &Signer,
        view: &View,
        purpose: Purpose,
        instead_of: Option<&Claim>,
    ) -> Result<Claim, Error> {
        let from = instead_of.map_or(view.policy.generation, |claim| claim.from);
        let claim = Claim { id: entropy::token()?, from, purpose, adopts: instead_of.map(|claim| claim.id) };
        self.append(admin, &Event::Claim(claim.clone()))?;
        Ok(claim)
    }

    /// The second step of taking over: with the flag written, what was published decides. It counts and is carried on with, or it is void
    /// and is passed over by every reader, even if it appears later.
    fn settle_claims(&self, admin: &Signer, claim: &Claim) -> Result<View, Error> {
        let view = self.view()?;
        let doubted = view.ledger.in_front_of(claim);
        let is_open = |id: &Token| view.ledger.open_claims().any(|state| state.claim.id == *id);
        let open: Vec<Token> = doubted.into_iter().filter(is_open).collect();
        if open.is_empty() {
            return Ok(view);
        }
        for id in open {
            let counts = view.policy.claim == Some(id);
            self.end_claim(admin, id, if counts { ClaimOutcome::Adopted } else { ClaimOutcome::Voided })?;
        }
        self.view()
    }

    pub(crate) fn end_claim(&self, admin: &Signer, id: Token, outcome: ClaimOutcome) -> Result<(), Error> {
        self.append(admin, &Event::ClaimEnd(ClaimEnd { id, outcome }))
    }

    /// The claim is read again before each step that cannot be taken back.
    pub(crate) fn still_mine(&self, mandate: &Mandate) -> Result<View, Error> {
        let view = self.view()?;
        let open = view.ledger.open_claims().any(|state| state.claim.id == mandate.id);
        let taken_over = view.ledger.claims.iter().any(|state| state.claim.adopts == Some(mandate.id));
        let rival = view
            .ledger
            .open_claims()
            .any(|state| state.claim.id != mandate.id && !mandate.adopted.contains(&state.claim.id));
        if open && !taken_over && !rival {
            Ok(view)
        } else {
            let why = "this host's claim to change the seal was taken over or ended by another admin".to_owned();
            Err(Error::Overtaken { why })
        }
    }
}

fn taken(view: &View, admin: &Signer) -> Error {
    let other = view.ledger.open_claims().find(|state| state.home != admin.home);
    let who = other.map_or_else(String::new, |state| {
        let label = view.home(state.home).map_or_else(|| state.home.short(), |home| home.label.clone());
        format!(" ({label})")
    });
    let why = format!(
        "another admin{who} is changing the seal; try again later, or, if that machine is dead for ever, take over with `lacre erase resume --adopt`"
    );
    Error::Overtaken { why }
}
