//! The furniture of the integration tests: a real PostgreSQL, a hermetic place to run the binary in, and a sample database.
//!
//! A missing program is a failure that names the script which installs it, never a silent skip.

pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod listener;
pub(crate) mod mail;
pub(crate) mod sample;
pub(crate) mod sandbox;
pub(crate) mod seed;
pub(crate) mod served;
pub(crate) mod versions;
