//! OpenPGP keys that live in an agent or on a card: decryption by the `gpg` program.
//!
//! In: one OpenPGP message. Out: its plaintext, in memory that is wiped. The message goes in by stdin and the plaintext comes out by
//! stdout; nothing secret touches arguments, the environment or a file. It must not know what the plaintext is.

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread,
};

use lacre_seal::identity::OpenPgpDecryptor;
use zeroize::Zeroizing;

/// The longest plaintext accepted from `gpg`, bytes; a wrapped key is under one kilobyte.
pub const PLAINTEXT_BYTES_MAX: usize = 64 * 1024;

/// How much of gpg's talk is kept for the error message, bytes.
const STDERR_BYTES_MAX: u64 = 16 * 1024;

/// Asks `gpg --decrypt` to open messages with the keys it can reach.
#[derive(Clone, Debug)]
pub struct GpgProgram {
    program: OsString,
}

impl GpgProgram {
    /// Uses the `gpg` found in `PATH`.
    pub fn new() -> GpgProgram {
        GpgProgram { program: OsString::from("gpg") }
    }

    /// Uses another program with the same interface.
    pub fn at(program: impl Into<OsString>) -> GpgProgram {
        GpgProgram { program: program.into() }
    }

    /// Opens one message. `None` means that there is no `gpg` here or that it holds no key for the message.
    ///
    /// The text in the error is what gpg said, without the plaintext.
    pub fn decrypt_message(&self, message: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
        let spawned = Command::new(&self.program)
            .env_remove("LACRE_PASSPHRASE")
            .env("LC_ALL", "C")
            .args(["--batch", "--quiet", "--no-tty", "--decrypt"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(format!("cannot run {}: {error}", self.program.display()))),
        };
        let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
        let mut stdout = child.stdout.take().expect("stdout was asked to be piped");
        let stderr = child.stderr.take().expect("stderr was asked to be piped");
        let mut plaintext = Zeroizing::new(vec![0_u8; PLAINTEXT_BYTES_MAX + 1]);
        let (filled, said) = thread::scope(|scope| {
            // A key that gpg does not have makes it stop reading: the broken pipe is explained by its exit status.
            scope.spawn(move || stdin.write_all(message).is_ok());
            let said = scope.spawn(move || {
                let mut said = Vec::new();
                let read = stderr.take(STDERR_BYTES_MAX).read_to_end(&mut said);
                (read.is_ok(), said).1
            });
            (fill(&mut stdout, &mut plaintext), said.join().unwrap_or_default())
        });
        drop(stdout);
        let status = child.wait();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Some(match (status, filled) {
            (Ok(status), Ok(length)) if status.success() && length <= PLAINTEXT_BYTES_MAX => {
                plaintext.truncate(length);
                Ok(plaintext)
            }
            (Ok(status), _) if !status.success() && no_key(&said) => return None,
            (Ok(status), _) if !status.success() => Err(format!("gpg ended with {status}: {said}")),
            (Ok(_), Ok(_)) => {
                Err(format!("gpg gave more than {PLAINTEXT_BYTES_MAX} bytes, which is not a wrapped key"))
            }
            (Ok(_), Err(error)) => Err(format!("cannot read what gpg decrypted: {error}")),
            (Err(error), _) => Err(format!("cannot wait for gpg: {error}")),
        })
    }
}

impl OpenPgpDecryptor for GpgProgram {
    fn decrypt(&self, message: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
        self.decrypt_message(message)
    }

    fn label(&self) -> String {
        "gpg (agent or card)".to_owned()
    }
}

impl Default for GpgProgram {
    fn default() -> GpgProgram {
        GpgProgram::new()
    }
}

/// Fills the fixed buffer, so that no growing vector leaves copies of the plaintext behind.
fn fill(source: &mut impl std::io::Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// gpg has one exit status for everything, so its words decide whether another identity should be tried.
fn no_key(said: &str) -> bool {
    said.contains("No secret key")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    use super::{GpgProgram, PLAINTEXT_BYTES_MAX};

    fn script(folder: &Path, body: &str) -> GpgProgram {
        let path = folder.join("gpg");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        GpgProgram::at(path)
    }

    #[test]
    fn plaintext_is_what_the_program_prints() {
        let folder = tempfile::tempdir().unwrap();
        let answer = script(folder.path(), "tr a-z A-Z").decrypt_message(b"sealed").unwrap();
        assert_eq!(&**answer.unwrap(), b"SEALED");
    }

    #[test]
    fn a_missing_program_or_key_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(GpgProgram::at(folder.path().join("nowhere")).decrypt_message(b"x").is_none());
        let none = script(folder.path(), "echo 'gpg: decryption failed: No secret key' >&2; exit 2");
        assert!(none.decrypt_message(&[7; 1 << 20]).is_none());
    }

    #[test]
    fn other_failures_carry_its_words_and_too_much_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let failing = script(folder.path(), "cat >/dev/null; echo 'gpg: card removed' >&2; exit 2");
        assert!(failing.decrypt_message(b"x").unwrap().unwrap_err().contains("card removed"));
        let endless = script(folder.path(), &format!("cat >/dev/null; head -c {} /dev/zero", PLAINTEXT_BYTES_MAX + 1));
        assert!(endless.decrypt_message(b"x").unwrap().unwrap_err().contains("more than"));
    }

    #[test]
    fn the_real_gpg_opens_what_it_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let home = folder.path().to_str().unwrap();
        let run = |script: &str| {
            std::process::Command::new("sh").env("GNUPGHOME", home).args(["-c", script]).output().unwrap()
        };
        let made = run(
            "gpg --batch --quiet --passphrase '' --quick-generate-key lacre@example.org rsa2048 default never && \
             gpg --batch --quiet --passphrase '' --quick-add-key $(gpg --list-keys --with-colons | awk -F: '/^fpr/{print $10;exit}') rsa2048 encr never && \
             printf 'wrapped key' | gpg --batch --quiet --trust-model always -e -r lacre@example.org",
        );
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let wrapper = script(folder.path(), &format!("exec gpg --homedir '{home}' \"$@\""));
        let opened = wrapper.decrypt_message(&made.stdout).unwrap().unwrap();
        assert_eq!(&**opened, b"wrapped key");
        assert!(run("gpgconf --kill all").status.success());
    }
}
