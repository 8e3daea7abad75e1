//! The commands from outside: what a person types, what is printed, which exit code, what lies in the repository afterwards.

mod archives;
mod audits;
mod bad_days;
mod cells;
mod copies;
mod damage;
mod damage_matrix;
mod database;
mod drill;
mod erase;
mod extremes;
mod homes;
mod imports;
mod keys;
mod killed;
mod migration;
mod people;
pub(crate) mod person;
mod person_again;
mod person_beside;
mod person_elsewhere;
mod poolers;
mod prune;
mod recovery;
mod rows;
mod runbook;
mod sources;
mod versions;

use std::fs;
use std::path::PathBuf;

use crate::support::sandbox::Sandbox;

/// The folder of the home that belongs to the sandbox's one repository.
pub(crate) fn keys_of(sandbox: &Sandbox) -> PathBuf {
    let mut folders = fs::read_dir(sandbox.home().join("repos")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    assert!(folders.next().is_none(), "more than one repository in the home");
    folder
}

/// A sandbox with a fresh repository; its kit lies in `kit`.
fn ready() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

/// Lines that no two runs of a compressor would confuse, ending with a line end.
fn lines(count: u32) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..count {
        text.push_str(&format!("{number},row of {},{}\n", number % 97, number.wrapping_mul(2_654_435_761)));
    }
    text.into_bytes()
}

/// Ids of all snapshots in a state, oldest first.
pub(crate) fn snapshots(sandbox: &Sandbox, state: &str) -> Vec<String> {
    let document = sandbox.run(&["snapshots", "--json"]).exits(0).json();
    let of_state = document["snapshots"].as_array().unwrap().iter().filter(|row| row["state"] == state);
    of_state.map(|row| row["snapshot"].as_str().unwrap().to_owned()).collect()
}
