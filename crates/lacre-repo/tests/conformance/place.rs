//! A place under test: how to open a store in it, and what it promises.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use bytes::Bytes;
use lacre_format::name::ObjectName;
use lacre_repo::store::{PutOutcome, Store};

use crate::Case;

/// Cases that run side by side over one server.
const THREADS: usize = 4;

/// What a place promises about a name that is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exclusive {
    /// One creator, whatever happens at the same time.
    Always,
    /// One creator, unless two try at the same moment.
    WithoutRace,
}

/// What the cases run over.
pub(crate) struct Subject<'a> {
    name: &'a str,
    exclusive: Exclusive,
    open: &'a (dyn Fn(&str) -> Store + Sync),
    forgets: bool,
    pages: bool,
}

/// What one case sees.
pub(crate) struct Place<'a> {
    /// A store that holds nothing.
    pub(crate) store: Store,
    /// What it promises.
    pub(crate) exclusive: Exclusive,
    /// Whether objects are gone with the store's last clone.
    pub(crate) forgets: bool,
    /// Whether it is worth filling more than one page of a listing.
    pub(crate) pages: bool,
    name: String,
    open: &'a (dyn Fn(&str) -> Store + Sync),
}

impl<'a> Subject<'a> {
    pub(crate) fn new(name: &'a str, exclusive: Exclusive, open: &'a (dyn Fn(&str) -> Store + Sync)) -> Self {
        Self { name, exclusive, open, forgets: false, pages: true }
    }

    pub(crate) fn forgets(mut self) -> Self {
        self.forgets = true;
        self
    }

    pub(crate) fn in_one_page(mut self) -> Self {
        self.pages = false;
        self
    }

    /// Runs every case, some side by side, and fails with all that did not hold.
    pub(crate) fn run(&self, cases: &[Case]) {
        let (waiting, failed) = (Mutex::new(cases.iter().enumerate()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().unwrap().next();
                        let Some((number, (name, case))) = next else { return };
                        let place = self.place(&format!("case{number:02}"));
                        if catch_unwind(AssertUnwindSafe(|| case(&place))).is_err() {
                            failed.lock().unwrap().push(*name);
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().unwrap();
        assert!(failed.is_empty(), "over {}: {failed:?}", self.name);
    }

    fn place(&self, name: &str) -> Place<'a> {
        let Self { exclusive, forgets, pages, open, .. } = *self;
        Place { store: open(name), exclusive, forgets, pages, name: name.to_owned(), open }
    }
}

impl Place<'_> {
    /// The same place opened again, as by another process.
    pub(crate) fn again(&self) -> Store {
        (self.open)(&self.name)
    }

    /// A place beside this one whose name begins with this one's.
    pub(crate) fn neighbour(&self) -> Store {
        (self.open)(&format!("{}-next", self.name))
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) -> PutOutcome {
        self.store.put_new(&name(path), Bytes::copy_from_slice(bytes)).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Bytes {
        self.store.get(&name(path), u64::MAX).unwrap()
    }

    /// The names a listing gives.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        names(&self.store, prefix)
    }
}

pub(crate) fn name(path: &str) -> ObjectName {
    ObjectName::from_path(path).unwrap()
}

pub(crate) fn names(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix).unwrap().objects.into_iter().map(|object| object.name).collect()
}

/// Bytes without a pattern a store could shorten, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
