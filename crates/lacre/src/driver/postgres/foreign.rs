//! An archive that somebody else's `pg_dump -Fc` wrote: a file, a command's output, standard input.
//!
//! In: its bytes, uncompressed inside. Out: the same streams as of a dump of our own, and what its table of contents says of the database.
//! There is no server to ask, so the facts are fewer: no roles, no server settings, and of the database's own properties only what
//! `CREATE DATABASE` says.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::Arc,
};

use lacre_dump::archive::{Setting, Toc};

use super::{
    dump::{BoxError, DumpReport, DumpSink, Rows, StreamKind, StreamSpec, Taken, Work},
    error::{Error, Result},
    facts::{DatabaseFacts, Extension},
    report::{Finding, Watch},
    tools::Version,
};

/// Takes an archive apart into `sink`; `origin` names where it comes from. The caller commits only after this returned without an error
/// and its own source ended well.
///
/// # Errors
/// [`Error::DumpTruncated`] for an archive that is cut off or lacks the data of an entry, [`Error::Garbage`] for one that is malformed,
/// [`Error::Sink`].
pub fn take<S: DumpSink>(
    mut from: impl Read,
    origin: &str,
    sink: &mut S,
    watch: &Arc<dyn Watch>,
) -> Result<DumpReport> {
    let mut findings = Vec::new();
    let mut tap = Tap { sink, toc: None };
    let mut work =
        Work { origin: origin.to_owned(), sink: &mut tap, watch, sizes: HashMap::new(), findings: &mut findings };
    let archived = work.take_apart(&mut from).map_err(|error| match error {
        Taken::Failed(error) => error,
        Taken::Early { bytes, why } => Error::DumpTruncated { target: origin.to_owned(), bytes, why },
        Taken::Garbage { bytes, why } => Error::Garbage { target: origin.to_owned(), bytes, why },
    })?;
    let toc = tap.toc.take().and_then(|bytes| Toc::parse(&bytes).ok());
    let mut facts = BTreeMap::new();
    if let Some(toc) = &toc {
        facts = facts_of(toc).to_map();
        facts.insert("client.version".to_owned(), text(toc.header().dump_version));
        findings.extend(notes(toc));
    }
    facts.insert("archive.bytes".to_owned(), archived.bytes.to_string());
    facts.insert("archive.version".to_owned(), archived.version);
    facts.insert("archive.form".to_owned(), archived.form.to_owned());
    Ok(DumpReport {
        archive_bytes: archived.bytes,
        archive_blake3: archived.blake3,
        tables: archived.tables,
        facts,
        findings,
    })
}

/// Passes streams on and keeps a copy of the table of contents, which is bounded.
struct Tap<'s, S> {
    sink: &'s mut S,
    toc: Option<Vec<u8>>,
}

/// A stream of a [`Tap`].
struct Tapped<T> {
    inner: T,
    copy: Option<Vec<u8>>,
}

impl<T: std::io::Write> std::io::Write for Tapped<T> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.inner.write_all(bytes)?;
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<S: DumpSink> DumpSink for Tap<'_, S> {
    type Stream = Tapped<S::Stream>;

    fn open(&mut self, spec: StreamSpec) -> std::result::Result<Self::Stream, BoxError> {
        let first = spec.kind == StreamKind::Toc && self.toc.is_none();
        Ok(Tapped { inner: self.sink.open(spec)?, copy: first.then(Vec::new) })
    }

    fn close(&mut self, stream: Self::Stream, rows: Rows) -> std::result::Result<(), BoxError> {
        if stream.copy.is_some() {
            self.toc = stream.copy;
        }
        self.sink.close(stream.inner, rows)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a table of contents says of its database.
fn facts_of(toc: &Toc) -> DatabaseFacts {
    let header = toc.header();
    let server_version = text(header.server_version);
    let created = toc.database().map(|entry| (text(entry.owner()), Options::of(&text(entry.definition()))));
    let (owner, options) = created.unwrap_or_default();
    let encoding = toc.setting(Setting::Encoding).map(|value| text(&value));
    let locale = options.get("LOCALE");
    let collate = options.get("LC_COLLATE").or_else(|| locale.clone()).unwrap_or_default();
    let ctype = options.get("LC_CTYPE").or(locale).unwrap_or_default();
    let provider = match options.get("LOCALE_PROVIDER").as_deref() {
        Some("icu") => "i",
        Some("builtin") => "b",
        _ => "c",
    };
    DatabaseFacts {
        server_number: Version::parse(&server_version).map_or(0, number),
        server_version,
        name: text(header.database),
        owner,
        encoding: encoding.or_else(|| options.get("ENCODING")).unwrap_or_else(|| "UTF8".to_owned()),
        collate,
        ctype,
        locale_provider: provider.to_owned(),
        locale: options.get("ICU_LOCALE").or_else(|| options.get("BUILTIN_LOCALE")),
        icu_rules: options.get("ICU_RULES"),
        tablespace: "pg_default".to_owned(),
        connection_limit: -1,
        extensions: toc.extensions().map(|entry| extension(&text(entry.tag()))).collect(),
        ..DatabaseFacts::default()
    }
}

fn number(version: Version) -> i64 {
    let (major, minor) = (i64::from(version.major), i64::from(version.minor));
    if version.major < 10 { major * 10_000 + minor * 100 } else { major * 10_000 + minor }
}

fn extension(name: &str) -> Extension {
    Extension {
        name: name.to_owned(),
        version: "of a version the archive does not tell".to_owned(),
        schema: String::new(),
    }
}

/// What a restore of this archive will not bring back by itself.
fn notes(toc: &Toc) -> Vec<Finding> {
    let mut notes = Vec::new();
    let of_database = |desc: &[u8], tag: &[u8]| {
        desc == b"DATABASE PROPERTIES"
            || (matches!(desc, b"ACL" | b"COMMENT" | b"SECURITY LABEL") && tag.starts_with(b"DATABASE "))
    };
    if toc.entries().any(|entry| of_database(entry.desc(), entry.tag())) {
        notes.push(Finding::note(
            "settings, rights or comment of the database itself lie in the archive; `restore --to` does not replay them",
            "archive",
            "pg_restore --create replays them from `restore --to-file`, or back the database up with --postgres",
        ));
    }
    let statements = toc.tables().filter(|table| table.copy.is_none()).count();
    if statements > 0 {
        notes.push(Finding::note(
            format!(
                "the rows of {} are saved as statements and not as COPY data",
                crate::human::things(statements, ["table", "tables"])
            ),
            "archive",
            "only pg_restore can load these: use `restore --to-file`, and dump without --inserts to have both ways",
        ));
    }
    notes
}

/// The options of a `CREATE DATABASE name WITH KEY = value ...;` as `pg_dump` writes it.
#[derive(Default)]
struct Options(BTreeMap<String, String>);

impl Options {
    fn of(statement: &str) -> Options {
        let mut tokens = Tokens { rest: statement };
        let mut options = BTreeMap::new();
        let mut key = None;
        // The name may be any word; options begin after WITH.
        let mut before = [tokens.next(), tokens.next(), tokens.next()].into_iter().flatten().count();
        while let Some(token) = tokens.next() {
            match (token, key.take()) {
                (Token::Word(word), _) if before == 3 && word.eq_ignore_ascii_case("with") => before += 1,
                (Token::Equals, Some(name)) => {
                    if let Some(Token::Word(value) | Token::Text(value)) = tokens.next() {
                        options.insert(name, value);
                    }
                }
                (Token::Word(word), _) => key = Some(word.to_uppercase()),
                _ => {}
            }
        }
        Options(options)
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }
}

enum Token {
    /// An identifier or keyword; quoted ones without their quotes.
    Word(String),
    /// A string constant without its quotes.
    Text(String),
    Equals,
    Other,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        match first {
            '\'' | '"' => {
                let (text, rest) = quoted(self.rest.get(1..).unwrap_or_default(), first);
                self.rest = rest;
                Some(if first == '"' { Token::Word(text) } else { Token::Text(text) })
            }
            '=' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Some(Token::Equals)
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Token::Word(word.to_owned()))
            }
            c => {
                self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
                Some(Token::Other)
            }
        }
    }
}

/// The text up to the closing quote, with doubled quotes made single, and what follows it.
fn quoted(mut rest: &str, quote: char) -> (String, &str) {
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once(quote) {
        text.push_str(before);
        match after.strip_prefix(quote) {
            Some(more) => {
                text.push(quote);
                rest = more;
            }
            None => return (text, after),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn the_options_of_create_database_are_read_whatever_the_name() {
        let statement = "CREATE DATABASE \"a WITH ENCODING = 'x' \"\"b\" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu \
                         LOCALE = 'pt_BR.UTF-8' ICU_LOCALE = 'pt''BR';\n";
        let options = Options::of(statement);
        let get = |key: &str| options.get(key);
        assert_eq!(get("ENCODING").as_deref(), Some("UTF8"));
        assert_eq!(get("LOCALE_PROVIDER").as_deref(), Some("icu"));
        assert_eq!(get("LOCALE").as_deref(), Some("pt_BR.UTF-8"));
        assert_eq!(get("ICU_LOCALE").as_deref(), Some("pt'BR"));
        assert_eq!(get("LC_CTYPE"), None);
        assert_eq!(Options::of("CREATE DATABASE x;").0.len(), 0);
        assert_eq!(Options::of("").0.len(), 0);
        assert_eq!(Options::of("CREATE DATABASE 'open").0.len(), 0);
    }
}
