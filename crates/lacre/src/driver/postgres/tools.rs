//! Finding `pg_dump`, `pg_dumpall`, `pg_restore` and `psql`.
//!
//! In: the environment and the versions that must be understood. Out: one folder whose programs belong together, and notes about old ones.
//! A client reads servers and archives of its own major version and older, never newer: among the folders that are new enough the
//! closest major wins (its archives open with the tools people have at hand), and within it the newest minor.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    conninfo::Environment,
    error::{Error, Result},
    report::Finding,
};

/// A version of PostgreSQL: `15.18`, or `9.6` as major 9 and minor 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Version {
    /// Reads the first number with a dot or without in text such as `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut numbers = word.split('.').map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
        Some(Self { major, minor })
    }

    /// Reads `server_version_num`.
    pub fn from_number(number: i64) -> Self {
        let number = u32::try_from(number).unwrap_or(0);
        if number < 100_000 {
            Self { major: number / 10_000, minor: number / 100 % 100 }
        } else {
            Self { major: number / 10_000, minor: number % 10_000 }
        }
    }
}

/// The first minor versions without the archive-reading holes of CVE-2026-116314 and without the wrong snapshots that a standby
/// exported while recovering; all released on one day.
const FIXED: &[Version] = &[
    Version { major: 14, minor: 25 },
    Version { major: 15, minor: 20 },
    Version { major: 16, minor: 16 },
    Version { major: 17, minor: 12 },
    Version { major: 18, minor: 6 },
];

/// What a note about these programs is about.
pub const CLIENT_PROGRAMS: &str = "PostgreSQL client programs";

/// Folders beyond these many are not probed.
const FOLDERS_MAX: usize = 64;

/// Returns the first good minor of a version's branch when the version is older than it.
pub fn superseded_by(version: Version) -> Option<Version> {
    FIXED.iter().copied().find(|fixed| fixed.major == version.major && version < *fixed)
}

/// Programs of one version in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolset {
    folder: PathBuf,
    version: Version,
}

impl Toolset {
    /// The version all programs of the folder share.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of one program.
    ///
    /// # Errors
    /// [`Error::ToolMissing`] when the folder lacks it, as a server-only package does.
    pub fn program(&self, tool: &'static str) -> Result<PathBuf> {
        let path = self.folder.join(tool);
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::ToolMissing {
            tool,
            looked_in: self.folder.display().to_string(),
            server_major: Some(self.version.major),
        })
    }

    /// All there are, whatever they understand, in the order they are looked for; links to the same folder are listed once.
    pub fn installed(environment: &Environment) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let new = |folder: &PathBuf| seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        let folders: Vec<PathBuf> = folders(environment).into_iter().take(FOLDERS_MAX).filter(new).collect();
        folders.iter().filter_map(|folder| probe("pg_dump", folder, environment)).collect()
    }

    /// Finds programs that understand a server, and an archive written by the client `archive`.
    ///
    /// # Errors
    /// [`Error::ToolMissing`] when there are none at all, [`Error::ClientTooOld`] when all are too old.
    pub fn find(
        tool: &'static str,
        environment: &Environment,
        server: Version,
        archive: Option<Version>,
    ) -> Result<Self> {
        let needed = archive.map_or(server.major, |archive| archive.major.max(server.major));
        let folders = folders(environment);
        let mut found: Vec<Self> =
            folders.iter().take(FOLDERS_MAX).filter_map(|folder| probe(tool, folder, environment)).collect();
        found.sort_by_key(|toolset| toolset.version);
        let closest = found.iter().map(|toolset| toolset.version.major).find(|major| *major >= needed);
        let of_closest = || found.iter().filter(|toolset| Some(toolset.version.major) == closest);
        let newest = of_closest().map(|toolset| toolset.version).max();
        // Of the same programs in several folders the first is meant: a folder of their own comes before a link on the `PATH`.
        if let Some(best) = of_closest().find(|toolset| Some(toolset.version) == newest) {
            return Ok(best.clone());
        }
        let looked_in = || folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
        let Some(newest) = found.last() else {
            return Err(Error::ToolMissing { tool, looked_in: looked_in(), server_major: Some(needed) });
        };
        Err(Error::ClientTooOld {
            tool,
            client: newest.version.to_string(),
            server: if needed > server.major {
                format!("archive of version {needed}, for a {server}")
            } else {
                server.to_string()
            },
            found: found
                .iter()
                .map(|toolset| format!("{} in {}", toolset.version, toolset.folder.display()))
                .collect::<Vec<_>>()
                .join(", "),
            server_major: needed,
        })
    }

    /// Notes that this client should be updated, when it should.
    pub fn findings(&self) -> Vec<Finding> {
        let note = |fixed| {
            Finding::note(
                format!("version {} has known security holes, fixed in {fixed}", self.version),
                format!("{CLIENT_PROGRAMS} in {}", self.folder.display()),
                format!("update the package postgresql-client-{}", self.version.major),
            )
        };
        superseded_by(self.version).map(note).into_iter().collect()
    }
}

/// Folders to look in, without repetition: what the environment says and nothing else, or the usual places and then `PATH`.
fn folders(environment: &Environment) -> Vec<PathBuf> {
    if let Some(list) = environment.get("LACRE_PG_BIN") {
        return list.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from).collect();
    }
    let mut folders = Vec::new();
    for (parent, prefix, rest) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/local", "pgsql", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/opt/homebrew/opt", "libpq", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/usr/local/opt", "libpq", "bin"),
        ("/Library/PostgreSQL", "", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        let mut names: Vec<PathBuf> = entries
            .filter_map(std::result::Result::ok)
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path().join(rest))
            .collect();
        names.sort();
        folders.extend(names);
    }
    folders.extend(
        environment
            .get("PATH")
            .unwrap_or("/usr/local/bin:/usr/bin:/bin")
            .split(':')
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from),
    );
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// Asks the program in one folder for its version.
fn probe(tool: &str, folder: &Path, environment: &Environment) -> Option<Toolset> {
    let path = folder.join(tool);
    if !path.is_file() {
        return None;
    }
    let mut command = Command::new(path);
    command.arg("--version").env_clear().env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        if let Some(value) = environment.get(name) {
            command.env(name, value);
        }
    }
    // A folder whose program does not start is as good as one without it; the error lists what was found.
    let output = command.output().ok().filter(|output| output.status.success())?;
    let version = Version::parse(&String::from_utf8_lossy(&output.stdout))?;
    Some(Toolset { folder: folder.to_owned(), version })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn fake(folder: &Path, version: &str) -> String {
        let folder = folder.join(version);
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("pg_dump");
        std::fs::write(&path, format!("#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder.display().to_string()
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        assert_eq!(version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Version { major: 15, minor: 18 });
        assert_eq!(version("pg_dump (PostgreSQL) 18beta1"), Version { major: 18, minor: 0 });
        assert_eq!(Version::from_number(150_018), Version { major: 15, minor: 18 });
        assert_eq!(Version::from_number(90_624), Version { major: 9, minor: 6 });
        assert_eq!(Version::parse("no number"), None);
    }

    #[test]
    fn the_closest_major_and_its_newest_minor_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let list: Vec<String> =
            ["14.9", "15.3", "15.20", "17.1"].iter().map(|version| fake(folder.path(), version)).collect();
        let environment = Environment::new([("LACRE_PG_BIN".to_owned(), list.join(":"))]);
        let found = |server: &str, archive: Option<&str>| {
            Toolset::find("pg_dump", &environment, version(server), archive.map(version))
                .map(|toolset| toolset.version.to_string())
        };
        assert_eq!(found("15.1", None).unwrap(), "15.20");
        assert_eq!(found("16.1", None).unwrap(), "17.1");
        assert_eq!(found("9.6", None).unwrap(), "14.9");
        assert_eq!(found("14.0", Some("16.4")).unwrap(), "17.1");
        let error = found("18.0", None).unwrap_err();
        assert!(matches!(&error, Error::ClientTooOld { client, server_major: 18, .. } if client == "17.1"), "{error}");
        assert!(error.hint().unwrap().contains("postgresql-client-18"));
    }

    #[test]
    fn the_programs_own_folder_is_named_and_not_a_link_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = fake(folder.path(), "15.3");
        let link = folder.path().join("bin");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let list = format!("{own}:{}", link.display());
        let environment = Environment::new([("LACRE_PG_BIN".to_owned(), list)]);
        let found = Toolset::find("pg_dump", &environment, version("15.1"), None).unwrap();
        assert_eq!(found.folder(), Path::new(&own));
        assert_eq!(found.findings()[0].object, format!("PostgreSQL client programs in {own}"));
    }

    #[test]
    fn nothing_found_names_where_it_was_looked_for() {
        let environment = Environment::new([("LACRE_PG_BIN".to_owned(), "/nonexistent".to_owned())]);
        let error = Toolset::find("pg_dump", &environment, version("15.1"), None).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }

    #[test]
    fn old_minors_are_noted() {
        assert_eq!(superseded_by(version("15.18")), Some(version("15.20")));
        assert_eq!(superseded_by(version("15.20")), None);
        assert_eq!(superseded_by(version("12.3")), None);
    }
}
