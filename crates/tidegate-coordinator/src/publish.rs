//! Making a checkpoint complete: its metadata appears under its name, whole and durable, or not.

use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, Ownership, PublishOutcome, StorageError, StoragePath};

use crate::{CheckpointPaths, PublishError};

/// Publishes the metadata of a checkpoint all of whose files are durable.
///
/// Doing it again after an outcome that was in doubt is no error: the same content is recognised.
pub fn publish_metadata(
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
    metadata: &CheckpointMetadata,
) -> Result<(), PublishError> {
    publish_metadata_at(storage, &paths.metadata(metadata.checkpoint), metadata)
}

/// Like [`publish_metadata`], under another path: that of a savepoint.
pub fn publish_metadata_at(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    metadata: &CheckpointMetadata,
) -> Result<(), PublishError> {
    publish(storage, path, metadata, |path, bytes| storage.publish(path, bytes))
}

/// Like [`publish_metadata`], into a directory that is owned: an owner that has been superseded
/// publishes nothing, and is told so as [`PublishError::Storage`] with
/// [`StorageError::OwnershipLost`].
pub fn publish_owned(
    storage: &dyn CheckpointStorage,
    ownership: &dyn Ownership,
    paths: &CheckpointPaths,
    metadata: &CheckpointMetadata,
) -> Result<(), PublishError> {
    let path = paths.metadata(metadata.checkpoint);
    publish(storage, &path, metadata, |path, bytes| ownership.publish(path, bytes))
}

fn publish(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    metadata: &CheckpointMetadata,
    publish: impl FnOnce(&StoragePath, &[u8]) -> Result<PublishOutcome, StorageError>,
) -> Result<(), PublishError> {
    let checkpoint = metadata.checkpoint;
    let bytes = tidegate_meta::encode(metadata)
        .map_err(|source| PublishError::Encode { checkpoint, source })?;
    let storage_error = |source| PublishError::Storage { checkpoint, source };
    match publish(path, &bytes).map_err(storage_error)? {
        PublishOutcome::Published => Ok(()),
        PublishOutcome::AlreadyExists => {
            if is_content(storage, path, &bytes).map_err(storage_error)? {
                return Ok(());
            }
            let path = format!("{}/{path}", storage.uri()).into();
            Err(PublishError::Superseded { path })
        }
    }
}

fn is_content(
    storage: &dyn CheckpointStorage,
    path: &StoragePath,
    bytes: &[u8],
) -> Result<bool, StorageError> {
    let limit = bytes.len() as u64;
    let reader = storage.open(path)?;
    Ok(reader.length() == limit && reader.read_all(limit)? == bytes)
}
