//! A PostgreSQL database as a source: the driver's streams become the vault's.

use std::{sync::Arc, time::Instant};

use lacre_format::root::{Shape, StreamKind};
use lacre_repo::op::backup::{Backup, BackupReport, Rows, SourceFacts, StreamSpec, StreamWriter};

use super::{Blame, Session, abandon};
use crate::{
    cli::value::JobName,
    command::findings,
    driver::postgres::{
        conninfo::Environment,
        dump::{self, BoxError, DumpOptions, DumpSink, Source},
        error::Error as DriverError,
        report::Watch,
        target::Target,
    },
    error::CliError,
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

/// Dumps the database into the open session.
pub(super) fn take(session: &Session<'_>, mut backup: Backup<'_>, url: &str) -> Result<BackupReport, CliError> {
    let started = Instant::now();
    let watch: Arc<dyn Watch> = Arc::new(session.watching.clone());
    let dumped = Target::resolve(url, &environment())
        .and_then(|target| Source::open(&target))
        .and_then(|source| source.dump(&DumpOptions::default(), &mut Streams { backup: &mut backup }, &watch));
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
        findings: report.findings.into_iter().map(findings::of_driver).collect(),
        source_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    backup.commit(facts).map_err(|error| session.vault.explain(error))
}

/// The vault as the driver sees it.
struct Streams<'b, 'r> {
    backup: &'b mut Backup<'r>,
}

impl DumpSink for Streams<'_, '_> {
    type Stream = StreamWriter;

    fn open(&mut self, spec: dump::StreamSpec) -> Result<StreamWriter, BoxError> {
        let (kind, shape) = match spec.kind {
            dump::StreamKind::Toc => (StreamKind::ArchiveToc, Shape::Bytes),
            dump::StreamKind::Table => (StreamKind::Table, Shape::Rows),
            dump::StreamKind::LargeObjects => (StreamKind::LargeObjects, Shape::Bytes),
            dump::StreamKind::Framing => (StreamKind::Framing, Shape::Bytes),
            dump::StreamKind::Globals => (StreamKind::Globals, Shape::Lines),
            dump::StreamKind::Opaque => (StreamKind::Opaque, Shape::Bytes),
        };
        let dump_id = spec.dump_id.map(u32::try_from).transpose()?;
        let spec = StreamSpec { name: spec.name, kind, shape, dump_id, expected_bytes: spec.expected_bytes };
        Ok(self.backup.stream(spec)?)
    }

    fn close(&mut self, stream: StreamWriter, rows: dump::Rows) -> Result<(), BoxError> {
        stream.finish(Rows { count: rows.count, digest: rows.digest })?;
        Ok(())
    }
}
