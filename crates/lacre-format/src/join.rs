//! How a machine becomes a home: its request and the admin's answer. Both travel by hand, as text, and never lie in a store.
//!
//! No private key is in either. The request is signed by the key it names, which proves that whoever asks holds it; the grant is
//! signed by an admin and carries the structure key sealed to the key of the request.

use minicbor::{Decode, Encode};

use crate::ids::{Digest, HomeId, PublicKey, RepositoryId};
use crate::policy::Role;

/// Longest text of a request or a grant.
pub const JOIN_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest label of a machine.
pub const LABEL_BYTES_MAX: usize = 128;

/// What a machine asks.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct JoinRequest {
    /// The id it will have.
    #[n(0)]
    pub home: HomeId,
    /// Its public signing key; the other half was born on the machine and stays there.
    #[n(1)]
    pub key: PublicKey,
    /// The key that the answer is sealed to: 1216 bytes, used once.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sealed_to: Vec<u8>,
    /// What the machine calls itself.
    #[n(3)]
    pub label: String,
}

/// What an admin answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct JoinGrant {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The repository's admin key, which the machine pins.
    #[n(1)]
    pub admin: PublicKey,
    /// Where the repository is, without credentials.
    #[n(2)]
    pub url: String,
    /// The machine that asked.
    #[n(3)]
    pub home: HomeId,
    /// Its public key.
    #[n(4)]
    pub key: PublicKey,
    /// What it may sign.
    #[n(5)]
    pub role: Role,
    /// The policy that enrols it: the machine accepts none before it.
    #[n(6)]
    pub policy: u32,
    /// The hash in that policy's name.
    #[n(7)]
    pub policy_digest: Digest,
    /// The structure key, sealed to the key of the request.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub sealed: Vec<u8>,
}

/// Either of them.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Join {
    /// A machine asks.
    #[n(0)]
    Request(#[n(0)] JoinRequest),
    /// An admin answers.
    #[n(1)]
    Grant(#[n(0)] Box<JoinGrant>),
}
