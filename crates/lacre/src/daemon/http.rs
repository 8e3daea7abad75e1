//! `/healthz` and `/metrics` on the loopback: two small answers, one connection at a time, everything bounded.
//!
//! In: the daemon's condition and the metrics file its commands write. Out: HTTP/1.0. It changes nothing and knows no secret.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{Condition, SharedCondition, is_bad, with};
use crate::metrics::{self, Metric};

/// The longest request that is read, bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the end is looked for.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest metrics file that is handed on, bytes.
const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is served.
pub struct Pages {
    /// What the daemon is doing.
    pub condition: SharedCondition,
    /// Where its commands write their metrics.
    pub textfile: PathBuf,
}

/// Serves until it is over.
pub fn serve(listener: &TcpListener, pages: &Pages, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        match listener.accept() {
            // A client that went away or made no sense is not the daemon's trouble.
            Ok((stream, _)) => drop(answer(stream, pages)),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn answer(mut stream: TcpStream, pages: &Pages) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut piece = [0_u8; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            break;
        }
        request.extend_from_slice(&piece[..count]);
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/healthz") => health(pages),
        ("GET" | "HEAD", "/metrics") => ("200 OK", numbers(pages)),
        ("GET" | "HEAD", _) => ("404 Not Found", "there is /healthz and /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET only\n".to_owned()),
    };
    let kind = if path.starts_with("/metrics") { "text/plain; version=0.0.4" } else { "text/plain" };
    write!(
        stream,
        "HTTP/1.0 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    if method != "HEAD" {
        stream.write_all(body.as_bytes())?;
    }
    stream.flush()
}

/// Well, as long as no task's last run failed.
fn health(pages: &Pages) -> (&'static str, String) {
    let condition = with(&pages.condition, |condition| condition.clone());
    let bad: Vec<String> = condition
        .ended
        .iter()
        .filter(|(_, _, code)| is_bad(*code))
        .map(|(task, at, code)| format!("{} ended with exit {code} at {at:.0}\n", task.name()))
        .collect();
    if bad.is_empty() { ("200 OK", "ok\n".to_owned()) } else { ("503 Service Unavailable", bad.concat()) }
}

fn numbers(pages: &Pages) -> String {
    let condition = with(&pages.condition, |condition| condition.clone());
    let mut text = metrics::text(&of_daemon(&condition));
    let is_short = fs::metadata(&pages.textfile).is_ok_and(|metadata| metadata.len() <= METRICS_BYTES_MAX);
    if is_short {
        text.push_str(&fs::read_to_string(&pages.textfile).unwrap_or_default());
    }
    text
}

fn of_daemon(condition: &Condition) -> Vec<Metric> {
    let seconds = |at: jiff::Timestamp| at.as_millisecond() as f64 / 1000.0;
    let mut all = vec![
        Metric::new("lacre_daemon_commands", "Commands the daemon started.", condition.started as f64),
        Metric::new("lacre_daemon_commands_failed", "Commands of them that failed.", condition.failed as f64),
    ];
    for (task, at, code) in &condition.ended {
        let ended = Metric::new(
            "lacre_daemon_last_end_timestamp_seconds",
            "When a task last ended, seconds since 1970.",
            seconds(*at),
        );
        let exit = Metric::new("lacre_daemon_last_exit", "Exit code of a task's last run.", f64::from(*code));
        all.extend([ended.with("task", task.name()), exit.with("task", task.name())]);
    }
    if let Some((task, at)) = condition.next {
        let next = Metric::new(
            "lacre_daemon_next_timestamp_seconds",
            "When the next task begins, seconds since 1970.",
            seconds(at),
        );
        all.push(next.with("task", task.name()));
    }
    all
}
