//! Numbers for randomised tests: the same seed gives the same run, and a failing run prints its seed.

/// A stream of numbers (SplitMix64) that prints its seed when a test panics.
pub(crate) struct Seed {
    start: u64,
    state: u64,
}

impl Seed {
    /// The seed in `LACRE_TEST_SEED`, or the one given.
    pub(crate) fn new(usual: u64) -> Seed {
        let start = std::env::var("LACRE_TEST_SEED")
            .ok()
            .map_or(usual, |text| text.parse().expect("LACRE_TEST_SEED is a number"));
        Seed { start, state: start }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Numbers of their own for one of several threads, which the same seed gives again.
    pub(crate) fn split(&mut self) -> Seed {
        Seed { start: self.start, state: self.next() }
    }

    /// An index into something of this length.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    /// Bytes of which every value occurs.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(len).collect()
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut stderr = std::io::stderr().lock();
            // The test fails already; a closed stderr must not turn that into an abort.
            drop(std::io::Write::write_all(
                &mut stderr,
                format!("run again with LACRE_TEST_SEED={}\n", self.start).as_bytes(),
            ));
        }
    }
}
