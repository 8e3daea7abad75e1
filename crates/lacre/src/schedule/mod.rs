//! When things happen: cron expressions read and followed through time zones, and how cron and systemd are told of them.
//!
//! In: settled expressions. Out: moments, crontab lines, units. It must not start anything.

pub mod cron;
pub mod crontab;
pub mod systemd;

use jiff::tz::TimeZone;

use crate::error::{CliError, Kind};

/// Finds a time zone by its name, or the system's.
///
/// # Errors
/// [`Kind::Configuration`] for a name that the time zone database does not have.
pub fn zone(name: Option<&str>) -> Result<TimeZone, CliError> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name).map_err(|error| {
        CliError::new(Kind::Configuration, format!("there is no time zone {name:?}"))
            .because(&error)
            .hint("write it as in the time zone database, for example time_zone = \"America/Sao_Paulo\"")
    })
}
