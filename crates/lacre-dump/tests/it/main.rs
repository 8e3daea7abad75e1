//! Tests of the whole crate: archives built by hand, archives PostgreSQL wrote, and random ones.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![expect(clippy::unwrap_used, reason = "what helps a test may end it")]

mod build;
mod closure;
mod erasure;
mod malformed;
mod parts;
mod postgres;
mod roundtrip;
mod selection;
mod split;
mod vectors;
