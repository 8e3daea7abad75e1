//! A connection pooler in the way: recognised and refused with what to do, whatever it lets through.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::snapshots;
use crate::support::cluster::{Cluster, test_dir};
use crate::support::sandbox::Sandbox;

/// How long the pooler may take to listen. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `pgbouncer` before a cluster; gone when the test ends.
struct Bouncer {
    _dir: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Bouncer {
    fn start(cluster: &Cluster, extra: &str) -> Bouncer {
        let dir = test_dir("bouncer");
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let config = dir.path().join("pgbouncer.ini");
        let users = dir.path().join("users.txt");
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{extra}",
            cluster.port(),
            users.display()
        );
        fs::write(&config, text).unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = cluster.as_server("/usr/sbin/pgbouncer");
        command.arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("pgbouncer: run tests/support/install.sh test");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "pgbouncer does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Bouncer { _dir: dir, port, process }
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn a_pooler_in_the_way_is_named_with_what_to_do() {
    let cluster = Cluster::start();
    cluster.create_database("d");
    cluster.sql("d", "create table t as select generate_series(1, 10) n");
    let sandbox = Sandbox::with_tools_of(&cluster);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox.run(&["backup", "--postgres", &cluster.url("d"), "straight"]).exits(0);
    let quiet = "ignore_startup_parameters = options,extra_float_digits\n";
    for (mode, extra) in [
        ("transaction", "pool_mode = transaction\n".to_owned()),
        ("session", "pool_mode = session\n".to_owned()),
        ("transaction, quiet about settings", format!("pool_mode = transaction\n{quiet}")),
        ("session, quiet about settings", format!("pool_mode = session\n{quiet}")),
    ] {
        let bouncer = Bouncer::start(&cluster, &extra);
        let url = format!("postgres://postgres@127.0.0.1:{}/d", bouncer.port);
        let refused = sandbox.run(&["backup", "--postgres", &url, "pooled"]);
        let said = &refused.stderr;
        assert_eq!(refused.status.code(), Some(2), "{mode}: {said}");
        assert!(said.contains("connection pooler") && said.contains("server's own port"), "{mode}: {said}");
        let into = sandbox.run(&["restore", "latest:straight", "--to", &url, "--swap", "--yes"]);
        assert!(into.stderr.contains("connection pooler"), "{mode}: {}", into.stderr);
    }
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
    assert_eq!(cluster.sql("d", "select count(*) from t"), "10");
}
