//! What was told already: so that a failure is told once, with its recovery, and not every night again.
//!
//! In: a small file of this host. Out: whether something is news. Losing the file costs a repeated message, nothing else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lacre_repo::files::{self, FileError, Replace};

/// The longest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most subjects that are remembered.
const SUBJECTS_MAX: usize = 2_000;
/// A failure that lasts is told again at these counts, and at each multiple of the last.
const REMINDERS: [u32; 2] = [7, 30];

/// Something that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trouble {
    /// How often it was found so.
    count: u32,
    /// Whether anybody heard of it.
    told: bool,
}

/// What was told already.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    troubles: BTreeMap<String, Trouble>,
    is_new: bool,
}

impl Memory {
    /// Reads the memory of one repository; a file that cannot be read is as good as none.
    pub fn open(home: &Path, repository: &str) -> Memory {
        let name = blake3::hash(repository.as_bytes()).to_hex();
        let path = home.join(format!("told-{}", &name[..16]));
        let (text, is_new) = match files::read_file(&path, FILE_BYTES_MAX) {
            Ok(file) => (String::from_utf8_lossy(&file.bytes).into_owned(), false),
            Err(_) => (String::new(), true),
        };
        let line = |line: &str| {
            let mut fields = line.split('\t');
            let (subject, count, told) = (fields.next()?, fields.next()?, fields.next()?);
            Some((subject.to_owned(), Trouble { count: count.parse().ok()?, told: told == "told" }))
        };
        Memory { path, troubles: text.lines().filter_map(line).take(SUBJECTS_MAX).collect(), is_new }
    }

    /// Whether nothing was ever remembered here.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether a subject is remembered.
    pub fn knows(&self, subject: &str) -> bool {
        self.troubles.contains_key(subject)
    }

    /// Notes that something is wrong; `true` when it is to be told.
    pub fn wrong(&mut self, subject: &str) -> bool {
        let trouble = self.troubles.entry(subject.to_owned()).or_insert(Trouble { count: 0, told: false });
        trouble.count = trouble.count.saturating_add(1);
        let last = REMINDERS[REMINDERS.len() - 1];
        !trouble.told || REMINDERS.contains(&trouble.count) || trouble.count.is_multiple_of(last)
    }

    /// How often in a row something was wrong.
    pub fn count(&self, subject: &str) -> u32 {
        self.troubles.get(subject).map_or(0, |trouble| trouble.count)
    }

    /// Notes that somebody heard of it.
    pub fn heard(&mut self, subject: &str) {
        if let Some(trouble) = self.troubles.get_mut(subject) {
            trouble.told = true;
        }
    }

    /// Whether somebody heard that something was wrong, so that its end is news.
    pub fn was_told(&self, subject: &str) -> bool {
        self.troubles.get(subject).is_some_and(|trouble| trouble.told)
    }

    /// Notes that something is right.
    pub fn right(&mut self, subject: &str) {
        self.troubles.remove(subject);
    }

    /// Subjects that begin so.
    pub fn beginning_with(&self, start: &str) -> Vec<String> {
        self.troubles.keys().filter(|subject| subject.starts_with(start)).cloned().collect()
    }

    /// Keeps it for the next time.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self) -> Result<(), FileError> {
        let line = |(subject, trouble): (&String, &Trouble)| {
            let subject = subject.replace(['\t', '\n'], " ");
            format!("{subject}\t{}\t{}\n", trouble.count, if trouble.told { "told" } else { "untold" })
        };
        let text: String = self.troubles.iter().take(SUBJECTS_MAX).map(line).collect();
        files::write_secret_file(&self.path, text.as_bytes(), Replace::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn a_failure_is_news_once_and_at_reminders() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = Memory::open(folder.path(), "/repo");
        assert!(memory.is_new() && memory.wrong("run"));
        // Nobody heard of it: it stays news.
        assert!(memory.wrong("run"));
        memory.heard("run");
        let told: Vec<u32> = (3..=60).filter(|_| memory.wrong("run")).collect();
        assert_eq!(told, [7, 30, 60]);
        memory.save().unwrap();
        let mut again = Memory::open(folder.path(), "/repo");
        assert!(!again.is_new() && again.was_told("run") && again.count("run") == 60);
        again.right("run");
        assert!(!again.was_told("run") && again.wrong("run"));
        assert!(Memory::open(folder.path(), "/other").is_new());
    }
}
