//! `forget`, `hold`, `release`: which snapshots stay.

use clap::Args;

use super::value::{JobName, SnapshotName};
use crate::human;

/// Arguments of `lacre forget`.
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// Keep rules.
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Only this job
    #[arg(long, value_name = "J")]
    pub job: Option<JobName>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Give back what is not needed any more right away, as `repo prune` does
    #[arg(long, conflicts_with = "dry_run")]
    pub prune: bool,
    /// Bring a forgotten snapshot back
    #[arg(long, value_name = "SNAP", conflicts_with_all = ["job", "dry_run", "prune", "keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"])]
    pub undo: Option<SnapshotName>,
}

/// Keep rules; a snapshot stays when any of them wants it.
#[derive(Clone, Debug, Default, Args)]
pub struct KeepArgs {
    /// Keep the newest N
    #[arg(long, value_name = "N")]
    pub keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N")]
    pub keep_hourly: Option<u32>,
    /// Keep the newest of each of the last N days that have one
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u32>,
    /// Keep the newest of each of the last N weeks that have one
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u32>,
    /// Keep the newest of each of the last N months that have one
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u32>,
    /// Keep the newest of each of the last N years that have one
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<u32>,
    /// Keep everything younger than this, for example 48h, 8d or 3mo
    #[arg(long, value_name = "D", value_parser = human::parse_span)]
    pub keep_within: Option<jiff::Span>,
}

/// Arguments of `lacre hold`.
#[derive(Clone, Debug, Args)]
pub struct HoldArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
    /// Why, in a few words; kept with the hold, readable by whoever reads the repository
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    pub reason: String,
}

/// Arguments of `lacre release`.
#[derive(Clone, Debug, Args)]
pub struct ReleaseArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
}
