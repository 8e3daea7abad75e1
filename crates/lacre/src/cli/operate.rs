//! `status`, `schedule`, `daemon`: what monitors ask, and what makes things happen by themselves.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `lacre status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Mind everything that should have been done, too: audits, drills, kits, erasures
    #[arg(long)]
    pub strict: bool,
    /// One line for Nagios and its kind, and its exit codes: 0 fine, 1 warning, 2 critical, 3 unknown
    #[arg(long, conflicts_with_all = ["json", "prometheus"])]
    pub nagios: bool,
    /// Metrics in the text format of Prometheus
    #[arg(long, conflicts_with = "json")]
    pub prometheus: bool,
    /// Tell those whom [notify] names when something is overdue, and when it is not any more
    #[arg(long)]
    pub notify: bool,
}

/// Arguments of `lacre schedule`.
#[derive(Clone, Debug, Args)]
pub struct ScheduleArgs {
    /// What to print.
    #[command(subcommand)]
    pub action: ScheduleAction,
}

/// What is told of the schedule.
#[derive(Clone, Debug, Subcommand)]
pub enum ScheduleAction {
    /// Print a shut-in service and a timer for each task of [schedule]
    ///
    /// Example: lacre schedule systemd --dir /etc/systemd/system && systemctl daemon-reload && systemctl enable --now lacre-backup.timer lacre-status.timer
    Systemd(SystemdArgs),
    /// Print crontab lines for each task of [schedule]
    ///
    /// The lines need nothing of cron's bare environment.
    ///
    /// Example: lacre schedule cron | crontab -
    Cron,
}

/// Arguments of `lacre schedule systemd`.
#[derive(Clone, Debug, Args)]
pub struct SystemdArgs {
    /// Write the units into this folder instead of printing them
    #[arg(long, value_name = "D")]
    pub dir: Option<PathBuf>,
    /// User that runs them. Default: the owner of the home, when that is not root
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Arguments of `lacre daemon`.
#[derive(Clone, Debug, Args)]
pub struct DaemonArgs {
    /// Take the configuration from the variables of the dump container that Lacre replaces (POSTGRES_HOST, SCHEDULE, BACKUP_KEEP_DAYS ...)
    #[arg(long)]
    pub from_env: bool,
    /// End once this many commands were started; for trying a schedule
    #[arg(long, value_name = "N", hide = true)]
    pub runs: Option<u64>,
}
