//! Killed at any moment: what was committed stays, what was not never shows, and the next run works.

use std::fs;
use std::time::Duration;

use super::{lines, ready, snapshots};
use crate::support::seed::Seed;

#[test]
fn a_backup_killed_at_any_time_costs_only_itself() {
    let sandbox = ready();
    let mut seed = Seed::new(11);
    let mut text = lines(30_000);
    fs::write(sandbox.path("dump"), &text).unwrap();
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    let mut killed = 0;
    for round in 0..12_u32 {
        text.extend_from_slice(&seed.bytes(40_000));
        text.extend_from_slice(format!("\nround {round}\n").as_bytes());
        fs::write(sandbox.path("dump"), &text).unwrap();
        let after = Duration::from_micros(500 + seed.below(60_000));
        let run = sandbox.run_killed(&["backup", "--file", "a=dump"], after);
        killed += u32::from(run.was_killed());
        // Whatever is listed is whole.
        let newest = snapshots(&sandbox, "live").pop().unwrap();
        let bytes = sandbox.run(&["cat", &newest, "data"]).exits(0).stdout;
        assert!(text.starts_with(&bytes), "round {round}: other bytes came out");
    }
    sandbox.run(&["backup", "--file", "a=dump"]).exits(0);
    assert!(sandbox.run(&["cat", "latest:a", "data"]).exits(0).stdout == text);
    sandbox.run(&["check", "--read-data"]).exits(0);
    assert!(killed > 0, "no run was killed; the machine is too fast for this test's times");
}
