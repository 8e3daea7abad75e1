//! `erase`, `receipt`: what must die, and the proof that it did.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::value::{self, JobName, SnapshotName};

/// Arguments of `lacre erase`.
#[derive(Clone, Debug, Args)]
pub struct EraseArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: EraseAction,
}

/// What to erase, or to do about an erasure.
#[derive(Clone, Debug, Subcommand)]
pub enum EraseAction {
    /// Erase snapshots in every copy ever made
    ///
    /// Signs the intent, changes the seal so that every other snapshot is carried over, and destroys the old seal. What only the erased
    /// snapshots reached is then unreadable in every copy ever made, whoever holds the recipients' keys.
    ///
    /// Exit 5 while something that could bring it back is not settled; `lacre erase status` names each and its command.
    ///
    /// Examples:
    ///   lacre erase snapshot astro@2026-11-20 --dry-run
    ///   lacre erase snapshot 3f9c --reason art17 --request TICKET-812
    #[command(verbatim_doc_comment)]
    Snapshot(EraseSnapshotArgs),
    /// Erase every snapshot of a job taken before a moment
    ///
    /// Example: lacre erase job astro --before 2026-01-01
    Job(EraseJobArgs),
    /// Erase one person's rows out of every snapshot, in every copy ever made
    ///
    /// The rules file says which rows of which tables are a person's (docs/ERASURE.md). Every snapshot of the jobs gets a successor without
    /// them, what survives is searched for traces, and the seal is changed so that only the successors can be opened.
    ///
    /// The person's key comes from a file with one key on each line (columns of a composite key with tabs between them), from standard
    /// input with -, or is asked for. Identifiers to search for besides those in the person's own row: column=value on each line.
    ///
    /// If it is interrupted, or a held snapshot was released since: lacre erase resume, or the same command again.
    ///
    /// Examples:
    ///   lacre erase person --rules erasure.toml --subject user --key-file key.txt --dry-run
    ///   printf 4711 | lacre erase person --rules erasure.toml --subject user --key-file - --reason art17 --request TICKET-812
    #[command(verbatim_doc_comment)]
    Person(ErasePersonArgs),
    /// Carry on with what an erasure or a rotation waits for
    ///
    /// Makes the snapshots without a person that an erasure still lacks, changes the seal for every erasure that is due, finishes a rotation
    /// that was interrupted, destroys the old seal in cells on this host, and signs a new receipt for each erasure.
    ///
    /// Whom an erasure of a person is about is told by tokens that lie sealed beside the snapshots. Where those do not suffice any more, it
    /// says so: then give the rules and the key again, as for `erase person`. The key itself is stored nowhere.
    ///
    /// Examples:
    ///   lacre erase resume
    ///   lacre erase resume --rules erasure.toml --subject user --key-file key.txt
    #[command(verbatim_doc_comment)]
    Resume(EraseGoOnArgs),
    /// Give an erasure up, as long as the seal was not changed for it
    ///
    /// Example: lacre erase cancel 5f2e9a
    Cancel(ErasureArgs),
    /// Approve an erasure that another admin has signed
    ///
    /// Where `erase guard` asks for it, nothing is destroyed before so many other admins have approved the intent.
    ///
    /// Example: lacre erase approve 5f2e9a
    Approve(ErasureArgs),
    /// Show or set how many other admins have to approve every erasure
    ///
    /// An erasure that was signed while approvals were asked for keeps waiting for them.
    ///
    /// Example: lacre erase guard --approvals 1
    Guard(EraseGuardArgs),
    /// List erasures, what each waits for and the command that settles it
    ///
    /// Example: lacre erase status
    Status(OptionalErasureArgs),
    /// Try every identity, seal, bundle and inbox object at hand on erased snapshots
    ///
    /// Point --repo at any copy, and --kit at any kit. An old copy is older than what this home has seen: give it a --home of its own
    /// and the --identity. Exit 4 if one opening succeeds.
    ///
    /// Example: lacre --repo /mnt/old-copy erase prove
    Prove(EraseProveArgs),
    /// Vouch for something Lacre cannot reach; it is shown on the receipt as declared
    ///
    /// Example: lacre erase attest kit:1 destroyed
    Attest(EraseAttestArgs),
}

/// What all erasures take.
#[derive(Clone, Debug, Args)]
pub struct EraseOptions {
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Reason code for the receipt, without personal data
    #[arg(long, value_name = "CODE", default_value = "")]
    pub reason: String,
    /// Reference of the request: only a salted hash is kept, the salt is printed for your file
    #[arg(long, value_name = "REF")]
    pub request: Option<String>,
    /// Destroy nothing before this time (RFC 3339); until then the erasure can be given up
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<Timestamp>,
    /// Allow the last (verified) snapshot of a job to go
    #[arg(long)]
    pub allow_last: bool,
    /// Seal kit, where no cell is at hand; repeatable
    #[arg(long, value_name = "FILE")]
    pub kit: Vec<PathBuf>,
}

/// Arguments of `lacre erase snapshot`.
#[derive(Clone, Debug, Args)]
pub struct EraseSnapshotArgs {
    /// Snapshots: beginning of an id, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP", required = true)]
    pub snapshots: Vec<SnapshotName>,
    /// How.
    #[command(flatten)]
    pub options: EraseOptions,
}

/// Arguments of `lacre erase job`.
#[derive(Clone, Debug, Args)]
pub struct EraseJobArgs {
    /// Job
    #[arg(value_name = "J")]
    pub job: JobName,
    /// Snapshots taken before this time (RFC 3339), or before this day began here
    #[arg(long, value_name = "T", value_parser = value::moment)]
    pub before: Timestamp,
    /// How.
    #[command(flatten)]
    pub options: EraseOptions,
}

/// Arguments of `lacre erase person`.
#[derive(Clone, Debug, Args)]
pub struct ErasePersonArgs {
    /// Rules file
    #[arg(long, value_name = "F")]
    pub rules: PathBuf,
    /// Kind of person: the NAME of [subject.NAME] in the rules
    #[arg(long, value_name = "NAME")]
    pub subject: String,
    /// File with the person's key, - for standard input
    #[arg(long = "key-file", value_name = "F")]
    pub key_file: Option<PathBuf>,
    /// The key itself; other programs on this host can read it
    #[arg(long, value_name = "V", conflicts_with = "key_file")]
    pub key: Option<String>,
    /// File with identifiers of the person to search for, column=value; repeatable
    #[arg(long = "identifier-file", value_name = "F")]
    pub identifier_files: Vec<PathBuf>,
    /// Only snapshots of this job; repeatable; default all jobs
    #[arg(long = "job", value_name = "J")]
    pub jobs: Vec<JobName>,
    /// How.
    #[command(flatten)]
    pub options: EraseOptions,
}

/// Arguments of `lacre erase resume`, and of `lacre seal rotate`.
#[derive(Clone, Debug, Args)]
pub struct EraseResumeArgs {
    /// Take over the claim of another admin's machine: you vouch that it is dead
    #[arg(long)]
    pub adopt: bool,
    /// Snapshot whose key entry is missing and whose loss you accept: its id in full; repeatable
    #[arg(long = "accept-loss", value_name = "ID")]
    pub accept_loss: Vec<String>,
    /// Seal kit, where no cell is at hand; repeatable
    #[arg(long, value_name = "FILE")]
    pub kit: Vec<PathBuf>,
}

/// Arguments of `lacre erase resume`.
#[derive(Clone, Debug, Args)]
pub struct EraseGoOnArgs {
    /// How.
    #[command(flatten)]
    pub resume: EraseResumeArgs,
    /// Whom, where the store does not tell it.
    #[command(flatten)]
    pub person: PersonAgainArgs,
}

/// Whom an erasure that was begun is about, said again.
#[derive(Clone, Debug, Args)]
pub struct PersonAgainArgs {
    /// Of a person: the rules file, where `resume` says that it needs it
    #[arg(long, value_name = "F", requires = "subject")]
    pub rules: Option<PathBuf>,
    /// Of a person: the NAME of [subject.NAME] in the rules
    #[arg(long, value_name = "NAME", requires = "rules")]
    pub subject: Option<String>,
    /// Of a person: file with their key, - for standard input
    #[arg(long = "key-file", value_name = "F", requires = "rules")]
    pub key_file: Option<PathBuf>,
    /// Of a person: the key itself; other programs on this host can read it
    #[arg(long, value_name = "V", conflicts_with = "key_file", requires = "rules")]
    pub key: Option<String>,
    /// Of a person: file with identifiers to search for, column=value; repeatable
    #[arg(long = "identifier-file", value_name = "F", requires = "rules")]
    pub identifier_files: Vec<PathBuf>,
}

/// Arguments of `lacre erase guard`.
#[derive(Clone, Debug, Args)]
pub struct EraseGuardArgs {
    /// Other admins who have to approve; 0 asks for none
    #[arg(long, value_name = "N")]
    pub approvals: Option<u32>,
}

/// An erasure by its id.
#[derive(Clone, Debug, Args)]
pub struct ErasureArgs {
    /// Erasure: the beginning of its id
    #[arg(value_name = "ID")]
    pub erasure: String,
}

/// An erasure by its id, or all.
#[derive(Clone, Debug, Args)]
pub struct OptionalErasureArgs {
    /// Erasure: the beginning of its id; default all
    #[arg(value_name = "ID")]
    pub erasure: Option<String>,
}

/// Arguments of `lacre erase prove`.
#[derive(Clone, Debug, Args)]
pub struct EraseProveArgs {
    /// Snapshots by their ids in full, for a copy that has not heard of their erasure; default: all this repository knows as erased
    #[arg(value_name = "ID")]
    pub snapshots: Vec<String>,
    /// Seal kit to try as well; repeatable
    #[arg(long, value_name = "FILE")]
    pub kit: Vec<PathBuf>,
}

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeclaredState {
    /// It is destroyed.
    Destroyed,
    /// It is lost, and nobody has it.
    Lost,
}

/// Arguments of `lacre erase attest`.
#[derive(Clone, Debug, Args)]
pub struct EraseAttestArgs {
    /// Item as `erase status` names it, for example kit:1
    #[arg(value_name = "ITEM")]
    pub item: String,
    /// What you vouch for
    #[arg(value_name = "STATE")]
    pub state: DeclaredState,
}

/// Arguments of `lacre receipt`.
#[derive(Clone, Debug, Args)]
pub struct ReceiptArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ReceiptAction,
}

/// What to do with receipts.
#[derive(Clone, Debug, Subcommand)]
pub enum ReceiptAction {
    /// Show a receipt: a file, or the newest one of an erasure of this repository
    ///
    /// Example: lacre receipt show 5f2e9a
    Show(ReceiptShowArgs),
    /// Verify a receipt file with the admin's public key alone: no repository, no other key
    ///
    /// The key stands in lacre.json as "admin"; ask for it on another way than the receipt came.
    ///
    /// Example: lacre receipt verify receipt.json --admin-key 9b1f...
    Verify(ReceiptVerifyArgs),
}

/// Arguments of `lacre receipt show`.
#[derive(Clone, Debug, Args)]
pub struct ReceiptShowArgs {
    /// Receipt file, or the beginning of an erasure's id
    #[arg(value_name = "FILE|ID")]
    pub receipt: String,
}

/// Arguments of `lacre receipt verify`.
#[derive(Clone, Debug, Args)]
pub struct ReceiptVerifyArgs {
    /// Receipt file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The admin's public key: 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub admin_key: String,
}
