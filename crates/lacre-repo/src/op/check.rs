//! Check: what can be proved with the keys at hand. Every fault is a finding, none ends the audit; nothing is changed but the log,
//! where an audit that read all data goes on record if the admin key is at hand.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicU64, Ordering},
};

use lacre_format::{
    ids::{Digest, PackName, SnapshotId},
    log::{CheckRecord, EVENT_SNAPSHOTS_MAX, Event},
    name::{Named, ObjectName},
    pack::PACK_BYTES_MAX,
    reach::Reach,
};
use rayon::prelude::*;

use crate::{
    catalog::Catalog,
    error::{Error, Kind},
    monitor::things,
    monitor::{Finding, Monitor, Progress, Severity},
    op::{
        keys::ReadKeys,
        rolling::{Budget, Rolling},
    },
    repository::Repository,
    view::{Known, View},
};

/// How much of the data is read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ReadData {
    /// None: what the store lists and the manifests say.
    None,
    /// This share of the packs, in percent, longest unproved first.
    Percent(f64),
    /// All packs.
    All,
}

/// What to check.
pub struct CheckOptions {
    /// The highest level; none: as high as the keys allow.
    pub level: Option<u8>,
    /// How much data is read.
    pub read_data: ReadData,
    /// Only this snapshot.
    pub snapshot: Option<SnapshotId>,
}

/// What a check proved and found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The level reached.
    pub level: u8,
    /// Packs in the store.
    pub packs: u64,
    /// Packs whose bytes were read.
    pub packs_read: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Snapshots proved at the level.
    pub snapshots: Vec<SnapshotId>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What was not proved, for people.
    pub not_proved: Vec<String>,
}

impl Repository {
    /// Puts the audit on record where an admin's or a maintenance home's key is at hand, not in a copy. Snapshots count as verified when
    /// all their data were read, now or within the age that was asked for.
    fn record_check(&self, view: &View, options: &CheckOptions, report: &CheckReport) -> Result<(), Error> {
        let signer = match self.maintainer(view) {
            Ok(signer) if options.read_data == ReadData::All && !self.is_copy() => signer,
            Ok(_) | Err(Error::KeyMissing { .. } | Error::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let record = CheckRecord {
            level: report.level,
            snapshots: report.snapshots.iter().copied().take(EVENT_SNAPSHOTS_MAX).collect(),
            packs: report.packs_read,
            bytes_read: report.bytes_read,
            findings: report.findings.len() as u64,
        };
        self.append(&signer, &Event::Check(record))
    }
}

pub(super) struct Audit<'a> {
    pub(super) repository: &'a Repository,
    pub(super) view: View,
    pub(super) keys: &'a ReadKeys,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) report: CheckReport,
    pub(super) level_max: u8,
    pub(super) options: &'a CheckOptions,
    pub(super) budget: Budget<'a>,
    damaged: BTreeSet<PackName>,
    /// What roots said of the streams that were read.
    pub(super) read: HashSet<Digest>,
}

impl Repository {
    /// An audit trusts no cache; where the disk has no room to empty it, one in memory takes its place.
    pub(crate) fn forget_caches(&self) -> Result<(), Error> {
        let mut catalog = self.catalog()?;
        if let Err(Error::Cache { path, .. }) = catalog.forget_all() {
            *catalog = Catalog::in_memory(&path)?;
        }
        Ok(())
    }

    /// Audits the repository.
    ///
    /// # Errors
    /// [`Error::NoRepository`], errors of the store that prevent the audit itself, [`Error::Interrupted`].
    pub fn check(&self, options: &CheckOptions, keys: &ReadKeys, monitor: &dyn Monitor) -> Result<CheckReport, Error> {
        self.check_rolling(options, &Rolling::default(), keys, monitor)
    }

    /// Audits the repository within a budget: what was proved lately is not read again, and what the archives hold is examined too.
    ///
    /// # Errors
    /// As [`Repository::check`].
    pub fn check_rolling(
        &self,
        options: &CheckOptions,
        rolling: &Rolling<'_>,
        keys: &ReadKeys,
        monitor: &dyn Monitor,
    ) -> Result<CheckReport, Error> {
        self.forget_caches()?;
        let view = self.view_of_objects()?;
        let findings = view.findings.clone();
        let report = CheckReport {
            level: 0,
            packs: 0,
            packs_read: 0,
            bytes_read: 0,
            snapshots: Vec::new(),
            findings,
            not_proved: Vec::new(),
        };
        let highest = if rolling.structure.is_some() { 5 } else { 4 };
        let level_max = options.level.unwrap_or(highest).min(highest);
        let mut audit = Audit {
            repository: self,
            view,
            keys,
            monitor,
            report,
            level_max,
            options,
            budget: Budget::new(rolling, self.clock().now().as_millisecond()),
            damaged: BTreeSet::new(),
            read: HashSet::new(),
        };
        audit.run()?;
        let Audit { mut report, view, .. } = audit;
        view.lost.settle_all(&mut report.findings);
        self.record_check(&view, options, &report)?;
        report.findings.sort_by(|one, other| (other.severity, &one.object).cmp(&(one.severity, &other.object)));
        report.findings.dedup();
        Ok(report)
    }
}

impl Audit<'_> {
    fn run(&mut self) -> Result<(), Error> {
        let targets: Vec<Known> = self.targets()?;
        self.phase("listing");
        let packs = self.list(&targets)?;
        self.strangers()?;
        self.report.level = 1;
        if self.level_max >= 2 {
            self.report.findings.extend(self.repository.audit_small_objects(&self.view)?);
        }
        if self.level_max >= 2 && self.options.read_data != ReadData::None {
            self.phase("reading packs");
            self.read_packs(&packs)?;
            let findings = self.repository.audit_parity(&mut packs.keys().copied())?;
            self.report.findings.extend(findings);
        } else if self.level_max >= 2 {
            self.not_proved("the bytes of the packs (--read-data reads them)");
        }
        self.report.level = self.level_max.min(2);
        if self.level_max >= 3 {
            self.phase("opening key entries");
            if !self.entries(&targets)? {
                return Ok(());
            }
            self.report.level = 3;
        }
        if self.level_max >= 4 {
            if self.keys.identities.is_empty() {
                self.not_proved("what the snapshots hold: no identity is at hand (--identity)");
                return Ok(());
            }
            self.phase("reading snapshots");
            self.contents(&targets)?;
        }
        Ok(())
    }

    fn targets(&mut self) -> Result<Vec<Known>, Error> {
        let live = |known: &&Known| self.view.is_live(known.header.snapshot);
        match self.options.snapshot {
            Some(wanted) => {
                let known = self.view.snapshots.get(&wanted);
                known.cloned().map(|known| vec![known]).ok_or_else(|| self.view.damaged_or_none(&wanted.to_string()))
            }
            None => Ok(self.view.snapshots.values().filter(live).cloned().collect()),
        }
    }

    fn phase(&self, name: &str) {
        self.monitor.progress(Progress::Phase(name.to_owned()));
    }

    pub(super) fn not_proved(&mut self, what: &str) {
        self.report.not_proved.push(what.to_owned());
    }

    /// Damage of one snapshot; news only if it is not on record.
    pub(super) fn damage_of(&mut self, snapshot: SnapshotId, error: &Error, object: impl ToString, advice: &str) {
        let finding = Finding::new(Severity::Damage, error.to_string(), object, advice);
        let known = self.view.lost.snapshots.contains_key(&snapshot);
        self.report.findings.push(self.view.lost.settle(finding, known.into()));
    }

    pub(super) fn damage(&mut self, error: &Error, object: impl ToString, advice: &str) {
        self.report.findings.push(Finding::new(Severity::Damage, error.to_string(), object, advice));
    }

    /// Level 1: every pack that a snapshot needs is listed with the length that was signed for.
    fn list(&mut self, targets: &[Known]) -> Result<BTreeMap<PackName, u64>, Error> {
        let listing = self.repository.store().list("packs")?;
        self.report.findings.extend(listing.foreign.iter().map(crate::view::foreign));
        let mut present = BTreeMap::new();
        for object in listing.objects {
            match ObjectName::parse(&object.name) {
                Some((_, Named::Pack(name))) => drop(present.insert(name, object.bytes)),
                _ => self.report.findings.push(crate::view::foreign_name(&object.name)),
            }
        }
        self.report.packs = present.len() as u64;
        if !self.repository.has_structure() && !self.learn_structure(targets) {
            self.not_proved(
                "that every pack a snapshot needs is there: this host has neither the writer key nor an identity",
            );
            return Ok(present);
        }
        let findings = self.repository.refresh(&self.view)?;
        self.report.findings.extend(findings);
        for (name, bytes) in self.repository.catalog()?.pack_names()? {
            if present.get(&name).is_some_and(|found| *found != bytes) {
                let error = Error::damaged(ObjectName::of(&Named::Pack(name)), format!("it should have {bytes} bytes"));
                let advice = "lacre repo repair brings it back from its parity or from a copy (--from COPY)";
                let finding = Finding::new(Severity::Damage, error.to_string(), name, advice);
                let known = self.view.lost.packs.contains(&name);
                self.report.findings.push(self.view.lost.settle(finding, known.into()));
            }
        }
        for known in targets {
            self.reach_resolves(known, &present);
        }
        Ok(present)
    }

    /// Whatever lies in the store and is none of Lacre's, wherever it lies.
    fn strangers(&mut self) -> Result<(), Error> {
        let listing = self.repository.store().list("")?;
        self.report.findings.extend(listing.foreign.iter().map(crate::view::foreign));
        let unknown = listing.objects.iter().filter(|object| ObjectName::parse(&object.name).is_none());
        self.report.findings.extend(unknown.map(|object| crate::view::foreign_name(&object.name)));
        Ok(())
    }

    /// On a host that only reads, the structure key comes from any root that opens.
    fn learn_structure(&self, targets: &[Known]) -> bool {
        let open = |known: &Known| {
            let seals = self.repository.seals(&self.view, self.keys).ok()?;
            let key = self.repository.snapshot_key(&self.view, &seals, self.keys, &known.header).ok()?;
            self.repository.root(known, &key).ok()
        };
        targets.iter().any(|known| open(known).is_some())
    }

    fn reach_resolves(&mut self, known: &Known, present: &BTreeMap<PackName, u64>) {
        let snapshot = known.header.snapshot;
        let reach: Reach = match self.repository.reach(known) {
            Ok(reach) => reach,
            Err(error) => {
                let advice = "garbage collection stops until it is back: lacre repo repair brings it from a copy (--from COPY) or makes it again from the snapshot's root (--identity)";
                return self.damage(&error, format!("reach/{snapshot}"), advice);
            }
        };
        for pack in reach.packs() {
            let catalog = self.repository.catalog();
            let candidates = match catalog.and_then(|catalog| catalog.pack_names_by_id(pack)) {
                Ok(candidates) => candidates,
                Err(error) => return self.damage(&error, "catalog", "run `lacre repo rebuild`"),
            };
            if candidates.len() > 1 {
                let what = "two packs claim one birth name; frames are taken from the one that authenticates";
                let finding = Finding::new(Severity::Warning, what, pack, "somebody else may hold a writer's key");
                self.report.findings.push(finding);
            }
            match self.repository.resolves(&self.view, present, &reach, pack) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => return self.damage(&error, pack, "run `lacre repo rebuild`"),
            }
            let name = candidates.first().map_or_else(|| pack.to_string(), |(name, _)| name.to_string());
            let frames = reach.slots(pack).count();
            let what = format!("pack {name} is missing; snapshot {snapshot} has {frames} frames in it");
            let advice =
                "lacre repo repair --from COPY brings it back; the next backup stores again what it needs of it";
            let finding = Finding::new(Severity::Damage, what, name, advice);
            let known = self.view.lost.snapshots.contains_key(&snapshot);
            self.report.findings.push(self.view.lost.settle(finding, known.into()));
        }
    }

    /// Level 2: the stored bytes hash to their names.
    fn read_packs(&mut self, present: &BTreeMap<PackName, u64>) -> Result<(), Error> {
        let chosen = self.choose(present)?;
        self.monitor.progress(Progress::Expected(chosen.iter().map(|(_, bytes)| bytes).sum()));
        let read = AtomicU64::new(0);
        let (repository, monitor, budget) = (self.repository, self.monitor, &self.budget);
        let verdicts: Vec<(PackName, Result<(), Error>)> = chosen
            .par_iter()
            .filter_map(|(name, bytes)| {
                if budget.is_spent() {
                    return None;
                }
                let verdict =
                    if monitor.cancelled() { Err(Error::Interrupted) } else { hash_pack(repository, *name, *bytes) };
                read.fetch_add(*bytes, Ordering::Relaxed);
                monitor.progress(Progress::Bytes(*bytes));
                Some((*name, verdict))
            })
            .collect();
        self.report.packs_read = verdicts.len() as u64;
        if verdicts.len() < chosen.len() {
            self.not_proved(&format!(
                "the bytes of {}: the time was up",
                things(chosen.len() - verdicts.len(), ["pack", "packs"])
            ));
        }
        self.report.bytes_read += read.into_inner();
        let now = self.repository.clock().now().as_millisecond();
        for (name, verdict) in verdicts {
            match verdict {
                Ok(()) => {
                    // Only the order of later partial audits depends on it.
                    if let Err(error) = self.repository.catalog()?.remember_audit(name.as_bytes(), 2, now) {
                        tracing::warn!(%error, "an audited pack is not remembered");
                    }
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    self.damaged.insert(name);
                    self.damaged_pack(name, &error);
                }
            }
        }
        Ok(())
    }

    /// A damaged pack is damage whatever can be done about it; what can be done is the advice.
    fn damaged_pack(&mut self, name: PackName, error: &Error) {
        let advice = match self.repository.corrected(name) {
            Ok(Some(_)) => "its parity corrects it, nothing is lost: lacre repo repair writes the pack back",
            _ => {
                "lacre repo repair --from COPY brings it back; what it holds is listed below if an identity is at hand"
            }
        };
        let object = ObjectName::of(&Named::Pack(name));
        let finding = Finding::new(Severity::Damage, error.to_string(), object, advice);
        let known = self.view.lost.packs.contains(&name);
        self.report.findings.push(self.view.lost.settle(finding, known.into()));
    }

    /// All packs, or the given share of them: never proved first, then longest ago.
    fn choose(&mut self, present: &BTreeMap<PackName, u64>) -> Result<Vec<(PackName, u64)>, Error> {
        let all: Vec<(PackName, u64)> = present.iter().map(|(name, bytes)| (*name, *bytes)).collect();
        let percent = match self.options.read_data {
            ReadData::Percent(percent) => percent,
            _ if self.budget.is_limited() => 100.0,
            _ => return Ok(all),
        };
        let catalog = self.repository.catalog()?;
        let mut dated = Vec::new();
        for (name, bytes) in all {
            let last = catalog.last_audit(name.as_bytes(), 2)?;
            if !self.budget.is_fresh(last) {
                dated.push((last.unwrap_or_default(), name, bytes));
            }
        }
        dated.sort_unstable();
        let total: u64 = dated.iter().map(|(_, _, bytes)| bytes).sum();
        let mut budget = share_of(total, percent);
        let take = |(_, name, bytes): (i64, PackName, u64)| {
            let fits = budget > 0;
            budget = budget.saturating_sub(bytes);
            fits.then_some((name, bytes))
        };
        let chosen: Vec<(PackName, u64)> = dated.into_iter().map_while(take).collect();
        drop(catalog);
        let fresh = present.len() - chosen.len();
        if matches!(self.options.read_data, ReadData::Percent(_)) {
            self.not_proved(&format!("the bytes of {fresh} of {}", things(present.len(), ["pack", "packs"])));
        }
        Ok(chosen)
    }

    /// Level 3: every key entry opens with the seal, is its snapshot's, and none is sealed to a dead generation.
    fn entries(&mut self, targets: &[Known]) -> Result<bool, Error> {
        let seals = self.repository.seals(&self.view, self.keys)?;
        if seals.seed(self.view.policy.generation).is_none() {
            self.not_proved("that every key entry opens: no cell or kit with the seal is at hand");
            return Ok(false);
        }
        for known in targets {
            let below = self.view.policy.rewrap_below.unwrap_or_default();
            let mut is_wrapped_again = false;
            let found = self.repository.visit_entries(&self.view, &seals, &known.header, &mut |entry| {
                is_wrapped_again = entry.policy >= below;
                is_wrapped_again
            });
            let object = format!("snap/{}", known.header.snapshot);
            match found {
                Ok(()) if is_wrapped_again => {}
                Ok(()) => {
                    let what = "its key is still wrapped to somebody who was removed from the recipients";
                    let advice = "lacre seal rotate --identity FILE, with an identity that reads it";
                    self.report.findings.push(Finding::new(Severity::Warning, what, object, advice));
                }
                Err(error) => {
                    let advice = "without its key entry the snapshot cannot be restored: lacre repo repair --from COPY";
                    self.damage_of(known.header.snapshot, &error, object, advice);
                }
            }
        }
        Ok(true)
    }

    /// Levels 4 and 5: roots, manifests, and with `--read-data` every stream to its end.
    fn contents(&mut self, targets: &[Known]) -> Result<(), Error> {
        let mut proved_all = true;
        let mut late = Vec::new();
        // Newest first: what is restored most likely is proved first when the time is short.
        for known in targets.iter().rev() {
            let snapshot = known.header.snapshot;
            match self.repository.open_in(&self.view, snapshot, self.keys) {
                Ok(opened) => {
                    if self.streams(&opened, &mut late)? {
                        self.report.snapshots.push(snapshot);
                    }
                    self.report.findings.extend(opened.corrections());
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) if error.kind() == Kind::NoKey => {
                    proved_all = false;
                    self.not_proved(&format!("what snapshot {} holds: {error}", snapshot.short()));
                }
                Err(error) => {
                    let advice = "lacre repo repair --from COPY brings the damaged object back";
                    self.damage_of(snapshot, &error, format!("snap/{snapshot}"), advice);
                }
            }
        }
        let is_whole = self.again(late)?;
        if proved_all {
            let all_read = self.options.read_data == ReadData::All && is_whole;
            self.report.level = if all_read { self.level_max } else { 4 };
        }
        if self.options.read_data == ReadData::None {
            self.not_proved("the data itself (--read-data reads it)");
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of bytes, clamped"
)]
fn share_of(total: u64, percent: f64) -> u64 {
    (total as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64
}

/// On this machine a pack is read piece by piece, so that an audit needs little memory; from afar, in one request.
pub(crate) fn hash_pack(repository: &Repository, name: PackName, bytes: u64) -> Result<(), Error> {
    let (store, object) = (repository.store(), ObjectName::of(&Named::Pack(name)));
    let mut hasher = blake3::Hasher::new();
    if store.local_path().is_some() {
        store.get_pieces(&object, bytes, &mut |piece| {
            hasher.update(piece);
        })?;
    } else {
        hasher.update(&store.get(&object, PACK_BYTES_MAX)?);
    }
    if hasher.finalize() == *name.as_bytes() { Ok(()) } else { Err(Error::PackDamaged { pack: name }) }
}
