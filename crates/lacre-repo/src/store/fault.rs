//! Faults for tests: a store that fails, lies or dies at a chosen call.
//!
//! A [`FaultPlan`] is data; [`crate::store::Store::with_faults`] applies it. A crash loop is: run the operation with
//! [`FaultPlan::crash_at`] 1, 2, 3, ... until it completes, and look at the real store after each run. Production code never makes a plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use lacre_format::name::ObjectName;

use super::{Operation, PutOutcome, StoreError, Verb, schedule::Schedule, witness::Witness};

/// What happens at a chosen call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The call fails and nothing was done.
    FailBefore(Failure),
    /// The call is done, but its answer is lost.
    FailAfter(Failure),
    /// A put stores only the first bytes and then fails; a read returns only the first bytes.
    Tear {
        /// How many bytes remain.
        bytes: usize,
    },
    /// One bit of what is stored or read is the other way round, and the call succeeds.
    FlipBit {
        /// Which bit, counted over the whole object and wrapped at its end.
        bit: usize,
    },
    /// The call takes this much longer.
    Delay(Duration),
    /// The process "dies" before the call: it and every later call fail.
    Crash,
    /// The process "dies" after the call took effect: it and every later call fail.
    CrashAfter,
}

/// The error a fault gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// [`StoreError::Unavailable`].
    Unavailable,
    /// [`StoreError::NoSpace`].
    NoSpace,
    /// [`StoreError::PermissionDenied`].
    PermissionDenied,
    /// [`StoreError::ReadOnly`].
    ReadOnly,
    /// [`StoreError::NotFound`].
    NotFound,
    /// [`StoreError::Io`].
    Io,
}

/// How often a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recurrence {
    /// At the chosen call only.
    Once,
    /// At the chosen call and every later one that matches.
    Forever,
}

/// One fault: the `nth` call (from 1) that matches verb and prefix has an effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The verb, or any.
    pub verb: Option<Verb>,
    /// What the object's name or the listing's prefix begins with; empty for any.
    pub prefix: String,
    /// Which matching call, from 1.
    pub nth: u64,
    /// How often.
    pub recurrence: Recurrence,
    /// What happens.
    pub effect: Effect,
}

/// All faults of one store; at one call the first that matches strikes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FaultPlan {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl FaultPlan {
    /// A plan with one fault that strikes once.
    #[must_use]
    pub fn once(verb: Verb, nth: u64, effect: Effect) -> Self {
        let fault = Fault { verb: Some(verb), prefix: String::new(), nth, recurrence: Recurrence::Once, effect };
        Self { faults: vec![fault] }
    }

    /// A plan in which the process dies before its `nth` call of any verb.
    #[must_use]
    pub fn crash_at(nth: u64) -> Self {
        let (prefix, recurrence) = (String::new(), Recurrence::Once);
        Self { faults: vec![Fault { verb: None, prefix, nth, recurrence, effect: Effect::Crash }] }
    }

    /// A plan in which the process dies right after its `nth` call of any verb took effect.
    #[must_use]
    pub fn crash_after(nth: u64) -> Self {
        let (prefix, recurrence) = (String::new(), Recurrence::Once);
        Self { faults: vec![Fault { verb: None, prefix, nth, recurrence, effect: Effect::CrashAfter }] }
    }
}

/// A plan and how far it has come.
pub(super) struct Faults {
    faults: Vec<(Fault, AtomicU64)>,
    crashed: AtomicBool,
    schedule: Option<Arc<Schedule>>,
    witness: Option<Arc<dyn Witness>>,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        let faults = plan.faults.into_iter().map(|fault| (fault, AtomicU64::new(0))).collect();
        Self { faults, crashed: AtomicBool::new(false), schedule: None, witness: None }
    }

    pub(super) fn scheduled(schedule: Arc<Schedule>) -> Self {
        Self { schedule: Some(schedule), ..Self::new(FaultPlan::default()) }
    }

    /// The same, and a witness is told of every call.
    pub(super) fn with_witness(self, witness: Option<Arc<dyn Witness>>) -> Self {
        Self { witness, ..self }
    }

    pub(super) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.witness.clone()
    }

    pub(super) fn put_new(
        &self,
        name: &ObjectName,
        bytes: Bytes,
        put: impl FnOnce(Bytes) -> Result<PutOutcome, StoreError>,
    ) -> Result<PutOutcome, StoreError> {
        match self.strike(Verb::PutNew, name.as_str(), Some(&bytes))? {
            Some(Effect::Tear { bytes: kept }) => {
                let torn = bytes.slice(..kept.min(bytes.len()));
                let outcome = put(torn)?;
                Err(Failure::Unavailable.error(name.as_str(), &format!("torn after {kept} bytes, {outcome:?}")))
            }
            Some(Effect::FlipBit { bit }) => put(flip(&bytes, bit)),
            effect => self.around(effect, name.as_str(), || put(bytes)),
        }
    }

    pub(super) fn read(
        &self,
        verb: Verb,
        name: &ObjectName,
        read: impl FnOnce() -> Result<Bytes, StoreError>,
    ) -> Result<Bytes, StoreError> {
        match self.strike(verb, name.as_str(), None)? {
            Some(Effect::Tear { bytes: kept }) => read().map(|bytes| bytes.slice(..kept.min(bytes.len()))),
            Some(Effect::FlipBit { bit }) => read().map(|bytes| flip(&bytes, bit)),
            effect => self.around(effect, name.as_str(), read),
        }
    }

    pub(super) fn run<T>(
        &self,
        verb: Verb,
        name: &str,
        run: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let effect = self.strike(verb, name, None)?;
        self.around(effect, name, run)
    }

    /// The effect of this call, if any; an error once the "process" is dead.
    fn strike(&self, verb: Verb, name: &str, put: Option<&Bytes>) -> Result<Option<Effect>, StoreError> {
        if let Some(witness) = &self.witness {
            witness.saw(verb, name, put);
        }
        if let Some(schedule) = &self.schedule {
            schedule.pass(verb, name);
        }
        if self.crashed.load(Ordering::SeqCst) {
            return Err(dead(name));
        }
        let mut struck = None;
        for (fault, calls) in &self.faults {
            if fault.verb.is_some_and(|wanted| wanted != verb) || !name.starts_with(&fault.prefix) {
                continue;
            }
            let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
            let due = match fault.recurrence {
                Recurrence::Once => call == fault.nth,
                Recurrence::Forever => call >= fault.nth,
            };
            if due && struck.is_none() {
                struck = Some(fault.effect.clone());
            }
        }
        Ok(struck)
    }

    fn around<T>(
        &self,
        effect: Option<Effect>,
        name: &str,
        run: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match effect {
            None | Some(Effect::Tear { .. } | Effect::FlipBit { .. }) => run(),
            Some(Effect::FailBefore(failure)) => Err(failure.error(name, "before the call")),
            Some(Effect::FailAfter(failure)) => run().and_then(|_| Err(failure.error(name, "after the call"))),
            Some(Effect::Delay(pause)) => {
                std::thread::sleep(pause);
                run()
            }
            Some(Effect::Crash) => {
                self.crashed.store(true, Ordering::SeqCst);
                Err(dead(name))
            }
            Some(Effect::CrashAfter) => {
                let done = run();
                self.crashed.store(true, Ordering::SeqCst);
                done.and_then(|_| Err(dead(name)))
            }
        }
    }
}

impl Failure {
    fn error(self, name: &str, reason: &str) -> StoreError {
        let (name, operation) = (name.to_owned(), Operation::Request);
        match self {
            Self::Unavailable => StoreError::Unavailable { name, operation, reason: format!("injected {reason}") },
            Self::NoSpace => StoreError::NoSpace { name, operation },
            Self::PermissionDenied => StoreError::PermissionDenied { name, operation },
            Self::ReadOnly => StoreError::ReadOnly { name, operation },
            Self::NotFound => StoreError::NotFound { name },
            Self::Io => StoreError::Io { name, operation, source: std::io::Error::other(format!("injected {reason}")) },
        }
    }
}

fn dead(name: &str) -> StoreError {
    Failure::Unavailable.error(name, "crash")
}

fn flip(bytes: &Bytes, bit: usize) -> Bytes {
    let mut flipped = BytesMut::from(bytes.as_ref());
    let length = flipped.len();
    if length > 0
        && let Some(byte) = flipped.get_mut((bit / 8) % length)
    {
        *byte ^= 1 << (bit % 8);
    }
    flipped.freeze()
}
