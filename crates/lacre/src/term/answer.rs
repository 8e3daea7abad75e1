//! Waiting for a line that a person types, so that a signal ends the wait.
//!
//! In: a terminal. Out: one line. A signal is told as [`io::ErrorKind::Interrupted`], after the terminal shows again what is typed.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use zeroize::Zeroizing;

use crate::{process::Interrupt, secret::Secret};

/// The longest line that is read, bytes: what a terminal hands over at most.
const LINE_BYTES_MAX: usize = 4096;
/// How often the flag is looked at while nobody types; a signal itself ends the wait at once.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Where lines come from.
pub(super) trait Line {
    /// The next line; empty at the end.
    fn line(&mut self) -> io::Result<String>;
}

/// The terminal on standard input.
pub(super) struct Stdin;

impl Line for Stdin {
    fn line(&mut self) -> io::Result<String> {
        let mut stdin = io::stdin().lock();
        wait(stdin.as_fd())?;
        let mut line = String::new();
        io::BufRead::read_line(&mut io::Read::take(&mut stdin, LINE_BYTES_MAX as u64), &mut line)?;
        Ok(line)
    }
}

#[cfg(test)]
impl Line for &[u8] {
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        io::BufRead::read_line(self, &mut line)?;
        Ok(line)
    }
}

/// Asks on the terminal of this process and does not show what is typed.
pub(super) fn hidden(prompt: &str) -> io::Result<Secret> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(prompt.as_bytes())?;
    let mut line = Zeroizing::new([0_u8; LINE_BYTES_MAX]);
    let blind = Blind::begin(&terminal)?;
    let waited = wait(terminal.as_fd());
    let read = waited.and_then(|()| (&terminal).read(line.as_mut_slice()));
    drop(blind);
    if read.is_err() {
        // The cursor still stands behind the question.
        (&terminal).write_all(b"\n")?;
    }
    let typed = line.get(..read?).unwrap_or_default();
    let typed =
        std::str::from_utf8(typed).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "that is not UTF-8"))?;
    Ok(Secret::new(typed.trim_end_matches(['\n', '\r']).to_owned()))
}

/// A terminal that shows only the ends of lines, until this is dropped.
struct Blind<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Blind<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        modes.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Now, &modes)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Blind<'_> {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(self.terminal, OptionalActions::Now, &self.before) {
            tracing::warn!(%error, "the terminal does not show again what is typed; `stty echo` makes it");
        }
    }
}

/// Waits until a line is there, or the end, or a signal.
fn wait(answers: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        if Interrupt::is_raised_anywhere() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match poll(&mut [PollFd::new(&answers, PollFlags::IN)], Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
