//! A program that is told: no shell, the message on its standard input, a bound on how long it may take.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Message, webhook};
use crate::{config::operate::NotifyCommand, exit::Exit};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the program and judges its exit status.
///
/// # Errors
/// That it cannot be run, failed, or did not end.
pub fn run(program: &NotifyCommand, message: &Message) -> Result<(), String> {
    let (name, arguments) = program.argv.split_first().ok_or("its command is empty")?;
    let mut child = Command::new(name)
        .args(arguments)
        .env_remove("LACRE_PASSPHRASE")
        .env("LACRE_EVENT", message.occasion.name())
        .env("LACRE_TITLE", &message.title)
        .env("LACRE_RUN", message.run.as_deref().unwrap_or_default())
        .env("LACRE_EXIT", message.exit.map(Exit::code).map_or_else(String::new, |code| code.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let mut everything = webhook::everything(message);
        everything["detail"] = message.detail.clone().into();
        let text = everything.to_string();
        // A few hundred bytes fit into any pipe; a program that does not read them has its reasons.
        drop(stdin.write_all(text.as_bytes()));
    }
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{name} ended with {status}")),
            Ok(None) if started.elapsed() < PATIENCE => thread::sleep(PAUSE),
            Ok(None) => {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("{name} did not end within {} seconds and was killed", PATIENCE.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for {name}: {error}")),
        }
    }
}
