//! Stores that take nothing from this host: it is said of them beforehand, so nothing is tried.
//!
//! In: a store. Out: the same one, which refuses whatever would write before anything is sent.

use lacre_format::{ids::Digest, name::ObjectName};

use super::{Backend, Operation, Store, StoreError};

/// What this host does with a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// It reads and writes.
    Full,
    /// It only reads.
    ReadOnly,
}

impl Store {
    /// The same store, to which nothing is written: whatever would is [`StoreError::ReadOnly`] before anything is sent.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { access: Access::ReadOnly, ..self.clone() }
    }

    /// Whether nothing is written to it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// Says which keys open a bucket, without saying them; nothing for a store without keys.
    pub(crate) fn key_mark(&self) -> Option<Digest> {
        let Backend::Bucket(bucket) = &*self.backend else { return None };
        let mut hasher = blake3::Hasher::new();
        hasher.update(bucket.place().as_bytes()).update(&[0]).update(bucket.access_key_id().as_bytes());
        Some(Digest::new(*hasher.finalize().as_bytes()))
    }

    pub(super) fn refuse_writes(&self, name: &ObjectName, operation: Operation) -> Result<(), StoreError> {
        match self.access {
            Access::Full => Ok(()),
            Access::ReadOnly => Err(StoreError::ReadOnly { name: name.to_string(), operation }),
        }
    }
}
