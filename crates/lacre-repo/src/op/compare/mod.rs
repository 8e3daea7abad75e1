//! What two streams do not share, found in their manifests; only chunks that differ are read.
//!
//! In: two streams of rows. Out: the whole rows of either that lie in chunks the other does not have, without those that stand in both at
//! the same place. A frame's birth and capability name its content, so equal nodes are never entered. A row may still come out on both
//! sides, because it moved: who compares rows pairs those. What a row is beyond a line is somebody else's.

mod align;
mod lines;
mod tree;

use std::{collections::HashMap, ops::Range};

use lacre_format::{node::Entry, root::Stream};
use memchr::{memchr, memrchr};
use rayon::prelude::*;

use self::{
    align::{Gap, align},
    tree::{Beginning, Place, Tree, Walk, bounded, trees},
};
use crate::{
    error::Error,
    frames::Opener,
    limits::{GROUP_RAW_BYTES, GROUPS_AT_ONCE},
    monitor::{Monitor, Progress},
    op::read::Snapshot,
};

/// One of two streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// What a comparison read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Chunks of the first stream that the second does not have.
    pub left: u64,
    /// Chunks of the second stream that the first does not have.
    pub right: u64,
}

/// Hears whole rows of a side, in order.
pub type Rows<'a> = dyn FnMut(Side, &[u8]) -> Result<(), Error> + 'a;

/// Chunks of one side that follow each other and that the other does not have.
struct Run {
    entries: Vec<Entry>,
    first: Place,
    behind: Place,
}

impl Run {
    fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.raw_bytes)).sum()
    }
}

/// Rows of the left and of the right.
type Texts = (Vec<u8>, Vec<u8>);

/// What both sides have between two anchors.
struct Part {
    left: Vec<Run>,
    right: Vec<Run>,
}

impl Part {
    fn bytes(&self) -> u64 {
        self.left.iter().chain(&self.right).map(Run::bytes).sum()
    }
}

/// A stream that is compared: its manifest, and which of its items the other has.
struct Stretch<'t> {
    tree: &'t Tree<'t>,
    is_shared: &'t [bool],
}

/// Gives every row that may differ between two streams to `each`; the rows of a side are in order.
///
/// # Errors
/// [`Error::Damaged`] for a frame that is not what was stored; [`Error::Interrupted`]; those of `each`.
pub fn compare(
    left: (&Snapshot<'_>, &Stream),
    right: (&Snapshot<'_>, &Stream),
    monitor: &dyn Monitor,
    each: &mut Rows<'_>,
) -> Result<Compared, Error> {
    let (ours, theirs) = trees((left.0, left.1.top.as_ref()), (right.0, right.1.top.as_ref()))?;
    let mut packs = HashMap::new();
    let alignment = align(ours.keys(&mut packs)?, theirs.keys(&mut packs)?);
    drop(packs);
    let sides =
        (Stretch { tree: &ours, is_shared: &alignment.left }, Stretch { tree: &theirs, is_shared: &alignment.right });
    let mut walks = (ours.walk()?, theirs.walk()?);
    let mut compared = Compared::default();
    let (mut jobs, mut job, mut bytes) = (Vec::new(), Vec::new(), 0);
    for gap in &alignment.gaps {
        let part = part(&sides, &mut walks, gap)?;
        compared.left += part.left.iter().map(|run| run.entries.len() as u64).sum::<u64>();
        compared.right += part.right.iter().map(|run| run.entries.len() as u64).sum::<u64>();
        if part.bytes() > PART_BYTES_MAX {
            give(&sides, std::mem::take(&mut jobs), std::mem::take(&mut job), monitor, each)?;
            bytes = 0;
            for (side, stretch, runs) in [(Side::Left, &sides.0, &part.left), (Side::Right, &sides.1, &part.right)] {
                runs.iter().try_for_each(|run| stretch.long(run, side, monitor, each))?;
            }
            continue;
        }
        bytes += part.bytes();
        job.push(part);
        if bytes >= GROUP_RAW_BYTES {
            bytes = 0;
            jobs.push(std::mem::take(&mut job));
        }
        if jobs.len() == GROUPS_AT_ONCE {
            give(&sides, std::mem::take(&mut jobs), Vec::new(), monitor, each)?;
        }
    }
    give(&sides, jobs, job, monitor, each)?;
    Ok(compared)
}

/// A part with more than this is read piece by piece instead of whole.
const PART_BYTES_MAX: u64 = 2 * GROUP_RAW_BYTES;

/// What both sides have in a gap that the other side does not have.
fn part(sides: &(Stretch<'_>, Stretch<'_>), walks: &mut (Walk<'_>, Walk<'_>), gap: &Gap) -> Result<Part, Error> {
    Ok(Part {
        left: sides.0.runs(&mut walks.0, gap.left.clone())?,
        right: sides.1.runs(&mut walks.1, gap.right.clone())?,
    })
}

/// Compares parts side by side and gives what is left of each, in order.
fn give(
    sides: &(Stretch<'_>, Stretch<'_>),
    mut jobs: Vec<Vec<Part>>,
    last: Vec<Part>,
    monitor: &dyn Monitor,
    each: &mut Rows<'_>,
) -> Result<(), Error> {
    if monitor.cancelled() {
        return Err(Error::Interrupted);
    }
    jobs.push(last);
    let told: Vec<Result<Vec<Texts>, Error>> = jobs.par_iter().map(|parts| differences(sides, parts)).collect();
    for (parts, texts) in jobs.iter().zip(told) {
        for (left, right) in texts? {
            for (side, text) in [(Side::Left, left), (Side::Right, right)] {
                if !text.is_empty() {
                    each(side, &text)?;
                }
            }
        }
        monitor.progress(Progress::Bytes(parts.iter().map(Part::bytes).sum()));
    }
    Ok(())
}

/// The rows of some parts that stand in one side only.
fn differences(sides: &(Stretch<'_>, Stretch<'_>), parts: &[Part]) -> Result<Vec<Texts>, Error> {
    let mut opener = Opener::new()?;
    let mut left = sides.0.texts(&mut opener, parts, |part| &part.left)?.into_iter();
    let mut right = sides.1.texts(&mut opener, parts, |part| &part.right)?.into_iter();
    let mut out = Vec::with_capacity(parts.len());
    while let (Some(mut one), Some(mut other)) = (left.next(), right.next()) {
        lines::cancel(&mut one, &mut other);
        out.push((one, other));
    }
    Ok(out)
}

impl Stretch<'_> {
    /// The runs of items within a range that the other side does not have. Ranges are asked for in order.
    fn runs(&self, walk: &mut Walk<'_>, range: Range<u32>) -> Result<Vec<Run>, Error> {
        let mut runs = Vec::new();
        let mut open: Option<Run> = None;
        while walk.place().at < range.end {
            let Some(item) = walk.next()? else { break };
            if item.place.at < range.start || self.is_shared[item.place.at as usize] {
                runs.extend(open.take());
                continue;
            }
            let run = open.get_or_insert_with(|| Run { entries: Vec::new(), first: item.place, behind: item.place });
            run.entries.push(item.entry);
            run.behind = walk.place();
        }
        runs.extend(open);
        Ok(runs)
    }

    /// For each part the rows of its runs on this side, read together.
    fn texts(
        &self,
        opener: &mut Opener,
        parts: &[Part],
        runs: impl Fn(&Part) -> &Vec<Run>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let entries: Vec<Entry> = parts.iter().flat_map(&runs).flat_map(|run| run.entries.iter().cloned()).collect();
        let mut chunks = self.tree.snapshot().chunks(opener, &entries)?.into_iter();
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            let mut text = Vec::new();
            for run in runs(part) {
                let mut reader = Reader::default();
                for chunk in chunks.by_ref().take(run.entries.len()) {
                    reader.take(self, run, &chunk, &mut |rows| {
                        text.extend_from_slice(rows);
                        Ok(())
                    })?;
                }
                reader.end(self, run, &mut |rows| {
                    text.extend_from_slice(rows);
                    Ok(())
                })?;
            }
            texts.push(text);
        }
        Ok(texts)
    }

    /// Gives the rows of a run that is too long to be read whole.
    fn long(&self, run: &Run, side: Side, monitor: &dyn Monitor, each: &mut Rows<'_>) -> Result<(), Error> {
        let mut reader = Reader::default();
        let mut hear = |rows: &[u8]| each(side, rows);
        for several in groups(&run.entries).chunks(GROUPS_AT_ONCE) {
            if monitor.cancelled() {
                return Err(Error::Interrupted);
            }
            let opened: Vec<Result<Vec<Vec<u8>>, Error>> =
                several.par_iter().map(|group| self.tree.snapshot().chunks(&mut Opener::new()?, group)).collect();
            for chunks in opened {
                for chunk in chunks? {
                    monitor.progress(Progress::Bytes(chunk.len() as u64));
                    reader.take(self, run, &chunk, &mut hear)?;
                }
            }
        }
        reader.end(self, run, &mut hear)
    }
}

/// Makes whole rows of the chunks of a run, also where a long row reaches into shared neighbours.
#[derive(Default)]
struct Reader {
    /// The beginning of a row that goes on.
    carry: Vec<u8>,
    /// The row that goes on is told by an earlier run.
    is_told: bool,
    has_begun: bool,
}

impl Reader {
    fn take(
        &mut self,
        side: &Stretch<'_>,
        run: &Run,
        mut chunk: &[u8],
        hear: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Only pieces of a long row begin within one, and those hold no other row.
        let is_one_line = memchr(b'\n', chunk).is_none_or(|first| first + 1 == chunk.len());
        if !std::mem::replace(&mut self.has_begun, true) && is_one_line {
            self.is_told = side.tree.before(run.first, side.is_shared, &mut self.carry)? == Beginning::Told;
        }
        if self.is_told {
            self.carry.clear();
            let Some(end) = memchr(b'\n', chunk) else { return Ok(()) };
            self.is_told = false;
            chunk = &chunk[end + 1..];
        }
        self.carry.extend_from_slice(chunk);
        bounded(&self.carry)?;
        let whole = memrchr(b'\n', &self.carry).map_or(0, |last| last + 1);
        if whole > 0 {
            hear(&self.carry[..whole])?;
            self.carry.drain(..whole);
        }
        Ok(())
    }

    fn end(
        mut self,
        side: &Stretch<'_>,
        run: &Run,
        hear: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.carry.is_empty() {
            return Ok(());
        }
        side.tree.after(run.behind, &mut self.carry)?;
        hear(&self.carry)
    }
}

/// Chunks that are read together, about a mebibyte of them.
fn groups(entries: &[Entry]) -> Vec<&[Entry]> {
    let (mut groups, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, entry) in entries.iter().enumerate() {
        bytes += u64::from(entry.raw_bytes);
        if bytes >= GROUP_RAW_BYTES {
            groups.push(&entries[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    if start < entries.len() {
        groups.push(&entries[start..]);
    }
    groups
}
