//! A run: its id, its times, its log; and the turn that keeps two of them from overlapping.
//!
//! In: settings. Out: what a run is called in pings, logs and records, and the lines of its log. It must not know jobs.

pub mod journal;
pub mod shown;
pub mod turn;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lacre_format::ids::{Millis, Token};
use lacre_repo::op::run::RunFrame;
use lacre_seal::entropy;

use self::journal::Journal;
use crate::{
    config::Settings,
    error::{CliError, Kind},
    exit::Exit,
};

/// One run.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: Token,
    /// When it began.
    pub started: Timestamp,
    /// Its log.
    pub journal: Journal,
    began: Instant,
}

impl Run {
    /// Begins a run.
    ///
    /// # Errors
    /// [`Kind::Bug`] when the system gives no random bytes.
    pub fn begin(settings: &Settings) -> Result<Run, CliError> {
        let drawn = entropy::token().map_err(|error| CliError::new(Kind::Bug, "no random bytes").because(&error))?;
        let mut bytes = *drawn.as_bytes();
        // A random UUID (RFC 9562), because that is what the receivers of pings expect.
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = Token::new(bytes);
        let journal = Journal::new(settings.operate.log.clone(), &name_of(id));
        Ok(Run { id, started: Timestamp::now(), journal, began: Instant::now() })
    }

    /// Its name, a UUID.
    pub fn name(&self) -> String {
        name_of(self.id)
    }

    /// How long it has taken so far.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// What is recorded of when it was and how it ended.
    pub fn frame(&self, exit: Exit) -> RunFrame {
        let ended = Timestamp::now();
        RunFrame { id: self.id, started: millis(self.started), ended: millis(ended), exit: exit.code() }
    }
}

/// A moment as it is stored.
pub fn millis(moment: Timestamp) -> Millis {
    Millis(moment.as_millisecond())
}

/// A run's id as a UUID.
pub fn name_of(id: Token) -> String {
    let hex = id.to_string();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use lacre_format::ids::Token;

    use super::name_of;

    #[test]
    fn a_run_is_named_by_a_uuid() {
        assert_eq!(name_of(Token::new([0x4d; 16])), "4d4d4d4d-4d4d-4d4d-4d4d-4d4d4d4d4d4d");
    }
}
