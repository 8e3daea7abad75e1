//! Where births lie: the packs they were born in, and the outputs of garbage collections that hold them now.
//!
//! In: a reach map, what the store lists, what the signed plans say. Out: whether every frame is in a pack that is there, and that no
//! plan is about to take. Somebody's claim to hold frames born elsewhere counts only for packs that a plan names (rule 11).

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    ids::{PackId, PackName},
    name::{Named, ObjectName},
    pack::Footer,
    reach::Reach,
};

use crate::{
    error::Error,
    repository::Repository,
    store::{Listing, ObjectMeta},
    view::View,
};

/// The packs of a listing with their lengths; what is no pack is left out.
pub(crate) fn packs_listed(objects: &[ObjectMeta]) -> BTreeMap<PackName, u64> {
    let pack = |object: &ObjectMeta| match ObjectName::parse(&object.name) {
        Some((_, Named::Pack(name))) => Some((name, object.bytes)),
        _ => None,
    };
    objects.iter().filter_map(pack).collect()
}

impl Repository {
    /// The packs of a reach map of which some frame is in no pack that is in the store now and will stay there, whatever a cache believes.
    pub(crate) fn unresolved(&self, view: &View, reach: &Reach) -> Result<Vec<PackId>, Error> {
        self.unresolved_in(view, reach, &self.store().list("packs")?)
    }

    /// The same from a listing made just now.
    pub(crate) fn unresolved_in(&self, view: &View, reach: &Reach, listing: &Listing) -> Result<Vec<PackId>, Error> {
        let mut present = packs_listed(&listing.objects);
        // A pack that is on record as lost may lie there, but not with its bytes.
        present.retain(|name, _| !view.plans.condemned.contains(name) && !view.lost.packs.contains(name));
        let mut unresolved = Vec::new();
        for born in reach.packs() {
            if !self.resolves(view, &present, reach, born)? {
                unresolved.push(born);
            }
        }
        Ok(unresolved)
    }

    /// Whether a pack's frames would all lie somewhere if no plan took anything.
    pub(crate) fn lies_in_condemned(&self, reach: &Reach, view: &View, born: PackId) -> Result<bool, Error> {
        if view.plans.condemned.is_empty() {
            return Ok(false);
        }
        let present = packs_listed(&self.store().list("packs")?.objects);
        self.resolves(view, &present, reach, born)
    }

    /// Whether all births of one pack in a reach map lie in packs that are `present`.
    pub(crate) fn resolves(
        &self,
        view: &View,
        present: &BTreeMap<PackName, u64>,
        reach: &Reach,
        born: PackId,
    ) -> Result<bool, Error> {
        Ok(self.unplaced(view, present, reach, born)?.is_empty())
    }

    /// The slots of one pack in a reach map that lie in no pack that is `present`.
    pub(crate) fn unplaced(
        &self,
        view: &View,
        present: &BTreeMap<PackName, u64>,
        reach: &Reach,
        born: PackId,
    ) -> Result<Vec<u32>, Error> {
        let stays = |name: &PackName, bytes: u64| present.get(name) == Some(&bytes);
        let catalog = self.catalog()?;
        if catalog.pack_names_by_id(born)?.iter().any(|(name, bytes)| stays(name, *bytes)) {
            return Ok(Vec::new());
        }
        let mut slots = BTreeSet::new();
        let moved = catalog.packs_holding(born)?.into_iter();
        for known in moved.filter(|known| stays(&known.name, known.bytes) && view.plans.outputs.contains(&known.name)) {
            let footer = Footer::decode(&known.footer).map_err(|error| Error::format(known.name, error))?;
            let births = footer.frames.iter().filter_map(|frame| frame.born);
            slots.extend(births.filter(|birth| birth.pack == born).map(|birth| birth.slot));
        }
        Ok(reach.slots(born).filter(|slot| !slots.contains(slot)).collect())
    }
}
