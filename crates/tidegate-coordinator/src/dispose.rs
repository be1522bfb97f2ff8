//! Deleting a savepoint because its owner, a person, wants it gone.
//!
//! The order is that of every deletion here: `_metadata` first, so that at no instant there is one
//! whose files are missing. Nothing is deleted that the savepoint does not refer to.

use std::sync::Arc;

use tidegate_store::{OwnerInfo, StorageError, StorageRegistry};
use tidegate_types::{FileReference, SnapshotKind};

use crate::{CheckpointPaths, LocatedCheckpoint, RestoreError, locate};

/// Why a savepoint was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisposeError {
    /// There is no savepoint that can be read.
    #[error("nothing was deleted")]
    Locate(#[from] RestoreError),
    /// It is a checkpoint, which belongs to its job.
    #[error(
        "{path} is a checkpoint of job {job} and no savepoint: nothing was deleted; checkpoints are \
         deleted by their job (execution.checkpointing.externalized-checkpoint-retention)"
    )]
    NoSavepoint {
        /// Its directory.
        path: Box<str>,
        /// The job's name.
        job: Box<str>,
    },
    /// The path names a directory that holds checkpoints, not the savepoint itself.
    #[error(
        "{path} is not itself a savepoint: nothing was deleted; name the savepoint's directory"
    )]
    NotExact {
        /// The path.
        path: Box<str>,
    },
    /// The storage failed. Once `_metadata` is gone the rest is of no use to anybody.
    #[error("cannot delete {path}")]
    Storage {
        /// The savepoint's directory.
        path: Box<str>,
        /// Why.
        source: StorageError,
    },
}

/// A savepoint that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposed {
    /// The URI of its directory.
    pub path: Box<str>,
    /// How many files were deleted, `_metadata` among them.
    pub files: usize,
    /// What else lies in the directory, which was left with it.
    pub left: Vec<String>,
}

/// Deletes the savepoint at this path or URI: its directory or its `_metadata`.
pub fn dispose_savepoint(registry: &StorageRegistry, path: &str) -> Result<Disposed, DisposeError> {
    let located = locate(registry, path)?;
    let uri: Box<str> = located.uri().into();
    if located.metadata.kind != SnapshotKind::Savepoint {
        let job = located.metadata.job_name.as_str().into();
        return Err(DisposeError::NoSavepoint { path: uri, job });
    }
    // A directory of savepoints would have been understood as "the newest one".
    if !located.skipped.is_empty() || located.is_verified() {
        return Err(DisposeError::NotExact { path: path.into() });
    }
    delete(&located, &uri).map_err(|source| DisposeError::Storage { path: uri, source })
}

fn delete(located: &LocatedCheckpoint, uri: &str) -> Result<Disposed, StorageError> {
    let LocatedCheckpoint { storage, directory, metadata, .. } = located;
    // Refused while a job has claimed it.
    let owner = OwnerInfo::current("tidegate savepoint --dispose", 0);
    let ownership = storage.own(directory, &owner)?;
    storage.delete(&directory.join(CheckpointPaths::METADATA)?)?;
    let mut files = 1;
    let states = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    let references = states.flat_map(|(_, state)| state.files()).map(|file| &file.reference);
    let mut names: Vec<&Arc<str>> = references
        .filter_map(|reference| match reference {
            FileReference::InCheckpoint(name) => Some(name),
            // Of a savepoint that was made by hand: what lies elsewhere may be somebody else's.
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        storage.delete(&directory.join(name)?)?;
        files += 1;
    }
    let left: Vec<String> = storage.list(directory)?.into_iter().map(|entry| entry.name).collect();
    drop(ownership);
    if left.is_empty() {
        storage.delete_directory(directory)?;
    }
    Ok(Disposed { path: uri.into(), files, left })
}
