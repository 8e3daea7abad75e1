//! What an erasure kills and what survivors keep: counted in stored bytes of frames, by reach maps and footers, without any key that
//! opens data.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    ids::{PackId, SnapshotId},
    pack::{Birth, Footer},
    reach::Reach,
};

use crate::{error::Error, repository::Repository, view::View};

/// Stored bytes of the frames that some snapshots use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Frames that only they use.
    pub frames_dead: u64,
    /// Their stored bytes.
    pub bytes_dead: u64,
    /// Frames that survivors use as well.
    pub frames_shared: u64,
    /// Their stored bytes: they stay readable through the survivors.
    pub bytes_shared: u64,
}

impl Repository {
    /// Counts what dies with these snapshots.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read reach maps; [`Error::Damaged`] for a missing one.
    pub(crate) fn account(&self, view: &View, dying: &BTreeSet<SnapshotId>) -> Result<Account, Error> {
        drop(self.refresh(view)?);
        let mut dead: BTreeMap<PackId, BTreeSet<u32>> = BTreeMap::new();
        for snapshot in dying {
            let Some(known) = view.snapshots.get(snapshot) else { continue };
            for (pack, slots) in slots_of(&self.reach(known)?) {
                dead.entry(pack).or_default().extend(slots);
            }
        }
        let mut shared: BTreeMap<PackId, BTreeSet<u32>> = BTreeMap::new();
        for (snapshot, known) in &view.snapshots {
            if dying.contains(snapshot) || !view.is_live(*snapshot) {
                continue;
            }
            let reach = self.reach(known)?;
            for (pack, slots) in &mut dead {
                let kept: BTreeSet<u32> =
                    slots.iter().copied().filter(|slot| reach.contains(Birth { pack: *pack, slot: *slot })).collect();
                slots.retain(|slot| !kept.contains(slot));
                shared.entry(*pack).or_default().extend(kept);
            }
        }
        let (frames_dead, bytes_dead) = self.weigh(&dead)?;
        let (frames_shared, bytes_shared) = self.weigh(&shared)?;
        Ok(Account { frames_dead, bytes_dead, frames_shared, bytes_shared })
    }

    pub(super) fn weigh(&self, frames: &BTreeMap<PackId, BTreeSet<u32>>) -> Result<(u64, u64), Error> {
        let (mut count, mut bytes) = (0u64, 0u64);
        let catalog = self.catalog()?;
        for (pack, slots) in frames {
            count += slots.len() as u64;
            let Some(known) = catalog.packs_by_id(*pack)?.into_iter().next() else { continue };
            let footer = Footer::decode(&known.footer).map_err(|error| Error::format(known.name, error))?;
            let length =
                |slot: &u32| footer.frames.get(usize::try_from(*slot).ok()?).map(|frame| u64::from(frame.bytes));
            bytes += slots.iter().filter_map(length).sum::<u64>();
        }
        Ok((count, bytes))
    }
}

fn slots_of(reach: &Reach) -> impl Iterator<Item = (PackId, Vec<u32>)> + '_ {
    reach.packs().map(|pack| (pack, reach.slots(pack).collect()))
}
