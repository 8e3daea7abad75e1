//! PostgreSQL: one `pg_dump` in, one side database out.
//!
//! In: a connection written as libpq understands it and a map of environment variables. Out: the streams of a dump (pushed into a
//! [`dump::DumpSink`]) and a restored, compared and renamed database (pulled from a [`restore::SnapshotSource`]).
//! The public interface blocks; `tokio` lives only below this module. It must not know about chunks, keys, repositories or terminals:
//! only [`vault`] joins both ends.

pub mod child;
pub mod cluster;
pub mod conninfo;
mod demux;
pub mod dump;
pub mod error;
pub mod facts;
pub mod foreign;
pub mod limits;
pub mod memory_file;
pub mod quote;
pub mod report;
pub mod restore;
pub mod session;
pub mod target;
pub mod tls;
pub mod tools;
pub mod vault;
