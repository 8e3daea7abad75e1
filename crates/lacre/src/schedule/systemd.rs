//! systemd units: a service for each task, shut in as far as a backup can be, and a timer that starts it.
//!
//! In: where things lie, what may be written, when things happen. Out: file names and texts. Nothing is installed.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use super::{cron::Cron, crontab::Place};
use crate::config::operate::TaskKind;

/// What the units need to know besides the schedule.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the program, configuration and home lie.
    pub place: Place,
    /// The user that runs it.
    pub user: Option<String>,
    /// Folders it writes into.
    pub writes: Vec<PathBuf>,
    /// Names of systemd credentials that the configuration asks for.
    pub credentials: Vec<String>,
    /// The time zone of the schedule.
    pub zone: Option<String>,
    /// How much later a run may start.
    pub jitter: Duration,
    /// Whether a missed run is made up for.
    pub persistent: bool,
}

/// A unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What every service is shut in by. Programs that a backup starts (`pg_dump`, commands of jobs, hooks) are inside the same walls.
const WALLS: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
KeyringMode=private
UMask=0077
LimitCORE=0
";

/// Makes a service and a timer for each task.
pub fn units(around: &Surroundings, tasks: &[(TaskKind, Cron)]) -> Vec<Unit> {
    tasks.iter().flat_map(|(task, cron)| [service(around, *task), timer(around, *task, cron)]).collect()
}

fn what(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Backup => "take every job's snapshot, then retention, copies and notifications",
        TaskKind::Status => "look at the backups and tell when something is overdue",
        TaskKind::Check => "audit the repository",
        TaskKind::Prune => "give back what no snapshot needs",
        TaskKind::Drill => "rehearse a restore",
    }
}

fn service(around: &Surroundings, task: TaskKind) -> Unit {
    let mut text = format!("# Made by `lacre schedule systemd`.\n[Unit]\nDescription=Lacre: {}\n", what(task));
    text.push_str("Documentation=man:lacre(1)\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\n");
    let mut line = |name: &str, value: &str| writeln!(text, "{name}={value}").expect("writing to a string cannot fail");
    let words: Vec<String> = around.place.words(task).iter().map(|word| quoted(word)).collect();
    line("ExecStart", &words.join(" "));
    line("SuccessExitStatus", "3");
    line("TimeoutStartSec", "infinity");
    if let Some(user) = &around.user {
        line("User", user);
    }
    for folder in &around.writes {
        line("ReadWritePaths", &format!("-{}", quoted(&folder.display().to_string())));
    }
    for name in &around.credentials {
        line("LoadCredential", &format!("{name}:/etc/lacre/credentials/{name}"));
    }
    line("Nice", "10");
    line("IOSchedulingClass", "best-effort");
    line("IOSchedulingPriority", "7");
    text.push_str(WALLS);
    Unit { name: format!("lacre-{}.service", task.name()), text }
}

fn timer(around: &Surroundings, task: TaskKind, cron: &Cron) -> Unit {
    let mut text =
        format!("# Made by `lacre schedule systemd`.\n[Unit]\nDescription=Lacre: {}\n\n[Timer]\n", what(task));
    for calendar in cron.calendars(around.zone.as_deref()) {
        text.push_str(&format!("OnCalendar={calendar}\n"));
    }
    text.push_str(&format!("RandomizedDelaySec={}\n", around.jitter.as_secs()));
    text.push_str(&format!("Persistent={}\n", if around.persistent { "yes" } else { "no" }));
    text.push_str("AccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n");
    Unit { name: format!("lacre-{}.timer", task.name()), text }
}

/// A word as systemd reads it back: quoted where it must be, with its own signs doubled.
fn quoted(word: &str) -> String {
    let doubled = word.replace('%', "%%").replace('$', "$$");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=@:+%$".contains(&byte);
    if !doubled.is_empty() && doubled.bytes().all(is_plain) {
        return doubled;
    }
    format!("\"{}\"", doubled.replace('\\', "\\\\").replace('"', "\\\""))
}
