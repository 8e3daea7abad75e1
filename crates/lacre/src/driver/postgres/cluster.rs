//! A throw-away PostgreSQL server for a drill: made by `initdb`, started on a socket of its own, gone afterwards.
//!
//! In: the version that is needed and a folder with room. Out: a [`Target`] that is its superuser. It listens on no network, asks for a
//! password that was drawn for it, and runs as an unprivileged account when Lacre runs as root, because PostgreSQL refuses root. Its folder
//! holds a lock that the kernel frees with the process: what a killed drill left is known by its mark and its free lock.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    conninfo::Environment,
    error::{Error, Result},
    limits, quote,
    report::Finding,
    target::Target,
    tools::{Toolset, Version},
};

/// How the folder of every throw-away server is called.
const PREFIX: &str = "lacre-drill-";
/// The file in it that says whose it is; its lock is held while the drill lives.
const MARK: &str = "mark";
/// Bytes a path of a Unix socket may have, with room for the socket's own name.
const SOCKET_FOLDER_BYTES_MAX: usize = 80;
/// Bytes an empty cluster takes, about.
const EMPTY_CLUSTER_BYTES: u64 = 64 * 1024 * 1024;
/// How often a server that starts or stops is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What a throw-away server has to be able to do.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The folder it is made in.
    pub parent: &'a Path,
    /// The version of the server the snapshot comes from.
    pub server: Version,
    /// The version of the program that wrote its archive.
    pub archive: Option<Version>,
    /// Bytes the restored database will take.
    pub bytes: u64,
    /// The home that rehearses.
    pub home: &'a str,
    /// The snapshot, for the mark.
    pub snapshot: &'a str,
}

/// A running throw-away server; dropping it stops the server and removes its folder.
pub struct Cluster {
    folder: PathBuf,
    server: Child,
    target: Target,
    _lock: File,
}

/// The account a server runs as.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Makes and starts a server.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::ToolMissing`] when no installed server is new enough, [`Error::ClusterFailed`] with what it said.
    pub fn start(wanted: &Wanted<'_>, environment: &Environment) -> Result<Self> {
        let needed = wanted.bytes.saturating_add(EMPTY_CLUSTER_BYTES);
        let room = rustix::fs::statvfs(wanted.parent).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        if let Some(free) = room.filter(|free| *free < needed) {
            return Err(Error::NoRoom { free, needed });
        }
        let tools = Toolset::find("postgres", environment, wanted.server, wanted.archive)?;
        let initdb = tools.program("initdb")?;
        let account = unprivileged(wanted.parent)?;
        let (folder, lock) = make_folder(wanted, account)?;
        let begun = Begun { folder: Some(folder.clone()) };
        let password = lacre_seal::entropy::token().map_err(|error| failed(&folder, error.to_string()))?.to_string();
        initialise(&initdb, &folder, account, &password)?;
        let server = spawn(&tools.program("postgres")?, &folder, account)?;
        let mut cluster = Self { target: connection(&folder, &password, environment)?, folder, server, _lock: lock };
        begun.done();
        cluster.await_ready()?;
        Ok(cluster)
    }

    /// Its superuser's way in.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Waits until the status line of `postmaster.pid` says `ready`, as `pg_ctl -w` does.
    fn await_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + limits::CLUSTER_PATIENCE;
        let pid_file = self.folder.join("data/postmaster.pid");
        loop {
            if let Ok(Some(status)) = self.server.try_wait() {
                return Err(failed(&self.folder, format!("it ended with {status}: {}", last_words(&self.folder))));
            }
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            let is_ours = text.lines().next() == Some(self.server.id().to_string().as_str());
            if is_ours && text.lines().nth(7).is_some_and(|status| status.trim() == "ready") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(failed(&self.folder, format!("it is not ready: {}", last_words(&self.folder))));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGQUIT is an immediate shutdown: nothing in it is wanted any more, and shared memory is freed.
        if let Some(pid) = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw)
            && kill_process(pid, Signal::QUIT).is_ok()
        {
            let deadline = Instant::now() + limits::CLUSTER_PATIENCE;
            while matches!(self.server.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(POLL);
            }
        }
        // A server that has ended cannot be killed, which is what was wanted.
        drop(self.server.kill());
        drop(self.server.wait());
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the throw-away server's folder is left");
        }
    }
}

/// Removes the folder again unless the server came to live in it.
struct Begun {
    folder: Option<PathBuf>,
}

impl Begun {
    fn done(mut self) {
        self.folder = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            drop(fs::remove_dir_all(folder));
        }
    }
}

fn failed(folder: &Path, why: impl Into<String>) -> Error {
    Error::ClusterFailed { folder: folder.to_owned(), why: why.into() }
}

/// The account for the server, when Lacre is root: that of PostgreSQL, else nobody's.
fn unprivileged(parent: &Path) -> Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().ok());
        Some(Account { uid: numbers.next()??, gid: numbers.next()?? })
    };
    let found = find("postgres").or_else(|| find("nobody"));
    found.map(Some).ok_or_else(|| {
        failed(parent, "PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
    })
}

/// A fresh folder with its mark, its lock taken, and the places the server's account may write.
fn make_folder(wanted: &Wanted<'_>, account: Option<Account>) -> Result<(PathBuf, File)> {
    let token = lacre_seal::entropy::token().map_err(|error| failed(wanted.parent, error.to_string()))?;
    let home = wanted.home.get(..8).unwrap_or(wanted.home);
    let folder = wanted.parent.join(format!("{PREFIX}{home}-{}", token.short()));
    if folder.as_os_str().len() > SOCKET_FOLDER_BYTES_MAX {
        return Err(failed(&folder, "its path is too long for a socket; name a shorter one in [drill] folder"));
    }
    let io = |error: std::io::Error| failed(&folder, error.to_string());
    // The server's account has to pass through it.
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(io)?;
    let begun = Begun { folder: Some(folder.clone()) };
    let mut lock = fs::OpenOptions::new().write(true).create_new(true).open(folder.join(MARK)).map_err(io)?;
    lock.try_lock().map_err(|error| failed(&folder, error.to_string()))?;
    write!(lock, "lacre drill\nhome {}\nsnapshot {}\n", wanted.home, wanted.snapshot).map_err(io)?;
    for inner in ["data", "s"] {
        let inner = folder.join(inner);
        fs::DirBuilder::new().mode(0o700).create(&inner).map_err(io)?;
        if let Some(Account { uid, gid }) = account {
            chown(&inner, Some(uid), Some(gid)).map_err(io)?;
        }
    }
    if account.is_some() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).map_err(io)?;
    }
    begun.done();
    Ok((folder, lock))
}

/// A program with nothing of this process's surroundings, as the account; the standard library drops all other groups with it.
fn as_account(program: &Path, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    let programs = program.parent().unwrap_or(Path::new("/usr/bin"));
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

fn initialise(initdb: &Path, folder: &Path, account: Option<Account>, password: &str) -> Result<()> {
    let io = |error: std::io::Error| failed(folder, error.to_string());
    let file = folder.join("s/password");
    let mut written = fs::OpenOptions::new().write(true).create_new(true).open(&file).map_err(io)?;
    written.write_all(password.as_bytes()).map_err(io)?;
    written.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io)?;
    if let Some(Account { uid, gid }) = account {
        chown(&file, Some(uid), Some(gid)).map_err(io)?;
    }
    let output = as_account(initdb, folder, account)
        .arg("--pgdata")
        .arg(folder.join("data"))
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg("--pwfile")
        .arg(&file)
        .output()
        .map_err(|source| Error::Spawn { tool: initdb.display().to_string(), source })?;
    fs::remove_file(&file).map_err(io)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(folder, format!("initdb ended with {}: {}", output.status, quote::one_line(said.trim()))))
}

fn spawn(postgres: &Path, folder: &Path, account: Option<Account>) -> Result<Child> {
    let io = |error: std::io::Error| failed(folder, error.to_string());
    let log = fs::File::create(folder.join("log")).map_err(io)?;
    // Everything else is as a fresh server has it, so that the time a recovery takes is not flattered.
    as_account(postgres, folder, account)
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder.join("s"))
        .args(["-c", "listen_addresses=", "-c", "logging_collector=off", "-c", "autovacuum=off"])
        .stdout(log.try_clone().map_err(io)?)
        .stderr(log)
        .spawn()
        .map_err(|source| Error::Spawn { tool: postgres.display().to_string(), source })
}

fn last_words(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    let tail = lines.into_iter().rev().collect::<Vec<_>>().join(" | ");
    if tail.is_empty() { "it said nothing".to_owned() } else { quote::one_line(&tail) }
}

/// The way in over the socket. Of the surroundings only where client programs lie is taken along.
fn connection(folder: &Path, password: &str, environment: &Environment) -> Result<Target> {
    let kept = ["PATH", "LACRE_PG_BIN"].into_iter();
    let mut variables: Vec<(String, String)> =
        kept.filter_map(|name| Some((name.to_owned(), environment.get(name)?.to_owned()))).collect();
    variables.push(("PGPASSWORD".to_owned(), password.to_owned()));
    let place = quote::conninfo_value(&folder.join("s").display().to_string());
    Target::resolve(
        &format!("host={place} port=5432 user=postgres dbname=postgres sslmode=disable"),
        &Environment::new(variables),
    )
}

/// What a killed drill left, and is gone now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its folder.
    pub folder: PathBuf,
    /// The snapshot that was in it.
    pub snapshot: Option<String>,
}

/// Stops and removes the throw-away servers that killed drills of this home left in a folder; one whose drill lives holds its lock.
pub fn sweep(parent: &Path, home: &str) -> (Vec<Leftover>, Vec<Finding>) {
    let (mut removed, mut findings) = (Vec::new(), Vec::new());
    let start = format!("{PREFIX}{}-", home.get(..8).unwrap_or(home));
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(std::result::Result::ok) {
        let folder = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(&start)
            && fs::symlink_metadata(&folder)
                .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw());
        if !is_ours {
            continue;
        }
        let mark = fs::read_to_string(folder.join(MARK)).unwrap_or_default();
        let told = |name: &str| mark.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        // An empty mark: killed between the folder's birth and its first line.
        if told("home ").is_some_and(|whose| whose != home) {
            continue;
        }
        let lock = File::open(folder.join(MARK));
        match lock.as_ref().map(File::try_lock) {
            // Without a mark: killed before it was written.
            Ok(Ok(())) | Err(_) => match clear(&folder) {
                Ok(()) => removed.push(Leftover { folder, snapshot: told("snapshot ") }),
                Err(error) => findings.push(Finding::warning(
                    format!("what an earlier drill left cannot be removed: {error}"),
                    folder.display().to_string(),
                    "remove it by hand: it holds restored rows",
                )),
            },
            Ok(Err(TryLockError::WouldBlock)) => {}
            Ok(Err(error)) => findings.push(Finding::warning(
                format!("what an earlier drill left cannot be judged: {error}"),
                folder.display().to_string(),
                "remove it by hand: it holds restored rows",
            )),
        }
    }
    (removed, findings)
}

/// Stops what still runs in a folder whose drill is dead, and removes it. A server that is only being made, or whose parent died a moment
/// ago, may put files there for a little longer.
fn clear(folder: &Path) -> io::Result<()> {
    let deadline = Instant::now() + limits::CLUSTER_PATIENCE;
    loop {
        stop(folder);
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {
                thread::sleep(POLL);
            }
            done => return done,
        }
    }
}

/// Stops the server of a folder whose drill is dead, if it still runs.
fn stop(folder: &Path) {
    let data = folder.join("data");
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok());
    // A server that is only being made writes its number with a sign.
    let pid = pid.filter(|number: &i32| *number > 0).and_then(Pid::from_raw);
    let (Some(pid), true) = (pid, lines.next() == data.to_str()) else { return };
    if !is_server_of(pid, &data) {
        return;
    }
    for signal in [Signal::QUIT, Signal::KILL] {
        let deadline = Instant::now() + limits::CLUSTER_PATIENCE;
        // A process that is gone already cannot be told to go.
        let told = kill_process(pid, signal).is_ok();
        while told && is_server_of(pid, &data) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        if !is_server_of(pid, &data) {
            return;
        }
    }
}

/// Process numbers are used again: only one that was started on this very folder is ours to stop.
fn is_server_of(pid: Pid, data: &Path) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let wanted = data.as_os_str().as_encoded_bytes();
    line.split(|byte| *byte == 0).any(|argument| argument == wanted)
}
