//! `drill`: a restore rehearsed.

use clap::Args;

use super::{
    inspect::KeyArgs,
    value::{JobName, SnapshotName},
};
use crate::safe_url::SafeUrl;

/// Arguments of `lacre drill`.
#[derive(Clone, Debug, Args)]
pub struct DrillArgs {
    /// Job whose newest snapshot is restored; without it the newest of all
    #[arg(value_name = "JOB")]
    pub job: Option<JobName>,
    /// This snapshot instead: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(long, value_name = "S")]
    pub snapshot: Option<SnapshotName>,
    /// Server on which the scratch database is made; without it [drill] server, else a throw-away server on this machine
    #[arg(long, value_name = "URL")]
    pub server: Option<SafeUrl>,
    /// Use a throw-away server although lacre.toml names one
    #[arg(long, conflicts_with = "server")]
    pub throw_away: bool,
    /// Connections that load data, and jobs of pg_restore for indexes and constraints
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}
