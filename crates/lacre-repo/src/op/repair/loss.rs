//! What is lost: which snapshots need frames that are nowhere, and which bytes and rows of which streams those are.

use std::collections::BTreeMap;

use lacre_format::{
    ids::SnapshotId,
    log::{EVENT_SNAPSHOTS_MAX, Incomplete, LossRecord},
    node::Entry,
    pack::Birth,
    reach::Reach,
    root::{Stream, StreamKind},
};

use crate::{
    error::{Error, Kind},
    locate::packs_listed,
    lost::mark_of,
    monitor::{Finding, Monitor},
    op::{
        read::{Piece, Snapshot},
        repair::Repair,
        sessions::Standing,
    },
    view::View,
};

/// The end of a table's data: a line of its own that is no row.
const END_MARKER: &[u8] = b"\\.\n";

/// A stretch of a stream that is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Its first byte, if everything before it has a known length.
    pub start: Option<u64>,
    /// Its length, if it is known.
    pub bytes: Option<u64>,
    /// Its first row, counted from 1, if all rows before it are there.
    pub first_row: Option<u64>,
    /// Its last row, if all rows but these are there.
    pub last_row: Option<u64>,
}

/// A stream of which something is lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostStream {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The stream's name.
    pub stream: String,
    /// Its bytes that are lost.
    pub bytes: u64,
    /// Its rows that are lost, where rows were counted.
    pub rows: Option<u64>,
    /// Where.
    pub stretches: Vec<Stretch>,
}

/// What of a snapshot is lost.
pub(super) enum Loss {
    /// It cannot be opened: its object or its key entry is lost.
    Whole(u64),
    /// These of its frames.
    Frames(Reach),
}

impl Loss {
    pub(super) fn frames(&self) -> u64 {
        match self {
            Self::Whole(frames) => *frames,
            Self::Frames(lost) => lost.frames(),
        }
    }
}

/// What a walk over a damaged stream has seen.
#[derive(Default)]
struct Tally {
    /// Bytes up to here; unknown behind a node that is lost.
    at: Option<u64>,
    /// Row ends up to here.
    rows: u64,
    found: u64,
    stretches: Vec<Stretch>,
    in_stretch: bool,
    tail: Vec<u8>,
}

impl Tally {
    fn lost(&mut self, bytes: Option<u64>) {
        if !self.in_stretch {
            let first_row = self.stretches.is_empty().then_some(self.rows + 1);
            self.stretches.push(Stretch { start: self.at, bytes: Some(0), first_row, last_row: None });
            self.in_stretch = true;
        }
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.bytes = stretch.bytes.zip(bytes).map(|(so_far, more)| so_far + more);
        }
        self.at = self.at.zip(bytes).map(|(at, bytes)| at + bytes);
        self.tail.clear();
    }

    fn there(&mut self, bytes: &[u8]) {
        self.in_stretch = false;
        self.found += bytes.len() as u64;
        self.at = self.at.map(|at| at + bytes.len() as u64);
        self.rows += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.tail.clear();
        self.tail.extend_from_slice(bytes);
    }

    /// Row ends that belong to no row: the end marker of a table's data and what stands behind it.
    fn after_rows(&self, stream: &Stream) -> u64 {
        if stream.kind != StreamKind::Table {
            return 0;
        }
        let begins = if self.tail.starts_with(END_MARKER) {
            Some(0)
        } else {
            memchr::memmem::rfind(&self.tail, b"\n\\.\n").map(|at| at + 1)
        };
        begins.map_or(0, |at| memchr::memchr_iter(b'\n', &self.tail[at..]).count() as u64)
    }

    fn finish(mut self, snapshot: SnapshotId, stream: &Stream) -> LostStream {
        let rows = stream.rows.checked_sub(self.rows - self.after_rows(stream).min(self.rows));
        let rows = rows.filter(|_| stream.rows > 0);
        let bytes = stream.bytes.saturating_sub(self.found);
        if let [only] = self.stretches.as_mut_slice() {
            only.bytes = Some(bytes);
            only.last_row = only.first_row.zip(rows).map(|(first, rows)| first + rows.saturating_sub(1));
        }
        if rows.is_none() {
            self.stretches.iter_mut().for_each(|stretch| (stretch.first_row, stretch.last_row) = (None, None));
        }
        LostStream { snapshot, stream: stream.name.clone(), bytes, rows, stretches: self.stretches }
    }
}

impl Repair<'_> {
    /// Which snapshots are incomplete, by their reach maps and, where the seal is at hand, their key entries.
    pub(super) fn incomplete(&self, view: &View) -> Result<BTreeMap<SnapshotId, Loss>, Error> {
        let repository = self.repository;
        let mut good = packs_listed(&self.store().list("packs")?.objects);
        good.retain(|name, _| !self.lost.contains(name));
        let seals = repository.seals(view, self.keys);
        let mut incomplete = BTreeMap::new();
        for known in view.snapshots.values().filter(|known| view.is_live(known.header.snapshot)) {
            let snapshot = known.header.snapshot;
            let Ok(reach) = repository.reach(known) else { continue };
            if let Ok(seals) = &seals
                && matches!(
                    repository.visit_entries(view, seals, &known.header, &mut |_| true),
                    Err(Error::EntryMissing { .. })
                )
            {
                incomplete.insert(snapshot, Loss::Whole(reach.frames()));
                continue;
            }
            let mut lost = Reach::default();
            for id in reach.packs() {
                for slot in repository.unplaced(view, &good, &reach, id)? {
                    lost.insert(Birth { pack: id, slot });
                }
            }
            if lost.frames() > 0 {
                incomplete.insert(snapshot, Loss::Frames(lost));
            }
        }
        incomplete.extend(view.damaged.keys().map(|snapshot| (*snapshot, Loss::Whole(0))));
        let sessions = repository.sessions(repository.session_names()?, view)?;
        incomplete.extend(sessions.with(Standing::Lost).map(|snapshot| (snapshot, Loss::Whole(0))));
        Ok(incomplete)
    }

    /// Which streams of them, and what of each: the roots and nodes say, so an identity has to be at hand.
    pub(super) fn lost_streams(
        &mut self,
        view: &View,
        incomplete: &BTreeMap<SnapshotId, Loss>,
    ) -> Result<Vec<LostStream>, Error> {
        let mut streams = Vec::new();
        for (snapshot, loss) in incomplete {
            let Loss::Frames(lost) = loss else { continue };
            if self.keys.identities.is_empty() {
                let what = format!("which streams and rows of snapshot {} are lost (--identity)", snapshot.short());
                self.report.not_done.push(what);
                continue;
            }
            match self.repository.open_in(view, *snapshot, self.keys) {
                Ok(opened) => {
                    for stream in opened.streams() {
                        streams.extend(lost_of(&opened, stream, lost, self.monitor)?);
                    }
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) if matches!(error.kind(), Kind::NoKey | Kind::Damaged) => {
                    self.report
                        .not_done
                        .push(format!("which streams of snapshot {} are lost: {error}", snapshot.short()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(streams)
    }

    /// What is put on record. A reach map that is missing is not: with an identity it can be made again, and without it nobody can say
    /// what is garbage.
    pub(super) fn loss_record(&self, damage: &[Finding]) -> LossRecord {
        let most = EVENT_SNAPSHOTS_MAX;
        let of_reach = |finding: &&Finding| !finding.object.starts_with("reach/");
        let mut findings: Vec<_> = damage.iter().filter(of_reach).map(mark_of).collect();
        findings.sort_unstable();
        findings.dedup();
        let incomplete =
            self.report.incomplete.iter().map(|(snapshot, frames)| Incomplete { snapshot: *snapshot, frames: *frames });
        LossRecord {
            snapshots: incomplete.take(most).collect(),
            packs: self.lost.iter().copied().take(most).collect(),
            findings: findings.into_iter().take(most).collect(),
        }
    }
}

/// What of a stream is lost; nothing if all of it is there.
fn lost_of(
    snapshot: &Snapshot<'_>,
    stream: &Stream,
    lost: &Reach,
    monitor: &dyn Monitor,
) -> Result<Option<LostStream>, Error> {
    let Some(top) = &stream.top else { return Ok(None) };
    let is_lost = |entry: &Entry| lost.contains(entry.birth);
    let mut any = false;
    snapshot.pieces(top, &is_lost, &mut |piece| {
        any |= !matches!(piece, Piece::Leaf(_));
        Ok(())
    })?;
    if !any {
        return Ok(None);
    }
    let mut tally = Tally { at: Some(0), ..Tally::default() };
    snapshot.pieces(top, &is_lost, &mut |piece| {
        if monitor.cancelled() {
            return Err(Error::Interrupted);
        }
        match piece {
            Piece::LostNode => tally.lost(None),
            Piece::LostLeaf(entry) => tally.lost(Some(u64::from(entry.raw_bytes))),
            Piece::Leaf(entry) => match snapshot.chunk(entry) {
                Ok(bytes) => tally.there(&bytes),
                Err(error) if error.kind() == Kind::Damaged => tally.lost(Some(u64::from(entry.raw_bytes))),
                Err(error) => return Err(error),
            },
        }
        Ok(())
    })?;
    Ok(Some(tally.finish(snapshot.id(), stream)))
}
