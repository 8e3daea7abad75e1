//! Remembers every object that was ever stored and every version of every file of a host, seen between any two calls of the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Mutex,
};

use bytes::Bytes;
use lacre_adversary::Loot;
use lacre_repo::store::{Verb, witness::Witness};

type Versions = Vec<Vec<u8>>;

/// The memory.
pub(crate) struct Recorder {
    home: PathBuf,
    objects: Mutex<BTreeSet<(String, Vec<u8>)>>,
    puts: Mutex<Vec<(String, usize)>>,
    files: Mutex<BTreeMap<PathBuf, Versions>>,
}

/// Which versions of local files are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Every version of every file, except of the two kinds whose old versions an erasure counts on being gone: slots of cells, and keys
    /// of indexes. Of those the present version is taken.
    All,
    /// The same, and every version of every cell: a cell that was copied aside, or a medium that does not forget.
    AllAndCells,
    /// The same, and every key of an index: a host that was stolen before, or did not destroy.
    AllAndIndexKeys,
}

impl Witness for Recorder {
    fn saw(&self, _: Verb, name: &str, put: Option<&Bytes>) {
        if let Some(bytes) = put {
            self.puts.lock().unwrap().push((name.to_owned(), bytes.len()));
            self.objects.lock().unwrap().insert((name.to_owned(), bytes.to_vec()));
        }
        self.look();
    }
}

impl Recorder {
    pub(crate) fn new(home: &Path) -> Self {
        Self { home: home.to_path_buf(), objects: Mutex::default(), puts: Mutex::default(), files: Mutex::default() }
    }

    /// Looks at every file of the host now.
    pub(crate) fn look(&self) {
        let mut files = self.files.lock().unwrap();
        for (path, bytes) in files_below(&self.home) {
            let versions = files.entry(path).or_default();
            if !versions.contains(&bytes) {
                versions.push(bytes);
            }
        }
    }

    /// Every object that was put, in order, and how long it is.
    pub(crate) fn puts(&self) -> Vec<(String, usize)> {
        self.puts.lock().unwrap().clone()
    }

    /// How many objects, and how many versions of files, were seen.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let files = self.files.lock().unwrap();
        (self.objects.lock().unwrap().len(), files.values().map(Vec::len).sum())
    }

    /// Everything an adversary may hold.
    pub(crate) fn loot(&self, taken: Taken) -> Loot {
        self.look();
        let objects = self.objects.lock().unwrap().iter().cloned().collect();
        let present: BTreeMap<PathBuf, Vec<u8>> = files_below(&self.home).into_iter().collect();
        let mut files = Vec::new();
        for (path, versions) in self.files.lock().unwrap().iter() {
            let name = path.strip_prefix(&self.home).unwrap().to_str().unwrap().to_owned();
            let only_present = match kind_of(&name) {
                Forgotten::Cell => taken != Taken::AllAndCells,
                Forgotten::IndexKey => taken != Taken::AllAndIndexKeys,
                Forgotten::Nothing => false,
            };
            if only_present {
                files.extend(present.get(path).map(|bytes| (name.clone(), bytes.clone())));
            } else {
                files.extend(versions.iter().map(|bytes| (name.clone(), bytes.clone())));
            }
        }
        Loot { objects, files, kits: Vec::new() }
    }

    /// Keys of indexes and slots of cells that are not there any more: what was destroyed.
    pub(crate) fn destroyed(&self) -> Vec<(String, Vec<u8>)> {
        let present: BTreeSet<Vec<u8>> = files_below(&self.home).into_iter().map(|(_, bytes)| bytes).collect();
        let mut gone = Vec::new();
        for (path, versions) in self.files.lock().unwrap().iter() {
            let name = path.to_str().unwrap();
            if kind_of(name) == Forgotten::IndexKey {
                let keys = versions.iter().filter(|key| key.len() == 32 && key.iter().any(|byte| *byte != 0));
                gone.extend(keys.filter(|key| !present.contains(*key)).map(|key| (name.to_owned(), key.clone())));
            }
        }
        gone
    }
}

/// Files whose old versions must be forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgotten {
    Cell,
    IndexKey,
    Nothing,
}

fn kind_of(path: &str) -> Forgotten {
    if path.ends_with(".cell") {
        Forgotten::Cell
    } else if path.contains("/index/") && path.ends_with(".key") {
        Forgotten::IndexKey
    } else {
        Forgotten::Nothing
    }
}

pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path, bytes));
        }
    }
    found
}
