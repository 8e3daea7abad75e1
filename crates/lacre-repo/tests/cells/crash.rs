//! A rotation that dies before or after any request to a cell: what must live is readable at once, and running it again ends it.

use lacre_repo::{
    Error,
    op::{
        erase::{EraseReason, ErasureState, LastVerified},
        init::KitChoice,
        rotate::RotationState,
    },
    store::fault::FaultPlan,
};

use crate::shop::{BUCKET, COMMAND, Manner, Place, WORDS};

/// More requests than a rotation sends to one cell.
const REQUESTS_MAX: u64 = 120;

fn dies_at_every_request(break_cell: &dyn Fn(&Place, u64)) {
    let (mut ended, mut failed) = (false, 0);
    for nth in 1..REQUESTS_MAX {
        let place = Place::new(&[(BUCKET, Some("one")), (COMMAND, Some("vault"))], KitChoice::None);
        let made = place.nights(2);
        let repository = place.reopen();
        let plan = repository.plan_erase(&[made[0].0], LastVerified::Keep).unwrap();
        repository.intend_erase(&plan, &EraseReason::default()).unwrap();
        break_cell(&place, nth);
        let died = place.rotate();
        // What is left of the cell is what its store or command holds; the process and its connection are new.
        place.shop.heal();
        place.assert_reads(&made[1..]);
        let again = place.rotate().unwrap();
        assert_eq!(again.state, RotationState::Closed, "{nth}");
        for name in [BUCKET, COMMAND] {
            assert_eq!(place.held(name), [place.current()].into(), "{nth}: {name}");
        }
        place.assert_reads(&made[1..]);
        let refused = crate::support::read(&place.reopen(), made[0].0, &place.bench.keys(), "t").unwrap_err();
        assert!(matches!(refused, Error::Erased { .. }), "{nth}: {refused}");
        place.nights(1);
        let status = place.reopen().erasures().unwrap().pop().unwrap();
        assert_eq!(status.state, ErasureState::Complete, "{nth}: {:?}", status.pending);
        match died {
            Ok(report) if report.state == RotationState::Closed => {
                ended = true;
                break;
            }
            _ => failed += 1,
        }
    }
    assert!(ended && failed > 5, "every request was a place to die: {failed}");
}

#[test]
fn before_any_request_to_a_bucket() {
    dies_at_every_request(&|place, nth| place.shop.breaks(BUCKET, FaultPlan::crash_at(nth)));
}

#[test]
fn after_any_request_to_a_bucket() {
    dies_at_every_request(&|place, nth| place.shop.breaks(BUCKET, FaultPlan::crash_after(nth)));
}

#[test]
fn before_any_request_to_a_command() {
    dies_at_every_request(&|place, nth| place.shop.behaves(WORDS, Manner::DiesAt(nth)));
}

#[test]
fn after_any_request_to_a_command() {
    dies_at_every_request(&|place, nth| place.shop.behaves(WORDS, Manner::DiesAfter(nth)));
}
