//! Readers: who may read new snapshots, bringing somebody into the old ones, and taking somebody out of all of them.

use lacre_format::{
    erasure::{Attestation, ClaimOutcome, ErasureKind, KitEvidence, Purpose, Receipt},
    ids::{Digest, Millis, SnapshotId, Token},
    log::{Event, RecipientRemoved},
    name::{Named, ObjectName},
    policy::{KitState, POLICY_BYTES_MAX, Policy, RecipientEntry},
};
use lacre_seal::{
    entropy,
    recipient::{RECIPIENTS_MAX, Recipient},
};

use crate::{
    error::Error,
    home::Signer,
    monitor::things,
    op::{
        erase::{ErasureState, SignedReceipt, declare},
        init::{NewRecipient, recipient_entry},
        keys::ReadKeys,
        rotate::{Pending, Rewrap, RotateOptions, RotationReport},
    },
    policies,
    repository::Repository,
    view::{View, digest, fetch},
};

/// A reader who was added.
#[derive(Clone, Debug)]
pub struct Added {
    /// How the recipient is shown.
    pub label: String,
    /// The policy that names them.
    pub policy: u32,
    /// Snapshots made before, which they cannot read unless these are wrapped again.
    pub older: usize,
}

/// A reader who was removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The removal.
    pub id: Token,
    /// How the recipient was shown.
    pub label: String,
    /// The first policy without them.
    pub policy: u32,
    /// The rotation that leaves what they could open behind.
    pub rotation: RotationReport,
}

/// How far a removal has come.
#[derive(Clone, Debug)]
pub struct RemovalStatus {
    /// The removal.
    pub id: Token,
    /// When it was signed.
    pub at: Millis,
    /// How far it has come.
    pub state: ErasureState,
    /// What it waits for.
    pub pending: Vec<Pending>,
    /// What an admin declared instead.
    pub declared: Vec<Attestation>,
}

impl Repository {
    /// Adds a reader: new snapshots are wrapped to them from the next policy on.
    ///
    /// # Errors
    /// [`Error::Refused`] for one who reads already or one too many; [`Error::KeyMissing`] without the admin key.
    pub fn add_recipient(&self, new: &NewRecipient) -> Result<Added, Error> {
        let entry = recipient_entry(new);
        let published = self.change_policy(&|_, policy| {
            let same = |known: &RecipientEntry| known.kind == entry.kind && known.bytes == entry.bytes;
            if policy.recipients.iter().any(same) {
                return Err(Error::Refused { why: format!("{} may read already", entry.label) });
            }
            if policy.recipients.len() >= RECIPIENTS_MAX {
                return Err(Error::Refused { why: format!("there are {RECIPIENTS_MAX} recipients, and no more fit") });
            }
            policy.recipients.push(entry.clone());
            Ok(())
        })?;
        let view = self.view()?;
        let older = view.snapshots.values().filter(|known| is_older(&view, known, published.number)).count();
        Ok(Added { label: entry.label, policy: published.number, older })
    }

    /// Wraps the snapshots of before to the recipients of today, beside what is there.
    ///
    /// # Errors
    /// [`Error::NoSeal`] or [`Error::NoIdentity`] when what opens them is not at hand; [`Error::KeyMissing`] without the admin key.
    pub fn rewrap(&self, keys: &ReadKeys) -> Result<Rewrap, Error> {
        let admin = self.home().admin_key()?;
        let turn = self.take_turn(&admin, Purpose::Policy)?;
        let done = self.rewrap_older(keys);
        self.end_turn(&admin, turn, ClaimOutcome::Closed)?;
        done
    }

    fn rewrap_older(&self, keys: &ReadKeys) -> Result<Rewrap, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let seals = self.seals(&view, keys)?;
        let generation = view.policy.generation;
        if seals.seed(generation).is_none() {
            return Err(Error::NoSeal { generation });
        }
        let mut rewrap = Rewrap::default();
        let number = view.policy.number;
        for (snapshot, known) in view.snapshots.iter().filter(|(_, known)| is_older(&view, known, number)) {
            let mut newest = None;
            let mut key = None;
            let shown = self.visit_entries(&view, &seals, &known.header, &mut |entry| {
                newest = newest.max(Some(entry.policy));
                key = key.take().or_else(|| self.open_for_rewrap(&view, &entry, keys));
                false
            });
            match shown {
                // One that lost its entry keeps nobody from the others.
                Ok(()) | Err(Error::EntryMissing { .. } | Error::Erased { .. }) => {}
                Err(error) => return Err(error),
            }
            match key {
                // Somebody wrapped it to these recipients already.
                _ if newest.is_some_and(|policy| policy >= number) => {}
                Some(key) => {
                    let entry = self.wrap_again(&admin, &view.policy, *snapshot, &key)?;
                    self.put_late(&admin, &view, generation, *snapshot, &entry)?;
                    rewrap.wrapped.push(*snapshot);
                }
                None => rewrap.left.push(*snapshot),
            }
        }
        Ok(rewrap)
    }

    /// Removes a reader: a policy without them, every carried entry wrapped again, and a new seal, so that neither the old wraps nor
    /// any copy of them open anything.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown or ambiguous recipient; [`Error::Refused`] for the last one; [`Error::NoSeal`] or
    /// [`Error::NoIdentity`] when what opens the entries is not at hand; those of [`Repository::rotate`].
    pub fn remove_recipient(&self, which: &str, keys: &ReadKeys, options: &RotateOptions) -> Result<Removed, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let options = RotateOptions { purpose: Purpose::Recipients, ..options.clone() };
        let (entry, removed) = match find_recipient(&view.policy.recipients, which) {
            Ok(entry) => self.remove_from_policy(&admin, &view, entry.clone(), keys)?,
            Err(unknown) => {
                let (entry, policy) = self.unrecorded_removal(&view, which)?.ok_or(unknown)?;
                self.refuse_without_keys(&view, keys)?;
                let removed = self.record_removal(&admin, &entry, policy)?;
                (entry, removed)
            }
        };
        let rotation = self.rotate(&options, keys)?;
        Ok(Removed { id: removed.id, label: entry.label, policy: removed.policy, rotation })
    }

    fn remove_from_policy(
        &self,
        admin: &Signer,
        view: &View,
        entry: RecipientEntry,
        keys: &ReadKeys,
    ) -> Result<(RecipientEntry, RecipientRemoved), Error> {
        if view.policy.recipients.len() == 1 {
            return Err(Error::Refused { why: "the last recipient stays: nobody could read new snapshots".to_owned() });
        }
        self.refuse_without_keys(view, keys)?;
        let turn = self.take_turn(admin, Purpose::Recipients)?;
        let published = self.publish_change(admin, &turn, &|_, policy| {
            policy.recipients.retain(|known| *known != entry);
            policy.rewrap_below = Some(policy.number);
            Ok(())
        })?;
        let removed = self.record_removal(admin, &entry, published.number)?;
        if !turn.is_own() {
            let why = "the recipient is removed from new snapshots; a change of the seal is waiting to be finished: \
                       `lacre erase resume`, then `lacre seal rotate` wraps the old ones again";
            return Err(Error::Overtaken { why: why.to_owned() });
        }
        Ok((entry, removed))
    }

    fn record_removal(&self, admin: &Signer, entry: &RecipientEntry, policy: u32) -> Result<RecipientRemoved, Error> {
        let (id, recipient) = (entropy::token()?, recipient_digest(entry));
        let removed = RecipientRemoved { id, policy, recipient };
        self.append(admin, &Event::RecipientRemoved(removed.clone()))?;
        Ok(removed)
    }

    /// A reader whom the newest policy that removed one took out, and whose removal is not on record because that run died in between;
    /// with the policy's number. Only the policy before it names them.
    fn unrecorded_removal(&self, view: &View, which: &str) -> Result<Option<(RecipientEntry, u32)>, Error> {
        let Some(below) = view.policy.rewrap_below else { return Ok(None) };
        if view.ledger.removals.iter().any(|(_, removed)| removed.policy == below) {
            return Ok(None);
        }
        let mut policy = view.policy.clone();
        while policy.number > below {
            policy = self.policy_before(&policy)?;
        }
        let mut gone = self.policy_before(&policy)?.recipients;
        gone.retain(|entry| !policy.recipients.contains(entry));
        Ok(find_recipient(&gone, which).ok().map(|entry| (entry.clone(), below)))
    }

    /// The policy that a policy follows; it is known by its hash.
    fn policy_before(&self, policy: &Policy) -> Result<Policy, Error> {
        let number = policy.adopted.map_or(policy.number.saturating_sub(1), |adopted| adopted.from);
        let first = || Error::damaged("policy", "the policy that removed a reader follows none");
        let digest = policy.previous.filter(|_| number < policy.number).ok_or_else(first)?;
        let name = ObjectName::of(&Named::Policy(number, digest));
        let bytes = fetch(self.store(), &*self.catalog()?, &name, POLICY_BYTES_MAX)?;
        policies::judge(self.manifest(), &name, (number, digest), &bytes).map(|(_, policy)| policy)
    }

    /// Without seal and identity nothing can be wrapped again, so nobody is removed by halves.
    fn refuse_without_keys(&self, view: &View, keys: &ReadKeys) -> Result<(), Error> {
        let generation = view.policy.generation;
        if self.seals(view, keys)?.seed(generation).is_none() {
            return Err(Error::NoSeal { generation });
        }
        match view.snapshots.keys().find(|snapshot| view.is_live(**snapshot)) {
            Some(snapshot) if keys.identities.is_empty() => {
                Err(Error::NoIdentity { snapshot: *snapshot, identities: 0 })
            }
            _ => Ok(()),
        }
    }

    /// All removals, oldest first.
    ///
    /// # Errors
    /// Errors of the store or of a cell.
    pub fn removals(&self) -> Result<Vec<RemovalStatus>, Error> {
        let view = self.view()?;
        view.ledger.removals.iter().map(|(at, removed)| self.removal(&view, *at, removed)).collect()
    }

    fn removal(&self, view: &View, at: Millis, removed: &RecipientRemoved) -> Result<RemovalStatus, Error> {
        let mut pending = Vec::new();
        let rotated = view.ledger.valid_rotations().map(|(_, rotated)| rotated).find(|it| it.policy > removed.policy);
        let state = match rotated {
            None => {
                let what = "the old seal still opens what they could read".to_owned();
                pending.push(Pending { item: "rotation".to_owned(), what, command: "lacre seal rotate".to_owned() });
                ErasureState::Pending
            }
            Some(rotated) => {
                pending = self.unsettled_seal(view, rotated)?;
                pending.extend(self.unsettled_wraps(view));
                ErasureState::Interim
            }
        };
        let mut declared = Vec::new();
        if let Some(rotated) = rotated {
            declare(view, rotated, &mut pending, &mut declared);
        }
        let state = if pending.is_empty() { ErasureState::Complete } else { state };
        Ok(RemovalStatus { id: removed.id, at, state, pending, declared })
    }

    /// Entries that are carried and still wrapped to somebody who was removed.
    pub(crate) fn unsettled_wraps(&self, view: &View) -> Option<Pending> {
        let left = view.ledger.not_rewrapped(view.policy.generation);
        let live: Vec<SnapshotId> = left.into_iter().filter(|snapshot| view.snapshots.contains_key(snapshot)).collect();
        (!live.is_empty()).then(|| Pending {
            item: "rewrap".to_owned(),
            what: format!(
                "the key entries of {} are still wrapped to somebody who was removed: no identity at hand opened them",
                things(live.len(), ["snapshot", "snapshots"])
            ),
            command: "lacre seal rotate --identity FILE, with an identity that reads them".to_owned(),
        })
    }

    /// Signs the receipt of a removal as it stands now, interim or complete.
    ///
    /// # Errors
    /// [`Error::Refused`] before the seal was changed; [`Error::Usage`] for an unknown removal; [`Error::KeyMissing`].
    pub fn sign_removal_receipt(&self, id: Token) -> Result<SignedReceipt, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let found = view.ledger.removals.iter().find(|(_, removed)| removed.id == id);
        let (at, removed) = found.ok_or_else(|| Error::Usage { why: format!("no removal has the id {id}") })?;
        let status = self.removal(&view, *at, removed)?;
        let rotated = view.ledger.valid_rotations().map(|(_, rotated)| rotated).find(|it| it.policy > removed.policy);
        let Some(rotated) = rotated else {
            let why = "nothing has changed yet: `lacre seal rotate` changes the seal".to_owned();
            return Err(Error::Refused { why });
        };
        let old = rotated.from.number;
        let cells = view.ledger.destroyed.iter().filter(|(_, gone)| gone.generation.number <= old);
        let kits = view.kits.values().filter(|(_, kit)| kit.generation.number <= old);
        let receipt = Receipt {
            erasure: id,
            kind: ErasureKind::Recipient,
            complete: status.state == ErasureState::Complete,
            snapshots: Vec::new(),
            from: rotated.from,
            to: rotated.to,
            bundle: rotated.bundle,
            cells: cells.map(|(_, destroyed)| destroyed.clone()).collect(),
            kits: kits
                .map(|(_, kit)| KitEvidence {
                    number: kit.number,
                    generation: kit.generation,
                    destroyed: kit.state == KitState::Destroyed,
                })
                .collect(),
            pending: status.pending.iter().map(|item| format!("{}: {}", item.item, item.what)).collect(),
            declared: status.declared,
            bytes_dead: 0,
            bytes_shared: 0,
            reason: "recipient removed".to_owned(),
            request: None,
            intended: *at,
            signed: Millis(self.clock().now().as_millisecond()),
            physical: None,
            person: None,
        };
        self.append(&admin, &Event::Receipt(Box::new(receipt)))?;
        self.newest_receipt(id)
    }
}

/// Whether a snapshot's own entry was made before a policy; one that is gone for ever needs none.
fn is_older(view: &View, known: &crate::view::Known, policy: u32) -> bool {
    let snapshot = known.header.snapshot;
    let kept = !view.erased.contains(&snapshot) && !view.voided.contains(&snapshot);
    kept && known.header.policy < policy
}

/// A recipient by label, by the full text of its key, or by the beginning of either.
fn find_recipient<'v>(recipients: &'v [RecipientEntry], which: &str) -> Result<&'v RecipientEntry, Error> {
    let text = |entry: &RecipientEntry| {
        Recipient::from_record(entry.kind, &entry.bytes).map(|recipient| recipient.to_text()).unwrap_or_default()
    };
    let exact = |entry: &&RecipientEntry| entry.label == which || text(entry) == which;
    let begins = |entry: &&RecipientEntry| entry.label.starts_with(which) || text(entry).starts_with(which);
    let all = || recipients.iter();
    let mut found: Vec<&RecipientEntry> = all().filter(exact).collect();
    if found.is_empty() && !which.is_empty() {
        found = all().filter(begins).collect();
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(Error::Usage { why: format!("no recipient is named {which:?}; `lacre key list` shows them") }),
        several => {
            Err(Error::Usage { why: format!("{} recipients are named {which:?}: write more of it", several.len()) })
        }
    }
}

/// BLAKE3 of a recipient's record, as a removal names it.
fn recipient_digest(entry: &RecipientEntry) -> Digest {
    let mut record = vec![entry.kind];
    record.extend_from_slice(&entry.bytes);
    digest(&record)
}
