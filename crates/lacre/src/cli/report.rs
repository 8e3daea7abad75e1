//! `report`, `dashboard`: the page for people and auditors, as a file or live.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use jiff::{Span, Timestamp, Zoned, civil::Date};

use crate::{human, lang::Lang};

/// Arguments of `lacre report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Write the page into this file, for its owner only; - prints it. Without it only the checklist is printed
    #[arg(long, value_name = "F")]
    pub html: Option<PathBuf>,
    /// Begin histories at this day or moment, or this long ago: 2026-11-20, 2026-11-20T03:00:00Z, 90d, 1y. Default: at the beginning
    #[arg(long, value_name = "T", value_parser = since)]
    pub since: Option<Since>,
    /// Language of the page: en or pt-BR
    #[arg(long, value_name = "LANG", default_value = "en", hide_possible_values = true)]
    pub lang: Lang,
    /// Do not look at the configured copies; the page then says nothing of them
    #[arg(long)]
    pub no_copies: bool,
}

/// Arguments of `lacre dashboard`.
#[derive(Clone, Debug, Args)]
pub struct DashboardArgs {
    /// Address of this machine's loopback to serve the page on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9188", value_parser = loopback)]
    pub listen: SocketAddr,
    /// How often the store is looked at; what runs on this host is shown every two seconds
    #[arg(long, value_name = "D", default_value = "60s", value_parser = human::parse_duration)]
    pub every: Duration,
    /// Language of the page: en or pt-BR
    #[arg(long, value_name = "LANG", default_value = "en", hide_possible_values = true)]
    pub lang: Lang,
    /// Do not look at the configured copies; the page then says nothing of them
    #[arg(long)]
    pub no_copies: bool,
}

/// Where histories begin.
#[derive(Clone, Debug)]
pub enum Since {
    /// At a moment.
    Moment(Timestamp),
    /// At the beginning of a local day.
    Day(Date),
    /// So long before now.
    Ago(Span),
}

impl Since {
    /// The moment it means; nothing where that lies beyond the calendar.
    pub fn moment(&self, now: &Zoned) -> Option<Timestamp> {
        match self {
            Since::Moment(moment) => Some(*moment),
            Since::Day(day) => day.to_zoned(now.time_zone().clone()).ok().map(|start| start.timestamp()),
            Since::Ago(span) => now.checked_sub(*span).ok().map(|then| then.timestamp()),
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse() {
        return Ok(Since::Moment(moment));
    }
    if let Ok(day) = text.parse() {
        return Ok(Since::Day(day));
    }
    human::parse_span(text).map(Since::Ago).map_err(|_| {
        format!("'{text}' is no day, moment or time span; write for example 2026-11-20, 2026-11-20T03:00:00Z or 90d")
    })
}

/// A page with names of jobs, machines and places is for this machine only; a tunnel brings it elsewhere.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let fix = "write 127.0.0.1:9188; from elsewhere: ssh -L 9188:127.0.0.1:9188 HOST";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(address) => Err(format!("{address} can be reached from other machines; {fix}")),
        Err(_) => Err(format!("'{text}' is no address with a port; {fix}")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Zoned, tz::TimeZone};

    use super::{loopback, since};

    #[test]
    fn histories_begin_at_a_day_a_moment_or_some_time_ago() {
        let now = Zoned::new("2026-12-01T12:00:00Z".parse().unwrap(), TimeZone::fixed(jiff::tz::offset(-3)));
        let begins = |text: &str| since(text).unwrap().moment(&now).unwrap().to_string();
        assert_eq!(begins("2026-11-20"), "2026-11-20T03:00:00Z");
        assert_eq!(begins("2026-11-20T05:00:00Z"), "2026-11-20T05:00:00Z");
        assert_eq!(begins("3mo"), "2026-09-01T12:00:00Z");
        for bad in ["", "yesterday", "2026-13-01", "-3d"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_loopback_is_listened_on() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:9188").is_ok());
        for (bad, why) in
            [("0.0.0.0:9188", "other machines"), ("192.0.2.1:80", "other machines"), ("9188", "no address")]
        {
            assert!(loopback(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
