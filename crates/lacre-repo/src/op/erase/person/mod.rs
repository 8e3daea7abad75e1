//! Erasing a person from every snapshot of some jobs: who is covered, the signed intent, and the record that all is rewritten.
//!
//! ```text
//! scope    what a predicate covers now; nothing is written
//! intend   PUT the intent: everything of these jobs that has not seen it is covered (protocol rule 6)
//! open     list again, after the intent; open the covered snapshots                                  (rule 7)
//! look     every stored run of rows once (`walk.rs`); the caller knows whose rows they are
//! rebuild  the streams that change (`build.rs`)
//! commit   each covered snapshot's successor (`commit.rs`); it does not count yet
//! record   PUT that all is rewritten: from here successors count, covered ones are to be erased, and what was late is void
//! ```
//! A rotation of the seal (`op/rotate`) then leaves the covered ones behind. What rows mean is not known here.

mod build;
mod commit;
mod emit;
mod standing;
mod suppress;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lacre_format::{
    codec,
    erasure::{ClaimOutcome, PersonAccount, PersonIntent, PersonJobs, Purpose, Rewritten, Successor},
    header::Label,
    ids::{Digest, HomeId, JobName, PackId, SnapshotId, Token},
    log::{EVENT_SNAPSHOTS_MAX, Event},
    pack::Birth,
    root::{Root, Stream},
};
use lacre_seal::{
    entropy,
    secret::{SnapshotKey, StreamSecret},
    structure::Structure,
};
use zeroize::Zeroizing;

pub use self::{
    build::Decide,
    commit::Made,
    standing::{PersonStage, StandingPerson},
    suppress::OpenList,
    walk::{Cause, Look, Memo, Run, RunName, Seen},
};
use self::{
    build::{Build, Output, Packs, replace},
    commit::{Begun, refuse_unrecordable},
    emit::Emit,
    walk::{Reader, Walk},
};
use super::{Account, EraseReason, REASON_BYTES_MAX, status::foreseen, writers_of};
use crate::{
    cut::CutParameters,
    error::Error,
    files::LockFile,
    ledger::Intent,
    monitor::Monitor,
    op::{
        keys::ReadKeys,
        rotate::Pending,
        snapshots::{SnapshotRow, SnapshotState},
    },
    persons::has_seen,
    repository::Repository,
    view::{Known, View},
};

/// What the erasure of a person covers.
#[derive(Clone, Debug)]
pub struct PersonScope {
    /// The jobs, with those of what restores of theirs replaced.
    pub jobs: Vec<JobName>,
    /// Jobs that have snapshots and are not among them: who was in the same database is in those still.
    pub beside: Vec<JobName>,
    /// Snapshots that will be replaced.
    pub covered: Vec<SnapshotRow>,
    /// Snapshots that are held, and keep the person until they are released.
    pub held: Vec<SnapshotRow>,
    /// Snapshots that are forgotten already and die with the same change of the seal.
    pub forgotten: Vec<SnapshotId>,
    /// Open sessions of these jobs: what they commit will be void.
    pub in_flight: Vec<SnapshotId>,
    /// Writers whose next backup of a touched job the erasure waits for.
    pub writers: BTreeSet<HomeId>,
    /// What it will wait for besides that can be told before it is begun.
    pub foreseen: Vec<Pending>,
}

/// A stream's new figures, which only the caller knows.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// The rows' digest.
    pub digest: Option<[u64; 4]>,
}

impl Repository {
    /// What an erasure of a person from these jobs would cover; of all jobs if none is named. Changes nothing.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read labels; [`Error::Usage`] when there is nothing.
    pub fn scope_person(&self, jobs: &[JobName]) -> Result<PersonScope, Error> {
        drop(self.structure()?);
        let view = self.view()?;
        self.scope_in(&view, jobs, None)
    }

    /// The same for an erasure that is intended: what has not seen it and has no successor yet.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown erasure; as [`Repository::scope_person`].
    pub fn scope_intended(&self, erasure: Token) -> Result<PersonScope, Error> {
        let view = self.view()?;
        let intent = find(&view, erasure)?;
        let jobs = self.jobs_of_person(&self.structure()?, intent);
        let jobs = jobs.ok_or_else(|| Error::damaged("log", "the jobs of the erasure do not open"))?;
        self.scope_in(&view, &jobs, Some(intent))
    }

    fn scope_in(&self, view: &View, jobs: &[JobName], intent: Option<&Intent>) -> Result<PersonScope, Error> {
        let rows = self.rows(view);
        let of_all = || rows.iter().filter_map(|row| row.label.as_ref()).map(|label| label.job.clone());
        let jobs: BTreeSet<JobName> = if jobs.is_empty() { of_all().collect() } else { jobs.iter().cloned().collect() };
        // The snapshots of a job that an erasure named may be gone since.
        if intent.is_none()
            && let Some(job) = jobs.iter().find(|job| !of_all().any(|known| known == **job))
        {
            return Err(Error::Usage { why: format!("no snapshot is of job {job}") });
        }
        // What a restore replaced was the same database.
        let safety: Vec<JobName> =
            if intent.is_none() { jobs.iter().map(JobName::safety).collect() } else { Vec::new() };
        let jobs: BTreeSet<JobName> = jobs.into_iter().chain(safety).collect();
        let of_jobs = |row: &SnapshotRow| row.label.as_ref().is_some_and(|label| jobs.contains(&label.job));
        let is_there = |row: &&SnapshotRow| matches!(row.state, SnapshotState::Live | SnapshotState::Forgotten);
        let others = rows.iter().filter(is_there).filter_map(|row| row.label.as_ref()).map(|label| label.job.clone());
        let beside: BTreeSet<JobName> = others.filter(|job| !jobs.contains(job)).collect();
        let is_done = |row: &SnapshotRow| {
            intent.is_some_and(|intent| {
                has_seen(view, intent, &row.known.header)
                    || intent.record.snapshots.contains(&row.snapshot)
                    || row.known.header.erasure == Some(intent.record.id)
            })
        };
        let mut scope = PersonScope {
            covered: Vec::new(),
            held: Vec::new(),
            forgotten: Vec::new(),
            in_flight: self.in_flight(view, &jobs)?,
            writers: writers_of(rows.iter(), &jobs),
            jobs: jobs.iter().cloned().collect(),
            beside: beside.into_iter().collect(),
            foreseen: Vec::new(),
        };
        for row in rows.iter().filter(|row| of_jobs(row) && !is_done(row)) {
            match row.state {
                _ if row.held.is_some() => scope.held.push(row.clone()),
                SnapshotState::Live => scope.covered.push(row.clone()),
                SnapshotState::Forgotten => scope.forgotten.push(row.snapshot),
                SnapshotState::Pending | SnapshotState::Void | SnapshotState::Erased => {}
            }
        }
        scope.foreseen = foreseen(view, &scope.held);
        Ok(scope)
    }

    /// Signs the intent. From here on everything of these jobs that has not seen it is covered. Gives the erasure's id.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Usage`] for a reason that is too long or too many snapshots.
    pub fn intend_person(&self, scope: &PersonScope, reason: &EraseReason) -> Result<Token, Error> {
        let admin = self.home().admin_key()?;
        if reason.code.len() > REASON_BYTES_MAX || reason.code.chars().any(char::is_control) {
            let why = format!("a reason is a code of at most {REASON_BYTES_MAX} bytes, without personal data");
            return Err(Error::Usage { why });
        }
        if scope.covered.len() > EVENT_SNAPSHOTS_MAX {
            return Err(Error::Usage { why: format!("at most {EVENT_SNAPSHOTS_MAX} snapshots at once") });
        }
        let id = entropy::token()?;
        let jobs = codec::to_cbor(&PersonJobs { jobs: scope.jobs.clone() });
        let sealed = self.structure()?.seal(Structure::PersonJobs(id), self.id(), &jobs)?;
        let record = PersonIntent {
            id,
            salt: sealed.salt,
            jobs: sealed.ciphertext,
            reason: reason.code.clone(),
            request: reason.request,
            not_before: reason.not_before,
            approvals: self.view()?.policy.approvals,
        };
        self.append(&admin, &Event::PersonIntent(record))?;
        Ok(id)
    }

    /// Opens snapshots to be searched, and rewritten after that.
    ///
    /// # Errors
    /// [`Error::NoSeal`] or [`Error::NoIdentity`] when a key is missing; [`Error::Damaged`] for a damaged root.
    pub fn open_covered(
        &self,
        rows: &[SnapshotRow],
        keys: &ReadKeys,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Rewrite<'_>, Error> {
        let view = self.view()?;
        let seals = self.seals(&view, keys)?;
        let mut covered = Vec::new();
        for row in rows {
            let key = self.snapshot_key(&view, &seals, keys, &row.known.header)?;
            let root = self.root(&row.known, &key)?;
            let label = row.label.clone().ok_or(Error::KeyMissing { what: "the structure key" })?;
            covered.push(Covered::new(row.known.clone(), label, root, key));
        }
        drop(self.refresh(&view)?);
        Ok(Rewrite {
            repository: self,
            monitor,
            reader: Reader::new(self)?,
            covered,
            outputs: BTreeMap::new(),
            packs: None,
            begun: None,
            turn: None,
        })
    }

    /// What an erasure would kill: stored bytes of the runs that change, and of everything else the covered snapshots reach.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that cannot read reach maps; [`Error::Damaged`] for a missing one.
    pub fn person_estimate(&self, scope: &PersonScope, runs: &BTreeSet<RunName>) -> Result<Account, Error> {
        let view = self.view()?;
        let covered = scope.covered.iter().map(|row| row.snapshot).collect();
        let all = self.account(&view, &covered)?;
        let mut dying: BTreeMap<PackId, BTreeSet<u32>> = BTreeMap::new();
        for birth in runs.iter().flat_map(|run| &run.0) {
            dying.entry(birth.pack).or_default().insert(birth.slot);
        }
        let (frames_dead, bytes_dead) = self.weigh(&dying)?;
        Ok(Account {
            frames_dead,
            bytes_dead,
            frames_shared: (all.frames_dead + all.frames_shared).saturating_sub(frames_dead),
            bytes_shared: (all.bytes_dead + all.bytes_shared).saturating_sub(bytes_dead),
        })
    }

    /// Records that every covered snapshot has its verified successor. From here on the successors count.
    ///
    /// It is written under a claim: of two erasures that rewrote the same snapshots one is recorded, and the other has to look again.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Overtaken`] while another admin changes seal or policy, and when a covered
    /// snapshot or a successor counts no more; [`Error::Refused`] while an earlier erasure has to be finished first; errors of the store.
    pub fn record_rewritten(
        &self,
        made: &[Successor],
        held: &[SnapshotRow],
        account: &PersonAccount,
    ) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let plaintext = codec::to_cbor(account);
        let digest = Digest::new(*blake3::hash(&plaintext).as_bytes());
        let sealed = self.structure()?.seal(Structure::PersonAccount(account.erasure), self.id(), &plaintext)?;
        let record = Rewritten {
            id: account.erasure,
            snapshots: made.to_vec(),
            salt: sealed.salt,
            account: sealed.ciphertext,
            digest,
            held: held.iter().map(|row| row.snapshot).collect(),
        };
        let turn = self.take_turn(&admin, Purpose::Policy)?;
        let refused = self.still_mine(turn.mandate()).and_then(|view| {
            let intent = find(&view, account.erasure)?;
            refuse_unrecordable(&view, intent, made)
        });
        match refused {
            // A request that got no answer may still be on its way: nobody else records anything before that is decided.
            Ok(()) => self.append(&admin, &Event::Rewritten(record))?,
            Err(error) => {
                self.end_turn(&admin, turn, ClaimOutcome::Withdrawn)?;
                return Err(error);
            }
        }
        self.end_turn(&admin, turn, ClaimOutcome::Closed)
    }

    /// The accounts of an erasure of a person, with the bytes that receipts commit to; none on a host without the structure key.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown erasure; [`Error::Damaged`] for one that is not what was signed.
    pub fn person_accounts(&self, erasure: Token) -> Result<Vec<(PersonAccount, Vec<u8>)>, Error> {
        let view = self.view()?;
        let intent = find(&view, erasure)?;
        let structure = self.structure()?;
        let mut accounts = Vec::new();
        for record in intent.person.iter().flat_map(|person| &person.rewritten) {
            let damaged = |why: String| Error::damaged("log", format!("the account of erasure {erasure}: {why}"));
            let what = Structure::PersonAccount(erasure);
            let plaintext = structure.open(what, self.id(), record.salt, &record.account);
            let plaintext = plaintext.map_err(|error| damaged(error.to_string()))?;
            if Digest::new(*blake3::hash(&plaintext).as_bytes()) != record.digest {
                return Err(damaged("it is not what was signed for".to_owned()));
            }
            let account = codec::from_cbor("person account", &plaintext).map_err(|error| damaged(error.to_string()))?;
            accounts.push((account, plaintext));
        }
        Ok(accounts)
    }
}

pub(super) fn find(view: &View, erasure: Token) -> Result<&Intent, Error> {
    let mut standing = view.ledger.standing_persons().map(|(intent, _)| intent);
    standing
        .find(|intent| intent.record.id == erasure)
        .ok_or_else(|| Error::Usage { why: format!("no erasure of a person has the id {erasure}") })
}

/// A covered snapshot and what its successor will be.
struct Covered {
    known: Known,
    label: Label,
    root: Root,
    key: SnapshotKey,
    /// Streams that changed, by their number.
    streams: BTreeMap<usize, Stream>,
    facts: BTreeMap<String, String>,
    suspects: BTreeSet<Birth>,
}

impl Covered {
    fn new(known: Known, label: Label, root: Root, key: SnapshotKey) -> Self {
        let facts = root.facts.clone();
        Self { known, label, root, key, streams: BTreeMap::new(), facts, suspects: BTreeSet::new() }
    }
}

/// Covered snapshots being searched and rewritten. They are named by their place in the list they were opened from.
pub struct Rewrite<'r> {
    repository: &'r Repository,
    monitor: Arc<dyn Monitor>,
    reader: Reader<'r>,
    covered: Vec<Covered>,
    outputs: BTreeMap<JobName, Output>,
    packs: Option<Packs<'r>>,
    begun: Option<Begun>,
    /// One rewrite at a time on this host, to the record.
    turn: Option<LockFile>,
}

impl<'r> Rewrite<'r> {
    /// How many snapshots there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.covered.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.covered.is_empty()
    }

    /// A snapshot's id.
    #[must_use]
    pub fn id(&self, at: usize) -> SnapshotId {
        self.covered[at].root.snapshot
    }

    /// A snapshot's streams.
    #[must_use]
    pub fn streams(&self, at: usize) -> &[Stream] {
        &self.covered[at].root.streams
    }

    /// A snapshot's facts.
    #[must_use]
    pub fn facts(&self, at: usize) -> &BTreeMap<String, String> {
        &self.covered[at].root.facts
    }

    /// Plaintext bytes of chunks that were opened so far.
    #[must_use]
    pub const fn bytes_read(&self) -> u64 {
        self.reader.bytes_read
    }

    /// Looks at every run of a stream that a memo does not know; gives the marked ones in order, as often as they occur.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what does not open; [`Error::Rows`] from whoever looks.
    pub fn look(&mut self, at: usize, stream: usize, memo: &mut Memo, look: &mut Look<'_>) -> Result<Vec<Run>, Error> {
        let Some(top) = self.covered[at].root.streams.get(stream).and_then(|stream| stream.top.clone()) else {
            return Ok(Vec::new());
        };
        let monitor = Arc::clone(&self.monitor);
        Walk::over(&mut self.reader, monitor.as_ref(), &top, memo, look)
    }

    /// The rows of a run.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what does not open.
    pub fn rows(&mut self, run: &Run) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.reader.run(run)
    }

    /// Gives a stream's bytes in pieces.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what does not open; whatever `each` gives.
    pub fn pieces(
        &mut self,
        at: usize,
        stream: usize,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(top) = self.covered[at].root.streams.get(stream).and_then(|stream| stream.top.clone()) else {
            return Ok(());
        };
        let mut open = vec![(top.level, vec![walk::top_entry(&top)].into_iter())];
        while let Some((level, entries)) = open.last_mut() {
            let level = *level;
            let Some(entry) = entries.next() else {
                open.pop();
                continue;
            };
            let node = self.reader.node(&entry, level)?;
            if level > 1 {
                open.push((level - 1, node.entries.into_iter()));
                continue;
            }
            for group in node.entries.chunks(16) {
                let mut piece = Zeroizing::new(Vec::new());
                self.reader.chunks(group, &mut piece)?;
                each(&piece)?;
            }
        }
        Ok(())
    }

    /// A small stream whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is longer than `bytes_max`, or not what its root says.
    pub fn whole(&mut self, at: usize, stream: usize, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let expected = self.covered[at].root.streams[stream].clone();
        if expected.bytes > bytes_max {
            return Err(Error::damaged(
                format!("stream {:?}", expected.name),
                "it is longer than such a stream can be",
            ));
        }
        let mut bytes = Vec::new();
        self.pieces(at, stream, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        let same = expected.rewritten.is_some() || *blake3::hash(&bytes).as_bytes() == *expected.blake3.as_bytes();
        if same && bytes.len() as u64 == expected.bytes {
            Ok(bytes)
        } else {
            Err(Error::damaged(format!("stream {:?}", expected.name), "it is not what was backed up"))
        }
    }

    fn tools(&mut self, at: usize) -> Result<(), Error> {
        if self.packs.is_none() {
            self.packs = Some(Packs::new(self.repository, lacre_level())?);
        }
        let root = &self.covered[at].root;
        let secret = || StreamSecret::from_bytes(root.stream_secret.expose());
        self.outputs.entry(root.job.clone()).or_insert_with(|| Output::new(&secret()));
        Ok(())
    }

    /// Rebuilds a stream of rows: marked runs become what `decide` says, everything else keeps its frames.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what does not open; [`Error::Rows`] from `decide`; errors of the store.
    pub fn rebuild(
        &mut self,
        at: usize,
        stream: usize,
        memo: &Memo,
        decide: &mut dyn Decide,
        figures: Figures,
    ) -> Result<(), Error> {
        self.tools(at)?;
        let covered = &mut self.covered[at];
        let old = covered.root.streams[stream].clone();
        let Some(top) = &old.top else { return Ok(()) };
        let bug = || Error::Bug { why: "no packs are open".to_owned() };
        let build = Build {
            reader: &mut self.reader,
            packs: self.packs.as_mut().ok_or_else(bug)?,
            output: self.outputs.get_mut(&covered.root.job).ok_or_else(bug)?,
            memo,
            decide,
            parameters: parameters(&old)?,
            suspects: &mut covered.suspects,
        };
        let rebuilt = build.over(top)?;
        let new = Stream {
            bytes: figures.bytes,
            rows: figures.rows,
            blake3: Digest::new([0; Digest::LEN]),
            row_digest: figures.digest.map(Vec::from),
            top: rebuilt.top,
            rewritten: Some(rebuilt.list),
            ..old
        };
        covered.streams.insert(stream, new);
        Ok(())
    }

    /// Gives what is left of a stream of rows, in pieces; writes nothing.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what does not open; [`Error::Rows`] from `decide`; whatever `each` gives.
    pub fn emit(
        &mut self,
        at: usize,
        stream: usize,
        memo: &Memo,
        decide: &mut dyn Decide,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(top) = self.covered[at].root.streams.get(stream).and_then(|stream| stream.top.clone()) else {
            return Ok(());
        };
        Emit { reader: &mut self.reader, memo, decide, each }.over(&top)
    }

    /// Puts other bytes in place of a small stream.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn replace(&mut self, at: usize, stream: usize, bytes: &[u8]) -> Result<(), Error> {
        self.tools(at)?;
        let covered = &mut self.covered[at];
        let old = &covered.root.streams[stream];
        let bug = || Error::Bug { why: "no packs are open".to_owned() };
        let packs = self.packs.as_mut().ok_or_else(bug)?;
        let output = self.outputs.get_mut(&covered.root.job).ok_or_else(bug)?;
        let new = replace(packs, output, old, parameters(old)?, bytes)?;
        covered.streams.insert(stream, new);
        Ok(())
    }

    /// Changes a fact of a snapshot, or takes it away.
    pub fn set_fact(&mut self, at: usize, name: &str, value: Option<String>) {
        let facts = &mut self.covered[at].facts;
        match value {
            Some(value) => drop(facts.insert(name.to_owned(), value)),
            None => drop(facts.remove(name)),
        }
    }
}

fn parameters(stream: &Stream) -> Result<CutParameters, Error> {
    let (version, target_bytes) = stream.cut;
    CutParameters::from_numbers(version, target_bytes)
        .map_err(|error| Error::damaged(format!("stream {:?}", stream.name), error.to_string()))
}

/// The zstd level of what is written anew: little, so it may cost a little more.
const fn lacre_level() -> i32 {
    3
}
