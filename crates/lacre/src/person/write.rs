//! The streams of the successors.
//!
//! In: verdicts and what they make of runs. Out: rebuilt tables with their figures, the framing of their archives, places of data, facts.

use std::{collections::BTreeMap, sync::Arc};

use lacre_dump::{
    archive::Toc,
    copy::RowDigest,
    select::{Fate, Verdict},
};
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::erase::person::{Cause, Decide, Figures, RunName};

use super::{
    PersonError, STRUCTURE_BYTES_MAX, Search,
    decide::apply,
    framing::{self, Change},
};

/// The stream of a table of contents that an archive has a second time, at its end.
const APPENDED: &str = "toc.appended";

/// Hashes and lengths of a whole dump, which would let guesses of what was erased be tried.
pub(super) const FACTS_OF_THE_WHOLE: [&str; 3] = ["archive.blake3", "import.blake3", "import.bytes"];

/// What one table of one snapshot becomes.
struct Decided {
    verdicts: BTreeMap<RunName, (u64, Arc<Verdict>)>,
}

impl Decide for Decided {
    fn verdict(&mut self, run: &RunName) -> Option<u64> {
        self.verdicts.get(run).map(|(number, _)| *number)
    }

    fn rewrite(&mut self, run: &RunName, _: u64, rows: &[u8], out: &mut Vec<u8>) -> Result<(), Cause> {
        let (_, verdict) = self.verdicts.get(run).ok_or("a run without a verdict")?;
        apply(verdict, rows, out)?;
        Ok(())
    }
}

/// The small streams of an archive in which tables have another length, by name.
#[derive(Default)]
pub(super) struct Structure {
    pub(super) streams: BTreeMap<String, Vec<u8>>,
    /// The length of the whole archive, where it is recorded.
    pub(super) archive_bytes: Option<u64>,
}

/// Which table changes, and to what figures.
pub(super) type Changed = Vec<(usize, Figures)>;

impl Search<'_> {
    /// Rebuilds every stream that changes, of every snapshot. Sessions must be open.
    ///
    /// # Errors
    /// Errors of the vault; archives that are not understood.
    pub fn write(&mut self) -> Result<(), PersonError> {
        (0..self.rewrite.len()).try_for_each(|at| self.write_snapshot(at))
    }

    fn write_snapshot(&mut self, at: usize) -> Result<(), PersonError> {
        let mut changes: BTreeMap<i32, Change> = BTreeMap::new();
        for table in 0..self.archives[at].streams.len() {
            let Some((mut decided, figures, change)) = self.decided(at, table)? else { continue };
            let Some(number) = self.archives[at].streams[table] else { continue };
            let planned = &self.plans[at].tables[table];
            changes.insert(planned.dump_id, change);
            if let Some(shaped) = self.shaped.get(&planned.shape_id) {
                self.rewrite.rebuild(at, number, &shaped.memo, &mut decided, figures)?;
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let structure = self.structure(at, &changes)?;
        for (name, bytes) in &structure.streams {
            let number = self.rewrite.streams(at).iter().position(|stream| stream.name == *name);
            if let Some(number) = number {
                self.rewrite.replace(at, number, bytes)?;
            }
        }
        if let Some(bytes) = structure.archive_bytes {
            self.rewrite.set_fact(at, "archive.bytes", Some(bytes.to_string()));
        }
        FACTS_OF_THE_WHOLE.iter().for_each(|fact| self.rewrite.set_fact(at, fact, None));
        Ok(())
    }

    /// What becomes of a table of a snapshot; nothing if it stays as it is.
    fn decided(&self, at: usize, table: usize) -> Result<Option<(Decided, Figures, Change)>, PersonError> {
        let Some(number) = self.archives[at].streams[table] else { return Ok(None) };
        let shape = self.plans[at].tables[table].shape_id;
        let stream = &self.rewrite.streams(at)[number];
        let lanes = stream.row_digest.as_deref().and_then(|lanes| <[u64; 4]>::try_from(lanes).ok());
        let mut digest = RowDigest::from_lanes(lanes.unwrap_or_default());
        let (mut bytes, mut rows) = (stream.bytes, stream.rows);
        let mut decided = Decided { verdicts: BTreeMap::new() };
        for run in &self.archives[at].marked[table] {
            let name = run.name();
            let Some(verdict) = self.verdict_of(at, shape, &name) else { continue };
            let number = self.number_of(&verdict);
            let outcome = number.and_then(|number| Some((number, self.outcomes.get(&(name.clone(), number))?)));
            let undecided = || PersonError::Undecided("a run was not worked out".to_owned());
            let (number, outcome) = outcome.ok_or_else(undecided)?;
            let deleted = verdict.fates.iter().filter(|(_, fate)| *fate == Fate::Delete).count();
            rows = rows.saturating_sub(deleted as u64);
            bytes = bytes.saturating_sub(outcome.bytes_old).saturating_add(outcome.bytes_new);
            digest.subtract(&outcome.digest_old);
            digest.merge(&outcome.digest_new);
            decided.verdicts.insert(name, (number, self.verdicts.get(number).ok_or_else(undecided)?));
        }
        if decided.verdicts.is_empty() {
            return Ok(None);
        }
        let figures = Figures { bytes, rows, digest: lanes.map(|_| digest.lanes()) };
        Ok(Some((decided, figures, Change { old: stream.bytes, new: bytes })))
    }

    /// What is left of a snapshot: the figures of the tables that change, and the small streams around them.
    pub(super) fn left_of(&mut self, at: usize) -> Result<(Changed, Structure), PersonError> {
        let (mut changed, mut changes) = (Changed::new(), BTreeMap::new());
        for table in 0..self.archives[at].streams.len() {
            let Some((_, figures, change)) = self.decided(at, table)? else { continue };
            changes.insert(self.plans[at].tables[table].dump_id, change);
            changed.extend(self.archives[at].streams[table].map(|number| (number, figures)));
        }
        let structure = if changes.is_empty() { Structure::default() } else { self.structure(at, &changes)? };
        Ok((changed, structure))
    }

    /// Gives what is left of a table, in pieces.
    pub(super) fn emit(
        &mut self,
        at: usize,
        name: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<(), lacre_repo::Error>,
    ) -> Result<(), PersonError> {
        let number = self.rewrite.streams(at).iter().position(|stream| stream.name == name);
        let table = self.archives[at].streams.iter().position(|stream| stream.is_some() && *stream == number);
        let (Some(number), Some(table)) = (number, table) else { return Ok(()) };
        let Some((mut decided, _, _)) = self.decided(at, table)? else { return Ok(()) };
        if let Some(shaped) = self.shaped.get(&self.plans[at].tables[table].shape_id) {
            self.rewrite.emit(at, number, &shaped.memo, &mut decided, each)?;
        }
        Ok(())
    }

    /// The framing of the archive, where its data lies, and how long it is.
    fn structure(&mut self, at: usize, changes: &BTreeMap<i32, Change>) -> Result<Structure, PersonError> {
        let id = self.archives[at].id.clone();
        let wrong = |why: String| PersonError::Structure { snapshot: id.clone(), why };
        let not_rows = || PersonError::NotRows { snapshot: self.archives[at].id.clone() };
        let toc_at = self.archives[at].toc.ok_or_else(not_rows)?;
        let streams = self.rewrite.streams(at);
        let framing_at = streams.iter().position(|stream| stream.kind == StreamKind::Framing);
        let framing_at = framing_at.ok_or_else(|| wrong("it has no framing".to_owned()))?;
        let is_second = |stream: &Stream| stream.kind == StreamKind::ArchiveToc && stream.name == APPENDED;
        let second_at = streams.iter().position(is_second);
        let names = [framing_at, toc_at].map(|number| streams[number].name.clone());
        let size = |stream: &Stream| Some((i32::try_from(stream.dump_id?).ok()?, stream.bytes));
        let sizes: BTreeMap<i32, u64> = streams.iter().filter_map(size).collect();
        let old = self.rewrite.whole(at, framing_at, STRUCTURE_BYTES_MAX)?;
        let toc = self.rewrite.whole(at, toc_at, STRUCTURE_BYTES_MAX)?;
        let parsed = Toc::parse(&toc).map_err(|error| wrong(error.to_string()))?;
        let new =
            framing::reframe(&old, toc.len() as u64, &sizes, changes).map_err(|error| wrong(error.to_string()))?;
        let offset_of = |dump_id: i32| new.offsets.get(&dump_id).copied();
        let mut structure = Structure::default();
        let moved = parsed.with_offsets(offset_of);
        let [framing_name, toc_name] = names;
        if moved != toc {
            Toc::parse(&moved).map_err(|error| wrong(error.to_string()))?;
            structure.streams.insert(toc_name, moved);
        }
        if let Some(second_at) = second_at {
            let second = self.rewrite.whole(at, second_at, STRUCTURE_BYTES_MAX)?;
            let moved = parsed.second_with_offsets(&second, offset_of).map_err(|error| wrong(error.to_string()))?;
            structure.streams.insert(APPENDED.to_owned(), moved);
        }
        structure.streams.insert(framing_name, new.framing);
        let recorded = self.rewrite.facts(at).get("archive.bytes").and_then(|text| text.parse::<u64>().ok());
        structure.archive_bytes = recorded.map(|bytes| bytes.saturating_add(new.added).saturating_sub(new.removed));
        Ok(structure)
    }
}
