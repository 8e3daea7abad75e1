//! Revoking a machine's key: what it acknowledged stays, whatever it signs afterwards is void, however it is dated.

use lacre_format::{
    ids::SnapshotId,
    log::{CheckRecord, Event, Revoking},
    object::Kind,
    policy::Role,
    root::Shape,
};
use lacre_repo::{
    Error, Kind as ErrorKind, Severity, Silent,
    op::{backup::BackupOptions, snapshots::SnapshotState},
};

use crate::{
    common::{Machine, about, admin, commit, enrol, id_of, open, put, stolen, view},
    joining::eager,
    support::{Bench, backup, rows},
};

fn nights(bench: &Bench, repository: &lacre_repo::Repository, count: u64) -> Vec<SnapshotId> {
    let night = |number| {
        bench.clock.advance_hours(24);
        backup(repository, "app", &[("t", Shape::Rows, &rows(200, number))], BackupOptions::default()).unwrap().snapshot
    };
    (0..count).map(night).collect()
}

#[test]
fn a_revoked_writers_past_stays_and_its_future_is_void() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = nights(&bench, &second, 3);
    let thief = stolen(&second);
    let revoked = bench.repository.revoke(thief.home).unwrap();
    assert_eq!((revoked.snapshots, revoked.label.as_str()), (3, "db2"));
    // It begins nothing any more.
    let refused = backup(&second, "app", &[("t", Shape::Rows, b"x\n")], BackupOptions::default()).unwrap_err();
    assert!(matches!(&refused, Error::Refused { why } if why.contains("was revoked")), "{refused}");
    // The key signs on: after its last snapshot, beside one of the past, and as its very first.
    let last = view(&bench.repository).snapshots[&made[2]].clone();
    let after = thief.snapshot_like(&bench, made[2], SnapshotId::new([0xa1; 16]), |header| {
        (header.seq, header.previous) = (3, Some(last.digest));
        header.taken.0 += 1_000;
    });
    let beside = thief.snapshot_like(&bench, made[2], SnapshotId::new([0xa2; 16]), |header| {
        (header.seq, header.previous) = (2, last.header.previous);
        header.taken.0 += 2_000;
    });
    let first = thief.snapshot_like(&bench, made[2], SnapshotId::new([0xa3; 16]), |_| {});
    let listed = bench.repository.snapshots().unwrap();
    let live: Vec<SnapshotId> =
        listed.rows.iter().filter(|row| row.state == SnapshotState::Live).map(|row| row.snapshot).collect();
    assert_eq!(live, made);
    for name in [after, beside, first] {
        let found: Vec<_> = listed.findings.iter().filter(|finding| finding.object == name.as_str()).collect();
        assert!(matches!(found.as_slice(), [one] if one.severity == Severity::Warning), "{name}: {found:?}");
        assert!(found[0].what.contains("revoked"), "{found:?}");
    }
    assert!(listed.findings.iter().all(|finding| finding.severity < Severity::Damage), "{:?}", listed.findings);
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    assert_eq!(bench.repository.resolve("latest", &now).unwrap(), made[2]);
    for (snapshot, number) in made.iter().zip(0..) {
        assert_eq!(bench.read(*snapshot, "t"), rows(200, number));
    }
}

#[test]
fn an_intent_alone_ends_a_running_backup_and_the_policy_does_too() {
    for pinned in [false, true] {
        let bench = Bench::new();
        let second = enrol(&bench, "db2", Role::Writer);
        let before = nights(&bench, &second, 1);
        let running = open(&second, &rows(200, 9));
        if pinned {
            bench.repository.revoke(id_of(&second)).unwrap();
        } else {
            admin(&bench).say(&bench, &Event::Revoking(Revoking { home: id_of(&second) }));
        }
        let ended = commit(running).unwrap_err();
        assert_eq!(ended.kind(), ErrorKind::Conflict, "exit 11: {ended}");
        assert!(ended.to_string().contains("revoked"), "{ended}");
        let live: Vec<SnapshotId> = view(&bench.repository).snapshots.into_keys().collect();
        assert_eq!(live, before, "nothing of it counts");
    }
}

#[test]
fn what_was_acknowledged_between_the_intent_and_the_pins_stays() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    // The machine that has not heard of the intent yet: its snapshot is stored before the heads are read.
    let acknowledged = nights(&bench, &second, 2);
    admin(&bench).say(&bench, &Event::Revoking(Revoking { home: id_of(&second) }));
    let thief = stolen(&second);
    let last = view(&bench.repository).snapshots[&acknowledged[1]].clone();
    let between = SnapshotId::new([0xb1; 16]);
    thief.snapshot_like(&bench, acknowledged[1], between, |header| {
        (header.seq, header.previous) = (2, Some(last.digest));
    });
    let revoked = bench.repository.revoke(thief.home).unwrap();
    assert_eq!(revoked.snapshots, 3, "a second intent is not needed");
    let view = view(&bench.repository);
    assert!(view.snapshots.contains_key(&between));
    let intents = bench.files(&format!("log/{}", admin(&bench).home)).len();
    bench.repository.revoke(thief.home).unwrap();
    assert_eq!(bench.files(&format!("log/{}", admin(&bench).home)).len(), intents, "revoked once, revoked for good");
}

#[test]
fn a_clone_with_one_key_is_pinned_with_both_its_heads() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let common = nights(&bench, &second, 1);
    let thief = stolen(&second);
    let first = view(&bench.repository).snapshots[&common[0]].clone();
    let twins = [0xc1, 0xc2].map(|number| SnapshotId::new([number; 16]));
    for twin in twins {
        thief.snapshot_like(&bench, common[0], twin, |header| {
            (header.seq, header.previous) = (1, Some(first.digest));
            header.taken.0 += i64::from(twin.as_bytes()[0]);
        });
    }
    let what = "two snapshots have number 1: one signing key is used on two machines";
    assert!(view(&bench.repository).findings.iter().any(|finding| finding.what == what));
    bench.repository.revoke(thief.home).unwrap();
    thief.snapshot_like(&bench, common[0], SnapshotId::new([0xc3; 16]), |header| {
        (header.seq, header.previous) = (1, Some(first.digest));
        header.taken.0 += 500;
    });
    let counted: Vec<SnapshotId> = view(&bench.repository).snapshots.into_keys().collect();
    let mut expected = vec![common[0], twins[0], twins[1]];
    expected.sort_unstable();
    assert_eq!(counted, expected);
}

#[test]
fn a_chain_is_followed_across_what_was_reclaimed_before_and_after() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = nights(&bench, &second, 5);
    let prune = || bench.repository.prune(&eager(), &Silent).unwrap().snapshots;
    bench.repository.forget_one(made[1]).unwrap();
    assert_eq!(prune(), 1);
    bench.repository.revoke(id_of(&second)).unwrap();
    let counted = || view(&bench.repository).snapshots.into_keys().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(counted(), [made[0], made[2], made[3], made[4]].into());
    bench.repository.forget_one(made[3]).unwrap();
    assert_eq!(prune(), 1);
    assert_eq!(counted(), [made[0], made[2], made[4]].into());
    assert!(view(&bench.repository).findings.iter().all(|finding| finding.severity < Severity::Damage));
}

#[test]
fn a_revoked_maintenance_homes_checks_and_voids_count_as_far_as_they_were_pinned() {
    let bench = Bench::new();
    let made = nights(&bench, &bench.repository, 2);
    let keeper = Machine::new(7);
    crate::common::publish(&bench, &admin(&bench), |policy| policy.homes.push(keeper.entry(Role::Maintenance)));
    let check = |snapshot| {
        Event::Check(CheckRecord { level: 4, snapshots: vec![snapshot], packs: 0, bytes_read: 0, findings: 0 })
    };
    keeper.say(&bench, &check(made[0]));
    let gone = SnapshotId::new([0xd1; 16]);
    let void = |snapshot| lacre_format::session::Void {
        repository: bench.repository.id(),
        snapshot,
        at: lacre_format::ids::Millis(0),
        stage: lacre_format::session::VoidStage::Final,
    };
    let voided = |snapshot| {
        let object = keeper.sign(&bench, Kind::Void, lacre_format::codec::to_cbor(&void(snapshot)));
        put(&bench, &lacre_format::name::Named::Void(snapshot), object)
    };
    voided(gone);
    let before = view(&bench.repository).heads.iter().find(|head| head.home == keeper.home).copied().unwrap();
    bench.repository.revoke(keeper.home).unwrap();
    // Afterwards: a check of another snapshot, one beside the pinned entry, and a void of a live snapshot.
    keeper.say_after(&bench, &check(made[1]), Some((before.seq, before.digest)));
    keeper.say_after(&bench, &check(made[1]), None);
    let refused = voided(made[1]);
    let view = view(&bench.repository);
    assert_eq!(view.verified.iter().copied().collect::<Vec<_>>(), [made[0]]);
    assert!(view.voided.contains(&gone) && !view.voided.contains(&made[1]));
    assert!(view.is_live(made[1]));
    let found = about(&view, refused.as_str());
    assert!(matches!(found.as_slice(), [one] if one.what.contains("not pinned")), "{found:?}");
}

#[test]
fn a_revoked_key_holds_up_no_collection() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = nights(&bench, &second, 2);
    let kept = nights(&bench, &bench.repository, 1);
    // A session that never ends, and one that claims to have committed what is not there.
    let running = open(&second, &rows(200, 9));
    let thief = stolen(&second);
    bench.repository.revoke(thief.home).unwrap();
    let ghost = SnapshotId::new([0xe1; 16]);
    let session = lacre_format::session::Session {
        repository: bench.repository.id(),
        snapshot: ghost,
        home: thief.home,
        opened: lacre_format::ids::Millis(0),
        base: Some(SnapshotId::new([0xe2; 16])),
        token: lacre_format::ids::Token::new([1; 16]),
        job_salt: lacre_format::ids::Salt::new([1; 16]),
        job: vec![0; 20],
    };
    let end = lacre_format::session::SessionEnd {
        repository: bench.repository.id(),
        snapshot: ghost,
        home: thief.home,
        ended: lacre_format::ids::Millis(0),
        outcome: lacre_format::session::Outcome::Committed,
    };
    let opened = thief.sign(&bench, Kind::Session, lacre_format::codec::to_cbor(&session));
    put(&bench, &lacre_format::name::Named::Session(ghost), opened);
    let ended = thief.sign(&bench, Kind::SessionEnd, lacre_format::codec::to_cbor(&end));
    put(&bench, &lacre_format::name::Named::SessionEnd(ghost), ended);
    bench.repository.forget_one(made[0]).unwrap();
    let report = bench.repository.prune(&eager(), &Silent).unwrap();
    assert_eq!((report.snapshots, report.waiting.len()), (1, 0), "{report:?}");
    drop(running);
    assert_eq!(bench.read(kept[0], "t"), rows(200, 0));
    assert!(view(&bench.repository).is_live(made[1]));
}

#[test]
fn the_first_admin_key_and_ones_own_are_not_revoked() {
    let bench = Bench::new();
    let second = enrol(&bench, "admin2", Role::Admin);
    let own = second.home().admin_key().unwrap().home;
    for (repository, home) in [(&bench.repository, admin(&bench).home), (&second, own), (&second, admin(&bench).home)] {
        let refused = repository.revoke(home).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
    }
    let unknown = bench.repository.revoke(lacre_format::ids::HomeId::new([0; 16])).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Usage);
    let made = nights(&bench, &bench.repository, 1)[0];
    bench.repository.revoke(own).unwrap();
    let refused = second.hold(made, "x").unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { why } if why.contains("revoked")),
        "no hold that nobody believes: {refused}"
    );
    assert!(view(&bench.repository).held.is_empty());
}
