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
//!
//! ```
//! use std::num::NonZeroU32;
//! use tidegate_coordinator::ExternalizedCheckpointCleanup;
//! use tidegate_sim::{Fault, Life, RunConfig, SimRun, SimStorage};
//!
//! let config = RunConfig {
//!     retained: NonZeroU32::MIN,
//!     max_concurrent: NonZeroU32::MIN,
//!     tolerable_failures: 0,
//!     cleanup: ExternalizedCheckpointCleanup::RetainOnCancellation,
//! };
//! let (mut run, storage) = (SimRun::new(config, 7), SimStorage::new(7));
//! storage.plan(40, Fault::CrashWithin);
//! assert_eq!(run.live(&storage, 5, None), Life::Crashed);
//! // The power is back; what was complete is found.
//! assert_eq!(run.live(&storage.restart(), 5, None), Life::Over);
//! assert!(run.completed() >= 5);
//! ```
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
