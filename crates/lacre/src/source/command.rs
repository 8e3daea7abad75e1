//! A command's standard output as a source: `lacre backup --command NAME -- CMD...`.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{STDERR_TAIL_BYTES_MAX, Sink, SourceEnd, SourceError, pump_reader};
use crate::process::Interrupt;

/// How long a command may take to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How often its end is looked for meanwhile.
const GRACE_STEP: Duration = Duration::from_millis(20);

/// Runs a program in a process group of its own and reads its standard output.
///
/// Nothing is on its standard input. Its stderr is passed on and the end of it kept. Its exit status decides: anything but 0 fails.
#[derive(Debug)]
pub struct CommandSource {
    argv: Vec<OsString>,
    interrupt: Interrupt,
}

impl CommandSource {
    /// Prepares a command; `argv` is the program and its arguments, no shell is involved.
    pub fn new(argv: Vec<OsString>, interrupt: Interrupt) -> CommandSource {
        CommandSource { argv, interrupt }
    }

    /// Returns the program's name, for messages and source facts.
    pub fn name(&self) -> String {
        self.argv.first().map_or_else(|| "(empty command)".to_owned(), |program| program.to_string_lossy().into_owned())
    }

    /// Runs the command to its end, pushing its output into the sink.
    ///
    /// # Errors
    /// [`SourceError`]; in every error case the whole process group is gone when this returns.
    pub fn pump(&mut self, sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
        let name = self.name();
        let mut child = self.spawn().map_err(|error| SourceError::Start { source_name: name.clone(), error })?;
        let mut stdout = child.stdout.take().expect("stdout was asked to be piped");
        let stderr = child.stderr.take().expect("stderr was asked to be piped");
        let tail = StderrTail::follow(stderr);
        let pumped = pump_reader(&mut stdout, &name, u64::MAX, &self.interrupt, sink);
        drop(stdout);
        let bytes = match pumped {
            Ok(bytes) => bytes,
            Err(error) => {
                stop_group(&mut child);
                return Err(error);
            }
        };
        let status = self.wait(&mut child, &name, bytes)?;
        let stderr_tail = tail.finish();
        if status.success() {
            return Ok(SourceEnd { bytes, exit_status: status.code(), verified: true, stderr_tail });
        }
        Err(SourceError::Status { program: name, status: in_words(status), bytes, stderr_tail })
    }

    fn spawn(&self) -> io::Result<Child> {
        let Some((program, arguments)) = self.argv.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program was given after --"));
        };
        Command::new(program)
            .env_remove("LACRE_PASSPHRASE")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }

    /// Waits for the end of a command that closed its output, still looking at the interrupt flag.
    fn wait(&self, child: &mut Child, name: &str, bytes: u64) -> Result<ExitStatus, SourceError> {
        loop {
            let ended =
                child.try_wait().map_err(|error| SourceError::Read { source_name: name.to_owned(), bytes, error })?;
            if let Some(status) = ended {
                return Ok(status);
            }
            if self.interrupt.raised() {
                stop_group(child);
                return Err(SourceError::Interrupted { bytes });
            }
            thread::sleep(GRACE_STEP);
        }
    }
}

/// Says how a command ended, naming the signal by number.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

fn group_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Ends the whole group: politely first, after the grace period for certain. Afterwards the child is reaped.
fn stop_group(child: &mut Child) {
    let Some(group) = group_of(child) else { return };
    // Either call may find nobody left, which is what it wants.
    let _already_gone = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            break;
        }
        thread::sleep(GRACE_STEP);
    }
    let _already_gone = kill_process_group(group, Signal::KILL);
    let _reaped = child.wait();
}

/// A thread that passes a command's stderr on to ours and keeps the end of it.
struct StderrTail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl StderrTail {
    fn follow(mut stderr: ChildStderr) -> StderrTail {
        let kept = Arc::new(Mutex::new(VecDeque::with_capacity(STDERR_TAIL_BYTES_MAX)));
        let (sender, ended) = mpsc::sync_channel(1);
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            pass_on(&mut stderr, &shared);
            // The receiver may have stopped waiting, which is fine.
            let _nobody_waits = sender.send(());
        });
        StderrTail { kept, ended }
    }

    /// Returns the end of what was said. A process left in the background (ssh with a persistent master does that) may keep stderr
    /// open for ever: it is waited for only briefly.
    fn finish(self) -> String {
        let _ended_or_left_open = self.ended.recv_timeout(GRACE);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

fn pass_on(stderr: &mut ChildStderr, kept: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0_u8; 4096];
    loop {
        let count = match stderr.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let piece = &buffer[..count];
        // Losing the copy on our stderr loses nothing: the tail is still reported.
        let _shown = io::stderr().write_all(piece);
        let mut tail = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = (tail.len() + piece.len()).saturating_sub(STDERR_TAIL_BYTES_MAX);
        tail.drain(..excess);
        tail.extend(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, io, thread, time::Duration};

    use super::{super::STDERR_TAIL_BYTES_MAX, CommandSource, Pid, Signal, SourceEnd, SourceError};
    use crate::process::Interrupt;

    fn shell(script: &str) -> CommandSource {
        CommandSource::new(["sh", "-c", script].map(OsString::from).into(), Interrupt::default())
    }

    fn collect(mut source: CommandSource) -> (Vec<u8>, Result<SourceEnd, SourceError>) {
        let mut bytes = Vec::new();
        let end = source.pump(&mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        (bytes, end)
    }

    /// Says whether a process still runs; a zombie whose parent has not looked yet does not count.
    fn alive(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    }

    fn gone(pid: &str) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            !alive(pid)
        })
    }

    #[test]
    fn output_arrives_whole_and_status_zero_is_verified() {
        let (bytes, end) = collect(shell("head -c 3000000 /dev/zero; echo note >&2"));
        let end = end.unwrap();
        assert_eq!((bytes.len(), end.bytes, end.exit_status, end.verified), (3_000_000, 3_000_000, Some(0), true));
        assert_eq!(end.stderr_tail, "note\n");
    }

    #[test]
    fn a_failing_command_is_a_failed_source_with_its_last_words() {
        let (bytes, end) = collect(shell("echo half; echo 'disk quota exceeded' >&2; exit 7"));
        assert_eq!(bytes, b"half\n");
        let SourceError::Status { status, stderr_tail, bytes, .. } = end.unwrap_err() else { panic!("wrong error") };
        assert_eq!((status.as_str(), stderr_tail.as_str(), bytes), ("exit status 7", "disk quota exceeded\n", 5));
    }

    #[test]
    fn a_killed_command_is_a_failed_source() {
        let (_, end) = collect(shell("echo half; kill -9 $$"));
        assert!(end.unwrap_err().to_string().contains("signal 9"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let (_, end) = collect(CommandSource::new(vec!["no-such-program-here".into()], Interrupt::default()));
        assert!(end.unwrap_err().to_string().contains("no-such-program-here"));
        let (_, end) = collect(CommandSource::new(Vec::new(), Interrupt::default()));
        assert!(matches!(end.unwrap_err(), SourceError::Start { .. }));
    }

    #[test]
    fn the_tail_of_stderr_is_bounded() {
        let (_, end) = collect(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo the end >&2"));
        let tail = end.unwrap().stderr_tail;
        assert_eq!(tail.len(), STDERR_TAIL_BYTES_MAX);
        assert!(tail.ends_with("xthe end\n"));
    }

    #[test]
    fn a_process_left_in_the_background_does_not_keep_the_backup_waiting() {
        let (bytes, end) = collect(shell("setsid sleep 1000 >/dev/null & echo $!"));
        assert_eq!(end.unwrap().exit_status, Some(0));
        let left = Pid::from_raw(String::from_utf8(bytes).unwrap().trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, Signal::KILL).unwrap();
    }

    #[test]
    fn nothing_is_on_its_standard_input() {
        let (bytes, end) = collect(shell("cat; echo done"));
        assert_eq!((bytes.as_slice(), end.unwrap().bytes), (&b"done\n"[..], 5));
    }

    #[test]
    fn an_interrupt_ends_the_whole_group() {
        let interrupt = Interrupt::default();
        let argv = ["sh", "-c", "sleep 1000 & echo $!; wait"].map(OsString::from).into();
        let mut source = CommandSource::new(argv, interrupt.clone());
        let mut said = Vec::new();
        let end = source.pump(&mut |piece| {
            said.extend_from_slice(piece);
            interrupt.raise();
            Ok(())
        });
        assert!(matches!(end, Err(SourceError::Interrupted { .. })));
        let grandchild = String::from_utf8(said).unwrap();
        assert!(gone(grandchild.trim()), "process {grandchild} is still there");
    }

    #[test]
    fn a_full_store_ends_the_command() {
        let mut source = shell("echo $$; exec yes");
        let mut pid = String::new();
        let end = source.pump(&mut |piece| {
            pid = String::from_utf8_lossy(piece).lines().next().unwrap_or_default().to_owned();
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(end, Err(SourceError::Sink { .. })));
        assert!(gone(&pid), "process {pid} is still there");
    }
}
