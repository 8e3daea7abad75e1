//! Where cells are, and the way to those that are not files of this host.
//!
//! In: what an operator writes. Out: places, and a trait whose implementation knows credentials and may start programs; this crate
//! does neither.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::store::{Store, StoreError};

/// Where a cell is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum CellPlace {
    /// A file of slots: `file:/path`.
    File(PathBuf),
    /// A bucket of its own: `s3://bucket/prefix?region=R&endpoint=URL&credentials=NAME`, or `b2://...`; never with keys in it.
    Bucket(String),
    /// A command that keeps values: `exec:/path/to/program argument ...`, its words separated by spaces.
    Command(Vec<String>),
}

impl CellPlace {
    /// Reads `file:/absolute/path` or an absolute path, the URL of a bucket, or `exec:/absolute/program arguments`.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for anything else.
    pub fn parse(text: &str) -> Result<Self, crate::Error> {
        let usage = |why: String| crate::Error::Usage { why };
        if text.starts_with("s3://") || text.starts_with("b2://") {
            let is_plain = !text.contains('@') && !text.chars().any(|char| char.is_whitespace() || char.is_control());
            return if is_plain {
                Ok(Self::Bucket(text.to_owned()))
            } else {
                Err(usage("a cell's URL holds neither keys nor spaces; name keys with ?credentials=NAME".to_owned()))
            };
        }
        if let Some(command) = text.strip_prefix("exec:") {
            let words: Vec<String> = command.split_ascii_whitespace().map(str::to_owned).collect();
            return match words.first() {
                Some(program) if Path::new(program).is_absolute() => Ok(Self::Command(words)),
                _ => Err(usage(format!("{text:?} is no cell; write exec:/full/path/of/program and its arguments"))),
            };
        }
        let path = text.strip_prefix("file:").unwrap_or(text);
        let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        if Path::new(path).is_absolute() {
            Ok(Self::File(PathBuf::from(path)))
        } else {
            Err(usage(format!(
                "{text:?} is no cell; write file:/absolute/path, s3://bucket/prefix, b2://bucket/prefix or exec:/program"
            )))
        }
    }

    /// Whether it lies on the host that made it, so that losing this host loses it.
    #[must_use]
    pub const fn is_of_this_host(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl fmt::Display for CellPlace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "file:{}", path.display()),
            Self::Bucket(url) => out.write_str(url),
            Self::Command(words) => write!(out, "exec:{}", words.join(" ")),
        }
    }
}

/// What a command of a cell is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellVerb {
    /// Keep a value under a new name; the value comes on standard input.
    Put,
    /// Print the value of a name.
    Get,
    /// Destroy the value of a name and every version of it.
    Destroy,
    /// Print the names of all values, hidden versions among them, one a line.
    List,
}

impl CellVerb {
    /// The word a command gets as its first argument after its own.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Destroy => "destroy",
            Self::List => "list",
        }
    }
}

/// How a command of a cell ended.
pub enum CellAnswer {
    /// Well, with this on its standard output.
    Done(Zeroizing<Vec<u8>>),
    /// It says that there is no value of that name.
    NoValue,
}

/// Why a cell cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// Its bucket failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its command failed, hung or printed what is no answer.
    #[error("{0}")]
    Command(String),
    /// It does not do what it says: what was destroyed is still there, or what was put is not.
    #[error("{0}")]
    Untrue(String),
    /// This host has no way to it: its credentials or its region are missing.
    #[error("{0}")]
    NoWay(String),
}

/// The way to cells that are not files of this host.
pub trait CellReach: Send + Sync {
    /// Opens the bucket of a cell.
    ///
    /// # Errors
    /// [`CellError::NoWay`] when this host has no keys for it.
    fn bucket(&self, url: &str) -> Result<Store, CellError>;

    /// Runs one verb of a command's cell, bounded in time and in the bytes of its answer.
    ///
    /// # Errors
    /// [`CellError::Command`] when it cannot be started, fails, hangs or says too much.
    fn command(
        &self,
        words: &[String],
        verb: CellVerb,
        name: Option<&str>,
        input: &[u8],
    ) -> Result<CellAnswer, CellError>;
}

/// Files only: for who has neither credentials nor commands.
pub struct FilesOnly;

impl CellReach for FilesOnly {
    fn bucket(&self, url: &str) -> Result<Store, CellError> {
        Err(CellError::NoWay(format!("nothing here knows the way to {url}")))
    }

    fn command(&self, words: &[String], _: CellVerb, _: Option<&str>, _: &[u8]) -> Result<CellAnswer, CellError> {
        let program = words.first().map_or("", String::as_str);
        Err(CellError::NoWay(format!("nothing here may start {program}")))
    }
}
