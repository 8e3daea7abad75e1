//! `import`: old dumps become snapshots of their day.

use std::path::PathBuf;

use clap::Args;

use super::{inspect::KeyArgs, value::JobName};

/// Arguments of `lacre import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// Dumps: pg_dump -Fc with any compression but lz4, plain SQL, either of them also as .gz or .zst
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Job they become snapshots of; without it an archive's database
    #[arg(long, value_name = "J")]
    pub job: Option<JobName>,
    /// When the dump was made, for a single file: 2026-11-20T03:15, local time, or with a zone
    #[arg(long, value_name = "T")]
    pub time: Option<String>,
    /// Label kept with each snapshot; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Do not look for the files among what was imported before; for a host that has no identity and cannot
    #[arg(long)]
    pub no_compare: bool,
    /// Say what would be imported, under which job and date, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What opens earlier imports.
    #[command(flatten)]
    pub keys: KeyArgs,
}
