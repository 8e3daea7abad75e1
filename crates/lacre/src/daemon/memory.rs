//! What the daemon did and when, kept over restarts, so that it knows what it missed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use lacre_repo::files::{self, FileError, Replace};

use crate::config::operate::TaskKind;

/// The longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// When each task was last begun.
#[derive(Clone, Debug, Default)]
pub struct Done {
    path: Option<PathBuf>,
    last: BTreeMap<TaskKind, Timestamp>,
}

impl Done {
    /// Reads what a daemon of this home did; a file that cannot be read is as good as none.
    pub fn open(home: &Path) -> Done {
        let path = home.join("daemon.done");
        let text = files::read_file(&path, FILE_BYTES_MAX)
            .map_or_else(|_| String::new(), |file| String::from_utf8_lossy(&file.bytes).into_owned());
        let line = |line: &str| {
            let (name, at) = line.split_once(' ')?;
            let task = TaskKind::ALL.into_iter().find(|task| task.name() == name)?;
            Some((task, at.parse().ok()?))
        };
        Done { path: Some(path), last: text.lines().filter_map(line).collect() }
    }

    /// Remembers nothing beyond its own life.
    pub fn in_memory() -> Done {
        Done::default()
    }

    /// When a task was last begun.
    pub fn last(&self, task: TaskKind) -> Option<Timestamp> {
        self.last.get(&task).copied()
    }

    /// Notes that a task begins.
    pub fn note(&mut self, task: TaskKind, at: Timestamp) {
        self.last.insert(task, at);
    }

    /// Keeps it for the next start.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self) -> Result<(), FileError> {
        let Some(path) = &self.path else { return Ok(()) };
        let text: String = self.last.iter().map(|(task, at)| format!("{} {at}\n", task.name())).collect();
        files::write_secret_file(path, text.as_bytes(), Replace::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::Done;
    use crate::config::operate::TaskKind;

    #[test]
    fn a_restart_remembers_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut done = Done::open(folder.path());
        assert_eq!(done.last(TaskKind::Backup), None);
        let at = "2026-11-20T03:00:00Z".parse().unwrap();
        done.note(TaskKind::Backup, at);
        done.save().unwrap();
        assert_eq!(Done::open(folder.path()).last(TaskKind::Backup), Some(at));
        std::fs::write(folder.path().join("daemon.done"), b"backup yesterday\n\xff").unwrap();
        assert_eq!(Done::open(folder.path()).last(TaskKind::Backup), None);
    }
}
