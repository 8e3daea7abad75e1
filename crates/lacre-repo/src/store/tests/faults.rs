//! Stores that break as they are told.

use std::time::Duration;

use bytes::Bytes;

use super::{ROOM, everywhere, name, names, put};
use crate::store::fault::{Effect, Failure, Fault, FaultPlan, Recurrence};
use crate::store::{PutOutcome, StoreError, Verb};

#[test]
fn a_fault_before_does_nothing_and_after_does_all() {
    everywhere(|store| {
        let before = store.with_faults(FaultPlan::once(Verb::PutNew, 2, Effect::FailBefore(Failure::NoSpace)));
        assert_eq!(put(&before, "a", b"1"), PutOutcome::Created);
        let error = before.put_new(&name("b"), Bytes::from_static(b"2")).unwrap_err();
        assert!(matches!(error, StoreError::NoSpace { .. }));
        assert_eq!(names(store, ""), ["a"]);
        assert_eq!(put(&before, "b", b"2"), PutOutcome::Created);
        let after = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::FailAfter(Failure::Unavailable)));
        assert!(after.put_new(&name("c"), Bytes::from_static(b"3")).unwrap_err().is_transient());
        assert_eq!(names(store, ""), ["a", "b", "c"]);
        assert_eq!((before.counts().put_new, before.counts().bytes_sent), (3, 2));
    });
}

#[test]
fn reads_can_be_torn_and_flipped() {
    everywhere(|store| {
        assert_eq!(put(store, "a", b"hello"), PutOutcome::Created);
        let torn = store.with_faults(FaultPlan::once(Verb::Get, 1, Effect::Tear { bytes: 2 }));
        assert_eq!(torn.get(&name("a"), ROOM).unwrap(), "he");
        assert_eq!(torn.get(&name("a"), ROOM).unwrap(), "hello");
        let flipped = store.with_faults(FaultPlan::once(Verb::GetRange, 1, Effect::FlipBit { bit: 8 }));
        assert_eq!(flipped.get_range(&name("a"), 0..5).unwrap(), "hdllo");
    });
}

#[test]
fn puts_can_be_torn_and_flipped() {
    everywhere(|store| {
        let torn = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::Tear { bytes: 2 }));
        assert!(torn.put_new(&name("a"), Bytes::from_static(b"hello")).is_err());
        assert_eq!(store.get(&name("a"), ROOM).unwrap(), "he");
        let flipped = store.with_faults(FaultPlan::once(Verb::PutNew, 1, Effect::FlipBit { bit: 0 }));
        assert_eq!(put(&flipped, "b", b"b"), PutOutcome::Created);
        assert_eq!(store.get(&name("b"), ROOM).unwrap(), "c");
    });
}

#[test]
fn the_dead_stay_dead() {
    everywhere(|store| {
        let crashing = store.with_faults(FaultPlan::crash_at(3));
        assert_eq!(put(&crashing, "a", b"1"), PutOutcome::Created);
        crashing.list("").unwrap();
        assert!(crashing.put_new(&name("b"), Bytes::new()).is_err());
        assert!(crashing.get(&name("a"), ROOM).is_err());
        assert!(crashing.clone().delete(&name("a")).is_err());
        assert_eq!(names(store, ""), ["a"]);
        let crashing = store.with_faults(FaultPlan::crash_after(1));
        assert!(crashing.put_new(&name("b"), Bytes::new()).is_err());
        assert!(crashing.list("").is_err());
        assert_eq!(names(store, ""), ["a", "b"]);
    });
}

#[test]
fn faults_choose_by_prefix_and_recur() {
    everywhere(|store| {
        let fault = Fault {
            verb: Some(Verb::PutNew),
            prefix: "snap/".to_owned(),
            nth: 2,
            recurrence: Recurrence::Forever,
            effect: Effect::FailBefore(Failure::ReadOnly),
        };
        let delay = Fault {
            verb: None,
            prefix: String::new(),
            nth: 1,
            recurrence: Recurrence::Once,
            effect: Effect::Delay(Duration::from_millis(1)),
        };
        let faulty = store.with_faults(FaultPlan { faults: vec![fault, delay] });
        assert_eq!(put(&faulty, "packs/1", b"1"), PutOutcome::Created);
        assert_eq!(put(&faulty, "snap/1", b"1"), PutOutcome::Created);
        for path in ["snap/2", "snap/3", "snap/2"] {
            assert!(matches!(faulty.put_new(&name(path), Bytes::new()), Err(StoreError::ReadOnly { .. })));
        }
        assert_eq!(put(&faulty, "packs/2", b"1"), PutOutcome::Created);
    });
}
