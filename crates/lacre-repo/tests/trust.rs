//! What is believed of a store, of clocks and of this host's own files, and what is not.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::{path::Path, sync::Arc};

use lacre_format::{
    codec,
    header::{Header, SnapshotObject},
    ids::{Digest, GenerationId, JobName, PackId, SnapshotId},
    name::{Named, ObjectName},
    object::Kind,
    pack::Footer,
    policy::Policy,
    root::{Shape, StreamKind},
    segment::{Salted, Segment, SegmentPack},
    signed::Signed,
};
use lacre_repo::{
    Error, Finding, Kind as ErrorKind, Repository, Severity, Silent,
    cell::{Cell, CellPlace},
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        keys::ReadKeys,
        snapshots::SnapshotState,
    },
    store::{
        Verb,
        fault::{Effect, Failure, Fault, FaultPlan, Recurrence},
    },
};
use lacre_seal::{bundle, kit::Kit, outer::SealSeed, structure::Structure};
use support::{Bench, backup, read, rows};

fn digest(bytes: &[u8]) -> Digest {
    Digest::new(*blake3::hash(bytes).as_bytes())
}

fn path_of(bench: &Bench, named: &Named) -> std::path::PathBuf {
    bench.directory.path().join("repository").join(ObjectName::of(named).as_str())
}

fn damage(findings: &[Finding]) -> Vec<&str> {
    let bad = findings.iter().filter(|finding| finding.severity == Severity::Damage);
    bad.map(|finding| finding.what.as_str()).collect()
}

/// The header of a snapshot as it lies in the store.
fn header(bench: &Bench, snapshot: SnapshotId) -> Header {
    let rows = bench.repository.snapshots().unwrap().rows;
    rows.into_iter().find(|row| row.snapshot == snapshot).unwrap().known.header
}

/// Signs a changed header with the writer's own key and puts it in the place of the one that is there.
fn resign(bench: &Bench, snapshot: SnapshotId, change: impl FnOnce(&mut Header)) {
    let path = path_of(bench, &Named::Snapshot(snapshot));
    let object = SnapshotObject::decode(&std::fs::read(&path).unwrap()).unwrap();
    let mut header = object.header().unwrap();
    change(&mut header);
    let signer = bench.repository.home().writer_keys().unwrap().signer;
    let signed = signer.key.sign(Kind::Snapshot, header.repository, signer.home, codec::to_cbor(&header));
    std::fs::write(path, SnapshotObject { signed, ..object }.encode()).unwrap();
    forget_caches(bench);
}

fn forget_caches(bench: &Bench) {
    bench.repository.rebuild().unwrap();
}

/// One backup of a source that is opened after its session, as a command is.
fn of_command(repository: &Repository, table: &[u8]) -> Result<SnapshotId, Error> {
    let job = JobName::parse("app").unwrap();
    let mut backup = repository.begin_backup(&job, BackupOptions::default(), Arc::new(Silent))?;
    let spec = StreamSpec {
        name: "t".to_owned(),
        kind: StreamKind::Opaque,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = backup.stream(spec)?;
    stream.push(table)?;
    stream.finish(Rows::default())?;
    let facts = SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() };
    backup.commit(facts).map(|report| report.snapshot)
}

#[test]
fn a_snapshot_that_follows_another_than_its_writer_signed_is_damage() {
    let bench = Bench::new();
    let table = rows(500, 40);
    let made: Vec<SnapshotId> = (0..3).map(|_| bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot).collect();
    assert_eq!(bench.repository.snapshots().unwrap().findings, []);
    assert_eq!(header(&bench, made[0]).previous, None);
    // An attacker with the writer's key who exchanges the first must exchange all that follow.
    resign(&bench, made[0], |header| header.taken.0 -= 1);
    let findings = bench.repository.snapshots().unwrap().findings;
    assert_eq!(damage(&findings), ["it does not follow snapshot number 0 of its writer"]);
    assert_eq!(findings[0].object, format!("snap/{}", made[1]));
    let path = path_of(&bench, &Named::Snapshot(made[0]));
    let first = digest(&std::fs::read(path).unwrap());
    resign(&bench, made[1], |header| header.previous = Some(first));
    assert_eq!(damage(&bench.repository.snapshots().unwrap().findings).len(), 1, "now the third does not follow");
    resign(&bench, made[2], |header| header.previous = None);
    assert_eq!(damage(&bench.repository.snapshots().unwrap().findings).len(), 1, "only a first one follows none");
}

#[test]
fn a_snapshot_in_the_place_of_another_is_damaged_and_not_unknown() {
    let bench = Bench::new();
    let table = rows(500, 41);
    let one = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let two = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    std::fs::copy(path_of(&bench, &Named::Snapshot(one)), path_of(&bench, &Named::Snapshot(two))).unwrap();
    forget_caches(&bench);
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let named = bench.repository.resolve(&two.to_string()[..8], &now).unwrap_err();
    assert!(matches!(&named, Error::Damaged { why, .. } if why.contains("another snapshot's object")), "{named}");
    let opened = read(&bench.repository, two, &bench.keys(), "t").unwrap_err();
    assert_eq!(opened.kind(), ErrorKind::Damaged);
    let none = bench.repository.resolve("ffffffff", &now).unwrap_err();
    assert!(matches!(none, Error::NoSnapshot { .. }), "{none}");
    assert_eq!(bench.read(one, "t"), table);
}

#[test]
fn a_listing_sees_that_an_object_is_no_longer_the_one_it_kept() {
    let bench = Bench::new();
    let snapshot = bench.backup("app", &[("t", Shape::Rows, &rows(500, 42))]).snapshot;
    assert_eq!(bench.repository.snapshots().unwrap().findings, []);
    let path = path_of(&bench, &Named::Snapshot(snapshot));
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    let listed = bench.repository.snapshots().unwrap();
    assert!(listed.rows.is_empty() && damage(&listed.findings).len() == 1, "{:?}", listed.findings);
    std::fs::write(&path, good).unwrap();
    let listed = bench.repository.snapshots().unwrap();
    assert!(listed.rows.len() == 1 && listed.findings.is_empty(), "{:?}", listed.findings);
}

#[test]
fn one_snapshot_that_cannot_be_read_keeps_nobody_from_the_others() {
    let bench = Bench::new();
    let table = rows(500, 43);
    let one = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let two = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    for entry in std::fs::read_dir(bench.home_files()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().contains("catalog.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let fault = Fault {
        verb: Some(Verb::Get),
        prefix: ObjectName::of(&Named::Snapshot(two)).to_string(),
        nth: 1,
        recurrence: Recurrence::Forever,
        effect: Effect::FailBefore(Failure::Io),
    };
    let broken = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
    let listed = broken.snapshots().unwrap();
    assert_eq!(listed.rows.iter().map(|row| row.snapshot).collect::<Vec<_>>(), [one]);
    assert_eq!(damage(&listed.findings).len(), 1, "{:?}", listed.findings);
    assert_eq!(read(&broken, one, &bench.keys(), "t").unwrap(), table);
}

#[test]
fn a_failed_sync_is_not_read_back_as_success() {
    let bench = Bench::new();
    let table = rows(500, 44);
    bench.backup("app", &[("t", Shape::Rows, &table)]);
    for prefix in ["session", "packs", "index", "reach", "keyring", "snap"] {
        // The object is complete and reads back, but the directory entry may not survive a power cut.
        let fault = Fault {
            verb: Some(Verb::PutNew),
            prefix: prefix.to_owned(),
            nth: 1,
            recurrence: Recurrence::Once,
            effect: Effect::FailAfter(Failure::Io),
        };
        let broken = bench.reopen_over(bench.store.with_faults(FaultPlan { faults: vec![fault] }));
        let fresh = rows(600, 45 + u64::try_from(prefix.len()).unwrap());
        let made = backup(&broken, "app", &[("t", Shape::Rows, &fresh)], BackupOptions::default());
        assert!(matches!(&made, Err(error) if error.kind() == ErrorKind::Io), "{prefix}: {:?}", made.map(|_| ()));
    }
    assert_eq!(damage(&bench.check_all().findings), Vec::<&str>::new());
}

#[test]
fn a_run_that_may_have_committed_does_not_deny_its_snapshot() {
    let bench = Bench::in_memory();
    let table = rows(2_000, 46);
    // The answer to the PUT is lost and so is every reading back: nobody can tell this run that its snapshot stands.
    let lost = |verb, effect| Fault {
        verb: Some(verb),
        prefix: "snap".to_owned(),
        nth: 1,
        recurrence: Recurrence::Forever,
        effect,
    };
    let faults = vec![
        lost(Verb::PutNew, Effect::FailAfter(Failure::Unavailable)),
        lost(Verb::Get, Effect::FailBefore(Failure::Unavailable)),
    ];
    let broken = bench.reopen_over(bench.store.with_faults(FaultPlan { faults }));
    let error = of_command(&broken, &table).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let rows = bench.repository.snapshots().unwrap().rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(bench.read(rows[0].snapshot, "t"), table);
    let ends = bench.store.list("session").unwrap().objects;
    assert!(!ends.iter().any(|object| object.name.ends_with("/end")), "{ends:?}");
    let again = bench.backup("app", &[("t", Shape::Rows, &table)]);
    assert_eq!(again.chunks_new, 0, "its index stayed for the next run");
    assert_eq!(damage(&bench.check_all().findings), Vec::<&str>::new());
}

#[test]
fn a_file_claims_to_have_seen_nothing_and_a_command_says_what_it_saw() {
    let bench = Bench::new();
    let table = rows(500, 47);
    let file = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    bench.repository.hold(file, "litigation").unwrap();
    let file = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let command = of_command(&bench.repository, &table).unwrap();
    assert_eq!(header(&bench, file).seen, []);
    assert_eq!(header(&bench, command).seen.len(), 1);
}

#[test]
fn a_clock_that_goes_back_reorders_nothing() {
    let bench = Bench::new();
    let snapshot = bench.backup("app", &[("t", Shape::Rows, &rows(500, 48))]).snapshot;
    let state = || {
        let rows = bench.repository.snapshots().unwrap().rows;
        (rows[0].held.is_some(), rows[0].state)
    };
    bench.repository.hold(snapshot, "litigation").unwrap();
    bench.clock.advance_hours(-48);
    bench.repository.release(snapshot).unwrap();
    assert_eq!(state(), (false, SnapshotState::Live), "the release came after the hold, whatever the clock says");
    bench.repository.forget_one(snapshot).unwrap();
    bench.clock.advance_hours(-48);
    bench.repository.unforget(snapshot).unwrap();
    assert_eq!(state(), (false, SnapshotState::Live));
    bench.clock.advance_hours(-48);
    bench.repository.forget_one(snapshot).unwrap();
    assert_eq!(state(), (false, SnapshotState::Forgotten));
}

#[test]
fn a_policy_whose_seal_key_is_of_another_generation_is_refused() {
    let bench = Bench::new();
    let table = rows(500, 49);
    let policy_file = bench.files("policy").remove(0);
    let signed = Signed::decode(Kind::Policy, &std::fs::read(&policy_file).unwrap()).unwrap();
    let mut policy: Policy = codec::from_cbor("policy", &signed.payload).unwrap();
    policy.number += 1;
    policy.generation = GenerationId { number: policy.generation.number + 1, hash: [7; 8] };
    let admin = bench.repository.home().admin_key().unwrap();
    let object = admin.key.sign(Kind::Policy, policy.repository, admin.home, codec::to_cbor(&policy));
    let object = object.encode(Kind::Policy);
    std::fs::write(path_of(&bench, &Named::Policy(policy.number, digest(&object))), object).unwrap();
    let made = backup(&bench.repository, "app", &[("t", Shape::Rows, &table)], BackupOptions::default());
    let error = made.map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Damaged { why, .. } if why.contains("seal key")), "{error}");
    assert!(bench.repository.snapshots().unwrap().rows.is_empty());
}

#[test]
fn a_segment_cannot_redefine_the_packs_of_another() {
    let bench = Bench::new();
    let table = rows(20_000, 50);
    let snapshot = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let keys = bench.repository.home().writer_keys().unwrap();
    let repository = bench.repository.id();
    let names = bench.store.list("packs").unwrap().objects.into_iter();
    let packs = names.map(|object| match ObjectName::parse(&object.name) {
        Some((_, Named::Pack(name))) => {
            let footer = Footer { pack: PackId::new([9; 12]), frames: Vec::new() };
            SegmentPack { name, bytes: object.bytes, footer: footer.encode().into() }
        }
        other => unreachable!("{other:?} below packs/"),
    });
    let segment = Segment { packs: packs.collect() };
    let sealed: Salted = keys.structure.seal(Structure::Segment, repository, &codec::to_cbor(&segment)).unwrap();
    let object = keys.signer.key.sign(Kind::Segment, repository, keys.signer.home, codec::to_cbor(&sealed));
    let object = object.encode(Kind::Segment);
    std::fs::write(path_of(&bench, &Named::Segment(digest(&object))), object).unwrap();
    assert_eq!(read(&bench.reopen(), snapshot, &bench.keys(), "t").unwrap(), table);
}

#[test]
fn two_that_add_to_a_cell_at_once_take_two_slots() {
    let bench = Bench::new();
    let place = CellPlace::parse(&bench.report.cells[0]).unwrap();
    let adders: Vec<GenerationId> = std::thread::scope(|scope| {
        let add = |number: u32| {
            let (bench, place) = (&bench, &place);
            scope.spawn(move || {
                let seed = SealSeed::generate().unwrap();
                let generation = bundle::generation_id(number, &seed);
                Cell::open(place).unwrap().unwrap().add(bench.repository.id(), generation, &seed).unwrap();
                generation
            })
        };
        let threads: Vec<_> = (10..14).map(add).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let found = Cell::open(&place).unwrap().unwrap().generations(bench.repository.id()).unwrap();
    assert_eq!(found.len(), 5, "the first generation and four more");
    assert!(adders.iter().all(|added| found.iter().any(|slot| slot.generation == *added)));
}

#[test]
fn a_cell_that_cannot_be_read_does_not_defeat_the_kit() {
    let bench = Bench::new();
    let table = rows(500, 51);
    let snapshot = bench.backup("app", &[("t", Shape::Rows, &table)]).snapshot;
    let cell = bench.home_files().join("seal.cell");
    std::fs::remove_file(&cell).unwrap();
    std::fs::create_dir(&cell).unwrap();
    let without = read(&bench.repository, snapshot, &bench.keys(), "t").unwrap_err();
    assert!(matches!(without, Error::File(_)), "the reason is told: {without}");
    let text = bench.report.kit.as_ref().unwrap().encode_text();
    let Kit::Seal(kit) = Kit::parse(&text).unwrap() else { unreachable!("a seal kit") };
    let keys = ReadKeys { kits: vec![kit], ..bench.keys() };
    assert_eq!(read(&bench.repository, snapshot, &keys, "t").unwrap(), table);
}

#[test]
fn a_store_listing_with_strangers_in_it_is_told_as_findings() {
    let bench = Bench::new();
    bench.backup("app", &[("t", Shape::Rows, &rows(500, 52))]);
    let root = bench.directory.path().join("repository");
    let put = |name: &str| {
        std::fs::create_dir_all(root.join(Path::new(name).parent().unwrap())).unwrap();
        std::fs::write(root.join(name), b"x").unwrap();
    };
    for name in ["notes.txt", "lost+found/1", "snap/README", "packs/zz/notes", "reach/x"] {
        put(name);
    }
    let findings = bench.check_all().findings;
    let mut objects: Vec<&str> = findings.iter().map(|finding| finding.object.as_str()).collect();
    objects.sort_unstable();
    assert_eq!(objects, ["lost+found", "notes.txt", "packs/zz/notes", "reach/x", "snap/README"], "{findings:?}");
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
}
