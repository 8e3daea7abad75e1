//! A witness for tests: somebody who is told of every call of a store before it is done, and sees every object that is put.
//!
//! In: calls of any thread. Out: nothing; a witness changes nothing. An adversary's tests keep in this way every version of every
//! object ever stored, and look at a host's files between any two calls. Production code never makes one.

use std::sync::Arc;

use bytes::Bytes;

use super::{Store, Verb, fault::FaultPlan, fault::Faults};

/// Told of every call.
pub trait Witness: Send + Sync {
    /// A call is about to be done; `put` is what it stores.
    fn saw(&self, verb: Verb, name: &str, put: Option<&Bytes>);
}

impl Store {
    /// The same objects, every call of which a witness is told of, with counts of its own; for tests.
    #[must_use]
    pub fn with_witness(&self, witness: Arc<dyn Witness>) -> Self {
        self.through(Faults::new(FaultPlan::default()).with_witness(Some(witness)))
    }
}
