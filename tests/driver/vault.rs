//! The driver over a real repository on disk.

use std::sync::Arc;

use lacre::driver::postgres::dump::{DumpOptions, Source};
use lacre::driver::postgres::error::Error;
use lacre::driver::postgres::report::{Unwatched, Watch};
use lacre::driver::postgres::restore::{archive, plan};
use lacre::driver::postgres::vault::{VaultSink, VaultSource, vault_error};
use lacre_format::ids::{JobName, SnapshotId};
use lacre_repo::op::backup::{BackupOptions, BackupReport, SourceFacts};
use lacre_repo::op::init::{CreateOptions, KitChoice};
use lacre_repo::op::keys::ReadKeys;
use lacre_repo::{Repository, Silent, SystemClock, home::Home, store::Store};
use lacre_seal::identity::IdentityFile;

use super::memory::{permissive, quiet, target};
use super::restore::{NASTY, assert_same, picture};
use crate::support::cluster::{Cluster, test_dir};

/// A repository in a folder, and the keys that read it.
struct Vault {
    folder: tempfile::TempDir,
    repository: Repository,
    keys: ReadKeys,
}

fn vault() -> Vault {
    let folder = test_dir("vault");
    let store = Store::create_local(&folder.path().join("repository")).unwrap();
    let home = Home::open(&folder.path().join("home")).unwrap();
    let options = CreateOptions {
        recipients: Vec::new(),
        cells: Vec::new(),
        kit: KitChoice::Print,
        host: "test".to_owned(),
        sources: Vec::new(),
    };
    let (repository, report) = Repository::create(store, &home, options, Arc::new(SystemClock)).unwrap();
    let file = std::fs::read(report.identity_file.unwrap()).unwrap();
    let IdentityFile::Open(identities) = IdentityFile::parse(&file).unwrap() else {
        panic!("init makes an open identity")
    };
    Vault { folder, repository, keys: ReadKeys { identities, kits: Vec::new(), cells: Vec::new() } }
}

fn backup(vault: &Vault, url: &str) -> Result<BackupReport, Error> {
    let job: JobName = JobName::parse("nasty").unwrap();
    let mut session = vault.repository.begin_backup(&job, BackupOptions::default(), Arc::new(Silent)).unwrap();
    let watch: Arc<dyn Watch> = Arc::new(Unwatched);
    let dumped = Source::open(&target(url))
        .and_then(|source| source.dump(&DumpOptions::default(), &mut VaultSink::new(&mut session), &watch));
    match dumped {
        Ok(report) => {
            let findings = report.findings.into_iter().map(Into::into).collect();
            let facts = SourceFacts { kind: "postgres".to_owned(), facts: report.facts, findings, source_ms: 0 };
            Ok(session.commit(facts).unwrap())
        }
        Err(error) => {
            session.abandon().unwrap();
            Err(error)
        }
    }
}

fn restore(vault: &Vault, snapshot: SnapshotId, url: &str) -> Result<bool, Error> {
    let snapshot = vault.repository.open_snapshot(snapshot, &vault.keys).unwrap();
    let source = VaultSource::new(&snapshot, Arc::new(Silent));
    let report = plan(&target(url), &source, permissive())?.execute(&quiet(), &mut |_| Ok(()))?;
    Ok(report.verified)
}

#[test]
fn a_database_goes_through_the_vault_and_comes_back_the_same() {
    let cluster = Cluster::start();
    cluster.create_database("nasty");
    cluster.sql("nasty", NASTY);
    let vault = vault();
    let before = picture(&cluster, "nasty");
    let first = backup(&vault, &cluster.socket_url("nasty")).unwrap();
    let again = backup(&vault, &cluster.socket_url("nasty")).unwrap();
    // Only what holds a time or a random key is new on an unchanged night.
    assert!(again.chunks_new <= 4, "{again:?}");
    let rows =
        |report: &BackupReport| report.streams.iter().find(|stream| stream.name == "public.every_byte").unwrap().rows;
    assert_eq!(rows(&first), 257);
    cluster.sql("postgres", "drop database nasty");
    assert!(restore(&vault, again.snapshot, &cluster.socket_url("nasty")).unwrap());
    assert_same(&before, &picture(&cluster, "nasty"));
    let snapshot = vault.repository.open_snapshot(first.snapshot, &vault.keys).unwrap();
    let written = archive::write(&VaultSource::new(&snapshot, Arc::new(Silent)), &mut std::io::sink()).unwrap();
    assert_eq!(written.bytes.to_string(), snapshot.facts()["archive.bytes"]);
}

#[test]
fn a_failed_dump_becomes_no_snapshot_and_a_damaged_pack_no_database() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select n, md5(n::text) m from generate_series(1, 50000) n");
    let vault = vault();
    let error = backup(&vault, &cluster.socket_url("missing")).unwrap_err();
    assert!(matches!(error, Error::DatabaseMissing { .. }), "{error}");
    let report = backup(&vault, &cluster.socket_url("d")).unwrap();
    assert_eq!(vault.repository.snapshots().unwrap().rows.len(), 1);
    // Their parity would correct so little.
    std::fs::remove_dir_all(vault.folder.path().join("repository/parity")).unwrap();
    let mut damaged = 0;
    for shelf in std::fs::read_dir(vault.folder.path().join("repository/packs")).unwrap() {
        for pack in std::fs::read_dir(shelf.unwrap().path()).unwrap() {
            let path = pack.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let error = restore(&vault, report.snapshot, &cluster.socket_url("new")).unwrap_err();
    let Error::Stopped { source, .. } = error else { panic!("{error:?}") };
    let inner = vault_error(*source).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(inner.kind(), lacre_repo::Kind::Damaged, "{inner:?}");
    assert!(!cluster.has_database("new"));
}
