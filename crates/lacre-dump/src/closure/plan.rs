//! From rules and a schema to a plan.
//!
//! Comes in: rules and one snapshot's schema. Goes out: what to look for in which table, or every way in which the two do not fit.
//! Must not know: rows.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{self, columns_fit};
use super::keys::{KeyBook, Mark, Scope, SetId, SetName};
use super::order::stages;
use super::resolve::{Resolved, Source, is_over, problem, resolve};
use super::{Caution, Change, Edit, Harvest, Matcher, Outcome, Part, Plan, Shape, TablePlan};
use crate::copy::Identifier;
use crate::limits::RULE_PROBLEMS_MAX;
use crate::rules::{Action, Lookup, Mask, Place, Problem, Problems, SubjectRules, TableRule};
use crate::schema::{Canon, Family, ForeignKey, OnDelete, PartNulls, Schema, Table, TableId};

/// What keys of a set are of: a table and its columns.
struct Wanted {
    table: TableId,
    columns: Vec<(Identifier, Canon)>,
    scope: Scope,
}

/// A table being planned.
pub(super) struct Draft<'a> {
    pub(super) id: TableId,
    pub(super) table: &'a Table,
    /// The columns in the order of the fields.
    pub(super) fields: &'a [Identifier],
    pub(super) dump_id: i32,
    pub(super) shape: Shape,
    pub(super) bases: Vec<String>,
    pub(super) place: Place,
    /// The foreign keys behind matchers, for the checks.
    pub(super) keys: Vec<(usize, &'a ForeignKey)>,
}

impl Draft<'_> {
    pub(super) fn field(&self, column: &Identifier) -> Option<usize> {
        self.fields.iter().position(|field| field == column)
    }
}

struct Builder<'a, 'b> {
    resolved: &'b Resolved<'a>,
    book: &'b mut KeyBook,
    wanted: BTreeMap<SetId, Wanted>,
    problems: Vec<Problem>,
    cautions: Vec<Caution>,
}

impl Plan {
    /// Lays rules over the schema of a snapshot. Sets of keys are numbered in `book`, which all snapshots of an erasure share.
    ///
    /// # Errors
    /// Every table or column that is not there, every table with a foreign key that leads to the root and no rule, and every rule that would
    /// leave a foreign key dangling or write what the table refuses. Places are those of the rules file.
    pub fn new(rules: &SubjectRules, schema: &Schema, book: &mut KeyBook) -> Result<Plan, Problems> {
        let mut problems = Vec::new();
        let resolved = resolve(rules, schema, &mut problems);
        let Some(resolved) = resolved.filter(|_| problems.is_empty()) else { return Err(sorted(problems)) };
        resolved.report_forgotten(&mut problems);
        let mut builder =
            Builder { resolved: &resolved, book, wanted: BTreeMap::new(), problems, cautions: Vec::new() };
        let root_columns = columns_of(schema, resolved.root, &rules.key, rules.place, &mut builder.problems);
        let Some(key) = root_columns else { return Err(sorted(builder.problems)) };
        let root = builder.set(resolved.root, key.clone(), Scope::WithHeirs);
        let mut drafts: Vec<Draft<'_>> = Vec::new();
        for leaf in resolved.leaves() {
            drafts.extend(builder.draft(leaf, root, &key));
        }
        builder.warn_of_missing_rows();
        builder.harvest(&mut drafts);
        check::drafts(&resolved, &drafts, &mut builder.problems, &mut builder.cautions);
        if !builder.problems.is_empty() {
            return Err(sorted(builder.problems));
        }
        Ok(builder.finish(drafts, root, &key))
    }
}

fn sorted(mut problems: Vec<Problem>) -> Problems {
    problems.sort_by_key(|problem| problem.place);
    problems.dedup();
    problems.truncate(RULE_PROBLEMS_MAX);
    Problems(problems)
}

/// Columns of a table with how their values are compared.
fn columns_of(
    schema: &Schema,
    table: TableId,
    names: &[Identifier],
    place: Place,
    problems: &mut Vec<Problem>,
) -> Option<Vec<(Identifier, Canon)>> {
    let table = schema.table(table);
    let mut found = Vec::new();
    for name in names {
        match table.column(name) {
            Some(column) => found.push((name.clone(), column.type_name.canon())),
            None => problems.push(check::no_column(table, name, place)),
        }
    }
    (found.len() == names.len()).then_some(found)
}

/// The columns a foreign key refers to, in the order in which a rule names its own.
fn target_columns(via: &[Lookup], key: Option<&ForeignKey>) -> Vec<Identifier> {
    let pairs = key.map(|key| key.from_columns.iter().zip(&key.to_columns).collect::<Vec<_>>()).unwrap_or_default();
    let of = |lookup: &Lookup| pairs.iter().find(|(from, _)| **from == lookup.column).map(|(_, to)| (*to).clone());
    via.iter().filter_map(of).collect()
}

impl<'a> Builder<'a, '_> {
    fn set(&mut self, table: TableId, columns: Vec<(Identifier, Canon)>, scope: Scope) -> SetId {
        let name = SetName { table: self.resolved.schema.table(table).name.clone(), columns: columns.clone(), scope };
        let id = self.book.set(&name);
        self.wanted.entry(id).or_insert(Wanted { table, columns, scope });
        id
    }

    /// Plans one table with rows; nothing if there are none in the dump.
    fn draft(&mut self, leaf: TableId, root: SetId, key: &[(Identifier, Canon)]) -> Option<Draft<'a>> {
        let resolved = self.resolved;
        let table = resolved.schema.table(leaf);
        let stream = table.stream.as_ref()?;
        let source = resolved.source(leaf)?;
        let place = source.rules.first().map_or(resolved.rules.place, |rule| rule.place);
        let Some(fields) = stream.columns.as_deref() else {
            let what = format!("the rows of {} are INSERT statements, which are not edited", table.name);
            self.problems.push(problem(place, what, "erase the whole snapshot, which was dumped with --inserts"));
            return None;
        };
        let shape = Shape { fields: fields.len(), ..Shape::default() };
        let mut draft = Draft {
            id: leaf,
            table,
            fields,
            dump_id: stream.dump_id,
            shape,
            bases: Vec::new(),
            place,
            keys: Vec::new(),
        };
        if source.named == resolved.root {
            self.root_matcher(&mut draft, root, key);
        }
        self.references(&mut draft, &source);
        draft.bases.sort();
        draft.bases.dedup();
        Some(draft)
    }

    fn root_matcher(&mut self, draft: &mut Draft<'a>, set: SetId, key: &[(Identifier, Canon)]) {
        let rules = self.resolved.rules;
        let parts = self.fields(draft, key.iter().cloned(), rules.place);
        let outcome = match rules.action {
            Action::Mask => Outcome::Edit(self.edits(draft, &rules.columns, rules.place)),
            _ => Outcome::Delete,
        };
        for column in &rules.identifiers {
            match draft.field(column) {
                Some(field) => draft.shape.identifiers.push((column.clone(), field)),
                None => self.problems.push(check::not_in_dump(draft.table, column, rules.place)),
            }
        }
        if let Some(parts) = parts {
            draft.shape.matchers.push(Matcher {
                parts,
                when: Vec::new(),
                set,
                strength: Mark::Belongs,
                outcome,
                is_identity: true,
                constraint: None,
            });
        }
    }

    /// The foreign keys of a table that lead to tables of the rules, and what rules say of it.
    fn references(&mut self, draft: &mut Draft<'a>, source: &Source<'_, 'a>) {
        let resolved = self.resolved;
        let mut open: Vec<&'a ForeignKey> = resolved.foreign_keys_of(draft.id);
        open.retain(|key| resolved.is_covered(key.to));
        // An heir has the columns of the tables it inherits from, and not their foreign keys.
        let inherited = if source.is_heir { resolved.foreign_keys_of(source.named) } else { Vec::new() };
        let mut inherited: Vec<_> = inherited.into_iter().filter(|key| resolved.is_covered(key.to)).collect();
        for rule in source.rules.iter().filter(|rule| !rule.via.is_empty()) {
            draft.bases.extend(rule.basis.clone());
            let is_named = |key: &&ForeignKey| {
                rule.when.is_empty()
                    && is_over(&rule.via, &key.from_columns)
                    && rule.to.as_ref().is_none_or(|to| resolved.schema.table(resolved.schema.top(key.to)).name == *to)
                    && (rule.to_columns.is_empty() || rule.to_columns == key.to_columns)
            };
            let (named, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(is_named);
            open = rest;
            let is_key = !named.is_empty();
            named.into_iter().for_each(|key| self.rule_over_key(draft, rule, key));
            inherited.retain(|key| !is_named(key));
            if !is_key {
                self.virtual_reference(draft, rule);
            }
        }
        for rule in source.rules.iter().filter(|rule| rule.via.is_empty()) {
            draft.bases.extend(rule.basis.clone());
            let keys: Vec<_> = open.drain(..).chain(inherited.drain(..)).collect();
            if keys.is_empty() && rule.action != Action::Follow {
                let what = format!("no foreign key says whose rows {} holds", draft.table.name);
                self.problems.push(problem(rule.place, what, "write via = \"the column that refers to the person\""));
            }
            for key in keys {
                self.rule_over_key(draft, rule, key);
            }
        }
        for key in open {
            self.follow(draft, key);
        }
    }

    /// The set a foreign key refers to, and where its parts stand in a row.
    fn key_parts(&mut self, draft: &Draft<'a>, key: &ForeignKey) -> Option<(SetId, Vec<(Part, Canon)>)> {
        let schema = self.resolved.schema;
        let target = columns_of(schema, key.to, &key.to_columns, draft.place, &mut self.problems)?;
        let pairs = key.from_columns.iter().cloned().zip(target.iter().map(|(_, canon)| *canon));
        let parts = self.fields(draft, pairs, draft.place)?;
        Some((self.set(key.to, target, Scope::Own), parts))
    }

    fn fields(
        &mut self,
        draft: &Draft<'a>,
        columns: impl Iterator<Item = (Identifier, Canon)>,
        place: Place,
    ) -> Option<Vec<(Part, Canon)>> {
        let mut parts = Some(Vec::new());
        for (column, canon) in columns {
            match draft.field(&column) {
                Some(field) => parts.iter_mut().for_each(|parts| parts.push((Part::Field(field), canon))),
                None => {
                    self.problems.push(check::not_in_dump(draft.table, &column, place));
                    parts = None;
                }
            }
        }
        parts
    }

    fn rule_over_key(&mut self, draft: &mut Draft<'a>, rule: &TableRule, key: &'a ForeignKey) {
        if rule.action == Action::Follow {
            // What an heir inherited is no foreign key of its own, and nothing follows from it.
            if self.resolved.foreign_keys_of(draft.id).contains(&key) {
                self.follow(draft, key);
            }
            return;
        }
        let Some((set, parts)) = self.key_parts(draft, key) else { return };
        let outcome = self.outcome(draft, rule, &parts, key.nulls);
        draft.keys.push((draft.shape.matchers.len(), key));
        draft.shape.matchers.push(Matcher {
            parts,
            when: Vec::new(),
            set,
            strength: Mark::Belongs,
            outcome,
            is_identity: false,
            constraint: Some(key.name.clone()),
        });
    }

    fn outcome(&mut self, draft: &Draft<'a>, rule: &TableRule, parts: &[(Part, Canon)], nulls: PartNulls) -> Outcome {
        match rule.action {
            Action::Delete | Action::Follow => Outcome::Delete,
            Action::Keep => Outcome::Keep,
            Action::Mask => Outcome::Edit(self.edits(draft, &rule.columns, rule.place)),
            Action::Null => {
                let mut edits = self.edits(draft, &rule.columns, rule.place);
                edits.extend(self.unlink(draft, parts, nulls, rule.place));
                edits.sort();
                edits.dedup();
                Outcome::Unlink(edits)
            }
        }
    }

    /// The edits after which a row no longer refers to the person.
    fn unlink(&mut self, draft: &Draft<'a>, parts: &[(Part, Canon)], nulls: PartNulls, place: Place) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut refused = Vec::new();
        for (part, _) in parts {
            match part {
                Part::Json { field, path, .. } => {
                    edits.push(Edit { field: *field, change: Change::JsonNull(vec![path.clone()]) });
                }
                Part::Field(field) => {
                    let column = &draft.fields[*field];
                    if check::refuses_null(draft.table, column) {
                        refused.push(column);
                    } else {
                        edits.push(Edit { field: *field, change: Change::Null });
                    }
                }
            }
        }
        // A reference of several columns is none as soon as one of them is NULL, unless it is MATCH FULL.
        if let Some(column) = refused.first().filter(|_| edits.is_empty() || nulls == PartNulls::AreRefused) {
            let what = format!("{} of {} cannot be NULL", crate::schema::SqlName(column), draft.table.name);
            self.problems.push(problem(place, what, "choose another action than \"null\""));
        }
        edits
    }

    fn edits(&mut self, draft: &Draft<'a>, columns: &[(Identifier, Mask)], place: Place) -> Vec<Edit> {
        let mut edits = Vec::new();
        for (column, mask) in columns {
            if let Err(problem) = columns_fit(draft, column, mask, place) {
                self.problems.push(problem);
                continue;
            }
            let Some(field) = draft.field(column) else { continue };
            let change = match mask {
                Mask::Null => Change::Null,
                Mask::Text(text) => Change::Text(text.clone().into_bytes()),
                Mask::JsonNull(paths) => Change::JsonNull(paths.clone()),
                Mask::JsonRemove(paths) => Change::JsonRemove(paths.clone()),
            };
            edits.push(Edit { field, change });
            if let Some((name, _)) = draft.table.checks.iter().find(|(_, words)| words.contains(column)) {
                let what = format!("the CHECK {name} speaks of {column}; see that it allows what the rules write");
                self.cautions.push(Caution { table: draft.table.name.clone(), what });
            }
        }
        edits.sort();
        edits
    }

    /// What the foreign key's own ON DELETE says.
    fn follow(&mut self, draft: &mut Draft<'a>, key: &'a ForeignKey) {
        let Some((set, parts)) = self.key_parts(draft, key) else { return };
        let outcome = match &key.on_delete {
            OnDelete::Cascade => Outcome::Delete,
            OnDelete::NoAction | OnDelete::Restrict => Outcome::Refuse(key.name.clone()),
            OnDelete::SetNull(columns) => {
                let masks: Vec<_> = columns.iter().map(|column| (column.clone(), Mask::Null)).collect();
                Outcome::Unlink(self.edits(draft, &masks, draft.place))
            }
            OnDelete::SetDefault(columns) => Outcome::Unlink(self.defaults(draft, columns)),
        };
        draft.keys.push((draft.shape.matchers.len(), key));
        draft.shape.matchers.push(Matcher {
            parts,
            when: Vec::new(),
            set,
            strength: Mark::Deleted,
            outcome,
            is_identity: false,
            constraint: Some(key.name.clone()),
        });
    }

    fn defaults(&mut self, draft: &Draft<'a>, columns: &[Identifier]) -> Vec<Edit> {
        let mut edits = Vec::new();
        for name in columns {
            let constant = draft.table.column(name).and_then(|column| column.default.constant());
            match (draft.field(name), constant) {
                (Some(field), Some(Some(value))) => edits.push(Edit { field, change: Change::Text(value.to_vec()) }),
                (Some(field), Some(None)) => edits.push(Edit { field, change: Change::Null }),
                _ => {
                    let what = format!("the default of {name} in {} is computed by the database", draft.table.name);
                    let fix = "say what happens to the rows instead of following ON DELETE SET DEFAULT";
                    self.problems.push(problem(draft.place, what, fix));
                }
            }
        }
        edits
    }

    /// A reference that only the rules know of.
    fn virtual_reference(&mut self, draft: &mut Draft<'a>, rule: &TableRule) {
        let schema = self.resolved.schema;
        let own = self.resolved.foreign_keys_of(draft.id);
        let key = own.into_iter().find(|key| rule.to.is_none() && is_over(&rule.via, &key.from_columns));
        let target = match key {
            Some(key) => key.to,
            None => rule.to.as_ref().and_then(|to| schema.find(to)).unwrap_or(self.resolved.root),
        };
        let names = match rule.to_columns.as_slice() {
            [] if key.is_some() => target_columns(&rule.via, key),
            [] if target == self.resolved.root => self.resolved.rules.key.clone(),
            [] => schema.table(target).primary_key().unwrap_or_default().to_vec(),
            named => named.to_vec(),
        };
        if !self.resolved.is_covered(target) {
            let what = format!("{} refers to {}, which has no rule", rule.table, schema.table(target).name);
            self.problems.push(problem(
                rule.place,
                what,
                "give that table a rule, too, or say what 'via' refers to with 'to'",
            ));
            return;
        }
        let Some(columns) = columns_of(schema, target, &names, rule.place, &mut self.problems) else { return };
        if columns.len() != rule.via.len() || columns.is_empty() {
            let what = format!(
                "'via' has {} parts, the key of {} has {}",
                rule.via.len(),
                schema.table(target).name,
                columns.len()
            );
            self.problems.push(problem(rule.place, what, "name as many columns, in the same order"));
            return;
        }
        let mut parts = Vec::new();
        for (lookup, (_, canon)) in rule.via.iter().zip(&columns) {
            parts.extend(self.part(draft, lookup, rule.place).map(|part| (part, *canon)));
        }
        let mut when = Vec::new();
        for (column, value) in &rule.when {
            let canon = draft.table.column(column).map_or(Canon::Exact, |column| column.type_name.canon());
            match draft.field(column) {
                Some(field) => when.push((field, canon, canon.apply(value.as_bytes()).into_owned())),
                None => self.problems.push(check::no_column(draft.table, column, rule.place)),
            }
        }
        if parts.len() < columns.len() || when.len() < rule.when.len() {
            return;
        }
        let outcome = self.outcome(draft, rule, &parts, PartNulls::ReferToNothing);
        let set = self.set(target, columns, Scope::WithHeirs);
        let strength = if rule.action == Action::Follow { Mark::Deleted } else { Mark::Belongs };
        draft.shape.matchers.push(Matcher {
            parts,
            when,
            set,
            strength,
            outcome,
            is_identity: false,
            constraint: None,
        });
    }

    fn part(&mut self, draft: &Draft<'a>, lookup: &Lookup, place: Place) -> Option<Part> {
        let Some(field) = draft.field(&lookup.column) else {
            self.problems.push(check::no_column(draft.table, &lookup.column, place));
            return None;
        };
        let Some(path) = &lookup.path else { return Some(Part::Field(field)) };
        let family = draft.table.column(&lookup.column).map_or(Family::Other, |column| column.type_name.family());
        if family == Family::Other {
            let what = format!("{} of {} is not JSON", lookup.column, draft.table.name);
            self.problems.push(problem(place, what, "look into a column of type json or jsonb"));
            return None;
        }
        Some(Part::Json { field, path: path.clone(), is_normal: family == Family::Jsonb })
    }

    /// Warns where keys cannot be taken because rows were left out of the dump.
    fn warn_of_missing_rows(&mut self) {
        let schema = self.resolved.schema;
        for wanted in self.wanted.values() {
            for leaf in schema.leaves(wanted.table).into_iter().map(|leaf| schema.table(leaf)) {
                let caution = Caution {
                    table: leaf.name.clone(),
                    what: "its rows are not in the dump; what refers to the person only through them is not found"
                        .to_owned(),
                };
                if leaf.stream.is_none() && !self.cautions.contains(&caution) {
                    self.cautions.push(caution);
                }
            }
        }
    }

    /// Says of which tables' rows keys are taken.
    fn harvest(&mut self, drafts: &mut [Draft<'a>]) {
        for (set, wanted) in std::mem::take(&mut self.wanted) {
            let rows: BTreeSet<TableId> = match wanted.scope {
                Scope::Own => self.resolved.schema.leaves(wanted.table),
                Scope::WithHeirs => self.resolved.schema.rows_of(wanted.table),
            }
            .into_iter()
            .collect();
            for draft in drafts.iter_mut().filter(|draft| rows.contains(&draft.id)) {
                let mut parts = Vec::new();
                for (column, canon) in &wanted.columns {
                    match draft.field(column) {
                        Some(field) => parts.push((field, *canon)),
                        None => self.problems.push(check::not_in_dump(draft.table, column, draft.place)),
                    }
                }
                draft.shape.harvests.push(Harvest { set, parts });
            }
        }
    }

    fn finish(self, drafts: Vec<Draft<'a>>, root: SetId, key: &[(Identifier, Canon)]) -> Plan {
        let mut needs: BTreeMap<SetId, Vec<usize>> = BTreeMap::new();
        for (at, draft) in drafts.iter().enumerate() {
            for matcher in draft.shape.matchers.iter().filter(|matcher| !matcher.is_identity) {
                needs.entry(matcher.set).or_default().push(at);
            }
        }
        let next: Vec<Vec<usize>> = drafts
            .iter()
            .map(|draft| {
                let mut next: Vec<usize> = draft
                    .shape
                    .harvests
                    .iter()
                    .filter_map(|harvest| needs.get(&harvest.set))
                    .flatten()
                    .copied()
                    .collect();
                next.sort_unstable();
                next.dedup();
                next
            })
            .collect();
        let rules = self.resolved.rules;
        let root_name = &self.resolved.schema.table(self.resolved.root).name;
        let of_root = |name: &SetName| match name.columns.as_slice() {
            [(column, _)] if name.table == *root_name => Some(column.clone()),
            _ => None,
        };
        let sets: BTreeSet<SetId> = needs.keys().copied().collect();
        let identifiers = sets.iter().filter_map(|set| Some((of_root(self.book.name(*set))?, *set)));
        let mark = if rules.action == Action::Mask { Mark::Belongs } else { Mark::Deleted };
        let identifiers = identifiers.collect();
        let root_sets = sets.iter().copied().chain([root]).filter_map(|set| {
            let name = self.book.name(set);
            let place = |column: &Identifier| key.iter().position(|(known, _)| known == column);
            let order: Option<Vec<usize>> = name.columns.iter().map(|(column, _)| place(column)).collect();
            order.filter(|order| name.table == *root_name && order.len() == key.len()).map(|order| (set, order))
        });
        let root_sets = root_sets.collect();
        let tables = drafts.into_iter().map(|draft| {
            let (shape_id, shape) = self.book.shape(draft.shape);
            TablePlan {
                id: draft.id,
                name: draft.table.name.clone(),
                dump_id: draft.dump_id,
                shape,
                shape_id,
                bases: draft.bases,
            }
        });
        let tables = tables.collect();
        Plan {
            identifiers,
            stages: stages(&next),
            tables,
            cautions: self.cautions,
            root_sets,
            root_mark: mark,
            key_canon: key.iter().map(|(_, canon)| *canon).collect(),
        }
    }
}
