//! What is usual for a job, and whether its newest snapshot is far from it.
//!
//! In: a job's snapshots, oldest first. Out: medians of their sizes and row counts, and how far the newest one is off. Pure functions.

use lacre_format::header::Label;
use lacre_repo::op::snapshots::{SnapshotRow, SnapshotState};

use crate::human;

/// How many snapshots before the newest say what is usual.
const SNAPSHOTS_MAX: usize = 14;
/// A job that is younger than this many snapshots grows as it likes.
const GROWTH_SNAPSHOTS_MIN: usize = 3;
/// Below this, a difference in bytes or rows says nothing.
const BYTES_MIN: u64 = 4096;
const ROWS_MIN: u64 = 10;

/// What is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Bytes of all streams.
    pub bytes: u64,
    /// Rows of all row streams.
    pub rows: u64,
    /// How many snapshots this is taken from.
    pub snapshots: usize,
}

/// How far a snapshot may be off.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most it may fall, as a fraction.
    pub shrink: f64,
    /// Most it may rise, as a fraction.
    pub growth: f64,
}

/// Which way a snapshot is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Less than usual.
    Shrunk,
    /// More than usual.
    Grown,
}

/// How a snapshot is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Which way.
    pub way: Way,
    /// In words: `rows 120 instead of about 1,000`.
    pub what: String,
}

/// The live snapshots of a job, oldest first.
pub fn of_job<'a>(rows: &'a [SnapshotRow], job: &str) -> Vec<&'a SnapshotRow> {
    let is_of_job = |row: &&SnapshotRow| {
        row.state == SnapshotState::Live && row.label.as_ref().is_some_and(|label| label.job.as_str() == job)
    };
    rows.iter().filter(is_of_job).collect()
}

/// What was usual before the newest of these snapshots; nothing when it is the first.
pub fn usual(labels: &[&Label]) -> Option<Usual> {
    let (_, before) = labels.split_last()?;
    let before = &before[before.len().saturating_sub(SNAPSHOTS_MAX)..];
    let median = |of: fn(&Label) -> u64| {
        let mut values: Vec<u64> = before.iter().map(|label| of(label)).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    Some(Usual { bytes: median(|label| label.bytes)?, rows: median(|label| label.rows)?, snapshots: before.len() })
}

/// How the newest of a job's snapshots is off, if it is.
pub fn deviation(rows: &[&SnapshotRow], bounds: Bounds) -> Option<Deviation> {
    let labels: Vec<&Label> = rows.iter().filter_map(|row| row.label.as_ref()).collect();
    let (newest, usual) = (labels.last()?, usual(&labels)?);
    let size = (newest.bytes, usual.bytes, BYTES_MIN);
    let count = (newest.rows, usual.rows, ROWS_MIN);
    for way in [Way::Shrunk, Way::Grown] {
        if way == Way::Grown && usual.snapshots < GROWTH_SNAPSHOTS_MIN {
            continue;
        }
        let what = if is_off(count, bounds, way) {
            format!("rows {} instead of about {}", human::count(newest.rows), human::count(usual.rows))
        } else if is_off(size, bounds, way) {
            format!("size {} instead of about {}", human::bytes(newest.bytes), human::bytes(usual.bytes))
        } else {
            continue;
        };
        return Some(Deviation { way, what });
    }
    None
}

fn is_off((now, usual, least): (u64, u64, u64), bounds: Bounds, way: Way) -> bool {
    let fraction = |number: u64| number as f64;
    if now.abs_diff(usual) < least {
        return false;
    }
    match way {
        Way::Shrunk => fraction(now) < fraction(usual) * (1.0 - bounds.shrink),
        Way::Grown => fraction(now) > fraction(usual) * (1.0 + bounds.growth),
    }
}

#[cfg(test)]
mod tests {
    use lacre_format::{header::Label, ids::JobName};

    use super::{Bounds, Way, is_off, usual};

    fn label(bytes: u64, rows: u64) -> Label {
        let job = JobName::parse("astro").unwrap();
        Label { job, bytes, rows, streams: 1, cuts: Vec::new(), tags: Vec::new(), stored: 0 }
    }

    #[test]
    fn what_is_usual_is_the_median_of_the_last_ones() {
        let labels: Vec<Label> =
            [900, 10, 100, 102, 104, 98, 100].iter().map(|rows| label(rows * 1000, *rows)).collect();
        let labels: Vec<&Label> = labels.iter().collect();
        let usual = usual(&labels).unwrap();
        assert_eq!((usual.rows, usual.bytes, usual.snapshots), (102, 102_000, 6));
        assert!(super::usual(&labels[..1]).is_none());
    }

    #[test]
    fn small_differences_say_nothing() {
        let bounds = Bounds { shrink: 0.2, growth: 3.0 };
        assert!(is_off((79, 100, 10), bounds, Way::Shrunk) && !is_off((81, 100, 10), bounds, Way::Shrunk));
        assert!(!is_off((1, 9, 10), bounds, Way::Shrunk));
        assert!(is_off((401, 100, 10), bounds, Way::Grown) && !is_off((399, 100, 10), bounds, Way::Grown));
    }
}
