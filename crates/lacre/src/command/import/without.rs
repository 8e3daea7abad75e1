//! Importing a dump into a job that a person is being erased from: the dump is taken without that person.
//!
//! In: a dump, and the lists that still lie beside held snapshots. Out: the same dump without the persons they are about. Foreign keys lead
//! backwards and forwards through a dump, so it is first taken apart into a repository of its own below this host's home, which only an
//! identity opens that lives in memory; nothing of a person comes into the repository itself.

use std::{collections::BTreeMap, io, sync::Arc};

use jiff::Timestamp;
use lacre_format::ids::{JobName as VaultJobName, Millis, SnapshotId};
use lacre_repo::{
    Repository, Silent, SystemClock,
    home::{Home, ImportFolder},
    op::{
        backup::BackupReport,
        erase::person::{OpenList, PersonStage},
        init::{CreateOptions, KitChoice, NewRecipient},
        keys::ReadKeys,
    },
    store::Store,
};
use lacre_seal::identity::{AgeSecretKey, Identity};

use crate::{
    cli::value::{JobName, StoreUrl},
    command::{
        backup::{self, Dump, Pump},
        erase::{explain_person, refuse_traces},
    },
    driver::postgres::restore::archive,
    error::{CliError, Kind},
    invocation::Invocation,
    person::{PersonError, Without},
    source::{Sink, SourceEnd, SourceError},
    vault::{Vault, explain, short},
};

/// What erasures of persons mean to a dump.
pub(super) struct Standing {
    /// Lists of persons it is taken without.
    pub(super) lists: Vec<OpenList>,
    /// Erasures of which nothing says any more whom they were about, signed after the dump was made.
    pub(super) gone: usize,
}

/// Looks which persons a dump of a job must be taken without.
///
/// # Errors
/// [`Kind::Conflict`] while an erasure has not changed the seal yet; [`Kind::NoKey`] when a list stands and no identity opens it.
pub(super) fn standing(
    vault: &Vault,
    keys: Option<&ReadKeys>,
    job: &JobName,
    made: Timestamp,
) -> Result<Standing, CliError> {
    let mut standing = Standing { lists: Vec::new(), gone: 0 };
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    if view.ledger.standing_persons().next().is_none() {
        return Ok(standing);
    }
    let job = VaultJobName::parse(job.as_str())
        .map_err(|error| CliError::new(Kind::Usage, format!("{job} is no job name")).because(&error))?;
    for person in vault.repository.persons_of(&job).map_err(|error| vault.explain(error))? {
        match person.stage {
            // It is covered like every snapshot that is there, and replaced with them.
            PersonStage::Intended => {}
            PersonStage::Rewritten => {
                let id = person.erasure.to_string();
                let what = format!("erasure {} of a person from {job} has not changed the seal yet", short(&id));
                return Err(CliError::new(Kind::Conflict, what)
                    .hint("what is imported now would be void; finish it first: lacre erase resume"));
            }
            PersonStage::Suppressed => {
                let none = || {
                    CliError::new(
                        Kind::NoKey,
                        format!("a person is being erased from {job}, and no identity is at hand"),
                    )
                    .hint("a dump is taken without that person, which needs a recipient's key: --identity FILE")
                };
                let list = vault.repository.suppression_of(person.erasure, keys.ok_or_else(none)?);
                standing.lists.push(list.map_err(|error| vault.explain(error))?);
            }
            PersonStage::Gone => standing.gone += usize::from(made.as_millisecond() < person.intended.0),
        }
    }
    Ok(standing)
}

/// How many rows of a dump were left out.
pub(super) type Removed = u64;

/// Gives a dump without the persons of some lists to `then`, one list after the other.
///
/// # Errors
/// [`Kind::Refused`] for a dump whose rows cannot be told apart, and for traces that would be left; those of `then`.
pub(super) fn through(
    invocation: &Invocation,
    vault: &Vault,
    lists: &[OpenList],
    file: &str,
    source: Pump<'_>,
    then: &mut dyn FnMut(Pump<'_>, Removed) -> Result<BackupReport, CliError>,
) -> Result<BackupReport, CliError> {
    step(invocation, vault, (lists, 0), file, source, then)
}

fn step(
    invocation: &Invocation,
    vault: &Vault,
    (lists, removed): (&[OpenList], Removed),
    file: &str,
    source: Pump<'_>,
    then: &mut dyn FnMut(Pump<'_>, Removed) -> Result<BackupReport, CliError>,
) -> Result<BackupReport, CliError> {
    let Some((first, rest)) = lists.split_first() else { return then(source, removed) };
    let scratch = Scratch::new(vault)?;
    let snapshot = scratch.take(invocation, file, source)?;
    let keys = scratch.keys();
    let own = &scratch.vault;
    let opened = own.repository.open_snapshot(snapshot, &keys).map_err(|error| own.explain(error))?;
    let rows = own.repository.snapshots().map_err(|error| own.explain(error))?.rows;
    let covered = own.repository.open_covered(&rows, &keys, Arc::new(Silent)).map_err(|error| own.explain(error))?;
    let without =
        Without::new(covered, &first.list, &opened, Arc::new(Silent)).map_err(|error| untold(own, file, error))?;
    refuse_traces(without.residue(), without.account())?;
    let removed = removed + without.account().snapshots.iter().map(|(removed, changed)| removed + changed).sum::<u64>();
    let mut pump = |sink: Sink<'_>| emit(&without, file, sink);
    step(invocation, vault, (rest, removed), file, &mut pump, then)
}

fn untold(vault: &Vault, file: &str, error: PersonError) -> CliError {
    if !matches!(error, PersonError::NotRows { .. }) {
        return explain_person(vault, error);
    }
    let what = format!(
        "a person is being erased from this job, and {file} is no PostgreSQL archive, so it cannot be taken without them"
    );
    CliError::new(Kind::Refused, what)
        .hint("finish that erasure first: lacre erase status; what is imported after it has to be erased anew")
}

/// Pushes the archive of what is left.
fn emit(without: &Without<'_>, file: &str, sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
    let mut out = Pushed { sink, failed: None };
    match archive::write(without, &mut out) {
        Ok(written) => {
            Ok(SourceEnd { bytes: written.bytes, exit_status: None, verified: true, stderr_tail: String::new() })
        }
        Err(error) => Err(match out.failed {
            Some(error) => SourceError::Sink { source_name: file.to_owned(), error },
            None => SourceError::Read { source_name: file.to_owned(), bytes: 0, error: io::Error::other(error) },
        }),
    }
}

/// A sink as a writer; what the sink failed of is kept.
struct Pushed<'s> {
    sink: Sink<'s>,
    failed: Option<io::Error>,
}

impl io::Write for Pushed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.sink)(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("it could not be stored"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A repository of one dump, which goes when it is dropped.
///
/// Whoever reads it needs the identity, which dies with this process. What a killed import leaves behind still tells whether a guessed row was
/// in the dump, by the keys in its home: it is swept with the next import or erasure, and erasures of persons are not complete before.
struct Scratch {
    secret: AgeSecretKey,
    vault: Vault,
    _folder: ImportFolder,
}

impl Scratch {
    fn new(vault: &Vault) -> Result<Self, CliError> {
        // One list needs one; a second list takes the dump from the first.
        let folder = vault.repository.home().take_import_folder().map_err(|error| vault.explain(error))?;
        let own = Home::open(&folder.path().join("home")).map_err(|error| explain(error, None))?;
        let place = folder.path().join("repository");
        let store = Store::create_local(&place).map_err(|error| vault.explain(error.into()))?;
        let no_identity = |error| CliError::new(Kind::Bug, "no identity could be made").because(&error);
        let (secret, recipient) = Identity::generate_pq().map_err(no_identity)?;
        let options = CreateOptions {
            recipients: vec![NewRecipient { recipient, locked_identity: None }],
            cells: Vec::new(),
            kit: KitChoice::None,
            host: "import".to_owned(),
            sources: Vec::new(),
        };
        let created = Repository::create(store, &own, options, Arc::new(SystemClock));
        let (repository, _) = created.map_err(|error| explain(error, None))?;
        Ok(Self {
            secret,
            vault: Vault {
                repository,
                settings: vault.settings.clone(),
                place: StoreUrl::Folder(place),
                cells: Arc::clone(&vault.cells),
            },
            _folder: folder,
        })
    }

    /// Takes a dump apart.
    fn take(&self, invocation: &Invocation, file: &str, source: Pump<'_>) -> Result<SnapshotId, CliError> {
        let job: JobName = JobName::from_database("dump");
        let facts = BTreeMap::from([("file".to_owned(), file.to_owned())]);
        let dump = Dump { job: &job, taken: Millis(0), tags: &[], facts };
        Ok(backup::import(invocation, &self.vault, dump, source)?.snapshot)
    }

    fn keys(&self) -> ReadKeys {
        ReadKeys { identities: vec![self.secret.identity()], ..ReadKeys::default() }
    }
}
