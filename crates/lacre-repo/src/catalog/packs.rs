//! Packs and index segments in the catalog: where frames lie.

use std::collections::BTreeSet;

use lacre_format::{
    ids::{Digest, PackId, PackName},
    pack::Footer,
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::{
    catalog::{Catalog, KnownPack, cache, unsigned},
    error::Error,
};

const PACK_PUT: &str = "INSERT OR IGNORE INTO pack (id, name, bytes, footer) VALUES (?1, ?2, ?3, ?4)";
const PACK_BY_ID: &str = "SELECT name, bytes, footer FROM pack WHERE id = ?1 ORDER BY name";
const PACK_NAMES_BY_ID: &str = "SELECT name, bytes FROM pack WHERE id = ?1 ORDER BY name";
const PACK_BY_NAME: &str = "SELECT id, bytes, footer FROM pack WHERE name = ?1";
const PACK_NAMES: &str = "SELECT name, bytes FROM pack ORDER BY name";
const PACK_DROP: &str = "DELETE FROM pack WHERE name = ?1";
const PLACE_PUT: &str = "INSERT OR IGNORE INTO place (born, name) VALUES (?1, ?2)";
const PLACE_DROP: &str = "DELETE FROM place WHERE name = ?1";
const PLACES_OF: &str = "SELECT pack.id, pack.name, bytes, footer FROM place JOIN pack ON pack.name = place.name WHERE born = ?1 ORDER BY pack.name";
const SEGMENT_HAS: &str = "SELECT 1 FROM segment WHERE digest = ?1";
const SEGMENT_PUT: &str = "INSERT OR IGNORE INTO segment (digest) VALUES (?1)";
const SEGMENT_PACK_PUT: &str = "INSERT OR IGNORE INTO segment_pack (digest, name) VALUES (?1, ?2)";
const SEGMENT_PACKS: &str = "SELECT name FROM segment_pack WHERE digest = ?1 ORDER BY name";
const SEGMENTS: &str = "SELECT digest FROM segment";
const SEGMENT_OF: &str = "SELECT 1 FROM segment_pack WHERE name = ?1";
const SEGMENT_DROP: &str = "DELETE FROM segment WHERE digest = ?1";
const SEGMENT_PACK_DROP: &str = "DELETE FROM segment_pack WHERE digest = ?1";

impl Catalog {
    /// Whether a segment was read into the catalog.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn has_segment(&self, digest: &Digest) -> Result<bool, Error> {
        let bytes = digest.as_bytes().as_slice();
        self.run(|connection| connection.prepare_cached(SEGMENT_HAS)?.exists(params![bytes]))
    }

    /// The packs that a segment names, as far as it was read.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn segment_packs(&self, digest: &Digest) -> Result<Vec<PackName>, Error> {
        let bytes = digest.as_bytes().as_slice();
        self.run(|connection| {
            let mut statement = connection.prepare_cached(SEGMENT_PACKS)?;
            let rows = statement.query_map(params![bytes], |row| row.get::<_, [u8; PackName::LEN]>(0))?;
            rows.map(|name| name.map(PackName::new)).collect()
        })
    }

    /// Adds the packs of one segment in one transaction; `None` for packs found by their own footers.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn add_packs(&mut self, segment: Option<&Digest>, packs: &[KnownPack]) -> Result<(), Error> {
        self.change(|transaction| {
            for pack in packs {
                put(transaction, pack)?;
                if let Some(digest) = segment {
                    let (digest, name) = (digest.as_bytes().as_slice(), pack.name.as_bytes().as_slice());
                    transaction.prepare_cached(SEGMENT_PACK_PUT)?.execute(params![digest, name])?;
                }
            }
            if let Some(digest) = segment {
                transaction.prepare_cached(SEGMENT_PUT)?.execute(params![digest.as_bytes().as_slice()])?;
            }
            Ok(())
        })
    }

    /// Puts what a pack says of itself in the place of what somebody else said of it.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn correct_pack(&mut self, pack: &KnownPack) -> Result<(), Error> {
        self.change(|transaction| {
            drop_pack(transaction, pack.name)?;
            put(transaction, pack)
        })
    }

    /// Forgets packs that are not in the store any more.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn drop_packs(&mut self, names: &[PackName]) -> Result<(), Error> {
        self.change(|transaction| names.iter().try_for_each(|name| drop_pack(transaction, *name)))
    }

    /// Forgets a segment that is not in the store any more; its packs stay.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn drop_segment(&mut self, digest: &Digest) -> Result<(), Error> {
        let digest = digest.as_bytes().as_slice();
        self.change(|transaction| {
            transaction.prepare_cached(SEGMENT_DROP)?.execute(params![digest])?;
            transaction.prepare_cached(SEGMENT_PACK_DROP)?.execute(params![digest]).map(drop)
        })
    }

    /// All segments that were read.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn segments(&self) -> Result<Vec<Digest>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(SEGMENTS)?;
            let rows = statement.query_map([], |row| row.get::<_, [u8; Digest::LEN]>(0))?;
            rows.map(|digest| digest.map(Digest::new)).collect()
        })
    }

    /// Whether a segment that was read names the pack.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn is_in_segment(&self, name: PackName) -> Result<bool, Error> {
        self.run(|connection| connection.prepare_cached(SEGMENT_OF)?.exists(params![name.as_bytes().as_slice()]))
    }

    /// Every pack that claims a birth name as its own; more than one is a finding for `check`.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn packs_by_id(&self, id: PackId) -> Result<Vec<KnownPack>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(PACK_BY_ID)?;
            let rows = statement.query_map(params![id.as_bytes().as_slice()], |row| {
                let name: [u8; PackName::LEN] = row.get(0)?;
                Ok(KnownPack { id, name: PackName::new(name), bytes: unsigned(row.get(1)?), footer: row.get(2)? })
            })?;
            rows.collect()
        })
    }

    /// The same without their footers: names and lengths.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn pack_names_by_id(&self, id: PackId) -> Result<Vec<(PackName, u64)>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(PACK_NAMES_BY_ID)?;
            let rows = statement.query_map(params![id.as_bytes().as_slice()], |row| {
                let name: [u8; PackName::LEN] = row.get(0)?;
                Ok((PackName::new(name), unsigned(row.get(1)?)))
            })?;
            rows.collect()
        })
    }

    /// Every other pack that claims to hold frames born under that name.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn packs_holding(&self, born: PackId) -> Result<Vec<KnownPack>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(PLACES_OF)?;
            let rows = statement.query_map(params![born.as_bytes().as_slice()], |row| {
                let (id, name): ([u8; PackId::LEN], [u8; PackName::LEN]) = (row.get(0)?, row.get(1)?);
                let (id, name) = (PackId::new(id), PackName::new(name));
                Ok(KnownPack { id, name, bytes: unsigned(row.get(2)?), footer: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    /// The pack with an object name.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn pack_by_name(&self, name: PackName) -> Result<Option<KnownPack>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(PACK_BY_NAME)?;
            let known = statement.query_row(params![name.as_bytes().as_slice()], |row| {
                let id: [u8; PackId::LEN] = row.get(0)?;
                Ok(KnownPack { id: PackId::new(id), name, bytes: unsigned(row.get(1)?), footer: row.get(2)? })
            });
            known.optional()
        })
    }

    /// All known packs with their lengths, by name.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn pack_names(&self) -> Result<Vec<(PackName, u64)>, Error> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached(PACK_NAMES)?;
            let rows = statement.query_map([], |row| {
                let name: [u8; PackName::LEN] = row.get(0)?;
                Ok((PackName::new(name), unsigned(row.get(1)?)))
            })?;
            rows.collect()
        })
    }

    fn change(&mut self, change: impl FnOnce(&Transaction<'_>) -> Result<(), rusqlite::Error>) -> Result<(), Error> {
        let Self { connection, path } = self;
        let run = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            change(&transaction)?;
            transaction.commit()
        };
        run(connection).map_err(|error| cache(path, &error))
    }
}

fn put(transaction: &Transaction<'_>, pack: &KnownPack) -> Result<(), rusqlite::Error> {
    let bytes = i64::try_from(pack.bytes).unwrap_or(i64::MAX);
    let (id, name) = (pack.id.as_bytes().as_slice(), pack.name.as_bytes().as_slice());
    if transaction.prepare_cached(PACK_PUT)?.execute(params![id, name, bytes, pack.footer])? == 0 {
        return Ok(());
    }
    // A footer that does not decode names no place; whoever reads it says so.
    let frames = Footer::decode(&pack.footer).map(|footer| footer.frames).unwrap_or_default();
    let born: BTreeSet<PackId> = frames.iter().filter_map(|frame| frame.born).map(|birth| birth.pack).collect();
    for born in born {
        transaction.prepare_cached(PLACE_PUT)?.execute(params![born.as_bytes().as_slice(), name])?;
    }
    Ok(())
}

fn drop_pack(transaction: &Transaction<'_>, name: PackName) -> Result<(), rusqlite::Error> {
    let name = name.as_bytes().as_slice();
    transaction.prepare_cached(PACK_DROP)?.execute(params![name])?;
    transaction.prepare_cached(PLACE_DROP)?.execute(params![name]).map(drop)
}
