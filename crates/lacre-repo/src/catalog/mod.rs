//! The catalog: a SQLite cache of the store, and the writer's index. The only SQL of the workspace.
//!
//! In: objects that were verified elsewhere. Out: where frames lie, and small objects without a request. A catalog that is
//! missing, damaged, of another version or of another repository is thrown away and made again (law L2).

mod index;
mod packs;

use std::path::{Path, PathBuf};

use lacre_format::{
    ids::{PackId, PackName},
    name::ObjectName,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;

pub use index::{IndexReader, IndexTable, IndexWriter};

const VERSION: i64 = 3;

const CREATE: &str = include_str!("schema.sql");
const OBJECT_GET: &str = "SELECT bytes FROM object WHERE name = ?1";
const OBJECTS_BELOW: &str = "SELECT name, length(bytes) FROM object WHERE name > ?1 AND name < ?2 ORDER BY name";
const OBJECT_PUT: &str = "INSERT OR REPLACE INTO object (name, bytes) VALUES (?1, ?2)";
const OBJECT_ROLLED: &str = "INSERT OR REPLACE INTO object (name, bytes, rolled) VALUES (?1, ?2, 1)";
const OBJECT_FORGET: &str = "DELETE FROM object WHERE name = ?1";
const ROLLED_FORGET: &str = "DELETE FROM object WHERE name = ?1 AND rolled = 1";
const AUDIT_PUT: &str = "INSERT OR REPLACE INTO audit (name, level, at_ms) VALUES (?1, ?2, ?3)";
const AUDIT_GET: &str = "SELECT at_ms FROM audit WHERE name = ?1 AND level = ?2";

/// A pack as the catalog knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPack {
    /// Its birth name.
    pub id: PackId,
    /// Its object name.
    pub name: PackName,
    /// The object's length in bytes.
    pub bytes: u64,
    /// The footer's plaintext.
    pub footer: Vec<u8>,
}

/// The open catalog of one repository.
pub struct Catalog {
    connection: Connection,
    path: PathBuf,
}

impl Catalog {
    /// Opens the catalog, making it anew when it is missing or unusable, and in memory when this disk takes none: reading a repository
    /// must not fail for want of room for a cache.
    ///
    /// # Errors
    /// [`Error::Cache`] when not even memory can be had.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match Self::open_existing(path) {
            Ok(catalog) => return Ok(catalog),
            Err(error) => tracing::debug!(%error, "the catalog is made anew"),
        }
        remove_database(path);
        match Self::open_existing(path) {
            Ok(catalog) => Ok(catalog),
            Err(error) => {
                tracing::warn!(%error, "the catalog is kept in memory");
                Self::in_memory(path)
            }
        }
    }

    /// An empty catalog that ends with this process; `path` is where it would lie, for messages.
    ///
    /// # Errors
    /// [`Error::Cache`] when memory is used up.
    pub fn in_memory(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open_in_memory().map_err(|error| cache(path, &error))?;
        Self::prepared(connection, path)
    }

    /// Throws the catalog away and makes an empty one.
    ///
    /// # Errors
    /// [`Error::Cache`] when a new one cannot be made.
    pub fn recreate(path: &Path) -> Result<Self, Error> {
        remove_database(path);
        Self::open_existing(path)
    }

    fn open_existing(path: &Path) -> Result<Self, Error> {
        Self::prepared(Connection::open(path).map_err(|error| cache(path, &error))?, path)
    }

    fn prepared(connection: Connection, path: &Path) -> Result<Self, Error> {
        let catalog = Self { connection, path: path.to_path_buf() };
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON; PRAGMA busy_timeout = 60000; PRAGMA cache_size = -4096;";
        catalog.run(|connection| connection.execute_batch(pragmas))?;
        let version: i64 =
            catalog.run(|connection| connection.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        if version == 0 {
            let create = format!("BEGIN IMMEDIATE; {CREATE} PRAGMA user_version = {VERSION}; COMMIT;");
            catalog.run(|connection| connection.execute_batch(&create))?;
        } else if version != VERSION {
            return Err(Error::Cache { path: path.to_path_buf(), reason: format!("version {version}") });
        }
        catalog
            .run(|connection| connection.query_row("SELECT count(*) FROM segment", [], |row| row.get::<_, i64>(0)))?;
        Ok(catalog)
    }

    /// A small object's bytes, if they were kept.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn object(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.run(|connection| {
            connection.prepare_cached(OBJECT_GET)?.query_row(params![name], |row| row.get(0)).optional()
        })
    }

    /// Names and lengths of the small objects below a folder that were kept.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn objects_below(&self, folder: &str) -> Result<Vec<(String, u64)>, Error> {
        // `0` follows `/`: everything between the two lies in the folder.
        let (first, behind) = (format!("{folder}/"), format!("{folder}0"));
        self.run(|connection| {
            let mut statement = connection.prepare_cached(OBJECTS_BELOW)?;
            let rows = statement.query_map(params![first, behind], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
            rows.collect()
        })
    }

    /// Keeps a small object's bytes.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn keep_object(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.run(|connection| connection.prepare_cached(OBJECT_PUT)?.execute(params![name, bytes]).map(drop))
    }

    /// Keeps the bytes of many small objects that came out of a rollup, all or none.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn keep_rolled(&self, objects: &[(ObjectName, &[u8])]) -> Result<(), Error> {
        self.run(|connection| {
            let all = connection.unchecked_transaction()?;
            for (name, bytes) in objects {
                all.prepare_cached(OBJECT_ROLLED)?.execute(params![name.as_str(), bytes])?;
            }
            all.commit()
        })
    }

    /// Forgets one object, which was not what it should be; tells whether it was kept.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn forget_object(&self, name: &str) -> Result<bool, Error> {
        self.run(|connection| connection.prepare_cached(OBJECT_FORGET)?.execute(params![name]).map(|rows| rows > 0))
    }

    /// Forgets one object if it came out of a rollup; tells whether it did.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn forget_rolled(&self, name: &str) -> Result<bool, Error> {
        self.run(|connection| connection.prepare_cached(ROLLED_FORGET)?.execute(params![name]).map(|rows| rows > 0))
    }

    /// Forgets everything that was read from the store, but not what was proved of it: an audit trusts no cache.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn forget_all(&self) -> Result<(), Error> {
        self.run(|connection| connection.execute_batch("DELETE FROM object; DELETE FROM segment; DELETE FROM segment_pack; DELETE FROM pack; DELETE FROM place;"))
    }

    /// Remembers that something was proved at a level: a pack by its name, a stream by its claim.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn remember_audit(&self, name: &[u8], level: u8, at_ms: i64) -> Result<(), Error> {
        let bytes = name;
        self.run(|connection| connection.prepare_cached(AUDIT_PUT)?.execute(params![bytes, level, at_ms]).map(drop))
    }

    /// When it was last proved at a level, in milliseconds since the epoch.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn last_audit(&self, name: &[u8], level: u8) -> Result<Option<i64>, Error> {
        let bytes = name;
        self.run(|connection| {
            connection.prepare_cached(AUDIT_GET)?.query_row(params![bytes, level], |row| row.get(0)).optional()
        })
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Result<T, Error> {
        query(&self.connection).map_err(|error| cache(&self.path, &error))
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn cache(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Cache { path: path.to_path_buf(), reason: error.to_string() }
}

/// Removes a database and its side files; what cannot be removed will fail to open and be reported there.
pub(crate) fn remove_database(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(file = %Path::new(&name).display(), %error, "a stale cache file stays"),
        }
    }
}
