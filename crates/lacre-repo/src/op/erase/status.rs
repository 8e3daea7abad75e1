//! Whether an erasure is complete (protocol rule 10), what it waits for, and its receipt.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lacre_format::{
    codec,
    erasure::{
        Approval, Attestation, Destroyed, ErasedSnapshot, ErasureKind, KitEvidence, PersonEvidence, Physical, Receipt,
        Rotated,
    },
    header::ChainHead,
    ids::{Digest, HomeId, JobName, Millis, SnapshotId, Token},
    log::{Event, KitRecord, LOG_ENTRY_BYTES_MAX, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
    policy::{KitState, Role},
    session::Outcome,
    signed::Signed,
};

use crate::{
    error::Error,
    ledger::Intent,
    monitor::things,
    op::{
        copy::CopyPlace,
        erase::{
            Account, Unended,
            vouch::{declare, removed_cells},
        },
        rotate::{Pending, illegible},
        snapshots::SnapshotRow,
    },
    repository::Repository,
    store::Listing,
    view::View,
};

/// How far an erasure has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErasureState {
    /// Its snapshots are refused, their keys still live.
    Pending,
    /// The keys are left behind; something that could bring them back is not settled yet.
    Interim,
    /// Nothing is pending.
    Complete,
    /// Given up.
    Cancelled,
}

impl ErasureState {
    /// The state as JSON spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Interim => "interim",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An erasure as it stands.
#[derive(Clone, Debug)]
pub struct ErasureStatus {
    /// The erasure.
    pub erasure: Token,
    /// When it was signed.
    pub intended: Millis,
    /// What it names.
    pub snapshots: Vec<SnapshotId>,
    /// How far it has come.
    pub state: ErasureState,
    /// What it waits for.
    pub pending: Vec<Pending>,
    /// What an admin declared instead.
    pub declared: Vec<Attestation>,
}

impl Repository {
    /// All erasures, oldest first.
    ///
    /// # Errors
    /// Errors of the store or of a cell's file.
    pub fn erasures(&self) -> Result<Vec<ErasureStatus>, Error> {
        let view = self.view()?;
        view.ledger.intents.iter().map(|intent| self.erasure(&view, intent, None)).collect()
    }

    /// One erasure; `listing` saves asking the store for sessions again.
    pub(crate) fn erasure(
        &self,
        view: &View,
        intent: &Intent,
        listing: Option<&Listing>,
    ) -> Result<ErasureStatus, Error> {
        let mut declared = Vec::new();
        let mut pending = Vec::new();
        let state = if intent.cancelled {
            ErasureState::Cancelled
        } else if let Some(rotated) = rotation_of(view, intent) {
            pending = self.unsettled(view, intent, rotated, listing)?;
            declare(view, rotated, &mut pending, &mut declared);
            if pending.is_empty() { ErasureState::Complete } else { ErasureState::Interim }
        } else {
            pending = self.waiting_rotation(view, intent);
            ErasureState::Pending
        };
        Ok(ErasureStatus {
            erasure: intent.record.id,
            intended: intent.at,
            snapshots: intent.record.snapshots.clone(),
            state,
            pending,
            declared,
        })
    }

    /// Snapshots of erasures that are not complete, or of which that cannot be told on this host.
    pub(crate) fn unsettled_erasures(&self, view: &View) -> BTreeSet<SnapshotId> {
        let there =
            |intent: &&Intent| intent.record.snapshots.iter().any(|snapshot| view.snapshots.contains_key(snapshot));
        let open = |intent: &&Intent| {
            self.erasure(view, intent, None).map_or(true, |status| status.state != ErasureState::Complete)
        };
        let intents = view.ledger.standing_intents().filter(there).filter(open);
        intents.flat_map(|intent| intent.record.snapshots.iter().copied()).collect()
    }

    /// What an erasure waits for whose snapshots still have their keys.
    fn waiting_rotation(&self, view: &View, intent: &Intent) -> Vec<Pending> {
        let mut pending = Vec::new();
        if intent.person.as_ref().is_some_and(|person| person.rewritten.is_empty()) {
            pending.push(Pending {
                item: "rewrite".to_owned(),
                what: "the snapshots without the person are not made yet".to_owned(),
                command: "lacre erase resume, which says so where it needs the rules and the person's key again"
                    .to_owned(),
            });
        }
        let missing = view.missing_approvals(intent);
        if missing > 0 {
            pending.push(Pending {
                item: "approval".to_owned(),
                what: format!("{} to approve it", things(missing, ["other admin has", "other admins have"])),
                command: format!("on another admin's machine: lacre erase approve {}", intent.record.id.short()),
            });
        }
        let now = self.clock().now().as_millisecond();
        if let Some(before) = intent.record.not_before.filter(|before| before.0 > now) {
            let until =
                Timestamp::from_millisecond(before.0).map_or_else(|_| before.0.to_string(), |at| at.to_string());
            pending.push(Pending {
                item: "cool-down".to_owned(),
                what: format!("its cool-down ends at {until}"),
                command: "after that: lacre erase resume".to_owned(),
            });
        }
        if pending.is_empty() {
            let what = match view.ledger.open_claims().next() {
                Some(_) => "a change of the seal is under way",
                None => "the seal has not been changed since",
            };
            let (item, command) = ("rotation".to_owned(), "lacre erase resume".to_owned());
            pending.push(Pending { item, what: what.to_owned(), command });
        }
        pending
    }

    /// Rule 10, line by line.
    fn unsettled(
        &self,
        view: &View,
        intent: &Intent,
        rotated: &Rotated,
        listing: Option<&Listing>,
    ) -> Result<Vec<Pending>, Error> {
        let mut pending = self.unsettled_seal(view, rotated)?;
        pending.extend(self.unsettled_wraps(view));
        self.unsettled_entries(view, intent, &mut pending)?;
        self.unsettled_outside(view, intent, &mut pending)?;
        unsettled_holds(view, intent, &mut pending);
        self.unsettled_writers(view, intent, listing, &mut pending)?;
        Ok(pending)
    }

    /// What the old seal still waits for, whatever it was changed for: its claim, its cells, its kits.
    pub(crate) fn unsettled_seal(&self, view: &View, rotated: &Rotated) -> Result<Vec<Pending>, Error> {
        let mut pending = Vec::new();
        let works_on = |state: &crate::ledger::ClaimState| {
            state.claim.id == rotated.claim || view.ledger.in_front_of(&state.claim).contains(&rotated.claim)
        };
        if view.ledger.open_claims().any(works_on) {
            let what = format!("generation {} is not destroyed yet", rotated.from);
            pending.push(Pending { item: "rotation".to_owned(), what, command: "lacre erase resume".to_owned() });
        }
        self.unsettled_cells(view, rotated, &mut pending)?;
        pending.extend(kits_until(view, rotated.from.number));
        Ok(pending)
    }

    /// What was anchored too late lies under the new generation, and dies only in another rotation.
    fn unsettled_entries(&self, view: &View, intent: &Intent, pending: &mut Vec<Pending>) -> Result<(), Error> {
        let named = intent.record.snapshots.iter().copied().collect();
        for snapshot in self.entries_of(view, view.policy.generation, &named)? {
            if view.held.contains_key(&snapshot) {
                continue;
            }
            pending.push(Pending {
                item: format!("entry:{snapshot}"),
                what: format!("a key entry of snapshot {} lies under the new seal", snapshot.short()),
                command: "lacre seal rotate".to_owned(),
            });
        }
        Ok(())
    }

    fn unsettled_cells(&self, view: &View, rotated: &Rotated, pending: &mut Vec<Pending>) -> Result<(), Error> {
        for entry in &view.policy.cells {
            let command = format!("on {}: lacre erase resume", entry.host);
            let item = format!("cell:{}", entry.name);
            let contents = match self.cell(&entry.name) {
                Ok(Some(cell)) => cell.contents(self.id()).map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            let gone = view
                .ledger
                .destroyed
                .iter()
                .any(|(_, destroyed)| destroyed.cell == entry.name && destroyed.generation == rotated.from);
            match contents {
                Ok(Some(contents)) => {
                    let strays = contents.held.iter().filter(|held| **held != view.policy.generation);
                    let strays: Vec<String> = strays.map(ToString::to_string).collect();
                    if !strays.is_empty() {
                        let what = format!("the cell still holds generation {}", strays.join(", "));
                        // Seen, so nobody can vouch that it is not so.
                        let item = format!("stray:{}", entry.name);
                        pending.push(Pending { item, what, command: again(view, command) });
                    }
                    if contents.damaged > 0 {
                        pending.push(illegible(entry, rotated.from, contents.damaged));
                    }
                }
                Ok(None) | Err(Error::Cell { .. }) if gone => {}
                Ok(None) => {
                    let what = format!("the cell on {} was not seen without generation {}", entry.host, rotated.from);
                    pending.push(Pending { item, what, command });
                }
                Err(error @ Error::Cell { .. }) => {
                    let what = format!("generation {} was not seen to be gone: {error}", rotated.from);
                    pending.push(Pending { item, what, command });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A writer of a touched job is pending until it commits a snapshot that opened after the intent: only then has its index, which
    /// can confirm guesses about the erased data, been destroyed.
    fn unsettled_writers(
        &self,
        view: &View,
        intent: &Intent,
        listing: Option<&Listing>,
        pending: &mut Vec<Pending>,
    ) -> Result<(), Error> {
        let rows = self.rows(view);
        let named: BTreeSet<SnapshotId> = intent.record.snapshots.iter().copied().collect();
        let jobs: BTreeSet<JobName> =
            rows.iter().filter(|row| named.contains(&row.snapshot)).filter_map(job_of).collect();
        let mut settled: BTreeMap<(HomeId, JobName), bool> = BTreeMap::new();
        for row in &rows {
            let Some(job) = job_of(row).filter(|job| jobs.contains(job)) else { continue };
            let header = &row.known.header;
            if header.erasure.is_some() {
                continue;
            }
            let after = header.opened.iter().any(|head| head.home == intent.place.home && head.seq >= intent.place.seq);
            let is_safety = job.is_safety();
            let settled = settled.entry((header.home, job)).or_default();
            // The old index dies between the snapshot and the session's end: only the end proves that it is gone. What saved a replaced
            // database keeps no index beyond its own.
            *settled = *settled
                || ((after || is_safety)
                    && !view.voided.contains(&row.snapshot)
                    && self.session_outcome(view, row.snapshot)? == Some(Outcome::Committed));
        }
        for ((home, job), _) in settled.into_iter().filter(|(_, settled)| !settled) {
            let entry = view.home(home);
            if entry.is_some_and(lacre_format::policy::HomeEntry::is_revoked) {
                continue;
            }
            let host = entry.map_or_else(|| home.short(), |entry| entry.label.clone());
            pending.push(Pending {
                item: format!("writer:{home}"),
                what: format!(
                    "{host} has not backed up {job} since: its index can still confirm guesses about what was erased"
                ),
                command: if job.is_safety() {
                    format!("when no restore runs on {host}: lacre erase attest writer:{home} destroyed")
                } else {
                    format!("on {host}: lacre backup {job}")
                },
            });
        }
        let unfinished = match listing {
            Some(listing) => self.unfinished_sessions(view, listing)?,
            None => self.unfinished_sessions(view, &self.store().list("session")?)?,
        };
        let of_jobs = |unended: &&Unended| self.session_job(&unended.session).is_none_or(|job| jobs.contains(&job));
        let open: Vec<&Unended> = unfinished.open.iter().filter(of_jobs).collect();
        let voided: Vec<&Unended> = unfinished.voided.iter().filter(of_jobs).collect();
        if open.is_empty() && voided.is_empty() {
            return Ok(());
        }
        let signed = self.stored_at(intent)?;
        let began_before = |unended: &&&Unended| signed.is_none_or(|signed| unended.stored <= signed);
        for session in open.iter().filter(began_before) {
            let id = session.session.snapshot;
            pending.push(Pending {
                item: format!("session:{id}"),
                what: format!("a backup that began before the erasure is still open ({})", id.short()),
                command: "wait for it, or void it: lacre repo prune".to_owned(),
            });
        }
        for session in voided.iter().filter(began_before) {
            let id = session.session.snapshot;
            pending.push(Pending {
                item: format!("session:{id}"),
                what: format!(
                    "a backup that began before the erasure was voided ({}); its process may only sleep",
                    id.short()
                ),
                command: format!("make sure that it is dead, then: lacre erase attest session:{id} destroyed"),
            });
        }
        Ok(())
    }

    /// When an intent was stored, by the store's clock, which is the one that sessions are compared with: those of a writer and of an admin
    /// need not agree. Nothing where the store does not say.
    fn stored_at(&self, intent: &Intent) -> Result<Option<Timestamp>, Error> {
        let ChainHead { home, seq, digest } = intent.place;
        let name = ObjectName::of(&Named::Log(home, seq, digest));
        let objects = self.store().list(&format!("log/{home}"))?.objects;
        let found = objects.into_iter().find(|object| object.name == name.as_str()).map(|object| object.modified);
        Ok(found.filter(|stored| *stored > Timestamp::UNIX_EPOCH))
    }

    /// Signs the receipt of an erasure as it stands now, interim or complete. Gives the signed log entry, which is what a receipt
    /// file carries.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Refused`] before the seal was changed.
    pub fn sign_receipt(&self, erasure: Token, account: &Account) -> Result<SignedReceipt, Error> {
        self.sign_receipt_with_copies(erasure, account, &[])
    }

    /// As [`Repository::sign_receipt`]; what copies still hold that is sealed to destroyed generations is listed on it.
    ///
    /// # Errors
    /// As [`Repository::sign_receipt`].
    pub fn sign_receipt_with_copies(
        &self,
        erasure: Token,
        account: &Account,
        copies: &[CopyPlace],
    ) -> Result<SignedReceipt, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let intent = view.ledger.intents.iter().find(|intent| intent.record.id == erasure);
        let intent = intent.ok_or_else(|| Error::Usage { why: format!("no erasure has the id {erasure}") })?;
        let status = self.erasure(&view, intent, None)?;
        let Some(rotated) = rotation_of(&view, intent).filter(|_| !intent.cancelled) else {
            let why = "nothing is erased yet: the seal has not been changed since; `lacre erase resume`".to_owned();
            return Err(Error::Refused { why });
        };
        let mut receipt = self.receipt(&view, intent, rotated, &status, account);
        let lines = self.old_in_copies(copies, view.policy.generation);
        receipt.physical = (!lines.is_empty()).then_some(Physical { lines });
        self.append(&admin, &Event::Receipt(Box::new(receipt)))?;
        self.newest_receipt(erasure)
    }

    fn receipt(
        &self,
        view: &View,
        intent: &Intent,
        rotated: &Rotated,
        status: &ErasureStatus,
        account: &Account,
    ) -> Receipt {
        let commitment = |snapshot: &SnapshotId| {
            let known = view.snapshots.get(snapshot)?;
            Some(ErasedSnapshot { snapshot: *snapshot, commitment: known.header.key_commitment })
        };
        let of_old = |destroyed: &&(Millis, Destroyed)| destroyed.1.generation.number <= rotated.from.number;
        let kits = view.kits.values().filter(|(_, kit)| kit.generation.number <= rotated.from.number);
        Receipt {
            erasure: intent.record.id,
            kind: if intent.person.is_some() { ErasureKind::Person } else { ErasureKind::Snapshots },
            complete: status.state == ErasureState::Complete,
            snapshots: intent.record.snapshots.iter().filter_map(commitment).collect(),
            from: rotated.from,
            to: rotated.to,
            bundle: rotated.bundle,
            cells: view.ledger.destroyed.iter().filter(of_old).map(|(_, destroyed)| destroyed.clone()).collect(),
            kits: kits
                .map(|(_, kit)| KitEvidence {
                    number: kit.number,
                    generation: kit.generation,
                    destroyed: kit.state == KitState::Destroyed,
                })
                .collect(),
            pending: status.pending.iter().map(|item| format!("{}: {}", item.item, item.what)).collect(),
            declared: status.declared.iter().cloned().chain(removed_cells(view, rotated)).collect(),
            bytes_dead: account.bytes_dead,
            bytes_shared: account.bytes_shared,
            reason: intent.record.reason.clone(),
            request: intent.record.request,
            intended: intent.at,
            signed: Millis(self.clock().now().as_millisecond()),
            physical: None,
            person: intent.person.as_ref().map(|person| PersonEvidence {
                unseen: intent.place.seq,
                accounts: person.rewritten.iter().map(|record| record.digest).collect(),
                successors: person.successors().copied().collect(),
            }),
        }
    }

    /// The newest receipt of an erasure, as it stands in the chain.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none.
    pub fn newest_receipt(&self, erasure: Token) -> Result<SignedReceipt, Error> {
        let view = self.view()?;
        let newest = view.ledger.receipts.iter().rfind(|(_, receipt)| receipt.erasure == erasure);
        let (place, receipt) =
            newest.ok_or_else(|| Error::Usage { why: format!("erasure {erasure} has no receipt yet") })?;
        let name = ObjectName::of(&Named::Log(place.home, place.seq, place.digest));
        let object = self.store().get(&name, LOG_ENTRY_BYTES_MAX)?.to_vec();
        Ok(SignedReceipt { receipt: receipt.clone(), place: *place, object })
    }

    /// What died with an erasure: counted now, or, where reach maps are gone, as its newest receipt says.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown erasure; errors of the store.
    pub fn account_of(&self, erasure: Token) -> Result<Account, Error> {
        let view = self.view()?;
        let receipt = view.ledger.receipts.iter().rfind(|(_, receipt)| receipt.erasure == erasure);
        if let Some((_, receipt)) = receipt {
            let (bytes_dead, bytes_shared) = (receipt.bytes_dead, receipt.bytes_shared);
            return Ok(Account { bytes_dead, bytes_shared, ..Account::default() });
        }
        let intent = view.ledger.intents.iter().find(|intent| intent.record.id == erasure);
        let intent = intent.ok_or_else(|| Error::Usage { why: format!("no erasure has the id {erasure}") })?;
        self.account(&view, &intent.record.snapshots.iter().copied().collect())
    }

    /// Approves an erasure that another admin has signed.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without an admin key; [`Error::Refused`] for one's own erasure; [`Error::Usage`] for an unknown one.
    pub fn approve_erase(&self, erasure: Token) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        if view.home(admin.home).is_none_or(|home| home.role != Role::Admin || home.is_revoked()) {
            return Err(Error::Refused { why: "this host's key is no admin's of this repository".to_owned() });
        }
        let Some(intent) = view.ledger.standing_intents().find(|intent| intent.record.id == erasure) else {
            return Err(Error::Usage { why: format!("no erasure {erasure} is under way") });
        };
        if intent.place.home == admin.home {
            let why = "an erasure is approved by another admin than the one who signed it".to_owned();
            return Err(Error::Refused { why });
        }
        self.append(&admin, &Event::Approval(Approval { id: erasure, intent: intent.place.digest }))
    }
}

/// A receipt with the signed object that carries it.
#[derive(Clone, Debug)]
pub struct SignedReceipt {
    /// What it says.
    pub receipt: Receipt,
    /// Where it stands in the admin's chain.
    pub place: ChainHead,
    /// The signed log entry, byte for byte.
    pub object: Vec<u8>,
}

/// Reads a receipt from its signed object and verifies it with an admin's public key alone: no store, no other key.
///
/// # Errors
/// [`Error::Format`] or [`Error::Damaged`] when it is not what that admin of that repository signed.
pub fn verify_receipt(
    object: &[u8],
    repository: lacre_format::ids::RepositoryId,
    admin: &lacre_format::ids::PublicKey,
) -> Result<SignedReceipt, Error> {
    let what = "receipt";
    let signed = Signed::decode(Kind::LogEntry, object).map_err(|error| Error::format(what, error))?;
    lacre_seal::sign::verify(admin, Kind::LogEntry, repository, &signed)
        .map_err(|error| Error::damaged(what, error.to_string()))?;
    let entry: LogEntry = codec::from_cbor("log entry", &signed.payload).map_err(|error| Error::format(what, error))?;
    if entry.repository != repository || entry.home != signed.home {
        return Err(Error::damaged(what, "it belongs to another repository or home"));
    }
    let Event::Receipt(receipt) = entry.event().map_err(|error| Error::format(what, error))? else {
        return Err(Error::damaged(what, "the signed entry is no receipt"));
    };
    let digest = Digest::new(*blake3::hash(object).as_bytes());
    let place = ChainHead { home: entry.home, seq: entry.seq, digest };
    Ok(SignedReceipt { receipt: *receipt, place, object: object.to_vec() })
}

/// What makes a cell forget: the change of the seal that is not finished, or another one.
fn again(view: &View, resume: String) -> String {
    if view.ledger.open_claims().next().is_some() { resume } else { "lacre seal rotate".to_owned() }
}

/// A held snapshot keeps the person until it is released, and is handed out only without them.
/// What an erasure that is begun now will wait for, as far as that can be told: kits that open old copies, and snapshots that are held.
pub(super) fn foreseen(view: &View, held: &[SnapshotRow]) -> Vec<Pending> {
    let mut pending = kits_until(view, view.policy.generation.number);
    pending.extend(held.iter().map(|row| hold(row.snapshot)));
    pending
}

fn hold(snapshot: SnapshotId) -> Pending {
    let id = snapshot.short();
    Pending {
        item: format!("hold:{snapshot}"),
        what: format!("snapshot {id} is held and keeps the person"),
        command: format!("lacre release {id}, then: lacre erase resume"),
    }
}

/// Kits that hold a generation of at most this number and are not known to be burned.
fn kits_until(view: &View, newest: u32) -> Vec<Pending> {
    let open = |kit: &KitRecord| kit.generation.number <= newest && kit.state != KitState::Destroyed;
    let pending = |(number, (_, kit)): (&u32, &(_, KitRecord))| Pending {
        item: format!("kit:{number}"),
        what: format!("kit {number} holds generation {}, which opens old copies", kit.generation),
        command: format!("burn the sheet, then: lacre kit ack {number} --destroyed"),
    };
    view.kits.iter().filter(|(_, (_, kit))| open(kit)).map(pending).collect()
}

fn unsettled_holds(view: &View, intent: &Intent, pending: &mut Vec<Pending>) {
    for (snapshot, erasures) in &view.persons.covered {
        if !erasures.contains(&intent.record.id) || intent.record.snapshots.contains(snapshot) {
            continue;
        }
        let id = snapshot.short();
        pending.push(if view.held.contains_key(snapshot) {
            hold(*snapshot)
        } else {
            Pending {
                item: format!("rewrite:{snapshot}"),
                what: format!("snapshot {id} was held, is not held any more and still has the person"),
                command: "lacre erase resume".to_owned(),
            }
        });
    }
}

/// The rotation that left every snapshot of an erasure behind; the last one, if they died in several.
fn rotation_of<'v>(view: &'v View, intent: &Intent) -> Option<&'v Rotated> {
    let mut last: Option<&(Millis, Rotated)> = None;
    for snapshot in &intent.record.snapshots {
        let rotation = view.ledger.rotation_of(*snapshot)?;
        if last.is_none_or(|(_, known)| known.to.number < rotation.1.to.number) {
            last = Some(rotation);
        }
    }
    last.map(|(_, rotated)| rotated)
}

fn job_of(row: &SnapshotRow) -> Option<JobName> {
    row.label.as_ref().map(|label| label.job.clone())
}
