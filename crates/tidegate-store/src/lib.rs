//! Where checkpoints are kept: the [`CheckpointStorage`] contract, the local file system, memory.
//!
//! A storage is a tree of immutable files below a root. A file appears whole or not at all
//! ([`StateWriter::finish`], [`CheckpointStorage::publish`]), is durable when it has appeared, and
//! is never overwritten. A directory can be owned, so that two processes never both write to it.
//!
//! **It is not** a file system interface: nothing can be appended to, renamed or modified, and
//! names that begin with a dot are the store's own.
//!
//! ```
//! use std::io::Write;
//! use tidegate_store::{CheckpointStorage, FsStorage, PublishOutcome, StoragePath};
//!
//! let directory = tempfile::tempdir()?;
//! let storage = FsStorage::open(directory.path())?;
//!
//! // A large file is written as a stream, and is there when it is finished.
//! let path = StoragePath::new("chk-1/state")?;
//! let mut writer = storage.create(&path)?;
//! writer.write_all(b"the state")?;
//! let file = writer.finish()?;
//! assert_eq!(file.length, 9);
//!
//! // The metadata makes the checkpoint complete, for exactly one of those who try.
//! let metadata = StoragePath::new("chk-1/_metadata")?;
//! assert_eq!(storage.publish(&metadata, b"{}")?, PublishOutcome::Published);
//! assert_eq!(storage.publish(&metadata, b"[]")?, PublishOutcome::AlreadyExists);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod cache;
#[cfg(feature = "conformance")]
pub mod conformance;
mod data;
mod error;
mod fs;
mod memory;
mod owner;
mod path;
mod registry;
mod settings;
mod storage;
mod uri;

pub use cache::{FileCache, WorkingDirectory};
pub use data::{DataDirectory, EntropyMarker};
pub use error::{Determinacy, Operation, StorageError};
pub use fs::FsStorage;
pub use memory::MemoryStorage;
pub use owner::{OwnerInfo, Ownership};
pub use path::StoragePath;
pub use registry::{StorageFactory, StorageRegistry, storage_for_uri};
pub use settings::StorageSettings;
pub use storage::{
    CheckpointStorage, DeleteOutcome, Entry, EntryKind, FinishedFile, LinkOutcome, PublishOutcome,
    StateReader, StateWriter,
};
pub use uri::local_path_of;
