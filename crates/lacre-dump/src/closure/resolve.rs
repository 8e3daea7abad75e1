//! Names in rules become tables, and it is seen to that no table is forgotten.
//!
//! Comes in: rules and a schema. Goes out: which rules speak of which table. Must not know: what the rules do.

use std::collections::{BTreeMap, BTreeSet};

use crate::copy::Identifier;
use crate::rules::{Absent, Lookup, Place, Problem, SubjectRules, TableRule, nearest};
use crate::schema::{ForeignKey, Schema, TableId, TableName};

/// Rules and schema, brought together.
pub(super) struct Resolved<'a> {
    pub(super) rules: &'a SubjectRules,
    pub(super) schema: &'a Schema,
    pub(super) root: TableId,
    /// The rules that name a table, by that table.
    by_table: BTreeMap<TableId, Vec<&'a TableRule>>,
}

/// The rules that hold for a table with rows.
pub(super) struct Source<'r, 'a> {
    /// The table the rules name.
    pub(super) named: TableId,
    /// The rules.
    pub(super) rules: &'r [&'a TableRule],
    /// Whether the rules name a table this one inherits from.
    pub(super) is_heir: bool,
}

pub(super) fn problem(place: Place, what: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem { place, what: what.into(), fix: fix.into() }
}

/// Brings rules and schema together; nothing if not even the root is there.
pub(super) fn resolve<'a>(
    rules: &'a SubjectRules,
    schema: &'a Schema,
    problems: &mut Vec<Problem>,
) -> Option<Resolved<'a>> {
    let root = named_table(schema, &rules.root, rules.place, problems);
    let mut by_table: BTreeMap<TableId, Vec<&TableRule>> = BTreeMap::new();
    for rule in &rules.tables {
        if rule.absent == Absent::Skip && (schema.find(&rule.table).is_none() || lacks_columns(schema, rule)) {
            continue;
        }
        let target = rule.to.as_ref().map(|to| named_table(schema, to, rule.place, problems));
        if let Some(id) = named_table(schema, &rule.table, rule.place, problems)
            && target != Some(None)
        {
            by_table.entry(id).or_default().push(rule);
        }
    }
    Some(Resolved { rules, schema, root: root?, by_table })
}

fn lacks_columns(schema: &Schema, rule: &TableRule) -> bool {
    let Some(id) = schema.find(&rule.table) else { return true };
    let table = schema.table(id);
    let mut named = rule.via.iter().map(|lookup| &lookup.column).chain(rule.columns.iter().map(|(column, _)| column));
    named.any(|column| table.column(column).is_none())
}

fn named_table(schema: &Schema, name: &TableName, place: Place, problems: &mut Vec<Problem>) -> Option<TableId> {
    let Some(id) = schema.find(name) else {
        let known: Vec<String> = schema.tables().map(|(_, table)| table.name.to_string()).collect();
        let fix = match nearest(&name.to_string(), known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "correct the name, or write absent = \"skip\" if older snapshots may lack it".to_owned(),
        };
        problems.push(problem(place, format!("the snapshot has no table {name}"), fix));
        return None;
    };
    let top = schema.top(id);
    if top != id {
        let whole = &schema.table(top).name;
        let what = format!("{name} is a partition of {whole}");
        problems.push(problem(place, what, format!("name {whole}; rules hold for all its partitions")));
        return None;
    }
    Some(id)
}

impl<'a> Resolved<'a> {
    /// The tables the rules name.
    pub(super) fn named(&self) -> BTreeSet<TableId> {
        self.by_table.keys().copied().chain([self.root]).collect()
    }

    /// The tables with rows that the rules speak of, by name or because they inherit from one that is named.
    pub(super) fn leaves(&self) -> BTreeSet<TableId> {
        self.named().into_iter().flat_map(|id| self.schema.rows_of(id)).collect()
    }

    /// The rules of a table with rows: its own, or those of the nearest table it inherits from.
    pub(super) fn source(&self, leaf: TableId) -> Option<Source<'_, 'a>> {
        let mut level = vec![self.schema.top(leaf)];
        let mut seen = BTreeSet::new();
        let mut is_heir = false;
        while !level.is_empty() {
            for id in &level {
                if *id == self.root || self.by_table.contains_key(id) {
                    let rules = self.by_table.get(id).map(Vec::as_slice).unwrap_or_default();
                    return Some(Source { named: *id, rules, is_heir });
                }
            }
            is_heir = true;
            let parents = level.iter().flat_map(|id| self.schema.table(*id).inherits.iter().copied());
            level = parents.map(|parent| self.schema.top(parent)).filter(|parent| seen.insert(*parent)).collect();
        }
        None
    }

    /// The foreign keys of a table with rows: its own and those of the tables it is a partition of.
    pub(super) fn foreign_keys_of(&self, leaf: TableId) -> Vec<&'a ForeignKey> {
        let mut chain = vec![leaf];
        let mut at = leaf;
        while let Some(parent) = self.schema.table(at).partition_of
            && !chain.contains(&parent)
        {
            chain.push(parent);
            at = parent;
        }
        let mut keys: Vec<&ForeignKey> = Vec::new();
        for key in self.schema.foreign_keys().iter().filter(|key| chain.contains(&key.from)) {
            let is_known = keys.iter().any(|known| {
                (&known.from_columns, known.to, &known.to_columns) == (&key.from_columns, key.to, &key.to_columns)
            });
            if !is_known {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether rows of a table the rules speak of may be referred to by a foreign key to `to`.
    pub(super) fn is_covered(&self, to: TableId) -> bool {
        self.source(to).is_some()
    }

    /// Reports every table from which foreign keys lead to a table of the rules and which the rules do not mention.
    pub(super) fn report_forgotten(&self, problems: &mut Vec<Problem>) {
        let mut by_target: BTreeMap<TableId, Vec<&ForeignKey>> = BTreeMap::new();
        for key in self.schema.foreign_keys() {
            by_target.entry(self.schema.top(key.to)).or_default().push(key);
        }
        let mut open: Vec<TableId> = self.leaves().into_iter().map(|leaf| self.schema.top(leaf)).collect();
        let mut seen: BTreeSet<TableId> = open.iter().copied().collect();
        while let Some(target) = open.pop() {
            for key in by_target.get(&target).into_iter().flatten() {
                let from = self.schema.top(key.from);
                if !seen.insert(from) {
                    continue;
                }
                open.push(from);
                if self.source(from).is_none() {
                    let (table, to) = (&self.schema.table(from).name, &self.schema.table(key.to).name);
                    let what = format!(
                        "{table} refers to {to} by the foreign key {}, and the rules do not mention it",
                        key.name
                    );
                    let fix =
                        format!("add [[subject.{}.table]] with name = \"{table}\" and an action", self.rules.name);
                    problems.push(problem(self.rules.place, what, fix));
                }
            }
        }
    }
}

/// Whether a reference over these columns is what a rule's `via` names.
pub(super) fn is_over(via: &[Lookup], columns: &[Identifier]) -> bool {
    via.len() == columns.len() && via.iter().all(|lookup| lookup.path.is_none() && columns.contains(&lookup.column))
}
