//! The seal's holders: what the policy says, what the cells hold, and the printed kits.

use std::collections::BTreeSet;

use lacre_format::{
    ids::{GenerationId, Millis, RepositoryId},
    log::{Event, KitRecord, PointerRecord},
    policy::{CellEntry, Holders, KitState},
};
use lacre_seal::{
    kit::{Kit, KitChecksum, SealKit},
    outer::SealSeed,
    pointer::{PointerCell, PointerKit},
};

use crate::{
    error::Error,
    home::Signer,
    monitor::things,
    monitor::{Finding, Severity},
    op::keys::ReadKeys,
    repository::Repository,
    view::View,
};

/// What was found in one cell.
#[derive(Clone, Debug)]
pub struct CellStatus {
    /// The cell.
    pub name: String,
    /// The host it was made on.
    pub host: String,
    /// What it is lost together with: this host, an account at a provider, what the operator named.
    pub holder: String,
    /// Whether it could be opened on this host.
    pub reachable: bool,
    /// Whether it gives back the current generation.
    pub holds: bool,
    /// The generations of this repository in it, hidden ones among them.
    pub generations: Vec<GenerationId>,
    /// The file system it lies on.
    pub filesystem: Option<String>,
}

/// The seal and its holders.
#[derive(Clone, Debug)]
pub struct SealStatus {
    /// The current generation.
    pub generation: GenerationId,
    /// How many holders the operator promised.
    pub holders: Holders,
    /// The cells.
    pub cells: Vec<CellStatus>,
    /// When the current generation was published.
    pub sealed_at: Millis,
    /// How many independent holders are verified: cells by what they depend on, and acknowledged kits.
    pub holders_verified: usize,
    /// The pointer kits with the time of their last change; they hold no seal.
    pub pointers: Vec<(Millis, PointerRecord)>,
    /// The kits with the time of their last change.
    pub kits: Vec<(Millis, KitRecord)>,
    /// The identity sheets with the time of their last change; they hold no seal.
    pub identity_sheets: Vec<(Millis, KitRecord)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Which of the two sheets that are printed together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sheet {
    /// What may still be read.
    Seal,
    /// Who may read.
    Identity,
}

impl Repository {
    /// Looks at every holder of the seal that this host can reach.
    ///
    /// # Errors
    /// Errors of the store or of a cell's file.
    pub fn seal_status(&self) -> Result<SealStatus, Error> {
        self.seal_status_of(&self.view()?)
    }

    /// As [`Repository::seal_status`], of a view that is at hand.
    pub(crate) fn seal_status_of(&self, view: &View) -> Result<SealStatus, Error> {
        let generation = view.policy.generation;
        let mut findings = Vec::new();
        let mut cells = Vec::new();
        for entry in &view.policy.cells {
            let status = self.cell_status(entry, generation, &mut findings)?;
            if status.reachable {
                judge_cell(&status, generation, &mut findings);
            }
            cells.push(status);
        }
        let current =
            |(_, kit): &&(Millis, KitRecord)| kit.generation == generation && kit.state == KitState::Acknowledged;
        let kits: Vec<(Millis, KitRecord)> = view.kits.values().cloned().collect();
        let holders: BTreeSet<&str> = cells.iter().filter(|cell| cell.holds).map(|cell| cell.holder.as_str()).collect();
        let holding = holders.len();
        let acknowledged = kits.iter().filter(current).count();
        if view.policy.holders == Holders::Single {
            let what = "a single cell holds the seal: if it is lost, every backup is lost";
            findings.push(Finding::new(
                Severity::Warning,
                what,
                "seal",
                "print a kit with `lacre kit issue` and keep it apart",
            ));
        } else if holding + acknowledged < 2 {
            let what = format!(
                "{} and {} hold the seal; two holders are needed",
                things(holding, ["independent cell", "independent cells"]),
                things(acknowledged, ["acknowledged kit", "acknowledged kits"])
            );
            let advice = "type the kit's checksum back with `lacre kit ack NUMBER`, print one with `lacre kit issue`, or add a cell elsewhere with `lacre seal add-cell SPEC`";
            findings.push(Finding::new(Severity::Warning, what, "seal", advice));
        }
        let identity_sheets: Vec<(Millis, KitRecord)> = view.identity_sheets.values().cloned().collect();
        if identity_sheets.last().is_some_and(|(_, sheet)| sheet.state == KitState::Issued) {
            let what = "nobody has proved that the printed identity sheet can be read";
            let advice = "type its four words back with `lacre kit ack NUMBER --identity-sheet`";
            findings.push(Finding::new(Severity::Note, what, "identity sheet", advice));
        }
        let pointers: Vec<(Millis, PointerRecord)> = view.ledger.pointers.values().cloned().collect();
        judge_pointers(&pointers, view, &mut findings);
        Ok(SealStatus {
            generation,
            holders: view.policy.holders,
            sealed_at: self.sealed_at(view),
            holders_verified: holding + acknowledged,
            cells,
            pointers,
            kits,
            identity_sheets,
            findings,
        })
    }

    /// When the current generation was published, as far as it is known.
    pub(crate) fn sealed_at(&self, view: &View) -> Millis {
        let published = view.ledger.valid_rotations().find(|(_, rotated)| rotated.to == view.policy.generation);
        view.policy.sealed_at.or(published.map(|(at, _)| *at)).unwrap_or(view.policy.signed_at)
    }

    fn cell_status(
        &self,
        entry: &CellEntry,
        generation: GenerationId,
        findings: &mut Vec<Finding>,
    ) -> Result<CellStatus, Error> {
        let mut status = CellStatus {
            name: entry.name.clone(),
            host: entry.host.clone(),
            holder: entry.holder().to_owned(),
            reachable: false,
            holds: false,
            generations: Vec::new(),
            filesystem: None,
        };
        let opened = match self.cell(&entry.name) {
            Ok(Some(cell)) => cell.contents(self.id()).map(|contents| (cell, contents)),
            Ok(None) => return Ok(status),
            Err(error) => Err(error),
        };
        match opened {
            Ok((cell, contents)) => {
                status.reachable = true;
                status.holds = contents.has(generation);
                status.generations = contents.held.iter().copied().collect();
                status.filesystem = cell.filesystem();
                if contents.damaged > 0 {
                    let what = format!(
                        "{} in the cell",
                        things(contents.damaged, ["damaged slot or value", "damaged slots or values"])
                    );
                    let advice = "a torn write, a failing disk, or somebody changed it: `lacre seal rotate` replaces what it holds; if it stays, make a new cell with `lacre seal add-cell SPEC`";
                    findings.push(Finding::new(Severity::Warning, what, &entry.name, advice));
                }
                Ok(status)
            }
            Err(error @ (Error::Cell { .. } | Error::File(_))) => {
                let advice = "the seal is also with the other holders; put the way to this cell right, or replace it with `lacre seal move-cell`";
                findings.push(Finding::new(Severity::Warning, error.to_string(), &entry.name, advice));
                Ok(status)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the text of a new kit for the current generation and records it as issued, with the identity sheet printed beside it.
    ///
    /// # Errors
    /// [`Error::NoSeal`] when no cell on this host holds the seal; [`Error::KeyMissing`] without the admin key.
    pub fn issue_kit(&self, identity: Option<&Kit>) -> Result<Kit, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let generation = view.policy.generation;
        let seals = self.seals(&view, &ReadKeys::default())?;
        let seed = seals.seed(generation).ok_or(Error::NoSeal { generation })?;
        let number = next_number(&view);
        let kit = seal_sheet(self.id(), generation, number, seed);
        self.record_issued(&admin, number, generation, identity)?;
        Ok(kit)
    }

    /// Records that a seal sheet was printed, and the identity sheet with it.
    pub(crate) fn record_issued(
        &self,
        admin: &Signer,
        number: u32,
        generation: GenerationId,
        identity: Option<&Kit>,
    ) -> Result<(), Error> {
        let issued = |identity| KitRecord { number, generation, state: KitState::Issued, identity };
        self.append(admin, &Event::Kit(issued(None)))?;
        match identity {
            Some(sheet) => self.append(admin, &Event::Kit(issued(Some(sheet.checksum().to_bytes())))),
            None => Ok(()),
        }
    }

    /// Records a pointer kit that leads to some cells, and gives its number's sheet.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Usage`] for no cell, or one that is not the policy's.
    pub fn issue_pointer(&self, cells: Vec<PointerCell>) -> Result<Kit, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let names: Vec<String> = cells.iter().map(|cell| cell.place.clone()).collect();
        if names.is_empty() || names.iter().any(|name| !view.policy.cells.iter().any(|cell| cell.name == *name)) {
            let why = "a pointer kit leads to cells that are reached from anywhere: a bucket or a command".to_owned();
            return Err(Error::Usage { why });
        }
        let number = next_number(&view);
        let pointer = PointerKit { repository: self.id(), number, cells };
        if !pointer.fits() {
            return Err(Error::Usage { why: "a sheet has no room for the ways to so many cells".to_owned() });
        }
        let kit = Kit::Pointer(pointer);
        let words = kit.checksum().to_bytes();
        let record = PointerRecord { number, state: KitState::Issued, words, cells: names };
        self.append(&admin, &Event::Pointer(record))?;
        Ok(kit)
    }

    /// Records that a person typed a sheet's checksum back, which proves that the sheet is legible.
    ///
    /// # Errors
    /// [`Error::Refused`] when the words are another sheet's; [`Error::NoSeal`] when the seal is not at hand to compare.
    pub fn acknowledge_kit(&self, number: u32, sheet: Sheet, typed: KitChecksum) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        if let Some((_, record)) = pointer(&view, number, sheet) {
            if KitChecksum::from_bytes(record.words) != typed {
                return Err(Error::Refused { why: format!("these are not the four words of pointer kit {number}") });
            }
            let record = PointerRecord { state: KitState::Acknowledged, ..record.clone() };
            return self.append(&admin, &Event::Pointer(record));
        }
        let record = printed(&view, number, sheet)?;
        let expected = match record.identity {
            Some(words) => KitChecksum::from_bytes(words),
            None => {
                let generation = record.generation;
                let seals = self.seals(&view, &ReadKeys::default())?;
                let seed = seals.seed(generation).ok_or(Error::NoSeal { generation })?;
                seal_sheet(self.id(), generation, number, seed).checksum()
            }
        };
        if expected != typed {
            let name = if sheet == Sheet::Identity { "the identity sheet of kit" } else { "kit" };
            return Err(Error::Refused { why: format!("these are not the four words of {name} {number}") });
        }
        self.append(&admin, &Event::Kit(KitRecord { state: KitState::Acknowledged, ..record }))
    }

    /// Records that a sheet is destroyed, as a person attests.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown kit; [`Error::KeyMissing`] without the admin key.
    pub fn attest_kit_destroyed(&self, number: u32, sheet: Sheet) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        if let Some((_, record)) = pointer(&view, number, sheet) {
            let record = PointerRecord { state: KitState::Destroyed, ..record.clone() };
            return self.append(&admin, &Event::Pointer(record));
        }
        let record = printed(&view, number, sheet)?;
        self.append(&admin, &Event::Kit(KitRecord { state: KitState::Destroyed, ..record }))
    }
}

/// The number of the next sheet, whatever kind it is.
fn next_number(view: &View) -> u32 {
    let last = view.kits.keys().last().max(view.ledger.pointers.keys().last());
    last.map_or(1, |last| last.saturating_add(1))
}

/// The pointer kit of a number, where no sheet with the seal has it.
fn pointer(view: &View, number: u32, sheet: Sheet) -> Option<&(Millis, PointerRecord)> {
    view.ledger.pointers.get(&number).filter(|_| sheet == Sheet::Seal && !view.kits.contains_key(&number))
}

/// The newest record of a printed sheet.
fn printed(view: &View, number: u32, sheet: Sheet) -> Result<KitRecord, Error> {
    let (sheets, name) = match sheet {
        Sheet::Seal => (&view.kits, "kit"),
        Sheet::Identity => (&view.identity_sheets, "identity sheet"),
    };
    match sheets.get(&number) {
        Some((_, record)) => Ok(record.clone()),
        None => Err(Error::Usage { why: format!("no {name} has number {number}") }),
    }
}

fn seal_sheet(repository: RepositoryId, generation: GenerationId, number: u32, seed: &SealSeed) -> Kit {
    let seed = SealSeed::from_bytes(seed.to_cell_bytes());
    Kit::Seal(SealKit { repository, generation_number: generation.number, number, seed })
}

fn judge_cell(status: &CellStatus, generation: GenerationId, findings: &mut Vec<Finding>) {
    if !status.holds {
        let is_there = status.generations.contains(&generation);
        let verb = if is_there { "holds but cannot give back" } else { "does not hold" };
        let what = format!("the cell {verb} the current seal generation {generation}");
        findings.push(Finding::new(
            Severity::Damage,
            what,
            &status.name,
            "the other holders still open the backups; run `lacre seal rotate` to fill it, or make a new cell",
        ));
    }
    for stray in status.generations.iter().filter(|found| **found != generation) {
        let what = format!("the cell holds generation {stray}, which is not the current one");
        let advice =
            "it can bring back what was erased: `lacre seal rotate` destroys every generation but the newest, here too";
        findings.push(Finding::new(Severity::Warning, what, &status.name, advice));
    }
}

/// A pointer kit never goes stale by a rotation, but by another set of cells.
fn judge_pointers(pointers: &[(Millis, PointerRecord)], view: &View, findings: &mut Vec<Finding>) {
    let now: BTreeSet<&str> = view.policy.cells.iter().map(|cell| cell.name.as_str()).collect();
    for (_, pointer) in pointers.iter().filter(|(_, pointer)| pointer.state != KitState::Destroyed) {
        if !pointer.cells.iter().any(|cell| now.contains(cell.as_str())) {
            let what = format!("pointer kit {} leads to no cell that is still used", pointer.number);
            let advice = "print another with `lacre kit issue --pointer` and destroy the old sheet";
            findings.push(Finding::new(Severity::Warning, what, "pointer kit", advice));
        }
    }
}
