//! Checkpoints on HDFS: [`CheckpointStorage`](tidegate_store::CheckpointStorage) over `hdfs-native`,
//! a client in Rust that needs neither Java nor libhdfs.
//!
//! A file is written under a hidden name, synced on the DataNodes, and renamed without overwriting, in
//! one call to the NameNode. An answer that is lost is found out, not guessed; what may be tried
//! again is; and every call ends in bounded time, whatever hangs.
//!
//! **It is not** a client of HDFS: what it does not need for checkpoints it does not offer. It mounts
//! nothing and caches nothing.
//!
//! ```no_run
//! use tidegate_store::{CheckpointStorage, PublishOutcome, StoragePath};
//! use tidegate_store_hdfs::{HdfsOptions, HdfsStorage};
//!
//! // The name node comes from core-site.xml in HADOOP_CONF_DIR.
//! let storage = HdfsStorage::open("hdfs:///checkpoints", &HdfsOptions::default())?;
//! let metadata = StoragePath::new("job/chk-1/_metadata")?;
//! assert_eq!(storage.publish(&metadata, b"{}")?, PublishOutcome::Published);
//! # Ok::<(), tidegate_store::StorageError>(())
//! ```
#![forbid(unsafe_code)]

mod cluster;
mod factory;
mod failure;
mod hold;
mod life;
mod options;
mod path;
mod patience;
mod place;
mod reader;
mod runtime;
mod storage;
mod stream;
mod taking;
mod writer;

pub use factory::HdfsFactory;
pub use options::HdfsOptions;
pub use storage::HdfsStorage;
