//! `restore`: where a snapshot goes.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{inspect::KeyArgs, value::SnapshotName};
use crate::safe_url::SafeUrl;

/// Arguments of `lacre restore`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("target").args(["to", "to_file", "to_command", "stdout"]).requires("snapshot"))]
pub struct RestoreArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    ///
    /// Without any argument a terminal lists them and asks.
    #[arg(value_name = "SNAP", requires = "target")]
    pub snapshot: Option<SnapshotName>,
    /// Target database: a URL or connection string
    #[arg(long, value_name = "URL")]
    pub to: Option<SafeUrl>,
    /// Name of the target database, instead of the one in the URL
    #[arg(long, value_name = "NAME", requires = "to")]
    pub database: Option<String>,
    /// Target file; must not exist
    #[arg(long, value_name = "F")]
    pub to_file: Option<PathBuf>,
    /// Program that reads the bytes on its standard input; split at spaces, no shell
    #[arg(long, value_name = "CMD")]
    pub to_command: Option<String>,
    /// Write the bytes to stdout
    #[arg(long)]
    pub stdout: bool,
    /// Create the target database
    #[arg(long, conflicts_with_all = ["to_file", "to_command", "stdout"])]
    pub create: bool,
    /// Replace the target by the verified side database; the old one is kept under another name
    #[arg(long, conflicts_with_all = ["to_file", "to_command", "stdout", "tables"])]
    pub swap: bool,
    /// Only this table (schema.table); repeatable
    ///
    /// Added to a database that holds other things, in one transaction: nothing that is there is changed, and no hooks run.
    #[arg(long = "table", value_name = "T", conflicts_with_all = ["to_file", "to_command", "stdout"])]
    pub tables: Vec<String>,
    /// Put the tables of --table into this schema
    #[arg(long, value_name = "S", requires = "tables", conflicts_with_all = ["to_file", "to_command", "stdout"])]
    pub into_schema: Option<String>,
    /// Connections that load data, and jobs of pg_restore for indexes and constraints
    #[arg(long, value_name = "N", conflicts_with_all = ["to_file", "to_command", "stdout"], default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Create missing roles and tablespaces first
    #[arg(long, conflicts_with_all = ["to_file", "to_command", "stdout"])]
    pub globals: bool,
    /// Agree beforehand: do not ask for the database's name
    #[arg(long, short)]
    pub yes: bool,
    /// Do not take a snapshot of what --swap replaces
    #[arg(long, requires = "swap")]
    pub no_safety_snapshot: bool,
    /// Do not ask the critical queries of lacre.toml before a restored database is shown
    #[arg(long)]
    pub no_smoke: bool,
    /// Do not run the hooks of lacre.toml
    #[arg(long = "no-hooks", action = ArgAction::SetTrue)]
    pub no_hooks: bool,
    /// Of a snapshot that a person is being erased from: restore it as it will be, without that person
    #[arg(long = "accept-erasing")]
    pub accept_erasing: bool,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}
