//! What runs by itself, settled: the night, its log, thresholds, who is told, when things happen.
//!
//! In: a valid document. Out: plain values with their defaults. It cannot fail: mistakes were found before.

use std::{path::PathBuf, time::Duration};

use super::{
    document::{Document, Section, Value},
    settle::{
        as_argv, as_bytes, as_count, as_duration, as_job_name, as_path, as_share, as_switch, as_text, as_texts, as_url,
        get,
    },
};
use crate::{human, safe_url::SafeUrl, secret::SecretSource};

/// What runs by itself.
#[derive(Clone, Debug)]
pub struct Operate {
    /// How long a run waits for another one.
    pub wait: Duration,
    /// How often garbage is collected after a run.
    pub prune_every: Option<Duration>,
    /// The structured log.
    pub log: Option<PathBuf>,
    /// Where metrics go.
    pub textfile: Option<PathBuf>,
    /// Thresholds.
    pub status: Thresholds,
    /// Who is told.
    pub notify: Notify,
    /// When things happen.
    pub schedule: Schedule,
    /// The built-in scheduler.
    pub daemon: Daemon,
}

/// Thresholds of `lacre status`.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// Oldest the newest snapshot may be.
    pub max_age: Duration,
    /// Fewest snapshots.
    pub min_count: u32,
    /// Smallest the newest may be, bytes.
    pub min_size: u64,
    /// Least free space, bytes.
    pub min_free: u64,
    /// Fewest days until the disk is full.
    pub min_days_to_full: u32,
    /// Oldest the last audit may be.
    pub max_check_age: Duration,
    /// Oldest the last drill may be.
    pub max_drill_age: Duration,
    /// Most snapshots a copy may lack.
    pub max_copy_lag: u32,
    /// Fewest days a certificate must still be valid.
    pub min_key_days: u32,
    /// Most that a job may shrink, as a fraction.
    pub max_shrink: f64,
    /// Most that a job may grow, as a fraction.
    pub max_growth: f64,
}

/// Who is told.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// The healthchecks protocol.
    pub healthchecks: Option<Healthchecks>,
    /// Mail.
    pub email: Option<Email>,
    /// HTTP requests.
    pub webhooks: Vec<Webhook>,
    /// Programs.
    pub commands: Vec<NotifyCommand>,
}

impl Notify {
    /// Whether nobody is told.
    pub fn is_empty(&self) -> bool {
        self.healthchecks.is_none() && self.email.is_none() && self.webhooks.is_empty() && self.commands.is_empty()
    }
}

/// A URL that may be a secret.
#[derive(Clone, Debug)]
pub enum UrlSource {
    /// It stands in the file.
    Plain(SafeUrl),
    /// It comes from elsewhere.
    Secret(SecretSource),
}

/// The healthchecks protocol.
#[derive(Clone, Debug)]
pub struct Healthchecks {
    /// The ping URL of runs.
    pub url: Option<UrlSource>,
    /// Where failures go instead.
    pub fail_url: Option<SafeUrl>,
    /// The ping URL of looks at the status.
    pub status_url: Option<SafeUrl>,
    /// Whether a failure is told by its exit status.
    pub exit_status: bool,
    /// Whether the end of the log is sent.
    pub send_logs: bool,
}

/// Mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// The server.
    pub smtp: SafeUrl,
    /// The sender.
    pub from: Option<String>,
    /// The receivers.
    pub to: Vec<String>,
    /// Where the password comes from.
    pub password: Option<SecretSource>,
    /// The server's certificate authority.
    pub ca_file: Option<PathBuf>,
    /// What is told.
    pub on: Vec<Occasion>,
}

/// An HTTP request.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub url: UrlSource,
    /// Its shape.
    pub template: Template,
    /// The body in place of the template's.
    pub body: Option<String>,
    /// A bearer token.
    pub token: Option<SecretSource>,
    /// What is told.
    pub on: Vec<Occasion>,
}

/// A program.
#[derive(Clone, Debug)]
pub struct NotifyCommand {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What is told.
    pub on: Vec<Occasion>,
}

/// The shape of a webhook's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Slack and those that understand it.
    Slack,
    /// Discord.
    Discord,
    /// ntfy.
    Ntfy,
    /// Uptime Kuma's push monitor.
    Kuma,
    /// Everything as one JSON object.
    Json,
}

impl Template {
    /// Every template by name.
    pub const ALL: [(&'static str, Template); 5] = [
        ("slack", Template::Slack),
        ("discord", Template::Discord),
        ("ntfy", Template::Ntfy),
        ("kuma", Template::Kuma),
        ("json", Template::Json),
    ];

    /// Finds a template by name.
    pub fn parse(text: &str) -> Option<Template> {
        Template::ALL.iter().find(|(name, _)| *name == text).map(|(_, template)| *template)
    }
}

/// What somebody can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A run failed, and the one before did not.
    Failure,
    /// It works again.
    Recovery,
    /// A threshold of the status is passed.
    Stale,
    /// Somebody wants something erased.
    Erasure,
    /// A rehearsal failed.
    Drill,
    /// A run went well.
    Success,
}

impl Occasion {
    /// Every occasion by name.
    pub const ALL: [(&'static str, Occasion); 6] = [
        ("failure", Occasion::Failure),
        ("recovery", Occasion::Recovery),
        ("stale", Occasion::Stale),
        ("erasure", Occasion::Erasure),
        ("drill", Occasion::Drill),
        ("success", Occasion::Success),
    ];

    /// Finds an occasion by name.
    pub fn parse(text: &str) -> Option<Occasion> {
        Occasion::ALL.iter().find(|(name, _)| *name == text).map(|(_, occasion)| *occasion)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        Occasion::ALL.iter().find(|(_, occasion)| *occasion == self).map_or("", |(name, _)| name)
    }
}

/// When things happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The time zone's name; none for the system's.
    pub time_zone: Option<String>,
    /// How much later a run may start.
    pub jitter: Duration,
    /// How long a missed run is made up for.
    pub catch_up: Duration,
    /// Expressions by task; those that are off are left out.
    pub tasks: Vec<(TaskKind, String)>,
}

/// What the schedule starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// The night.
    Backup,
    /// The look at everything.
    Status,
    /// The audit.
    Check,
    /// Garbage collection.
    Prune,
    /// The rehearsal.
    Drill,
}

impl TaskKind {
    /// All of them, in the order of the reference.
    pub const ALL: [TaskKind; 5] =
        [TaskKind::Backup, TaskKind::Status, TaskKind::Check, TaskKind::Prune, TaskKind::Drill];

    /// The key in `[schedule]`.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Backup => "backup",
            TaskKind::Status => "status",
            TaskKind::Check => "check",
            TaskKind::Prune => "prune",
            TaskKind::Drill => "drill",
        }
    }

    /// The command that is started.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            TaskKind::Backup => &["backup"],
            TaskKind::Status => &["status", "--strict", "--notify"],
            TaskKind::Check => &["repo", "check"],
            TaskKind::Prune => &["repo", "prune"],
            TaskKind::Drill => &["drill"],
        }
    }
}

/// The built-in scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Where it listens; none for nowhere.
    pub listen: Option<String>,
    /// Whether it begins with a backup.
    pub backup_on_start: bool,
    /// How long a run may go on after SIGTERM.
    pub grace: Duration,
}

/// Settles the tables.
pub(super) fn settle(document: &Document) -> Operate {
    let single = |name: &'static str| Single { section: document.of(name).next(), table: name };
    let (run, status, log, metrics) = (single("run"), single("status"), single("log"), single("metrics"));
    Operate {
        wait: run.duration("wait"),
        prune_every: get(run.section, "prune_every", as_duration),
        log: get(log.section, "file", as_path),
        textfile: get(metrics.section, "textfile", as_path),
        status: Thresholds {
            max_age: status.duration("max_age"),
            min_count: status.count("min_count"),
            min_size: status.bytes("min_size"),
            min_free: status.bytes("min_free"),
            min_days_to_full: status.count("min_days_to_full"),
            max_check_age: status.duration("max_check_age"),
            max_drill_age: status.duration("max_drill_age"),
            max_copy_lag: status.count("max_copy_lag"),
            min_key_days: status.count("min_key_days"),
            max_shrink: status.share("max_shrink"),
            max_growth: status.share("max_growth"),
        },
        notify: Notify {
            healthchecks: document.of("notify.healthchecks").next().map(healthchecks),
            email: document.of("notify.email").next().and_then(email),
            webhooks: document.of("notify.webhook").filter_map(webhook).collect(),
            commands: document.of("notify.command").filter_map(command).collect(),
        },
        schedule: schedule(&single("schedule")),
        daemon: daemon(&single("daemon")),
    }
}

/// A table that stands once or not at all, and its declared defaults.
struct Single<'a> {
    section: Option<&'a Section>,
    table: &'static str,
}

impl Single<'_> {
    /// The value, or the default as the reference has it: there is one place that says what it is.
    fn value(&self, name: &str) -> Option<Value> {
        let written = self.section.and_then(|section| section.entries.get(name)).map(|entry| entry.value.clone());
        written.or_else(|| {
            let table = super::schema::table(self.table)?;
            let key = table.keys.iter().find(|key| key.name == name)?;
            super::document::from_layer(key.form, key.default?).ok().map(|(value, _)| value)
        })
    }

    fn duration(&self, name: &str) -> Duration {
        self.value(name).and_then(|value| as_duration(&value)).unwrap_or_default()
    }

    fn count(&self, name: &str) -> u32 {
        self.value(name).and_then(|value| as_count(&value)).unwrap_or_default()
    }

    fn bytes(&self, name: &str) -> u64 {
        self.value(name).and_then(|value| as_bytes(&value)).unwrap_or_default()
    }

    fn share(&self, name: &str) -> f64 {
        self.value(name).and_then(|value| as_share(&value)).unwrap_or_default()
    }

    fn switch(&self, name: &str) -> bool {
        self.value(name).and_then(|value| as_switch(&value)).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name).and_then(|value| as_text(&value))
    }
}

/// Where a secret comes from: the first way that is named.
pub(super) fn secret(section: &Section, name: &str) -> Option<SecretSource> {
    let section = Some(section);
    let key = |way: &str| format!("{name}_{way}");
    get(section, &key("env"), as_text)
        .map(SecretSource::Env)
        .or_else(|| get(section, &key("file"), as_path).map(SecretSource::File))
        .or_else(|| get(section, &key("command"), as_argv).map(SecretSource::Command))
        .or_else(|| get(section, &key("credential"), as_text).map(SecretSource::Credential))
}

fn url(section: &Section) -> Option<UrlSource> {
    let plain = get(Some(section), "url", as_url).map(UrlSource::Plain);
    plain.or_else(|| secret(section, "url").map(UrlSource::Secret))
}

fn on(section: &Section) -> Vec<Occasion> {
    let named = get(Some(section), "on", as_texts);
    let usual =
        || Occasion::ALL.iter().map(|(_, occasion)| *occasion).filter(|occasion| *occasion != Occasion::Success);
    named.map_or_else(|| usual().collect(), |names| names.iter().filter_map(|name| Occasion::parse(name)).collect())
}

fn healthchecks(section: &Section) -> Healthchecks {
    let this = Single { section: Some(section), table: "notify.healthchecks" };
    Healthchecks {
        url: url(section),
        fail_url: get(Some(section), "fail_url", as_url),
        status_url: get(Some(section), "status_url", as_url),
        exit_status: this.switch("exit_status"),
        send_logs: this.switch("send_logs"),
    }
}

fn email(section: &Section) -> Option<Email> {
    let this = Some(section);
    Some(Email {
        smtp: get(this, "smtp", as_url)?,
        from: get(this, "from", as_text),
        to: get(this, "to", as_texts)?,
        password: secret(section, "password"),
        ca_file: get(this, "ca_file", as_path),
        on: on(section),
    })
}

fn webhook(section: &Section) -> Option<Webhook> {
    let this = Some(section);
    Some(Webhook {
        name: get(this, "name", as_job_name)?.to_string(),
        url: url(section)?,
        template: get(this, "template", as_text).and_then(|name| Template::parse(&name)).unwrap_or(Template::Json),
        body: get(this, "body", as_text),
        token: secret(section, "token"),
        on: on(section),
    })
}

fn command(section: &Section) -> Option<NotifyCommand> {
    Some(NotifyCommand {
        name: get(Some(section), "name", as_job_name)?.to_string(),
        argv: get(Some(section), "command", as_argv)?,
        on: on(section),
    })
}

fn schedule(table: &Single<'_>) -> Schedule {
    let task = |kind: TaskKind| Some((kind, table.text(kind.name()).filter(|text| text != "off")?));
    Schedule {
        time_zone: table.text("time_zone"),
        jitter: table.duration("jitter"),
        catch_up: table.duration("catch_up"),
        tasks: TaskKind::ALL.into_iter().filter_map(task).collect(),
    }
}

fn daemon(table: &Single<'_>) -> Daemon {
    Daemon {
        listen: table.text("listen").filter(|text| text != "off"),
        backup_on_start: table.switch("backup_on_start"),
        grace: table.duration("grace"),
    }
}

/// Shows a fraction as it is written in the file.
pub fn percent(share: f64) -> String {
    human::percent(share)
}
