//! One copy brought up to date, step by step; and again as long as the repository moves meanwhile.

use std::collections::BTreeSet;

use bytes::Bytes;
use lacre_format::{
    ids::{Millis, SnapshotId},
    name::{Named, ObjectName},
    rollup::is_rolled_up,
};

use super::{
    CopyPlace, CopyReport, CopyState, SyncOptions,
    carry::{Carried, Carrier, Sent, Stopped},
    source::{Item, Source, Step, Target},
};
use crate::{
    error::Error,
    home::CopyNote,
    limits::{COPY_LANES_MAX, COPY_ROUNDS_MAX},
    monitor::{Finding, Monitor, Progress, Severity},
    repository::Repository,
    rollup::{self, Due},
    store::{PutOutcome, StoreError},
};

/// One copy on its way to being current.
pub(super) struct Run<'a> {
    pub(super) repository: &'a Repository,
    pub(super) copy: &'a CopyPlace,
    pub(super) target: Target,
    pub(super) report: CopyReport,
    pub(super) monitor: &'a dyn Monitor,
    lanes: usize,
}

/// Whether anything was found to have moved since the source was listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

impl From<bool> for Moved {
    fn from(moved: bool) -> Self {
        if moved { Self::Yes } else { Self::No }
    }
}

impl Repository {
    pub(super) fn sync_copy(
        &self,
        copy: &CopyPlace,
        looked: Result<Target, StoreError>,
        source: &Source,
        options: SyncOptions,
        monitor: &dyn Monitor,
    ) -> Result<CopyReport, Error> {
        let target = match looked {
            Ok(target) => target,
            Err(error) => return Ok(CopyReport::of_status(unreachable(self, copy, &error))),
        };
        let judged = match self.judge_copy(copy, &target, source, options) {
            Err(Error::Store(error)) => return Ok(CopyReport::of_status(unreachable(self, copy, &error))),
            judged => judged?,
        };
        let mut status = self.status_of(copy, &target, source, judged.state)?;
        status.findings = judged.findings;
        if judged.state.is_left_alone() {
            return Ok(CopyReport::of_status(status));
        }
        let lanes = copy.store.parallel().max(self.store().parallel()).clamp(2, COPY_LANES_MAX);
        let mut run = Run { repository: self, copy, target, report: CopyReport::of_status(status), monitor, lanes };
        match run.all(source) {
            Ok(()) => run.roll_up()?,
            Err(Stopped::Source(error)) => return Err(error),
            Err(Stopped::Target(error)) => run.target_failed(&error),
        }
        run.report.status.findings.dedup();
        Ok(run.report)
    }
}

/// The status of a copy whose store does not do what it is asked.
pub(super) fn unreachable(repository: &Repository, copy: &CopyPlace, error: &StoreError) -> super::CopyStatus {
    let synced = repository.home().copy_note(&copy.name).ok().flatten().map(|note| note.synced);
    let what = format!("{} cannot be reached: {error}", copy.store.place());
    super::CopyStatus {
        name: copy.name.clone(),
        state: CopyState::Unreachable,
        lag_snapshots: 0,
        lag_objects: 0,
        lag_records: 0,
        lag_bytes: 0,
        generation: None,
        synced,
        findings: vec![Finding::new(Severity::Warning, what, &copy.name, advice_for(error))],
    }
}

fn advice_for(error: &StoreError) -> String {
    match error {
        StoreError::Remote { cause, .. } => cause.advice(),
        StoreError::NoSpace { .. } => "make room there; what is sent already is not sent again".to_owned(),
        _ => "lacre copy sync goes on where it stopped".to_owned(),
    }
}

impl Run<'_> {
    fn all(&mut self, source: &Source) -> Result<(), Stopped> {
        let mut moved = self.pass(source)?;
        for _ in 1..COPY_ROUNDS_MAX {
            if !moved {
                break;
            }
            // A plan took objects while they were copied: what stands now is listed and gone through again.
            let source = self.repository.copy_source()?;
            moved = self.pass(&source)?;
        }
        if moved {
            let what = "the repository changed faster than it could be copied";
            self.find(Severity::Warning, what, "run lacre copy sync again when prune has ended");
        }
        Ok(())
    }

    /// Rolls small objects up for machines that come from afar, in a copy that has everything. It is a cache: what goes wrong with it is
    /// told and fails nothing.
    fn roll_up(&mut self) -> Result<(), Error> {
        if self.report.status.state != CopyState::Current || self.monitor.cancelled() {
            return Ok(());
        }
        let is_small = |name: &&String| ObjectName::parse(name).is_some_and(|(_, named)| is_rolled_up(&named));
        let more = self.target.sent.keys().filter(is_small).count();
        let due = if self.report.objects_deleted > 0 { Due::Deleted } else { Due::WorthIt };
        // A sync with nothing to do asks nothing more.
        if !rollup::is_due(&self.copy.store, &self.target.listing, due, more) {
            return Ok(());
        }
        self.phase("a rollup");
        let listing = self.copy.store.list_many(&rollup::listed()).map_err(Error::from);
        let rolled = listing.and_then(|listing| {
            // Other copies and commands of this host need the catalog meanwhile: it is asked by one of its own.
            let catalog = self.repository.catalog_again()?;
            rollup::roll_up(&self.copy.store, &catalog, &listing, due)
        });
        match rolled {
            Ok(rolled) => self.report.status.findings.extend(rolled.findings),
            Err(error) => {
                let what = format!("no rollup was made: {error}");
                self.find(Severity::Note, what, "the next sync makes one");
            }
        }
        Ok(())
    }

    /// Goes through all steps once; tells whether something vanished at the source meanwhile.
    fn pass(&mut self, source: &Source) -> Result<bool, Stopped> {
        let missing = source.missing_in(&self.target);
        let bytes: u64 = missing.iter().map(|item| item.bytes).sum();
        self.monitor.progress(Progress::Expected(bytes));
        let mut moved = false;
        if !missing.is_empty() || self.target.manifest.is_none() {
            self.phase("the seal's list and bundle, and the policy");
            self.tip(source)?;
            self.manifest(source)?;
        }
        let steps = [(Step::Logs, "logs"), (Step::Records, "records"), (Step::Packs, "packs"), (Step::Index, "index")];
        for (step, words) in steps {
            moved |= self.step(source, &missing, step, words)?;
        }
        // A decision to delete does not enter before what was copied out of the deleted packs has.
        if !moved && self.holds_outputs(source) {
            moved |= self.step(source, &missing, Step::Plans, "plans")?;
        }
        moved |= self.snapshots(source, &missing, Moved::from(moved))?;
        moved |= self.ends(source, &missing)?;
        if !moved {
            self.follow(source)?;
        }
        self.conclude(source)?;
        Ok(moved)
    }

    fn phase(&self, words: &str) {
        self.monitor.progress(Progress::Phase(format!("copy {}: {words}", self.copy.name)));
    }

    pub(super) fn find(&mut self, severity: Severity, what: impl Into<String>, advice: &str) {
        self.report.status.findings.push(Finding::new(severity, what, &self.copy.name, advice));
    }

    fn step(&mut self, source: &Source, missing: &[Item], step: Step, words: &str) -> Result<bool, Stopped> {
        let of_step = missing.iter().filter(|item| Step::of(&item.named) == step);
        // The tip went first.
        let items: Vec<Item> =
            of_step.filter(|item| self.target.bytes(item.name.as_str()).is_none()).cloned().collect();
        if !items.is_empty() {
            self.phase(words);
        }
        let lanes = if step == Step::Logs { 1 } else { self.lanes };
        self.send(source, &items, lanes)
    }

    /// Whether the packs that unfinished plans wrote lie in the copy.
    fn holds_outputs(&mut self, source: &Source) -> bool {
        let present = self.target.packs();
        let undone = source.view.plans.undone();
        let lacks = undone
            .iter()
            .flat_map(|(_, known)| &known.plan)
            .flat_map(|plan| &plan.outputs)
            .any(|output| !present.contains_key(output));
        if lacks {
            let what = "packs that a collection wrote are not in the repository: its plans are not copied";
            self.find(Severity::Damage, what, "lacre repo check --read-data    (tells the extent)");
        }
        !lacks
    }

    /// Sends objects and takes stock; tells whether some of them had vanished.
    pub(super) fn send(&mut self, source: &Source, items: &[Item], lanes: usize) -> Result<bool, Stopped> {
        let carrier =
            Carrier { repository: self.repository, view: &source.view, to: &self.copy.store, monitor: self.monitor };
        // What arrived before something failed is found by its name next time.
        let Carried { arrived, vanished, findings } = carrier.carry(items, lanes)?;
        for (item, sent) in arrived {
            if sent == Sent::Now {
                self.report.objects_sent += 1;
                self.report.bytes_sent += item.bytes;
                self.report.packs_sent += u64::from(matches!(item.named, Named::Pack(_)));
            }
            self.target.sent.insert(item.name.as_str().to_owned(), item.bytes);
        }
        self.report.status.findings.extend(findings);
        Ok(!vanished.is_empty())
    }

    /// `lacre.json` makes the place a repository; its tip is there by now.
    fn manifest(&mut self, source: &Source) -> Result<(), Stopped> {
        let tip = ObjectName::of(&Named::Policy(source.view.policy.number, source.view.policy_digest));
        if self.target.manifest.is_some() || self.target.bytes(tip.as_str()).is_none() {
            return Ok(());
        }
        let bytes = Bytes::from(self.repository.manifest().encode());
        let name = ObjectName::of(&Named::Manifest);
        let put = self.copy.store.put_new(&name, bytes.clone()).map_err(Stopped::Target)?;
        if put == PutOutcome::AlreadyExists {
            let stored =
                self.copy.store.get(&name, lacre_format::manifest::MANIFEST_BYTES_MAX).map_err(Stopped::Target)?;
            if stored != bytes {
                let why = "another repository was made there meanwhile".to_owned();
                return Err(Error::Refused { why }.into());
            }
        } else {
            self.report.objects_sent += 1;
            self.report.bytes_sent += bytes.len() as u64;
        }
        self.target.manifest = Some(bytes);
        Ok(())
    }

    /// Snapshots enter one by one in the order of their commits, each after its reach map, and only when all they need lies in the copy.
    fn snapshots(&mut self, source: &Source, missing: &[Item], moved: Moved) -> Result<bool, Stopped> {
        let mut due: BTreeSet<(Millis, SnapshotId)> = BTreeSet::new();
        for item in missing {
            if let Named::Snapshot(snapshot) | Named::Reach(snapshot) = item.named
                && let Some(known) = source.view.snapshots.get(&snapshot)
            {
                due.insert((known.header.committed, snapshot));
            }
        }
        if due.is_empty() {
            return Ok(false);
        }
        self.phase("snapshots");
        let exact = self.repository.has_structure();
        if exact {
            let findings = self.repository.refresh_from(&source.view, &source.listing)?;
            self.report.status.findings.extend(findings);
        } else if moved == Moved::Yes || self.lacks_packs(missing) {
            // Without the structure key only this proves that all is there: every pack that was listed after the snapshots arrived.
            return Ok(moved == Moved::Yes);
        }
        let present = self.target.packs();
        let mut vanished = false;
        for (_, snapshot) in due {
            if exact && !self.may_enter(source, snapshot, &present)? {
                continue;
            }
            let of_it = missing
                .iter()
                .filter(|item| matches!(item.named, Named::Snapshot(found) | Named::Reach(found) if found == snapshot));
            let mut items: Vec<Item> = of_it.cloned().collect();
            items.sort_by_key(|item| matches!(item.named, Named::Snapshot(_)));
            vanished |= self.pair(source, &items)?;
        }
        Ok(vanished)
    }

    /// Whether a pack of the repository did not arrive: it was refused, which is a finding.
    fn lacks_packs(&self, missing: &[Item]) -> bool {
        let mut packs = missing.iter().filter(|item| matches!(item.named, Named::Pack(_)));
        packs.any(|item| self.target.bytes(item.name.as_str()).is_none())
    }

    /// A reach map, then its snapshot: never the second without the first.
    fn pair(&mut self, source: &Source, items: &[Item]) -> Result<bool, Stopped> {
        for item in items {
            if self.send(source, std::slice::from_ref(item), 1)? {
                return Ok(true);
            }
            if self.target.bytes(item.name.as_str()).is_none() {
                // It was refused, which is a finding.
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Whether everything a snapshot needs lies in the copy. What was left behind by a change of the seal, or is void, needs nothing.
    fn may_enter(
        &mut self,
        source: &Source,
        snapshot: SnapshotId,
        present: &std::collections::BTreeMap<lacre_format::ids::PackName, u64>,
    ) -> Result<bool, Stopped> {
        let view = &source.view;
        let Some(known) = view.snapshots.get(&snapshot) else { return Ok(false) };
        if view.voided.contains(&snapshot) || view.ledger.dropped().contains(&snapshot) {
            return Ok(true);
        }
        let reach = match self.repository.reach(known) {
            Ok(reach) => reach,
            Err(error @ (Error::Damaged { .. } | Error::Format { .. })) => {
                let what = format!("snapshot {} is not copied: {error}", snapshot.short());
                self.find(Severity::Damage, what, "repair the repository first: lacre repo check");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        for born in reach.packs() {
            if !self.repository.resolves(view, present, &reach, born)? {
                let what = format!(
                    "snapshot {} is not copied: frames of pack {born} that it needs are not in the repository",
                    snapshot.short()
                );
                self.find(Severity::Damage, what, "lacre repo check --read-data    (tells the extent)");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The end of a session follows its snapshot: a copy that says it was committed has it.
    fn ends(&mut self, source: &Source, missing: &[Item]) -> Result<bool, Stopped> {
        let may_end = |item: &&Item| match item.named {
            Named::SessionEnd(snapshot) => {
                !source.view.snapshots.contains_key(&snapshot)
                    || self.target.bytes(ObjectName::of(&Named::Snapshot(snapshot)).as_str()).is_some()
            }
            _ => false,
        };
        let items: Vec<Item> = missing.iter().filter(may_end).cloned().collect();
        self.send(source, &items, self.lanes)
    }

    fn conclude(&mut self, source: &Source) -> Result<(), Stopped> {
        let (lag, state) = self.repository.standing_of(source, &self.target);
        let status = &mut self.report.status;
        (status.lag_objects, status.lag_records, status.lag_bytes) = (lag.objects, lag.records, lag.bytes);
        status.lag_snapshots = source.lag(&self.target);
        status.generation = self.target.generation();
        status.state = state;
        if state == CopyState::Current {
            let now = Millis(self.repository.clock().now().as_millisecond());
            let live = source.view.snapshots.keys().filter(|snapshot| source.view.is_live(**snapshot)).count();
            status.synced = Some(now);
            let note = CopyNote { synced: now, snapshots: live as u64 };
            match self.repository.home().keep_copy_note(&self.copy.name, &note) {
                Err(Error::File(error)) if error.is_no_room() => tracing::warn!(%error, "when it was is not kept"),
                kept => kept?,
            }
        }
        Ok(())
    }

    /// The copy's store failed on the way: what arrived stays, the next run goes on.
    fn target_failed(&mut self, error: &StoreError) {
        let state = if error.is_transient() { CopyState::Unreachable } else { CopyState::Behind };
        self.report.status.state = state;
        let what = format!("{} failed on the way: {error}", self.copy.store.place());
        let advice = advice_for(error);
        self.find(Severity::Warning, what, &advice);
    }
}
