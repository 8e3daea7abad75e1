//! The command line as types: every command, flag and environment name of the contract, declared once.
//!
//! In: arguments. Out: plain values; parsing has no side effects. Help, man pages, completions and `docs/CLI.md` come from here.
//! It must not know how a command does its work.

#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "help texts name tables of lacre.toml in brackets; they are no links"
)]

mod admin;
mod backup;
mod copy;
mod cost;
mod drill;
mod erase;
mod host;
mod import;
mod inspect;
mod key;
mod operate;
mod report;
mod restore;
mod retention;
mod rows;
mod runbook;
mod seal;
pub mod value;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use self::value::StoreUrl;
pub use self::{
    admin::{InitArgs, KitAckArgs, KitAction, KitArgs, KitIssueArgs},
    backup::BackupArgs,
    copy::{AdoptArgs, CopyAction, CopyArgs, CopySyncArgs, CopyVerifyArgs},
    cost::CostArgs,
    drill::DrillArgs,
    erase::{
        DeclaredState, EraseAction, EraseArgs, EraseAttestArgs, EraseGoOnArgs, EraseGuardArgs, EraseOptions,
        ErasePersonArgs, EraseProveArgs, EraseResumeArgs, PersonAgainArgs, ReceiptAction, ReceiptArgs, ReceiptShowArgs,
        ReceiptVerifyArgs,
    },
    host::{CompletionsArgs, ConfigAction, ConfigArgs, ConfigCheckArgs, DoctorArgs, FromEnvArgs, ManArgs},
    import::ImportArgs,
    inspect::{
        CatArgs, CheckArgs, KeyArgs, LsArgs, PruneArgs, ReadData, RepairArgs, RepoAction, RepoArgs, ShowArgs,
        SnapshotsArgs,
    },
    key::{
        AddRecipientArgs, DelegateArgs, EnrolWriterArgs, KeyAction, KeyJoinArgs, KeyListArgs, KeyRequestArgs,
        RemoveRecipientArgs, RevokeWriterArgs, RoleName,
    },
    operate::{DaemonArgs, ScheduleAction, ScheduleArgs, StatusArgs, SystemdArgs},
    report::{DashboardArgs, ReportArgs, Since},
    restore::RestoreArgs,
    retention::{ForgetArgs, HoldArgs, KeepArgs, ReleaseArgs},
    rows::{ConditionArgs, DiffArgs, HistoryArgs, RecoverArgs, RowsArgs, SpotArgs, Where},
    runbook::{RunbookArgs, ScenarioName},
    seal::{AddCellArgs, MoveCellArgs, RemoveCellArgs, SealAction, SealArgs, SealRotateArgs},
};
use crate::term::{
    Form, Talk, Terminal,
    progress::{Asked, Mode},
};

/// Encrypted, deduplicated backups of databases that can truly forget.
///
/// A snapshot is one consistent dump of one job. It opens with two things together: a recipient's private key and the repository's
/// current seal. Hosts that make backups hold only public keys.
#[derive(Debug, Parser)]
#[command(name = "lacre", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Start here:\n  \
    lacre --repo /var/backups/lacre init\n  \
    lacre --repo /var/backups/lacre backup --postgres postgres://backup@db/astro\n  \
    lacre --repo /var/backups/lacre restore latest:astro --to postgres:///astro_copy --create")]
pub struct Cli {
    /// Flags every command understands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Repository: a folder (/path or file:///path), s3://bucket/prefix, b2://bucket/prefix?region=R, or memory: for tests
    ///
    /// Also the key `repository` in lacre.toml.
    #[arg(long, global = true, env = "LACRE_REPO", value_name = "URL", hide_env_values = true)]
    pub repo: Option<StoreUrl>,
    /// Configuration file
    ///
    /// Default: /etc/lacre/lacre.toml, then $XDG_CONFIG_HOME/lacre/lacre.toml. A file named here must exist.
    #[arg(long, global = true, env = "LACRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keys and state of this host
    ///
    /// Default: /var/lib/lacre for root, $XDG_STATE_HOME/lacre for others.
    #[arg(long, global = true, env = "LACRE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Value of a key of lacre.toml for this command, for example retention.keep_daily=30; repeatable
    ///
    /// Outranks the environment and the file. Keys of tables that stand once; lists as in the file: notify.email.to=["ops@example.org"].
    #[arg(long, global = true, value_name = "TABLE.KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Identity file that opens snapshots (age or OpenPGP secret key); repeatable
    #[arg(long, global = true, env = "LACRE_IDENTITY", value_name = "FILE", action = ArgAction::Append)]
    pub identity: Vec<PathBuf>,
    /// Reach a bucket over plain http, which shows object names and sizes (never keys or contents) to the network
    #[arg(long, global = true)]
    pub allow_http: bool,
    /// Print exactly one JSON document on stdout, also for errors
    #[arg(long, global = true)]
    pub json: bool,
    /// Progress on stderr: JSON lines, or none at all
    #[arg(long, global = true, value_name = "FORM")]
    pub progress: Option<Asked>,
    /// Say only warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is done and why; twice for more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl GlobalArgs {
    /// Returns the terminal as these flags want it.
    pub fn terminal(&self) -> Terminal {
        let talk = match (self.quiet, self.verbose) {
            (true, _) => Talk::Quiet,
            (false, 0) => Talk::Normal,
            (false, _) => Talk::Verbose,
        };
        Terminal { talk, form: if self.json { Form::Json } else { Form::Text } }
    }

    /// Returns where progress goes.
    pub fn progress_mode(&self) -> Mode {
        Mode::choose(self.progress, self.terminal().talk)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a repository, its keys, its seal and the recovery kit
    ///
    /// Creates the repository (a folder that is empty or not there yet), this host's keys, the seal and the recovery kit.
    ///
    /// Without --recipient, --pgp or --passphrase an age identity is made in the home (mode 0600) and you are told to move it.
    /// The kit is printed once on the terminal, or written with --kit-file. Keep it on paper, away from this machine: losing the seal
    /// cell and the kit loses the backups.
    ///
    /// Example: lacre --repo /var/backups/lacre init --recipient age1... --kit-file /media/usb/kit.txt
    Init(InitArgs),
    /// Take a snapshot of each job
    ///
    /// Without arguments it is the whole night: every `[[job]]` of lacre.toml, one after the other, then
    /// retention, garbage collection when it is due, copies, metrics, and whoever is to be told. Runs
    /// never overlap: a second one waits as [run] says, then exit 11.
    ///
    /// A snapshot exists only if its source ended well: exit status 0, complete by its own format, not
    /// empty. Otherwise exit 14 and nothing is committed. A source that shrank to under half of the
    /// snapshot before is refused with exit 15.
    ///
    /// Examples:
    ///   lacre backup astro
    ///   lacre backup --postgres postgres://backup@db/astro
    ///   lacre backup --command shop -- mysqldump --single-transaction shop
    ///   lacre backup --file uploads=/var/dumps/uploads.tar
    #[command(verbatim_doc_comment)]
    Backup(BackupArgs),
    /// Take old dumps in, with their dates
    ///
    /// Makes a snapshot of each file, dated when the dump was made: by its archive's header, else by its name, else by the file's own time.
    ///
    /// Compressed archives are re-inflated, so that what they share is stored once. A file that is cut off is refused, one that was
    /// imported before is recognised and left out. The oldest goes first, whatever the order they are named in.
    ///
    /// Example: lacre import /var/backups/astro/*.sql.gz --job astro
    Import(ImportArgs),
    /// List snapshots, newest last
    ///
    /// Lists snapshots, newest last. Needs no identity: job, time, sizes and state are in signed headers.
    ///
    /// Example: lacre snapshots --job astro
    Snapshots(SnapshotsArgs),
    /// Show what a snapshot holds and what it was made from
    ///
    /// Shows the streams, digests and source facts of a snapshot. Without an identity only the header is shown, and "sealed": true.
    ///
    /// Example: lacre show latest:astro
    Show(ShowArgs),
    /// List the streams of a snapshot
    ///
    /// Lists the streams of a snapshot: name, kind, rows and bytes. Needs an identity.
    ///
    /// Example: lacre ls latest:astro
    Ls(LsArgs),
    /// Write one stream of a snapshot to stdout
    ///
    /// Writes one stream to stdout, verified: on damage the exit code is 4 and the bytes already written must not be used.
    ///
    /// Example: lacre cat latest:astro globals
    Cat(CatArgs),
    /// Bring a snapshot back into a database, a file or a program
    ///
    /// Brings a snapshot back. Everything read is verified: a stream whose hash is wrong is exit 4.
    ///
    /// Into a database (--to): always a side database first, compared row by row with what was dumped.
    /// A target that is not empty is refused unless --swap, which renames the verified side database
    /// into place and keeps the old one until you drop it.
    ///
    /// The plan is shown first: bytes, room, the time it will take by earlier drills, what the server
    /// lacks. Before a swap the database that is replaced is saved as a snapshot of its own job, and the
    /// critical queries of lacre.toml must hold in the new one. On a terminal without arguments the
    /// snapshots are listed to choose from.
    ///
    /// To a file (--to-file), a program (--to-command) or stdout: the archive bit for bit as pg_dump
    /// wrote it, or the one raw stream.
    ///
    /// Examples:
    ///   lacre restore latest:astro --to postgres:///astro --create
    ///   lacre restore astro@2026-11-20 --to postgres:///astro --swap
    ///   lacre restore 8f21 --to-file astro.dump
    #[command(verbatim_doc_comment)]
    Restore(RestoreArgs),
    /// Find rows in a snapshot without restoring it
    ///
    /// Prints the rows of a table that have the given values, as tab-separated COPY text with a line of column names first.
    ///
    /// Example: lacre rows astro@2026-11-20 users --where email=ana@example.org
    Rows(RowsArgs),
    /// Show what changed between two snapshots
    ///
    /// Counts rows added, removed and changed, table by table, and with --table shows them. Only chunks that the two do not share are
    /// read, so that two nights of a large database take a moment.
    ///
    /// Example: lacre diff astro@2026-11-20 latest:astro --table users
    Diff(DiffArgs),
    /// Show every version of some rows over all snapshots
    ///
    /// Searches every kept snapshot of a job, oldest first, and shows when the rows appeared, changed and went. What several nights share
    /// is searched once.
    ///
    /// Example: lacre history users --where id=42
    History(HistoryArgs),
    /// Bring back rows that were deleted, without touching those that are there
    ///
    /// Writes the rows of a snapshot's table that a database does not have any more as SQL, or puts them into a table of another schema.
    /// The database compares by primary key; its own rows are read and never written.
    ///
    /// Examples:
    ///   lacre recover users --from astro@2026-11-20 --missing-in postgres:///astro > users.sql
    ///   lacre recover users --from latest:astro --missing-in postgres:///astro --into-schema recovered
    #[command(verbatim_doc_comment)]
    Recover(RecoverArgs),
    /// Compare a sample of live rows with the newest snapshot
    ///
    /// Looks up a random sample of the newest snapshot's rows in the live database, by primary key, table by table. Exit 3 when a larger
    /// share than --tolerance has changed or gone.
    ///
    /// Example: lacre spot astro
    Spot(SpotArgs),
    /// Rehearse a restore and prove that it works
    ///
    /// Restores a snapshot into a scratch database, compares every table's rows and digest with what was dumped, asks the critical queries
    /// of lacre.toml, and removes the database again. The result and the time it took go on record, signed.
    ///
    /// Without server in lacre.toml or --server a throw-away PostgreSQL server is made on this machine, as an unprivileged user when run by
    /// root. Subscriptions, event triggers, schedulers' extensions and passwords of other servers are not restored, so that a drill
    /// acts on nothing but its own database. What a killed drill left is removed by the next one.
    ///
    /// Exit 0 when it passed, 3 when it passed with warnings, 4 when it did not pass.
    ///
    /// Example: lacre drill astro
    Drill(DrillArgs),
    /// Look after the repository: check, stats, rebuild, repair, prune, adopt
    Repo(RepoArgs),
    /// Same as `repo check`
    #[command(hide = true)]
    Check(CheckArgs),
    /// Same as `repo stats`
    #[command(hide = true)]
    Stats,
    /// Same as `repo prune`
    #[command(hide = true)]
    Prune(PruneArgs),
    /// Keep further places that hold every snapshot: sync, list, verify
    Copy(CopyArgs),
    /// Forget snapshots by rule, and say why each other one is kept
    ///
    /// Forgets snapshots by the keep rules, per job, and prints why each other one is kept. Rules not given come from lacre.toml.
    ///
    /// Nothing is reclaimed before `repo prune` (or --prune): --undo brings a snapshot back until then. Held snapshots and the last min_verified verified ones are
    /// never forgotten.
    ///
    /// Example: lacre forget --keep-daily 30 --keep-weekly 4 --keep-monthly 6 --dry-run
    Forget(ForgetArgs),
    /// Keep a snapshot whatever the rules say (legal hold)
    ///
    /// Puts a legal hold on a snapshot: no rule and no erasure touches it until `release`.
    ///
    /// Example: lacre hold astro@2026-11-20
    Hold(HoldArgs),
    /// End the hold on a snapshot
    ///
    /// Ends the hold on a snapshot; the rules apply to it again.
    ///
    /// Example: lacre release astro@2026-11-20
    Release(ReleaseArgs),
    /// Erase snapshots in every copy ever made
    Erase(EraseArgs),
    /// Show or verify receipts of erasures
    Receipt(ReceiptArgs),
    /// Show, verify or change the seal and who holds it
    Seal(SealArgs),
    /// Issue or acknowledge printed recovery kits
    Kit(KitArgs),
    /// Show recipients, homes and roles
    Key(KeyListArgs),
    /// Check backups, copies, disk, seal, audits, drills and erasures against thresholds
    ///
    /// Checks age, count, size and trend of the backups, the copies, the disk, seal and kit, audits, drills, certificates and erasures
    /// against [status].
    ///
    /// Exit 3 when a check fails, 4 for damage. --strict also minds what should have been done and was not. It costs one listing of the
    /// store and one of each copy, all copies at the same time; one that does not answer within 20 seconds is unreachable.
    ///
    /// Example: lacre status --strict --notify
    Status(StatusArgs),
    /// Count what keeping backups costs a month, now and in a year
    ///
    /// Counts what the repository and its copies cost with the prices of [prices] and [price.NAME]: bytes kept, requests, what leaves, what is
    /// free; and what the twelve months to come cost if backups go on as they did lately and the keep rules forget as they will.
    ///
    /// Exit 3 when the prices are more than 180 days old, or a bucket has none. --per-night and --nights count for a repository that is not
    /// there yet.
    ///
    /// Examples:
    ///   lacre cost
    ///   lacre cost --per-night 150MB --nights 30
    #[command(verbatim_doc_comment)]
    Cost(CostArgs),
    /// Write a page for people and auditors: history, drills, audits, retention, erasures, keys, copies
    ///
    /// Writes one HTML file that needs nothing besides itself: snapshots and failures over time, growth and deduplication, drills and recovery
    /// times, audits, what each snapshot is kept for, erasures and what they wait for, keys and holders, copies; a page for the auditor and
    /// the quarterly checklist, answered with what is on record.
    ///
    /// One look at the store, no private key, nothing changed. Where the machine cannot read names of jobs, neither does the page. Exit 0
    /// whatever it says: `lacre status` is what judges.
    ///
    /// Example: lacre report --html report.html --since 90d --lang pt-BR
    Report(ReportArgs),
    /// Serve the same page live on the loopback, with what is running on this host
    ///
    /// Serves the report on the loopback until SIGTERM: what runs on this host every two seconds, the store every --every. It can be asked and
    /// nothing can be told; requests under another name than the loopback's are refused. From elsewhere: a tunnel, for example ssh -L.
    ///
    /// Example: lacre dashboard --listen 127.0.0.1:9188
    Dashboard(DashboardArgs),
    /// Print systemd units or crontab lines for what [schedule] says
    Schedule(ScheduleArgs),
    /// Follow [schedule] until SIGTERM: for containers, where nobody else starts things
    ///
    /// Follows [schedule] until SIGTERM, in its time zone, each run delayed at random as `jitter` says, a run that was missed made up
    /// for within `catch_up`. Commands run one at a time, each in a process of its own. /healthz and /metrics answer on the loopback.
    ///
    /// Example: lacre daemon --from-env
    Daemon(DaemonArgs),
    /// Check, show or convert the configuration
    Config(ConfigArgs),
    /// Look for trouble on this host before it finds you
    ///
    /// Looks at this host: clock, file modes, core dumps, swap, disk space, database client programs, gpg.
    ///
    /// Exit 3 when something should be changed. Nothing is changed and no secret is shown.
    ///
    /// Example: lacre doctor
    Doctor(DoctorArgs),
    /// Print what to do on a bad day, with this repository's names and the commands to type
    ///
    /// Prints a page in Markdown: the server is gone, data were damaged, rows were deleted, a key or the seal is lost, ransomware, a person asks
    /// to be erased. It is filled with the repository, its copies, cells, kits, jobs, sizes and last drills, holds no secret, and says what
    /// each step needs. Print it and keep it with the kit; make it again when something changes.
    ///
    /// Examples:
    ///   lacre runbook > runbook.md
    ///   lacre runbook total-loss --lang pt-BR
    #[command(verbatim_doc_comment)]
    Runbook(RunbookArgs),
    /// Print the completion script of a shell
    ///
    /// Prints the completion script of a shell.
    ///
    /// Example: lacre completions bash > /etc/bash_completion.d/lacre
    Completions(CompletionsArgs),
    /// Write the man pages into a folder
    ///
    /// Writes one man page per command into a folder, which must exist.
    ///
    /// Example: lacre man --dir /usr/local/share/man/man1
    Man(ManArgs),
}

#[cfg(test)]
mod tests;
