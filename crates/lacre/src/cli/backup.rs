//! `backup`: which sources become snapshots.

use std::ffi::OsString;

use clap::Args;

use super::value::{JobName, NamedFile};
use crate::safe_url::SafeUrl;

/// Arguments of `lacre backup`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("source").args(["postgres", "command", "stdin", "file"]))]
pub struct BackupArgs {
    /// Jobs of lacre.toml; with --postgres the name to give the job
    #[arg(value_name = "JOB")]
    pub jobs: Vec<JobName>,
    /// PostgreSQL database: a URL, a connection string or postgres:// alone for the PG* variables
    ///
    /// Passwords belong in ~/.pgpass or a service file. The job is named after the database unless JOB is given.
    #[arg(long, value_name = "URL")]
    pub postgres: Option<SafeUrl>,
    /// Job name for the output of the program after `--`
    #[arg(long, value_name = "NAME", requires = "argv", conflicts_with = "jobs")]
    pub command: Option<JobName>,
    /// Job name for what standard input brings; recorded as unverified
    #[arg(long, value_name = "NAME", conflicts_with = "jobs")]
    pub stdin: Option<JobName>,
    /// Job name and regular file
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "jobs")]
    pub file: Option<NamedFile>,
    /// Commit a source that gave no bytes
    #[arg(long)]
    pub allow_empty: bool,
    /// Commit a source that shrank to less than half of its base
    #[arg(long)]
    pub allow_shrink: bool,
    /// Leave the configured copies as they are; `copy sync` brings them up to date later
    #[arg(long)]
    pub no_copies: bool,
    /// Label kept with the snapshot; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Program and arguments for --command; run without a shell
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["jobs", "postgres", "stdin", "file"], requires = "command")]
    pub argv: Vec<OsString>,
}

impl BackupArgs {
    /// Whether nothing says which jobs: then it is the whole night.
    pub fn is_night(&self) -> bool {
        let named = self.postgres.is_some() || self.command.is_some() || self.stdin.is_some() || self.file.is_some();
        self.jobs.is_empty() && !named
    }
}
