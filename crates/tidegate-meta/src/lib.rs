//! The metadata file of a checkpoint: bytes in, bytes out.
//!
//! A checkpoint's `_metadata` says which operators there were, which states they registered, and
//! where each subtask's state lies. [`encode`] writes it; [`MetadataView::open`] checks bytes
//! completely and then reads them in place. The same frame carries acknowledgements between
//! processes and the canonical form of keyed state ([`frame`]).
//!
//! **It is not** a place for I/O: it neither opens files nor knows where they lie. And the format
//! **is not** rkyv's: rkyv lays out the payload, while magic, version, lengths and checksums are
//! ours and are verified first (`docs/format.md`, byte by byte).
//!
//! ```
//! use tidegate_meta::{CheckpointMetadata, MetadataView, encode};
//! use tidegate_types::{AttemptId, CheckpointId, JobId, SnapshotKind};
//!
//! let metadata = CheckpointMetadata {
//!     job_id: JobId::from_bytes([7; 16]),
//!     job_name: "tides".to_owned(),
//!     checkpoint: CheckpointId::FIRST,
//!     attempt: AttemptId::new(1),
//!     kind: SnapshotKind::Checkpoint,
//!     created_at_ms: 951_782_400_000,
//!     operators: Vec::new(),
//! };
//! let mut bytes = encode(&metadata)?;
//! assert_eq!(MetadataView::open(&bytes)?.to_metadata(), metadata);
//!
//! bytes[70] ^= 1;
//! let error = MetadataView::open(&bytes).unwrap_err();
//! assert!(error.to_string().contains("digest"));
//! # Ok::<(), tidegate_meta::MetadataError>(())
//! ```
#![forbid(unsafe_code)]

mod acknowledgement;
mod checkpoint;
mod convert;
mod encode;
mod error;
pub mod frame;
mod v1;
mod validate;
mod view;

pub use acknowledgement::{OperatorSubtaskState, decode_subtask_states, encode_subtask_states};
pub use checkpoint::CheckpointMetadata;
pub use encode::{MAX_LENGTH, encode};
pub use error::MetadataError;
pub use view::{MetadataView, OperatorView};
