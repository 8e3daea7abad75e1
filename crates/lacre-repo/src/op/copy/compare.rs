//! How a copy stands beside its repository, and what a look at all of its bytes says.

use lacre_format::name::{Named, ObjectName};

use super::{
    CopyPlace, CopyState, CopyStatus, SyncOptions,
    source::{Source, Target},
    sync::unreachable,
};
use crate::{
    error::Error,
    monitor::{Finding, Monitor, Severity},
    op::{
        check::{CheckOptions, CheckReport, ReadData},
        keys::ReadKeys,
    },
    repository::Repository,
    store::StoreError,
};

/// What a copy lacks.
pub(super) struct Lag {
    /// Objects.
    pub(super) objects: u64,
    /// Log entries among them.
    pub(super) records: u64,
    /// Bytes of all of them.
    pub(super) bytes: u64,
}

impl Repository {
    pub(super) fn compare_copy(
        &self,
        copy: &CopyPlace,
        looked: Result<Target, StoreError>,
        source: &Source,
    ) -> Result<CopyStatus, Error> {
        let target = match looked {
            Ok(target) => target,
            Err(error) => return Ok(unreachable(self, copy, &error)),
        };
        let judged = match self.judge_copy(copy, &target, source, SyncOptions::default()) {
            Err(Error::Store(error)) => return Ok(unreachable(self, copy, &error)),
            judged => judged?,
        };
        let mut status = self.status_of(copy, &target, source, judged.state)?;
        status.findings.splice(0..0, judged.findings);
        for (name, own, found) in source.differing(&target) {
            let what = format!("the copy holds {found} bytes under this name, the repository {own}");
            let advice = "one of the two is damaged: lacre repo check --read-data, lacre copy verify --read-data";
            status.findings.push(Finding::new(Severity::Damage, what, name, advice));
        }
        Ok(status)
    }

    /// The status of a copy that was listed and judged.
    pub(super) fn status_of(
        &self,
        copy: &CopyPlace,
        target: &Target,
        source: &Source,
        judged: CopyState,
    ) -> Result<CopyStatus, Error> {
        let synced = self.home().copy_note(&copy.name)?.map(|note| note.synced);
        let (lag, found) = self.standing_of(source, target);
        let is_open = matches!(judged, CopyState::Behind);
        Ok(CopyStatus {
            name: copy.name.clone(),
            state: if is_open { found } else { judged },
            lag_snapshots: source.lag(target),
            lag_objects: lag.objects,
            lag_records: lag.records,
            lag_bytes: lag.bytes,
            generation: target.generation(),
            synced,
            findings: Vec::new(),
        })
    }

    /// What a copy lacks, and how it stands for that.
    pub(super) fn standing_of(&self, source: &Source, target: &Target) -> (Lag, CopyState) {
        let missing = source.missing_in(target);
        let records = missing.iter().filter(|item| matches!(item.named, Named::Log(..))).count();
        let lag = Lag {
            objects: missing.len() as u64,
            records: records as u64,
            bytes: missing.iter().map(|item| item.bytes).sum(),
        };
        let generation = source.view.policy.generation;
        let has = |named: Named| target.bytes(ObjectName::of(&named).as_str()).is_some();
        let is_open = has(Named::Bundle(generation)) && has(Named::BundleList(generation));
        let state = match (target.manifest.is_some(), is_open, missing.is_empty()) {
            (false, _, _) => CopyState::Empty,
            (true, false, _) => CopyState::OldGeneration,
            (true, true, false) => CopyState::Behind,
            (true, true, true) => CopyState::Current,
        };
        (lag, state)
    }

    /// Audits a copy by itself at level 2: names, signatures and, as far as asked, the bytes of packs. No key opens anything, nothing is
    /// recorded.
    ///
    /// # Errors
    /// As [`Repository::check`].
    pub fn verify_copy(
        &self,
        copy: &CopyPlace,
        read_data: ReadData,
        monitor: &dyn Monitor,
    ) -> Result<CheckReport, Error> {
        let seen = self.seen_in_copy(&copy.store, &copy.name)?;
        let options = CheckOptions { level: Some(2), read_data, snapshot: None };
        seen.check(&options, &ReadKeys::default(), monitor)
    }
}
