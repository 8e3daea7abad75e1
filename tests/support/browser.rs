//! Headless Chromium: a page as a person's browser lays it out, at any width, in light and in dark, and on paper.
//!
//! The page is looked at through a frame of the wanted width, because no window is as narrow as a phone. It stays what it is: its own
//! policy holds inside the frame, and what it forbids shows up in the browser's console, which a test may not find anything in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use lacre_test_bucket::{test_dir, tool};

/// What the looking page runs: sizes, what sticks out, and what is drawn.
const MEASURE: &str = include_str!("browser.js");

/// A browser with a profile of its own.
pub(crate) struct Browser {
    program: PathBuf,
    dir: TempDir,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// The installed Chromium; `None` after a printed skip.
    pub(crate) fn find() -> Option<Browser> {
        Some(Browser { program: tool("chromium")?, dir: test_dir("browser") })
    }

    fn run(&self, arguments: &[&str], url: &str) -> Output {
        let profile = format!("--user-data-dir={}", self.dir.path().join("profile").display());
        // Tests may run as root, for whom the browser's own sandbox is not made.
        let common = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
        ];
        let mut command = Command::new(&self.program);
        command.args(common).arg(profile).args(["--enable-logging=stderr", "--v=0", "--no-proxy-server"]);
        command.args(arguments).arg(url).env("HOME", self.dir.path()).env("TZ", "America/Sao_Paulo");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Lays a page out at this width and says what came of it.
    pub(crate) fn measure(&self, page: &str, width: u32, scheme: Scheme) -> Value {
        let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
        let text = format!(
            "<!DOCTYPE html><meta charset=\"utf-8\"><body><iframe id=\"frame\" width=\"{width}\" height=\"900\" frameborder=\"0\" srcdoc=\"{quoted}\"></iframe><script>{MEASURE}</script>"
        );
        let file = self.dir.path().join("frame.html");
        fs::write(&file, text).unwrap();
        let scheme = match scheme {
            Scheme::Light => "--blink-settings=preferredColorScheme=1",
            Scheme::Dark => "--blink-settings=preferredColorScheme=0",
        };
        let arguments = ["--window-size=1600,1000", "--virtual-time-budget=3000", "--dump-dom", scheme];
        let output = self.run(&arguments, &format!("file://{}", file.display()));
        let (dom, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let complaints: Vec<&str> = talk.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let measured = dom.split("<pre id=\"measured\">").nth(1).and_then(|rest| rest.split("</pre>").next());
        let measured = measured.unwrap_or_else(|| panic!("nothing was measured: {talk}"));
        serde_json::from_str(&decoded(measured)).unwrap()
    }

    /// The document of a page after its scripts had this long.
    pub(crate) fn document(&self, url: &str, budget_ms: u32) -> String {
        let output = self.run(&[&format!("--virtual-time-budget={budget_ms}"), "--dump-dom"], url);
        let talk = String::from_utf8_lossy(&output.stderr);
        let complaints: Vec<&str> = talk.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Prints a page, and counts the sheets of paper.
    pub(crate) fn print(&self, file: &Path) -> usize {
        let pdf = self.dir.path().join("page.pdf");
        let to = format!("--print-to-pdf={}", pdf.display());
        self.run(&[&to, "--no-pdf-header-footer"], &format!("file://{}", file.display()));
        let bytes = fs::read(&pdf).unwrap();
        assert!(bytes.starts_with(b"%PDF-"));
        String::from_utf8_lossy(&bytes).matches("/Type /Page\n").count()
    }
}

/// Undoes `encodeURIComponent`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
