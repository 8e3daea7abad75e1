//! The bytes: encodes and decodes every object Lacre stores, and nothing else.
//!
//! In: values made by the other crates, or bytes from a store that nobody has checked yet. Out: bytes, or values, or a
//! [`FormatError`] that says what is wrong. The crate does no I/O, reads no clock, draws no random bytes and uses no key; where
//! an object carries a secret (a capability in a node), it carries it without looking. Every decoder is total: it returns an
//! error for any input it does not accept, and allocates in proportion to its input only.
//!
//! `docs/FORMAT.md` describes every object byte by byte; its examples are this crate's test vectors.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests fail loudly"))]

pub mod authority;
pub mod codec;
pub mod erasure;
mod error;
pub mod exercise;
pub mod frame;
pub mod gc;
pub mod header;
pub mod ids;
pub mod join;
pub mod keyring;
pub mod log;
pub mod manifest;
pub mod name;
pub mod node;
pub mod object;
pub mod pack;
pub mod parity;
pub mod policy;
pub mod reach;
pub mod rollup;
pub mod root;
pub mod run;
pub mod segment;
pub mod session;
pub mod signed;
pub mod suppression;

pub use error::FormatError;
