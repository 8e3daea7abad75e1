//! `lacre repo stats` and `lacre repo rebuild`: sizes, and the local caches made again.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use lacre_repo::op::{
    snapshots::{SnapshotRow, SnapshotState},
    stats::Stored,
};

use super::{findings, streams};
use crate::{
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{JobStats, RebuildResult, StatsResult},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::Vault,
};

/// Shows sizes and counts.
///
/// # Errors
/// Those of the vault.
pub(super) fn stats(invocation: &Invocation) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let stored = vault.repository.stored().map_err(|error| vault.explain(error))?;
    let rows = vault.repository.snapshots().map_err(|error| vault.explain(error))?.rows;
    let live: Vec<SnapshotRow> = rows.into_iter().filter(|row| row.state == SnapshotState::Live).collect();
    let document = document(&stored, &live);
    invocation.print(&document, |out| write_stats(&document, out))?;
    Ok(Exit::Done)
}

fn document(stored: &Stored, live: &[SnapshotRow]) -> StatsResult {
    let mut per_job: BTreeMap<String, JobStats> = BTreeMap::new();
    for label in live.iter().filter_map(|row| row.label.as_ref()) {
        let job = label.job.to_string();
        let stats = per_job.entry(job.clone()).or_insert(JobStats { job, snapshots: 0, bytes: 0 });
        stats.snapshots += 1;
        stats.bytes = stats.bytes.saturating_add(label.bytes);
    }
    let per_job: Vec<JobStats> = per_job.into_values().collect();
    StatsResult {
        snapshots: u64::try_from(live.len()).unwrap_or(u64::MAX),
        jobs: u64::try_from(per_job.len()).unwrap_or(u64::MAX),
        objects: stored.objects,
        packs: stored.packs,
        bytes_stored: stored.bytes,
        bytes_packs: stored.pack_bytes,
        bytes_metadata: stored.bytes.saturating_sub(stored.pack_bytes),
        bytes_dead: stored.dead_bytes,
        bytes_reclaimable: stored.reclaimable_bytes,
        dead_percent: stored.dead_bytes.and_then(|dead| dead.saturating_mul(100).checked_div(stored.pack_bytes)),
        bytes_referenced: per_job.iter().map(|job| job.bytes).fold(0, u64::saturating_add),
        chunks: stored.frames,
        oldest: live.first().map(|row| streams::rfc3339(row.taken)),
        newest: live.last().map(|row| streams::rfc3339(row.taken)),
        per_job,
    }
}

fn write_stats(document: &StatsResult, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[("job", Align::Left), ("snapshots", Align::Right), ("size of all", Align::Right)]);
    for job in &document.per_job {
        table.row([job.job.clone(), human::count(job.snapshots), human::bytes(job.bytes)]);
    }
    table.write(out)?;
    writeln!(
        out,
        "stored: {} in {} ({} in {}, {} beside them), {}",
        human::bytes(document.bytes_stored),
        human::things(document.objects, ["object", "objects"]),
        human::bytes(document.bytes_packs),
        human::things(document.packs, ["pack", "packs"]),
        human::bytes(document.bytes_metadata),
        human::things(document.chunks, ["chunk", "chunks"])
    )?;
    match (document.bytes_dead, document.bytes_reclaimable) {
        (Some(dead), Some(packs)) => writeln!(
            out,
            "dead: {} ({} %), {} of it in packs that the next lacre repo prune deletes as they are",
            human::bytes(dead),
            document.dead_percent.unwrap_or_default(),
            human::bytes(packs)
        )?,
        _ => writeln!(out, "dead: not known here; lacre repo check says why")?,
    }
    let percent = document.bytes_stored.saturating_mul(100).checked_div(document.bytes_referenced);
    match percent {
        Some(percent) => writeln!(
            out,
            "live snapshots: {}, {} if each were kept whole; {percent} % of that is stored",
            human::count(document.snapshots),
            human::bytes(document.bytes_referenced)
        ),
        None => writeln!(out, "live snapshots: {}", human::count(document.snapshots)),
    }
}

/// Makes the caches again.
///
/// # Errors
/// Those of the vault.
pub(super) fn rebuild(invocation: &Invocation) -> Result<Exit, CliError> {
    let started = Instant::now();
    let vault = Vault::open(invocation)?;
    let report = vault.repository.rebuild().map_err(|error| vault.explain(error))?;
    let stored = vault.repository.stored().map_err(|error| vault.explain(error))?;
    let document = RebuildResult {
        objects: stored.objects,
        packs: report.packs,
        chunks: stored.frames,
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        findings: findings::entries(&report.findings),
    };
    invocation.print(&document, |out| {
        findings::write(&report.findings, out)?;
        writeln!(
            out,
            "{} with {} and {} known again, in {}",
            human::things(document.packs, ["pack", "packs"]),
            human::things(document.chunks, ["chunk", "chunks"]),
            human::things(report.snapshots, ["snapshot is", "snapshots are"]),
            human::duration(Duration::from_millis(document.duration_ms))
        )
    })?;
    Ok(findings::exit(&report.findings))
}
