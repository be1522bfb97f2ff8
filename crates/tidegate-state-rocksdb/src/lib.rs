//! The RocksDB state backend: state on local disk, in one database for each subtask.
//!
//! ```text
//! task's thread     get, put, append, delete; at a barrier: write what is in memory, link all files
//! snapshot thread   names for files that no checkpoint has yet; small files into the metadata
//! ```
//!
//! Every state is a column family, and what a task reads and writes goes to the database at once, so
//! that the state may be as large as the disk. A checkpoint refers to table files, which never
//! change: those that an earlier one has are referred to again. `docs/format-rocksdb-manifest.md`
//! says what is on disk; `docs/state-rocksdb.md` what is where and when, and what it costs.
//!
//! **It is not** a database for others: one thread reads and writes. It **does not** publish
//! checkpoints or delete their files; that is the coordinator's. It is the only C++ of the workspace,
//! and the slower of the two backends for state that fits into memory: `tidegate-state-fs` is the
//! other.
//!
//! ```
//! use tidegate_state::{KeyedContext, KeyedState, ValueStateDescriptor};
//! use tidegate_state_rocksdb::RocksDbStateBackend;
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
//! let backend = RocksDbStateBackend::in_checkpoint_directory();
//! let mut state = KeyedState::<u64>::open(&backend, &context, Vec::new())?;
//! let level = state.value(ValueStateDescriptor::<i64>::new("level"))?;
//! state.set_current_key(7, 7_u64.key_hash());
//! level.put(-12)?;
//! assert_eq!(level.get()?, Some(-12));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backend;
mod config;
mod database;
mod error;
mod fetch;
mod keyed;
mod known;
mod manifest;
mod place;
mod restore;
mod savepoint;
mod snapshot;

pub use backend::RocksDbStateBackend;
pub use config::{Compression, RocksDbStateConfig};
pub use error::RocksDbStateError;
