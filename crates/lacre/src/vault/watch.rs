//! Progress and interruption between the vault, the drivers and the terminal.

use std::sync::Arc;

use lacre_repo::{Monitor, Progress};

use super::Vault;
use crate::{
    driver::postgres::report::{Event, Watch},
    invocation::Invocation,
    process::Interrupt,
    run::shown::Shown,
    term::progress::{Counters, Progress as Line},
};

/// Tells the terminal what the vault and the drivers do, and tells them when a person wants to stop.
#[derive(Clone, Debug)]
pub struct Watching {
    counters: Arc<Counters>,
    interrupt: Interrupt,
}

/// Starts a progress line and what feeds it; the line must be finished before anything else is written.
pub fn watching(invocation: &Invocation) -> (Line, Watching) {
    let line = invocation.progress();
    let watching = Watching { counters: line.counters(), interrupt: invocation.interrupt.clone() };
    (line, watching)
}

impl Watching {
    /// Shows the command to whoever looks at this host, as long as what is returned lives.
    pub fn shown(&self, vault: &Vault, what: &'static str, job: Option<&str>) -> Shown {
        Shown::begin(vault.repository.home().directory(), what, job, Arc::clone(&self.counters))
    }

    /// Says how many bytes there will be, where that is known beforehand.
    pub fn expect_bytes(&self, total: u64) {
        self.counters.set_bytes_total(total);
    }

    /// Draws the same counters again, after a question was asked.
    pub fn resume(&self, invocation: &Invocation) -> Line {
        Line::resume(invocation.global.progress_mode(), Arc::clone(&self.counters))
    }
}

impl Monitor for Watching {
    fn progress(&self, progress: Progress) {
        match progress {
            Progress::Phase(phase) => self.counters.set_phase(&phase),
            Progress::Expected(bytes) => self.counters.set_bytes_total(bytes),
            Progress::Bytes(bytes) => self.counters.add_bytes(bytes),
            Progress::Rows(rows) => self.counters.add_rows(rows),
            _ => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupt.raised()
    }
}

impl Watch for Watching {
    fn event(&self, event: Event) {
        match event {
            Event::Step(step) => self.counters.set_phase(&step),
            Event::Stream(name) => self.counters.set_phase(&name),
            Event::Total { bytes, rows } => {
                self.counters.set_bytes_total(bytes);
                self.counters.set_rows_total(rows.unwrap_or_default());
            }
            // The vault counts the same bytes as they pass.
            Event::Bytes(_) => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupt.raised()
    }
}
