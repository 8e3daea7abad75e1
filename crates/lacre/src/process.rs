//! The process itself: what is switched off before any secret is touched, and how signals ask it to stop.
//!
//! In: nothing. Out: a hardened process and one flag that long loops look at. It must not know any command.

use std::{
    ffi::OsString,
    io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{
    error::{CliError, Kind},
    exit::Exit,
    safe_url::SafeUrl,
};

/// Files made by this process are readable by their owner only.
const UMASK: u32 = 0o077;

/// Switches off core dumps and debugger attachment and makes every new file private.
///
/// Returns a sentence for each protection the system refused; they are warnings, because a backup is worth more than a `prctl`.
pub fn harden() -> Vec<String> {
    let mut refused = Vec::new();
    umask(Mode::from_raw_mode(UMASK));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        refused.push(format!("core dumps could not be switched off ({error}); a crash might write keys to disk"));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        refused.push(format!(
            "the process could not be made undumpable ({error}); another process of this user could read its keys"
        ));
    }
    refused
}

/// The flag of the installed handlers, for whoever waits for a person and was handed nothing.
static INSTALLED: OnceLock<Interrupt> = OnceLock::new();

/// The flag that SIGINT, SIGTERM and SIGHUP raise; cheap to clone, looked at between pieces of work.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Registers the signals. The first one raises the flag, a second one ends the process at once with exit code 130.
    ///
    /// # Errors
    /// The operating system's refusal to register a handler.
    pub fn install() -> io::Result<Interrupt> {
        let interrupt = Interrupt::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let code = i32::from(Exit::Interrupted.code());
            // Order matters: the shutdown looks at the flag before the same signal raises it.
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&interrupt.0))?;
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        // Only tests install twice in one process; the first flag serves both.
        Ok(INSTALLED.get_or_init(|| interrupt).clone())
    }

    /// Says whether a signal asked this process to stop, whoever holds the flag.
    pub fn is_raised_anywhere() -> bool {
        INSTALLED.get().is_some_and(Interrupt::raised)
    }

    /// Says whether somebody asked to stop.
    pub fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Raises the flag from inside, as a signal would.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns an error at a safe point when somebody asked to stop.
    ///
    /// # Errors
    /// [`Kind::Interrupted`], exit code 130.
    pub fn check(&self) -> Result<(), CliError> {
        if self.raised() {
            return Err(CliError::new(Kind::Interrupted, "interrupted; unfinished work never became visible"));
        }
        Ok(())
    }
}

/// Returns a warning when an argument is a URL or connection string with a password, which every user of the machine can read.
pub fn password_in_arguments(arguments: &[OsString]) -> Option<String> {
    // What follows `--` belongs to another program; its arguments are as visible, but its owner chose them.
    let ours = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    for argument in ours.filter_map(|argument| argument.to_str()) {
        let value =
            argument.split_once('=').filter(|(flag, _)| flag.starts_with("--")).map_or(argument, |(_, value)| value);
        let Ok(url) = value.parse::<SafeUrl>() else { continue };
        if url.has_password() {
            return Some(format!(
                "the password in {url} is visible to every user of this machine while Lacre runs; \
                 put it in ~/.pgpass, a service file or the configuration (it is not passed on to child processes)"
            ));
        }
    }
    None
}

/// Finds a program as a shell would: a name with a slash is a path, any other is looked up in `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let runnable = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok()?;
        (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(path)
    };
    if name.contains('/') {
        return runnable(PathBuf::from(name));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .filter(|folder| !folder.as_os_str().is_empty())
        .find_map(|folder| runnable(folder.join(name)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Interrupt, find_program, harden, password_in_arguments};

    #[test]
    fn hardening_makes_files_private_and_the_process_undumpable() {
        assert_eq!(harden(), Vec::<String>::new());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).maximum, Some(0));
    }

    #[test]
    fn the_flag_turns_into_exit_130() {
        let interrupt = Interrupt::default();
        assert!(interrupt.check().is_ok());
        interrupt.raise();
        assert_eq!(interrupt.check().unwrap_err().kind().exit().code(), 130);
    }

    #[test]
    fn passwords_in_arguments_are_noticed_in_every_position() {
        let warn =
            |arguments: &[&str]| password_in_arguments(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(warn(&["lacre", "backup", "--postgres", "postgres://a:hunter2@db/x"]).unwrap().contains("a:***@db"));
        assert!(warn(&["lacre", "backup", "--postgres=postgres://a:hunter2@db/x"]).unwrap().contains("a:***@db"));
        assert!(warn(&["lacre", "restore", "latest", "--to", "host=db password=hunter2"]).is_some());
        assert_eq!(warn(&["lacre", "backup", "--postgres", "postgres://a@db/x"]), None);
        assert_eq!(warn(&["lacre", "backup", "--command", "n", "--", "mysqldump", "--password=hunter2"]), None);
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
        assert!(find_program("/bin/sh").is_some());
        assert!(find_program("no-such-program-here").is_none() && find_program("/etc/passwd").is_none());
    }
}
