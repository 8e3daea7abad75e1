//! `config`, `doctor`, `completions`, `man`: this host and this program.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::value::StoreUrl;

/// Arguments of `lacre config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Find every mistake in lacre.toml, with line numbers and fixes
    ///
    /// Then everything it names is tried: the store, its clock and room, databases with their client programs and rights, the mail
    /// server, checks, chats and programs. Nothing is written but a line in the log of a healthchecks check; no mail is sent.
    ///
    /// Exit 2 when a mistake would stop a command, exit 3 when there are only warnings.
    ///
    /// Example: lacre --config ./lacre.toml config check
    Check(ConfigCheckArgs),
    /// Show the settled values and where each comes from; secrets and passwords are hidden
    ///
    /// Example: lacre config show --json
    Show,
    /// Convert the .env file of the scripts Lacre replaces into a commented lacre.toml on stdout
    ///
    /// Converts BACKUP_* (scripts), POSTGRES_*, SCHEDULE and BACKUP_KEEP_* (dump container) into a commented lacre.toml on stdout.
    ///
    /// Example: lacre config from-env .env > lacre.toml
    FromEnv(FromEnvArgs),
}

/// Arguments of `lacre config check`.
#[derive(Clone, Copy, Debug, Args)]
pub struct ConfigCheckArgs {
    /// Look at the file and at this host only; connect to nothing
    #[arg(long)]
    pub offline: bool,
}

/// Arguments of `lacre config from-env`.
#[derive(Clone, Debug, Args)]
pub struct FromEnvArgs {
    /// The .env file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `lacre doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Try what this store can do: a few small objects are written below probe/ and deleted again
    #[arg(long, value_name = "URL")]
    pub store: Option<StoreUrl>,
}

/// Arguments of `lacre completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `lacre man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Folder
    #[arg(long, value_name = "D")]
    pub dir: PathBuf,
}
