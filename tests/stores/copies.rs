//! Copies in buckets: from a folder to a bucket and back, through a gateway, and how many requests a sync with nothing to do is.

use std::fs;
use std::path::Path;

use lacre_test_bucket::{BUCKET_PLAIN, BUCKET_VERSIONED, Key, Proxy, Rclone, Weed};

use super::{back_up, in_bucket, newest_is, night, show};
use crate::support::sandbox::Sandbox;

/// Both sides together, each with at most a thousand objects.
const NOTHING_TO_DO_REQUESTS_MAX: usize = 6;

fn configure(sandbox: &mut Sandbox, copies: &[(&str, String)]) {
    let mut text = String::new();
    for (name, url) in copies {
        text += &format!("[[copy]]\nname = {name:?}\nurl = {url:?}\n");
    }
    let file = sandbox.path("lacre.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sandbox.set("LACRE_CONFIG", &file);
}

fn url(port: u16, bucket: &str, prefix: &str) -> String {
    format!("s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port}")
}

/// The newest night comes out of this copy alone, and an audit of everything finds nothing.
fn restores_from(sandbox: &Sandbox, url: &str, data: &[u8]) {
    let at = ["--repo", url];
    sandbox.run(&[&at[..], &["snapshots"]].concat()).exits(0);
    sandbox.run(&[&at[..], &["check", "--read-data"]].concat()).exits(0);
    assert!(sandbox.run(&[&at[..], &["restore", "latest", "--stdout"]].concat()).exits(0).stdout == data, "{url}");
}

#[test]
fn a_folder_is_copied_to_buckets_and_a_gateway_and_each_restores_by_itself() {
    let (Some(weed), Some(rclone)) = (Weed::start(), Rclone::start()) else { return };
    let mut sandbox = Sandbox::new();
    show(&mut sandbox, Key::Root.id(), &Key::Root.secret());
    let copies = [
        ("plain", url(weed.port(), BUCKET_PLAIN, "copy")),
        ("versions", url(weed.port(), BUCKET_VERSIONED, "copy")),
        ("gateway", url(rclone.port(), Rclone::BUCKET, "copy")),
    ];
    configure(&mut sandbox, &copies);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for number in 1..3 {
        let done = back_up(&sandbox, &night(number)).exits(0);
        assert!(done.stderr.is_empty() || !done.stderr.contains("warning"), "{}", done.stderr);
    }
    for (_, url) in &copies {
        restores_from(&sandbox, url, &night(2));
    }
    sandbox.run(&["copy", "verify", "--read-data"]).exits(0);
}

#[test]
fn a_bucket_is_copied_to_a_folder_and_to_another_bucket() {
    let Some(weed) = Weed::start() else { return };
    let mut sandbox = in_bucket(weed.port(), BUCKET_PLAIN, "lacre", Key::Root);
    let folder = sandbox.path("copy");
    let other = url(weed.port(), BUCKET_VERSIONED, "second");
    configure(&mut sandbox, &[("folder", folder.to_str().unwrap().to_owned()), ("bucket", other.clone())]);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    back_up(&sandbox, &night(1)).exits(0);
    newest_is(&sandbox, &night(1));
    restores_from(&sandbox, folder.to_str().unwrap(), &night(1));
    restores_from(&sandbox, &other, &night(1));
    assert!(Path::new(&folder).join("lacre.json").exists());
}

#[test]
fn a_sync_with_nothing_to_do_is_six_requests_at_the_most() {
    let Some(weed) = Weed::start() else { return };
    let proxy = Proxy::before(weed.port());
    let mut sandbox = in_bucket(proxy.port(), BUCKET_PLAIN, "lacre", Key::Root);
    configure(&mut sandbox, &[("bucket", url(proxy.port(), BUCKET_VERSIONED, "copy"))]);
    sandbox.run(&["init", "--kit-file", "kit"]).exits(0);
    for number in 1..4 {
        back_up(&sandbox, &night(number)).exits(0);
    }
    proxy.forget();
    let synced = sandbox.run(&["copy", "sync", "--json"]).exits(0).json();
    assert_eq!(synced["copies"][0]["objects_sent"], 0, "{synced}");
    let requests = proxy.records().len();
    assert!(requests <= NOTHING_TO_DO_REQUESTS_MAX, "{requests} requests: {:?}", proxy.records());
}
