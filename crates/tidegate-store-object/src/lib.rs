//! Checkpoints in object stores: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob
//! Storage.
//!
//! A data file is uploaded in parts and appears when all are there; `_metadata` is created in one
//! request, if absent, which is what makes a checkpoint complete. Requests are made again where that
//! may help, and an answer that got lost is found out. A directory's owners keep a log in it
//! ([`tidegate_store_remote::ownership`]). `docs/storage.md` says what is guaranteed, and what a
//! bucket's life-cycle rules have to clean.
//!
//! **It is not** a client of object stores: it offers what checkpoints need. Nothing is cached here.
//!
//! ```no_run
//! use tidegate_store::{CheckpointStorage, PublishOutcome, StoragePath, StorageSettings};
//! use tidegate_store_object::ObjectStorage;
//!
//! // Credentials come from the environment, as for other programs.
//! let settings = StorageSettings::new([("s3.endpoint", "http://localhost:9000")]);
//! let storage = ObjectStorage::open("s3://bucket/checkpoints", &settings)?;
//! let metadata = StoragePath::new("job/chk-1/_metadata")?;
//! assert_eq!(storage.publish(&metadata, b"{}")?, PublishOutcome::Published);
//! # Ok::<(), tidegate_store::StorageError>(())
//! ```
#![forbid(unsafe_code)]

mod aws_files;
mod bucket;
mod connect;
mod delete;
mod factory;
mod failure;
mod location;
mod options;
mod owners;
mod reader;
mod storage;
mod writer;

pub use factory::ObjectFactory;
pub use storage::ObjectStorage;
