//! The disk of a repository in a folder: how much is free, and when it will be full.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use lacre_repo::op::snapshots::SnapshotRow;

/// How far back growth is looked at.
const WINDOW: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Growth is not judged from less than this.
const SPAN_MIN: SignedDuration = SignedDuration::from_hours(48);

/// Room on a disk, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Free for this user.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Asks the kernel about the disk of a folder, or of the nearest folder above that exists.
///
/// # Errors
/// What the kernel says.
pub fn space(path: &Path) -> std::io::Result<Space> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let found = rustix::fs::statvfs(existing)?;
    Ok(Space {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// Ten years, days: what lies beyond nobody can tell from some weeks.
const FORESEEN_DAYS: f64 = 3_652.5;

/// Days as far as anybody can tell.
pub fn foreseen(days: f64) -> f64 {
    days.min(FORESEEN_DAYS)
}

/// When a disk will be full, in words.
pub fn forecast(days: f64) -> String {
    if days > FORESEEN_DAYS {
        return "not within ten years".to_owned();
    }
    format!("full in about {}", crate::human::things(crate::human::whole(days.round()), ["day", "days"]))
}

/// Days until so much room is used up, if the repository goes on as it did lately; nothing where that cannot be said.
pub fn days_to_full(rows: &[SnapshotRow], free: u64, now: Timestamp) -> Option<f64> {
    let from = now.checked_sub(WINDOW).ok()?;
    let recent: Vec<(Timestamp, u64)> = rows
        .iter()
        .filter_map(|row| Some((Timestamp::from_millisecond(row.taken.0).ok()?, row.label.as_ref()?.stored)))
        .filter(|(at, _)| *at >= from && *at <= now)
        .collect();
    // The first one of the window may have stored everything; growth is what came after it.
    let ((first, _), later) = recent.split_first()?;
    let span = now.duration_since(*first);
    if later.is_empty() || span < SPAN_MIN {
        return None;
    }
    let stored: u64 = later.iter().map(|(_, stored)| *stored).sum();
    let days = span.as_secs_f64() / 86_400.0;
    (stored > 0).then(|| free as f64 / (stored as f64 / days))
}

#[cfg(test)]
mod tests {
    use super::{forecast, foreseen};

    #[test]
    fn nobody_foresees_more_than_ten_years() {
        assert_eq!(forecast(12.4), "full in about 12 days");
        assert_eq!(forecast(3_652.0), "full in about 3,652 days");
        assert_eq!(forecast(284_912.0), "not within ten years");
        assert_eq!((foreseen(12.4), foreseen(284_912.0)), (12.4, 3_652.5));
        assert_eq!(forecast(f64::INFINITY), "not within ten years");
    }
}
