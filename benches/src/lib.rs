//! Shared workloads of the benchmarks: the same numbers in every run, whoever measures.
#![forbid(unsafe_code)]

mod metadata;
mod random;
mod state;

pub use metadata::metadata;
pub use random::Random;
pub use state::{counts, open, run};
