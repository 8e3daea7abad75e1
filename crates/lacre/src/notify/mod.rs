//! Who is told of what: the healthchecks protocol, mail, webhooks, programs.
//!
//! In: a message, and who is to be told as the configuration has it. Out: one delivery for each, good or not. Nothing here fails a
//! backup: what could not be delivered is a finding. Secrets of URLs and servers stay out of every text. It must not know how a run
//! works, only that it began or ended.

pub mod announce;
pub mod command;
pub mod email;
pub mod healthchecks;
pub mod http;
pub mod memory;
pub mod webhook;

use std::time::Duration;

use crate::{
    config::operate::{Notify, Occasion, Template, UrlSource},
    error::CliError,
    exit::Exit,
};

/// How often a delivery is tried.
pub const ATTEMPTS_MAX: u32 = 3;
/// The pause before the second attempt; each further one waits four times as long.
pub const PAUSE: Duration = Duration::from_millis(500);
/// How long one attempt may take, connecting included.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// What somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Of what kind it is.
    pub occasion: Occasion,
    /// One line.
    pub title: String,
    /// A few more, with the next command to type.
    pub text: String,
    /// What a source or a store said, for those who may know it: mail and programs, not chats.
    pub detail: Option<String>,
    /// The run it is about.
    pub run: Option<String>,
    /// How that run ended.
    pub exit: Option<Exit>,
    /// How long it took.
    pub took: Option<Duration>,
}

/// What became of telling somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who: `email`, `webhook chat`.
    pub channel: String,
    /// Why it did not work; nothing when it did.
    pub failure: Option<String>,
}

impl Delivery {
    /// Makes a delivery of a result.
    pub fn of(channel: impl Into<String>, result: Result<(), String>) -> Delivery {
        Delivery { channel: channel.into(), failure: result.err() }
    }

    /// Whether it worked.
    pub fn is_good(&self) -> bool {
        self.failure.is_none()
    }
}

/// Fetches a URL that may be a secret.
///
/// # Errors
/// Where it should have come from.
pub fn url(source: &UrlSource) -> Result<String, String> {
    match source {
        UrlSource::Plain(url) => Ok(url.expose().to_owned()),
        UrlSource::Secret(secret) => {
            let fetched = secret.fetch().map_err(|error: CliError| error.message())?;
            Ok(fetched.expose().trim().to_owned())
        }
    }
}

/// Tells everybody who wants to know of such an occasion: mail, webhooks and programs. Pings are the run's own.
pub fn deliver(notify: &Notify, message: &Message) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    if let Some(email) = notify.email.as_ref().filter(|email| email.on.contains(&message.occasion)) {
        deliveries.push(Delivery::of("email", email::send(email, message)));
    }
    for webhook in notify.webhooks.iter().filter(|webhook| webhook.template != Template::Kuma) {
        if webhook.on.contains(&message.occasion) {
            deliveries.push(Delivery::of(format!("webhook {}", webhook.name), webhook::send(webhook, message)));
        }
    }
    for program in notify.commands.iter().filter(|program| program.on.contains(&message.occasion)) {
        deliveries.push(Delivery::of(format!("command {}", program.name), command::run(program, message)));
    }
    deliveries
}

/// Pushes to monitors that expect a sign of life after each run.
pub fn push(notify: &Notify, message: &Message) -> Vec<Delivery> {
    let kuma = notify.webhooks.iter().filter(|webhook| webhook.template == Template::Kuma);
    kuma.map(|webhook| Delivery::of(format!("webhook {}", webhook.name), webhook::send(webhook, message))).collect()
}

/// Tries something a few times, with growing pauses, as long as trying again makes sense.
pub fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, String> {
    let mut pause = PAUSE;
    for number in 1.. {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(fault) if fault.again && number < ATTEMPTS_MAX => std::thread::sleep(pause),
            Err(fault) if number > 1 => return Err(format!("{} (tried {number} times)", fault.what)),
            Err(fault) => return Err(fault.what),
        }
        pause *= 4;
    }
    Err("it was never tried".to_owned())
}

/// Why one attempt failed.
#[derive(Clone, Debug)]
pub struct Fault {
    /// In words, without secrets.
    pub what: String,
    /// Whether another attempt may go better.
    pub again: bool,
}
