//! `config from-env`: the `.env` file of the scripts and the dump container that Lacre replaces, as a commented `lacre.toml`.
//!
//! In: the text of a `.env` file, or a container's environment. Out: TOML text with a comment for everything that could not be said in it, and warnings. Passwords
//! are never copied. It must not touch the environment of this process itself.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::tz::TimeZone;

use crate::{cli::value::JobName, human, schedule::cron::Cron};

/// The most lines that are read.
const LINES_MAX: usize = 10_000;

/// Every name that is understood, with what becomes of it; also the table in `docs/CONFIG.md`.
pub const NAMES: [(&str, &str); 22] = [
    ("BACKUP_DIR", "repository: the folder `lacre` in it"),
    ("BACKUP_RETENTION_DAYS", "retention.keep_within"),
    ("BACKUP_S3_BUCKET", "copy.url"),
    ("BACKUP_S3_PREFIX", "copy.url"),
    ("BACKUP_HEALTHCHECK_URL", "notify.healthchecks.url"),
    ("BACKUP_HEALTHCHECK_FAIL_URL", "notify.healthchecks.fail_url"),
    ("MAX_BACKUP_AGE_HOURS", "status.max_age"),
    ("MIN_BACKUP_SIZE", "status.min_size"),
    ("MIN_BACKUP_COUNT", "status.min_count"),
    ("POSTGRES_HOST", "job.postgres"),
    ("POSTGRES_PORT", "job.postgres"),
    ("POSTGRES_DB", "job.name and job.postgres; several names separated by commas become several jobs"),
    ("POSTGRES_USER", "job.postgres"),
    ("POSTGRES_PASSWORD", "a line for ~/.pgpass, without the password; by `lacre daemon --from-env` job.password_env"),
    ("POSTGRES_PASSWORD_FILE", "job.password_file; by `lacre daemon --from-env` job.password_env"),
    ("SCHEDULE", "schedule.backup"),
    ("TZ", "schedule.time_zone"),
    ("BACKUP_ON_START", "daemon.backup_on_start"),
    ("HEALTHCHECK_PORT", "daemon.listen, on the loopback"),
    ("BACKUP_KEEP_DAYS", "retention.keep_daily"),
    ("BACKUP_KEEP_WEEKS", "retention.keep_weekly"),
    ("BACKUP_KEEP_MONTHS", "retention.keep_monthly"),
];

/// What became of a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The `lacre.toml`.
    pub toml: String,
    /// Names in the file that were not understood, and values that could not be read.
    pub warnings: Vec<String>,
}

/// Converts the text of a `.env` file.
pub fn convert(text: &str) -> Converted {
    let (values, warnings) = read(text);
    converted(values, warnings, Origin::File)
}

/// Converts the environment of a container; passwords stay in its variables, whose names the configuration then has.
pub fn of_environment(variables: impl Iterator<Item = (String, String)>) -> Converted {
    let known = |(name, value): &(String, String)| NAMES.iter().any(|(known, _)| known == name) && !value.is_empty();
    converted(variables.filter(known).collect(), Vec::new(), Origin::Environment)
}

/// Where the values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A file, read once.
    File,
    /// The environment, which stays.
    Environment,
}

fn converted(values: BTreeMap<String, String>, mut warnings: Vec<String>, origin: Origin) -> Converted {
    let mut converter = Converter { values, origin, toml: String::new(), warnings: Vec::new() };
    converter.head();
    converter.schedule();
    converter.jobs();
    converter.retention();
    converter.status();
    converter.copies();
    converter.notify();
    warnings.append(&mut converter.warnings);
    Converted { toml: converter.toml, warnings }
}

/// Reads `NAME=value` lines with optional `export`, quotes and comments.
fn read(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut values = BTreeMap::new();
    let mut warnings = Vec::new();
    for (number, line) in text.lines().take(LINES_MAX).enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once(['=', ':']) else {
            warnings.push(format!("line {}: not NAME=value", number + 1));
            continue;
        };
        let name = name.trim().to_owned();
        if NAMES.iter().any(|(known, _)| *known == name) {
            values.insert(name, unquote(value));
        } else if name.starts_with("BACKUP_") || name.starts_with("POSTGRES_") || name.ends_with("_BACKUP_SIZE") {
            warnings.push(format!("line {}: {name} has no counterpart in lacre.toml", number + 1));
        }
    }
    values.retain(|_, value| !value.is_empty());
    (values, warnings)
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or_default().to_owned();
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim_end().to_owned()
}

struct Converter {
    values: BTreeMap<String, String>,
    origin: Origin,
    toml: String,
    warnings: Vec<String>,
}

impl Converter {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn line(&mut self, text: &str) {
        writeln!(self.toml, "{text}").expect("writing to a string cannot fail");
    }

    /// Writes `key = value` when the variable is a whole number.
    fn count(&mut self, key: &str, variable: &str) {
        let Some(text) = self.value(variable).map(str::to_owned) else { return };
        match text.parse::<u32>() {
            Ok(count) => self.line(&format!("{key} = {count}")),
            Err(_) => self.warnings.push(format!("{variable}={text} is not a whole number; {key} was left out")),
        }
    }

    fn head(&mut self) {
        self.line("# Made by `lacre config from-env`. Check it: lacre --config lacre.toml config check");
        match self.value("BACKUP_DIR").map(|folder| format!("{}/lacre", folder.trim_end_matches('/'))) {
            Some(folder) => {
                self.line("# A folder of its own beside the old dumps; create it once: lacre init");
                self.line(&format!("repository = {}", toml_text(&folder)));
            }
            None if self.origin == Origin::Environment => self.line("repository = \"/backups/lacre\""),
            None => self.line("# repository = \"/var/backups/lacre\""),
        }
        self.line("");
        self.line("# The night gives back what nothing needs any more, once a week.");
        self.line("[run]");
        self.line("prune_every = \"7d\"");
    }

    fn schedule(&mut self) {
        let schedule = self.value("SCHEDULE").map(one_line);
        let zone = self.value("TZ").map(str::to_owned).filter(|zone| TimeZone::get(zone).is_ok());
        if schedule.is_some() || zone.is_some() {
            self.line("");
            self.line(
                "# Followed by `lacre daemon`; `lacre schedule cron` and `lacre schedule systemd` print it for others.",
            );
            self.line("[schedule]");
        }
        if let Some(zone) = zone {
            self.line(&format!("time_zone = {}", toml_text(&zone)));
        }
        if let Some(schedule) = schedule {
            match Cron::parse(cron(&schedule)) {
                Ok(cron) => self.line(&format!("backup = {}", toml_text(cron.text()))),
                Err(why) => {
                    self.line("# backup = \"0 3 * * *\"");
                    self.warnings.push(format!("SCHEDULE: {why}; schedule.backup was left out"));
                }
            }
        }
        self.daemon();
    }

    fn daemon(&mut self) {
        let on_start = self
            .value("BACKUP_ON_START")
            .map(|value| ["true", "1", "yes"].contains(&value.to_ascii_lowercase().as_str()));
        let port = self.value("HEALTHCHECK_PORT").map(str::to_owned);
        if on_start.is_none() && port.is_none() {
            return;
        }
        self.line("");
        self.line("[daemon]");
        if let Some(on_start) = on_start {
            self.line(&format!("backup_on_start = {on_start}"));
        }
        if let Some(port) = port {
            match port.parse::<u16>() {
                Ok(port) if port > 0 => self.line(&format!("listen = \"127.0.0.1:{port}\"")),
                _ => self.warnings.push(format!("HEALTHCHECK_PORT={port} is no port; daemon.listen was left out")),
            }
        }
    }

    fn jobs(&mut self) {
        let Some(databases) = self.value("POSTGRES_DB").map(str::to_owned) else { return };
        let host = self.value("POSTGRES_HOST").unwrap_or("localhost").to_owned();
        let port = self.value("POSTGRES_PORT").map(str::to_owned);
        let user = self.value("POSTGRES_USER").map(str::to_owned);
        for database in databases.split(',').map(str::trim).filter(|database| !database.is_empty()) {
            let authority = user.as_ref().map_or_else(String::new, |user| format!("{}@", percent(user)));
            let port_part = port.as_ref().map_or_else(String::new, |port| format!(":{port}"));
            self.line("");
            self.line("[[job]]");
            self.line(&format!("name = {}", toml_text(JobName::from_database(database).as_str())));
            let url = format!("postgres://{authority}{}{port_part}/{}", percent(&host), percent(database));
            self.line(&format!("postgres = {}", toml_text(&url)));
            self.password();
        }
        if self.origin == Origin::File && self.value("POSTGRES_PASSWORD").is_some() {
            let user = user.as_deref().map_or_else(|| "*".to_owned(), one_line);
            self.line("# The password belongs in ~/.pgpass (mode 0600), as one line:");
            self.line(&format!(
                "#   {}:{}:*:{user}:PASSWORD",
                one_line(&host),
                port.as_deref().map_or_else(|| "5432".to_owned(), one_line)
            ));
            self.warnings.push("POSTGRES_PASSWORD was not copied; put it into ~/.pgpass".to_owned());
        }
    }

    /// Where the password is, never the password.
    fn password(&mut self) {
        let (value, file) = (self.value("POSTGRES_PASSWORD"), self.value("POSTGRES_PASSWORD_FILE"));
        match (self.origin, value, file.map(str::to_owned)) {
            (Origin::Environment, Some(_), _) | (Origin::Environment, None, Some(_)) => {
                self.line("password_env = \"POSTGRES_PASSWORD\"");
            }
            (Origin::File, None, Some(file)) => self.line(&format!("password_file = {}", toml_text(&file))),
            _ => {}
        }
    }

    /// What the old systems had between them: a number of days from the scripts, days, weeks and months from the container.
    fn retention(&mut self) {
        self.line("");
        self.line("# Never runs after a failed backup, and never takes the last verified snapshots.");
        self.line("[retention]");
        for (key, variable, usual) in [
            ("keep_daily", "BACKUP_KEEP_DAYS", 30),
            ("keep_weekly", "BACKUP_KEEP_WEEKS", 4),
            ("keep_monthly", "BACKUP_KEEP_MONTHS", 6),
        ] {
            match self.value(variable) {
                Some(_) => self.count(key, variable),
                None => self.line(&format!("{key} = {usual}")),
            }
        }
        if let Some(days) = self.value("BACKUP_RETENTION_DAYS").map(str::to_owned) {
            match days.parse::<u32>() {
                Ok(days) if days > 0 => self.line(&format!("keep_within = \"{days}d\"")),
                _ => self
                    .warnings
                    .push(format!("BACKUP_RETENTION_DAYS={days} is not a number of days; keep_within was left out")),
            }
        }
        self.line("min_verified = 3");
    }

    fn status(&mut self) {
        let names = ["MAX_BACKUP_AGE_HOURS", "MIN_BACKUP_SIZE", "MIN_BACKUP_COUNT"];
        if names.iter().all(|name| self.value(name).is_none()) {
            return;
        }
        self.line("");
        self.line("[status]");
        if let Some(hours) = self.value("MAX_BACKUP_AGE_HOURS").map(str::to_owned) {
            match hours.parse::<u32>() {
                Ok(hours) if hours > 0 => self.line(&format!("max_age = \"{hours}h\"")),
                _ => self
                    .warnings
                    .push(format!("MAX_BACKUP_AGE_HOURS={hours} is not a number of hours; max_age was left out")),
            }
        }
        if let Some(size) = self.value("MIN_BACKUP_SIZE").map(str::to_owned) {
            match human::parse_bytes(&size) {
                Ok(bytes) => self.line(&format!("min_size = {}", toml_text(&bytes.to_string()))),
                Err(why) => self.warnings.push(format!("MIN_BACKUP_SIZE: {why}; min_size was left out")),
            }
        }
        self.count("min_count", "MIN_BACKUP_COUNT");
    }

    fn copies(&mut self) {
        let Some(bucket) = self.value("BACKUP_S3_BUCKET").map(str::to_owned) else { return };
        let prefix = self.value("BACKUP_S3_PREFIX").unwrap_or("lacre").trim_matches('/').to_owned();
        self.line("");
        self.line("# Only sealed objects go there. The keys come from the environment or a file, never from here.");
        self.line("[[copy]]");
        self.line("name = \"offsite\"");
        self.line(&format!("url = {}", toml_text(&format!("s3://{bucket}/{prefix}"))));
        self.line("credentials = \"offsite\"");
        self.line("");
        self.line("[credential.offsite]");
        self.line("access_key_id_env = \"AWS_ACCESS_KEY_ID\"");
        self.line("secret_access_key_env = \"AWS_SECRET_ACCESS_KEY\"");
    }

    fn notify(&mut self) {
        let url = self.value("BACKUP_HEALTHCHECK_URL").map(str::to_owned);
        let fail_url = self.value("BACKUP_HEALTHCHECK_FAIL_URL").map(str::to_owned);
        if url.is_none() && fail_url.is_none() {
            return;
        }
        self.line("");
        self.line("# Pinged at start, success and failure; the old scripts were silent when they failed.");
        self.line("[notify.healthchecks]");
        if let Some(url) = &url {
            self.line(&format!("url = {}", toml_text(url)));
        }
        if let Some(fail_url) =
            fail_url.filter(|fail_url| url.as_ref().is_none_or(|url| *fail_url != format!("{url}/fail")))
        {
            self.line(&format!("fail_url = {}", toml_text(&fail_url)));
        }
    }
}

/// The container's short names for schedules: what is daily or rarer happens at three, when the clock is never changed.
fn cron(schedule: &str) -> &str {
    match schedule {
        "@yearly" | "@annually" => "0 3 1 1 *",
        "@monthly" => "0 3 1 * *",
        "@weekly" => "0 3 * * 0",
        "@daily" | "@midnight" => "0 3 * * *",
        other => other,
    }
}

/// A comment ends at a line break, so none may pass into one.
fn one_line(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Percent-encodes what a URL's parts may not hold.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{convert, of_environment};
    use crate::config::{check, document::Document};

    #[track_caller]
    fn check_valid(toml: &str) {
        let document = Document::parse(toml);
        assert_eq!(document.problems(), [], "{toml}");
        assert_eq!(check::structure(&document), [], "{toml}");
    }

    #[test]
    fn the_scripts_file_becomes_a_valid_configuration() {
        let converted = convert(include_str!("../../tests/data/scripts.env"));
        assert_eq!(converted.toml, include_str!("../../tests/data/scripts.toml"));
        assert_eq!(converted.warnings, Vec::<String>::new());
        check_valid(&converted.toml);
    }

    #[test]
    fn the_container_file_becomes_a_valid_configuration_without_the_password() {
        let converted = convert(include_str!("../../tests/data/container.env"));
        assert_eq!(converted.toml, include_str!("../../tests/data/container.toml"));
        assert_eq!(
            converted.warnings,
            [
                "line 9: BACKUP_SUFFIX has no counterpart in lacre.toml",
                "POSTGRES_PASSWORD was not copied; put it into ~/.pgpass"
            ]
        );
        check_valid(&converted.toml);
        assert!(!converted.toml.contains("hunter2"));
    }

    #[test]
    fn a_containers_environment_keeps_its_secrets_where_they_are() {
        let variables = [
            ("POSTGRES_HOST", "db"),
            ("POSTGRES_DB", "astro"),
            ("POSTGRES_PASSWORD", "hunter2"),
            ("SCHEDULE", "0 2 * * *"),
            ("TZ", "America/Sao_Paulo"),
            ("BACKUP_ON_START", "TRUE"),
            ("HEALTHCHECK_PORT", "8080"),
            ("PATH", "/bin"),
            ("BACKUP_KEEP_DAYS", ""),
        ];
        let converted = of_environment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        assert_eq!(converted.warnings, Vec::<String>::new());
        check_valid(&converted.toml);
        for line in [
            "repository = \"/backups/lacre\"",
            "time_zone = \"America/Sao_Paulo\"",
            "backup = \"0 2 * * *\"",
            "backup_on_start = true",
            "listen = \"127.0.0.1:8080\"",
            "password_env = \"POSTGRES_PASSWORD\"",
            "keep_daily = 30",
        ] {
            assert!(converted.toml.lines().any(|found| found == line), "{line}\n{}", converted.toml);
        }
        assert!(!converted.toml.contains("hunter2"));
    }

    #[test]
    fn unreadable_values_are_left_out_and_named() {
        let converted = convert(
            "BACKUP_RETENTION_DAYS=thirty\nMIN_BACKUP_COUNT=-1\nMAX_BACKUP_AGE_HOURS=\nnonsense\nMIN_BACKUP_SIZE=big\n",
        );
        assert_eq!(converted.warnings.len(), 4, "{:?}", converted.warnings);
        let converted = convert("SCHEDULE=@every 7m\nHEALTHCHECK_PORT=x\n");
        assert_eq!(converted.warnings.len(), 2, "{:?}", converted.warnings);
        check_valid(&converted.toml);
        assert_eq!(Document::parse(&converted.toml).problems(), []);
    }

    #[test]
    fn hostile_values_stay_inside_their_strings() {
        let converted = convert("BACKUP_DIR='/a\"b\\'\nSCHEDULE=a\u{7}b\nPOSTGRES_DB=x\"]y/z\nPOSTGRES_USER=a b\n");
        check_valid(&converted.toml);
        assert!(converted.toml.contains("postgres://a%20b@localhost/x%22%5Dy%2Fz"));
    }
}
