//! The declaration of `lacre.toml`: every table and key once, with help, form, default and environment name.
//!
//! In: nothing. Out: tables that the reader, `config show`, `config check` and `docs/CONFIG.md` all use. It must not know values.

pub mod operate;
mod prices;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// A URL or connection string; shown without passwords.
    Url,
    /// Where a repository or copy lies.
    Store,
    /// A path.
    Path,
    /// A whole number from 0.
    Count,
    /// true or false.
    Switch,
    /// A size such as `64MiB`.
    Size,
    /// A rate such as `50MiB/s`.
    Rate,
    /// A duration such as `26h` or `8d`.
    Duration,
    /// A duration that may be `0s`.
    Patience,
    /// A share such as `20%`.
    Percent,
    /// A price such as `0.023`.
    Amount,
    /// A calendar span such as `8d` or `3mo`.
    Span,
    /// A job name.
    JobName,
    /// The name of an environment variable.
    Variable,
    /// A list of texts.
    Texts,
    /// A list of paths.
    Paths,
    /// A program and its arguments.
    Argv,
    /// A list of programs with their arguments, run in order.
    Argvs,
}

impl Form {
    /// Says in a few words what may be written.
    pub fn describe(self) -> &'static str {
        match self {
            Form::Text => "text",
            Form::Url => "URL",
            Form::Store => "/path, file:///path, s3://bucket/prefix or b2://bucket/prefix",
            Form::Path => "path",
            Form::Count => "whole number",
            Form::Switch => "true or false",
            Form::Size => "size, for example \"64MiB\"",
            Form::Rate => "rate, for example \"50MiB/s\"",
            Form::Duration => "duration, for example \"26h\" or \"8d\"",
            Form::Patience => "duration, for example \"10m\", or \"0s\"",
            Form::Amount => "decimal number, for example 0.023",
            Form::Percent => "share, for example \"20%\"",
            Form::Span => "time span, for example \"48h\", \"8d\" or \"3mo\"",
            Form::JobName => "name of 1 to 64 characters a-z 0-9 . _ -",
            Form::Variable => "name of an environment variable",
            Form::Texts => "list of texts",
            Form::Paths => "list of paths",
            Form::Argv => "list of a program and its arguments",
            Form::Argvs => "list of lists: programs with their arguments",
        }
    }
}

/// One key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in the file.
    pub name: &'static str,
    /// What it holds.
    pub form: Form,
    /// The value when it is not set, as it would be written; nothing means unset.
    pub default: Option<&'static str>,
    /// The environment variable that outranks the file.
    pub env: Option<&'static str>,
    /// One or two sentences.
    pub help: &'static str,
}

/// How often a table may stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The top of the file.
    Root,
    /// `[name]`, once.
    Single,
    /// `[name.X]`, once per name X.
    Named,
    /// `[[name]]`, any number.
    List,
}

/// Whether this version acts on a table or only reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Commands of this version use it.
    Acts,
    /// It is read and checked, and `config check` says that nothing happens yet.
    ReadOnly,
}

/// One table of the file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The dotted name; empty for the top of the file.
    pub name: &'static str,
    /// How often it may stand.
    pub shape: Shape,
    /// Whether this version acts on it.
    pub effect: Effect,
    /// One or two sentences.
    pub help: &'static str,
    /// Its keys in the order of the reference.
    pub keys: &'static [Key],
    /// Its keys as they could be written.
    pub example: &'static str,
}

const fn key(name: &'static str, form: Form, help: &'static str) -> Key {
    Key { name, form, default: None, env: None, help }
}

impl Key {
    const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }

    const fn env(mut self, name: &'static str) -> Key {
        self.env = Some(name);
        self
    }
}

/// The keep rules, the same for the repository and for one job.
const RETENTION: &[Key] = &[
    key("keep_last", Form::Count, "Keep the newest N snapshots."),
    key("keep_hourly", Form::Count, "Keep the newest of each of the last N hours that have one."),
    key("keep_daily", Form::Count, "Keep the newest of each of the last N days that have one."),
    key("keep_weekly", Form::Count, "Keep the newest of each of the last N weeks that have one."),
    key("keep_monthly", Form::Count, "Keep the newest of each of the last N months that have one."),
    key("keep_yearly", Form::Count, "Keep the newest of each of the last N years that have one."),
    key("keep_within", Form::Span, "Keep everything younger than this."),
    key("min_verified", Form::Count, "Never forget the last N snapshots that a check or drill has verified.")
        .default("3"),
];

const ROOT: Table = Table {
    name: "",
    shape: Shape::Root,
    effect: Effect::Acts,
    help: "Which repository this host uses.",
    keys: &[
        key("repository", Form::Store, "Where the repository lies. A folder must be an absolute path.").env("LACRE_REPO"),
        key("credentials", Form::Text, "Name of the [credential.NAME] table the repository's store needs; a folder needs none."),
        key("home", Form::Path, "Keys and state of this host, mode 0700. Default: /var/lib/lacre for root, $XDG_STATE_HOME/lacre for others.")
            .env("LACRE_HOME"),
        key("parity", Form::Switch, "Store 3 % more beside new packs, from which damage to a pack is corrected. Default: true for a folder, false for a bucket."),
        key("read_only", Form::Switch, "Nothing is ever written to the repository's store: for a host whose keys only read. Its restores are on record on this host alone. Default: false."),
        key("identities", Form::Paths, "Identity files that open snapshots. Not on a host that only makes backups.").env("LACRE_IDENTITY"),
    ],
    example: "repository = \"/var/backups/lacre\"",
};

const CREDENTIAL: Table = Table {
    name: "credential",
    shape: Shape::Named,
    effect: Effect::Acts,
    help: "Keys of one object store. Each secret comes from a variable, a file or a command, never from this file.",
    keys: &[
        key(
            "access_key_id_env",
            Form::Variable,
            "Variable that holds the access key id (or, with _FILE appended, names its file).",
        ),
        key("access_key_id_file", Form::Path, "File whose first line is the access key id."),
        key(
            "secret_access_key_env",
            Form::Variable,
            "Variable that holds the secret access key (or, with _FILE appended, names its file).",
        ),
        key("secret_access_key_file", Form::Path, "File whose first line is the secret access key."),
        key("access_key_id_credential", Form::Text, "Name of the systemd credential that holds the access key id."),
        key(
            "secret_access_key_credential",
            Form::Text,
            "Name of the systemd credential that holds the secret access key.",
        ),
        key(
            "command",
            Form::Argv,
            "Program that prints the access key id and the secret access key on two lines, and the session token of temporary keys on a third.",
        ),
        key("profile", Form::Text, "Profile of the AWS configuration files."),
    ],
    example: "access_key_id_env = \"LACRE_S3_KEY\"\nsecret_access_key_env = \"LACRE_S3_SECRET\"",
};

const JOB: Table = Table {
    name: "job",
    shape: Shape::List,
    effect: Effect::Acts,
    help: "One source that becomes snapshots: exactly one of postgres, command, file, stdin.",
    keys: &[
        key("name", Form::JobName, "Name of the job; required."),
        key("postgres", Form::Url, "PostgreSQL database. Passwords belong in ~/.pgpass or a service file."),
        key("command", Form::Argv, "Program whose output is backed up; its exit status decides. No shell is involved."),
        key("file", Form::Path, "Regular file to back up."),
        key("stdin", Form::Switch, "Back up standard input; recorded as unverified."),
        key("jobs", Form::Count, "Connections that read the database.").default("1"),
        key(
            "password_env",
            Form::Variable,
            "Variable that holds the database's password (or, with _FILE appended, names its file).",
        ),
        key("password_file", Form::Path, "File whose first line is that password."),
        key("password_command", Form::Argv, "Program that prints that password."),
        key("password_credential", Form::Text, "Name of the systemd credential that holds that password."),
        key("tags", Form::Texts, "Labels kept with each snapshot."),
    ],
    example: "name = \"astro\"\npostgres = \"postgres://backup@db/astro\"",
};

const JOB_RETENTION: Table = Table {
    name: "job.retention",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Keep rules of the job above it; they replace those of [retention] as a whole.",
    keys: RETENTION,
    example: "keep_daily = 90",
};

const SEAL: Table = Table {
    name: "seal",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Who holds the seal. Only on an admin's machine, never on a host that only makes backups.",
    keys: &[
        key(
            "cells",
            Form::Texts,
            "Seal cells: file:/mnt/other-disk/seal, s3://bucket/prefix, b2://bucket/prefix or exec:/program. Never inside the repository or a backed-up path.",
        ),
        key(
            "credentials",
            Form::Text,
            "Name of the [credential.NAME] table for cells in buckets that name none with ?credentials=NAME. Never the repository's own.",
        ),
        key(
            "rotate_every",
            Form::Duration,
            "How often `repo prune` and `seal rotate --if-due` change the seal without being asked, where two independent remote cells make that possible. Unset: never.",
        ),
        key("patience", Form::Duration, "How long the command of an exec: cell may take.").default("1m"),
    ],
    example: "cells = [\"file:/var/lib/lacre-seal/seal\"]",
};

const RETENTION_TABLE: Table = Table {
    name: "retention",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Which snapshots `forget` keeps, per job. A snapshot stays when any rule wants it.",
    keys: RETENTION,
    example: "keep_daily = 30\nkeep_weekly = 4\nkeep_monthly = 6\nmin_verified = 3",
};

const JOB_DRILL: Table = Table {
    name: "job.drill",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "What a drill of the job above it asks besides what [drill] asks of all.",
    keys: &[key("critical", Form::Texts, "Queries that must each return true.")],
    example: "critical = [\"select count(*) > 0 from orders\"]",
};

const DRILL: Table = Table {
    name: "drill",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Where and how restores are rehearsed.",
    keys: &[
        key(
            "server",
            Form::Url,
            "Server on which the scratch database is made. Unset: a throw-away server on this machine.",
        ),
        key(
            "folder",
            Form::Path,
            "Folder for throw-away servers, which hold restored rows until the drill ends. Default: /var/tmp.",
        ),
        key("critical", Form::Texts, "Queries that must each return true."),
    ],
    example: "server = \"postgres://drill@127.0.0.1/postgres\"\ncritical = [\"select count(*) > 0 from users\"]",
};

const COPY: Table = Table {
    name: "copy",
    shape: Shape::List,
    effect: Effect::Acts,
    help: "One further place that holds every snapshot (rule 3-2-1). Every `backup` brings it up to date; nothing else writes to it.",
    keys: &[
        key("name", Form::JobName, "Name of the copy; required."),
        key("url", Form::Store, "Where it lies; required."),
        key("credentials", Form::Text, "Name of the [credential.NAME] table its store needs."),
    ],
    example: "name = \"offsite\"\nurl = \"b2://astro-offsite/lacre?region=us-west-004\"\ncredentials = \"offsite\"",
};

const HOOKS: Table = Table {
    name: "hooks",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Programs run around a restore into a database and when an erasure is signed. No shell, no text is put into their arguments.",
    keys: &[
        key(
            "before_restore",
            Form::Argvs,
            "Run before a database is restored, not before --table adds tables to one; a hook that fails stops it.",
        ),
        key("after_restore", Form::Argvs, "Always run after the restore, also when it failed."),
        key(
            "on_erase_intent",
            Form::Argvs,
            "Run whenever an erasure was signed, with repository, erasure and counts as JSON on standard input.",
        ),
    ],
    example: "before_restore = [[\"docker\", \"compose\", \"stop\", \"api\"]]\nafter_restore = [[\"docker\", \"compose\", \"start\", \"api\"]]",
};

const LIMITS: Table = Table {
    name: "limits",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Bounds on what a run takes from the machine and the network.",
    keys: &[
        key("read", Form::Rate, "Fastest a bucket is read. Unset: no limit."),
        key("upload", Form::Rate, "Fastest a bucket is written. Unset: no limit."),
        key("patience", Form::Duration, "How long a bucket that fails or does not answer is asked again. A bucket that never answered is given up after 15 seconds.").default("5m"),
    ],
    example: "read = \"200MiB/s\"\nupload = \"50MiB/s\"",
};

const OBJECT_LOCK: Table = Table {
    name: "object_lock",
    shape: Shape::Single,
    effect: Effect::Acts,
    help: "Locks new packs, indexes, reach maps and snapshots in a bucket with object lock. Keys, policies and logs are never locked.",
    keys: &[
        key("days", Form::Count, "For how many days; required."),
        key("mode", Form::Text, "\"governance\" (whoever may bypass it can lift it) or \"compliance\" (nobody can).")
            .default("governance"),
    ],
    example: "days = 30\nmode = \"governance\"",
};

/// Every table in the order of the reference.
pub const TABLES: [Table; 24] = [
    ROOT,
    CREDENTIAL,
    JOB,
    JOB_RETENTION,
    JOB_DRILL,
    SEAL,
    RETENTION_TABLE,
    operate::RUN,
    operate::STATUS,
    DRILL,
    COPY,
    operate::HEALTHCHECKS,
    operate::EMAIL,
    operate::WEBHOOK,
    operate::NOTIFY_COMMAND,
    operate::LOG,
    operate::METRICS,
    operate::SCHEDULE,
    operate::DAEMON,
    prices::PRICES,
    prices::PRICE,
    HOOKS,
    LIMITS,
    OBJECT_LOCK,
];

/// Finds a table by its dotted name.
pub fn table(name: &str) -> Option<&'static Table> {
    static KNOWN: [Table; TABLES.len()] = TABLES;
    KNOWN.iter().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{TABLES, table};
    use crate::config::document::Document;

    #[test]
    fn names_are_unique_and_snake_case() {
        let mut seen = BTreeSet::new();
        for table in TABLES {
            for key in table.keys {
                assert!(seen.insert((table.name, key.name)), "{}.{} twice", table.name, key.name);
                assert!(key.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", key.name);
                assert!(key.help.ends_with('.'), "{}.{}: help is a sentence", table.name, key.name);
            }
        }
        assert!(table("notify.email").is_some() && table("nothing").is_none());
    }

    #[test]
    fn every_default_and_example_is_valid() {
        for table in TABLES {
            let header = match table.shape {
                super::Shape::Root => String::new(),
                super::Shape::Single if table.name.starts_with("job.") => {
                    format!("[[job]]\nname='a'\nstdin=true\n[{}]", table.name)
                }
                super::Shape::Single => format!("[{}]", table.name),
                super::Shape::Named => format!("[{}.x]", table.name),
                super::Shape::List => format!("[[{}]]", table.name),
            };
            let document = Document::parse(&format!("{header}\n{}", table.example));
            assert!(document.problems().is_empty(), "{}: {:?}", table.name, document.problems());
            for (key, default) in table.keys.iter().filter_map(|key| Some((key, key.default?))) {
                let value = if default.parse::<u64>().is_ok() || ["false", "true"].contains(&default) {
                    default.to_owned()
                } else {
                    format!("\"{default}\"")
                };
                let text = match table.name {
                    "job" => format!("[[job]]\nname='a'\nstdin=true\n{} = {value}", key.name),
                    _ => format!("{header}\n{} = {value}", key.name),
                };
                let document = Document::parse(&text);
                assert!(document.problems().is_empty(), "{}.{}: {:?}", table.name, key.name, document.problems());
            }
        }
    }
}
