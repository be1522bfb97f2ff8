//! A deterministic simulation of a job's storage, and of a job that takes checkpoints there.
//!
//! [`SimStorage`] keeps the contract of [`CheckpointStorage`](tidegate_store::CheckpointStorage), and
//! nothing beyond it: at a crash everything is lost that the contract does not call durable. One
//! [`Fault`] can be planned for each operation, by its number. [`SimRun`] is a job on it, driven by
//! the real coordinator, that can be crashed and started again. All that happens follows from the
//! seed, and can be compared by its trace.
//!
//! **It is not** a model of a file system: what a store makes of torn writes and unsynced bytes is
//! that store's matter, and tested there.
#![forbid(unsafe_code)]

mod fault;
mod random;
mod run;
mod storage;
mod subtask;

pub use fault::Fault;
pub use random::Random;
pub use run::{Life, RunConfig, SimRun};
pub use storage::SimStorage;
