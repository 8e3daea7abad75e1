//! How a copy stands: whose it is, and whether it or the repository lacks something.

use bytes::Bytes;
use lacre_format::{name::ObjectName, root::Shape};
use lacre_repo::{
    Repository, Silent,
    home::Home,
    op::copy::{AheadOf, CopyState, Lost, SyncOptions},
    store::Store,
};

use crate::{
    common::{assert_whole, bench, names, night, nights, opened, place, sync},
    support::rows,
};

#[test]
fn another_repository_is_left_alone() {
    let (ours, theirs) = (bench(), bench());
    nights(&ours, 1);
    let before = names(&theirs.store, "");
    let report = sync(&ours.repository, &theirs.store);
    assert_eq!((report.status.state, report.objects_sent), (CopyState::Foreign, 0));
    assert!(report.status.findings[0].what.contains("another repository"));
    assert_eq!(names(&theirs.store, ""), before);
}

#[test]
fn a_place_with_other_things_in_it_is_left_alone() {
    let bench = bench();
    let copy = Store::memory();
    let holiday = ObjectName::from_path("holiday/beach.jpg").unwrap();
    assert!(copy.put_new(&holiday, Bytes::from_static(b"sand")).is_ok());
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Foreign);
    assert_eq!(names(&copy, ""), ["holiday/beach.jpg"]);
}

#[test]
fn an_empty_place_where_a_copy_was_is_not_filled_unasked() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 1);
    sync(&bench.repository, &copy);
    let other = Store::memory();
    let report = sync(&bench.repository, &other);
    assert_eq!((report.status.state, report.objects_sent), (CopyState::Missing, 0), "its disk may not be mounted");
    let options = SyncOptions { lost: Lost::BeginAnew, ..SyncOptions::default() };
    let report = bench.repository.sync_copies(&[place(&other)], options, &Silent).unwrap().remove(0);
    assert_eq!(report.status.state, CopyState::Current);
    assert_eq!(assert_whole(&bench, &opened(&bench, &other), &made, "anew"), 1);
}

#[test]
fn a_copy_that_is_ahead_is_named_and_added_to_only_when_asked() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    sync(&bench.repository, &copy);
    // Somebody backs up into the copy as if it were the repository.
    let direct = bench.reopen_over(copy.clone());
    let data = rows(700, 3);
    let only_there =
        crate::support::backup(&direct, "app", &[("t", Shape::Rows, &data)], Default::default()).unwrap().snapshot;
    let report = sync(&bench.repository, &copy);
    assert_eq!((report.status.state, report.objects_sent), (CopyState::Ahead, 0), "{report:?}");
    assert!(report.status.findings[0].what.contains(&only_there.short()), "{report:?}");
    night(&bench, 4);
    assert_eq!(sync(&bench.repository, &copy).objects_sent, 0);
    let options = SyncOptions { ahead: AheadOf::Accept, ..SyncOptions::default() };
    let report = bench.repository.sync_copies(&[place(&copy)], options, &Silent).unwrap().remove(0);
    assert_eq!((report.status.state, report.status.lag_snapshots), (CopyState::Current, 0), "{report:?}");
    assert!(names(&copy, "snap").contains(&format!("snap/{only_there}")), "what only the copy holds stays");
}

#[test]
fn a_repository_that_was_set_back_overwrites_nothing() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    sync(&bench.repository, &copy);
    let (newer, _) = night(&bench, 2);
    sync(&bench.repository, &copy);
    for name in [format!("snap/{newer}"), format!("session/{newer}/end"), format!("session/{newer}/open")] {
        bench.store.delete(&ObjectName::from_path(&name).unwrap()).unwrap();
    }
    let status = bench.repository.copy_status(&[place(&copy)]).unwrap().remove(0);
    assert_eq!(status.state, CopyState::Ahead, "{status:?}");
    assert!(names(&copy, "snap").contains(&format!("snap/{newer}")));
}

#[test]
fn what_nobody_signed_makes_no_copy_ahead() {
    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    sync(&bench.repository, &copy);
    let forged = ["snap/00000000000000000000000000000001", &format!("policy/00000009-{}", "0".repeat(64))];
    for name in forged {
        assert!(copy.put_new(&ObjectName::from_path(name).unwrap(), Bytes::from_static(b"forged")).is_ok());
    }
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
}

#[test]
fn looking_at_a_copy_nobody_ever_made_says_so() {
    let bench = bench();
    let status = bench.repository.copy_status(&[place(&Store::memory())]).unwrap().remove(0);
    assert_eq!((status.state, status.synced), (CopyState::Empty, None));
    let home = Home::open(&bench.directory.path().join("home")).unwrap();
    assert!(Repository::open_copy(Store::memory(), &home, bench.clock.clone(), "none").is_err());
}

#[test]
fn what_a_revoked_key_signed_beyond_its_pins_makes_no_copy_ahead() {
    use lacre_format::{
        ids::{Millis, Token},
        policy::Role,
        run::RunDetails,
    };
    use lacre_repo::op::{join, run::RunFrame};

    let (bench, copy) = (bench(), Store::memory());
    nights(&bench, 1);
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::open(elsewhere.path()).unwrap();
    let asked = join::ask(&home, "db2").unwrap();
    let enrolled = bench.repository.enrol(&asked.text, Role::Writer, None, "/anywhere").unwrap();
    let token = join::read_token(&enrolled.token).unwrap();
    join::join(bench.store.clone(), &home, &token, bench.clock.clone()).unwrap();
    let frame = |byte| RunFrame { id: Token::new([byte; 16]), started: Millis(1), ended: Millis(9), exit: 0 };
    let in_place = |store: Store| Repository::open(store, &home, bench.clock.clone()).unwrap();
    in_place(bench.store.clone()).record_run(frame(1), &RunDetails::default()).unwrap();
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
    // The key is stolen and used on the copy, which has not heard of the revocation: a log entry and a snapshot.
    let thief = in_place(copy.clone());
    thief.record_run(frame(2), &RunDetails::default()).unwrap();
    crate::support::backup(&thief, "app", &[("t", Shape::Rows, &rows(300, 9))], Default::default()).unwrap();
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Ahead, "as long as the key counts");
    bench.repository.revoke(enrolled.home).unwrap();
    night(&bench, 2);
    let report = sync(&bench.repository, &copy);
    assert_eq!(report.status.state, CopyState::Current, "{:?}", report.status.findings);
    assert!(report.objects_sent > 0);
}
