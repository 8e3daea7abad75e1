//! A home's log: one signed hash chain per home, of everything that happened besides snapshots.
//!
//! An entry's event is a number and CBOR, so that a reader can keep chains whole without knowing every kind of event.

use minicbor::{
    Decode, Encode,
    bytes::{ByteArray, ByteVec},
};

use crate::{
    codec,
    erasure::{
        Approval, Attestation, Claim, ClaimEnd, Destroyed, EraseIntent, IntentEnd, PersonIntent, Receipt, Rewritten,
        Rotated,
    },
    error::FormatError,
    header::ChainHead,
    ids::{Digest, GenerationId, HomeId, Millis, PackName, PlanId, RepositoryId, SnapshotId, Token},
    policy::{CELLS_MAX, KitState},
    run::RunRecord,
};

/// Largest log entry object.
pub const LOG_ENTRY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most snapshots one entry names.
pub const EVENT_SNAPSHOTS_MAX: usize = 10_000;

/// What a home signs as one entry.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LogEntry {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The home.
    #[n(1)]
    pub home: HomeId,
    /// Counts the home's entries from 0.
    #[n(2)]
    pub seq: u32,
    /// The digest in the previous entry's name.
    #[n(3)]
    pub previous: Option<Digest>,
    /// When it was signed, by the home's clock.
    #[n(4)]
    pub at: Millis,
    /// The event's number.
    #[n(5)]
    pub kind: u32,
    /// The event's CBOR.
    #[n(6)]
    pub body: ByteVec,
}

/// Snapshots named by an event.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Named {
    /// The snapshots.
    #[cbor(n(0), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<SnapshotId>,
    /// Why, in the operator's words or as a rule; holds no personal data.
    #[n(1)]
    pub reason: String,
}

/// A recorded audit.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct CheckRecord {
    /// The level proved.
    #[n(0)]
    pub level: u8,
    /// The snapshots proved at that level.
    #[cbor(n(1), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<SnapshotId>,
    /// Packs read.
    #[n(2)]
    pub packs: u64,
    /// Bytes read.
    #[n(3)]
    pub bytes_read: u64,
    /// Number of findings.
    #[n(4)]
    pub findings: u64,
}

/// A printed kit's state.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct KitRecord {
    /// Counts kits from 1; a seal sheet and the identity sheet printed with it have one number.
    #[n(0)]
    pub number: u32,
    /// The generation on the sheet.
    #[n(1)]
    pub generation: GenerationId,
    /// Its state from here on.
    #[n(2)]
    pub state: KitState,
    /// For the identity sheet of that number: the four public check words that are on it. None for the seal sheet.
    #[n(3)]
    pub identity: Option<[u8; 4]>,
}

/// A printed sheet that says where the cells are and carries the keys to reach them, instead of the seal.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PointerRecord {
    /// Counts all kits from 1, those that carry the seal among them.
    #[n(0)]
    pub number: u32,
    /// Its state from here on.
    #[n(1)]
    pub state: KitState,
    /// The four public check words that are on it.
    #[n(2)]
    pub words: [u8; 4],
    /// The cells it leads to, as the policy named them.
    #[cbor(n(3), decode_with = "codec::list::<_, _, CELLS_MAX>")]
    pub cells: Vec<String>,
}

/// A restore that was begun or finished.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RestoreRecord {
    /// The snapshot restored.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// Whether it has ended.
    #[n(1)]
    pub ended: bool,
    /// Which restore of it: the record of its end has that of its beginning, and what is vouched for speaks of this one alone.
    #[n(2)]
    pub restore: Option<Token>,
}

/// What a store was found to do.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ProbeRecord {
    /// A second write of a name: 0 not known, 1 refused, 2 conditions not supported, 3 conditions ignored.
    #[n(0)]
    pub conditional: u8,
    /// Versions of a name: 0 not known, 1 one, 2 all are kept.
    #[n(1)]
    pub versioning: u8,
    /// Object lock: 0 not known, 1 absent, 2 possible, 3 every new object.
    #[n(2)]
    pub object_lock: u8,
    /// Days that every new object is locked for.
    #[n(3)]
    pub lock_days: u32,
    /// Whether another connection read and listed at once what was written.
    #[n(4)]
    pub consistent: bool,
    /// Whether the keys used may delete: 0 no, 1 yes, 2 only hide, 3 locked.
    #[n(5)]
    pub deletes: u8,
    /// How far the store's clock was ahead, in milliseconds.
    #[n(6)]
    pub skew_ms: Option<i64>,
}

/// A garbage collection that has deleted what it planned: counts and bytes only.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PruneRecord {
    /// The plan.
    #[n(0)]
    pub plan: PlanId,
    /// Snapshots reclaimed.
    #[n(1)]
    pub snapshots: u64,
    /// Packs deleted.
    #[n(2)]
    pub packs_deleted: u64,
    /// Packs written for what was still needed of them.
    #[n(3)]
    pub packs_written: u64,
    /// Bytes of the deleted packs.
    #[n(4)]
    pub bytes_deleted: u64,
    /// Bytes of the written packs.
    #[n(5)]
    pub bytes_written: u64,
}

/// A copy that became the repository, with the losses that were known.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct AdoptRecord {
    /// The policy that did it.
    #[n(0)]
    pub policy: u32,
    /// Snapshots that this host knew and the copy does not hold.
    #[cbor(n(1), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub lost: Vec<SnapshotId>,
    /// Signed records that this host brought to the copy, which had not heard of them.
    #[n(2)]
    pub brought: u32,
    /// Whether a person vouched that no erasure is missing, because that could not be seen.
    #[n(3)]
    pub vouched: bool,
}

/// A repair that changed something: counts and bytes only.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RepairRecord {
    /// Objects that came from a copy.
    #[n(0)]
    pub fetched: u64,
    /// Packs that their parity corrected.
    #[n(1)]
    pub corrected: u64,
    /// Objects that were made again from others.
    #[n(2)]
    pub rebuilt: u64,
    /// Bytes written.
    #[n(3)]
    pub bytes: u64,
    /// Damaged or missing objects that are left.
    #[n(4)]
    pub left: u64,
}

/// A snapshot some of whose frames are in no pack any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Incomplete {
    /// The snapshot.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// How many of its frames are lost.
    #[n(1)]
    pub frames: u64,
}

/// A finding by its text: the first 16 bytes of the BLAKE3 of its object, a zero byte, and what was found.
pub type FindingMark = ByteArray<16>;

/// What a repair found nowhere: the snapshots it belongs to stay, and are incomplete. It stands for all earlier ones.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct LossRecord {
    /// The snapshots that are incomplete or gone.
    #[cbor(n(0), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<Incomplete>,
    /// Packs that are damaged or missing.
    #[cbor(n(1), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub packs: Vec<PackName>,
    /// Findings about stored objects that nothing can put right.
    #[cbor(n(2), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub findings: Vec<FindingMark>,
}

/// A rehearsed restore: counts, times and bytes only.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct DrillRecord {
    /// The snapshot that was restored.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// Whether every check passed.
    #[n(1)]
    pub passed: bool,
    /// Milliseconds until the restored database could be used; 0 when the restore failed.
    #[n(2)]
    pub rto_ms: u64,
    /// Milliseconds of the whole drill.
    #[n(3)]
    pub duration_ms: u64,
    /// Tables compared.
    #[n(4)]
    pub tables: u64,
    /// Bytes of the snapshot's streams together, rounded up to a Padmé length.
    #[n(5)]
    pub bytes: u64,
    /// Checks made.
    #[n(6)]
    pub checks: u32,
    /// Checks that failed.
    #[n(7)]
    pub failed: u32,
    /// Where: 0 a throw-away cluster, 1 a named server.
    #[n(8)]
    pub place: u8,
}

/// An entry of this home's own that landed after the process that sent it had ended, beside the entry that took its number meanwhile. Both
/// count; no second machine has the key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Late {
    /// The entry.
    #[n(0)]
    pub entry: ChainHead,
}

/// A home's key is about to be revoked: written before the heads of its chains are read and pinned, so that whoever commits meanwhile
/// either is pinned or sees this.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Revoking {
    /// The home.
    #[n(0)]
    pub home: HomeId,
}

/// Somebody may no longer read: the policy named here wraps to them no more, and what was wrapped before is wrapped again.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RecipientRemoved {
    /// The removal.
    #[n(0)]
    pub id: Token,
    /// The first policy without them.
    #[n(1)]
    pub policy: u32,
    /// BLAKE3 of the recipient's record in the policies before: kind, then bytes.
    #[n(2)]
    pub recipient: Digest,
}

/// The key entries that a rotation carried were wrapped again, without those who were removed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Rewrapped {
    /// The generation they were carried into.
    #[n(0)]
    pub to: GenerationId,
    /// Entries of policies with a lower number had to be.
    #[n(1)]
    pub below: u32,
    /// How many were.
    #[n(2)]
    pub wrapped: u32,
    /// Snapshots whose entries no identity at hand opened: they were carried as they were.
    #[cbor(n(3), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub left: Vec<SnapshotId>,
}

/// What can happen.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Snapshots are no longer kept.
    Forget(Named),
    /// A forget is taken back.
    Unforget(Named),
    /// Snapshots must not be forgotten or erased.
    Hold(Named),
    /// A hold ends.
    Release(Named),
    /// An audit ended.
    Check(CheckRecord),
    /// A kit was printed, acknowledged or destroyed.
    Kit(KitRecord),
    /// A restore began or ended.
    Restore(RestoreRecord),
    /// A store was tried.
    Probe(ProbeRecord),
    /// A home is about to change the seal.
    Claim(Claim),
    /// It has ended, or gives up.
    ClaimEnd(ClaimEnd),
    /// Snapshots are to be erased.
    EraseIntent(EraseIntent),
    /// A new seal generation is published.
    Rotated(Rotated),
    /// A cell forgot a generation.
    Destroyed(Destroyed),
    /// An admin vouches for something.
    Attestation(Attestation),
    /// An erasure's receipt.
    Receipt(Box<Receipt>),
    /// An erasure is given up.
    IntentEnd(IntentEnd),
    /// A garbage collection ended.
    Prune(PruneRecord),
    /// A restore was rehearsed.
    Drill(DrillRecord),
    /// A copy became the repository.
    Adopt(AdoptRecord),
    /// A pointer kit was printed, acknowledged or destroyed.
    Pointer(PointerRecord),
    /// Another admin approves an erasure.
    Approval(Approval),
    /// A run of all jobs ended.
    Run(RunRecord),
    /// A repair changed something.
    Repair(RepairRecord),
    /// A repair found something nowhere.
    Loss(LossRecord),
    /// A person is to be erased.
    PersonIntent(PersonIntent),
    /// Snapshots without the person are committed.
    Rewritten(Rewritten),
    /// A home's key is about to be revoked.
    Revoking(Revoking),
    /// Somebody may no longer read.
    RecipientRemoved(RecipientRemoved),
    /// What was wrapped again after a removal.
    Rewrapped(Rewrapped),
    /// An entry of this home's own that landed late, beside another with its number.
    Late(Late),
    /// An event of a later version.
    Unknown(u32),
}

impl Event {
    /// The event's number and CBOR.
    #[must_use]
    pub fn encode(&self) -> (u32, Vec<u8>) {
        match self {
            Self::Forget(named) => (1, codec::to_cbor(named)),
            Self::Unforget(named) => (2, codec::to_cbor(named)),
            Self::Hold(named) => (3, codec::to_cbor(named)),
            Self::Release(named) => (4, codec::to_cbor(named)),
            Self::Check(record) => (5, codec::to_cbor(record)),
            Self::Kit(record) => (6, codec::to_cbor(record)),
            Self::Restore(record) => (7, codec::to_cbor(record)),
            Self::Probe(record) => (22, codec::to_cbor(record)),
            Self::Claim(record) => (10, codec::to_cbor(record)),
            Self::ClaimEnd(record) => (11, codec::to_cbor(record)),
            Self::EraseIntent(record) => (12, codec::to_cbor(record)),
            Self::Rotated(record) => (13, codec::to_cbor(record)),
            Self::Destroyed(record) => (14, codec::to_cbor(record)),
            Self::Attestation(record) => (15, codec::to_cbor(record)),
            Self::Receipt(record) => (16, codec::to_cbor(&**record)),
            Self::IntentEnd(record) => (17, codec::to_cbor(record)),
            Self::Prune(record) => (8, codec::to_cbor(record)),
            Self::Drill(record) => (34, codec::to_cbor(record)),
            Self::Adopt(record) => (26, codec::to_cbor(record)),
            Self::Pointer(record) => (24, codec::to_cbor(record)),
            Self::Approval(record) => (25, codec::to_cbor(record)),
            Self::Run(record) => (30, codec::to_cbor(record)),
            Self::Repair(record) => (28, codec::to_cbor(record)),
            Self::Loss(record) => (29, codec::to_cbor(record)),
            Self::PersonIntent(record) => (20, codec::to_cbor(record)),
            Self::Rewritten(record) => (21, codec::to_cbor(record)),
            Self::Revoking(record) => (18, codec::to_cbor(record)),
            Self::RecipientRemoved(record) => (19, codec::to_cbor(record)),
            Self::Rewrapped(record) => (32, codec::to_cbor(record)),
            Self::Late(record) => (36, codec::to_cbor(record)),
            Self::Unknown(kind) => (*kind, Vec::new()),
        }
    }
}

impl LogEntry {
    /// Reads the event.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged body.
    pub fn event(&self) -> Result<Event, FormatError> {
        let body = self.body.as_slice();
        let event = match self.kind {
            1 => Event::Forget(codec::from_cbor("forget", body)?),
            2 => Event::Unforget(codec::from_cbor("unforget", body)?),
            3 => Event::Hold(codec::from_cbor("hold", body)?),
            4 => Event::Release(codec::from_cbor("release", body)?),
            5 => Event::Check(codec::from_cbor("check record", body)?),
            6 => Event::Kit(codec::from_cbor("kit record", body)?),
            7 => Event::Restore(codec::from_cbor("restore record", body)?),
            22 => Event::Probe(codec::from_cbor("probe record", body)?),
            10 => Event::Claim(codec::from_cbor("claim", body)?),
            11 => Event::ClaimEnd(codec::from_cbor("claim end", body)?),
            12 => Event::EraseIntent(codec::from_cbor("erase intent", body)?),
            13 => Event::Rotated(codec::from_cbor("rotation", body)?),
            14 => Event::Destroyed(codec::from_cbor("destruction", body)?),
            15 => Event::Attestation(codec::from_cbor("attestation", body)?),
            16 => Event::Receipt(Box::new(codec::from_cbor("receipt", body)?)),
            17 => Event::IntentEnd(codec::from_cbor("intent end", body)?),
            8 => Event::Prune(codec::from_cbor("prune record", body)?),
            34 => Event::Drill(codec::from_cbor("drill record", body)?),
            26 => Event::Adopt(codec::from_cbor("adoption", body)?),
            24 => Event::Pointer(codec::from_cbor("pointer kit record", body)?),
            25 => Event::Approval(codec::from_cbor("approval", body)?),
            30 => Event::Run(codec::from_cbor("run record", body)?),
            28 => Event::Repair(codec::from_cbor("repair record", body)?),
            29 => Event::Loss(codec::from_cbor("loss record", body)?),
            20 => Event::PersonIntent(codec::from_cbor("person intent", body)?),
            21 => Event::Rewritten(codec::from_cbor("rewritten snapshots", body)?),
            18 => Event::Revoking(codec::from_cbor("revoking", body)?),
            19 => Event::RecipientRemoved(codec::from_cbor("recipient removed", body)?),
            32 => Event::Rewrapped(codec::from_cbor("rewrapped", body)?),
            36 => Event::Late(codec::from_cbor("late entry", body)?),
            other => Event::Unknown(other),
        };
        Ok(event)
    }
}
