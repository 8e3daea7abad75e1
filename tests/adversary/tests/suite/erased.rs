//! Histories of erasures, and the adversary after each of them.

use std::sync::Arc;

use lacre_adversary::Siege;
use lacre_format::{
    ids::{JobName, Millis},
    root::{Shape, StreamKind},
};
use lacre_repo::{
    Error, Repository, Silent,
    home::Home,
    op::{
        backup::{BackupOptions, Rows, SourceFacts, StreamSpec},
        erase::ErasureState,
        init::KitChoice,
        keys::ReadKeys,
        rotate::{RotateOptions, RotationState},
    },
    store::{
        fault::FaultPlan,
        schedule::{Schedule, Stand},
    },
};

use crate::scene::{Scene, table};

fn job() -> JobName {
    JobName::parse("app").unwrap()
}

#[test]
fn before_an_erasure_the_adversary_reads_everything_from_the_document_alone() {
    let (scene, made) = Scene::after(3);
    let loot = scene.loot();
    let spoils = Siege::of(&loot);
    assert_eq!(spoils.roots.len(), 3);
    for snapshot in &made {
        assert_eq!(spoils.streams(*snapshot).unwrap()["t"], scene.nights[snapshot]);
    }
    // Also what a rotation has carried.
    scene.rotate();
    let spoils = Siege::of(&scene.loot());
    assert_eq!(spoils.roots.len(), 3);
    let (objects, files) = scene.record.counts();
    assert!(objects > 25 && files > 25, "{objects} objects, {files} versions of files were recorded");
    scene.assert_no_residue(&spoils, &spoils, "live");
}

#[test]
fn one_erased_snapshot_is_dead_and_the_rest_is_whole() {
    let (mut scene, made) = Scene::after(4);
    let before = Siege::of(&scene.loot());
    let erasure = scene.erase(&made[1..2]);
    scene.assert_dead(&before, &made[1..2], "right after");
    // Interim until the writer has run again; then complete, and still dead.
    assert_eq!(scene.status(erasure).state, ErasureState::Interim);
    scene.night();
    assert_eq!(scene.status(erasure).state, ErasureState::Complete);
    scene.assert_dead(&before, &made[1..2], "a night later");
}

#[test]
fn all_snapshots_of_a_job_before_a_day_are_dead() {
    let (mut scene, made) = Scene::after(5);
    let before = Siege::of(&scene.loot());
    let rows = scene.repository().snapshots().unwrap().rows;
    let day = rows.iter().find(|row| row.snapshot == made[3]).unwrap().taken;
    let old = scene.repository().taken_before(&job(), Millis(day.0)).unwrap();
    assert_eq!(old.len(), 3);
    scene.erase(&old);
    scene.assert_dead(&before, &made[..3], "right after");
    scene.night();
    scene.assert_dead(&before, &made[..3], "a night later");
}

#[test]
fn forgotten_snapshots_are_dead_after_the_next_rotation_and_not_before() {
    let (scene, made) = Scene::after(3);
    let before = Siege::of(&scene.loot());
    scene.repository().forget_one(made[0]).unwrap();
    let forgotten = Siege::of(&scene.loot());
    assert_eq!(forgotten.streams(made[0]).unwrap()["t"], scene.nights[&made[0]], "forgetting alone erases nothing");
    scene.rotate();
    scene.assert_dead(&before, &made[..1], "rotated");
}

#[test]
fn two_erasures_in_a_row_leave_nothing_of_either() {
    let (mut scene, made) = Scene::after(4);
    let before = Siege::of(&scene.loot());
    scene.erase(&made[2..3]);
    let last = scene.night();
    scene.erase(&made[..1]);
    let dead = [made[0], made[2]];
    scene.assert_dead(&before, &dead, "after two");
    scene.night();
    scene.assert_dead(&before, &dead, "a night later");
    assert!(scene.nights.contains_key(&last));
}

#[test]
fn everything_erased_leaves_nothing_at_all() {
    let (mut scene, made) = Scene::after(2);
    let before = Siege::of(&scene.loot());
    scene.erase(&made);
    scene.assert_dead(&before, &made, "all");
    let after = Siege::of(&scene.loot());
    assert!(after.frames.is_empty() && after.snapshot_keys.is_empty());
    scene.night();
    scene.assert_dead(&before, &made, "a night later");
}

/// A run that is suspended after some requests while an erasure runs to its end: after every third from the first on, so that three tests
/// share all of them.
fn a_writer_sleeps_after(first: u64) {
    for requests in (first..).step_by(3) {
        let (mut scene, made) = Scene::after(3);
        let before = Siege::of(&scene.loot());
        let schedule = Arc::new(Schedule::after(requests));
        let data = table(77);
        let outcome = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let home = Home::open(&scene.bench.directory.path().join("home")).unwrap();
                let store = scene.bench.store.with_schedule(Arc::clone(&schedule));
                let outcome = Repository::open(store, &home, scene.bench.clock.clone())
                    .and_then(|repository| back_up(&repository, &data));
                schedule.end();
                outcome
            });
            let slept = schedule.stand() != Stand::Ended;
            scene.erase(&made[1..2]);
            schedule.release();
            let outcome = writer.join().unwrap();
            slept.then_some(outcome)
        });
        let context = format!("asleep after {requests} requests");
        let Some(outcome) = outcome else {
            assert!(requests > 12, "a run makes {requests} requests");
            return;
        };
        scene.nights.insert(outcome.unwrap(), data);
        scene.assert_dead(&before, &made[1..2], &context);
        scene.night();
        scene.assert_dead(&before, &made[1..2], &context);
    }
}

#[test]
fn an_erasure_while_a_writer_sleeps_is_as_good_as_any() {
    a_writer_sleeps_after(0);
}

#[test]
fn an_erasure_while_a_writer_sleeps_a_request_later_is_as_good_as_any() {
    a_writer_sleeps_after(1);
}

#[test]
fn an_erasure_while_a_writer_sleeps_two_requests_later_is_as_good_as_any() {
    a_writer_sleeps_after(2);
}

fn back_up(repository: &Repository, data: &[u8]) -> Result<lacre_format::ids::SnapshotId, Error> {
    let mut backup = repository.begin_backup(&job(), BackupOptions::default(), Arc::new(Silent))?;
    let (name, shape) = ("t".to_owned(), Shape::Rows);
    let spec = StreamSpec { name, kind: StreamKind::Opaque, shape, dump_id: None, expected_bytes: None };
    let mut stream = backup.stream(spec)?;
    stream.push(data).ok();
    stream.finish(Rows::default()).ok();
    backup.commit(SourceFacts { kind: "command".to_owned(), ..SourceFacts::default() }).map(|report| report.snapshot)
}

#[test]
fn an_erasure_that_died_anywhere_and_was_resumed_is_as_good_as_any() {
    for nth in [1, 9, 17, 25, 33, 41, 49, 57] {
        let (scene, made) = Scene::after(3);
        let before = Siege::of(&scene.loot());
        scene.intend(&made[1..2]);
        let faulty = scene.bench.store.with_faults(FaultPlan::crash_after(nth));
        let died = Home::open(&scene.bench.directory.path().join("home"))
            .and_then(|home| Repository::open(faulty, &home, scene.bench.clock.clone()))
            .and_then(|repository| repository.rotate(&RotateOptions::default(), &ReadKeys::default()));
        let again = scene.rotate();
        assert_eq!(again.state, RotationState::Closed, "{nth}: {died:?}");
        scene.assert_dead(&before, &made[1..2], &format!("died after request {nth}"));
    }
}

#[test]
fn a_kit_of_the_new_seal_and_a_second_holder_change_nothing() {
    let mut scene = Scene::new(KitChoice::Print);
    let made = [scene.night(), scene.night(), scene.night()];
    let before = Siege::of(&scene.loot());
    scene.intend(&made[..1]);
    assert!(matches!(scene.rotate().state, RotationState::Pending(_)), "one holder is not enough");
    let kit = scene.repository().issue_kit(None).unwrap();
    scene.repository().acknowledge_kit(2, lacre_repo::op::seal::Sheet::Seal, kit.checksum()).unwrap();
    assert_eq!(scene.rotate().state, RotationState::Closed);
    scene.assert_dead(&before, &made[..1], "two holders");
}
