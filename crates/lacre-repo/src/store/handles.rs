//! A small, bounded set of open files: a restore reads many ranges of few packs.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Most files kept open at once.
pub(super) const HANDLES_MAX: usize = 32;

/// One open object. Objects never change, so its size holds as long as it is open.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
}

/// Open objects by name, the most recently used last.
#[derive(Default)]
pub(super) struct Handles {
    open: Mutex<Vec<(String, Handle)>>,
}

impl Handles {
    pub(super) fn find(&self, name: &str) -> Option<Handle> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|(known, _)| known == name)?;
        let entry = open.remove(at);
        let handle = entry.1.clone();
        open.push(entry);
        Some(handle)
    }

    pub(super) fn keep(&self, name: &str, handle: Handle) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| known != name);
        if open.len() >= HANDLES_MAX {
            open.remove(0);
        }
        open.push((name.to_owned(), handle));
    }

    pub(super) fn forget(&self, name: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| known != name);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
