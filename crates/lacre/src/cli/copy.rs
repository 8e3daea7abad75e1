//! `copy` and `repo adopt`: further places that hold every snapshot.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::value::{JobName, Percent};

/// Arguments of `lacre copy`.
#[derive(Clone, Debug, Args)]
pub struct CopyArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: CopyAction,
}

/// What to do with copies.
#[derive(Clone, Debug, Subcommand)]
pub enum CopyAction {
    /// Bring the configured copies up to date, all at the same time
    ///
    /// Copies objects byte for byte, verified by their names; no key is needed. What is there already is not sent again, so a run that was
    /// interrupted goes on where it stopped. A snapshot enters a copy only when everything it needs lies there.
    ///
    /// Nothing is overwritten, and deleted only what an executed prune deleted and the copy's own snapshots do not need. A copy that holds
    /// records the repository lacks, belongs to another repository or is suddenly empty is named and left alone: exit 3.
    ///
    /// Example: lacre copy sync offsite
    Sync(CopySyncArgs),
    /// Show how the copies stand: behind, unreachable, holding an old seal generation, last sync
    ///
    /// Exit 3 when one of them is not current.
    ///
    /// Example: lacre copy list
    List,
    /// Audit copies by themselves, without keys: names, signatures and, with --read-data, every pack's bytes
    ///
    /// Exit 4 for damage. What a copy lacks is said as `copy list` says it.
    ///
    /// Example: lacre copy verify offsite --read-data
    Verify(CopyVerifyArgs),
}

/// Arguments of `lacre copy sync`.
#[derive(Clone, Debug, Args)]
pub struct CopySyncArgs {
    /// Only this copy
    #[arg(value_name = "NAME")]
    pub name: Option<JobName>,
    /// Fill the copy anew although it was there before and its place is empty now
    #[arg(long, requires = "name")]
    pub begin_anew: bool,
    /// Add to a copy that holds records the repository lacks; they stay where they are
    #[arg(long, requires = "name")]
    pub accept_ahead: bool,
}

/// Arguments of `lacre copy verify`.
#[derive(Clone, Debug, Args)]
pub struct CopyVerifyArgs {
    /// Only this copy
    #[arg(value_name = "NAME")]
    pub name: Option<JobName>,
    /// Read all packs, or a share of them that differs from run to run
    #[arg(long, value_name = "P%", num_args = 0..=1, require_equals = true, default_missing_value = "100%")]
    pub read_data: Option<Percent>,
}

/// Arguments of `lacre repo adopt`.
#[derive(Clone, Debug, Args)]
pub struct AdoptArgs {
    /// Print what would be lost and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Agree beforehand instead of being asked
    #[arg(long)]
    pub yes: bool,
    /// Vouch that no erasure is missing in what is at hand, where that cannot be seen; it goes on record
    #[arg(long)]
    pub accept_unseen: bool,
    /// Seal sheet of the recovery kit, where no cell is at hand: a file, or - for standard input; repeatable
    #[arg(long = "kit", value_name = "FILE")]
    pub kit: Vec<PathBuf>,
}
