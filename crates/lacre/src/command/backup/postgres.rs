//! A PostgreSQL database as a source: the driver's streams become the vault's.

use std::{sync::Arc, time::Instant};

use lacre_repo::op::backup::{Backup, BackupReport, SourceFacts};

use super::{Blame, Session, abandon};
use crate::{
    cli::value::JobName,
    driver::postgres::{
        conninfo::Environment,
        dump::{DumpOptions, Source},
        error::Error as DriverError,
        report::Watch,
        target::Target,
        vault::VaultSink,
    },
    error::CliError,
    secret::SecretSource,
    vault::{Role, explain_driver},
};

/// The name of a job that was not named: its database's.
pub(super) fn job_name(url: &str) -> Result<JobName, CliError> {
    Ok(JobName::from_database(target(url)?.database()))
}

fn target(url: &str) -> Result<Target, CliError> {
    Target::resolve(url, &environment()).map_err(|error| explain_driver(error, Role::Source, None))
}

/// The variables libpq would see; one that is not UTF-8 cannot be one of its.
pub(crate) fn environment() -> Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    Environment::new(std::env::vars_os().filter_map(text))
}

/// The same, with the password that the configuration names: libpq's own way is a variable, which stays in this process.
///
/// # Errors
/// Those of the place the password comes from.
pub(crate) fn environment_with(password: Option<&SecretSource>) -> Result<Environment, CliError> {
    let Some(password) = password else { return Ok(environment()) };
    let password = password.fetch()?;
    let known = environment();
    let others = known.iter().filter(|(name, _)| *name != "PGPASSWORD");
    let others: Vec<(String, String)> = others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Environment::new(others.into_iter().chain([("PGPASSWORD".to_owned(), password.expose().to_owned())])))
}

/// Dumps the database into the open session.
pub(super) fn take(
    session: &Session<'_>,
    backup: Backup<'_>,
    url: &str,
    password: Option<&SecretSource>,
) -> Result<BackupReport, CliError> {
    take_named(session, backup, url, password, None)
}

/// The same, for a database of another name on the URL's server.
pub(super) fn take_named(
    session: &Session<'_>,
    mut backup: Backup<'_>,
    url: &str,
    password: Option<&SecretSource>,
    database: Option<&str>,
) -> Result<BackupReport, CliError> {
    let started = Instant::now();
    let watch: Arc<dyn Watch> = Arc::new(session.watching.clone());
    let environment = match environment_with(password) {
        Ok(environment) => environment,
        Err(error) => return Err(abandon(session, backup, error, Blame::Source)),
    };
    let dumped = Target::resolve(url, &environment)
        .map(|target| database.map_or_else(|| target.clone(), |name| target.with_database(name)))
        .and_then(|target| Source::open(&target))
        .and_then(|source| source.dump(&DumpOptions::default(), &mut VaultSink::new(&mut backup), &watch));
    let report = match dumped {
        Ok(report) => report,
        Err(error) => {
            let blame = if matches!(error, DriverError::Sink { .. }) { Blame::Sink } else { Blame::Source };
            let home = session.vault.repository.home().directory();
            let shown = explain_driver(error, Role::Source, Some(home));
            return Err(abandon(session, backup, shown, blame));
        }
    };
    let mut facts = report.facts;
    let hash = blake3::Hash::from_bytes(report.archive_blake3);
    facts.insert("archive.blake3".to_owned(), hash.to_hex().to_string());
    let facts = SourceFacts {
        kind: "postgres".to_owned(),
        facts,
        findings: report.findings.into_iter().map(Into::into).collect(),
        source_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    backup.commit(facts).map_err(|error| session.vault.explain(error))
}
