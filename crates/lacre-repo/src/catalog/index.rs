//! The writer's index of one run: row names to sealed rows. A new file every run, under a new key; the old pair is destroyed.
//!
//! Rows are written without a journal, because the file counts only once its run has committed: a torn file belongs to a run
//! that never happened and is deleted by the next one.

use std::path::{Path, PathBuf};

use lacre_seal::index_row::ROW_NAME_BYTES;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::{
    catalog::{cache, remove_database},
    error::Error,
    limits::INDEX_CACHE_KIB,
};

const CREATE: &str = "CREATE TABLE frame (name BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;";
const GET: &str = "SELECT row FROM frame WHERE name = ?1";
const PUT: &str = "INSERT OR IGNORE INTO frame (name, row) VALUES (?1, ?2)";

/// The index of the base's run, open for reading in one thread.
pub struct IndexReader {
    connection: Connection,
    path: PathBuf,
}

impl IndexReader {
    /// Opens the file read-only.
    ///
    /// # Errors
    /// [`Error::Cache`] when it is missing or no index.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection
                .execute_batch(&format!("PRAGMA cache_size = -{}; PRAGMA mmap_size = 0;", INDEX_CACHE_KIB / 2))?;
            connection
                .query_row("SELECT count(*) FROM (SELECT 1 FROM frame LIMIT 1)", [], |row| row.get::<_, i64>(0))?;
            Ok(connection)
        };
        let connection = open().map_err(|error| cache(path, &error))?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// The sealed row with a name.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file is damaged.
    pub fn row(&self, name: &[u8; ROW_NAME_BYTES]) -> Result<Option<Vec<u8>>, Error> {
        let query = || self.connection.prepare_cached(GET)?.query_row(params![name], |row| row.get(0)).optional();
        query().map_err(|error| cache(&self.path, &error))
    }
}

/// The index of the present run, open for writing in one thread.
pub struct IndexWriter {
    connection: Connection,
    path: PathBuf,
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
            let settings = "PRAGMA page_size = 8192; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;";
            connection.execute_batch(&format!("{settings} PRAGMA cache_size = -{INDEX_CACHE_KIB}; {CREATE} BEGIN;"))?;
            Ok(connection)
        };
        let connection = create().map_err(|error| cache(path, &error))?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// Adds a row unless its name is taken, and says whether it was added.
    ///
    /// # Errors
    /// [`Error::Cache`], for example when the disk is full.
    pub fn add(&self, name: &[u8; ROW_NAME_BYTES], row: &[u8]) -> Result<bool, Error> {
        let put = || self.connection.prepare_cached(PUT)?.execute(params![name, row]);
        put().map(|count| count == 1).map_err(|error| cache(&self.path, &error))
    }

    /// The row with a name that this run has added.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn row(&self, name: &[u8; ROW_NAME_BYTES]) -> Result<Option<Vec<u8>>, Error> {
        let query = || self.connection.prepare_cached(GET)?.query_row(params![name], |row| row.get(0)).optional();
        query().map_err(|error| cache(&self.path, &error))
    }

    /// Writes everything to disk.
    ///
    /// # Errors
    /// [`Error::Cache`].
    pub fn finish(self) -> Result<(), Error> {
        let Self { connection, path } = self;
        connection.execute_batch("COMMIT;").map_err(|error| cache(&path, &error))?;
        connection.close().map_err(|(_, error)| cache(&path, &error))?;
        let sync = std::fs::File::open(&path).and_then(|file| file.sync_all());
        sync.map_err(|error| Error::Cache { path, reason: error.to_string() })
    }
}
