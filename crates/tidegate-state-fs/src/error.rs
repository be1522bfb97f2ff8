//! What can go wrong with state in files.

use std::sync::Arc;

use tidegate_segment::SegmentError;
use tidegate_state::StateError;
use tidegate_store::StorageError;
use tidegate_types::{OperatorUid, StateKind};

/// An error of the fs backend. Operators see it as [`StateError::Files`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsStateError {
    /// A segment cannot be read or written.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// A manifest is whole and yet says something that nothing of ours writes.
    #[error("the manifest of keyed state, offset {offset}: {found} where {expected} is expected")]
    Manifest {
        /// Where, in bytes from the start of the manifest.
        offset: usize,
        /// What may stand there.
        expected: &'static str,
        /// What does.
        found: u64,
    },
    /// A file is not the one that the checkpoint refers to.
    #[error("{path} has {found} bytes, the checkpoint refers to one of {expected}")]
    OtherFile {
        /// The file.
        path: Box<str>,
        /// The length that was written.
        expected: u64,
        /// The length that was found.
        found: u64,
    },
    /// A downloaded file does not have the content that the checkpoint refers to.
    #[error("{path} does not have the content that the checkpoint refers to: it is damaged")]
    OtherContent {
        /// The file.
        path: Box<str>,
    },
    /// A segment has no local file to be mapped.
    #[error("{path} cannot be mapped: it has no place in a local file system")]
    NotLocal {
        /// The file.
        path: Box<str>,
    },
    /// A state has entries that its kind does not have.
    #[error("state {state:?} is a {kind} and has an entry of another kind")]
    OtherKind {
        /// The state.
        state: Arc<str>,
        /// Its kind.
        kind: StateKind,
    },
    /// The canonical form is not in its order.
    #[error("state {state:?} of a savepoint has entries that do not ascend, or one twice")]
    Unordered {
        /// The state.
        state: Arc<str>,
    },
    /// The directory for working files cannot be made.
    #[error("no directory for working files can be made below {path}: {source}")]
    Working {
        /// Where.
        path: Box<str>,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What an operator is told.
pub(crate) fn files(operator: &OperatorUid, error: impl Into<FsStateError>) -> StateError {
    match error.into() {
        // The store's own words are better than those of whoever wrote through it.
        FsStateError::Segment(SegmentError::Write { source }) => {
            StateError::Storage(StorageError::from_write("a segment", source))
        }
        FsStateError::Segment(SegmentError::Cancelled) => StateError::Cancelled,
        error => StateError::Files { operator: operator.clone(), source: Box::new(error) },
    }
}
