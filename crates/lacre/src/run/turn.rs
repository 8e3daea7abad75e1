//! Turns: two runs of one host over one repository never overlap; the later one waits, or gives up with exit 11.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lacre_repo::files::{FileError, LockFile};

use crate::{
    error::{CliError, Kind},
    human,
    process::Interrupt,
};

/// How often a taken turn is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the turn in this folder, waiting at most so long; it ends when what is returned is dropped, or with the process.
///
/// # Errors
/// [`Kind::Conflict`] when another run still goes on; [`Kind::Interrupted`].
pub fn take(folder: &Path, wait: Duration, interrupt: &Interrupt) -> Result<LockFile, CliError> {
    let path = folder.join("run.lock");
    let started = Instant::now();
    loop {
        interrupt.check()?;
        match LockFile::acquire(&path) {
            Ok(lock) => return Ok(lock),
            Err(FileError::Locked { .. }) if started.elapsed() < wait => thread::sleep(PAUSE),
            Err(FileError::Locked { .. }) => {
                let waited = if wait.is_zero() { String::new() } else { format!(" after {}", human::duration(wait)) };
                let what = format!("another run of this host is still going on{waited}");
                return Err(CliError::new(Kind::Conflict, what)
                    .hint("let it end; [run] wait in lacre.toml says how long the next one waits for it"));
            }
            Err(error) => return Err(CliError::new(Kind::Io, "cannot take the turn of a run").because(&error)),
        }
    }
}

/// Whether a run has the turn in this folder just now.
pub fn is_taken(folder: &Path) -> bool {
    matches!(LockFile::acquire(&folder.join("run.lock")), Err(FileError::Locked { .. }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{is_taken, take};
    use crate::process::Interrupt;

    #[test]
    fn the_second_run_waits_its_time_and_gives_up_with_exit_11() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_taken(folder.path()));
        let first = take(folder.path(), Duration::ZERO, &Interrupt::default()).unwrap();
        assert!(is_taken(folder.path()));
        let error = take(folder.path(), Duration::from_millis(150), &Interrupt::default()).unwrap_err();
        assert_eq!(error.kind().exit().code(), 11);
        drop(first);
        assert!(take(folder.path(), Duration::ZERO, &Interrupt::default()).is_ok());
        let interrupted = Interrupt::default();
        interrupted.raise();
        assert_eq!(take(folder.path(), Duration::ZERO, &interrupted).unwrap_err().kind().exit().code(), 130);
    }
}
