//! What admins sign while a seal is changed and snapshots are erased: claims, intents, what was published and destroyed, receipts.
//!
//! In and out: values of log entries and their CBOR. None of them carries personal data, a job's name or a digest of plaintext:
//! logs are immutable and lie in the clear.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    ids::{Digest, GenerationId, JobName, Millis, Salt, SnapshotId, Token},
    log::EVENT_SNAPSHOTS_MAX,
};

/// Most jobs, tables or traces of one erasure's account.
pub const ACCOUNT_ITEMS_MAX: usize = 100_000;

/// Most cells, kits, pending items or declarations of one receipt.
pub const RECEIPT_ITEMS_MAX: usize = 10_000;

/// Why the seal is changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// By hand or by schedule: what is forgotten dies in every copy.
    #[n(0)]
    Rotate,
    /// An erasure.
    #[n(1)]
    Erase,
    /// Somebody may no longer read.
    #[n(2)]
    Recipients,
    /// The seal stays, and the policy is changed (homes, roles, readers, rules, cells) or what no two admins may record at once is recorded.
    #[n(3)]
    Policy,
}

/// A home's flag that it is about to open a seal and change it (protocol rule 6).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Claim {
    /// The claim.
    #[n(0)]
    pub id: Token,
    /// The generation it replaces.
    #[n(1)]
    pub from: GenerationId,
    /// Why.
    #[n(2)]
    pub purpose: Purpose,
    /// The dead claim whose place it takes: of another home, for which a person vouches, or of this one before a crash. From here on that
    /// claim is in doubt until it is ended as adopted or voided.
    #[n(3)]
    pub adopts: Option<Token>,
}

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum ClaimOutcome {
    /// The old generation is destroyed in every cell.
    #[n(0)]
    Closed,
    /// Another claim was open, or a person gave up before anything was published.
    #[n(1)]
    Withdrawn,
    /// Another claim took its place and nothing published under it counts, even if it appears later: whoever made it must stop.
    #[n(2)]
    Voided,
    /// Another claim goes on with what it had published: whoever made it must stop.
    #[n(3)]
    Adopted,
}

/// A claim ends.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ClaimEnd {
    /// The claim.
    #[n(0)]
    pub id: Token,
    /// How.
    #[n(1)]
    pub outcome: ClaimOutcome,
}

/// Snapshots are to be erased.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct EraseIntent {
    /// The erasure.
    #[n(0)]
    pub id: Token,
    /// The snapshots.
    #[cbor(n(1), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<SnapshotId>,
    /// A reason code of the operator's, without personal data.
    #[n(2)]
    pub reason: String,
    /// BLAKE3 of a random salt and the operator's reference of the request; the salt stays with the operator.
    #[n(3)]
    pub request: Option<Digest>,
    /// Nothing is destroyed before this time.
    #[n(4)]
    pub not_before: Option<Millis>,
    /// How many other admins have to approve it, as the policy said when it was signed; a policy that asks for more outranks it.
    #[n(12)]
    pub approvals: Option<u32>,
}

/// Another admin approves an erasure, or rather one signed intent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Approval {
    /// The erasure.
    #[n(0)]
    pub id: Token,
    /// The digest in the name of the log entry that holds the intent: what was read is what is approved.
    #[n(1)]
    pub intent: Digest,
}

/// A person is to be erased from every snapshot of some jobs that has not seen this entry. Whom it is about stands nowhere, and the jobs
/// are readable to those who hold the structure key.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PersonIntent {
    /// The erasure.
    #[n(0)]
    pub id: Token,
    /// Salt of the key that seals the jobs.
    #[n(1)]
    pub salt: Salt,
    /// The sealed [`PersonJobs`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub jobs: Vec<u8>,
    /// A reason code of the operator's, without personal data.
    #[n(3)]
    pub reason: String,
    /// BLAKE3 of a random salt and the operator's reference of the request; the salt stays with the operator.
    #[n(4)]
    pub request: Option<Digest>,
    /// Nothing is destroyed before this time.
    #[n(5)]
    pub not_before: Option<Millis>,
    /// How many other admins have to approve it, as the policy said when it was signed; a policy that asks for more outranks it.
    #[n(6)]
    pub approvals: Option<u32>,
}

/// The jobs an erasure of a person is about.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PersonJobs {
    /// Their names.
    #[cbor(n(0), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub jobs: Vec<JobName>,
}

/// A snapshot and the one that replaces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Successor {
    /// The snapshot that is erased.
    #[n(0)]
    pub old: SnapshotId,
    /// The same without the person.
    #[n(1)]
    pub new: SnapshotId,
}

/// Every covered snapshot has a verified successor: the covered ones may be left behind, and whatever was late is void.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Rewritten {
    /// The erasure.
    #[n(0)]
    pub id: Token,
    /// The snapshots.
    #[cbor(n(1), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<Successor>,
    /// Salt of the key that seals the account.
    #[n(2)]
    pub salt: Salt,
    /// The sealed [`PersonAccount`], under the structure key: it names tables.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub account: Vec<u8>,
    /// BLAKE3 of the account, which begins with a random salt.
    #[n(4)]
    pub digest: Digest,
    /// Covered snapshots that are held, and have no successor yet: they are not late.
    #[cbor(n(5), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub held: Vec<SnapshotId>,
}

/// What was done to a table, over all snapshots.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ErasedTable {
    /// The table.
    #[n(0)]
    pub table: String,
    /// Rows removed.
    #[n(1)]
    pub removed: u64,
    /// Rows changed.
    #[n(2)]
    pub changed: u64,
    /// Rows of the person kept as they are.
    #[n(3)]
    pub kept: u64,
    /// Why they are kept.
    #[cbor(n(4), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub bases: Vec<String>,
}

/// What was done to a snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ErasedRows {
    /// The snapshot that is erased.
    #[n(0)]
    pub old: SnapshotId,
    /// The one that replaces it.
    #[n(1)]
    pub new: SnapshotId,
    /// Rows removed.
    #[n(2)]
    pub removed: u64,
    /// Rows changed.
    #[n(3)]
    pub changed: u64,
}

/// Traces of an identifier in what survives; never the value.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct TraceCount {
    /// The table or stream.
    #[n(0)]
    pub place: String,
    /// The column they are in.
    #[n(1)]
    pub column: Option<String>,
    /// The column of the root the identifier belongs to.
    #[n(2)]
    pub identifier: String,
    /// The form it was found in.
    #[n(3)]
    pub form: String,
    /// How often, each stored piece counted once whatever the number of snapshots.
    #[n(4)]
    pub count: u64,
}

/// What an erasure of a person did, in numbers and names of tables.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PersonAccount {
    /// Random, so that the hash of this says nothing.
    #[n(0)]
    pub salt: Salt,
    /// The erasure.
    #[n(1)]
    pub erasure: Token,
    /// The jobs of the predicate.
    #[cbor(n(2), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub jobs: Vec<JobName>,
    /// The kind of person, as the rules name it.
    #[n(3)]
    pub subject: String,
    /// BLAKE3 of the rules file.
    #[n(4)]
    pub rules: Digest,
    /// The tables.
    #[cbor(n(5), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub tables: Vec<ErasedTable>,
    /// The snapshots.
    #[cbor(n(6), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub snapshots: Vec<ErasedRows>,
    /// Traces that were found and allowed.
    #[cbor(n(7), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub traces: Vec<TraceCount>,
    /// Identifiers that were not searched for, by their columns.
    #[cbor(n(8), decode_with = "codec::list::<_, _, ACCOUNT_ITEMS_MAX>")]
    pub unsearched: Vec<String>,
}

/// An erasure is given up before anything was published.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct IntentEnd {
    /// The erasure.
    #[n(0)]
    pub id: Token,
}

/// A new generation is published.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Rotated {
    /// Under which claim.
    #[n(0)]
    pub claim: Token,
    /// The generation before.
    #[n(1)]
    pub from: GenerationId,
    /// The generation now.
    #[n(2)]
    pub to: GenerationId,
    /// The policy that names it.
    #[n(3)]
    pub policy: u32,
    /// BLAKE3 of the bundle object.
    #[n(4)]
    pub bundle: Digest,
    /// Key entries carried over.
    #[n(5)]
    pub carried: u32,
    /// Snapshots whose entries were left out on a signed record.
    #[cbor(n(6), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub dropped: Vec<SnapshotId>,
}

/// A cell no longer holds a generation.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Destroyed {
    /// Under which claim.
    #[n(0)]
    pub claim: Token,
    /// The cell.
    #[n(1)]
    pub cell: String,
    /// The generation.
    #[n(2)]
    pub generation: GenerationId,
    /// How it was destroyed and what was seen afterwards.
    #[n(3)]
    pub evidence: String,
}

/// What a person declares of something Lacre cannot reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Declared {
    /// It is destroyed.
    #[n(0)]
    Destroyed,
    /// It is lost, and nobody has it.
    #[n(1)]
    Lost,
}

/// An admin vouches for something Lacre cannot prove.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Attestation {
    /// What: `kit:3`, `cell:file:/path`, `writer:<home>`, `session:<snapshot>`, `restore:<restore>`.
    #[n(0)]
    pub item: String,
    /// What is declared.
    #[n(1)]
    pub state: Declared,
    /// Of a cell: the newest generation that it is declared to hold no more; nothing is said of those after it.
    #[n(2)]
    pub generation: Option<GenerationId>,
}

/// What kind of erasure a receipt is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum ErasureKind {
    /// Whole snapshots.
    #[n(0)]
    Snapshots,
    /// Rows of one person in every snapshot.
    #[n(1)]
    Person,
    /// What somebody who was removed could read.
    #[n(2)]
    Recipient,
}

/// A snapshot on a receipt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ErasedSnapshot {
    /// The snapshot.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// The commitment to its key, from its signed header: whoever shows the key proves the receipt false.
    #[n(1)]
    pub commitment: Digest,
}

/// A kit on a receipt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct KitEvidence {
    /// The kit's number.
    #[n(0)]
    pub number: u32,
    /// The generation on its sheet.
    #[n(1)]
    pub generation: GenerationId,
    /// Whether an admin attested that the sheet is destroyed.
    #[n(2)]
    pub destroyed: bool,
}

/// A receipt, in the chain of the admin who signs it. It holds no personal data and no digest of plaintext.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// The erasure.
    #[n(0)]
    pub erasure: Token,
    /// What was erased.
    #[n(1)]
    pub kind: ErasureKind,
    /// Whether nothing is pending any more (protocol rule 10); otherwise the receipt is interim.
    #[n(2)]
    pub complete: bool,
    /// The snapshots.
    #[cbor(n(3), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub snapshots: Vec<ErasedSnapshot>,
    /// The generation that was destroyed.
    #[n(4)]
    pub from: GenerationId,
    /// The generation that follows it.
    #[n(5)]
    pub to: GenerationId,
    /// BLAKE3 of the bundle that carries the survivors.
    #[n(6)]
    pub bundle: Digest,
    /// What every cell of the old generation became.
    #[cbor(n(7), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub cells: Vec<Destroyed>,
    /// The kits of destroyed generations.
    #[cbor(n(8), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub kits: Vec<KitEvidence>,
    /// What is pending, in words.
    #[cbor(n(9), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub pending: Vec<String>,
    /// What an admin declared and Lacre cannot prove.
    #[cbor(n(10), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub declared: Vec<Attestation>,
    /// Stored bytes of frames that nothing reaches any more.
    #[n(11)]
    pub bytes_dead: u64,
    /// Stored bytes of frames of these snapshots that survivors share and keep readable.
    #[n(12)]
    pub bytes_shared: u64,
    /// The reason code.
    #[n(13)]
    pub reason: String,
    /// BLAKE3 of salt and reference of the request.
    #[n(14)]
    pub request: Option<Digest>,
    /// When the intent was signed.
    #[n(15)]
    pub intended: Millis,
    /// When this receipt was signed.
    #[n(16)]
    pub signed: Millis,
    /// What an erasure of a person was about.
    #[n(17)]
    pub person: Option<PersonEvidence>,
    /// What copies still hold that is sealed to destroyed generations: ciphertext that nothing opens, for who must also delete it.
    #[n(25)]
    pub physical: Option<Physical>,
}

/// Stored ciphertext of what was erased, in words: which copy, and what lies there.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Physical {
    /// One line for each copy.
    #[cbor(n(0), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub lines: Vec<String>,
}

/// What a receipt says of the erasure of a person besides the snapshots.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PersonEvidence {
    /// It is about everything of its jobs that has not seen this entry of the signer's log.
    #[n(0)]
    pub unseen: u32,
    /// BLAKE3 of each [`PersonAccount`], which the receipt file carries.
    #[cbor(n(1), decode_with = "codec::list::<_, _, RECEIPT_ITEMS_MAX>")]
    pub accounts: Vec<Digest>,
    /// The snapshots that replace the erased ones.
    #[cbor(n(2), decode_with = "codec::list::<_, _, EVENT_SNAPSHOTS_MAX>")]
    pub successors: Vec<Successor>,
}
