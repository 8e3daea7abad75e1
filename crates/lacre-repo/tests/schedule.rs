//! Real operations taking turns: every interleaving the protocol's model is about, one store request at a time.
//!
//! A process is one operation over a store whose every call waits for its turn ([`lacre_repo::store::schedule`]). A test suspends it
//! before each of its requests, lets the others run to their ends, and lets it go on: whatever was acknowledged must come back bit for
//! bit, and an audit of everything must find no damage.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "schedule/collector.rs"]
mod collector;
#[path = "schedule/rotation.rs"]
mod rotation;
#[path = "schedule/site.rs"]
mod site;
#[path = "schedule/turns.rs"]
mod turns;
#[path = "schedule/writer.rs"]
mod writer;
