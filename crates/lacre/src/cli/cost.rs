//! `cost`: what keeping backups costs.

use clap::Args;

/// Arguments of `lacre cost`.
#[derive(Clone, Debug, Args)]
pub struct CostArgs {
    /// Instead of this repository: a night that adds so many bytes, for example 150MB
    #[arg(long, value_name = "SIZE", requires = "nights", value_parser = crate::human::parse_bytes)]
    pub per_night: Option<u64>,
    /// How many such nights are kept
    #[arg(long, value_name = "N", requires = "per_night", value_parser = clap::value_parser!(u32).range(1..))]
    pub nights: Option<u32>,
}
