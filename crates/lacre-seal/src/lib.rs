//! The keys: seals and opens frames, roots, key entries and bundles; signs and verifies; recipients, identities, the seal and
//! the printed sheets.
//!
//! Bytes in, bytes out: this crate opens no file, starts no program, reads no clock and logs nothing. It is the only crate
//! that touches secrets; they are wiped when dropped and can be neither printed, copied nor serialised. Every key derivation
//! goes through the one registry in `labels`.

pub mod aead;
mod age_file;
mod bech;
pub mod bundle;
pub mod cell;
pub mod entropy;
pub mod frame;
pub mod identity;
pub mod index_row;
pub mod join;
pub mod key_entry;
pub mod kit;
mod kit_parse;
mod labels;
pub mod node_list;
pub mod outer;
pub mod passphrase;
pub mod pgp;
mod pgp_secret;
pub mod pointer;
pub mod pq;
pub mod recipient;
pub mod root;
pub mod secret;
mod side_by_side;
pub mod sign;
pub mod stream_claim;
pub mod structure;
pub mod suppression;
pub mod words;
pub mod wrap;

pub use age_file::{AgeFileError, AgeSealError};
pub use bech::BechError;
pub use pgp_secret::{PgpIdentity, PgpOpenError, PgpSecretError};
