//! Objects that are no object of ours: somebody who may PUT puts one, longer than any, under a name that is looked at. It stops nobody.

use std::{collections::BTreeSet, time::Duration};

use lacre_format::{
    gc::GC_BYTES_MAX,
    header::SNAPSHOT_BYTES_MAX,
    ids::{Digest, GenerationId, PlanId, SnapshotId, Token},
    keyring::KEY_ENTRY_BYTES_MAX,
    name::{Named, ObjectName},
    policy::{POLICY_BYTES_MAX, Role},
    root::Shape,
    segment::SEGMENT_BYTES_MAX,
    session::SESSION_BYTES_MAX,
};
use lacre_repo::{
    Finding, Silent,
    op::{
        backup::BackupOptions,
        erase::{EraseReason, ErasureState, LastVerified},
        init::{CreateOptions, KitChoice},
        keys::ReadKeys,
        prune::PruneOptions,
        rotate::{RotateOptions, RotationState},
    },
    store::Store,
};

use crate::{
    common::{enrol, id_of, open, view},
    joining::eager,
    support::{Bench, backup, rows},
};

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::create_local(&directory.path().join("repository")).unwrap();
    Bench::with_options(directory, store, CreateOptions { kit: KitChoice::None, ..Bench::options() })
}

/// Puts an object of one byte more than any of its kind has; it takes no room on the disk.
fn oversized(bench: &Bench, named: &Named, bytes_max: u64) -> String {
    let name = ObjectName::of(named);
    let path = bench.directory.path().join("repository").join(name.as_str());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create_new(path).unwrap();
    file.set_len(bytes_max + 1).unwrap();
    name.as_str().to_owned()
}

fn everywhere(bench: &Bench, tip: GenerationId, made: &[SnapshotId], dead: &[SnapshotId]) -> BTreeSet<String> {
    let sid = |number: u8| SnapshotId::new([number; 16]);
    let plan = |number: u8| PlanId::new([number; 16]);
    let mut objects = vec![
        (Named::Void(sid(1)), SESSION_BYTES_MAX),
        (Named::VoidIntent(sid(2)), SESSION_BYTES_MAX),
        (Named::GcPlan(plan(3)), GC_BYTES_MAX),
        (Named::GcClaim(plan(4)), GC_BYTES_MAX),
        (Named::Segment(Digest::new([5; 32])), SEGMENT_BYTES_MAX),
        (Named::KeyEntry(tip, made[1], Token::new([6; 16])), KEY_ENTRY_BYTES_MAX),
        (Named::KeyEntry(tip, sid(7), Token::new([7; 16])), KEY_ENTRY_BYTES_MAX),
        (Named::Session(sid(7)), SESSION_BYTES_MAX),
        (Named::SessionEnd(dead[0]), SESSION_BYTES_MAX),
        (Named::Snapshot(sid(8)), SNAPSHOT_BYTES_MAX),
        (Named::Policy(99, Digest::new([9; 32])), POLICY_BYTES_MAX),
    ];
    objects.extend(dead.iter().map(|dead| (Named::Snapshot(*dead), SNAPSHOT_BYTES_MAX)));
    objects.into_iter().map(|(named, bytes_max)| oversized(bench, &named, bytes_max)).collect()
}

#[test]
fn one_object_that_is_too_large_stops_neither_a_revocation_nor_an_erasure_nor_a_collection() {
    let bench = bench();
    let night = |number| {
        bench.clock.advance_hours(24);
        backup(&bench.repository, "app", &[("t", Shape::Rows, &rows(300, number))], BackupOptions::default())
            .unwrap()
            .snapshot
    };
    let made: Vec<SnapshotId> = (0..3).map(night).collect();
    let (thief, asleep) = (enrol(&bench, "db2", Role::Writer), enrol(&bench, "db3", Role::Writer));
    let running = [open(&thief, &rows(200, 9)), open(&asleep, &rows(200, 8))];
    let dead: Vec<SnapshotId> = running.iter().map(|run| run.snapshot()).collect();
    let mut placed = everywhere(&bench, view(&bench.repository).policy.generation, &made, &dead);

    let revoked = bench.repository.revoke(id_of(&thief)).unwrap();
    assert!(view(&bench.repository).home(revoked.home).unwrap().is_revoked());
    let mut findings: Vec<Finding> = revoked.findings;

    let plan = bench.repository.plan_erase(&made[..1], LastVerified::Keep).unwrap();
    bench.repository.intend_erase(&plan, &EraseReason::default()).unwrap();
    let rotate = || bench.repository.rotate(&RotateOptions::default(), &ReadKeys::default()).unwrap();
    let rotated = rotate();
    assert_eq!((rotated.state, rotated.dropped), (RotationState::Closed, vec![made[0]]));
    findings.extend(rotated.findings);
    placed.insert(oversized(&bench, &Named::KeyEntry(rotated.to, made[2], Token::new([6; 16])), KEY_ENTRY_BYTES_MAX));
    placed.insert(oversized(&bench, &Named::KeyEntry(rotated.to, made[0], Token::new([6; 16])), KEY_ENTRY_BYTES_MAX));
    let status = bench.repository.erasures().unwrap().pop().unwrap();
    assert_eq!(status.state, ErasureState::Interim);
    assert!(status.pending.iter().all(|item| !item.item.starts_with("entry:")), "{status:?}");
    let again = rotate();
    assert_eq!(again.state, RotationState::Closed);
    findings.extend(again.findings);

    bench.repository.forget_one(made[1]).unwrap();
    bench.clock.set_ahead_hours(24 * 400);
    let options = PruneOptions { void_after: Duration::ZERO, ..eager() };
    let pruned = bench.repository.prune(&options, &Silent).unwrap();
    assert_eq!((pruned.waiting.len(), pruned.snapshots), (0, 1), "{pruned:?}");
    findings.extend(pruned.findings);
    assert!(dead.iter().all(|dead| view(&bench.repository).voided.contains(dead)), "both are over");

    let named: BTreeSet<String> = findings.iter().map(|finding| finding.object.clone()).collect();
    let silent: Vec<&String> = placed.difference(&named).collect();
    assert!(silent.is_empty(), "nothing is swallowed: {silent:?}");
    assert_eq!(bench.read(made[2], "t"), rows(300, 2));
    drop(running);
}
