//! `rows`, `diff`, `history`, `recover`, `spot`: finding rows again and bringing them back.

use std::path::PathBuf;

use clap::Args;

use super::{
    inspect::KeyArgs,
    value::{JobName, SnapshotName},
};
use crate::safe_url::SafeUrl;

/// A column and the value it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Where {
    /// The column.
    pub column: String,
    /// The value, as SQL shows it.
    pub value: String,
}

impl std::str::FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Where, String> {
        match text.split_once('=') {
            Some((column, value)) if !column.is_empty() => {
                Ok(Where { column: column.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("'{text}' is not COLUMN=VALUE")),
        }
    }
}

/// Which rows are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct ConditionArgs {
    /// Only rows in which this column has this value, as SQL shows it; repeatable, all must hold
    #[arg(long = "where", value_name = "COL=V")]
    pub wanted: Vec<Where>,
    /// Only rows in which this column is NULL; repeatable
    #[arg(long = "null", value_name = "COL")]
    pub null: Vec<String>,
}

/// Arguments of `lacre rows`.
#[derive(Clone, Debug, Args)]
pub struct RowsArgs {
    /// Snapshot: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "SNAP")]
    pub snapshot: SnapshotName,
    /// Table: schema.table, or its name alone
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Which rows.
    #[command(flatten)]
    pub conditions: ConditionArgs,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArgs {
    /// Snapshot before: beginning of its id, latest, latest:JOB or JOB@2026-11-20
    #[arg(value_name = "A")]
    pub before: SnapshotName,
    /// Snapshot after
    #[arg(value_name = "B")]
    pub after: SnapshotName,
    /// Only this table, and show its rows
    #[arg(long, value_name = "T")]
    pub table: Option<String>,
    /// Only the row with this primary key; the parts of a key of several columns are separated by commas
    #[arg(long, value_name = "V", requires = "table")]
    pub key: Option<String>,
    /// Rows shown at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// What opens them.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre history`.
#[derive(Clone, Debug, Args)]
pub struct HistoryArgs {
    /// Table: schema.table, or its name alone
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Which rows.
    #[command(flatten)]
    pub conditions: ConditionArgs,
    /// Job whose snapshots are searched; needed when there are several
    #[arg(long, value_name = "J")]
    pub job: Option<JobName>,
    /// What opens them.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre recover`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("way").args(["out", "into_schema"]))]
pub struct RecoverArgs {
    /// Table: schema.table, or its name alone
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Snapshot that still has the rows
    #[arg(long, value_name = "SNAP")]
    pub from: SnapshotName,
    /// Database that lacks them; its rows are only read
    #[arg(long, value_name = "URL")]
    pub missing_in: SafeUrl,
    /// Which rows; without conditions all that are missing.
    #[command(flatten)]
    pub conditions: ConditionArgs,
    /// Columns that tell rows apart, separated by commas, instead of the primary key
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    pub on: Vec<String>,
    /// Write the SQL into this file instead of stdout; must not exist
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Put the rows into a new table of this schema of the same database instead
    #[arg(long, value_name = "S")]
    pub into_schema: Option<String>,
    /// Write INSERT statements that step over rows which are there meanwhile, instead of one COPY
    #[arg(long, conflicts_with = "into_schema")]
    pub inserts: bool,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}

/// Arguments of `lacre spot`.
#[derive(Clone, Debug, Args)]
pub struct SpotArgs {
    /// Job whose newest snapshot is compared
    #[arg(value_name = "JOB")]
    pub job: JobName,
    /// Database to compare with; without it the job's own of lacre.toml
    #[arg(long, value_name = "URL")]
    pub with: Option<SafeUrl>,
    /// Rows looked at in each table
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub sample: u32,
    /// Share of the sampled rows that may have changed or gone since
    #[arg(long, value_name = "P%", default_value = "5%")]
    pub tolerance: super::value::Percent,
    /// What opens it.
    #[command(flatten)]
    pub keys: KeyArgs,
}
