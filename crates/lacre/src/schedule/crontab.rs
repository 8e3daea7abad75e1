//! Crontab lines: complete commands that need nothing of cron's bare environment.
//!
//! In: where things lie and when they happen. Out: text for `crontab -e` or `/etc/cron.d`. Nothing is installed.

use std::path::PathBuf;

use super::cron::Cron;
use crate::config::operate::TaskKind;

/// Where the program, its configuration and its home lie.
#[derive(Clone, Debug)]
pub struct Place {
    /// The program.
    pub program: PathBuf,
    /// The configuration, when one was found.
    pub config: Option<PathBuf>,
    /// The home, when it is not the usual one of the user that runs it.
    pub home: Option<PathBuf>,
}

impl Place {
    /// The whole command, word by word.
    pub fn words(&self, task: TaskKind) -> Vec<String> {
        let mut words = vec![self.program.display().to_string()];
        if let Some(config) = &self.config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        if let Some(home) = &self.home {
            words.extend(["--home".to_owned(), home.display().to_string()]);
        }
        words.extend(task.arguments().iter().map(|word| (*word).to_owned()));
        words
    }
}

/// Makes the lines.
pub fn lines(place: &Place, zone: Option<&str>, tasks: &[(TaskKind, Cron)]) -> String {
    let mut text =
        String::from("# Lacre; made by `lacre schedule cron`. Output is mailed by cron: errors and warnings only.\n");
    if let Some(zone) = zone {
        text.push_str("# cronie follows CRON_TZ; Debian's cron does not and takes the system's time zone.\n");
        text.push_str(&format!("CRON_TZ={zone}\n"));
    }
    for (task, cron) in tasks {
        // cron ends a command at a percent sign that is not escaped, whatever the shell's quotes say.
        let command: Vec<String> = place.words(*task).iter().map(|word| quoted(word)).collect();
        let command = command.join(" ").replace('%', "\\%");
        text.push_str(&format!("{} {command} --quiet >/dev/null\n", cron.text()));
    }
    text
}

/// A word as `sh` reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=@:+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::{Place, lines};
    use crate::{config::operate::TaskKind, schedule::cron::Cron};

    #[test]
    fn words_survive_the_shell_and_cron() {
        let place = Place {
            program: "/usr/local/bin/lacre".into(),
            config: Some("/etc/it's 100%/lacre.toml".into()),
            home: None,
        };
        let text = lines(&place, Some("UTC"), &[(TaskKind::Backup, Cron::parse("@daily").unwrap())]);
        assert!(text.contains("CRON_TZ=UTC\n"));
        let line = text.lines().last().unwrap();
        let expected =
            "0 0 * * * /usr/local/bin/lacre --config '/etc/it'\\''s 100\\%/lacre.toml' backup --quiet >/dev/null";
        assert_eq!(line, expected);
    }
}
