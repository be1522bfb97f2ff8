//! Choices of small numbers, each made of the next bytes of an input.

/// Turns bytes into choices. When the bytes have run out, every choice is the first one.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Choices made of these bytes, in order.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether the bytes have run out.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What no choice was made of so far.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number below `bound`, which is 1 to 65,536: of one byte if that is enough, else of two.
    pub fn below(&mut self, bound: usize) -> usize {
        let low = usize::from(self.byte());
        let high = if bound > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (high | low) % bound
    }
}
