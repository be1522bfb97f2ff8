//! Numbers made of the fuzzer's bytes, and of xorshift64* where there are none.

pub(crate) struct Rng {
    bytes: Vec<u8>,
    taken: usize,
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { bytes: Vec::new(), taken: 0, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), ..Self::new(1) }
    }

    /// Whether the bytes have run out.
    pub(crate) fn is_over(&self) -> bool {
        self.taken >= self.bytes.len()
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let low = self.byte();
        let high = if bound > 256 { self.byte() << 8 } else { 0 };
        (high | low) % bound
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn byte(&mut self) -> usize {
        if let Some(byte) = self.bytes.get(self.taken) {
            self.taken += 1;
            return usize::from(*byte);
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        usize::from(self.state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0])
    }
}
