//! The nouns of stream checkpoints: ids, key groups, keys, barriers and state handles.
//!
//! **It is not** a place for behaviour: nothing here does I/O, reads a clock, starts a thread or
//! can be serialized. The form these values take on disk belongs to `tidegate-meta`.
//!
//! ```
//! use tidegate_types::{KeyGroupRange, MaxParallelism, Parallelism, StateKey, Subtask};
//!
//! // A job fixes its maximum parallelism once; every key then has one key group for life.
//! let max = MaxParallelism::new(128).unwrap();
//! let group = max.key_group_of("lighthouse".to_owned().key_hash());
//!
//! // Each subtask owns a range of key groups; exactly one of them owns our key.
//! let parallelism = Parallelism::new(3).unwrap();
//! let owner = Subtask::all(parallelism)
//!     .find(|subtask| KeyGroupRange::of_subtask(max, *subtask).contains(group));
//! assert!(owner.is_some());
//! ```
#![forbid(unsafe_code)]

mod barrier;
mod digest;
mod handle;
mod ids;
mod key;
mod key_group;
mod operator_state;
mod parallelism;

pub use barrier::{Barrier, SnapshotKind};
pub use digest::{Digest, DigestBuilder};
pub use handle::{FileHandle, FileReference, InvalidReference, StateHandle};
pub use ids::{AttemptId, CheckpointId, InvalidId, JobId, OperatorUid, TaskId};
pub use key::{InvalidKey, KeyHash, StateKey};
pub use key_group::{KeyGroup, KeyGroupRange};
pub use operator_state::{
    BackendKind, ChannelKind, ChannelStateHandle, Distribution, KeyedStateHandle, ListStateHandle,
    OperatorState, RegisteredState, SharedFile, StateKind, SubtaskState,
};
pub use parallelism::{MaxParallelism, Parallelism, Subtask};
