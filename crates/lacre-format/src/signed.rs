//! The envelope of everything signed: who signed, what exactly, and the signature.
//!
//! The signature covers a prefix that names the kind of object, the repository and the signer, so no signed object can stand
//! in for one of another kind, home or repository. This module lays the bytes out; the sealing crate signs and verifies.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    error::FormatError,
    ids::{HomeId, RepositoryId, Signature},
    object::{self, Kind},
};

/// A signed payload.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Signed {
    /// The home whose key signed.
    #[n(0)]
    pub home: HomeId,
    /// The exact bytes that were signed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// Ed25519 over [`Signed::message`].
    #[n(2)]
    pub signature: Signature,
}

impl Signed {
    /// The bytes the signature covers: object start, repository, home, payload.
    #[must_use]
    pub fn message(kind: Kind, repository: RepositoryId, home: HomeId, payload: &[u8]) -> Vec<u8> {
        let mut message = object::start(kind).to_vec();
        message.extend_from_slice(repository.as_bytes());
        message.extend_from_slice(home.as_bytes());
        message.extend_from_slice(payload);
        message
    }

    /// The whole object: start and CBOR.
    #[must_use]
    pub fn encode(&self, kind: Kind) -> Vec<u8> {
        object::with_start(kind, &codec::to_cbor(self))
    }

    /// Reads the whole object. The signature is not verified here.
    ///
    /// # Errors
    /// Any [`FormatError`] of a damaged object.
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Self, FormatError> {
        codec::from_cbor(kind.name(), object::strip_start(kind, bytes)?)
    }
}
