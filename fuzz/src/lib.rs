//! What the fuzz targets share: choices made of bytes, frames repaired, files to read from.
//!
//! A target aborts when a promise does not hold; libFuzzer then keeps the input as an artifact.

mod choices;
mod scratch;

pub use choices::Choices;
pub use scratch::Scratch;

use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal_in_place};

/// The bytes as a frame whose header is right for them: behind checksums a fuzzer finds nothing,
/// since it cannot guess them. `None` when there are fewer bytes than a header has.
#[must_use]
pub fn resealed(kind: FrameKind, bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < HEADER_LENGTH {
        return None;
    }
    let mut frame = bytes.to_vec();
    seal_in_place(kind, &mut frame);
    Some(frame)
}
