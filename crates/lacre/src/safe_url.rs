//! URLs and connection strings that show themselves without their passwords.
//!
//! In: what a person typed. Out: the text for the one place that connects, and a redacted text for everything else.

use std::{fmt, str::FromStr};

/// Query parameters and connection-string keys whose values are never shown.
const SECRET_KEYS: [&str; 8] =
    ["password", "passwd", "sslpassword", "secret", "token", "secret_access_key", "access_key_id", "key"];

/// The longest URL that is accepted, bytes; longer ones are a mistake in quoting.
const URL_BYTES_MAX: usize = 8 * 1024;

/// A URL or libpq connection string whose `Display` and `Debug` hide passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeUrl(String);

impl SafeUrl {
    /// Lends the text with its secrets to the code that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Says whether the text carries a password (which in argv every user of the machine can read).
    pub fn has_password(&self) -> bool {
        self.redacted() != self.0
    }

    /// Returns the scheme in front of `://`, or nothing for a path or connection string.
    pub fn scheme(&self) -> Option<&str> {
        self.0.split_once("://").map(|(scheme, _)| scheme)
    }

    /// Returns the text with every password replaced by `***`.
    pub fn redacted(&self) -> String {
        match self.0.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", redact_after_scheme(rest)),
            None if self.0.contains('=') => redact_keywords(&self.0),
            None => self.0.clone(),
        }
    }
}

fn redact_after_scheme(rest: &str) -> String {
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    // The last '@' before the path ends the user information; a password may itself hold an unescaped '@'.
    let authority_end = before_query.find('/').unwrap_or(before_query.len());
    let mut shown = match before_query[..authority_end].rfind('@') {
        Some(at) => match before_query[..at].split_once(':') {
            Some((user, _)) => format!("{user}:***{}", &before_query[at..]),
            None => before_query.to_owned(),
        },
        // A password with an unescaped '/' pushes the '@' behind the first slash: hide all of it rather than show a part.
        None => match before_query.rfind('@') {
            Some(at) if before_query[..at].contains(':') => format!("***{}", &before_query[at..]),
            _ => before_query.to_owned(),
        },
    };
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(|pair| redact_pair(pair, '=')).collect();
        shown.push('?');
        shown.push_str(&pairs.join("&"));
    }
    shown
}

fn redact_pair(pair: &str, separator: char) -> String {
    match pair.split_once(separator) {
        Some((key, _)) if is_secret_key(key) => format!("{key}{separator}***"),
        _ => pair.to_owned(),
    }
}

fn is_secret_key(key: &str) -> bool {
    let lower = key.trim().to_ascii_lowercase();
    SECRET_KEYS.contains(&lower.as_str())
}

/// Redacts `host=db password='a b' user=x`; a quoted value may hold spaces and backslash escapes.
fn redact_keywords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(equals) = rest.find('=') {
        let key = rest[..equals].trim();
        shown.push_str(&rest[..=equals]);
        let value = &rest[equals + 1..];
        let end = keyword_value_end(value);
        shown.push_str(if is_secret_key(key) { "***" } else { &value[..end] });
        rest = &value[end..];
    }
    shown.push_str(rest);
    shown
}

fn keyword_value_end(value: &str) -> usize {
    let trimmed = value.trim_start();
    let lead = value.len() - trimmed.len();
    let quoted = trimmed.starts_with('\'');
    let mut escaped = false;
    for (at, character) in trimmed.char_indices().skip(usize::from(quoted)) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return lead + at + 1,
            _ if !quoted && character.is_whitespace() => return lead + at,
            _ => {}
        }
    }
    value.len()
}

impl FromStr for SafeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<SafeUrl, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if text.len() > URL_BYTES_MAX {
            return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        if text.contains(['\n', '\r', '\0']) {
            return Err("it holds a line break or a NUL".to_owned());
        }
        Ok(SafeUrl(text.to_owned()))
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.redacted())
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SafeUrl({})", self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::SafeUrl;

    #[track_caller]
    fn check(typed: &str, shown: &str) {
        let url: SafeUrl = typed.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(url.expose(), typed);
        assert_eq!(url.has_password(), typed != shown);
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn passwords_are_hidden_and_the_rest_is_shown() {
        check("postgres://backup@db/astro", "postgres://backup@db/astro");
        check(
            "postgres://backup:hunter2@db:5432/astro?sslmode=require",
            "postgres://backup:***@db:5432/astro?sslmode=require",
        );
        check("postgres://backup:hunter2@x@db/astro", "postgres://backup:***@db/astro");
        check("postgres://backup:hun/hunter2@db/astro", "postgres://***@db/astro");
        check("postgres://db/astro?user=a&password=hunter2&x=1", "postgres://db/astro?user=a&password=***&x=1");
        check("host=db password='hunter2 \\' x' user=a", "host=db password=*** user=a");
        check("host=db password = hunter2 user=a", "host=db password =*** user=a");
        check("/var/backups/lacre", "/var/backups/lacre");
        check("s3://bucket/prefix", "s3://bucket/prefix");
        check("https://hc-ping.com/uuid", "https://hc-ping.com/uuid");
    }

    #[test]
    fn line_breaks_and_emptiness_are_refused() {
        for bad in ["", "postgres://a\nb", "a\0b"] {
            assert!(bad.parse::<SafeUrl>().is_err(), "{bad:?}");
        }
    }
}
