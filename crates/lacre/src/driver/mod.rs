//! Sources that speak a database's own language.
//!
//! In: a place to connect to. Out: streams pushed into a sink while a dump runs, or pulled back from a snapshot while a restore runs.
//! What lives here never prints and never reads the environment: the caller hands both over.

pub mod postgres;
