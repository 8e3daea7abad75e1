//! Traces of a person in what survives, counted by place and never by value.

use std::collections::BTreeMap;

use lacre_dump::sweep::Traces;
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::erase::person::{Memo, Seen};

use super::{PersonError, Search};

/// Where and how a trace was found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TraceKey {
    /// The table or stream.
    pub place: String,
    /// The column.
    pub column: Option<String>,
    /// The column of the root the identifier belongs to.
    pub identifier: String,
    /// The form it was found in.
    pub form: &'static str,
}

/// Traces by place.
#[derive(Clone, Debug, Default)]
pub struct Traced(BTreeMap<TraceKey, u64>);

impl Traced {
    /// Adds what was found in a place; the columns say what fields are called.
    pub fn take(&mut self, place: &str, columns: Option<&[String]>, traces: &Traces) {
        for ((identifier, form, field), count) in &traces.counts {
            let column = field.map(|field| {
                let name = columns.and_then(|columns| columns.get(field)).cloned();
                name.unwrap_or_else(|| format!("field {field}"))
            });
            let key =
                TraceKey { place: place.to_owned(), column, identifier: identifier.to_string(), form: form.word() };
            *self.0.entry(key).or_default() += count;
        }
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Traced) {
        for (key, count) in &other.0 {
            *self.0.entry(key.clone()).or_default() += count;
        }
    }

    /// All of them, in order.
    #[must_use]
    pub fn into_list(self) -> Vec<(TraceKey, u64)> {
        self.0.into_iter().collect()
    }
}

/// What a stream without rows is called to people.
fn place_of(stream: &Stream) -> String {
    match stream.kind {
        StreamKind::ArchiveToc => "definitions, defaults and comments".to_owned(),
        StreamKind::LargeObjects => "large objects".to_owned(),
        StreamKind::Globals => "roles".to_owned(),
        _ => stream.name.clone(),
    }
}

impl Search<'_> {
    /// Sweeps what was not swept while it was searched: tables no rule speaks of, those searched before the identifiers were known, large
    /// objects, definitions, roles, facts.
    pub(super) fn sweep_all(&mut self) -> Result<(), PersonError> {
        if self.needles.as_ref().is_none_or(|needles| needles.patterns() == 0) {
            return Ok(());
        }
        for at in 0..self.rewrite.len() {
            self.sweep_facts(at);
            for number in 0..self.rewrite.streams(at).len() {
                let stream = self.rewrite.streams(at)[number].clone();
                match stream.kind {
                    StreamKind::Table => self.sweep_rows(at, number, &stream)?,
                    StreamKind::Framing => {}
                    _ => self.sweep_bytes(at, number, &stream)?,
                }
            }
        }
        Ok(())
    }

    fn sweep_facts(&mut self, at: usize) {
        let Some(needles) = &self.needles else { return };
        for (name, value) in self.rewrite.facts(at) {
            // The same facts come every night, and are counted once.
            if !self.swept_facts.insert((name.clone(), *blake3::hash(value.as_bytes()).as_bytes())) {
                continue;
            }
            let mut sweeper = needles.bytes();
            sweeper.push(value.as_bytes());
            self.traced.take(&format!("fact {name}"), None, &sweeper.finish());
        }
    }

    fn sweep_rows(&mut self, at: usize, number: usize, stream: &Stream) -> Result<(), PersonError> {
        let archive = &self.archives[at];
        let table = archive.streams.iter().position(|planned| *planned == Some(number));
        let shape = table.map(|table| self.plans[at].tables[table].shape_id);
        let shaped = shape.and_then(|shape| self.shaped.get(&shape));
        let was_searched = table.is_some_and(|table| archive.searched.contains(&table));
        if was_searched && shaped.is_some_and(|shaped| shaped.swept) {
            return Ok(());
        }
        let columns = stream.dump_id.and_then(|id| archive.columns.get(&id)).cloned();
        let Some(needles) = &self.needles else { return Ok(()) };
        let memo: &mut Memo = self.swept_rows.entry(shape).or_default();
        let traced = &mut self.traced;
        self.rewrite.look(at, number, memo, &mut |run, rows| {
            // What needed a decision was swept with it.
            if !shaped.is_some_and(|shaped| shaped.findings.contains_key(run)) {
                let mut sweeper = needles.rows();
                sweeper.push(rows);
                traced.take(&stream.name, columns.as_deref(), &sweeper.finish());
            }
            Ok(Seen::Clean)
        })?;
        Ok(())
    }

    fn sweep_bytes(&mut self, at: usize, number: usize, stream: &Stream) -> Result<(), PersonError> {
        let Some(needles) = &self.needles else { return Ok(()) };
        let Some(top) = &stream.top else { return Ok(()) };
        if !self.swept_tops.insert(top.birth()) {
            return Ok(());
        }
        let mut sweeper = needles.bytes();
        self.rewrite.pieces(at, number, &mut |piece| {
            sweeper.push(piece);
            Ok(())
        })?;
        self.traced.take(&place_of(stream), None, &sweeper.finish());
        Ok(())
    }
}
