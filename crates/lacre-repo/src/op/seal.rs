//! The seal's holders: what the policy says, what the cells hold, and the printed kits.

use lacre_format::{
    ids::{GenerationId, Millis},
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
    monitor::{Finding, Severity},
    op::keys::ReadKeys,
    repository::Repository,
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
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Looks at every holder of the seal that this host can reach.
    ///
    /// # Errors
    /// Errors of the store or of a cell's file.
    pub fn seal_status(&self) -> Result<SealStatus, Error> {
        let view = self.view()?;
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
        Ok(SealStatus { generation, holders: view.policy.holders, cells, kits, findings })
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

    /// Makes the text of a new kit for the current generation and records it as issued.
    ///
    /// # Errors
    /// [`Error::NoSeal`] when no cell on this host holds the seal; [`Error::KeyMissing`] without the admin key.
    pub fn issue_kit(&self) -> Result<Kit, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let generation = view.policy.generation;
        let seals = self.seals(&view, &ReadKeys::default())?;
        let seed = seals.seed(generation).ok_or(Error::NoSeal { generation })?;
        let number = view.kits.keys().last().map_or(1, |last| last.saturating_add(1));
        let kit = SealKit {
            repository: self.id(),
            generation_number: generation.number,
            number,
            seed: SealSeed::from_bytes(seed.to_cell_bytes()),
        };
        self.append(&admin, &Event::Kit(KitRecord { number, generation, state: KitState::Issued }))?;
        Ok(Kit::Seal(kit))
    }

    /// Records that a person typed a kit's checksum back, which proves that the sheet is legible.
    ///
    /// # Errors
    /// [`Error::Refused`] when the words are another sheet's; [`Error::NoSeal`] when the seal is not at hand to compare.
    pub fn acknowledge_kit(&self, number: u32, typed: KitChecksum) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let Some((_, record)) = view.kits.get(&number) else {
            return Err(Error::Usage { why: format!("no kit has number {number}") });
        };
        let seals = self.seals(&view, &ReadKeys::default())?;
        let seed = seals.seed(record.generation).ok_or(Error::NoSeal { generation: record.generation })?;
        let expected = Kit::Seal(SealKit {
            repository: self.id(),
            generation_number: record.generation.number,
            number,
            seed: SealSeed::from_bytes(seed.to_cell_bytes()),
        });
        if expected.checksum() != typed {
            return Err(Error::Refused { why: format!("these are not the four words of kit {number}") });
        }
        let record = KitRecord { number, generation: record.generation, state: KitState::Acknowledged };
        self.append(&admin, &Event::Kit(record))
    }

    /// Records that a kit's sheet is destroyed, as a person attests.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown kit; [`Error::KeyMissing`] without the admin key.
    pub fn attest_kit_destroyed(&self, number: u32) -> Result<(), Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let Some((_, record)) = view.kits.get(&number) else {
            return Err(Error::Usage { why: format!("no kit has number {number}") });
        };
        let record = KitRecord { number, generation: record.generation, state: KitState::Destroyed };
        self.append(&admin, &Event::Kit(record))
    }
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
