//! The corridor: one file per operation; only operations call rooms, rooms never call each other.

mod audit;
pub mod backup;
pub mod check;
pub mod compare;
pub mod drill;
pub mod erase;
pub mod forget;
pub mod homes;
pub mod init;
pub mod join;
pub mod keys;
mod log;
mod policy;
pub mod probe;
pub mod prune;
pub mod read;
pub mod readers;
pub mod rebuild;
pub mod rolling;
pub mod rotate;
pub mod seal;
pub mod search;
mod sessions;
pub mod snapshots;
pub mod stats;
pub mod void;
