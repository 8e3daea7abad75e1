//! Programs of other people that are given something and a time: whatever one of them does, the wait for it ends.
//!
//! In: a program that was started, its input, and how long it may take. Out: how it ended, and what it printed, bounded in bytes. It must not
//! know what the program is for.

use std::{
    io::{Read as _, Write as _},
    process::{Child, ExitStatus},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use crate::process::Interrupt;

/// The most a program may print, bytes.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// How often its end is looked for.
const STEP: Duration = Duration::from_millis(10);

/// Gives a program its input and takes its output, if that is piped; whatever it does, this ends in time. It must lead a process group of its
/// own, which is ended with it.
///
/// # Errors
/// Why it was ended, in words that follow its name.
pub fn converse(
    mut child: Child,
    input: &[u8],
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<(ExitStatus, Zeroizing<Vec<u8>>), String> {
    let deadline = Instant::now() + patience;
    let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
    let input = Zeroizing::new(input.to_vec());
    // One that does not read, or ends before it has read, is judged by its answer.
    thread::spawn(move || drop(stdin.write_all(&input)));
    let (sender, output) = mpsc::sync_channel(1);
    let mut spoken = None;
    match child.stdout.take() {
        Some(stdout) => drop(thread::spawn(move || {
            let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
            let read = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map(|_| bytes);
            // The receiver may have stopped waiting, which is fine.
            drop(sender.send(read));
        })),
        None => spoken = Some(Ok(Zeroizing::new(Vec::new()))),
    }
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("cannot be waited for: {error}"))? {
            break status;
        }
        if spoken.is_none() {
            spoken = output.try_recv().ok();
        }
        let too_much = matches!(&spoken, Some(Ok(bytes)) if is_too_long(bytes));
        if too_much || interrupt.raised() || Instant::now() >= deadline {
            stop(&mut child);
            return Err(match (too_much, interrupt.raised()) {
                (true, _) => format!("printed more than {OUTPUT_BYTES_MAX} bytes"),
                (_, true) => "was interrupted".to_owned(),
                _ => format!("did not end within {} seconds", patience.as_secs()),
            });
        }
        thread::sleep(STEP);
    };
    let left = deadline.saturating_duration_since(Instant::now()).max(STEP);
    let spoken = match spoken {
        Some(spoken) => spoken,
        None => output.recv_timeout(left).map_err(|_| {
            // It ended and left its output open to somebody else.
            stop(&mut child);
            "left its output open".to_owned()
        })?,
    };
    let bytes = spoken.map_err(|error| format!("cannot be read: {error}"))?;
    if is_too_long(&bytes) { Err(format!("printed more than {OUTPUT_BYTES_MAX} bytes")) } else { Ok((status, bytes)) }
}

fn is_too_long(bytes: &[u8]) -> bool {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX) > OUTPUT_BYTES_MAX
}

/// Ends a command and whatever it started.
fn stop(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may find nobody left, which is what it wants.
        let _already_gone = kill_process_group(group, Signal::KILL);
    }
    let _reaped = child.wait();
}

#[cfg(test)]
mod tests {
    use std::{
        process::{Command, Stdio},
        time::Duration,
    };

    use super::converse;
    use crate::process::Interrupt;

    fn shell(script: &str, input: &[u8], patience: Duration) -> Result<(Option<i32>, Vec<u8>), String> {
        use std::os::unix::process::CommandExt as _;
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        converse(child, input, patience, &Interrupt::default()).map(|(status, out)| (status.code(), out.to_vec()))
    }

    #[test]
    fn a_command_is_bounded_in_time_and_in_bytes() {
        let long = Duration::from_secs(60);
        assert_eq!(shell("cat", b"abc", long).unwrap(), (Some(0), b"abc".to_vec()));
        assert_eq!(shell("exit 3", b"unread", long).unwrap().0, Some(3));
        assert!(shell("yes", b"", long).unwrap_err().contains("more than"));
        assert!(shell("exec sleep 1000", b"", Duration::from_millis(50)).unwrap_err().contains("did not end"));
        let unread = vec![b'x'; 1024 * 1024];
        assert!(shell("exec sleep 1000", &unread, Duration::from_millis(50)).unwrap_err().contains("did not end"));
        assert!(shell("sleep 1000 & exit 0", b"", Duration::from_millis(200)).unwrap_err().contains("left its output"));
    }
}
