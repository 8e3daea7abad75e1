//! The walk along the keys, all snapshots together.
//!
//! In: plans. Out: for each snapshot its marks and the runs to decide about. Each stored run is searched once under each shape, unless a
//! circle of tables finds keys that were not known when it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lacre_dump::{
    closure::{Plan, ShapeId, Walk},
    copy::Identifier,
    personal::Personal,
    select::Search as RowSearch,
    sweep::Needles,
};
use lacre_repo::op::erase::person::Seen;

use super::{PersonError, Search, Shaped};

/// Which tables of which snapshots are due.
type Due = Vec<(usize, usize)>;

impl Search<'_> {
    /// Walks until no snapshot finds anything new.
    pub(super) fn close(&mut self) -> Result<(), PersonError> {
        let plans = std::mem::take(&mut self.plans);
        let done = self.close_over(&plans);
        self.plans = plans;
        done
    }

    fn close_over(&mut self, plans: &[Plan]) -> Result<(), PersonError> {
        let mut walks = Vec::new();
        for plan in plans {
            walks.push(Walk::new(plan, &self.request.subject, &mut self.book)?);
        }
        let mut open: Vec<Option<Vec<usize>>> = vec![None; walks.len()];
        loop {
            for (walk, open) in walks.iter_mut().zip(&mut open) {
                if open.is_none() {
                    *open = walk.next_tables()?;
                }
            }
            let stages = walks.iter().zip(&open).filter(|(_, open)| open.is_some()).map(|(walk, _)| walk.stage());
            let Some(stage) = stages.min() else { break };
            let knows = |(walk, plan): (&Walk<'_>, &Plan)| plan.stages() == 0 || walk.stage() > plan.root_stage();
            if walks.iter().zip(plans).all(knows) {
                self.sharpen(&walks);
            }
            let due = take_due(&walks, &mut open, stage);
            self.search_due(plans, &mut walks, due)?;
        }
        self.sharpen(&walks);
        for (archive, walk) in self.archives.iter_mut().zip(walks) {
            archive.marks = walk.finish().0;
        }
        Ok(())
    }

    /// Makes the identifiers known now ready to be searched for; what was swept for fewer is swept again.
    fn sharpen(&mut self, walks: &[Walk<'_>]) {
        let found: BTreeSet<(Identifier, Personal)> = walks
            .iter()
            .flat_map(|walk| walk.identifiers().iter().cloned())
            .chain(self.identifiers().iter().cloned())
            .collect();
        if self.needles.is_some() && self.swept_for.as_ref() == Some(&found) {
            return;
        }
        let list: Vec<(Identifier, Personal)> = found.iter().cloned().collect();
        self.needles = Some(Needles::new(&list, &self.request.rules.sweep.forms));
        self.swept_for = Some(found);
        for shaped in self.shaped.values_mut() {
            shaped.swept = false;
        }
    }

    fn search_due(&mut self, plans: &[Plan], walks: &mut [Walk<'_>], due: Due) -> Result<(), PersonError> {
        let mut shapes: BTreeMap<ShapeId, Due> = BTreeMap::new();
        for (at, table) in due {
            shapes.entry(plans[at].tables[table].shape_id).or_default().push((at, table));
        }
        for (shape, due) in shapes {
            self.search_shape(plans, shape, &due)?;
            for (at, table) in due {
                let Some(shaped) = self.shaped.get(&shape) else { continue };
                for run in &self.archives[at].marked[table] {
                    if let Some(findings) = shaped.findings.get(&run.name()) {
                        walks[at].absorb(table, findings, &mut self.book)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Searches everything of one shape that is due, and after a change of what is known everything of it that was searched before.
    fn search_shape(&mut self, plans: &[Plan], id: ShapeId, due: &[(usize, usize)]) -> Result<(), PersonError> {
        let Some(shape) = self.shapes.get(&id).map(Arc::clone) else { return Ok(()) };
        let horizon: Vec<u32> = shape.matchers.iter().map(|matcher| self.book.len(matcher.set)).collect();
        let mut targets = due.to_vec();
        let is_stale = self.shaped.get(&id).is_none_or(|shaped| shaped.horizon != horizon);
        if is_stale {
            let swept = self.needles.is_some();
            self.shaped.insert(id, Shaped { horizon, swept, ..Shaped::default() });
            for (at, archive) in self.archives.iter().enumerate() {
                let again = archive.searched.iter().filter(|table| plans[at].tables[**table].shape_id == id);
                targets.extend(again.map(|table| (at, *table)));
            }
            targets.sort_unstable();
            targets.dedup();
        }
        let Some(mut shaped) = self.shaped.remove(&id) else { return Ok(()) };
        let searched = self.search_targets(plans, &shape, &mut shaped, &targets);
        self.shaped.insert(id, shaped);
        searched
    }

    fn search_targets(
        &mut self,
        plans: &[Plan],
        shape: &lacre_dump::closure::Shape,
        shaped: &mut Shaped,
        targets: &[(usize, usize)],
    ) -> Result<(), PersonError> {
        let search = RowSearch::new(shape, &self.book);
        let needles = self.needles.as_ref().filter(|_| shaped.swept);
        for (at, table) in targets.iter().copied() {
            let archive = &mut self.archives[at];
            archive.searched.insert(table);
            let Some(stream) = archive.streams[table] else { continue };
            let name = plans[at].tables[table].name.to_string();
            let dump_id = u32::try_from(plans[at].tables[table].dump_id).unwrap_or_default();
            let columns = archive.columns.get(&dump_id).map(Arc::clone);
            let Shaped { memo, findings, traced, .. } = &mut *shaped;
            let found = self.rewrite.look(at, stream, memo, &mut |run, rows| {
                let seen = search.run(rows)?;
                if !seen.found().is_empty() {
                    findings.insert(run.clone(), Arc::new(seen));
                    return Ok(Seen::Marked);
                }
                if let Some(needles) = needles {
                    let mut sweeper = needles.rows();
                    sweeper.push(rows);
                    traced.take(&name, columns.as_deref(), &sweeper.finish());
                }
                Ok(Seen::Clean)
            });
            archive.marked[table] = found?;
        }
        Ok(())
    }
}

/// The tables that are due at a stage.
fn take_due(walks: &[Walk<'_>], open: &mut [Option<Vec<usize>>], stage: usize) -> Due {
    let mut due = Vec::new();
    for (at, open) in open.iter_mut().enumerate().filter(|(at, _)| walks[*at].stage() == stage) {
        due.extend(open.take().into_iter().flatten().map(|table| (at, table)));
    }
    due
}
