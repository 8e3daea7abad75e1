//! What a store can do, found out by doing it.
//!
//! In: an open store. Out: facts, each with what it means for a person. Two writes of one name and a race of two tell what becomes of
//! conditions; nothing is believed because a header says so. It must not know repositories.

use jiff::{SignedDuration, Timestamp};

use super::{Conditional, Deletion};
use crate::monitor::things;

/// Clocks that differ by more are a finding, and nothing is deleted by them.
pub const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Whether a bucket keeps the versions of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Versioning {
    /// The store does not say; its versions are looked for all the same.
    #[default]
    Unknown,
    /// A name has one version, and what is deleted is gone.
    Off,
    /// Every write and every delete of a name is kept.
    On,
}

/// Who may lift a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockMode {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody, the owner of the account included.
    Compliance,
}

/// Whether objects can be locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ObjectLock {
    /// The store does not say.
    #[default]
    Unknown,
    /// The bucket has no object lock.
    Absent,
    /// Objects can be locked one by one.
    Enabled,
    /// Every new object is locked for so many days unless it says otherwise.
    Default {
        /// By whom it can be lifted.
        mode: LockMode,
        /// For how long.
        days: u32,
    },
}

/// Whether the keys at hand may delete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeleteRight {
    /// They may, and what is deleted is gone.
    Allowed,
    /// What they delete is only hidden; older versions remain.
    HidesOnly,
    /// They may not, as is right for a writer.
    Denied,
    /// A lock keeps what was just written.
    Locked {
        /// Until when, if the store says so.
        until: Option<Timestamp>,
    },
}

impl DeleteRight {
    pub(super) fn of(deletion: Deletion) -> Self {
        match deletion {
            Deletion::Gone => Self::Allowed,
            Deletion::Hidden => Self::HidesOnly,
            Deletion::Pending { until } => Self::Locked { until },
        }
    }
}

/// What a store can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Where it lies.
    pub place: String,
    /// What became of a second write of one name, and of two at once.
    pub conditional: Conditional,
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// Whether it locks objects.
    pub object_lock: ObjectLock,
    /// Whether another connection read at once what was written.
    pub reads_own_writes: bool,
    /// Whether another connection listed at once what was written.
    pub lists_own_writes: bool,
    /// Whether these keys may delete.
    pub deletes: DeleteRight,
    /// How far its clock is ahead of this machine's.
    pub clock_skew: Option<SignedDuration>,
    /// Names that could not be removed again.
    pub left_over: Vec<String>,
}

/// One fact of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub value: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Probe {
    /// What was found, in plain words.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        vec![self.reading(), self.conditions(), self.versions(), self.locks(), self.deleting(), self.clock()]
    }

    /// What protects this repository against somebody who has stolen a writer's keys, in one line.
    #[must_use]
    pub fn protection(&self) -> String {
        match (self.object_lock, self.versioning) {
            (ObjectLock::Default { days, .. }, _) => format!(
                "a stolen writer's keys cannot destroy backups here for {}: the bucket locks every new object",
                things(days, ["day", "days"])
            ),
            (ObjectLock::Enabled, _) => "a stolen writer's keys can hide backups but destroy none that is locked: set [object_lock] days = N".to_owned(),
            (_, Versioning::On) => "a stolen writer's keys can write over backups, but older versions stay as long as the keys may not delete versions".to_owned(),
            _ => "nothing in this store protects backups against a stolen writer's keys: switch on versioning or object lock, or keep a copy with other keys".to_owned(),
        }
    }

    fn reading(&self) -> Fact {
        let (ok, value) = match (self.reads_own_writes, self.lists_own_writes) {
            (true, true) => (true, "what is stored can be read and listed at once"),
            (true, false) => (false, "what is stored can be read at once but is missing in listings"),
            (false, _) => (false, "what is stored cannot be read back at once"),
        };
        let advice = "do not use this store: writers and prune must see each other's objects";
        Fact { name: "read after write", ok, value: value.to_owned(), advice: (!ok).then(|| advice.to_owned()) }
    }

    fn conditions(&self) -> Fact {
        let value = match self.conditional {
            Conditional::Supported => "a taken name is refused, also when two write at once",
            Conditional::Absent => "not supported; names are unique, and what matters is read back",
            Conditional::Ignored => {
                "ignored: a second write replaces the first; names are unique, and what matters is read back"
            }
            Conditional::Unknown => "not known",
        };
        Fact { name: "conditional writes", ok: true, value: value.to_owned(), advice: None }
    }

    fn versions(&self) -> Fact {
        let (value, advice) = match self.versioning {
            Versioning::On => ("on: what is replaced or deleted leaves a version; prune deletes every version", None),
            Versioning::Off => ("off", Some("versioning or object lock protects against a stolen writer's keys")),
            Versioning::Unknown => ("not known: these keys may not ask", None),
        };
        Fact { name: "versioning", ok: true, value: value.to_owned(), advice: advice.map(str::to_owned) }
    }

    fn locks(&self) -> Fact {
        let value = match self.object_lock {
            ObjectLock::Unknown => "not known: these keys may not ask".to_owned(),
            ObjectLock::Absent => "off".to_owned(),
            ObjectLock::Enabled => "possible: [object_lock] days = N locks packs, indexes and snapshots".to_owned(),
            ObjectLock::Default { days, .. } => {
                format!("every new object is locked for {}", things(days, ["day", "days"]))
            }
        };
        // What must be able to die, keys above all, must not be locked by the bucket itself.
        let is_default = matches!(self.object_lock, ObjectLock::Default { .. });
        let advice = is_default.then(|| {
            "the bucket's default also locks the keyring: erased snapshots die with their seal, but prune frees space only after the lock; prefer [object_lock] days = N without a default".to_owned()
        });
        Fact { name: "object lock", ok: true, value, advice }
    }

    fn deleting(&self) -> Fact {
        let value = match self.deletes {
            DeleteRight::Allowed => "these keys may delete, and what is deleted is gone".to_owned(),
            DeleteRight::HidesOnly => "these keys can hide objects but not delete their versions".to_owned(),
            DeleteRight::Denied => {
                "these keys may not delete, as is right for a machine that only makes backups".to_owned()
            }
            DeleteRight::Locked { until: Some(until) } => format!("what was just written is locked until {until}"),
            DeleteRight::Locked { until: None } => "what was just written is locked".to_owned(),
        };
        let advice =
            (!self.left_over.is_empty()).then(|| format!("left behind by this test: {}", self.left_over.join(", ")));
        Fact { name: "deleting", ok: true, value, advice }
    }

    fn clock(&self) -> Fact {
        let Some(skew) = self.clock_skew else {
            return Fact {
                name: "clock",
                ok: true,
                value: "the store has no clock of its own".to_owned(),
                advice: None,
            };
        };
        let ok = skew.abs() <= SKEW_MAX;
        let value = format!("the store's clock is {:.1} s ahead of this machine's", skew.as_secs_f64());
        let advice = "set this machine's clock (NTP): while they differ by over 5 minutes nothing is deleted";
        Fact { name: "clock", ok, value, advice: (!ok).then(|| advice.to_owned()) }
    }
}
