//! A sync that dies at any request, of either side: what is in the copy is whole, and the next run brings the rest.

use lacre_repo::{
    Error,
    op::copy::CopyState,
    store::{Store, fault::FaultPlan},
};

use crate::common::{assert_whole, bench, names, nights, opened, sync, try_sync};

/// Requests of one sync; more than it makes, so that the loop ends by success.
const REQUESTS_MAX: u64 = 300;

/// Which store dies.
#[derive(Clone, Copy)]
enum Side {
    Repository,
    Copy,
}

fn dies(side: Side, plan: fn(u64) -> FaultPlan) {
    let bench = bench();
    let made = nights(&bench, 2);
    let mut ended = false;
    for nth in 1..REQUESTS_MAX {
        let copy = Store::memory();
        let died = match side {
            Side::Copy => try_sync(&bench.reopen(), &copy.with_faults(plan(nth))),
            Side::Repository => bench.open_faulty(plan(nth)).and_then(|faulty| try_sync(&faulty, &copy)),
        };
        bench.forget_note();
        let context = format!("{nth}");
        if copy.list("").unwrap().objects.iter().any(|object| object.name == "lacre.json") {
            let seen = opened(&bench, &copy);
            let whole = assert_whole(&bench, &seen, &made, &context);
            assert_eq!(whole, names(&copy, "snap").len(), "{context}");
        } else {
            assert!(names(&copy, "packs").is_empty(), "{context}: the tip comes first");
        }
        let report = sync(&bench.reopen(), &copy);
        assert_eq!(report.status.state, CopyState::Current, "{context}: {report:?}");
        assert_eq!(names(&copy, ""), names(&bench.store, ""), "{context}");
        bench.forget_note();
        if died.is_ok_and(|report| report.status.state == CopyState::Current) {
            ended = true;
            break;
        }
    }
    assert!(ended, "a sync makes more than {REQUESTS_MAX} requests");
}

trait Faulty {
    fn open_faulty(&self, plan: FaultPlan) -> Result<lacre_repo::Repository, Error>;
    fn forget_note(&self);
}

impl Faulty for crate::support::Bench {
    fn open_faulty(&self, plan: FaultPlan) -> Result<lacre_repo::Repository, Error> {
        let home = lacre_repo::home::Home::open(&self.directory.path().join("home"))?;
        lacre_repo::Repository::open(self.store.with_faults(plan), &home, self.clock.clone())
    }

    /// Each round is the first sync of a copy.
    fn forget_note(&self) {
        let note = self.home_files().join("copies").join("offsite.synced");
        if note.exists() {
            std::fs::remove_file(note).unwrap();
        }
    }
}

#[test]
fn the_copy_dies_before_any_request() {
    dies(Side::Copy, FaultPlan::crash_at);
}

#[test]
fn the_copy_dies_after_any_request() {
    dies(Side::Copy, FaultPlan::crash_after);
}

#[test]
fn the_repository_dies_at_any_request() {
    dies(Side::Repository, FaultPlan::crash_at);
}
