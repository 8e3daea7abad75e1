//! What a runbook is filled with: names, places, sizes and times; never a key, a password or a value of a database.

use std::path::PathBuf;

use super::word;
use crate::lang::Lang;

/// A repository and everything around it, in words.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When this was gathered.
    pub made: String,
    /// The version of Lacre.
    pub version: &'static str,
    /// This machine.
    pub host: String,
    /// The repository's id.
    pub repository: String,
    /// Where it lies.
    pub place: String,
    /// What lies in it.
    pub stored: String,
    /// The copies.
    pub copies: Vec<Copy>,
    /// Seal cells.
    pub cells: Vec<Cell>,
    /// Kits of the current generation that can be read, or were never read back.
    pub kits: Vec<u32>,
    /// Sheets with the way to the cells.
    pub pointers: Vec<u32>,
    /// The sheet of an identity that was printed.
    pub identity_sheet: Option<u32>,
    /// Who may read.
    pub readers: Vec<String>,
    /// Which machines may write: label and role.
    pub homes: Vec<(String, String)>,
    /// The folder of this host's keys.
    pub keys: PathBuf,
    /// The configuration.
    pub config: Option<PathBuf>,
    /// Whether an identity is at hand on this host.
    pub identity: Hand,
    /// Whether a cell with the seal is at hand on this host.
    pub seal: Hand,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// Whether something is at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hand {
    /// It is.
    AtHand,
    /// It is not.
    #[default]
    Elsewhere,
}

/// A copy.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub place: String,
    /// How it stands.
    pub state: String,
}

impl Copy {
    pub(super) fn shown(&self) -> String {
        format!("{}, `{}` ({})", self.name, self.place, self.state)
    }
}

/// A cell of the seal.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its place.
    pub place: String,
    /// The machine it was made on.
    pub host: String,
}

/// A job.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its database; nothing for what is no database.
    pub database: Option<Database>,
    /// How many snapshots are kept.
    pub count: usize,
    /// The newest.
    pub newest: Option<Night>,
    /// The one before it.
    pub before: Option<Night>,
    /// The oldest.
    pub oldest: Option<Night>,
    /// The last drill that passed.
    pub drill: Option<Rehearsal>,
    /// Its largest table, where an identity was at hand to see it.
    pub table: Option<String>,
}

/// A database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How it is reached, without a password.
    pub url: String,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub struct Night {
    /// The beginning of its id.
    pub id: String,
    /// When it was taken.
    pub time: String,
    /// How large it is.
    pub size: String,
    /// How many rows it has.
    pub rows: String,
}

/// A drill.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// When.
    pub time: String,
    /// How long the recovery took.
    pub recovery: String,
}

impl Facts {
    /// Where backups are read from when this host is gone: elsewhere if there is such a place, and never only here.
    pub(super) fn elsewhere(&self) -> &str {
        let is_remote = |place: &&str| place.contains("://");
        let copies = || self.copies.iter().map(|copy| copy.place.as_str());
        let remote = copies().chain([self.place.as_str()]).find(is_remote);
        remote.or_else(|| copies().next()).unwrap_or(&self.place)
    }

    /// Whether anything is left when this host is gone.
    pub(super) fn survives(&self) -> bool {
        self.elsewhere() != self.place || self.place.contains("://")
    }

    /// The flags that open a snapshot where nothing is at hand but paper.
    pub(super) fn paper(&self) -> String {
        format!("{}{}", self.seal_flags(Hand::Elsewhere), self.identity_flags(Hand::Elsewhere))
    }

    /// The flags that open a snapshot on this host.
    pub(super) fn here(&self) -> String {
        format!("{}{}", self.seal_flags(self.seal), self.identity_flags(self.identity))
    }

    pub(super) fn seal_flags(&self, hand: Hand) -> String {
        if hand == Hand::AtHand {
            return String::new();
        }
        let has_sheet = !self.kits.is_empty() || !self.pointers.is_empty();
        match self.cells.first() {
            Some(cell) if !has_sheet => format!(" --set {}", word(&format!("seal.cells=[{:?}]", cell.place))),
            _ => " --kit kit.txt".to_owned(),
        }
    }

    pub(super) fn identity_flags(&self, hand: Hand) -> String {
        match (hand, self.identity_sheet) {
            (Hand::AtHand, _) => String::new(),
            (Hand::Elsewhere, Some(_)) => " --kit kit.txt-identity".to_owned(),
            (Hand::Elsewhere, None) => " --identity identity.txt".to_owned(),
        }
    }

    /// Who holds the seal.
    pub(super) fn holders(&self, lang: Lang) -> Vec<String> {
        let cell = |cell: &Cell| {
            let Cell { place, host } = cell;
            lang.pick(format!("cell `{place}` (made on {host})"), format!("célula `{place}` (feita em {host})"))
        };
        let kit = |number: &u32| lang.pick(format!("kit {number} on paper"), format!("kit {number} em papel"));
        let pointer = |number: &u32| {
            lang.pick(
                format!("pointer kit {number} on paper: the way to the cells"),
                format!("kit apontador {number} em papel: o caminho até as células"),
            )
        };
        let cells = self.cells.iter().map(cell);
        cells.chain(self.kits.iter().map(kit)).chain(self.pointers.iter().map(pointer)).collect()
    }

    /// The jobs that have a snapshot.
    pub(super) fn saved(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| job.newest.is_some())
    }
}

impl Database {
    /// How another database of the same server is reached.
    pub(super) fn beside(&self, name: &str) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else { return format!("postgres:///{name}") };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, format!("?{query}")),
            None => (rest, String::new()),
        };
        let authority = place.split_once('/').map_or(place, |(authority, _)| authority);
        format!("{scheme}://{authority}/{name}{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Copy, Database, Facts};

    #[test]
    fn another_database_of_the_same_server() {
        let beside = |url: &str| Database { name: "a".into(), url: url.into() }.beside("b");
        assert_eq!(beside("postgres://u@h:5/a?sslmode=require"), "postgres://u@h:5/b?sslmode=require");
        assert_eq!(beside("postgres:///a"), "postgres:///b");
        assert_eq!(beside("host=/run dbname=a"), "postgres:///b");
    }

    #[test]
    fn what_lies_elsewhere_is_read_first() {
        let copy = |place: &str| Copy { name: "c".into(), place: place.into(), state: String::new() };
        let facts = |place: &str, copies: &[&str]| Facts {
            place: place.into(),
            copies: copies.iter().map(|place| copy(place)).collect(),
            ..Facts::default()
        };
        assert_eq!(facts("/srv/r", &["/mnt/usb", "b2://o/l"]).elsewhere(), "b2://o/l");
        assert_eq!(facts("s3://b/l", &["/mnt/usb"]).elsewhere(), "s3://b/l");
        assert_eq!(facts("/srv/r", &["/mnt/usb"]).elsewhere(), "/mnt/usb");
        assert!(!facts("/srv/r", &[]).survives() && facts("s3://b/l", &[]).survives());
    }
}
