//! Who counts as a holder, cells that come and go, and when the seal changes by itself.

use jiff::SignedDuration;
use lacre_format::policy::Holders;
use lacre_repo::{
    Error,
    cell::CellPlace,
    op::{
        cells::{Leftover, NewCell},
        erase::{EraseReason, ErasureState, LastVerified},
        init::KitChoice,
        keys::ReadKeys,
        rotate::RotationState,
        seal::Sheet,
    },
};

use crate::shop::{BUCKET, COMMAND, Manner, OTHER_BUCKET, Place, WORDS};

fn new_cell(place: &Place, spec: &str, holder: Option<&str>) -> NewCell {
    let here = place.bench.directory.path().display().to_string();
    NewCell {
        place: CellPlace::parse(&spec.replace("HERE", &here)).unwrap(),
        host: "test".to_owned(),
        holder: holder.map(str::to_owned),
        sources: Vec::new(),
        replaces: None,
    }
}

#[test]
fn a_rotation_reaches_every_kind_of_cell() {
    let cells = [("file:HERE/a", None), (BUCKET, Some("one")), (COMMAND, Some("vault"))];
    let place = Place::new(&cells, KitChoice::None);
    let made = place.nights(2);
    let report = place.rotate().unwrap();
    assert_eq!((report.carried, report.state), (2, RotationState::Closed));
    for (name, _) in cells {
        assert_eq!(place.held(name), [report.to].into(), "{name}");
    }
    place.assert_reads(&made);
    // Any one of them is enough to read, whichever is gone.
    place.shop.shut(BUCKET);
    place.shop.behaves(WORDS, Manner::Hangs);
    std::fs::rename(place.bench.directory.path().join("a"), place.bench.directory.path().join("aside")).unwrap();
    assert!(crate::support::read(&place.reopen(), made[0].0, &place.bench.keys(), "t").is_err(), "no holder answers");
    place.shop.reopen(BUCKET);
    assert_eq!(crate::support::read(&place.reopen(), made[0].0, &place.bench.keys(), "t").unwrap(), made[0].1);
}

#[test]
fn cells_that_are_lost_together_are_one_holder() {
    for (cells, closes) in [
        ([("file:HERE/a", None), ("file:HERE/b", None)], false),
        ([(BUCKET, Some("account")), (OTHER_BUCKET, Some("account"))], false),
        ([(BUCKET, Some("account")), (OTHER_BUCKET, Some("another"))], true),
        ([("file:HERE/a", None), (COMMAND, None)], false),
        ([("file:HERE/a", None), (COMMAND, Some("vault"))], true),
    ] {
        let place = Place::new(&cells, KitChoice::None);
        let made = place.nights(1);
        assert_eq!(place.reopen().view().unwrap().policy.holders, Holders::Two);
        let report = place.rotate().unwrap();
        assert_eq!(report.state == RotationState::Closed, closes, "{cells:?}");
        let RotationState::Pending(pending) = report.state else { continue };
        assert_eq!(pending[0].item, "holders", "{cells:?}");
        assert!(place.held(cells[0].0).contains(&report.from), "the old seal lives: {cells:?}");
        assert!(place.findings().contains("two holders are needed"), "{cells:?}");
        place.assert_reads(&made);
    }
}

#[test]
fn a_cell_is_added_while_a_rotation_waits_for_a_holder_and_that_ends_the_wait() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::Print);
    let made = place.nights(2);
    assert_ne!(place.rotate().unwrap().state, RotationState::Closed);
    place.reopen().add_cell(&new_cell(&place, BUCKET, Some("one")), &ReadKeys::default()).unwrap();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    for name in ["file:HERE/a", BUCKET] {
        assert_eq!(place.held(name), [place.current()].into());
    }
    place.assert_reads(&made);
}

#[test]
fn cells_come_go_and_move_and_two_holders_always_remain() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::Print);
    let made = place.nights(1);
    let repository = place.reopen();
    let kit = repository.issue_kit(None).unwrap();
    repository.acknowledge_kit(2, Sheet::Seal, kit.checksum()).unwrap();
    let file = format!("file:{}", place.bench.directory.path().join("a").display());
    let refused = repository.remove_cell(&file, Leftover::Destroy).unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    repository.add_cell(&new_cell(&place, BUCKET, Some("one")), &ReadKeys::default()).unwrap();
    assert_eq!(place.held(BUCKET), [place.current()].into());
    let twice = repository.add_cell(&new_cell(&place, BUCKET, Some("one")), &ReadKeys::default());
    assert!(matches!(twice, Err(Error::Usage { .. })));
    let seen = repository.remove_cell(&file, Leftover::Destroy).unwrap();
    assert!(seen[0].contains("overwritten with zeros"), "{seen:?}");
    assert!(place.held("file:HERE/a").is_empty());
    assert!(matches!(repository.remove_cell(&file, Leftover::Destroy), Err(Error::Usage { .. })));
    assert_eq!(repository.view().unwrap().policy.cells.len(), 1);
    assert!(repository.view().unwrap().ledger.open_claims().next().is_none(), "no claim is left open");
    place.assert_reads(&made);
    // A refused change leaves no claim either, and the seal still rotates: bucket and kit were two, the kit is stale then.
    assert!(repository.remove_cell(BUCKET, Leftover::Destroy).is_err());
    assert!(repository.view().unwrap().ledger.open_claims().next().is_none());
    assert_ne!(place.rotate().unwrap().state, RotationState::Closed);
    let kit = place.reopen().issue_kit(None).unwrap();
    place.reopen().acknowledge_kit(3, Sheet::Seal, kit.checksum()).unwrap();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    place.assert_reads(&made);
}

#[test]
fn a_single_holder_becomes_two_by_adding_one_and_stays_one_by_moving() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::None);
    let made = place.nights(1);
    let holders = || place.reopen().view().unwrap().policy.holders;
    assert_eq!(holders(), Holders::Single);
    let old = format!("file:{}", place.bench.directory.path().join("a").display());
    let moving = NewCell { replaces: Some(old.clone()), ..new_cell(&place, BUCKET, Some("one")) };
    place.reopen().add_cell(&moving, &ReadKeys::default()).unwrap();
    place.reopen().remove_cell(&old, Leftover::Destroy).unwrap();
    assert_eq!(holders(), Holders::Single);
    assert!(place.reopen().remove_cell(BUCKET, Leftover::Destroy).is_err(), "the last one stays");
    place.reopen().add_cell(&new_cell(&place, COMMAND, Some("vault")), &ReadKeys::default()).unwrap();
    assert_eq!(holders(), Holders::Two);
    assert!(place.reopen().remove_cell(COMMAND, Leftover::Destroy).is_err());
    place.assert_reads(&made);
}

#[test]
fn a_lost_cell_is_declared_and_shows_on_receipts() {
    let cells = [("file:HERE/a", None), (BUCKET, Some("one")), (COMMAND, Some("vault"))];
    let place = Place::new(&cells, KitChoice::None);
    let made = place.nights(3);
    place.shop.behaves(WORDS, Manner::Hangs);
    let repository = place.reopen();
    assert!(matches!(repository.remove_cell(COMMAND, Leftover::Destroy), Err(Error::Cell { .. })));
    assert_eq!(repository.view().unwrap().policy.cells.len(), 3, "nothing was half removed");
    repository.remove_cell(COMMAND, Leftover::DeclareLost).unwrap();
    let plan = repository.plan_erase(&[made[0].0], LastVerified::Keep).unwrap();
    let erasure = repository.intend_erase(&plan, &EraseReason::default()).unwrap();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    place.nights(1);
    let status = place.reopen().erasures().unwrap().pop().unwrap();
    assert_eq!(status.state, ErasureState::Complete, "{:?}", status.pending);
    let receipt = place.reopen().sign_receipt(erasure, &plan.account).unwrap().receipt;
    assert!(receipt.declared.iter().any(|item| item.item == format!("cell:{COMMAND}")), "{:?}", receipt.declared);
}

#[test]
fn what_cannot_keep_or_forget_is_no_cell() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::Print);
    for manner in [Manner::KeepsAll, Manner::HidesOnly, Manner::Half, Manner::Garbage, Manner::Hangs] {
        place.shop.behaves(WORDS, manner);
        let refused = place.reopen().add_cell(&new_cell(&place, COMMAND, None), &ReadKeys::default()).unwrap_err();
        assert!(matches!(refused, Error::Cell { .. }), "{manner:?}: {refused}");
        let view = place.reopen().view().unwrap();
        assert_eq!((view.policy.cells.len(), view.ledger.open_claims().count()), (1, 0), "{manner:?}");
    }
    place.shop.shut(BUCKET);
    let refused = place.reopen().add_cell(&new_cell(&place, BUCKET, None), &ReadKeys::default()).unwrap_err();
    assert!(refused.to_string().contains("keys of the bucket are missing"), "{refused}");
    // Law L6 for files.
    let inside = new_cell(&place, "file:HERE/sources/seal", None);
    let sources = vec![place.bench.directory.path().join("sources")];
    std::fs::create_dir(&sources[0]).unwrap();
    let refused = place.reopen().add_cell(&NewCell { sources, ..inside }, &ReadKeys::default()).unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    for spec in ["seal", "exec:", "exec:relative", "s3://key:secret@bucket/x", "s3://with space", "ftp://x"] {
        assert!(matches!(CellPlace::parse(spec), Err(Error::Usage { .. })), "{spec}");
    }
}

#[test]
fn the_seal_changes_by_itself_only_where_no_person_is_needed() {
    let every = SignedDuration::from_hours(24 * 30);
    let alone = Place::new(&[("file:HERE/a", None)], KitChoice::Print);
    let due = alone.reopen().rotation_due(every).unwrap();
    assert!(!due.is_due && due.blocked.as_ref().is_some_and(|why| why.contains("kit")), "{due:?}");
    alone.bench.clock.advance_hours(24 * 31);
    let due = alone.reopen().rotation_due(every).unwrap();
    assert!(due.is_due && due.blocked.is_some(), "due, and still by hand: {due:?}");

    let place = Place::new(&[(BUCKET, Some("one")), (COMMAND, Some("vault"))], KitChoice::None);
    let made = place.nights(1);
    assert!(!place.reopen().rotation_due(every).unwrap().is_due);
    place.bench.clock.advance_hours(24 * 31);
    let due = place.reopen().rotation_due(every).unwrap();
    assert_eq!((due.is_due, due.blocked.is_none()), (true, true), "{due:?}");
    assert_eq!(due.due_at.duration_since(due.sealed_at), every);
    // One that does not answer is no holder today.
    place.shop.behaves(WORDS, Manner::Hangs);
    assert!(place.reopen().rotation_due(every).unwrap().blocked.is_some());
    place.shop.heal();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert!(!place.reopen().rotation_due(every).unwrap().is_due, "the time counts from the new seal");
    place.assert_reads(&made);
    // Two that are lost together are not two.
    let same = Place::new(&[(BUCKET, Some("one")), (OTHER_BUCKET, Some("one"))], KitChoice::None);
    assert!(same.reopen().rotation_due(every).unwrap().blocked.is_some());
}
