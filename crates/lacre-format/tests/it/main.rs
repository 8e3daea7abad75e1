//! The format from outside: every object there and back, everything that can be wrong with it, and the vectors it is held to.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod authority;
mod corpus;
mod document;
mod generators;
mod ids;
mod malformed;
mod padme;
mod parity;
mod persons;
mod reach;
mod rollup;
mod roundtrip;
mod values;
mod vectors;
