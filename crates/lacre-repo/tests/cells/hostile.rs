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

/// The pending items of the newest erasure.
fn pending(place: &Place) -> (ErasureState, Vec<String>) {
    let status = place.reopen().erasures().unwrap().pop().unwrap();
    (status.state, status.pending.into_iter().map(|pending| pending.item).collect())
}

fn erase(place: &Place, snapshot: lacre_format::ids::SnapshotId) {
    let repository = place.reopen();
    let plan = repository.plan_erase(&[snapshot], LastVerified::Keep).unwrap();
    repository.intend_erase(&plan, &EraseReason::default()).unwrap();
}

/// Rotates with a command's cell that dies after it has learnt the new seal and before it forgets the old one.
fn rotate_with_a_dying_cell(place: &Place) {
    for nth in 1.. {
        place.shop.behaves(WORDS, Manner::DiesAt(nth));
        if let Ok(report) = place.rotate() {
            assert_ne!(report.state, RotationState::Closed, "the dead cell forgot");
            return;
        }
    }
}

#[test]
fn a_word_on_a_cell_settles_no_erasure_that_comes_after_it() {
    let place =
        Place::new(&[(BUCKET, Some("one")), (OTHER_BUCKET, Some("two")), (COMMAND, Some("vault"))], KitChoice::None);
    let made = place.nights(3);
    let item = format!("cell:{COMMAND}");
    erase(&place, made[0].0);
    rotate_with_a_dying_cell(&place);
    assert!(pending(&place).1.contains(&item));
    place.shop.behaves(WORDS, Manner::Hangs);
    place.reopen().attest(&item, lacre_format::erasure::Declared::Destroyed).unwrap();
    assert!(!pending(&place).1.contains(&item));
    // The cell was not gone after all: it learns the next seal, and does not forget the one before.
    place.shop.heal();
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    place.nights(1);
    assert_eq!(pending(&place).0, ErasureState::Complete);
    erase(&place, made[1].0);
    rotate_with_a_dying_cell(&place);
    place.shop.behaves(WORDS, Manner::Hangs);
    assert!(pending(&place).1.contains(&item), "{:?}", pending(&place));
    place.reopen().attest(&item, lacre_format::erasure::Declared::Lost).unwrap();
    assert!(!pending(&place).1.contains(&item));
    let receipt = |at: usize| {
        let erasure = place.reopen().erasures().unwrap()[at].erasure;
        place.reopen().sign_receipt(erasure, &lacre_repo::op::erase::Account::default()).unwrap().receipt
    };
    let spoken_of = receipt(1).declared.iter().find(|word| word.item == item).and_then(|word| word.generation);
    assert_eq!(spoken_of, Some(receipt(1).from), "the receipt says how far the word carries");
}

#[test]
fn a_damaged_slot_dies_with_the_old_seal_that_may_be_in_it() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::None);
    let made = place.nights(2);
    let file = place.bench.directory.path().join("a");
    let old = std::fs::read(&file).unwrap();
    let seed = old[36..68].to_vec();
    let holds = |bytes: &[u8]| bytes.windows(32).any(|window| window == seed);
    assert!(holds(&old), "the seed stands where this test looks");
    // A second slot of the same seal whose checksum suffered: nobody reads it, and whoever looks at the file does.
    let mut copied = old.clone();
    copied[15 * 4096..].copy_from_slice(&old[..4096]);
    copied[15 * 4096 + 70] ^= 1;
    std::fs::write(&file, copied).unwrap();
    erase(&place, made[0].0);
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert!(!holds(&std::fs::read(&file).unwrap()), "the old seed is still in the file");
    place.nights(1);
    assert_eq!(pending(&place), (ErasureState::Complete, Vec::new()));
    let cells = place.reopen().view().unwrap().ledger.destroyed.clone();
    assert!(cells.iter().any(|(_, record)| record.evidence.contains("1 damaged slot overwritten")), "{cells:?}");
    place.assert_reads(&made[1..]);
    // One that suffers later is named, and nobody can vouch for it.
    let mut torn = std::fs::read(&file).unwrap();
    torn[15 * 4096 + 8..15 * 4096 + 40].fill(7);
    std::fs::write(&file, torn).unwrap();
    let item = format!("damaged:file:{}", file.display());
    assert_eq!(pending(&place), (ErasureState::Interim, vec![item.clone()]));
    assert!(matches!(place.reopen().attest(&item, lacre_format::erasure::Declared::Lost), Err(Error::Usage { .. })));
    assert_eq!(place.rotate().unwrap().state, RotationState::Closed);
    assert_eq!(pending(&place), (ErasureState::Complete, Vec::new()));
}

#[test]
fn what_is_damaged_stays_while_it_may_be_the_only_trace_of_the_current_seal_or_anothers() {
    let place = Place::new(&[("file:HERE/a", None)], KitChoice::None);
    let (file, current) = (place.bench.directory.path().join("a"), place.current());
    let cell = || lacre_repo::cell::Cell::open(&lacre_repo::cell::CellPlace::File(file.clone())).unwrap().unwrap();
    let id = place.bench.repository.id();
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    torn[70] ^= 1;
    std::fs::write(&file, &torn).unwrap();
    assert_eq!(cell().contents(id).unwrap().damaged, 1);
    assert_eq!(cell().destroy_damaged(id, current).unwrap(), None);
    assert!(std::fs::read(&file).unwrap() == torn, "nothing was touched");
    // In a file that another repository uses too, only what says that it is ours is ours.
    let other = lacre_format::ids::RepositoryId::new([0xee; 16]);
    let seed = lacre_seal::outer::SealSeed::generate().unwrap();
    std::fs::write(&file, &whole).unwrap();
    cell().add(other, lacre_seal::bundle::generation_id(0, &seed), &seed).unwrap();
    let mut shared = std::fs::read(&file).unwrap();
    for (slot, claims) in [(7, other.as_bytes().as_slice()), (8, id.as_bytes().as_slice()), (9, &[1; 16])] {
        shared[slot * 4096..][8..24].copy_from_slice(claims);
    }
    std::fs::write(&file, &shared).unwrap();
    assert_eq!(cell().contents(id).unwrap().damaged, 2, "its own, and the one that nobody can tell");
    assert!(cell().destroy_damaged(id, current).unwrap().is_some_and(|seen| seen.starts_with("1 damaged slot")));
    let left = std::fs::read(&file).unwrap();
    assert!(left[7 * 4096..8 * 4096] == shared[7 * 4096..8 * 4096] && left[9 * 4096..] == shared[9 * 4096..]);
    assert_eq!(cell().contents(id).unwrap().damaged, 1);
    assert!(cell().contents(id).unwrap().has(current) && cell().contents(other).unwrap().slots.len() == 1);
}
