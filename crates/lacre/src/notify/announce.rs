//! Telling of what is no run: an erasure somebody wants, a rehearsal that failed, a threshold that is passed.
//!
//! In: what is wrong or right, by subject. Out: deliveries, and a memory of what was told. What could not be delivered is told again the
//! next time, because nobody heard of it.

use super::{Delivery, Message, deliver, memory::Memory};
use crate::{
    config::{
        Settings,
        operate::{Notify, Occasion},
    },
    invocation::Invocation,
};

/// Opens the memory of the repository that these settings name.
pub fn memory(settings: &Settings) -> Memory {
    let repository = settings.repository.as_ref().map_or_else(String::new, ToString::to_string);
    Memory::open(&settings.home, &repository)
}

/// Tells of something that is wrong, if it is news.
pub fn wrong(notify: &Notify, memory: &mut Memory, subject: &str, message: &Message) -> Vec<Delivery> {
    if !memory.wrong(subject) {
        return Vec::new();
    }
    let mut message = message.clone();
    let count = memory.count(subject);
    if count > 1 {
        message.text.push_str(&format!("\n\nThis is so for the {count}th time in a row."));
    }
    let deliveries = deliver(notify, &message);
    // Where nobody is to be told, nobody waits for its end either.
    if deliveries.iter().any(Delivery::is_good) {
        memory.heard(subject);
    }
    deliveries
}

/// Tells that something is right again, if somebody heard that it was wrong.
pub fn right(notify: &Notify, memory: &mut Memory, subject: &str, message: &Message) -> Vec<Delivery> {
    let deliveries = if memory.was_told(subject) { deliver(notify, message) } else { Vec::new() };
    let nobody_heard = !deliveries.is_empty() && !deliveries.iter().any(Delivery::is_good);
    if !nobody_heard {
        memory.right(subject);
    }
    deliveries
}

/// Tells of one thing by itself and warns about what could not be delivered.
pub fn once(invocation: &Invocation, settings: &Settings, subject: &str, message: &Message) {
    if settings.operate.notify.is_empty() {
        return;
    }
    let mut memory = memory(settings);
    let deliveries = match message.occasion {
        Occasion::Recovery | Occasion::Success => right(&settings.operate.notify, &mut memory, subject, message),
        _ => wrong(&settings.operate.notify, &mut memory, subject, message),
    };
    keep(invocation, &memory);
    warn(invocation, &deliveries);
}

/// Keeps the memory; losing it costs a repeated message.
pub fn keep(invocation: &Invocation, memory: &Memory) {
    if let Err(error) = memory.save() {
        invocation.terminal.warn(&format!("what was told could not be noted, so it may be told twice: {error}"));
    }
}

/// Says which deliveries did not work.
pub fn warn(invocation: &Invocation, deliveries: &[Delivery]) {
    for delivery in deliveries {
        if let Some(why) = &delivery.failure {
            invocation.terminal.warn(&format!("{} could not be told: {why}", delivery.channel));
        }
    }
}
