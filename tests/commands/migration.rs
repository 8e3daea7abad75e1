//! The page for people who come from the old scripts: its commands, run as they stand there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::snapshots;
use crate::support::cluster::Cluster;
use crate::support::sandbox::Sandbox;

const PAGE: &str = include_str!("../../docs/migrar-do-astro.pt-BR.md");

/// The lines of every block of one kind.
fn blocks(kind: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if let Some(info) = line.strip_prefix("```") {
            inside = !inside && info == kind;
        } else if inside && !line.trim().is_empty() {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn migration_commands_run_as_written() {
    let cluster = Cluster::start();
    cluster.create_database("astro");
    cluster.sql("astro", "create table users as select n id, 'user ' || n as name from generate_series(1, 3000) n");
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    for folder in ["etc/astro", "etc/lacre", "usb", "shm", "old", "scratch"] {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
    }
    fs::set_permissions(sandbox.path("scratch"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(sandbox.path("usb"), fs::Permissions::from_mode(0o700)).unwrap();
    // What the scripts left: an environment and a folder of compressed archives.
    let env = format!(
        "BACKUP_DIR={}\nBACKUP_RETENTION_DAYS=30\nMAX_BACKUP_AGE_HOURS=26\nMIN_BACKUP_COUNT=7\n\
         POSTGRES_HOST=127.0.0.1\nPOSTGRES_PORT={}\nPOSTGRES_DB=astro\nPOSTGRES_USER=postgres\n",
        sandbox.path("backups").display(),
        cluster.port()
    );
    fs::write(sandbox.path("etc/astro/.env"), env).unwrap();
    for day in 14..17 {
        cluster.sql("astro", &format!("update users set name = name || '!' where id % 50 = {day}"));
        let archive = cluster.dump("astro", &["-Fc", "-Z9"]);
        fs::write(sandbox.path(&format!("old/astro_backup_202501{day}_030000.sql.gz")), archive).unwrap();
    }
    fs::create_dir(sandbox.path("backups")).unwrap();
    let config = sandbox.path("etc/lacre/lacre.toml");
    // The repository is the configuration's from the second step on.
    sandbox.unset("LACRE_REPO").set("LACRE_CONFIG", &config);
    let mapped = |line: &str| {
        let mut line = line.to_owned();
        for (written, here) in [
            ("/etc/astro", "etc/astro"),
            ("/etc/lacre", "etc/lacre"),
            ("/mnt/usb", "usb"),
            ("/dev/shm", "shm"),
            ("/var/backups/astro-db", "old"),
        ] {
            line = line.replace(written, sandbox.path(here).to_str().unwrap());
        }
        let binary = env!("CARGO_BIN_EXE_lacre");
        line.strip_prefix("lacre ").map_or(line.clone(), |rest| format!("{binary} {rest}"))
    };
    let commands = blocks("sh");
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        if command.starts_with("lacre doctor") {
            // It reads the configuration, which the next step makes.
            fs::write(&config, "").unwrap();
            fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let output = sandbox.program("/bin/sh", &["-c", &mapped(command)]).output().unwrap();
        let allowed: &[i32] = if command.starts_with("lacre doctor") || command.starts_with("lacre config check") {
            // Things to look at, not things that failed: the repository is made in the next step.
            &[0, 3]
        } else {
            &[0]
        };
        assert!(
            output.status.code().is_some_and(|code| allowed.contains(&code)),
            "{command}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if command.starts_with("lacre config check") {
            // What the page asks to add by hand.
            let mut text = fs::read_to_string(&config).unwrap();
            let folder = sandbox.path("scratch");
            text.push_str(&format!("\n{}\nfolder = {folder:?}\n", blocks("toml").join("\n")));
            fs::write(&config, text).unwrap();
        }
    }
    // Three old days and one new night.
    assert_eq!(snapshots(&sandbox, "live").len(), 4);
    assert_eq!(fs::read_dir(sandbox.path("scratch")).unwrap().count(), 0);
}
