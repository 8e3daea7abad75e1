//! `rclone serve s3`: a real server that overwrites whatever it is told to, because it does not look at conditions.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::place::{free_port, test_dir};
use crate::spawn::spawn;
use crate::tools;
use crate::weed::{Key, MEMORY};

/// How many ports are tried before giving up.
const PORT_TRIES_MAX: u32 = 5;
/// How long the server may take to store its first object. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running server over a folder; dropping it ends the server and removes the folder.
pub struct Rclone {
    dir: TempDir,
    port: u16,
    server: Child,
}

impl Rclone {
    /// The only bucket.
    pub const BUCKET: &str = "heap";

    /// Starts a server; `None` after a printed skip where the program is missing.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = tools::tool("rclone")?;
        for _ in 0..PORT_TRIES_MAX {
            let (dir, port) = (test_dir("rclone"), free_port());
            fs::create_dir_all(dir.path().join("data").join(Self::BUCKET)).unwrap();
            let log = fs::File::create(dir.path().join("log")).unwrap();
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(&program).args(["serve", "s3"]);
            command.arg(dir.path().join("data")).arg("--addr").arg(format!("127.0.0.1:{port}"));
            command.arg("--auth-key").arg(format!("{},{}", Key::Root.id(), Key::Root.secret()));
            command.args(["--config", "/dev/null", "--vfs-cache-mode", "off"]);
            command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir.path()).env("GOMEMLIMIT", MEMORY);
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let server = spawn(command).expect("setpriv and rclone can be started");
            let mut rclone = Self { dir, port, server };
            if rclone.is_ready() {
                return Some(rclone);
            }
        }
        panic!("rclone serve s3 does not come up");
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A plain client with the server's only key, [`Key::Root`].
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.port, Key::Root.id(), &Key::Root.secret())
    }

    /// What the server has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn is_ready(&mut self) -> bool {
        let client = self.client();
        let deadline = Instant::now() + PATIENCE;
        while self.server.try_wait().unwrap().is_none() {
            let stored = client.try_call("PUT", &format!("/{}/ready", Self::BUCKET), &[], &[], b"ready");
            if stored.is_ok_and(|answer| answer.status == 200) {
                drop(client.delete(Self::BUCKET, "ready"));
                return true;
            }
            assert!(Instant::now() < deadline, "not ready after {PATIENCE:?}:\n{}", self.log());
            thread::sleep(POLL);
        }
        false
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
