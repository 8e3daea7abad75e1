//! SeaweedFS: one process that speaks S3 on loopback, with three buckets and a key for every role.
//!
//! The server is killed when its value is dropped, and by the kernel when the test's process is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::place::{is_free, test_dir};
use crate::spawn::spawn;
use crate::{policy, tools};

/// A bucket without versions.
pub const BUCKET_PLAIN: &str = "plain";
/// A bucket that keeps versions.
pub const BUCKET_VERSIONED: &str = "versioned";
/// A bucket with versions and object lock, without a default retention.
pub const BUCKET_LOCKED: &str = "locked";

/// Ports that the server takes one after the other: S3, master, volume, filer, admin, S3 over TLS.
const PORTS: u16 = 6;
/// Each port has a twin for gRPC this far above. Both ranges lie below those that the kernel gives to outgoing connections.
const TWIN: u16 = 10_000;
const PORT_FIRST: u16 = 20_000;
const PORT_SLOTS: u16 = 270;
const PORT_SLOT: u16 = 10;
/// How many ports are tried before giving up; another process may take one between the probe and the start.
const PORT_TRIES_MAX: u32 = 8;
/// How long a server may take to store its first object. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Enough for the server not to spend its time on collecting garbage: with a third of it, a request costs three times the work.
pub(crate) const MEMORY: &str = "768MiB";

/// Whose key a client shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// May everything; the tests' own eye.
    Root,
    /// `docs/policies/backup.json`.
    Backup,
    /// `docs/policies/maintenance.json`.
    Maintenance,
    /// `docs/policies/restore.json`.
    Restore,
    /// `docs/policies/admin.json`.
    Admin,
    /// May everything, too, and belongs to somebody else: for what must not lie behind one key.
    Other,
    /// May read and write objects but list nothing.
    NoList,
    /// Is known to the server and may nothing.
    Stranger,
}

impl Key {
    const ALL: [Self; 8] = [
        Self::Root,
        Self::Backup,
        Self::Maintenance,
        Self::Restore,
        Self::Admin,
        Self::Other,
        Self::NoList,
        Self::Stranger,
    ];

    /// The access key id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Root => "LACRETESTROOT",
            Self::Backup => "LACRETESTBACKUP",
            Self::Maintenance => "LACRETESTMAINTENANCE",
            Self::Restore => "LACRETESTRESTORE",
            Self::Admin => "LACRETESTADMIN",
            Self::Other => "LACRETESTOTHER",
            Self::NoList => "LACRETESTNOLIST",
            Self::Stranger => "LACRETESTSTRANGER",
        }
    }

    /// The secret access key; a test value, the same in every run.
    #[must_use]
    pub fn secret(self) -> String {
        format!("secret-of-{}-for-tests-only", self.id().to_lowercase())
    }

    fn policies(self) -> Vec<(String, String)> {
        let role = match self {
            Self::Root | Self::Other | Self::Stranger => return Vec::new(),
            Self::Backup => "backup",
            Self::Maintenance => "maintenance",
            Self::Restore => "restore",
            Self::Admin => "admin",
            Self::NoList => {
                let statement = json!({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::*"});
                let text = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
                return vec![("no-list".to_owned(), text)];
            }
        };
        [BUCKET_PLAIN, BUCKET_VERSIONED, BUCKET_LOCKED]
            .iter()
            .map(|bucket| (format!("{role}-{bucket}"), policy::of_role(role, bucket)))
            .collect()
    }
}

/// What is unusual about a server.
#[derive(Clone, Default, Debug)]
pub struct WeedOptions {
    /// Certificate and key in PEM; the server then speaks TLS on a port of its own too.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A running (or killed) SeaweedFS; dropping it ends the server and removes every file.
pub struct Weed {
    dir: TempDir,
    program: PathBuf,
    options: WeedOptions,
    port: u16,
    server: Option<Child>,
}

impl Weed {
    /// Starts a server; `None` after a printed skip where the program is missing.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(WeedOptions::default())
    }

    /// Starts a server with options.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(options: WeedOptions) -> Option<Self> {
        let program = tools::tool("weed")?;
        let dir = test_dir("weed");
        fs::create_dir(dir.path().join("data")).unwrap();
        fs::write(dir.path().join("identities.json"), identities()).unwrap();
        let mut weed = Self { dir, program, options, port: 0, server: None };
        for attempt in 0..PORT_TRIES_MAX {
            weed.port = free_slot(attempt);
            if weed.boot() {
                let root = weed.client(Key::Root);
                root.keep_versions(BUCKET_VERSIONED);
                root.make_bucket(BUCKET_LOCKED, &[("x-amz-bucket-object-lock-enabled", "true")]);
                return Some(weed);
            }
        }
        panic!("no free ports after {PORT_TRIES_MAX} tries:\n{}", weed.log());
    }

    /// The port of S3 over plain HTTP.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of S3 over plain HTTP.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The URL of S3 over TLS, where there is a certificate.
    #[must_use]
    pub fn endpoint_tls(&self) -> String {
        assert!(self.options.certificate.is_some(), "a server without a certificate speaks no TLS");
        format!("https://localhost:{}", self.port + 5)
    }

    /// A plain client with this key.
    #[must_use]
    pub fn client(&self, key: Key) -> Client {
        Client::new(self.port, key.id(), &key.secret())
    }

    /// Kills the server at once, as `kill -9` would. Clients see the connection break.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("the server runs");
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts the server again after [`Weed::kill`], on the same ports with the same data.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        assert!(self.boot(), "the server did not come back:\n{}", self.log());
    }

    /// What the server has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the process and waits until it has stored an object; false if it ended, as it does when a port is taken.
    fn boot(&mut self) -> bool {
        let mut server = self.spawn();
        let client = self.client(Key::Root);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            let stored = client.try_call("PUT", &format!("/{BUCKET_PLAIN}/ready"), &[], &[], b"ready");
            if stored.is_ok_and(|answer| answer.status == 200) {
                drop(client.delete(BUCKET_PLAIN, "ready"));
                self.server = Some(server);
                return true;
            }
            assert!(Instant::now() < deadline, "not ready after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(POLL);
        }
    }

    fn spawn(&self) -> Child {
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let at = |relative: &str| self.dir.path().join(relative).display().to_string();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(["-logtostderr=true", "mini"]);
        for (index, name) in ["s3", "master", "volume", "filer", "admin"].iter().enumerate() {
            command.arg(format!("-{name}.port={}", self.port + u16::try_from(index).unwrap()));
        }
        command.arg(format!("-dir={}", at("data"))).arg(format!("-s3.config={}", at("identities.json")));
        command.arg(format!("-s3.localSocket={}", at("s3.sock")));
        command.arg(format!("-filer.localSocket={}", at("filer.sock")));
        command.arg(format!("-bucket={BUCKET_PLAIN},{BUCKET_VERSIONED}"));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.autoCreateBucket=false", "-s3.iam=false"]);
        command.args(["-master.telemetry=false", "-admin.ui=false", "-webdav=false"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        if let Some((certificate, key)) = &self.options.certificate {
            command.arg(format!("-s3.port.https={}", self.port + 5));
            command.arg(format!("-s3.cert.file={}", certificate.display()));
            command.arg(format!("-s3.key.file={}", key.display()));
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.dir.path()).env("GOMEMLIMIT", MEMORY);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        spawn(command).expect("setpriv and weed can be started")
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            drop(server.kill());
            drop(server.wait());
        }
        // The server puts further sockets, named by port, where nobody asked for them.
        for (index, name) in ["s3", "master", "volume", "filer", "admin"].iter().enumerate() {
            let port = self.port + TWIN + u16::try_from(index).unwrap();
            drop(fs::remove_file(Path::new("/tmp").join(format!("seaweedfs-{name}-grpc-{port}.sock"))));
        }
    }
}

/// The server's configuration: every key with its policies.
fn identities() -> String {
    let mut policies = Vec::new();
    let mut identities = Vec::new();
    for key in Key::ALL {
        let own = key.policies();
        let actions = if matches!(key, Key::Root | Key::Other) {
            vec!["Admin", "Read", "Write", "List", "Tagging"]
        } else {
            Vec::new()
        };
        identities.push(json!({
            "name": key.id().to_lowercase(),
            "credentials": [{"accessKey": key.id(), "secretKey": key.secret()}],
            "actions": actions,
            "policyNames": own.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        }));
        policies.extend(own.into_iter().map(|(name, content)| json!({"name": name, "content": content})));
    }
    json!({"identities": identities, "policies": policies}).to_string()
}

/// The first of a row of ports that nobody uses now, with their twins.
fn free_slot(attempt: u32) -> u16 {
    let mut seed = std::process::id().wrapping_mul(2_654_435_761).wrapping_add(attempt.wrapping_mul(40_503));
    for _ in 0..PORT_SLOTS {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slot = u16::try_from((seed >> 16) % u32::from(PORT_SLOTS)).unwrap();
        let first = PORT_FIRST + slot * PORT_SLOT;
        if (first..first + PORTS).all(|port| is_free(port) && is_free(port + TWIN)) {
            return first;
        }
    }
    panic!("no free row of ports between {PORT_FIRST} and {}", PORT_FIRST + PORT_SLOTS * PORT_SLOT);
}
