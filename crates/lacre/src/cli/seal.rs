//! `seal`: who holds the seal, and changing it.

use clap::{Args, Subcommand};

use super::erase::EraseResumeArgs;

/// Arguments of `lacre seal`.
#[derive(Clone, Debug, Args)]
pub struct SealArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: SealAction,
}

/// What to do with the seal.
#[derive(Clone, Debug, Subcommand)]
pub enum SealAction {
    /// List the holders: cells, their generations and the kits that were issued
    ///
    /// Example: lacre seal status --json
    Status,
    /// Open every cell and prove that it holds the current generation and no other
    ///
    /// Names every generation in a cell that should not be there, also hidden versions in a bucket, with the command that settles it.
    /// Exit 4 when a cell holds none or only a dead one, exit 3 when fewer than two holders are verified or something is left over.
    ///
    /// Example: lacre seal verify
    Verify,
    /// Change the seal: forgotten snapshots die in every copy ever made, all others are carried over
    ///
    /// The old seal is destroyed only when two independent holders of the new one are verified; until then exit 5 and what to do. Run it
    /// again to go on.
    ///
    /// Example: lacre seal rotate
    Rotate(SealRotateArgs),
    /// Add a cell: a place that holds the seal
    ///
    /// The cell is tried out first: it has to keep, return, list and forget. A bucket that cannot forget is refused.
    ///
    /// Examples:
    ///   lacre seal add-cell 's3://astro-seal/seal?region=eu-west-1&credentials=seal'
    ///   lacre seal add-cell 'exec:/usr/local/bin/seal-vault' --holder vault.example.org
    #[command(verbatim_doc_comment)]
    AddCell(AddCellArgs),
    /// Take a cell out and destroy what it holds
    ///
    /// Refused when fewer than two independent holders of the seal would remain, unless it is declared lost (--lost), could not be read
    /// anyhow and one holder remains.
    ///
    /// Example: lacre seal remove-cell file:/mnt/old-disk/seal
    RemoveCell(RemoveCellArgs),
    /// Add a cell, then take another out
    ///
    /// Example: lacre seal move-cell file:/mnt/old-disk/seal file:/mnt/new-disk/seal
    MoveCell(MoveCellArgs),
}

/// Arguments of `lacre seal rotate`.
#[derive(Clone, Debug, Args)]
pub struct SealRotateArgs {
    /// Only when `rotate_every` of [seal] says so, and only where two independent remote cells make it possible without a person
    #[arg(long)]
    pub if_due: bool,
    /// How to go on.
    #[command(flatten)]
    pub resume: EraseResumeArgs,
}

/// Arguments of `lacre seal add-cell`.
#[derive(Clone, Debug, Args)]
pub struct AddCellArgs {
    /// Place: file:/path, s3://bucket/prefix, b2://bucket/prefix or exec:/program
    #[arg(value_name = "SPEC")]
    pub spec: String,
    /// What the cell is lost together with: cells with one holder count as one
    ///
    /// Default: this host for a file or a command, the provider and its key for a bucket.
    #[arg(long, value_name = "NAME")]
    pub holder: Option<String>,
}

/// Arguments of `lacre seal remove-cell`.
#[derive(Clone, Debug, Args)]
pub struct RemoveCellArgs {
    /// Cell as `seal status` names it
    #[arg(value_name = "CELL")]
    pub cell: String,
    /// It is lost: nothing is destroyed, and receipts show that you declared it
    #[arg(long)]
    pub lost: bool,
}

/// Arguments of `lacre seal move-cell`.
#[derive(Clone, Debug, Args)]
pub struct MoveCellArgs {
    /// Cell as `seal status` names it
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Place of the new one
    #[arg(value_name = "TO")]
    pub to: String,
    /// What the new one is lost together with
    #[arg(long, value_name = "NAME")]
    pub holder: Option<String>,
}
