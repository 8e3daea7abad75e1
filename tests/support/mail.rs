//! A real mail server with TLS on the loopback, and the certificate that a client must trust.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lacre_test_bucket::tool;

/// The server; it ends when this is dropped, because its standard input then does.
pub(crate) struct MailServer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// When the connection becomes an encrypted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// From the first byte.
    WithTls,
    /// After STARTTLS, without which nothing is taken.
    WithStartTls,
}

impl MailServer {
    /// Starts the server in a folder of the test; `None` after a printed skip.
    pub(crate) fn start(folder: &Path, begins: Begins) -> Option<MailServer> {
        let python = tool("python3")?;
        fs::create_dir_all(folder).unwrap();
        certificate(folder);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/support/smtp_sink.py");
        let mode = if begins == Begins::WithTls { "tls" } else { "starttls" };
        let mut child = Command::new(python)
            .arg(script)
            .args([folder, &folder.join("cert.pem"), &folder.join("key.pem")])
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the mail server did not start: {line:?}"));
        Some(MailServer { child, port, folder: folder.to_owned() })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The mails it took, oldest first.
    pub(crate) fn mails(&self) -> Vec<String> {
        let mail = |number: u32| fs::read_to_string(self.folder.join(format!("{number}.eml"))).ok();
        (1..).map_while(mail).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// An authority, and the server's certificate signed by it: a client refuses an authority that serves itself.
fn certificate(folder: &Path) {
    let config = "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n\
        [server]\nbasicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";
    fs::write(folder.join("extensions.cnf"), config).unwrap();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    openssl(
        folder,
        &[
            &["req", "-x509"],
            &key[..],
            &["-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem"],
            &["-addext", "keyUsage=critical,keyCertSign"],
        ]
        .concat(),
    );
    let request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(folder, &[&request[..], &["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "server.csr"]].concat());
    let sign =
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
    openssl(
        folder,
        &[&sign[..], &["-extfile", "extensions.cnf", "-extensions", "server", "-out", "cert.pem"]].concat(),
    );
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
