//! Who is told of a drill: everybody whom [notify] names, when one did not pass or could not be made, and when it passes again.
//!
//! In: how a drill ended. Out: deliveries, each once. Chats hear which checks failed; what the server said goes to mail and programs.

use crate::{
    cli::DrillArgs,
    command::backup,
    config::{Settings, operate::Occasion},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    notify::{Message, announce},
    output::DrillResult,
};

/// What the subject of a job's drill begins with; `status` uses the same, so that nobody hears of one drill twice.
pub(super) const SUBJECT: &str = "drill:";
/// The subject of drills of no named job.
const ANY: &str = "drill";

/// Tells of a drill that ended.
pub(super) fn ended(invocation: &Invocation, settings: &Settings, document: &DrillResult) {
    let job = &document.job;
    let subject = format!("{SUBJECT}{job}");
    if document.passed {
        let text = format!("Snapshot {} was restored and compared.", crate::vault::short(&document.snapshot));
        let title = format!("the drill of {job} on {} passes again", backup::host());
        let fine = message(Occasion::Recovery, title, text, Exit::Done);
        announce::once(invocation, settings, &subject, &fine);
        announce::once(invocation, settings, ANY, &fine);
        return;
    }
    let failed: Vec<_> = document.checks.iter().filter(|check| check.result == "failed").collect();
    let names: Vec<&str> = failed.iter().map(|check| check.name.split(':').next().unwrap_or(&check.name)).collect();
    let text = format!(
        "Snapshot {}: {} of {} failed ({}).\n\nhint: lacre drill {job}    (says why)",
        crate::vault::short(&document.snapshot),
        failed.len(),
        human::things(document.checks.len(), ["check", "checks"]),
        names.join(", ")
    );
    let details: Vec<String> = failed.iter().map(|check| format!("{}: {}", check.name, check.what)).collect();
    let title = format!("the drill of {job} on {} DID NOT PASS", backup::host());
    let bad = Message { detail: Some(details.join("\n")), ..message(Occasion::Drill, title, text, Exit::Damage) };
    announce::once(invocation, settings, &subject, &bad);
}

/// Tells of a drill that could not be made: a rehearsal that silently never happens is as good as none. What was typed wrong, stopped by
/// hand, or is under way already is nobody else's news.
pub(super) fn not_made(invocation: &Invocation, args: &DrillArgs, error: &CliError) {
    if matches!(error.kind(), Kind::Usage | Kind::Interrupted | Kind::Conflict) {
        return;
    }
    // Where the configuration itself is the trouble, it names nobody to tell.
    let Ok(settings) = invocation.settings() else { return };
    let (subject, of) = match &args.job {
        Some(job) => (format!("{SUBJECT}{job}"), format!(" of {job}")),
        None => (ANY.to_owned(), String::new()),
    };
    let exit = error.kind().exit();
    let title = format!("the drill{of} on {} could not be made (exit {})", backup::host(), exit.code());
    let text = format!("{}.\n\nhint: lacre drill    (says what to do)", exit.meaning());
    let bad = Message { detail: Some(error.message()), ..message(Occasion::Drill, title, text, exit) };
    announce::once(invocation, &settings, &subject, &bad);
}

fn message(occasion: Occasion, title: String, text: String, exit: Exit) -> Message {
    Message { occasion, title, text, detail: None, run: None, exit: Some(exit), took: None }
}
