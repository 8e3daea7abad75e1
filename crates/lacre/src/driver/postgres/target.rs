//! Where to connect, resolved as libpq resolves it.
//!
//! In: what a person typed and the environment. Out: a [`Target`]: hosts in order, a role, a database, TLS settings, passwords kept apart,
//! and the same again as the environment of a child process. Precedence is libpq's: what was typed, then the service, then the
//! environment, then the defaults. Nothing here connects.

mod secured;

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use zeroize::Zeroizing;

pub use self::secured::{Roots, SslMode, Tls};
use super::{
    conninfo::{self, Environment, KNOWN, Parameters, Passfile},
    error::{Error, Result},
    limits, quote,
    report::Finding,
};

/// One host, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A folder that holds the server's Unix socket.
    Socket(PathBuf),
    /// A name or address, and the address to use instead of resolving the name.
    Tcp(String, Option<IpAddr>),
}

/// One server to try.
#[derive(Clone)]
pub struct Endpoint {
    /// Its host.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The password that belongs to it, from wherever libpq would take it.
    pub password: Option<Arc<Zeroizing<String>>>,
}

impl Endpoint {
    /// Shows the host and port only.
    pub fn name(&self) -> String {
        match &self.host {
            Host::Socket(folder) => format!("{}:{}", folder.display(), self.port),
            Host::Tcp(name, _) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp(name, _) => format!("{name}:{}", self.port),
        }
    }
}

/// A database to connect to. `Display` shows it without secrets.
#[derive(Clone)]
pub struct Target {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) user: String,
    database: String,
    pub(super) tls: Tls,
    pub(super) connect_timeout: Option<Duration>,
    parameters: Parameters,
    environment: Environment,
    findings: Vec<Finding>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", quote::one_line(&self.database), self.server())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self} as {})", self.user)
    }
}

impl Target {
    /// Resolves a URL, a keyword string, or nothing at all (everything from the environment).
    ///
    /// # Errors
    /// [`Error::ConnectionString`], [`Error::Parameter`], [`Error::ServiceNotFound`] and [`Error::ConnectionFile`]; none shows a password.
    pub fn resolve(text: &str, environment: &Environment) -> Result<Self> {
        let typed = conninfo::parse(text)?;
        let typed_password = typed.contains_key("password");
        let parameters = merge(typed, environment)?;
        let get = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
        refuse_unsupported(&parameters)?;
        let user = match get("user") {
            Some(user) => user.to_owned(),
            None => environment.user().ok_or_else(|| Error::ConnectionString("no user name is given".to_owned()))?,
        };
        let database = get("dbname").unwrap_or(&user).to_owned();
        let mut findings = Vec::new();
        if typed_password {
            findings.push(Finding::note(
                "the connection string holds a password; on a command line every user of the machine can read it",
                "connection",
                "put it into ~/.pgpass or PGPASSWORD",
            ));
        }
        let endpoints = endpoints(&parameters, &user, &database, environment, &mut findings)?;
        let tls = secured::tls(&parameters, environment)?;
        let connect_timeout = connect_timeout(get("connect_timeout"))?;
        let mut parameters = parameters;
        parameters.remove("password");
        Ok(Self {
            endpoints,
            user,
            database,
            tls,
            connect_timeout,
            parameters,
            environment: environment.clone(),
            findings,
        })
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role that connects.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Hosts and ports, without anything else.
    pub fn server(&self) -> String {
        self.endpoints.iter().map(Endpoint::name).collect::<Vec<_>>().join(",")
    }

    /// What was odd about the connection's files, such as a password file others can read.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The variables the target was resolved from.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The same server and role, another database. Passwords stay those of the first database.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The same target, narrowed to the one host that answered.
    pub(super) fn with_endpoint(&self, endpoint: &Endpoint) -> Self {
        Self { endpoints: vec![endpoint.clone()], ..self.clone() }
    }

    /// Says whether the server runs on this machine.
    pub fn is_local(&self) -> bool {
        self.endpoints.iter().all(|endpoint| match &endpoint.host {
            Host::Socket(_) => true,
            Host::Tcp(name, address) => {
                address.or_else(|| name.parse().ok()).is_some_and(|address: IpAddr| address.is_loopback())
                    || name == "localhost"
            }
        })
    }

    /// A parameter as resolved; never the password.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The password a child process will need.
    pub(super) fn password(&self) -> Option<Arc<Zeroizing<String>>> {
        self.endpoints.iter().find_map(|endpoint| endpoint.password.clone())
    }

    /// Variables that make a child of libpq connect to the same place. No password is among them.
    pub(super) fn child_variables(&self, pinned: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for name in PASSED_THROUGH {
            if let Some(value) = self.environment.get(name) {
                variables.push(((*name).to_owned(), value.to_owned()));
            }
        }
        for (name, variable) in KNOWN {
            if variable.is_empty() || NOT_FOR_CHILDREN.contains(name) {
                continue;
            }
            if let Some(value) = self.parameter(name) {
                variables.push(((*variable).to_owned(), value.to_owned()));
            }
        }
        let hosts = self.endpoints.iter().map(|endpoint| match &endpoint.host {
            Host::Socket(folder) => (folder.display().to_string(), String::new()),
            Host::Tcp(name, address) => (name.clone(), address.map(|address| address.to_string()).unwrap_or_default()),
        });
        let (hosts, addresses): (Vec<_>, Vec<_>) = hosts.unzip();
        variables.push(("PGHOST".to_owned(), hosts.join(",")));
        if addresses.iter().any(|address| !address.is_empty()) {
            variables.push(("PGHOSTADDR".to_owned(), addresses.join(",")));
        }
        let ports: Vec<String> = self.endpoints.iter().map(|endpoint| endpoint.port.to_string()).collect();
        variables.push(("PGPORT".to_owned(), ports.join(",")));
        variables.push(("PGUSER".to_owned(), self.user.clone()));
        variables.push(("PGDATABASE".to_owned(), self.database.clone()));
        variables.push(("PGAPPNAME".to_owned(), "lacre".to_owned()));
        variables.push(("PGSSLMODE".to_owned(), self.tls.mode.name().to_owned()));
        let timeout = self.connect_timeout.unwrap_or(limits::CONNECT_TIMEOUT).as_secs().max(2);
        variables.push(("PGCONNECT_TIMEOUT".to_owned(), timeout.to_string()));
        variables.push(("PGOPTIONS".to_owned(), child_options(self.parameter("options"), pinned)));
        variables.push(("PGTZ".to_owned(), "UTC".to_owned()));
        variables.push(("TZ".to_owned(), "UTC".to_owned()));
        variables.push(("LC_ALL".to_owned(), "C".to_owned()));
        variables
    }
}

/// Variables of ours that children see unchanged: where programs, libraries, tickets and trusted issuers are found.
const PASSED_THROUGH: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "KRB5_KTNAME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "PGSYSCONFDIR",
];

/// Parameters that are set for children in another way, or are already applied.
const NOT_FOR_CHILDREN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "service",
    "servicefile",
    "options",
    "application_name",
    "sslmode",
    "connect_timeout",
    "client_encoding",
    "requiressl",
    "requireauth",
];

/// Appends pinned settings to options given by a person; ours win because they come last.
fn child_options(given: Option<&str>, pinned: &[(&str, &str)]) -> String {
    let mut options = given.unwrap_or_default().to_owned();
    for (name, value) in pinned {
        if !options.is_empty() {
            options.push(' ');
        }
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        options.push_str(&format!("-c {name}={value}"));
    }
    options
}

fn parameter(name: &str, value: &str, why: &str) -> Error {
    Error::Parameter { name: name.to_owned(), value: value.to_owned(), why: why.to_owned() }
}

/// Fills what was not typed from the service, then from the environment.
fn merge(typed: Parameters, environment: &Environment) -> Result<Parameters> {
    let mut parameters = typed;
    let service =
        parameters.get("service").map(String::as_str).or_else(|| environment.get("PGSERVICE")).map(str::to_owned);
    if let Some(service) = service.filter(|service| !service.is_empty()) {
        let file = parameters
            .get("servicefile")
            .map(String::as_str)
            .or_else(|| environment.get("PGSERVICEFILE"))
            .map(str::to_owned);
        let Some(found) = conninfo::service(&service, file.as_deref(), environment)? else {
            let files: Vec<String> = conninfo::service_files(file.as_deref(), environment)
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            return Err(Error::ServiceNotFound { service, looked_in: files.join(", ") });
        };
        for (name, value) in found {
            parameters.entry(name).or_insert(value);
        }
    }
    for (name, variable) in KNOWN {
        if let Some(value) = (!variable.is_empty()).then(|| environment.get(variable)).flatten() {
            parameters.entry((*name).to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    Ok(parameters)
}

/// Refuses what this driver would have to ignore although it changes who may answer or what is proved.
fn refuse_unsupported(parameters: &Parameters) -> Result<()> {
    let get = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    for name in ["sslcrl", "sslcrldir", "requirepeer", "sslpassword"] {
        if get(name).is_some() {
            let shown = if name == "sslpassword" { "***" } else { get(name).unwrap_or_default() };
            return Err(parameter(name, shown, "it is not supported"));
        }
    }
    for (name, refused) in
        [("gssencmode", "require"), ("replication", "true"), ("replication", "on"), ("replication", "database")]
    {
        if get(name) == Some(refused) {
            return Err(parameter(name, refused, "it is not supported"));
        }
    }
    Ok(())
}

/// Lines hosts, addresses and ports up and finds each one's password.
fn endpoints(
    parameters: &Parameters,
    user: &str,
    database: &str,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Endpoint>> {
    let list =
        |name: &str| -> Vec<&str> { parameters.get(name).map(|text| text.split(',').collect()).unwrap_or_default() };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    if count > limits::HOSTS_MAX {
        return Err(parameter("host", &count.to_string(), "too many hosts"));
    }
    if !addresses.is_empty() && !hosts.is_empty() && addresses.len() != hosts.len() {
        return Err(parameter("hostaddr", &addresses.join(","), "it must list as many entries as host"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(parameter("port", &ports.join(","), "it must list one port, or one for each host"));
    }
    let mut endpoints = Vec::with_capacity(count);
    for at in 0..count {
        let port = ports.get(at).or_else(|| ports.first()).copied().filter(|port| !port.is_empty()).unwrap_or("5432");
        let port = port
            .trim()
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| parameter("port", port, "it is not a port number"))?;
        let host = host(hosts.get(at).copied().unwrap_or_default(), addresses.get(at).copied().unwrap_or_default())?;
        let password = password(parameters, &host, port, (user, database), environment, findings)?;
        endpoints.push(Endpoint { host, port, password });
    }
    Ok(endpoints)
}

fn host(name: &str, address: &str) -> Result<Host> {
    let parsed = match address {
        "" => None,
        text => Some(text.parse::<IpAddr>().map_err(|_| parameter("hostaddr", text, "it is not an IP address"))?),
    };
    Ok(match (name, parsed) {
        ("", None) => Host::Socket(default_socket_folder()),
        ("", Some(address)) => Host::Tcp(address.to_string(), Some(address)),
        (name, None) if name.starts_with('/') => Host::Socket(PathBuf::from(name)),
        (name, address) => Host::Tcp(name.to_owned(), address),
    })
}

/// Where the distributions' servers put their socket; libpq has this compiled in.
fn default_socket_folder() -> PathBuf {
    let debian = Path::new("/var/run/postgresql");
    if debian.is_dir() { debian.to_owned() } else { PathBuf::from("/tmp") }
}

/// Finds the password of one host: typed, service or variable first, then the password file.
fn password(
    parameters: &Parameters,
    host: &Host,
    port: u16,
    (user, database): (&str, &str),
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> Result<Option<Arc<Zeroizing<String>>>> {
    if let Some(password) = parameters.get("password").filter(|password| !password.is_empty()) {
        return Ok(Some(Arc::new(Zeroizing::new(password.clone()))));
    }
    let path = match parameters.get("passfile").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => match environment.home() {
            Some(home) => home.join(".pgpass"),
            None => return Ok(None),
        },
    };
    let name = match host {
        Host::Socket(folder) if *folder == default_socket_folder() => "localhost".to_owned(),
        Host::Socket(folder) => folder.display().to_string(),
        Host::Tcp(name, _) => name.clone(),
    };
    Ok(match conninfo::passfile(&path, &name, port, database, user)? {
        Passfile::Entry(password) => Some(Arc::new(Zeroizing::new(password))),
        Passfile::NoEntry => None,
        Passfile::Exposed(path) => {
            let finding = Finding::warning(
                "the password file can be read by others and is ignored",
                path.display().to_string(),
                "chmod 0600 the file",
            );
            if !findings.contains(&finding) {
                findings.push(finding);
            }
            None
        }
    })
}

/// Reads seconds; zero and below mean to wait for ever, one is rounded up to two, as libpq does.
fn connect_timeout(text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(Some(limits::CONNECT_TIMEOUT)) };
    let seconds: i64 =
        text.trim().parse().map_err(|_| parameter("connect_timeout", text, "it is not a number of seconds"))?;
    Ok(u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.max(2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn what_is_typed_wins_over_the_service_and_the_service_over_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service.conf");
        std::fs::write(&file, "[s]\nhost=service\nport=7\nuser=su\n").unwrap();
        let environment = environment(&[
            ("HOME", "/nonexistent"),
            ("PGSERVICEFILE", file.to_str().unwrap()),
            ("PGUSER", "eu"),
            ("PGDATABASE", "ed"),
            ("PGPORT", "9"),
        ]);
        let target = Target::resolve("postgres://typed?service=s", &environment).unwrap();
        assert_eq!(target.to_string(), "ed on typed:7");
        assert_eq!(target.user(), "su");
    }

    #[test]
    fn every_display_is_without_the_password() {
        let environment = environment(&[("HOME", "/nonexistent")]);
        let target = Target::resolve("postgres://u:hunter2@a:1,b:2/d", &environment).unwrap();
        assert_eq!(target.endpoints.len(), 2);
        let shown = format!("{target} {target:?} {:?}", target.findings());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(target.password().unwrap().as_str(), "hunter2");
        assert!(target.child_variables(&[]).iter().all(|(_, value)| !value.contains("hunter2")));
        assert_eq!(target.findings().len(), 1);
    }

    #[test]
    fn children_reach_the_same_place_with_pinned_settings() {
        let environment =
            environment(&[("HOME", "/nonexistent"), ("PGOPTIONS", "-c work_mem=1MB"), ("PGSSLMODE", "disable")]);
        let target = Target::resolve("host=/tmp/x port=99 user=u dbname='a b'", &environment).unwrap();
        let variables: std::collections::BTreeMap<_, _> =
            target.child_variables(&[("bytea_output", "hex"), ("lc_monetary", "a b")]).into_iter().collect();
        let get = |name: &str| variables.get(name).map(String::as_str);
        assert_eq!(get("PGHOST"), Some("/tmp/x"));
        assert_eq!(get("PGPORT"), Some("99"));
        assert_eq!(get("PGDATABASE"), Some("a b"));
        assert_eq!(get("PGSSLMODE"), Some("disable"));
        assert_eq!(get("PGOPTIONS"), Some("-c work_mem=1MB -c bytea_output=hex -c lc_monetary=a\\ b"));
        assert!(target.is_local());
    }

    #[test]
    fn verification_without_roots_is_refused() {
        let environment = environment(&[("HOME", "/nonexistent")]);
        for text in [
            "host=h sslmode=verify-full",
            "host=h sslmode=require sslrootcert=system",
            "host=h sslmode=verify-ca sslrootcert=/nonexistent",
            "host=h sslmode=maybe",
            "host=h sslcrl=x",
        ] {
            assert!(Target::resolve(text, &environment).is_err(), "{text}");
        }
        assert_eq!(Target::resolve("host=h sslrootcert=system", &environment).unwrap().tls.mode, SslMode::VerifyFull);
    }

    #[test]
    fn mismatched_lists_are_refused() {
        let environment = environment(&[("HOME", "/nonexistent")]);
        for text in
            ["host=a,b port=1,2,3", "host=a,b hostaddr=127.0.0.1", "host=a port=x", "host=a port=0", "hostaddr=nine"]
        {
            assert!(Target::resolve(text, &environment).is_err(), "{text}");
        }
    }
}
