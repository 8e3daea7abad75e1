//! PostgreSQL's client programs as children: started clean, watched, and killed as a group.
//!
//! In: a program, its arguments, a target. Out: its standard output and how it ended. The child gets an environment built from nothing,
//! a process group of its own (Ctrl-C reaches only us, and a kill reaches all of it), no terminal to ask passwords on, and the password
//! through a memory file, which leaves nothing on disk, in argv, or in `/proc/PID/environ`.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    error::{Error, Result},
    limits,
    memory_file::{MemoryFile, spawn_with},
    report::Watch,
    target::Target,
};

/// What a child is asked to do.
pub struct Task<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments; never a secret, never a connection string.
    pub arguments: Vec<String>,
    /// Where it connects.
    pub target: &'a Target,
    /// Server settings it must work under.
    pub settings: &'a [(&'a str, &'a str)],
    /// Files it may open under their [`MemoryFile::path`].
    pub files: &'a [&'a MemoryFile],
    /// Which lines of its standard error are kept; [`every_line`] for all.
    pub keep: fn(&[u8]) -> bool,
}

/// Keeps whatever a program says.
pub fn every_line(_line: &[u8]) -> bool {
    true
}

/// A running program. Dropping it kills its whole group.
pub struct Running {
    name: String,
    child: Child,
    stderr: Option<JoinHandle<Tail>>,
    watcher: Option<JoinHandle<()>>,
    state: Arc<State>,
    reaped: bool,
}

#[derive(Default)]
struct State {
    done: Mutex<bool>,
    changed: Condvar,
    cancelled: AtomicBool,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit status or signal.
    pub status: ExitStatus,
    /// What it said on standard error: beginning and end, bounded.
    pub stderr: String,
    /// It was killed because a person interrupted.
    pub cancelled: bool,
}

impl Ended {
    /// The status in words.
    pub fn status_text(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "unknown status".to_owned(),
        }
    }

    /// The last lines of standard error, for messages.
    pub fn stderr_tail(&self) -> String {
        let lines: Vec<&str> = self.stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let from = lines.len().saturating_sub(5);
        let tail = lines.get(from..).unwrap_or_default().join(" | ");
        if tail.is_empty() { "it said nothing".to_owned() } else { tail }
    }
}

impl Running {
    /// Starts a program whose output is read through its standard output.
    ///
    /// # Errors
    /// [`Error::Spawn`], [`Error::Io`].
    pub fn start(task: &Task<'_>, watch: &Arc<dyn Watch>) -> Result<(Self, Gulps)> {
        let name = task.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let failed = |source| Error::Spawn { tool: task.program.display().to_string(), source };
        let passfile = task.target.password().map(|password| passfile(&password)).transpose()?;
        let mut command = Command::new(task.program);
        command.args(&task.arguments).env_clear().envs(task.target.child_variables(task.settings));
        // Without a password a file that cannot exist is named, so that the child does not find one we decided to ignore; libpq warns
        // about /dev/null itself.
        command.env("PGPASSFILE", passfile.as_ref().map_or("/dev/null/none".to_owned(), MemoryFile::path));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let files: Vec<&MemoryFile> = task.files.iter().copied().chain(passfile.as_ref()).collect();
        let mut child = spawn_with(&mut command, &files).map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(std::io::Error::other("its output is not connected")));
        };
        widen(&stdout);
        let keep = task.keep;
        let stderr = std::thread::Builder::new()
            .name("lacre-stderr".to_owned())
            .spawn(move || Tail::read(stderr, keep))
            .map_err(failed)?;
        let state = Arc::new(State::default());
        let watcher = watch_over(child.id(), Arc::clone(&state), Arc::clone(watch)).map_err(failed)?;
        Ok((
            Self { name, child, stderr: Some(stderr), watcher: Some(watcher), state, reaped: false },
            Gulps { pipe: stdout },
        ))
    }

    /// Waits for the end. Its standard output must have been read to the end or closed before.
    ///
    /// # Errors
    /// [`Error::Io`] when the operating system does not say how it ended.
    pub fn wait(mut self) -> Result<Ended> {
        let status =
            self.child.wait().map_err(|source| Error::Io { doing: format!("waiting for {}", self.name), source })?;
        self.reaped = true;
        self.state.finish();
        let stderr = self.stderr.take().map(|thread| thread.join().unwrap_or_default()).unwrap_or_default();
        Ok(Ended { status, stderr: stderr.text(), cancelled: self.state.cancelled.load(Ordering::SeqCst) })
    }

    /// Kills the whole group, then waits. For use before its standard output or input is closed on a failure.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn kill(self) -> Result<Ended> {
        kill_group(self.child.id());
        self.wait()
    }

    /// The error that describes a bad end.
    pub fn failed(name: &str, target: &Target, ended: &Ended) -> Error {
        if ended.cancelled {
            return Error::Cancelled(format!("{name} was running"));
        }
        classify(name, &target.to_string(), target.user(), ended)
    }
}

/// Sorts what a program said into the errors that have their own advice.
fn classify(name: &str, target: &str, user: &str, ended: &Ended) -> Error {
    let stderr = ended.stderr.as_str();
    let why = ended.stderr_tail();
    if stderr.contains("password authentication failed")
        || stderr.contains("no password supplied")
        || stderr.contains("no pg_hba.conf entry")
    {
        return Error::AuthFailed { target: target.to_owned(), user: user.to_owned(), why };
    }
    let gone = [
        "server closed the connection unexpectedly",
        "terminating connection",
        "no connection to the server",
        "could not receive data from server",
        "SSL SYSCALL error",
        "could not connect to server",
        "connection to server",
    ];
    if gone.iter().any(|text| stderr.contains(text)) {
        return Error::ServerGone { doing: format!("{name} was running"), target: target.to_owned(), why };
    }
    Error::ToolFailed { tool: name.to_owned(), target: target.to_owned(), status: ended.status_text(), stderr: why }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            kill_group(self.child.id());
            // The group was killed; only the operating system could make this wait fail, and then nobody is left to tell.
            drop(self.child.wait());
        }
        self.state.finish();
        if let Some(watcher) = self.watcher.take() {
            drop(watcher.join());
        }
    }
}

impl State {
    fn finish(&self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// A program's output, read in gulps.
///
/// The programs write a few kilobytes at a time, and a reader that is as quick as they are is woken for each of them: tens of thousands of
/// switches a second on a machine that has other things to do. After a small read this one lets the wide pipe fill for a moment.
pub struct Gulps {
    pipe: ChildStdout,
}

impl Read for Gulps {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.pipe.read(buffer)?;
        if got > 0 && got < buffer.len().min(limits::GULP_BYTES) {
            std::thread::sleep(limits::GULP_PAUSE);
        }
        Ok(got)
    }
}

/// Makes a pipe wide enough that the program on the other end seldom waits for us; where that is not allowed it works as it is.
#[cfg(target_os = "linux")]
fn widen(pipe: &ChildStdout) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, limits::PIPE_BUFFER_BYTES);
}

/// Other systems choose the width of a pipe themselves.
#[cfg(not(target_os = "linux"))]
fn widen(_pipe: &ChildStdout) {}

/// Kills the group once a person interrupts, however deep the child is stuck.
fn watch_over(pid: u32, state: Arc<State>, watch: Arc<dyn Watch>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("lacre-watch".to_owned()).spawn(move || {
        let mut done = state.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !*done {
            if watch.cancelled() {
                state.cancelled.store(true, Ordering::SeqCst);
                kill_group(pid);
                return;
            }
            done = state.changed.wait_timeout(done, limits::POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
    })
}

fn kill_group(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A group that is gone already is what was wanted.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// A password file with one line that matches everything: only this child, talking to this target, can see it.
fn passfile(password: &str) -> Result<MemoryFile> {
    let escaped = zeroize::Zeroizing::new(format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:")));
    MemoryFile::with(escaped.as_bytes())
}

/// The beginning and the end of a long text.
#[derive(Debug, Default)]
struct Tail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    skipped: u64,
}

impl Tail {
    /// Reads to the end, keeping the lines that are wanted; a line longer than the buffer is judged by its beginning.
    fn read(from: impl Read, keep: fn(&[u8]) -> bool) -> Self {
        let mut kept = Self::default();
        let mut from = BufReader::with_capacity(limits::STDERR_LINE_BYTES_MAX, from);
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = u64::try_from(limits::STDERR_LINE_BYTES_MAX).unwrap_or(u64::MAX);
            match (&mut from).take(limit).read_until(b'\n', &mut line) {
                Ok(0) => return kept,
                Ok(_) if keep(&line) => line.iter().for_each(|byte| kept.push(*byte)),
                Ok(_) => {}
                // The pipe broke: what was heard so far is all there is.
                Err(_) => return kept,
            }
        }
    }

    fn push(&mut self, byte: u8) {
        let half = limits::STDERR_BYTES_MAX / 2;
        if self.head.len() < half {
            self.head.push(byte);
            return;
        }
        if self.tail.len() == half {
            self.tail.pop_front();
            self.skipped += 1;
        }
        self.tail.push_back(byte);
    }

    fn text(&self) -> String {
        let mut bytes = self.head.clone();
        if self.skipped > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", self.skipped).as_bytes());
        }
        bytes.extend(&self.tail);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Runs a program to its end and returns what it wrote, bounded.
///
/// # Errors
/// [`Error::Spawn`]; the errors of [`Running::failed`] when it ends badly; [`Error::Io`] when it writes more than `bytes_max`.
pub fn output(task: &Task<'_>, watch: &Arc<dyn Watch>, bytes_max: usize) -> Result<(Vec<u8>, Ended)> {
    let name = task.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (running, stdout) = Running::start(task, watch)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let read = stdout.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.len() > bytes_max {
        drop(running.kill());
        return Err(Error::Io {
            doing: format!("reading what {name} wrote"),
            source: std::io::Error::other(format!("more than {bytes_max} bytes")),
        });
    }
    let ended = running.wait()?;
    if !ended.status.success() || ended.cancelled {
        return Err(Running::failed(&name, task.target, &ended));
    }
    read.map_err(|source| Error::Io { doing: format!("reading what {name} wrote"), source })?;
    Ok((bytes, ended))
}
