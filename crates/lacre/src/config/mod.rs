//! Configuration: flag over environment over file over default, settled into plain values.
//!
//! In: global flags, the environment, `lacre.toml`. Out: [`Settings`] without options where a default exists, or every mistake with
//! file, line and column. It must not know what commands do with the values.

pub mod check;
pub mod document;
pub mod from_env;
pub mod layer;
pub mod operate;
pub mod prices;
pub mod reference;
pub mod schema;
pub mod settle;
pub mod suggest;

use std::{
    fs,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use self::document::{Document, Problem, Weight};
pub use self::settle::{CopySettings, Credential, Hooks, Job, JobSource, Origin, Retention, Settings};
use crate::{
    cli::GlobalArgs,
    error::{CliError, Kind},
};

/// The longest configuration file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The file that is looked for first when none is named.
const SYSTEM_FILE: &str = "/etc/lacre/lacre.toml";

/// The configuration file of this run, read but not yet settled.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// Its path; nothing when there is none.
    pub path: Option<PathBuf>,
    /// What it says.
    pub document: Document,
    /// What is wrong with the file itself, such as its mode.
    pub file_problems: Vec<Problem>,
}

impl ConfigFile {
    /// Reads the named file, or the first default one that exists.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when a named file cannot be read, or any file is too long or not UTF-8.
    pub fn load(named: Option<&Path>) -> Result<ConfigFile, CliError> {
        match named {
            Some(path) => ConfigFile::read(path),
            None => match default_paths().into_iter().find(|path| path.exists()) {
                Some(path) => ConfigFile::read(&path),
                None => Ok(ConfigFile::default()),
            },
        }
    }

    fn read(path: &Path) -> Result<ConfigFile, CliError> {
        let what = || format!("cannot read the configuration {}", path.display());
        let fail = |error: std::io::Error| {
            CliError::new(Kind::Configuration, what()).because(&error).hint(match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "run as the user it belongs to, or give that user the right to read it"
                }
                _ => "name another file with --config",
            })
        };
        let file = fs::File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(CliError::new(
                Kind::Configuration,
                format!("{}: it is longer than {FILE_BYTES_MAX} bytes", what()),
            ));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            CliError::new(Kind::Configuration, format!("{}: it is not UTF-8 text at byte {at}", what()))
        })?;
        let document = Document::parse(&text);
        let file_problems = mode_problems(path, metadata.mode());
        Ok(ConfigFile { path: Some(path.to_owned()), document, file_problems })
    }

    /// Returns an error when a mistake in the file would make a command do something else than its writer meant.
    ///
    /// # Errors
    /// [`Kind::Configuration`] with the first mistake as `file:line:column`, and how many more there are.
    pub fn require_valid(&self) -> Result<(), CliError> {
        let structure = check::structure(&self.document);
        let mut errors =
            self.document.problems().iter().chain(&structure).filter(|problem| problem.weight == Weight::Error);
        let Some(first) = errors.next() else { return Ok(()) };
        let error = CliError::new(Kind::Configuration, format!("{}: {}", self.place_of(first), first.what))
            .hint(first.fix.clone());
        Err(match errors.count() {
            0 => error,
            more => error.hint(format!("{more} more: lacre config check")),
        })
    }

    /// Returns `file:line:column` of a problem, as editors understand it.
    pub fn place_of(&self, problem: &Problem) -> String {
        let file = self
            .path
            .as_deref()
            .map_or_else(|| "(no configuration file)".to_owned(), |path| path.display().to_string());
        match problem.place {
            Some(place) => format!("{file}:{place}"),
            None => file,
        }
    }
}

/// Settles flags, environment and file into the values of this run.
///
/// # Errors
/// [`Kind::Configuration`] for any mistake in the file.
pub fn settle(file: &ConfigFile, global: &GlobalArgs, origins: &settle::Origins) -> Result<Settings, CliError> {
    file.require_valid()?;
    Ok(settle::settle(file, global, origins))
}

fn default_paths() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from(SYSTEM_FILE)];
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    if let Some(folder) =
        std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)
    {
        paths.push(folder.join("lacre").join("lacre.toml"));
    }
    paths
}

/// Says what is wrong with the mode of a file that may name secrets and programs.
pub fn mode_problems(path: &Path, mode: u32) -> Vec<Problem> {
    let shown = path.display();
    let mut problems = Vec::new();
    if mode & 0o022 != 0 {
        let what = format!(
            "{shown} can be changed by other users (mode {:04o}), who could make Lacre run their programs",
            mode & 0o7777
        );
        problems.push(Problem::warning(None, what, format!("chmod go-w {shown}")));
    }
    if mode & 0o044 != 0 {
        let what = format!("{shown} can be read by other users (mode {:04o})", mode & 0o7777);
        problems.push(Problem::warning(None, what, format!("chmod 600 {shown}")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{ConfigFile, mode_problems};

    #[test]
    fn a_named_file_must_exist_and_be_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacre.toml");
        let error = ConfigFile::load(Some(&path)).unwrap_err();
        assert_eq!(error.kind().exit().code(), 2);
        assert!(error.message().contains("lacre.toml"));
        fs::write(&path, b"a = \xff").unwrap();
        assert!(ConfigFile::load(Some(&path)).unwrap_err().message().contains("not UTF-8 text at byte 4"));
        fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(ConfigFile::load(Some(&path)).unwrap_err().message().contains("longer than"));
    }

    #[test]
    fn a_mistake_is_named_by_file_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacre.toml");
        fs::write(&path, "[retention]\nkeep_dayly = 3\nkeep_weakly = 1\n").unwrap();
        let error = ConfigFile::load(Some(&path)).unwrap().require_valid().unwrap_err();
        assert!(
            error.message().ends_with("lacre.toml:2:1: 'retention.keep_dayly' is not a key Lacre knows"),
            "{error}"
        );
        assert_eq!(error.hints(), ["did you mean 'retention.keep_daily'?", "1 more: lacre config check"]);
    }

    #[test]
    fn a_file_others_can_read_or_change_is_warned_about() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacre.toml");
        fs::write(&path, "").unwrap();
        for (mode, problems) in [(0o600, 0), (0o640, 1), (0o644, 1), (0o666, 2), (0o400, 0)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(ConfigFile::load(Some(&path)).unwrap().file_problems.len(), problems, "{mode:o}");
        }
        assert_eq!(mode_problems(&path, 0o644)[0].fix, format!("chmod 600 {}", path.display()));
    }
}
