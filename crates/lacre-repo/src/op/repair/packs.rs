//! Packs and their parity: damaged ones from their parity, then from the copy; missing ones from the copy.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    ids::PackName,
    name::{Named, ObjectName},
    pack::{Footer, PACK_BYTES_MAX},
    parity::PARITY_BYTES_MAX,
    reach::Reach,
};
use rayon::prelude::*;

use crate::{
    error::Error,
    locate::packs_listed,
    monitor::{Progress, Severity},
    op::{
        check::hash_pack,
        repair::{AddParity, How, Repair},
    },
    pack, parity, plans,
    proof::hashes_to,
    store::Store,
    view::View,
};

impl Repair<'_> {
    /// Proves every pack by its name and puts right those that are not.
    pub(super) fn packs(&mut self, view: &View) -> Result<(), Error> {
        let present = packs_listed(&self.store().list("packs")?.objects);
        let total: u64 = present.values().sum();
        self.monitor.progress(Progress::Expected(total));
        let (repository, monitor) = (self.repository, self.monitor);
        let verdicts: Vec<(PackName, Result<(), Error>)> = present
            .par_iter()
            .map(|(name, bytes)| {
                let proved =
                    if monitor.cancelled() { Err(Error::Interrupted) } else { hash_pack(repository, *name, *bytes) };
                monitor.progress(Progress::Bytes(*bytes));
                (*name, proved)
            })
            .collect();
        self.report.objects += verdicts.len() as u64;
        self.report.bytes_read += total;
        let mut lost = Vec::new();
        for (name, verdict) in verdicts {
            match verdict {
                Ok(()) => {}
                Err(error) if is_of_the_pack(&error) => {
                    if !self.corrected(name)? && !self.fetched(name)? {
                        lost.push(name);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        for name in self.missing(view, &present, &lost)? {
            if !self.fetched(name)? {
                lost.push(name);
            }
        }
        self.lost = lost;
        Ok(())
    }

    fn corrected(&mut self, name: PackName) -> Result<bool, Error> {
        match self.repository.corrected(name) {
            Ok(Some(corrected)) => {
                let is_good = |bytes: &[u8]| hashes_to(bytes, name.as_bytes());
                self.put_right(
                    &ObjectName::of(&Named::Pack(name)),
                    corrected.bytes,
                    PACK_BYTES_MAX,
                    How::Corrected,
                    &is_good,
                )
            }
            Ok(None) | Err(Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn fetched(&mut self, name: PackName) -> Result<bool, Error> {
        let Some(from) = self.from else { return Ok(false) };
        let object = ObjectName::of(&Named::Pack(name));
        let is_good = |bytes: &[u8]| hashes_to(bytes, name.as_bytes());
        match from.get(&object, PACK_BYTES_MAX) {
            Ok(bytes) if is_good(&bytes) => {
                self.put_right(&object, bytes.to_vec(), PACK_BYTES_MAX, How::Fetched, &is_good)
            }
            Ok(_) => {
                self.finding(Severity::Warning, "it is damaged in the copy too", object, "try another copy");
                Ok(false)
            }
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Packs that are needed and not here, by the names that the index or the copy knows. Without the structure key nobody can say what is
    /// needed: then whatever the copy has and no collection took counts.
    fn missing(
        &mut self,
        view: &View,
        present: &BTreeMap<PackName, u64>,
        damaged: &[PackName],
    ) -> Result<Vec<PackName>, Error> {
        let repository = self.repository;
        let mut names = BTreeSet::new();
        let mut is_open = true;
        if repository.has_structure() {
            let findings = repository.refresh(view)?;
            self.report.findings.extend(findings.into_iter().filter(|finding| finding.severity < Severity::Damage));
            let needed = self.needed(view)?;
            let good: BTreeMap<PackName, u64> = present
                .iter()
                .filter(|(name, _)| !damaged.contains(name))
                .map(|(name, bytes)| (*name, *bytes))
                .collect();
            is_open = false;
            for id in needed.packs() {
                if repository.resolves(view, &good, &needed, id)? {
                    continue;
                }
                let catalog = repository.catalog()?;
                let holders = catalog.packs_by_id(id)?.into_iter();
                let moved = catalog.packs_holding(id)?.into_iter();
                let moved = moved.filter(|known| view.plans.outputs.contains(&known.name));
                let known: Vec<PackName> =
                    holders.chain(moved).map(|known| known.name).filter(|name| !present.contains_key(name)).collect();
                is_open |=
                    known.is_empty() && !catalog.packs_by_id(id)?.iter().any(|known| damaged.contains(&known.name));
                names.extend(known);
            }
        }
        if let Some(from) = self.from.filter(|_| is_open) {
            let mut theirs = packs_listed(&from.list("packs")?.objects);
            theirs.retain(|name, _| !present.contains_key(name));
            names.extend(self.wanted(view, from, &theirs)?);
        }
        Ok(names.into_iter().collect())
    }

    /// Which of the packs that only the copy has belong here. With the structure key their footers say whether they hold what is needed
    /// and lies nowhere; without it, everything does that no decided collection took.
    fn wanted(&self, view: &View, from: &Store, theirs: &BTreeMap<PackName, u64>) -> Result<Vec<PackName>, Error> {
        let repository = self.repository;
        if !repository.has_structure() {
            let taken = self.taken_by_collections(view)?;
            return Ok(theirs.keys().filter(|name| !taken.contains(*name)).copied().collect());
        }
        let (structure, needed) = (repository.structure()?, self.needed(view)?);
        let mut wanted = Vec::new();
        for (name, bytes) in theirs {
            let Ok(known) = pack::read_footer(from, &structure, repository.id(), *name, *bytes) else { continue };
            let footer = Footer::decode(&known.footer).map_err(|error| Error::format(name, error))?;
            let is_output = view.plans.outputs.contains(name);
            let moved = footer.frames.iter().filter_map(|frame| frame.born).any(|birth| needed.contains(birth));
            if needed.slots(known.id).next().is_some() || (is_output && moved) {
                wanted.push(*name);
            }
        }
        Ok(wanted)
    }

    /// What live snapshots need, as far as their reach maps can be read.
    fn needed(&self, view: &View) -> Result<Reach, Error> {
        let mut needed = Reach::default();
        for known in view.snapshots.values().filter(|known| view.is_live(known.header.snapshot)) {
            match self.repository.reach(known) {
                Ok(reach) => needed.merge(&reach),
                Err(Error::Damaged { .. } | Error::Format { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(needed)
    }

    /// Packs that a decided collection took: they must not come back.
    fn taken_by_collections(&self, view: &View) -> Result<BTreeSet<PackName>, Error> {
        let mut taken: BTreeSet<PackName> = view.plans.condemned.clone();
        for (plan, known) in &view.plans.known {
            let Some(decided) = &known.decided else { continue };
            let name = ObjectName::of(&Named::GcPlan(*plan));
            let Ok(bytes) = self.store().get(&name, lacre_format::gc::GC_BYTES_MAX) else { continue };
            let Ok(plan) = plans::plan_of(view, &name, *plan, &bytes) else { continue };
            let gone = plan.delete.into_iter().chain(plan.repack);
            taken.extend(gone.filter(|name| !decided.packs.contains(name)));
        }
        Ok(taken)
    }

    /// Computes damaged parity again from its pack, and adds what is missing if that is asked for.
    pub(super) fn parity(&mut self, add: AddParity) -> Result<(), Error> {
        let present = packs_listed(&self.store().list("packs")?.objects);
        let listed = self.store().list("parity")?.objects;
        let listed: BTreeSet<PackName> = listed.iter().filter_map(|object| parity_of(&object.name)).collect();
        for name in present.keys().filter(|name| !self.lost.contains(name)).copied().collect::<Vec<_>>() {
            let is_there = listed.contains(&name);
            if is_there && self.has_whole_parity(name)? {
                self.report.objects += 1;
                continue;
            }
            if !is_there && add == AddParity::No {
                continue;
            }
            let object = ObjectName::of(&Named::Parity(name));
            let pack = self.store().get(&ObjectName::of(&Named::Pack(name)), PACK_BYTES_MAX)?;
            if !hashes_to(&pack, name.as_bytes()) {
                continue;
            }
            let bytes = parity::encode(name, &pack);
            let is_good = |bytes: &[u8]| parity::is_whole(name, bytes);
            self.put_right(&object, bytes, PARITY_BYTES_MAX, How::Rebuilt, &is_good)?;
            if !is_there {
                self.report.mended.pop();
                self.report.parity_added += 1;
            }
        }
        Ok(())
    }

    fn has_whole_parity(&self, name: PackName) -> Result<bool, Error> {
        match self.store().get(&ObjectName::of(&Named::Parity(name)), PARITY_BYTES_MAX) {
            Ok(bytes) => Ok(parity::is_whole(name, &bytes)),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(_) => Ok(false),
        }
    }
}

fn parity_of(name: &str) -> Option<PackName> {
    match ObjectName::parse(name) {
        Some((_, Named::Parity(pack))) => Some(pack),
        _ => None,
    }
}

/// Whether a pack did not prove itself for what it is; a store that is away says nothing about it.
fn is_of_the_pack(error: &Error) -> bool {
    matches!(error, Error::PackDamaged { .. }) || crate::view::of_the_object(error)
}
