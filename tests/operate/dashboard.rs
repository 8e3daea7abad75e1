//! `lacre dashboard`: where it listens, whom it answers, what it shows while something runs, and how it ends.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use super::{job, script, site};
use crate::commands::{keys_of, snapshots};
use crate::support::browser::Browser;
use crate::support::sandbox::{Outcome, Sandbox};
use crate::support::served::Served;

/// A dashboard that listens wherever there is room.
fn board(sandbox: &Sandbox, arguments: &[&str]) -> Served {
    Served::start(sandbox, &[&["dashboard", "--listen", "127.0.0.1:0"], arguments].concat())
}

fn ready() -> Sandbox {
    let sandbox = site(&job("astro"), None);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    sandbox
}

#[test]
fn only_the_loopback_is_listened_on_and_only_its_own_name_is_answered() {
    let sandbox = ready();
    for address in ["0.0.0.0:0", "192.0.2.7:9188", "[::]:0"] {
        let outcome = sandbox.run(&["dashboard", "--listen", address]).exits(2);
        assert!(outcome.stderr.contains("can be reached from other machines"), "{}", outcome.stderr);
    }
    let board = board(&sandbox, &[]);
    let taken = sandbox.run(&["dashboard", "--listen", &board.address]).exits(1);
    assert!(taken.stderr.contains("cannot listen on") && taken.stderr.contains("hint:"), "{}", taken.stderr);
    let (head, page) = board.ask("/");
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && page.contains("<title>Backups of repository"), "{head}");
    for header in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: DENY",
    ] {
        assert!(head.contains(header), "{head}");
    }
    assert!(
        head.contains("content-security-policy: default-src 'none'") && head.contains("frame-ancestors 'none'"),
        "{head}"
    );
    // A page of another name that leads here is not this one.
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0"] {
        let (head, body) = board.send(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.0 421 ") && !body.contains("astro"), "{host}: {head}");
    }
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n"] {
        assert!(board.send(request).0.starts_with("HTTP/1.0 421 "), "{request}");
    }
    for host in ["localhost", "LOCALHOST:1", "[::1]:9188"] {
        assert!(
            board.send(&format!("GET /live HTTP/1.1\r\nhost: {host}\r\n\r\n")).0.starts_with("HTTP/1.0 200 "),
            "{host}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = board.send(&format!("{method} / HTTP/1.1\r\nhost: {}\r\n\r\n", board.address));
        assert!(head.starts_with("HTTP/1.0 405 ") && head.contains("allow: GET, HEAD"), "{head}");
    }
    let (head, body) = board.send(&format!("HEAD / HTTP/1.1\r\nhost: {}\r\n\r\n", board.address));
    assert!(head.starts_with("HTTP/1.0 200 ") && body.is_empty(), "{head}");
    assert!(board.ask("/etc/passwd").0.starts_with("HTTP/1.0 404 "));
    assert!(board.ask("/?x=1#y").0.starts_with("HTTP/1.0 200 "));
    board.terminate().exits(0);
}

#[test]
fn who_opens_connections_and_says_nothing_keeps_nobody_waiting() {
    let sandbox = ready();
    let board = board(&sandbox, &[]);
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(&board.address).unwrap()).collect();
    assert!(board.ask("/").0.starts_with("HTTP/1.0 200 "));
    // Nor the end: the silent ones are still there.
    board.terminate().exits(0);
    drop(silent);
}

#[test]
fn a_job_is_seen_while_it_runs_and_its_snapshot_afterwards() {
    let sandbox = ready();
    let board = board(&sandbox, &["--every", "1h"]);
    let (_, idle) = board.ask("/live");
    assert!(idle.contains("Nothing is running."), "{idle}");
    let pipe = sandbox.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    script(&sandbox, "astro", "exec cat pipe");
    let running = sandbox.command(&["backup", "astro"]).spawn().unwrap();
    // Opens once the job reads: the backup is under way.
    let mut end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let lines: String = (0..30_000).map(|line| format!("{line}\n")).collect();
    let (first, rest) = lines.split_at(100_000);
    end.write_all(first.as_bytes()).unwrap();
    let seen = board.wait_for("/live", |_, body| body.contains("<b>backup astro</b>") && body.contains("rows"));
    // The newest snapshot says how much it will be about.
    assert!(seen.contains("<progress max=\"100\" value=\"") && seen.contains("% <small>of about "), "{seen}");
    let folder = keys_of(&sandbox).join("running");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    if let Some(browser) = Browser::find() {
        let shown = browser.document(&format!("http://{}/", board.address), 6_000);
        assert!(shown.contains("<b>backup astro</b>"), "the page itself asks for what is running");
        assert!(!shown.contains("class=\"gone\""));
    }
    end.write_all(rest.as_bytes()).unwrap();
    drop(end);
    Outcome::of(running, &["backup", "astro"]).exits(0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    board.wait_for("/live", |head, body| body.contains("Nothing is running.") && head.contains("lacre-look: 2"));
    let newest = snapshots(&sandbox, "live").pop().unwrap();
    let (_, page) = board.ask("/");
    assert!(page.contains(&newest) && page.contains("data-look=\"2\""));
    let outcome = board.terminate().exits(0);
    assert!(outcome.text().contains("2 looks at the store, 0 failed"), "{}", outcome.text());
}

#[test]
fn a_killed_run_is_not_shown_as_running() {
    let sandbox = ready();
    let pipe = sandbox.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    script(&sandbox, "astro", "exec cat pipe");
    let mut running = sandbox.command(&["backup", "astro"]).spawn().unwrap();
    let end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let board = board(&sandbox, &[]);
    board.wait_for("/live", |_, body| body.contains("backup astro"));
    running.kill().unwrap();
    running.wait().unwrap();
    board.wait_for("/live", |_, body| body.contains("Nothing is running."));
    drop(end);
    script(&sandbox, "astro", "seq 20000");
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(fs::read_dir(keys_of(&sandbox).join("running")).unwrap().count(), 0, "the next run cleared it away");
    board.terminate().exits(0);
}

#[test]
fn a_store_that_went_away_leaves_the_page_and_says_so() {
    let sandbox = ready();
    let board = board(&sandbox, &["--every", "1s", "--lang", "pt-BR"]);
    let away = sandbox.path("away");
    fs::rename(sandbox.repository(), &away).unwrap();
    let strip = board.wait_for("/live", |_, body| body.contains("class=\"trouble\""));
    assert!(strip.contains("O repositório não pode ser visto"), "{strip}");
    assert!(board.ask("/").1.contains("Relatório de backups"), "the last page stays");
    fs::rename(&away, sandbox.repository()).unwrap();
    board.wait_for("/live", |_, body| !body.contains("trouble"));
    board.terminate().exits(0);
    // Where there is nothing from the beginning, there is nothing to serve.
    sandbox.run(&["--repo", "/nowhere/at/all", "dashboard", "--listen", "127.0.0.1:0"]).exits(10);
}
