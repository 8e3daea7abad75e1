//! A schedule for tests: every call of a store waits until it is allowed.
//!
//! In: calls of one simulated process, from any of its threads. Out: the same calls, each not before somebody has allowed it. A test
//! holds one [`Schedule`] for each process, lets them take turns in an order of its choice, and so meets on purpose what else happens
//! by bad luck. A schedule knows nothing of what the calls do. Production code never makes one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Store, Verb, fault::Faults};

/// A call that waits at the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Which call of the process it is, from 1.
    pub nth: u64,
    /// The verb.
    pub verb: Verb,
    /// The object's name, or the listing's prefix.
    pub name: String,
}

/// Where a process has come to when nothing more of it is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stand {
    /// It waits before this call.
    Before(Call),
    /// It has ended.
    Ended,
}

impl Store {
    /// The same objects seen by one process whose every call waits for its turn, with counts of its own; for tests.
    #[must_use]
    pub fn with_schedule(&self, schedule: Arc<Schedule>) -> Self {
        self.through(Faults::scheduled(schedule))
    }
}

/// The gate of one process.
#[derive(Debug, Default)]
pub struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    allowed: u64,
    passed: u64,
    waiting: Vec<(Verb, String)>,
    ended: bool,
}

impl Schedule {
    /// A gate that lets this many calls pass.
    #[must_use]
    pub fn after(calls: u64) -> Self {
        Self { state: Mutex::new(State { allowed: calls, ..State::default() }), changed: Condvar::new() }
    }

    /// Lets this many more calls pass.
    pub fn allow(&self, calls: u64) {
        let mut state = self.lock();
        state.allowed = state.allowed.saturating_add(calls);
        self.changed.notify_all();
    }

    /// Lets everything pass from now on.
    pub fn release(&self) {
        self.allow(u64::MAX);
    }

    /// Says that the process makes no further call; whoever runs it calls this last.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// How many calls have passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.lock().passed
    }

    /// Waits until the process stands before a call that is not allowed, or has ended.
    #[must_use]
    pub fn stand(&self) -> Stand {
        let mut state = self.lock();
        loop {
            if state.ended {
                return Stand::Ended;
            }
            if state.passed >= state.allowed
                && let Some((verb, name)) = state.waiting.first()
            {
                return Stand::Before(Call { nth: state.passed + 1, verb: *verb, name: name.clone() });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the turn of one call.
    pub(super) fn pass(&self, verb: Verb, name: &str) {
        let mut state = self.lock();
        let call = (verb, name.to_owned());
        state.waiting.push(call.clone());
        self.changed.notify_all();
        while state.passed >= state.allowed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.passed += 1;
        if let Some(at) = state.waiting.iter().position(|waiting| *waiting == call) {
            state.waiting.remove(at);
        }
        // Of several threads one takes the last call that is allowed: whoever asks where the process stands has to look again.
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
