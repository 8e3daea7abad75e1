//! Cells that lie, break, hang, or are given back what they had forgotten.

use lacre_repo::{
    Error,
    op::{
        erase::{EraseReason, ErasureState, LastVerified},
        init::KitChoice,
        rotate::RotationState,
    },
};

use crate::shop::{BUCKET, COMMAND, Manner, OTHER_BUCKET, Place, WORDS};

fn three() -> Place {
    Place::new(&[("file:HERE/a", None), (BUCKET, Some("one")), (COMMAND, Some("vault"))], KitChoice::None)
}

#[test]
fn a_cell_that_lies_about_destroying_keeps_the_erasure_interim() {
    for manner in [Manner::KeepsAll, Manner::HidesOnly] {
        let place = three();
        let made = place.nights(3);
        let repository = place.reopen();
        let plan = repository.plan_erase(&[made[0].0], LastVerified::Keep).unwrap();
        let erasure = repository.intend_erase(&plan, &EraseReason::default()).unwrap();
        place.shop.behaves(WORDS, manner);
        let report = place.rotate().unwrap();
        let RotationState::Pending(pending) = &report.state else { panic!("{manner:?}: it closed") };
        assert_eq!(pending.iter().map(|item| item.item.as_str()).collect::<Vec<_>>(), [format!("cell:{COMMAND}")]);
        assert!(pending[0].what.contains("told to destroy"), "{}", pending[0].what);
        assert_eq!(place.held(BUCKET), [report.to].into(), "the others forgot: {manner:?}");
        place.nights(1);
        let status = place.reopen().erasures().unwrap().pop().unwrap();
        assert_eq!((status.erasure, status.state), (erasure, ErasureState::Interim), "{manner:?}");
        if manner == Manner::KeepsAll {
            let said = place.findings();
            assert!(said.contains(&report.from.to_string()) && said.contains("lacre seal rotate"), "{said}");
        }
        assert!(place.reopen().sign_receipt(erasure, &plan.account).is_ok_and(|signed| !signed.receipt.complete));
        place.shop.heal();
        let settled = place.rotate().unwrap();
        if manner == Manner::KeepsAll {
            assert_eq!(settled.state, RotationState::Closed);
            assert_eq!(place.held(COMMAND), [place.current()].into());
        }
        place.assert_reads(&made[1..]);
    }
}

#[test]
fn a_half_written_value_stops_the_rotation_before_anything_depends_on_it() {
    let place = three();
    let made = place.nights(2);
    let before = place.current();
    place.shop.behaves(WORDS, Manner::Half);
    let refused = place.rotate().unwrap_err();
    assert!(matches!(refused, Error::Cell { .. }) && refused.to_string().contains("read back"), "{refused}");
    assert_eq!(place.current(), before);
    place.assert_reads(&made);
    let said = place.findings();
    assert!(said.contains("damaged") && said.contains("not the current one"), "{said}");
    place.shop.heal();
    let report = place.rotate().unwrap();
    assert_eq!(report.state, RotationState::Closed);
    assert_eq!(place.held(COMMAND), [report.to].into(), "the half went with the candidates");
    assert!(!place.findings().contains("damaged"));
    place.assert_reads(&made);
}

#[test]
fn an_old_slot_put_back_is_named_keeps_an_erasure_open_and_dies_again() {
    let place = three();
    let made = place.nights(3);
    let file = place.bench.directory.path().join("a");
    let (old_file, old_values) = (std::fs::read(&file).unwrap(), place.shop.values(WORDS));
    let repository = place.reopen();
    let plan = repository.plan_erase(&[made[0].0], LastVerified::Keep).unwrap();
    repository.intend_erase(&plan, &EraseReason::default()).unwrap();
    let report = place.rotate().unwrap();
    place.nights(1);
    assert_eq!(place.reopen().erasures().unwrap()[0].state, ErasureState::Complete);
    // The file's first slot held the old generation and is free now: the old bytes over it, and the old value beside the new one.
    let mut replayed = std::fs::read(&file).unwrap();
    replayed[..4096].copy_from_slice(&old_file[..4096]);
    std::fs::write(&file, replayed).unwrap();
    place.shop.replay(WORDS, old_values);
    for name in ["file:HERE/a", COMMAND] {
        assert_eq!(place.held(name), [report.from, report.to].into(), "{name}");
    }
    let said = place.findings();
    assert_eq!(said.matches(&report.from.to_string()).count(), 2, "{said}");
    let status = place.reopen().erasures().unwrap().pop().unwrap();
    assert_eq!(status.state, ErasureState::Interim);
    assert_eq!(status.pending.iter().filter(|item| item.item.starts_with("stray:")).count(), 2, "{:?}", status.pending);
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    for name in ["file:HERE/a", BUCKET, COMMAND] {
        assert_eq!(place.held(name), [place.current()].into(), "{name}");
    }
    assert_eq!(place.reopen().erasures().unwrap()[0].state, ErasureState::Complete);
}

#[test]
fn a_value_under_a_name_it_was_not_made_for_is_no_seal() {
    let place = three();
    place.nights(1);
    let values = place.shop.values(WORDS);
    let (name, value) = values.first_key_value().unwrap();
    let current = place.current();
    let newer = name.replacen(&current.to_string(), "00000009-0102030405060708", 1);
    place.shop.replay(WORDS, [(newer, value.clone())].into());
    let said = place.findings();
    assert!(said.contains("00000009-0102030405060708") && said.contains("damaged"), "{said}");
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert_eq!(place.held(COMMAND), [place.current()].into());
}

#[test]
fn a_cell_without_an_answer_or_keys_stops_a_rotation_and_no_restore() {
    for manner in [Manner::Garbage, Manner::Hangs] {
        let place = three();
        let made = place.nights(1);
        let before = place.current();
        place.shop.behaves(WORDS, manner);
        let refused = place.rotate().unwrap_err();
        assert!(matches!(refused, Error::Cell { .. }), "{manner:?}: {refused}");
        assert_eq!((place.current(), place.held(BUCKET)), (before, [before].into()));
        place.assert_reads(&made);
        assert!(place.findings().contains(COMMAND), "{manner:?}");
        place.shop.heal();
        assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    }
    let place = three();
    let made = place.nights(1);
    place.shop.shut(BUCKET);
    assert!(place.rotate().unwrap_err().to_string().contains("keys of the bucket are missing"));
    place.assert_reads(&made);
    let status = place.reopen().seal_status().unwrap();
    assert_eq!(status.cells.iter().filter(|cell| cell.reachable).count(), 2);
    assert!(place.findings().contains("keys of the bucket are missing"));
}

#[test]
fn a_cell_that_dies_after_the_publication_keeps_only_itself_from_forgetting() {
    let place =
        Place::new(&[(BUCKET, Some("one")), (OTHER_BUCKET, Some("two")), (COMMAND, Some("vault"))], KitChoice::None);
    let made = place.nights(2);
    // A trial run over a repository of the same shape says after how many requests the cell has learnt the new seal.
    place.shop.behaves(WORDS, Manner::DiesAt(6));
    let mut nth = 6;
    let report = loop {
        match place.rotate() {
            Ok(report) => break report,
            Err(_) => {
                nth += 1;
                place.shop.behaves(WORDS, Manner::DiesAt(nth));
            }
        }
    };
    let RotationState::Pending(pending) = &report.state else { panic!("the dead cell forgot") };
    assert_eq!(pending[0].item, format!("cell:{COMMAND}"));
    for name in [BUCKET, OTHER_BUCKET] {
        assert_eq!(place.held(name), [report.to].into(), "{name}");
    }
    place.assert_reads(&made);
    place.shop.heal();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert_eq!(place.held(COMMAND), [place.current()].into());
}
