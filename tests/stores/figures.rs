//! How many requests and bytes commands need, counted by the proxy. Counts are promises; times are not.

use std::fs;

use lacre_test_bucket::{BUCKET_PLAIN, Count, Key, Kind, Proxy, Record, Weed};

use super::{back_up, in_bucket, night};
use crate::commands::keys_of;
use crate::support::cluster::Cluster;
use crate::support::sample;
use crate::support::sandbox::Sandbox;
use crate::support::seed::Seed;

/// Most requests of a small night in which nothing changed.
const NIGHT_REQUESTS_MAX: u64 = 15;
/// Most listings and reads of a machine that has never seen the repository, before it reads a table's data: however many nights there
/// were, once they were pruned. The goal is 2 and 8; reached are `lacre.json`, a rollup, a key entry and an index.
const COLD_LISTS_MAX: u64 = 2;
const COLD_GETS_MAX: u64 = 4;
/// The same after three nights of which nothing was pruned, when no rollup is there and each night left a snapshot and an index.
const YOUNG_GETS_MAX: u64 = 12;
/// Nights before the prune, and reads that each night after it costs: its snapshot and its index.
const NIGHTS: u32 = 40;
const NIGHT_READS: u64 = 2;

/// A machine with nothing but the identity, the kit and the keys of the store.
fn cold(sandbox: &Sandbox, port: u16) -> Sandbox {
    let other = in_bucket(port, BUCKET_PLAIN, "lacre", Key::Root);
    fs::copy(keys_of(sandbox).join("identity.txt"), other.path("identity.txt")).unwrap();
    fs::copy(sandbox.path("kit"), other.path("kit")).unwrap();
    other
}

fn is_data(record: &Record) -> bool {
    record.target.contains("/packs/")
}

fn shown(records: &[Record]) -> String {
    records.iter().map(|record| format!("{:?} {} {:?}\n", record.kind, record.target, record.status)).collect()
}

#[test]
fn a_night_in_which_nothing_changed_is_a_handful_of_requests() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    // However many nights there were before.
    for _ in 0..3 {
        proxy.forget();
        back_up(&sandbox, &night(1)).exits(0);
        let records = proxy.records();
        let requests = Count::of(&records).requests();
        assert!(requests <= NIGHT_REQUESTS_MAX, "{requests} requests:\n{}", shown(&records));
    }
}

/// A repository in a bucket that backs up a database of this cluster.
fn database(weed: &Weed, cluster: &Cluster) -> Sandbox {
    sample::create(cluster, "astro", 1);
    let mut sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.set("PATH", format!("{}:/usr/bin:/bin", cluster.tools().display()));
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    sandbox
}

fn days(sandbox: &Sandbox, cluster: &Cluster, days: std::ops::Range<u32>) {
    for day in days {
        sample::day(cluster, "astro", day);
        sandbox.run(&["backup", "--postgres", &cluster.url("astro")]).exits(0);
    }
}

/// What a machine that was never there asks for, to give one table of the newest night: requests for data, and all others.
fn one_table(sandbox: &Sandbox, proxy: &Proxy) -> (Vec<Record>, Vec<Record>) {
    let wanted = sandbox.run(&["cat", "latest", "app.users"]).exits(0).stdout;
    let other = cold(sandbox, proxy.port());
    proxy.forget();
    let read = other.run(&["--identity", "identity.txt", "cat", "latest", "app.users", "--kit", "kit"]).exits(0);
    assert!(read.stdout == wanted && !wanted.is_empty());
    proxy.records().into_iter().partition(is_data)
}

/// It lists and reads, no more often than this, and does nothing else.
#[track_caller]
fn reads_at_most(records: &[Record], lists_max: u64, gets_max: u64) {
    let count = Count::of(records);
    let (lists, gets) = (count.of_kind(Kind::List), count.of_kind(Kind::Get) + count.of_kind(Kind::GetRange));
    assert!(lists <= lists_max && gets <= gets_max, "{lists} lists, {gets} reads:\n{}", shown(records));
    assert_eq!(count.requests(), lists + gets, "reading does nothing but list and read:\n{}", shown(records));
}

#[test]
fn one_table_on_a_machine_that_was_never_there() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let cluster = Cluster::start();
    let sandbox = database(&weed, &cluster);
    days(&sandbox, &cluster, 1..4);
    let (data, before) = one_table(&sandbox, &proxy);
    reads_at_most(&before, COLD_LISTS_MAX, YOUNG_GETS_MAX);
    // One table costs its own chunks, not everybody's.
    let eye = weed.client(Key::Root);
    let stored: u64 = eye
        .keys(BUCKET_PLAIN, "lacre/packs/")
        .iter()
        .map(|key| u64::try_from(eye.get(BUCKET_PLAIN, key).body.len()).unwrap())
        .sum();
    // Frames lie shuffled, so a table of a small repository is all over its one pack; but no byte is read twice.
    assert!(Count::of(&data).received <= stored, "{} of {stored} bytes were read", Count::of(&data).received);
}

#[test]
fn one_table_after_many_nights_and_a_prune() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let cluster = Cluster::start();
    let sandbox = database(&weed, &cluster);
    days(&sandbox, &cluster, 1..NIGHTS + 1);
    sandbox.run(&["repo", "prune"]).exits(0);
    let (_, pruned) = one_table(&sandbox, &proxy);
    reads_at_most(&pruned, COLD_LISTS_MAX, COLD_GETS_MAX);
    // Each night until the next prune costs what it left, and no more.
    days(&sandbox, &cluster, NIGHTS + 1..NIGHTS + 4);
    let (_, later) = one_table(&sandbox, &proxy);
    reads_at_most(&later, COLD_LISTS_MAX, COLD_GETS_MAX + 3 * NIGHT_READS);
}

#[test]
fn everything_comes_back_with_few_requests_and_hardly_a_byte_too_many() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Root);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    let text = Seed::new(5).bytes(40 << 20);
    back_up(&sandbox, &text).exits(0);
    let eye = weed.client(Key::Root);
    let needed: u64 = eye
        .keys(BUCKET_PLAIN, "lacre/packs/")
        .iter()
        .map(|key| u64::try_from(eye.get(BUCKET_PLAIN, key).body.len()).unwrap())
        .sum();
    let other = cold(&sandbox, proxy.port());
    other.run(&["--identity", "identity.txt", "restore", "latest", "--to-file", "out", "--kit", "kit"]).exits(0);
    assert!(fs::read(other.path("out")).unwrap() == text);
    let records = proxy.records();
    let count = Count::of(&records);
    let bound = needed / (4 << 20) + 50;
    assert!(count.requests() <= bound, "{} requests, more than {bound}:\n{}", count.requests(), shown(&records));
    assert!(count.received * 100 <= needed * 115, "{} bytes were read, {needed} needed", count.received);
}
