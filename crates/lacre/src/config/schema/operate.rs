//! The tables of what runs by itself: the night, its log, its thresholds, who is told, when things happen.

use super::{Effect, Form, Key, Shape, Table, key};

/// What may be written into `on`.
const ON: &str = "What is told: \"failure\", \"recovery\", \"stale\", \"erasure\", \"drill\", and \"success\" for every run. Default: all but success.";

pub(super) const RUN: Table = Table {
    name: "run",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "How `lacre backup` without arguments goes through the night: jobs, retention, copies, metrics, notifications.",
    keys: &[
        key("wait", Form::Patience, "How long a run waits for another one of this host to end; \"0s\" does not wait. Then it ends with exit 11.").default("10m"),
        key("prune_every", Form::Duration, "Give back what nothing needs any more when the last time is this long ago. Needs the admin key. Unset: never by itself."),
    ],
    example: "wait = \"30m\"\nprune_every = \"7d\"",
};

pub(super) const LOG: Table = Table {
    name: "log",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "A structured log of runs beside what is said on the terminal: one JSON object a line.",
    keys: &[key(
        "file",
        Form::Path,
        "File that lines are appended to, made with mode 0600. It is opened for each line, so that logrotate may move it at any time.",
    )],
    example: "file = \"/var/log/lacre/lacre.log\"",
};

pub(super) const STATUS: Table = Table {
    name: "status",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Thresholds of `lacre status`.",
    keys: &[
        key("max_age", Form::Duration, "Oldest the newest snapshot of a job may be.").default("26h"),
        key("min_count", Form::Count, "Fewest snapshots a job may have.").default("7"),
        key("min_size", Form::Size, "Smallest the newest snapshot may be.").default("100KiB"),
        key("min_free", Form::Size, "Least free space on the disk of a local repository.").default("5GiB"),
        key("min_days_to_full", Form::Count, "Fewest days until that disk is full, as the repository grew lately.")
            .default("14"),
        key("max_check_age", Form::Duration, "Oldest the last `lacre repo check` may be.").default("8d"),
        key("max_drill_age", Form::Duration, "Oldest the last passed drill may be.").default("8d"),
        key("max_copy_lag", Form::Count, "Most snapshots a copy may be behind.").default("0"),
        key(
            "min_key_days",
            Form::Count,
            "Fewest days an OpenPGP certificate among the recipients must still be valid.",
        )
        .default("30"),
        key(
            "max_shrink",
            Form::Percent,
            "Most that bytes or rows of a job may fall below what is usual; retention is held back beyond it.",
        )
        .default("20%"),
        key("max_growth", Form::Percent, "Most that bytes or rows of a job may rise above what is usual.")
            .default("300%"),
    ],
    example: "max_age = \"26h\"\nmin_count = 7",
};

pub(super) const HEALTHCHECKS: Table = Table {
    name: "notify.healthchecks",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Pings at start, success and failure of each run, with a run id, as healthchecks.io and its kind understand them.",
    keys: &[
        key("url", Form::Url, "Ping URL of the check: https://host/UUID or https://host/PING_KEY/SLUG."),
        key("url_env", Form::Variable, "Variable that holds the ping URL (or, with _FILE appended, names its file)."),
        key("url_file", Form::Path, "File whose first line is the ping URL."),
        key("url_command", Form::Argv, "Program that prints the ping URL."),
        key("url_credential", Form::Text, "Name of the systemd credential that holds the ping URL."),
        key("fail_url", Form::Url, "URL for failures in place of the url with the exit status appended."),
        key("status_url", Form::Url, "Ping URL of a second check, for `lacre status --notify`: it goes silent when nobody looks any more."),
        key("exit_status", Form::Switch, "Report a failure as url/EXITSTATUS; otherwise as url/fail.").default("true"),
        key("send_logs", Form::Switch, "Send the end of the log as the body, which may name tables and hosts. As long as the server's Ping-Body-Limit allows.")
            .default("false"),
    ],
    example: "url = \"https://hc-ping.com/uuid\"",
};

pub(super) const EMAIL: Table = Table {
    name: "notify.email",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Mail on the first failure, on recovery, on staleness, on an erasure and on a failed drill.",
    keys: &[
        key(
            "smtp",
            Form::Url,
            "Mail server: smtps://user@host (TLS, port 465) or smtp://user@host (STARTTLS, port 587). Without TLS only to this machine itself.",
        ),
        key("from", Form::Text, "Sender's address. Default: the user of the smtp URL."),
        key("to", Form::Texts, "Receivers' addresses."),
        key(
            "password_env",
            Form::Variable,
            "Variable that holds the password (or, with _FILE appended, names its file).",
        ),
        key("password_file", Form::Path, "File whose first line is the password."),
        key("password_command", Form::Argv, "Program that prints the password."),
        key("password_credential", Form::Text, "Name of the systemd credential that holds the password."),
        key("ca_file", Form::Path, "Certificate authority of the mail server, PEM. Default: those of the system."),
        key("on", Form::Texts, ON),
    ],
    example: "smtp = \"smtps://user@host\"\nto = [\"ops@example.org\"]",
};

pub(super) const WEBHOOK: Table = Table {
    name: "notify.webhook",
    shape: Shape::List,
    effect: Effect::Acts,
    help: "An HTTP request in the shape that a chat or a monitor expects.",
    keys: &[
        key("name", Form::JobName, "Name of the webhook; required."),
        key("url", Form::Url, "Where it goes; chats put a secret into it, so prefer one of the next four."),
        key("url_env", Form::Variable, "Variable that holds the URL (or, with _FILE appended, names its file)."),
        key("url_file", Form::Path, "File whose first line is the URL."),
        key("url_command", Form::Argv, "Program that prints the URL."),
        key("url_credential", Form::Text, "Name of the systemd credential that holds the URL."),
        key(
            "template",
            Form::Text,
            "\"slack\", \"discord\", \"ntfy\", \"kuma\" (pushed at the end of each run) or \"json\".",
        )
        .default("json"),
        key(
            "body",
            Form::Text,
            "Body in place of the template's, with {title}, {text}, {event}, {run}, {exit} put in as JSON text without its quotes.",
        ),
        key("token_env", Form::Variable, "Variable that holds a token for the header `Authorization: Bearer`."),
        key("token_file", Form::Path, "File whose first line is that token."),
        key("token_command", Form::Argv, "Program that prints that token."),
        key("token_credential", Form::Text, "Name of the systemd credential that holds that token."),
        key("on", Form::Texts, ON),
    ],
    example: "name = \"chat\"\nurl_file = \"/etc/lacre/slack-url\"\ntemplate = \"slack\"",
};

pub(super) const NOTIFY_COMMAND: Table = Table {
    name: "notify.command",
    shape: Shape::List,
    effect: Effect::Acts,
    help: "A program that is told: the message as JSON on its standard input, LACRE_EVENT, LACRE_TITLE, LACRE_RUN and LACRE_EXIT in its environment.",
    keys: &[
        key("name", Form::JobName, "Name of the command; required."),
        key("command", Form::Argv, "Program and arguments; required. No shell is involved."),
        key("on", Form::Texts, ON),
    ],
    example: "name = \"pager\"\ncommand = [\"/usr/local/bin/page\", \"--team\", \"ops\"]",
};

pub(super) const METRICS: Table = Table {
    name: "metrics",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Where metrics are written for node_exporter.",
    keys: &[key("textfile", Form::Path, "File that is replaced as a whole after each run and each `lacre status`.")],
    example: "textfile = \"/var/lib/node_exporter/lacre.prom\"",
};

pub(super) const SCHEDULE: Table = Table {
    name: "schedule",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "When things happen: for `lacre schedule systemd|cron` and for `lacre daemon`. Five fields as cron reads them, or @daily and its kind; \"off\" leaves one out.",
    keys: &[
        key(
            "time_zone",
            Form::Text,
            "Time zone of these times, for example \"America/Sao_Paulo\". Default: the system's.",
        ),
        key("jitter", Form::Patience, "Each run starts up to this much later, at random.").default("0s"),
        key(
            "catch_up",
            Form::Patience,
            "A run that was missed is made up for when the daemon comes back within this time; \"0s\" leaves it out.",
        )
        .default("24h"),
        key("backup", Form::Text, "The night: `lacre backup`.").default("0 3 * * *"),
        key("status", Form::Text, "The look at everything from another trigger: `lacre status --strict --notify`.")
            .default("15 * * * *"),
        key("check", Form::Text, "The audit: `lacre repo check`.").default("0 5 * * 0"),
        key("prune", Form::Text, "Giving back what nothing needs: `lacre repo prune`.").default("off"),
        key("drill", Form::Text, "The rehearsal: `lacre drill`.").default("off"),
    ],
    example: "time_zone = \"America/Sao_Paulo\"\nbackup = \"0 3 * * *\"\njitter = \"5m\"",
};

pub(super) const DAEMON: Table = Table {
    name: "daemon",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "The built-in scheduler for containers.",
    keys: &[
        key("listen", Form::Text, "Loopback address of /healthz and /metrics; \"off\" for none.")
            .default("127.0.0.1:9187"),
        key("backup_on_start", Form::Switch, "Make a backup when the daemon starts.").default("false"),
        key("grace", Form::Patience, "How long a run may go on after SIGTERM before it is told to stop.").default("0s"),
    ],
    example: "listen = \"127.0.0.1:9187\"",
};

/// The ways a secret of these tables is named, as ends of key names.
pub const SECRET_WAYS: [&str; 4] = ["env", "file", "command", "credential"];

/// Every key of a table that says where a secret with this name comes from.
pub fn secret_keys(table: &Table, name: &str) -> impl Iterator<Item = &'static Key> {
    let keys = table.keys;
    let name = name.to_owned();
    keys.iter().filter(move |key| {
        key.name
            .strip_prefix(&name)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|way| SECRET_WAYS.contains(&way))
    })
}
