//! `init`, `kit`: the first keys and the printed sheets.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `lacre init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Recipient who may read: an age public key (X25519 or post-quantum) or a file of them; repeatable
    #[arg(long = "recipient", value_name = "R")]
    pub recipients: Vec<String>,
    /// OpenPGP certificate file of a recipient; repeatable
    #[arg(long = "pgp", value_name = "CERTFILE")]
    pub pgp: Vec<PathBuf>,
    /// Add a recipient that opens with a passphrase, asked for on the terminal or taken from LACRE_PASSPHRASE_FILE
    #[arg(long)]
    pub passphrase: bool,
    /// Seal cell: file:/mnt/other-disk/seal, s3://bucket/prefix, b2://bucket/prefix or exec:/program; repeatable
    ///
    /// Never inside the repository or a path that is backed up. Default: a file in the home.
    #[arg(long = "seal-cell", value_name = "SPEC")]
    pub seal_cells: Vec<String>,
    /// Make no recovery kit: with a single cell this declares a repository with a single holder
    #[arg(long, conflicts_with = "kit_file")]
    pub no_kit: bool,
    /// Write the recovery kit to this new file (mode 0600) instead of the terminal, and the identity sheet to F-identity beside it
    #[arg(long, value_name = "F")]
    pub kit_file: Option<PathBuf>,
}

/// Arguments of `lacre kit`.
#[derive(Clone, Debug, Args)]
pub struct KitArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KitAction,
}

/// What to do with kits.
#[derive(Clone, Debug, Subcommand)]
pub enum KitAction {
    /// Print a new recovery kit for the current seal
    ///
    /// Prints a new recovery kit: the seal sheet, and the identity sheet where an age identity is at hand, with checksum words and QR
    /// codes on a terminal. A kit of the seal goes stale when the seal is changed; one with --pointer does not.
    ///
    /// Example: lacre kit issue --kit-file /media/usb/kit.txt
    Issue(KitIssueArgs),
    /// Acknowledge a printed kit: it was checked, or it is destroyed
    ///
    /// Acknowledges a kit by its number. Without --destroyed the checksum words are asked for: re-typing them proves the sheet is readable.
    ///
    /// Example: lacre kit ack 1
    Ack(KitAckArgs),
}

/// Arguments of `lacre kit issue`.
#[derive(Clone, Debug, Args)]
pub struct KitIssueArgs {
    /// Print a pointer kit: the ways to the cells and the keys to reach them, instead of the seal; it does not go stale
    #[arg(long)]
    pub pointer: bool,
    /// Write the kit to this new file (mode 0600) instead of the terminal, and the identity sheet to F-identity beside it
    #[arg(long, value_name = "F")]
    pub kit_file: Option<PathBuf>,
}

/// Arguments of `lacre kit ack`.
#[derive(Clone, Debug, Args)]
pub struct KitAckArgs {
    /// Number of the kit, as printed on it
    #[arg(value_name = "N", value_parser = super::value::kit_number)]
    pub number: u32,
    /// The identity sheet of that number, instead of the seal sheet
    #[arg(long)]
    pub identity_sheet: bool,
    /// The sheet and every copy of it are destroyed
    #[arg(long)]
    pub destroyed: bool,
    /// Checksum words of the sheet, instead of being asked for them
    #[arg(long, value_name = "WORDS", conflicts_with = "destroyed")]
    pub checksum: Option<String>,
}
