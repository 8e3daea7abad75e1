//! Nights, a check, a forgotten snapshot, a lost machine: the same over every kind of bucket.

use std::fs;

use lacre_test_bucket::{
    BUCKET_LOCKED, BUCKET_PLAIN, BUCKET_VERSIONED, Client, Effect, Key, Kind, Proxy, Rclone, Rule, Weed,
};

use super::{back_up, in_bucket, newest_is, night, snapshots_in};
use crate::commands::{keys_of, snapshots};
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::{Outcome, Sandbox, leaks};

/// Two nights, all that reads them, one forgotten, and a machine that was never there before.
fn life(sandbox: &Sandbox, eye: &Client, bucket: &str) {
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(sandbox, &night(1)).exits(0);
    back_up(sandbox, &night(2)).exits(0);
    newest_is(sandbox, &night(2));
    assert_eq!(snapshots(sandbox, "live").len(), 2);
    assert_eq!(snapshots_in(eye, bucket, "lacre"), 2);
    // Before the first check: what a check has verified stays, whatever the rules say.
    sandbox.run(&["forget", "--keep-last", "1"]).exits(0);
    assert_eq!(snapshots(sandbox, "live").len(), 1);
    sandbox.run(&["check", "--read-data"]).exits(0);
    newest_is(sandbox, &night(2));
}

/// Another machine with nothing but the kit, the identity and the keys of the store.
fn cold(sandbox: &Sandbox, port: u16, bucket: &str) -> Sandbox {
    let other = in_bucket(port, bucket, "lacre", Key::Root);
    fs::copy(keys_of(sandbox).join("identity.txt"), other.path("identity.txt")).unwrap();
    fs::copy(sandbox.path("kit"), other.path("kit")).unwrap();
    other
}

#[test]
fn a_life_in_a_bucket_of_each_kind() {
    let Some(weed) = Weed::start() else { return };
    for bucket in [BUCKET_PLAIN, BUCKET_VERSIONED, BUCKET_LOCKED] {
        let sandbox = in_bucket(weed.port(), bucket, "lacre", Key::Root);
        life(&sandbox, &weed.client(Key::Root), bucket);
        let other = cold(&sandbox, weed.port(), bucket);
        let restored = other
            .run(&["--identity", "identity.txt", "restore", "latest", "--to-file", "out", "--kit", "kit"])
            .exits(0);
        assert!(fs::read(other.path("out")).unwrap() == night(2), "{bucket}: {}", restored.stderr);
        // Neither keys nor names of the data are in anything the program wrote.
        for place in [sandbox.home(), other.home()] {
            let found = leaks(&place, &[&Key::Root.secret()]);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}

#[test]
fn a_life_where_conditions_are_refused_or_ignored() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::backblaze(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_VERSIONED, "lacre", Key::Root);
    life(&sandbox, &weed.client(Key::Root), BUCKET_VERSIONED);
    // 501 is an answer, not a reason to ask again: it comes once a run at the most.
    proxy.forget();
    back_up(&sandbox, &night(3)).exits(0);
    let refused = proxy.records().iter().filter(|record| record.status == Some(501)).count();
    assert!(refused <= 1, "{refused} conditions were refused in one run");
    drop(weed);

    let Some(rclone) = Rclone::start() else { return };
    let sandbox = in_bucket(rclone.port(), Rclone::BUCKET, "lacre", Key::Root);
    life(&sandbox, &rclone.client(), Rclone::BUCKET);
}

#[test]
fn a_database_goes_to_a_bucket_and_comes_back() {
    let Some(weed) = Weed::start() else { return };
    let cluster = Cluster::start();
    sample::create(&cluster, "astro", 1);
    let mut sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.set("PATH", format!("{}:/usr/bin:/bin", cluster.tools().display()));
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox.run(&["backup", "--postgres", &cluster.url("astro")]).exits(0);
    let tables = cluster.tables("astro");
    cluster.sql("postgres", "drop database astro");
    let mut other = cold(&sandbox, weed.port(), BUCKET_PLAIN);
    other.set("PATH", format!("{}:/usr/bin:/bin", cluster.tools().display()));
    let to = cluster.url("astro");
    other.run(&["--identity", "identity.txt", "restore", "latest", "--to", &to, "--create", "--kit", "kit"]).exits(0);
    assert_eq!(cluster.tables("astro"), tables);
    let eye = weed.client(Key::Root);
    for key in eye.keys(BUCKET_PLAIN, "lacre/") {
        let bytes = eye.get(BUCKET_PLAIN, &key).body;
        for telltale in sample::TELLTALES {
            assert!(memchr::memmem::find(&bytes, telltale.as_bytes()).is_none(), "{telltale} lies in {key}");
        }
    }
}

#[test]
fn a_night_survives_a_server_that_dies_and_answers_that_get_lost() {
    let Some(mut weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    // One of each at the commit point itself.
    for (number, effect) in [
        Effect::AnswerLost,
        Effect::RefuseAfter { status: 500, code: "InternalError" },
        Effect::Twice,
        Effect::Late,
        Effect::Refuse { status: 503, code: "SlowDown" },
    ]
    .into_iter()
    .enumerate()
    {
        let text = night(u32::try_from(number).unwrap() + 10);
        proxy.forget();
        proxy.rule(Rule::new(effect.clone()).on(Kind::Put).path("/snap/"));
        back_up(&sandbox, &text).exits(0);
        assert_eq!(proxy.strikes(), 1, "{effect:?}");
        proxy.heal();
        proxy.deliver_late();
        newest_is(&sandbox, &text);
    }
    // The server is killed while a run waits for an answer, and comes back.
    proxy.rule(Rule::new(Effect::Stall).on(Kind::Put).path("/reach/"));
    std::fs::write(sandbox.path("dump"), night(50)).unwrap();
    let running = sandbox.command(&["backup", "--file", "a=dump"]).spawn().unwrap();
    while proxy.stalled() == 0 {
        std::thread::yield_now();
    }
    weed.kill();
    weed.restart();
    proxy.heal();
    Outcome::of(running, &["backup"]).exits(0);
    newest_is(&sandbox, &night(50));
    sandbox.run(&["check", "--read-data"]).exits(0);
    assert_eq!(snapshots_in(&weed.client(Key::Root), BUCKET_PLAIN, "lacre"), 7);
}
