//! Suppression lists: which person a snapshot must be restored without, as long as it can be restored with them.
//!
//! One lies beside each snapshot that an erasure of a person covers and that is not replaced yet. It is sealed with that snapshot's own key:
//! whoever opens it could read the person in the snapshot itself, and it dies when the snapshot does. Inside are tokens, not values.

use minicbor::{Decode, Encode};

use crate::{
    codec,
    ids::{Digest, Token},
    root::Secret32,
};

/// Longest rules file a list carries.
pub const RULES_BYTES_MAX: usize = 256 * 1024;
/// Most tokens of one list.
pub const TOKENS_MAX: usize = 100_000;
/// Largest suppression object.
pub const SUPPRESSION_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The content of a suppression list.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Suppression {
    /// The erasure.
    #[n(0)]
    pub erasure: Token,
    /// The kind of person, as the rules name it.
    #[n(1)]
    pub subject: String,
    /// The rules file.
    #[n(2)]
    pub rules: String,
    /// Makes the tokens.
    #[n(3)]
    pub key: Secret32,
    /// Tokens of the person's keys.
    #[cbor(n(4), decode_with = "codec::list::<_, _, TOKENS_MAX>")]
    pub keys: Vec<Digest>,
    /// Tokens of identifiers that were given.
    #[cbor(n(5), decode_with = "codec::list::<_, _, TOKENS_MAX>")]
    pub identifiers: Vec<Digest>,
}
