//! Repair: from a copy, from parity, from what else knows it, and what is said when nothing does.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "tests read files and fail loudly"
)]

mod support;

#[path = "repair/alone.rs"]
mod alone;
#[path = "repair/common.rs"]
mod common;
#[path = "repair/copy.rs"]
mod copy;
#[path = "repair/parity.rs"]
mod parity;
