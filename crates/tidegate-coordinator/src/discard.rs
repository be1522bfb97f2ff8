//! Deleting what the coordinator no longer needs, in an order that a crash cannot make dangerous.

use tidegate_store::{CheckpointStorage, StorageError, StoragePath, StorageRegistry};
use tidegate_types::FileReference;

use crate::{CheckpointPaths, Discarded};

/// Deletes it: `_metadata` first, so that at no instant there is one whose files are missing.
///
/// When the metadata cannot be deleted, nothing else is. Any other failure lets the rest go on; the
/// first one is told.
pub fn discard(
    registry: &StorageRegistry,
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
    discarded: &Discarded,
) -> Result<(), StorageError> {
    if let Some(checkpoint) = discarded.checkpoint {
        storage.delete(&paths.metadata(checkpoint))?;
    }
    let mut result = Ok(());
    for file in &discarded.files {
        result = result.and(delete(registry, storage, paths, &file.reference));
    }
    if let Some(checkpoint) = discarded.checkpoint {
        result = result.and(storage.delete_directory(&paths.checkpoint(checkpoint)).map(drop));
    }
    result
}

/// Like [`discard`] of a checkpoint whose directory is this one: a savepoint that was given up, or
/// a checkpoint that was claimed. Files elsewhere are deleted where their references are absolute.
pub fn discard_at(
    registry: &StorageRegistry,
    storage: &dyn CheckpointStorage,
    directory: &StoragePath,
    discarded: &Discarded,
) -> Result<(), StorageError> {
    storage.delete(&directory.join(CheckpointPaths::METADATA)?)?;
    let mut result = Ok(());
    for file in &discarded.files {
        if let FileReference::Absolute(uri) = &file.reference {
            let deleted = registry.locate(uri).and_then(|(other, path)| other.delete(&path));
            result = result.and(deleted.map(drop));
        }
    }
    result.and(storage.delete_directory(directory).map(drop))
}

fn delete(
    registry: &StorageRegistry,
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
    reference: &FileReference,
) -> Result<(), StorageError> {
    match reference {
        FileReference::InJob(path) => {
            storage.delete(&paths.job_directory().join(path)?)?;
        }
        FileReference::Absolute(uri) => {
            let (other, path) = registry.locate(uri)?;
            other.delete(&path)?;
        }
        // `InCheckpoint` goes with the checkpoint's directory, and the coordinator hands out none.
        _ => {}
    }
    Ok(())
}
