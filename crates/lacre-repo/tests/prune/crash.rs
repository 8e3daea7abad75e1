//! A prune that dies at any request: nothing live is hurt, and the next run brings the work to its end.

use lacre_format::root::Shape;
use lacre_repo::{Repository, Silent, home::Home, op::prune::PruneState, store::fault::FaultPlan};

use crate::{
    common::{eager, names, night, whole},
    support::{Bench, read},
};

/// Requests of one prune; more than it makes, so that the loop ends by success.
const REQUESTS_MAX: u64 = 400;
const ROWS: u64 = 1_500;

fn dies_at_every_request(plan: fn(u64) -> FaultPlan) {
    let tables: Vec<Vec<u8>> = (0..3).map(|number| night(number, ROWS)).collect();
    let mut ended = false;
    for nth in 1..REQUESTS_MAX {
        let bench = Bench::in_memory();
        let made: Vec<_> =
            tables.iter().map(|table| bench.backup("app", &[("t", Shape::Rows, table)]).snapshot).collect();
        bench.repository.forget_one(made[0]).unwrap();
        bench.repository.forget_one(made[1]).unwrap();
        let faulty = bench.store.with_faults(plan(nth));
        let died = Home::open(&bench.directory.path().join("home"))
            .and_then(|home| Repository::open(faulty, &home, bench.clock.clone()))
            .and_then(|repository| repository.prune(&eager(), &Silent));
        let survivor = bench.reopen();
        let found = read(&survivor, made[2], &bench.keys(), "t");
        assert!(found.as_ref().is_ok_and(|found| *found == tables[2]), "{nth}: {:?}", found.err());
        let report = survivor.prune(&eager(), &Silent).unwrap();
        assert_ne!(report.state, PruneState::Pending, "{nth}: {report:?}");
        let again = survivor.prune(&eager(), &Silent).unwrap();
        assert_eq!(again.state, PruneState::Nothing, "{nth}: {again:?}");
        whole(&bench, &[(made[2], tables[2].clone())].into(), &format!("{nth}"));
        assert_eq!((names(&bench, "snap").len(), names(&bench, "reach").len()), (1, 1), "{nth}");
        assert_eq!(bench.repository.stored().unwrap().dead_bytes, Some(0), "{nth}: garbage was left");
        if died.is_ok() {
            ended = true;
            break;
        }
    }
    assert!(ended, "a prune makes more than {REQUESTS_MAX} requests");
}

#[test]
fn a_prune_that_dies_before_any_request_loses_nothing() {
    dies_at_every_request(FaultPlan::crash_at);
}

#[test]
fn a_prune_that_dies_after_any_request_loses_nothing() {
    dies_at_every_request(FaultPlan::crash_after);
}
