//! Reading frames: births in, plaintexts out, by coalesced ranges of packs.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    error::{Error, Kind},
    limits::{
        FOOTERS_KEPT, GAP_BYTES_MAX, LOCAL_GAP_BYTES_MAX, NODE_READS_MAX, PACKS_KEPT, READ_ATTEMPTS_MAX,
        STRETCH_BYTES_MAX, WHOLE_PACK_DIVISOR,
    },
    locate::packs_listed,
    monitor::{Finding, Severity},
    repository::Repository,
    squeeze::Unsqueezer,
    store::StoreError,
};

/// The frames of one birth name that a pack holds.
struct Located {
    name: PackName,
    frames: Held,
}

/// How a frame is found in a pack.
enum Held {
    /// It was born there: its slot is its place in the footer.
    Born(Vec<FrameEntry>),
    /// It was moved there: sorted by the slot of its birth.
    Moved(Vec<(u32, FrameEntry)>),
}

impl Located {
    fn bytes(&self) -> u64 {
        match &self.frames {
            Held::Born(frames) => frames.iter().map(|frame| u64::from(frame.bytes)).sum(),
            Held::Moved(frames) => frames.iter().map(|(_, frame)| u64::from(frame.bytes)).sum(),
        }
    }

    fn frame(&self, birth: Birth) -> Option<FrameEntry> {
        match &self.frames {
            Held::Born(frames) => frames.get(usize::try_from(birth.slot).ok()?).copied(),
            Held::Moved(frames) => {
                let at = frames.binary_search_by_key(&birth.slot, |(slot, _)| *slot).ok()?;
                frames.get(at).map(|(_, frame)| *frame)
            }
        }
    }
}

/// Decoded footers by birth name, each with the tick of its last use.
#[derive(Default)]
struct Footers {
    known: HashMap<PackId, (u64, Arc<Vec<Located>>)>,
    tick: u64,
    /// Packs that a cache knows and the store had no more when they were asked for.
    absent: HashSet<PackName>,
}

/// Damaged packs as they were, the last few of them, and what there is to say about each.
#[derive(Default)]
struct Mended {
    packs: Vec<(PackName, Bytes)>,
    beyond: HashSet<PackName>,
    findings: Vec<(PackName, Finding)>,
}

/// Finds and reads frames; shared between threads.
pub(crate) struct Frames<'r> {
    repository: &'r Repository,
    packs: Mutex<Footers>,
    whole: Mutex<Vec<(PackName, Bytes)>>,
    /// Damaged packs that their parity has made whole.
    mended: Mutex<Mended>,
    is_mending: AtomicBool,
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
    /// Whether another pack claims to hold it too.
    elsewhere: bool,
}

impl<'r> Frames<'r> {
    pub(crate) fn new(repository: &'r Repository) -> Self {
        let gap_bytes_max = if repository.store().local_path().is_some() { LOCAL_GAP_BYTES_MAX } else { GAP_BYTES_MAX };
        Self {
            repository,
            packs: Mutex::default(),
            whole: Mutex::new(Vec::new()),
            mended: Mutex::default(),
            is_mending: AtomicBool::new(false),
            nodes: Mutex::default(),
            gap_bytes_max,
        }
    }

    /// The packs that claim a birth name, decoded, through a small cache.
    fn packs(&self, id: PackId) -> Result<Arc<Vec<Located>>, Error> {
        let poisoned = |_| Error::Bug { why: "a thread panicked while it read footers".to_owned() };
        let mut guard = self.packs.lock().map_err(poisoned)?;
        let Footers { known, tick, absent } = &mut *guard;
        *tick += 1;
        if let Some((used, found)) = known.get_mut(&id) {
            *used = *tick;
            return Ok(Arc::clone(found));
        }
        let catalog = self.repository.catalog()?;
        let mut found = Vec::new();
        for pack in catalog.packs_by_id(id)? {
            let footer = Footer::decode(&pack.footer).map_err(|error| Error::format(pack.name, error))?;
            found.push(Located { name: pack.name, frames: Held::Born(footer.frames) });
        }
        for pack in catalog.packs_holding(id)? {
            let footer = Footer::decode(&pack.footer).map_err(|error| Error::format(pack.name, error))?;
            let born = |frame: FrameEntry| frame.born.filter(|birth| birth.pack == id).map(|birth| (birth.slot, frame));
            let mut frames: Vec<(u32, FrameEntry)> = footer.frames.into_iter().filter_map(born).collect();
            frames.sort_by_key(|(slot, _)| *slot);
            found.push(Located { name: pack.name, frames: Held::Moved(frames) });
        }
        drop(catalog);
        let claimed = found.first().map(|pack| pack.name);
        found.retain(|pack| !absent.contains(&pack.name));
        if found.is_empty() {
            let pack = claimed.map_or_else(|| id.to_string(), |name| name.to_string());
            return Err(Error::PackMissing { pack, frames: 1 });
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
        place_of(&packs, birth).map(drop)
    }

    /// Reads the sealed frames of some entries, in their order. A pack that a collection took meanwhile is looked for again: what is
    /// still needed of it lies elsewhere.
    pub(crate) fn read(&self, entries: &[Entry], reading: Reading) -> Result<Vec<Bytes>, Error> {
        let mut attempts = 0;
        loop {
            match self.read_once(entries, reading) {
                Err(Error::Store(error)) if error.is_not_found() && attempts < READ_ATTEMPTS_MAX => {
                    attempts += 1;
                    self.look_again()?;
                }
                other => return other,
            }
        }
    }

    /// The length of the frames that were born in a pack, all that are left, and that of some of them together.
    pub(crate) fn needed(&self, id: PackId, slots: impl Iterator<Item = u32>) -> Result<(u64, u64), Error> {
        let packs = self.packs(id)?;
        let all = packs.iter().map(Located::bytes).sum();
        let placed = slots.filter_map(|slot| place_of(&packs, Birth { pack: id, slot }).ok());
        Ok((all, placed.map(|(_, frame)| u64::from(frame.bytes)).sum()))
    }

    /// Learns anew where frames lie.
    fn look_again(&self) -> Result<(), Error> {
        let view = self.repository.view()?;
        drop(self.repository.refresh(&view)?);
        let present = packs_listed(&self.repository.store().list("packs")?.objects);
        let known = self.repository.catalog()?.pack_names()?;
        let gone = known.into_iter().map(|(name, _)| name).filter(|name| !present.contains_key(name)).collect();
        let poisoned = |_| Error::Bug { why: "a thread panicked while it read footers".to_owned() };
        let mut footers = self.packs.lock().map_err(poisoned)?;
        footers.known.clear();
        footers.absent = gone;
        Ok(())
    }

    fn read_once(&self, entries: &[Entry], reading: Reading) -> Result<Vec<Bytes>, Error> {
        let mut by_pack: HashMap<PackName, Vec<Want>> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let packs = self.packs(entry.birth.pack)?;
            let (name, frame) = place_of(&packs, entry.birth)?;
            let elsewhere = packs.iter().any(|pack| pack.name != name && pack.frame(entry.birth).is_some());
            let want = Want { index, offset: u64::from(frame.offset), bytes: u64::from(frame.bytes), elsewhere };
            by_pack.entry(name).or_default().push(want);
        }
        let mut out = vec![Bytes::new(); entries.len()];
        for (name, mut wants) in by_pack {
            wants.sort_by_key(|want| want.offset);
            let wanted: u64 = wants.iter().map(|want| want.bytes).sum();
            match self.read_wanted(name, wanted, &wants, reading, &mut out) {
                Ok(()) => {}
                // What does not read here does not open either, and is then looked for in the other places.
                Err(error) if is_of_the_pack(&error) && wants.iter().all(|want| want.elsewhere) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(out)
    }

    fn read_wanted(
        &self,
        name: PackName,
        wanted: u64,
        wants: &[Want],
        reading: Reading,
        out: &mut [Bytes],
    ) -> Result<(), Error> {
        let object = ObjectName::of(&Named::Pack(name));
        if let Some(pack) = self.mended_before(name) {
            return take_all(&object, &pack, 0, wants, out);
        }
        let read = self.whole(name, wanted, reading).and_then(|whole| match whole {
            Some(pack) => take_all(&object, &pack, 0, wants, out),
            None => self.read_pack(name, wants, out),
        });
        match read {
            Err(error) if may_be_mended(&error) => match self.mended(name) {
                Some(pack) => take_all(&object, &pack, 0, wants, out),
                None => Err(error),
            },
            read => read,
        }
    }

    fn mending(&self) -> MutexGuard<'_, Mended> {
        self.mended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A damaged pack that was made whole a moment ago.
    fn mended_before(&self, name: PackName) -> Option<Bytes> {
        if !self.is_mending.load(Ordering::Relaxed) {
            return None;
        }
        self.mending().packs.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.clone())
    }

    /// A damaged pack made whole with its parity, in memory; nothing when it has none, or none that reaches.
    fn mended(&self, name: PackName) -> Option<Bytes> {
        // The lock is held meanwhile, so that two threads that meet the damage correct it once.
        let mut mended = self.mending();
        if let Some((_, bytes)) = mended.packs.iter().find(|(known, _)| *known == name) {
            return Some(bytes.clone());
        }
        if mended.beyond.contains(&name) {
            return None;
        }
        self.is_mending.store(true, Ordering::Relaxed);
        let Ok(Some(corrected)) = self.repository.corrected(name) else {
            mended.beyond.insert(name);
            return None;
        };
        if corrected.shards > 0 && mended.findings.iter().all(|(known, _)| *known != name) {
            let what = format!("the pack is damaged; its parity made {} shards of it again", corrected.shards);
            let advice = "nothing is lost: lacre repo repair writes the pack back";
            let object = ObjectName::of(&Named::Pack(name));
            mended.findings.push((name, Finding::new(Severity::Warning, what, object, advice)));
        }
        if mended.packs.len() >= PACKS_KEPT {
            mended.packs.remove(0);
        }
        let bytes = Bytes::from(corrected.bytes);
        mended.packs.push((name, bytes.clone()));
        Some(bytes)
    }

    /// What was met on the way and put right for this reading only.
    pub(crate) fn corrections(&self) -> Vec<Finding> {
        self.mending().findings.iter().map(|(_, finding)| finding.clone()).collect()
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
        for pack in self.packs(entry.birth.pack)?.iter() {
            let (name, Some(frame)) = (pack.name, pack.frame(entry.birth)) else { continue };
            let range = u64::from(frame.offset)..u64::from(frame.offset) + u64::from(frame.bytes);
            let found = self.repository.store().get_range(&ObjectName::of(&Named::Pack(name)), range);
            let Ok(bytes) = found else { continue };
            if opener.open(entry, level, &bytes, out).is_ok() {
                return Ok(());
            }
        }
        for pack in self.packs(entry.birth.pack)?.iter() {
            let Some(frame) = pack.frame(entry.birth) else { continue };
            let Some(whole) = self.mended(pack.name) else { continue };
            let start = usize::try_from(frame.offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(usize::try_from(frame.bytes).unwrap_or(usize::MAX));
            if whole.get(start..end).is_some_and(|bytes| opener.open(entry, level, bytes, out).is_ok()) {
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

/// Whether a read failed for what the pack is, and not because it is gone or the store is away.
fn is_of_the_pack(error: &Error) -> bool {
    let gone = matches!(error, Error::Store(error) if error.is_not_found());
    error.kind() == Kind::Damaged && !gone
}

/// Whether a read failed in a way that parity may help against.
fn may_be_mended(error: &Error) -> bool {
    is_of_the_pack(error) || matches!(error, Error::Store(StoreError::Io { .. }))
}

/// The first place of a frame; which of several is right, its authentication says.
fn place_of(packs: &[Located], birth: Birth) -> Result<(PackName, FrameEntry), Error> {
    let place = packs.iter().find_map(|pack| pack.frame(birth).map(|frame| (pack.name, frame)));
    place.ok_or_else(|| match packs.first() {
        Some(pack) => {
            let object = ObjectName::of(&Named::Pack(pack.name));
            Error::damaged(object, format!("it has no frame {} of pack {}", birth.slot, birth.pack))
        }
        None => Error::PackMissing { pack: birth.pack.to_string(), frames: 1 },
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
