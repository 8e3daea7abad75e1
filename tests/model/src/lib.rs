//! The protocol as a state machine, explored to its last state at small bounds.
//!
//! Writers, a clone, rotating admins, garbage collection, an erasure of a person, a copy and the world around them take their steps in
//! every order; any of them may stop for ever or sleep between two steps. [`invariant`] says what must hold in each state met, and
//! [`rules::Rule`] names every rule of the protocol, so that a test can leave one out and see which promise breaks. The model knows the
//! protocol and nothing of the code; `docs/decisions/protocol-model.md` lists what was measured.

pub mod bounds;
mod collector;
mod copying;
mod environment;
mod explore;
pub mod invariant;
mod person;
mod rotation;
pub mod rules;
pub mod scenario;
mod world;
mod writer;

pub use explore::Found;
