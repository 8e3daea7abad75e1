//! `lacre daemon`: the schedule followed by this very program, for containers.

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jiff::Timestamp;
use lacre_repo::{
    files::{self, Replace},
    home::Home,
};
use lacre_seal::entropy;

use super::schedule;
use crate::{
    cli::{DaemonArgs, GlobalArgs},
    config::{Settings, from_env, settle},
    daemon::{Scheduler, SharedCondition, clock::Timetable, http::Pages, memory::Done, with},
    error::{CliError, Kind},
    exit::Exit,
    http, human,
    invocation::Invocation,
    output::DaemonResult,
    run::journal::{Journal, Level},
    schedule::zone,
};

/// Follows the schedule until SIGTERM.
///
/// # Errors
/// [`Kind::Configuration`] for a schedule or configuration that cannot be followed; [`Kind::Io`] when the address is taken.
pub(super) fn run(invocation: &Invocation, args: &DaemonArgs) -> Result<Exit, CliError> {
    let converted = if args.from_env { Some(converted(invocation)?) } else { None };
    let invocation = converted.as_ref().unwrap_or(invocation);
    let file = invocation.config_file()?;
    let settings = crate::config::settle(&file, &invocation.global, &invocation.origins)?;
    let tasks = schedule::tasks(&settings)?;
    if tasks.is_empty() {
        return Err(CliError::new(Kind::Configuration, "[schedule] leaves everything out, so there is nothing to do")
            .hint("write backup = \"0 3 * * *\" into [schedule]"));
    }
    let zone = zone(settings.operate.schedule.time_zone.as_deref())?;
    let place = schedule::place(invocation, &file, &settings)?;
    Home::open(&settings.home).map_err(|error| crate::vault::explain(error, None))?;
    let journal = Journal::new(settings.operate.log.clone(), "daemon");
    let condition = SharedCondition::default();
    let textfile = settings.operate.textfile.clone().unwrap_or_else(|| settings.home.join("daemon.prom"));
    let over = Arc::new(AtomicBool::new(false));
    let server = listen(invocation, &settings, &condition, &textfile, &over)?;
    let done = Done::open(&settings.home);
    let plan = &settings.operate.schedule;
    let timetable = Timetable::new(zone, tasks, (plan.jitter, plan.catch_up), below, Timestamp::now(), &done);
    let mut scheduler = Scheduler {
        timetable,
        done,
        place: &place,
        variables: variables(&settings, &textfile),
        settings: &settings.operate.daemon,
        journal: &journal,
        interrupt: &invocation.interrupt,
        condition: Arc::clone(&condition),
        runs_max: args.runs,
    };
    announce(invocation, &scheduler);
    let followed = scheduler.follow();
    over.store(true, Ordering::Relaxed);
    if let Some(server) = server {
        // The thread ends within its pause; that it panicked would be a bug of a page, not of the backups.
        drop(server.join());
    }
    followed?;
    let document = with(&condition, |condition| DaemonResult { started: condition.started, failed: condition.failed });
    invocation.print(&document, |out| {
        let started = human::things(document.started, ["command", "commands"]);
        writeln!(out, "{started} started, {} failed", document.failed)
    })?;
    Ok(Exit::Done)
}

fn announce(invocation: &Invocation, scheduler: &Scheduler<'_>) {
    let next = scheduler
        .timetable
        .next()
        .map_or_else(String::new, |(task, at)| format!("; next: {} at {}", task.name(), human::time(at)));
    scheduler.journal.note(Level::Info, "daemon", &format!("the daemon begins{next}"), &[]);
    invocation.terminal.say(&format!("lacre daemon begins{next}"));
}

/// What commands find in their environment besides the daemon's own: where the metrics that it shows are to be written.
fn variables(settings: &Settings, textfile: &std::path::Path) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    if settings.operate.textfile.is_none() {
        variables.push(("LACRE_METRICS_TEXTFILE".to_owned(), textfile.display().to_string()));
    }
    variables
}

type Server = thread::JoinHandle<()>;

fn listen(
    invocation: &Invocation,
    settings: &Settings,
    condition: &SharedCondition,
    textfile: &std::path::Path,
    over: &Arc<AtomicBool>,
) -> Result<Option<Server>, CliError> {
    let Some(address) = &settings.operate.daemon.listen else { return Ok(None) };
    let fail = |error: std::io::Error| {
        CliError::io(format!("cannot listen on {address}"), &error)
            .hint("another daemon may be running; [daemon] listen = \"off\" does without")
    };
    let listener = TcpListener::bind(address).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    invocation.terminal.say(&format!("listening on http://{local}/healthz and /metrics"));
    let pages = Pages { condition: Arc::clone(condition), textfile: textfile.to_owned() };
    let over = Arc::clone(over);
    Ok(Some(thread::spawn(move || http::serve(&listener, &pages, &over))))
}

/// A number below another one, at random; the middle where the system gives none.
fn below(most: u64) -> u64 {
    match entropy::token() {
        Ok(token) => {
            let bytes: [u8; 8] = token.as_bytes()[..8].try_into().unwrap_or_default();
            u64::from_le_bytes(bytes) % most.max(1)
        }
        Err(_) => most / 2,
    }
}

/// The same invocation over a configuration made of the environment, which is written into the home for the commands to read.
fn converted(invocation: &Invocation) -> Result<Invocation, CliError> {
    let home: PathBuf = invocation.global.home.clone().unwrap_or_else(settle::default_home);
    Home::open(&home).map_err(|error| crate::vault::explain(error, None))?;
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let converted = from_env::of_environment(variables);
    for warning in &converted.warnings {
        invocation.terminal.warn(warning);
    }
    let path = home.join("from-env.toml");
    files::write_secret_file(&path, converted.toml.as_bytes(), Replace::Whole).map_err(|error| {
        CliError::new(Kind::Io, "cannot keep the configuration made of the environment").because(&error)
    })?;
    Ok(Invocation {
        global: GlobalArgs { config: Some(path), ..invocation.global.clone() },
        origins: invocation.origins.clone(),
        terminal: invocation.terminal,
        interrupt: invocation.interrupt.clone(),
    })
}
