//! Repair: every object that is not what its name says, or is missing, brought back from whatever still has it.
//!
//! ```text
//! policies       by their hash and the admin's signature; never one that is older than what is here
//! logs, voids, collections, then snapshots, then what belongs to snapshots: each judged by what was put right before it
//! collections    steps that nothing has, made again so that whatever is there stays
//! packs          from their parity, then from a copy, by name and without any key
//! parity         computed again from sound packs
//! index, reach   made again from footers and roots where nothing has them
//! losses         which snapshots, streams and rows need what is nowhere; on record by an admin or maintenance home
//! ```
//! It adds objects and gives damaged ones their bytes back ([`crate::store::Store::heal`]); it deletes nothing, and brings nothing back
//! that a signed record dropped. `docs/decisions/repair.md` says why it is made this way.

mod fetch;
mod loss;
pub mod manifest;
mod packs;
mod rebuild;
mod steps;

use bytes::Bytes;
use lacre_format::{
    ids::{PackName, SnapshotId},
    log::{Event, RepairRecord},
    name::{Named, ObjectName},
};

pub use loss::{LostStream, Stretch};

use crate::{
    error::{Error, Kind},
    monitor::{Finding, Monitor, Progress, Severity},
    op::{
        check::{CheckOptions, ReadData},
        keys::ReadKeys,
    },
    repository::Repository,
    store::{Healed, Store, StoreError},
    view::View,
};

/// Whether packs that never had parity get it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddParity {
    /// They stay as they are.
    No,
    /// Every sound pack gets it.
    Yes,
}

/// How a repository is repaired.
pub struct RepairOptions {
    /// A copy that may have what is damaged or missing here.
    pub from: Option<Store>,
    /// Whether packs without parity get it.
    pub add_parity: AddParity,
}

/// Where an object's bytes came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum How {
    /// A copy had it.
    Fetched,
    /// Its parity corrected it.
    Corrected,
    /// It was made again from other objects.
    Rebuilt,
}

/// One object that was put right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mended {
    /// Its name.
    pub object: String,
    /// Where its bytes came from.
    pub how: How,
    /// Its length.
    pub bytes: u64,
}

/// What a repair did and what is left.
#[derive(Clone, Debug, Default)]
pub struct RepairReport {
    /// Objects that were proved.
    pub objects: u64,
    /// Bytes read here.
    pub bytes_read: u64,
    /// Bytes read from the copy.
    pub bytes_fetched: u64,
    /// What was put right.
    pub mended: Vec<Mended>,
    /// Packs that got parity they never had.
    pub parity_added: u64,
    /// Objects that are damaged or missing and that nothing has.
    pub left: Vec<String>,
    /// Snapshots that are incomplete, with the number of their frames that are lost.
    pub incomplete: Vec<(SnapshotId, u64)>,
    /// Streams that are incomplete and what of each; only with an identity.
    pub streams: Vec<LostStream>,
    /// Whether the losses are on record.
    pub recorded: bool,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What could not be done, for people.
    pub not_done: Vec<String>,
}

/// One run.
struct Repair<'a> {
    repository: &'a Repository,
    from: Option<&'a Store>,
    keys: &'a ReadKeys,
    monitor: &'a dyn Monitor,
    report: RepairReport,
    /// Packs that are not, or not with their bytes, in the store.
    lost: Vec<PackName>,
}

impl Repository {
    /// Repairs what can be repaired, and says what cannot.
    ///
    /// # Errors
    /// [`Error::Damaged`] when no valid policy is left anywhere; errors of the store and of the copy; [`Error::Interrupted`].
    pub fn repair(
        &self,
        options: &RepairOptions,
        keys: &ReadKeys,
        monitor: &dyn Monitor,
    ) -> Result<RepairReport, Error> {
        let from = options.from.as_ref();
        let mut run =
            Repair { repository: self, from, keys, monitor, report: RepairReport::default(), lost: Vec::new() };
        let fetched_before = from.map_or(0, |from| from.counts().bytes_received);
        run.phase("policies and logs");
        self.forget_caches()?;
        run.policies()?;
        for folders in [&["log", "void", "gc"][..], &["snap"], &["reach", "keyring", "session", "index"]] {
            let view = self.view()?;
            folders.iter().try_for_each(|folder| run.folder(&view, folder))?;
            // What was read before it was put right must not be believed from a cache.
            self.forget_caches()?;
        }
        let mut view = self.view()?;
        run.steps(&view)?;
        if !run.report.mended.is_empty() {
            view = self.view()?;
        }
        if !self.has_structure() && !keys.identities.is_empty() {
            // What is needed is told by reach maps, whose key lies in roots. Without it the copy's packs are compared by name.
            if let Err(error) = self.learn_from_roots(&view, keys) {
                tracing::debug!(%error, "no root opens");
            }
        }
        run.phase("packs");
        run.packs(&view)?;
        self.forget_caches()?;
        run.phase("parity");
        run.parity(options.add_parity)?;
        run.phase("index and reach");
        run.rebuild(&view)?;
        run.phase("what is lost");
        run.losses()?;
        run.report.bytes_fetched = from.map_or(0, |from| from.counts().bytes_received) - fetched_before;
        Ok(run.report)
    }
}

impl Repair<'_> {
    fn phase(&self, name: &str) {
        self.monitor.progress(Progress::Phase(name.to_owned()));
    }

    fn store(&self) -> &Store {
        self.repository.store()
    }

    fn finding(&mut self, severity: Severity, what: impl Into<String>, object: impl ToString, advice: &str) {
        self.report.findings.push(Finding::new(severity, what, object, advice));
    }

    /// Gives an object its bytes, if they are its bytes; `false` when what lies there is no file and was left alone.
    fn put_right(
        &mut self,
        name: &ObjectName,
        bytes: Vec<u8>,
        bytes_max: u64,
        how: How,
        is_good: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, Error> {
        if self.monitor.cancelled() {
            return Err(Error::Interrupted);
        }
        let bytes = Bytes::from(bytes);
        if !is_good(&bytes) {
            return Err(Error::Bug { why: format!("{name} was about to be given other bytes") });
        }
        match self.store().heal(name, &bytes, bytes_max, is_good) {
            Ok(Healed::WasGood) => return Ok(true),
            Ok(Healed::Added | Healed::Replaced) => {}
            Err(error @ StoreError::Foreign { .. }) => {
                let advice = "remove what lies there, then run lacre repo repair again";
                self.finding(Severity::Damage, error.to_string(), name, advice);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        // Whatever answer got lost on the way: what counts is what lies there now.
        let stored = self.store().get(name, bytes_max)?;
        if !is_good(&stored) {
            return Err(Error::damaged(name, "it was written and does not read back"));
        }
        let mended = Mended { object: name.to_string(), how, bytes: bytes.len() as u64 };
        self.monitor.progress(Progress::Stored(mended.bytes));
        self.report.mended.push(mended);
        Ok(true)
    }

    /// What is left after everything was tried: named, counted, and put on record where a key for that is at hand.
    fn losses(&mut self) -> Result<(), Error> {
        let repository = self.repository;
        repository.forget_caches()?;
        let view = repository.view()?;
        let options = CheckOptions { level: Some(2), read_data: ReadData::None, snapshot: None };
        let audit = repository.check(&options, &ReadKeys::default(), self.monitor)?;
        let incomplete = if repository.has_structure() { self.incomplete(&view)? } else { Default::default() };
        self.report.streams = self.lost_streams(&view, &incomplete)?;
        self.report.incomplete = incomplete.iter().map(|(snapshot, lost)| (*snapshot, lost.frames())).collect();
        let mut damage: Vec<Finding> = audit.findings;
        // Packs are told below, by what is known of them.
        let of_packs = |finding: &Finding| {
            finding.what.contains("is missing; snapshot")
                || self.lost.iter().any(|name| finding.object.contains(&name.to_string()))
        };
        damage.retain(|finding| !of_packs(finding));
        let is_odd = |finding: &&Finding| finding.severity == Severity::Warning && !view.lost.names(finding);
        self.report.findings.extend(damage.iter().filter(is_odd).cloned());
        damage.retain(|finding| finding.severity == Severity::Damage || view.lost.names(finding));
        let mut left: Vec<String> =
            self.lost.iter().map(|name| ObjectName::of(&Named::Pack(*name)).to_string()).collect();
        left.extend(damage.iter().map(|finding| finding.object.clone()));
        left.sort();
        left.dedup();
        self.report.left = left;
        self.report.findings.extend(damage.iter().cloned());
        for name in self.lost.clone() {
            let what = "the pack is damaged or missing, and nothing has it";
            let advice =
                "the next backup stores again what it needs of it; lacre repo repair --from COPY, once there is a copy";
            let object = ObjectName::of(&Named::Pack(name));
            let finding = Finding::new(Severity::Damage, what, object, advice);
            let known = view.lost.packs.contains(&name);
            self.report.findings.push(view.lost.settle(finding, known.into()));
        }
        for (snapshot, frames) in self.report.incomplete.clone() {
            let what = format!("it is incomplete: {frames} of its frames are lost");
            let object = ObjectName::of(&Named::Snapshot(snapshot));
            let finding = Finding::new(Severity::Damage, what, object, "its other streams can be restored");
            let known = view.lost.snapshots.contains_key(&snapshot);
            self.report.findings.push(view.lost.settle(finding, known.into()));
        }
        self.record(&view, &damage)
    }

    /// Puts what was done, and what is lost, on record.
    fn record(&mut self, view: &View, damage: &[Finding]) -> Result<(), Error> {
        let record = self.loss_record(damage);
        let is_news = !view.lost.is(&record);
        self.report.recorded = !is_news;
        let signer = match self.repository.maintainer(view) {
            Ok(signer) => signer,
            Err(error) if error.kind() == Kind::NoKey => {
                if is_news {
                    self.report.not_done.push(format!("what is lost is not on record: {error}"));
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let count = |how: How| self.report.mended.iter().filter(|mended| mended.how == how).count() as u64;
        let done = RepairRecord {
            fetched: count(How::Fetched),
            corrected: count(How::Corrected),
            rebuilt: count(How::Rebuilt),
            bytes: self.report.mended.iter().map(|mended| mended.bytes).sum(),
            left: self.report.left.len() as u64,
        };
        if !self.report.mended.is_empty() {
            self.repository.append(&signer, &Event::Repair(done))?;
        }
        if is_news {
            self.repository.append(&signer, &Event::Loss(record))?;
            self.report.recorded = true;
        }
        Ok(())
    }
}
