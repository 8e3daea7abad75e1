//! Profiles of the AWS command line: `~/.aws/credentials` and `~/.aws/config`.
//!
//! In: the name of a profile. Out: its keys and its region. Only plain keys are read; profiles that fetch them elsewhere are for
//! `[credential.NAME] command = [...]`.

use std::{io, path::PathBuf};

use lacre_repo::store::Credentials;
use zeroize::Zeroizing;

use super::bucket::{bounded_file, variable};
use crate::error::{CliError, Kind};

/// The longest profile file that is read, bytes.
const PROFILE_BYTES_MAX: u64 = 1024 * 1024;

/// The profile that `AWS_PROFILE` names, else `default`.
pub(super) fn chosen() -> String {
    variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned())
}

/// The region of the chosen profile.
pub(super) fn region() -> Option<String> {
    let text = text_of("AWS_CONFIG_FILE", "config").ok()??;
    let name = chosen();
    value(&text, &format!("profile {name}"), "region").or_else(|| value(&text, &name, "region"))
}

/// The keys of a profile; nothing if there is no such profile.
pub(super) fn read(name: &str) -> Result<Option<Credentials>, CliError> {
    for (variable, file, section) in [
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name.to_owned()),
        ("AWS_CONFIG_FILE", "config", format!("profile {name}")),
    ] {
        let Some(text) = text_of(variable, file)? else { continue };
        let get = |key: &str| value(&text, &section, key);
        if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
            let keys = Credentials::new(id, secret);
            return Ok(Some(match get("aws_session_token") {
                Some(token) => keys.with_session_token(token),
                None => keys,
            }));
        }
    }
    Ok(None)
}

fn text_of(name: &str, file: &str) -> Result<Option<Zeroizing<String>>, CliError> {
    let named = variable(name).map(PathBuf::from);
    let path = named.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws").join(file)));
    let Some(path) = path else { return Ok(None) };
    let fail = |reason: &str| CliError::new(Kind::Configuration, format!("cannot read {}: {reason}", path.display()));
    match bounded_file(&path, PROFILE_BYTES_MAX).map(Zeroizing::new) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| fail("it is not UTF-8 text"))?;
            Ok(Some(Zeroizing::new(text.to_owned())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(&error.to_string())),
    }
}

/// The value of a key in a section of an INI file.
fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = title.trim() == section;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_come_from_their_own_section() {
        let text =
            "# c\n[default]\naws_access_key_id = A\n[other]\naws_access_key_id=B\n aws_secret_access_key = x=y \n";
        assert_eq!(value(text, "default", "aws_access_key_id").as_deref(), Some("A"));
        assert_eq!(value(text, "other", "aws_secret_access_key").as_deref(), Some("x=y"));
        assert_eq!(value(text, "default", "aws_secret_access_key"), None);
        assert_eq!(value(text, "none", "aws_access_key_id"), None);
    }
}
