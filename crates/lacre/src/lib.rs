//! The person at the door: command line, configuration, sources, terminal.
//!
//! In: arguments, environment, `lacre.toml`, the terminal. Out: one library call per command, human text or one JSON document,
//! an exit code that says what to do. This crate is the only one that prints, reads the environment and spawns other programs.
//! It must not know how anything is sealed or laid out in the store.

pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod cost;
pub mod daemon;
pub mod driver;
pub mod error;
pub mod exit;
pub mod gpg;
pub mod http;
pub mod human;
pub mod invocation;
pub mod lang;
pub mod metrics;
pub mod notify;
pub mod output;
pub mod person;
pub mod process;
pub mod reference;
pub mod render;
pub mod report;
pub mod run;
pub mod runbook;
pub mod safe_url;
pub mod schedule;
pub mod secret;
pub mod source;
pub mod status;
pub mod term;
pub mod trend;
pub mod vault;
pub mod wait;
