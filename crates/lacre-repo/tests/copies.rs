//! Copies: what enters them and when, what leaves them, and a copy that becomes the repository when its primary is destroyed at any request.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test that cannot go on fails")]

mod support;

#[path = "copies/adopt.rs"]
mod adopt;
#[path = "copies/common.rs"]
mod common;
#[path = "copies/crash.rs"]
mod crash;
#[path = "copies/destroyed.rs"]
mod destroyed;
#[path = "copies/enter.rs"]
mod enter;
#[path = "copies/leave.rs"]
mod leave;
#[path = "copies/rollups.rs"]
mod rollups;
#[path = "copies/seal.rs"]
mod seal;
#[path = "copies/standing.rs"]
mod standing;
