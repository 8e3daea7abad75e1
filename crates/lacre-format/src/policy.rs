//! The policy: who may read, which seal is current, which homes may do what. Signed by the admin; each one names the one before.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    header::{CHAIN_HEADS_MAX, ChainHead},
    ids::{Digest, GenerationId, HomeId, JobName, Millis, PublicKey, RepositoryId, Token},
    segment::Salted,
};

/// Largest policy object.
pub const POLICY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most recipients of one policy.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Most homes of one policy, revoked ones among them.
pub const HOMES_MAX: usize = 10_000;
/// Most seal cells of one policy.
pub const CELLS_MAX: usize = 1_000;
/// Most objects of a revoked key that are pinned one by one.
pub const PINNED_OBJECTS_MAX: usize = 1 << 17;
/// Most rules of retention.
pub const RULES_MAX: usize = 10_000;
/// Length of a seal generation's public key in bytes (X-Wing).
pub const SEAL_PUBLIC_BYTES: usize = 1216;

/// What a home may sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Own sessions and snapshots; forgets its own jobs within the delegated rules.
    #[n(0)]
    Writer,
    /// Forgets within the policy, plans, voids, checks.
    #[n(1)]
    Maintenance,
    /// Everything.
    #[n(2)]
    Admin,
}

/// A machine that signs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct HomeEntry {
    /// The home.
    #[n(0)]
    pub home: HomeId,
    /// Its public key.
    #[n(1)]
    pub key: PublicKey,
    /// What it may sign.
    #[n(2)]
    pub role: Role,
    /// The operator's name for the machine.
    #[n(3)]
    pub label: String,
    /// The newest entry of its log that counts, once the key is revoked; none if it had written none.
    #[n(4)]
    pub revoked_at: Option<ChainHead>,
    /// Set when the key is revoked: what else of it counts, and nothing besides.
    #[n(5)]
    pub revoked: Option<Revocation>,
}

impl HomeEntry {
    /// Whether the key is revoked: what it signed counts only as far as the policy pins it.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.revoked_at.is_some() || self.revoked.is_some()
    }
}

/// What counts of a revoked key. Chains are pinned by their heads: whatever a head follows counts, whatever follows a head does not,
/// and neither does anything beside them under a number of the past.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Revocation {
    /// When it was revoked, by the admin's clock.
    #[n(0)]
    pub at: Millis,
    /// Further heads of its log, where two machines used one key.
    #[cbor(n(1), decode_with = "codec::list::<_, _, CHAIN_HEADS_MAX>")]
    pub twins: Vec<ChainHead>,
    /// The heads of its snapshots: number and BLAKE3 of the object. One for each unbroken run.
    #[cbor(n(2), decode_with = "codec::list::<_, _, CHAIN_HEADS_MAX>")]
    pub snapshots: Vec<ChainHead>,
    /// BLAKE3 of every object that it signed outside of its chains and that counts: voids, collections, lists, segments.
    #[cbor(n(3), decode_with = "codec::list::<_, _, PINNED_OBJECTS_MAX>")]
    pub objects: Vec<Digest>,
}

/// Somebody who may read.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RecipientEntry {
    /// The recipient's kind, as the sealing crate numbers it.
    #[n(0)]
    pub kind: u8,
    /// The public key material.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    /// How the recipient is shown.
    #[n(2)]
    pub label: String,
    /// For a passphrase: the scrypt-encrypted identity.
    #[n(3)]
    pub locked_identity: Option<minicbor::bytes::ByteVec>,
}

/// A place that holds the seal.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct CellEntry {
    /// The cell's name, unique in the policy: `file:/path`, `s3://bucket/prefix?...`, `exec:/program ...`.
    #[n(0)]
    pub name: String,
    /// The host it was made on.
    #[n(1)]
    pub host: String,
    /// What it depends on, where that is not the host: an account at a provider, or what the operator named. Two cells with one holder are
    /// lost together and count once.
    #[n(2)]
    pub holder: Option<String>,
}

impl CellEntry {
    /// What is lost together with this cell.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.holder.as_deref().unwrap_or(&self.host)
    }
}

/// The state of a printed kit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum KitState {
    /// Printed; nobody has typed its checksum back.
    #[n(0)]
    Issued,
    /// A person typed its checksum back.
    #[n(1)]
    Acknowledged,
    /// A person attested that it is destroyed.
    #[n(2)]
    Destroyed,
}

/// Whether keys are replicated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Holders {
    /// Two independent holders of the seal are required before one is destroyed.
    #[n(0)]
    Two,
    /// `init --no-kit` with one cell: declared by the operator.
    #[n(1)]
    Single,
}

/// What the admin signs.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Policy {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// Counts policies from 0.
    #[n(1)]
    pub number: u32,
    /// BLAKE3 of the previous policy object.
    #[n(2)]
    pub previous: Option<Digest>,
    /// When it was signed, by the admin's clock.
    #[n(3)]
    pub signed_at: Millis,
    /// Who may read.
    #[cbor(n(4), decode_with = "codec::list::<_, _, RECIPIENTS_MAX>")]
    pub recipients: Vec<RecipientEntry>,
    /// The current seal generation.
    #[n(5)]
    pub generation: GenerationId,
    /// Its public key, 1216 bytes.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub seal_public: Vec<u8>,
    /// Who may sign.
    #[cbor(n(7), decode_with = "codec::list::<_, _, HOMES_MAX>")]
    pub homes: Vec<HomeEntry>,
    /// Where the seal is kept.
    #[cbor(n(8), decode_with = "codec::list::<_, _, CELLS_MAX>")]
    pub cells: Vec<CellEntry>,
    /// How many holders the operator promised.
    #[n(9)]
    pub holders: Holders,
    /// The heads of all logs when this was signed.
    #[cbor(n(10), decode_with = "codec::list::<_, _, CHAIN_HEADS_MAX>")]
    pub heads: Vec<ChainHead>,
    /// A snapshot counts as verified, and these many newest verified ones of a job are never forgotten.
    #[n(11)]
    pub min_verified: u32,
    /// The rules by which writers' homes may forget: a [`Retention`], sealed with the structure key because it names jobs.
    #[n(12)]
    pub retention: Option<Salted>,
    /// Key entries made under a policy with a lower number may be wrapped to somebody who was removed since.
    #[n(13)]
    pub rewrap_below: Option<u32>,
    /// The claim under which the generation was published; none for the first.
    #[n(14)]
    pub claim: Option<Token>,
    /// When the current generation was published.
    #[n(20)]
    pub sealed_at: Option<Millis>,
    /// How many other admins have to approve an erasure before it is carried out; none asks for none.
    #[n(21)]
    pub approvals: Option<u32>,
    /// The newest adoption of a copy that led here; none in a repository that never failed over. Later policies keep it.
    #[n(25)]
    pub adopted: Option<Adopted>,
}

/// The moment a copy became the repository, because the place it was a copy of is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Adopted {
    /// The policy that did it: higher than any the lost place can have had.
    #[n(0)]
    pub policy: u32,
    /// The newest policy that was known then.
    #[n(1)]
    pub from: u32,
    /// When, by the admin's clock.
    #[n(2)]
    pub at: Millis,
}

/// What writers' homes may forget by themselves. Every reader judges by it, not only the one who forgets.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Retention {
    /// The time zone whose days, weeks and months are meant, by its IANA name.
    #[n(0)]
    pub zone: String,
    /// The rules; those of a job stand before those of all jobs.
    #[cbor(n(1), decode_with = "codec::list::<_, _, RULES_MAX>")]
    pub rules: Vec<KeepRules>,
}

/// What is kept of one job, or of every job without rules of its own. Zero and none switch a rule off.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct KeepRules {
    /// The job; none: every job without rules of its own.
    #[n(0)]
    pub job: Option<JobName>,
    /// The last so many.
    #[n(1)]
    pub last: u32,
    /// The last one of each of the last so many hours that have any.
    #[n(2)]
    pub hourly: u32,
    /// The same for days.
    #[n(3)]
    pub daily: u32,
    /// The same for ISO weeks.
    #[n(4)]
    pub weekly: u32,
    /// The same for months.
    #[n(5)]
    pub monthly: u32,
    /// The same for years.
    #[n(6)]
    pub yearly: u32,
    /// Everything at most this much older than the newest: an ISO 8601 duration.
    #[n(7)]
    pub within: Option<String>,
    /// The last so many verified ones stay whatever the rules say.
    #[n(8)]
    pub verified_min: u32,
}
