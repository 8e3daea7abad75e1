//! `/healthz` and `/metrics` on the loopback: two small answers.
//!
//! In: the daemon's condition and the metrics file its commands write. Out: pages. It changes nothing and knows no secret.

use std::{fs, path::PathBuf};

use super::{Condition, SharedCondition, is_bad, with};
use crate::{
    http::{Answer, Request, Site},
    metrics::{self, Metric},
};

/// The longest metrics file that is handed on, bytes.
const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is served.
pub struct Pages {
    /// What the daemon is doing.
    pub condition: SharedCondition,
    /// Where its commands write their metrics.
    pub textfile: PathBuf,
}

impl Site for Pages {
    fn answer(&self, request: &Request) -> Answer {
        match request.path.as_str() {
            "/healthz" => {
                let (status, body) = health(self);
                Answer::text(status, body)
            }
            "/metrics" => Answer { kind: "text/plain; version=0.0.4", ..Answer::text("200 OK", numbers(self)) },
            _ => Answer::text("404 Not Found", "there is /healthz and /metrics\n"),
        }
    }
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
