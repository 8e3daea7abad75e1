//! Trying the store and remembering what it can do, in the log and on this host.

use lacre_format::{
    codec,
    log::{Event, ProbeRecord},
};

use crate::{
    error::Error,
    repository::Repository,
    store::{Conditional, DeleteRight, ObjectLock, Probe, Versioning},
};

/// Where the catalog keeps the newest probe; no object has such a name.
const KEPT: &str = "store probe";

impl Repository {
    /// Finds out what this repository's store can do and records it: in the log where a key of this host may sign, and on this host.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn probe_store(&self) -> Result<Probe, Error> {
        let probe = self.store().probe()?;
        let record = record_of(&probe);
        self.catalog()?.keep_object(KEPT, &codec::to_cbor(&record))?;
        let signer = self.home().admin_key().or_else(|_| self.home().writer_keys().map(|keys| keys.signer));
        // What is tried of a copy is not written into its log.
        if let Ok(signer) = signer
            && !self.is_copy()
        {
            self.append(&signer, &Event::Probe(record))?;
        }
        Ok(probe)
    }

    /// What this host last found out about the store.
    ///
    /// # Errors
    /// [`Error::Cache`] when the catalog cannot be read.
    pub fn last_probe(&self) -> Result<Option<ProbeRecord>, Error> {
        let kept = self.catalog()?.object(KEPT)?;
        Ok(kept.and_then(|bytes| codec::from_cbor("probe record", &bytes).ok()))
    }
}

fn record_of(probe: &Probe) -> ProbeRecord {
    let (object_lock, lock_days) = match probe.object_lock {
        ObjectLock::Unknown => (0, 0),
        ObjectLock::Absent => (1, 0),
        ObjectLock::Enabled => (2, 0),
        ObjectLock::Default { days, .. } => (3, days),
    };
    ProbeRecord {
        conditional: match probe.conditional {
            Conditional::Unknown => 0,
            Conditional::Supported => 1,
            Conditional::Absent => 2,
            Conditional::Ignored => 3,
        },
        versioning: match probe.versioning {
            Versioning::Unknown => 0,
            Versioning::Off => 1,
            Versioning::On => 2,
        },
        object_lock,
        lock_days,
        consistent: probe.reads_own_writes && probe.lists_own_writes,
        deletes: match probe.deletes {
            DeleteRight::Denied => 0,
            DeleteRight::Allowed => 1,
            DeleteRight::HidesOnly => 2,
            DeleteRight::Locked { .. } => 3,
        },
        skew_ms: probe.clock_skew.map(|skew| i64::try_from(skew.as_millis()).unwrap_or(i64::MAX)),
    }
}
