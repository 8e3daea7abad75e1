//! A glance at copies: how they stand beside a repository that is being looked at anyway, for one listing of each.
//!
//! In: copies, and then the repository's own listing. Out: how each one stands, by names and signatures alone. Packs are not listed: a snapshot
//! enters a copy only after all that it needs is there. A copy that does not answer in time is unreachable and keeps nobody waiting.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use lacre_format::name::{Named, ObjectName};

use super::{
    CopyPlace, CopyStatus,
    source::{Source, Target, look_at},
};
use crate::{
    error::Error,
    limits::GLANCE_PATIENCE,
    repository::Repository,
    store::{Listing, Operation, StoreError},
    view::{VIEWED, View},
};

/// What is listed of a copy, and of the repository beside it; keyrings come last.
pub(in crate::op) const GLANCED: [&str; 7] =
    [VIEWED[0], VIEWED[1], VIEWED[2], VIEWED[3], VIEWED[4], "session", "keyring"];

/// A copy as it was found, or why it was not.
pub(in crate::op) type Glance = Result<Target, StoreError>;

/// Asks copies at the same time. They are asked before the repository is: whatever they held then, the repository held before.
pub(in crate::op) fn glance_at(copies: &[CopyPlace]) -> Vec<Glance> {
    glance_within(copies, GLANCE_PATIENCE)
}

fn glance_within(copies: &[CopyPlace], patience: Duration) -> Vec<Glance> {
    let asked: Vec<mpsc::Receiver<Glance>> = copies
        .iter()
        .map(|copy| {
            let (answer, answered) = mpsc::sync_channel(1);
            let copy = copy.clone();
            // A store that hangs keeps its thread, not the caller: nobody waits for the thread to end, and its answer may find nobody.
            thread::spawn(move || drop(answer.send(look_at(&copy, Some(&GLANCED)))));
            answered
        })
        .collect();
    let started = Instant::now();
    let answer = |(answered, copy): (mpsc::Receiver<Glance>, &CopyPlace)| {
        let left = patience.saturating_sub(started.elapsed());
        answered.recv_timeout(left).unwrap_or_else(|error| Err(silent(copy, error, patience)))
    };
    asked.into_iter().zip(copies).map(answer).collect()
}

fn silent(copy: &CopyPlace, error: RecvTimeoutError, patience: Duration) -> StoreError {
    let reason = match error {
        RecvTimeoutError::Timeout => format!("it did not answer within {} seconds", patience.as_secs()),
        RecvTimeoutError::Disconnected => "its thread ended".to_owned(),
    };
    StoreError::Unavailable { name: copy.name.clone(), operation: Operation::List, reason }
}

impl Repository {
    /// How copies that were glanced at stand beside the repository; gives back the view it was told with.
    pub(in crate::op) fn judge_glances(
        &self,
        copies: &[CopyPlace],
        glances: Vec<Glance>,
        view: View,
        mut listing: Listing,
    ) -> Result<(View, Vec<CopyStatus>), Error> {
        let snapshot = |object: &crate::store::ObjectMeta| match ObjectName::parse(&object.name) {
            Some((_, Named::Snapshot(snapshot))) => Some(snapshot),
            _ => None,
        };
        // The repository may be listed whole; what was not looked at in the copies is not missing there.
        let is_glanced = |name: &str| name.split_once('/').is_some_and(|(folder, _)| GLANCED.contains(&folder));
        listing.objects.retain(|object| is_glanced(&object.name));
        // What a copy needs to hold a snapshot is not listed, so that it can only be missing together with it.
        let settled = listing.below("snap").filter_map(snapshot).collect();
        let source = Source::of(view, listing, settled);
        let judge = |(copy, glance)| self.compare_copy(copy, glance, &source);
        let statuses: Result<Vec<CopyStatus>, Error> = copies.iter().zip(glances).map(judge).collect();
        Ok((source.view, statuses?))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{CopyPlace, glance_within};
    use crate::store::{Store, StoreError, schedule::Schedule};

    #[test]
    fn a_copy_that_hangs_is_named_and_the_others_are_seen() {
        let gate = Arc::new(Schedule::after(0));
        let place = |name: &str, store: Store| CopyPlace { name: name.to_owned(), store };
        let hangs = Store::memory().with_schedule(Arc::clone(&gate));
        let copies = [place("hangs", hangs), place("answers", Store::memory())];
        let glances = glance_within(&copies, Duration::from_secs(1));
        assert!(matches!(&glances[0], Err(StoreError::Unavailable { name, .. }) if name == "hangs"));
        assert!(glances[1].as_ref().unwrap().manifest.is_none());
        gate.release();
    }
}
