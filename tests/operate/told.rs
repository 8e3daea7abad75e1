//! Who is told: pings, mail, chats, programs; once, with the end of it; and never at the cost of a backup.

use std::fs;

use serde_json::Value;

use super::{job, script, site};
use crate::commands::snapshots;
use crate::support::listener::{Asked, Listener};
use crate::support::mail::{Begins, MailServer};

const PINGS: &str = "[notify.healthchecks]\nurl = \"{url}/ping/uuid\"\n";

fn paths(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(Asked::path).collect()
}

#[test]
fn a_check_hears_start_and_end_of_each_run_and_nothing_of_the_data() {
    let listener = Listener::start();
    let sandbox = site(&format!("{PINGS}{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "echo secret-row");
    sandbox.run(&["backup"]).exits(0);
    let asked = listener.asked();
    assert_eq!(paths(&asked), ["/ping/uuid/start", "/ping/uuid"]);
    let run = asked[0].query("rid").unwrap();
    assert_eq!((run.len(), asked[1].query("rid")), (36, Some(run)), "both ends of a run carry its id");
    assert!(asked.iter().all(|asked| asked.method == "POST"));
    assert!(asked[1].body.contains("astro: snapshot ") && !asked[1].body.contains("secret-row"), "{}", asked[1].body);
    listener.forget();
    script(&sandbox, "astro", "echo the source said this >&2; exit 7");
    sandbox.run(&["backup"]).exits(14);
    let asked = listener.asked();
    assert_eq!(paths(&asked), ["/ping/uuid/start", "/ping/uuid/14"]);
    assert_ne!(asked[0].query("rid"), Some(run));
    assert!(asked[1].body.contains("exit 14") && !asked[1].body.contains("the source said this"), "{}", asked[1].body);
}

#[test]
fn failures_go_where_they_are_wanted() {
    let listener = Listener::start();
    let config = "[notify.healthchecks]\nurl = \"{url}/key/slug?create=1\"\nexit_status = false\n";
    let sandbox = site(&format!("{config}{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "exit 7");
    sandbox.run(&["backup"]).exits(14);
    let asked = listener.asked();
    assert_eq!(paths(&asked), ["/key/slug/start", "/key/slug/fail"]);
    assert!(asked.iter().all(|asked| asked.query("create") == Some("1") && asked.query("rid").is_some()));
    listener.forget();
    let elsewhere = format!("notify.healthchecks.fail_url={}", listener.url("/other/fail"));
    sandbox.run(&["backup", "--set", &elsewhere]).exits(14);
    assert_eq!(paths(&listener.asked()), ["/key/slug/start", "/other/fail"]);
}

#[test]
fn the_log_is_sent_only_when_asked_for_and_no_more_than_the_server_keeps() {
    let listener = Listener::answering(|_| (200, vec![("Ping-Body-Limit", "200".to_owned())], "OK".to_owned()));
    let sandbox = site(&format!("{PINGS}send_logs = true\n{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "echo one; exit 7");
    sandbox.run(&["backup"]).exits(14);
    let body = &listener.asked()[1].body;
    assert!(body.len() <= 200 && body.starts_with("(only the end of the log)\n"), "{body:?}");
    assert!(body.contains("astro"), "{body:?}");
}

#[test]
fn a_check_that_is_not_there_or_does_not_answer_is_a_finding() {
    let listener = Listener::answering(|asked| match asked.path() {
        "/gone" | "/gone/start" => (404, Vec::new(), String::new()),
        "/odd" | "/odd/start" => (200, Vec::new(), "OK (not found)".to_owned()),
        _ => (503, Vec::new(), String::new()),
    });
    let sandbox = site(&format!("{PINGS}{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "echo one");
    for (path, said) in [
        ("/gone", "no check with this address"),
        ("/odd", "no check with this address"),
        ("/busy", "answered 503 (tried 3 times)"),
    ] {
        listener.forget();
        let set = format!("notify.healthchecks.url={}", listener.url(path));
        let document = sandbox.run(&["backup", "--json", "--set", &set]).exits(3).json();
        let notification = &document["run"]["notifications"][0];
        assert_eq!((&notification["channel"], &notification["ok"]), (&"healthchecks".into(), &false.into()));
        assert!(notification["what"].as_str().unwrap().contains(said), "{notification}");
        let tries = if path == "/busy" { 6 } else { 2 };
        assert_eq!(listener.asked().len(), tries);
    }
    // A port nobody listens on.
    let nobody = Listener::start().url("/secret-uuid");
    let outcome = sandbox.run(&["backup", "--json", "--set", &format!("notify.healthchecks.url={nobody}")]).exits(3);
    assert!(!outcome.text().contains("secret-uuid") && !outcome.stderr.contains("secret-uuid"), "{}", outcome.stderr);
    assert_eq!(snapshots(&sandbox, "live").len(), 4, "every backup was made");
}

fn events(asked: &[Asked]) -> Vec<String> {
    let event =
        |asked: &Asked| serde_json::from_str::<Value>(&asked.body).unwrap()["event"].as_str().unwrap().to_owned();
    asked.iter().map(event).collect()
}

#[test]
fn a_chat_hears_of_the_first_failure_and_of_the_recovery() {
    let listener = Listener::start();
    let config = "[[notify.webhook]]\nname = \"chat\"\nurl_env = \"CHAT\"\ntoken_file = \"token\"\n";
    let mut sandbox = site(&format!("{config}{}", job("astro")), None);
    let url = listener.url("/hook");
    sandbox.set("CHAT", url);
    fs::write(sandbox.path("token"), "t0ken\n").unwrap();
    script(&sandbox, "astro", "echo one");
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(events(&listener.asked()), Vec::<String>::new(), "a night that went well is no news");
    script(&sandbox, "astro", "exit 7");
    for _ in 0..3 {
        sandbox.run(&["backup"]).exits(14);
    }
    assert_eq!(events(&listener.asked()), ["failure"]);
    let first = &listener.asked()[0];
    assert_eq!(first.header("authorization"), Some("Bearer t0ken"));
    let message: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(message["exit"], 14);
    assert!(message["text"].as_str().unwrap().contains("lacre backup astro"), "{message:#}");
    script(&sandbox, "astro", "echo one");
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(events(&listener.asked()), ["failure", "recovery"]);
}

#[test]
fn what_nobody_heard_is_told_the_next_time() {
    let deaf = Listener::answering(|_| (400, Vec::new(), String::new()));
    let listener = Listener::start();
    let config = "[[notify.webhook]]\nname = \"chat\"\nurl_env = \"CHAT\"\n";
    let mut sandbox = site(&format!("{config}{}", job("astro")), None);
    script(&sandbox, "astro", "exit 7");
    let url = deaf.url("/hook");
    sandbox.set("CHAT", url);
    sandbox.run(&["backup"]).exits(14);
    assert_eq!(deaf.asked().len(), 1, "what is refused is not tried again");
    let url = listener.url("/hook");
    sandbox.set("CHAT", url);
    sandbox.run(&["backup"]).exits(14);
    assert_eq!(events(&listener.asked()), ["failure"]);
}

#[test]
fn a_program_is_told_on_its_standard_input_and_its_failure_is_a_finding() {
    let config =
        "[[notify.command]]\nname = \"pager\"\ncommand = [\"sh\", \"pager.sh\"]\non = [\"failure\", \"success\"]\n";
    let sandbox = site(&format!("{config}{}", job("astro")), None);
    script(&sandbox, "pager", "cat > heard; echo \"$LACRE_EVENT $LACRE_EXIT\" > event");
    script(&sandbox, "astro", "echo one");
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(fs::read_to_string(sandbox.path("event")).unwrap(), "success 0\n");
    script(&sandbox, "astro", "echo the source said this >&2; exit 7");
    sandbox.run(&["backup"]).exits(14);
    assert_eq!(fs::read_to_string(sandbox.path("event")).unwrap(), "failure 14\n");
    let heard: Value = serde_json::from_str(&fs::read_to_string(sandbox.path("heard")).unwrap()).unwrap();
    assert!(heard["detail"].as_str().unwrap().contains("the source said this"), "{heard:#}");
    script(&sandbox, "pager", "exit 9");
    script(&sandbox, "astro", "echo one");
    let document = sandbox.run(&["backup", "--json"]).exits(3).json();
    assert!(document["run"]["notifications"][0]["what"].as_str().unwrap().contains("exit status: 9"), "{document:#}");
}

fn mail_site(server: &MailServer, url: &str) -> crate::support::sandbox::Sandbox {
    let authority = server.authority();
    let config = format!(
        "[notify.email]\nsmtp = \"{url}\"\nfrom = \"Lacre <lacre@example.org>\"\nto = [\"ops@example.org\"]\n\
         password_file = \"password\"\nca_file = \"{}\"\n{}",
        authority.display(),
        job("astro")
    );
    let sandbox = site(&config, None);
    fs::write(sandbox.path("password"), "hunter2\n").unwrap();
    script(&sandbox, "astro", "exit 7");
    sandbox
}

#[test]
fn mail_goes_out_encrypted_and_logged_in() {
    for (begins, scheme) in [(Begins::WithTls, "smtps"), (Begins::WithStartTls, "smtp")] {
        let folder = tempfile::tempdir().unwrap();
        let Some(server) = MailServer::start(folder.path(), begins) else { return };
        let sandbox = mail_site(&server, &format!("{scheme}://ops@localhost:{}", server.port()));
        let outcome = sandbox.run(&["backup", "--json"]).exits(14);
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{scheme}: {}", outcome.stderr);
        let mail = &mails[0];
        assert!(mail.contains("X-Tls: True") && mail.contains("X-To: ops@example.org"), "{mail}");
        assert!(
            mail.contains("Subject: [lacre] backup on ")
                && mail.contains("From: ")
                && mail.contains("lacre@example.org"),
            "{mail}"
        );
        assert!(mail.contains("astro: FAILED"), "{mail}");
        script(&sandbox, "astro", "echo one");
        sandbox.run(&["backup"]).exits(0);
        assert_eq!(server.mails().len(), 2, "and the recovery");
    }
}

#[test]
fn mail_that_cannot_be_sent_is_a_finding_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = MailServer::start(folder.path(), Begins::WithTls) else { return };
    let sandbox = mail_site(&server, &format!("smtps://ops@localhost:{}", server.port()));
    script(&sandbox, "astro", "echo one");
    let what = |set: &str| {
        let all = "notify.email.on=[\"success\"]";
        let document = sandbox.run(&["backup", "--json", "--set", all, "--set", set]).exits(3).json();
        document["run"]["notifications"][0]["what"].as_str().unwrap().to_owned()
    };
    fs::write(sandbox.path("wrong"), "hunter3\n").unwrap();
    let wrong = what("notify.email.password_file=wrong");
    assert!(wrong.contains("535") && !wrong.contains("hunter3"), "{wrong}");
    fs::write(sandbox.path("other.pem"), fs::read(folder.path().join("cert.pem")).unwrap()).unwrap();
    assert!(what("notify.email.to=[\"a@refuse.example\"]").contains("550"));
    assert!(what("notify.email.ca_file=missing.pem").contains("missing.pem"));
    let nobody = format!("notify.email.smtp=smtps://ops@localhost:{}", lacre_test_bucket::free_port());
    assert!(what(&nobody).contains("(tried 3 times)"));
    // STARTTLS from a server that speaks TLS from the first byte, and the other way round, is an error and not silence.
    assert!(what(&format!("notify.email.smtp=smtp://ops@127.0.0.2:{}", server.port())).contains("127.0.0.2"));
    assert_eq!(server.mails().len(), 0);
    assert_eq!(snapshots(&sandbox, "live").len(), 5, "every backup was made");
}

#[test]
fn an_erasure_is_told_by_whoever_sees_it_first() {
    let listener = Listener::start();
    let config = "[[notify.webhook]]\nname = \"chat\"\nurl = \"{url}/hook\"\non = [\"erasure\"]\n";
    let sandbox = site(&format!("{config}{}", job("astro")), Some(&listener));
    script(&sandbox, "astro", "echo one");
    sandbox.run(&["backup"]).exits(0);
    sandbox.run(&["backup"]).exits(0);
    let oldest = snapshots(&sandbox, "live").swap_remove(0);
    sandbox.run(&["erase", "snapshot", &oldest, "--yes"]);
    let message: Value = serde_json::from_str(&listener.asked()[0].body).unwrap();
    assert_eq!(message["event"], "erasure");
    assert!(message["text"].as_str().unwrap().contains("lacre erase status"), "{message:#}");
    // The night sees the same erasure and knows that it was told.
    sandbox.run(&["backup"]).exits(0);
    assert_eq!(events(&listener.asked()), ["erasure"]);
}
