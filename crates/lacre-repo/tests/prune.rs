//! Garbage collection through the vault's public operations: what is needed stays, what is not goes, whatever happens in between.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

#[path = "prune/common.rs"]
mod common;
#[path = "prune/crash.rs"]
mod crash;
#[path = "prune/forged.rs"]
mod forged;
#[path = "prune/history.rs"]
mod history;
#[path = "prune/plain.rs"]
mod plain;
#[path = "prune/sessions.rs"]
mod sessions;
