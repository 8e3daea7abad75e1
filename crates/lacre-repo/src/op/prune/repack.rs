//! Repacking: what is still needed of thinned packs, copied sealed as it is into new packs under its old names.
//!
//! In: the packs to thin. Out: stored packs, which count for nothing until a signed plan names them. Every source is hashed against its
//! name first; a frame that lies elsewhere too is left out only if the bytes there are the same.

use lacre_format::{
    ids::PackName,
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
        for (slot, frame) in (0u32..).zip(&footer.frames) {
            let birth = birth_of(&footer, slot, frame.born, Claims::from(is_output))
                .filter(|birth| survey.marks.contains(*birth));
            let Some(birth) = birth else { continue };
            let start = usize::try_from(frame.offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(frame.bytes).unwrap_or(usize::MAX));
            let sealed = object.get(start..end);
            let sealed = sealed.ok_or_else(|| Error::damaged(&name, "it is shorter than its footer says"))?;
            if !self.lies_before(survey, source, birth, sealed)? {
                moves.add(frame, sealed, birth)?;
            }
        }
        Ok(object.len() as u64)
    }

    /// Whether the very same bytes lie in a pack that comes before this one by name. Only the first of several places is asked, so
    /// that no two packs can each leave a frame to the other.
    fn lies_before(&self, survey: &Survey, source: PackName, birth: Birth, sealed: &[u8]) -> Result<bool, Error> {
        let Some((first, frame)) = self.first_place(survey, birth)? else { return Ok(false) };
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

    /// The first pack, by name, that holds a frame by its own right or by the word of a plan.
    fn first_place(&self, survey: &Survey, birth: Birth) -> Result<Option<(PackName, FrameEntry)>, Error> {
        let catalog = self.catalog()?;
        let mut places = Vec::new();
        for known in catalog.packs_by_id(birth.pack)? {
            places.push(known);
        }
        let moved = catalog.packs_holding(birth.pack)?.into_iter();
        places.extend(moved.filter(|known| survey.view.plans.outputs.contains(&known.name)));
        if places.len() < 2 {
            return Ok(None);
        }
        places.retain(|known| survey.packs.contains_key(&known.name));
        places.sort_by_key(|known| known.name);
        for known in places {
            let footer = Footer::decode(&known.footer).map_err(|error| Error::format(known.name, error))?;
            let is_output = survey.view.plans.outputs.contains(&known.name);
            let held = (0u32..).zip(&footer.frames);
            let mut held = held
                .filter(|(slot, frame)| birth_of(&footer, *slot, frame.born, Claims::from(is_output)) == Some(birth));
            if let Some((_, frame)) = held.next() {
                return Ok(Some((known.name, *frame)));
            }
        }
        Ok(None)
    }
}
