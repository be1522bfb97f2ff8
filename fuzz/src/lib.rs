//! What the fuzz targets share: choices made of bytes, frames repaired, files to read from.
//!
//! A target aborts when a promise does not hold; libFuzzer then keeps the input as an artifact.

#[path = "../../crates/tidegate-state/tests/it/repair.rs"]
mod canonical;
mod choices;
mod operator;
mod scratch;
mod segment;

pub use canonical::{Places, repaired};
pub use choices::Choices;
pub use operator::{Operator, context, run, target};
pub use scratch::Scratch;
pub use segment::reseal_segment;

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
