//! The fs state backend: native values in an overlay, over immutable segment files that are mapped.
//!
//! ```text
//! overlay          a hash map of native values, mutable                  on the task's thread
//! frozen overlays  of checkpoints that are being written, immutable      written by other threads
//! segments         mapped files, immutable; most recent first            merged by other threads
//! ```
//!
//! A checkpoint swaps the overlay for an empty one, in constant time, and writes what was swapped
//! out as one segment, which then takes its place. So a checkpoint is incremental, nothing is
//! copied back, and restoring is mapping. `docs/format-fs-manifest.md` says what is on disk;
//! `docs/state-fs.md` what is where and when, and what it costs.
//!
//! **It is not** a database: one thread reads and writes, in the order of the records. It **does
//! not** publish checkpoints or delete their files; that is the coordinator's.
//!
//! ```
//! use tidegate_state::{KeyedContext, KeyedState, ValueStateDescriptor};
//! use tidegate_state_fs::FsStateBackend;
//! use tidegate_types::*;
//!
//! # let max_parallelism = MaxParallelism::DEFAULT;
//! # let subtask = Subtask::all(Parallelism::ONE).next().unwrap();
//! # let context = KeyedContext {
//! #     operator: OperatorUid::new("count")?,
//! #     subtask,
//! #     max_parallelism,
//! #     key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
//! #     attempt: AttemptId::new(1),
//! # };
//! let backend = FsStateBackend::in_checkpoint_directory();
//! let mut state = KeyedState::<u64>::open(&backend, &context, Vec::new())?;
//! let level = state.value(ValueStateDescriptor::<i64>::new("level"))?;
//! state.set_current_key(7, 7_u64.key_hash());
//! level.put(-12)?;
//! assert_eq!(level.get()?, Some(-12));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backend;
mod base;
mod canonical;
mod compaction;
mod config;
mod delta;
mod error;
mod keyed;
mod manifest;
mod place;
mod restore;
mod snapshot;
mod stack;
mod stored;
mod worker;

pub use backend::FsStateBackend;
pub use config::{CompactionConfig, FsStateConfig};
pub use error::FsStateError;
