//! Erasing whole snapshots: the plan that `--dry-run` prints, the signed intent, and giving it up.
//!
//! The intent only says what must die. Dying is a rotation of the seal (`op/rotate`); what is still missing then, and the receipt,
//! are in `status.rs`.

mod account;
mod outside;
pub mod person;
mod prove;
mod status;
mod vouch;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lacre_format::{
    erasure::{ClaimOutcome, EraseIntent, IntentEnd, Purpose},
    ids::{Digest, HomeId, JobName, Millis, SnapshotId, Token},
    log::{EVENT_SNAPSHOTS_MAX, Event},
    name::{Named, ObjectName},
    object::Kind,
    policy::HomeEntry,
    session::{SESSION_BYTES_MAX, Session},
    signed::Signed,
};
use lacre_seal::{entropy, structure::Structure};

pub(crate) use self::vouch::declare;
pub use self::{
    account::Account,
    prove::Proof,
    status::{ErasureState, ErasureStatus, SignedReceipt, verify_receipt},
};
use crate::{
    error::Error,
    ledger::Intent,
    op::{
        rotate::{Adoption, Pending},
        snapshots::{SnapshotRow, SnapshotState},
    },
    repository::Repository,
    store::Listing,
    view::{View, is_strange},
};

/// Longest reason code in bytes.
pub const REASON_BYTES_MAX: usize = 64;

/// Whether the last verified snapshot of a job may be erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastVerified {
    /// It stays: refuse.
    Keep,
    /// It may go.
    Allow,
}

/// What an erasure would do.
#[derive(Clone, Debug)]
pub struct ErasePlan {
    /// What dies.
    pub snapshots: Vec<SnapshotRow>,
    /// Stored bytes that die with them, and those that survivors keep readable.
    pub account: Account,
    /// Open sessions of the same jobs: they are not included.
    pub in_flight: Vec<SnapshotId>,
    /// Writers whose next backup of a touched job the erasure waits for.
    pub writers: BTreeSet<HomeId>,
    /// Forgotten snapshots that die with the same rotation.
    pub forgotten: Vec<SnapshotId>,
    /// What it will wait for that can be told before it is begun.
    pub foreseen: Vec<Pending>,
}

/// Why an erasure happens.
#[derive(Clone, Debug, Default)]
pub struct EraseReason {
    /// A code without personal data.
    pub code: String,
    /// BLAKE3 of a salt and the request's reference.
    pub request: Option<Digest>,
    /// Nothing is destroyed before this time.
    pub not_before: Option<Millis>,
}

/// Sessions without an end and without an acknowledged snapshot.
#[derive(Default)]
pub(crate) struct UnfinishedSessions {
    pub(crate) open: Vec<Unended>,
    pub(crate) voided: Vec<Unended>,
}

/// A session that has not ended.
pub(crate) struct Unended {
    pub(crate) session: Session,
    /// When it was stored, by the store's clock.
    pub(crate) stored: Timestamp,
}

impl View {
    /// How many approvals an erasure still lacks: as many as the policy asks for, now or when the intent was signed.
    #[must_use]
    pub fn missing_approvals(&self, intent: &Intent) -> u32 {
        let needed = self.policy.approvals.max(intent.record.approvals).unwrap_or_default();
        needed.saturating_sub(self.ledger.approved(intent))
    }
}

impl Repository {
    /// Decides what an erasure of these snapshots means; changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::Refused`] for a held snapshot, or the last verified one of a job unless allowed;
    /// [`Error::Erased`] for one that is gone already.
    pub fn plan_erase(&self, snapshots: &[SnapshotId], last: LastVerified) -> Result<ErasePlan, Error> {
        let view = self.view()?;
        let rows: BTreeMap<SnapshotId, SnapshotRow> =
            self.rows(&view).into_iter().map(|row| (row.snapshot, row)).collect();
        let chosen: BTreeSet<SnapshotId> = snapshots.iter().copied().collect();
        if chosen.is_empty() {
            return Err(Error::Usage { why: "no snapshot was named".to_owned() });
        }
        let mut dying = Vec::new();
        for snapshot in &chosen {
            let row = rows.get(snapshot).ok_or_else(|| Error::NoSnapshot { name: snapshot.to_string() })?;
            if let Some(reason) = &row.held {
                let why = format!("snapshot {} is held ({reason}); `lacre release` it first", snapshot.short());
                return Err(Error::Refused { why });
            }
            if row.state == SnapshotState::Erased {
                return Err(Error::Erased { snapshot: *snapshot });
            }
            dying.push(row.clone());
        }
        dying.sort_by_key(|row| (row.taken, row.snapshot));
        if last == LastVerified::Keep {
            refuse_last(&rows, &chosen)?;
        }
        let jobs: BTreeSet<JobName> =
            dying.iter().filter_map(|row| row.label.as_ref().map(|label| label.job.clone())).collect();
        Ok(ErasePlan {
            account: self.account(&view, &chosen)?,
            in_flight: self.in_flight(&view, &jobs)?,
            writers: writers_of(rows.values(), &jobs),
            forgotten: rows
                .values()
                .filter(|row| row.state == SnapshotState::Forgotten && !chosen.contains(&row.snapshot))
                .map(|row| row.snapshot)
                .collect(),
            foreseen: status::foreseen(&view, &[]),
            snapshots: dying,
        })
    }

    /// The snapshots of a job taken before a moment, with those of what restores of it replaced.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read labels; errors of the store.
    pub fn taken_before(&self, job: &JobName, before: Millis) -> Result<Vec<SnapshotId>, Error> {
        drop(self.structure()?);
        let view = self.view()?;
        let safety = job.safety();
        let fits = |row: &SnapshotRow| {
            let of_job = row.label.as_ref().is_some_and(|label| label.job == *job || label.job == safety);
            of_job && row.taken < before && !matches!(row.state, SnapshotState::Erased | SnapshotState::Void)
        };
        Ok(self.rows(&view).into_iter().filter(fits).map(|row| row.snapshot).collect())
    }

    /// Signs the intent: from here on the snapshots are refused. Gives the erasure's id.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Usage`] for a reason that is too long.
    pub fn intend_erase(&self, plan: &ErasePlan, reason: &EraseReason) -> Result<Token, Error> {
        let admin = self.home().admin_key()?;
        if reason.code.len() > REASON_BYTES_MAX || reason.code.chars().any(char::is_control) {
            let why = format!("a reason is a code of at most {REASON_BYTES_MAX} bytes, without personal data");
            return Err(Error::Usage { why });
        }
        if plan.snapshots.len() > EVENT_SNAPSHOTS_MAX {
            return Err(Error::Usage { why: format!("at most {EVENT_SNAPSHOTS_MAX} snapshots at once") });
        }
        let record = EraseIntent {
            id: entropy::token()?,
            snapshots: plan.snapshots.iter().map(|row| row.snapshot).collect(),
            reason: reason.code.clone(),
            request: reason.request,
            not_before: reason.not_before,
            approvals: self.view()?.policy.approvals,
        };
        self.append(&admin, &Event::EraseIntent(record.clone()))?;
        Ok(record.id)
    }

    /// Gives an erasure up, as long as no rotation has left its snapshots behind. It runs under a claim, so that no rotation decides what it
    /// leaves behind meanwhile.
    ///
    /// # Errors
    /// [`Error::Refused`] when a rotation has published already; [`Error::Usage`] for an unknown erasure; [`Error::Overtaken`] while
    /// another admin changes the seal.
    pub fn cancel_erase(&self, erasure: Token) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        standing(&self.view()?, erasure)?;
        let mandate = self.claim(&admin, Purpose::Policy, Adoption::Never)?;
        let view = self.still_mine(&mandate)?;
        // A rotation of this host that waits for holders is the claim itself, and goes on.
        let is_rotating = mandate.published(&view);
        if let Err(refused) = may_be_given_up(&view, erasure, is_rotating.into()) {
            if !is_rotating {
                self.end_claim(&admin, mandate.id, ClaimOutcome::Withdrawn)?;
            }
            return Err(refused);
        }
        self.append(&admin, &Event::IntentEnd(IntentEnd { id: erasure }))?;
        if !is_rotating {
            self.end_claim(&admin, mandate.id, ClaimOutcome::Closed)?;
        }
        // Only now, with the record written, is it certain that nothing was left behind before it.
        let view = self.view()?;
        match view.ledger.intents.iter().find(|intent| intent.record.id == erasure) {
            Some(intent) => refuse_left_behind(&view, intent),
            None => Ok(()),
        }
    }

    /// Open sessions of these jobs; of all jobs where this host cannot read a session's job.
    fn in_flight(&self, view: &View, jobs: &BTreeSet<JobName>) -> Result<Vec<SnapshotId>, Error> {
        let open = self.open_sessions(view)?;
        let of_jobs = |session: &&Session| self.session_job(session).is_none_or(|job| jobs.contains(&job));
        Ok(open.iter().filter(of_jobs).map(|session| session.snapshot).collect())
    }

    /// Believed sessions that have neither ended, nor committed, nor been voided.
    pub(crate) fn open_sessions(&self, view: &View) -> Result<Vec<Session>, Error> {
        let open = self.unfinished_sessions(view, &self.store().list("session")?)?.open;
        Ok(open.into_iter().map(|unended| unended.session).collect())
    }

    /// Believed sessions that neither ended nor committed, the open ones and those that were voided, from a listing made just now of at
    /// least `session`.
    pub(crate) fn unfinished_sessions(&self, view: &View, listing: &Listing) -> Result<UnfinishedSessions, Error> {
        let mut opened: BTreeMap<SnapshotId, (ObjectName, Timestamp)> = BTreeMap::new();
        let mut ended: BTreeSet<SnapshotId> = BTreeSet::new();
        for object in listing.below("session") {
            match ObjectName::parse(&object.name) {
                Some((name, Named::Session(snapshot))) => drop(opened.insert(snapshot, (name, object.modified))),
                Some((_, Named::SessionEnd(snapshot))) => drop(ended.insert(snapshot)),
                _ => {}
            }
        }
        let mut sessions = UnfinishedSessions::default();
        for (snapshot, (name, stored)) in opened {
            let voided = view.voided.contains(&snapshot);
            if ended.contains(&snapshot) || (view.snapshots.contains_key(&snapshot) && !voided) {
                continue;
            }
            let bytes = match self.store().get(&name, SESSION_BYTES_MAX).map_err(Error::from) {
                Ok(bytes) => bytes,
                Err(Error::Store(error)) if error.is_not_found() => continue,
                // Nobody's session; a collection names it.
                Err(error) if is_strange(&error) => continue,
                Err(error) => return Err(error),
            };
            let believed = Signed::decode(Kind::Session, &bytes)
                .ok()
                .filter(|signed| view.verify(Kind::Session, &name, signed).is_ok());
            let session =
                believed.and_then(|signed| lacre_format::codec::from_cbor::<Session>("session", &signed.payload).ok());
            let list = if voided { &mut sessions.voided } else { &mut sessions.open };
            let counts = |session: &Session| !view.home(session.home).is_none_or(HomeEntry::is_revoked);
            let session = session.filter(|session| session.snapshot == snapshot && counts(session));
            list.extend(session.map(|session| Unended { session, stored }));
        }
        Ok(sessions)
    }

    fn session_job(&self, session: &Session) -> Option<JobName> {
        let structure = self.structure().ok()?;
        let plaintext =
            structure.open(Structure::SessionJob(session.snapshot), self.id(), session.job_salt, &session.job).ok()?;
        core::str::from_utf8(&plaintext).ok().and_then(|text| JobName::parse(text).ok())
    }
}

fn standing(view: &View, erasure: Token) -> Result<&Intent, Error> {
    let found = view.ledger.standing_intents().find(|intent| intent.record.id == erasure);
    found.ok_or_else(|| Error::Usage { why: format!("no erasure {erasure} is under way") })
}

/// Whether a rotation of this host has published a generation and is not finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rotation {
    Waits,
    None,
}

impl From<bool> for Rotation {
    fn from(is_rotating: bool) -> Self {
        if is_rotating { Self::Waits } else { Self::None }
    }
}

fn may_be_given_up(view: &View, erasure: Token, rotation: Rotation) -> Result<(), Error> {
    refuse_left_behind(view, standing(view, erasure)?)?;
    let to = view.policy.generation;
    let is_recorded = view.ledger.valid_rotations().any(|(_, rotated)| rotated.to == to);
    if rotation == Rotation::Waits && !is_recorded {
        let why = "a change of the seal is published, and what it leaves behind is not on record yet: finish it with `lacre erase resume`";
        return Err(Error::Overtaken { why: why.to_owned() });
    }
    Ok(())
}

fn refuse_left_behind(view: &View, intent: &Intent) -> Result<(), Error> {
    if intent.record.snapshots.iter().any(|snapshot| view.ledger.rotation_of(*snapshot).is_some()) {
        let why = "its new seal is published already: what is erased stays erased".to_owned();
        return Err(Error::Refused { why });
    }
    Ok(())
}

/// The homes that have ever made a snapshot of these jobs and may have an index of it.
fn writers_of<'a>(rows: impl Iterator<Item = &'a SnapshotRow>, jobs: &BTreeSet<JobName>) -> BTreeSet<HomeId> {
    let of_jobs = |row: &&SnapshotRow| row.label.as_ref().is_some_and(|label| jobs.contains(&label.job));
    let is_safety = |row: &SnapshotRow| row.label.as_ref().is_some_and(|label| label.job.is_safety());
    let by_writer = |row: &&SnapshotRow| row.known.header.erasure.is_none() && !is_safety(row);
    rows.filter(of_jobs).filter(by_writer).map(|row| row.known.header.home).collect()
}

/// The newest verified live snapshot of a job stays, unless allowed.
fn refuse_last(rows: &BTreeMap<SnapshotId, SnapshotRow>, chosen: &BTreeSet<SnapshotId>) -> Result<(), Error> {
    let mut verified: BTreeMap<&JobName, (usize, usize)> = BTreeMap::new();
    for row in rows.values().filter(|row| row.state == SnapshotState::Live && row.verified) {
        let Some(label) = &row.label else { continue };
        let (all, dying) = verified.entry(&label.job).or_default();
        *all += 1;
        *dying += usize::from(chosen.contains(&row.snapshot));
    }
    // Where nothing was ever verified, the newest live snapshot of the job takes its place.
    let mut live: BTreeMap<&JobName, (usize, usize)> = BTreeMap::new();
    for row in rows.values().filter(|row| row.state == SnapshotState::Live) {
        let Some(label) = &row.label else { continue };
        let (all, dying) = live.entry(&label.job).or_default();
        *all += 1;
        *dying += usize::from(chosen.contains(&row.snapshot));
    }
    for (job, (all, dying)) in live {
        let (verified, verified_dying) = verified.get(job).copied().unwrap_or_default();
        let none_left = all == dying || (verified > 0 && verified == verified_dying);
        if dying > 0 && none_left {
            let kind = if all == dying { "the last" } else { "the last verified" };
            let why = format!("this would erase {kind} snapshot of job {job}; --allow-last accepts that");
            return Err(Error::Refused { why });
        }
    }
    Ok(())
}
