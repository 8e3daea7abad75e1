//! Init: a repository, its keys, its first policy and its seal.
//!
//! The manifest is written last: a run that dies before leaves no repository, and the next one starts over with other keys.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use lacre_format::{
    codec,
    ids::{Digest, GenerationId, Millis, RepositoryId},
    keyring::{Bundle, BundleList, encode_bundle_object},
    manifest::Manifest,
    name::{Named, ObjectName},
    object::Kind,
    policy::{CellEntry, Holders, HomeEntry, Policy, RecipientEntry, Role},
};
use lacre_seal::{
    bundle, entropy,
    identity::Identity,
    kit::{IdentitySheet, Kit, SealKit},
    outer::SealSeed,
    recipient::Recipient,
    secret::repository_id,
    sign::SigningKey,
    structure::StructureKey,
};
use minicbor::bytes::ByteVec;

use crate::{
    cell::{Cell, CellPlace, CellReach, FilesOnly},
    error::Error,
    files::{self, Replace},
    home::{Home, Signer, WriterKeys},
    monitor::SharedClock,
    repository::{Repository, place},
    store::Store,
};

/// Somebody who may read, as named at init.
pub struct NewRecipient {
    /// The public key.
    pub recipient: Recipient,
    /// For a passphrase: the scrypt-encrypted identity that the policy carries.
    pub locked_identity: Option<Vec<u8>>,
}

/// What to make.
pub struct CreateOptions {
    /// Who may read; none: an identity is made in the home.
    pub recipients: Vec<NewRecipient>,
    /// Where the seal is kept; none: a file in the home.
    pub cells: Vec<CellPlace>,
    /// Whether a kit is printed.
    pub kit: KitChoice,
    /// The operator's name for this machine.
    pub host: String,
    /// Paths that are backed up: no cell may lie inside.
    pub sources: Vec<PathBuf>,
}

/// The way to cells, and what each depends on.
pub struct CellSetup {
    /// The way.
    pub reach: Arc<dyn CellReach>,
    /// What cells that are no files depend on: two with the same one count once.
    pub holders: BTreeMap<CellPlace, String>,
}

impl Default for CellSetup {
    fn default() -> Self {
        Self { reach: Arc::new(FilesOnly), holders: BTreeMap::new() }
    }
}

impl CellSetup {
    /// What the policy says of a cell.
    pub(crate) fn entry(&self, place: &CellPlace, host: &str) -> CellEntry {
        CellEntry { name: place.to_string(), host: host.to_owned(), holder: self.holders.get(place).cloned() }
    }
}

/// Whether a kit is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KitChoice {
    /// One is printed.
    Print,
    /// None: with one cell this declares a single-holder repository.
    None,
}

/// What was made.
pub struct CreateReport {
    /// The repository.
    pub repository: RepositoryId,
    /// The identity file, when one was made.
    pub identity_file: Option<PathBuf>,
    /// The cells.
    pub cells: Vec<String>,
    /// The seal kit.
    pub kit: Option<Kit>,
    /// The identity sheet, when an identity was made.
    pub identity_sheet: Option<Kit>,
}

/// The keys of a repository before it exists.
struct Born {
    manifest: Manifest,
    admin: Signer,
    writer: WriterKeys,
    seed: SealSeed,
    generation: GenerationId,
}

impl Repository {
    /// Creates a repository in an empty store.
    ///
    /// # Errors
    /// [`Error::AlreadyThere`]; [`Error::Refused`] for a cell inside the repository or a backed-up path.
    pub fn create(
        store: Store,
        home: &Home,
        options: CreateOptions,
        clock: SharedClock,
    ) -> Result<(Self, CreateReport), Error> {
        Self::create_reaching(store, home, options, clock, &CellSetup::default())
    }

    /// Creates a repository in an empty store, with cells that need credentials or a command.
    ///
    /// # Errors
    /// As [`Repository::create`]; [`Error::Cell`] for a cell that does not keep, return and forget.
    pub fn create_reaching(
        store: Store,
        home: &Home,
        options: CreateOptions,
        clock: SharedClock,
        setup: &CellSetup,
    ) -> Result<(Self, CreateReport), Error> {
        let manifest_name = ObjectName::of(&Named::Manifest);
        match store.get(&manifest_name, lacre_format::manifest::MANIFEST_BYTES_MAX) {
            Ok(_) => return Err(Error::AlreadyThere { place: place(&store) }),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let born = Born::new()?;
        let repository = Self::with_manifest(store, home, clock, born.manifest)?.with_cells(Arc::clone(&setup.reach));
        let places = if options.cells.is_empty() {
            vec![CellPlace::File(repository.home().default_cell())]
        } else {
            options.cells.clone()
        };
        repository.refuse_bad_cells(&places, &options.sources)?;
        let mut cells = Vec::new();
        for place in &places {
            // What cannot keep a seal, or cannot forget one, is refused before anything is made.
            let cell = Cell::create_over(place, &setup.reach)?;
            cell.try_out(born.manifest.repository)?;
            cells.push((cell, setup.entry(place, &options.host)));
        }
        repository.home().keep_admin(&born.admin, &born.writer.structure)?;
        repository.home().keep_writer(&born.writer)?;
        let (recipients, identity_file, identity_sheet) = repository.recipients(options.recipients)?;
        for (cell, _) in &cells {
            cell.add(born.manifest.repository, born.generation, &born.seed)?;
        }
        let entries: Vec<CellEntry> = cells.into_iter().map(|(_, entry)| entry).collect();
        let cells: Vec<String> = places.iter().map(ToString::to_string).collect();
        repository.put_bundle(&born)?;
        let alone = options.kit == KitChoice::None && places.len() == 1;
        let holders = if alone { Holders::Single } else { Holders::Two };
        let policy =
            first_policy(&born, &options.host, recipients, entries, holders, repository.clock().now().as_millisecond());
        repository.put_policy(&born.admin, &policy)?;
        let kit = (options.kit == KitChoice::Print).then(|| {
            Kit::Seal(SealKit {
                repository: born.manifest.repository,
                generation_number: born.generation.number,
                number: 1,
                seed: SealSeed::from_bytes(born.seed.to_cell_bytes()),
            })
        });
        repository.put_fresh(&manifest_name, born.manifest.encode().into_bytes())?;
        if kit.is_some() {
            repository.record_issued(&born.admin, 1, born.generation, identity_sheet.as_ref())?;
        }
        drop(repository.view()?);
        let report = CreateReport { repository: born.manifest.repository, identity_file, cells, kit, identity_sheet };
        Ok((repository, report))
    }

    /// Law L6: the seal is never inside the repository or any path that is backed up.
    pub(crate) fn refuse_bad_cells(&self, places: &[CellPlace], sources: &[PathBuf]) -> Result<(), Error> {
        for place in places {
            let CellPlace::File(path) = place else { continue };
            refuse_missing_disk(path)?;
            let mut forbidden: Vec<&Path> = sources.iter().map(PathBuf::as_path).collect();
            forbidden.extend(self.store().local_path());
            for directory in forbidden {
                if files::is_inside(path, directory)? {
                    let (path, directory) = (path.display(), directory.display());
                    let why = format!(
                        "the seal cell {path} would lie inside {directory}, so every copy of it would carry the seal"
                    );
                    return Err(Error::Refused { why });
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::type_complexity, reason = "three results of one step, used once")]
    fn recipients(
        &self,
        named: Vec<NewRecipient>,
    ) -> Result<(Vec<RecipientEntry>, Option<PathBuf>, Option<Kit>), Error> {
        if !named.is_empty() {
            return Ok((named.iter().map(recipient_entry).collect(), None, None));
        }
        let (secret, recipient) = Identity::generate_pq()
            .map_err(|error| Error::Bug { why: format!("no identity could be made: {error}") })?;
        let text = zeroize::Zeroizing::new(format!(
            "# Lacre identity of repository {}\n# public key: {}\n{}\n",
            self.id(),
            recipient.to_text(),
            secret.expose()
        ));
        let path = self.home().identity();
        files::write_secret_file(&path, text.as_bytes(), Replace::Never)?;
        let entry = recipient_entry(&NewRecipient { recipient, locked_identity: None });
        Ok((vec![entry], Some(path), Some(Kit::Identity(IdentitySheet { secret }))))
    }

    fn put_bundle(&self, born: &Born) -> Result<(), Error> {
        let content = Bundle { repository: self.id(), generation: born.generation, entries: Vec::new() };
        let object = encode_bundle_object(born.generation, &bundle::seal_bundle(&born.seed, &content)?);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        self.put(&ObjectName::of(&Named::Bundle(born.generation)), object)?;
        let list = BundleList { generation: born.generation, bundle: digest, entries: Vec::new() };
        let signed = born.admin.key.sign(Kind::BundleList, self.id(), born.admin.home, codec::to_cbor(&list));
        self.put(&ObjectName::of(&Named::BundleList(born.generation)), signed.encode(Kind::BundleList))
    }

    /// Publishes a policy.
    pub(crate) fn put_policy(&self, admin: &Signer, policy: &Policy) -> Result<Digest, Error> {
        let signed = admin.key.sign(Kind::Policy, self.id(), admin.home, codec::to_cbor(policy));
        let object = signed.encode(Kind::Policy);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        let name = ObjectName::of(&Named::Policy(policy.number, digest));
        self.put(&name, object.clone())?;
        self.remember(&name, &object);
        Ok(digest)
    }
}

impl Born {
    fn new() -> Result<Self, Error> {
        let admin = Signer { home: entropy::home_id()?, key: SigningKey::generate()? };
        let signer = Signer { home: entropy::home_id()?, key: SigningKey::generate()? };
        let writer = WriterKeys { signer, structure: StructureKey::generate()? };
        let nonce = entropy::salt()?;
        let public = admin.key.public();
        let manifest = Manifest { repository: repository_id(&public, &nonce), admin: public, nonce };
        let seed = SealSeed::generate().map_err(|error| Error::Bug { why: format!("no random bytes: {error}") })?;
        let generation = bundle::generation_id(0, &seed);
        Ok(Self { manifest, admin, writer, seed, generation })
    }
}

pub(crate) fn recipient_entry(new: &NewRecipient) -> RecipientEntry {
    let (kind, bytes) = new.recipient.to_record();
    let locked_identity = new.locked_identity.clone().map(ByteVec::from);
    RecipientEntry { kind, bytes, label: new.recipient.label(), locked_identity }
}

fn first_policy(
    born: &Born,
    host: &str,
    recipients: Vec<RecipientEntry>,
    cells: Vec<CellEntry>,
    holders: Holders,
    at: i64,
) -> Policy {
    let home = |signer: &Signer, role| HomeEntry {
        home: signer.home,
        key: signer.key.public(),
        role,
        label: host.to_owned(),
        revoked_at: None,
        revoked: None,
    };
    Policy {
        repository: born.manifest.repository,
        number: 0,
        previous: None,
        signed_at: Millis(at),
        recipients,
        generation: born.generation,
        seal_public: born.seed.public().as_bytes().to_vec(),
        homes: vec![home(&born.admin, Role::Admin), home(&born.writer.signer, Role::Writer)],
        cells,
        holders,
        heads: Vec::new(),
        min_verified: 3,
        retention: None,
        rewrap_below: None,
        claim: None,
        adopted: None,
        sealed_at: Some(Millis(at)),
        approvals: None,
    }
}

/// A cell makes its own folder and none above it: a path to a disk that is not mounted would put the seal on this one.
fn refuse_missing_disk(cell: &Path) -> Result<(), Error> {
    let Some(folder) = cell.parent() else { return Ok(()) };
    match folder.parent() {
        Some(above) if !folder.exists() && !above.exists() => {
            let (cell, above) = (cell.display(), above.display());
            let why = format!(
                "the seal cell {cell} would lie below {above}, which does not exist: mount its disk, or make the folder with mkdir -p {above}"
            );
            Err(Error::Refused { why })
        }
        _ => Ok(()),
    }
}
