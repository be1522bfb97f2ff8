//! What a segment promises, judged by naive models.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod damage;
mod golden;
mod merging;
mod model;
mod random;
mod sharing;
mod small;
mod writing;
