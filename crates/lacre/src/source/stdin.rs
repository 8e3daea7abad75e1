//! Standard input as a source: `lacre backup --stdin NAME`.

use std::{io::Read, os::fd::AsFd};

use super::{Sink, SourceEnd, SourceError, pump_reader};
use crate::process::Interrupt;

/// Reads standard input to its end. Its writer may have failed unseen, so the end is recorded as unverified.
#[derive(Debug)]
pub struct StdinSource {
    interrupt: Interrupt,
}

impl StdinSource {
    /// Prepares standard input.
    pub fn new(interrupt: Interrupt) -> StdinSource {
        StdinSource { interrupt }
    }

    /// Returns the name used in messages and source facts.
    pub fn name(&self) -> String {
        "standard input".to_owned()
    }

    /// Reads to the end, pushing everything into the sink.
    ///
    /// # Errors
    /// [`SourceError::Read`], [`SourceError::Sink`] or [`SourceError::Interrupted`].
    pub fn pump(&mut self, sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
        // Unbuffered: the poll before each read must see every byte that is waiting.
        let mut stdin = std::fs::File::from(
            rustix::io::dup(std::io::stdin().as_fd())
                .map_err(|error| SourceError::Start { source_name: self.name(), error: error.into() })?,
        );
        self.pump_from(&mut stdin, sink)
    }

    fn pump_from(&self, reader: &mut (impl Read + AsFd), sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
        let bytes = pump_reader(reader, &self.name(), u64::MAX, &self.interrupt, sink)?;
        Ok(SourceEnd { bytes, exit_status: None, verified: false, stderr_tail: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, thread};

    use super::{SourceError, StdinSource};
    use crate::process::Interrupt;

    #[test]
    fn a_pipe_is_read_to_its_end_and_never_called_verified() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let feeder = thread::spawn(move || (0..100).for_each(|_| writer.write_all(&[b'x'; 50_000]).unwrap()));
        let mut seen = 0;
        let end = StdinSource::new(Interrupt::default()).pump_from(&mut reader, &mut |piece| {
            seen += piece.len();
            Ok(())
        });
        feeder.join().unwrap();
        let end = end.unwrap();
        assert_eq!((seen, end.bytes, end.verified), (5_000_000, 5_000_000, false));
    }

    #[test]
    fn waiting_for_a_silent_writer_can_be_interrupted() {
        let (mut reader, _writer) = std::io::pipe().unwrap();
        let interrupt = Interrupt::default();
        interrupt.raise();
        let end = StdinSource::new(interrupt).pump_from(&mut reader, &mut |_| Ok(()));
        assert!(matches!(end, Err(SourceError::Interrupted { bytes: 0 })));
    }
}
