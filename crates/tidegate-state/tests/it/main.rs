//! The memory backend and the canonical form: the suite of all backends, caps, damaged state.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod canonical;
mod document;
mod forged;
mod memory;
#[expect(unreachable_pub, reason = "the fuzz targets use it, too")]
mod repair;
