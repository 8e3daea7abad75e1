//! The policy: who may read, which seal is current, which homes may do what. Signed by the admin; each one names the one before.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    header::{CHAIN_HEADS_MAX, ChainHead},
    ids::{Digest, GenerationId, HomeId, Millis, PublicKey, RepositoryId, Token},
};

/// Largest policy object.
pub const POLICY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most recipients of one policy.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Most homes of one policy, revoked ones among them.
pub const HOMES_MAX: usize = 10_000;
/// Most seal cells of one policy.
pub const CELLS_MAX: usize = 1_000;
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
    /// Beyond this entry of its log nothing counts: set when the key is revoked.
    #[n(4)]
    pub revoked_at: Option<ChainHead>,
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
    /// The cell's name, unique in the policy: `file:/path`.
    #[n(0)]
    pub name: String,
    /// The host it was made on.
    #[n(1)]
    pub host: String,
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
    /// The claim under which the generation was published; none for the first.
    #[n(14)]
    pub claim: Option<Token>,
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
