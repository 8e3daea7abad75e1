//! `lacre rows` and `lacre history`: rows by the values of columns, in one snapshot or over all of them.

use std::{collections::HashMap, io};

use jiff::Timestamp;
use lacre_dump::find::Finder;
use lacre_repo::op::{
    search::Searcher,
    snapshots::{SnapshotRow, SnapshotState},
};

use super::table::{Tables, conditions};
use crate::{
    cli::{HistoryArgs, RowsArgs},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{HistoryResult, RowVersion, RowsResult},
    term::page::Page,
    vault::{Vault, Watching, short, watching},
};

/// Prints the rows of a snapshot that meet every condition.
///
/// # Errors
/// [`Kind::Usage`] for a table or column that is not there; those of the vault.
pub(in crate::command) fn rows(invocation: &Invocation, args: &RowsArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let snapshot = vault.open_kept(invocation, &args.snapshot, &args.keys.kits)?;
    let (line, watching) = watching(invocation);
    let tables = Tables::read(&vault, &snapshot, &watching)?;
    let places = tables.find(&args.table)?;
    let wanted = conditions(&args.conditions);
    let mut found = Vec::new();
    for place in &places {
        let finder = place.finder(&wanted)?;
        let test = |rows: &[u8]| finder.find(rows).into_iter().map(<[u8]>::to_vec).collect();
        let rows = Searcher::new().search(&snapshot, place.stream(&snapshot)?, &test, &watching);
        found.extend(rows.map_err(|error| vault.explain(error))?.into_iter().map(|row| (place, row)));
    }
    line.finish();
    let document = RowsResult {
        snapshot: snapshot.id().to_string(),
        table: args.table.clone(),
        rows: found.iter().map(|(place, row)| place.record(row)).collect(),
    };
    invocation.print(&document, |out| {
        if let Some(place) = places.first() {
            writeln!(out, "{}", place.head())?;
        }
        found.iter().try_for_each(|(_, row)| out.write_all(row))
    })?;
    if found.is_empty() {
        invocation.terminal.say("no row of the table has these values");
    }
    Ok(Exit::Done)
}

/// Shows every version of the rows that meet the conditions.
///
/// # Errors
/// As [`rows`]; [`Kind::Usage`] when it is not clear which job is meant.
pub(in crate::command) fn history(invocation: &Invocation, args: &HistoryArgs) -> Result<Exit, CliError> {
    if args.conditions.wanted.is_empty() && args.conditions.null.is_empty() {
        return Err(CliError::new(Kind::Usage, "nothing says which rows are meant").hint("add --where id=42"));
    }
    let vault = Vault::open(invocation)?;
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    let nights = nights(&vault, args)?;
    let (line, watching) = watching(invocation);
    let mut story = Story::new(args, &vault, &watching);
    for night in &nights {
        let snapshot = vault.open_id(night.snapshot, &keys)?;
        story.read(&snapshot, night)?;
    }
    line.finish();
    let document = HistoryResult {
        table: args.table.clone(),
        snapshots: nights.len() as u64,
        versions: story.versions,
        without_table: story.without,
    };
    invocation.print(&document, |out| write(&document, out))?;
    Ok(Exit::Done)
}

/// The live snapshots of the one job that is meant, oldest first.
fn nights(vault: &Vault, args: &HistoryArgs) -> Result<Vec<SnapshotRow>, CliError> {
    let list = vault.repository.snapshots().map_err(|error| vault.explain(error))?;
    let job = |row: &SnapshotRow| row.label.as_ref().map(|label| label.job.to_string());
    let live: Vec<SnapshotRow> = list.rows.into_iter().filter(|row| row.state == SnapshotState::Live).collect();
    let jobs: std::collections::BTreeSet<String> = live.iter().filter_map(job).collect();
    let ordinary: std::collections::BTreeSet<_> = live.iter().filter_map(SnapshotRow::night_of).cloned().collect();
    let chosen = match (&args.job, jobs.len()) {
        (Some(name), _) => Some(name.as_str().to_owned()),
        (None, 0 | 1) => None,
        // What restores replaced is asked for by name.
        (None, _) if ordinary.len() == 1 => ordinary.first().map(ToString::to_string),
        (None, _) => {
            let names: Vec<String> = jobs.into_iter().collect();
            let what = format!("there are several jobs: {}", names.join(", "));
            return Err(CliError::new(Kind::Usage, what).hint("say which one with --job"));
        }
    };
    // A host that cannot read labels sees one unnamed job.
    let nights: Vec<SnapshotRow> = live.into_iter().filter(|row| chosen.is_none() || job(row) == chosen).collect();
    if nights.is_empty() {
        let of = args.job.as_ref().map_or_else(String::new, |job| format!(" of job {job}"));
        return Err(
            CliError::new(Kind::NotFound, format!("there is no snapshot{of}")).hint("lacre snapshots    (lists them)")
        );
    }
    Ok(nights)
}

/// What is known after some nights.
struct Story<'a> {
    args: &'a HistoryArgs,
    vault: &'a Vault,
    watching: &'a Watching,
    /// One search for each stream's name and columns: another set of columns is another table.
    searchers: HashMap<(String, String), Searcher>,
    before: Option<Vec<Vec<u8>>>,
    versions: Vec<RowVersion>,
    without: u64,
}

impl<'a> Story<'a> {
    fn new(args: &'a HistoryArgs, vault: &'a Vault, watching: &'a Watching) -> Self {
        Self { args, vault, watching, searchers: HashMap::new(), before: None, versions: Vec::new(), without: 0 }
    }

    /// Searches one night; a version is told only when it is another than the night before.
    fn read(&mut self, snapshot: &lacre_repo::op::read::Snapshot<'_>, night: &SnapshotRow) -> Result<(), CliError> {
        let tables = match Tables::read(self.vault, snapshot, self.watching) {
            // A night of another kind, or before the table was made.
            Err(error) if error.kind() == Kind::Usage => {
                self.without += 1;
                return Ok(());
            }
            tables => tables?,
        };
        let Ok(places) = tables.find(&self.args.table) else {
            self.without += 1;
            return Ok(());
        };
        let wanted = conditions(&self.args.conditions);
        let mut rows = Vec::new();
        let mut records = Vec::new();
        for place in &places {
            let finder: Finder = place.finder(&wanted)?;
            let test = |rows: &[u8]| finder.find(rows).into_iter().map(<[u8]>::to_vec).collect();
            let searcher = self.searchers.entry((place.name.clone(), place.head())).or_default();
            let found = searcher
                .search(snapshot, place.stream(snapshot)?, &test, self.watching)
                .map_err(|error| self.vault.explain(error))?;
            records.extend(found.iter().map(|row| place.record(row)));
            rows.extend(found);
        }
        rows.sort_unstable();
        if self.before.as_ref() == Some(&rows) {
            if let Some(last) = self.versions.last_mut() {
                last.last_snapshot = night.snapshot.to_string();
                last.last_time = time(night);
            }
            return Ok(());
        }
        if self.before.is_none() && rows.is_empty() {
            // Before it appeared there is nothing to tell.
            return Ok(());
        }
        self.before = Some(rows);
        self.versions.push(RowVersion {
            snapshot: night.snapshot.to_string(),
            time: time(night),
            last_snapshot: night.snapshot.to_string(),
            last_time: time(night),
            rows: records,
        });
        Ok(())
    }
}

fn time(night: &SnapshotRow) -> String {
    Timestamp::from_millisecond(night.taken.0).map_or_else(|_| String::new(), |time| time.to_string())
}

fn write(document: &HistoryResult, out: &mut dyn Page) -> io::Result<()> {
    let shown = |text: &str| text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), human::time);
    for version in &document.versions {
        let what = if version.rows.is_empty() { "gone" } else { "there" };
        let until = if version.last_snapshot == version.snapshot {
            String::new()
        } else {
            format!(" to {} ({})", shown(&version.last_time), short(&version.last_snapshot))
        };
        writeln!(out, "{} ({}){until}: {what}", shown(&version.time), short(&version.snapshot))?;
        for row in &version.rows {
            let fields: Vec<String> = row.iter().map(|(name, value)| format!("{name}={}", field(value))).collect();
            writeln!(out, "  {}", fields.join("  "))?;
        }
    }
    if document.versions.is_empty() {
        writeln!(out, "no snapshot of {} has such a row", human::count(document.snapshots))?;
    }
    Ok(())
}

/// A value in one line; a text that reads like no value stands in quotes.
pub(super) fn field(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) if text.is_empty() || text == "NULL" => format!("{text:?}"),
        serde_json::Value::String(text) => text.escape_debug().to_string(),
        _ => "NULL".to_owned(),
    }
}
