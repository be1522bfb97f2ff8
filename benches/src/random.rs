//! Random numbers that are the same in every run.

/// SplitMix64: good enough to spread keys, and fast enough not to be what is measured.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// `count` different numbers.
    pub fn distinct(&mut self, count: usize) -> Vec<u64> {
        // SplitMix64 gives each number once in its period of 2^64.
        (0..count).map(|_| self.number()).collect()
    }

    /// `count` places below `bound`, one of which may come often.
    ///
    /// # Panics
    ///
    /// When `bound` is 0.
    pub fn places(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let place = |bits: u64| usize::try_from(bits % bound as u64).expect("below a usize");
        (0..count).map(|_| place(self.number())).collect()
    }
}
