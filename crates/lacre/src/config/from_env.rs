//! `config from-env`: the `.env` file of the scripts and the dump container that Lacre replaces, as a commented `lacre.toml`.
//!
//! In: the text of a `.env` file. Out: TOML text with a comment for everything that could not be said in it, and warnings. Passwords
//! are never copied. It must not touch the environment of this process.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{cli::value::JobName, human};

/// The most lines that are read.
const LINES_MAX: usize = 10_000;

/// Every name that is understood, with what becomes of it; also the table in `docs/CONFIG.md`.
pub const NAMES: [(&str, &str); 18] = [
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
    ("POSTGRES_PASSWORD", "a line for ~/.pgpass, without the password"),
    ("SCHEDULE", "a crontab line in a comment"),
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
    let (values, mut warnings) = read(text);
    let mut converter = Converter { values, toml: String::new(), warnings: Vec::new() };
    converter.head();
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
            None => self.line("# repository = \"/var/backups/lacre\""),
        }
        if let Some(schedule) = self.value("SCHEDULE").map(one_line) {
            self.line("");
            self.line("# The schedule is a line for cron:");
            self.line(&format!("#   {} lacre backup", cron(&schedule)));
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
        }
        if self.value("POSTGRES_PASSWORD").is_some() {
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

    fn retention(&mut self) {
        let names = ["BACKUP_RETENTION_DAYS", "BACKUP_KEEP_DAYS", "BACKUP_KEEP_WEEKS", "BACKUP_KEEP_MONTHS"];
        if names.iter().all(|name| self.value(name).is_none()) {
            return;
        }
        self.line("");
        self.line("# Never runs after a failed backup, and never takes the last verified snapshots.");
        self.line("[retention]");
        self.count("keep_daily", "BACKUP_KEEP_DAYS");
        self.count("keep_weekly", "BACKUP_KEEP_WEEKS");
        self.count("keep_monthly", "BACKUP_KEEP_MONTHS");
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

/// The container's short names for schedules, as cron understands them everywhere.
fn cron(schedule: &str) -> String {
    match schedule {
        "@yearly" | "@annually" => "0 3 1 1 *".to_owned(),
        "@monthly" => "0 3 1 * *".to_owned(),
        "@weekly" => "0 3 * * 0".to_owned(),
        "@daily" | "@midnight" => "0 3 * * *".to_owned(),
        "@hourly" => "0 * * * *".to_owned(),
        other => other.to_owned(),
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
    use super::convert;
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
    fn unreadable_values_are_left_out_and_named() {
        let converted = convert(
            "BACKUP_RETENTION_DAYS=thirty\nMIN_BACKUP_COUNT=-1\nMAX_BACKUP_AGE_HOURS=\nnonsense\nMIN_BACKUP_SIZE=big\n",
        );
        assert_eq!(converted.warnings.len(), 4, "{:?}", converted.warnings);
        assert_eq!(Document::parse(&converted.toml).problems(), []);
    }

    #[test]
    fn hostile_values_stay_inside_their_strings() {
        let converted = convert("BACKUP_DIR='/a\"b\\'\nSCHEDULE=a\u{7}b\nPOSTGRES_DB=x\"]y/z\nPOSTGRES_USER=a b\n");
        check_valid(&converted.toml);
        assert!(converted.toml.contains("postgres://a%20b@localhost/x%22%5Dy%2Fz"));
    }
}
