//! Cells: where the seal lives, outside the repository. A cell is a set of generations in fixed slots or under names of their own, never
//! one value that is overwritten (protocol rule 9).
//!
//! In: a place, and the way to it. Out: the generations it holds, those added after reading them back, and proof that one is gone. Three
//! kinds exist: a file of slots on this host, a bucket of its own, and whatever a command keeps. It must not know policies.

mod place;
mod values;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use lacre_format::ids::{GenerationId, RepositoryId};
use lacre_seal::{
    bundle,
    cell::{SLOT_BYTES, SLOTS, SealedSlot, Slot, claimed_repository, decode_slot, encode_slot},
    entropy,
    outer::SealSeed,
};
use zeroize::Zeroize;

pub use self::place::{CellAnswer, CellError, CellPlace, CellReach, CellVerb, FilesOnly};
use self::values::{ValueName, Values};
use crate::{
    error::Error,
    files::{FileError, LockFile, SlotFile},
    limits::LOCK_PATIENCE,
    monitor::things,
};

/// An open cell.
pub struct Cell {
    place: CellPlace,
    holder: Holder,
}

enum Holder {
    File(SlotFile),
    Values(Values),
}

/// What a cell holds of one repository.
#[derive(Default)]
pub struct Contents {
    /// Generations that were read.
    pub slots: Vec<SealedSlot>,
    /// Every generation that is there, one among them that cannot be read: a hidden version, a half-written value.
    pub held: BTreeSet<GenerationId>,
    /// Slots or values that are damaged and may be this repository's: an old seal may be in them, or the only trace of the current one.
    pub damaged: usize,
}

impl Contents {
    fn read(&mut self, slot: SealedSlot) {
        self.held.insert(slot.generation);
        self.slots.push(slot);
    }

    /// Whether a generation was read from it, not only seen.
    #[must_use]
    pub fn has(&self, generation: GenerationId) -> bool {
        self.slots.iter().any(|slot| slot.generation == generation)
    }
}

impl Cell {
    /// Opens the cell in a file, making the file if there is none.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Cell`] for another kind of cell.
    pub fn create(place: &CellPlace) -> Result<Self, Error> {
        Self::create_over(place, &(Arc::new(FilesOnly) as Arc<dyn CellReach>))
    }

    /// Opens the cell in a file, if it is on this host.
    ///
    /// # Errors
    /// [`Error::File`] when it is there and cannot be read; [`Error::Cell`] for another kind of cell.
    pub fn open(place: &CellPlace) -> Result<Option<Self>, Error> {
        Self::open_over(place, &(Arc::new(FilesOnly) as Arc<dyn CellReach>))
    }

    /// Opens a cell, making its file if there is none.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Cell`] when there is no way to it.
    pub fn create_over(place: &CellPlace, reach: &Arc<dyn CellReach>) -> Result<Self, Error> {
        if let CellPlace::File(path) = place {
            if let Some(parent) = path.parent() {
                crate::files::create_private_directory(parent)?;
            }
            let file = SlotFile::open_or_create(path, SLOTS)?;
            return Ok(Self { place: place.clone(), holder: Holder::File(file) });
        }
        Self::open_over(place, reach)?.ok_or_else(|| Error::Bug { why: "only a file can be missing".to_owned() })
    }

    /// Opens a cell; nothing when it is a file of another host.
    ///
    /// # Errors
    /// [`Error::File`] when it is there and cannot be read; [`Error::Cell`] when there is no way to it.
    pub fn open_over(place: &CellPlace, reach: &Arc<dyn CellReach>) -> Result<Option<Self>, Error> {
        let holder = match place {
            CellPlace::File(path) => match SlotFile::open(path, SLOTS) {
                Ok(file) => Holder::File(file),
                Err(FileError::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            CellPlace::Bucket(url) => {
                Holder::Values(Values::Bucket(reach.bucket(url).map_err(|error| Error::cell(place, error))?))
            }
            CellPlace::Command(words) => {
                Holder::Values(Values::Command { words: words.clone(), reach: Arc::clone(reach) })
            }
        };
        Ok(Some(Self { place: place.clone(), holder }))
    }

    fn fail(&self, error: CellError) -> Error {
        Error::cell(&self.place, error)
    }

    /// What the cell holds of a repository.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Cell`].
    pub fn contents(&self, repository: RepositoryId) -> Result<Contents, Error> {
        let mut contents = Contents::default();
        match &self.holder {
            Holder::File(file) => {
                let slots = slots(file)?;
                contents.damaged = damaged(&slots, repository).len();
                for (_, slot) in slots {
                    match slot {
                        Slot::Full(full) if full.repository == repository => contents.read(full),
                        Slot::Full(_) | Slot::Empty | Slot::Damaged => {}
                    }
                }
            }
            Holder::Values(values) => {
                let names = values.names().map_err(|error| self.fail(error))?;
                for name in names.iter().filter(|name| name.repository == repository) {
                    contents.held.insert(name.generation);
                    match values.get(name).map_err(|error| self.fail(error))? {
                        Some(Slot::Full(full)) => contents.read(full),
                        Some(Slot::Damaged | Slot::Empty) => contents.damaged += 1,
                        None => {}
                    }
                }
            }
        }
        Ok(contents)
    }

    /// The generations of a repository that can be read in this cell.
    ///
    /// # Errors
    /// As [`Cell::contents`].
    pub fn generations(&self, repository: RepositoryId) -> Result<Vec<SealedSlot>, Error> {
        Ok(self.contents(repository)?.slots)
    }

    /// Adds a generation in a free slot or under a new name and reads it back; nothing else is touched.
    ///
    /// # Errors
    /// [`Error::Refused`] when no slot is free; [`Error::File`]; [`Error::Cell`].
    pub fn add(&self, repository: RepositoryId, generation: GenerationId, seed: &SealSeed) -> Result<(), Error> {
        let bytes = encode_slot(repository, generation, seed);
        match &self.holder {
            Holder::File(file) => {
                // Two machines or runs that add at once must not choose the same free slot.
                let _lock = LockFile::acquire_within(file.path(), LOCK_PATIENCE)?;
                let Some(free) = slots(file)?.iter().position(|(_, slot)| matches!(slot, Slot::Empty)) else {
                    let why = format!("the cell {} has no free slot", file.path().display());
                    return Err(Error::Refused { why });
                };
                let slot = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| Error::Bug { why: "a slot of another length".to_owned() })?;
                Ok(file.write_slot(free, slot)?)
            }
            Holder::Values(values) => {
                let name = ValueName::new(repository, generation, entropy::token()?);
                values.put(&name, &bytes).map_err(|error| self.fail(error))
            }
        }
    }

    /// Forgets a generation, every version of it, and proves it. Says what was seen.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Damaged`] or [`Error::Cell`] when it is still there afterwards.
    pub fn destroy(&self, repository: RepositoryId, generation: GenerationId) -> Result<String, Error> {
        match &self.holder {
            Holder::File(file) => destroy_slots(file, repository, generation),
            Holder::Values(values) => {
                let fail = |error| self.fail(error);
                let mut names = values.names().map_err(fail)?;
                names.retain(|name| name.repository == repository && name.generation == generation);
                values.destroy(&names).map_err(fail)
            }
        }
    }

    /// Forgets what is damaged, because an old seal may be in it, once `kept` reads back from this very cell: what is damaged may be its only
    /// trace here. Gives nothing when it does not, or when nothing is damaged. What may be another repository's in the same file stays.
    ///
    /// # Errors
    /// As [`Cell::destroy`].
    pub fn destroy_damaged(&self, repository: RepositoryId, kept: GenerationId) -> Result<Option<String>, Error> {
        let before = self.contents(repository)?;
        if before.damaged == 0 || !before.has(kept) {
            return Ok(None);
        }
        match &self.holder {
            Holder::File(file) => destroy_damaged_slots(file, repository, kept),
            Holder::Values(values) => {
                let fail = |error| self.fail(error);
                let mut names = BTreeSet::new();
                for name in values.names().map_err(fail)?.into_iter().filter(|name| name.repository == repository) {
                    if matches!(values.get(&name).map_err(fail)?, Some(Slot::Damaged | Slot::Empty)) {
                        names.insert(name);
                    }
                }
                values.destroy(&names).map_err(fail).map(|seen| Some(format!("damaged: {seen}")))
            }
        }
    }

    /// Proves, with a value that seals nothing, that the cell keeps, returns, lists and forgets: one that cannot forget is no cell. A file
    /// on this host needs no such proof.
    ///
    /// # Errors
    /// [`Error::Cell`] with what it cannot do.
    pub fn try_out(&self, repository: RepositoryId) -> Result<(), Error> {
        let Holder::Values(values) = &self.holder else { return Ok(()) };
        if let Values::Bucket(store) = values {
            refuse_keeper(store).map_err(|error| self.fail(error))?;
        }
        let seed = SealSeed::generate().map_err(|error| Error::Bug { why: format!("no random bytes: {error}") })?;
        // A number no rotation reaches: should the trial die here, `seal verify` names what it left behind.
        let trial = bundle::generation_id(u32::MAX, &seed);
        let name = ValueName::new(repository, trial, entropy::token()?);
        let tried = values.put(&name, &encode_slot(repository, trial, &seed));
        let forgotten = values.destroy(&BTreeSet::from([name]));
        tried.and(forgotten.map(drop)).map_err(|error| self.fail(error))
    }

    /// The file system a cell's file lies on.
    #[must_use]
    pub fn filesystem(&self) -> Option<String> {
        match &self.holder {
            Holder::File(file) => crate::files::filesystem_of(file.path()).ok(),
            Holder::Values(_) => None,
        }
    }

    /// The path of a cell's file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.holder {
            Holder::File(file) => Some(file.path()),
            Holder::Values(_) => None,
        }
    }
}

/// A bucket that locks every object, hides instead of deleting, or does not show what it holds, cannot be a cell.
fn refuse_keeper(store: &crate::store::Store) -> Result<(), CellError> {
    use crate::store::{DeleteRight, ObjectLock};
    let probe = store.probe()?;
    let left = if probe.left_over.is_empty() {
        String::new()
    } else {
        format!(" (left behind by this test: {})", probe.left_over.join(", "))
    };
    let refuse = |why: &str| Err(CellError::Untrue(format!("{why}{left}")));
    match (probe.object_lock, probe.deletes) {
        (ObjectLock::Default { days, .. }, _) => refuse(&format!(
            "a seal must be able to die, and this bucket locks every new object for {}",
            things(days, ["day", "days"])
        )),
        (_, DeleteRight::Locked { .. }) => refuse("a seal must be able to die, and this bucket locks what is written"),
        (_, DeleteRight::HidesOnly) => {
            refuse("a seal must be able to die, and these keys can only hide it: they may not list and delete versions")
        }
        (_, DeleteRight::Denied) => refuse("a seal must be able to die, and these keys may not delete"),
        (_, DeleteRight::Allowed) if !probe.reads_own_writes || !probe.lists_own_writes => {
            refuse("what is stored in this bucket cannot be read or listed at once")
        }
        (_, DeleteRight::Allowed) => Ok(()),
    }
}

/// Every slot in order, with whose it says it is.
fn slots(file: &SlotFile) -> Result<Vec<(Option<RepositoryId>, Slot)>, Error> {
    let read = |slot| {
        let mut bytes = file.read_slot(slot)?;
        let decoded = (claimed_repository(bytes.as_slice()), decode_slot(bytes.as_slice()));
        bytes.zeroize();
        Ok(decoded)
    };
    (0..file.slots()).map(read).collect()
}

/// The damaged slots that may be a repository's: all but those that name another one which has a legible slot here.
fn damaged(slots: &[(Option<RepositoryId>, Slot)], repository: RepositoryId) -> Vec<usize> {
    let others = others(slots, repository);
    let may_be_ours = |id: &Option<RepositoryId>| id.is_none_or(|id| !others.contains(&id));
    let is_damaged =
        |(_, (id, slot)): &(usize, &(Option<RepositoryId>, Slot))| matches!(slot, Slot::Damaged) && may_be_ours(id);
    slots.iter().enumerate().filter(is_damaged).map(|(number, _)| number).collect()
}

/// Other repositories with a legible slot.
fn others(slots: &[(Option<RepositoryId>, Slot)], repository: RepositoryId) -> BTreeSet<RepositoryId> {
    let full = slots.iter().filter_map(|(_, slot)| match slot {
        Slot::Full(full) => Some(full.repository),
        Slot::Empty | Slot::Damaged => None,
    });
    full.filter(|found| *found != repository).collect()
}

/// Overwrites the damaged slots that are a repository's with zeros, if `kept` still reads back. In a file that others use as well, only those
/// that say so are its own.
fn destroy_damaged_slots(
    file: &SlotFile,
    repository: RepositoryId,
    kept: GenerationId,
) -> Result<Option<String>, Error> {
    let _lock = LockFile::acquire_within(file.path(), LOCK_PATIENCE)?;
    let before = slots(file)?;
    let keeps = |(_, slot): &(Option<RepositoryId>, Slot)| matches!(slot, Slot::Full(full) if full.repository == repository && full.generation == kept);
    if !before.iter().any(keeps) {
        return Ok(None);
    }
    let is_shared = !others(&before, repository).is_empty();
    let mut own = damaged(&before, repository);
    own.retain(|number| !is_shared || before[*number].0 == Some(repository));
    for number in &own {
        file.write_slot(*number, &[0; SLOT_BYTES])?;
    }
    let after = slots(file)?;
    if own.iter().any(|number| !matches!(after[*number].1, Slot::Empty)) {
        let why = "a damaged slot is still there after it was overwritten".to_owned();
        return Err(Error::damaged(file.path().display(), why));
    }
    Ok((!own.is_empty())
        .then(|| format!("{} {}", things(own.len(), ["damaged slot", "damaged slots"]), overwritten_in(file))))
}

/// What is proved of slots that were overwritten.
fn overwritten_in(file: &SlotFile) -> String {
    let filesystem = crate::files::filesystem_of(file.path()).unwrap_or_else(|_| "unknown".to_owned());
    format!(
        "overwritten with zeros, synced, read back as empty; file system {filesystem}; what the device keeps of old blocks is beyond any program"
    )
}

/// Overwrites every slot that holds a generation with zeros, synced and read back.
fn destroy_slots(file: &SlotFile, repository: RepositoryId, generation: GenerationId) -> Result<String, Error> {
    let _lock = LockFile::acquire_within(file.path(), LOCK_PATIENCE)?;
    let holds = |(_, slot): &(Option<RepositoryId>, Slot)| match slot {
        Slot::Full(full) => full.repository == repository && full.generation == generation,
        _ => false,
    };
    let mut overwritten = 0usize;
    for (number, slot) in slots(file)?.iter().enumerate() {
        if holds(slot) {
            file.write_slot(number, &[0; SLOT_BYTES])?;
            overwritten += 1;
        }
    }
    if slots(file)?.iter().any(holds) {
        let why = format!("it still holds {generation} after it was overwritten");
        return Err(Error::damaged(file.path().display(), why));
    }
    Ok(format!("{overwritten} {}", overwritten_in(file)))
}
