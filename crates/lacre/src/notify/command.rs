//! A program that is told: no shell, the message on its standard input, a bound on how long it may take.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Message, webhook};
use crate::{config::operate::NotifyCommand, exit::Exit, process::Interrupt, wait::converse};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the program and judges its exit status.
///
/// # Errors
/// That it cannot be run, failed, or did not end.
pub fn run(program: &NotifyCommand, message: &Message) -> Result<(), String> {
    let (name, arguments) = program.argv.split_first().ok_or("its command is empty")?;
    let child = Command::new(name)
        .args(arguments)
        .env_remove("LACRE_PASSPHRASE")
        .env("LACRE_EVENT", message.occasion.name())
        .env("LACRE_TITLE", &message.title)
        .env("LACRE_RUN", message.run.as_deref().unwrap_or_default())
        .env("LACRE_EXIT", message.exit.map(Exit::code).map_or_else(String::new, |code| code.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    let mut everything = webhook::everything(message);
    everything["detail"] = message.detail.clone().into();
    // Who interrupts a run still wants somebody to be told of it.
    let ended = converse(child, everything.to_string().as_bytes(), PATIENCE, &Interrupt::default());
    match ended.map_err(|what| format!("{name} {what} and was killed"))? {
        (status, _) if status.success() => Ok(()),
        (status, _) => Err(format!("{name} ended with {status}")),
    }
}
