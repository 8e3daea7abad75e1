//! Delegated retention: what a machine without the admin key may forget, as every reader judges it.

use jiff::{Timestamp, tz::TimeZone};
use lacre_format::{
    ids::{HomeId, JobName, Millis, SnapshotId},
    log::{CheckRecord, Event, Named},
    policy::{KeepRules, Retention, Role},
    root::Shape,
};
use lacre_repo::{Error, Kind as ErrorKind, Repository, op::backup::BackupOptions, retention::Rules};

use crate::{
    common::{Machine, about, admin, enrol, id_of, publish, stolen, view},
    support::{Bench, backup, rows},
};

fn keep(daily: u32, verified_min: u32) -> Retention {
    let rules = vec![KeepRules { daily, verified_min, ..KeepRules::default() }];
    Retention { zone: "UTC".to_owned(), rules }
}

/// One snapshot a day.
fn days(bench: &Bench, repository: &Repository, job: &str, count: u64) -> Vec<SnapshotId> {
    let day = |number| {
        bench.clock.advance_hours(24);
        backup(repository, job, &[("t", Shape::Rows, &rows(50, number))], BackupOptions::default()).unwrap().snapshot
    };
    (0..count).map(day).collect()
}

fn forget(bench: &Bench, repository: &Repository, rules: &Rules) -> Result<Vec<SnapshotId>, Error> {
    let now = Timestamp::from_millisecond(bench.now()).unwrap().to_zoned(TimeZone::UTC);
    let plan = repository.plan_forget(&|_| rules.clone(), None, &now)?;
    repository.forget(&plan)?;
    Ok(plan.forgotten)
}

fn live(repository: &Repository) -> Vec<SnapshotId> {
    let view = view(repository);
    let mut live: Vec<_> = view.snapshots.values().filter(|known| view.is_live(known.header.snapshot)).collect();
    live.sort_by_key(|known| known.header.taken);
    live.iter().map(|known| known.header.snapshot).collect()
}

fn named(snapshots: &[SnapshotId]) -> Event {
    Event::Forget(Named { snapshots: snapshots.to_vec(), reason: "retention".to_owned() })
}

#[test]
fn a_writer_forgets_what_it_made_within_the_rules_and_everybody_believes_it() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 6);
    let without = forget(&bench, &second, &Rules { daily: 2, ..Rules::default() }).unwrap_err();
    assert_eq!(without.kind(), ErrorKind::NoKey, "nothing is delegated: {without}");
    bench.repository.delegate(Some(&keep(3, 0))).unwrap();
    // Without rules of its own the machine follows the policy's, with stricter ones it keeps more, never less.
    let stricter = forget(&bench, &second, &Rules { daily: 5, ..Rules::default() }).unwrap();
    assert_eq!(stricter, made[..1]);
    let looser = forget(&bench, &second, &Rules { last: 1, ..Rules::default() }).unwrap();
    assert_eq!(looser.iter().copied().collect::<std::collections::BTreeSet<_>>(), made[1..3].iter().copied().collect());
    assert_eq!(forget(&bench, &second, &Rules::default()).unwrap(), []);
    for reader in [&bench.repository, &second] {
        assert_eq!(live(reader), made[3..]);
    }
    assert_eq!(view(&bench.repository).findings, []);
}

#[test]
fn what_a_rule_keeps_stays_whoever_signs() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 6);
    bench.repository.delegate(Some(&keep(3, 0))).unwrap();
    let thief = stolen(&second);
    let name = thief.say(&bench, &named(&made));
    let view = view(&bench.repository);
    assert_eq!(live(&bench.repository), made[3..], "three are beyond the rules, three are not");
    let object: String = name.as_str().chars().take("log/".len() + 32 + 1 + 8).collect();
    let found = about(&view, &object);
    assert!(matches!(found.as_slice(), [one] if one.what.contains("forgets 3 snapshots")), "{found:?}");
    // Dated far ahead, the same entry takes no more: the store's clock bounds what it may claim.
    bench.clock.advance_hours(24 * 365);
    thief.say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), made[3..]);
}

#[test]
fn nobody_forgets_what_another_made_and_nobody_displaces_it() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let own = days(&bench, &bench.repository, "app", 4);
    let theirs = days(&bench, &second, "app", 4);
    bench.repository.delegate(Some(&keep(2, 0))).unwrap();
    stolen(&second).say(&bench, &named(&own));
    assert_eq!(live(&bench.repository).len(), 8, "another writer's snapshots are not its to forget");
    let gone = forget(&bench, &second, &Rules::default()).unwrap();
    assert_eq!(gone.len(), 2);
    assert!(gone.iter().all(|snapshot| theirs.contains(snapshot)));
    // Maintenance forgets of all, writer by writer: the newer ones of db2 did not push these out.
    let keeper = enrol(&bench, "keeper", Role::Maintenance);
    let gone = forget(&bench, &keeper, &Rules::default()).unwrap();
    assert_eq!(gone.iter().copied().collect::<std::collections::BTreeSet<_>>(), own[..2].iter().copied().collect());
    let mut kept = [&own[2..], &theirs[2..]].concat();
    kept.sort_by_key(|snapshot| view(&bench.repository).snapshots[snapshot].header.taken);
    assert_eq!(live(&bench.repository), kept);
}

#[test]
fn a_retired_writers_snapshots_grow_old_beside_those_of_its_successor() {
    let bench = Bench::new();
    let old = enrol(&bench, "old", Role::Writer);
    let before = days(&bench, &old, "app", 3);
    bench.repository.revoke(id_of(&old)).unwrap();
    let new = enrol(&bench, "new", Role::Writer);
    let after = days(&bench, &new, "app", 2);
    bench.repository.delegate(Some(&keep(3, 0))).unwrap();
    let keeper = enrol(&bench, "keeper", Role::Maintenance);
    let gone = forget(&bench, &keeper, &Rules::default()).unwrap();
    assert_eq!(gone.iter().copied().collect::<std::collections::BTreeSet<_>>(), before[..2].iter().copied().collect());
    assert_eq!(live(&bench.repository), [before[2], after[0], after[1]]);
}

#[test]
fn the_last_verified_ones_stay_and_only_another_home_verifies() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 5);
    publish(&bench, &admin(&bench), |policy| policy.min_verified = 0);
    bench.repository.delegate(Some(&keep(1, 2))).unwrap();
    let check = |snapshots: &[SnapshotId]| {
        let snapshots = snapshots.to_vec();
        Event::Check(CheckRecord { level: 4, snapshots, packs: 0, bytes_read: 0, findings: 0 })
    };
    // Its maker's word verifies nothing; the admin's does.
    stolen(&second).say(&bench, &check(&made));
    admin(&bench).say(&bench, &check(&made[..3]));
    // Of two entries of one moment nobody can say which was first.
    bench.clock.advance_hours(1);
    stolen(&second).say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), [made[1], made[2], made[4]]);
    // The policy's own number is a floor under the rules'.
    publish(&bench, &admin(&bench), |policy| policy.min_verified = 3);
    bench.repository.unforget(made[0]).unwrap();
    bench.clock.advance_hours(1);
    stolen(&second).say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), [made[0], made[1], made[2], made[4]]);
}

#[test]
fn the_last_verified_ones_stay_whatever_date_a_forget_bears() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 5);
    publish(&bench, &admin(&bench), |policy| policy.min_verified = 0);
    bench.repository.delegate(Some(&keep(1, 2))).unwrap();
    bench.clock.advance_hours(1);
    let (thief, before) = (stolen(&second), Millis(bench.now() - 1));
    let record = CheckRecord { level: 4, snapshots: made[..3].to_vec(), packs: 0, bytes_read: 0, findings: 0 };
    admin(&bench).say(&bench, &Event::Check(record));
    // Dated just before the check, under the first number: when it would have stood, nothing was verified.
    thief.say_at(&bench, &named(&made), None, before);
    assert_eq!(live(&bench.repository), [made[1], made[2], made[4]]);
    // With later entries in the log, under a number that is taken.
    thief.say(&bench, &named(&made));
    thief.say_at(&bench, &named(&made), None, Millis(before.0 - 1));
    assert_eq!(live(&bench.repository), [made[1], made[2], made[4]]);
    // Nor does it help to be earlier than an admin who takes a verified one away: two others stay.
    bench.clock.advance_hours(1);
    bench.repository.unforget(made[0]).unwrap();
    admin(&bench).say(&bench, &named(&made[2..3]));
    thief.say_at(&bench, &named(&made), None, Millis(before.0 - 2));
    assert_eq!(live(&bench.repository), [made[0], made[1], made[4]]);
}

#[test]
fn what_an_admin_took_back_or_held_stays_whatever_was_wished_before() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 4);
    bench.repository.delegate(Some(&keep(1, 0))).unwrap();
    bench.repository.hold(made[1], "audit").unwrap();
    bench.clock.advance_hours(1);
    stolen(&second).say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), [made[1], made[3]]);
    bench.clock.advance_hours(1);
    bench.repository.unforget(made[0]).unwrap();
    bench.repository.release(made[1]).unwrap();
    assert_eq!(live(&bench.repository), [made[0], made[1], made[3]]);
    bench.clock.advance_hours(1);
    stolen(&second).say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), [made[3]], "wished again, both go");
}

#[test]
fn rules_are_per_job_and_a_hold_outranks_them() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let app = days(&bench, &second, "app", 3);
    let wal = days(&bench, &second, "wal", 3);
    let rules = vec![KeepRules { job: Some(JobName::parse("wal").unwrap()), last: 1, ..KeepRules::default() }];
    bench.repository.delegate(Some(&Retention { zone: "UTC".to_owned(), rules })).unwrap();
    bench.repository.hold(wal[0], "audit").unwrap();
    stolen(&second).say(&bench, &named(&[app.clone(), wal.clone()].concat()));
    let mut kept = [&app[..], &wal[..1], &wal[2..]].concat();
    kept.sort_by_key(|snapshot| view(&bench.repository).snapshots[snapshot].header.taken);
    assert_eq!(live(&bench.repository), kept, "nothing is delegated for app");
}

#[test]
fn rules_are_sealed_and_without_the_structure_key_nothing_is_believed() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "payroll-of-acme", 4);
    let job = JobName::parse("payroll-of-acme").unwrap();
    let rules = vec![KeepRules { job: Some(job), last: 1, ..KeepRules::default() }];
    bench.repository.delegate(Some(&Retention { zone: "UTC".to_owned(), rules })).unwrap();
    for path in bench.files("") {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"payroll"), "{}", path.display());
    }
    assert_eq!(forget(&bench, &second, &Rules::default()).unwrap().len(), 3);
    // A machine with no key at all cannot judge, so for it all are there; one with the key knows better.
    let blank = crate::common::host(&bench, "blank");
    let reader = Repository::open(bench.store.clone(), &blank, bench.clock.clone()).unwrap();
    assert_eq!(live(&reader).len(), made.len());
    assert!(view(&reader).findings.iter().any(|finding| finding.what.contains("structure key")));
    assert_eq!(live(&bench.repository), made[3..]);
}

#[test]
fn rules_taken_back_bind_from_then_on_and_an_unknown_home_never_may() {
    let bench = Bench::new();
    let second = enrol(&bench, "db2", Role::Writer);
    let made = days(&bench, &second, "app", 4);
    let stranger = Machine { home: HomeId::new([9; 16]), key: Machine::new(9).key };
    bench.repository.delegate(Some(&keep(1, 0))).unwrap();
    stranger.say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), made);
    bench.repository.delegate(None).unwrap();
    stolen(&second).say(&bench, &named(&made));
    assert_eq!(live(&bench.repository), made);
    let refused = forget(&bench, &second, &Rules { last: 1, ..Rules::default() }).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoKey);
}
