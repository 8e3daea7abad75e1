//! A host's own files for one repository: keys, pins, caches. Everything 0600 in directories 0700.
//!
//! ```text
//! <home>/repos/<repository>/writer.key    signing key, structure key          every host that writes
//!                           admin.key     the admin's signing key, structure key   an admin's machine only
//!                           maintenance.key  the same of a maintenance home   where prunes and checks run
//!                           identity.txt  age identity made by `init`        move it away
//!                           seal.cell     the default seal cell               an admin's machine only
//!                           jobs/<job>    the job's stream secret
//!                           index/<job>/  this run's index and its key
//!                           keyring/      bundles and lists of seal generations, as in the store
//!                           pin           admin key and newest policy seen
//!                           heads         newest log entries that keys of this host signed
//!                           import-<n>/   a dump on its way into a job that a person is being erased from; gone with its import
//!                           copies/       of each configured copy: a cache, and when it was brought up to date
//!                           lacre.json    as in the store
//!                           catalog.db    cache
//! <home>/joining/<id>.key   keys of a request that was not answered yet
//! ```
//! Secrets pass through here as opaque bytes on their way between a file and the sealing crate.

mod destroyed;
mod imports;
mod remembered;
mod restores;

pub(crate) use self::restores::Untold;

use std::path::{Path, PathBuf};

use lacre_format::{
    codec,
    ids::{Digest, GenerationId, HomeId, JobName, PublicKey, RepositoryId, SnapshotId},
    keyring::BUNDLE_BYTES_MAX,
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    policy::Role,
};
use lacre_seal::{
    index_row::IndexKey, outer::SealSeed, secret::StreamSecret, sign::SigningKey, structure::StructureKey,
};
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::destroyed::destroy_file;
pub use self::{imports::ImportFolder, remembered::CopyNote};
use crate::{
    catalog::remove_database,
    error::Error,
    files::{self, FileError, LockFile, Privacy, Replace},
    monitor::{Finding, Severity},
};

const KEY_FILE_BYTES_MAX: u64 = 4096;
const MANIFEST_FILE: &str = "lacre.json";

#[derive(Encode, Decode, Zeroize)]
#[zeroize(drop)]
struct WriterFile {
    #[cbor(n(0), with = "minicbor::bytes")]
    home: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    structure: [u8; 32],
}

#[derive(Encode, Decode, Zeroize)]
#[zeroize(drop)]
struct AdminFile {
    #[cbor(n(0), with = "minicbor::bytes")]
    home: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    structure: [u8; 32],
}

/// The keys of a machine that has asked to be enrolled.
#[derive(Encode, Decode, Zeroize)]
#[zeroize(drop)]
struct AskedFile {
    #[cbor(n(0), with = "minicbor::bytes")]
    home: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    seal: [u8; 32],
}

/// What a host remembers of the policies it has seen.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Pin {
    /// The admin's public key.
    #[n(0)]
    pub admin: PublicKey,
    /// The newest policy seen.
    #[n(1)]
    pub policy: u32,
    /// The hash in its name.
    #[n(2)]
    pub digest: Digest,
}

/// A signing identity of this host.
pub struct Signer {
    /// Who signs.
    pub home: HomeId,
    /// With which key.
    pub key: SigningKey,
}

/// The writer's keys.
pub struct WriterKeys {
    /// Signs sessions and snapshots.
    pub signer: Signer,
    /// Seals structure.
    pub structure: StructureKey,
}

/// The state directory of this host.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
}

impl Home {
    /// Opens the state directory, creating it with mode 0700.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be made.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        make(directory)?;
        Ok(Self { directory: directory.to_path_buf() })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The manifests of all repositories this host has opened.
    pub(crate) fn manifests(&self) -> Vec<Manifest> {
        let Ok(folders) = std::fs::read_dir(self.directory.join("repos")) else { return Vec::new() };
        let manifest = |folder: std::fs::DirEntry| {
            let file = files::read_file(&folder.path().join(MANIFEST_FILE), MANIFEST_BYTES_MAX).ok()?;
            Manifest::decode(&file.bytes).ok()
        };
        folders.filter_map(Result::ok).filter_map(manifest).collect()
    }

    fn joining(&self, home: HomeId) -> PathBuf {
        self.directory.join("joining").join(format!("{home}.key"))
    }

    /// Keeps the keys of a request until it is answered.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn keep_asked(&self, signer: &Signer, seal: &SealSeed) -> Result<(), Error> {
        make(&self.directory.join("joining"))?;
        let file =
            AskedFile { home: *signer.home.as_bytes(), seed: *signer.key.to_key_file(), seal: *seal.to_cell_bytes() };
        let bytes = Zeroizing::new(codec::to_cbor(&file));
        Ok(files::write_secret_file(&self.joining(signer.home), &bytes, Replace::Never)?)
    }

    /// The keys of a request.
    ///
    /// # Errors
    /// [`Error::Refused`] when this machine never asked under that id.
    pub(crate) fn asked(&self, home: HomeId) -> Result<(Signer, SealSeed), Error> {
        let bytes = match files::read_file(&self.joining(home), KEY_FILE_BYTES_MAX) {
            Ok(file) => Zeroizing::new(file.bytes),
            Err(FileError::NotFound { .. }) => {
                let why = "the token is for another machine, or was used already: no request of that id waits here";
                return Err(Error::Refused { why: why.to_owned() });
            }
            Err(error) => return Err(error.into()),
        };
        let file: AskedFile =
            codec::from_cbor("joining key", &bytes).map_err(|error| Error::format("joining key", error))?;
        let signer = Signer { home: HomeId::new(file.home), key: SigningKey::from_seed(&file.seed) };
        Ok((signer, SealSeed::from_bytes(Zeroizing::new(file.seal))))
    }

    /// Destroys the one-time key of a request.
    pub(crate) fn forget_asked(&self, home: HomeId) -> Result<(), Error> {
        destroy_file(&self.joining(home))
    }

    /// The part of the home that belongs to one repository, created if it is not there.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be made.
    pub fn repository(&self, repository: RepositoryId) -> Result<RepositoryHome, Error> {
        let directory = self.directory.join("repos").join(repository.to_string());
        make(&directory)?;
        Ok(RepositoryHome { directory })
    }
}

/// This host's files for one repository.
#[derive(Clone, Debug)]
pub struct RepositoryHome {
    directory: PathBuf,
}

impl RepositoryHome {
    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the catalog lies.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.directory.join("catalog.db")
    }

    /// Where `init` puts the seal cell when no other place is named.
    #[must_use]
    pub fn default_cell(&self) -> PathBuf {
        self.directory.join("seal.cell")
    }

    /// Where `init` puts an identity when no recipient is named.
    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.directory.join("identity.txt")
    }

    fn writer(&self) -> PathBuf {
        self.directory.join("writer.key")
    }

    fn admin(&self) -> PathBuf {
        self.directory.join("admin.key")
    }

    fn maintenance(&self) -> PathBuf {
        self.directory.join("maintenance.key")
    }

    /// Stores the writer's keys.
    ///
    /// # Errors
    /// [`Error::File`], also when there are keys already.
    pub fn keep_writer(&self, keys: &WriterKeys) -> Result<(), Error> {
        Self::keep(&self.writer(), keys)
    }

    /// Stores the keys of a role under its own name: one machine may have several.
    ///
    /// # Errors
    /// [`Error::File`], also when there are keys already.
    pub(crate) fn keep_keys_of(&self, role: Role, keys: &WriterKeys) -> Result<(), Error> {
        match role {
            Role::Writer => Self::keep(&self.writer(), keys),
            Role::Maintenance => Self::keep(&self.maintenance(), keys),
            Role::Admin => self.keep_admin(&keys.signer, &keys.structure),
        }
    }

    /// Refuses to become what this machine is already.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub(crate) fn refuse_keys_of(&self, role: Role) -> Result<(), Error> {
        let path = match role {
            Role::Writer => self.writer(),
            Role::Maintenance => self.maintenance(),
            Role::Admin => self.admin(),
        };
        if path.exists() {
            return Err(Error::Refused {
                why: format!("this machine has keys of that role already ({})", path.display()),
            });
        }
        Ok(())
    }

    fn keep(path: &Path, keys: &WriterKeys) -> Result<(), Error> {
        let file = WriterFile {
            home: *keys.signer.home.as_bytes(),
            seed: *keys.signer.key.to_key_file(),
            structure: *keys.structure.to_key_file(),
        };
        let bytes = Zeroizing::new(codec::to_cbor(&file));
        Ok(files::write_secret_file(path, &bytes, Replace::Never)?)
    }

    /// Reads the writer's keys.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] when there are none.
    pub fn writer_keys(&self) -> Result<WriterKeys, Error> {
        Self::read(&self.writer(), "writer.key", "this host's writer key (writer.key)")
    }

    /// Reads the keys of a maintenance home.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] when there are none.
    pub fn maintenance_keys(&self) -> Result<WriterKeys, Error> {
        Self::read(&self.maintenance(), "maintenance.key", "this host's maintenance key (maintenance.key)")
    }

    fn read(path: &Path, name: &'static str, what: &'static str) -> Result<WriterKeys, Error> {
        let bytes = read_key(path, what)?;
        let file: WriterFile = codec::from_cbor(name, &bytes).map_err(|error| Error::format(name, error))?;
        let signer = Signer { home: HomeId::new(file.home), key: SigningKey::from_seed(&file.seed) };
        Ok(WriterKeys { signer, structure: StructureKey::from_bytes(&file.structure) })
    }

    /// Stores the admin's key.
    ///
    /// # Errors
    /// [`Error::File`], also when there is one already.
    pub fn keep_admin(&self, signer: &Signer, structure: &StructureKey) -> Result<(), Error> {
        let file = AdminFile {
            home: *signer.home.as_bytes(),
            seed: *signer.key.to_key_file(),
            structure: *structure.to_key_file(),
        };
        let bytes = Zeroizing::new(codec::to_cbor(&file));
        Ok(files::write_secret_file(&self.admin(), &bytes, Replace::Never)?)
    }

    /// Reads the admin's key.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] when there is none.
    pub fn admin_key(&self) -> Result<Signer, Error> {
        let file = self.admin_file()?;
        Ok(Signer { home: HomeId::new(file.home), key: SigningKey::from_seed(&file.seed) })
    }

    /// The structure key: every enrolled machine holds it.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] on a host that has no key of any role.
    pub fn structure_key(&self) -> Result<StructureKey, Error> {
        match self.writer_keys() {
            Ok(keys) => Ok(keys.structure),
            Err(missing @ Error::KeyMissing { .. }) => {
                let admins = self.admin_file().map(|file| StructureKey::from_bytes(&file.structure));
                admins.or_else(|_| self.maintenance_keys().map(|keys| keys.structure)).map_err(|_| missing)
            }
            Err(error) => Err(error),
        }
    }

    fn admin_file(&self) -> Result<AdminFile, Error> {
        let bytes = read_key(&self.admin(), "the admin key (admin.key)")?;
        codec::from_cbor("admin.key", &bytes).map_err(|error| Error::format("admin.key", error))
    }

    /// Stores what was seen, replacing what was seen before.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_pin(&self, pin: &Pin) -> Result<(), Error> {
        Ok(files::write_secret_file(&self.directory.join("pin"), &codec::to_cbor(pin), Replace::Whole)?)
    }

    /// Keeps the repository's manifest, in case the store loses it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn keep_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = self.directory.join(MANIFEST_FILE);
        let text = manifest.encode();
        match files::read_file(&path, MANIFEST_BYTES_MAX) {
            Ok(file) if file.bytes == text.as_bytes() => Ok(()),
            _ => Ok(files::write_secret_file(&path, text.as_bytes(), Replace::Whole)?),
        }
    }

    /// An object of the keyring that is kept here too.
    pub(crate) fn keyring_object(&self, generation: GenerationId, what: &str) -> Option<Vec<u8>> {
        files::read_file(&self.keyring(generation, what), BUNDLE_BYTES_MAX).ok().map(|file| file.bytes)
    }

    /// Reads what was seen.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Format`].
    pub fn pin(&self) -> Result<Option<Pin>, Error> {
        match files::read_file(&self.directory.join("pin"), KEY_FILE_BYTES_MAX) {
            Ok(file) => codec::from_cbor("pin", &file.bytes).map(Some).map_err(|error| Error::format("pin", error)),
            Err(FileError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The stream secret of a job, drawn at its first use.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Entropy`].
    pub fn stream_secret(&self, job: &JobName) -> Result<StreamSecret, Error> {
        let directory = self.directory.join("jobs");
        files::create_private_directory(&directory)?;
        let path = directory.join(format!("{job}.secret"));
        match files::read_file(&path, KEY_FILE_BYTES_MAX) {
            Ok(file) => {
                let bytes = Zeroizing::new(file.bytes);
                let secret = <&[u8; 32]>::try_from(bytes.as_slice());
                secret.map(StreamSecret::from_bytes).map_err(|_| Error::damaged(path.display(), "not 32 bytes long"))
            }
            Err(FileError::NotFound { .. }) => {
                let secret = StreamSecret::generate()?;
                files::write_secret_file(&path, secret.to_key_file().as_slice(), Replace::Never)?;
                Ok(secret)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the job's lock for one run.
    ///
    /// # Errors
    /// [`Error::Busy`] when another run of the job holds it.
    pub fn lock_job(&self, job: &JobName) -> Result<LockFile, Error> {
        let directory = self.directory.join("index").join(job.as_str());
        files::create_private_directory(&directory)?;
        match LockFile::acquire(&directory.join("lock")) {
            Ok(lock) => Ok(lock),
            Err(FileError::Locked { .. }) => Err(Error::Busy { job: job.clone() }),
            Err(error) => Err(error.into()),
        }
    }

    fn index(&self, job: &JobName, snapshot: SnapshotId, suffix: &str) -> PathBuf {
        self.directory.join("index").join(job.as_str()).join(format!("{snapshot}.{suffix}"))
    }

    /// The index database of a snapshot's run.
    #[must_use]
    pub fn index_database(&self, job: &JobName, snapshot: SnapshotId) -> PathBuf {
        self.index(job, snapshot, "db")
    }

    /// Stores the key of a run's index.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_index_key(&self, job: &JobName, snapshot: SnapshotId, key: &IndexKey) -> Result<(), Error> {
        let path = self.index(job, snapshot, "key");
        Ok(files::write_secret_file(&path, key.to_key_file().as_slice(), Replace::Never)?)
    }

    /// The key of a snapshot's run, if this host still has it.
    #[must_use]
    pub fn index_key(&self, job: &JobName, snapshot: SnapshotId) -> Option<IndexKey> {
        let file = files::read_file(&self.index(job, snapshot, "key"), KEY_FILE_BYTES_MAX).ok()?;
        let bytes = Zeroizing::new(file.bytes);
        <&[u8; 32]>::try_from(bytes.as_slice()).ok().map(IndexKey::from_bytes)
    }

    /// Notes that a session is about to be opened, so that the next run ends it if this one dies.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn note_session(&self, job: &JobName, snapshot: SnapshotId) -> Result<(), Error> {
        Ok(files::write_secret_file(&self.index(job, snapshot, "open"), b"", Replace::Never)?)
    }

    /// The sessions of a job that this host opened and never ended. Only the holder of the job's lock may judge them.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn noted_sessions(&self, job: &JobName) -> Result<Vec<SnapshotId>, Error> {
        let directory = self.directory.join("index").join(job.as_str());
        let mut noted = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(|source| io(&directory, source))? {
            let name = entry.map_err(|source| io(&directory, source))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".open"));
            noted.extend(stem.and_then(|stem| SnapshotId::parse(stem).ok()));
        }
        Ok(noted)
    }

    /// The session has ended, and the store says so.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn forget_session(&self, job: &JobName, snapshot: SnapshotId) -> Result<(), Error> {
        let path = self.index(job, snapshot, "open");
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io(&path, source)),
        }
    }

    /// The snapshots of a job whose index is on this host.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be read.
    pub fn indexes(&self, job: &JobName) -> Result<std::collections::BTreeSet<SnapshotId>, Error> {
        let directory = self.directory.join("index").join(job.as_str());
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(std::collections::BTreeSet::new()),
            Err(source) => return Err(io(&directory, source)),
        };
        let mut stems = std::collections::BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|source| io(&directory, source))?.file_name();
            let stem = name.to_str().and_then(|name| name.get(..32)).and_then(|stem| SnapshotId::parse(stem).ok());
            stems.extend(stem);
        }
        Ok(stems)
    }

    /// Destroys every index of a job but one: keys are overwritten, synced and unlinked, then the databases go.
    ///
    /// # Errors
    /// [`Error::File`] when a key could not be destroyed.
    pub fn destroy_indexes(&self, job: &JobName, keep: Option<SnapshotId>) -> Result<(), Error> {
        let directory = self.directory.join("index").join(job.as_str());
        if !directory.is_dir() {
            return Ok(());
        }
        for stem in self.indexes(job)?.into_iter().filter(|stem| Some(*stem) != keep) {
            destroy_file(&self.index(job, stem, "key"))?;
            remove_database(&self.index(job, stem, "db"));
        }
        Ok(files::sync_directory(&directory)?)
    }

    fn keyring(&self, generation: GenerationId, what: &str) -> PathBuf {
        self.directory.join("keyring").join(format!("{generation}.{what}"))
    }

    /// Keeps a generation's bundle or list beside the store: without it, losing the store's one would lose every key.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_keyring(&self, generation: GenerationId, what: &str, object: &[u8]) -> Result<(), Error> {
        files::create_private_directory(&self.directory.join("keyring"))?;
        Ok(files::write_secret_file(&self.keyring(generation, what), object, Replace::Whole)?)
    }

    /// Whether this home holds a generation's object with this BLAKE3.
    #[must_use]
    pub fn has_keyring(&self, generation: GenerationId, what: &str, digest: Digest) -> bool {
        files::read_file(&self.keyring(generation, what), BUNDLE_BYTES_MAX)
            .is_ok_and(|file| Digest::new(*blake3::hash(&file.bytes).as_bytes()) == digest)
    }

    /// Files of this home that others on the host may read.
    #[must_use]
    pub fn exposed(&self) -> Vec<Finding> {
        let keys = [self.writer(), self.admin(), self.maintenance()];
        let paths = [self.directory.clone(), self.identity(), self.default_cell()].into_iter().chain(keys);
        let shared = |path: &PathBuf| match files::privacy_of(path) {
            Ok(Privacy::Shared { mode }) => Some(Finding::new(
                Severity::Warning,
                format!("others on this host may read it (mode {mode:o})"),
                path.display(),
                format!("chmod go= {}", path.display()),
            )),
            _ => None,
        };
        paths.filter_map(|path| shared(&path)).collect()
    }
}

/// Makes a directory of the home. Without room there is simply nothing in it: whoever only reads needs none.
fn make(directory: &Path) -> Result<(), Error> {
    match files::create_private_directory(directory) {
        Err(error) if error.is_no_room() => {
            tracing::warn!(%error, "there is no room for this host's files");
            Ok(())
        }
        done => Ok(done?),
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::File(FileError::Io { path: path.to_path_buf(), action: "change", source })
}

fn read_key(path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
    match files::read_file(path, KEY_FILE_BYTES_MAX) {
        Ok(file) => Ok(Zeroizing::new(file.bytes)),
        Err(FileError::NotFound { .. }) => Err(Error::KeyMissing { what }),
        Err(error) => Err(error.into()),
    }
}
