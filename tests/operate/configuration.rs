//! Configuration: every key from the file, the environment and a flag; and `config check`, which tries what the file names.

use std::fs;

use serde_json::Value;

use super::{configure, job, script, site};
use crate::support::cluster::Cluster;
use crate::support::listener::Listener;
use crate::support::mail::{Begins, MailServer};
use crate::support::sandbox::Sandbox;

fn problems(document: &Value) -> Vec<(String, String)> {
    let text = |problem: &Value, name: &str| problem[name].as_str().unwrap().to_owned();
    document["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (text(problem, "severity"), text(problem, "what")))
        .collect()
}

#[test]
fn a_flag_outranks_the_environment_which_outranks_the_file() {
    let mut sandbox = site("[retention]\nkeep_daily = 1\nkeep_weekly = 1\nkeep_monthly = 1\n", None);
    sandbox.set("LACRE_RETENTION_KEEP_WEEKLY", "2").set("LACRE_RETENTION_KEEP_MONTHLY", "2");
    let document = sandbox.run(&["config", "show", "--json", "--set", "retention.keep_monthly=3"]).exits(0).json();
    let settings = document["settings"].as_array().unwrap();
    let shown = |key: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].as_str().unwrap().to_owned(), setting["origin"].as_str().unwrap().to_owned())
    };
    assert!(shown("retention.keep_daily").1.ends_with("lacre.toml:2:1"));
    assert_eq!(shown("retention.keep_weekly"), ("2".into(), "environment LACRE_RETENTION_KEEP_WEEKLY".into()));
    assert_eq!(shown("retention.keep_monthly"), ("3".into(), "flag --set".into()));
    let outcome = sandbox.run(&["config", "show", "--set", "retention.keep_dayly=3"]).exits(2);
    assert!(outcome.stderr.contains("did you mean 'retention.keep_daily'?"), "{}", outcome.stderr);
    sandbox.set("LACRE_RETENTION_KEEP_DAYLY", "9");
    let document = sandbox.run(&["config", "check", "--json", "--offline"]).exits(3).json();
    assert_eq!(problems(&document).len(), 1);
    assert!(problems(&document)[0].1.contains("LACRE_RETENTION_KEEP_DAYLY sets nothing"));
}

#[test]
fn mistakes_are_found_before_the_night() {
    let sandbox = site(&job("astro"), None);
    for (text, said) in [
        ("[retention]\nkeep_daily = 0\n", "would keep nothing"),
        ("[retention]\nkeep_dayly = 3\n", "did you mean 'retention.keep_daily'?"),
        ("[notify.helthchecks]\nurl = \"https://x\"\n", "'notify.helthchecks' is not a key"),
        ("[[notify.webhook]]\nname = \"a\"\nurl = \"https://x\"\ntemplate = \"slak\"\n", "is no template"),
        ("[run]\nwait = \"soon\"\n", "run.wait"),
        ("[status]\nmax_shrink = 20\n", "status.max_shrink"),
    ] {
        configure(&sandbox, &format!("{text}{}", job("astro")));
        let outcome = sandbox.run(&["backup"]).exits(2);
        assert!(outcome.stderr.contains(said) && outcome.stderr.contains("lacre.toml:"), "{text}: {}", outcome.stderr);
    }
}

#[test]
fn config_check_tries_everything_it_names() {
    let listener = Listener::start();
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path(), Begins::WithTls) else { return };
    let cluster = Cluster::start();
    cluster.create_database("astro");
    let config = format!(
        "[[job]]\nname = \"astro\"\npostgres = \"{}\"\n[notify.healthchecks]\nurl = \"{}/ping/uuid\"\n\
         [notify.email]\nsmtp = \"smtps://ops@localhost:{}\"\nfrom = \"lacre@example.org\"\nto = [\"ops@example.org\"]\n\
         password_file = \"password\"\nca_file = \"{}\"\n[[notify.webhook]]\nname = \"chat\"\nurl = \"{}/secret-hook\"\n",
        cluster.url("astro"),
        listener.url(""),
        server.port(),
        server.authority().display(),
        listener.url(""),
    );
    let mut sandbox = Sandbox::with_tools_of(&cluster);
    configure(&sandbox, &config);
    let path = sandbox.path("lacre.toml");
    sandbox.set("LACRE_CONFIG", path);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    use std::os::unix::fs::PermissionsExt;
    fs::write(sandbox.path("password"), "hunter2\n").unwrap();
    fs::set_permissions(sandbox.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let errors = |outcome: crate::support::sandbox::Outcome| -> Vec<String> {
        let all = problems(&outcome.json());
        all.into_iter().filter(|(severity, _)| severity == "error").map(|(_, what)| what).collect()
    };
    let outcome = sandbox.run(&["config", "check", "--json"]);
    assert_eq!(errors(outcome), Vec::<String>::new());
    assert!(server.mails().is_empty(), "nothing was sent");
    let asked: Vec<String> = listener.asked().iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(asked, ["/ping/uuid/log", "/"]);
    // Each thing by itself, out of reach.
    let nobody = format!("127.0.0.1:{}", lacre_test_bucket::free_port());
    for (set, said) in [
        (format!("notify.healthchecks.url=http://{nobody}/secret-uuid"), "notify.healthchecks: 127.0.0.1"),
        (format!("notify.email.smtp=smtps://ops@{nobody}"), "notify.email: 127.0.0.1"),
        ("log.file=/no/such/folder/lacre.log".to_owned(), "log.file: /no/such/folder cannot be written into"),
        ("repository=/no/such/repository".to_owned(), "repository: "),
    ] {
        let mut arguments = vec!["config", "check", "--json", "--set", &set];
        if set.starts_with("repository") {
            arguments = vec!["--repo", "/no/such/repository", "config", "check", "--json"];
        }
        let found = errors(sandbox.run(&arguments).exits(2));
        assert!(found.len() == 1 && found[0].starts_with(said) && !found[0].contains("secret"), "{set}: {found:?}");
    }
    drop(cluster);
    let found = errors(sandbox.run(&["config", "check", "--json"]).exits(2));
    assert!(found.len() == 1 && found[0].starts_with("job astro: "), "{found:?}");
    sandbox.run(&["config", "check", "--offline"]);
    script(&sandbox, "unused", "");
}

#[test]
fn a_copy_and_the_repository_lie_apart() {
    let sandbox = site(&job("astro"), None);
    let repository = sandbox.repository();
    for (place, said) in [
        (repository.clone(), "is the repository itself"),
        (repository.join("sub"), "lies inside the repository"),
        (repository.parent().unwrap().to_owned(), "holds the repository"),
    ] {
        let file = sandbox.path("apart.toml");
        fs::write(&file, format!("repository = {repository:?}\n[[copy]]\nname = \"c\"\nurl = {place:?}\n")).unwrap();
        let check = ["config", "check", "--offline", "--config", file.to_str().unwrap()];
        let outcome = sandbox.run(&check).exits(2);
        assert!(outcome.text().contains(said), "{}", outcome.text());
    }
}
