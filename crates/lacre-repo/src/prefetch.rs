//! Small objects of a store far away, read side by side: from afar each costs a round trip, and a repository of a thousand nights has thousands.
//!
//! In: names and lengths from a listing. Out: their bytes, in the order in which they arrive, and for those that could not be read the error. It
//! believes nothing and must not know what the objects mean.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_channel::bounded;
use lacre_format::name::ObjectName;

use crate::{
    catalog::Catalog,
    error::Error,
    limits::{BATCHES_WAITING, PREFETCH_BYTES_MAX, PREFETCH_MIN, PREFETCH_PARALLEL},
    rollup,
    store::{Listing, ObjectMeta, Store, StoreError},
};

/// What becomes of each object that was read, or could not be.
pub(crate) type Each<'a> = dyn FnMut(&ObjectName, Result<Bytes, StoreError>) -> Result<(), Error> + 'a;

/// Reads objects and hands each to `each` on this thread. Long ones are read one at a time, and so is everything on this machine.
///
/// # Errors
/// What `each` says; reading stops there.
pub(crate) fn read_all(
    store: &Store,
    wanted: &[(ObjectName, u64)],
    bytes_max: u64,
    each: &mut Each<'_>,
) -> Result<(), Error> {
    let (small, large): (Vec<_>, Vec<_>) = wanted.iter().partition(|(_, bytes)| *bytes <= PREFETCH_BYTES_MAX);
    if small.len() < PREFETCH_MIN || store.local_path().is_some() {
        return wanted.iter().try_for_each(|(name, _)| each(name, store.get(name, bytes_max)));
    }
    let next = AtomicUsize::new(0);
    let (found, queue) = bounded(BATCHES_WAITING);
    let read = std::thread::scope(|scope| {
        for _ in 0..PREFETCH_PARALLEL.min(small.len()) {
            let (next, small, found) = (&next, &small, found.clone());
            scope.spawn(move || {
                while let Some((name, _)) = small.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // So many at a time are in memory: none may be longer than it was listed to be at most.
                    if found.send((name, store.get(name, bytes_max.min(PREFETCH_BYTES_MAX)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(found);
        // The queue ends with this closure, so that after an error nobody waits for room in it.
        let queue = queue;
        queue.iter().try_for_each(|(name, object)| each(name, object))
    });
    read?;
    large.iter().try_for_each(|(name, _)| each(name, store.get(name, bytes_max)))
}

/// Reads what the catalog does not hold yet into it, as far as it can be read: whoever needs an object that is not there afterwards reads it
/// himself, and meets the error himself.
///
/// # Errors
/// [`Error::Cache`] when the catalog cannot be asked.
pub(crate) fn prefetch<'a>(
    store: &Store,
    catalog: &Catalog,
    listing: &Listing,
    objects: impl Iterator<Item = &'a ObjectMeta>,
) -> Result<(), Error> {
    if store.local_path().is_some() {
        return Ok(());
    }
    let mut wanted = Vec::new();
    for object in objects.filter(|object| object.bytes <= PREFETCH_BYTES_MAX) {
        let Some((name, _)) = ObjectName::parse(&object.name) else { continue };
        if catalog.object(name.as_str())?.is_none_or(|known| known.len() as u64 != object.bytes) {
            wanted.push((name, object.bytes));
        }
    }
    let wanted = rollup::take(store, catalog, listing, wanted)?;
    if wanted.len() < PREFETCH_MIN {
        return Ok(());
    }
    read_all(store, &wanted, PREFETCH_BYTES_MAX, &mut |name, object| {
        // Only a cache: a disk without room for it is no reason not to read.
        if let Ok(object) = object
            && let Err(error) = catalog.keep_object(name.as_str(), &object)
        {
            tracing::warn!(%error, %name, "the object is not cached");
        }
        Ok(())
    })
}
