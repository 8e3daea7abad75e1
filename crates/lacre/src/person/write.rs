//! The streams of the successors.
//!
//! In: verdicts and what they make of runs. Out: rebuilt tables with their figures, the framing of their archives, places of data, facts.

use std::{collections::BTreeMap, sync::Arc};

use lacre_dump::{archive::Toc, closure::ShapeId, copy::RowDigest, select::Verdict};
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::erase::person::{Cause, Decide, Figures, RunName};

use super::{
    PersonError, STRUCTURE_BYTES_MAX, Search,
    decide::apply,
    framing::{self, Change},
};

/// The stream of a table of contents that an archive has a second time, at its end.
const APPENDED: &str = "toc.appended";

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
            let Some(stream) = self.archives[at].streams[table] else { continue };
            let planned = &self.plans[at].tables[table];
            let (dump_id, shape) = (planned.dump_id, planned.shape_id);
            if let Some(change) = self.write_table(at, table, stream, shape)? {
                changes.insert(dump_id, change);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.write_structure(at, &changes)
    }

    fn write_table(
        &mut self,
        at: usize,
        table: usize,
        number: usize,
        shape: ShapeId,
    ) -> Result<Option<Change>, PersonError> {
        let stream = self.rewrite.streams(at)[number].clone();
        let lanes = stream.row_digest.as_deref().and_then(|lanes| <[u64; 4]>::try_from(lanes).ok());
        let mut digest = RowDigest::from_lanes(lanes.unwrap_or_default());
        let (mut bytes, mut rows) = (stream.bytes, stream.rows);
        let mut decided = Decided { verdicts: BTreeMap::new() };
        for run in &self.archives[at].marked[table] {
            let name = run.name();
            let Some(verdict) = self.verdict_of(at, shape, &name) else { continue };
            let outcome =
                self.number_of(&verdict).and_then(|number| Some((number, self.outcomes.get(&(name.clone(), number))?)));
            let (number, outcome) =
                outcome.ok_or_else(|| PersonError::Undecided("a run was not worked out".to_owned()))?;
            let deleted = verdict.fates.iter().filter(|(_, fate)| *fate == lacre_dump::select::Fate::Delete).count();
            rows = rows.saturating_sub(deleted as u64);
            bytes = bytes.saturating_sub(outcome.bytes_old).saturating_add(outcome.bytes_new);
            digest.subtract(&outcome.digest_old);
            digest.merge(&outcome.digest_new);
            decided.verdicts.insert(name, (number, self.verdicts.get(number).unwrap_or_default()));
        }
        if decided.verdicts.is_empty() {
            return Ok(None);
        }
        let Some(shaped) = self.shaped.get(&shape) else { return Ok(None) };
        let figures = Figures { bytes, rows, digest: lanes.map(|_| digest.lanes()) };
        self.rewrite.rebuild(at, number, &shaped.memo, &mut decided, figures)?;
        Ok(Some(Change { old: stream.bytes, new: bytes }))
    }

    /// The framing of the archive, where its data lies, and what is recorded of the whole.
    fn write_structure(&mut self, at: usize, changes: &BTreeMap<i32, Change>) -> Result<(), PersonError> {
        let id = self.archives[at].id.clone();
        let structure = |why: String| PersonError::Structure { snapshot: id.clone(), why };
        let toc_at = self.archives[at].toc;
        let find = |streams: &[Stream], fits: &dyn Fn(&Stream) -> bool| streams.iter().position(fits);
        let streams = self.rewrite.streams(at);
        let framing_at = find(streams, &|stream| stream.kind == StreamKind::Framing);
        let framing_at = framing_at.ok_or_else(|| structure("it has no framing".to_owned()))?;
        let appended = find(streams, &|stream| stream.kind == StreamKind::ArchiveToc && stream.name == APPENDED);
        let sizes: BTreeMap<i32, u64> =
            streams.iter().filter_map(|stream| Some((i32::try_from(stream.dump_id?).ok()?, stream.bytes))).collect();
        let old = self.rewrite.whole(at, framing_at, STRUCTURE_BYTES_MAX)?;
        let toc = self.rewrite.whole(at, toc_at, STRUCTURE_BYTES_MAX)?;
        let parsed = Toc::parse(&toc).map_err(|error| structure(error.to_string()))?;
        let new =
            framing::reframe(&old, toc.len() as u64, &sizes, changes).map_err(|error| structure(error.to_string()))?;
        self.rewrite.replace(at, framing_at, &new.framing)?;
        let offset_of = |dump_id: i32| new.offsets.get(&dump_id).copied();
        let moved = parsed.with_offsets(offset_of);
        if moved != toc {
            Toc::parse(&moved).map_err(|error| structure(error.to_string()))?;
            self.rewrite.replace(at, toc_at, &moved)?;
        }
        if let Some(appended) = appended {
            let second = self.rewrite.whole(at, appended, STRUCTURE_BYTES_MAX)?;
            let moved = parsed.second_with_offsets(&second, offset_of).map_err(|error| structure(error.to_string()))?;
            self.rewrite.replace(at, appended, &moved)?;
        }
        let recorded = self.rewrite.facts(at).get("archive.bytes").and_then(|text| text.parse::<u64>().ok());
        if let Some(recorded) = recorded {
            let bytes = recorded.saturating_add(new.added).saturating_sub(new.removed);
            self.rewrite.set_fact(at, "archive.bytes", Some(bytes.to_string()));
        }
        // The hash of the whole archive would let guesses of what was erased be tried.
        self.rewrite.set_fact(at, "archive.blake3", None);
        Ok(())
    }
}
