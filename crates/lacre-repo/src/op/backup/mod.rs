//! Backup: one session from its marker to its commit, by protocol rules 2 to 5.
//!
//! ```text
//! begin   PUT session; then read policy, admin chains; then fix the base      (the driver opens its source only now)
//! stream  cut, seal, pack, upload
//! commit  index delta, reach; every birth resolves; anchor the key entry; PUT snap, read it back; read voids and intents
//! after   destroy the old index, PUT the session's end
//! ```

pub(crate) mod commit;
mod packer;
pub(crate) mod pipeline;
mod session;
mod stream;
mod successor;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use lacre_format::{
    authority::Authority,
    codec,
    header::{ChainHead, Label, SnapshotObject, StreamCut},
    ids::{Digest, HomeId, JobName, Millis, Salt, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    reach::{REACH_BYTES_MAX, Reach, RebuiltReach},
    root::Shape,
    segment::Salted,
    session::{Outcome, SESSION_BYTES_MAX},
    signed::Signed,
};
use lacre_seal::{entropy, index_row::IndexKey, secret::StreamSecret, structure::Structure};

use crate::{
    catalog::{IndexTable, IndexWriter},
    cut::{CutKeys, CutParameters},
    error::Error,
    files::LockFile,
    home::WriterKeys,
    limits::TAGS_MAX,
    monitor::{Finding, Monitor, Severity},
    op::backup::{
        pipeline::{Base, Pipeline, Setup},
        stream::Connections,
    },
    repository::{Look, Repository},
    store::Listing,
    view::{Known, View},
};

pub(crate) use session::{put_end, put_session};

pub use commit::{BackupReport, SourceFacts};
pub use stream::{Rows, StreamSpec, StreamSummary, StreamWriter};

/// How a backup is made.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// zstd level, -5 to 19.
    pub level: i32,
    /// A source without a single byte is no failure.
    pub allow_empty: bool,
    /// A source under half of its base is no failure.
    pub allow_shrink: bool,
    /// The operator's tags.
    pub tags: Vec<String>,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self { level: 1, allow_empty: false, allow_shrink: false, tags: Vec::new() }
    }
}

/// One open session. Dropping it without [`Backup::commit`] leaves no snapshot.
pub struct Backup<'r> {
    repository: &'r Repository,
    job: JobName,
    snapshot: SnapshotId,
    session: Digest,
    keys: WriterKeys,
    secret: StreamSecret,
    cut_keys: Arc<CutKeys>,
    options: BackupOptions,
    view: View,
    seen: Vec<ChainHead>,
    /// The same, for the index: it stands for a file or pipe as well.
    opened: Vec<ChainHead>,
    base: Option<SnapshotId>,
    /// Whose run made the index that is used: the base, or the snapshot the base replaces.
    indexed: Option<SnapshotId>,
    previous: Option<Label>,
    cuts: BTreeMap<lacre_format::ids::StreamTag, StreamCut>,
    pipeline: Option<Pipeline>,
    names: BTreeSet<String>,
    streams: Mutex<u32>,
    finished: Arc<Mutex<Vec<StreamSummary>>>,
    findings: Vec<Finding>,
    monitor: Arc<dyn Monitor>,
    stands: bool,
    sent_before: u64,
    taken: Millis,
    started: jiff::Timestamp,
    _lock: LockFile,
}

impl Backup<'_> {
    /// Dates the snapshot: its source is a dump that was made then.
    ///
    /// # Errors
    /// [`Error::Usage`] for a time that is still to come.
    pub fn date(&mut self, taken: Millis) -> Result<(), Error> {
        if taken.0 > self.repository.clock().now().as_millisecond() {
            return Err(Error::Usage { why: "a dump cannot be dated in the future".to_owned() });
        }
        self.taken = taken;
        Ok(())
    }

    /// The snapshot whose index the next run of the job wants: this one, or its base when that is of a later day.
    pub(super) fn next_base(&self) -> SnapshotId {
        let later =
            self.base.filter(|base| self.view.snapshots.get(base).is_some_and(|known| known.header.taken > self.taken));
        later.unwrap_or(self.snapshot)
    }
}

/// A session that is written, and nothing else yet.
struct Opening {
    snapshot: SnapshotId,
    session: Digest,
    keys: WriterKeys,
    secret: StreamSecret,
    options: BackupOptions,
    monitor: Arc<dyn Monitor>,
    wish: Option<SnapshotId>,
    dead: Vec<SnapshotId>,
    sent_before: u64,
    started: jiff::Timestamp,
    lock: LockFile,
}

impl Repository {
    /// Opens a session for one snapshot of a job. The source must be opened after this returns (rule 2).
    ///
    /// # Errors
    /// [`Error::Busy`] when the job is being backed up on this host; [`Error::KeyMissing`] without a writer key; errors of the
    /// store.
    pub fn begin_backup(
        &self,
        job: &JobName,
        options: BackupOptions,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Backup<'_>, Error> {
        if options.tags.len() > TAGS_MAX {
            return Err(Error::Usage { why: format!("more than {TAGS_MAX} tags") });
        }
        let lock = self.home().lock_job(job)?;
        let keys = self.home().writer_keys()?;
        let secret = self.home().stream_secret(job)?;
        let snapshot = entropy::snapshot_id()?;
        let started = self.clock().now();
        let sent_before = self.store().counts().bytes_sent;
        // The flag is written before anything is read: whoever deletes reads it, whoever erases waits for it.
        let wish = self.wish(job, &keys)?;
        let dead = self.home().noted_sessions(job)?;
        self.home().note_session(job, snapshot)?;
        let session = put_session(self, &keys.signer, job, snapshot, wish)?;
        let opening =
            Opening { snapshot, session, keys, secret, options, monitor, wish, dead, sent_before, started, lock };
        self.begin_opened(job, opening).inspect_err(|_| self.end_unused(job, snapshot))
    }

    /// A run that goes no further than its flag takes it down, so that no collection waits for it. Where that fails, too, the next run of the
    /// job does it.
    fn end_unused(&self, job: &JobName, snapshot: SnapshotId) {
        let ended = self
            .home()
            .writer_keys()
            .and_then(|keys| put_end(self, &keys.signer, snapshot, Outcome::Abandoned))
            .and_then(|()| self.home().forget_session(job, snapshot));
        if let Err(error) = ended {
            tracing::warn!(%error, %snapshot, "the session stays open until the next run of its job");
        }
    }

    fn begin_opened(&self, job: &JobName, opening: Opening) -> Result<Backup<'_>, Error> {
        let Opening { snapshot, session, keys, secret, options, monitor, wish, dead, sent_before, started, lock } =
            opening;
        let Look { view, listing } = self.look()?;
        refuse_without_role(&view, keys.signer.home)?;
        let mut findings = view.findings.clone();
        findings.extend(self.refresh_from(&view, &listing)?);
        let newest = newest_of(self, &view, job, None)?;
        let own = newest_of(self, &view, job, Some(&keys))?.filter(|(known, _)| Some(known.header.snapshot) == wish);
        let own = own.or_else(|| self.successor_of(&view, job, wish));
        let (base, own_label) = match own.zip(wish) {
            Some(((known, label), indexed)) => {
                (self.base(job, &view, (indexed, &known), &listing, &mut findings)?, Some(label))
            }
            None => (None, None),
        };
        let base_id = base.as_ref().map(|(snapshot, _)| *snapshot);
        let indexed = wish.filter(|_| base.is_some());
        let (index, index_key) = self.new_index(job, snapshot, indexed)?;
        // Only now: a session's end says that the indexes before it are destroyed.
        findings.extend(self.end_dead_sessions(&keys, job, &view, &dead));
        let pipeline = Pipeline::start(Setup {
            repository: self.id(),
            structure: self.structure()?,
            secret: StreamSecret::from_bytes(&secret.to_key_file()),
            base: base.map(|(_, base)| base),
            level: options.level,
            store: self.store().clone(),
            parity: self.parity(),
            monitor: Arc::clone(&monitor),
            index,
            index_key,
            job: job.clone(),
            snapshot,
        })?;
        let cuts = own_label.or_else(|| newest.as_ref().map(|(_, label)| label.clone()));
        Ok(Backup {
            repository: self,
            job: job.clone(),
            snapshot,
            session,
            keys,
            cut_keys: Arc::new(cut_keys(&secret)),
            secret,
            options,
            seen: view.admin_heads(),
            opened: view.admin_heads(),
            view,
            base: base_id,
            indexed,
            previous: newest.map(|(_, label)| label),
            cuts: cuts.into_iter().flat_map(|label| label.cuts).map(|cut| (cut.stream, cut)).collect(),
            pipeline: Some(pipeline),
            names: BTreeSet::new(),
            streams: Mutex::new(0),
            finished: Arc::default(),
            findings,
            monitor,
            stands: false,
            sent_before,
            taken: Millis(self.clock().now().as_millisecond()),
            started,
            _lock: lock,
        })
    }

    /// A new index under a new key; whatever an aborted run left behind is destroyed first.
    fn new_index(
        &self,
        job: &JobName,
        snapshot: SnapshotId,
        base: Option<SnapshotId>,
    ) -> Result<(IndexWriter, IndexKey), Error> {
        self.home().destroy_indexes(job, base)?;
        let key = IndexKey::generate()?;
        let index = IndexWriter::create(&self.home().index_database(job, snapshot))?;
        self.home().keep_index_key(job, snapshot, &key)?;
        Ok((index, key))
    }

    /// The snapshot this run would like as its base: only one whose index is on this host can be, and what this host has stored
    /// itself it finds in its own cache. Whether it is still live is read from the store later.
    fn wish(&self, job: &JobName, keys: &WriterKeys) -> Result<Option<SnapshotId>, Error> {
        let indexed = self.home().indexes(job)?;
        if indexed.is_empty() {
            return Ok(None);
        }
        let mut newest = None;
        for snapshot in indexed {
            let name = ObjectName::of(&Named::Snapshot(snapshot));
            let Some(bytes) = self.catalog()?.object(name.as_str())? else { continue };
            let Ok(header) = SnapshotObject::decode(&bytes).and_then(|object| object.header()) else { continue };
            newest = newest.max(Some((header.taken, header.seq, snapshot)));
        }
        match newest {
            Some((_, _, snapshot)) => Ok(Some(snapshot)),
            // The caches were deleted: what is live says the store.
            None => Ok(newest_of(self, &self.view()?, job, Some(keys))?.map(|(known, _)| known.header.snapshot)),
        }
    }

    /// Gives up what earlier runs of this job on this host left open. The job's lock says that they are dead here; a clone of this host has
    /// the same keys and may be alive, so a session without a snapshot is not ended but voided, in two steps: this home says so, and
    /// whoever may void does it, at once if that is this host.
    fn end_dead_sessions(&self, keys: &WriterKeys, job: &JobName, view: &View, dead: &[SnapshotId]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for snapshot in dead {
            if let Err(error) = self.end_dead_session(keys, job, view, *snapshot) {
                let advice = "it stays open until the next run, and garbage collection waits for it";
                findings.push(Finding::new(
                    Severity::Warning,
                    error.to_string(),
                    format!("session/{snapshot}"),
                    advice,
                ));
            }
        }
        findings
    }

    fn end_dead_session(
        &self,
        keys: &WriterKeys,
        job: &JobName,
        view: &View,
        snapshot: SnapshotId,
    ) -> Result<(), Error> {
        if view.snapshots.contains_key(&snapshot) {
            put_end(self, &keys.signer, snapshot, Outcome::Committed)?;
        } else if self.session_is_there(snapshot)? {
            if self.give_up_session(&keys.signer, snapshot)? {
                // It is there after all, and nobody acknowledged it: the next look at the store decides.
                return Ok(());
            }
            if let Ok(admin) = self.home().admin_key() {
                self.void_session(view, &admin, snapshot)?;
            }
        }
        self.home().forget_session(job, snapshot)
    }

    /// A run that died before its flag was stored left nothing to give up.
    fn session_is_there(&self, snapshot: SnapshotId) -> Result<bool, Error> {
        match self.store().get(&ObjectName::of(&Named::Session(snapshot)), SESSION_BYTES_MAX) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What of the last run may be reused: its index, if this host still has it, within the reach of its snapshot; after the erasure of
    /// a person, within that of the snapshot which replaces it.
    fn base(
        &self,
        job: &JobName,
        view: &View,
        (indexed, known): (SnapshotId, &Known),
        listing: &Listing,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<(SnapshotId, Base)>, Error> {
        let snapshot = known.header.snapshot;
        let database = self.home().index_database(job, indexed);
        let Some(key) = self.home().index_key(job, indexed) else { return Ok(None) };
        let Ok(table) = IndexTable::load(&database) else { return Ok(None) };
        match self.reach_of_base(job, known, listing) {
            Ok(mut reach) => {
                for pack in self.unresolved_in(view, &reach, listing)? {
                    // Rule 2: what a plan is about to take is not built upon.
                    if self.lies_in_condemned(&reach, view, pack)? {
                        let what = format!("pack {pack} of snapshot {} is about to be collected", snapshot.short());
                        let advice =
                            "everything is stored again this time; finish the collection with `lacre repo prune`";
                        findings.push(Finding::new(Severity::Note, what, pack, advice));
                        return Ok(None);
                    }
                    let what = format!("pack {pack} of snapshot {} is missing", snapshot.short());
                    let advice = "what it held is stored again this time; run `lacre repo repair`";
                    findings.push(Finding::new(Severity::Warning, what, pack, advice));
                    reach.remove(pack);
                }
                Ok(Some((snapshot, Base { key, database, table, reach })))
            }
            Err(error @ (Error::Damaged { .. } | Error::Format { .. })) => {
                let advice = "everything is stored again this time; run `lacre repo check`";
                findings.push(Finding::new(Severity::Warning, error.to_string(), format!("reach/{snapshot}"), advice));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The reach map of a base, which this host keeps since it made it; that it is still in the store says the listing.
    fn reach_of_base(&self, job: &JobName, known: &Known, listing: &Listing) -> Result<Reach, Error> {
        let name = ObjectName::of(&Named::Reach(known.header.snapshot));
        let kept = self.catalog()?.object(&kept_reach(job))?;
        let is_listed = listing.below("reach").any(|object| object.name == name.as_str());
        match kept.filter(|bytes| *blake3::hash(bytes).as_bytes() == *known.header.reach.as_bytes()) {
            Some(bytes) if is_listed => self.open_reach(known, &name, &bytes),
            _ => self.reach(known),
        }
    }

    /// The reach map of a snapshot, checked against its signed header.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is missing or not the one the writer signed for.
    pub fn reach(&self, known: &Known) -> Result<Reach, Error> {
        let name = ObjectName::of(&Named::Reach(known.header.snapshot));
        let why = match self.store().get(&name, REACH_BYTES_MAX) {
            Ok(bytes) if *blake3::hash(&bytes).as_bytes() == *known.header.reach.as_bytes() => {
                return self.open_reach(known, &name, &bytes);
            }
            Ok(_) => "it is not the reach map its writer signed for",
            Err(error) if error.is_not_found() => "the reach map is missing",
            Err(error) => {
                let error = Error::from(error);
                if !crate::view::of_the_object(&error) {
                    return Err(error);
                }
                "the reach map cannot be read"
            }
        };
        self.rebuilt_reach(known)?.ok_or_else(|| Error::damaged(&name, why))
    }

    /// A reach map that was made again, by the word of an admin or maintenance home.
    fn rebuilt_reach(&self, known: &Known) -> Result<Option<Reach>, Error> {
        let snapshot = known.header.snapshot;
        let mut view = None;
        for object in self.store().list("reach")?.objects {
            let Some((name, Named::RebuiltReach(of, digest))) = ObjectName::parse(&object.name) else { continue };
            if of != snapshot {
                continue;
            }
            let Ok(bytes) = self.store().get(&name, REACH_BYTES_MAX) else { continue };
            if *blake3::hash(&bytes).as_bytes() != *digest.as_bytes() {
                continue;
            }
            let view = match &mut view {
                Some(view) => view,
                none => none.insert(self.view()?),
            };
            let Ok(signed) = Signed::decode(Kind::RebuiltReach, &bytes) else { continue };
            let is_believed = view.verify(Kind::RebuiltReach, &name, &signed).is_ok() && view.may_maintain(signed.home);
            let Ok(rebuilt) = codec::from_cbor::<RebuiltReach>("rebuilt reach map", &signed.payload) else { continue };
            if is_believed && rebuilt.snapshot == snapshot && rebuilt.repository == self.id() {
                return self.unseal_reach(known, &name, rebuilt.salt, &rebuilt.map).map(Some);
            }
        }
        Ok(None)
    }

    fn open_reach(&self, known: &Known, name: &ObjectName, bytes: &[u8]) -> Result<Reach, Error> {
        let body = lacre_format::object::strip_start(Kind::Reach, bytes).map_err(|error| Error::format(name, error))?;
        let salted: Salted = codec::from_cbor("reach map", body).map_err(|error| Error::format(name, error))?;
        self.unseal_reach(known, name, salted.salt, &salted.ciphertext)
    }

    fn unseal_reach(&self, known: &Known, name: &ObjectName, salt: Salt, sealed: &[u8]) -> Result<Reach, Error> {
        let plaintext = self
            .structure()?
            .open(Structure::Reach(known.header.snapshot), self.id(), salt, sealed)
            .map_err(|error| Error::damaged(name, error.to_string()))?;
        Reach::decode(&plaintext).map_err(|error| Error::format(name, error))
    }
}

fn cut_keys(secret: &StreamSecret) -> CutKeys {
    let tables = secret.cut_secret();
    CutKeys::new(tables.gear(), tables.row())
}

/// A run that could never commit does not begin.
fn refuse_without_role(view: &View, home: HomeId) -> Result<(), Error> {
    let why = match view.home(home) {
        Some(entry) if !view.may_sign(home) => {
            format!("this host ({}) was revoked as a writer of the repository", entry.label)
        }
        Some(entry) if Authority::of_object(Kind::Snapshot).admits(entry.role) => return Ok(()),
        Some(entry) => format!("this host ({}) is enrolled, but not as a writer of the repository", entry.label),
        None => "this host is not enrolled as a writer of the repository".to_owned(),
    };
    Err(Error::Refused { why })
}

/// Where the catalog keeps the reach map of a job's newest snapshot; no object has such a name.
fn kept_reach(job: &JobName) -> String {
    format!("base of {job}")
}

/// The newest live snapshot of a job, of this host only if its keys are given.
fn newest_of(
    repository: &Repository,
    view: &View,
    job: &JobName,
    keys: Option<&WriterKeys>,
) -> Result<Option<(Known, Label)>, Error> {
    let structure = repository.structure()?;
    let mut newest: Option<(Known, Label)> = None;
    for known in view.snapshots.values() {
        let header = &known.header;
        let later =
            newest.as_ref().is_none_or(|(best, _)| (best.header.taken, best.header.seq) < (header.taken, header.seq));
        let mine = keys.is_none_or(|keys| keys.signer.home == header.home);
        if !later || !mine || !view.is_live(header.snapshot) {
            continue;
        }
        match repository.label(&structure, header) {
            Ok(label) if label.job == *job => newest = Some((known.clone(), label)),
            _ => {}
        }
    }
    Ok(newest)
}

impl Backup<'_> {
    /// The id the snapshot will have.
    #[must_use]
    pub const fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// Opens a stream. Streams may be written one after the other or side by side, from any thread.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is taken in this snapshot.
    pub fn stream(&mut self, spec: StreamSpec) -> Result<StreamWriter, Error> {
        if !self.names.insert(spec.name.clone()) {
            return Err(Error::Usage { why: format!("two streams are named {:?}", spec.name) });
        }
        let parameters = self.parameters(&spec);
        let keys = Arc::clone(&self.cut_keys);
        let stopped = || Error::Bug { why: "the pipeline has ended".to_owned() };
        let pipeline = self.pipeline.as_ref().ok_or_else(stopped)?;
        let (work, results) = pipeline.inlets().ok_or_else(stopped)?;
        let mut streams = self.streams.lock().map_err(|_| stopped())?;
        let number = *streams;
        *streams = number.checked_add(1).ok_or_else(stopped)?;
        let connections = Connections {
            number,
            work,
            results,
            shared: Arc::clone(&pipeline.shared),
            finished: Arc::clone(&self.finished),
        };
        Ok(StreamWriter::new(spec, parameters, keys, connections))
    }

    fn parameters(&self, spec: &StreamSpec) -> CutParameters {
        if spec.shape == Shape::Bytes {
            return CutParameters::bytes();
        }
        let before = self.cuts.get(&self.secret.stream_tag(&spec.name));
        let known =
            before.and_then(|cut| Some((CutParameters::from_numbers(cut.version, cut.target_bytes).ok()?, cut.bytes)));
        match (known, spec.expected_bytes) {
            (Some((parameters, bytes)), _) if parameters.version() == crate::cut::ROWS_VERSION => {
                parameters.after(bytes)
            }
            (_, Some(bytes)) => CutParameters::for_previous_bytes(bytes),
            _ => CutParameters::rows(),
        }
    }

    /// Adds a finding of the driver to the run.
    pub fn add_finding(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Ends the session without a snapshot, because the source failed. Gives the pipeline's own error, if that came first.
    ///
    /// # Errors
    /// Errors of the store while the session's end is written.
    pub fn abandon(mut self) -> Result<Option<Error>, Error> {
        let failure = self.pipeline.take().and_then(|pipeline| pipeline.finish().err());
        self.repository.home().destroy_indexes(&self.job, self.indexed)?;
        put_end(self.repository, &self.keys.signer, self.snapshot, Outcome::Abandoned)?;
        self.repository.home().forget_session(&self.job, self.snapshot)?;
        Ok(failure)
    }
}
