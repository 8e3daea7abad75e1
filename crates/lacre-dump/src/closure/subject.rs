//! Where in the rows of a snapshot the person's keys and identifiers stand, for whoever has to tell the person again by tokens.
//!
//! Comes in: a plan. Goes out: for each table the places to look at, and their values in a row. Must not know: tokens.

use super::{Matcher, Part, Plan};
use crate::copy::{Identifier, fields};
use crate::limits::{JSON_BYTES_MAX, KEY_BYTES_MAX};
use crate::personal::Personal;
use crate::select::{SelectError, json};

/// A place in the rows of a table where the root's key, or one of its columns that others refer to, stands.
#[derive(Debug)]
pub struct SubjectLookup<'p> {
    /// The parts, in the order of the rules' key.
    parts: Vec<&'p Part>,
    /// Whether these rows are the root's own.
    pub is_identity: bool,
    /// Whether it is the whole key of the root.
    pub is_key: bool,
    /// The one column of the root it refers to, if it is one.
    pub identifier: Option<Identifier>,
}

impl SubjectLookup<'_> {
    /// The values in a row, the run's number of which is for errors only; nothing where a part is missing, NULL or too long to be a key.
    ///
    /// # Errors
    /// What should be JSON and is not, or is too large.
    pub fn values(&self, number: u64, row: &[u8]) -> Result<Option<Vec<Personal>>, SelectError> {
        let mut values = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let Some(value) = fields(row).nth(part.field()).and_then(|field| field.value()) else { return Ok(None) };
            let value = match part {
                Part::Field(_) => Some(value.into_owned()),
                Part::Json { field, .. } if value.len() > JSON_BYTES_MAX => {
                    return Err(SelectError::LargeJson { row: number, field: *field, max: JSON_BYTES_MAX });
                }
                Part::Json { field, path, .. } => {
                    let bad = |_| SelectError::NotJson { row: number, field: *field };
                    json::text_at(&value, path).map_err(bad)?.map(std::borrow::Cow::into_owned)
                }
            };
            match value.filter(|value| value.len() <= KEY_BYTES_MAX) {
                Some(value) => values.push(Personal::new(value)),
                None => return Ok(None),
            }
        }
        Ok(Some(values))
    }
}

impl Plan {
    /// Where the rows of a table, by its number in [`Plan::tables`], hold the root's key or what others refer to it by.
    #[must_use]
    pub fn subject_lookups(&self, table: usize) -> Vec<SubjectLookup<'_>> {
        let Some(table) = self.tables.get(table) else { return Vec::new() };
        table.shape.matchers.iter().filter_map(|matcher| self.subject_lookup(matcher)).collect()
    }

    fn subject_lookup<'p>(&'p self, matcher: &'p Matcher) -> Option<SubjectLookup<'p>> {
        let order = self.root_sets.iter().find(|(set, _)| *set == matcher.set).map(|(_, order)| order);
        let identifier = self.identifiers.iter().find(|(_, set)| *set == matcher.set).map(|(column, _)| column.clone());
        let mut parts: Vec<(usize, &Part)> = matcher.parts.iter().map(|(part, _)| part).enumerate().collect();
        if let Some(order) = order {
            parts.sort_by_key(|(at, _)| order.get(*at).copied());
        }
        (order.is_some() || identifier.is_some()).then(|| SubjectLookup {
            parts: parts.into_iter().map(|(_, part)| part).collect(),
            is_identity: matcher.is_identity,
            is_key: order.is_some(),
            identifier,
        })
    }
}
