//! Settling: the layers put over each other, typed, without options where there is a default.
//!
//! In: a valid document, the global flags and where they came from. Out: [`Settings`]. It cannot fail: mistakes were found before.

use std::{
    collections::BTreeMap,
    fmt,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgMatches, parser::ValueSource};
use lacre_repo::{
    parity::ParityChoice,
    store::{Lock, LockMode, PlainHttp},
};

use super::{
    ConfigFile,
    document::{Document, Layer, Place, Section, Value},
    operate::{self, Operate},
    prices::{self, Prices},
    schema,
};
use crate::{
    cli::{
        GlobalArgs, KeepArgs,
        value::{JobName, StoreUrl},
    },
    safe_url::SafeUrl,
    secret::SecretSource,
};

/// Where a settled value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// An environment variable.
    Env(String),
    /// The file.
    File(PathBuf, Place),
    /// The built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(formatter, "flag --{name}"),
            Origin::Env(name) => write!(formatter, "environment {name}"),
            Origin::File(path, place) => write!(formatter, "{}:{place}", path.display()),
            Origin::Default => formatter.write_str("default"),
        }
    }
}

/// Where the global flags got their values.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    repo: Option<Origin>,
    home: Option<Origin>,
    identity: Option<Origin>,
}

impl Origins {
    /// Looks up whether each global flag was typed or came from the environment.
    pub fn of(matches: &ArgMatches) -> Origins {
        let origin = |id: &str, flag: &'static str, variable: &'static str| match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => Some(Origin::Env(variable.to_owned())),
            Some(ValueSource::CommandLine) => Some(Origin::Flag(flag)),
            _ => None,
        };
        Origins {
            repo: origin("repo", "repo", "LACRE_REPO"),
            home: origin("home", "home", "LACRE_HOME"),
            identity: origin("identity", "identity", "LACRE_IDENTITY"),
        }
    }
}

/// The values of this run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the repository lies, if anything says so.
    pub repository: Option<StoreUrl>,
    /// The credentials of the repository's store, by name.
    pub credentials: Option<String>,
    /// Keys and state of this host.
    pub home: PathBuf,
    /// Whether nothing is written to the repository's store.
    pub read_only: bool,
    /// Whether new packs get parity.
    pub parity: ParityChoice,
    /// Identity files.
    pub identities: Vec<PathBuf>,
    /// Credentials by name.
    pub credential: BTreeMap<String, Credential>,
    /// Jobs in the order of the file.
    pub jobs: Vec<Job>,
    /// Further places that hold every snapshot, in the order of the file.
    pub copies: Vec<CopySettings>,
    /// Seal cells.
    pub seal_cells: Vec<String>,
    /// The credentials of seal cells in buckets that name none, by name.
    pub seal_credentials: Option<String>,
    /// How often the seal is changed without a person.
    pub rotate_every: Option<Duration>,
    /// How long the command of a cell may take.
    pub cell_patience: Duration,
    /// The keep rules for jobs without their own.
    pub retention: Retention,
    /// Programs around a restore.
    pub hooks: Hooks,
    /// How restores are rehearsed.
    pub drill: Drill,
    /// Bounds on what a run takes from machine and network.
    pub limits: Limits,
    /// What runs by itself.
    pub operate: Operate,
    /// What storage costs.
    pub prices: Option<Prices>,
    /// For how long new objects of a bucket are locked.
    pub object_lock: Option<Lock>,
    /// Where requests to a store may go unencrypted.
    pub plain_http: PlainHttp,
    /// Everything as it is shown: dotted key, text, origin.
    pub shown: Vec<(String, String, Origin)>,
}

impl Settings {
    /// Finds a job by name.
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == *name)
    }
}

/// A further place that holds every snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySettings {
    /// Its name.
    pub name: JobName,
    /// Where it lies.
    pub url: StoreUrl,
    /// The credentials of its store, by name.
    pub credentials: Option<String>,
}

/// Keys of one object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Two secrets with a source each.
    Pair {
        /// Source of the access key id.
        access_key_id: SecretSource,
        /// Source of the secret access key.
        secret_access_key: SecretSource,
    },
    /// A program that prints both on two lines.
    Command(Vec<String>),
    /// A profile of the AWS configuration files.
    Profile(String),
}

/// One source that becomes snapshots.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// What is backed up.
    pub source: JobSource,
    /// Connections that read a database.
    pub jobs: u32,
    /// Labels kept with each snapshot.
    pub tags: Vec<String>,
    /// Where the password of its database comes from, if not from where libpq looks.
    pub password: Option<SecretSource>,
    /// Its own keep rules, if it has some.
    pub retention: Option<Retention>,
    /// What a drill of it asks besides what every drill asks.
    pub critical: Vec<String>,
}

/// How restores are rehearsed.
#[derive(Clone, Debug, Default)]
pub struct Drill {
    /// The server; none: a throw-away one.
    pub server: Option<SafeUrl>,
    /// Where throw-away servers are made.
    pub folder: Option<PathBuf>,
    /// Queries that must each return true.
    pub critical: Vec<String>,
}

/// What a job backs up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSource {
    /// A PostgreSQL database.
    Postgres(SafeUrl),
    /// A program's output.
    Command(Vec<String>),
    /// A regular file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Keep rules; a snapshot stays when any of them wants it.
#[derive(Clone, Debug)]
pub struct Retention {
    /// The newest N.
    pub keep_last: Option<u32>,
    /// Hours.
    pub keep_hourly: Option<u32>,
    /// Days.
    pub keep_daily: Option<u32>,
    /// Weeks.
    pub keep_weekly: Option<u32>,
    /// Months.
    pub keep_monthly: Option<u32>,
    /// Years.
    pub keep_yearly: Option<u32>,
    /// Everything younger than this.
    pub keep_within: Option<jiff::Span>,
    /// Never forget the last N verified ones.
    pub min_verified: u32,
}

/// The default of `patience` of `[seal]`.
const CELL_PATIENCE_DEFAULT: Duration = Duration::from_secs(60);

/// The default of `min_verified`.
pub const MIN_VERIFIED_DEFAULT: u32 = 3;

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            keep_last: None,
            keep_hourly: None,
            keep_daily: None,
            keep_weekly: None,
            keep_monthly: None,
            keep_yearly: None,
            keep_within: None,
            min_verified: MIN_VERIFIED_DEFAULT,
        }
    }
}

impl Retention {
    /// Says whether no rule is set, which keeps everything.
    pub fn keeps_everything(&self) -> bool {
        let counts =
            [self.keep_last, self.keep_hourly, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly];
        counts.iter().all(Option::is_none) && self.keep_within.is_none()
    }

    /// Returns the rules typed on the command line when there are any, else these; `min_verified` always stays.
    pub fn overridden_by(&self, flags: &KeepArgs) -> Retention {
        let typed = Retention {
            keep_last: flags.keep_last,
            keep_hourly: flags.keep_hourly,
            keep_daily: flags.keep_daily,
            keep_weekly: flags.keep_weekly,
            keep_monthly: flags.keep_monthly,
            keep_yearly: flags.keep_yearly,
            keep_within: flags.keep_within,
            min_verified: self.min_verified,
        };
        if typed.keeps_everything() { self.clone() } else { typed }
    }
}

/// Programs run around a restore into a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before.
    pub before_restore: Vec<Vec<String>>,
    /// After, always.
    pub after_restore: Vec<Vec<String>>,
    /// When an erasure was signed.
    pub on_erase_intent: Vec<Vec<String>>,
}

/// Bounds on what a run takes from machine and network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes read from the store a second.
    pub read: Option<NonZeroU64>,
    /// Bytes written to the store a second.
    pub upload: Option<NonZeroU64>,
    /// How long a store that does not answer is asked again.
    pub patience: Option<Duration>,
}

/// Puts the layers over each other. The document must be valid.
pub fn settle(file: &ConfigFile, global: &GlobalArgs, origins: &Origins) -> Settings {
    let document = &file.document;
    let root = document.of("").next();
    let jobs = document.of("job").filter_map(|section| job(section, document)).collect();
    let hooks = document.of("hooks").next();
    Settings {
        repository: global.repo.clone().or_else(|| get(root, "repository", as_store)),
        credentials: get(root, "credentials", as_text),
        home: global.home.clone().or_else(|| get(root, "home", as_path)).unwrap_or_else(default_home),
        read_only: get(root, "read_only", as_switch).unwrap_or_default(),
        parity: match get(root, "parity", as_switch) {
            Some(true) => ParityChoice::Kept,
            Some(false) => ParityChoice::Left,
            None => ParityChoice::Auto,
        },
        identities: if global.identity.is_empty() {
            get(root, "identities", as_paths).unwrap_or_default()
        } else {
            global.identity.clone()
        },
        credential: document
            .of("credential")
            .filter_map(|section| Some((section.label.clone(), credential(section)?)))
            .collect(),
        jobs,
        copies: document.of("copy").filter_map(copy).collect(),
        seal_cells: get(document.of("seal").next(), "cells", as_texts).unwrap_or_default(),
        seal_credentials: get(document.of("seal").next(), "credentials", as_text),
        rotate_every: get(document.of("seal").next(), "rotate_every", as_duration),
        cell_patience: get(document.of("seal").next(), "patience", as_duration).unwrap_or(CELL_PATIENCE_DEFAULT),
        retention: document.of("retention").next().map(retention).unwrap_or_default(),
        hooks: Hooks {
            before_restore: get(hooks, "before_restore", as_argvs).unwrap_or_default(),
            after_restore: get(hooks, "after_restore", as_argvs).unwrap_or_default(),
            on_erase_intent: get(hooks, "on_erase_intent", as_argvs).unwrap_or_default(),
        },
        drill: drill(document.of("drill").next()),
        operate: operate::settle(document),
        prices: prices::settle(document),
        limits: limits(document.of("limits").next()),
        object_lock: object_lock(document.of("object_lock").next()),
        plain_http: if global.allow_http { PlainHttp::Anywhere } else { PlainHttp::Loopback },
        shown: shown(file, global, origins),
    }
}

fn object_lock(section: Option<&Section>) -> Option<Lock> {
    let days = get(section, "days", as_count).filter(|days| *days > 0)?;
    let is_compliance = get(section, "mode", as_text).is_some_and(|mode| mode == "compliance");
    Some(Lock { mode: if is_compliance { LockMode::Compliance } else { LockMode::Governance }, days })
}

fn drill(section: Option<&Section>) -> Drill {
    Drill {
        server: get(section, "server", as_url),
        folder: get(section, "folder", as_path),
        critical: get(section, "critical", as_texts).unwrap_or_default(),
    }
}

fn limits(section: Option<&Section>) -> Limits {
    let rate = |name| get(section, name, as_bytes).and_then(NonZeroU64::new);
    Limits { read: rate("read"), upload: rate("upload"), patience: get(section, "patience", as_duration) }
}

/// The home of this host when nothing names one.
pub fn default_home() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/lacre");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    folder.unwrap_or_else(|| PathBuf::from("/var/lib")).join("lacre")
}

fn job(section: &Section, document: &Document) -> Option<Job> {
    let section_ref = Some(section);
    let source = get(section_ref, "postgres", as_url)
        .map(JobSource::Postgres)
        .or_else(|| get(section_ref, "command", as_texts).map(JobSource::Command))
        .or_else(|| get(section_ref, "file", as_path).map(JobSource::File))
        .or_else(|| get(section_ref, "stdin", as_switch).filter(|stdin| *stdin).map(|_| JobSource::Stdin))?;
    Some(Job {
        name: get(section_ref, "name", as_job_name)?,
        source,
        jobs: get(section_ref, "jobs", as_count).unwrap_or(1),
        tags: get(section_ref, "tags", as_texts).unwrap_or_default(),
        password: operate::secret(section, "password"),
        retention: document.of("job.retention").find(|rules| rules.label == section.label).map(retention),
        critical: get(document.of("job.drill").find(|drill| drill.label == section.label), "critical", as_texts)
            .unwrap_or_default(),
    })
}

fn copy(section: &Section) -> Option<CopySettings> {
    let section = Some(section);
    Some(CopySettings {
        name: get(section, "name", as_job_name)?,
        url: get(section, "url", as_store)?,
        credentials: get(section, "credentials", as_text),
    })
}

fn retention(section: &Section) -> Retention {
    let count = |name| get(Some(section), name, as_count);
    Retention {
        keep_last: count("keep_last"),
        keep_hourly: count("keep_hourly"),
        keep_daily: count("keep_daily"),
        keep_weekly: count("keep_weekly"),
        keep_monthly: count("keep_monthly"),
        keep_yearly: count("keep_yearly"),
        keep_within: get(Some(section), "keep_within", as_span),
        min_verified: count("min_verified").unwrap_or(MIN_VERIFIED_DEFAULT),
    }
}

fn credential(section: &Section) -> Option<Credential> {
    if let Some(argv) = get(Some(section), "command", as_argv) {
        return Some(Credential::Command(argv));
    }
    if let Some(profile) = get(Some(section), "profile", as_text) {
        return Some(Credential::Profile(profile));
    }
    Some(Credential::Pair {
        access_key_id: operate::secret(section, "access_key_id")?,
        secret_access_key: operate::secret(section, "secret_access_key")?,
    })
}

/// Lists every key that is set or has a default, with its origin.
fn shown(file: &ConfigFile, global: &GlobalArgs, origins: &Origins) -> Vec<(String, String, Origin)> {
    let mut shown = Vec::new();
    let path = file.path.clone().unwrap_or_default();
    let over = |name: &str| match name {
        "repository" => Some((format!("{:?}", global.repo.as_ref()?.to_string()), origins.repo.clone()?)),
        "home" => Some((format!("{:?}", global.home.as_ref()?.display().to_string()), origins.home.clone()?)),
        "identities" if !global.identity.is_empty() => {
            Some((format!("{:?}", global.identity), origins.identity.clone()?))
        }
        _ => None,
    };
    for table in &schema::TABLES {
        let sections: Vec<&Section> = file.document.of(table.name).collect();
        let present = sections.iter().map(|section| Some(*section));
        let absent = (sections.is_empty()
            && matches!(table.shape, schema::Shape::Root | schema::Shape::Single)
            && !table.name.starts_with("job."))
        .then_some(None);
        for section in present.chain(absent) {
            let title = section.map_or_else(|| table.name.to_owned(), Section::title);
            for key in table.keys {
                let name = if title.is_empty() { key.name.to_owned() } else { format!("{title}.{}", key.name) };
                let from_file = || {
                    section
                        .and_then(|section| section.entries.get(key.name))
                        .map(|entry| (entry.shown.clone(), origin_of(&entry.layer, &path, entry.place)))
                };
                let default = || match key.name {
                    "home" => Some((format!("{:?}", default_home().display().to_string()), Origin::Default)),
                    _ => key.default.map(|default| (default.to_owned(), Origin::Default)),
                };
                let layered = if table.name.is_empty() { over(key.name) } else { None };
                if let Some((text, origin)) = layered.or_else(from_file).or_else(default) {
                    shown.push((name, text, origin));
                }
            }
        }
    }
    shown
}

fn origin_of(layer: &Layer, path: &Path, place: Place) -> Origin {
    match layer {
        Layer::File => Origin::File(path.to_owned(), place),
        Layer::Env(name) => Origin::Env(name.clone()),
        Layer::Set => Origin::Flag("set"),
    }
}

pub(super) fn get<T>(section: Option<&Section>, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    section?.entries.get(name).and_then(|entry| read(&entry.value))
}

macro_rules! reader {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(value: &Value) -> Option<$type> {
            if let Value::$variant(inner) = value { Some(inner.clone()) } else { None }
        }
    };
}

reader!(as_text, Text, String);
reader!(as_url, Url, SafeUrl);
reader!(as_store, Store, StoreUrl);
reader!(as_path, Path, PathBuf);
reader!(as_paths, Paths, Vec<PathBuf>);
reader!(as_texts, Texts, Vec<String>);
reader!(as_argv, Texts, Vec<String>);
reader!(as_share, Share, f64);
reader!(as_amount, Amount, f64);
reader!(as_argvs, Argvs, Vec<Vec<String>>);
reader!(as_count, Count, u32);
reader!(as_bytes, Bytes, u64);
reader!(as_duration, Duration, Duration);
reader!(as_switch, Switch, bool);
reader!(as_span, Span, jiff::Span);
reader!(as_job_name, JobName, JobName);

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};

    use super::{Credential, JobSource, Origin, Origins, Settings, settle};
    use crate::{
        cli::{Cli, Command},
        config::{ConfigFile, document::Document},
        secret::SecretSource,
    };

    fn settled(text: &str, line: &str) -> (Settings, Cli) {
        let matches = Cli::command().try_get_matches_from(line.split_whitespace()).unwrap();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        let file =
            ConfigFile { path: Some("/etc/x.toml".into()), document: Document::parse(text), file_problems: Vec::new() };
        file.require_valid().unwrap();
        (settle(&file, &cli.global, &Origins::of(&matches)), cli)
    }

    fn origin(settings: &Settings, key: &str) -> (String, String) {
        let (_, text, origin) = settings.shown.iter().find(|(name, ..)| name == key).unwrap();
        (text.clone(), origin.to_string())
    }

    #[test]
    fn the_contract_example_settles() {
        let (settings, _) = settled(include_str!("../../tests/data/contract.toml"), "lacre snapshots");
        assert_eq!(settings.repository.as_ref().unwrap().to_string(), "s3://astro-backups/lacre");
        assert!(
            matches!(&settings.jobs[0].source, JobSource::Postgres(url) if url.expose() == "postgres://backup@db/astro")
        );
        assert_eq!(
            (settings.retention.keep_daily, settings.retention.keep_last, settings.retention.min_verified),
            (Some(30), None, 3)
        );
        assert_eq!(settings.hooks.after_restore[0].last().unwrap(), "api");
        let copy = &settings.copies[0];
        assert_eq!(
            (copy.name.as_str(), copy.url.to_string(), copy.credentials.as_deref()),
            ("offsite", "b2://astro-offsite/lacre?region=us-west-004".to_owned(), Some("offsite"))
        );
        let Credential::Pair { access_key_id, .. } = &settings.credential["backup"] else { panic!() };
        assert_eq!(*access_key_id, SecretSource::Env("LACRE_S3_KEY".into()));
        assert_eq!(origin(&settings, "retention.keep_daily"), ("30".into(), "/etc/x.toml:17:1".into()));
    }

    #[test]
    fn a_flag_outranks_the_file_and_the_file_outranks_the_default() {
        let (settings, _) = settled("repository = '/file'\nhome = '/h'", "lacre snapshots --repo /flag");
        assert_eq!(settings.repository.as_ref().unwrap().to_string(), "/flag");
        assert_eq!(origin(&settings, "repository"), ("\"/flag\"".into(), "flag --repo".into()));
        assert_eq!(origin(&settings, "home"), ("\"/h\"".into(), "/etc/x.toml:2:1".into()));
        assert_eq!(origin(&settings, "retention.min_verified"), ("3".into(), "default".into()));
        let (without_file, _) = settled("", "lacre snapshots --repo /flag");
        assert_eq!(origin(&without_file, "repository"), ("\"/flag\"".into(), "flag --repo".into()));
        assert_eq!(Origin::Env("LACRE_REPO".to_owned()).to_string(), "environment LACRE_REPO");
    }

    #[test]
    fn a_job_has_its_own_rules_and_flags_replace_them() {
        let text = "[retention]\nkeep_last=9\n[[job]]\nname='a'\nstdin=true\n[[job]]\nname='b'\nfile='/x'\n[job.retention]\nkeep_daily=5\nmin_verified=1\n";
        let (settings, cli) = settled(text, "lacre forget --keep-last 2");
        assert!(settings.jobs[0].retention.is_none());
        let rules = settings.jobs[1].retention.as_ref().unwrap();
        assert_eq!((rules.keep_daily, rules.keep_last, rules.min_verified), (Some(5), None, 1));
        let Command::Forget(args) = cli.command else { panic!() };
        let typed = rules.overridden_by(&args.keep);
        assert_eq!((typed.keep_daily, typed.keep_last, typed.min_verified), (None, Some(2), 1));
        assert_eq!(rules.overridden_by(&crate::cli::KeepArgs::default()).keep_daily, Some(5));
        assert!(settings.job(&"b".parse().unwrap()).is_some());
    }
}
