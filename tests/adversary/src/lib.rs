//! The adversary: a reader of repositories written from `docs/FORMAT.md` and nothing else of ours but the decoders of `lacre-format`.
//!
//! In: every version of every object that was ever stored, files of the hosts that worked on it, printed kits. Out: everything that opens
//! with what lies among them, until nothing new opens; guesses that something among them confirms; places where a secret lies that should
//! lie nowhere. It believes everything (no signature is verified), holds no key that it was not given, and knows none of the code whose
//! promises it tests: that it opens what it should proves the document, that it opens nothing else proves the promise.

pub mod age_file;
pub mod confirm;
pub mod keys;
pub mod loot;
pub mod residue;
pub mod siege;

pub use confirm::Oracle;
pub use loot::Loot;
pub use siege::{Siege, Spoils};
