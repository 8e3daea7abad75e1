//! Real object stores for the tests, and a proxy that breaks the way to them.
//!
//! In comes nothing but programs that `tests/support/install.sh` installs; out go servers on loopback, a plain client to look at them
//! from the other side, and a proxy. Nothing here imitates a store: every answer is a real server's, or none, or a named fault. It
//! knows nothing of Lacre, so that what it sees of the product is what any server would see.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod client;
mod http;
mod place;
pub mod policy;
pub mod proxy;
mod rclone;
mod spawn;
mod tools;
mod weed;

pub use client::{Answer, Client, Version};
pub use place::{free_port, test_dir};
pub use proxy::{Count, Effect, Kind, Personality, Proxy, Record, Rule};
pub use rclone::Rclone;
pub use tools::{REQUIRED, tool};
pub use weed::{BUCKET_LOCKED, BUCKET_PLAIN, BUCKET_VERSIONED, Key, Weed, WeedOptions};
