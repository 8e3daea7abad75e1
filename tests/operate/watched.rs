//! What `status` says of drills, certificates, the disk and erasures; and who hears of a drill that failed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{check, configure, job, script, site};
use crate::support::cluster::Cluster;
use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

const EASY: &str = "[status]\nmin_count = 1\nmin_size = \"1\"\nmin_free = \"1\"\n";

fn events(listener: &Listener) -> Vec<(String, String)> {
    let event = |body: &str| {
        let message: Value = serde_json::from_str(body).unwrap();
        (message["event"].as_str().unwrap().to_owned(), message["title"].as_str().unwrap().to_owned())
    };
    listener.asked().iter().map(|asked| event(&asked.body)).collect()
}

#[test]
fn a_drill_that_fails_is_told_once_and_so_is_the_one_that_passes() {
    let listener = Listener::start();
    let cluster = Cluster::start();
    cluster.create_database("astro");
    cluster.sql("astro", "create table users as select n from generate_series(1, 500) n");
    let config = |critical: &str| {
        format!(
            "{EASY}[[notify.webhook]]\nname = \"chat\"\nurl = \"{}\"\n[drill]\nserver = \"{}\"\ncritical = [\"{critical}\"]\n\
             [[job]]\nname = \"astro\"\npostgres = \"{}\"\n{}",
            listener.url("/hook"),
            cluster.url("postgres"),
            cluster.url("astro"),
            job("files")
        )
    };
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path);
    configure(&sandbox, &config("select count(*) > 0 from users"));
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    script(&sandbox, "files", "seq 300");
    sandbox.run(&["backup"]).exits(0);
    let drill = |strict: bool| {
        let document = sandbox.run(&["status", "--json"]).json();
        let found = check(&document, "drill:astro").clone();
        assert_eq!(found["strict"], strict, "{found}");
        assert!(!document["checks"].to_string().contains("drill:files"), "what cannot be rehearsed is not asked for");
        found
    };
    // Nobody rehearsed it yet: --strict minds.
    let never = drill(true);
    assert_eq!(
        (&never["value"], &never["advice"], &never["limit"]),
        (&"never".into(), &"lacre drill astro".into(), &"at most 8 d 0 h".into())
    );
    sandbox.run(&["drill", "astro"]).exits(0);
    assert_eq!(drill(false)["ok"], true);
    assert_eq!(
        check(&sandbox.run(&["status", "--json", "--set", "status.max_drill_age=1ms"]).json(), "drill:astro")["ok"],
        false
    );
    let text = sandbox.run(&["status", "--prometheus"]).text();
    assert!(
        text.contains("lacre_drill_last_success_timestamp_seconds{job=\"astro\"} ")
            && text.contains("lacre_drill_recovery_seconds{job=\"astro\"} ")
    );
    assert_eq!(events(&listener), [], "what went well is no news");
    configure(&sandbox, &config("select count(*) > 5000 from users"));
    sandbox.run(&["drill", "astro"]).exits(4);
    sandbox.run(&["drill", "astro"]).exits(4);
    let told = events(&listener);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].0 == "drill" && told[0].1.starts_with("the drill of astro on ") && told[0].1.ends_with("DID NOT PASS")
    );
    let failed = drill(false);
    assert!(
        failed["ok"] == false && failed["value"].as_str().unwrap().starts_with("the newest drill did not pass: 1 of "),
        "{failed}"
    );
    let line = sandbox.run(&["status", "--nagios"]).exits(2).text();
    assert!(line.contains("drill:astro the newest drill did not pass"), "{line}");
    // Whoever looks at the status tells nobody a second time.
    sandbox.run(&["status", "--notify"]).exits(3);
    assert!(events(&listener).iter().filter(|(event, _)| event == "drill").count() == 1, "{:?}", events(&listener));
    configure(&sandbox, &config("select count(*) = 500 from users"));
    listener.forget();
    sandbox.run(&["drill", "astro"]).exits(0);
    let told = events(&listener);
    assert!(told.len() == 1 && told[0].0 == "recovery" && told[0].1.ends_with("passes again"), "{told:?}");
    assert_eq!(drill(false)["ok"], true);
}

#[test]
fn a_drill_that_cannot_be_made_is_told_too() {
    let listener = Listener::start();
    let cluster = Cluster::start();
    cluster.create_database("astro");
    let config = format!(
        "{EASY}[[notify.webhook]]\nname = \"chat\"\nurl = \"{}\"\n[drill]\nserver = \"postgres://nobody@127.0.0.1:{}/postgres\"\n\
         [[job]]\nname = \"astro\"\npostgres = \"{}\"\n",
        listener.url("/hook"),
        lacre_test_bucket::free_port(),
        cluster.url("astro")
    );
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path);
    configure(&sandbox, &config);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["drill", "astro"]).exits(13);
    let told = events(&listener);
    assert!(told.len() == 1 && told[0].0 == "drill" && told[0].1.ends_with("could not be made (exit 13)"), "{told:?}");
    // What was typed wrong is nobody else's news.
    listener.forget();
    sandbox.run(&["drill", "astro", "--snapshot", "nothing@2026-01-01"]);
    sandbox.run(&["drill", "--no-such-flag"]).exits(2);
    assert!(events(&listener).iter().all(|(event, _)| event != "recovery"));
}

#[test]
fn a_disk_that_fills_up_is_foretold() {
    let sandbox = site(&format!("{EASY}{}", job("astro")), None);
    let now: jiff::Timestamp = jiff::Timestamp::now();
    let mut text = String::new();
    for (number, days) in [20, 12, 6, 1].into_iter().enumerate() {
        for row in 0..20_000_u32 {
            let value = (row + 1).wrapping_mul(2_654_435_761).wrapping_add(u32::try_from(number).unwrap());
            text.push_str(&format!("INSERT INTO t VALUES ({row}, '{value:x}{:x}');\n", value.wrapping_mul(97)));
        }
        fs::write(sandbox.path("old.sql"), &text).unwrap();
        let time = (now - jiff::SignedDuration::from_hours(24 * days)).to_string();
        sandbox.run(&["import", "old.sql", "--job", "astro", "--time", &time]).exits(0);
    }
    let document = sandbox.run(&["status", "--json", "--set", "status.max_growth=100000%"]).json();
    let forecast = check(&document, "disk:forecast");
    // Some kilobytes a day: the disk of no machine that runs tests is full within ten years.
    assert_eq!((&forecast["ok"], &forecast["value"]), (&true.into(), &"not within ten years".into()));
    let document = sandbox.run(&["status", "--json", "--set", "status.min_days_to_full=4000000000"]).exits(3).json();
    let forecast = check(&document, "disk:forecast");
    assert!(forecast["ok"] == false && forecast["advice"].as_str().unwrap().contains("lacre repo prune"), "{forecast}");
    assert!(sandbox.run(&["status", "--prometheus"]).text().contains("lacre_disk_full_days "));
    // The same snapshots are within what is usual, and the last one far below after that.
    assert_eq!(check(&document, "trend:astro")["ok"], true, "grown within 300 %: {document:#}");
    script(&sandbox, "astro", "seq 20000");
    // Somebody said that it may; only retention, which this job has none of, would hold back.
    sandbox.run(&["backup", "--allow-shrink"]).exits(0);
    let document = sandbox.run(&["status", "--json"]).exits(3).json();
    let trend = check(&document, "trend:astro");
    assert!(trend["ok"] == false && trend["value"].as_str().unwrap().contains(" instead of about "), "{trend}");
}

#[test]
fn a_certificate_that_ends_soon_is_named() {
    let mut sandbox = Sandbox::new();
    let gnupg = sandbox.path("gnupg");
    fs::create_dir(&gnupg).unwrap();
    fs::set_permissions(&gnupg, fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.set("GNUPGHOME", &gnupg).set_umask("077");
    let gpg = |arguments: &[&str]| {
        let all = [&["--batch", "--quiet", "--passphrase", ""], arguments].concat();
        let output = sandbox.program("gpg", &all).output().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    gpg(&["--quick-generate-key", "Lacre <lacre@example.org>", "rsa2048", "default", "20d"]);
    let listed = String::from_utf8(gpg(&["--list-keys", "--with-colons"])).unwrap();
    let fingerprint =
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned();
    gpg(&["--quick-add-key", &fingerprint, "rsa2048", "encr", "20d"]);
    fs::write(sandbox.path("cert.asc"), gpg(&["--armor", "--export", &fingerprint])).unwrap();
    sandbox.run(&["init", "--pgp", "cert.asc", "--kit-file", "kit"]).exits(0);
    sandbox.run_with_input(&["backup", "--stdin", "a"], b"by certificate\n").exits(0);
    let key = |days: &str| {
        let set = format!("status.min_key_days={days}");
        let document = sandbox.run(&["status", "--json", "--set", &set]).json();
        let checks = document["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"].as_str().unwrap().starts_with("key:")).unwrap().clone()
    };
    let soon = key("30");
    assert!(
        soon["ok"] == false && soon["strict"] == false && soon["advice"].as_str().unwrap().contains("add-recipient"),
        "{soon}"
    );
    assert!(soon["value"] == "expires in 20 days", "{soon}");
    assert_eq!(key("10")["ok"], true);
    assert!(sandbox.run(&["status", "--prometheus"]).text().contains("lacre_key_days_left{recipient="));
    let stopped = sandbox.program("gpgconf", &["--kill", "all"]).status().unwrap();
    assert!(stopped.success());
}
