//! What admins sign while a seal is changed and snapshots are erased: claims, intents, what was published and destroyed, receipts.
//!
//! In and out: values of log entries and their CBOR. None of them carries personal data, a job's name or a digest of plaintext:
//! logs are immutable and lie in the clear.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    ids::{Digest, GenerationId, Millis, SnapshotId, Token},
    log::EVENT_SNAPSHOTS_MAX,
};

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
    /// The policy is changed and the seal stays: homes, roles, readers, rules, cells.
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
    /// What: `kit:3`, `cell:file:/path`, `writer:<home>`, `restore:<snapshot>`.
    #[n(0)]
    pub item: String,
    /// What is declared.
    #[n(1)]
    pub state: Declared,
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
