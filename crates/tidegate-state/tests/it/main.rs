//! The memory backend: the suite of all backends, its cap, and damaged state.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod document;
mod memory;
