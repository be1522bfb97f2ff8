//! What a job does with its checkpoint directory before it starts. It must own the directory.

use tidegate_store::{CheckpointStorage, DataDirectory, EntryKind, StorageError, StoragePath};
use tidegate_types::CheckpointId;

use crate::{CheckpointPaths, Survey};

/// What [`remove_abandoned`] has removed, and what it had to leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Checkpoints that never completed, ascending.
    pub checkpoints: Vec<CheckpointId>,
    /// Shared files that no checkpoint refers to, in the order of their names.
    pub shared: Vec<StoragePath>,
    /// Shared files were left alone, for there is a checkpoint that cannot be read and may need them.
    pub is_uncertain: bool,
}

/// Deletes what crashed attempts have left in the job's directory: checkpoints that never completed,
/// and shared files that no complete checkpoint refers to.
///
/// Only the directory's owner may do this, and before the job's tasks write: to anybody else what is
/// under way looks the same. Of files elsewhere, and of those that tasks own, it does not know.
pub fn remove_abandoned(
    storage: &dyn CheckpointStorage,
    paths: &CheckpointPaths,
    survey: &Survey,
) -> Result<Abandoned, StorageError> {
    let mut abandoned =
        Abandoned { checkpoints: remove_incomplete(storage, paths)?, ..Abandoned::default() };
    if !survey.unreadable.is_empty() {
        abandoned.is_uncertain = true;
        return Ok(abandoned);
    }
    let used = survey.used();
    let job = paths.job_directory();
    let mut directories = vec![paths.shared()];
    while let Some(directory) = directories.pop() {
        for child in storage.list(&directory)? {
            let path = directory.join(&child.name)?;
            let below = path.as_str().strip_prefix(job.as_str()).unwrap_or_default();
            match child.kind {
                EntryKind::Directory => directories.push(path),
                EntryKind::File { .. } if used.contains(below.trim_start_matches('/')) => {}
                EntryKind::File { .. } => {
                    storage.delete(&path)?;
                    abandoned.shared.push(path);
                }
            }
        }
    }
    abandoned.shared.sort_unstable();
    Ok(abandoned)
}

/// Deletes the job's files in the directory for its data that no complete checkpoint refers to, and
/// gives them. The directory must be the one that belongs to the job's metadata
/// ([`DataDirectory::of_metadata`]); otherwise as [`remove_abandoned`].
pub fn remove_abandoned_data(
    data: &DataDirectory,
    paths: &CheckpointPaths,
    survey: &Survey,
) -> Result<Vec<StoragePath>, StorageError> {
    if !survey.unreadable.is_empty() {
        return Ok(Vec::new());
    }
    let used = survey.used_elsewhere();
    let mut removed = Vec::new();
    let mut directories = data.directories(&paths.job_directory())?;
    while let Some(directory) = directories.pop() {
        for child in data.storage().list(&directory)? {
            let path = directory.join(&child.name)?;
            match child.kind {
                EntryKind::Directory => directories.push(path),
                EntryKind::File { .. } if used.contains(&*data.uri_of(&path)) => {}
                EntryKind::File { .. } => {
                    data.storage().delete(&path)?;
                    removed.push(path);
                }
            }
        }
    }
    removed.sort_unstable();
    Ok(removed)
}

/// The id of the first checkpoint to come: one above the highest that has left a directory, so that
/// no number is given twice, even for a checkpoint that never completed. To be asked before
/// [`remove_abandoned`].
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
