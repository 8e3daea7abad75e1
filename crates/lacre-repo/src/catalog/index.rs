//! The writer's index of one run: row names and sealed rows, in the order of the run. A new file every run, under a new key; the
//! old pair is destroyed.
//!
//! A run meets its chunks in nearly the order of the run before, so rows are stored in blocks in that order and found by walking
//! along; only where the walk is interrupted a sorted table of name prefixes (8 bytes a row, in memory) says where to go on.
//! Against one tree keyed by name this does a tenth of the work: `docs/decisions/index-blocks.md`.
//!
//! Blocks are written without a journal, because the file counts only once its run has committed: a torn file belongs to a run
//! that never happened and is deleted by the next one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lacre_seal::index_row::{ROW_BYTES, ROW_NAME_BYTES};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{
    catalog::{cache, remove_database},
    error::Error,
    limits::{INDEX_BLOCK_ROWS, INDEX_BLOCKS_KEPT, INDEX_ROWS_MAX},
};

const CREATE: &str = "CREATE TABLE block (seq INTEGER PRIMARY KEY, rows BLOB NOT NULL);";
const GET: &str = "SELECT rows FROM block WHERE seq = ?1";
const PUT: &str = "INSERT INTO block (seq, rows) VALUES (?1, ?2)";
const SCAN: &str = "SELECT rows FROM block ORDER BY seq";

const ENTRY_BYTES: usize = ROW_NAME_BYTES + ROW_BYTES;
/// Low bits of a packed word that hold a row's number; the rest is the start of its name.
const NUMBER_BITS: u32 = 28;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

type Name = [u8; ROW_NAME_BYTES];

fn prefix(name: &[u8]) -> u64 {
    let mut start = [0u8; 8];
    start.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(start) & !NUMBER_MASK
}

/// The name prefixes of a finished run, sorted; shared by all threads.
pub struct IndexTable {
    words: Vec<u64>,
}

impl IndexTable {
    /// Reads the names of a finished run.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file is missing or no index.
    pub fn load(path: &Path) -> Result<Arc<Self>, Error> {
        let load = || {
            let connection = open(path)?;
            let mut statement = connection.prepare(SCAN)?;
            let mut blocks = statement.query([])?;
            let mut words = Vec::new();
            while let Some(block) = blocks.next()? {
                let rows = block.get_ref(0)?.as_blob()?;
                for entry in rows.chunks_exact(ENTRY_BYTES) {
                    let number = u64::try_from(words.len()).unwrap_or(NUMBER_MASK) & NUMBER_MASK;
                    words.push(prefix(entry) | number);
                }
                if words.len() >= INDEX_ROWS_MAX {
                    break;
                }
            }
            Ok(words)
        };
        let mut words: Vec<u64> = load().map_err(|error| cache(path, &error))?;
        words.sort_unstable();
        words.shrink_to_fit();
        Ok(Arc::new(Self { words }))
    }

    /// The numbers of the rows whose names start like this one.
    fn numbers(&self, name: &Name) -> impl Iterator<Item = usize> + '_ {
        let wanted = prefix(name);
        let start = self.words.partition_point(|word| *word < wanted);
        let same = self.words.iter().skip(start).take_while(move |word| **word & !NUMBER_MASK == wanted);
        same.map(|word| usize::try_from(*word & NUMBER_MASK).unwrap_or(usize::MAX))
    }
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch("PRAGMA cache_size = -256; PRAGMA mmap_size = 0;")?;
    Ok(connection)
}

/// The index of the base's run, open for reading in one thread.
pub struct IndexReader {
    connection: Connection,
    path: PathBuf,
    table: Arc<IndexTable>,
    blocks: Vec<(usize, Vec<u8>)>,
    next: usize,
}

impl IndexReader {
    /// Opens the file read-only.
    ///
    /// # Errors
    /// [`Error::Cache`] when it is missing.
    pub fn open(path: &Path, table: Arc<IndexTable>) -> Result<Self, Error> {
        let connection = open(path).map_err(|error| cache(path, &error))?;
        Ok(Self { connection, path: path.to_path_buf(), table, blocks: Vec::new(), next: 0 })
    }

    /// The sealed row with a name.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file is damaged.
    pub fn row(&mut self, name: &Name) -> Result<Option<[u8; ROW_BYTES]>, Error> {
        if let Some(row) = self.row_at(self.next, name)? {
            self.next += 1;
            return Ok(Some(row));
        }
        let table = Arc::clone(&self.table);
        for number in table.numbers(name) {
            if let Some(row) = self.row_at(number, name)? {
                self.next = number + 1;
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn row_at(&mut self, number: usize, name: &Name) -> Result<Option<[u8; ROW_BYTES]>, Error> {
        let (seq, place) = (number / INDEX_BLOCK_ROWS, number % INDEX_BLOCK_ROWS);
        let Some(at) = self.block(seq)? else { return Ok(None) };
        let entry = self.blocks.get(at).and_then(|(_, rows)| rows.get(place * ENTRY_BYTES..(place + 1) * ENTRY_BYTES));
        Ok(entry.and_then(|entry| row_of(entry, name)))
    }

    fn block(&mut self, seq: usize) -> Result<Option<usize>, Error> {
        if let Some(at) = self.blocks.iter().position(|(known, _)| *known == seq) {
            return Ok(Some(at));
        }
        let query =
            || self.connection.prepare_cached(GET)?.query_row(params![number_sql(seq)], |row| row.get(0)).optional();
        let found: Option<Vec<u8>> = query().map_err(|error| cache(&self.path, &error))?;
        let Some(rows) = found else { return Ok(None) };
        if self.blocks.len() >= INDEX_BLOCKS_KEPT {
            self.blocks.remove(0);
        }
        self.blocks.push((seq, rows));
        Ok(Some(self.blocks.len() - 1))
    }
}

fn number_sql(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn row_of(entry: &[u8], name: &Name) -> Option<[u8; ROW_BYTES]> {
    let (found, row) = entry.split_first_chunk::<ROW_NAME_BYTES>()?;
    if found == name { <[u8; ROW_BYTES]>::try_from(row).ok() } else { None }
}

/// The index of the present run, open for writing in one thread.
pub struct IndexWriter {
    connection: Connection,
    path: PathBuf,
    block: Vec<u8>,
    blocks: usize,
    twins: Twins,
}

impl IndexWriter {
    /// Makes the file anew.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn create(path: &Path) -> Result<Self, Error> {
        remove_database(path);
        let create = || {
            let connection = Connection::open(path)?;
            let settings = "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;";
            let exclusive = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -1024;";
            connection.execute_batch(&format!("{settings} {exclusive} {CREATE} BEGIN;"))?;
            Ok(connection)
        };
        let connection = create().map_err(|error| cache(path, &error))?;
        let block = Vec::with_capacity(INDEX_BLOCK_ROWS * ENTRY_BYTES);
        Ok(Self { connection, path: path.to_path_buf(), block, blocks: 0, twins: Twins::default() })
    }

    /// Adds a row of a frame that the base holds.
    ///
    /// # Errors
    /// [`Error::Cache`], for example when the disk is full.
    pub fn add(&mut self, name: &Name, row: &[u8]) -> Result<(), Error> {
        self.block.extend_from_slice(name);
        self.block.extend_from_slice(row);
        if self.block.len() >= INDEX_BLOCK_ROWS * ENTRY_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a row of a frame that is new in this run, to be found by [`IndexWriter::twin`].
    ///
    /// # Errors
    /// [`Error::Cache`], for example when the disk is full.
    pub fn add_new(&mut self, name: &Name, row: &[u8]) -> Result<(), Error> {
        let number = self.blocks * INDEX_BLOCK_ROWS + self.block.len() / ENTRY_BYTES;
        self.twins.insert(name, number);
        self.add(name, row)
    }

    /// The row of a frame with this name that this run has stored before.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn twin(&self, name: &Name) -> Result<Option<[u8; ROW_BYTES]>, Error> {
        for number in self.twins.numbers(name) {
            let (seq, place) = (number / INDEX_BLOCK_ROWS, number % INDEX_BLOCK_ROWS);
            let range = place * ENTRY_BYTES..(place + 1) * ENTRY_BYTES;
            let row = if seq == self.blocks {
                self.block.get(range).and_then(|entry| row_of(entry, name))
            } else {
                let query = || {
                    self.connection
                        .prepare_cached(GET)?
                        .query_row(params![number_sql(seq)], |row| row.get::<_, Vec<u8>>(0))
                };
                let rows = query().map_err(|error| cache(&self.path, &error))?;
                rows.get(range).and_then(|entry| row_of(entry, name))
            };
            if row.is_some() {
                return Ok(row);
            }
        }
        Ok(None)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let put = || self.connection.prepare_cached(PUT)?.execute(params![number_sql(self.blocks), self.block]);
        put().map_err(|error| cache(&self.path, &error))?;
        self.blocks += 1;
        self.block.clear();
        Ok(())
    }

    /// Writes everything to disk.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn finish(mut self) -> Result<(), Error> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        let Self { connection, path, .. } = self;
        connection.execute_batch("COMMIT;").map_err(|error| cache(&path, &error))?;
        connection.close().map_err(|(_, error)| cache(&path, &error))?;
        let sync = std::fs::File::open(&path).and_then(|file| file.sync_all());
        sync.map_err(|error| Error::Cache { path, reason: error.to_string() })
    }
}

/// Name prefixes of the frames new in this run, in parts that grow one after the other and by little: 11 to 14 bytes a frame, and
/// never a second copy of all of them. Names are keyed hashes, so they need no other.
struct Twins {
    parts: Vec<TwinPart>,
    used: usize,
}

/// The prefixes that begin with the same bits: open addressing, 8 bytes a slot.
#[derive(Default)]
struct TwinPart {
    slots: Vec<u64>,
    used: usize,
}

/// High bits of a packed word that choose its part.
const PART_BITS: u32 = 6;
/// Bits of a packed word that choose its place within a part.
const PLACE_BITS: u32 = u64::BITS - PART_BITS - NUMBER_BITS;
/// A part grows by a quarter and by at least so many slots.
const PART_SLOTS_STEP: usize = 64;

impl Default for Twins {
    fn default() -> Self {
        Self { parts: (0..1usize << PART_BITS).map(|_| TwinPart::default()).collect(), used: 0 }
    }
}

impl Twins {
    fn part(word: u64) -> usize {
        usize::try_from(word >> (u64::BITS - PART_BITS)).unwrap_or(0)
    }

    /// Slots hold the prefix and the number plus one; zero is a free slot.
    fn insert(&mut self, name: &Name, number: usize) {
        if self.used >= INDEX_ROWS_MAX {
            return;
        }
        let number = u64::try_from(number + 1).unwrap_or(NUMBER_MASK) & NUMBER_MASK;
        let word = prefix(name) | number;
        if let Some(part) = self.parts.get_mut(Self::part(word)) {
            part.insert(word);
            self.used += 1;
        }
    }

    fn numbers(&self, name: &Name) -> impl Iterator<Item = usize> + '_ {
        let wanted = prefix(name);
        self.parts.get(Self::part(wanted)).into_iter().flat_map(move |part| part.numbers(wanted))
    }
}

impl TwinPart {
    fn insert(&mut self, word: u64) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let grown = vec![0u64; self.slots.len() + (self.slots.len() / 4).max(PART_SLOTS_STEP)];
            let old = std::mem::replace(&mut self.slots, grown);
            old.into_iter().filter(|word| *word != 0).for_each(|word| self.place(word));
        }
        self.place(word);
        self.used += 1;
    }

    fn place(&mut self, word: u64) {
        let mut at = self.home(word);
        while self.slots[at] != 0 {
            at = self.behind(at);
        }
        self.slots[at] = word;
    }

    fn home(&self, word: u64) -> usize {
        let bits = (word >> NUMBER_BITS) & ((1 << PLACE_BITS) - 1);
        let slots = u64::try_from(self.slots.len()).unwrap_or(0);
        usize::try_from((bits * slots) >> PLACE_BITS).unwrap_or(0)
    }

    fn behind(&self, at: usize) -> usize {
        if at + 1 < self.slots.len() { at + 1 } else { 0 }
    }

    fn numbers(&self, wanted: u64) -> impl Iterator<Item = usize> + '_ {
        let mut at = self.home(wanted);
        let probe = (0..self.slots.len()).map(move |_| {
            let word = self.slots[at];
            at = self.behind(at);
            word
        });
        let same = probe.take_while(|word| *word != 0).filter(move |word| *word & !NUMBER_MASK == wanted);
        same.map(|word| usize::try_from((word & NUMBER_MASK) - 1).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread names, as keyed hashes are.
    fn name(number: u64) -> Name {
        let hash = blake3::hash(&number.to_le_bytes());
        let mut name = Name::default();
        name.copy_from_slice(&hash.as_bytes()[..ROW_NAME_BYTES]);
        name
    }

    #[test]
    fn every_twin_is_found_and_nothing_else_is() {
        let mut twins = Twins::default();
        assert_eq!(twins.numbers(&name(0)).count(), 0);
        for number in 0..50_000usize {
            twins.insert(&name(number as u64), number);
        }
        for number in 0..50_000usize {
            assert!(twins.numbers(&name(number as u64)).any(|found| found == number), "row {number}");
        }
        assert_eq!((50_000..100_000).filter(|number| twins.numbers(&name(*number)).count() > 0).count(), 0);
    }

    #[test]
    fn names_that_begin_alike_share_a_probe() {
        let mut twins = Twins::default();
        let same = [0xff; ROW_NAME_BYTES];
        for number in 0..1000 {
            twins.insert(&same, number);
        }
        let found: Vec<usize> = twins.numbers(&same).collect();
        assert_eq!(found.len(), 1000);
        assert!(found.iter().all(|number| *number < 1000));
    }

    #[test]
    fn a_frame_costs_less_than_fifteen_bytes_at_any_size() {
        let mut twins = Twins::default();
        for number in 0..300_000usize {
            twins.insert(&name(number as u64), number);
            if number > 50_000 && number % 1000 == 0 {
                let slots: usize = twins.parts.iter().map(|part| part.slots.capacity()).sum();
                let bytes = slots * size_of::<u64>();
                assert!(bytes < 15 * number, "{bytes} bytes for {number} frames");
            }
        }
    }
}
