//! The corridor: one file per operation; only operations call rooms, rooms never call each other.

pub mod adopt;
mod audit;
pub mod backup;
pub mod cells;
pub mod check;
pub mod copy;
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
pub mod rotate;
pub mod run;
pub mod seal;
mod sessions;
pub mod snapshots;
pub mod stats;
pub mod status;
pub mod void;
