//! Stats: what lies in the store, counted.

use lacre_format::pack::Footer;

use crate::{
    error::{Error, Kind},
    op::prune::Losses,
    repository::Repository,
    store::Listing,
};

/// What lies in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    /// Objects of every kind.
    pub objects: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes of packs.
    pub pack_bytes: u64,
    /// Frames in the packs whose footers are known here; 0 on a host that cannot read them.
    pub frames: u64,
    /// Bytes of frames that nothing needs; none where that cannot be known.
    pub dead_bytes: Option<u64>,
    /// Bytes of packs that the next prune deletes as they are.
    pub reclaimable_bytes: Option<u64>,
}

impl Stored {
    /// Counts the objects of a listing of everything.
    pub(crate) fn of(listing: &Listing) -> Self {
        let mut stored = Self::default();
        for object in &listing.objects {
            stored.objects += 1;
            stored.bytes = stored.bytes.saturating_add(object.bytes);
            if object.name.starts_with("packs/") {
                stored.packs += 1;
                stored.pack_bytes = stored.pack_bytes.saturating_add(object.bytes);
            }
        }
        stored
    }
}

impl Repository {
    /// Counts what lies in the store.
    ///
    /// # Errors
    /// Errors of the store and of the catalog.
    pub fn stored(&self) -> Result<Stored, Error> {
        let mut stored = Stored::of(&self.store().list("")?);
        if self.has_structure() {
            let view = self.view()?;
            // Footers that cannot be read are findings of `check`; here they only make the count smaller.
            drop(self.refresh(&view)?);
            let catalog = self.catalog()?;
            for (name, _) in catalog.pack_names()? {
                let Some(known) = catalog.pack_by_name(name)? else { continue };
                let frames = Footer::decode(&known.footer).map_or(0, |footer| footer.frames.len());
                stored.frames = stored.frames.saturating_add(u64::try_from(frames).unwrap_or(u64::MAX));
            }
            drop(catalog);
            self.count_dead(&mut stored)?;
        }
        Ok(stored)
    }

    /// What a prune would find. A reach map that is missing leaves it unknown; `check` and `prune` say which.
    fn count_dead(&self, stored: &mut Stored) -> Result<(), Error> {
        match self.survey(Losses::Refuse) {
            Ok(survey) => {
                let (dead, reclaimable) = survey.dead();
                (stored.dead_bytes, stored.reclaimable_bytes) = (Some(dead), Some(reclaimable));
                Ok(())
            }
            Err(error) if error.kind() == Kind::Damaged => Ok(()),
            Err(error) => Err(error),
        }
    }
}
