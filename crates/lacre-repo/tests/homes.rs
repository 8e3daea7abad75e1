//! Several machines on one repository: what each may sign, how one joins, how one leaves, what it may forget, who may read.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "homes/common.rs"]
mod common;
#[path = "homes/dying.rs"]
mod dying;
#[path = "homes/forging.rs"]
mod forging;
#[path = "homes/joining.rs"]
mod joining;
#[path = "homes/lines.rs"]
mod lines;
#[path = "homes/readers.rs"]
mod readers;
#[path = "homes/retaining.rs"]
mod retaining;
#[path = "homes/revoking.rs"]
mod revoking;
#[path = "homes/roles.rs"]
mod roles;
#[path = "homes/strange.rs"]
mod strange;
