//! What a job does with its checkpoint directory before it starts. It must own the directory.

use tidegate_store::{CheckpointStorage, EntryKind, StorageError};
use tidegate_types::CheckpointId;

use crate::CheckpointPaths;

/// The id of the first checkpoint to come: one above the highest that has left a directory, so that
/// no number is given twice, even for a checkpoint that never completed.
pub fn next_checkpoint_id(
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
) -> Result<CheckpointId, StorageError> {
    let newest = checkpoints(storage, paths)?.into_iter().max();
    Ok(newest.map_or(CheckpointId::FIRST, CheckpointId::next))
}

/// Deletes the directories of checkpoints that never completed, and gives their ids, ascending.
///
/// Only the directory's owner may do this: to anybody else a checkpoint under way looks the same.
pub fn remove_incomplete(
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
) -> Result<Vec<CheckpointId>, StorageError> {
    let mut removed = Vec::new();
    for checkpoint in checkpoints(storage, paths)? {
        let children = storage.list(&paths.checkpoint(checkpoint))?;
        if children.iter().all(|child| child.name != CheckpointPaths::METADATA) {
            storage.delete_directory(&paths.checkpoint(checkpoint))?;
            removed.push(checkpoint);
        }
    }
    Ok(removed)
}

/// The checkpoints that have a directory, complete or not, ascending.
pub(crate) fn checkpoints(
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
) -> Result<Vec<CheckpointId>, StorageError> {
    let children = storage.list(&paths.job_directory())?;
    let directories = children.iter().filter(|child| child.kind == EntryKind::Directory);
    let mut ids: Vec<_> =
        directories.filter_map(|child| CheckpointPaths::checkpoint_of(&child.name)).collect();
    ids.sort_unstable();
    Ok(ids)
}
