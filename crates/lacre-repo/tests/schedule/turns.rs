//! Writer, clone and admin taking turns, one request at a time, in orders drawn from seeds.

use std::{collections::BTreeMap, sync::Arc};

use lacre_format::ids::SnapshotId;
use lacre_repo::{
    Error,
    store::schedule::{Schedule, Stand},
};

use crate::site::{EndAtDrop, History, Site, back_up, night};

const ORDERS: u64 = 16;

/// Runs the processes so that each makes one request when its turn comes, until all have ended.
fn take_turns(schedules: &[Arc<Schedule>], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut open: Vec<&Arc<Schedule>> = schedules.iter().collect();
    while !open.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from(state % open.len() as u64).unwrap();
        // Now and then one runs ahead: long sleeps hurt more than fair turns.
        let requests = if state >> 60 == 0 { 12 } else { 1 };
        match open[at].stand() {
            Stand::Ended => drop(open.remove(at)),
            Stand::Before(_) => open[at].allow(requests),
        }
    }
}

#[test]
fn writer_clone_and_a_forget_in_any_order_keep_what_was_acknowledged() {
    let history = History::new();
    for seed in 0..ORDERS {
        let site = history.site();
        site.clone_host("writer", "clone");
        let schedules: Vec<Arc<Schedule>> = (0..3).map(|_| Arc::new(Schedule::after(0))).collect();
        let [writer, clone, admin] = [0, 1, 2].map(|at| Arc::clone(&schedules[at]));
        let (first, second, forgotten) = std::thread::scope(|scope| {
            let first = scope.spawn(|| night_of(&site, "writer", &writer, 3));
            let second = scope.spawn(|| night_of(&site, "clone", &clone, 5));
            let forgotten = scope.spawn(|| {
                let _end = EndAtDrop(&admin);
                let repository = site.open_scheduled("admin", &admin);
                repository.forget_one(history.nights[2])
            });
            take_turns(&schedules, seed);
            (first.join().unwrap(), second.join().unwrap(), forgotten.join().unwrap())
        });
        let context = format!("order {seed}");
        forgotten.unwrap();
        let mut kept: BTreeMap<SnapshotId, Vec<u8>> = [(history.nights[1], night(1))].into();
        kept.insert(first.unwrap(), night(3));
        kept.insert(second.unwrap(), night(5));
        site.whole(&kept, &context);
    }
}

fn night_of(site: &Site, host: &str, schedule: &Arc<Schedule>, number: u64) -> Result<SnapshotId, Error> {
    let _end = EndAtDrop(schedule);
    back_up(&site.open_scheduled(host, schedule), number)
}
