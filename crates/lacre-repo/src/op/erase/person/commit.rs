//! The commit of successors: sessions, packs, proof, reach maps, key entries, snapshots.
//!
//! In: covered snapshots whose streams were rebuilt. Out: one snapshot for each, made by the admin's home, that keeps its time, job, tags and
//! cutters and says what it was made of. None of them counts before the record says so, and nothing is destroyed here.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    erasure::Successor,
    frame::padme,
    header::{ChainHead, Header, Label, SnapshotObject, StreamCut},
    ids::{Digest, Millis, SnapshotId, Token},
    name::{Named, ObjectName},
    object::Kind,
    pack::Birth,
    reach::Reach,
    root::{Root, Stream, StreamKind},
    session::Outcome,
};
use lacre_seal::{
    entropy,
    root::seal_root,
    secret::{SnapshotKey, StreamSecret},
    structure::Structure,
};
use zeroize::Zeroizing;

use super::{
    Covered, Rewrite,
    build::{Census, beyond},
    find,
};
use crate::{
    error::Error,
    files::{self, FileError, LockFile, Replace},
    home::Signer,
    ledger::Intent,
    limits::{ANCHOR_ATTEMPTS_MAX, LOCK_PATIENCE},
    monitor::Progress,
    op::backup::{commit::Anchor, put_end, put_session},
    repository::Repository,
    view::View,
};

/// What was made.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Which snapshot replaces which.
    pub successors: Vec<Successor>,
    /// Bytes added to the store, everything counted.
    pub bytes_written: u64,
}

/// Sessions of successors: from their first object on, garbage collection waits for them.
pub(super) struct Begun {
    admin: Signer,
    intent: Intent,
    sessions: Vec<(SnapshotId, Digest)>,
    sent_before: u64,
}

/// One successor that is ready to be committed.
struct Ready {
    snapshot: SnapshotId,
    key: SnapshotKey,
    root: Vec<u8>,
    reach: Digest,
    label: Label,
}

impl Rewrite<'_> {
    /// Opens a session for each successor; whatever an earlier attempt on this host left open is ended first.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Refused`] while an earlier erasure has to be finished first.
    pub fn begin(&mut self, erasure: Token) -> Result<(), Error> {
        let repository = self.repository;
        let admin = repository.home().admin_key()?;
        let turn = LockFile::acquire_within(&repository.home().directory().join("rewrite.lock"), LOCK_PATIENCE)?;
        let view = repository.view()?;
        let intent = find(&view, erasure)?.clone();
        refuse_out_of_order(&view, &intent, self.covered.iter().map(|covered| covered.root.snapshot))?;
        if self.covered.iter().any(|covered| intent.record.snapshots.contains(&covered.root.snapshot)) {
            let why = format!(
                "another run has replaced the snapshots of erasure {} meanwhile; `lacre erase resume` goes on with it",
                intent.record.id.short()
            );
            return Err(Error::Overtaken { why });
        }
        repository.end_dead_rewrites(&admin, &view)?;
        let sent_before = repository.store().counts().bytes_sent;
        let mut sessions = Vec::new();
        for covered in &self.covered {
            let snapshot = entropy::snapshot_id()?;
            repository.note_rewrite(snapshot)?;
            let base = Some(covered.root.snapshot);
            sessions.push((snapshot, put_session(repository, &admin, &covered.root.job, snapshot, base)?));
        }
        self.begun = Some(Begun { admin, intent, sessions, sent_before });
        self.turn = Some(turn);
        Ok(())
    }

    /// Commits the successors of all snapshots, after proving that what they are made of is there and whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] when something is not what was written; [`Error::Overtaken`] when the policy moved again and again, or when
    /// sessions were voided meanwhile.
    pub fn commit(&mut self) -> Result<Made, Error> {
        let bug = || Error::Bug { why: "successors are committed before they are begun".to_owned() };
        let begun = self.begun.take().ok_or_else(bug)?;
        let made = self.commit_all(&begun);
        if made.is_err() {
            // Sessions end without a snapshot; an error of that end is less telling than the one at hand.
            if let Ok(view) = self.repository.view() {
                drop(self.repository.end_dead_rewrites(&begun.admin, &view));
            }
        }
        made
    }

    fn commit_all(&mut self, begun: &Begun) -> Result<Made, Error> {
        self.monitor.progress(Progress::Phase("committing".to_owned()));
        if let Some(packs) = &mut self.packs {
            packs.finish()?;
        }
        let stored = self.packs.as_ref().map(|packs| packs.stored.as_slice()).unwrap_or_default();
        let (segments, _) = self.repository.put_segments(&begun.admin, stored)?;
        self.prove_chunks()?;
        let used = self.take_census()?;
        let mut ready = Vec::new();
        for (at, used) in used.iter().enumerate() {
            let reach = self.reach(at, used)?;
            ready.push(self.prepare(at, begun.sessions[at].0, &reach)?);
        }
        let made = self.commit_ready(begun, &segments, &ready)?;
        for (snapshot, _) in &begun.sessions {
            put_end(self.repository, &begun.admin, *snapshot, Outcome::Committed)?;
            self.repository.forget_rewrite(*snapshot)?;
        }
        let bytes_written = self.repository.store().counts().bytes_sent.saturating_sub(begun.sent_before);
        Ok(Made { successors: made, bytes_written })
    }

    /// Every new chunk is read back from the store and compared.
    fn prove_chunks(&mut self) -> Result<(), Error> {
        for output in self.outputs.values() {
            for (hash, entry) in output.new_chunks() {
                let mut plaintext = Zeroizing::new(Vec::new());
                self.reader.chunks(std::slice::from_ref(entry), &mut plaintext)?;
                if blake3::hash(&plaintext) != *hash {
                    return Err(Error::SelfCheck);
                }
            }
        }
        Ok(())
    }

    /// Walks every tree of every successor, as it is stored: counts, and which of the suspected frames are used all the same.
    fn take_census(&mut self) -> Result<Vec<BTreeSet<Birth>>, Error> {
        let suspects: BTreeSet<Birth> =
            self.covered.iter().flat_map(|covered| covered.suspects.iter().copied()).collect();
        let mut census = Census::default();
        let mut all = Vec::new();
        for covered in &mut self.covered {
            let mut used = BTreeSet::new();
            for (number, old) in covered.root.streams.iter().enumerate() {
                let stream = covered.streams.get(&number).unwrap_or(old);
                let counted = match &stream.top {
                    Some(top) => census.count(&mut self.reader, top, &suspects)?,
                    None => super::build::Counted::default(),
                };
                let is_rewritten = covered.streams.contains_key(&number);
                if counted.bytes != stream.bytes || (!is_rewritten && counted.chunks != stream.chunks) {
                    let why = format!(
                        "it has {} bytes in {} chunks where {} were to be",
                        counted.bytes, counted.chunks, stream.bytes
                    );
                    return Err(Error::damaged(format!("stream {:?}", stream.name), why));
                }
                used.extend(counted.used);
                if let Some(stream) = covered.streams.get_mut(&number) {
                    stream.chunks = counted.chunks;
                }
            }
            all.push(used);
        }
        Ok(all)
    }

    /// What the successor reaches: what the covered one reached, less what it does without, and what is new.
    fn reach(&mut self, at: usize, used: &BTreeSet<Birth>) -> Result<Reach, Error> {
        let covered = &self.covered[at];
        let old = self.repository.reach(&covered.known)?;
        let mut reach = Reach::default();
        for pack in old.packs() {
            for slot in old.slots(pack) {
                let birth = Birth { pack, slot };
                if !covered.suspects.contains(&birth) || used.contains(&birth) {
                    reach.insert(birth);
                }
            }
        }
        for top in covered.streams.values().filter_map(|stream| stream.top.as_ref()) {
            beyond(&mut self.reader, top, &old, &mut reach)?;
        }
        Ok(reach)
    }

    fn prepare(&self, at: usize, snapshot: SnapshotId, reach: &Reach) -> Result<Ready, Error> {
        let covered = &self.covered[at];
        let repository = self.repository;
        let view = repository.view()?;
        if let Some(pack) = repository.unresolved(&view, reach)?.first().copied() {
            // A run that slept until it was voided: what it had stored was garbage by then, and was collected.
            refuse_voided(&view, &[Successor { old: covered.root.snapshot, new: snapshot }])?;
            return Err(Error::PackMissing { pack: pack.to_string(), frames: reach.slots(pack).count() as u64 });
        }
        let object = repository.reach_object(snapshot, reach)?;
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        let bytes = object.len() as u64;
        repository.put_plain(&ObjectName::of(&Named::Reach(snapshot)), object)?;
        let streams = covered.new_streams();
        let label = covered.new_label(&streams, bytes);
        let key = SnapshotKey::generate(snapshot)?;
        let root = seal_root(&key, &covered.new_root(snapshot, streams));
        Ok(Ready { snapshot, key, root, reach: digest, label })
    }

    /// Anchors all key entries under one policy (protocol rule 4), then commits in the order of the list.
    fn commit_ready(&self, begun: &Begun, segments: &[Digest], ready: &[Ready]) -> Result<Vec<Successor>, Error> {
        let repository = self.repository;
        let _turn = LockFile::acquire_within(&repository.home().directory().join("commit.lock"), LOCK_PATIENCE)?;
        let mut view = repository.view()?;
        for _ in 0..ANCHOR_ATTEMPTS_MAX {
            let mut anchors = Vec::new();
            for one in ready {
                anchors.push(repository.put_key_entry(&begun.admin, one.snapshot, &one.key, &view.policy)?.0);
            }
            let tip = repository.view()?;
            let same = tip.policy_digest == view.policy_digest;
            view = tip;
            if same {
                return self.put_all(begun, &view, segments, ready, &anchors);
            }
        }
        Err(Error::Overtaken { why: "the policy changed again and again while successors were committed".to_owned() })
    }

    fn put_all(
        &self,
        begun: &Begun,
        view: &View,
        segments: &[Digest],
        ready: &[Ready],
        anchors: &[Anchor],
    ) -> Result<Vec<Successor>, Error> {
        let repository = self.repository;
        let mut last = view.last_of(begun.admin.home);
        let mut made = Vec::new();
        for (at, (one, anchor)) in ready.iter().zip(anchors).enumerate() {
            let mut header = self.header(at, begun, one, anchor)?;
            header.seq = last.map_or(0, |(seq, _)| seq.saturating_add(1));
            header.previous = last.map(|(_, digest)| digest);
            header.segments = if at == 0 { segments.to_vec() } else { Vec::new() };
            let admin = &begun.admin;
            let signed = admin.key.sign(Kind::Snapshot, repository.id(), admin.home, codec::to_cbor(&header));
            let object = SnapshotObject { signed, root: one.root.clone() }.encode();
            last = Some((header.seq, Digest::new(*blake3::hash(&object).as_bytes())));
            repository.put(&ObjectName::of(&Named::Snapshot(one.snapshot)), object)?;
            made.push(Successor { old: self.covered[at].root.snapshot, new: one.snapshot });
        }
        // Rule 5: whoever voids a session looks for its snapshot after having said so, and this looks for voids after the snapshot.
        refuse_voided(&repository.view()?, &made)?;
        Ok(made)
    }

    fn header(&self, at: usize, begun: &Begun, one: &Ready, anchor: &Anchor) -> Result<Header, Error> {
        let covered = &self.covered[at];
        let repository = self.repository;
        let structure = repository.structure()?;
        let label = structure.seal(Structure::Label(one.snapshot), repository.id(), &codec::to_cbor(&one.label))?;
        Ok(Header {
            repository: repository.id(),
            snapshot: one.snapshot,
            home: begun.admin.home,
            seq: 0,
            previous: None,
            taken: covered.known.header.taken,
            committed: Millis(repository.clock().now().as_millisecond()),
            session: begun.sessions[at].1,
            base: Some(covered.root.snapshot),
            seen: with(&covered.known.header.seen, begun.intent.place),
            policy: anchor.policy,
            generation: anchor.generation,
            token: anchor.token,
            key_entry: anchor.entry,
            key_commitment: one.key.commitment(repository.id(), one.snapshot),
            root: Digest::new(*blake3::hash(&one.root).as_bytes()),
            reach: one.reach,
            segments: Vec::new(),
            label_salt: label.salt,
            label: label.ciphertext,
            derived_from: Some(covered.root.snapshot),
            opened: with(&covered.known.header.opened, begun.intent.place),
            erasure: Some(begun.intent.record.id),
        })
    }
}

/// A successor says which entry of the log it has seen, and with it all before it: erasures are carried out in their order.
fn refuse_out_of_order(view: &View, intent: &Intent, covered: impl Iterator<Item = SnapshotId>) -> Result<(), Error> {
    for snapshot in covered {
        let others = view.persons.covered.get(&snapshot).into_iter().flatten();
        for other in others.filter(|other| **other != intent.record.id) {
            let place = find(view, *other)?.place;
            if (place.home, place.seq) < (intent.place.home, intent.place.seq) {
                let why = format!(
                    "erasure {other} of the same snapshots comes first: finish it with `lacre erase resume`, or give it up"
                );
                return Err(Error::Refused { why });
            }
        }
    }
    Ok(())
}

/// Whether the record may be written: asked under a claim, when nobody else can write theirs.
///
/// Two erasures that were carried out beside each other would each find the successors of the other late, and nothing would be left.
pub(super) fn refuse_unrecordable(view: &View, intent: &Intent, made: &[Successor]) -> Result<(), Error> {
    for pair in made {
        let Some(known) = view.snapshots.get(&pair.new).filter(|_| !view.voided.contains(&pair.new)) else {
            let why = format!("the successor of snapshot {} does not count any more: run it again", pair.old.short());
            return Err(Error::Overtaken { why });
        };
        if known.header.derived_from != Some(pair.old) || known.header.erasure != Some(intent.record.id) {
            let why = format!("snapshot {} was not made of snapshot {}", pair.new.short(), pair.old.short());
            return Err(Error::Usage { why });
        }
        if !view.is_live(pair.old) {
            let why = format!(
                "snapshot {} does not count any more, because it was rewritten, forgotten or erased meanwhile: run it again, over what is there now",
                pair.old.short()
            );
            return Err(Error::Overtaken { why });
        }
    }
    refuse_out_of_order(view, intent, made.iter().map(|pair| pair.old))
}

/// A session that slept until it was voided has no snapshot that will ever count.
fn refuse_voided(view: &View, made: &[Successor]) -> Result<(), Error> {
    let is_void = |pair: &&Successor| view.voided.contains(&pair.new) || view.void_intents.contains(&pair.new);
    match made.iter().find(is_void) {
        Some(pair) => {
            let why = format!(
                "the session of the successor of snapshot {} was voided while this run slept: nothing is changed, run it again",
                pair.old.short()
            );
            Err(Error::Overtaken { why })
        }
        None => Ok(()),
    }
}

/// What a snapshot had seen, and the intent that was carried out on it; nothing that came between.
fn with(seen: &[ChainHead], place: ChainHead) -> Vec<ChainHead> {
    let mut heads: Vec<ChainHead> = seen.to_vec();
    match heads.iter_mut().find(|head| head.home == place.home) {
        Some(head) if head.seq < place.seq => *head = place,
        Some(_) => {}
        None => heads.push(place),
    }
    heads
}

impl Covered {
    fn new_streams(&self) -> Vec<Stream> {
        let new = |(number, old): (usize, &Stream)| self.streams.get(&number).unwrap_or(old).clone();
        self.root.streams.iter().enumerate().map(new).collect()
    }

    fn new_label(&self, streams: &[Stream], stored: u64) -> Label {
        let secret = StreamSecret::from_bytes(self.root.stream_secret.expose());
        let cuts = streams.iter().map(|stream| StreamCut {
            stream: secret.stream_tag(&stream.name),
            version: stream.cut.0,
            target_bytes: stream.cut.1,
            bytes: padme(stream.bytes),
        });
        let is_rows =
            |stream: &&Stream| matches!(stream.kind, StreamKind::Table | StreamKind::Opaque | StreamKind::Sql);
        Label {
            bytes: padme(streams.iter().map(|stream| stream.bytes).sum()),
            rows: streams.iter().filter(is_rows).map(|stream| stream.rows).sum(),
            cuts: cuts.collect(),
            stored,
            ..self.label.clone()
        }
    }

    fn new_root(&self, snapshot: SnapshotId, streams: Vec<Stream>) -> Root {
        Root { snapshot, streams, facts: self.facts.clone(), ..self.root.clone() }
    }
}

impl Repository {
    fn rewrites(&self) -> std::path::PathBuf {
        self.home().directory().join("rewrites")
    }

    /// Notes that a session is about to be opened, so that the next attempt ends it if this one dies.
    fn note_rewrite(&self, snapshot: SnapshotId) -> Result<(), Error> {
        files::create_private_directory(&self.rewrites())?;
        Ok(files::write_secret_file(&self.rewrites().join(snapshot.to_string()), b"", Replace::Never)?)
    }

    fn forget_rewrite(&self, snapshot: SnapshotId) -> Result<(), Error> {
        let path = self.rewrites().join(snapshot.to_string());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::File(FileError::Io { path, action: "remove", source }))
            }
            _ => Ok(()),
        }
    }

    /// Ends what an earlier attempt on this host left open; the lock says that it is dead.
    fn end_dead_rewrites(&self, admin: &Signer, view: &View) -> Result<(), Error> {
        let entries = match std::fs::read_dir(self.rewrites()) {
            Ok(entries) => entries,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::File(FileError::Io { path: self.rewrites(), action: "list", source })),
        };
        let mut noted: BTreeMap<String, SnapshotId> = BTreeMap::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            noted.extend(SnapshotId::parse(&name).ok().map(|snapshot| (name, snapshot)));
        }
        for snapshot in noted.into_values() {
            let there = view.snapshots.contains_key(&snapshot);
            let outcome = if there { Outcome::Committed } else { Outcome::Abandoned };
            put_end(self, admin, snapshot, outcome)?;
            self.forget_rewrite(snapshot)?;
        }
        Ok(())
    }
}
