//! `lacre spot`: a sample of the newest snapshot's rows, looked up in the live database.

use std::io;

use lacre_dump::copy;
use lacre_repo::op::read::Snapshot;

use super::table::{Place, Tables};
use crate::{
    cli::{SpotArgs, value::SnapshotName},
    command::backup::environment,
    config::JobSource,
    driver::postgres::{restore::live::Live, target::Target},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{SpotResult, SpotTable},
    safe_url::SafeUrl,
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::{Role, Vault, explain_driver, short, watching},
};

/// Chunks of a table that are opened for a sample.
const CHUNKS_MAX: usize = 16;

/// Compares a sample: exit 3 when too much of it has changed or gone.
///
/// # Errors
/// Those of the vault and the database; a table that cannot be compared is told in the result.
pub(in crate::command) fn run(invocation: &Invocation, args: &SpotArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let url = url(&vault, args)?;
    let explain = |error| explain_driver(error, Role::Target, Some(vault.repository.home().directory()));
    let target = Target::resolve(url.expose(), &environment()).map_err(explain)?;
    let newest = SnapshotName::LatestOf(args.job.clone());
    let snapshot = vault.open_kept(invocation, &newest, &args.keys.kits)?;
    let id = snapshot.id();
    let (line, watching) = watching(invocation);
    let tables = Tables::read(&vault, &snapshot, &watching)?;
    let live = Live::connect(&target).map_err(explain)?;
    let mut seed = u64::from_le_bytes(id.as_bytes().first_chunk::<8>().copied().unwrap_or_default());
    seed ^= u64::from(std::process::id()) ^ jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let mut rows = Vec::new();
    for place in tables.all() {
        rows.push(table(&vault, &snapshot, &tables, &live, &place, args, &mut seed)?);
    }
    line.finish();
    let sampled: u64 = rows.iter().map(|row| row.sampled).sum();
    let other: u64 = rows.iter().map(|row| row.changed + row.missing).sum();
    #[expect(clippy::cast_precision_loss, reason = "a share of at most some million rows")]
    let is_ok = other as f64 <= sampled as f64 * args.tolerance.fraction();
    let document = SpotResult { snapshot: id.to_string(), ok: is_ok, tables: rows };
    invocation.print(&document, |out| write(&document, out))?;
    Ok(if document.ok { Exit::Done } else { Exit::Findings })
}

fn url(vault: &Vault, args: &SpotArgs) -> Result<SafeUrl, CliError> {
    if let Some(url) = &args.with {
        return Ok(url.clone());
    }
    match vault.settings.job(&args.job).map(|job| &job.source) {
        Some(JobSource::Postgres(url)) => Ok(url.clone()),
        Some(_) => Err(CliError::new(Kind::Usage, format!("job {} is no PostgreSQL database", args.job))),
        None => Err(CliError::new(Kind::Usage, format!("no job is named {} in lacre.toml", args.job))
            .hint("name the database with --with URL")),
    }
}

fn table(
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    tables: &Tables,
    live: &Live,
    place: &Place<'_>,
    args: &SpotArgs,
    seed: &mut u64,
) -> Result<SpotTable, CliError> {
    let stream = place.stream(snapshot)?;
    let mut row = SpotTable {
        name: place.name.clone(),
        rows: stream.rows,
        rows_live: None,
        sampled: 0,
        same: 0,
        changed: 0,
        missing: 0,
        skipped: None,
    };
    let encoding = tables.encoding();
    let there = match live.table(&place.copy(), &encoding, &[]) {
        Ok(there) => there,
        Err(error) => {
            row.skipped = Some(error.to_string());
            return Ok(row);
        }
    };
    let explain = |error| explain_driver(error, Role::Target, Some(vault.repository.home().directory()));
    row.rows_live = Some(live.count(&there).map_err(explain)?);
    let chunks = snapshot
        .sample(stream, CHUNKS_MAX, &mut |seen| next(seed) % seen.max(1))
        .map_err(|error| vault.explain(error))?;
    let mut rows: Vec<Vec<u8>> = chunks.iter().flat_map(|chunk| rows_of(chunk)).collect();
    let wanted = usize::try_from(args.sample).unwrap_or(usize::MAX);
    for at in 0..wanted.min(rows.len()) {
        let left = u64::try_from(rows.len() - at).unwrap_or(1);
        let other = at + usize::try_from(next(seed) % left).unwrap_or(0);
        rows.swap(at, other);
    }
    rows.truncate(wanted);
    let looked = live.look_up(&there, &encoding, &rows).map_err(explain)?;
    row.sampled = rows.len() as u64;
    (row.same, row.changed, row.missing) = (looked.same, looked.changed, looked.missing);
    Ok(row)
}

/// The rows of a chunk. What pg_dump writes behind the last row, an end marker and empty lines, is none.
fn rows_of(chunk: &[u8]) -> Vec<Vec<u8>> {
    // A chunk of empty lines may be what follows the marker, or rows of one empty text: nothing to learn from either.
    if chunk.iter().all(|byte| *byte == b'\n') {
        return Vec::new();
    }
    copy::rows(chunk).map(|row| [row, b"\n"].concat()).collect()
}

/// The next number of a sequence that only has to be spread well (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn write(document: &SpotResult, out: &mut dyn Page) -> io::Result<()> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        ("table", Align::Left),
        right("saved"),
        right("live"),
        right("sampled"),
        right("same"),
        right("changed"),
        right("gone"),
    ])
    .lowers("saved")
    .lowers("live")
    .lowers("sampled");
    for row in document.tables.iter().filter(|row| row.skipped.is_none()) {
        let live = row.rows_live.map_or_else(String::new, human::count);
        let rest = [row.sampled, row.same, row.changed, row.missing].map(human::count);
        let [sampled, same, changed, missing] = rest;
        table.row([row.name.clone(), human::count(row.rows), live, sampled, same, changed, missing]);
    }
    table.write(out)?;
    for row in &document.tables {
        if let Some(why) = &row.skipped {
            writeln!(out, "not sampled: {}: {why}", row.name)?;
        }
    }
    let verdict = if document.ok { "as expected" } else { "MORE THAN TOLERATED changed or gone" };
    writeln!(out, "snapshot {} beside the live database: {verdict}", short(&document.snapshot))
}
