//! `lacre key delegate`: the rules by which machines without the admin key may forget.

use jiff::tz::TimeZone;
use lacre_format::{
    ids::JobName,
    policy::{KeepRules, Retention},
};

use crate::{
    cli::{DelegateArgs, KeepArgs},
    config::{self, Settings},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    output::{DelegateResult, DelegatedEntry},
    vault::Vault,
};

/// Publishes the rules, or takes them back.
///
/// # Errors
/// [`Kind::Usage`] without any rule or for an unknown time zone; those of the vault.
pub(super) fn run(invocation: &Invocation, args: &DelegateArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let retention = if args.none { None } else { Some(retention(&vault.settings, args)?) };
    let policy = vault.repository.delegate(retention.as_ref()).map_err(|error| vault.explain(error))?;
    let document = DelegateResult {
        policy,
        zone: retention.as_ref().map(|retention| retention.zone.clone()),
        delegated: retention.iter().flat_map(|retention| &retention.rules).map(entry).collect(),
    };
    invocation.print(&document, |out| {
        if document.delegated.is_empty() {
            return writeln!(out, "only admins may forget (policy {})", document.policy);
        }
        writeln!(
            out,
            "machines without the admin key may forget what none of these keeps (policy {}):",
            document.policy
        )?;
        for rules in &document.delegated {
            writeln!(out, "  {}: {}", rules.job.as_deref().unwrap_or("every other job"), rules.rules)?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn retention(settings: &Settings, args: &DelegateArgs) -> Result<Retention, CliError> {
    let zone = match &args.zone {
        Some(zone) => TimeZone::get(zone)
            .map(|_| zone.clone())
            .map_err(|error| CliError::new(Kind::Usage, format!("{zone:?} is no time zone")).because(&error))?,
        None => TimeZone::system().iana_name().unwrap_or("UTC").to_owned(),
    };
    let mut rules = Vec::new();
    let typed = is_given(&args.keep);
    if !typed {
        for job in &settings.jobs {
            let Some(own) = job.retention.as_ref() else { continue };
            let name = JobName::parse(job.name.as_str())
                .map_err(|error| CliError::new(Kind::Usage, "that is no job name").because(&error))?;
            rules.push(keep(own, Some(name)));
        }
    }
    let mut all = if typed { config::Retention::default() } else { settings.retention.clone() };
    all = all.overridden_by(&args.keep);
    all.min_verified = args.min_verified.unwrap_or(all.min_verified);
    rules.push(keep(&all, None));
    rules.retain(|rules| !is_empty(rules));
    if rules.is_empty() {
        return Err(CliError::new(Kind::Usage, "there is no rule to publish")
            .hint("write [retention] into lacre.toml, give --keep-daily N and the like, or --none"));
    }
    Ok(Retention { zone, rules })
}

fn is_given(args: &KeepArgs) -> bool {
    let counts =
        [args.keep_last, args.keep_hourly, args.keep_daily, args.keep_weekly, args.keep_monthly, args.keep_yearly];
    counts.iter().any(Option::is_some) || args.keep_within.is_some()
}

fn is_empty(rules: &KeepRules) -> bool {
    let counts = [rules.last, rules.hourly, rules.daily, rules.weekly, rules.monthly, rules.yearly];
    counts.iter().all(|count| *count == 0) && rules.within.is_none()
}

fn keep(retention: &config::Retention, job: Option<JobName>) -> KeepRules {
    KeepRules {
        job,
        last: retention.keep_last.unwrap_or_default(),
        hourly: retention.keep_hourly.unwrap_or_default(),
        daily: retention.keep_daily.unwrap_or_default(),
        weekly: retention.keep_weekly.unwrap_or_default(),
        monthly: retention.keep_monthly.unwrap_or_default(),
        yearly: retention.keep_yearly.unwrap_or_default(),
        within: retention.keep_within.map(|span| span.to_string()),
        verified_min: retention.min_verified,
    }
}

/// Rules in words, as flags spell them.
pub(super) fn entry(rules: &KeepRules) -> DelegatedEntry {
    let counts = [
        ("last", rules.last),
        ("hourly", rules.hourly),
        ("daily", rules.daily),
        ("weekly", rules.weekly),
        ("monthly", rules.monthly),
        ("yearly", rules.yearly),
        ("verified", rules.verified_min),
    ];
    let mut words: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    words.extend(rules.within.as_ref().map(|within| format!("within {within}")));
    DelegatedEntry { job: rules.job.as_ref().map(ToString::to_string), rules: words.join(", ") }
}
