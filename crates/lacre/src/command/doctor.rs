//! `lacre doctor`: trouble on this host that a backup or a restore would meet at night.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use jiff::Timestamp;
use lacre_repo::{Severity, store::Probe};
use owo_colors::OwoColorize as _;

use super::backup::environment;
use crate::{
    cli::{DoctorArgs, value::StoreUrl},
    config::{self, Settings, settle},
    driver::postgres::tools::Toolset,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{DoctorCheck, DoctorResult},
    process,
    term::page::{self, Lead},
    vault::{Vault, explain, open_store},
};

/// A clock before this day is wrong: the program did not exist yet.
const BUILT_AFTER: &str = "2026-11-01T00:00:00Z";

/// Free space below which a nightly backup is likely to fail soon, bytes.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// The longest version text shown.
const VERSION_LENGTH_MAX: usize = 100;

/// Looks at everything and prints it; exit 3 when something should be changed.
///
/// # Errors
/// Those of stdout and of an unreadable configuration.
pub(super) fn run(invocation: &Invocation, args: &DoctorArgs) -> Result<Exit, CliError> {
    let file = invocation.config_file()?;
    let mut checks = vec![
        clock(Timestamp::now()),
        core_dumps(),
        umask(),
        swap(&fs::read_to_string("/proc/swaps").unwrap_or_default()),
    ];
    checks.extend(clients(&Toolset::installed(&environment())));
    checks.push(gpg());
    for problem in &file.file_problems {
        checks.push(trouble("configuration", &problem.what, &problem.fix));
    }
    // A mistake in the file is one line here; the rest of the host is still worth looking at.
    match config::settle(&file, &invocation.global, &invocation.origins) {
        Ok(settings) => {
            checks.push(home(&settings.home));
            if let Some(StoreUrl::Folder(folder)) = &settings.repository {
                checks.push(disk("disk of the repository", folder));
            }
            checks.push(disk("disk of the home", &settings.home));
            match &args.store {
                Some(place) => checks.extend(store(invocation, place, &settings)),
                None if settings.repository.is_some() => checks.extend(repository(invocation)),
                None => {}
            }
        }
        Err(error) => {
            checks.push(trouble("configuration", error.what(), "lacre config check"));
            checks.push(home(&settle::default_home()));
        }
    }
    let result = DoctorResult { ok: checks.iter().all(|check| check.ok), checks };
    invocation.print(&result, |out| {
        for check in &result.checks {
            let mark = if check.ok { "ok".green().to_string() } else { "!!".yellow().bold().to_string() };
            let lead = Lead { shown: &format!("{mark}  "), columns: 4 };
            page::sentence(out, lead, &format!("{}: {}", check.name, check.value))?;
            if let Some(advice) = &check.advice {
                page::hint(out, 4, advice)?;
            }
        }
        Ok(())
    })?;
    Ok(if result.ok { Exit::Done } else { Exit::Findings })
}

fn fine(name: &str, value: impl Into<String>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), ok: true, value: value.into(), advice: None }
}

fn trouble(name: &str, value: impl Into<String>, advice: impl Into<String>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), ok: false, value: value.into(), advice: Some(advice.into()) }
}

/// Correctness never needs the clock; the names and ages people read do.
fn clock(now: Timestamp) -> DoctorCheck {
    let built_after: Timestamp = BUILT_AFTER.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    if now < built_after {
        return trouble("clock", human::time(now), "set the clock: timedatectl set-ntp true");
    }
    fine("clock", human::time(now))
}

fn core_dumps() -> DoctorCheck {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core).maximum;
    let dumpable = rustix::process::dumpable_behavior();
    if limit == Some(0) && matches!(dumpable, Ok(rustix::process::DumpableBehavior::NotDumpable)) {
        return fine("core dumps", "off for lacre");
    }
    trouble("core dumps", "could not be switched off", "start it with: ulimit -c 0")
}

fn umask() -> DoctorCheck {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("Umask:")).map_or("unknown", str::trim);
    if mask == "0077" {
        fine("umask", "0077: new files are private")
    } else {
        trouble("umask", mask, "start it with: umask 077")
    }
}

/// Keys are only in memory, but memory can go to disk.
fn swap(table: &str) -> DoctorCheck {
    let open: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|device| {
            !device.starts_with("/dev/dm-") && !device.starts_with("/dev/zram") && !device.starts_with("/dev/mapper/")
        })
        .collect();
    if open.is_empty() {
        return fine("swap", "none, or encrypted");
    }
    trouble(
        "swap",
        format!("{} may be unencrypted; keys in memory can reach it", open.join(", ")),
        "encrypt it (dm-crypt) or: swapoff -a",
    )
}

/// Every folder of PostgreSQL's programs that a backup or a restore may choose from; it takes the one closest to the server.
fn clients(found: &[Toolset]) -> Vec<DoctorCheck> {
    let install = "apt install postgresql-client (its version must not be older than the server's)";
    if found.is_empty() {
        return vec![trouble("PostgreSQL client", "pg_dump is not found", install)];
    }
    let client = |tools: &Toolset| {
        let value = format!("{} in {}", tools.version(), tools.folder().display());
        let lacks = |tool: &&'static str| tools.program(tool).is_err();
        let missing: Vec<&str> = ["pg_restore", "psql", "pg_dumpall"].into_iter().filter(lacks).collect();
        match missing.as_slice() {
            [] => fine("PostgreSQL client", value),
            missing => trouble("PostgreSQL client", format!("{value}, without {}", missing.join(", ")), install),
        }
    };
    found.iter().map(client).collect()
}

fn gpg() -> DoctorCheck {
    match process::find_program("gpg") {
        Some(path) => version("gpg", &path),
        None => fine("gpg", "not found; only needed for OpenPGP keys in an agent or on a card"),
    }
}

fn version(name: &str, path: &Path) -> DoctorCheck {
    let Ok(output) = Command::new(path).arg("--version").output() else {
        return trouble(name, format!("{} cannot be run", path.display()), format!("{} --version", path.display()));
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(VERSION_LENGTH_MAX)
        .collect();
    fine(name, format!("{line} ({})", path.display()))
}

fn home(path: &Path) -> DoctorCheck {
    match fs::metadata(path) {
        Ok(metadata) => match config::mode_problems(path, metadata.mode()).into_iter().next() {
            Some(problem) => trouble("home", problem.what, format!("chmod 700 {}", path.display())),
            None => fine("home", path.display().to_string()),
        },
        Err(_) => fine("home", format!("{} is not there yet; `lacre init` makes it", path.display())),
    }
}

/// Opens the repository as every command does, and looks at the keys beside it and at who holds the seal.
fn repository(invocation: &Invocation) -> Vec<DoctorCheck> {
    let seen = Vault::open(invocation).and_then(|vault| {
        let list = vault.repository.snapshots().map_err(|error| vault.explain(error))?;
        let seal = vault.repository.seal_status().map_err(|error| vault.explain(error))?;
        Ok((vault, list, seal))
    });
    let (vault, list, seal) = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let advice = error.hints().first().cloned().unwrap_or_else(|| "lacre snapshots".to_owned());
            return vec![trouble("repository", error.message(), advice)];
        }
    };
    let count = list.rows.len();
    let snapshots = human::things(count, ["snapshot", "snapshots"]);
    let mut checks = vec![fine("repository", format!("{} with {snapshots}", vault.place))];
    let found = vault.repository.home().exposed().into_iter().chain(list.findings).chain(seal.findings);
    let grave = found.filter(|finding| finding.severity > Severity::Note);
    checks.extend(grave.map(|finding| trouble(&finding.object, finding.what, finding.advice)));
    match vault.repository.home().writer_keys() {
        Ok(_) => checks.push(fine("writer key", "here: this host can make backups")),
        Err(error) => checks.push(trouble("writer key", error.to_string(), "backups need it; other commands do not")),
    }
    checks
}

/// Tries a store by writing to it; in a repository's own store the result goes to its log too.
fn store(invocation: &Invocation, place: &StoreUrl, settings: &Settings) -> Vec<DoctorCheck> {
    let probed = if settings.repository.as_ref() == Some(place) {
        match Vault::open(invocation) {
            Ok(vault) => vault.repository.probe_store().map_err(|error| vault.explain(error)),
            Err(error) if error.kind() == Kind::NotFound => probe_alone(place, settings),
            Err(error) => Err(error),
        }
    } else {
        probe_alone(place, settings)
    };
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => {
            let advice = error.hints().first().cloned().unwrap_or_else(|| "docs/STORES.md".to_owned());
            return vec![trouble("store", error.message(), advice)];
        }
    };
    let facts = probe.facts().into_iter().map(|fact| DoctorCheck {
        name: format!("store: {}", fact.name),
        ok: fact.ok,
        value: fact.value,
        advice: fact.advice,
    });
    facts.chain([fine("store: protection", probe.protection())]).collect()
}

fn probe_alone(place: &StoreUrl, settings: &Settings) -> Result<Probe, CliError> {
    open_store(place, settings)?.probe().map_err(|error| explain(error.into(), None))
}

fn disk(name: &str, path: &Path) -> DoctorCheck {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let total = space.f_blocks.saturating_mul(space.f_frsize);
            let value = format!("{} free of {} ({})", human::bytes(free), human::bytes(total), path.display());
            if free < FREE_BYTES_MIN {
                trouble(name, value, "make room before the next night, or forget snapshots")
            } else {
                fine(name, value)
            }
        }
        Err(error) => {
            trouble(name, format!("cannot ask for the free space of {}: {error}", existing.display()), "df -h")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{clients, clock, disk, home, swap};

    #[test]
    fn a_clock_before_the_program_existed_is_wrong() {
        assert!(!clock("1970-01-01T00:00:10Z".parse().unwrap()).ok);
        assert!(clock("2030-01-01T00:00:00Z".parse().unwrap()).ok);
    }

    #[test]
    fn plain_swap_is_named_and_encrypted_swap_is_fine() {
        let head = "Filename\tType\tSize\tUsed\tPriority\n";
        assert!(swap(head).ok && swap("").ok);
        assert!(swap(&format!("{head}/dev/dm-1 partition 1 0 -2\n/dev/zram0 partition 1 0 5\n")).ok);
        let open = swap(&format!("{head}/swap.img file 1 0 -2\n"));
        assert!(!open.ok && open.value.contains("/swap.img"));
    }

    #[test]
    fn programs_disks_and_homes_are_looked_at() {
        assert!(!clients(&[])[0].ok);
        assert!(disk("disk", Path::new("/proc/self/no/such/folder")).value.contains("free of"));
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(home(folder.path()).advice.unwrap().starts_with("chmod 700"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(home(folder.path()).ok);
        assert!(home(&folder.path().join("missing")).ok);
    }
}
