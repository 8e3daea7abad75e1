//! Recipients, identities, the outer seal and the printed sheets, from outside the crate and against other programs.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod gpg;
mod hostile;
mod keys;
mod pointers;
mod sheets;
mod tools;
mod vectors;
mod wraps;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lacre_seal::identity::{Identity, IdentityFile};

/// A fixed moment, 2026-11-22 12:00 UTC: no test depends on the day on which it runs.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_348_800)
}

/// A folder of committed vectors.
fn vectors(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder)
}

/// The only identity of an unlocked identity file.
fn identity(file: &[u8]) -> Identity {
    let mut identities = identities(file);
    assert_eq!(identities.len(), 1);
    identities.remove(0)
}

/// The identities of an unlocked identity file.
fn identities(file: &[u8]) -> Vec<Identity> {
    match IdentityFile::parse(file).unwrap() {
        IdentityFile::Open(identities) => identities,
        IdentityFile::Locked(_) => panic!("the file is locked"),
    }
}

/// The payload that a snapshot key entry carries: 68 bytes.
const PAYLOAD: &[u8; 68] = b"LKS1 repository.... snapshot........ sixty-eight bytes of test paylo";
