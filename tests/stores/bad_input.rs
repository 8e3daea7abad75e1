//! Everything that can be wrong with a bucket, a key or the way there: a clear error with the next step, and nothing half done.

use std::fs;
use std::process::Command;

use lacre_test_bucket::{BUCKET_PLAIN, Effect, Key, Kind, Proxy, Rule, Weed, WeedOptions, free_port, test_dir};

use super::{back_up, in_bucket, newest_is, night, point, show, show_role, snapshots_in};
use crate::support::sandbox::{Outcome, Sandbox};

/// A failure that says what, why and what to do, ends with this code, and shows no secret.
#[track_caller]
fn told(outcome: Outcome, code: i32, word: &str) {
    let outcome = outcome.exits(code);
    let text = &outcome.stderr;
    assert!(text.contains("hint:") || text.contains("try '--help'"), "{}: no next step in {text}", outcome.command);
    assert!(text.to_lowercase().contains(word), "{}: {word:?} is not in {text}", outcome.command);
    assert!(!text.contains(&Key::Root.secret()) && !outcome.text().contains(&Key::Root.secret()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

/// What a person may type when the way is broken.
fn every_command(sandbox: &Sandbox, code: i32, word: &str) {
    fs::write(sandbox.path("dump"), night(2)).unwrap();
    for arguments in [
        ["backup", "--file", "a=dump"].as_slice(),
        &["snapshots"],
        &["restore", "latest:a", "--to-file", "never"],
        &["check"],
        &["init", "--kit-file", "never-kit"],
    ] {
        told(sandbox.run(arguments), code, word);
    }
    assert!(!sandbox.path("never").exists());
}

/// A repository with one night, and a proxy before it.
fn ready(weed: &Weed, proxy: &Proxy) -> Sandbox {
    let mut sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    point(&mut sandbox, proxy.port(), BUCKET_PLAIN, "lacre");
    sandbox
}

/// The next clean run works, and everything that is listed is whole.
fn nothing_happened(sandbox: &mut Sandbox, weed: &Weed, number: u32) {
    point(sandbox, weed.port(), BUCKET_PLAIN, "lacre");
    show_role(sandbox, Key::Root);
    let before = snapshots_in(&weed.client(Key::Root), BUCKET_PLAIN, "lacre");
    back_up(sandbox, &night(number)).exits(0);
    newest_is(sandbox, &night(number));
    sandbox.run(&["check", "--read-data"]).exits(0);
    assert_eq!(snapshots_in(&weed.client(Key::Root), BUCKET_PLAIN, "lacre"), before + 1);
}

#[test]
fn wrong_keys_and_rights() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    show(&mut sandbox, Key::Root.id(), "wrong");
    every_command(&sandbox, 2, "key");
    show(&mut sandbox, "NOBODY", "wrong");
    every_command(&sandbox, 2, "key");
    show_role(&mut sandbox, Key::Stranger);
    every_command(&sandbox, 2, "right");
    show_role(&mut sandbox, Key::NoList);
    for arguments in [["backup", "--file", "a=dump"].as_slice(), &["snapshots"], &["check"]] {
        told(sandbox.run(arguments), 2, "right");
    }
    sandbox.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
    every_command(&sandbox, 2, "aws_access_key_id");
    show(&mut sandbox, "", "");
    every_command(&sandbox, 2, "key");
    show(&mut sandbox, Key::Root.id(), "with a line\nbreak");
    every_command(&sandbox, 2, "key");
    show_role(&mut sandbox, Key::Root);
    for (status, code, exit, word) in [
        (400, "ExpiredToken", 2, "expired"),
        (403, "ExpiredToken", 2, "expired"),
        (403, "RequestTimeTooSkewed", 2, "clock"),
        (403, "AccessDenied", 2, "right"),
        (400, "AuthorizationHeaderMalformed", 2, "region"),
        (301, "PermanentRedirect", 2, "region"),
    ] {
        proxy.rule(Rule::new(Effect::Refuse { status, code }).forever());
        proxy.forget();
        every_command(&sandbox, exit, word);
        // Nobody knocks again and again at a door that is closed for good.
        assert!(proxy.count().requests() <= 10, "{code}: {} requests", proxy.count().requests());
        proxy.heal();
    }
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn wrong_places() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    point(&mut sandbox, proxy.port(), "no-such-bucket", "lacre");
    every_command(&sandbox, 2, "bucket");
    for (url, code, word) in [
        ("s3://", 2, "bucket"),
        ("s3:///lacre", 2, "bucket"),
        ("s3://plain/../lacre?endpoint=http://127.0.0.1:1", 2, "prefix"),
        ("s3://key:secret@plain/lacre", 2, "url"),
        ("s3://plain/lacre?endpoint=ftp://127.0.0.1", 2, "https://"),
        ("s3://plain/lacre?endpoint=http://192.0.2.1", 2, "--allow-http"),
        ("s3://plain/lacre?colour=blue", 2, "colour"),
        ("b2://plain/lacre", 2, "region"),
    ] {
        sandbox.set("LACRE_REPO", url);
        told(sandbox.run(&["snapshots"]), code, word);
        told(sandbox.run(&["backup", "--file", "a=dump"]), code, word);
    }
    // A prefix where nothing lies is a place without a repository, not a broken one.
    point(&mut sandbox, proxy.port(), BUCKET_PLAIN, "elsewhere");
    let empty = sandbox.run(&["snapshots"]).exits(10);
    assert!(empty.stderr.contains("init"), "{}", empty.stderr);
    sandbox.run(&["backup", "--file", "a=dump"]).exits(10);
    assert!(weed.client(Key::Root).keys(BUCKET_PLAIN, "elsewhere").is_empty());
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn nobody_there() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    fs::write(sandbox.path("dump"), night(2)).unwrap();
    fs::write(sandbox.path("lacre.toml"), "[limits]\npatience = \"1s\"\n").unwrap();
    let impatient = |sandbox: &Sandbox, word: &str| {
        for arguments in [["backup", "--file", "a=dump"].as_slice(), &["snapshots"]] {
            let arguments: Vec<&str> = ["--config", "lacre.toml"].iter().chain(arguments).copied().collect();
            told(sandbox.run(&arguments), 13, word);
        }
    };
    point(&mut sandbox, free_port(), BUCKET_PLAIN, "lacre");
    impatient(&sandbox, "nothing answers");
    sandbox.set("LACRE_REPO", "s3://plain/lacre?endpoint=https://no-such-host.invalid");
    impatient(&sandbox, "host");
    point(&mut sandbox, proxy.port(), BUCKET_PLAIN, "lacre");
    proxy.rule(Rule::new(Effect::Close).forever());
    impatient(&sandbox, "connection");
    proxy.heal();
    for (status, code) in [(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")] {
        proxy.rule(Rule::new(Effect::Refuse { status, code }).forever());
        impatient(&sandbox, "store");
        proxy.heal();
    }
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn full_buckets() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    fs::write(sandbox.path("lacre.toml"), "[limits]\npatience = \"1s\"\n").unwrap();
    for (number, (status, code)) in
        [(507, "InsufficientStorage"), (403, "QuotaExceeded"), (403, "storage_cap_exceeded")].into_iter().enumerate()
    {
        for place in ["/packs/", "/snap/"] {
            proxy.rule(Rule::new(Effect::Refuse { status, code }).on(Kind::Put).path(place).forever());
            fs::write(sandbox.path("dump"), night(100 + u32::try_from(number).unwrap())).unwrap();
            told(sandbox.run(&["--config", "lacre.toml", "backup", "--file", "a=dump"]), 13, "full");
            proxy.heal();
            // What was there before can be read while there is no room.
            newest_is(&sandbox, &night(1));
        }
    }
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn no_store_at_all() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    proxy.rule(Rule::new(Effect::Html).forever());
    every_command(&sandbox, 2, "no object store");
    proxy.heal();
    // A portal that opens in the middle of a run.
    for place in ["/packs/", "/reach/", "/snap/", "/keyring/"] {
        proxy.rule(Rule::new(Effect::Html).on(Kind::Put).path(place).forever());
        told(back_up(&sandbox, &night(4)), 2, "no object store");
        proxy.heal();
    }
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn redirects_lead_nowhere_and_keys_do_not_follow() {
    let Some(weed) = Weed::start() else { return };
    let (proxy, trap) = (Proxy::before(weed.port()), Proxy::trap());
    let mut sandbox = ready(&weed, &proxy);
    for status in [301, 302, 307, 308] {
        for to in [trap.endpoint(), proxy.endpoint()] {
            proxy.forget();
            proxy.rule(Rule::new(Effect::Redirect { status, to }).forever());
            every_command(&sandbox, 2, "another");
            assert!(proxy.count().requests() <= 10, "{} requests", proxy.count().requests());
            proxy.heal();
        }
    }
    assert_eq!(trap.count().requests(), 0, "a credential left: {:?}", trap.records());
    nothing_happened(&mut sandbox, &weed, 3);
}

#[test]
fn certificates_nobody_vouches_for() {
    let folder = test_dir("tls");
    let script = format!(
        "cd {} && openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null && chmod 644 *.pem",
        folder.path().display()
    );
    assert!(Command::new("sh").arg("-c").arg(script).status().unwrap().success());
    let certificate = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let Some(weed) = Weed::start_with(WeedOptions { certificate: Some(certificate.clone()) }) else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = ready(&weed, &proxy);
    let url = format!("s3://{BUCKET_PLAIN}/lacre?endpoint={}", weed.endpoint_tls());
    sandbox.set("LACRE_REPO", &url);
    every_command(&sandbox, 2, "certificate");
    // Plain HTTP where TLS is spoken, and the other way round.
    sandbox.set("LACRE_REPO", format!("s3://{BUCKET_PLAIN}/lacre?endpoint=https://localhost:{}", weed.port()));
    fs::write(sandbox.path("lacre.toml"), "[limits]\npatience = \"1s\"\n").unwrap();
    told(sandbox.run(&["--config", "lacre.toml", "snapshots"]), 13, "encrypted connection");
    // Vouched for by the person who set it up.
    sandbox.set("LACRE_REPO", &url).set("AWS_CA_BUNDLE", &certificate.0);
    newest_is(&sandbox, &night(1));
    sandbox.unset("AWS_CA_BUNDLE");
    nothing_happened(&mut sandbox, &weed, 3);
}
