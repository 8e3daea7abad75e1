//! The private keys at hand: identity files, passphrases, gpg, kits and cells.
//!
//! In: paths from flags and configuration, the policy, the terminal. Out: [`ReadKeys`]. Nothing secret is kept beyond that.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use lacre_format::policy::Policy;
use lacre_repo::{
    cell::CellPlace,
    files::{self, FileError},
    op::keys::ReadKeys,
};
use lacre_seal::{
    identity::{AgeSecretKey, IDENTITY_FILE_BYTES_MAX, Identity, IdentityFile},
    kit::{KIT_TEXT_BYTES_MAX, Kit},
    passphrase::open_passphrase_identity,
    recipient::{Recipient, RecipientKind},
};
use zeroize::Zeroizing;

use super::Vault;
use crate::{
    error::{CliError, Kind},
    gpg::GpgProgram,
    invocation::Invocation,
    process,
    secret::{Secret, SecretSource},
    term::prompt,
};

/// The variable that holds a passphrase (or, with `_FILE` appended, names its file) where nobody can be asked.
const PASSPHRASE: &str = "LACRE_PASSPHRASE";

/// Gathers everything that may open a snapshot.
pub(super) fn gather(
    vault: &Vault,
    invocation: &Invocation,
    sheets: &[PathBuf],
    policy: &Policy,
) -> Result<ReadKeys, CliError> {
    let mut keys = ReadKeys { cells: parse_cells(&vault.settings.seal_cells)?, ..ReadKeys::default() };
    for path in identity_files(vault) {
        keys.identities.extend(open_identity(&path)?);
    }
    for path in sheets {
        for sheet in read_sheets(path)? {
            match sheet {
                Kit::Seal(kit) => keys.kits.push(kit),
                Kit::Identity(sheet) => keys.identities.push(sheet.secret.identity()),
                Kit::Pointer(kit) => keys.cells.extend(vault.cells.learn(kit)?),
            }
        }
    }
    if keys.identities.is_empty() && (invocation.terminal.can_ask() || passphrase_is_given()) {
        let locked = policy.recipients.iter().filter_map(|entry| entry.locked_identity.as_ref());
        for locked in locked {
            keys.identities.push(open_locked(locked)?);
        }
    }
    let is_pgp = |kind: u8, bytes: &[u8]| {
        Recipient::from_record(kind, bytes).is_ok_and(|recipient| recipient.kind() == RecipientKind::OpenPgp)
    };
    if policy.recipients.iter().any(|entry| is_pgp(entry.kind, &entry.bytes)) && process::find_program("gpg").is_some()
    {
        keys.identities.push(Identity::External(Box::new(GpgProgram::new())));
    }
    Ok(keys)
}

/// The identity files that were named, or the one `init` made.
fn identity_files(vault: &Vault) -> Vec<PathBuf> {
    if !vault.settings.identities.is_empty() {
        return vault.settings.identities.clone();
    }
    Some(vault.repository.home().identity()).into_iter().filter(|path| path.exists()).collect()
}

fn open_identity(path: &Path) -> Result<Vec<Identity>, CliError> {
    let what = || format!("cannot use the identity {}", path.display());
    let limit = u64::try_from(IDENTITY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = match files::read_file(path, limit) {
        Ok(file) => Zeroizing::new(file.bytes),
        Err(error @ FileError::NotFound { .. }) => {
            return Err(CliError::new(Kind::NoKey, what()).because(&error).hint("name the right file with --identity"));
        }
        Err(error) => return Err(CliError::new(Kind::NoKey, what()).because(&error)),
    };
    let fail = |error: lacre_seal::identity::IdentityError| CliError::new(Kind::NoKey, what()).because(&error);
    match IdentityFile::parse(&bytes).map_err(fail)? {
        IdentityFile::Open(identities) => Ok(identities),
        IdentityFile::Locked(locked) => {
            let whose = locked.label().map_or_else(String::new, |label| format!(" ({label})"));
            let passphrase = passphrase(&format!("Passphrase of {}{whose}", path.display()))?;
            locked.unlock(&passphrase.expose().to_owned().into()).map_err(fail)
        }
    }
}

fn open_locked(locked: &[u8]) -> Result<Identity, CliError> {
    let passphrase = passphrase("Passphrase of the repository")?;
    open_passphrase_identity(locked, &passphrase.expose().to_owned().into()).map_err(|error| {
        CliError::new(Kind::NoKey, "the repository's passphrase recipient cannot be used").because(&error)
    })
}

fn passphrase_is_given() -> bool {
    [PASSPHRASE.to_owned(), format!("{PASSPHRASE}_FILE")].iter().any(|name| std::env::var_os(name).is_some())
}

/// A passphrase from the environment, or from the person at the terminal.
fn passphrase(question: &str) -> Result<Secret, CliError> {
    if passphrase_is_given() {
        return SecretSource::Env(PASSPHRASE.to_owned()).fetch();
    }
    prompt::passphrase(question)
}

/// A new passphrase from the environment, or typed twice at the terminal.
///
/// # Errors
/// [`Kind::NoKey`] when nobody can be asked, [`Kind::Refused`] when it was not typed the same twice.
pub fn new_passphrase(question: &str) -> Result<Secret, CliError> {
    if passphrase_is_given() {
        return SecretSource::Env(PASSPHRASE.to_owned()).fetch();
    }
    prompt::new_passphrase(question)
}

/// The age identity of this host as a sheet can carry it: the first file that holds one in the open.
pub fn identity_at_hand(vault: &Vault) -> Option<AgeSecretKey> {
    let limit = u64::try_from(IDENTITY_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    identity_files(vault).iter().find_map(|path| {
        let bytes = Zeroizing::new(files::read_file(path, limit).ok()?.bytes);
        let text = std::str::from_utf8(&bytes).ok()?;
        text.lines().find_map(|line| AgeSecretKey::parse(line).ok())
    })
}

/// Reads one printed sheet, or the two that belong together, from a file, or from standard input for `-`; text and QR string are both
/// understood.
pub fn read_sheets(path: &Path) -> Result<Vec<Kit>, CliError> {
    let what = || format!("cannot read the kit {}", path.display());
    let limit = u64::try_from(KIT_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    // Reserved at once: a text that grows leaves unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(KIT_TEXT_BYTES_MAX + 64));
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| CliError::new(Kind::Usage, what()).because(&error))?;
    let parse = |text: &str| {
        Kit::parse(text).map_err(|error| {
            CliError::new(Kind::Usage, what())
                .because(&error)
                .hint("correct that line of the sheet; case and spacing do not matter")
        })
    };
    match two_sheets(&text) {
        Some((first, second)) => Ok(vec![parse(first)?, parse(second)?]),
        None => Ok(vec![parse(&text)?]),
    }
}

/// Where one sheet ends and another begins: each ends with its line `check`.
fn two_sheets(text: &str) -> Option<(&str, &str)> {
    let is_check = |line: &str| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("check"));
    let mut end = 0;
    let mut ends = Vec::new();
    for line in text.split_inclusive('\n') {
        end += line.len();
        if is_check(line) {
            ends.push(end);
        }
    }
    match ends.as_slice() {
        [first, _] => text.split_at_checked(*first),
        _ => None,
    }
}

/// Reads cell specifications.
///
/// # Errors
/// [`Kind::Usage`] for one that is no place of a cell.
pub fn parse_cells(specs: &[String]) -> Result<Vec<CellPlace>, CliError> {
    specs.iter().map(|spec| CellPlace::parse(spec).map_err(|error| super::explain(error, None))).collect()
}
