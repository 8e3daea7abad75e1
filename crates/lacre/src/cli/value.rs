//! Values people type: names of jobs and snapshots, pairs, percentages, repository URLs.
//!
//! In: text. Out: a type that holds only what is valid, or one sentence saying what would be.

use std::{fmt, path::PathBuf, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::safe_url::SafeUrl;

/// Reads a moment in RFC 3339, or a day, which stands for its beginning in this machine's time zone.
///
/// # Errors
/// A sentence saying what would be accepted.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::system()).ok();
    text.parse()
        .ok()
        .or_else(|| day().map(|day| day.timestamp()))
        .ok_or_else(|| format!("'{text}' is no time; write for example 2026-01-01 or 2026-01-01T00:00:00Z"))
}

/// Reads the number of a kit.
///
/// # Errors
/// A sentence saying where it stands.
pub fn kit_number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("'{text}' is no number of a kit; it is printed on the sheet, for example 1"))
}

/// The longest job name, characters.
pub const JOB_NAME_LENGTH_MAX: usize = 64;

/// The name of a job: `[a-z0-9._-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(String);

impl JobName {
    /// Lends the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a job name out of a database's name: lower case, anything else becomes `-`.
    pub fn from_database(database: &str) -> JobName {
        let name: String = database
            .chars()
            .take(JOB_NAME_LENGTH_MAX)
            .map(|character| character.to_ascii_lowercase())
            .map(|character| if is_job_character(character) { character } else { '-' })
            .collect();
        JobName(if name.is_empty() { "database".to_owned() } else { name })
    }
}

fn is_job_character(character: char) -> bool {
    matches!(character, 'a'..='z' | '0'..='9' | '.' | '_' | '-')
}

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<JobName, String> {
        if text.is_empty() || text.len() > JOB_NAME_LENGTH_MAX {
            return Err(format!("a job name has 1 to {JOB_NAME_LENGTH_MAX} characters"));
        }
        match text.chars().find(|character| !is_job_character(*character)) {
            None => Ok(JobName(text.to_owned())),
            Some(bad) => Err(format!("{bad:?} is not allowed in a job name; use a-z, 0-9, '.', '_' and '-'")),
        }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A snapshot as people name it; resolved against the repository later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotName {
    /// The beginning of an id, lower-case hexadecimal.
    Prefix(String),
    /// The newest of all jobs.
    Latest,
    /// The newest of one job.
    LatestOf(JobName),
    /// The newest of one job at or before the end of that local day.
    AtDay(JobName, jiff::civil::Date),
}

impl FromStr for SnapshotName {
    type Err = String;

    fn from_str(text: &str) -> Result<SnapshotName, String> {
        if text == "latest" {
            return Ok(SnapshotName::Latest);
        }
        if let Some(job) = text.strip_prefix("latest:") {
            return Ok(SnapshotName::LatestOf(job.parse()?));
        }
        if let Some((job, day)) = text.split_once('@') {
            let day = day.parse().map_err(|_| format!("'{day}' is not a day; write for example {job}@2026-11-20"))?;
            return Ok(SnapshotName::AtDay(job.parse()?, day));
        }
        let hexadecimal = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal {
            return Ok(SnapshotName::Prefix(text.to_ascii_lowercase()));
        }
        Err("name a snapshot by the beginning of its id, latest, latest:JOB or JOB@2026-11-20".to_owned())
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotName::Prefix(prefix) => formatter.write_str(prefix),
            SnapshotName::Latest => formatter.write_str("latest"),
            SnapshotName::LatestOf(job) => write!(formatter, "latest:{job}"),
            SnapshotName::AtDay(job, day) => write!(formatter, "{job}@{day}"),
        }
    }
}

/// A job name and the file it reads: `NAME=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The job.
    pub name: JobName,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedFile, String> {
        let Some((name, path)) = text.split_once('=') else {
            return Err("write NAME=PATH, for example astro=/var/dumps/astro.dump".to_owned());
        };
        if path.is_empty() {
            return Err("the path after '=' is empty".to_owned());
        }
        Ok(NamedFile { name: name.parse()?, path: PathBuf::from(path) })
    }
}

/// A share between 0 and 100 percent, exclusive of 0: `5%` or `5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(f64);

impl Percent {
    /// All of it.
    pub const ALL: Percent = Percent(100.0);

    /// Reads a share that bounds something, which may also be nothing.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn bound(text: &str) -> Result<Percent, String> {
        let number: f64 = text
            .strip_suffix('%')
            .unwrap_or(text)
            .parse()
            .map_err(|_| format!("'{text}' is not a percentage; write for example 5%"))?;
        if (0.0..=100.0).contains(&number) {
            Ok(Percent(number))
        } else {
            Err(format!("{text} is not between 0% and 100%"))
        }
    }

    /// Returns the share as a fraction of 1.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Percent, String> {
        match Percent::bound(text)? {
            Percent(number) if number > 0.0 => Ok(Percent(number)),
            _ => Err(format!("{text} is nothing; write a share above 0%, 100% at most")),
        }
    }
}

/// Where a repository or copy lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder of this machine; absolute.
    Folder(PathBuf),
    /// An S3 or B2 bucket, or another remote store.
    Remote(SafeUrl),
    /// Nothing that outlives the process; for tests.
    Memory,
}

/// Remote stores that the contract names.
const REMOTE_SCHEMES: [&str; 2] = ["s3", "b2"];

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreUrl, String> {
        if text == "memory:" {
            return Ok(StoreUrl::Memory);
        }
        if let Some(path) = text.strip_prefix("file://") {
            return match path.strip_prefix('/') {
                Some(_) => folder(path),
                None => Err("write file:///path with three slashes".to_owned()),
            };
        }
        let url: SafeUrl = text.parse()?;
        match url.scheme() {
            None if text.contains("://") => Err("the part before :// is empty".to_owned()),
            None => folder(text),
            Some(scheme) if REMOTE_SCHEMES.contains(&scheme) => {
                let bucket = text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
                if bucket.is_none_or(str::is_empty) {
                    return Err(format!("the bucket is missing; write {scheme}://bucket/prefix"));
                }
                Ok(StoreUrl::Remote(url))
            }
            Some(scheme) => Err(format!(
                "'{scheme}' is not a store; use /path, file:///path, s3://bucket/prefix or b2://bucket/prefix"
            )),
        }
    }
}

/// Makes a path absolute, so that it means the same after a change of folder.
fn folder(path: &str) -> Result<StoreUrl, String> {
    std::path::absolute(path)
        .map(StoreUrl::Folder)
        .map_err(|error| format!("'{path}' cannot be made absolute: {error}"))
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Folder(path) => write!(formatter, "{}", path.display()),
            StoreUrl::Remote(url) => write!(formatter, "{url}"),
            StoreUrl::Memory => formatter.write_str("memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Debug, path::PathBuf, str::FromStr};

    use super::{JobName, NamedFile, Percent, SnapshotName, StoreUrl};

    #[track_caller]
    fn refused<T: FromStr<Err = String> + Debug>(text: &str, reason: &str) {
        let error = text.parse::<T>().unwrap_err();
        assert!(error.contains(reason), "{text:?}: {error}");
    }

    #[test]
    fn job_names() {
        assert_eq!("astro-2.main_x".parse::<JobName>().unwrap().as_str(), "astro-2.main_x");
        assert!("a".repeat(64).parse::<JobName>().is_ok());
        refused::<JobName>(&"a".repeat(65), "1 to 64");
        refused::<JobName>("", "1 to 64");
        refused::<JobName>("Astro", "'A'");
        refused::<JobName>("a/b", "'/'");
        assert_eq!(JobName::from_database("Astro Prod").as_str(), "astro-prod");
        assert_eq!(JobName::from_database("").as_str(), "database");
        assert!(JobName::from_database(&"ß".repeat(100)).as_str().parse::<JobName>().is_ok());
    }

    #[test]
    fn snapshot_names_round_trip() {
        for text in ["8f21ab", "latest", "latest:astro", "astro@2026-11-20"] {
            assert_eq!(text.parse::<SnapshotName>().unwrap().to_string(), text);
        }
        assert_eq!("8F21".parse(), Ok(SnapshotName::Prefix("8f21".into())));
        refused::<SnapshotName>("", "latest:JOB");
        refused::<SnapshotName>("xyz", "latest:JOB");
        refused::<SnapshotName>("astro@yesterday", "2026-11-20");
        refused::<SnapshotName>("latest:A", "'A'");
        refused::<SnapshotName>(&"a".repeat(33), "latest:JOB");
    }

    #[test]
    fn pairs_and_percentages() {
        let pair: NamedFile = "astro=/x/a=b".parse().unwrap();
        assert_eq!((pair.name.as_str(), pair.path), ("astro", PathBuf::from("/x/a=b")));
        refused::<NamedFile>("/x", "NAME=PATH");
        refused::<NamedFile>("astro=", "empty");
        assert!(("5%".parse::<Percent>().unwrap().fraction() - 0.05).abs() < 1e-12);
        for bad in ["0", "101%", "-1", "NaN", "x"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        for bad in ["101%", "-1", "NaN", "x"] {
            assert!(Percent::bound(bad).is_err(), "{bad}");
        }
        assert!(Percent::bound("0%").unwrap().fraction().abs() < 1e-12);
    }

    #[test]
    fn store_urls() {
        assert_eq!("/a/b".parse(), Ok(StoreUrl::Folder("/a/b".into())));
        assert_eq!("file:///a/b".parse(), Ok(StoreUrl::Folder("/a/b".into())));
        assert!(matches!("a/b".parse(), Ok(StoreUrl::Folder(path)) if path.is_absolute()));
        assert_eq!("memory:".parse(), Ok(StoreUrl::Memory));
        assert!(matches!("s3://bucket/prefix".parse(), Ok(StoreUrl::Remote(_))));
        refused::<StoreUrl>("s3:///prefix", "bucket is missing");
        refused::<StoreUrl>("ftp://host/x", "'ftp' is not a store");
        refused::<StoreUrl>("file://a", "three slashes");
        refused::<StoreUrl>("", "empty");
    }
}
