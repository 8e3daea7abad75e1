//! Rollups: one object that holds thousands of small ones, for machines that come from afar.
//!
//! In: what a listing shows and the catalog does not hold. Out: their bytes in the catalog, as if each had been read by itself; or a rollup
//! of everything that is small, in the store. Nothing here is believed: whoever reads an object out of the catalog judges it, and reads it
//! under its own name when it is not what it should be.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use lacre_format::{
    name::{Named, ObjectName},
    rollup::{Builder, ROLLED_BYTES_MAX, ROLLUP_BYTES_MAX, decode, is_rolled_up},
};

use crate::{
    catalog::Catalog,
    error::Error,
    limits::{
        PREFETCH_MIN, ROLLUP_BATCH, ROLLUP_BYTES_A_READ, ROLLUP_MIN, ROLLUP_SHARE, ROLLUPS_IN_VAIN_MAX, ROLLUPS_MAX,
    },
    monitor::{Finding, Severity},
    prefetch::read_all,
    store::{Deletion, Listing, Store, StoreError},
    view::{VIEWED, digest},
};

/// Where rollups lie.
pub(crate) const FOLDER: &str = "rollup";

/// What has to be listed to take something out of rollups, or to roll up.
pub(crate) fn listed() -> Vec<&'static str> {
    VIEWED.iter().copied().chain([FOLDER]).collect()
}

/// Takes what is wanted out of the rollups of a listing, those that hold most first; gives back what is in none.
///
/// # Errors
/// [`Error::Cache`] when the catalog cannot be asked. A rollup that cannot be read is passed over.
pub(crate) fn take(
    store: &Store,
    catalog: &Catalog,
    listing: &Listing,
    wanted: Vec<(ObjectName, u64)>,
) -> Result<Vec<(ObjectName, u64)>, Error> {
    let mut rollups: Vec<_> =
        listing.below(FOLDER).filter_map(|object| Some((ObjectName::parse(&object.name)?, object.bytes))).collect();
    rollups.sort_by(|((one, _), _), ((other, _), _)| other.cmp(one));
    let mut wanted: BTreeMap<ObjectName, u64> = wanted.into_iter().collect();
    let mut in_vain = 0;
    for ((name, named), bytes) in rollups.into_iter().take(ROLLUPS_MAX) {
        // Two or three objects are read as fast as the rollup is.
        if wanted.len() <= PREFETCH_MIN || in_vain >= ROLLUPS_IN_VAIN_MAX {
            break;
        }
        let Named::Rollup(_, promised) = named else { continue };
        let is_dear = bytes.div_ceil(ROLLUP_BYTES_A_READ) > wanted.len() as u64;
        // What was taken apart once holds nothing new: a rollup never changes.
        if is_dear || catalog.object(name.as_str())?.is_some() {
            continue;
        }
        let before = wanted.len();
        match store.get(&name, ROLLUP_BYTES_MAX) {
            Ok(bytes) if digest(&bytes) == promised => unpack(catalog, &name, &bytes, &mut wanted),
            Ok(_) => tracing::warn!(%name, "the rollup is damaged; what it holds is read one by one"),
            Err(error) => tracing::warn!(%error, %name, "the rollup cannot be read; what it holds is read one by one"),
        }
        in_vain += usize::from(wanted.len() == before);
    }
    Ok(wanted.into_iter().collect())
}

fn unpack(catalog: &Catalog, rollup: &ObjectName, bytes: &[u8], wanted: &mut BTreeMap<ObjectName, u64>) {
    // That it was taken apart is kept under its name.
    let mut found: Vec<(ObjectName, &[u8])> = vec![(rollup.clone(), &[])];
    match decode(bytes) {
        Ok(objects) => {
            let is_wanted = |(name, object): &(ObjectName, &[u8])| wanted.get(name) == Some(&(object.len() as u64));
            found.extend(objects.into_iter().filter(is_wanted));
        }
        Err(error) => tracing::warn!(%error, %rollup, "the rollup is damaged; what it holds is read one by one"),
    }
    // Only a cache: a disk without room for it is no reason not to read.
    if let Err(error) = catalog.keep_rolled(&found) {
        tracing::warn!(%error, %rollup, "what a rollup holds is not cached");
        return;
    }
    for (name, _) in &found {
        wanted.remove(name);
    }
}

/// Why rollups are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// A new one is made when enough objects are in none.
    WorthIt,
    /// Objects were deleted just now: a rollup that holds them does not stay.
    Deleted,
}

/// What came of rolling up.
#[derive(Debug, Default)]
pub(crate) struct Rolled {
    pub(crate) written: u64,
    pub(crate) deleted: u64,
    pub(crate) findings: Vec<Finding>,
}

/// What of a store is rolled up, and the rollups that are there.
#[derive(Default)]
struct Survey {
    small: Vec<(ObjectName, u64, Timestamp)>,
    /// How many objects each says it holds.
    old: BTreeMap<ObjectName, usize>,
    /// When the newest of them was stored.
    newest: Option<Timestamp>,
}

impl Survey {
    fn of(listing: &Listing) -> Self {
        let mut survey = Self::default();
        for object in &listing.objects {
            match ObjectName::parse(&object.name) {
                Some((name, Named::Rollup(objects, _))) => {
                    survey.old.insert(name, usize::try_from(objects).unwrap_or(usize::MAX));
                    survey.newest = survey.newest.max(Some(object.modified));
                }
                Some((name, named)) if is_rolled_up(&named) && object.bytes <= ROLLED_BYTES_MAX => {
                    survey.small.push((name, object.bytes, object.modified));
                }
                _ => {}
            }
        }
        survey
    }

    /// Whether a new rollup is worth it when so many more objects were stored since the listing. The times are the store's own, and
    /// what they get wrong costs requests and nothing else.
    fn is_due(&self, due: Due, more: usize) -> bool {
        let all = self.small.len().saturating_add(more);
        if due == Due::Deleted && !self.old.is_empty() {
            return true;
        }
        if self.old.len() >= ROLLUPS_MAX {
            return false;
        }
        let is_newer = |stored: &Timestamp| self.newest.is_none_or(|newest| *stored > newest);
        let newer = self.small.iter().filter(|(_, _, stored)| is_newer(stored)).count().saturating_add(more);
        let held = self.old.values().fold(0_usize, |sum, objects| sum.saturating_add(*objects));
        // Where none may be deleted several lie there, and each is complete as of its day.
        let (amiss, least) = if self.old.len() > 1 {
            (all.saturating_sub(held), ROLLUP_MIN.max(all / ROLLUP_SHARE))
        } else {
            (all.abs_diff(held), ROLLUP_MIN)
        };
        newer.max(amiss) >= least
    }
}

/// Whether a store that was listed before so many small objects more came into it lacks a rollup. Nothing is asked of it.
pub(crate) fn is_due(store: &Store, listing: &Listing, due: Due, more: usize) -> bool {
    store.local_path().is_none() && Survey::of(listing).is_due(due, more)
}

/// Writes rollups of all small objects of a listing that every reader needs, if it is due, and deletes those they replace.
///
/// # Errors
/// [`Error::Cache`]; errors of the store while small objects are read. That the store takes no rollup, or gives none up, is a finding.
pub(crate) fn roll_up(store: &Store, catalog: &Catalog, listing: &Listing, due: Due) -> Result<Rolled, Error> {
    let mut rolled = Rolled::default();
    if !is_due(store, listing, due, 0) {
        return Ok(rolled);
    }
    let Survey { small, mut old, .. } = Survey::of(listing);
    let mut builder = Builder::default();
    for batch in small.chunks(ROLLUP_BATCH) {
        for (name, object) in read_batch(store, catalog, batch)? {
            builder.push(&name, &object);
            if builder.is_full() && !put(store, catalog, std::mem::take(&mut builder), &mut old, &mut rolled) {
                return Ok(rolled);
            }
        }
    }
    if builder.count() == 0 || put(store, catalog, builder, &mut old, &mut rolled) {
        delete(store, &old, &mut rolled);
    }
    Ok(rolled)
}

/// Objects of the store by name, from the catalog as far as it has them. What is gone meanwhile is left out.
fn read_batch(
    store: &Store,
    catalog: &Catalog,
    batch: &[(ObjectName, u64, Timestamp)],
) -> Result<BTreeMap<ObjectName, Vec<u8>>, Error> {
    let mut found = BTreeMap::new();
    let mut wanted = Vec::new();
    for (name, bytes, _) in batch {
        match catalog.object(name.as_str())? {
            Some(object) if u64::try_from(object.len()) == Ok(*bytes) => drop(found.insert(name.clone(), object)),
            _ => wanted.push((name.clone(), *bytes)),
        }
    }
    read_all(store, &wanted, ROLLED_BYTES_MAX, &mut |name, object| match object {
        Ok(object) => {
            found.insert(name.clone(), object.to_vec());
            Ok(())
        }
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    })?;
    Ok(found)
}

/// Stores a rollup; `false` when the store does not take it, and then nothing is deleted.
fn put(
    store: &Store,
    catalog: &Catalog,
    builder: Builder,
    old: &mut BTreeMap<ObjectName, usize>,
    rolled: &mut Rolled,
) -> bool {
    let objects = builder.count();
    let bytes = Bytes::from(builder.finish());
    let name = ObjectName::of(&Named::Rollup(objects, digest(&bytes)));
    // The same objects make the same rollup.
    if old.remove(&name).is_some() {
        return true;
    }
    match store.put_new(&name, bytes) {
        Ok(_) => {
            rolled.written += 1;
            // This host has all that is in it.
            if let Err(error) = catalog.keep_rolled(&[(name.clone(), &[])]) {
                tracing::warn!(%error, %name, "the rollup is not noted");
            }
            true
        }
        Err(error) => {
            let what = format!("no rollup was stored: {error}");
            let advice = "a machine from afar reads object by object";
            rolled.findings.push(Finding::new(Severity::Note, what, name, advice));
            false
        }
    }
}

fn delete(store: &Store, old: &BTreeMap<ObjectName, usize>, rolled: &mut Rolled) {
    for name in old.keys() {
        match store.delete(name) {
            Ok(Deletion::Gone | Deletion::Hidden) => rolled.deleted += 1,
            Ok(Deletion::Pending { .. }) | Err(StoreError::NotFound { .. }) => {}
            // Keys that only add are right for most copies.
            Err(StoreError::PermissionDenied { .. } | StoreError::ReadOnly { .. }) => return,
            Err(error) => {
                let what = format!("a replaced rollup was not deleted: {error}");
                rolled.findings.push(Finding::new(Severity::Note, what, name, "the next one deletes it"));
            }
        }
    }
}
