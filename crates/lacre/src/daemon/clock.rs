//! When what is due: the next moment of each task, its delay drawn at random, and what was missed while nobody was there.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::memory::Done;
use crate::{config::operate::TaskKind, schedule::cron::Cron};

/// When each task comes next.
pub struct Timetable {
    zone: TimeZone,
    tasks: Vec<(TaskKind, Cron)>,
    jitter: Duration,
    catch_up: Duration,
    /// A number below the first for each draw.
    random: fn(u64) -> u64,
    upcoming: Vec<(TaskKind, Timestamp)>,
}

impl Timetable {
    /// Makes the timetable as it stands at this moment: what was missed comes first.
    pub fn new(
        zone: TimeZone,
        tasks: Vec<(TaskKind, Cron)>,
        (jitter, catch_up): (Duration, Duration),
        random: fn(u64) -> u64,
        now: Timestamp,
        done: &Done,
    ) -> Timetable {
        let mut timetable = Timetable { zone, tasks, jitter, catch_up, random, upcoming: Vec::new() };
        timetable.draw(now, done);
        timetable
    }

    /// What is due, the most important first.
    pub fn due(&self, now: Timestamp, _done: &Done) -> Option<TaskKind> {
        self.upcoming.iter().filter(|(_, at)| *at <= now).map(|(task, _)| *task).min()
    }

    /// What comes next.
    pub fn next(&self) -> Option<(TaskKind, Timestamp)> {
        self.upcoming.iter().min_by_key(|(task, at)| (*at, *task)).copied()
    }

    /// Draws the next moment of each task that has none ahead.
    pub fn draw(&mut self, now: Timestamp, done: &Done) {
        let mut upcoming = Vec::new();
        for (task, cron) in &self.tasks {
            let last = done.last(*task);
            // A moment that was drawn before and lies ahead stands, with its delay.
            let standing = self.upcoming.iter().find(|(known, at)| known == task && last.is_none_or(|last| *at > last));
            let at = match standing {
                Some((_, at)) => Some(*at),
                None if self.is_missed(cron, last, now) => Some(now),
                None => cron.after(last.map_or(now, |last| last.max(now)), &self.zone).map(|at| at + self.delay()),
            };
            upcoming.extend(at.map(|at| (*task, at)));
        }
        self.upcoming = upcoming;
    }

    /// Whether a moment passed since the task was last done, not too long ago to make up for.
    fn is_missed(&self, cron: &Cron, last: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(last) = last else { return false };
        let allowed = SignedDuration::try_from(self.catch_up).unwrap_or(SignedDuration::MAX);
        let from = now.checked_sub(allowed).unwrap_or(Timestamp::MIN).max(last);
        !self.catch_up.is_zero() && cron.after(from, &self.zone).is_some_and(|at| at <= now)
    }

    fn delay(&self) -> SignedDuration {
        let most = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        let drawn = if most == 0 { 0 } else { (self.random)(most) };
        SignedDuration::from_millis(i64::try_from(drawn).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{Timestamp, tz::TimeZone};

    use super::Timetable;
    use crate::{config::operate::TaskKind, daemon::memory::Done, schedule::cron::Cron};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn table(jitter: Duration, catch_up: Duration, done: &Done, now: &str) -> Timetable {
        let cron = |text: &str| Cron::parse(text).unwrap();
        let tasks = vec![(TaskKind::Backup, cron("0 3 * * *")), (TaskKind::Status, cron("15 * * * *"))];
        Timetable::new(TimeZone::UTC, tasks, (jitter, catch_up), |most| most / 2, at(now), done)
    }

    #[test]
    fn the_first_start_makes_up_for_nothing() {
        let done = Done::in_memory();
        let table = table(Duration::ZERO, HOUR * 24, &done, "2026-11-20T12:00:00Z");
        assert_eq!(table.due(at("2026-11-20T12:00:00Z"), &done), None);
        assert_eq!(table.next(), Some((TaskKind::Status, at("2026-11-20T12:15:00Z"))));
    }

    #[test]
    fn what_was_missed_comes_first_unless_it_is_too_old() {
        let mut done = Done::in_memory();
        done.note(TaskKind::Backup, at("2026-11-19T03:00:00Z"));
        done.note(TaskKind::Status, at("2026-11-20T11:15:00Z"));
        let now = at("2026-11-20T12:00:00Z");
        assert_eq!(
            table(Duration::ZERO, HOUR * 24, &done, "2026-11-20T12:00:00Z").due(now, &done),
            Some(TaskKind::Backup)
        );
        assert_eq!(table(Duration::ZERO, HOUR * 8, &done, "2026-11-20T12:00:00Z").due(now, &done), None);
        assert_eq!(table(Duration::ZERO, Duration::ZERO, &done, "2026-11-20T12:00:00Z").due(now, &done), None);
    }

    #[test]
    fn a_run_that_was_made_leads_to_the_next_one_with_a_delay_of_its_own() {
        let mut done = Done::in_memory();
        let mut table = table(Duration::from_secs(600), HOUR, &done, "2026-11-20T02:59:00Z");
        let delayed = at("2026-11-20T03:05:00Z");
        assert_eq!(table.due(at("2026-11-20T03:04:59Z"), &done), None);
        assert_eq!(table.due(delayed, &done), Some(TaskKind::Backup));
        done.note(TaskKind::Backup, delayed);
        table.draw(delayed, &done);
        assert_eq!(table.due(delayed, &done), None);
        assert_eq!(table.next(), Some((TaskKind::Status, at("2026-11-20T03:20:00Z"))));
    }
}
