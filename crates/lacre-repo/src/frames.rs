//! Reading frames: births in, plaintexts out, by coalesced ranges of packs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use lacre_format::{
    frame::Codec,
    ids::{PackId, PackName},
    name::{Named, ObjectName},
    node::Entry,
    pack::{Birth, Footer, FrameEntry, PACK_BYTES_MAX},
};
use lacre_seal::frame::open_frame;
use zeroize::Zeroize;

use crate::{
    catalog::KnownPack,
    error::Error,
    limits::{
        FOOTERS_KEPT, GAP_BYTES_MAX, LOCAL_GAP_BYTES_MAX, NODE_READS_MAX, PACKS_KEPT, STRETCH_BYTES_MAX,
        WHOLE_PACK_DIVISOR,
    },
    repository::Repository,
    squeeze::Unsqueezer,
};

/// A pack with its footer decoded.
struct Located {
    name: PackName,
    frames: Vec<FrameEntry>,
}

/// Decoded footers by birth name, each with the tick of its last use.
#[derive(Default)]
struct Footers {
    known: HashMap<PackId, (u64, Arc<Vec<Located>>)>,
    tick: u64,
}

/// Finds and reads frames; shared between threads.
pub(crate) struct Frames<'r> {
    repository: &'r Repository,
    packs: Mutex<Footers>,
    whole: Mutex<Vec<(PackName, Bytes)>>,
    /// How often a node was read from a pack by itself; a walk over a whole tree soon wants the pack.
    nodes: Mutex<HashMap<PackName, u32>>,
    gap_bytes_max: u64,
}

/// What is read at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Chunks of one stretch of a stream.
    Chunks,
    /// One node of a manifest.
    Node,
}

/// One frame to read: which of the wanted entries, and where it lies.
struct Want {
    index: usize,
    offset: u64,
    bytes: u64,
}

impl<'r> Frames<'r> {
    pub(crate) fn new(repository: &'r Repository) -> Self {
        let gap_bytes_max = if repository.store().local_path().is_some() { LOCAL_GAP_BYTES_MAX } else { GAP_BYTES_MAX };
        Self {
            repository,
            packs: Mutex::default(),
            whole: Mutex::new(Vec::new()),
            nodes: Mutex::default(),
            gap_bytes_max,
        }
    }

    /// The packs that claim a birth name, decoded, through a small cache.
    fn packs(&self, id: PackId) -> Result<Arc<Vec<Located>>, Error> {
        let poisoned = |_| Error::Bug { why: "a thread panicked while it read footers".to_owned() };
        let mut guard = self.packs.lock().map_err(poisoned)?;
        let Footers { known, tick } = &mut *guard;
        *tick += 1;
        if let Some((used, found)) = known.get_mut(&id) {
            *used = *tick;
            return Ok(Arc::clone(found));
        }
        let decode = |pack: KnownPack| {
            let footer = Footer::decode(&pack.footer).map_err(|error| Error::format(pack.name, error))?;
            Ok(Located { name: pack.name, frames: footer.frames })
        };
        let found =
            self.repository.catalog()?.packs_by_id(id)?.into_iter().map(decode).collect::<Result<Vec<_>, Error>>()?;
        if found.is_empty() {
            return Err(Error::PackMissing { pack: id.to_string(), frames: 1 });
        }
        if known.len() >= FOOTERS_KEPT
            && let Some(oldest) = known.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            known.remove(&oldest);
        }
        let found = Arc::new(found);
        known.insert(id, (*tick, Arc::clone(&found)));
        Ok(found)
    }

    /// Whether a birth is known to lie somewhere.
    pub(crate) fn locate(&self, birth: Birth) -> Result<(), Error> {
        let packs = self.packs(birth.pack)?;
        let slot = usize::try_from(birth.slot).unwrap_or(usize::MAX);
        if packs.iter().any(|pack| pack.frames.len() > slot) {
            Ok(())
        } else {
            Err(Error::damaged(format!("pack {}", birth.pack), format!("it has no frame {slot}")))
        }
    }

    /// The length of a pack, and that of some of its frames together.
    pub(crate) fn needed(&self, id: PackId, slots: impl Iterator<Item = u32>) -> Result<(u64, u64), Error> {
        let packs = self.packs(id)?;
        let pack = packs.first().ok_or_else(|| Error::PackMissing { pack: id.to_string(), frames: 1 })?;
        let all = pack.frames.iter().map(|frame| u64::from(frame.bytes)).sum();
        let some = slots
            .filter_map(|slot| pack.frames.get(usize::try_from(slot).ok()?))
            .map(|frame| u64::from(frame.bytes))
            .sum();
        Ok((all, some))
    }

    /// Reads the sealed frames of some entries, in their order.
    pub(crate) fn read(&self, entries: &[Entry], reading: Reading) -> Result<Vec<Bytes>, Error> {
        let mut by_pack: HashMap<PackName, Vec<Want>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let packs = self.packs(entry.birth.pack)?;
            let (name, frame) = frame_of(packs.first(), entry.birth)?;
            let want = Want { index, offset: u64::from(frame.offset), bytes: u64::from(frame.bytes) };
            by_pack.entry(name).or_default().push(want);
        }
        let mut out = vec![Bytes::new(); entries.len()];
        for (name, mut wants) in by_pack {
            wants.sort_by_key(|want| want.offset);
            let wanted: u64 = wants.iter().map(|want| want.bytes).sum();
            match self.whole(name, wanted, reading)? {
                Some(pack) => take_all(&ObjectName::of(&Named::Pack(name)), &pack, 0, &wants, &mut out)?,
                None => self.read_pack(name, &wants, &mut out)?,
            }
        }
        Ok(out)
    }

    /// A whole pack from afar, when much of it is wanted: frames lie shuffled, so neighbours of a stream are all over their pack.
    /// On this machine a request costs no round trip, and reading frame by frame needs little memory.
    fn whole(&self, name: PackName, wanted: u64, reading: Reading) -> Result<Option<Bytes>, Error> {
        if self.repository.store().local_path().is_some() {
            return Ok(None);
        }
        let poisoned = |_| Error::Bug { why: "a thread panicked while it read a pack".to_owned() };
        // The lock is held while the pack is read, so that two threads that want the same pack read it once.
        let mut whole = self.whole.lock().map_err(poisoned)?;
        if let Some(at) = whole.iter().position(|(known, _)| *known == name) {
            let found = whole.remove(at);
            let bytes = found.1.clone();
            whole.push(found);
            return Ok(Some(bytes));
        }
        let known = self.repository.catalog()?.pack_by_name(name)?;
        let again = reading == Reading::Node && self.is_walked(name);
        if !again && known.is_none_or(|known| wanted < known.bytes / WHOLE_PACK_DIVISOR) {
            return Ok(None);
        }
        if whole.len() >= PACKS_KEPT {
            whole.remove(0);
        }
        let bytes = self.repository.store().get(&ObjectName::of(&Named::Pack(name)), PACK_BYTES_MAX)?;
        whole.push((name, bytes.clone()));
        Ok(Some(bytes))
    }

    /// Whether so many nodes of a pack were read by themselves that a walk over the whole tree is likely.
    fn is_walked(&self, name: PackName) -> bool {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let reads = nodes.entry(name).or_insert(0);
        *reads = reads.saturating_add(1);
        *reads > NODE_READS_MAX
    }

    fn read_pack(&self, name: PackName, wants: &[Want], out: &mut [Bytes]) -> Result<(), Error> {
        let object = ObjectName::of(&Named::Pack(name));
        let mut rest = wants;
        while let Some(first) = rest.first() {
            let start = first.offset;
            let mut end = start + first.bytes;
            let mut count = 1;
            for want in &rest[1..] {
                let next = want.offset + want.bytes;
                if want.offset > end + self.gap_bytes_max || next - start > STRETCH_BYTES_MAX {
                    break;
                }
                end = end.max(next);
                count += 1;
            }
            let stretch = self.repository.store().get_range(&object, start..end)?;
            let (now, later) = rest.split_at(count);
            take_all(&object, &stretch, start, now, out)?;
            rest = later;
        }
        Ok(())
    }

    /// Opens a sealed frame; if it does not authenticate, every other pack that claims its birth is tried.
    pub(crate) fn open(
        &self,
        opener: &mut Opener,
        entry: &Entry,
        level: u8,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let first = opener.open(entry, level, sealed, out);
        let Err(error) = first else { return Ok(()) };
        for pack in self.packs(entry.birth.pack)?.iter().skip(1) {
            let Ok((name, frame)) = frame_of(Some(pack), entry.birth) else { continue };
            let range = u64::from(frame.offset)..u64::from(frame.offset) + u64::from(frame.bytes);
            let found = self.repository.store().get_range(&ObjectName::of(&Named::Pack(name)), range);
            let Ok(bytes) = found else { continue };
            if opener.open(entry, level, &bytes, out).is_ok() {
                return Ok(());
            }
        }
        Err(error)
    }
}

fn take_all(object: &ObjectName, stretch: &Bytes, start: u64, wants: &[Want], out: &mut [Bytes]) -> Result<(), Error> {
    for want in wants {
        let from = usize::try_from(want.offset - start).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(want.bytes).unwrap_or(usize::MAX));
        if to > stretch.len() {
            return Err(Error::damaged(object, "it is shorter than its footer says"));
        }
        out[want.index] = stretch.slice(from..to);
    }
    Ok(())
}

fn frame_of(pack: Option<&Located>, birth: Birth) -> Result<(PackName, FrameEntry), Error> {
    let pack = pack.ok_or_else(|| Error::PackMissing { pack: birth.pack.to_string(), frames: 1 })?;
    let slot = usize::try_from(birth.slot).unwrap_or(usize::MAX);
    let frame = pack.frames.get(slot);
    frame.map(|frame| (pack.name, *frame)).ok_or_else(|| {
        Error::damaged(ObjectName::of(&Named::Pack(pack.name)), format!("it has no frame {}", birth.slot))
    })
}

/// One thread's decompressor and scratch space.
pub(crate) struct Opener {
    unsqueezer: Unsqueezer,
    sealed: Vec<u8>,
    raw: Vec<u8>,
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.sealed.zeroize();
        self.raw.zeroize();
    }
}

impl Opener {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { unsqueezer: Unsqueezer::new()?, sealed: Vec::new(), raw: Vec::new() })
    }

    /// Appends the plaintext of a frame to `out`.
    fn open(&mut self, entry: &Entry, level: u8, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let opened = self.open_into(entry, level, sealed, out);
        if level > 0 {
            // A node's plaintext is capabilities.
            self.sealed.zeroize();
            self.raw.zeroize();
        }
        opened
    }

    fn open_into(&mut self, entry: &Entry, level: u8, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let place = || format!("frame {} of pack {}", entry.birth.slot, entry.birth.pack);
        self.sealed.clear();
        self.sealed.extend_from_slice(sealed);
        let body = open_frame(&entry.capability, level, &mut self.sealed)
            .map_err(|error| Error::damaged(place(), error.to_string()))?;
        if body.raw_bytes != entry.raw_bytes {
            return Err(Error::damaged(place(), "it has another length than its parent says"));
        }
        if body.codec == Codec::Raw {
            out.extend_from_slice(body.payload);
            return Ok(());
        }
        let raw_bytes = usize::try_from(body.raw_bytes).unwrap_or(usize::MAX);
        self.unsqueezer
            .unsqueeze(body.codec, body.payload, raw_bytes, &mut self.raw)
            .map_err(|error| Error::damaged(place(), error.to_string()))?;
        out.extend_from_slice(&self.raw);
        Ok(())
    }
}
