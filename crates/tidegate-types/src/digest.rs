//! Digests: what tells whether bytes are the ones that were written.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// XXH3-128, seed 0, of some content, as 16 big-endian bytes (xxHash's canonical form).
///
/// It finds every accident (bit flips, truncation, mixed-up files); it is no defence against
/// somebody who forges content on purpose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes).to_be_bytes())
    }

    /// The digest that was kept as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Computes a [`Digest`] of bytes that come in pieces.
#[derive(Clone, Default)]
pub struct DigestBuilder {
    state: Box<Xxh3Default>,
}

impl DigestBuilder {
    /// Of nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    /// The digest of all pieces so far.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(self.state.digest128().to_be_bytes())
    }
}

impl fmt::Debug for DigestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DigestBuilder").field(&self.finish()).finish()
    }
}

#[test]
fn pieces_make_the_digest_of_the_whole() {
    let whole: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let mut builder = DigestBuilder::new();
    whole.chunks(77).for_each(|piece| builder.update(piece));
    assert_eq!(builder.finish(), Digest::of(&whole));
    assert_eq!(Digest::of(b"").to_string(), "99aa06d3014798d86001c324468d497f");
}
