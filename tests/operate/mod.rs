//! What runs by itself: the night, who is told of it, what monitors ask, and what starts things.

mod configuration;
mod copies;
mod cost;
mod daemon;
mod dashboard;
mod monitoring;
mod night;
mod report;
mod schedule;
mod status;
mod terminal;
mod told;
mod watched;

use std::fs;

use serde_json::Value;

use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

/// A sandbox with a fresh repository and this configuration, in which `{url}` is the listener's.
fn site(config: &str, listener: Option<&Listener>) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let url = listener.map_or_else(String::new, |listener| listener.url(""));
    configure(&sandbox, &config.replace("{url}", &url));
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

/// Writes the configuration, for its owner only.
fn configure(sandbox: &Sandbox, config: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = sandbox.path("lacre.toml");
    fs::write(&path, config).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A job whose program is the script of this name in the sandbox: what it says and how it ends can change from run to run.
fn job(name: &str) -> String {
    format!("[[job]]\nname = \"{name}\"\ncommand = [\"sh\", \"{name}.sh\"]\n")
}

fn script(sandbox: &Sandbox, name: &str, text: &str) {
    // Renamed into place: a shell that still reads the old one is not led astray.
    let new = sandbox.path(&format!("{name}.new"));
    fs::write(&new, text).unwrap();
    fs::rename(&new, sandbox.path(&format!("{name}.sh"))).unwrap();
}

/// The lines of the structured log.
fn log(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.path("lacre.log")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The check of a status document with this name.
fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name} in {document:#}"))
}
