//! `runbook`: what to do on the worst days, filled with this repository's names.

use clap::{Args, ValueEnum};

use crate::lang::Lang;

/// Arguments of `lacre runbook`.
#[derive(Clone, Debug, Args)]
pub struct RunbookArgs {
    /// What happened; without it the page has all of them
    #[arg(value_name = "NAME")]
    pub scenario: Option<ScenarioName>,
    /// Language of the page; the commands are the same
    #[arg(long, value_name = "LANG", default_value = "en")]
    pub lang: Lang,
}

/// A bad day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// The server is gone, with everything on it.
    TotalLoss,
    /// Data were damaged in the last hours.
    Corruption,
    /// Somebody deleted rows that are needed.
    Deletion,
    /// An identity, the writer's key or the admin key is lost.
    LostKey,
    /// A seal cell or the kit is lost.
    LostSeal,
    /// Somebody encrypts or deletes what they can reach.
    Ransomware,
    /// A person asks for their data to be erased.
    Erasure,
}
