//! Repacking: what is still needed of thinned packs, copied sealed as it is into new packs under its old names.
//!
//! In: the packs to thin. Out: stored packs, which count for nothing until a signed plan names them. Every source is hashed against its
//! name first; a frame that lies elsewhere too is left out only if the bytes there are the same.

use std::collections::{HashMap, hash_map::Entry};

use lacre_format::{
    ids::{PackId, PackName},
    name::{Named, ObjectName},
    pack::{Birth, Footer, FrameEntry, PACK_BYTES_MAX},
};
use lacre_seal::structure::StructureKey;

use crate::{
    catalog::KnownPack,
    error::{Error, Kind},
    monitor::{Finding, Monitor, Progress, Severity},
    op::{
        check::hash_pack,
        prune::survey::{Claims, Survey, birth_of},
    },
    pack::{self, OpenPack},
    parity,
    repository::Repository,
};

/// Names of births whose places are remembered while a pack is thinned.
const PLACES_KEPT: usize = 64;

/// What repacking made.
#[derive(Default)]
pub(crate) struct Repacked {
    /// Sources of which everything needed was copied.
    pub(crate) sources: Vec<PackName>,
    /// The packs it was copied into.
    pub(crate) outputs: Vec<KnownPack>,
    /// Sources that were left alone, and why.
    pub(crate) findings: Vec<Finding>,
}

/// Packs being filled with moved frames: nodes and chunks stay apart, as in a backup.
struct Moves<'r> {
    repository: &'r Repository,
    structure: StructureKey,
    chunks: OpenPack,
    nodes: OpenPack,
    spare: Vec<u8>,
    outputs: Vec<KnownPack>,
}

impl Moves<'_> {
    fn add(&mut self, frame: &FrameEntry, sealed: &[u8], birth: Birth) -> Result<(), Error> {
        let pack = if frame.level == 0 { &mut self.chunks } else { &mut self.nodes };
        pack.add_moved(frame.level, sealed, birth);
        if pack.is_full() {
            let full = std::mem::replace(pack, OpenPack::new(Vec::new())?);
            let buffer = self.close(full)?;
            let next = OpenPack::new(buffer)?;
            if frame.level == 0 {
                self.chunks = next;
            } else {
                self.nodes = next;
            }
        }
        Ok(())
    }

    /// Stores a full pack and proves it; gives its buffer back.
    fn close(&mut self, full: OpenPack) -> Result<Vec<u8>, Error> {
        let object = std::mem::take(&mut self.spare);
        let (closed, buffer) = full.close(&self.structure, self.repository.id(), object)?;
        let name = ObjectName::of(&Named::Pack(closed.known.name));
        // Whatever became of the answer: what lies there is hashed, because its sources are deleted next.
        let put = self.repository.store().put_new(&name, closed.object.clone());
        self.spare = Vec::from(closed.object);
        if let Err(error) = put
            && self.repository.store().local_path().is_some()
        {
            return Err(error.into());
        }
        hash_pack(self.repository, closed.known.name, closed.known.bytes)?;
        if self.repository.keeps_parity() {
            parity::put(self.repository.store(), closed.known.name, &self.spare)?;
        }
        self.outputs.push(closed.known);
        Ok(buffer)
    }

    fn finish(mut self) -> Result<Vec<KnownPack>, Error> {
        let last = [OpenPack::new(Vec::new())?, OpenPack::new(Vec::new())?];
        let [chunks, nodes] = last;
        for pack in [std::mem::replace(&mut self.chunks, chunks), std::mem::replace(&mut self.nodes, nodes)] {
            if !pack.is_empty() {
                drop(self.close(pack)?);
            }
        }
        Ok(self.outputs)
    }
}

impl Repository {
    /// Copies what is needed of some packs; stops early, between two packs, when `stop` says so.
    pub(crate) fn repack(
        &self,
        survey: &Survey,
        sources: &[PackName],
        monitor: &dyn Monitor,
        stop: &dyn Fn() -> bool,
    ) -> Result<Repacked, Error> {
        let mut repacked = Repacked::default();
        let mut moves = Moves {
            repository: self,
            structure: self.structure()?,
            chunks: OpenPack::new(Vec::new())?,
            nodes: OpenPack::new(Vec::new())?,
            spare: Vec::new(),
            outputs: Vec::new(),
        };
        for source in sources {
            if monitor.cancelled() {
                return Err(Error::Interrupted);
            }
            if stop() {
                break;
            }
            match self.thin(survey, *source, &mut moves) {
                Ok(bytes) => {
                    repacked.sources.push(*source);
                    monitor.progress(Progress::Bytes(bytes));
                }
                Err(error) if error.kind() == Kind::Damaged => {
                    let advice = "the pack is left as it is: run `lacre repo check --read-data`";
                    let object = ObjectName::of(&Named::Pack(*source));
                    repacked.findings.push(Finding::new(Severity::Damage, error.to_string(), object, advice));
                }
                Err(error) => return Err(error),
            }
        }
        repacked.outputs = moves.finish()?;
        Ok(repacked)
    }

    /// Copies what is needed of one pack. Nothing of it is copied if it is not what its name says.
    fn thin(&self, survey: &Survey, source: PackName, moves: &mut Moves<'_>) -> Result<u64, Error> {
        let name = ObjectName::of(&Named::Pack(source));
        let object = self.store().get(&name, PACK_BYTES_MAX)?;
        if blake3::hash(&object) != *source.as_bytes() {
            return Err(Error::PackDamaged { pack: source });
        }
        let footer = pack::footer_of(&moves.structure, self.id(), &name, &object)?;
        let known = self.catalog()?.pack_by_name(source)?;
        if known.is_none_or(|known| known.footer != footer.encode()) {
            return Err(Error::damaged(&name, "an index describes it otherwise than its own footer"));
        }
        let is_output = survey.view.plans.outputs.contains(&source);
        let mut places = Places::default();
        for (slot, frame) in (0u32..).zip(&footer.frames) {
            let birth = birth_of(&footer, slot, frame.born, Claims::from(is_output))
                .filter(|birth| survey.marks.contains(*birth));
            let Some(birth) = birth else { continue };
            let start = usize::try_from(frame.offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(frame.bytes).unwrap_or(usize::MAX));
            let sealed = object.get(start..end);
            let sealed = sealed.ok_or_else(|| Error::damaged(&name, "it is shorter than its footer says"))?;
            if !self.lies_before((survey, &mut places), source, birth, sealed)? {
                moves.add(frame, sealed, birth)?;
            }
        }
        Ok(object.len() as u64)
    }

    /// Whether the very same bytes lie in a pack that comes before this one by name. Only the first of several places is asked, so
    /// that no two packs can each leave a frame to the other.
    fn lies_before(
        &self,
        (survey, places): (&Survey, &mut Places),
        source: PackName,
        birth: Birth,
        sealed: &[u8],
    ) -> Result<bool, Error> {
        let Some((first, frame)) = places.first(self, survey, birth)? else { return Ok(false) };
        if first >= source {
            return Ok(false);
        }
        let range = u64::from(frame.offset)..u64::from(frame.offset) + u64::from(frame.bytes);
        match self.store().get_range(&ObjectName::of(&Named::Pack(first)), range) {
            Ok(there) => Ok(there == sealed),
            // What cannot be read there is no second place.
            Err(_) => Ok(false),
        }
    }

    /// Packs that hold frames born under a name, by their own right or by the word of a plan, in the order of their names; nothing when
    /// there is one at most.
    fn places(&self, survey: &Survey, born: PackId) -> Result<Vec<Place>, Error> {
        let catalog = self.catalog()?;
        let mut known = catalog.packs_by_id(born)?;
        let moved = catalog.packs_holding(born)?.into_iter();
        known.extend(moved.filter(|known| survey.view.plans.outputs.contains(&known.name)));
        drop(catalog);
        if known.len() < 2 {
            return Ok(Vec::new());
        }
        known.retain(|known| survey.packs.contains_key(&known.name));
        known.sort_by_key(|known| known.name);
        known.iter().map(|known| Place::new(survey, born, known)).collect()
    }
}

/// Where frames that were born under one name lie in a pack.
struct Place {
    name: PackName,
    /// By slot.
    frames: Vec<(u32, FrameEntry)>,
}

impl Place {
    fn new(survey: &Survey, born: PackId, known: &KnownPack) -> Result<Self, Error> {
        let footer = Footer::decode(&known.footer).map_err(|error| Error::format(known.name, error))?;
        let claims = Claims::from(survey.view.plans.outputs.contains(&known.name));
        let held = |(slot, frame): (u32, &FrameEntry)| {
            let birth = birth_of(&footer, slot, frame.born, claims).filter(|birth| birth.pack == born)?;
            Some((birth.slot, *frame))
        };
        let mut frames: Vec<(u32, FrameEntry)> = (0u32..).zip(&footer.frames).filter_map(held).collect();
        frames.sort_by_key(|(slot, _)| *slot);
        Ok(Self { name: known.name, frames })
    }

    fn frame(&self, slot: u32) -> Option<FrameEntry> {
        let at = self.frames.partition_point(|(known, _)| *known < slot);
        self.frames.get(at).filter(|(known, _)| *known == slot).map(|(_, frame)| *frame)
    }
}

/// The places of frames by the names of their births. A pack has one such name, or, if it was repacked before, as many as packs went into it.
#[derive(Default)]
struct Places {
    known: HashMap<PackId, Vec<Place>>,
}

impl Places {
    /// The first pack, by name, that holds a frame by its own right or by the word of a plan.
    fn first(
        &mut self,
        repository: &Repository,
        survey: &Survey,
        birth: Birth,
    ) -> Result<Option<(PackName, FrameEntry)>, Error> {
        if self.known.len() >= PLACES_KEPT && !self.known.contains_key(&birth.pack) {
            self.known.clear();
        }
        let places = match self.known.entry(birth.pack) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(room) => room.insert(repository.places(survey, birth.pack)?),
        };
        Ok(places.iter().find_map(|place| Some((place.name, place.frame(birth.slot)?))))
    }
}
