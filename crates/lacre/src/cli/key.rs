//! `key`: who may read, who may write, and how a machine joins or leaves.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::retention::KeepArgs;

/// Arguments of `lacre key`.
#[derive(Clone, Debug, Args)]
pub struct KeyListArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyAction {
    /// List recipients (who may read), homes (who may write) and what this host holds
    ///
    /// Example: lacre key list
    List,
    /// On a new machine: make its keys and print the request for the admin
    ///
    /// The private keys are made here and stay here. The request is no secret; that it arrives unchanged is what the eight words are for,
    /// which the admin's machine shows as well. Needs no repository yet.
    ///
    /// Example: lacre key request --label db2
    Request(KeyRequestArgs),
    /// On the admin's machine: enrol a machine that asked, and print its join token
    ///
    /// The token names the repository, its admin key and the machine, and carries the structure key sealed to the machine's own key: it is
    /// no secret and serves no other machine. Asked again for the same request, it prints another token.
    ///
    /// Example: lacre key enrol-writer lacre-request-...
    EnrolWriter(EnrolWriterArgs),
    /// On the new machine: take the admin's join token
    ///
    /// Pins the admin key and the policy that enrols this machine, and keeps the machine's keys: from here on it never accepts an older
    /// policy. The store's credentials are set up as for any command.
    ///
    /// Example: lacre key join lacre-join-...
    Join(KeyJoinArgs),
    /// On the admin's machine: revoke a machine's key
    ///
    /// What it has acknowledged until now stays, whatever it signs from now on is void, and a backup that is running there ends with exit 11.
    /// Revoke its store credentials as well, at the provider.
    ///
    /// Example: lacre key revoke-writer db2
    RevokeWriter(RevokeWriterArgs),
    /// Add a recipient: new snapshots can be read by them
    ///
    /// Snapshots made before cannot, until they are wrapped again: --rewrap does that with an identity and the seal at hand.
    ///
    /// Example: lacre key add-recipient age1... --rewrap
    AddRecipient(AddRecipientArgs),
    /// Remove a recipient from new snapshots and from all that are kept
    ///
    /// Every key entry is wrapped again without them, which needs an identity and the seal, and the seal is changed, so that neither their
    /// key nor any old copy opens anything. Exit 5 while something is pending.
    ///
    /// Example: lacre key remove-recipient age1...
    RemoveRecipient(RemoveRecipientArgs),
    /// Publish the rules by which machines without the admin key may forget
    ///
    /// The rules of [retention] in the configuration, per job and for all, or the ones given. A writer may forget only what it made itself,
    /// a maintenance home what anybody made, and every reader believes only what the rules allow.
    ///
    /// Example: lacre key delegate --keep-daily 30 --keep-weekly 8
    Delegate(DelegateArgs),
}

/// Arguments of `lacre key request`.
#[derive(Clone, Debug, Args)]
pub struct KeyRequestArgs {
    /// How lists call this machine; default its host name
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Write the request to this new file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What an enrolled machine may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Its own backups; it forgets what it made itself within the delegated rules.
    Writer,
    /// Prunes, checks, and forgets of all jobs within the delegated rules; no backups.
    Maintenance,
    /// Everything.
    Admin,
}

/// Arguments of `lacre key enrol-writer`.
#[derive(Clone, Debug, Args)]
pub struct EnrolWriterArgs {
    /// The request, or a file that holds it, or - for standard input
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// What the machine may sign
    #[arg(long, value_name = "ROLE", default_value = "writer")]
    pub role: RoleName,
    /// How lists call the machine; default what it calls itself
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Where the machine finds the repository, if not where this one does
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Write the token to this new file instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The eight words were compared: do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `lacre key join`.
#[derive(Clone, Debug, Args)]
pub struct KeyJoinArgs {
    /// The token, or a file that holds it, or - for standard input
    #[arg(value_name = "TOKEN")]
    pub token: String,
}

/// Arguments of `lacre key revoke-writer`.
#[derive(Clone, Debug, Args)]
pub struct RevokeWriterArgs {
    /// Home: the beginning of its id, or its label
    #[arg(id = "which", value_name = "HOME")]
    pub home: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `lacre key add-recipient`.
#[derive(Clone, Debug, Args)]
pub struct AddRecipientArgs {
    /// Recipient: an age public key (X25519 or post-quantum) or a file of them; repeatable
    #[arg(value_name = "R")]
    pub recipients: Vec<String>,
    /// OpenPGP certificate file of a recipient; repeatable
    #[arg(long = "pgp", value_name = "CERTFILE")]
    pub pgp: Vec<PathBuf>,
    /// Add a recipient that opens with a passphrase, asked for on the terminal or taken from LACRE_PASSPHRASE_FILE
    #[arg(long)]
    pub passphrase: bool,
    /// Wrap the snapshots made before as well: needs an identity and the seal
    #[arg(long)]
    pub rewrap: bool,
    /// Seal or identity sheet, where no cell or identity file is at hand; repeatable
    #[arg(long, value_name = "FILE")]
    pub kit: Vec<PathBuf>,
}

/// Arguments of `lacre key remove-recipient`.
#[derive(Clone, Debug, Args)]
pub struct RemoveRecipientArgs {
    /// Recipient: its public key or label, or the beginning of either
    #[arg(value_name = "R")]
    pub recipient: String,
    /// Seal or identity sheet, where no cell or identity file is at hand; repeatable
    #[arg(long, value_name = "FILE")]
    pub kit: Vec<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `lacre key delegate`.
#[derive(Clone, Debug, Args)]
pub struct DelegateArgs {
    /// Rules for all jobs, instead of those of the configuration.
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Never forget the last N verified ones, with the rules given here
    #[arg(long, value_name = "N")]
    pub min_verified: Option<u32>,
    /// Time zone whose days are meant, by its IANA name; default this machine's
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// Take the rules back: only admins forget
    #[arg(long, conflicts_with_all = ["min_verified", "zone", "keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"])]
    pub none: bool,
}
