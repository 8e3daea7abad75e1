//! The seal's holders: what the policy says, what the cells hold, and the printed kits.

use lacre_format::{
    ids::{GenerationId, Millis, RepositoryId},
    log::{Event, KitRecord},
    policy::{Holders, KitState},
};
use lacre_seal::{
    kit::{Kit, KitChecksum, SealKit},
    outer::SealSeed,
};

use crate::{
    cell::{Cell, CellPlace},
    error::Error,
    files,
    home::Signer,
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
    /// Whether it could be opened on this host.
    pub reachable: bool,
    /// The generations of this repository in it.
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
            let status = self.cell_status(&entry.name, &entry.host, &mut findings)?;
            if status.reachable {
                judge_cell(&status, generation, &mut findings);
            }
            cells.push(status);
        }
        let current =
            |(_, kit): &&(Millis, KitRecord)| kit.generation == generation && kit.state == KitState::Acknowledged;
        let kits: Vec<(Millis, KitRecord)> = view.kits.values().cloned().collect();
        let holding = cells.iter().filter(|cell| cell.generations.contains(&generation)).count();
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
            let what =
                format!("{holding} cells and {acknowledged} acknowledged kits hold the seal; two holders are needed");
            let advice =
                "type the kit's checksum back with `lacre kit ack NUMBER`, or print a kit with `lacre kit issue`";
            findings.push(Finding::new(Severity::Warning, what, "seal", advice));
        }
        let identity_sheets: Vec<(Millis, KitRecord)> = view.identity_sheets.values().cloned().collect();
        if identity_sheets.last().is_some_and(|(_, sheet)| sheet.state == KitState::Issued) {
            let what = "nobody has proved that the printed identity sheet can be read";
            let advice = "type its four words back with `lacre kit ack NUMBER --identity-sheet`";
            findings.push(Finding::new(Severity::Note, what, "identity sheet", advice));
        }
        Ok(SealStatus { generation, holders: view.policy.holders, cells, kits, identity_sheets, findings })
    }

    fn cell_status(&self, name: &str, host: &str, findings: &mut Vec<Finding>) -> Result<CellStatus, Error> {
        let mut status = CellStatus {
            name: name.to_owned(),
            host: host.to_owned(),
            reachable: false,
            generations: Vec::new(),
            filesystem: None,
        };
        let place = CellPlace::parse(name)?;
        if let Some(cell) = Cell::open(&place)? {
            let CellPlace::File(path) = &place;
            status.reachable = true;
            status.generations = cell.generations(self.id())?.iter().map(|slot| slot.generation).collect();
            status.filesystem = files::filesystem_of(path).ok();
            if cell.slots()?.iter().any(|slot| matches!(slot, lacre_seal::cell::Slot::Damaged)) {
                let advice = "a torn write or a failing disk: issue a kit and make a new cell";
                findings.push(Finding::new(Severity::Warning, "a slot of the cell is damaged", name, advice));
            }
        }
        Ok(status)
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
        let number = view.kits.keys().last().map_or(1, |last| last.saturating_add(1));
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

    /// Records that a person typed a sheet's checksum back, which proves that the sheet is legible.
    ///
    /// # Errors
    /// [`Error::Refused`] when the words are another sheet's; [`Error::NoSeal`] when the seal is not at hand to compare.
    pub fn acknowledge_kit(&self, number: u32, sheet: Sheet, typed: KitChecksum) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
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
        let record = printed(&self.view()?, number, sheet)?;
        self.append(&admin, &Event::Kit(KitRecord { state: KitState::Destroyed, ..record }))
    }
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
    if !status.generations.contains(&generation) {
        let what = format!("the cell does not hold the current seal generation {generation}");
        findings.push(Finding::new(
            Severity::Damage,
            what,
            &status.name,
            "restore from the kit still works; make a new cell",
        ));
    }
    for stray in status.generations.iter().filter(|found| **found != generation) {
        let what = format!("the cell holds generation {stray}, which is not the current one");
        findings.push(Finding::new(
            Severity::Warning,
            what,
            &status.name,
            "an old generation can un-erase: see `lacre seal verify`",
        ));
    }
}
