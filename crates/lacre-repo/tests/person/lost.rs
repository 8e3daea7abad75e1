//! Records that are lost: what a log does not say destroys nothing, least of all the only history of a job.

use lacre_format::{
    codec,
    ids::JobName,
    log::{Event, LogEntry},
    name::ObjectName,
    object::Kind,
    root::StreamKind,
    signed::Signed,
};
use lacre_repo::op::{
    backup::{Rows, SourceFacts, StreamSpec},
    prune::Losses,
    repair::{AddParity, RepairOptions},
};

use super::*;

/// The log entry that holds an event.
fn entry(bench: &Bench, is: impl Fn(&Event) -> bool) -> ObjectName {
    let objects = bench.store.list("log").unwrap().objects;
    let names = objects.iter().map(|object| ObjectName::from_path(&object.name).unwrap());
    let says = |name: &ObjectName| {
        let signed = Signed::decode(Kind::LogEntry, &bench.store.get(name, 1 << 20).unwrap()).unwrap();
        let entry: LogEntry = codec::from_cbor("log entry", &signed.payload).unwrap();
        is(&entry.event().unwrap())
    };
    names.into_iter().find(says).unwrap()
}

/// The admin on a machine that has read nothing of this repository yet.
fn fresh(bench: &Bench) -> (tempfile::TempDir, Repository) {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(directory.path()).unwrap();
    let kept = home.repository(bench.repository.id()).unwrap();
    let structure = bench.repository.home().structure_key().unwrap();
    kept.keep_admin(&bench.repository.home().admin_key().unwrap(), &structure).unwrap();
    let repository = Repository::open(bench.store.clone(), &home, bench.clock.clone()).unwrap();
    (directory, repository)
}

fn whatever_may_go() -> PruneOptions {
    PruneOptions {
        economy: Economy { gain_percent_min: 0.0, dead_percent_min: 0.1, repack_percent_max: 100.0 },
        skew_max: Duration::MAX,
        ..PruneOptions::default()
    }
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let refused = outcome.unwrap_err();
    assert!(matches!(&refused, Error::Damaged { object, .. } if object.starts_with("log/")), "{refused}");
    assert!(refused.to_string().contains("lacre repo repair"), "{refused}");
}

#[test]
fn without_its_intent_the_successors_are_kept_and_nothing_is_destroyed() {
    let bench = alone();
    let made = nights(&bench, 0..3);
    rewrite(&bench.repository, &bench.keys()).unwrap();
    assert_eq!(rotate(&bench.repository), RotationState::Closed);
    let live = in_state(&bench.repository, SnapshotState::Live);
    let intent = entry(&bench, |event| matches!(event, Event::PersonIntent(_)));
    let bytes = bench.store.get(&intent, 1 << 20).unwrap();
    bench.store.delete(&intent).unwrap();
    bench.clock.advance_hours(100);
    let (_directory, other) = fresh(&bench);
    assert_eq!(in_state(&other, SnapshotState::Pending), live, "kept, and not counted");
    let findings = other.snapshots().unwrap().findings;
    let about = |snapshot: &SnapshotId| {
        let object = format!("snap/{snapshot}");
        findings.iter().any(|finding| finding.object == object && finding.severity == Severity::Damage)
    };
    assert!(live.iter().all(about), "{findings:?}");
    assert_refused(other.prune(&whatever_may_go(), &Silent));
    assert_refused(other.rotate(&RotateOptions::default(), &ReadKeys::default()));
    assert!(other.view().unwrap().ledger.open_claims().next().is_none(), "nobody else is kept from changing the seal");
    // Whoever accepts the loss does not lose the successors with it.
    let accepted = PruneOptions { losses: Losses::Accept, ..whatever_may_go() };
    other.prune(&accepted, &Silent).unwrap();
    let _created = bench.store.put_new(&intent, bytes).unwrap();
    assert_without(&bench, &made);
    assert_eq!(rotate(&bench.repository), RotationState::Closed);
    bench.repository.prune(&whatever_may_go(), &Silent).unwrap();
    assert_without(&bench, &made);
    assert_sound(&bench);
}

#[test]
fn a_loss_that_is_put_on_record_stops_nobody_and_the_successors_travel_on() {
    let bench = alone();
    let made = nights(&bench, 0..2);
    rewrite(&bench.repository, &bench.keys()).unwrap();
    rotate(&bench.repository);
    let intent = entry(&bench, |event| matches!(event, Event::PersonIntent(_)));
    let bytes = bench.store.get(&intent, 1 << 20).unwrap();
    bench.store.delete(&intent).unwrap();
    bench.clock.advance_hours(100);
    let report = bench
        .reopen()
        .repair(&RepairOptions { from: None, add_parity: AddParity::No }, &bench.keys(), &Silent)
        .unwrap();
    assert!(report.recorded, "{report:?}");
    assert_eq!(rotate(&bench.reopen()), RotationState::Closed);
    bench.reopen().prune(&whatever_may_go(), &Silent).unwrap();
    let _created = bench.store.put_new(&intent, bytes).unwrap();
    assert_without(&bench, &made);
}

#[test]
fn a_hold_that_does_not_read_stops_whoever_would_destroy_what_it_held() {
    let bench = alone();
    let made = nights(&bench, 0..3);
    bench.repository.forget_one(made[0].0).unwrap();
    bench.repository.hold(made[0].0, "court").unwrap();
    let hold = entry(&bench, |event| matches!(event, Event::Hold(_)));
    let bytes = bench.store.get(&hold, 1 << 20).unwrap();
    let mut rotten = bytes.to_vec();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    bench.store.delete(&hold).unwrap();
    let _created = bench.store.put_new(&hold, rotten.into()).unwrap();
    let (_directory, other) = fresh(&bench);
    assert_refused(other.prune(&whatever_may_go(), &Silent));
    assert_refused(other.rotate(&RotateOptions::default(), &ReadKeys::default()));
    bench.store.delete(&hold).unwrap();
    let _created = bench.store.put_new(&hold, bytes).unwrap();
    other.prune(&whatever_may_go(), &Silent).unwrap();
    assert_eq!(rotate(&bench.repository), RotationState::Closed);
    for (snapshot, data) in &made {
        assert!(bench.read(*snapshot, "t") == *data);
    }
}

#[test]
fn a_log_that_ends_before_what_was_read_of_it_stops_a_collection_and_a_rotation() {
    let bench = alone();
    let made = nights(&bench, 0..2);
    bench.repository.forget_one(made[0].0).unwrap();
    bench.repository.hold(made[0].0, "court").unwrap();
    // A writer reads the log up to the hold before it dumps a database.
    let mut night = bench
        .repository
        .begin_backup(&JobName::parse("app").unwrap(), BackupOptions::default(), Arc::new(Silent))
        .unwrap();
    let spec = StreamSpec {
        name: "t".to_owned(),
        kind: StreamKind::Opaque,
        shape: Shape::Rows,
        dump_id: None,
        expected_bytes: None,
    };
    let mut stream = night.stream(spec).unwrap();
    std::io::Write::write_all(&mut stream, &table(2)).unwrap();
    stream.finish(Rows::default()).unwrap();
    night.commit(SourceFacts { kind: "postgres".to_owned(), ..SourceFacts::default() }).unwrap();
    let hold = entry(&bench, |event| matches!(event, Event::Hold(_)));
    let bytes = bench.store.get(&hold, 1 << 20).unwrap();
    bench.store.delete(&hold).unwrap();
    let (_directory, other) = fresh(&bench);
    assert_refused(other.prune(&whatever_may_go(), &Silent));
    assert_refused(other.rotate(&RotateOptions::default(), &ReadKeys::default()));
    let _created = bench.store.put_new(&hold, bytes).unwrap();
    other.prune(&whatever_may_go(), &Silent).unwrap();
    assert!(bench.read(made[0].0, "t") == made[0].1);
    // Lost for good and put on record, it stops nobody for ever, whoever else had read it.
    bench.store.delete(&hold).unwrap();
    let (_directory, other) = fresh(&bench);
    assert_refused(other.rotate(&RotateOptions::default(), &ReadKeys::default()));
    let options = RepairOptions { from: None, add_parity: AddParity::No };
    assert!(other.repair(&options, &bench.keys(), &Silent).unwrap().recorded);
    assert_eq!(rotate(&other), RotationState::Closed);
}
