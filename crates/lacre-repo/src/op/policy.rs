//! Changing the policy: one admin at a time, on top of the newest one, under the same claims that changes of the seal take.
//!
//! Two admins who publish at once would each drop what the other changed, and a policy that names an older seal beside a rotation would
//! send writers back to a seal that is about to be destroyed. So every change of the policy is claimed like a rotation (rule 6).

use lacre_format::{
    erasure::{Claim, ClaimOutcome, Purpose},
    ids::{Digest, Millis},
    policy::Policy,
};

use crate::{
    error::Error,
    home::Signer,
    op::rotate::{Adoption, Mandate, published_by},
    repository::Repository,
    view::View,
};

/// The right to publish the next policy.
pub(crate) struct Turn {
    mandate: Mandate,
    /// Whether the claim was made for this, and ends with it; a rotation that waits for a holder keeps its own.
    own: bool,
}

/// A policy that was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    /// Its number.
    pub(crate) number: u32,
    /// The hash in its name.
    pub(crate) digest: Digest,
}

impl Turn {
    /// The claim.
    pub(crate) const fn mandate(&self) -> &Mandate {
        &self.mandate
    }

    /// Whether the claim was made for this, and no other change of the seal waits to be finished.
    pub(crate) const fn is_own(&self) -> bool {
        self.own
    }
}

impl Repository {
    /// Changes the policy: claims, reads what is newest, applies the change, publishes, ends the claim.
    ///
    /// # Errors
    /// What the change says; [`Error::Overtaken`] while another admin changes seal or policy; [`Error::KeyMissing`] without the
    /// admin key.
    pub(crate) fn change_policy(
        &self,
        change: &dyn Fn(&View, &mut Policy) -> Result<(), Error>,
    ) -> Result<Published, Error> {
        let admin = self.home().admin_key()?;
        let turn = self.take_turn(&admin, Purpose::Policy)?;
        let published = self.publish_change(&admin, &turn, change);
        // The policy names its claim: should its request still be on its way, it is passed over by every reader when it lands.
        let outcome = if published.is_ok() { ClaimOutcome::Closed } else { ClaimOutcome::Withdrawn };
        let ended = self.end_turn(&admin, turn, outcome);
        let published = published?;
        ended.map(|()| published)
    }

    /// Takes the right to publish.
    pub(crate) fn take_turn(&self, admin: &Signer, purpose: Purpose) -> Result<Turn, Error> {
        let view = self.view()?;
        let mine = view.ledger.open_claims().find(|state| state.home == admin.home);
        // What a dead run of the same change left open is taken over, unless it published: then it is a rotation that waits.
        let is_same = |claim: &Claim| claim.purpose == purpose && !published_by(&view, claim);
        let begun = mine.filter(|state| state.claim.purpose != Purpose::Policy && !is_same(&state.claim));
        if let Some(state) = begun
            && !published_by(&view, &state.claim)
        {
            let why = "a change of the seal that this host began is not finished; `lacre erase resume` goes on with it";
            return Err(Error::Overtaken { why: why.to_owned() });
        }
        let own = begun.is_none();
        let mandate = self.claim(admin, purpose, Adoption::Never)?;
        Ok(Turn { mandate, own })
    }

    /// Ends what a dead run of this host left open although nothing is left to change: other admins would wait for it.
    pub(crate) fn end_dead_turn(&self, admin: &Signer, view: &View) -> Result<(), Error> {
        let is_left =
            view.ledger.open_claims().any(|state| state.home == admin.home && state.claim.purpose == Purpose::Policy);
        if !is_left {
            return Ok(());
        }
        let turn = self.take_turn(admin, Purpose::Policy)?;
        self.end_turn(admin, turn, ClaimOutcome::Closed)
    }

    pub(crate) fn end_turn(&self, admin: &Signer, turn: Turn, outcome: ClaimOutcome) -> Result<(), Error> {
        if turn.own { self.end_claim(admin, turn.mandate.id, outcome) } else { Ok(()) }
    }

    /// Publishes the next policy within a turn.
    pub(crate) fn publish_change(
        &self,
        admin: &Signer,
        turn: &Turn,
        change: &dyn Fn(&View, &mut Policy) -> Result<(), Error>,
    ) -> Result<Published, Error> {
        let view = self.still_mine(&turn.mandate)?;
        let mut policy = view.policy.clone();
        policy.number = policy.number.saturating_add(1);
        policy.previous = Some(view.policy_digest);
        policy.signed_at = Millis(self.clock().now().as_millisecond());
        policy.heads.clone_from(&view.heads);
        // Should this request land after the claim was given up, nobody follows it.
        if turn.own {
            policy.claim = Some(turn.mandate.id);
        }
        change(&view, &mut policy)?;
        let digest = self.put_policy(admin, &policy)?;
        let tip = self.view()?;
        if tip.policy_digest == digest {
            Ok(Published { number: policy.number, digest })
        } else {
            let why = "the policy that was just published is not the newest: another admin published one as well";
            Err(Error::Overtaken { why: why.to_owned() })
        }
    }
}
