//! The siege: what is known opens more, until nothing new opens.
//!
//! ```text
//! seeds -> key envelopes, bundles -> key entries -> (identities) -> snapshot keys -> roots -> capabilities -> nodes -> chunks
//! structure keys (files, roots) -> footers -> where frames lie
//! index keys, stream secrets (files, roots) and any plaintext at hand -> index rows -> capabilities
//! ```
//!
//! In: the loot. Out: the [`Spoils`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lacre_format::{
    codec, frame,
    header::SnapshotObject,
    ids::{RepositoryId, SnapshotId, Token},
    keyring::{Bundle, KeyEntry, KeyEnvelope, WrapKind, decode_bundle_object},
    manifest::Manifest,
    name::{Named, ObjectName},
    node::Node,
    object::{self, Kind},
    pack::{Birth, Footer, TRAILER_BYTES, Trailer},
    root::{Root, Stream},
    segment::Salted,
    signed::Signed,
    suppression::Suppression,
};

use crate::{
    age_file::{self, Hybrid},
    keys::{Key, dk, fingerprint, kh, open, open_once},
    loot::{Loot, Secrets},
};

/// Bytes of a row of a writer's index after its name.
const ROW_BYTES: usize = 12 + 32 + 12 + 4 + 1 + 16;

/// A frame that may be opened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    capability: Key,
    birth: Birth,
    level: u8,
}

/// Everything that opened.
#[derive(Default)]
pub struct Spoils {
    /// Seeds of seal generations that opened something or came with the loot.
    pub seeds: BTreeSet<Key>,
    /// Key entries that came out of a seal, as they were signed.
    pub entries: BTreeSet<Vec<u8>>,
    /// Snapshot keys.
    pub snapshot_keys: BTreeMap<SnapshotId, Key>,
    /// Roots.
    pub roots: BTreeMap<SnapshotId, Root>,
    /// Structure keys.
    pub structures: BTreeSet<Key>,
    /// Stream secrets, and whatever else has the length of one.
    pub stream_secrets: BTreeSet<Key>,
    /// Index keys, and whatever else has the length of one.
    pub index_keys: BTreeSet<Key>,
    /// Seeds of signing keys.
    pub signing: BTreeSet<Key>,
    /// Plaintexts of frames by level and capability: chunks have level 0.
    pub frames: BTreeMap<(u8, Key), Vec<u8>>,
    /// Plaintexts that a row of an index confirmed.
    pub confirmed: BTreeSet<Vec<u8>>,
    /// Suppression lists, by the snapshot they lie beside and the erasure.
    pub lists: BTreeMap<(SnapshotId, Token), Suppression>,
}

impl Spoils {
    /// The plaintexts of all chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().filter(|((level, _), _)| *level == 0).map(|(_, plaintext)| plaintext.as_slice())
    }

    /// Every key that is left, for guessing with.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<Key> {
        let of_snapshots = self.snapshot_keys.values();
        let long_lived = self.structures.iter().chain(&self.stream_secrets).chain(&self.index_keys);
        let of_lists = self.lists.values().map(|list| list.key.expose());
        self.seeds.iter().chain(long_lived).chain(&self.signing).chain(of_snapshots).chain(of_lists).copied().collect()
    }

    /// Every stream of a snapshot, put together from its chunks; nothing for one whose root stayed shut, or of which a frame is missing.
    #[must_use]
    pub fn streams(&self, snapshot: SnapshotId) -> Option<BTreeMap<String, Vec<u8>>> {
        let root = self.roots.get(&snapshot)?;
        root.streams.iter().map(|stream| Some((stream.name.clone(), self.stream(stream)?))).collect()
    }

    /// Level and sealed length of every frame that opened; the loot is the one it came from.
    #[must_use]
    pub fn sealed_lengths(&self, loot: &Loot) -> Vec<(u8, usize)> {
        let repository = repository_of(loot);
        let footers = loot.objects.iter().flat_map(|(_, bytes)| {
            let opened = self.structures.iter().find_map(|structure| open_footer(bytes, structure, repository?));
            opened.into_iter().flat_map(|footer| footer.frames)
        });
        footers.map(|frame| (frame.level, usize::try_from(frame.bytes).unwrap_or(usize::MAX))).collect()
    }

    fn stream(&self, stream: &Stream) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(top) = &stream.top {
            self.put_together(top.level, top.capability.expose(), &mut out)?;
        }
        if u64::try_from(out.len()).ok()? != stream.bytes {
            return None;
        }
        let same = match stream.rewritten {
            None => *blake3::hash(&out).as_bytes() == *stream.blake3.as_bytes(),
            // Of a stream that was rewritten only its nodes are hashed.
            Some(list) => {
                let mut nodes = Vec::new();
                let top = stream.top.as_ref();
                top.map_or(Some(()), |top| {
                    self.lowest_nodes(top.level, top.raw_bytes, top.capability.expose(), &mut nodes)
                })?;
                dk("node list", &[&nodes]) == *list.as_bytes() && stream.blake3.as_bytes().iter().all(|byte| *byte == 0)
            }
        };
        same.then_some(out)
    }

    /// Raw length and capability of every node of level 1, in order.
    fn lowest_nodes(&self, level: u8, raw_bytes: u32, capability: &Key, out: &mut Vec<u8>) -> Option<()> {
        if level == 1 {
            out.extend_from_slice(&raw_bytes.to_le_bytes());
            out.extend_from_slice(capability);
            return Some(());
        }
        let node = Node::decode(self.frames.get(&(level, *capability))?).ok()?;
        let mut entries = node.entries.iter();
        entries.try_for_each(|entry| self.lowest_nodes(level - 1, entry.raw_bytes, entry.capability.expose(), out))
    }

    fn put_together(&self, level: u8, capability: &Key, out: &mut Vec<u8>) -> Option<()> {
        let plaintext = self.frames.get(&(level, *capability))?;
        if level == 0 {
            out.extend_from_slice(plaintext);
            return Some(());
        }
        let node = Node::decode(plaintext).ok()?;
        node.entries.iter().try_for_each(|entry| self.put_together(level - 1, entry.capability.expose(), out))
    }
}

/// A siege under way.
pub struct Siege<'l> {
    loot: &'l Loot,
    secrets: Secrets,
    repository: RepositoryId,
    spoils: Spoils,
    tried: BTreeSet<(usize, Key)>,
    places: BTreeMap<Birth, BTreeSet<(usize, Extent)>>,
    rights: BTreeSet<Right>,
    looked_up: BTreeSet<(Key, Key, u8, Key)>,
}

/// Offset and length in bytes.
type Extent = (usize, usize);

impl<'l> Siege<'l> {
    /// Opens whatever the loot opens.
    #[must_use]
    pub fn of(loot: &'l Loot) -> Spoils {
        Self::with_guesses(loot, &[])
    }

    /// The same for somebody who also guesses plaintexts of chunks.
    #[must_use]
    pub fn with_guesses(loot: &'l Loot, guesses: &[Vec<u8>]) -> Spoils {
        let Some(repository) = repository_of(loot) else { return Spoils::default() };
        let secrets = loot.secrets();
        let spoils = Spoils {
            seeds: secrets.seeds.clone(),
            structures: secrets.structures.clone(),
            stream_secrets: secrets.bare.clone(),
            index_keys: secrets.bare.clone(),
            signing: secrets.signing.clone(),
            ..Spoils::default()
        };
        let mut siege = Siege {
            loot,
            secrets,
            repository,
            spoils,
            tried: BTreeSet::new(),
            places: BTreeMap::new(),
            rights: BTreeSet::new(),
            looked_up: BTreeSet::new(),
        };
        let mut before = None;
        while before != Some(siege.size()) {
            before = Some(siege.size());
            siege.open_entries();
            siege.unwrap_entries();
            siege.open_roots();
            siege.open_lists();
            siege.open_footers();
            siege.open_frames();
            siege.open_rows(guesses);
        }
        siege.spoils
    }

    /// Grows whenever anything new was opened.
    fn size(&self) -> usize {
        let spoils = &self.spoils;
        spoils.entries.len()
            + spoils.snapshot_keys.len()
            + spoils.roots.len()
            + spoils.structures.len()
            + spoils.stream_secrets.len()
            + spoils.frames.len()
            + spoils.confirmed.len()
            + spoils.lists.len()
            + self.places.len()
            + self.rights.len()
    }

    /// Every object with every seed: key envelopes and bundles. Key entries that lie about unsealed are taken as they are.
    fn open_entries(&mut self) {
        for (at, (_, bytes)) in self.loot.objects.iter().chain(&self.loot.files).enumerate() {
            self.spoils.entries.extend(Signed::decode(Kind::KeyEntry, bytes).is_ok().then(|| bytes.clone()));
            for seed in &self.spoils.seeds {
                if !self.tried.insert((at, *seed)) {
                    continue;
                }
                if let Some(entry) = open_envelope(bytes, seed) {
                    self.spoils.entries.insert(entry);
                }
                self.spoils.entries.extend(open_bundle(bytes, seed, self.repository).into_iter().flatten());
            }
        }
    }

    fn unwrap_entries(&mut self) {
        for entry in &self.spoils.entries {
            let Some(entry) = Signed::decode(Kind::KeyEntry, entry)
                .ok()
                .and_then(|signed| codec::from_cbor::<KeyEntry>("key entry", &signed.payload).ok())
            else {
                continue;
            };
            if self.spoils.snapshot_keys.contains_key(&entry.snapshot) {
                continue;
            }
            for wrap in entry.wraps.iter().filter(|wrap| wrap.kind != WrapKind::OpenPgp) {
                for identity in &self.secrets.identities {
                    let Some(payload) = identity.open(&wrap.bytes) else { continue };
                    if let Some((snapshot, key)) = snapshot_key(&payload, self.repository) {
                        self.spoils.snapshot_keys.insert(snapshot, key);
                    }
                }
            }
        }
    }

    fn open_roots(&mut self) {
        for (_, bytes) in &self.loot.objects {
            let Ok(object) = SnapshotObject::decode(bytes) else { continue };
            let Ok(header) = object.header() else { continue };
            let Some(key) = self.spoils.snapshot_keys.get(&header.snapshot) else { continue };
            let Some(root) = open_root(&object.root, key, self.repository, header.snapshot) else { continue };
            self.spoils.structures.insert(*root.structure_key.expose());
            self.spoils.stream_secrets.insert(*root.stream_secret.expose());
            for top in root.streams.iter().flat_map(|stream| stream.top.iter().chain(&stream.dictionaries)) {
                let (capability, birth) = (*top.capability.expose(), top.birth());
                self.rights.insert(Right { capability, birth, level: top.level });
            }
            self.spoils.roots.insert(header.snapshot, root);
        }
    }

    /// Suppression lists, with the keys of the snapshots they lie beside.
    fn open_lists(&mut self) {
        for (name, bytes) in &self.loot.objects {
            let Some((_, Named::Suppression(snapshot, erasure))) = ObjectName::parse(name) else { continue };
            let Some(key) = self.spoils.snapshot_keys.get(&snapshot) else { continue };
            let list = open_list(bytes, key, self.repository, snapshot, erasure);
            self.spoils.lists.extend(list.map(|list| ((snapshot, erasure), list)));
        }
    }

    fn open_footers(&mut self) {
        for (at, (_, bytes)) in self.loot.objects.iter().enumerate() {
            for structure in &self.spoils.structures {
                let Some(footer) = open_footer(bytes, structure, self.repository) else { continue };
                for (slot, frame) in (0u32..).zip(&footer.frames) {
                    let place = (usize::try_from(frame.offset).unwrap_or(0), usize::try_from(frame.bytes).unwrap_or(0));
                    let birth = frame.born.unwrap_or(Birth { pack: footer.pack, slot });
                    self.places.entry(birth).or_default().insert((at, place));
                }
            }
        }
    }

    fn open_frames(&mut self) {
        loop {
            let shut = |right: &&Right| !self.spoils.frames.contains_key(&(right.level, right.capability));
            let wanted: Vec<Right> = self.rights.iter().filter(shut).copied().collect();
            let mut found = false;
            for right in wanted {
                let Some(plaintext) = self.open_frame(&right) else { continue };
                found = true;
                if let Ok(node) = Node::decode(&plaintext)
                    && right.level > 0
                {
                    let below = |entry: &lacre_format::node::Entry| Right {
                        capability: *entry.capability.expose(),
                        birth: entry.birth,
                        level: right.level - 1,
                    };
                    self.rights.extend(node.entries.iter().map(below));
                }
                self.spoils.frames.insert((right.level, right.capability), plaintext);
            }
            if !found {
                return;
            }
        }
    }

    fn open_frame(&self, right: &Right) -> Option<Vec<u8>> {
        self.places.get(&right.birth)?.iter().find_map(|(at, (offset, bytes))| {
            let sealed = self.loot.objects[*at].1.get(*offset..offset.checked_add(*bytes)?)?;
            open_sealed_frame(sealed, &right.capability, right.level)
        })
    }

    /// Rows of writers' indexes: found by their names in the raw bytes of any file, for every plaintext at hand and every guess.
    fn open_rows(&mut self, guesses: &[Vec<u8>]) {
        let known = self.spoils.frames.iter().map(|((level, _), plaintext)| (*level, plaintext.clone()));
        let guessed = guesses.iter().map(|guess| (0, guess.clone()));
        let plaintexts: Vec<(u8, Vec<u8>)> = known.chain(guessed).collect();
        let mut names: HashMap<[u8; 16], (Key, Key, u8, usize)> = HashMap::new();
        for (number, (level, plaintext)) in plaintexts.iter().enumerate() {
            for secret in &self.spoils.stream_secrets {
                let print = fingerprint(secret, *level, plaintext);
                for index in &self.spoils.index_keys {
                    if self.looked_up.insert((*index, *secret, *level, print)) {
                        let hash = kh(index, &[b"f", &print]);
                        let name: [u8; 16] = std::array::from_fn(|at| hash[at]);
                        names.insert(name, (*index, print, *level, number));
                    }
                }
            }
        }
        if names.is_empty() {
            return;
        }
        for (_, bytes) in &self.loot.files {
            for (at, window) in bytes.windows(16).enumerate() {
                let Some((index, print, level, number)) =
                    <[u8; 16]>::try_from(window).ok().and_then(|name| names.get(&name))
                else {
                    continue;
                };
                let Some(row) = bytes.get(at + 16..at + 16 + ROW_BYTES) else { continue };
                let Some(right) = open_row(index, print, *level, window, row) else { continue };
                self.rights.insert(right);
                self.spoils.confirmed.insert(plaintexts[*number].1.clone());
            }
        }
    }
}

fn repository_of(loot: &Loot) -> Option<RepositoryId> {
    let (_, bytes) = loot.objects.iter().find(|(name, _)| name == "lacre.json")?;
    Manifest::decode(bytes).ok().map(|manifest| manifest.repository)
}

fn open_envelope(bytes: &[u8], seed: &Key) -> Option<Vec<u8>> {
    let signed = Signed::decode(Kind::KeyEnvelope, bytes).ok()?;
    let envelope: KeyEnvelope = codec::from_cbor("key envelope", &signed.payload).ok()?;
    age_file::open(&envelope.sealed, &Hybrid(*seed))
}

fn open_bundle(bytes: &[u8], seed: &Key, repository: RepositoryId) -> Option<Vec<Vec<u8>>> {
    let (generation, ciphertext) = decode_bundle_object(bytes).ok()?;
    let (salt, sealed) = ciphertext.split_at_checked(16)?;
    let number = generation.number.to_le_bytes();
    let key = dk("bundle", &[seed, &number, &generation.hash, salt]);
    let file = open_once(&key, &[b"LB1", repository.as_bytes(), &number, &generation.hash], sealed)?;
    let bundle: Bundle = codec::from_cbor("bundle", &age_file::open(&file, &Hybrid(*seed))?).ok()?;
    Some(bundle.entries.into_iter().map(Vec::from).collect())
}

/// `LKS1 | repository | snapshot | K_s`.
fn snapshot_key(payload: &[u8], repository: RepositoryId) -> Option<(SnapshotId, Key)> {
    let rest = payload.strip_prefix(b"LKS1")?.strip_prefix(repository.as_bytes().as_slice())?;
    let (snapshot, key) = rest.split_at_checked(16)?;
    Some((SnapshotId::new(snapshot.try_into().ok()?), key.try_into().ok()?))
}

fn open_root(sealed: &[u8], key: &Key, repository: RepositoryId, snapshot: SnapshotId) -> Option<Root> {
    let key = dk("root key", &[key, snapshot.as_bytes()]);
    let padded = open_once(&key, &[b"LR1", repository.as_bytes(), snapshot.as_bytes()], sealed)?;
    let (length, rest) = padded.split_first_chunk::<4>()?;
    let cbor = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    codec::from_cbor("root", cbor).ok()
}

fn open_list(
    bytes: &[u8],
    key: &Key,
    repository: RepositoryId,
    snapshot: SnapshotId,
    erasure: Token,
) -> Option<Suppression> {
    let sealed: Salted = codec::from_cbor("list", object::strip_start(Kind::Suppression, bytes).ok()?).ok()?;
    let key = dk("suppression list", &[key, snapshot.as_bytes(), sealed.salt.as_bytes()]);
    let aad: [&[u8]; 4] = [b"LSU1", repository.as_bytes(), snapshot.as_bytes(), erasure.as_bytes()];
    codec::from_cbor("list", &open_once(&key, &aad, &sealed.ciphertext)?).ok()
}

fn open_footer(bytes: &[u8], structure: &Key, repository: RepositoryId) -> Option<Footer> {
    let tail = bytes.get(bytes.len().checked_sub(TRAILER_BYTES)?..)?;
    let trailer = Trailer::decode(tail, u64::try_from(bytes.len()).ok()?).ok()?;
    let start = usize::try_from(trailer.footer_start).ok()?;
    let sealed = bytes.get(start..start + usize::try_from(trailer.footer_bytes).ok()?)?;
    let key = dk("pack footer", &[structure, trailer.salt.as_bytes(), repository.as_bytes()]);
    Footer::decode(&open_once(&key, &[b"LPF1", repository.as_bytes()], sealed)?).ok()
}

fn open_sealed_frame(sealed: &[u8], capability: &Key, level: u8) -> Option<Vec<u8>> {
    let (suite, sealed) = sealed.split_first()?;
    let body = open(*suite, &dk("frame key", &[capability]), [0; 12], &[b"LF1", &[*suite, level]], sealed)?;
    let body = frame::decode_body(&body).ok()?;
    match body.codec {
        frame::Codec::Raw => Some(body.payload.to_vec()),
        frame::Codec::Zstd => zstd::bulk::decompress(body.payload, usize::try_from(body.raw_bytes).ok()?).ok(),
        frame::Codec::ZstdDictionary => None,
    }
}

fn open_row(index: &Key, print: &Key, level: u8, name: &[u8], row: &[u8]) -> Option<Right> {
    let (nonce, sealed) = row.split_first_chunk::<12>()?;
    let content = open(1, &kh(index, &[b"r", print]), *nonce, &[b"LIR1", name], sealed)?;
    let (capability, rest) = content.split_first_chunk::<32>()?;
    let (pack, rest) = rest.split_first_chunk::<12>()?;
    let (slot, _) = rest.split_first_chunk::<4>()?;
    let birth = Birth { pack: lacre_format::ids::PackId::new(*pack), slot: u32::from_le_bytes(*slot) };
    Some(Right { capability: *capability, birth, level })
}
