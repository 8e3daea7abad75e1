//! The built-in scheduler: for containers, where nobody else starts things.
//!
//! In: cron expressions, a time zone, a folder to remember what was done. Out: commands of this very program, one at a time, each in a
//! process of its own, so that one that dies takes nothing with it. It knows when, never what.

pub mod clock;
pub mod http;
pub mod memory;

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use self::{clock::Timetable, memory::Done};
use crate::{
    config::operate::{Daemon, TaskKind},
    error::CliError,
    exit::Exit,
    process::Interrupt,
    run::journal::{Journal, Level},
    schedule::crontab::Place,
};

/// How often the daemon looks at the clock, its child and the signals.
const PAUSE: Duration = Duration::from_millis(200);

/// What the daemon is doing, for `/healthz` and `/metrics`.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// What is running.
    pub running: Option<TaskKind>,
    /// The end of the last run of each task: when, and with which exit code.
    pub ended: Vec<(TaskKind, Timestamp, u8)>,
    /// What comes next, and when.
    pub next: Option<(TaskKind, Timestamp)>,
    /// Commands started.
    pub started: u64,
    /// Commands of them that failed.
    pub failed: u64,
}

impl Condition {
    fn note_end(&mut self, task: TaskKind, at: Timestamp, code: u8) {
        self.ended.retain(|(known, ..)| *known != task);
        self.ended.push((task, at, code));
        self.running = None;
        self.failed += u64::from(is_bad(code));
    }
}

/// Findings are no failure: the work was done.
pub(crate) fn is_bad(code: u8) -> bool {
    code != Exit::Done.code() && code != Exit::Findings.code()
}

/// What several threads look at.
pub type SharedCondition = Arc<Mutex<Condition>>;

/// The condition, whatever became of the thread that held it.
pub fn with<T>(condition: &SharedCondition, work: impl FnOnce(&mut Condition) -> T) -> T {
    work(&mut condition.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A daemon.
pub struct Scheduler<'a> {
    /// When things happen.
    pub timetable: Timetable,
    /// What was done, kept over restarts.
    pub done: Done,
    /// How commands are started.
    pub place: &'a Place,
    /// Variables that commands get besides the daemon's own.
    pub variables: Vec<(String, String)>,
    /// Its settings.
    pub settings: &'a Daemon,
    /// Its log.
    pub journal: &'a Journal,
    /// Raised when it is to end.
    pub interrupt: &'a Interrupt,
    /// What it is doing.
    pub condition: SharedCondition,
    /// It ends after so many commands.
    pub runs_max: Option<u64>,
}

impl Scheduler<'_> {
    /// Follows the timetable until it is told to end; a command under way is told to end in order.
    ///
    /// # Errors
    /// A command that cannot be started at all.
    pub fn follow(&mut self) -> Result<(), CliError> {
        if self.settings.backup_on_start {
            self.run(TaskKind::Backup)?;
        }
        while !self.interrupt.raised() && !self.is_over() {
            let now = Timestamp::now();
            match self.timetable.due(now, &self.done) {
                Some(task) => {
                    // Noted before it runs: one that kills the machine must not be made up for again and again.
                    self.done.note(task, now);
                    self.keep();
                    self.timetable.draw(now, &self.done);
                    self.run(task)?;
                }
                None => {
                    let next = self.timetable.next();
                    with(&self.condition, |condition| condition.next = next);
                    thread::sleep(PAUSE);
                }
            }
        }
        self.journal.note(Level::Info, "daemon", "the daemon ends", &[]);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.runs_max.is_some_and(|most| with(&self.condition, |condition| condition.started) >= most)
    }

    fn keep(&self) {
        if let Err(error) = self.done.save() {
            self.journal.note(Level::Warning, "daemon", &format!("what was done cannot be noted: {error}"), &[]);
        }
    }

    fn run(&mut self, task: TaskKind) -> Result<(), CliError> {
        let words = self.place.words(task);
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        self.journal.note(Level::Info, "daemon", &format!("{} begins", task.name()), &[]);
        with(&self.condition, |condition| {
            condition.running = Some(task);
            condition.started += 1;
        });
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        let mut child = Command::new(program)
            .args(arguments)
            .envs(variables)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| CliError::io(format!("cannot start {program}"), &error))?;
        let code = self.wait(&mut child)?;
        with(&self.condition, |condition| condition.note_end(task, Timestamp::now(), code));
        let level = if is_bad(code) { Level::Error } else { Level::Info };
        let message = format!("{} ended with exit {code}", task.name());
        self.journal.note(level, "daemon", &message, &[("exit", code.into())]);
        Ok(())
    }

    /// Waits for a command; when the daemon is to end, the command is given its grace and then told.
    fn wait(&self, child: &mut Child) -> Result<u8, CliError> {
        let mut asked_at: Option<Instant> = None;
        let mut is_told = false;
        loop {
            let status = child.try_wait().map_err(|error| CliError::io("cannot wait for a command", &error))?;
            if let Some(status) = status {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(code.unwrap_or(Exit::Interrupted.code()));
            }
            if self.interrupt.raised() {
                let since = *asked_at.get_or_insert_with(Instant::now);
                if !is_told && since.elapsed() >= self.settings.grace {
                    is_told = true;
                    tell_to_end(child);
                }
            }
            thread::sleep(PAUSE / 4);
        }
    }
}

/// The command abandons what is under way and says so in the repository; nothing half-done becomes visible.
fn tell_to_end(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _it_may_have_ended_this_very_moment = kill_process(pid, Signal::TERM);
    }
}
