//! The format from outside: every object there and back, everything that can be wrong with it, and the vectors it is held to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod corpus;
mod document;
mod generators;
mod ids;
mod malformed;
mod padme;
mod reach;
mod roundtrip;
mod values;
mod vectors;
