//! What is printed for cron and systemd, tried with the shell cron would use and with systemd's own judge.

use std::fs;
use std::process::Command;

use super::{job, script, site};
use crate::commands::snapshots;

#[test]
fn a_crontab_line_works_in_crons_bare_environment() {
    let mut sandbox = site(&format!("home = \"HOME_DIR\"\nrepository = \"REPO_DIR\"\n{}", job("astro")), None);
    let config = fs::read_to_string(sandbox.path("lacre.toml")).unwrap();
    let config = config
        .replace("HOME_DIR", sandbox.home().to_str().unwrap())
        .replace("REPO_DIR", sandbox.repository().to_str().unwrap());
    super::configure(&sandbox, &config.replace("astro.sh", sandbox.path("astro.sh").to_str().unwrap()));
    sandbox.unset("LACRE_HOME").unset("LACRE_REPO");
    script(&sandbox, "astro", "seq 100");
    let crontab = sandbox.run(&["schedule", "cron"]).exits(0).text();
    let lines: Vec<&str> = crontab.lines().filter(|line| !line.starts_with('#')).collect();
    let fields = |line: &str| line.splitn(6, ' ').map(str::to_owned).collect::<Vec<String>>();
    assert_eq!(fields(lines[0])[..5], ["0", "3", "*", "*", "*"].map(str::to_owned));
    assert!(lines[1].starts_with("15 * * * * ") && lines[1].contains(" status --strict --notify "), "{crontab}");
    assert!(lines[2].starts_with("0 5 * * 0 ") && lines[2].contains(" repo check "), "{crontab}");
    assert_eq!(lines.len(), 3, "{crontab}");
    // What cron does: sh -c, its own few variables, the user's folder.
    let command = fields(lines[0])[5].replace("\\%", "%");
    let output = Command::new("/bin/sh")
        .args(["-c", &command])
        .env_clear()
        .envs([("SHELL", "/bin/sh"), ("PATH", "/usr/bin:/bin"), ("LOGNAME", "nobody")])
        .env("HOME", sandbox.path("user"))
        .current_dir("/")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && output.stdout.is_empty() && stderr.is_empty(), "{command}\n{stderr}");
    sandbox.set("LACRE_HOME", sandbox.home());
    assert_eq!(snapshots(&sandbox, "live").len(), 1);
}

#[test]
fn systemd_itself_finds_nothing_wrong_with_the_units() {
    let config = "[schedule]\ntime_zone = \"America/Sao_Paulo\"\nbackup = \"30 2 13 * fri\"\njitter = \"5m\"\nprune = \"@weekly\"\ndrill = \"0 6 * * 6\"\n\
        [notify.healthchecks]\nurl_credential = \"ping-url\"\n[log]\nfile = \"/var/log/lacre/lacre.log\"\n";
    let sandbox = site(&format!("{config}{}", job("astro")), None);
    fs::create_dir(sandbox.path("units")).unwrap();
    let document =
        sandbox.run(&["schedule", "systemd", "--dir", "units", "--user", "daemon", "--json"]).exits(0).json();
    let files = document["files"].as_array().unwrap();
    assert_eq!(files.len(), 10);
    let text = |name: &str| fs::read_to_string(sandbox.path("units").join(name)).unwrap();
    let service = text("lacre-backup.service");
    for wall in [
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=\n",
        "User=daemon",
        "LoadCredential=ping-url:",
    ] {
        assert!(service.contains(wall), "{wall}\n{service}");
    }
    for written in [sandbox.home(), sandbox.repository(), "/var/log/lacre".into()] {
        assert!(service.contains(&format!("ReadWritePaths=-{}\n", written.display())), "{service}");
    }
    let timer = text("lacre-backup.timer");
    assert!(
        timer.contains(
            "OnCalendar=*-*-13 02:30:00 America/Sao_Paulo\nOnCalendar=Fri *-*-* 02:30:00 America/Sao_Paulo\n"
        ),
        "{timer}"
    );
    assert!(timer.contains("RandomizedDelaySec=300\n") && timer.contains("Persistent=yes\n"), "{timer}");
    let Ok(which) = Command::new("systemd-analyze").arg("--version").output() else { return };
    assert!(which.status.success());
    for file in files {
        let path = sandbox.path("units").join(file["name"].as_str().unwrap());
        let judged = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        let about_us: Vec<&str> = said.lines().filter(|line| line.contains("lacre-")).collect();
        assert!(judged.status.success() && about_us.is_empty(), "{}\n{said}", path.display());
    }
    let judged =
        Command::new("systemd-analyze").args(["calendar", "*-*-13 02:30:00 America/Sao_Paulo"]).output().unwrap();
    assert!(judged.status.success());
}

#[test]
fn a_schedule_that_cannot_be_followed_is_refused_with_its_line() {
    let sandbox = site(&job("astro"), None);
    for (key, value, said) in [
        ("backup", "0 25 * * *", "\"25\" is no hour: it goes from 0 to 23"),
        ("check", "every night", "2 fields"),
        ("time_zone", "America/Sao_Paolo", "there is no time zone \"America/Sao_Paolo\""),
    ] {
        super::configure(&sandbox, &format!("[schedule]\n{key} = \"{value}\"\n{}", job("astro")));
        for command in [&["schedule", "cron"][..], &["config", "check"], &["backup"]] {
            let outcome = sandbox.run(command).exits(2);
            let text = format!("{}{}", outcome.text(), outcome.stderr);
            assert!(text.contains("lacre.toml:2:1") && text.contains(said), "{command:?}: {text}");
        }
    }
}
