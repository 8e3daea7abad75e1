//! `snapshots`, `show`, `ls`, `cat`, `repo`: looking without changing.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{
    copy::AdoptArgs,
    value::{JobName, Percent, SnapshotName},
};
use crate::human;

/// What opens a snapshot besides identities and cells.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyArgs {
    /// Printed sheet, as text or QR string: the seal kit where no cell is at hand, the identity sheet where no identity is; give it twice
    /// for both; - reads standard input
    #[arg(long = "kit", value_name = "FILE")]
    pub kits: Vec<PathBuf>,
}

/// Arguments of `lacre snapshots`.
#[derive(Clone, Debug, Args)]
pub struct SnapshotsArgs {
    /// Only this job
    #[arg(long, value_name = "J")]
    pub job: Option<JobName>,
}

/// Arguments of `lacre show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre ls`.
#[derive(Clone, Debug, Args)]
pub struct LsArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre cat`.
#[derive(Clone, Debug, Args)]
pub struct CatArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
    /// Stream, as `lacre ls` names it: a table (schema.table), globals, toc, data
    #[arg(value_name = "STREAM")]
    pub stream: String,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre repo`.
#[derive(Clone, Debug, Args)]
pub struct RepoArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: RepoAction,
}

/// What to do with the repository.
#[derive(Clone, Debug, Subcommand)]
pub enum RepoAction {
    /// Prove that what is stored can be restored; says what was not proved
    ///
    /// Audits the repository. Default: the highest level the keys at hand allow, without reading data.
    ///
    /// Levels: 1 sizes and counts; 2 every stored object hashes to its name and every signature holds (no keys needed); 3 every key entry
    /// opens with the seal; 4 with an identity: roots, manifests and every stream's hash; 5 what streams mean: archives are taken apart
    /// again, and every table has the rows, the columns and the encoding it was saved with. Exit 4 when something is damaged, 3 when
    /// there are warnings.
    ///
    /// With --max-age and --max-duration an audit goes on from night to night: what was proved lately is left out, new data comes first,
    /// then what was proved longest ago.
    ///
    /// Examples: lacre repo check --read-data=10%, lacre repo check --max-age 30d --max-duration 1h
    Check(CheckArgs),
    /// Show sizes, counts and how much deduplication saves
    ///
    /// Example: lacre repo stats
    Stats,
    /// Make the local caches again from the store, which is the only truth
    ///
    /// Example: lacre repo rebuild
    Rebuild,
    /// Put right what is damaged or missing, from parity, from a copy, from what else knows it
    ///
    /// Proves every object, and gives damaged and missing ones their bytes back: packs from their parity, everything from a copy (--from),
    /// by name and without any key; index and reach maps from what else knows them. It deletes nothing and brings back nothing that was
    /// forgotten, erased or collected. What nothing has is named, down to streams and rows with an identity, and put on record, so that
    /// the next backup stores again what it needs of it.
    ///
    /// Exit 0 when everything is sound, 3 with findings, 4 when something is lost.
    ///
    /// Examples:
    ///   lacre repo repair
    ///   lacre repo repair --from s3://astro-offsite/lacre
    ///   lacre repo repair --parity
    #[command(verbatim_doc_comment)]
    Repair(RepairArgs),
    /// Give back what no snapshot needs any more
    ///
    /// Deletes packs of which nothing is needed, and rewrites those that are mostly dead. Needs the key of an admin or maintenance home.
    ///
    /// What is deleted is named in a signed plan first, and only after every session that was open has ended. A run that is interrupted is
    /// continued by the next one; one that has to wait for somebody says for whom, and exits 3.
    ///
    /// Example: lacre repo prune --dry-run
    Prune(PruneArgs),
    /// Make a copy the repository, because the place it was copied from is gone
    ///
    /// Run it on an admin's machine with --repo and the copy's URL. It says first what is lost: snapshots this host knows that the copy does
    /// not hold, backups and changes of the seal that were under way. Records this host has that the copy has not heard of are brought
    /// along, so that no erasure decided here is forgotten; where one may be missing all the same, it refuses.
    ///
    /// Then a policy is published above any that was seen: the lost place, should it come back, is refused as the repository and may serve
    /// as a copy. Exit 3 when something is lost.
    ///
    /// Example: lacre --repo s3://astro-offsite/lacre repo adopt --dry-run
    Adopt(AdoptArgs),
}

/// Arguments of `lacre repo repair`.
#[derive(Clone, Debug, Args)]
pub struct RepairArgs {
    /// Copy of the repository that may have what is damaged or missing here: its URL
    #[arg(long, value_name = "COPY")]
    pub from: Option<String>,
    /// Add parity to packs that have none
    #[arg(long)]
    pub parity: bool,
    /// What opens snapshots, to say which streams and rows are lost and to make reach maps again.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre repo prune`.
#[derive(Clone, Debug, Args)]
pub struct PruneArgs {
    /// Print the plan with its reasons and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Begin no new work after this time, for example 30m; the next run goes on
    #[arg(long, value_name = "D", value_parser = human::parse_duration)]
    pub max_duration: Option<Duration>,
    /// Rewrite at most this share of the repository (default 10%)
    #[arg(long, value_name = "P%", value_parser = Percent::bound)]
    pub max_repack: Option<Percent>,
    /// Rewrite a pack when at least this share of it is dead (default 10%)
    #[arg(long, value_name = "P%", value_parser = Percent::bound)]
    pub min_dead: Option<Percent>,
    /// Rewrite nothing unless it gains this share of the repository (default 2%)
    #[arg(long, value_name = "P%", value_parser = Percent::bound)]
    pub min_gain: Option<Percent>,
    /// Take a session that has not ended for dead after this time, by the store's clock (default 48h)
    ///
    /// A run that is still alive when its session is declared dead ends with exit 11 and no snapshot.
    #[arg(long, value_name = "D", value_parser = human::parse_duration)]
    pub void_after: Option<Duration>,
    /// Go on with the unfinished collection of another home, whose process is dead
    #[arg(long)]
    pub adopt: bool,
    /// Collect although snapshots are missing: what they need is given up
    #[arg(long)]
    pub accept_loss: bool,
}

/// Arguments of `lacre repo check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Highest level to prove, 1 to 5; 5 reads all data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub level: Option<u8>,
    /// Read all packs, or a share of them that differs from run to run
    #[arg(long, value_name = "P%", num_args = 0..=1, require_equals = true, default_missing_value = "100%")]
    pub read_data: Option<Percent>,
    /// Read all data, but not again what was proved less than this ago, for example 30d
    #[arg(long, value_name = "D", value_parser = human::parse_duration, conflicts_with = "read_data")]
    pub max_age: Option<Duration>,
    /// Begin no new work after this time, for example 1h; new data comes first, then what was proved longest ago
    #[arg(long, value_name = "D", value_parser = human::parse_duration)]
    pub max_duration: Option<Duration>,
    /// Only this snapshot
    #[arg(long, value_name = "S")]
    pub snapshot: Option<SnapshotName>,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

impl CheckArgs {
    /// Returns how much data is to be read.
    pub fn read_data(&self) -> ReadData {
        let is_asked = self.max_age.is_some() || self.max_duration.is_some() || self.level == Some(5);
        if is_asked && self.read_data.is_none() {
            return ReadData::Share(Percent::ALL);
        }
        self.read_data.map_or(ReadData::None, ReadData::Share)
    }
}

/// How much data a check reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadData {
    /// None: lists, signatures and keys only.
    None,
    /// This share of the packs.
    Share(Percent),
}
