//! The notification of an erasure: programs of `[hooks] on_erase_intent`, run whenever an intent was signed.
//!
//! In: the repository, the erasure and counts. Out: the same as one line of JSON on each program's standard input. No job, no snapshot's
//! name, no reason: whoever is told has to look in the repository.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use lacre_format::ids::Token;

use crate::{invocation::Invocation, process::Interrupt, vault::Vault, wait::converse};

/// How long a program may take: the intent is signed, and the erasure goes on.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much an erasure takes.
pub(super) struct Counts {
    /// Snapshots that are refused from now on.
    pub(super) snapshots: usize,
    /// Stored bytes that die.
    pub(super) bytes_dead: u64,
    /// Stored bytes that stay readable because survivors share them.
    pub(super) bytes_shared: u64,
}

/// Tells every program; one that fails is a warning, because the intent stands.
pub(super) fn run(invocation: &Invocation, vault: &Vault, erasure: Token, counts: &Counts) {
    let document = serde_json::json!({
        "schema": crate::output::SCHEMA,
        "event": "erase_intent",
        "repository": vault.repository.id().to_string(),
        "erasure": erasure.to_string(),
        "snapshots": counts.snapshots,
        "bytes_dead": counts.bytes_dead,
        "bytes_shared": counts.bytes_shared,
    });
    let line = format!("{document}\n");
    for argv in &vault.settings.hooks.on_erase_intent {
        if let Err(why) = tell(argv, &line, &invocation.interrupt) {
            let program = argv.first().map_or("", String::as_str);
            invocation.terminal.warn(&format!("the hook on_erase_intent {program:?} failed: {why}; tell them by hand"));
        }
    }
}

fn tell(argv: &[String], line: &str, interrupt: &Interrupt) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let child = Command::new(program)
        .env_remove("LACRE_PASSPHRASE")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    // A program that does not read is judged by how it ends.
    let (status, _) = converse(child, line.as_bytes(), PATIENCE, interrupt).map_err(|what| format!("it {what}"))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}
