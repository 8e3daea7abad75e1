//! A real PostgreSQL cluster of its own for a test: started in a fraction of a second, gone when the test ends however it ends.
//!
//! `initdb` runs once per machine and version; its result is kept under the build's temporary folder and copied. The server runs as
//! an unprivileged user when the test runs as root, listens on loopback and on a socket in its own folder, and dies with the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) use lacre_test_bucket::test_dir;

use lacre_test_bucket::free_port;

/// The order-independent digest script, shared with the demo.
const DIGEST_SQL: &str = include_str!("digest.sql");
/// How many ports are tried before giving up; another process may take one between the probe and the start.
const PORT_TRIES_MAX: u32 = 5;
/// How long a server may take to accept connections or to stop. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a folder of PostgreSQL programs must hold to be used.
const TOOLS: &[&str] = &["postgres", "initdb", "createdb", "psql", "pg_dump", "pg_dumpall", "pg_restore"];
const POLL: Duration = Duration::from_millis(5);
/// Settings that make a server start and write fast and that no test depends on.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("shared_buffers", "32MB"),
    ("max_connections", "30"),
    ("autovacuum", "off"),
    ("jit", "off"),
    ("logging_collector", "off"),
    ("log_min_messages", "warning"),
];

/// Rows and digest of one table, as `digest.sql` computes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFacts {
    pub(crate) rows: u64,
    pub(crate) digest: String,
}

/// A running (or crashed) PostgreSQL cluster; dropping it stops the server and removes every file.
pub(crate) struct Cluster {
    dir: TempDir,
    tools: PathBuf,
    account: Option<Account>,
    settings: Vec<(String, String)>,
    port: u16,
    server: Option<Child>,
}

/// The unprivileged user a server runs as when the test is root, because PostgreSQL refuses root.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Starts an empty cluster whose superuser `postgres` needs no password.
    pub(crate) fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// Starts an empty cluster with further server settings, which win over the usual ones.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Cluster {
        Cluster::start_of(find_tools(), settings)
    }

    /// Starts an empty cluster of the PostgreSQL whose programs lie in a folder.
    pub(crate) fn start_of(tools: PathBuf, settings: &[(&str, &str)]) -> Cluster {
        let account = unprivileged_account();
        let dir = test_dir("pg");
        let template = template(&tools, account.as_ref());
        copy_tree(&template, &dir.path().join("data"));
        Cluster::over(dir, tools, account, settings)
    }

    /// Starts a standby of this cluster, which must have been started with `wal_level=replica` and room for two senders.
    pub(crate) fn standby(&self) -> Cluster {
        let dir = test_dir("standby");
        let data = dir.path().join("data");
        let mut copy = self.client("pg_basebackup");
        copy.args(["--pgdata", data.to_str().unwrap(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        finished(&mut copy);
        if let Some(Account { uid, gid }) = &self.account {
            finished(Command::new("chown").args(["-R", &format!("{uid}:{gid}")]).arg(&data));
        }
        Cluster::over(
            dir,
            self.tools.clone(),
            self.account.clone(),
            &[("hot_standby", "on"), ("wal_level", "replica"), ("max_wal_senders", "10")],
        )
    }

    /// Starts a server over the folder `data` of a folder.
    fn over(dir: TempDir, tools: PathBuf, account: Option<Account>, settings: &[(&str, &str)]) -> Cluster {
        let sockets = dir.path().join("s");
        fs::create_dir(&sockets).unwrap();
        if let Some(account) = &account {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
            std::os::unix::fs::chown(&sockets, Some(account.uid), Some(account.gid)).unwrap();
        }
        let settings =
            SETTINGS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut cluster = Cluster { dir, tools, account, settings, port: 0, server: None };
        cluster.boot();
        cluster
    }

    /// A connection URL over loopback TCP.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A connection URL over the cluster's own socket.
    pub(crate) fn socket_url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}&port={}", self.sockets().display(), self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's socket, for `PGHOST`.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// The folder of `psql`, `pg_dump` and the rest, for `PATH`.
    pub(crate) fn tools(&self) -> &Path {
        &self.tools
    }

    /// A program started as the account the server runs as, for what refuses to run as root; it dies with the test.
    pub(crate) fn as_server(&self, program: &str) -> Command {
        as_account(self.account.as_ref(), Path::new(program))
    }

    /// What the server has written to its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A client program of this version, connected to this cluster as superuser over the socket and with nothing else in its environment.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.tools.join(program));
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.tools.display()))
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .env("PGHOST", self.sockets())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .stdin(Stdio::null());
        command
    }

    /// Runs SQL and returns what `psql -At` prints, without the last line end. Panics with the server's words if it fails.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        self.script(database, sql, &[])
    }

    /// Runs a script in which `:name` stands for a variable.
    pub(crate) fn script(&self, database: &str, sql: &str, variables: &[(&str, &str)]) -> String {
        let mut psql = self.client("psql");
        psql.args(["-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        for (name, value) in variables {
            psql.arg("-v").arg(format!("{name}={value}"));
        }
        let script = self.dir.path().join(format!("script-{:?}.sql", thread::current().id()));
        fs::write(&script, sql).unwrap();
        let output = finished(psql.arg("-f").arg(&script));
        String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
    }

    /// Creates an empty database from `template0`.
    pub(crate) fn create_database(&self, name: &str) {
        finished(self.client("createdb").args(["-T", "template0", name]));
    }

    /// Whether a database of this name exists.
    pub(crate) fn has_database(&self, name: &str) -> bool {
        self.script("postgres", "select count(*) from pg_database where datname = :'name'", &[("name", name)]) == "1"
    }

    /// A dump by the stock `pg_dump` with the arguments given.
    pub(crate) fn dump(&self, database: &str, arguments: &[&str]) -> Vec<u8> {
        finished(self.client("pg_dump").args(arguments).arg("-d").arg(database)).stdout
    }

    /// A plain dump in a form in which equal databases give equal text: without the random `\restrict` lines, and with the rows of each
    /// table sorted, because a table that was filled by COPY may lie in another order.
    pub(crate) fn comparable_dump(&self, database: &str) -> Vec<u8> {
        comparable(&self.dump(database, &["--create"]))
    }

    /// Rows and digest of every table, of the large objects and of the sequences.
    pub(crate) fn tables(&self, database: &str) -> BTreeMap<String, TableFacts> {
        let mut tables = BTreeMap::new();
        for line in self.sql(database, DIGEST_SQL).lines() {
            let mut fields = line.split('\t');
            let (name, rows, digest) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            let facts = TableFacts { rows: rows.parse().unwrap(), digest: digest.to_owned() };
            assert_eq!(tables.insert(name.to_owned(), facts), None, "two tables called {name}");
        }
        tables
    }

    /// Kills the server at once, as a power cut would end it. Clients see the connection break.
    pub(crate) fn crash(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts the server again after `crash`; it recovers from its log. The port may be another one.
    pub(crate) fn restart(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        self.boot();
    }

    fn boot(&mut self) {
        for _ in 0..PORT_TRIES_MAX {
            self.port = free_port();
            let mut server = self.spawn_server();
            match self.await_ready(&mut server) {
                Ok(()) => {
                    self.server = Some(server);
                    return;
                }
                Err(log) if log.contains("Address already in use") || log.contains("lock file") => {}
                // After a crash: the server's own children have not all noticed yet.
                Err(log) if log.contains("pre-existing shared memory block") => {
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(log) => panic!("PostgreSQL did not start:\n{log}"),
            }
        }
        panic!("no free port after {PORT_TRIES_MAX} tries");
    }

    fn spawn_server(&self) -> Child {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = as_account(self.account.as_ref(), &self.tools.join("postgres"));
        command.arg("-D").arg(self.dir.path().join("data"));
        command.arg("-k").arg(self.sockets()).arg("-p").arg(self.port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1"]);
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        server_environment(&mut command, &self.tools, self.dir.path());
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().expect("setpriv and postgres can be started")
    }

    /// Waits until the status line of `postmaster.pid` says `ready`, as `pg_ctl -w` does.
    fn await_ready(&self, server: &mut Child) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let pid_file = self.dir.path().join("data/postmaster.pid");
        loop {
            if server.try_wait().unwrap().is_some() {
                return Err(self.log());
            }
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            let ours = text.lines().next() == Some(server.id().to_string().as_str());
            if ours && text.lines().nth(7).is_some_and(|status| status.trim() == "ready") {
                return Ok(());
            }
            if Instant::now() > deadline {
                stop(server);
                return Err(format!("not ready after {PATIENCE:?}\n{}", self.log()));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            stop(server);
        }
    }
}

/// Makes two plain dumps comparable: drops `\restrict` and `\unrestrict` lines, sorts the rows between `COPY` and `\.`.
pub(crate) fn comparable(dump: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut rows: Option<Vec<&[u8]>> = None;
    for line in dump.split(|byte| *byte == b'\n') {
        if line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ") {
            continue;
        }
        match &mut rows {
            Some(block) if line == b"\\." => {
                block.sort_unstable();
                lines.append(block);
                lines.push(line);
                rows = None;
            }
            Some(block) => block.push(line),
            None => {
                lines.push(line);
                if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;") {
                    rows = Some(Vec::new());
                }
            }
        }
    }
    assert_eq!(rows, None, "the dump ends inside a COPY block");
    lines.join(&b'\n')
}

/// Runs a command to its end and panics with its words unless it succeeds.
pub(crate) fn finished(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn stop(server: &mut Child) {
    if let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) {
        // SIGQUIT is PostgreSQL's immediate shutdown: it frees shared memory and leaves nothing running.
        if kill_process(pid, Signal::QUIT).is_ok() {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                if !matches!(server.try_wait(), Ok(None)) {
                    return;
                }
                thread::sleep(POLL);
            }
        }
    }
    drop(server.kill());
    drop(server.wait());
}

fn find_tools() -> PathBuf {
    if let Some(dir) = std::env::var_os("LACRE_TEST_PG_BIN") {
        return PathBuf::from(dir);
    }
    let complete = |dir: &PathBuf| TOOLS.iter().all(|tool| dir.join(tool).exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(complete);
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(|entry| {
        let dir = entry.ok()?.path();
        let major: u32 = dir.file_name()?.to_str()?.parse().ok()?;
        Some((major, dir.join("bin"))).filter(|(_, bin)| complete(bin))
    });
    let found = on_path.or_else(|| debian.max().map(|(_, dir)| dir));
    found.expect("PostgreSQL's server and client programs: run tests/support/install.sh")
}

fn unprivileged_account() -> Option<Account> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().ok());
        Some(Account { uid: numbers.next()??, gid: numbers.next()?? })
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("an account to run PostgreSQL as: postgres or nobody"))
}

/// The program as the account, killed by the kernel when the test that started it dies.
fn as_account(account: Option<&Account>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(Account { uid, gid }) = account {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn server_environment(command: &mut Command, tools: &Path, home: &Path) {
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
}

/// The stopped cluster that all others are copies of; made once, under a lock, and renamed into place whole.
fn template(tools: &Path, account: Option<&Account>) -> PathBuf {
    let version = String::from_utf8(finished(Command::new(tools.join("postgres")).arg("--version")).stdout).unwrap();
    let owner = account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
    let words: String = version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(cache).unwrap();
    let lock = fs::File::create(cache.join("cluster.lock")).unwrap();
    lock.lock().unwrap();
    let template = cache.join(format!("cluster-{}-{owner}", words.trim_end_matches('-')));
    if !template.join("PG_VERSION").exists() {
        make_template(tools, account, &template);
    }
    assert_eq!(fs::metadata(&template).unwrap().uid(), owner);
    template
}

fn make_template(tools: &Path, account: Option<&Account>, template: &Path) {
    let dir = test_dir("initdb");
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    if let Some(account) = account {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::chown(&data, Some(account.uid), Some(account.gid)).unwrap();
    }
    let mut initdb = as_account(account, &tools.join("initdb"));
    initdb.arg("-D").arg(&data).args([
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--wal-segsize=1",
    ]);
    server_environment(&mut initdb, tools, dir.path());
    finished(initdb.current_dir(dir.path()).stdin(Stdio::null()));
    let partial = template.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).unwrap();
    }
    copy_tree(&data, &partial);
    fs::rename(&partial, template).unwrap();
}

/// Copies a folder with owners and modes; blocks are shared where the file system can.
fn copy_tree(from: &Path, to: &Path) {
    finished(Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(to));
}
