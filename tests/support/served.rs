//! A command that listens on the loopback until it is told to end: the daemon, the dashboard.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use super::sandbox::{Outcome, Sandbox};

/// How often something is asked for before it counts as never coming. A guard against hanging, not a measurement.
const TRIES_MAX: u32 = 3_000;

/// One whose address is read from what it says.
pub(crate) struct Served {
    child: Child,
    command: String,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Served {
        let mut child = sandbox.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("listening on http://")?.split('/').next()?.to_owned()))
            .expect("it says where it listens");
        // What it starts writes there, too; a pipe nobody reads would stop it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Served { child, command: arguments.join(" "), address }
    }

    /// Sends these bytes and gives back head and body of the answer.
    pub(crate) fn send(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    pub(crate) fn ask(&self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address))
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub(crate) fn wait_for(&self, path: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
        let mut last = String::new();
        for _ in 0..TRIES_MAX {
            let (head, body) = self.ask(path);
            if wanted(&head, &body) {
                return body;
            }
            last = body;
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{path} never became what it should: {last}");
    }

    pub(crate) fn terminate(self) -> Outcome {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        Outcome::of(self.child, &[self.command.as_str()])
    }
}
