//! Connection strings, service files and password files, read as libpq reads them.
//!
//! In: text and a map of variables. Out: named parameters. Nothing here connects or decides which parameter wins.
//! The grammar is that of the PostgreSQL manual, "Connection Strings", "The Connection Service File" and "The Password File".

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{
    error::{Error, Result},
    limits,
};

/// Parameters by their libpq names.
pub type Parameters = BTreeMap<String, String>;

/// The variables of the process, as the caller chose to hand them over.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Takes variables from any source of pairs; `std::env::vars()` in the command line.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect() }
    }

    /// Returns one variable; an empty one counts as unset, as for libpq.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables, for children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The user's folder: `HOME`, else what the user database says.
    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from).or_else(|| user_entry().map(|entry| PathBuf::from(entry.1)))
    }

    /// The operating system's name of the user: what libpq takes when nobody names a role.
    pub fn user(&self) -> Option<String> {
        user_entry().map(|entry| entry.0).or_else(|| self.get("USER").map(str::to_owned))
    }
}

/// Name and folder of the effective user, from the local user database.
fn user_entry() -> Option<(String, String)> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2) == Some(&uid.as_str()))
            .then(|| Some(((*fields.first()?).to_owned(), (*fields.get(5)?).to_owned())))?
    })
}

/// Parameters this driver knows, with the variable that sets each; those without one are only for connection strings.
pub const KNOWN: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("fallback_application_name", ""),
    ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslpassword", ""),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslsni", "PGSSLSNI"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcompression", "PGSSLCOMPRESSION"),
    ("requiressl", "PGREQUIRESSL"),
    ("requirepeer", "PGREQUIREPEER"),
    ("requireauth", "PGREQUIREAUTH"),
    ("require_auth", "PGREQUIREAUTH"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("gssencmode", "PGGSSENCMODE"),
    ("gssdelegation", "PGGSSDELEGATION"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("gsslib", "PGGSSLIB"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("keepalives", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("keepalives_count", ""),
    ("tcp_user_timeout", ""),
    ("replication", ""),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
];

/// Parses a URL or a keyword string; plain text without `=` is a database name, as for `psql`.
pub fn parse(text: &str) -> Result<Parameters> {
    if let Some(rest) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
        return parse_url(rest);
    }
    if text.contains('=') {
        return parse_keywords(text);
    }
    if text.contains("://") {
        return Err(Error::ConnectionString("it is a URL, but not one that begins with postgres://".to_owned()));
    }
    let mut parameters = Parameters::new();
    if !text.is_empty() {
        parameters.insert("dbname".to_owned(), text.to_owned());
    }
    Ok(parameters)
}

/// Parses what follows `postgres://`: `[user[:password]@][host[:port][,...]][/database][?name=value&...]`.
fn parse_url(rest: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let authority_end = authority_end(rest)?;
    let (authority, path) = rest.split_at(authority_end);
    let hosts = match authority.rsplit_once('@') {
        Some((login, hosts)) => {
            let (user, password) =
                login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
            insert_decoded(&mut parameters, "user", user)?;
            if let Some(password) = password {
                insert_decoded(&mut parameters, "password", password)?;
            }
            hosts
        }
        None => authority,
    };
    parse_url_hosts(&mut parameters, hosts)?;
    insert_decoded(&mut parameters, "dbname", path.strip_prefix('/').unwrap_or_default())?;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Error::ConnectionString("a URL parameter has no \"=\"".to_owned()))?;
        let name = percent_decode(name)?;
        let value = percent_decode(value)?;
        match (name.as_str(), value.as_str()) {
            ("ssl", "true") => parameters.insert("sslmode".to_owned(), "require".to_owned()),
            _ => {
                check_known(&name)?;
                parameters.insert(name, value)
            }
        };
    }
    Ok(parameters)
}

/// Finds the `/` that ends the hosts; one inside `[...]` does not.
fn authority_end(rest: &str) -> Result<usize> {
    let mut bracket = false;
    for (at, c) in rest.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '/' if !bracket => return Ok(at),
            _ => {}
        }
    }
    if bracket {
        Err(Error::ConnectionString("\"[\" of an IPv6 address is never closed".to_owned()))
    } else {
        Ok(rest.len())
    }
}

/// Splits `host:port,host:port` into the two lists libpq keeps.
fn parse_url_hosts(parameters: &mut Parameters, hosts: &str) -> Result<()> {
    let mut names = Vec::new();
    let mut ports = Vec::new();
    for host in hosts.split(',') {
        let (name, port) = if let Some(rest) = host.strip_prefix('[') {
            let (address, port) = rest
                .split_once(']')
                .ok_or_else(|| Error::ConnectionString("\"[\" of an IPv6 address is never closed".to_owned()))?;
            (address, port.strip_prefix(':').unwrap_or(port))
        } else {
            host.split_once(':').unwrap_or((host, ""))
        };
        names.push(percent_decode(name)?);
        ports.push(percent_decode(port)?);
    }
    if names.iter().any(|name| !name.is_empty()) {
        parameters.insert("host".to_owned(), names.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        parameters.insert("port".to_owned(), ports.join(","));
    }
    Ok(())
}

fn insert_decoded(parameters: &mut Parameters, name: &str, value: &str) -> Result<()> {
    if !value.is_empty() {
        parameters.insert(name.to_owned(), percent_decode(value)?);
    }
    Ok(())
}

/// Undoes `%41`; anything that is not UTF-8 afterwards or holds a NUL is refused.
fn percent_decode(text: &str) -> Result<String> {
    let broken =
        || Error::ConnectionString("a \"%\" is not followed by two hexadecimal digits of valid UTF-8".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next().ok_or_else(broken)?, rest.next().ok_or_else(broken)?];
        let digits = std::str::from_utf8(&digits).map_err(|_| broken())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
    }
    let text = String::from_utf8(bytes).map_err(|_| broken())?;
    if text.contains('\0') { Err(broken()) } else { Ok(text) }
}

/// Parses `key = value key='va\'lue'`.
fn parse_keywords(text: &str) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| Error::ConnectionString("a parameter has no \"=\" after its name".to_owned()))?;
        let name = name.trim();
        check_known(name)?;
        let (value, after) = keyword_value(after.trim_start())?;
        parameters.insert(name.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// Reads one value, quoted or not, and returns what follows it.
fn keyword_value(text: &str) -> Result<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            c if !quoted && c.is_ascii_whitespace() => return Ok((value, text.get(at..).unwrap_or_default())),
            c => value.push(c),
        }
    }
    if quoted { Err(Error::ConnectionString("a quoted value is never closed".to_owned())) } else { Ok((value, "")) }
}

/// Refuses names libpq does not know, naming only the parameter and never a value.
fn check_known(name: &str) -> Result<()> {
    if KNOWN.iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    let shown: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    Err(Error::ConnectionString(format!("unknown parameter \"{shown}\"")))
}

/// Looks a service up in the user's file, then in the system's; `None` when no file defines it.
pub fn service(name: &str, explicit_file: Option<&str>, environment: &Environment) -> Result<Option<Parameters>> {
    for path in service_files(explicit_file, environment) {
        let Some(text) = read_config(&path, "service file")? else { continue };
        if let Some(parameters) = service_section(&text, name, &path)? {
            return Ok(Some(parameters));
        }
    }
    Ok(None)
}

/// The files a service is looked for in, in order.
pub fn service_files(explicit_file: Option<&str>, environment: &Environment) -> Vec<PathBuf> {
    let user =
        explicit_file.map(PathBuf::from).or_else(|| environment.home().map(|home| home.join(".pg_service.conf")));
    let system = environment.get("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common");
    user.into_iter().chain([Path::new(system).join("pg_service.conf")]).collect()
}

/// Reads one `[section]` of a service file.
fn service_section(text: &str, name: &str, path: &Path) -> Result<Option<Parameters>> {
    let broken = |why: String| Error::ConnectionFile { path: path.to_owned(), role: "service file", why };
    let mut found: Option<Parameters> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('[') {
            if found.is_some() {
                break;
            }
            if line == format!("[{name}]") {
                found = Some(Parameters::new());
            }
            continue;
        }
        let Some(parameters) = found.as_mut() else { continue };
        let (key, value) = line.split_once('=').ok_or_else(|| broken(format!("line {} has no \"=\"", number + 1)))?;
        let key = key.trim();
        if key == "service" || key == "servicefile" {
            return Err(broken(format!("line {}: a service cannot name another service", number + 1)));
        }
        check_known(key).map_err(|_| broken(format!("line {}: unknown parameter", number + 1)))?;
        parameters.entry(key.to_owned()).or_insert_with(|| value.trim().to_owned());
    }
    Ok(found)
}

/// What a password file says about one server.
#[derive(Debug, PartialEq, Eq)]
pub enum Passfile {
    /// No file, or no line matches.
    NoEntry,
    /// The file exists but others can read it, so it is ignored, as libpq does.
    Exposed(PathBuf),
    /// The password.
    Entry(String),
}

/// Looks one server up in a password file.
pub fn passfile(path: &Path, host: &str, port: u16, database: &str, user: &str) -> Result<Passfile> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(Passfile::NoEntry) };
    if !metadata.is_file() {
        return Ok(Passfile::NoEntry);
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Ok(Passfile::Exposed(path.to_owned()));
    }
    let Some(text) = read_config(path, "password file")? else { return Ok(Passfile::NoEntry) };
    let port = port.to_string();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields = passfile_fields(line);
        let [line_host, line_port, line_database, line_user, password] = fields.as_slice() else { continue };
        let wanted = [(line_host, host), (line_port, port.as_str()), (line_database, database), (line_user, user)];
        if wanted.iter().all(|((text, wildcard), value)| *wildcard || text == value) {
            return Ok(Passfile::Entry(password.0.clone()));
        }
    }
    Ok(Passfile::NoEntry)
}

/// Splits a line at colons; `\:` and `\\` stand for themselves, a bare `*` matches anything.
fn passfile_fields(line: &str) -> Vec<(String, bool)> {
    let mut fields = vec![(String::new(), false)];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let fields_before = fields.len();
        let Some((field, _)) = fields.last_mut() else { break };
        match c {
            '\\' => field.extend(chars.next()),
            ':' if fields_before < 5 => fields.push((String::new(), false)),
            c => field.push(c),
        }
    }
    for (text, wildcard) in &mut fields {
        *wildcard = text == "*";
    }
    fields
}

/// Reads a small text file; `None` when it is not there.
pub fn read_config(path: &Path, role: &'static str) -> Result<Option<String>> {
    let refused = |why: String| Error::ConnectionFile { path: path.to_owned(), role, why };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(refused(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(limits::CONFIG_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::CONFIG_FILE_BYTES_MAX {
        return Err(refused(format!("it is larger than {} bytes", limits::CONFIG_FILE_BYTES_MAX)));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| refused("it is not UTF-8".to_owned()))
}

/// Says why a private key file must not be used, in libpq's terms: owned by the user or root, and closed to others.
pub fn key_file_exposed(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    let open_bits = if metadata.uid() == 0 && !rustix::process::geteuid().is_root() { 0o027 } else { 0o077 };
    (mode & open_bits != 0)
        .then(|| format!("its mode is {mode:04o}; a private key must not be readable by others (chmod 0600)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(pairs(text), expected, "{text}");
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        check("postgres://", &[]);
        check("postgresql://localhost", &[("host", "localhost")]);
        check(
            "postgres://u:p%40w@h:1/d",
            &[("dbname", "d"), ("host", "h"), ("password", "p@w"), ("port", "1"), ("user", "u")],
        );
        check("postgres://h1:1,h2:2/d", &[("dbname", "d"), ("host", "h1,h2"), ("port", "1,2")]);
        check("postgres://[::1]:5/d", &[("dbname", "d"), ("host", "::1"), ("port", "5")]);
        check("postgres://%2Ftmp%2Fx/d?user=o", &[("dbname", "d"), ("host", "/tmp/x"), ("user", "o")]);
        check("postgres:///d?host=/tmp&ssl=true", &[("dbname", "d"), ("host", "/tmp"), ("sslmode", "require")]);
        check("postgres://u@/d", &[("dbname", "d"), ("user", "u")]);
    }

    #[test]
    fn keywords_are_read_as_libpq_reads_them() {
        check("host=h  port = 5 dbname='a \\'b\\\\'", &[("dbname", "a 'b\\"), ("host", "h"), ("port", "5")]);
        check("just_a_name", &[("dbname", "just_a_name")]);
        check("user=a\\ b host=c", &[("host", "c"), ("user", "a b")]);
    }

    #[test]
    fn what_libpq_refuses_is_refused_without_showing_values() {
        for text in [
            "mysql://h/d",
            "postgres://h/d?secretword=hunter2",
            "host='x",
            "postgres://[::1/d",
            "postgres://u:%zz@h/d",
            "a=b",
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_service_is_found_in_its_section_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.conf");
        fs::write(&path, "# c\n[a]\nhost=one\n[b]\nhost=two\nport=7\n\n[c]\nport=8\n").unwrap();
        let found = service("b", path.to_str(), &Environment::default()).unwrap().unwrap();
        assert_eq!(found.get("host").map(String::as_str), Some("two"));
        assert_eq!(found.get("port").map(String::as_str), Some("7"));
        assert!(service("z", path.to_str(), &Environment::default()).unwrap().is_none());
    }

    #[test]
    fn a_password_file_is_matched_field_by_field_and_must_be_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "#x\nh\\:1:5432:d:u:pa\\:ss:word\n*:*:*:o:other\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(passfile(&path, "h:1", 5432, "d", "u").unwrap(), Passfile::Entry("pa:ss:word".to_owned()));
        assert_eq!(passfile(&path, "x", 1, "y", "o").unwrap(), Passfile::Entry("other".to_owned()));
        assert_eq!(passfile(&path, "x", 1, "y", "z").unwrap(), Passfile::NoEntry);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(passfile(&path, "x", 1, "y", "o").unwrap(), Passfile::Exposed(path));
    }
}
