//! The real operations against the adversary: what was erased opens for nobody, what lives opens for whoever may, and where something is
//! still missing the adversary wins *and* the receipt says so.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read files, clocks and the environment, and run programs"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../crates/lacre-repo/tests/support/mod.rs"]
mod support;

#[path = "suite/broken.rs"]
mod broken;
#[path = "suite/erased.rs"]
mod erased;
#[path = "suite/guesses.rs"]
mod guesses;
#[path = "suite/histories.rs"]
mod histories;
#[path = "suite/memory.rs"]
mod memory;
#[path = "suite/persons.rs"]
mod persons;
#[path = "suite/persons_broken.rs"]
mod persons_broken;
#[path = "suite/recorder.rs"]
mod recorder;
#[path = "suite/scene.rs"]
mod scene;
#[path = "suite/tamper.rs"]
mod tamper;
#[path = "suite/worlds.rs"]
mod worlds;
