//! What `config check` tries: everything the configuration names is connected to, nothing is written into it.
//!
//! In: settings. Out: one problem for each thing that does not work, with what to do. It must not know the file's syntax.

use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::{backup, operate};
use crate::{
    cli::value::StoreUrl,
    config::{
        JobSource, Settings,
        document::Problem,
        operate::{NotifyCommand, UrlSource, Webhook},
    },
    driver::postgres::{dump::Source, error::Error as DriverError, target::Target},
    error::Kind,
    invocation::Invocation,
    notify::{self, email, healthchecks::Pings, http},
    process,
    run::Run,
    schedule::zone,
    vault::{Role, Vault, explain_driver},
};

/// A clock that differs more from the store's is wrong.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(300);

/// Tries everything.
pub(super) fn everything(invocation: &Invocation, settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    repository(invocation, settings, &mut problems);
    for job in &settings.jobs {
        if let JobSource::Postgres(url) = &job.source {
            let database = || {
                let environment = backup::environment_with(job.password.as_ref())
                    .map_err(|error| (error.message(), error.hints().to_vec()))?;
                let opened = Target::resolve(url.expose(), &environment).and_then(|target| Source::open(&target));
                opened.map(drop).map_err(|error: DriverError| {
                    let shown = explain_driver(error, Role::Source, None);
                    (shown.message(), shown.hints().to_vec())
                })
            };
            if let Err((why, hints)) = database() {
                let fix = hints.first().cloned().unwrap_or_else(|| format!("lacre backup {}", job.name));
                problems.push(Problem::error(None, format!("job {}: {why}", job.name), fix));
            }
        }
    }
    people(settings, &mut problems);
    files(settings, &mut problems);
    if let Err(error) = zone(settings.operate.schedule.time_zone.as_deref()) {
        problems.push(Problem::error(None, error.message(), error.hints().first().cloned().unwrap_or_default()));
    }
    problems
}

/// The store, the keys of this host, the clock, the room on the disk.
fn repository(invocation: &Invocation, settings: &Settings, problems: &mut Vec<Problem>) {
    if settings.repository.is_none() {
        return;
    }
    let seen = Vault::with(invocation, settings.clone())
        .and_then(|vault| Ok((vault.repository.status().map_err(|error| vault.explain(error))?, vault)));
    let (status, vault) = match seen {
        Ok(seen) => seen,
        // Before `init` there is none. A folder that the file names was named with its line already; one that the command line or the
        // environment names exists or was mistyped.
        Err(error) if error.kind() == Kind::NotFound => {
            let what = format!("repository: {}", error.message());
            match (&invocation.global.repo, &settings.repository) {
                (Some(_), _) => problems.push(Problem::error(None, what, "lacre init")),
                (None, Some(StoreUrl::Folder(_))) => {}
                (None, _) => problems.push(Problem::warning(None, what, "lacre init")),
            }
            return;
        }
        Err(error) => {
            let fix = error.hints().first().cloned().unwrap_or_else(|| "lacre doctor".to_owned());
            problems.push(Problem::error(None, format!("repository: {}", error.message()), fix));
            return;
        }
    };
    if let Err(error) = vault.repository.home().writer_keys() {
        let what = format!("this host cannot make backups: {error}");
        problems.push(Problem::warning(None, what, "backups need the writer key; other commands do not"));
    }
    let newest = status.rows.iter().filter_map(|row| Timestamp::from_millisecond(row.taken.0).ok()).max();
    if newest.is_some_and(|newest| newest.duration_since(Timestamp::now()) > SKEW_MAX) {
        let what = "the newest snapshot is dated in the future: this host's clock or its writer's is wrong";
        problems.push(Problem::warning(None, what, "timedatectl set-ntp true"));
    }
    let report = operate::judge(&vault, &status);
    for check in report.checks.iter().filter(|check| !check.ok && check.name.starts_with("disk")) {
        let fix = check.advice.clone().unwrap_or_default();
        problems.push(Problem::warning(None, format!("{}: {}", check.name, check.value), fix));
    }
}

/// Everybody who is to be told; a ping of the kind that changes nothing, a log-in that sends nothing.
fn people(settings: &Settings, problems: &mut Vec<Problem>) {
    let notify = &settings.operate.notify;
    let mut report = |who: &str, result: Result<(), String>, fix: &str| {
        if let Err(why) = result {
            problems.push(Problem::error(None, format!("{who}: {why}"), fix));
        }
    };
    if let Some(checks) = &notify.healthchecks
        && let Ok(run) = Run::begin(settings)
    {
        let fix = "copy the ping URL from the check's page";
        for pings in [Pings::of_run(checks, &run.name()), Pings::of_status(checks, &run.name())] {
            let delivery = pings.map(|mut pings| pings.log("lacre config check"));
            report("notify.healthchecks", delivery.and_then(|delivery| delivery.failure).map_or(Ok(()), Err), fix);
        }
    }
    if let Some(mail) = &notify.email {
        report("notify.email", email::probe(mail), "correct smtp, the password or ca_file; nothing was sent");
    }
    for webhook in &notify.webhooks {
        report(&format!("notify.webhook {}", webhook.name), reachable(webhook), "correct its url; nothing was sent");
    }
    for program in &notify.commands {
        report(&format!("notify.command {}", program.name), found(program), "install it or write its full path");
    }
}

/// A chat has no request that says nothing: its server is connected to, and its secrets are fetched.
fn reachable(webhook: &Webhook) -> Result<(), String> {
    let url = notify::url(&webhook.url)?;
    if let Some(token) = &webhook.token {
        token.fetch().map_err(|error| error.message())?;
    }
    if let UrlSource::Secret(_) = &webhook.url
        && http::is_in_the_open(&url)
    {
        return Err(format!(
            "{} is reached over plain http, which shows its secret URL to others",
            http::host_of(&url)
        ));
    }
    http::connect(&url)
}

fn found(program: &NotifyCommand) -> Result<(), String> {
    let name = program.argv.first().map(String::as_str).unwrap_or_default();
    if process::find_program(name).is_some() { Ok(()) } else { Err(format!("the program '{name}' is not found")) }
}

/// Files that are written at night: their folders must be there.
fn files(settings: &Settings, problems: &mut Vec<Problem>) {
    let named = [("log.file", &settings.operate.log), ("metrics.textfile", &settings.operate.textfile)];
    for (key, path) in named.iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        let is_writable = fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir())
            && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
        if !is_writable {
            let what = format!("{key}: {} cannot be written into", folder.display());
            problems.push(Problem::error(None, what, format!("mkdir -p {}, or correct the path", folder.display())));
        }
    }
}
