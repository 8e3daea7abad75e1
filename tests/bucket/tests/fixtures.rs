//! The stores and the proxy themselves: a test that leans on them must be able to trust them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use lacre_test_bucket::{
    BUCKET_LOCKED, BUCKET_PLAIN, BUCKET_VERSIONED, Client, Effect, Key, Kind, Proxy, Rclone, Rule, Weed,
};

fn root(port: u16) -> Client {
    Client::new(port, Key::Root.id(), &Key::Root.secret())
}

#[test]
fn seaweed_keeps_objects_versions_and_locks_over_a_kill() {
    let Some(mut weed) = Weed::start() else { return };
    let client = weed.client(Key::Root);
    client.put(BUCKET_PLAIN, "a", b"one").expect(200);
    client.put(BUCKET_VERSIONED, "a", b"one").expect(200);
    client.put(BUCKET_VERSIONED, "a", b"two").expect(200);
    client.delete(BUCKET_VERSIONED, "a").expect(204);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let lock = [("x-amz-object-lock-mode", "COMPLIANCE"), ("x-amz-object-lock-retain-until-date", until.as_str())];
    client.call("PUT", &format!("/{BUCKET_LOCKED}/a"), &[], &lock, b"kept").expect(200);
    weed.kill();
    weed.restart();
    assert_eq!(client.get(BUCKET_PLAIN, "a").expect(200), "one");
    assert_eq!(client.get(BUCKET_VERSIONED, "a").status, 404);
    let versions = client.versions(BUCKET_VERSIONED, "a");
    assert_eq!(versions.iter().filter(|version| version.marker).count(), 1);
    assert_eq!(versions.iter().filter(|version| !version.marker).count(), 2);
    let locked = client.versions(BUCKET_LOCKED, "a").remove(0);
    let path = format!("/{BUCKET_LOCKED}/a");
    assert_eq!(client.call("DELETE", &path, &[("versionId", &locked.id)], &[], b"").status, 403);
    client.call("PUT", &format!("/{BUCKET_PLAIN}/a"), &[], &[("if-none-match", "*")], b"two").expect(412);
}

#[test]
fn seaweed_gives_each_key_exactly_what_its_policy_says() {
    let Some(weed) = Weed::start() else { return };
    let (old, new) = ("lacre/snap/a", "lacre/snap/b");
    // Key, then the statuses of: put, get, list below the prefix, list of all, delete, put of a policy, put beside the prefix.
    for (key, wanted) in [
        (Key::Backup, [200, 200, 200, 403, 403, 403, 403]),
        (Key::Restore, [403, 200, 200, 403, 403, 403, 403]),
        (Key::NoList, [200, 200, 403, 403, 403, 200, 200]),
        (Key::Stranger, [403, 403, 403, 403, 403, 403, 403]),
        (Key::Maintenance, [200, 200, 200, 403, 204, 403, 403]),
        (Key::Admin, [200, 200, 200, 403, 204, 200, 403]),
        (Key::Root, [200, 200, 200, 200, 204, 200, 200]),
        (Key::Other, [200, 200, 200, 200, 204, 200, 200]),
    ] {
        weed.client(Key::Root).put(BUCKET_PLAIN, old, b"one").expect(200);
        let client = weed.client(key);
        let list = |prefix| {
            let query = [("list-type", "2"), ("prefix", prefix)];
            client.call("GET", &format!("/{BUCKET_PLAIN}"), &query, &[], b"").status
        };
        let got = [
            client.put(BUCKET_PLAIN, new, b"two").status,
            client.get(BUCKET_PLAIN, old).status,
            list("lacre/"),
            list(""),
            client.delete(BUCKET_PLAIN, old).status,
            client.put(BUCKET_PLAIN, "lacre/policy/1", b"two").status,
            client.put(BUCKET_PLAIN, "other", b"two").status,
        ];
        assert_eq!(got, wanted, "{key:?}");
    }
    let wrong = Client::new(weed.port(), Key::Root.id(), "wrong").get(BUCKET_PLAIN, "lacre/snap/b");
    assert!(wrong.expect(403).contains("SignatureDoesNotMatch"));
    let unknown = Client::new(weed.port(), "NOBODY", "wrong").get(BUCKET_PLAIN, "lacre/snap/b");
    assert!(unknown.expect(403).contains("InvalidAccessKeyId"));
    assert!(weed.client(Key::Root).get("nowhere", "a").expect(404).contains("NoSuchBucket"));
    assert_eq!(weed.client(Key::Root).put("nowhere", "a", b"x").status, 404);
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_file() {
    let Some(weed) = Weed::start() else { return };
    let port = weed.port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    let sockets = || {
        let names = std::fs::read_dir("/tmp").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ours: Vec<String> = (port..port + 6).map(|port| format!("-{}.sock", port + 10_000)).collect();
        names.filter(|name| name.starts_with("seaweedfs-") && ours.iter().any(|end| name.ends_with(end))).count()
    };
    assert!(sockets() > 0);
    drop(weed);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(sockets(), 0);
    let Some(rclone) = Rclone::start() else { return };
    let port = rclone.port();
    drop(rclone);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let mine = format!("lacre-t-{}-", std::process::id());
    let left = folders.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(&mine)).count();
    assert_eq!(left, 0);
    assert!(Path::new("/proc").exists());
}

#[test]
fn rclone_overwrites_whatever_the_condition() {
    let Some(rclone) = Rclone::start() else { return };
    let client = rclone.client();
    client.put(Rclone::BUCKET, "d/a", b"one").expect(200);
    let path = format!("/{}/d/a", Rclone::BUCKET);
    client.call("PUT", &path, &[], &[("if-none-match", "*")], b"two").expect(200);
    assert_eq!(client.get(Rclone::BUCKET, "d/a").expect(200), "two");
    assert_eq!(client.keys(Rclone::BUCKET, "d/"), ["d/a"]);
    assert_eq!(client.delete(Rclone::BUCKET, "d/a").status, 204);
}

#[test]
fn the_proxy_counts_and_passes_everything_on() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let client = root(proxy.port());
    client.put(BUCKET_PLAIN, "odd name/ü+%", b"12345").expect(200);
    assert_eq!(client.get(BUCKET_PLAIN, "odd name/ü+%").expect(200), "12345");
    let range = client.call("GET", "/plain/odd name/ü+%", &[], &[("range", "bytes=1-2")], b"");
    assert_eq!(range.expect(206), "23");
    assert_eq!(client.keys(BUCKET_PLAIN, "odd name/"), ["odd name/ü+%"]);
    assert_eq!(client.call("HEAD", "/plain/odd name/ü+%", &[], &[], b"").status, 200);
    client.delete(BUCKET_PLAIN, "odd name/ü+%").expect(204);
    let count = proxy.count();
    for kind in [Kind::Put, Kind::Get, Kind::GetRange, Kind::List, Kind::Head, Kind::Delete] {
        assert_eq!(count.of_kind(kind), 1, "{kind:?}");
    }
    assert_eq!((count.requests(), count.sent), (6, 5));
    assert!(count.received > 7);
    assert!(proxy.records().iter().all(|record| record.header("authorization").is_some() && !record.struck));
    assert!(proxy.records()[0].target == "/plain/odd name/ü+%");
    proxy.forget();
    assert_eq!(proxy.count().requests(), 0);
}

#[test]
fn the_proxy_breaks_what_its_rules_say_and_nothing_else() {
    let Some(weed) = Weed::start() else { return };
    let (proxy, direct) = (Proxy::before(weed.port()), weed.client(Key::Root));
    let client = root(proxy.port());
    let try_put = |key: &str| std::panic::catch_unwind(|| client.put(BUCKET_PLAIN, key, b"x").status).ok();
    let stored = |key: &str| direct.get(BUCKET_PLAIN, key).status == 200;

    proxy.rule(Rule::new(Effect::Refuse { status: 503, code: "SlowDown" }).on(Kind::Put).path("/r1").nth(2));
    assert_eq!(["r1a", "r1b", "r1c"].map(try_put), [Some(200), Some(503), Some(200)]);
    assert_eq!(["r1a", "r1b", "r1c"].map(stored), [true, false, true]);
    proxy.rule(Rule::new(Effect::Close).path("/r2"));
    assert!(try_put("r2").is_none() && !stored("r2"));
    proxy.rule(Rule::new(Effect::AnswerLost).path("/r3"));
    assert!(try_put("r3").is_none() && stored("r3"));
    proxy.rule(Rule::new(Effect::RefuseAfter { status: 500, code: "InternalError" }).path("/r4"));
    assert!(try_put("r4") == Some(500) && stored("r4"));
    proxy.rule(Rule::new(Effect::Late).path("/r5"));
    assert!(try_put("r5").is_none() && !stored("r5"));
    assert_eq!(proxy.deliver_late(), [200]);
    assert!(stored("r5"));
    assert_eq!(proxy.strikes(), 5);

    proxy.rule(Rule::new(Effect::Twice).path("/r6"));
    let twice = client.call("PUT", "/plain/r6", &[], &[("if-none-match", "*")], b"x");
    assert!(twice.status == 412 && stored("r6"));
    proxy.rule(Rule::new(Effect::Skew { seconds: 7200 }).path("/r6"));
    let date = client.get(BUCKET_PLAIN, "r6").header("date").unwrap().to_owned();
    assert_ne!(date, client.get(BUCKET_PLAIN, "r6").header("date").unwrap());
    proxy.rule(Rule::new(Effect::FlipBit { bit: 0 }).path("/r6"));
    assert_eq!(client.get(BUCKET_PLAIN, "r6").expect(200), "y");
    proxy.rule(Rule::new(Effect::Html).path("/r6"));
    assert!(client.get(BUCKET_PLAIN, "r6").expect(200).contains("<html>"));

    let before = client.keys(BUCKET_PLAIN, "r").len();
    proxy.rule(Rule::new(Effect::Frozen).on(Kind::List).forever());
    assert_eq!(client.keys(BUCKET_PLAIN, "r").len(), before);
    direct.put(BUCKET_PLAIN, "r7", b"x").expect(200);
    assert_eq!(client.keys(BUCKET_PLAIN, "r").len(), before);
    proxy.heal();
    assert_eq!(client.keys(BUCKET_PLAIN, "r").len(), before + 1);

    let trap = Proxy::trap();
    proxy.rule(Rule::new(Effect::Redirect { status: 307, to: trap.endpoint() }).path("/r6"));
    let answer = client.get(BUCKET_PLAIN, "r6");
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, Some(format!("{}/plain/r6", trap.endpoint()).as_str()))
    );
    assert_eq!(trap.count().requests(), 0);
    root(trap.port()).get(BUCKET_PLAIN, "r6").expect(200);
    assert!(trap.records()[0].header("authorization").is_some());
}

#[test]
fn the_proxy_cuts_slows_and_stalls_bodies() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let client = root(proxy.port());
    client.put(BUCKET_PLAIN, "a", &[7; 1000]).expect(200);
    proxy.rule(Rule::new(Effect::Cut { bytes: 10 }));
    assert!(std::panic::catch_unwind(|| client.get(BUCKET_PLAIN, "a")).is_err());
    proxy.rule(Rule::new(Effect::Slow { piece_bytes: 100, pause: Duration::from_millis(1) }));
    assert_eq!(client.get(BUCKET_PLAIN, "a").body, [7; 1000]);
    proxy.rule(Rule::new(Effect::Stall));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| std::panic::catch_unwind(|| client.put(BUCKET_PLAIN, "b", b"x")).is_err());
        while proxy.stalled() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(weed.client(Key::Root).get(BUCKET_PLAIN, "b").status, 200);
        proxy.release();
        assert!(waiting.join().unwrap());
    });
    let silent = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    drop(proxy);
    let mut rest = Vec::new();
    // Whether by an end or by a reset, the connection is over.
    drop(BufReader::new(silent).read_to_end(&mut rest));
    assert!(rest.is_empty());
}

#[test]
fn the_proxy_passes_for_backblaze() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::backblaze(weed.port());
    let client = root(proxy.port());
    let path = format!("/{BUCKET_VERSIONED}/a");
    let refused = client.call("PUT", &path, &[], &[("if-none-match", "*")], b"one");
    assert!(refused.expect(501).contains("NotImplemented"));
    client.put(BUCKET_VERSIONED, "a", b"one").expect(200);
    client.delete(BUCKET_VERSIONED, "a").expect(204);
    assert_eq!(client.get(BUCKET_VERSIONED, "a").status, 404);
    assert_eq!(client.versions(BUCKET_VERSIONED, "a").len(), 2);
}
