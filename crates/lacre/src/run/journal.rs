//! The structured log of runs: one JSON object a line, appended to a file that somebody else rotates.
//!
//! In: what happened, with a few plain values. Out: lines in the file, and the end of them in memory for those who ask for it. No key,
//! password, row or digest is ever among them. A log that cannot be written is a finding, never a failure.

use std::{
    collections::VecDeque,
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The most of a run's log that is kept in memory, bytes.
const TAIL_BYTES_MAX: usize = 256 * 1024;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What is as it should be.
    Info,
    /// What a person should look at.
    Warning,
    /// What failed.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// The log of one run.
#[derive(Debug)]
pub struct Journal {
    file: Option<PathBuf>,
    run: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    bytes: usize,
    failure: Option<String>,
}

impl Journal {
    /// Makes the log of a run.
    pub fn new(file: Option<PathBuf>, run: &str) -> Journal {
        Journal { file, run: run.to_owned(), kept: Mutex::default() }
    }

    /// Notes what happened.
    pub fn note(&self, level: Level, event: &str, message: &str, values: &[(&str, Value)]) {
        let now = Timestamp::now();
        let mut line = Map::new();
        line.insert("time".to_owned(), Value::String(format!("{now:.3}")));
        line.insert("level".to_owned(), level.name().into());
        line.insert("run".to_owned(), self.run.clone().into());
        line.insert("event".to_owned(), event.into());
        line.insert("message".to_owned(), message.into());
        line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let written = self.append(&format!("{}\n", Value::Object(line)));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = written
            && kept.failure.is_none()
        {
            let place = self.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
            kept.failure = Some(format!("the log {place} cannot be written: {error}"));
        }
        let text = format!("{now:.0} {}: {message}\n", level.name());
        kept.bytes += text.len();
        kept.lines.push_back(text);
        while kept.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
    }

    /// Opened for each line, so that whoever moves the file away gets nothing that comes after; one write a line keeps lines whole.
    fn append(&self, line: &str) -> io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())
    }

    /// What was noted, the end of it when it was much.
    pub fn tail(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.iter().map(String::as_str).collect()
    }

    /// Why the file could not be written, if it could not.
    pub fn failure(&self) -> Option<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use serde_json::Value;

    use super::{Journal, Level};

    #[test]
    fn lines_are_json_and_go_on_in_a_new_file_after_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("lacre.log"), folder.path().join("lacre.log.1"));
        let journal = Journal::new(Some(path.clone()), "4d1f");
        journal.note(Level::Info, "run", "the run begins", &[("jobs", 2.into())]);
        fs::rename(&path, &moved).unwrap();
        journal.note(Level::Error, "job", "line\nbreak", &[("job", "astro".into())]);
        let line = |path| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((line(&moved)["jobs"].clone(), line(&moved)["run"].clone()), (2.into(), "4d1f".into()));
        assert_eq!(line(&path)["message"], "line\nbreak");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(journal.tail().contains("info: the run begins\n") && journal.failure().is_none());
    }

    #[test]
    fn a_log_that_cannot_be_written_is_said_once() {
        let journal = Journal::new(Some("/proc/no/such/folder/log".into()), "4d1f");
        journal.note(Level::Info, "run", "a", &[]);
        journal.note(Level::Info, "run", "b", &[]);
        assert!(journal.failure().unwrap().contains("/proc/no/such/folder/log"));
        assert_eq!(journal.tail().lines().count(), 2);
    }
}
