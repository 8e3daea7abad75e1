//! Where the servers' programs lie, and what becomes of a test whose program is missing.

use std::path::PathBuf;

/// Programs that the gate requires. What is missing is a failure where `CI` is `true`, and elsewhere a skip that is printed.
pub const REQUIRED: &[&str] = &["weed", "rclone", "setpriv", "openssl", "python3", "chromium", "faketime"];

/// The path of a program of [`REQUIRED`]; `None` after a printed skip.
///
/// Looked for in the folder `install.sh` fills (`$XDG_CACHE_HOME/lacre/venv/bin`, else `~/.cache/lacre/venv/bin`), then in `PATH`.
///
/// # Panics
/// When it is missing and `CI` is `true`.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    assert!(REQUIRED.contains(&name), "{name} is not on the list of required programs");
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = cache.map(|cache| cache.join("lacre/venv/bin")).into_iter().chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        skip(&format!("the program {name} is missing: run tests/support/install.sh test"));
    }
    found
}

/// Says why a test is not run; fails it where everything must run.
///
/// # Panics
/// When `CI` is `true`.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{reason}");
    #[allow(clippy::print_stderr, reason = "a skip nobody sees is a lie")]
    {
        eprintln!("SKIP: {reason}");
    }
}
