//! Copies and the seal: every change of it reaches them first, and receipts say what they still hold.

use lacre_format::ids::SnapshotId;
use lacre_repo::{
    Error, Severity,
    op::{
        copy::CopyState,
        erase::{EraseReason, LastVerified},
        keys::ReadKeys,
        rotate::{RotateOptions, RotationReport, RotationState},
    },
    store::{Store, fault::FaultPlan},
};

use crate::{
    common::{assert_logs_reach_the_policy, assert_whole, bench, copied, names, nights, opened, place, sync},
    support::{Bench, read},
};

pub(crate) fn intend(bench: &Bench, snapshot: SnapshotId) -> lacre_format::ids::Token {
    let plan = bench.repository.plan_erase(&[snapshot], LastVerified::Allow).unwrap();
    bench.repository.intend_erase(&plan, &EraseReason::default()).unwrap()
}

fn rotate(bench: &Bench, copies: &[&Store]) -> RotationReport {
    let copies = copies.iter().map(|copy| place(copy)).collect();
    let options = RotateOptions { copies, ..RotateOptions::default() };
    bench.repository.rotate(&options, &ReadKeys::default()).unwrap()
}

#[test]
fn a_rotation_reaches_every_copy_before_the_old_seal_is_destroyed() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let report = rotate(&bench, &[&copy]);
    assert_eq!((report.state, report.findings.len()), (RotationState::Closed, 0));
    // Nothing was synced since: list, bundle and policy are there all the same, and the new seal opens the copy.
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "pushed"), 2);
    let status = bench.repository.copy_status(&[place(&copy)]).unwrap().remove(0);
    assert_eq!((status.state, status.generation.unwrap()), (CopyState::Behind, report.to));
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
}

#[test]
fn a_rotation_that_loses_its_copy_anywhere_leaves_no_policy_without_its_logs() {
    for plan in [FaultPlan::crash_at, FaultPlan::crash_after] {
        let mut numbers = Vec::new();
        for nth in 1..100 {
            let (bench, copy) = (bench(), Store::memory());
            nights(&bench, 1);
            sync(&bench.repository, &copy);
            let report = rotate(&bench, &[&copy.with_faults(plan(nth))]);
            assert_eq!(report.state, RotationState::Closed, "{nth}");
            numbers.push(assert_logs_reach_the_policy(&bench, &copy, &format!("{nth}")));
            if report.findings.is_empty() {
                break;
            }
        }
        assert!(numbers.len() < 99 && numbers.contains(&0) && numbers.ends_with(&[1]), "{numbers:?}");
    }
}

#[test]
fn a_copy_that_cannot_be_reached_is_named_and_stops_no_rotation() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 2);
    sync(&bench.repository, &copy);
    let report = rotate(&bench, &[&copy.with_faults(FaultPlan::crash_at(1))]);
    assert_eq!(report.state, RotationState::Closed);
    assert!(report.findings.iter().any(|found| found.what.contains("did not take the new seal's")), "{report:?}");
    let status = bench.repository.copy_status(&[place(&copy)]).unwrap().remove(0);
    assert_eq!(status.state, CopyState::OldGeneration);
    assert!(opened(&bench, &copy).view().is_err(), "an older policy than this host has seen");
    assert_eq!(sync(&bench.repository, &copy).status.state, CopyState::Current);
    assert_eq!(assert_whole(&bench, &opened(&bench, &copy), &made, "caught up"), 2);
}

#[test]
fn an_erased_snapshot_is_dead_in_the_copy_and_the_receipt_lists_what_lies_there() {
    let (bench, copy) = (bench(), Store::memory());
    let made = nights(&bench, 3);
    sync(&bench.repository, &copy);
    let dead = *made.keys().next().unwrap();
    let erasure = intend(&bench, dead);
    rotate(&bench, &[&copy]);
    let before = copied(&copy);
    sync(&bench.repository, &copy);
    let after = copied(&copy);
    assert!(before.iter().all(|name| after.contains(name)), "a sync after an erasure deletes nothing");
    let seen = opened(&bench, &copy);
    assert!(matches!(read(&seen, dead, &bench.keys(), "t"), Err(Error::Erased { .. })));
    assert_eq!(assert_whole(&bench, &seen, &made, "erased"), 2);
    let account = bench.repository.account_of(erasure).unwrap();
    let signed = bench.repository.sign_receipt_with_copies(erasure, &account, &[place(&copy)]).unwrap();
    let lines = signed.receipt.physical.unwrap().lines;
    assert!(lines.len() == 1 && lines[0].starts_with("copy offsite") && lines[0].contains("before 1"), "{lines:?}");
    // A copy begun after the erasure gets nothing of the dead generation.
    let fresh = Store::memory();
    let mut elsewhere = place(&fresh);
    elsewhere.name = "second".to_owned();
    bench.repository.sync_copies(&[elsewhere], Default::default(), &lacre_repo::Silent).unwrap();
    let old = names(&copy, "keyring").into_iter().filter(|name| !names(&fresh, "keyring").contains(name)).count();
    assert!(old > 0 && bench.repository.old_in_copies(&[place(&fresh)], signed.receipt.to).is_empty());
    assert!(check_is_clean(&bench, &fresh));
}

fn check_is_clean(bench: &Bench, copy: &Store) -> bool {
    let findings = crate::common::check_all(bench, &opened(bench, copy)).findings;
    findings.iter().all(|finding| finding.severity < Severity::Damage)
}
