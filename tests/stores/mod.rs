//! Whole commands over buckets: real servers, real keys, and a proxy that breaks the way to them.

mod bad_input;
mod cells;
mod copies;
mod figures;
mod machines;
mod nights;
mod rights;
mod stress;

use lacre_test_bucket::{Client, Key};

use crate::support::sandbox::{Outcome, Sandbox};

/// A sandbox whose repository lies in a bucket of a server on loopback.
pub(crate) fn in_bucket(port: u16, bucket: &str, prefix: &str, key: Key) -> Sandbox {
    let mut sandbox = Sandbox::new();
    point(&mut sandbox, port, bucket, prefix);
    show(&mut sandbox, key.id(), &key.secret());
    sandbox
}

/// Points a sandbox to another server, bucket or prefix.
fn point(sandbox: &mut Sandbox, port: u16, bucket: &str, prefix: &str) {
    sandbox.set("LACRE_REPO", format!("s3://{bucket}/{prefix}?endpoint=http://127.0.0.1:{port}"));
}

/// Gives a sandbox other keys of the store.
fn show(sandbox: &mut Sandbox, id: &str, secret: &str) {
    sandbox.set("AWS_ACCESS_KEY_ID", id).set("AWS_SECRET_ACCESS_KEY", secret);
}

/// Gives a sandbox the keys of a role.
fn show_role(sandbox: &mut Sandbox, key: Key) {
    show(sandbox, key.id(), &key.secret());
}

/// Lines that differ from run to run in one place.
fn night(number: u32) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..3_000_u32 {
        let value = if line % 1_000 == number % 1_000 { number } else { line };
        text.push_str(&format!("{line},row of {},{}\n", line % 97, value.wrapping_mul(2_654_435_761)));
    }
    text.into_bytes()
}

/// Backs up this text as the job `a`.
fn back_up(sandbox: &Sandbox, text: &[u8]) -> Outcome {
    std::fs::write(sandbox.path("dump"), text).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"])
}

/// The newest snapshot of the job `a` is this text.
#[track_caller]
fn newest_is(sandbox: &Sandbox, text: &[u8]) {
    let read = sandbox.run(&["cat", "latest:a", "data"]).exits(0);
    assert!(read.stdout == text, "other bytes came out");
}

/// How many snapshots lie in a bucket.
fn snapshots_in(client: &Client, bucket: &str, prefix: &str) -> usize {
    client.keys(bucket, &format!("{prefix}/snap/")).len()
}
