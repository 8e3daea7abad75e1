//! What rules may not do to a table.
//!
//! Comes in: drafts of tables. Goes out: problems with what to write instead. Must not know: rows.

use super::plan::Draft;
use super::resolve::{Resolved, problem};
use super::{Caution, Change, Edit, Outcome};
use crate::copy::Identifier;
use crate::rules::{Mask, Place, Problem, nearest};
use crate::schema::{Family, PartNulls, SqlName, Table};

/// A column that is not there.
pub(super) fn no_column(table: &Table, column: &Identifier, place: Place) -> Problem {
    let known: Vec<String> = table.columns.iter().map(|column| SqlName(&column.name).to_string()).collect();
    let typed = SqlName(column).to_string();
    let fix = match nearest(&typed, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("columns of the table: {}", known.join(", ")),
    };
    problem(place, format!("{} has no column {typed}", table.name), fix)
}

/// A column whose values are not in the dump, because the database computes them; or that is not there at all.
pub(super) fn not_in_dump(table: &Table, column: &Identifier, place: Place) -> Problem {
    if table.column(column).is_none() {
        return no_column(table, column, place);
    }
    let what = format!("{} of {} is computed by the database and not in the dump", SqlName(column), table.name);
    problem(place, what, "name a column that is stored")
}

/// Whether a column cannot be NULL.
pub(super) fn refuses_null(table: &Table, column: &Identifier) -> bool {
    table.column(column).is_some_and(|column| column.not_null)
        || table.keys.iter().any(|key| key.is_primary && key.columns.contains(column))
}

/// Whether a column can become what a rule says.
pub(super) fn columns_fit(draft: &Draft<'_>, name: &Identifier, mask: &Mask, place: Place) -> Result<(), Problem> {
    let table = draft.table;
    let Some(column) = table.column(name) else { return Err(no_column(table, name, place)) };
    let shown = SqlName(name);
    if draft.field(name).is_none() {
        return Err(not_in_dump(table, name, place));
    }
    match mask {
        Mask::Null if refuses_null(table, name) => Err(problem(
            place,
            format!("{shown} of {} cannot be NULL", table.name),
            "choose \"text:...\" or another action",
        )),
        Mask::Text(_) if column.type_name.family() != Family::Text || column.is_domain => {
            let what = format!("{shown} of {} takes no free text", table.name);
            Err(problem(place, what, "write \"null\", or delete the rows"))
        }
        Mask::Text(_) if table.keys.iter().any(|key| key.columns.contains(name)) => {
            let what = format!("{shown} of {} must be unique, and a text would be the same for everyone", table.name);
            Err(problem(place, what, "write \"null\", or delete the rows"))
        }
        Mask::JsonNull(_) | Mask::JsonRemove(_) if column.type_name.family() == Family::Other => {
            Err(problem(place, format!("{shown} of {} is not JSON", table.name), "write \"null\" or \"text:...\""))
        }
        _ => Ok(()),
    }
}

/// What can only be seen when all tables are known.
pub(super) fn drafts(
    resolved: &Resolved<'_>,
    drafts: &[Draft<'_>],
    problems: &mut Vec<Problem>,
    cautions: &mut Vec<Caution>,
) {
    let deletes = |draft: &Draft<'_>| draft.shape.matchers.iter().any(|matcher| matcher.outcome == Outcome::Delete);
    for draft in drafts {
        referenced_columns(draft, problems);
        for (at, key) in &draft.keys {
            let matcher = &draft.shape.matchers[*at];
            let edits: &[Edit] = match &matcher.outcome {
                Outcome::Keep => &[],
                Outcome::Edit(edits) => edits,
                _ => continue,
            };
            let is_null = |column: &Identifier| {
                draft
                    .field(column)
                    .is_some_and(|field| edits.iter().any(|edit| edit.field == field && edit.change == Change::Null))
            };
            let is_let_go = match key.nulls {
                PartNulls::AreRefused => key.from_columns.iter().all(is_null),
                PartNulls::ReferToNothing => key.from_columns.iter().any(is_null),
            };
            let targets = resolved.schema.leaves(key.to);
            let is_deleted = drafts.iter().any(|other| targets.contains(&other.id) && deletes(other));
            if is_deleted && !is_let_go {
                let (table, to) = (&draft.table.name, &resolved.schema.table(key.to).name);
                let what = format!(
                    "rows of {table} stay and refer to rows of {to} that are deleted (foreign key {})",
                    key.name
                );
                let fix = "write action = \"null\" or \"delete\", or mask its columns with \"null\"";
                problems.push(problem(draft.place, what, fix));
            }
        }
        let is_guarded = |matcher: &&super::Matcher| matches!(matcher.outcome, Outcome::Refuse(_));
        if let Some(matcher) = draft.shape.matchers.iter().find(is_guarded) {
            let name = matcher.constraint.as_ref().map(ToString::to_string).unwrap_or_default();
            let what = format!(
                "no rule says what happens to rows whose foreign key {name} would dangle; the erasure fails if there are any"
            );
            cautions.push(Caution { table: draft.table.name.clone(), what });
        }
    }
}

/// Columns that others refer to must not change.
fn referenced_columns(draft: &Draft<'_>, problems: &mut Vec<Problem>) {
    for matcher in &draft.shape.matchers {
        let (Outcome::Edit(edits) | Outcome::Unlink(edits)) = &matcher.outcome else { continue };
        for edit in edits {
            let is_referenced = draft.shape.harvests.iter().any(|harvest| {
                harvest.set != matcher.set && harvest.parts.iter().any(|(field, _)| *field == edit.field)
            });
            if is_referenced && !matcher.is_identity {
                let column = SqlName(&draft.fields[edit.field]).to_string();
                let what = format!("{column} of {} would change, and other tables refer to it", draft.table.name);
                problems.push(problem(draft.place, what, "delete the rows, or leave that column alone"));
            }
        }
    }
}
