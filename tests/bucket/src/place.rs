//! Folders and ports of a test: gone when it ends, and swept by the next one if it was killed.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

/// A temporary folder whose name holds this process's id; folders of processes that were killed are swept.
#[must_use]
pub fn test_dir(kind: &str) -> TempDir {
    let parent = std::env::temp_dir();
    sweep(&parent);
    tempfile::Builder::new().prefix(&format!("lacre-t-{}-{kind}-", std::process::id())).tempdir_in(parent).unwrap()
}

/// A port nobody listens on now; another process may take it before the caller does.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .unwrap()
}

/// Whether nobody listens on a port of the loopback now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Removes the folders of test processes that no longer exist.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("lacre-t-")).and_then(|rest| rest.split('-').next());
        let gone = pid
            .is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && !Path::new("/proc").join(pid).exists());
        if gone {
            // Two tests may sweep at once; whoever comes second finds nothing.
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => continue,
            }
        }
    }
}
