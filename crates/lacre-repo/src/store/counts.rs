//! Counts of requests and bytes, so that tests and reports can hold operations to a budget.

use std::sync::atomic::{AtomicU64, Ordering};

/// One of the five things a store can be asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// [`crate::store::Store::put_new`].
    PutNew,
    /// [`crate::store::Store::get`].
    Get,
    /// [`crate::store::Store::get_range`].
    GetRange,
    /// [`crate::store::Store::list`].
    List,
    /// [`crate::store::Store::delete`].
    Delete,
}

/// How often each verb was called, failed calls included, and how many bytes of objects went either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Calls of `put_new`.
    pub put_new: u64,
    /// Calls of `get`.
    pub get: u64,
    /// Calls of `get_range`.
    pub get_range: u64,
    /// Calls of `list`.
    pub list: u64,
    /// Calls of `delete`.
    pub delete: u64,
    /// Bytes of objects created.
    pub bytes_sent: u64,
    /// Bytes of objects read.
    pub bytes_received: u64,
}

impl Counts {
    /// All calls together.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.put_new + self.get + self.get_range + self.list + self.delete
    }
}

#[derive(Default)]
pub(super) struct Counter {
    put_new: AtomicU64,
    get: AtomicU64,
    get_range: AtomicU64,
    list: AtomicU64,
    delete: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Counter {
    pub(super) fn begin(&self, verb: Verb) {
        let calls = match verb {
            Verb::PutNew => &self.put_new,
            Verb::Get => &self.get,
            Verb::GetRange => &self.get_range,
            Verb::List => &self.list,
            Verb::Delete => &self.delete,
        };
        calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(widen(bytes), Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_received.fetch_add(widen(bytes), Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            put_new: self.put_new.load(Ordering::Relaxed),
            get: self.get.load(Ordering::Relaxed),
            get_range: self.get_range.load(Ordering::Relaxed),
            list: self.list.load(Ordering::Relaxed),
            delete: self.delete.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
        }
    }
}

fn widen(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
