//! Progress: counters that work threads add to, drawn by a thread of their own.
//!
//! In: atomic counters. Out: after 250 ms a line that moves on a terminal, or JSON lines on stderr when asked for; nothing at all on a
//! pipe. Work threads never wait for the drawing. It must not know what is counted.

use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::talk;
use crate::{human, output::SCHEMA};

/// Nothing is drawn before this much time has passed: a quick command stays silent.
const APPEAR_AFTER: Duration = Duration::from_millis(250);

/// How often the line is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(66);

/// How often a JSON line is written.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// The window over which the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// How many samples of the rate window are kept.
const RATE_SAMPLES_MAX: usize = 128;

/// Where progress goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nowhere.
    Silent,
    /// A moving line on the terminal.
    Line,
    /// One JSON object per second on stderr.
    Json,
}

impl Mode {
    /// Chooses by what was asked for and whether stderr is a terminal: nothing moves on a pipe.
    pub fn choose(asked: Option<Asked>, quiet: super::Talk) -> Mode {
        match asked {
            Some(Asked::Json) => Mode::Json,
            Some(Asked::None) => Mode::Silent,
            None if quiet > super::Talk::Quiet && io::stderr().is_terminal() => Mode::Line,
            None => Mode::Silent,
        }
    }
}

/// What `--progress` can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Asked {
    /// One JSON object per second on stderr.
    Json,
    /// No progress, even on a terminal.
    None,
}

/// What has been done so far; shared with the threads that do it.
#[derive(Debug, Default)]
pub struct Counters {
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    rows: AtomicU64,
    rows_total: AtomicU64,
    phase: Mutex<String>,
}

impl Counters {
    /// Adds bytes done.
    pub fn add_bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds rows done.
    pub fn add_rows(&self, count: u64) {
        self.rows.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets how many bytes there will be; 0 means unknown.
    pub fn set_bytes_total(&self, total: u64) {
        self.bytes_total.store(total, Ordering::Relaxed);
    }

    /// Sets how many rows there will be; 0 means unknown.
    pub fn set_rows_total(&self, total: u64) {
        self.rows_total.store(total, Ordering::Relaxed);
    }

    /// Says what is being done now, for example the name of a table.
    pub fn set_phase(&self, phase: &str) {
        phase.clone_into(&mut self.phase.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How far it is.
    pub fn so_far(&self) -> SoFar {
        SoFar {
            bytes: self.bytes.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            bytes: self.bytes.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            rows_total: self.rows_total.load(Ordering::Relaxed),
            phase: self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoFar {
    /// Bytes done.
    pub bytes: u64,
    /// Bytes there will be; 0 means unknown.
    pub bytes_total: u64,
    /// Rows done.
    pub rows: u64,
}

#[derive(Clone, Debug)]
struct Sample {
    bytes: u64,
    bytes_total: u64,
    rows: u64,
    rows_total: u64,
    phase: String,
}

#[derive(Serialize)]
struct ProgressLine<'a> {
    schema: u32,
    progress: ProgressBody<'a>,
}

#[derive(Serialize)]
struct ProgressBody<'a> {
    phase: &'a str,
    bytes: u64,
    bytes_total: Option<u64>,
    rows: u64,
    rows_total: Option<u64>,
    bytes_per_second: u64,
    eta_seconds: Option<u64>,
    elapsed_ms: u64,
}

/// The drawing thread; [`Progress::finish`] (or dropping it) wipes the line and ends the thread.
#[derive(Debug)]
pub struct Progress {
    counters: Arc<Counters>,
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts drawing in the chosen mode.
    pub fn start(mode: Mode) -> Progress {
        Progress::resume(mode, Arc::default())
    }

    /// Starts drawing counters that already count, for work that goes on after a question.
    pub fn resume(mode: Mode, counters: Arc<Counters>) -> Progress {
        if mode == Mode::Silent {
            return Progress { counters, stop: None, thread: None };
        }
        let (stop, stopped) = mpsc::sync_channel(1);
        let shared = Arc::clone(&counters);
        let thread = thread::spawn(move || match mode {
            Mode::Line => draw_line(&shared, &stopped),
            Mode::Json => draw_json(&shared, &stopped),
            Mode::Silent => {}
        });
        Progress { counters, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the counters for the threads that work.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Wipes the line and waits for the drawing thread; text can be written safely afterwards.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the drawing thread has been reported by the panic hook and concerns nobody else.
            let _drawn = thread.join();
        }
    }
}

fn draw_line(counters: &Counters, stopped: &mpsc::Receiver<()>) {
    let began = Instant::now();
    if stopped.recv_timeout(APPEAR_AFTER) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let mut rate = Rate::default();
    loop {
        let sample = counters.sample();
        rate.add(began.elapsed(), sample.bytes);
        bar.set_message(line(&sample, rate.bytes_per_second()));
        bar.tick();
        if stopped.recv_timeout(DRAW_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            bar.finish_and_clear();
            return;
        }
    }
}

fn draw_json(counters: &Counters, stopped: &mpsc::Receiver<()>) {
    let began = Instant::now();
    let mut rate = Rate::default();
    loop {
        let ended = stopped.recv_timeout(JSON_INTERVAL) != Err(RecvTimeoutError::Timeout);
        let sample = counters.sample();
        rate.add(began.elapsed(), sample.bytes);
        let text = json_line(&sample, rate.bytes_per_second(), began.elapsed());
        talk(|err| writeln!(err, "{text}"));
        if ended {
            return;
        }
    }
}

/// One line for people: what, how much of how much, how fast, how long still.
fn line(sample: &Sample, bytes_per_second: u64) -> String {
    let mut parts = Vec::new();
    if !sample.phase.is_empty() {
        parts.push(super::table::printable(&sample.phase));
    }
    let done = human::bytes(sample.bytes);
    match percent(sample) {
        Some(percent) => parts.push(format!("{percent:>3}%  {done} of {}", human::bytes(sample.bytes_total))),
        None => parts.push(done),
    }
    if sample.rows > 0 {
        parts.push(human::things(sample.rows, ["row", "rows"]));
    }
    if bytes_per_second > 0 {
        parts.push(format!("{}/s", human::bytes(bytes_per_second)));
    }
    if let Some(seconds) = eta_seconds(sample, bytes_per_second) {
        parts.push(format!("{} left", human::duration(Duration::from_secs(seconds))));
    }
    parts.join("  ")
}

fn json_line(sample: &Sample, bytes_per_second: u64, elapsed: Duration) -> String {
    let known = |total: u64| (total > 0).then_some(total);
    let body = ProgressBody {
        phase: &sample.phase,
        bytes: sample.bytes,
        bytes_total: known(sample.bytes_total),
        rows: sample.rows,
        rows_total: known(sample.rows_total),
        bytes_per_second,
        eta_seconds: eta_seconds(sample, bytes_per_second),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    serde_json::to_string(&ProgressLine { schema: SCHEMA, progress: body }).unwrap_or_default()
}

fn percent(sample: &Sample) -> Option<u64> {
    if sample.bytes_total == 0 {
        return None;
    }
    let percent = u128::from(sample.bytes.min(sample.bytes_total)) * 100 / u128::from(sample.bytes_total);
    u64::try_from(percent).ok()
}

fn eta_seconds(sample: &Sample, bytes_per_second: u64) -> Option<u64> {
    if sample.bytes_total == 0 || bytes_per_second == 0 {
        return None;
    }
    Some(sample.bytes_total.saturating_sub(sample.bytes).div_ceil(bytes_per_second))
}

/// The rate over the last seconds, so that a slow start does not spoil the forecast for an hour.
#[derive(Debug, Default)]
struct Rate {
    samples: std::collections::VecDeque<(Duration, u64)>,
}

impl Rate {
    fn add(&mut self, at: Duration, bytes: u64) {
        self.samples.push_back((at, bytes));
        while self.samples.len() > RATE_SAMPLES_MAX
            || self.samples.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) > RATE_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn bytes_per_second(&self) -> u64 {
        let (Some((first_at, first)), Some((last_at, last))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let window_ms = last_at.saturating_sub(*first_at).as_millis();
        if window_ms == 0 {
            return 0;
        }
        u64::try_from(u128::from(last.saturating_sub(*first)) * 1000 / window_ms).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Asked, Counters, Mode, Progress, RATE_SAMPLES_MAX, Rate, json_line, line};
    use crate::term::Talk;

    fn counters() -> Counters {
        let counters = Counters::default();
        counters.set_phase("public.users");
        counters.add_bytes(256 << 20);
        counters.add_rows(1_234_567);
        counters
    }

    #[test]
    fn the_line_says_what_how_much_how_fast_and_how_long() {
        let counters = counters();
        assert_eq!(line(&counters.sample(), 0), "public.users  256.0 MiB  1,234,567 rows");
        counters.set_bytes_total(1 << 30);
        assert_eq!(
            line(&counters.sample(), 64 << 20),
            "public.users   25%  256.0 MiB of 1.0 GiB  1,234,567 rows  64.0 MiB/s  12.0 s left"
        );
    }

    #[test]
    fn the_json_line_has_its_fields_and_unknown_totals_are_null() {
        let value: serde_json::Value =
            serde_json::from_str(&json_line(&counters().sample(), 5, Duration::from_millis(1500))).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"schema": 1, "progress": {"phase": "public.users", "bytes": 268_435_456, "bytes_total": null,
                "rows": 1_234_567, "rows_total": null, "bytes_per_second": 5, "eta_seconds": null, "elapsed_ms": 1500}})
        );
    }

    #[test]
    fn the_rate_forgets_what_is_long_ago_and_stays_bounded() {
        let mut rate = Rate::default();
        assert_eq!(rate.bytes_per_second(), 0);
        for second in 0..100 {
            rate.add(Duration::from_secs(second), if second < 50 { 0 } else { (second - 50) * 1000 });
        }
        assert_eq!(rate.bytes_per_second(), 1000);
        for millisecond in 0..1000 {
            rate.add(Duration::from_secs(100) + Duration::from_millis(millisecond), 0);
        }
        assert!(rate.samples.len() <= RATE_SAMPLES_MAX);
    }

    #[test]
    fn silence_is_chosen_by_quiet_and_by_request() {
        assert_eq!(Mode::choose(Some(Asked::Json), Talk::Quiet), Mode::Json);
        assert_eq!(Mode::choose(Some(Asked::None), Talk::Verbose), Mode::Silent);
        assert_eq!(Mode::choose(None, Talk::Quiet), Mode::Silent);
    }

    #[test]
    fn a_drawing_thread_ends_when_told_in_every_mode() {
        for mode in [Mode::Silent, Mode::Line, Mode::Json] {
            let progress = Progress::start(mode);
            progress.counters().add_bytes(1);
            progress.finish();
        }
    }
}
