//! The vault: backup, restore, check and forget over a store and a catalog.
//!
//! In: streams of bytes from a driver, and a store nobody trusts. Out: sealed objects, verified plaintext, and findings. The
//! crate never prints, reads the environment, spawns a program or knows a database product; its tokio runtime lives inside
//! `store` alone, SQL inside `catalog` alone, and keys pass through it as opaque types of `lacre-seal`.

pub mod catalog;
pub mod cell;
pub mod cut;
pub mod delegation;
mod error;
pub mod files;
mod frames;
pub mod home;
mod journal;
pub mod ledger;
mod limits;
mod lineage;
mod locate;
pub mod lost;
pub mod monitor;
mod needed;
pub mod op;
mod pack;
pub mod parity;
pub mod persons;
pub mod plans;
mod policies;
mod prefetch;
mod proof;
mod put;
pub mod repository;
pub mod retention;
mod rollup;
mod signatures;
pub mod squeeze;
pub mod store;
mod tree;
pub mod view;
mod voids;

pub use error::{Error, Kind};
pub use monitor::{Clock, Finding, Monitor, Progress, Severity, Silent, SystemClock};
pub use repository::{Look, Repository};
