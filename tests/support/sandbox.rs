//! A place to run the `lacre` binary in which nothing of the machine's or the user's environment can be seen.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use memchr::memmem;
use tempfile::TempDir;

use crate::support::cluster::{Cluster, test_dir};

/// Starts a program with a chosen umask; `exec` keeps the process id, so signals reach the program itself.
const WITH_UMASK: &str = "umask \"$1\" && shift && exec \"$@\"";

/// An empty environment, a home folder of its own, and paths for a repository and the host's keys.
pub(crate) struct Sandbox {
    dir: TempDir,
    variables: Vec<(String, String)>,
    umask: &'static str,
}

/// How one run of the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) command: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A sandbox with the most permissive umask, so that a private file is private because the program made it so.
    pub(crate) fn new() -> Sandbox {
        let dir = test_dir("box");
        fs::create_dir(dir.path().join("user")).unwrap();
        let mut sandbox = Sandbox { dir, variables: Vec::new(), umask: "000" };
        let (home, keys, repository) = (sandbox.path("user"), sandbox.home(), sandbox.repository());
        sandbox.set("HOME", &home).set("LACRE_HOME", &keys).set("LACRE_REPO", &repository);
        sandbox.set("PATH", "/usr/bin:/bin").set("LC_ALL", "C.UTF-8").set("TZ", "America/Sao_Paulo");
        sandbox
    }

    /// A sandbox whose `PATH` begins with the cluster's own client programs.
    pub(crate) fn with_tools_of(cluster: &Cluster) -> Sandbox {
        let mut sandbox = Sandbox::new();
        let path = format!("{}:/usr/bin:/bin", cluster.tools().display());
        sandbox.set("PATH", path);
        sandbox
    }

    /// Sets a variable of the environment, or replaces it.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Sandbox {
        let value = value.as_ref().to_str().expect("test values are UTF-8").to_owned();
        self.unset(name);
        self.variables.push((name.to_owned(), value));
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Sandbox {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn set_umask(&mut self, umask: &'static str) -> &mut Sandbox {
        self.umask = umask;
        self
    }

    /// A path inside the sandbox.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// `LACRE_HOME`: keys and state of this host.
    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// `LACRE_REPO`.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repo")
    }

    /// The binary with these arguments, ready to be started in the sandbox's folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_lacre"), arguments)
    }

    /// Any program in the same surroundings.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WITH_UMASK, "sh", self.umask, program]).args(arguments);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    /// Runs the binary with these bytes on its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not read its input closes the pipe; what it then prints is what the test looks at.
                drop(stdin.write_all(input));
            });
            Outcome::of(child, arguments)
        })
    }

    /// Starts the binary and kills it with SIGKILL after this long, unless it ended before.
    pub(crate) fn run_killed(&self, arguments: &[&str], after: Duration) -> Outcome {
        let mut child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(after);
        child.kill().unwrap();
        Outcome::of(child, arguments)
    }
}

impl Outcome {
    /// Waits for a child and takes what it printed.
    pub(crate) fn of(child: Child, arguments: &[&str]) -> Outcome {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Outcome {
            command: format!("lacre {}", arguments.join(" ")),
            status: output.status,
            stdout: output.stdout,
            stderr,
        }
    }

    /// Panics with everything the program said unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Outcome {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}\nstdout: {}\nstderr: {}",
            self.command,
            self.text(),
            self.stderr
        );
        self
    }

    /// Whether SIGKILL ended it.
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as the one JSON document it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let document: serde_json::Value = serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\nstdout: {}", self.command, self.text()));
        assert_eq!(document["schema"], 1, "{}: every document carries its schema", self.command);
        document
    }
}

/// Every file and link under a folder, in a fixed order.
pub(crate) fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// Where any of these strings occurs under a folder: in a file's bytes or in its name.
pub(crate) fn leaks(dir: &Path, needles: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files_under(dir) {
        let name = file.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&file).unwrap();
        for needle in needles {
            if name.contains(needle) || memmem::find(&bytes, needle.as_bytes()).is_some() {
                found.push(format!("{needle:?} in {name}"));
            }
        }
    }
    found
}
