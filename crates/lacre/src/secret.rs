//! Secrets of this crate (store credentials, mail passwords, passphrases) and where they come from.
//!
//! In: the name of an environment variable, a file or a command. Out: the secret in memory that is wiped when dropped.
//! A secret has no `Display` and a `Debug` that shows nothing; it never goes into arguments or the environment of a child.

use std::{
    fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use zeroize::Zeroizing;

use crate::error::{CliError, Kind};

/// The longest secret that is read from a file or command, bytes.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret text; wiped when dropped, shown nowhere.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of a secret text.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// Lends the secret to the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// Where a secret comes from; naming the place is not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The value of an environment variable, or the file named by the same variable with `_FILE` appended.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// The first line a command prints; no shell is involved.
    Command(Vec<String>),
    /// The first line of a credential that systemd hands to the service.
    Credential(String),
}

impl SecretSource {
    /// Says the place in a few words, for messages.
    pub fn describe(&self) -> String {
        match self {
            SecretSource::Env(name) => format!("environment variable {name}"),
            SecretSource::File(path) => format!("file {}", path.display()),
            SecretSource::Command(argv) => format!("command {}", argv.first().map_or("(empty)", String::as_str)),
            SecretSource::Credential(name) => format!("systemd credential {name}"),
        }
    }

    /// Fetches the secret.
    ///
    /// # Errors
    /// [`Kind::Configuration`] when the place does not exist, is empty, holds more than [`SECRET_BYTES_MAX`] or is not UTF-8.
    pub fn fetch(&self) -> Result<Secret, CliError> {
        let secret = match self {
            SecretSource::Env(name) => from_env(name)?,
            SecretSource::File(path) => from_file(path)?,
            SecretSource::Command(argv) => from_command(argv)?,
            SecretSource::Credential(name) => from_credential(name)?,
        };
        if secret.expose().is_empty() {
            return Err(CliError::new(Kind::Configuration, format!("the secret from {} is empty", self.describe())));
        }
        Ok(secret)
    }
}

fn from_env(name: &str) -> Result<Secret, CliError> {
    if let Ok(value) = std::env::var(name) {
        return Ok(Secret::new(value));
    }
    let file_name = format!("{name}_FILE");
    match std::env::var_os(&file_name) {
        Some(path) => from_file(Path::new(&path)),
        None => {
            Err(CliError::new(Kind::Configuration, format!("neither {name} nor {file_name} is set in the environment")))
        }
    }
}

/// systemd names the folder of a service's credentials in its environment.
fn from_credential(name: &str) -> Result<Secret, CliError> {
    let wrong = |what: String| CliError::new(Kind::Configuration, what);
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(wrong(format!("{name:?} is no name of a systemd credential")));
    }
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Err(wrong(format!("the systemd credential {name} is not there: CREDENTIALS_DIRECTORY is not set"))
            .hint(format!("start lacre as a service with LoadCredential={name}:/path/of/the/secret")));
    };
    from_file(&Path::new(&folder).join(name))
}

fn from_file(path: &Path) -> Result<Secret, CliError> {
    let fail = |error: &std::io::Error| {
        let mut wrapped = CliError::new(Kind::Configuration, format!("cannot read the secret file {}", path.display()));
        wrapped = wrapped.because(error);
        wrapped
    };
    let file = fs::File::open(path).map_err(|error| fail(&error))?;
    first_line(file, &format!("file {}", path.display()))
}

/// Runs a command and takes the lines it prints, each a secret; empty lines at the end do not count.
///
/// # Errors
/// [`Kind::Configuration`] when it cannot run, fails, or prints more than [`SECRET_BYTES_MAX`].
pub fn command_lines(argv: &[String]) -> Result<Vec<Secret>, CliError> {
    let output = output_of(argv)?;
    let lines = output.expose().lines().map(|line| Secret::new(line.trim_end().to_owned())).collect::<Vec<_>>();
    Ok(lines.into_iter().filter(|line| !line.expose().is_empty()).collect())
}

fn from_command(argv: &[String]) -> Result<Secret, CliError> {
    let output = output_of(argv)?;
    let line = output.expose().split('\n').next().unwrap_or_default();
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn output_of(argv: &[String]) -> Result<Secret, CliError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(CliError::new(Kind::Configuration, "the command that gives a secret is empty"));
    };
    let fail = |error: &std::io::Error| {
        CliError::new(Kind::Configuration, format!("cannot run {program} for a secret")).because(error)
    };
    let mut child = Command::new(program)
        .env_remove("LACRE_PASSPHRASE")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| fail(&error))?;
    let stdout = child.stdout.take().expect("stdout was asked to be piped");
    let read = whole(stdout, &format!("command {program}"));
    let status = child.wait().map_err(|error| fail(&error))?;
    let secret = read?;
    if !status.success() {
        return Err(CliError::new(
            Kind::Configuration,
            format!("{program} was asked for a secret and ended with {status}"),
        ));
    }
    Ok(secret)
}

/// Keeps the first line.
fn first_line(source: impl std::io::Read, place: &str) -> Result<Secret, CliError> {
    let text = whole(source, place)?;
    let line = text.expose().split('\n').next().unwrap_or_default();
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// Reads everything up to the bound, so that a command does not die of a closed pipe.
fn whole(source: impl std::io::Read, place: &str) -> Result<Secret, CliError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let mut limited = source.take(SECRET_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(|error| {
        CliError::new(Kind::Configuration, format!("cannot read the secret from {place}")).because(&error)
    })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SECRET_BYTES_MAX {
        return Err(CliError::new(
            Kind::Configuration,
            format!("the secret from {place} is longer than {SECRET_BYTES_MAX} bytes"),
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(CliError::new(Kind::Configuration, format!("the secret from {place} is not UTF-8 text"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretSource};

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(***)");
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\r\nsecond\n").unwrap();
        assert_eq!(SecretSource::File(path.clone()).fetch().unwrap().expose(), "s3cret");
        std::fs::write(&path, "\n").unwrap();
        assert!(SecretSource::File(path).fetch().unwrap_err().message().contains("is empty"));
    }

    #[test]
    fn a_command_gives_its_first_line_and_its_failure_counts() {
        let say = |script: &str| SecretSource::Command(vec!["sh".into(), "-c".into(), script.into()]);
        assert_eq!(say("echo abc; echo def").fetch().unwrap().expose(), "abc");
        assert!(say("echo abc; exit 3").fetch().unwrap_err().message().contains("exit status: 3"));
        assert!(say("head -c 70000 /dev/zero").fetch().unwrap_err().message().contains("longer than"));
    }

    #[test]
    fn an_unset_variable_names_both_ways() {
        let error = SecretSource::Env("LACRE_NO_SUCH_VARIABLE".into()).fetch().unwrap_err();
        assert!(error.message().contains("LACRE_NO_SUCH_VARIABLE_FILE"));
    }
}
