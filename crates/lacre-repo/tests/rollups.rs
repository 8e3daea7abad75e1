//! Rollups: a machine from afar reads one object instead of hundreds, and believes none of them more for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use lacre_format::{
    ids::{Digest, SnapshotId},
    name::{Named, ObjectName},
    rollup::{Builder, ROLLUP_BYTES_MAX, decode},
    root::Shape,
};
use lacre_repo::{
    Error, Repository, Severity, Silent,
    cell::CellPlace,
    home::Home,
    op::{keys::ReadKeys, prune::PruneOptions, snapshots::SnapshotState},
    store::{Deletion, PutOutcome, Store, fault::FaultPlan},
};
use support::{Bench, read, rows};
use tempfile::TempDir;

/// Reads before the first byte of data, however many nights there were.
const COLD_GETS_MAX: u64 = 8;
/// Snapshots of a repository whose status is asked for.
const STATUS_NIGHTS: u64 = 150;

fn nights(bench: &Bench, count: u64) -> Vec<SnapshotId> {
    let night = |night| {
        bench.clock.advance_hours(24);
        bench.backup("small", &[("data", Shape::Rows, &rows(400, night))]).snapshot
    };
    (0..count).map(night).collect()
}

fn prune(bench: &Bench) -> u64 {
    let report = bench
        .reopen()
        .prune(&PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() }, &Silent)
        .unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report.rollups_written
}

/// A machine that was never there, and its keys.
struct Cold {
    repository: Repository,
    keys: ReadKeys,
    store: Store,
    _folder: TempDir,
}

fn cold(bench: &Bench) -> Cold {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(&folder.path().join("home")).unwrap();
    let store = bench.store.clone();
    let repository = Repository::open(store.clone(), &home, Arc::clone(&bench.clock) as _).unwrap();
    let mut keys = bench.keys();
    keys.cells = bench.report.cells.iter().map(|cell| CellPlace::parse(cell).unwrap()).collect();
    Cold { repository, keys, store, _folder: folder }
}

/// How many objects are read meanwhile.
fn counted(cold: &Cold, work: impl FnOnce(&Cold)) -> u64 {
    let reads = || cold.store.counts().get + cold.store.counts().get_range;
    let before = reads();
    work(cold);
    reads() - before
}

fn rollups(bench: &Bench) -> Vec<ObjectName> {
    bench
        .store
        .list("rollup")
        .unwrap()
        .objects
        .iter()
        .map(|object| ObjectName::parse(&object.name).unwrap().0)
        .collect()
}

#[test]
fn forty_nights_are_one_read_after_a_prune() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 40);
    let wanted = *made.last().unwrap();
    let far = counted(&cold(&bench), |cold| drop(cold.repository.open_snapshot(wanted, &cold.keys).unwrap()));
    assert!(far > 40, "{far} reads");
    assert_eq!(prune(&bench), 1);
    let near = cold(&bench);
    let counts = counted(&near, |cold| drop(cold.repository.open_snapshot(wanted, &cold.keys).unwrap()));
    assert!(counts <= COLD_GETS_MAX, "{counts} reads");
    assert_eq!(near.repository.snapshots().unwrap().rows.len(), made.len());
    assert!(read(&near.repository, wanted, &near.keys, "data").unwrap() == rows(400, 39));
}

#[test]
fn a_rollup_is_written_again_when_it_is_worth_it_and_only_the_newest_stays() {
    let bench = Bench::in_memory();
    nights(&bench, 3);
    assert_eq!(prune(&bench), 1);
    let first = rollups(&bench);
    assert_eq!((first.len(), prune(&bench)), (1, 0), "nothing is new");
    nights(&bench, 4);
    assert_eq!(prune(&bench), 1);
    let second = rollups(&bench);
    assert!(second.len() == 1 && second != first);
    let bytes = bench.store.get(&second[0], ROLLUP_BYTES_MAX).unwrap();
    let held: Vec<ObjectName> = decode(&bytes).unwrap().into_iter().map(|(name, _)| name).collect();
    for folder in ["log", "policy", "snap", "void", "gc"] {
        for object in bench.store.list(folder).unwrap().objects {
            assert!(held.iter().any(|name| name.as_str() == object.name), "{}", object.name);
        }
    }
}

#[test]
fn nothing_is_rolled_up_on_this_machine() {
    let bench = Bench::new();
    nights(&bench, 4);
    assert_eq!(prune(&bench), 0);
    assert!(rollups(&bench).is_empty());
}

/// Puts a rollup in the place of the one that is there.
fn exchange(bench: &Bench, objects: u32, digest: impl Fn(&[u8]) -> Digest, bytes: Vec<u8>) {
    rollups(bench).iter().for_each(|name| assert_eq!(bench.store.delete(name).unwrap(), Deletion::Gone));
    let name = ObjectName::of(&Named::Rollup(objects, digest(&bytes)));
    assert_eq!(bench.store.put_new(&name, Bytes::from(bytes)).unwrap(), PutOutcome::Created);
}

/// What a name says the hash of a rollup is.
type Hash = fn(&[u8]) -> Digest;

fn hash(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

#[test]
fn a_rollup_that_lies_or_is_damaged_changes_nothing() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 6);
    assert_eq!(prune(&bench), 1);
    let whole = bench.store.get(&rollups(&bench)[0], ROLLUP_BYTES_MAX).unwrap().to_vec();
    let objects = decode(&whole).unwrap();
    let count = u32::try_from(objects.len()).unwrap();
    // Every object in it of its own length and with other bytes.
    let mut lies = Builder::default();
    objects.iter().for_each(|(name, bytes)| lies.push(name, &bytes.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>()));
    // One snapshot's bytes under another's name, where they are of one length.
    let mut turned = Builder::default();
    let is_snapshot = |name: &ObjectName| name.as_str().starts_with("snap/");
    let last = objects.iter().rfind(|(name, _)| is_snapshot(name)).unwrap().1;
    objects.iter().for_each(|(name, bytes)| turned.push(name, if is_snapshot(name) { last } else { bytes }));
    let cut = whole[..whole.len() / 2].to_vec();
    let lies = lies.finish();
    let forms: [(&str, Vec<u8>, Hash); 5] = [
        ("lies", lies.clone(), hash),
        ("turned", turned.finish(), hash),
        ("cut", cut.clone(), hash),
        ("damaged", cut, |_| Digest::new([1; 32])),
        ("no rollup", b"something else".to_vec(), hash),
    ];
    for (what, bytes, name) in forms {
        exchange(&bench, count, name, bytes);
        let cold = cold(&bench);
        let list = cold.repository.snapshots().unwrap();
        assert!(
            list.findings.iter().all(|finding| finding.severity != Severity::Damage),
            "{what}: {:?}",
            list.findings
        );
        let live = list.rows.iter().filter(|row| row.state == SnapshotState::Live).count();
        assert_eq!(live, made.len(), "{what}");
        assert!(read(&cold.repository, made[5], &cold.keys, "data").unwrap() == rows(400, 5), "{what}");
    }
    // The next prune does not mind what it was; an audit looks at objects themselves.
    nights(&bench, 4);
    assert_eq!(prune(&bench), 1);
    assert!(bench.check_all().findings.is_empty());
}

#[test]
fn an_audit_takes_nothing_out_of_a_rollup() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 5);
    assert_eq!(prune(&bench), 1);
    let name = ObjectName::of(&Named::Snapshot(made[2]));
    let mut bytes = bench.store.get(&name, 1 << 20).unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert_eq!(bench.store.delete(&name).unwrap(), Deletion::Gone);
    assert_eq!(bench.store.put_new(&name, Bytes::from(bytes)).unwrap(), PutOutcome::Created);
    let findings = bench.check_all().findings;
    let is_it = |object: &str| object.contains(&made[2].to_string());
    assert!(findings.iter().any(|found| found.severity == Severity::Damage && is_it(&found.object)), "{findings:?}");
}

/// Exchanges the rollup for one whose objects a lie turned into others of the same length.
fn lie(bench: &Bench, turn: impl Fn(&ObjectName, &[u8]) -> Vec<u8>) {
    let whole = bench.store.get(&rollups(bench)[0], ROLLUP_BYTES_MAX).unwrap().to_vec();
    let objects = decode(&whole).unwrap();
    let mut lies = Builder::default();
    for (name, bytes) in &objects {
        let turned = turn(name, bytes);
        assert_eq!(turned.len(), bytes.len(), "{name}: another length is not taken");
        lies.push(name, &turned);
    }
    exchange(bench, u32::try_from(objects.len()).unwrap(), hash, lies.finish());
}

#[test]
fn a_signer_of_no_standing_in_a_rollup_hides_nobody() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 6);
    assert_eq!(prune(&bench), 1);
    let home = bench.repository.snapshots().unwrap().rows[0].known.header.home;
    // Whole in form, and signed by a home that no policy names: as it is read from a rollup nobody would believe it.
    lie(&bench, |_, bytes| {
        let mut bytes = bytes.to_vec();
        let at = bytes.windows(16).position(|window| window == home.as_bytes());
        if let Some(at) = at {
            bytes[at] ^= 0x55;
        }
        bytes
    });
    let cold = cold(&bench);
    let list = cold.repository.snapshots().unwrap();
    assert!(list.findings.is_empty(), "{:?}", list.findings);
    assert_eq!(list.rows.iter().filter(|row| row.state == SnapshotState::Live).count(), made.len());
    // What was read anew stays: the lie costs its reads once.
    let again = counted(&cold, |cold| drop(cold.repository.snapshots().unwrap()));
    assert_eq!(again, 0);
}

#[test]
fn what_was_deleted_does_not_come_back_out_of_a_rollup() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 6);
    assert_eq!(prune(&bench), 1);
    let old = rollups(&bench)[0].clone();
    let kept = bench.store.get(&old, ROLLUP_BYTES_MAX).unwrap();
    for snapshot in &made[..4] {
        assert!(kept.windows(16).any(|window| window == snapshot.as_bytes()));
    }
    made[..4].iter().for_each(|gone| bench.repository.forget_one(*gone).unwrap());
    assert_eq!(prune(&bench), 1, "what is gone does not stay in a rollup");
    let now = bench.store.get(&rollups(&bench)[0], ROLLUP_BYTES_MAX).unwrap();
    let held: Vec<ObjectName> = decode(&now).unwrap().into_iter().map(|(name, _)| name).collect();
    for (at, snapshot) in made.iter().enumerate() {
        assert_eq!(held.contains(&ObjectName::of(&Named::Snapshot(*snapshot))), at >= 4, "{at}");
    }
    // Somebody puts the old one back and takes the new one away.
    exchange(&bench, u32::try_from(decode(&kept).unwrap().len()).unwrap(), hash, kept.to_vec());
    let cold = cold(&bench);
    let list = cold.repository.snapshots().unwrap();
    let live: Vec<SnapshotId> =
        list.rows.iter().filter(|row| row.state == SnapshotState::Live).map(|row| row.snapshot).collect();
    assert_eq!(live, made[4..]);
    assert!(list.findings.is_empty(), "{:?}", list.findings);
    assert!(matches!(cold.repository.open_snapshot(made[0], &cold.keys), Err(Error::Reclaimed { .. })));
}

#[test]
fn rollups_in_great_number_are_not_read() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 6);
    assert_eq!(prune(&bench), 1);
    let honest = rollups(&bench);
    // A hundred that say they hold more than there is, hold nothing that is wanted, and are read first.
    for nth in 0..100_u32 {
        let mut junk = Builder::default();
        junk.push(&ObjectName::of(&Named::Snapshot(SnapshotId::new([0xee; 16]))), &nth.to_le_bytes());
        let bytes = junk.finish();
        let name = ObjectName::of(&Named::Rollup(u32::MAX / 64 - nth, hash(&bytes)));
        assert_eq!(bench.store.put_new(&name, Bytes::from(bytes)).unwrap(), PutOutcome::Created);
    }
    let cold = cold(&bench);
    let small: usize = ["log", "policy", "snap", "void", "gc"]
        .iter()
        .map(|folder| bench.store.list(folder).unwrap().objects.len())
        .sum();
    let reads = counted(&cold, |cold| assert_eq!(cold.repository.snapshots().unwrap().rows.len(), made.len()));
    assert!(reads <= small as u64 + 2, "{reads} reads of {small} objects");
    // A prune that deletes something clears them away.
    made[..1].iter().for_each(|gone| bench.repository.forget_one(*gone).unwrap());
    assert_eq!(prune(&bench), 1);
    let left = rollups(&bench);
    assert!(left.len() == 1 && left != honest, "{left:?}");
}

#[test]
fn a_rollup_is_taken_apart_once() {
    let bench = Bench::in_memory();
    nights(&bench, 10);
    assert_eq!(prune(&bench), 1);
    let cold = cold(&bench);
    let first = counted(&cold, |cold| drop(cold.repository.snapshots().unwrap()));
    assert!(first <= 2, "{first} reads");
    // What came since is in no rollup: it is read, and nothing else.
    let count = || -> u64 {
        let lists = ["log", "policy", "snap", "void", "gc"];
        lists.iter().map(|folder| bench.store.list(folder).unwrap().objects.len() as u64).sum()
    };
    let before = count();
    nights(&bench, 4);
    let reads = counted(&cold, |cold| drop(cold.repository.snapshots().unwrap()));
    assert_eq!(reads, count() - before);
}

/// A prune that dies at any request, before or after it, leaves a repository that another one finishes.
fn prune_dies_at_every_request(plan: fn(u64) -> FaultPlan) {
    const REQUESTS_MAX: u64 = 200;
    let mut rolled_up = 0;
    for nth in 1..REQUESTS_MAX {
        let bench = Bench::in_memory();
        let made = nights(&bench, 3);
        assert_eq!(prune(&bench), 1);
        let later = nights(&bench, 3);
        made.iter().for_each(|gone| bench.repository.forget_one(*gone).unwrap());
        let options = PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() };
        let faulty = bench.store.with_faults(plan(nth));
        let home = Home::open(&bench.directory.path().join("home")).unwrap();
        let died = Repository::open(faulty, &home, Arc::clone(&bench.clock) as _)
            .and_then(|repository| repository.prune(&options, &Silent));
        // That no rollup could be made fails no prune.
        rolled_up += u64::from(died.as_ref().is_ok_and(|report| !report.findings.is_empty()));
        let is_over = died.is_ok_and(|report| report.findings.is_empty() && report.rollups_written == 1);
        let near = cold(&bench);
        let list = near.repository.snapshots().unwrap();
        assert!(list.findings.iter().all(|finding| finding.severity < Severity::Damage), "{nth}: {:?}", list.findings);
        let live: Vec<SnapshotId> =
            list.rows.iter().filter(|row| row.state == SnapshotState::Live).map(|row| row.snapshot).collect();
        assert_eq!(live, later, "{nth}");
        assert!(read(&near.repository, later[2], &near.keys, "data").unwrap() == rows(400, 2), "{nth}");
        // Two go on, one after the other; then one rollup is there, and it holds nothing that is gone.
        for _ in 0..2 {
            bench.reopen().prune(&options, &Silent).unwrap();
        }
        assert!(rollups(&bench).len() <= 2, "{nth}: {:?}", rollups(&bench));
        nights(&bench, 4);
        assert_eq!(prune(&bench), 1, "{nth}");
        let last = rollups(&bench);
        assert_eq!(last.len(), 1, "{nth}");
        let held = bench.store.get(&last[0], ROLLUP_BYTES_MAX).unwrap();
        let held: Vec<ObjectName> = decode(&held).unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(made.iter().all(|gone| !held.contains(&ObjectName::of(&Named::Snapshot(*gone)))), "{nth}");
        assert!(bench.check_all().findings.is_empty(), "{nth}");
        if is_over {
            assert!(rolled_up > 0, "no run died while it rolled up");
            return;
        }
    }
    unreachable!("a prune makes more than {REQUESTS_MAX} requests");
}

#[test]
fn a_prune_that_dies_before_any_request_of_its_rollup_hurts_nothing() {
    prune_dies_at_every_request(FaultPlan::crash_at);
}

#[test]
fn a_prune_that_dies_after_any_request_of_its_rollup_hurts_nothing() {
    prune_dies_at_every_request(FaultPlan::crash_after);
}

#[test]
fn two_prunes_at_once_leave_what_every_reader_can_use() {
    let bench = Bench::in_memory();
    let made = nights(&bench, 12);
    std::thread::scope(|scope| {
        for turn in 0..2 {
            let (bench, options) =
                (&bench, PruneOptions { skew_max: std::time::Duration::MAX, ..PruneOptions::default() });
            scope.spawn(move || match bench.reopen().prune(&options, &Silent) {
                Ok(report) => assert!(report.findings.is_empty(), "{turn}: {:?}", report.findings),
                Err(error) => assert!(matches!(error, Error::Overtaken { .. }), "{turn}: {error}"),
            });
        }
    });
    assert!(!rollups(&bench).is_empty());
    let cold = cold(&bench);
    let reads = counted(&cold, |cold| assert_eq!(cold.repository.snapshots().unwrap().rows.len(), made.len()));
    assert!(reads <= 2, "{reads} reads");
}

#[test]
fn a_status_of_many_snapshots_is_a_handful_of_reads() {
    let bench = Bench::in_memory();
    nights(&bench, STATUS_NIGHTS);
    prune(&bench);
    let cold = cold(&bench);
    let reads = counted(&cold, |cold| {
        let status = cold.repository.status().unwrap();
        assert_eq!(status.rows.len() as u64, STATUS_NIGHTS);
        assert!(status.findings.is_empty(), "{:?}", status.findings);
    });
    let rollups = rollups(&bench);
    let bytes: u64 = bench.store.list("rollup").unwrap().objects.iter().map(|object| object.bytes).sum();
    assert!(reads <= rollups.len() as u64 + 2, "{reads} reads of {} rollups", rollups.len());
    assert!(bytes.div_ceil(4 << 20) >= rollups.len() as u64, "{} rollups of {bytes} bytes", rollups.len());
}
