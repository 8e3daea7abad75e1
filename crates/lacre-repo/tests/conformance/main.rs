//! The five verbs over every store: one table of cases, run over each place an object may lie in.
//!
//! A case sees a store of its own and knows only what the place promises about names that are taken. A server is started once and
//! shared by all cases; every case has a prefix to itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

mod buckets;
mod deleting;
mod listing;
mod place;
mod putting;
mod ranges;
mod reading;
mod together;

use lacre_repo::store::Store;

use place::{Exclusive, Place, Subject};

/// A name and what must hold.
pub(crate) type Case = (&'static str, fn(&Place));

fn cases() -> Vec<Case> {
    let all = [putting::CASES, reading::CASES, ranges::CASES, listing::CASES, deleting::CASES, together::CASES];
    all.concat()
}

#[test]
fn there_are_sixty_cases_and_each_has_its_own_name() {
    let mut names: Vec<&str> = cases().iter().map(|(name, _)| *name).collect();
    assert!(names.len() >= 60, "{}", names.len());
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_directory() {
    let parent = lacre_test_bucket::test_dir("conformance");
    let open = |place: &str| {
        let path = parent.path().join(place);
        if path.exists() { Store::open_local(&path).unwrap() } else { Store::create_local(&path).unwrap() }
    };
    Subject::new("a directory", Exclusive::Always, &open).run(&cases());
}

#[test]
fn memory() {
    let open = |_: &str| Store::memory();
    Subject::new("memory", Exclusive::Always, &open).forgets().run(&cases());
}
