//! An audit's reading of streams, which goes on from night to night: what was proved lately is not read again, new first, then longest ago,
//! within a budget of time. What a stream's bytes mean, somebody else may examine while they pass.
//!
//! What was proved is remembered in the catalog by a hash of the capability of a stream's top and of all that the root says of the stream:
//! one that two nights share is read once, and a root that names another's top without the right to open it proves nothing. The catalog is
//! a cache: without it everything is new and read again.

use std::{
    collections::BTreeSet,
    io::{Sink, Write, sink},
    time::{Duration, Instant},
};

use lacre_format::{ids::SnapshotId, root::Stream};
use lacre_seal::stream_claim::stream_claim;

use super::check::{Audit, ReadData};
use crate::{error::Error, limits::STREAMS_REMEMBERED_MAX, op::read::Snapshot};

/// What an audit may leave out, and who looks into archives.
#[derive(Clone, Copy, Default)]
pub struct Rolling<'a> {
    /// What was proved less long ago is not read again.
    pub max_age: Option<Duration>,
    /// No new work is begun after this time.
    pub max_duration: Option<Duration>,
    /// Who examines what streams mean (level 5).
    pub structure: Option<&'a dyn Structure>,
}

/// Knows what the streams of a snapshot mean.
pub trait Structure: Sync {
    /// Begins to examine a stream; none: its bytes mean nothing beyond themselves.
    ///
    /// # Errors
    /// Why the snapshot cannot be understood, in words.
    fn examine<'s>(
        &'s self,
        snapshot: &'s Snapshot<'_>,
        stream: &'s Stream,
    ) -> Result<Option<Box<dyn Examine + 's>>, String>;
}

/// Looks at a stream's bytes as they pass.
pub trait Examine: Write {
    /// Judges them, once they are known to be what was stored.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// Nobody looks.
struct Unexamined(Sink);

impl Write for Unexamined {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Examine for Unexamined {
    fn finish(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

/// A running audit's budget.
pub(super) struct Budget<'a> {
    pub(super) structure: Option<&'a dyn Structure>,
    started: Instant,
    now_ms: i64,
    max_age_ms: Option<i64>,
    max_duration: Option<Duration>,
    /// Snapshots with a stream that is not proved, and will not be by this audit.
    unproved: BTreeSet<SnapshotId>,
    has_postponed: bool,
}

impl<'a> Budget<'a> {
    pub(super) fn new(rolling: &Rolling<'a>, now_ms: i64) -> Self {
        let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self {
            structure: rolling.structure,
            started: Instant::now(),
            now_ms,
            max_age_ms: rolling.max_age.map(millis),
            max_duration: rolling.max_duration,
            unproved: BTreeSet::new(),
            has_postponed: false,
        }
    }

    /// Whether anything may be left out.
    pub(super) fn is_limited(&self) -> bool {
        self.max_age_ms.is_some() || self.max_duration.is_some()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.max_duration.is_some_and(|most| self.started.elapsed() >= most)
    }

    /// Whether something was proved so lately that it need not be now. A time in the future proves nothing.
    pub(super) fn is_fresh(&self, last_ms: Option<i64>) -> bool {
        let age = last_ms.map(|last| self.now_ms.saturating_sub(last)).filter(|age| *age >= 0);
        matches!((age, self.max_age_ms), (Some(age), Some(most)) if age < most)
    }
}

/// A stream that was proved before, but too long ago.
pub(super) struct Late {
    last_ms: i64,
    snapshot: SnapshotId,
    stream: String,
}

/// What became of one stream.
enum Turn {
    /// It is proved, now or lately.
    Proved,
    /// It waits until all new ones are read.
    Later(i64),
    /// The time is up.
    Postponed,
}

impl Audit<'_> {
    /// Proves the streams of one snapshot that have never been proved; those proved too long ago are put on the list. `true`: all are well.
    pub(super) fn streams(&mut self, snapshot: &Snapshot<'_>, late: &mut Vec<Late>) -> Result<bool, Error> {
        let mut is_well = true;
        for stream in snapshot.streams() {
            match self.turn(snapshot, stream, Audit::may_wait) {
                Ok(Turn::Proved) => {}
                Ok(Turn::Later(last_ms)) => {
                    late.push(Late { last_ms, snapshot: snapshot.id(), stream: stream.name.clone() });
                    is_well = false;
                }
                Ok(Turn::Postponed) => {
                    is_well = false;
                    self.unproved(snapshot);
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    is_well = false;
                    self.lost(&error, snapshot, stream);
                }
            }
        }
        Ok(is_well)
    }

    /// Proves what was proved too long ago, the oldest first. Snapshots all of whose streams are proved then count. `true`: nothing is left.
    pub(super) fn again(&mut self, mut late: Vec<Late>) -> Result<bool, Error> {
        late.sort_by_key(|late| late.last_ms);
        let mut open: Option<Snapshot<'_>> = None;
        let mut waiting: BTreeSet<SnapshotId> = late.iter().map(|late| late.snapshot).collect();
        for late in late {
            if open.as_ref().is_none_or(|snapshot| snapshot.id() != late.snapshot) {
                open = Some(self.repository.open_in(&self.view, late.snapshot, self.keys)?);
            }
            let Some(snapshot) = &open else { continue };
            let stream = snapshot.stream(&late.stream)?;
            match self.turn(snapshot, stream, |_, _| None) {
                Ok(Turn::Proved) => {}
                Ok(Turn::Later(_) | Turn::Postponed) => self.unproved(snapshot),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => self.lost(&error, snapshot, stream),
            }
        }
        if self.budget.has_postponed {
            self.not_proved("all streams: the time was up, and the next audit goes on");
        }
        waiting.retain(|snapshot| !self.budget.unproved.contains(snapshot));
        self.report.snapshots.extend(waiting);
        Ok(!self.budget.has_postponed)
    }

    fn unproved(&mut self, snapshot: &Snapshot<'_>) {
        self.budget.has_postponed = true;
        self.budget.unproved.insert(snapshot.id());
    }

    fn lost(&mut self, error: &Error, snapshot: &Snapshot<'_>, stream: &Stream) {
        let object = format!("snapshot {} stream {:?}", snapshot.id().short(), stream.name);
        let advice = "this stream is lost unless a copy has the damaged pack; other streams can be restored";
        self.damage_of(snapshot.id(), error, object, advice);
        self.budget.unproved.insert(snapshot.id());
    }

    /// When a stream that may wait was last proved; none: it is new, or everything is read.
    fn may_wait(&self, last_ms: Option<i64>) -> Option<i64> {
        last_ms.filter(|_| self.budget.is_limited())
    }

    /// A stream of which the root says, capability included, what another's said that this audit has read is the same: nights share most.
    fn turn(
        &mut self,
        snapshot: &Snapshot<'_>,
        stream: &Stream,
        may_wait: impl Fn(&Self, Option<i64>) -> Option<i64>,
    ) -> Result<Turn, Error> {
        let (Some(top), Some(claim)) = (&stream.top, stream_claim(stream)) else { return Ok(Turn::Proved) };
        if self.options.read_data != ReadData::All {
            return snapshot.locate_leaves(top).map(|_| Turn::Proved);
        }
        if self.read.contains(&claim) {
            return Ok(Turn::Proved);
        }
        // Longer than a hash, so that it can be no pack's name.
        let key = [b"stream ", &claim.as_bytes()[..]].concat();
        let last = self.repository.catalog()?.last_audit(&key, self.level_max)?;
        if self.budget.is_fresh(last) {
            return Ok(Turn::Proved);
        }
        if let Some(last) = may_wait(self, last) {
            return Ok(Turn::Later(last));
        }
        if self.budget.is_spent() {
            return Ok(Turn::Postponed);
        }
        self.read(snapshot, stream)?;
        if let Err(error) = self.repository.catalog()?.remember_audit(&key, self.level_max, self.budget.now_ms) {
            // Only the order of later audits depends on it.
            tracing::warn!(%error, "an audited stream is not remembered");
        }
        if self.read.len() < STREAMS_REMEMBERED_MAX {
            self.read.insert(claim);
        }
        Ok(Turn::Proved)
    }

    fn read(&self, snapshot: &Snapshot<'_>, stream: &Stream) -> Result<(), Error> {
        let wrong = |why| Error::damaged(format!("stream {:?}", stream.name), why);
        let structure = self.budget.structure.filter(|_| self.level_max >= 5);
        let examiner = structure.map(|structure| structure.examine(snapshot, stream)).transpose().map_err(wrong)?;
        let mut examiner = examiner.flatten().unwrap_or_else(|| Box::new(Unexamined(sink())));
        snapshot.read(stream, &mut examiner, self.monitor)?;
        examiner.finish().map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Budget, Rolling};

    #[test]
    fn a_budget_says_what_is_fresh_and_when_the_time_is_up() {
        let day = Duration::from_secs(24 * 3600);
        let rolling = Rolling { max_age: Some(day), max_duration: Some(Duration::ZERO), structure: None };
        let budget = Budget::new(&rolling, 200_000_000);
        assert!(budget.is_limited() && budget.is_spent());
        assert!(budget.is_fresh(Some(200_000_000 - 86_399_999)) && !budget.is_fresh(Some(200_000_000 - 86_400_000)));
        assert!(!budget.is_fresh(None), "what was never proved is not fresh");
        assert!(!budget.is_fresh(Some(200_000_001)), "a time still to come proves nothing");
        let free = Budget::new(&Rolling::default(), 0);
        assert!(!free.is_limited() && !free.is_spent() && !free.is_fresh(Some(0)));
    }
}
