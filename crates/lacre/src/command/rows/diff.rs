//! `lacre diff`: what changed between two snapshots, read from the chunks they do not share.

use std::{collections::BTreeMap, io};

use lacre_dump::{copy::Identifier, find::Condition};
use lacre_repo::{
    Finding, Severity,
    op::{
        compare::{Compared, Side, compare},
        read::Snapshot,
    },
};

use super::{
    bag::{BAG_BYTES_MAX, Bag, Pair, Texts},
    search::field,
    table::{Place, Tables},
};
use crate::{
    cli::DiffArgs,
    command::findings,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{DiffResult, RowDifference, TableDifference},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::{Vault, Watching, short, watching},
};

/// Compares two snapshots.
///
/// # Errors
/// [`Kind::Usage`] for a table or key that is not there; those of the vault.
pub(in crate::command) fn run(invocation: &Invocation, args: &DiffArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let (one, other) = (vault.resolve(&args.before)?, vault.resolve(&args.after)?);
    let keys = vault.read_keys(invocation, &args.keys.kits)?;
    let (one, other) = (vault.open_id(one, &keys)?, vault.open_id(other, &keys)?);
    let (line, watching) = watching(invocation);
    let ours = Tables::read(&vault, &one, &watching)?;
    let theirs = Tables::read(&vault, &other, &watching)?;
    let mut comparison = Comparison {
        vault: &vault,
        before: &one,
        after: &other,
        args,
        watching: &watching,
        document: DiffResult {
            before: one.id().to_string(),
            after: other.id().to_string(),
            tables: Vec::new(),
            definitions: definitions(&ours, &theirs),
            rows: Vec::new(),
            rows_not_shown: 0,
            findings: Vec::new(),
        },
        findings: Vec::new(),
    };
    comparison.tables(&ours, &theirs)?;
    line.finish();
    let Comparison { mut document, findings: found, .. } = comparison;
    document.findings = findings::entries(&found);
    invocation.print(&document, |out| {
        write(&document, args, out)?;
        findings::write(&found, out)
    })?;
    Ok(findings::exit(&found))
}

/// Names of definitions that are in one only, or differ.
fn definitions(ours: &Tables, theirs: &Tables) -> Vec<String> {
    let (before, after) = (ours.definitions(), theirs.definitions());
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("removed: {name}"));
    let changed = after.iter().filter_map(|(name, definition)| match before.get(name) {
        None => Some(format!("added: {name}")),
        Some(old) if old != definition => Some(format!("changed: {name}")),
        Some(_) => None,
    });
    gone.chain(changed).collect()
}

struct Comparison<'a, 's> {
    vault: &'a Vault,
    before: &'a Snapshot<'s>,
    after: &'a Snapshot<'s>,
    args: &'a DiffArgs,
    watching: &'a Watching,
    document: DiffResult,
    findings: Vec<Finding>,
}

impl Comparison<'_, '_> {
    fn tables(&mut self, ours: &Tables, theirs: &Tables) -> Result<(), CliError> {
        let chosen = |tables: &Tables| match &self.args.table {
            Some(name) => tables.find(name).map(|places| places.into_iter().map(|place| place.name).collect()),
            None => Ok(tables.all().into_iter().map(|place| place.name).collect::<Vec<_>>()),
        };
        // A table may be in one of both only.
        let names = match (chosen(ours), chosen(theirs)) {
            (Err(error), Err(_)) => return Err(error),
            (one, other) => {
                let mut names: Vec<String> = one.into_iter().chain(other).flatten().collect();
                names.sort();
                names.dedup();
                names
            }
        };
        let by_name = |tables: Vec<Place<'_>>| -> BTreeMap<String, usize> {
            tables.iter().enumerate().map(|(at, place)| (place.name.clone(), at)).collect()
        };
        let (before, after) = (ours.all(), theirs.all());
        let (at_before, at_after) = (by_name(ours.all()), by_name(theirs.all()));
        for name in names {
            let one = at_before.get(&name).and_then(|at| before.get(*at));
            let other = at_after.get(&name).and_then(|at| after.get(*at));
            self.table(&name, one, other)?;
        }
        Ok(())
    }

    fn table(&mut self, name: &str, one: Option<&Place<'_>>, other: Option<&Place<'_>>) -> Result<(), CliError> {
        let stream = |place: Option<&Place<'_>>, snapshot| place.map(|place| place.stream(snapshot)).transpose();
        let (ours, theirs) = (stream(one, self.before)?, stream(other, self.after)?);
        let mut row = TableDifference {
            name: name.to_owned(),
            state: "same".to_owned(),
            rows_before: ours.map(|stream| stream.rows),
            rows_after: theirs.map(|stream| stream.rows),
            added: 0,
            removed: 0,
            changed: 0,
            chunks_read: 0,
        };
        match (ours, theirs, one, other) {
            (Some(ours), Some(theirs), Some(one), Some(other)) => {
                let (mut bag, compared) = self.differences(ours, theirs, one, other)?;
                row.chunks_read = compared.left + compared.right;
                if bag.is_full {
                    self.findings.push(Finding::new(
                        Severity::Warning,
                        format!(
                            "it differs in more rows than fit into {}; the counts are too low",
                            human::bytes(BAG_BYTES_MAX as u64)
                        ),
                        name,
                        "restore both snapshots side by side and compare them in the database",
                    ));
                }
                self.pair(&mut row, &mut bag, one, other);
            }
            (Some(_), ..) => row.state = "removed".to_owned(),
            (None, ..) => row.state = "added".to_owned(),
        }
        self.document.tables.push(row);
        Ok(())
    }

    fn differences(
        &self,
        ours: &lacre_format::root::Stream,
        theirs: &lacre_format::root::Stream,
        one: &Place<'_>,
        other: &Place<'_>,
    ) -> Result<(Bag, Compared), CliError> {
        let finders = (self.key_finder(one)?, self.key_finder(other)?);
        let mut bag = Bag::new(if self.args.table.is_some() { Texts::Kept } else { Texts::Dropped });
        let compared = compare((self.before, ours), (self.after, theirs), self.watching, &mut |side, rows| {
            let (finder, place) = if side == Side::Left { (&finders.0, one) } else { (&finders.1, other) };
            finder.find(rows).into_iter().for_each(|row| bag.take(side, place, row));
            Ok(())
        });
        Ok((bag, compared.map_err(|error| self.vault.explain(error))?))
    }

    /// Every row, or the one whose primary key was asked for.
    fn key_finder(&self, place: &Place<'_>) -> Result<lacre_dump::find::Finder, CliError> {
        let Some(wanted) = &self.args.key else { return place.finder(&[]) };
        let no_key = || {
            CliError::new(Kind::Usage, format!("table {} has no primary key in the snapshot", place.name))
                .hint("leave out --key, or use lacre rows SNAP TABLE --where COL=VALUE")
        };
        let key = place.key().ok_or_else(no_key)?;
        let values: Vec<&str> = if key.len() == 1 { vec![wanted] } else { wanted.split(',').collect() };
        if values.len() != key.len() {
            let names = key.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let what = format!(
                "the key of table {} is {names}, and {} given",
                place.name,
                human::things(values.len(), ["value is", "values are"])
            );
            return Err(CliError::new(Kind::Usage, what));
        }
        let condition = |(column, value): (&Identifier, &str)| Condition {
            column: column.clone(),
            value: Some(value.as_bytes().to_vec()),
        };
        place.finder(&key.iter().zip(values).map(condition).collect::<Vec<_>>())
    }

    /// Pairs rows that went with rows that came under the same primary key.
    fn pair(&mut self, table: &mut TableDifference, bag: &mut Bag, one: &Place<'_>, other: &Place<'_>) {
        let found = bag.settle(one, other);
        (table.added, table.removed, table.changed) = (found.added, found.removed, found.changed);
        if found.added + found.removed + found.changed > 0 {
            table.state = "changed".to_owned();
        }
        for Pair { before: old, after: new } in found.pairs {
            if self.args.limit > 0 && self.document.rows.len() >= self.args.limit {
                self.document.rows_not_shown += 1;
                continue;
            }
            let change = match (&old, &new) {
                (Some(_), Some(_)) => "changed",
                (None, _) => "added",
                (Some(_), None) => "removed",
            };
            self.document.rows.push(RowDifference {
                table: table.name.clone(),
                change: change.to_owned(),
                before: old.map(|row| one.record(row)),
                after: new.map(|row| other.record(row)),
            });
        }
    }
}

fn write(document: &DiffResult, args: &DiffArgs, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[
        ("table", Align::Left),
        ("rows", Align::Right),
        ("added", Align::Right),
        ("removed", Align::Right),
        ("changed", Align::Right),
    ])
    .lowers("rows");
    let different: Vec<&TableDifference> =
        document.tables.iter().filter(|table| table.state != "same" || args.table.is_some()).collect();
    for row in &different {
        let rows = row.rows_after.or(row.rows_before).map_or_else(String::new, human::count);
        let name = if matches!(row.state.as_str(), "added" | "removed") {
            format!("{} ({})", row.name, row.state)
        } else {
            row.name.clone()
        };
        table.row([name, rows, human::count(row.added), human::count(row.removed), human::count(row.changed)]);
    }
    table.write(out)?;
    for row in &document.rows {
        write_row(row, out)?;
    }
    if document.rows_not_shown > 0 {
        writeln!(
            out,
            "{} not shown (--limit 0 shows all)",
            human::things(document.rows_not_shown, ["more row is", "more rows are"])
        )?;
    }
    for definition in &document.definitions {
        writeln!(out, "definition {definition}")?;
    }
    let (before, after) = (short(&document.before), short(&document.after));
    let same = document.tables.len() - document.tables.iter().filter(|table| table.state != "same").count();
    let differ = human::things(document.tables.len() - same, ["table differs", "tables differ"]);
    writeln!(out, "{before} to {after}: {differ}, {}", human::things(same, ["is the same", "are the same"]))
}

fn write_row(row: &RowDifference, out: &mut dyn Page) -> io::Result<()> {
    let all = |record: &serde_json::Map<String, serde_json::Value>| {
        record.iter().map(|(name, value)| format!("{name}={}", field(value))).collect::<Vec<_>>().join("  ")
    };
    match (&row.before, &row.after) {
        (Some(before), Some(after)) => {
            // The first field tells which row it is, and then what is new of it.
            let changed = after.iter().enumerate().filter_map(|(at, (name, value))| {
                let old = before.get(name);
                if old == Some(value) {
                    return (at == 0).then(|| format!("{name}={}", field(value)));
                }
                Some(format!("{name}={} -> {}", old.map_or_else(|| "(none)".to_owned(), field), field(value)))
            });
            writeln!(out, "~ {}", changed.collect::<Vec<_>>().join("  "))
        }
        (Some(before), None) => writeln!(out, "- {}", all(before)),
        (None, Some(after)) => writeln!(out, "+ {}", all(after)),
        (None, None) => Ok(()),
    }
}
